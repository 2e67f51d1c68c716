#include "base/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"

namespace pare {
namespace {

const pcre2_code* code_of(const std::shared_ptr<const void>& code) {
  return static_cast<const pcre2_code*>(code.get());
}

std::string message_of(int error) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(error, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

}  // namespace

Regex::Regex(std::string_view pattern, const RegexOptions& options) : pattern_(pattern) {
  u32 flags = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF;
  if (options.ignore_case) flags |= PCRE2_CASELESS;
  if (options.unicode_classes) flags |= PCRE2_UCP;
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE where = 0;
  pcre2_code* code = pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), flags, &error, &where, context.get());
  if (!code)
    throw user_error("regular expression \"{}\": {} at offset {}", pattern_, message_of(error), where);
  // Without just-in-time code (an unusual machine) the interpreter gives the same matches, slower.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  code_ = std::shared_ptr<const void>(
      code, [](const void* p) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(p))); });
}

std::optional<RegexMatch> Regex::match(std::string_view text, std::size_t from, bool may_be_empty) const {
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create_from_pattern(code_of(code_), nullptr), pcre2_match_data_free);
  const auto attempt = [&](u32 flags) {
    // A null pointer with length 0 is an error before PCRE2 10.43.
    const char* bytes = text.data() ? text.data() : "";
    return pcre2_match(
        code_of(code_), reinterpret_cast<PCRE2_SPTR>(bytes), text.size(), from, flags, data.get(), nullptr);
  };
  const u32 flags = may_be_empty ? 0 : PCRE2_NOTEMPTY_ATSTART;
  int found = attempt(flags);
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = attempt(flags | PCRE2_NO_JIT);
  if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (found < 0) throw job_error("regular expression \"{}\": {}", pattern_, message_of(found));

  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
  RegexMatch result{{}, ends[0], ends[1]};
  for (u32 g = 0; g < pcre2_get_ovector_count(data.get()); ++g) {
    result.groups.push_back(ends[2 * g] == PCRE2_UNSET
                                ? std::string_view()
                                : text.substr(ends[2 * g], ends[2 * g + 1] - ends[2 * g]));
  }
  return result;
}

std::optional<RegexMatch> Regex::find(std::string_view text, std::size_t from) const {
  return from > text.size() ? std::nullopt : match(text, from, true);
}

std::vector<RegexMatch> Regex::find_all(std::string_view text) const {
  std::vector<RegexMatch> matches;
  bool may_be_empty = true;
  for (std::size_t from = 0; from <= text.size();) {
    std::optional<RegexMatch> next = match(text, from, may_be_empty);
    if (!next) break;
    from = next->end;
    may_be_empty = next->end > next->begin;  // after an empty match the next one here must take something
    matches.push_back(*std::move(next));
  }
  return matches;
}

std::string Regex::replace_all(std::string_view text, std::string_view replacement) const {
  std::string result;
  std::size_t copied = 0;
  for (const RegexMatch& m : find_all(text)) {
    result.append(text.substr(copied, m.begin - copied)).append(replacement);
    copied = m.end;
  }
  return result.append(text.substr(copied));
}

}  // namespace pare
