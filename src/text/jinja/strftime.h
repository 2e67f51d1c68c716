// datetime.strftime() of a naive time, in the C locale.
#pragma once
#include <ctime>
#include <optional>
#include <string>

namespace pare::jinja {

/// None when the text would be longer than 64 KiB. The day of the week and of the year are worked out here.
std::optional<std::string> strftime_text(const std::string& format, std::tm time);

}  // namespace pare::jinja
