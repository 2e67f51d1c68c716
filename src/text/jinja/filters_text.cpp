// Filters that make text.
#include <algorithm>
#include <cmath>

#include "text/jinja/filters.h"
#include "text/jinja/members.h"
#include "text/jinja/numbers.h"
#include "text/jinja/operators.h"
#include "text/jinja/unicode.h"
#include "text/unicode_classes.h"

namespace pare::jinja {
namespace {

template <std::string (*F)(std::string_view)>
Value cased(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "filter", {}, 0);
  return rt.string(F(rt.soft(v)));
}

// Each word behind a hyphen, a space or an opening bracket begins with a capital.
std::string title_of(std::string_view text) {
  static constexpr std::string_view kBreaks = "-({[<";
  std::string out, word;
  auto flush = [&] {
    std::size_t first = 0;
    if (!word.empty()) next_code_point(word, first);
    out += to_upper(std::string_view(word).substr(0, first)) + to_lower(std::string_view(word).substr(first));
    word.clear();
  };
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const u32 p = next_code_point(text, at);
    const bool is_break = is_space(p) || (p < 0x80 && kBreaks.find(static_cast<char>(p)) != kBreaks.npos);
    if (is_break) flush();
    (is_break ? out : word) += text.substr(begin, at - begin);
  }
  flush();
  return out;
}

Value string(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "string", {}, 0);
  return v.is_string() ? v : rt.string(rt.str(v));
}

Value trim(Runtime& rt, const Value& v, const Args& args) {
  const Value chars = rt.bind(args, "trim", {"chars"}, 0)[0];
  const std::string text = rt.soft(v);
  return rt.string(std::string(stripped(text, chars, true, true, rt)));
}

Value center(Runtime& rt, const Value& v, const Args& args) {
  const Value width = rt.bind(args, "center", {"width"}, 0)[0];
  return rt.string(padded(rt, rt.soft(v), width.is_missing() ? 80 : rt.index(width), 'c'));
}

Value replace(Runtime& rt, const Value& v, const Args& args) {
  auto a = rt.bind(args, "replace", {"old", "new", "count"}, 2);
  const i64 count = a[2].is_missing() || a[2].is_none() ? -1 : rt.index(a[2]);
  return rt.string(replaced(rt, rt.str(v), rt.str(a[0]), rt.str(a[1]), count));
}

Value join(Runtime& rt, const Value& v, const Args& args) {
  auto a = rt.bind(args, "join", {"d", "attribute"}, 0);
  const std::string mark = a[0].is_missing() ? "" : rt.str(a[0]);
  const auto path = attribute_path(rt, a[1]);
  std::string out;
  bool is_first = true;
  auto it = rt.iterate(v);
  for (Value item; it->next(rt, item); is_first = false) {
    const std::string text = rt.str(follow(rt, item, path));
    if (!is_first) out += mark;
    out += text;
    rt.made(text.size() + mark.size());
  }
  return rt.string(std::move(out));
}

Value indent(Runtime& rt, const Value& v, const Args& args) {
  auto a = rt.bind(args, "indent", {"width", "first", "blank"}, 0);
  std::string by = "    ";
  if (a[0].is_string()) {
    by = a[0].text();
  } else if (!a[0].is_missing()) {
    const i64 width = std::max<i64>(0, rt.index(a[0]));
    rt.made(width);
    by.assign(static_cast<std::size_t>(width), ' ');
  }
  const bool first = !a[1].is_missing() && a[1].truthy(), blank = !a[2].is_missing() && a[2].truthy();
  const Value whole = arithmetic(rt, Operator::add, v, Value("\n"));  // splitlines() drops the end it adds
  std::string out = first ? by : "";
  bool is_first = true;
  for (std::string_view line : split_lines(whole.text(), false)) {
    rt.made(line.size() + by.size());
    if (!is_first) {
      out += '\n';
      if (blank || !line.empty()) out += by;
    }
    out += line;
    is_first = false;
  }
  return rt.string(std::move(out));
}

Value truncate(Runtime& rt, const Value& v, const Args& args) {
  auto a = rt.bind(args, "truncate", {"length", "killwords", "end", "leeway"}, 0);
  const i64 length = a[0].is_missing() ? 255 : rt.index(a[0]);
  const bool kill = !a[1].is_missing() && a[1].truthy();
  const std::string end = a[2].is_missing() ? "..." : rt.text(a[2], "truncate");
  const i64 leeway = a[3].is_missing() || a[3].is_none() ? 5 : rt.index(a[3]);
  const i64 end_length = count_code_points(end);
  if (length < end_length) rt.fail(ErrorKind::value, "expected length >= {}, got {}", end_length, length);
  if (leeway < 0) rt.fail(ErrorKind::value, "expected leeway >= 0, got {}", leeway);
  if (rt.length(v) <= length + leeway) return v;
  const std::string& text = rt.text(v, "truncate");
  std::string cut = text.substr(0, byte_of(text, length - end_length));
  if (!kill) cut = cut.substr(0, std::min(cut.rfind(' '), cut.size()));
  return rt.string(cut + end);
}

Value format(Runtime& rt, const Value& v, const Args& args) {
  if (!args.list.empty() && !args.named.empty())
    rt.fail(ErrorKind::type, "can't handle positional and keyword arguments at the same time");
  if (args.named.empty()) return format_percent(rt, rt.soft(v), rt.tuple(args.list));
  auto named = std::make_shared<Dict>();
  for (const auto& [name, value] : args.named) named->set(name, value);
  return format_percent(rt, rt.soft(v), rt.dict(std::move(named)));
}

