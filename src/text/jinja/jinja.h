// Jinja templates as the models' makers write them, rendered as Hugging Face transformers does.
// Source: Jinja2 3.1 in transformers' environment: ImmutableSandboxedEnvironment(trim_blocks, lstrip_blocks),
// loop controls, {% generation %}, tojson, raise_exception, strftime_now.
//
// Templates come from strangers: they reach nothing but their variables, and work, depth and size are bounded
// (Limits, error.h). docs/models.md says what is checked.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "text/jinja/error.h"
#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace pare::jinja {

/// Immutable and cheap to copy; may be rendered by several threads at once.
class Template {
 public:
  /// Throws TemplateError with the line: bad syntax, an unknown tag, filter or test, a bound that is reached.
  static Template parse(std::string_view source, const Limits& limits = {});

  /// `variables` is a dict. `now` answers strftime_now(); the local time when empty.
  /// Throws TemplateError with the line; ErrorKind::raised is the template's own raise_exception().
  std::string render(const Value& variables, const Now& now = {}) const;

 private:
  struct Parsed;
  explicit Template(std::shared_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
  std::shared_ptr<const Parsed> parsed_;
};

}  // namespace pare::jinja
