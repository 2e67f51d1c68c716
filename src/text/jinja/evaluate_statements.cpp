#include "text/jinja/evaluate.h"
#include "text/jinja/loop.h"
#include "text/jinja/macro.h"
#include "text/jinja/unicode.h"

namespace pare::jinja {
namespace {

// {% for x in over if condition %}: evaluated as the loop asks for more.
struct Selected : Iterator {
  Selected(Evaluator& e, const Stmt& statement, const Value& v, ScopePtr s)
      : Iterator("generator", v.depth() + 1), evaluator(e), stmt(statement), over(v), scope(std::move(s)) {}
  Evaluator& evaluator;
  const Stmt& stmt;
  Value over;
  std::shared_ptr<Iterator> source;
  ScopePtr scope;
  bool next(Runtime& rt, Value& out) override {
    if (!source) source = rt.iterate(over);
    for (Value v; source->next(rt, v);) {
      ScopePtr inner = evaluator.inner(scope, {});
      evaluator.assign(*stmt.target, v, inner);
      if (!evaluator.eval(*stmt.exprs[1], inner).truthy()) continue;
      out = std::move(v);
      return true;
    }
    return false;
  }
};

// Ends the loop object's hold on values and scopes however the loop is left.
struct Release {
  Loop& loop;
  ~Release() { loop.release(); }
};

// Macros keep scopes alive, and scopes keep macros: the rendering breaks these cycles when it ends.
void keep_scopes(Runtime& rt, const ScopePtr& scope) {
  for (ScopePtr s = scope; s && !s->is_captured; s = s->parent) {
    s->is_captured = true;
    rt.at_end(s, [p = s.get()] { p->variables.clear(); });
  }
}

}  // namespace

void Evaluator::write(std::string_view text) {
  made(text.size());
  if (out_->size() + text.size() > output_limit_)
    fail(ErrorKind::limit, "the template writes more than {} bytes (the bound on output)", output_limit_);
  *out_ += text;
}

void Evaluator::print(const Value& v) {
  if (v.is_string())
    write(v.text());
  else
    write(str(v));
}

ScopePtr Evaluator::inner(const ScopePtr& outer, const std::vector<std::string>& unset) {
  step();
  auto scope = std::make_shared<Scope>();
  scope->parent = outer;
  for (const std::string& name : unset) scope->variables.emplace(name, Value::missing());
  return scope;
}

std::string Evaluator::render(const Block& body, const std::vector<std::string>& unset) {
  std::string out;
  out_ = &out;
  ScopePtr root = inner(nullptr, unset);
  keep_scopes(*this, root);
  run(body, root);
  return out;
}

Evaluator::Flow Evaluator::captured(const Block& body, const ScopePtr& scope, std::string& text) {
  std::string* outer = out_;
  out_ = &text;
  const Flow flow = run(body, scope);
  out_ = outer;
  return flow;
}

std::string Evaluator::capture(const Block& body, const ScopePtr& scope) {
  std::string text;
  captured(body, scope, text);
  return text;
}

Evaluator::Flow Evaluator::run(const Block& body, const ScopePtr& scope) {
  for (const StmtPtr& s : body)
    if (const Flow flow = run(*s, scope); flow != Flow::normal) return flow;
  return Flow::normal;
}

Evaluator::Flow Evaluator::run(const Stmt& s, const ScopePtr& scope) {
  Deeper deeper(*this);
  step();
  line = s.line;
  switch (s.kind) {
    case St::output:
      for (const ExprPtr& e : s.exprs) {
        if (e->kind == Ex::constant && e->value.is_string())
          write(e->value.text());
        else
          print(eval(*e, scope));
      }
      return Flow::normal;
    case St::if_:
      return run_if(s, scope);
    case St::for_: {
      const Value over = eval(*s.exprs[0], scope);
      return run_for(s, over, scope, 0);
    }
    case St::set:
      return run_set(s, scope), Flow::normal;
    case St::set_block:
      return run_set_block(s, scope);
    case St::macro:
      scope->variables[s.name] = macro(s, s.name, scope);
      return Flow::normal;
    case St::call_block:
      return run_call_block(s, scope), Flow::normal;
    case St::filter_block:
      return run_filter_block(s, scope);
    case St::with:
      return run_with(s, scope);
    case St::generation:
    case St::scope:
      return run(s.body, inner(scope, s.unset));
    case St::block: {
      ScopePtr root = scope;
      while (!s.scoped && root->parent) root = root->parent;
      ScopePtr body = inner(root, s.unset);
      body->hides_unset = s.scoped;
      return run(s.body, body);
    }
    case St::break_:
      return Flow::break_;
    case St::continue_:
      return Flow::continue_;
    case St::unsupported:
      break;
  }
  fail(ErrorKind::unsupported, "the tag '{}' is not supported in chat templates", s.name);
}

Evaluator::Flow Evaluator::run_if(const Stmt& s, const ScopePtr& scope) {
  if (eval(*s.exprs[0], scope).truthy()) return run(s.body, scope);
  for (const StmtPtr& branch : s.elifs)
    if (eval(*branch->exprs[0], scope).truthy()) return run(branch->body, scope);
  return run(s.orelse, scope);
}

Evaluator::Flow Evaluator::run_for(const Stmt& s, const Value& given, const ScopePtr& scope, int depth) {
  Value over = given;
  if (s.exprs[1]) over = iterator(std::make_shared<Selected>(*this, s, given, scope));
  std::function<std::string(const Value&, int)> recurse;
  if (s.recursive)
    recurse = [this, &s, scope](const Value& v, int deeper) { return run_loop(s, v, scope, deeper); };
  auto loop = std::make_shared<Loop>(*this, over, depth, std::move(recurse));
  Release release{*loop};
  bool is_done = false;
  for (Value item; loop->next(*this, item);) {
    ScopePtr body = inner(scope, s.unset);
    body->variables["loop"] = Value(Kind::loop, loop);
    assign(*s.target, item, body);
    const Flow flow = run(s.body, body);
    if (flow == Flow::break_) break;
    // Jinja notes at the end of the body that it ran, so `else` also follows a loop that always continued.
    if (flow == Flow::normal) is_done = true;
  }
  if (is_done || s.orelse.empty()) return Flow::normal;
  return run(s.orelse, inner(scope, s.unset_orelse));
}

std::string Evaluator::run_loop(const Stmt& s, const Value& over, const ScopePtr& scope, int depth) {
  Deeper deeper(*this);
  std::string text;
  std::string* outer = out_;
  out_ = &text;
  run_for(s, over, scope, depth);
  out_ = outer;
  return text;
}

void Evaluator::check_members(const Expr& target, const ScopePtr& scope) {
  if (target.kind == Ex::member && !lookup(target.name, scope).is(Kind::space))
    fail(ErrorKind::runtime, "cannot assign attribute on non-namespace object");
  for (const ExprPtr& kid : target.kids) check_members(*kid, scope);
}

void Evaluator::assign(const Expr& target, const Value& value, const ScopePtr& scope) {
  if (target.kind == Ex::name) {
    scope->variables[target.name] = value;
    return;
  }
  if (target.kind == Ex::member) {
    const std::string& name = target.value.text();
    if (name[0] == '_')
      fail(ErrorKind::security,
           "Chat templates cannot store underscore-prefixed attributes on a namespace, but got {}. Please "
           "rename the "
           "attribute.",
           text_repr(name));
    made(64);
    lookup(target.name, scope).as<Namespace>().values.set(name, value);
    return;
  }
  const std::size_t n = target.kids.size();
  if (!is_iterable(value)) fail(ErrorKind::type, "cannot unpack non-iterable {} object", value.type_name());
  auto it = iterate(value);
  std::vector<Value> parts;
  for (Value v; parts.size() <= n && it->next(*this, v);) parts.push_back(std::move(v));
  if (parts.size() > n) fail(ErrorKind::value, "too many values to unpack (expected {})", n);
  if (parts.size() < n)
    fail(ErrorKind::value, "not enough values to unpack (expected {}, got {})", n, parts.size());
  for (std::size_t i = 0; i < n; ++i) assign(*target.kids[i], parts[i], scope);
}

void Evaluator::run_set(const Stmt& s, const ScopePtr& scope) {
  check_members(*s.target, scope);
  const Value v = eval(*s.exprs[0], scope);
  line = s.line;
  assign(*s.target, v, scope);
}

Evaluator::Flow Evaluator::run_set_block(const Stmt& s, const ScopePtr& scope) {
  std::string text;
  ScopePtr body = inner(scope, s.unset);
  if (const Flow flow = captured(s.body, body, text); flow != Flow::normal) return flow;
  check_members(*s.target, scope);
  Value v;
  if (s.exprs[0]) {
    const std::string* outer = block_text_;
    block_text_ = &text;
    v = eval(*s.exprs[0], body);
    block_text_ = outer;
  } else {
    v = string(std::move(text));
  }
  assign(*s.target, v, scope);
  return Flow::normal;
}

Evaluator::Flow Evaluator::run_filter_block(const Stmt& s, const ScopePtr& scope) {
  std::string text;
  ScopePtr body = inner(scope, s.unset);
  if (const Flow flow = captured(s.body, body, text); flow != Flow::normal) return flow;
  const std::string* outer = block_text_;
  block_text_ = &text;
  const Value v = eval(*s.exprs[0], body);
  block_text_ = outer;
  print(v);
  return Flow::normal;
}

Evaluator::Flow Evaluator::run_with(const Stmt& s, const ScopePtr& scope) {
  ScopePtr body = inner(scope, s.unset);
  for (std::size_t i = 0; i < s.exprs.size(); ++i) assign(*s.target->kids[i], eval(*s.exprs[i], scope), body);
  return run(s.body, body);
}

Value Evaluator::macro(const Stmt& s, std::string name, const ScopePtr& scope) {
  keep_scopes(*this, scope);
  return {Kind::macro, std::make_shared<Macro>(*this, s, std::move(name), scope)};
}

void Evaluator::run_call_block(const Stmt& s, const ScopePtr& scope) {
  const Expr& e = *s.exprs[0];
  const Value callee = eval(*e.kids[0], scope);
  Args args = arguments(e, scope, 1);
  args.named.emplace_back("caller", macro(s, "", scope));
  line = s.line;
  print(call(callee, args));
}

}  // namespace pare::jinja
