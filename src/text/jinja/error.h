// Errors and bounds of templates.
#pragma once
#include <string>

#include "base/error.h"
#include "base/types.h"

namespace pare::jinja {

enum class ErrorKind : u8 {
  raised,  // raise_exception(message)
  syntax,
  undefined,
  type,
  value,
  zero_division,
  lookup,
  overflow,
  security,
  runtime,
  unsupported,  // a construct that Jinja has and this interpreter does not
  limit         // one of Limits was reached
};

/// A user's error: what() says `chat template, line 7: message`; message() is the bare text, for `raised`
/// exactly what the template gave.
class TemplateError : public Error {
 public:
  TemplateError(ErrorKind kind, int line, const std::string& message)
      : Error(Fault::user, fmt::format("chat template, line {}: {}", line, message)),
        kind_(kind),
        line_(line),
        message_(message) {}
  ErrorKind kind() const { return kind_; }
  int line() const { return line_; }
  const std::string& message() const { return message_; }

 private:
  ErrorKind kind_;
  int line_;
  std::string message_;
};

/// Templates come from strangers: each bound that is reached is an error that names it.
struct Limits {
  std::size_t source_bytes = 1 << 20;  // length of the template
  int syntax_depth = 200;              // nesting of expressions and statements
  int value_depth = 128;               // nesting of lists, dicts and iterators that a template makes
  int call_depth = 1500;               // nesting while rendering: macros, recursive loops and what is in them
  i64 steps = 20'000'000;              // expressions, statements and elements worked on
  std::size_t value_bytes = 64 << 20;  // one string or list
  std::size_t made_bytes = 1024u << 20;  // all strings and lists made in one rendering, the freed ones too
  std::size_t output_bytes = 64 << 20;
};

}  // namespace pare::jinja
