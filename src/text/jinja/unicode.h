// Characters and strings as Python's str sees them: sequences of code points with Python's case rules and
// classes.
//
// Strings are valid UTF-8 everywhere in this folder; positions count code points unless a name says bytes.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace pare::jinja {

/// The code points of valid UTF-8.
std::vector<u32> code_points(std::string_view text);
std::string from_code_points(const std::vector<u32>& points);
void append_code_point(std::string& out, u32 point);
/// The code point that begins at byte `at`, which moves behind it.
u32 next_code_point(std::string_view text, std::size_t& at);
i64 count_code_points(std::string_view text);
/// Byte where code point number `index` begins; text.size() when there are not so many.
std::size_t byte_of(std::string_view text, i64 index);

bool is_space(u32 point);  // str.isspace, and \s of re
bool is_lower(u32 point);
bool is_upper(u32 point);
bool is_title(u32 point);
bool is_printable(u32 point);
bool is_alpha(u32 point);
bool is_decimal(u32 point);
bool is_digit(u32 point);
bool is_numeric(u32 point);
/// 0 to 9 for a decimal digit of any script, else -1.
int decimal_value(u32 point);
/// Where str.splitlines() cuts; "\r\n" is one cut.
bool is_line_break(u32 point);

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);  // with the final sigma
std::string to_title(std::string_view text);
std::string to_folded(std::string_view text);
std::string to_capitalized(std::string_view text);
std::string to_swapped(std::string_view text);

std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);
inline std::string_view strip(std::string_view text) { return strip_left(strip_right(text)); }
/// str.splitlines(keep_ends).
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);
/// repr() of a str: quotes chosen and characters escaped as Python does.
std::string text_repr(std::string_view text);

}  // namespace pare::jinja
