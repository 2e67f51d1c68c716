// tojson as transformers defines it: json.dumps(x, ensure_ascii=False, indent, separators, sort_keys) of
// Python.
#include <algorithm>
#include <cmath>

#include "text/jinja/filters.h"
#include "text/jinja/numbers.h"
#include "text/jinja/unicode.h"

namespace pare::jinja {
namespace {

class Writer {
 public:
  Writer(Runtime& rt, bool ascii, bool sorted) : rt_(rt), ascii_(ascii), sorted_(sorted) {}
  std::string indent, item_mark = ", ", key_mark = ": ";
  bool is_indented = false;

  std::string take() { return std::move(out_); }

  void write(const Value& v, int level) {
    Runtime::Deeper deeper(rt_);
    rt_.step();
    if (out_.size() - charged_ > (1 << 16)) rt_.made(out_.size()), charged_ = out_.size();
    switch (v.kind()) {
      case Kind::none:
        out_ += "null";
        return;
      case Kind::boolean:
        out_ += v.boolean() ? "true" : "false";
        return;
      case Kind::integer:
        out_ += integer_text(v.integer());
        return;
      case Kind::real:
        out_ += real(v.real());
        return;
      case Kind::string:
        return quote(v.text());
      case Kind::list:
      case Kind::tuple: {
        if (v.items().empty()) return void(out_ += "[]");
        out_ += '[';
        for (std::size_t i = 0; i < v.items().size(); ++i) {
          line(i > 0, level + 1);
          write(v.items()[i], level + 1);
        }
        close(level);
        out_ += ']';
        return;
      }
      case Kind::dict:
        return object(v.dict(), level);
      default:
        rt_.fail(ErrorKind::type, "Object of type {} is not JSON serializable", v.type_name());
    }
  }

 private:
  static std::string real(double d) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
    return real_text(d);
  }

  void line(bool needs_mark, int level) {
    if (needs_mark) out_ += item_mark;
    if (is_indented) new_line(level);
  }
  void close(int level) {
    if (is_indented) new_line(level);
  }
  void new_line(int level) {
    rt_.made(Integer(indent.size()) * level);
    out_ += '\n';
    for (int i = 0; i < level; ++i) out_ += indent;
  }

  void object(const Dict& dict, int level) {
    if (dict.items.empty()) return void(out_ += "{}");
    std::vector<const std::pair<Value, Value>*> items;
    for (const auto& item : dict.items) items.push_back(&item);
    if (sorted_)
      std::stable_sort(
          items.begin(), items.end(), [&](auto* a, auto* b) { return rt_.less(a->first, b->first); });
    out_ += '{';
    for (std::size_t i = 0; i < items.size(); ++i) {
      line(i > 0, level + 1);
      key(items[i]->first);
      out_ += key_mark;
      write(items[i]->second, level + 1);
    }
    close(level);
    out_ += '}';
  }

  void key(const Value& k) {
    switch (k.kind()) {
      case Kind::string:
        return quote(k.text());
      case Kind::none:
        return quote("null");
      case Kind::boolean:
        return quote(k.boolean() ? "true" : "false");
      case Kind::integer:
        return quote(integer_text(k.integer()));
      case Kind::real:
        return quote(real(k.real()));
      default:
        rt_.fail(ErrorKind::type, "keys must be str, int, float, bool or None, not {}", k.type_name());
    }
  }

  void quote(std::string_view text) {
    out_ += '"';
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t begin = at;
      const u32 p = next_code_point(text, at);
      switch (p) {
        case '"':
          out_ += "\\\"";
          continue;
        case '\\':
          out_ += "\\\\";
          continue;
        case '\n':
          out_ += "\\n";
          continue;
        case '\r':
          out_ += "\\r";
          continue;
        case '\t':
          out_ += "\\t";
          continue;
        case '\b':
          out_ += "\\b";
          continue;
        case '\f':
          out_ += "\\f";
          continue;
        default:
          break;
      }
      if (p < 0x20 || (ascii_ && p >= 0x7F && p < 0x10000 && p != 0x7F))
        out_ += fmt::format("\\u{:04x}", p);
      else if (ascii_ && p >= 0x10000)
        out_ += fmt::format(
            "\\u{:04x}\\u{:04x}", 0xD800 + ((p - 0x10000) >> 10), 0xDC00 + ((p - 0x10000) & 0x3FF));
      else
        out_ += text.substr(begin, at - begin);
    }
    out_ += '"';
  }

  Runtime& rt_;
  std::string out_;
  std::size_t charged_ = 0;
  const bool ascii_, sorted_;
};

}  // namespace

Value filter_tojson(Runtime& rt, const Value& v, const Args& args) {
  auto a = rt.bind(args, "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}, 0);
  Writer writer(rt, !a[0].is_missing() && a[0].truthy(), !a[3].is_missing() && a[3].truthy());
  if (!a[1].is_missing() && !a[1].is_none()) {
    writer.is_indented = true;
    writer.item_mark = ",";
    if (a[1].is_string()) {
      writer.indent = a[1].text();
    } else {
      const i64 width = std::max<i64>(0, rt.index(a[1]));
      rt.made(width);
      writer.indent.assign(static_cast<std::size_t>(width), ' ');
    }
  }
  if (!a[2].is_missing() && !a[2].is_none()) {
    const std::vector<Value> marks = rt.collect(a[2]);
    if (marks.size() != 2 || !marks[0].is_string() || !marks[1].is_string())
      rt.fail(ErrorKind::type, "tojson: separators must be two strings");
    writer.item_mark = marks[0].text(), writer.key_mark = marks[1].text();
  }
  writer.write(v, 0);
  return rt.string(writer.take());
}

}  // namespace pare::jinja
