// The built-in chat page: one HTML document with its style and script, nothing loaded from elsewhere.
#pragma once
#include <string_view>

namespace pare {

/// chat_page.html, as the build embedded it.
std::string_view chat_page();

}  // namespace pare
