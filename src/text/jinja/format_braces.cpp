// str.format() and str.format_map().
#include "text/jinja/members.h"
#include "text/jinja/numbers.h"
#include "text/jinja/unicode.h"

namespace pare::jinja {
namespace {

class Braces {
 public:
  Braces(Runtime& rt, const Args& args) : rt_(rt), args_(args) {}

  std::string run(std::string_view format, int depth) {
    if (depth > 2) rt_.fail(ErrorKind::value, "Max string recursion exceeded");
    std::string out;
    for (std::size_t at = 0; at < format.size();) {
      const char c = format[at];
      if (c != '{' && c != '}') {
        out += c;
        ++at;
        continue;
      }
      if (at + 1 < format.size() && format[at + 1] == c) {
        out += c;
        at += 2;
        continue;
      }
      if (c == '}') rt_.fail(ErrorKind::value, "Single '}' encountered in format string");
      const std::size_t end = closing(format, at);
      out += field(format.substr(at + 1, end - at - 1), depth);
      rt_.made(out.size() / 64);
      at = end + 1;
    }
    return out;
  }

 private:
  std::size_t closing(std::string_view format, std::size_t at) {
    int open = 0;
    for (std::size_t i = at; i < format.size(); ++i) {
      if (format[i] == '{') ++open;
      if (format[i] == '}' && --open == 0) return i;
    }
    if (at + 1 == format.size()) rt_.fail(ErrorKind::value, "Single '{' encountered in format string");
    rt_.fail(ErrorKind::value, "expected '}' before end of string");
  }

  std::string field(std::string_view text, int depth) {
    // name[!conversion][:spec]; brackets in the name may hold either sign.
    std::size_t end = 0;
    bool in_brackets = false;
    for (; end < text.size(); ++end) {
      if (text[end] == '[') in_brackets = true;
      if (text[end] == ']') in_brackets = false;
      if (!in_brackets && (text[end] == '!' || text[end] == ':')) break;
    }
    const std::string_view name = text.substr(0, end);
    char conversion = 0;
    if (end < text.size() && text[end] == '!') {
      if (end + 1 >= text.size() || (end + 2 < text.size() && text[end + 2] != ':'))
        rt_.fail(ErrorKind::value, "expected ':' after conversion specifier");
      conversion = text[end + 1];
      end += 2;
    }
    Value v = lookup(name);
    const std::string spec = end < text.size() ? run(text.substr(end + 1), depth + 1) : "";
    if (conversion == 'r')
      v = rt_.string(rt_.repr(v));
    else if (conversion == 's')
      v = rt_.string(rt_.str(v));
    else if (conversion)
      rt_.fail(ErrorKind::value, "Unknown conversion specifier {}", conversion);
    return formatted(rt_, v, spec);
  }

  Value lookup(std::string_view name) {
    std::size_t at = std::min(name.find_first_of(".["), name.size());
    Value v = first(std::string(name.substr(0, at)));
    while (at < name.size()) {
      if (name[at] == '.') {
        const std::size_t end = std::min(name.find_first_of(".[", at + 1), name.size());
        v = rt_.attribute(v, name.substr(at + 1, end - at - 1));
        at = end;
      } else if (name[at] == '[') {
        const std::size_t end = name.find(']', at);
        if (end == name.npos) rt_.fail(ErrorKind::value, "Missing ']' in format string");
        const std::string key(name.substr(at + 1, end - at - 1));
        const bool is_position =
            !key.empty() && key.find_first_not_of("0123456789") == key.npos && key.size() < 19;
        v = rt_.item(v, is_position ? Value(i64(std::stoll(key))) : Value(key));
        at = end + 1;
      } else {
        rt_.fail(ErrorKind::value, "Only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return v;
  }

  Value first(const std::string& name) {
    const bool is_position = name.find_first_not_of("0123456789") == name.npos && name.size() < 10;
    if (!is_position) {
      for (const auto& [known, value] : args_.named)
        if (known == name) return value;
      rt_.fail(ErrorKind::lookup, "KeyError: {}", text_repr(name));
    }
    if (name.empty() ? is_manual_ : next_ > 0)
      rt_.fail(ErrorKind::value,
               "cannot switch between manual field specification and automatic field numbering");
    std::size_t position = 0;
    if (name.empty()) {
      position = next_++;
    } else {
      is_manual_ = true;
      position = static_cast<std::size_t>(std::stoul(name));
    }
    if (position >= args_.list.size())
      rt_.fail(ErrorKind::lookup, "Replacement index {} out of range for positional args tuple", position);
    return args_.list[position];
  }

  Runtime& rt_;
  const Args& args_;
  std::size_t next_ = 0;
  bool is_manual_ = false;
};

}  // namespace

Value format_braces(Runtime& rt, const Value& self, const Args& args) {
  return rt.string(Braces(rt, args).run(self.text(), 1));
}

Value format_map(Runtime& rt, const Value& self, const Args& args) {
  const Value map = rt.bind(args, "format_map", {"/mapping"}, 1)[0];
  if (!map.is(Kind::dict)) rt.fail(ErrorKind::type, "format_map() needs a dict");
  Args named;
  for (const auto& [key, value] : map.dict().items)
    if (key.is_string()) named.named.emplace_back(key.text(), value);
  return rt.string(Braces(rt, named).run(self.text(), 1));
}

}  // namespace pare::jinja
