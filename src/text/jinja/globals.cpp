// Global functions: Jinja's own, and those that transformers adds.
#include <algorithm>

#include "text/jinja/runtime.h"
#include "text/jinja/strftime.h"
#include "text/jinja/unicode.h"

namespace pare::jinja {
namespace {

constexpr i64 kMaxRange = 100'000;  // MAX_RANGE of Jinja's sandbox

Value range(Runtime& rt, const Value&, const Args& args) {
  if (!args.named.empty()) rt.fail(ErrorKind::type, "range() takes no keyword arguments");
  if (args.list.empty()) rt.fail(ErrorKind::type, "range expected at least 1 argument, got 0");
  if (args.list.size() > 3)
    rt.fail(ErrorKind::type, "range expected at most 3 arguments, got {}", args.list.size());
  i64 part[3] = {0, 0, 1};
  for (std::size_t i = 0; i < args.list.size(); ++i) {
    part[args.list.size() == 1 ? 1 : i] = rt.index(args.list[i]);
    constexpr i64 kFar = i64(1) << 61;  // so that no position overflows
    if (std::abs(part[args.list.size() == 1 ? 1 : i]) > kFar)
      rt.fail(ErrorKind::overflow, "range: the number is too large");
  }
  if (part[2] == 0) rt.fail(ErrorKind::value, "range() arg 3 must not be zero");
  auto out = std::make_shared<Range>(part[0], part[1], part[2]);
  if (out->size > kMaxRange)
    rt.fail(ErrorKind::overflow,
            "Range too big. The sandbox blocks ranges larger than MAX_RANGE ({}).",
            kMaxRange);
  return {Kind::range, std::move(out)};
}

// dict(mapping or pairs, key=value, …)
void fill(Runtime& rt, Dict& out, const Args& args, const char* name) {
  if (args.list.size() > 1)
    rt.fail(ErrorKind::type, "{} expected at most 1 argument, got {}", name, args.list.size());
  if (!args.list.empty()) {
    const Value& from = args.list[0];
    if (from.is(Kind::dict)) {
      for (const auto& [key, value] : from.dict().items) rt.set(out, key, value);
    } else {
      for (const Value& pair : rt.collect(from)) {
        if (!rt.is_iterable(pair))
          rt.fail(ErrorKind::type, "cannot convert dictionary update sequence element to a sequence");
        const auto parts = rt.collect(pair);
        if (parts.size() != 2)
          rt.fail(ErrorKind::value,
                  "dictionary update sequence element has length {}; 2 is required",
                  parts.size());
        rt.set(out, parts[0], parts[1]);
      }
    }
  }
  for (const auto& [key, value] : args.named) out.set(key, value);
}

struct DictType : Special {
  Value call(Runtime& rt, const Args& args) override {
    auto out = std::make_shared<Dict>();
    fill(rt, *out, args, "dict");
    return rt.dict(std::move(out));
  }
  Value attribute(Runtime& rt, std::string_view name) override {
    if (name != "fromkeys") return Value::missing();
    return find_member(rt, Value(Kind::dict, std::make_shared<Dict>()), name);
  }
  std::string repr(Runtime&) override { return "<TemplateDict>"; }
};

Value make_namespace(Runtime& rt, const Value&, const Args& args) {
  auto out = std::make_shared<Namespace>();
  fill(rt, out->values, args, "namespace");
  for (const auto& [key, value] : out->values.items)
    if (key.is_string() && !key.text().empty() && key.text()[0] == '_')
      rt.fail(ErrorKind::security,
              "Chat templates cannot store underscore-prefixed attributes on a namespace, but got {}. Please "
              "rename "
              "the attribute.",
              text_repr(key.text()));
  rt.at_end(out, [p = out.get()] { p->values.clear(); });
  return {Kind::space, std::move(out)};
}

Value raise_exception(Runtime& rt, const Value&, const Args& args) {
  rt.fail(ErrorKind::raised, rt.str(rt.bind(args, "raise_exception", {"message"}, 1)[0]));
}

Value strftime_now(Runtime& rt, const Value&, const Args& args) {
  const Value format = rt.bind(args, "strftime_now", {"format"}, 1)[0];
  const auto text = strftime_text(rt.text(format, "strftime_now"), rt.now());
  if (!text)
    rt.fail(ErrorKind::limit, "strftime_now: the text is longer than 64 KiB (the bound on its size)");
  return rt.string(*text);
}

Value lipsum(Runtime& rt, const Value&, const Args&) {
  rt.fail(ErrorKind::unsupported, "the function lipsum is not supported");
}

struct Cycler : Special {
  explicit Cycler(std::vector<Value> v) : items(std::move(v)) {
    for (const Value& item : items) depth = std::max(depth, item.depth() + 1);
  }
  std::vector<Value> items;
  std::size_t at = 0;
  static Value next(Runtime& rt, const Value& self, const Args& args) {
    rt.bind(args, "next", {}, 0);
    Cycler& c = self.as<Cycler>();
    const Value out = c.items[c.at];
    c.at = (c.at + 1) % c.items.size();
    return out;
  }
  static Value reset(Runtime& rt, const Value& self, const Args& args) {
    rt.bind(args, "reset", {}, 0);
    self.as<Cycler>().at = 0;
    return {};
  }
  std::weak_ptr<Cycler> self;
  Value attribute(Runtime&, std::string_view name) override {
    if (name == "current") return items[at];
    const Native native = name == "next" ? next : name == "reset" ? reset : nullptr;
    if (!native) return Value::missing();
    return {Kind::function,
            std::make_shared<Function>(std::string(name), native, Value(Kind::object, self.lock()))};
  }
  std::string repr(Runtime&) override { return "<Cycler>"; }
};

Value cycler(Runtime& rt, const Value&, const Args& args) {
  if (!args.named.empty()) rt.fail(ErrorKind::type, "cycler() takes no keyword arguments");
  if (args.list.empty()) rt.fail(ErrorKind::runtime, "at least one item has to be provided");
  auto out = std::make_shared<Cycler>(args.list);
  out->self = out;
  return rt.object(std::move(out));
}

struct Joiner : Special {
  explicit Joiner(Value s) : mark(std::move(s)) { depth = mark.depth() + 1; }
  Value mark;
  bool is_used = false;
  Value call(Runtime& rt, const Args& args) override {
    rt.bind(args, "joiner", {}, 0);
    if (is_used) return mark;
    is_used = true;
    return "";
  }
  Value attribute(Runtime&, std::string_view name) override {
    if (name == "sep") return mark;
    return name == "used" ? Value(is_used) : Value::missing();
  }
  std::string repr(Runtime&) override { return "<Joiner>"; }
};

Value joiner(Runtime& rt, const Value&, const Args& args) {
  const Value mark = rt.bind(args, "joiner", {"sep"}, 0)[0];
  return rt.object(std::make_shared<Joiner>(mark.is_missing() ? Value(", ") : mark));
}

}  // namespace

const std::vector<std::pair<std::string, Value>>& global_values() {
  static const auto* const kGlobals = [] {
    auto* out = new std::vector<std::pair<std::string, Value>>;
    for (const NamedNative& f : {NamedNative{"range", range},
                                 NamedNative{"namespace", make_namespace},
                                 NamedNative{"raise_exception", raise_exception},
                                 NamedNative{"strftime_now", strftime_now},
                                 NamedNative{"cycler", cycler},
                                 NamedNative{"joiner", joiner},
                                 NamedNative{"lipsum", lipsum}})
      out->emplace_back(
          f.name,
          Value(Kind::function, std::make_shared<Function>(std::string(f.name), f.call, Value::missing())));
    out->emplace_back("dict", Value(Kind::object, std::make_shared<DictType>()));
    return out;
  }();
  return *kGlobals;
}

}  // namespace pare::jinja
