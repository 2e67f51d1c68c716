#include "text/jinja/jinja.h"

#include "text/jinja/ast.h"
#include "text/jinja/evaluate.h"

namespace pare::jinja {

struct Template::Parsed {
  Limits limits;
  Block body;
  std::vector<std::string> unset;
};

Template Template::parse(std::string_view source, const Limits& limits) {
  auto parsed = std::make_shared<Parsed>();
  parsed->limits = limits;
  parsed->body = jinja::parse(source, limits);
  parsed->unset = analyse(parsed->body);
  return Template(std::move(parsed));
}

std::string Template::render(const Value& variables, const Now& now) const {
  if (!variables.is(Kind::dict)) throw bug("the variables of a template are a dict");
  auto local_time = [] {
    const std::time_t t = std::time(nullptr);
    std::tm out{};
    localtime_r(&t, &out);
    return out;
  };
  Evaluator evaluator(parsed_->limits, now ? now : Now(local_time), variables.dict());
  return evaluator.render(parsed_->body, parsed_->unset);
}

}  // namespace pare::jinja
