// Methods of str that find and cut.
#include <algorithm>

#include "text/jinja/members.h"
#include "text/jinja/unicode.h"

namespace pare::jinja {
namespace {

// The part of a text between two positions as Python's optional start and end give them.
struct Part {
  std::string_view text;
  i64 first;      // its first character in the whole text
  bool is_valid;  // false when start lies behind the end of the text: then even "" is not found
};

Part part_of(Runtime& rt, const std::string& text, const Value& start, const Value& end) {
  const i64 size = count_code_points(text);
  auto position = [&](const Value& v, i64 absent) {
    if (v.is_missing() || v.is_none()) return absent;
    const i64 i = rt.index(v);
    return i < 0 ? std::max<i64>(0, i + size) : i;
  };
  const i64 from = position(start, 0), to = std::min(position(end, size), size);
  if (from > size || from > to) return {{}, from, false};
  const std::size_t b = byte_of(text, from), e = b + byte_of(std::string_view(text).substr(b), to - from);
  return {std::string_view(text).substr(b, e - b), from, true};
}

template <bool kLast, bool kRaises>
Value find(Runtime& rt, const Value& self, const Args& args) {
  auto a = rt.bind(args, "find", {"/sub", "/start", "/end"}, 1);
  const std::string& what = rt.text(a[0], "find");
  rt.step(static_cast<i64>(self.text().size() / 256));
  const Part part = part_of(rt, self.text(), a[1], a[2]);
  std::size_t at = std::string::npos;
  if (part.is_valid) at = kLast ? part.text.rfind(what) : part.text.find(what);
  if (at != std::string::npos) return part.first + count_code_points(part.text.substr(0, at));
  if (kRaises) rt.fail(ErrorKind::value, "substring not found");
  return -1;
}

Value count(Runtime& rt, const Value& self, const Args& args) {
  auto a = rt.bind(args, "count", {"/sub", "/start", "/end"}, 1);
  const std::string& what = rt.text(a[0], "count");
  const Part part = part_of(rt, self.text(), a[1], a[2]);
  if (!part.is_valid) return 0;
  if (what.empty()) return count_code_points(part.text) + 1;
  i64 n = 0;
  for (std::size_t at = part.text.find(what); at != part.text.npos;
       at = part.text.find(what, at + what.size()))
    ++n;
  return n;
}

template <bool kEnd>
Value affixed(Runtime& rt, const Value& self, const Args& args) {
  const char* name = kEnd ? "endswith" : "startswith";
  auto a = rt.bind(args, name, {"/prefix", "/start", "/end"}, 1);
  const Part part = part_of(rt, self.text(), a[1], a[2]);
  auto has = [&](const Value& v) {
    const std::string& affix = rt.text(v, name);
    if (!part.is_valid || part.text.size() < affix.size()) return false;
    return part.text.substr(kEnd ? part.text.size() - affix.size() : 0, affix.size()) == affix;
  };
  if (a[0].is(Kind::tuple)) return std::any_of(a[0].items().begin(), a[0].items().end(), has);
  if (!a[0].is_string())
    rt.fail(ErrorKind::type, "{} first arg must be str or a tuple of str, not {}", name, a[0].type_name());
  return has(a[0]);
}

template <bool kLast>
Value partition(Runtime& rt, const Value& self, const Args& args) {
  const Value v = rt.bind(args, "partition", {"/sep"}, 1)[0];
  const std::string &text = self.text(), &sep = rt.text(v, "partition");
  if (sep.empty()) rt.fail(ErrorKind::value, "empty separator");
  const std::size_t at = kLast ? text.rfind(sep) : text.find(sep);
  if (at == text.npos) return kLast ? rt.tuple({"", "", self}) : rt.tuple({self, "", ""});
  return rt.tuple({rt.string(text.substr(0, at)), v, rt.string(text.substr(at + sep.size()))});
}

// Cuts at whitespace; the last cut leaves the rest as it is.
std::vector<std::string_view> words(std::string_view text, i64 max, bool from_right) {
  std::vector<std::string_view> out;
  while (true) {
    text = from_right ? strip_right(text) : strip_left(text);
    if (text.empty()) break;
    if (max >= 0 && static_cast<i64>(out.size()) == max) {
      out.push_back(text);
      break;
    }
    if (from_right) {
      std::size_t begin = text.size();
      while (begin > 0) {
        std::size_t before = begin - 1;
        while (before > 0 && (static_cast<u8>(text[before]) & 0xC0) == 0x80) --before;
        std::size_t at = before;
        if (is_space(next_code_point(text, at))) break;
        begin = before;
      }
      out.push_back(text.substr(begin));
      text = text.substr(0, begin);
    } else {
      std::size_t end = 0;
      while (end < text.size()) {
        std::size_t next = end;
        if (is_space(next_code_point(text, next))) break;
        end = next;
      }
      out.push_back(text.substr(0, end));
      text.remove_prefix(end);
    }
  }
  if (from_right) std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string_view> pieces(std::string_view text, std::string_view sep, i64 max, bool from_right) {
  std::vector<std::string_view> out;
  while (max < 0 || static_cast<i64>(out.size()) < max) {
    const std::size_t at = from_right ? text.rfind(sep) : text.find(sep);
    if (at == text.npos) break;
    out.push_back(from_right ? text.substr(at + sep.size()) : text.substr(0, at));
    text = from_right ? text.substr(0, at) : text.substr(at + sep.size());
  }
  out.push_back(text);
  if (from_right) std::reverse(out.begin(), out.end());
  return out;
}

Value strings(Runtime& rt, const std::vector<std::string_view>& parts) {
  std::vector<Value> out;
  out.reserve(parts.size());
  for (std::string_view part : parts) out.push_back(rt.string(std::string(part)));
  return rt.list(std::move(out));
}

template <bool kFromRight>
Value split(Runtime& rt, const Value& self, const Args& args) {
  auto a = rt.bind(args, "split", {"sep", "maxsplit"}, 0);
  const i64 max = a[1].is_missing() ? -1 : rt.index(a[1]);
  rt.made(self.text().size() * 8);
  if (a[0].is_missing() || a[0].is_none()) return strings(rt, words(self.text(), max, kFromRight));
  const std::string& sep = rt.text(a[0], "split");
  if (sep.empty()) rt.fail(ErrorKind::value, "empty separator");
  return strings(rt, pieces(self.text(), sep, max, kFromRight));
}

Value splitlines(Runtime& rt, const Value& self, const Args& args) {
  const Value keep = rt.bind(args, "splitlines", {"keepends"}, 0)[0];
  rt.made(self.text().size() * 8);
  return strings(rt, split_lines(self.text(), !keep.is_missing() && keep.truthy()));
}

constexpr NamedNative kMethods[] = {{"count", count},
                                    {"endswith", affixed<true>},
                                    {"find", find<false, false>},
                                    {"index", find<false, true>},
                                    {"partition", partition<false>},
                                    {"rfind", find<true, false>},
                                    {"rindex", find<true, true>},
                                    {"rpartition", partition<true>},
                                    {"rsplit", split<true>},
                                    {"split", split<false>},
                                    {"splitlines", splitlines},
                                    {"startswith", affixed<false>}};

}  // namespace

Native find_string_search_method(std::string_view name) { return find_in(kMethods, name); }

}  // namespace pare::jinja
