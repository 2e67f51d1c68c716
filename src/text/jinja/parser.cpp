#include "text/jinja/parser.h"

#include <algorithm>

#include "text/jinja/unicode.h"

namespace pare::jinja {
namespace {

std::string described(const Lexeme& t) {
  switch (t.type) {
    case Token::data:
      return "template data / text";
    case Token::variable_begin:
      return "begin of print statement";
    case Token::variable_end:
      return "end of print statement";
    case Token::block_begin:
      return "begin of statement block";
    case Token::block_end:
      return "end of statement block";
    case Token::end:
      return "end of template";
    default:
      return t.text;
  }
}

}  // namespace

const Lexeme& Parser::take() {
  const Lexeme& t = now();
  if (t.type != Token::end) ++at_;
  return t;
}

void Parser::fail(const std::string& message, int line) const {
  throw TemplateError(ErrorKind::syntax, line ? line : now().line, message);
}
void Parser::expect_sign(std::string_view s) {
  if (!skip_sign(s)) fail(fmt::format("expected token '{}', got '{}'", s, described(now())));
}
void Parser::expect_name(std::string_view s) {
  if (!skip_name(s)) fail(fmt::format("expected token '{}', got '{}'", s, described(now())));
}
void Parser::expect(Token type) {
  if (now().type != type)
    fail(fmt::format("expected token '{}', got '{}'", described({type, "name", {}, 0}), described(now())));
  take();
}
std::string Parser::identifier() {
  const std::string name = now().text;
  expect(Token::name);
  return name;
}

ExprPtr Parser::checked(ExprPtr e) const {
  int depth = 0;
  for (const ExprPtr& kid : e->kids)
    if (kid) depth = std::max(depth, kid->depth);
  for (const auto& [name, value] : e->named) depth = std::max(depth, value->depth);
  for (const ExprPtr* kid : {&e->star, &e->double_star})
    if (*kid) depth = std::max(depth, (*kid)->depth);
  e->depth = depth + 1;
  // Chains such as a + b + c are deep without nested brackets.
  if (e->depth > limits_.syntax_depth)
    throw TemplateError(ErrorKind::limit,
                        e->line,
                        fmt::format("an expression nests deeper than {} (the bound on depth of syntax)",
                                    limits_.syntax_depth));
  return e;
}

ExprPtr Parser::make(Ex kind, int line, std::vector<ExprPtr> kids) {
  auto e = std::make_unique<Expr>();
  e->kind = kind;
  e->line = line;
  e->kids = std::move(kids);
  return checked(std::move(e));
}

ExprPtr Parser::expression(bool with_condition) { return with_condition ? condition() : logical_or(); }

ExprPtr Parser::condition() {
  Nested nested(*this);
  int line = now().line;
  ExprPtr e = logical_or();
  while (skip_name("if")) {
    ExprPtr test = logical_or();
    ExprPtr otherwise = skip_name("else") ? condition() : nullptr;
    e = make(Ex::condition, line, kids(std::move(e), std::move(test), std::move(otherwise)));
    line = now().line;
  }
  return e;
}

ExprPtr Parser::logical_or() {
  const int line = now().line;
  ExprPtr e = logical_and();
  while (skip_name("or")) e = make(Ex::logical_or, line, kids(std::move(e), logical_and()));
  return e;
}

ExprPtr Parser::logical_and() {
  const int line = now().line;
  ExprPtr e = logical_not();
  while (skip_name("and")) e = make(Ex::logical_and, line, kids(std::move(e), logical_not()));
  return e;
}

ExprPtr Parser::logical_not() {
  if (!is_name("not")) return comparison();
  Nested nested(*this);
  const int line = take().line;
  return make(Ex::logical_not, line, kids(logical_not()));
}

ExprPtr Parser::comparison() {
  static constexpr std::pair<std::string_view, Operator> kComparisons[] = {{"==", Operator::equal},
                                                                           {"!=", Operator::unequal},
                                                                           {"<", Operator::less},
                                                                           {"<=", Operator::less_equal},
                                                                           {">", Operator::greater},
                                                                           {">=", Operator::greater_equal}};
  const int line = now().line;
  std::vector<ExprPtr> terms = kids(sum());
  std::vector<Operator> ops;
  while (true) {
    auto at = std::find_if(
        std::begin(kComparisons), std::end(kComparisons), [&](auto& c) { return is_sign(c.first); });
    if (at != std::end(kComparisons)) {
      ops.push_back(at->second);
      take();
    } else if (skip_name("in")) {
      ops.push_back(Operator::in);
    } else if (is_name("not") && look().type == Token::name && look().text == "in") {
      take(), take();
      ops.push_back(Operator::not_in);
    } else {
      break;
    }
    terms.push_back(sum());
  }
  if (ops.empty()) return std::move(terms[0]);
  ExprPtr e = make(Ex::compare, line, std::move(terms));
  e->ops = std::move(ops);
  return e;
}

ExprPtr Parser::sum() {
  const int line = now().line;
  ExprPtr e = concatenation();
  while (is_sign("+") || is_sign("-")) {
    const Operator op = take().text == "+" ? Operator::add : Operator::subtract;
    e = make(Ex::binary, line, kids(std::move(e), concatenation()));
    e->ops = {op};
  }
  return e;
}

ExprPtr Parser::concatenation() {
  const int line = now().line;
  std::vector<ExprPtr> parts = kids(product());
  while (skip_sign("~")) parts.push_back(product());
  return parts.size() == 1 ? std::move(parts[0]) : make(Ex::concat, line, std::move(parts));
}

ExprPtr Parser::product() {
  const int line = now().line;
  ExprPtr e = power();
  while (is_sign("*") || is_sign("/") || is_sign("//") || is_sign("%")) {
    const std::string sign = take().text;
    e = make(Ex::binary, line, kids(std::move(e), power()));
    e->ops = {sign == "*"    ? Operator::multiply
              : sign == "/"  ? Operator::divide
              : sign == "//" ? Operator::floor_divide
                             : Operator::modulo};
  }
  return e;
}

ExprPtr Parser::power() {
  const int line = now().line;
  ExprPtr e = unary();
  while (skip_sign("**")) {
    e = make(Ex::binary, line, kids(std::move(e), unary()));
    e->ops = {Operator::power};
  }
  return e;
}

ExprPtr Parser::unary(bool with_filter) {
  Nested nested(*this);
  const int line = now().line;
  ExprPtr e;
  if (skip_sign("-"))
    e = make(Ex::minus, line, kids(unary(false)));
  else if (skip_sign("+"))
    e = make(Ex::plus, line, kids(unary(false)));
  else
    e = primary();
  e = postfix(std::move(e));
  return with_filter ? filters(std::move(e)) : std::move(e);
}

ExprPtr Parser::primary(bool with_member) {
  const Lexeme& token = now();
  const int line = token.line;
  auto constant = [&](Value v) {
    ExprPtr e = make(Ex::constant, line);
    e->value = std::move(v);
    return e;
  };
  switch (token.type) {
    case Token::name: {
      const std::string name = take().text;
      if (name == "true" || name == "True") return constant(true);
      if (name == "false" || name == "False") return constant(false);
      if (name == "none" || name == "None") return constant({});
      const bool is_member = with_member && skip_sign(".");
      ExprPtr e = make(is_member ? Ex::member : Ex::name, line);
      e->name = name;
      if (is_member) e->value = Value(identifier());
      return e;
    }
    case Token::string: {
      std::string text;
      while (now().type == Token::string) text += take().text;
      return constant(Value(std::move(text)));
    }
    case Token::number:
      return constant(take().number);
    default:
      break;
  }
  if (skip_sign("(")) {
    ExprPtr e = tuple(Tuple::in_parentheses);
    expect_sign(")");
    return e;
  }
  if (is_sign("[") || is_sign("{")) return list_or_dict();
  fail(fmt::format("unexpected '{}'", described(token)), line);
}

ExprPtr Parser::list_or_dict() {
  const int line = now().line;
  const bool is_list = take().text == "[";
  const char* close = is_list ? "]" : "}";
  std::vector<ExprPtr> items;
  while (!is_sign(close)) {
    if (!items.empty()) expect_sign(",");
    if (is_sign(close)) break;
    items.push_back(expression());
    if (is_list) continue;
    expect_sign(":");
    items.push_back(expression());
  }
  expect_sign(close);
  return make(is_list ? Ex::list : Ex::dict, line, std::move(items));
}

ExprPtr Parser::tuple(Tuple how, bool with_condition, std::string_view end_name, bool with_member) {
  Nested nested(*this);
  const int line = now().line;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) expect_sign(",");
    if (now().type == Token::variable_end || now().type == Token::block_end || is_sign(")") ||
        (!end_name.empty() && is_name(end_name)))
      break;
    items.push_back(how == Tuple::target ? primary(with_member) : expression(with_condition));
    if (!is_sign(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!items.empty()) return std::move(items[0]);
    if (how != Tuple::in_parentheses) fail(fmt::format("Expected an expression, got '{}'", described(now())));
  }
  return make(Ex::tuple, line, std::move(items));
}

