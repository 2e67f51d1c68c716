// Source: Jinja2 3.1, parser.py; the same grammar and precedence, from `if … else` down to postfix and
// filters:
//   cond < or < and < not < comparisons, in < + - < ~ < * / // % < ** < unary < . [] () < | is
// Each level is bounded in depth, so a hostile template cannot exhaust the stack.
#pragma once
#include <initializer_list>
#include <string_view>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace pare::jinja {

class Parser {
 public:
  Parser(std::string_view source, const Limits& limits)
      : limits_(limits), tokens_(tokenize(source, limits)) {}
  Block run();

 private:
  class Nested;  // one more level while it lives

  // ---- tokens ----
  const Lexeme& now() const { return tokens_[at_]; }
  const Lexeme& look() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Lexeme& take();
  bool is(Token type, std::string_view text) const { return now().type == type && now().text == text; }
  bool is_sign(std::string_view s) const { return is(Token::sign, s); }
  bool is_name(std::string_view s) const { return is(Token::name, s); }
  bool skip_sign(std::string_view s) { return is_sign(s) && (take(), true); }
  bool skip_name(std::string_view s) { return is_name(s) && (take(), true); }
  void expect_sign(std::string_view s);
  void expect_name(std::string_view s);
  void expect(Token type);
  std::string identifier();
  [[noreturn]] void fail(const std::string& message, int line = 0) const;
  std::string looking_for() const;
  ExprPtr make(Ex kind, int line, std::vector<ExprPtr> kids = {});
  ExprPtr checked(ExprPtr e) const;
  template <class... P>
  static std::vector<ExprPtr> kids(P... p) {
    std::vector<ExprPtr> out;
    (out.push_back(std::move(p)), ...);
    return out;
  }

  // ---- expressions (parser.cpp) ----
  ExprPtr expression(bool with_condition = true);
  ExprPtr condition();
  ExprPtr logical_or();
  ExprPtr logical_and();
  ExprPtr logical_not();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concatenation();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filter = true);
  ExprPtr primary(bool with_member = false);
  ExprPtr call(ExprPtr callee);
  ExprPtr postfix(ExprPtr e);
  ExprPtr filters(ExprPtr e);
  ExprPtr filter(ExprPtr e);  // e | name(…) | …; e may be null
  ExprPtr test(ExprPtr e);
  ExprPtr subscript(ExprPtr e);
  ExprPtr subscribed(ExprPtr of, bool& is_slice);
  void arguments(Expr& call);
  enum class Tuple : u8 { free, in_parentheses, target };
  ExprPtr tuple(Tuple how,
                bool with_condition = true,
                std::string_view end_name = "",
                bool with_member = false);
  ExprPtr list_or_dict();

  // ---- statements (parser_statements.cpp) ----
  Block until(std::initializer_list<std::string_view> ends, bool drop);
  Block subparse(std::initializer_list<std::string_view> ends);
  StmtPtr statement();
  StmtPtr parse_for();
  StmtPtr parse_if();
  StmtPtr parse_set();
  StmtPtr parse_macro();
  StmtPtr parse_call();
  StmtPtr parse_filter();
  StmtPtr parse_with();
  StmtPtr parse_block();
  StmtPtr parse_print();
  StmtPtr parse_unsupported();
  ExprPtr target(std::string_view end_name, bool with_member);
  void signature(Stmt& s);
  StmtPtr statement_of(St kind) const;

  const Limits& limits_;
  std::vector<Lexeme> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
  std::vector<std::string> open_tags_;
  std::vector<std::vector<std::string_view>> end_tags_;  // what the bodies being read end with
};

class Parser::Nested {
 public:
  explicit Nested(Parser& p) : p_(p) {
    if (++p_.depth_ > p_.limits_.syntax_depth) {
      --p_.depth_;
      throw TemplateError(ErrorKind::limit,
                          p_.now().line,
                          fmt::format("the template nests deeper than {} (the bound on depth of syntax)",
                                      p_.limits_.syntax_depth));
    }
  }
  ~Nested() { --p_.depth_; }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

 private:
  Parser& p_;
};

}  // namespace pare::jinja
