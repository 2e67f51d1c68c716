#include "text/jinja/value.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace pare::jinja {

Value Value::undefined(std::string message, bool is_unsafe) {
  return {Kind::undefined, std::make_shared<Text>(std::move(message), is_unsafe)};
}

Value Value::from_json(const json& j, int max_depth) {
  if (max_depth < 0) throw user_error("template variables nest too deep; expected at most 128 levels");
  switch (j.type()) {
    case json::value_t::boolean:
      return j.get<bool>();
    case json::value_t::number_integer:
      return Integer(j.get<i64>());
    case json::value_t::number_unsigned:
      return Integer(j.get<u64>());
    case json::value_t::number_float:
      return j.get<double>();
    case json::value_t::string:
      return j.get_ref<const std::string&>();
    case json::value_t::array: {
      std::vector<Value> items;
      for (const json& item : j) items.push_back(from_json(item, max_depth - 1));
      return {Kind::list, std::make_shared<List>(std::move(items))};
    }
    case json::value_t::object: {
      auto dict = std::make_shared<Dict>();
      for (const auto& [key, item] : j.items()) dict->set(key, from_json(item, max_depth - 1));
      return {Kind::dict, std::move(dict)};
    }
    default:
      return {};
  }
}

const std::vector<Value>& Value::items() const { return as<List>().items; }
const Dict& Value::dict() const { return as<Dict>(); }

bool Value::truthy() const {
  switch (kind_) {
    case Kind::missing:
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
    case Kind::integer:
      return integer_ != 0;
    case Kind::real:
      return real_ != 0;
    case Kind::string:
      return !text().empty();
    case Kind::list:
    case Kind::tuple:
      return !items().empty();
    case Kind::dict:
      return !dict().items.empty();
    case Kind::range:
      return as<Range>().size > 0;
    case Kind::view:
      return as<View>().dict.truthy();
    default:
      return true;
  }
}

int Value::depth() const {
  switch (kind_) {
    case Kind::list:
    case Kind::tuple:
      return as<List>().depth;
    case Kind::dict:
      return dict().depth;
    case Kind::view:
      return as<View>().dict.depth() + 1;
    case Kind::iterator:
      return as<Iterator>().depth;
    case Kind::function:
      return as<Function>().self.depth() + 1;
    case Kind::object:
      return as<Special>().depth;
    default:
      return 0;
  }
}

std::string Value::type_name() const {
  switch (kind_) {
    case Kind::missing:
      return "missing";
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::real:
      return "float";
    case Kind::string:
      return is_markup() ? "Markup" : "str";
    case Kind::list:
      return "list";
    case Kind::tuple:
      return "tuple";
    case Kind::dict:
      return "dict";
    case Kind::range:
      return "range";
    case Kind::view: {
      const auto of = as<View>().of;
      return of == View::Of::keys ? "dict_keys" : of == View::Of::values ? "dict_values" : "dict_items";
    }
    case Kind::iterator:
      return as<Iterator>().name;
    case Kind::space:
      return "TemplateNamespace";
    case Kind::function:
      return as<Function>().self.is_missing() ? "function" : "builtin_function_or_method";
    case Kind::macro:
      return "Macro";
    case Kind::loop:
      return "LoopContext";
    case Kind::object:
      return "object";
  }
  return "object";
}

List::List(std::vector<Value> v) : items(std::move(v)) {
  for (const Value& item : items) depth = std::max(depth, item.depth() + 1);
}

void Dict::set(const std::string& code, Value key, Value value) {
  depth = std::max({depth, value.depth() + 1, key.depth() + 1});
  auto [at, is_new] = index_.try_emplace(code, items.size());
  if (is_new)
    items.emplace_back(std::move(key), std::move(value));
  else
    items[at->second].second = std::move(value);
}

const Value* Dict::find_code(const std::string& code) const {
  auto at = index_.find(code);
  return at == index_.end() ? nullptr : &items[at->second].second;
}

// In 128 bits, so that range(-2**63, 2**63 - 1) does not overflow; such a size is refused by who asks for it.
Range::Range(i64 b, i64 e, i64 s) : begin(b), end(e), step(s) {
  const Integer span = s > 0 ? Integer(e) - b : Integer(b) - e, by = s > 0 ? Integer(s) : -Integer(s);
  const Integer n = span <= 0 ? 0 : (span + by - 1) / by;
  size = static_cast<i64>(std::min<Integer>(n, std::numeric_limits<i64>::max()));
}

}  // namespace pare::jinja
