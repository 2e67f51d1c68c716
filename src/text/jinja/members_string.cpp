// Methods of str that make or judge strings.
#include <algorithm>

#include "text/jinja/members.h"
#include "text/jinja/unicode.h"

namespace pare::jinja {

std::string padded(Runtime& rt, std::string_view text, i64 width, char align, std::string_view fill) {
  const i64 missing = width - count_code_points(text);
  if (missing <= 0) return std::string(text);
  rt.made(Integer(missing) * Integer(fill.size()) + Integer(text.size()));
  i64 left = 0;
  if (align == '>') left = missing;
  if (align == '^') left = missing / 2;
  if (align == 'c') left = missing / 2 + (missing & width & 1);  // CPython's str.center
  std::string out;
  for (i64 i = 0; i < left; ++i) out += fill;
  out += text;
  for (i64 i = left; i < missing; ++i) out += fill;
  return out;
}

std::string_view stripped(std::string_view text, const Value& chars, bool left, bool right, Runtime& rt) {
  if (chars.is_missing() || chars.is_none()) {
    if (left) text = strip_left(text);
    return right ? strip_right(text) : text;
  }
  const std::vector<u32> set = code_points(rt.text(chars, "strip"));
  rt.step(static_cast<i64>(text.size() / 64 * set.size()));
  auto in_set = [&](u32 p) { return std::find(set.begin(), set.end(), p) != set.end(); };
  while (left && !text.empty()) {
    std::size_t at = 0;
    if (!in_set(next_code_point(text, at))) break;
    text.remove_prefix(at);
  }
  while (right && !text.empty()) {
    std::size_t begin = text.size() - 1;
    while (begin > 0 && (static_cast<u8>(text[begin]) & 0xC0) == 0x80) --begin;
    std::size_t at = begin;
    if (!in_set(next_code_point(text, at))) break;
    text = text.substr(0, begin);
  }
  return text;
}

std::string replaced(
    Runtime& rt, std::string_view text, std::string_view from, std::string_view to, i64 count) {
  std::string out;
  std::size_t at = 0, charged = 0;
  auto charge = [&] {
    if (out.size() - charged > (1 << 20)) rt.made(out.size()), charged = out.size();
  };
  if (from.empty()) {  // before each character and at the end
    i64 done = 0;
    while (true) {
      if (count >= 0 && done == count) break;
      out += to, ++done, charge();
      if (at >= text.size()) return out;
      const std::size_t begin = at;
      next_code_point(text, at);
      out += text.substr(begin, at - begin);
    }
    return out += text.substr(at);
  }
  for (i64 done = 0; count < 0 || done < count; ++done) {
    const std::size_t found = text.find(from, at);
    if (found == text.npos) break;
    out += text.substr(at, found - at);
    out += to;
    at = found + from.size();
    charge();
  }
  return out += text.substr(at);
}

namespace {

void no_arguments(Runtime& rt, const Args& args, const char* name) { rt.bind(args, name, {}, 0); }

template <std::string (*F)(std::string_view)>
Value mapped(Runtime& rt, const Value& self, const Args& args) {
  no_arguments(rt, args, "str method");
  return rt.string(F(self.text()));
}

template <bool (*F)(u32)>
Value all_are(Runtime& rt, const Value& self, const Args& args) {
  no_arguments(rt, args, "str method");
  const auto points = code_points(self.text());
  return !points.empty() && std::all_of(points.begin(), points.end(), F);
}

bool is_alphanumeric(u32 p) { return is_alpha(p) || is_numeric(p); }
bool is_ascii(u32 p) { return p < 0x80; }

template <bool kUpper>
Value is_case(Runtime& rt, const Value& self, const Args& args) {
  no_arguments(rt, args, "str method");
  bool any = false;
  for (u32 p : code_points(self.text())) {
    if (is_title(p) || (kUpper ? is_lower(p) : is_upper(p))) return false;
    any = any || (kUpper ? is_upper(p) : is_lower(p));
  }
  return any;
}

Value isascii(Runtime& rt, const Value& self, const Args& args) {
  return self.text().empty() || all_are<is_ascii>(rt, self, args).boolean();
}
Value isprintable(Runtime& rt, const Value& self, const Args& args) {
  return self.text().empty() || all_are<is_printable>(rt, self, args).boolean();
}

Value istitle(Runtime& rt, const Value& self, const Args& args) {
  no_arguments(rt, args, "istitle");
  bool any = false, inside = false;
  for (u32 p : code_points(self.text())) {
    const bool starts = is_upper(p) || is_title(p);
    if (starts ? inside : is_lower(p) && !inside) return false;
    inside = starts || is_lower(p);
    any = any || inside;
  }
  return any;
}

Value isidentifier(Runtime& rt, const Value& self, const Args& args) {
  no_arguments(rt, args, "isidentifier");
  const auto points = code_points(self.text());
  for (std::size_t i = 0; i < points.size(); ++i) {
    const u32 p = points[i];
    if (p != '_' && !is_alpha(p) && (i == 0 || !is_decimal(p))) return false;
  }
  return !points.empty();
}

template <bool kLeft, bool kRight>
Value strip_method(Runtime& rt, const Value& self, const Args& args) {
  const Value chars = rt.bind(args, "strip", {"/chars"}, 0)[0];
  return rt.string(std::string(stripped(self.text(), chars, kLeft, kRight, rt)));
}

template <char kAlign>
Value pad_method(Runtime& rt, const Value& self, const Args& args) {
  auto a = rt.bind(args, "center", {"/width", "/fillchar"}, 1);
  std::string fill = " ";
  if (!a[1].is_missing()) fill = rt.text(a[1], "center");
  if (count_code_points(fill) != 1)
    rt.fail(ErrorKind::type, "The fill character must be exactly one character long");
  return rt.string(padded(rt, self.text(), rt.index(a[0]), kAlign, fill));
}

Value zfill(Runtime& rt, const Value& self, const Args& args) {
  const i64 width = rt.index(rt.bind(args, "zfill", {"/width"}, 1)[0]);
  const std::string& text = self.text();
  const bool has_sign = !text.empty() && (text[0] == '+' || text[0] == '-');
  const std::string sign = has_sign ? text.substr(0, 1) : "";
  return rt.string(sign + padded(rt, text.substr(sign.size()), width - (has_sign ? 1 : 0), '>', "0"));
}

Value expandtabs(Runtime& rt, const Value& self, const Args& args) {
  const Value size = rt.bind(args, "expandtabs", {"tabsize"}, 0)[0];
  const i64 tab = size.is_missing() ? 8 : rt.index(size);
  std::string out;
  i64 column = 0;
  for (u32 p : code_points(self.text())) {
    if (p == '\t') {
      const i64 n = tab > 0 ? tab - column % tab : 0;
      rt.made(Integer(n) + Integer(out.size()) / 64);
      out.append(static_cast<std::size_t>(n), ' ');
      column += n;
      continue;
    }
    append_code_point(out, p);
    column = p == '\n' || p == '\r' ? 0 : column + 1;
  }
  return rt.string(std::move(out));
}

Value replace(Runtime& rt, const Value& self, const Args& args) {
  auto a = rt.bind(args, "replace", {"/old", "/new", "/count"}, 2);
  const i64 count = a[2].is_missing() ? -1 : rt.index(a[2]);
  return rt.string(replaced(rt, self.text(), rt.text(a[0], "replace"), rt.text(a[1], "replace"), count));
}

Value join(Runtime& rt, const Value& self, const Args& args) {
  const Value over = rt.bind(args, "join", {"/iterable"}, 1)[0];
  if (!rt.is_iterable(over)) rt.fail(ErrorKind::type, "can only join an iterable");
  std::string out;
  i64 n = 0;
  auto it = rt.iterate(over);
  for (Value v; it->next(rt, v); ++n) {
    if (!v.is_string())
      rt.fail(ErrorKind::type, "sequence item {}: expected str instance, {} found", n, v.type_name());
    if (n > 0) out += self.text();
    out += v.text();
    rt.made(v.text().size() + (n > 0 ? self.text().size() : 0));
  }
  return rt.string(std::move(out));
}

template <bool kPrefix>
Value remove_affix(Runtime& rt, const Value& self, const Args& args) {
  const Value v = rt.bind(args, "removeprefix", {"/prefix"}, 1)[0];
  const std::string &text = self.text(), &affix = rt.text(v, "removeprefix");
  if (kPrefix && text.compare(0, affix.size(), affix) == 0) return rt.string(text.substr(affix.size()));
  const bool ends =
      text.size() >= affix.size() && text.compare(text.size() - affix.size(), affix.size(), affix) == 0;
  if (!kPrefix && ends) return rt.string(text.substr(0, text.size() - affix.size()));
  return self;
}

Value not_supported(Runtime& rt, const Value&, const Args&) {
  rt.fail(ErrorKind::unsupported, "str.encode, str.translate and str.maketrans are not supported");
}

constexpr NamedNative kMethods[] = {{"capitalize", mapped<to_capitalized>},
                                    {"casefold", mapped<to_folded>},
                                    {"center", pad_method<'c'>},
                                    {"encode", not_supported},
                                    {"expandtabs", expandtabs},
                                    {"format", format_braces},
                                    {"format_map", format_map},
                                    {"isalnum", all_are<is_alphanumeric>},
                                    {"isalpha", all_are<is_alpha>},
                                    {"isascii", isascii},
                                    {"isdecimal", all_are<is_decimal>},
                                    {"isdigit", all_are<is_digit>},
                                    {"isidentifier", isidentifier},
                                    {"islower", is_case<false>},
                                    {"isnumeric", all_are<is_numeric>},
                                    {"isprintable", isprintable},
                                    {"isspace", all_are<is_space>},
                                    {"istitle", istitle},
                                    {"isupper", is_case<true>},
                                    {"join", join},
                                    {"ljust", pad_method<'<'>},
                                    {"lower", mapped<to_lower>},
                                    {"lstrip", strip_method<true, false>},
                                    {"maketrans", not_supported},
                                    {"removeprefix", remove_affix<true>},
                                    {"removesuffix", remove_affix<false>},
                                    {"replace", replace},
                                    {"rjust", pad_method<'>'>},
                                    {"rstrip", strip_method<false, true>},
                                    {"strip", strip_method<true, true>},
                                    {"swapcase", mapped<to_swapped>},
                                    {"title", mapped<to_title>},
                                    {"translate", not_supported},
                                    {"upper", mapped<to_upper>},
                                    {"zfill", zfill}};

}  // namespace

Native find_string_method(std::string_view name) { return find_in(kMethods, name); }

}  // namespace pare::jinja
