// Numbers as Python reads, rounds and prints them.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/value.h"

namespace pare::jinja {

std::string integer_text(Integer i);
/// repr(float): the shortest digits that read back the same, "1e+16" from there on, "0.0001" down to there.
std::string real_text(double d);
/// int(text, base) with base 0 or 2…36: sign, underscores, spaces around, prefixes. None when it is no
/// number; throws std::overflow_error beyond 127 bits.
std::optional<Integer> parse_integer(std::string_view text, int base = 10);
/// float(text): also "inf", "nan", underscores. None when it is no number.
std::optional<double> parse_real(std::string_view text);
/// round(x, digits): half to even of the exact decimal value.
double round_real(double d, int digits);
/// int(x) of a finite number that fits, else none.
std::optional<Integer> truncated(double d);
/// x as `width` decimal digits ("%.*f"), "%.*e" or "%.*g" with Python's exponents; `type` is f, e, g, F, E or
/// G.
std::string real_digits(double d, char type, int precision, bool keep_point);

}  // namespace pare::jinja
