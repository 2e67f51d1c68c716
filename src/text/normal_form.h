// Unicode's normal forms, with the tables of the reference tokenizers.
//
// Their tables are those of about Unicode 9: newer marks keep their place and do not compose.
#pragma once
#include <string>

namespace pare {

enum class NormalForm { nfc, nfd, nfkc, nfkd };

/// Bytes that are not UTF-8 stay as they are.
std::string normal_form(std::string text, NormalForm form);

/// Each character's own lower case (no rule looks at its neighbours).
std::string lower_case(const std::string& text);
/// Without non-spacing marks.
std::string without_marks(const std::string& text);

}  // namespace pare
