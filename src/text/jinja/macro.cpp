#include "text/jinja/macro.h"

#include <algorithm>

#include "text/jinja/unicode.h"

namespace pare::jinja {

Value Macro::call(Runtime& rt, const Args& args) {
  const auto& parameters = s_.parameters;
  const std::string shown = name_.empty() ? "None" : text_repr(name_);
  ScopePtr scope = evaluator_.inner(scope_, s_.unset);
  auto named = args.named;
  auto take = [&](const std::string& name) {
    auto at = std::find_if(named.begin(), named.end(), [&](const auto& n) { return n.first == name; });
    if (at == named.end()) return Value::missing();
    Value v = std::move(at->second);
    named.erase(at);
    return v;
  };

  bool found_caller = false;
  const bool all_given = args.list.size() >= parameters.size();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const bool is_given = i < args.list.size();
    if (parameters[i] == "caller" && (!is_given || all_given)) found_caller = true;
    scope->variables[parameters[i]] = is_given ? args.list[i] : take(parameters[i]);
  }
  if (s_.uses_caller && !found_caller) {
    Value caller = take("caller");
    if (caller.is_missing() || caller.is_none()) caller = Value::undefined("No caller defined");
    scope->variables["caller"] = std::move(caller);
  }
  if (s_.uses_kwargs) {
    auto rest = std::make_shared<Dict>();
    for (auto& [name, value] : named) rest->set(name, std::move(value));
    scope->variables["kwargs"] = rt.dict(std::move(rest));
  } else if (!named.empty()) {
    const bool is_caller =
        std::any_of(named.begin(), named.end(), [](const auto& n) { return n.first == "caller"; });
    if (is_caller)
      rt.fail(
          ErrorKind::type,
          "macro {} was invoked with two values for the special caller argument. This is most likely a bug.",
          shown);
    rt.fail(ErrorKind::type, "macro {} takes no keyword argument {}", shown, text_repr(named[0].first));
  }
  if (s_.uses_varargs) {
    std::vector<Value> rest;
    for (std::size_t i = parameters.size(); i < args.list.size(); ++i) rest.push_back(args.list[i]);
    scope->variables["varargs"] = rt.tuple(std::move(rest));
  } else if (args.list.size() > parameters.size()) {
    rt.fail(ErrorKind::type, "macro {} takes not more than {} argument(s)", shown, parameters.size());
  }

  const std::size_t first = s_.kind == St::call_block ? 1 : 0;  // of the defaults in exprs
  const std::size_t defaults = s_.exprs.size() - first;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!scope->variables[parameters[i]].is_missing()) continue;
    const std::size_t without = parameters.size() - defaults;
    Value v = i < without
                  ? Value::undefined(fmt::format("parameter {} was not provided", text_repr(parameters[i])))
                  : evaluator_.eval(*s_.exprs[first + i - without], scope);
    scope->variables[parameters[i]] = std::move(v);
  }
  return rt.string(evaluator_.capture(s_.body, scope));
}

Value Macro::attribute(Runtime& rt, std::string_view name) {
  if (name == "name") return name_.empty() ? Value() : Value(name_);
  if (name == "caller") return s_.uses_caller;
  if (name == "catch_kwargs") return s_.uses_kwargs;
  if (name == "catch_varargs") return s_.uses_varargs;
  if (name == "arguments") {
    std::vector<Value> names;
    for (const std::string& p : s_.parameters) names.emplace_back(p);
    return rt.tuple(std::move(names));
  }
  return Value::missing();
}

std::string Macro::repr(Runtime&) {
  return name_.empty() ? "<Macro anonymous>" : "<Macro " + text_repr(name_) + ">";
}

}  // namespace pare::jinja
