#include "text/normal_form.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "text/bytes.h"
#include "text/unicode_classes.h"

namespace pare {
namespace {

struct Range {
  u32 first, last;
};

// Marks whose combining class the reference does not know (found by asking it), and the second half of a
// composition that is newer than its tables.
constexpr Range kNewMarks[] = {
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},     {0xC3C, 0xC3C},
    {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},   {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},
    {0xA82C, 0xA82C},   {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85},
    {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11930, 0x11930},
    {0x1193D, 0x1193E}, {0x11943, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47},
    {0x11A99, 0x11A99}, {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x16FF0, 0x16FF1},
    {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF},
};

// Characters that are composed already and join nothing before them, in the scripts that texts are full of.
constexpr Range kComposed[] = {
    {0, 0x2FF},
    {0x400, 0x482},
    {0x48A, 0x52F},
    {0x5D0, 0x5EA},
    {0x621, 0x64A},
    {0x2010, 0x2027},
    {0x2030, 0x205E},
    {0x3041, 0x3096},
    {0x30A1, 0x30FA},
    {0x3400, 0x4DBF},
    {0x4E00, 0x9FFF},
    {0xAC00, 0xD7A3},
    {0x1F300, 0x1FAFF},
};

bool is_composed(u32 c) {
  return std::any_of(std::begin(kComposed), std::end(kComposed), [&](const Range& r) {
    return r.first <= c && c <= r.last;
  });
}

bool stays(u32 c) {
  if (c == kBrokenByte) return true;
  if (c < kNewMarks[0].first) return false;
  const Range* r =
      std::upper_bound(std::begin(kNewMarks), std::end(kNewMarks), c, [](u32 value, const Range& range) {
        return value < range.first;
      });
  return r != std::begin(kNewMarks) && c <= std::prev(r)->last;
}

// Lower case that came with Unicode 16 and 17, after the library's tables.
constexpr struct {
  Range upper;
  u32 first_lower;
} kNewLower[] = {
    {{0x1C89, 0x1C89}, 0x1C8A},
    {{0xA7CB, 0xA7CB}, 0x264},
    {{0xA7CC, 0xA7CC}, 0xA7CD},
    {{0xA7CE, 0xA7CE}, 0xA7CF},
    {{0xA7D2, 0xA7D2}, 0xA7D3},
    {{0xA7D4, 0xA7D4}, 0xA7D5},
    {{0xA7DA, 0xA7DA}, 0xA7DB},
    {{0xA7DC, 0xA7DC}, 0x19B},
    {{0x10D50, 0x10D65}, 0x10D70},
    {{0x16EA0, 0x16EB8}, 0x16EBB},
};

u32 lower_of(u32 c) {
  for (const auto& range : kNewLower)
    if (range.upper.first <= c && c <= range.upper.last) return range.first_lower + (c - range.upper.first);
  return static_cast<u32>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

utf8proc_option_t options_of(NormalForm form) {
  const int shape =
      form == NormalForm::nfc || form == NormalForm::nfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  const int compat = form == NormalForm::nfkc || form == NormalForm::nfkd ? UTF8PROC_COMPAT : 0;
  return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | shape | compat);
}

void append_form(std::string_view text, utf8proc_option_t options, std::string& out) {
  if (text.empty()) return;
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t n = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                          static_cast<utf8proc_ssize_t>(text.size()),
                                          &mapped,
                                          options);
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, std::free);
  if (n < 0) throw job_error("normal form of {} bytes: {}", text.size(), utf8proc_errmsg(n));
  out.append(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(n));
}

/// Appends the form of a text without broken bytes and new marks in it.
void append_known(std::string_view text, NormalForm form, std::string& out) {
  if (form != NormalForm::nfc) return append_form(text, options_of(form), out);
  // Only what is around characters that may compose goes through the library: each run of those with the
  // character before it.
  std::size_t copied = 0, last = 0;  // bytes done; where the last composed character begins
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character c = character_at(text, at);
    if (is_composed(c.code_point)) {
      last = at;
      at += c.bytes;
      continue;
    }
    std::size_t end = at + c.bytes;
    while (end < text.size()) {
      const Utf8Character next = character_at(text, end);
      if (is_composed(next.code_point)) break;
      end += next.bytes;
    }
    out.append(text, copied, last - copied);
    append_form(text.substr(last, end - last), options_of(form), out);
    at = copied = last = end;
  }
  out.append(text, copied);
}

/// Each character of `text` through `map`, which appends what becomes of it.
template <class Map>
std::string each_character(const std::string& text, Map map) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character c = character_at(text, at);
    if (c.code_point == kBrokenByte)
      out += text[at];
    else
      map(c.code_point, std::string_view(text).substr(at, c.bytes), out);
    at += c.bytes;
  }
  return out;
}

}  // namespace

std::string normal_form(std::string text, NormalForm form) {
  // Below U+0300 everything is composed already; ASCII has every form.
  const u8 first_changing = form == NormalForm::nfc ? 0xCC : 0x80;
  if (std::none_of(text.begin(), text.end(), [&](char c) { return static_cast<u8>(c) >= first_changing; }))
    return text;
  std::string out;
  out.reserve(text.size());
  std::size_t from = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character c = character_at(text, at);
    if (stays(c.code_point)) {
      append_known(std::string_view(text).substr(from, at - from), form, out);
      out.append(text, at, c.bytes);
      from = at + c.bytes;
    }
    at += c.bytes;
  }
  append_known(std::string_view(text).substr(from), form, out);
  return out;
}

std::string lower_case(const std::string& text) {
  return each_character(text, [](u32 c, std::string_view itself, std::string& out) {
    if (c == 0x130) {
      out += "i\u0307";  // the only one that becomes two characters
      return;
    }
    const u32 lower = lower_of(c);
    lower == c ? out.append(itself) : out.append(utf8(lower));
  });
}

std::string without_marks(const std::string& text) {
  return each_character(text, [](u32 c, std::string_view itself, std::string& out) {
    if (utf8proc_category(static_cast<utf8proc_int32_t>(c)) != UTF8PROC_CATEGORY_MN) out.append(itself);
  });
}

}  // namespace pare
