// What the parser makes: expressions and statements.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/operators.h"
#include "text/jinja/value.h"

namespace pare::jinja {

struct Expr;
struct Stmt;
using ExprPtr = std::unique_ptr<Expr>;
using StmtPtr = std::unique_ptr<Stmt>;
using Block = std::vector<StmtPtr>;

enum class Ex : u8 {
  constant,   // value
  name,       // name
  attribute,  // kids[0].name
  item,       // kids[0][kids[1]]
  slice,      // kids[0][kids[1]:kids[2]:kids[3]]; absent parts are null
  list,
  tuple,
  dict,  // kids: key, value, key, value, …
  binary,
  concat,   // kids[0] ~ kids[1] ~ …
  compare,  // kids[0] ops[0] kids[1] ops[1] kids[2] …
  logical_and,
  logical_or,
  logical_not,
  minus,
  plus,
  condition,  // kids[0] if kids[1] else kids[2], which may be null
  call,       // kids[0](arguments)
  filter,     // kids[0] | name(arguments); kids[0] is null in a block's filter: the block's text
  test,       // kids[0] is name(arguments)
  member      // name.attribute as a target of `set`: name, value = the attribute's name
};

struct Expr {
  Ex kind;
  int line;
  int depth = 1;
  std::string name;
  Value value;
  std::vector<ExprPtr> kids;
  std::vector<Operator> ops;
  std::vector<std::pair<std::string, ExprPtr>> named;  // arguments; the plain ones are the rest of kids
  ExprPtr star, double_star;
};

enum class St : u8 {
  output,        // exprs: text and {{ }}
  if_,           // exprs[0], body, elifs (each an `if_` without orelse), orelse
  for_,          // target, exprs[0] = what to iterate, exprs[1] = the condition or null, body, orelse
  set,           // target, exprs[0]
  set_block,     // target, exprs[0] = filter chain or null, body
  macro,         // name, parameters, exprs = defaults of the last ones, body
  call_block,    // exprs[0] = the call; parameters, defaults (exprs from 1 on), body
  filter_block,  // exprs[0] = filter chain, body
  with,          // parameters, exprs, body
  block,         // name, body
  generation,    // body
  scope,         // body: {% autoescape false %}
  break_,
  continue_,
  unsupported  // name: an error when it is reached
};

struct Stmt {
  St kind;
  int line;
  std::string name;
  ExprPtr target;
  std::vector<ExprPtr> exprs;
  std::vector<std::string> parameters;
  Block body, elifs, orelse;
  bool recursive = false, scoped = false;

  // Filled in by analyse().
  std::vector<std::string> unset;  // names of the body's scope that hide outer ones before they are set
  std::vector<std::string> unset_orelse;  // the same of orelse, where it is a scope
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false;
};

/// Runs the checks that Jinja makes when it compiles: unknown filters and tests, break outside of a loop;
/// finds what `Stmt` says above. The result is the `unset` of the template itself. Throws TemplateError
/// (syntax).
std::vector<std::string> analyse(Block& body);

/// Throws TemplateError (syntax, limit).
Block parse(std::string_view source, const Limits& limits);

}  // namespace pare::jinja
