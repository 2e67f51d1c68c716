#include "text/jinja/unicode.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "text/bytes.h"
#include "text/jinja/unicode_cases.h"
#include "text/jinja/unicode_classes.h"
#include "text/unicode_classes.h"

namespace pare::jinja {
namespace {

// The last entry of a sorted table that begins at or before `point`, or null.
template <class Entry, std::size_t N>
const Entry* entry_before(const Entry (&table)[N], u32 point) {
  auto after = std::upper_bound(
      std::begin(table), std::end(table), point, [](u32 p, const Entry& e) { return p < e.first; });
  return after == std::begin(table) ? nullptr : &*std::prev(after);
}

template <std::size_t N>
bool holds(const StepRange (&table)[N], u32 point) {
  const StepRange* e = entry_before(table, point);
  return e && point <= e->last && (point - e->first) % e->step == 0;
}

template <std::size_t N>
bool mapped(const CaseRun (&table)[N], u32 point, u32& to) {
  const CaseRun* e = entry_before(table, point);
  if (!e || point > e->last || (point - e->first) % e->step != 0) return false;
  to = point + static_cast<u32>(e->delta);
  return true;
}

template <std::size_t N>
bool expanded(const Expansion (&table)[N], u32 point, std::string& out) {
  auto e = std::lower_bound(
      std::begin(table), std::end(table), point, [](const Expansion& x, u32 p) { return x.code_point < p; });
  if (e == std::end(table) || e->code_point != point) return false;
  out += e->text;
  return true;
}

void append_upper(std::string& out, u32 point) {
  if (point >= 0x80 && expanded(kUpperLong, point, out)) return;
  mapped(kUpper, point, point);
  append_code_point(out, point);
}
void append_lower(std::string& out, u32 point) {
  if (point >= 0x80 && expanded(kLowerLong, point, out)) return;
  mapped(kLower, point, point);
  append_code_point(out, point);
}
void append_title(std::string& out, u32 point) {
  if (point >= 0x80 && expanded(kTitleLong, point, out)) return;
  if (!mapped(kTitle, point, point)) mapped(kUpper, point, point);
  append_code_point(out, point);
}

bool is_cased(u32 p) { return is_lower(p) || is_upper(p) || is_title(p); }

// Σ ends a word when a letter stands before it and none behind it, signs such as accents left out.
bool is_final_sigma(const std::vector<u32>& points, std::size_t at) {
  std::size_t i = at;
  while (i > 0 && holds(kCaseIgnorable, points[i - 1])) --i;
  if (i == 0 || !is_cased(points[i - 1])) return false;
  i = at + 1;
  while (i < points.size() && holds(kCaseIgnorable, points[i])) ++i;
  return i == points.size() || !is_cased(points[i]);
}

constexpr u32 kSigma = 0x3A3, kFinalSigma = 0x3C2;

void append_lower_at(std::string& out, const std::vector<u32>& points, std::size_t at) {
  if (points[at] == kSigma && is_final_sigma(points, at))
    append_code_point(out, kFinalSigma);
  else
    append_lower(out, points[at]);
}

}  // namespace

u32 next_code_point(std::string_view text, std::size_t& at) {
  auto byte = [&](std::size_t i) { return static_cast<u32>(static_cast<u8>(text[i])); };
  const u32 b = byte(at);
  if (b < 0x80) return at += 1, b;
  const std::size_t n = b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
  if (at + n > text.size()) return at = text.size(), 0xFFFD;
  u32 point = b & (0xFFu >> (n + 1));
  for (std::size_t i = 1; i < n; ++i) point = point << 6 | (byte(at + i) & 0x3F);
  at += n;
  return point;
}

std::vector<u32> code_points(std::string_view text) {
  std::vector<u32> out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) out.push_back(next_code_point(text, at));
  return out;
}

void append_code_point(std::string& out, u32 p) { out += utf8(p); }

std::string from_code_points(const std::vector<u32>& points) {
  std::string out;
  out.reserve(points.size());
  for (u32 p : points) append_code_point(out, p);
  return out;
}

i64 count_code_points(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<u8>(c) & 0xC0) != 0x80; });
}

std::size_t byte_of(std::string_view text, i64 index) {
  std::size_t at = 0;
  for (; index > 0 && at < text.size(); --index) {
    const u8 b = static_cast<u8>(text[at]);
    at += b < 0x80 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
  }
  return std::min(at, text.size());
}