Value wordcount(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "wordcount", {}, 0);
  i64 n = 0;
  bool inside = false;
  for (u32 p : code_points(rt.soft(v))) {
    const bool is_word = is_alpha(p) || is_numeric(p) || p == '_';
    n += is_word && !inside;
    inside = is_word;
  }
  return n;
}

Value escape(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "escape", {}, 0);
  if (v.is_markup()) return v;
  std::string out = escaped(rt.str(v));
  rt.made(out.size());
  return Value::markup(std::move(out));
}
Value forceescape(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "forceescape", {}, 0);
  std::string out = escaped(rt.str(v));
  rt.made(out.size());
  return Value::markup(std::move(out));
}
Value safe(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "safe", {}, 0);
  return v.is_markup() ? v : Value::markup(rt.str(v));
}

std::string url_quoted(std::string_view text, bool in_query) {
  std::string out;
  for (char c : text) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                          std::string_view("_.-~").find(c) != std::string_view::npos;
    if (is_plain || (c == '/' && !in_query))
      out += c;
    else if (c == ' ' && in_query)
      out += '+';
    else
      out += fmt::format("%{:02X}", static_cast<u8>(c));
  }
  return out;
}

Value urlencode(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "urlencode", {}, 0);
  if (v.is_string() || !rt.is_iterable(v)) return rt.string(url_quoted(rt.soft(v), false));
  const Value pairs = v.is(Kind::dict) ? Value(Kind::view, std::make_shared<View>(View::Of::items, v)) : v;
  std::string out;
  for (const Value& pair : rt.collect(pairs)) {
    const auto parts = rt.collect(pair);
    if (parts.size() != 2) rt.fail(ErrorKind::value, "urlencode: expected pairs");
    if (!out.empty()) out += '&';
    out += url_quoted(rt.soft(parts[0]), true) + "=" + url_quoted(rt.soft(parts[1]), true);
  }
  return rt.string(std::move(out));
}

Value xmlattr(Runtime& rt, const Value& v, const Args& args) {
  const Value autospace = rt.bind(args, "xmlattr", {"autospace"}, 0)[0];
  if (!v.is(Kind::dict)) rt.fail(ErrorKind::type, "xmlattr: expected a dict, found {}", v.type_name());
  std::string out;
  for (const auto& [key, value] : v.dict().items) {
    if (value.is_none() || value.is_undefined()) continue;
    const std::string& name = rt.text(key, "xmlattr");
    if (name.find_first_of(" \t\n\r\f\v/>=") != name.npos)
      rt.fail(ErrorKind::value, "Invalid character in attribute name: {}", text_repr(name));
    out += (out.empty() ? "" : " ") + escaped(name) + "=\"";
    out += (value.is_markup() ? value.text() : escaped(rt.str(value))) + "\"";
  }
  if (!out.empty() && (autospace.is_missing() || autospace.truthy())) out.insert(0, " ");
  return rt.string(std::move(out));
}

Value filesizeformat(Runtime& rt, const Value& v, const Args& args) {
  const Value binary = rt.bind(args, "filesizeformat", {"binary"}, 0)[0];
  if (v.is_undefined()) rt.fail_undefined(v);
  const bool is_binary = !binary.is_missing() && binary.truthy();
  const auto parsed =
      v.is_string() ? parse_real(v.text()) : std::optional<double>(v.is_number() ? v.real() : NAN);
  if (!parsed || (!v.is_string() && !v.is_number())) rt.fail(ErrorKind::value, "could not convert to float");
  const double bytes = *parsed, base = is_binary ? 1024 : 1000;
  if (bytes == 1) return "1 Byte";
  if (bytes < base) return rt.string(fmt::format("{} Bytes", static_cast<i64>(bytes)));
  static constexpr std::string_view kUnits = "kMGTPEZY";
  double unit = base;
  for (std::size_t i = 0; i < kUnits.size(); ++i) {
    unit *= base;
    if (bytes < unit || i + 1 == kUnits.size()) {
      const std::string letter(1, is_binary && i == 0 ? 'K' : kUnits[i]);
      return rt.string(real_digits(base * bytes / unit, 'f', 1, false) + " " + letter +
                       (is_binary ? "iB" : "B"));
    }
  }
  return "";
}

constexpr NamedNative kFilters[] = {{"capitalize", cased<to_capitalized>},
                                    {"center", center},
                                    {"e", escape},
                                    {"escape", escape},
                                    {"filesizeformat", filesizeformat},
                                    {"forceescape", forceescape},
                                    {"format", format},
                                    {"indent", indent},
                                    {"join", join},
                                    {"lower", cased<to_lower>},
                                    {"replace", replace},
                                    {"safe", safe},
                                    {"string", string},
                                    {"title", cased<title_of>},
                                    {"trim", trim},
                                    {"truncate", truncate},
                                    {"upper", cased<to_upper>},
                                    {"urlencode", urlencode},
                                    {"wordcount", wordcount},
                                    {"xmlattr", xmlattr}};

}  // namespace

Native find_text_filter(std::string_view name) { return find_in(kFilters, name); }

}  // namespace pare::jinja
