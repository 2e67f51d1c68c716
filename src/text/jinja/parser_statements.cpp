#include <algorithm>
#include <functional>

#include "text/jinja/parser.h"
#include "text/jinja/unicode.h"

namespace pare::jinja {

StmtPtr Parser::statement_of(St kind) const {
  auto s = std::make_unique<Stmt>();
  s->kind = kind;
  s->line = now().line;
  return s;
}

Block parse(std::string_view source, const Limits& limits) { return Parser(source, limits).run(); }

Block Parser::run() { return subparse({}); }

std::string Parser::looking_for() const {
  std::string wanted;
  if (!end_tags_.empty())
    for (std::string_view end : end_tags_.back())
      wanted += fmt::format("{}'{}'", wanted.empty() ? "" : " or ", end);
  std::string out;
  if (!wanted.empty()) out = fmt::format(" Jinja was looking for the following tags: {}.", wanted);
  if (!open_tags_.empty())
    out += fmt::format(" The innermost block that needs to be closed is '{}'.", open_tags_.back());
  return out;
}

// The body of a statement up to one of `ends`, which is left standing unless `drop`.
Block Parser::until(std::initializer_list<std::string_view> ends, bool drop) {
  skip_sign(":");
  expect(Token::block_end);
  end_tags_.emplace_back(ends);
  Block body = subparse(ends);
  if (now().type == Token::end) {
    fail("Unexpected end of template." + looking_for());
  }
  end_tags_.pop_back();
  if (drop) take();
  return body;
}

Block Parser::subparse(std::initializer_list<std::string_view> ends) {
  Nested nested(*this);
  Block body;
  auto output = [&]() -> std::vector<ExprPtr>& {
    if (body.empty() || body.back()->kind != St::output || !body.back()->name.empty())
      body.push_back(statement_of(St::output));
    return body.back()->exprs;
  };
  while (now().type != Token::end) {
    if (now().type == Token::data) {
      ExprPtr text = make(Ex::constant, now().line);
      text->value = Value(take().text);
      output().push_back(std::move(text));
    } else if (now().type == Token::variable_begin) {
      take();
      output().push_back(tuple(Tuple::free));
      expect(Token::variable_end);
    } else {
      expect(Token::block_begin);
      if (now().type == Token::name && std::find(ends.begin(), ends.end(), now().text) != ends.end())
        return body;
      body.push_back(statement());
      expect(Token::block_end);
    }
  }
  return body;
}

StmtPtr Parser::statement() {
  if (now().type != Token::name) fail("tag name expected");
  const std::string tag = now().text;
  const int line = now().line;
  open_tags_.push_back(tag);
  StmtPtr s;
  if (tag == "for") {
    s = parse_for();
  } else if (tag == "if") {
    s = parse_if();
  } else if (tag == "set") {
    s = parse_set();
  } else if (tag == "macro") {
    s = parse_macro();
  } else if (tag == "call") {
    s = parse_call();
  } else if (tag == "filter") {
    s = parse_filter();
  } else if (tag == "with") {
    s = parse_with();
  } else if (tag == "block") {
    s = parse_block();
  } else if (tag == "print") {
    s = parse_print();
  } else if (tag == "generation") {
    s = statement_of(St::generation);
    take();
    s->body = until({"endgeneration"}, true);
  } else if (tag == "break" || tag == "continue") {
    s = statement_of(tag == "break" ? St::break_ : St::continue_);
    take();
  } else if (tag == "autoescape" || tag == "include" || tag == "import" || tag == "from" ||
             tag == "extends") {
    s = parse_unsupported();
  } else {
    open_tags_.pop_back();
    fail(fmt::format("Encountered unknown tag {}.{}", text_repr(tag), looking_for()), line);
  }
  open_tags_.pop_back();
  return s;
}

ExprPtr Parser::target(std::string_view end_name, bool with_member) {
  ExprPtr e = tuple(Tuple::target, true, end_name, with_member);
  // Names and tuples of names; a member only where `set` allows it.
  std::function<void(const Expr&)> check = [&](const Expr& x) {
    if (x.kind == Ex::tuple || x.kind == Ex::list) {
      for (const ExprPtr& kid : x.kids) check(*kid);
    } else if (x.kind != Ex::name && x.kind != Ex::member) {
      fail(fmt::format("can't assign to '{}'", x.kind == Ex::constant ? "const" : "expression"), x.line);
    }
  };
  check(*e);
  if (e->kind == Ex::list || (e->kind == Ex::tuple && e->kids.empty() && end_name.empty() && !with_member))
    fail("can't assign to this", e->line);
  return e;
}

StmtPtr Parser::parse_for() {
  StmtPtr s = statement_of(St::for_);
  take();
  s->target = target("in", false);
  expect_name("in");
  s->exprs.push_back(tuple(Tuple::free, false, "recursive"));
  s->exprs.push_back(skip_name("if") ? expression() : nullptr);
  s->recursive = skip_name("recursive");
  s->body = until({"endfor", "else"}, false);
  if (take().text == "else") s->orelse = until({"endfor"}, true);
  return s;
}

StmtPtr Parser::parse_if() {
  StmtPtr s = statement_of(St::if_);
  take();
  Stmt* branch = s.get();
  while (true) {
    branch->exprs.push_back(tuple(Tuple::free, false));
    branch->body = until({"elif", "else", "endif"}, false);
    const std::string end = take().text;
    if (end == "elif") {
      s->elifs.push_back(statement_of(St::if_));
      branch = s->elifs.back().get();
      continue;
    }
    if (end == "else") s->orelse = until({"endif"}, true);
    return s;
  }
}

StmtPtr Parser::parse_set() {
  StmtPtr s = statement_of(St::set);
  take();
  s->target = target("", true);
  if (skip_sign("=")) {
    s->exprs.push_back(tuple(Tuple::free));
    return s;
  }
  s->kind = St::set_block;
  s->exprs.push_back(is_sign("|") ? (take(), filter(nullptr)) : nullptr);
  s->body = until({"endset"}, true);
  return s;
}

// (a, b=1, …) of macros and call blocks.
void Parser::signature(Stmt& s) {
  expect_sign("(");
  while (!is_sign(")")) {
    if (!s.parameters.empty()) expect_sign(",");
    const std::string name = identifier();
    if (std::find(s.parameters.begin(), s.parameters.end(), name) != s.parameters.end())
      fail(fmt::format("duplicate argument '{}' in function definition", name));
    s.parameters.push_back(name);
    if (skip_sign("="))
      s.exprs.push_back(expression());
    else if (s.exprs.size() > (s.kind == St::call_block ? 1u : 0u))
      fail("non-default argument follows default argument");
  }
  expect_sign(")");
}

StmtPtr Parser::parse_macro() {
  StmtPtr s = statement_of(St::macro);
  take();
  s->name = identifier();
  signature(*s);
  s->body = until({"endmacro"}, true);
  return s;
}

StmtPtr Parser::parse_call() {
  StmtPtr s = statement_of(St::call_block);
  take();
  s->exprs.push_back(nullptr);
  if (is_sign("(")) signature(*s);
  s->exprs[0] = expression();
  if (s->exprs[0]->kind != Ex::call) fail("expected call", s->line);
  s->body = until({"endcall"}, true);
  return s;
}

StmtPtr Parser::parse_filter() {
  StmtPtr s = statement_of(St::filter_block);
  take();
  s->exprs.push_back(filter(nullptr));
  s->body = until({"endfilter"}, true);
  return s;
}

StmtPtr Parser::parse_with() {
  StmtPtr s = statement_of(St::with);
  take();
  s->target = make(Ex::list, s->line);
  while (now().type != Token::block_end) {
    if (!s->exprs.empty()) expect_sign(",");
    s->target->kids.push_back(target("", false));
    expect_sign("=");
    s->exprs.push_back(expression());
  }
  s->body = until({"endwith"}, true);
  return s;
}

StmtPtr Parser::parse_block() {
  StmtPtr s = statement_of(St::block);
  take();
  s->name = identifier();
  s->scoped = skip_name("scoped");
  skip_name("required");
  s->body = until({"endblock"}, true);
  skip_name(s->name);
  return s;
}

StmtPtr Parser::parse_print() {
  StmtPtr s = statement_of(St::output);
  take();
  s->name = "print";  // its own statement: the text behind it is another
  while (now().type != Token::block_end) {
    if (!s->exprs.empty()) expect_sign(",");
    s->exprs.push_back(expression());
  }
  return s;
}

// Templates that load others, and escaping: chat templates have no loader and do not escape.
StmtPtr Parser::parse_unsupported() {
  StmtPtr s = statement_of(St::unsupported);
  s->name = take().text;
  if (s->name != "autoescape") {
    while (now().type != Token::block_end && now().type != Token::end) take();
    return s;
  }
  ExprPtr on = expression();
  s->body = until({"endautoescape"}, true);
  if (on->kind == Ex::constant && !on->value.truthy()) s->kind = St::scope;
  return s;
}

}  // namespace pare::jinja
