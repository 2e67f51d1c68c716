#include "text/jinja/filters.h"

#include <algorithm>

#include "text/jinja/unicode.h"

namespace pare::jinja {

Native find_filter(std::string_view name) {
  for (auto find : {find_text_filter, find_sequence_filter, find_order_filter, find_number_filter})
    if (Native native = find(name)) return native;
  return name == "tojson" ? filter_tojson : nullptr;
}

bool is_unsupported_filter(std::string_view name) {
  static constexpr std::string_view kNames[] = {"pprint", "random", "striptags", "urlize", "wordwrap"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

Value generator(Runtime& rt, const Value& from, const Args& args, Generator::Next next) {
  int depth = from.depth();
  for (const Value& v : args.list) depth = std::max(depth, v.depth());
  for (const auto& [name, v] : args.named) depth = std::max(depth, v.depth());
  rt.made(256);
  return rt.iterator(std::make_shared<Generator>(depth + 1, std::move(next)));
}

std::vector<Value> attribute_path(Runtime& rt, const Value& attribute) {
  if (attribute.is_missing() || attribute.is_none()) return {};
  if (!attribute.is_string()) return {attribute};
  std::vector<Value> path;
  std::string_view rest = attribute.text();
  while (true) {
    const std::size_t dot = rest.find('.');
    const std::string part(rest.substr(0, dot));
    const auto points = code_points(part);
    const bool is_number =
        !points.empty() && points.size() < 18 && std::all_of(points.begin(), points.end(), is_decimal);
    if (is_number) {
      i64 n = 0;
      for (u32 p : points) n = n * 10 + decimal_value(p);
      path.emplace_back(n);
    } else {
      path.push_back(rt.string(part));
    }
    if (dot == rest.npos) return path;
    rest.remove_prefix(dot + 1);
  }
}

Value follow(Runtime& rt, Value v, const std::vector<Value>& path, const Value& otherwise) {
  for (const Value& key : path) {
    v = rt.item(v, key);
    if (v.is_undefined() && !otherwise.is_missing() && !otherwise.is_none()) v = otherwise;
  }
  return v;
}

Value without_case(Runtime& rt, const Value& v) { return v.is_string() ? rt.string(to_lower(v.text())) : v; }

}  // namespace pare::jinja
