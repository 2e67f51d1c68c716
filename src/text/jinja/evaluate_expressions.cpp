#include "text/jinja/evaluate.h"
#include "text/jinja/unicode.h"

namespace pare::jinja {

Value Evaluator::lookup(const std::string& name, const ScopePtr& scope) {
  bool hides_unset = true;
  for (const Scope* s = scope.get(); s; s = s->parent.get()) {
    auto found = s->variables.find(name);
    hides_unset = hides_unset && s->hides_unset;
    if (found == s->variables.end()) continue;
    if (!found->second.is_missing()) return found->second;
    if (hides_unset) return Value::undefined(text_repr(name) + " is undefined");
  }
  if (const Value* v = variables_.find(name)) return *v;
  for (const auto& [global, value] : global_values())
    if (global == name) return value;
  return Value::undefined(text_repr(name) + " is undefined");
}

Value Evaluator::eval(const Expr& e, const ScopePtr& scope) {
  step();
  if (e.kind == Ex::constant) return e.value;
  line = e.line;
  if (e.kind == Ex::name) return lookup(e.name, scope);
  Deeper deeper(*this);
  switch (e.kind) {
    case Ex::attribute: {
      const Value v = eval(*e.kids[0], scope);
      line = e.line;
      return attribute(v, e.name);
    }
    case Ex::item: {
      const Value v = eval(*e.kids[0], scope);
      return item(v, eval(*e.kids[1], scope));
    }
    case Ex::slice: {
      Value parts[4];
      for (int i = 0; i < 4; ++i)
        if (e.kids[static_cast<std::size_t>(i)]) parts[i] = eval(*e.kids[static_cast<std::size_t>(i)], scope);
      return slice(parts[0], parts[1], parts[2], parts[3]);
    }
    case Ex::list:
    case Ex::tuple:
    case Ex::dict:
      return eval_container(e, scope);
    case Ex::binary:
      return eval_binary(e, scope);
    case Ex::concat:
      return eval_concat(e, scope);
    case Ex::compare:
      return eval_compare(e, scope);
    case Ex::logical_and: {
      Value v = eval(*e.kids[0], scope);
      return v.truthy() ? eval(*e.kids[1], scope) : v;
    }
    case Ex::logical_or: {
      Value v = eval(*e.kids[0], scope);
      return v.truthy() ? v : eval(*e.kids[1], scope);
    }
    case Ex::logical_not:
      return !eval(*e.kids[0], scope).truthy();
    case Ex::minus:
      return negated(*this, eval(*e.kids[0], scope));
    case Ex::plus:
      return positive(*this, eval(*e.kids[0], scope));
    case Ex::condition:
      return eval_condition(e, scope);
    case Ex::call: {
      const Value callee = eval(*e.kids[0], scope);
      const Args args = arguments(e, scope, 1);
      line = e.line;
      return call(callee, args);
    }
    case Ex::filter:
      return eval_filter(e, scope);
    case Ex::test: {
      const Value v = eval(*e.kids[0], scope);
      const Args args = arguments(e, scope, 1);
      line = e.line;
      return test(e.name, v, args);
    }
    default:
      fail(ErrorKind::syntax, "this cannot be evaluated");
  }
}

Value Evaluator::eval_condition(const Expr& e, const ScopePtr& scope) {
  if (eval(*e.kids[1], scope).truthy()) return eval(*e.kids[0], scope);
  if (e.kids[2]) return eval(*e.kids[2], scope);
  return Value::undefined(fmt::format(
      "the inline if-expression on line {} evaluated to false and no else section was defined.", e.line));
}

Value Evaluator::eval_binary(const Expr& e, const ScopePtr& scope) {
  const Value a = eval(*e.kids[0], scope);
  const Value b = eval(*e.kids[1], scope);
  line = e.line;
  return arithmetic(*this, e.ops[0], a, b);
}

Value Evaluator::eval_compare(const Expr& e, const ScopePtr& scope) {
  Value a = eval(*e.kids[0], scope);
  for (std::size_t i = 0; i < e.ops.size(); ++i) {
    Value b = eval(*e.kids[i + 1], scope);
    line = e.line;
    if (!compare(*this, e.ops[i], a, b)) return false;
    a = std::move(b);
  }
  return true;
}

Value Evaluator::eval_concat(const Expr& e, const ScopePtr& scope) {
  std::string text;
  for (const ExprPtr& kid : e.kids) {
    const Value v = eval(*kid, scope);
    text += v.is_string() ? v.text() : str(v);
  }
  return string(std::move(text));
}

Value Evaluator::eval_container(const Expr& e, const ScopePtr& scope) {
  if (e.kind == Ex::dict) {
    auto d = std::make_shared<Dict>();
    for (std::size_t i = 0; i < e.kids.size(); i += 2) {
      const Value key = eval(*e.kids[i], scope);
      set(*d, key, eval(*e.kids[i + 1], scope));
    }
    return dict(std::move(d));
  }
  std::vector<Value> items;
  items.reserve(e.kids.size());
  for (const ExprPtr& kid : e.kids) items.push_back(eval(*kid, scope));
  return e.kind == Ex::list ? list(std::move(items)) : tuple(std::move(items));
}

Value Evaluator::eval_filter(const Expr& e, const ScopePtr& scope) {
  const Value v = e.kids[0] ? eval(*e.kids[0], scope) : Value(*block_text_);
  const Args args = arguments(e, scope, 1);
  line = e.line;
  return filter(e.name, v, args);
}

Args Evaluator::arguments(const Expr& e, const ScopePtr& scope, std::size_t first) {
  Args args;
  for (std::size_t i = first; i < e.kids.size(); ++i) args.list.push_back(eval(*e.kids[i], scope));
  for (const auto& [name, value] : e.named) args.named.emplace_back(name, eval(*value, scope));
  if (e.star)
    for (Value& v : collect(eval(*e.star, scope))) args.list.push_back(std::move(v));
  if (e.double_star) {
    const Value more = eval(*e.double_star, scope);
    if (!more.is(Kind::dict))
      fail(ErrorKind::type, "argument after ** must be a mapping, not {}", more.type_name());
    for (const auto& [name, value] : more.dict().items) {
      if (!name.is_string()) fail(ErrorKind::type, "keywords must be strings");
      args.named.emplace_back(name.text(), value);
    }
  }
  return args;
}

}  // namespace pare::jinja
