// Filters that take values from sequences one by one.
#include <algorithm>

#include "text/jinja/filters.h"
#include "text/jinja/members.h"
#include "text/jinja/unicode.h"

namespace pare::jinja {
namespace {

Value length(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "len", {}, 0);
  return rt.length(v);
}

Value list(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "list", {}, 0);
  return rt.list(rt.collect(v));
}

Value first(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "first", {}, 0);
  Value out;
  return rt.iterate(v)->next(rt, out) ? out : Value::undefined("No first item, sequence was empty.");
}

bool is_reversible(const Value& v) {
  return v.is_undefined() || v.is_string() || v.is_sequence() || v.is(Kind::dict) || v.is(Kind::range) ||
         v.is(Kind::view);
}

Value last(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "last", {}, 0);
  if (!is_reversible(v)) rt.fail(ErrorKind::type, "'{}' object is not reversible", v.type_name());
  if (v.is_sequence() && !v.items().empty()) return v.items().back();
  const auto items = rt.collect(v);
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

Value reverse(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "reverse", {}, 0);
  if (v.is_string()) {
    auto points = code_points(v.text());
    std::reverse(points.begin(), points.end());
    return rt.string(from_code_points(points));
  }
  if (!rt.is_iterable(v)) rt.fail(ErrorKind::type, "argument must be iterable");
  auto items = std::make_shared<std::vector<Value>>(rt.collect(v));
  if (!is_reversible(v)) {
    std::reverse(items->begin(), items->end());
    return rt.list(std::move(*items));
  }
  return generator(rt, v, {}, [items](Runtime&, Value& out) {
    if (items->empty()) return false;
    out = std::move(items->back());
    items->pop_back();
    return true;
  });
}

Value items(Runtime& rt, const Value& v, const Args& args) {
  rt.bind(args, "items", {}, 0);
  std::shared_ptr<Iterator> source;
  return generator(rt, v, {}, [v, source](Runtime& r, Value& out) mutable {
    if (v.is_undefined()) return false;
    if (!v.is(Kind::dict)) r.fail(ErrorKind::type, "Can only get item pairs from a mapping.");
    if (!source) source = r.iterate(Value(Kind::view, std::make_shared<View>(View::Of::items, v)));
    return source->next(r, out);
  });
}

Value attr(Runtime& rt, const Value& v, const Args& args) {
  const Value name = rt.bind(args, "attr", {"name"}, 1)[0];
  const std::string& text = rt.text(name, "attr");
  if (v.is_undefined()) rt.fail_undefined(v);
  Value member = find_member(rt, v, text);
  if (!member.is_missing()) return member;
  return Value::undefined(fmt::format("'{} object' has no attribute {}", v.type_name(), text_repr(text)));
}

// map('upper'), map(attribute='name', default=…)
Value map(Runtime& rt, const Value& v, const Args& args) {
  std::shared_ptr<Iterator> source;
  std::vector<Value> path;
  Value otherwise;
  Args rest;
  std::string name;
  bool by_attribute = false;
  return generator(rt, v, args, [=](Runtime& r, Value& out) mutable {
    if (!source) {
      if (!v.truthy()) return false;
      const bool has_attribute = std::any_of(
          args.named.begin(), args.named.end(), [](const auto& n) { return n.first == "attribute"; });
      by_attribute = args.list.empty() && has_attribute;
      if (by_attribute) {
        auto a = r.bind(args, "map", {"/", "attribute", "default"}, 0);
        path = attribute_path(r, a[1]);
        otherwise = a[2];
      } else {
        if (args.list.empty()) r.fail(ErrorKind::type, "map requires a filter argument");
        name = r.text(args.list[0], "map");
        rest.list.assign(args.list.begin() + 1, args.list.end());
        rest.named = args.named;
      }
      source = r.iterate(v);
    }
    Value item;
    if (!source->next(r, item)) return false;
    out = by_attribute ? follow(r, std::move(item), path, otherwise) : r.filter(name, item, rest);
    return true;
  });
}

// select, reject, selectattr, rejectattr
template <bool kKeep, bool kByAttribute>
Value select(Runtime& rt, const Value& v, const Args& args) {
  std::shared_ptr<Iterator> source;
  std::vector<Value> path;
  Args rest;
  std::string name;
  return generator(rt, v, args, [=](Runtime& r, Value& out) mutable {
    constexpr std::size_t kTest = kByAttribute ? 1 : 0;  // where the name of the test stands
    if (!source) {
      if (!v.truthy()) return false;
      if (kByAttribute && args.list.empty()) r.fail(ErrorKind::type, "Missing parameter for attribute name");
      if (kByAttribute) path = attribute_path(r, args.list[0]);
      if (args.list.size() > kTest) {
        name = r.text(args.list[kTest], "select");
        rest.list.assign(args.list.begin() + kTest + 1, args.list.end());
        rest.named = args.named;
      }
      source = r.iterate(v);
    }
    for (Value item; source->next(r, item);) {
      const Value judged = kByAttribute ? follow(r, item, path) : item;
      const bool is_true = args.list.size() > kTest ? r.test(name, judged, rest) : judged.truthy();
      if (is_true != kKeep) continue;
      out = std::move(item);
      return true;
    }
    return false;
  });
}

