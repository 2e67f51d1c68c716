#include "text/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <stdexcept>

#include "text/bytes.h"
#include "text/jinja/numbers.h"
#include "text/jinja/unicode.h"
#include "text/unicode_classes.h"

namespace pare::jinja {
namespace {

constexpr std::array<std::string_view, 26> kSigns = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                     "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                     ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

std::string with_plain_newlines(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    out += text[i] == '\r' ? '\n' : text[i];
  }
  return out;
}

class Lexer {
 public:
  Lexer(std::string_view source, const Limits& limits) : text_(with_plain_newlines(source)) {
    if (source.size() > limits.source_bytes)
      throw TemplateError(
          ErrorKind::limit,
          1,
          fmt::format("the template has {} bytes, at most {} are allowed (the bound on its length)",
                      source.size(),
                      limits.source_bytes));
    if (first_broken_utf8(source) != source.size()) fail("the template is not valid UTF-8");
    if (!text_.empty() && text_.back() == '\n') text_.pop_back();
  }

  std::vector<Lexeme> run() {
    while (at_ < text_.size()) root();
    put(Token::end, "");
    return std::move(out_);
  }

 private:
  [[noreturn]] void fail(const std::string& message) {
    throw TemplateError(ErrorKind::syntax, line(), message);
  }

  int line() {  // of at_; it only moves forward
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(counted_),
                                         text_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         '\n'));
    counted_ = at_;
    return line_;
  }
  void put(Token type, std::string_view text) { out_.push_back({type, std::string(text), Value(), line()}); }
  bool ahead(std::string_view what) const { return ahead_at(at_, what); }
  bool ahead_at(std::size_t at, std::string_view what) const {
    return text_.compare(at, what.size(), what) == 0;
  }
  std::size_t after_space(std::size_t at) const {
    return text_.size() - strip_left(std::string_view(text_).substr(at)).size();
  }
  /// Moves on; whether the next piece begins a line depends on the last character taken.
  void move_to(std::size_t at) {
    if (at > at_) line_starting_ = text_[at - 1] == '\n';
    at_ = at;
  }

  // Text up to the next delimiter, then what it opens.
  void root() {
    std::size_t tag = at_;
    do {
      tag = text_.find('{', tag);
      if (tag == text_.npos || tag + 1 >= text_.size()) {
        put(Token::data, std::string_view(text_).substr(at_));
        at_ = text_.size();
        return;
      }
      const char c = text_[tag + 1];
      if (c == '{' || c == '%' || c == '#') break;
      ++tag;
    } while (true);
    const char kind = text_[tag + 1];
    std::size_t next = tag + 2;
    char sign = 0;
    if (next < text_.size() && (text_[next] == '-' || text_[next] == '+')) sign = text_[next++];
    data_before(tag, sign, kind != '{');
    at_ = tag;
    if (kind == '{') {
      put(Token::variable_begin, "");
      move_to(next);
      return inside("}}", Token::variable_end);
    }
    if (kind == '#') {
      move_to(next);
      return comment();
    }
    if (std::size_t body = raw_begin(next)) {
      move_to(body);
      return raw();
    }
    put(Token::block_begin, "");
    move_to(next);
    inside("%}", Token::block_end);
  }

  // The text from at_ to a delimiter, less the whitespace that the delimiter takes.
  void data_before(std::size_t end, char sign, bool is_block) {
    std::string_view data = std::string_view(text_).substr(at_, end - at_);
    if (sign == '-') {
      data = strip_right(data);
    } else if (sign != '+' && is_block) {
      const std::size_t newline = data.rfind('\n');
      const std::size_t begin = newline == data.npos ? 0 : newline + 1;
      if ((begin > 0 || line_starting_) && strip_left(data.substr(begin)).empty())
        data = data.substr(0, begin);
    }
    if (!data.empty()) put(Token::data, data);
  }

  // Behind `{% raw %}` when that stands here, else 0.
  std::size_t raw_begin(std::size_t at) const {
    at = after_space(at);
    if (!ahead_at(at, "raw")) return 0;
    at = after_space(at + 3);
    if (ahead_at(at, "-%}")) return after_space(at + 3);
    return ahead_at(at, "%}") ? at + 2 : 0;
  }

  // Behind a closing delimiter (+%}, -%}, %}) that stands at `at`, else 0.
  std::size_t closing(std::size_t at, std::string_view mark, bool trims) const {
    if (trims && text_.compare(at, 1, "+") == 0 && ahead_at(at + 1, mark)) return at + 3;
    if (text_.compare(at, 1, "-") == 0 && ahead_at(at + 1, mark)) return after_space(at + 3);
    if (!ahead_at(at, mark)) return 0;
    return trims && ahead_at(at + 2, "\n") ? at + 3 : at + 2;
  }

  void raw() {
    for (std::size_t tag = text_.find("{%", at_); tag != text_.npos; tag = text_.find("{%", tag + 1)) {
      std::size_t next = tag + 2;
      char sign = 0;
      if (next < text_.size() && (text_[next] == '-' || text_[next] == '+')) sign = text_[next++];
      next = after_space(next);
      if (!ahead_at(next, "endraw")) continue;
      next = after_space(next + 6);
      const std::size_t end = next < text_.size() ? closing(next, "%}", true) : 0;
      if (!end) continue;
      data_before(tag, sign, true);
      return move_to(end);
    }
    fail("Missing end of raw directive");
  }

  void comment() {
    const std::size_t mark = text_.find("#}", at_);
    if (mark == text_.npos) fail("Missing end of comment tag");
    const bool has_sign = mark > at_ && (text_[mark - 1] == '-' || text_[mark - 1] == '+');
    move_to(closing(has_sign ? mark - 1 : mark, "#}", true));
  }

  // Tokens up to the closing delimiter, which counts only outside of brackets.
  void inside(std::string_view mark, Token end_token) {
    std::string open;
    while (true) {
      if (at_ >= text_.size()) return;  // the parser says what is missing
      if (open.empty())
        if (const std::size_t end = closing(at_, mark, mark == "%}")) {
          put(end_token, "");
          return move_to(end);
        }
      const std::size_t next = after_space(at_);
      if (next > at_) {
        move_to(next);
        continue;
      }
      if (number() || name() || string()) continue;
      sign(open);
    }
  }

  void sign(std::string& open) {
    for (std::string_view s : kSigns) {
      if (!ahead(s)) continue;
      const char c = s[0];
      if (c == '(' || c == '[' || c == '{') open += c == '(' ? ')' : c == '[' ? ']' : '}';
      if (c == ')' || c == ']' || c == '}') {
        if (open.empty()) fail(fmt::format("unexpected '{}'", c));
        if (open.back() != c) fail(fmt::format("unexpected '{}', expected '{}'", c, open.back()));
        open.pop_back();
      }
      put(Token::sign, s);
      return move_to(at_ + s.size());
    }
    std::size_t end = at_;
    next_code_point(text_, end);
    fail(fmt::format("unexpected char {}", text_repr(std::string_view(text_).substr(at_, end - at_))));
  }

  char peek(std::size_t at) const { return at < text_.size() ? text_[at] : '\0'; }
  static bool digit_of(char c, int base) {
    if (base == 16 && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) return true;
    return c >= '0' && c < '0' + std::min(base, 10);
  }
  // Behind digits that may be parted by single underscores; `at` when there are none.
  std::size_t digits(std::size_t at, int base) const {
    if (!digit_of(peek(at), base)) return at;
    while (digit_of(peek(at), base) || (peek(at) == '_' && digit_of(peek(at + 1), base))) ++at;
    return at;
  }

  bool number() {
    if (!digit_of(peek(at_), 10)) return false;
    std::size_t end = digits(at_, 10);
    bool real = false;
    const bool after_point = at_ > 0 && text_[at_ - 1] == '.';  // x.1.2: two positions
    if (!after_point) {
      if (peek(end) == '.' && digits(end + 1, 10) > end + 1) end = digits(end + 1, 10), real = true;
      if ((peek(end) | 0x20) == 'e') {
        std::size_t exponent = end + 1;
        if (peek(exponent) == '+' || peek(exponent) == '-') ++exponent;
        if (digits(exponent, 10) > exponent) end = digits(exponent, 10), real = true;
      }
    }
    if (!real && text_[at_] == '0') {
      const char c = static_cast<char>(peek(at_ + 1) | 0x20);
      const int base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
      const std::size_t from = at_ + 2 + (peek(at_ + 2) == '_' ? 1 : 0);
      if (base && digits(from, base) > from)
        end = digits(from, base);
      else
        for (end = at_ + 1; peek(end) == '0' || (peek(end) == '_' && peek(end + 1) == '0');) ++end;
    }
    const std::string_view text = std::string_view(text_).substr(at_, end - at_);
    put(Token::number, text);
    try {
      out_.back().number = real ? Value(*parse_real(text)) : Value(*parse_integer(text, 0));
    } catch (const std::overflow_error&) {
      throw TemplateError(
          ErrorKind::overflow, line(), fmt::format("the integer {} is beyond 127 bits", text));
    }
    move_to(end);
    return true;
  }

  bool name() {
    std::size_t end = at_;
    while (end < text_.size()) {
      std::size_t next = end;
      const u32 p = next_code_point(text_, next);
      const bool ascii_word =
          (p >= 'a' && p <= 'z') || (p >= 'A' && p <= 'Z') || (p >= '0' && p <= '9') || p == '_';
      if (!ascii_word && (p < 0x80 || !is_word_character(p))) break;
      end = next;
    }
    if (end == at_) return false;
    std::size_t first = at_;
    if (const u32 p = next_code_point(text_, first); is_numeric(p)) fail("Invalid character in identifier");
    put(Token::name, std::string_view(text_).substr(at_, end - at_));
    move_to(end);
    return true;
  }

  bool string() {
    const char quote = text_[at_];
    if (quote != '\'' && quote != '"') return false;
    std::size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) fail(fmt::format("unexpected char {}", text_repr(std::string_view(&quote, 1))));
    put(Token::string, unescaped(std::string_view(text_).substr(at_ + 1, end - at_ - 1)));
    move_to(end + 1);
    return true;
  }

  // Python's unicode-escape. An unknown escape stays as it is.
  std::string unescaped(std::string_view in) {
    std::string out;
    for (std::size_t i = 0; i < in.size();) {
      if (in[i] != '\\') {
        out += in[i++];
        continue;
      }
      const char c = in[i + 1];
      i += 2;
      static constexpr std::string_view kLetters = "abfnrtv\\'\"", kMeanings = "\a\b\f\n\r\t\v\\'\"";
      if (c == '\n') continue;
      if (const std::size_t at = kLetters.find(c); at != kLetters.npos) {
        out += kMeanings[at];
      } else if (c >= '0' && c <= '7') {
        u32 p = 0;
        --i;
        for (int n = 0; n < 3 && i < in.size() && in[i] >= '0' && in[i] <= '7'; ++n)
          p = p * 8 + static_cast<u32>(in[i++] - '0');
        append_code_point(out, p);
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const std::size_t n = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        u32 p = 0;
        for (std::size_t k = 0; k < n; ++k, ++i) {
          if (i >= in.size() || !digit_of(in[i], 16)) fail(fmt::format("truncated \\{} escape", c));
          p = p * 16 + static_cast<u32>(std::strtol(std::string(1, in[i]).c_str(), nullptr, 16));
        }
        if (p > 0x10FFFF) fail("illegal Unicode character");
        if (p >= 0xD800 && p <= 0xDFFF) fail("a lone surrogate in a string is not supported");
        append_code_point(out, p);
      } else if (c == 'N') {
        fail("the escape \\N{name} is not supported");
      } else {
        out += '\\';
        out += c;
      }
    }
    return out;
  }

  std::string text_;
  std::size_t at_ = 0, counted_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Lexeme> out_;
};

}  // namespace

std::vector<Lexeme> tokenize(std::string_view source, const Limits& limits) {
  return Lexer(source, limits).run();
}

}  // namespace pare::jinja