ExprPtr Parser::call(ExprPtr callee) {
  ExprPtr e = make(Ex::call, now().line, kids(std::move(callee)));
  arguments(*e);
  return checked(std::move(e));
}

ExprPtr Parser::postfix(ExprPtr e) {
  while (true) {
    if (is_sign(".") || is_sign("[")) {
      e = subscript(std::move(e));
    } else if (is_sign("(")) {
      e = call(std::move(e));
    } else {
      return e;
    }
  }
}

ExprPtr Parser::filters(ExprPtr e) {
  while (true) {
    if (is_sign("|")) {
      e = filter(std::move(e));
    } else if (is_name("is")) {
      e = test(std::move(e));
    } else if (is_sign("(")) {
      e = call(std::move(e));
    } else {
      return e;
    }
  }
}

ExprPtr Parser::subscript(ExprPtr e) {
  const int line = now().line;
  if (skip_sign(".")) {
    if (now().type == Token::name) {
      const std::string name = take().text;
      ExprPtr out = make(Ex::attribute, line, kids(std::move(e)));
      out->name = name;
      return out;
    }
    if (now().type != Token::number || !now().number.is_integer()) fail("expected name or number");
    ExprPtr position = make(Ex::constant, line);
    position->value = take().number;
    return make(Ex::item, line, kids(std::move(e), std::move(position)));
  }
  expect_sign("[");
  bool is_slice = false;
  std::vector<ExprPtr> parts;
  ExprPtr object = std::move(e);
  while (!is_sign("]")) {
    if (!parts.empty()) expect_sign(",");
    bool this_is_slice = false;
    ExprPtr part = subscribed(nullptr, this_is_slice);
    is_slice = is_slice || this_is_slice;
    parts.push_back(std::move(part));
  }
  expect_sign("]");
  if (parts.size() == 1 && is_slice) {
    parts[0]->kids[0] = std::move(object);
    return checked(std::move(parts[0]));
  }
  if (is_slice) fail("slices among several subscripts are not supported", line);
  ExprPtr key = parts.size() == 1 ? std::move(parts[0]) : make(Ex::tuple, line, std::move(parts));
  return make(Ex::item, line, kids(std::move(object), std::move(key)));
}

