// Texts from untrusted files: whether they are UTF-8, and how to show them in a message of one line.
#pragma once
#include <string>
#include <string_view>

namespace pare {

/// Well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

/// `text` for a message: control characters and bad bytes as \xNN, cut after 120 bytes.
std::string shown(std::string_view text);

}  // namespace pare
