// {% macro %} and the body of {% call %}.
#pragma once
#include "text/jinja/evaluate.h"

namespace pare::jinja {

class Macro : public Special {
 public:
  /// `name` is empty for the body of a call block. The statement and the evaluator must outlive it.
  Macro(Evaluator& evaluator, const Stmt& s, std::string name, ScopePtr scope)
      : evaluator_(evaluator), s_(s), name_(std::move(name)), scope_(std::move(scope)) {}
  Value call(Runtime& runtime, const Args& args) override;
  Value attribute(Runtime& runtime, std::string_view name) override;
  std::string repr(Runtime& runtime) override;

 private:
  Evaluator& evaluator_;
  const Stmt& s_;
  std::string name_;
  ScopePtr scope_;
};

}  // namespace pare::jinja