bool is_space(u32 p) {
  if (p < 0x80) return (p >= 0x09 && p <= 0x0D) || (p >= 0x1C && p <= 0x20);
  return p == 0x85 || p == 0xA0 || p == 0x1680 || (p >= 0x2000 && p <= 0x200A) || p == 0x2028 ||
         p == 0x2029 || p == 0x202F || p == 0x205F || p == 0x3000;
}
bool is_lower(u32 p) { return holds(kIsLower, p); }
bool is_upper(u32 p) { return holds(kIsUpper, p); }
bool is_title(u32 p) { return holds(kIsTitle, p); }
bool is_printable(u32 p) { return !holds(kNotPrintable, p); }
bool is_alpha(u32 p) { return is_letter(p); }
int decimal_value(u32 p) {
  auto after = std::upper_bound(std::begin(kDecimalZeros), std::end(kDecimalZeros), p);
  if (after == std::begin(kDecimalZeros)) return -1;
  const u32 zero = *std::prev(after);
  return p - zero < 10 ? static_cast<int>(p - zero) : -1;
}
bool is_decimal(u32 p) { return decimal_value(p) >= 0; }
bool is_digit(u32 p) { return is_decimal(p) || holds(kDigitOnly, p); }
bool is_numeric(u32 p) { return is_digit(p) || holds(kNumericOnly, p); }
bool is_line_break(u32 p) {
  return (p >= 0x0A && p <= 0x0D) || (p >= 0x1C && p <= 0x1E) || p == 0x85 || p == 0x2028 || p == 0x2029;
}

std::string to_upper(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) append_upper(out, next_code_point(text, at));
  return out;
}

std::string to_lower(std::string_view text) {
  std::string out;
  const auto points = code_points(text);
  for (std::size_t i = 0; i < points.size(); ++i) append_lower_at(out, points, i);
  return out;
}

std::string to_folded(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    u32 p = next_code_point(text, at);
    if (p >= 0x80 && expanded(kFoldLong, p, out)) continue;
    if (!mapped(kFold, p, p)) mapped(kLower, p, p);
    append_code_point(out, p);
  }
  return out;
}

std::string to_title(std::string_view text) {
  std::string out;
  const auto points = code_points(text);
  bool inside = false;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (inside)
      append_lower_at(out, points, i);
    else
      append_title(out, points[i]);
    inside = is_cased(points[i]);
  }
  return out;
}

std::string to_capitalized(std::string_view text) {
  std::string out;
  const auto points = code_points(text);
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (i == 0)
      append_title(out, points[i]);
    else
      append_lower_at(out, points, i);
  }
  return out;
}

std::string to_swapped(std::string_view text) {
  std::string out;
  const auto points = code_points(text);
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (is_upper(points[i]))
      append_lower_at(out, points, i);
    else if (is_lower(points[i]))
      append_upper(out, points[i]);
    else
      append_code_point(out, points[i]);
  }
  return out;
}

std::string_view strip_left(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    std::size_t next = at;
    if (!is_space(next_code_point(text, next))) return text.substr(at);
    at = next;
  }
  return {};
}

std::string_view strip_right(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    std::size_t begin = end - 1;
    while (begin > 0 && (static_cast<u8>(text[begin]) & 0xC0) == 0x80) --begin;
    std::size_t at = begin;
    if (!is_space(next_code_point(text, at))) break;
    end = begin;
  }
  return text.substr(0, end);
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> out;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = at;
    const u32 p = next_code_point(text, at);
    if (!is_line_break(p)) continue;
    if (p == '\r' && at < text.size() && text[at] == '\n') ++at;
    out.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) out.push_back(text.substr(begin));
  return out;
}

std::string text_repr(std::string_view text) {
  const bool has_single = text.find('\'') != text.npos, has_double = text.find('"') != text.npos;
  const u32 quote = has_single && !has_double ? U'"' : U'\'';
  std::string out(1, static_cast<char>(quote));
  for (std::size_t at = 0; at < text.size();) {
    const u32 p = next_code_point(text, at);
    if (p == quote || p == '\\')
      out += '\\', append_code_point(out, p);
    else if (p == '\n')
      out += "\\n";
    else if (p == '\r')
      out += "\\r";
    else if (p == '\t')
      out += "\\t";
    else if (p == ' ' || is_printable(p))
      append_code_point(out, p);
    else if (p < 0x100)
      out += fmt::format("\\x{:02x}", p);
    else if (p < 0x10000)
      out += fmt::format("\\u{:04x}", p);
    else
      out += fmt::format("\\U{:08x}", p);
  }
  out += static_cast<char>(quote);
  return out;
}

}  // namespace pare::jinja