Value slice(Runtime& rt, const Value& v, const Args& args) {
  auto a = rt.bind(args, "slice", {"slices", "fill_with"}, 1);
  const bool fills = !a[1].is_missing() && !a[1].is_none();
  std::shared_ptr<std::vector<Value>> all;
  i64 number = 0, offset = 0;
  return generator(rt, v, args, [=](Runtime& r, Value& out) mutable {
    const i64 slices = r.index(a[0]);
    if (!all) {
      all = std::make_shared<std::vector<Value>>(r.collect(v));
      if (slices == 0) r.fail(ErrorKind::zero_division, "integer division or modulo by zero");
    }
    if (number >= slices) return false;
    const i64 size = static_cast<i64>(all->size()), each = size / slices, extra = size % slices;
    const i64 start = offset + number * each;
    if (number < extra) ++offset;
    const i64 end = offset + (number + 1) * each;
    std::vector<Value> part(all->begin() + start, all->begin() + std::min(end, size));
    if (fills && number >= extra) part.push_back(a[1]);
    ++number;
    out = r.list(std::move(part));
    return true;
  });
}

Value batch(Runtime& rt, const Value& v, const Args& args) {
  auto a = rt.bind(args, "batch", {"linecount", "fill_with"}, 1);
  const bool fills = !a[1].is_missing() && !a[1].is_none();
  std::shared_ptr<Iterator> source;
  std::vector<Value> line;
  bool is_done = false;
  return generator(rt, v, args, [=](Runtime& r, Value& out) mutable {
    const i64 count = r.index(a[0]);
    if (!source) source = r.iterate(v);
    while (!is_done) {
      Value item;
      if (!source->next(r, item)) {
        is_done = true;
        if (line.empty()) return false;
        const i64 lack = count - static_cast<i64>(line.size());
        if (fills && lack > 0) {
          r.made(Integer(lack) * sizeof(Value));
          line.resize(static_cast<std::size_t>(count), a[1]);
        }
        out = r.list(std::move(line));
        return true;
      }
      const bool is_full = static_cast<i64>(line.size()) == count;
      if (is_full) {
        out = r.list(std::move(line));
        line = {};
      }
      line.push_back(std::move(item));
      if (is_full) return true;
    }
    return false;
  });
}

Value unique(Runtime& rt, const Value& v, const Args& args) {
  auto a = rt.bind(args, "unique", {"case_sensitive", "attribute"}, 0);
  const bool by_case = !a[0].is_missing() && a[0].truthy();
  std::shared_ptr<Iterator> source;
  auto seen = std::make_shared<Dict>();
  return generator(rt, v, args, [=](Runtime& r, Value& out) mutable {
    if (!source) source = r.iterate(v);
    const auto path = attribute_path(r, a[1]);
    for (Value item; source->next(r, item);) {
      const Value key = follow(r, item, path);
      const std::string code = r.key_code(by_case ? key : without_case(r, key));
      if (seen->find_code(code)) continue;
      seen->set(code, Value(), Value());
      out = std::move(item);
      return true;
    }
    return false;
  });
}

Value default_filter(Runtime& rt, const Value& v, const Args& args) {
  auto a = rt.bind(args, "default", {"default_value", "boolean"}, 0);
  const bool by_truth = !a[1].is_missing() && a[1].truthy();
  if (v.is_undefined() || (by_truth && !v.truthy())) return a[0].is_missing() ? Value("") : a[0];
  return v;
}

constexpr NamedNative kFilters[] = {{"attr", attr},
                                    {"batch", batch},
                                    {"count", length},
                                    {"d", default_filter},
                                    {"default", default_filter},
                                    {"first", first},
                                    {"items", items},
                                    {"last", last},
                                    {"length", length},
                                    {"list", list},
                                    {"map", map},
                                    {"reject", select<false, false>},
                                    {"rejectattr", select<false, true>},
                                    {"reverse", reverse},
                                    {"select", select<true, false>},
                                    {"selectattr", select<true, true>},
                                    {"slice", slice},
                                    {"unique", unique}};

}  // namespace

Native find_sequence_filter(std::string_view name) { return find_in(kFilters, name); }

}  // namespace pare::jinja
