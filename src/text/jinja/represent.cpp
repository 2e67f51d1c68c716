// str() and repr() of values.
#include "text/jinja/numbers.h"
#include "text/jinja/runtime.h"
#include "text/jinja/unicode.h"

namespace pare::jinja {

std::string Runtime::str(const Value& v) {
  switch (v.kind()) {
    case Kind::missing:
    case Kind::undefined:
      return "";
    case Kind::string:
      return v.text();
    default:
      return repr(v);
  }
}

std::string Runtime::repr(const Value& v) {
  std::string out;
  represent(out, v);
  made(out.size());
  return out;
}

void Runtime::represent(std::string& out, const Value& v) {
  Deeper deeper(*this);
  step();
  // Shared parts may print far longer than they are.
  if (out.size() > limits_.value_bytes) made(out.size());
  auto items = [&](const std::vector<Value>& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out += ", ";
      represent(out, values[i]);
    }
  };
  auto pairs = [&](const Dict& dict) {
    out += '{';
    for (std::size_t i = 0; i < dict.items.size(); ++i) {
      if (i > 0) out += ", ";
      represent(out, dict.items[i].first);
      out += ": ";
      represent(out, dict.items[i].second);
    }
    out += '}';
  };
  switch (v.kind()) {
    case Kind::missing:
      out += "missing";
      break;
    case Kind::undefined:
      out += "Undefined";
      break;
    case Kind::none:
      out += "None";
      break;
    case Kind::boolean:
      out += v.boolean() ? "True" : "False";
      break;
    case Kind::integer:
      out += integer_text(v.integer());
      break;
    case Kind::real:
      out += real_text(v.real());
      break;
    case Kind::string:
      out += v.is_markup() ? "Markup(" + text_repr(v.text()) + ")" : text_repr(v.text());
      break;
    case Kind::list:
      out += '[';
      items(v.items());
      out += ']';
      break;
    case Kind::tuple:
      out += '(';
      items(v.items());
      out += v.items().size() == 1 ? ",)" : ")";
      break;
    case Kind::dict:
      pairs(v.dict());
      break;
    case Kind::range: {
      const Range& r = v.as<Range>();
      out += r.step == 1 ? fmt::format("range({}, {})", r.begin, r.end)
                         : fmt::format("range({}, {}, {})", r.begin, r.end, r.step);
      break;
    }
    case Kind::view: {
      out += v.type_name() + "(";
      represent(out, list(collect(v)));
      out += ')';
      break;
    }
    case Kind::iterator:
      out += "<" + v.as<Iterator>().name + ">";
      break;
    case Kind::space:
      out += "<Namespace ";
      pairs(v.as<Namespace>().values);
      out += '>';
      break;
    case Kind::function:
      out += "<" + v.type_name() + " " + v.as<Function>().name + ">";
      break;
    case Kind::macro:
    case Kind::loop:
    case Kind::object:
      out += v.as<Special>().repr(*this);
      break;
  }
}

}  // namespace pare::jinja