// One subscript; a slice's kids[0] is left for the caller to fill.
ExprPtr Parser::subscribed(ExprPtr of, bool& is_slice) {
  const int line = now().line;
  ExprPtr begin, end, step;
  if (!is_sign(":")) {
    begin = expression();
    if (!is_sign(":")) return begin;
  }
  is_slice = true;
  expect_sign(":");
  auto at_end = [&] { return is_sign("]") || is_sign(","); };
  if (!is_sign(":") && !at_end()) end = expression();
  if (skip_sign(":") && !at_end()) step = expression();
  return make(Ex::slice, line, kids(std::move(of), std::move(begin), std::move(end), std::move(step)));
}

void Parser::arguments(Expr& call) {
  const int line = now().line;
  expect_sign("(");
  bool needs_comma = false;
  const std::size_t first = call.kids.size();
  auto ensure = [&](bool ok) {
    if (!ok) fail("invalid syntax for function call expression", line);
  };
  while (!is_sign(")")) {
    if (needs_comma) {
      expect_sign(",");
      if (is_sign(")")) break;
    }
    if (skip_sign("*")) {
      ensure(!call.star && !call.double_star);
      call.star = expression();
    } else if (skip_sign("**")) {
      ensure(!call.double_star);
      call.double_star = expression();
    } else if (now().type == Token::name && look().type == Token::sign && look().text == "=") {
      ensure(!call.double_star);
      const std::string name = take().text;
      take();
      for (const auto& [known, value] : call.named)
        if (known == name) fail(fmt::format("keyword argument repeated: {}", name), line);
      call.named.emplace_back(name, expression());
    } else {
      ensure(!call.star && !call.double_star && call.named.empty());
      call.kids.push_back(expression());
    }
    needs_comma = true;
  }
  // Python's own bound is on nesting; this one keeps a call's frame small.
  if (call.kids.size() - first > 255) fail("more than 255 arguments", line);
  expect_sign(")");
}

ExprPtr Parser::filter(ExprPtr e) {
  while (skip_sign("|") || !e) {
    const int line = now().line;
    std::string name = identifier();
    while (skip_sign(".")) name += "." + identifier();
    const bool had_value = e != nullptr;
    ExprPtr out = make(Ex::filter, line, kids(std::move(e)));
    out->name = name;
    if (is_sign("(")) arguments(*out);
    e = checked(std::move(out));
    if (!had_value && !is_sign("|")) break;
  }
  return e;
}

ExprPtr Parser::test(ExprPtr e) {
  const int line = take().line;
  const bool negated = skip_name("not");
  std::string name = identifier();
  while (skip_sign(".")) name += "." + identifier();
  ExprPtr out = make(Ex::test, line, kids(std::move(e)));
  out->name = name;
  const Lexeme& t = now();
  const bool begins_value = t.type == Token::name || t.type == Token::string || t.type == Token::number ||
                            is_sign("[") || is_sign("{");
  if (is_sign("(")) {
    arguments(*out);
  } else if (begins_value && !is_name("else") && !is_name("or") && !is_name("and")) {
    if (is_name("is")) fail("You cannot chain multiple tests with is");
    out->kids.push_back(postfix(primary()));
  }
  out = checked(std::move(out));
  return negated ? make(Ex::logical_not, line, kids(std::move(out))) : std::move(out);
}

}  // namespace pare::jinja
