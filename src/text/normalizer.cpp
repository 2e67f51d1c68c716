#include "text/normalizer.h"

#include <algorithm>
#include <vector>

#include "base/regex.h"
#include "text/component.h"
#include "text/normal_form.h"
#include "text/replace_text.h"
#include "text/split_pattern.h"
#include "text/unicode_classes.h"

namespace pare {
namespace {

std::string strip_spaces(const std::string& text, bool left, bool right) {
  const std::size_t begin = left ? spaces_behind(text, 0) : 0;
  const std::size_t end = right ? std::max(spaces_before(text, text.size()), begin) : text.size();
  return text.substr(begin, end - begin);
}

TextFunction sequence(const Component& c) {
  std::vector<TextFunction> parts;
  for (const json& part : c.list("normalizers"))
    if (TextFunction f = make_normalizer(part, c.where())) parts.push_back(std::move(f));
  return [parts](std::string text) {
    for (const TextFunction& part : parts) text = part(std::move(text));
    return text;
  };
}

}  // namespace

TextFunction make_replacement(const Component& c) {
  const Component::Pattern pattern = c.pattern();
  const std::string to = c.text("content");
  if (!pattern.regex)
    return [from = pattern.text, to](const std::string& text) { return replace_text(text, from, to); };
  const Regex regex(with_reference_classes(pattern.text), {.unicode_classes = true});
  return [regex, to](const std::string& text) { return regex.replace_all(text, to); };
}

TextFunction make_normalizer(const json& component, const std::string& where) {
  if (component.is_null()) return {};
  const Component c(component, where, "normalizer");
  const std::string& type = c.type();
  const auto form = [](NormalForm f) {
    return [f](std::string text) { return normal_form(std::move(text), f); };
  };
  if (type == "Sequence") return sequence(c);
  if (type == "Replace") return make_replacement(c);
  if (type == "NFC") return form(NormalForm::nfc);
  if (type == "NFD") return form(NormalForm::nfd);
  if (type == "NFKC") return form(NormalForm::nfkc);
  if (type == "NFKD") return form(NormalForm::nfkd);
  if (type == "Lowercase") return lower_case;
  if (type == "StripAccents") return without_marks;
  if (type == "Prepend")
    return
        [prefix = c.text("prepend")](const std::string& text) { return text.empty() ? text : prefix + text; };
  if (type == "Strip")
    return [left = c.flag("strip_left", true), right = c.flag("strip_right", true)](const std::string& text) {
      return strip_spaces(text, left, right);
    };
  c.refuse("Lowercase, NFC, NFD, NFKC, NFKD, Prepend, Replace, Sequence, Strip, StripAccents");
}

}  // namespace pare
