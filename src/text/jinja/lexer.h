// Templates cut into tokens: text, `{{ }}`, `{% %}`, comments, raw blocks, and the control of whitespace
// around them. Source: Jinja2 3.1, lexer.py, with trim_blocks and lstrip_blocks on and keep_trailing_newline
// off, as transformers sets them:
//   - one newline behind `%}` and `#}` goes, unless `+%}`; spaces before `{%` and `{#` on their line go,
//   unless `{%+`;
//   - `-` beside a delimiter takes all whitespace on that side; one newline at the end of the template goes;
//   - "\r\n" and "\r" are read as "\n".
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/error.h"
#include "text/jinja/value.h"

namespace pare::jinja {

enum class Token : u8 {
  data,
  variable_begin,
  variable_end,
  block_begin,
  block_end,
  name,
  string,
  number,
  sign,
  end
};

struct Lexeme {
  Token type;
  std::string text;  // of data, name, string (unescaped), sign
  Value number;
  int line;
};

/// The tokens, the last of which is Token::end. Throws TemplateError (syntax, limit).
std::vector<Lexeme> tokenize(std::string_view source, const Limits& limits);

}  // namespace pare::jinja
