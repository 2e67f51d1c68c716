// Rendering: walks the statements of a template.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>

#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"

namespace pare::jinja {

/// Variables of one run of a body. A missing value is a name of this scope that is not set yet.
struct Scope {
  std::shared_ptr<Scope> parent;
  std::unordered_map<std::string, Value> variables;
  bool is_captured = false;
  bool hides_unset = true;  // false in a {% block %}: names of the template that are not set yet show through
};
using ScopePtr = std::shared_ptr<Scope>;

class Evaluator : public Runtime {
 public:
  /// `variables` must outlive it.
  Evaluator(const Limits& limits, Now now, const Dict& variables)
      : Runtime(limits, std::move(now)), output_limit_(limits.output_bytes), variables_(variables) {}

  std::string render(const Block& body, const std::vector<std::string>& unset);

  // ---- for macros and loops ----
  Value eval(const Expr& e, const ScopePtr& scope);
  /// The text of a body run in `scope`.
  std::string capture(const Block& body, const ScopePtr& scope);
  std::string run_loop(const Stmt& s, const Value& over, const ScopePtr& scope, int depth);
  ScopePtr inner(const ScopePtr& outer, const std::vector<std::string>& unset);
  void assign(const Expr& target, const Value& value, const ScopePtr& scope);

 private:
  enum class Flow : u8 { normal, break_, continue_ };

  void write(std::string_view text);
  void print(const Value& v);
  Flow run(const Block& body, const ScopePtr& scope);
  Flow run(const Stmt& s, const ScopePtr& scope);
  Flow run_if(const Stmt& s, const ScopePtr& scope);
  Flow run_for(const Stmt& s, const Value& over, const ScopePtr& scope, int depth);
  void run_set(const Stmt& s, const ScopePtr& scope);
  Flow run_set_block(const Stmt& s, const ScopePtr& scope);
  Flow run_filter_block(const Stmt& s, const ScopePtr& scope);
  Flow run_with(const Stmt& s, const ScopePtr& scope);
  void run_call_block(const Stmt& s, const ScopePtr& scope);
  Flow captured(const Block& body, const ScopePtr& scope, std::string& text);
  Value macro(const Stmt& s, std::string name, const ScopePtr& scope);
  void check_members(const Expr& target, const ScopePtr& scope);

  Value lookup(const std::string& name, const ScopePtr& scope);
  Value eval_binary(const Expr& e, const ScopePtr& scope);
  Value eval_compare(const Expr& e, const ScopePtr& scope);
  Value eval_container(const Expr& e, const ScopePtr& scope);
  Value eval_concat(const Expr& e, const ScopePtr& scope);
  Value eval_filter(const Expr& e, const ScopePtr& scope);
  Value eval_condition(const Expr& e, const ScopePtr& scope);
  Args arguments(const Expr& e, const ScopePtr& scope, std::size_t first);

  const std::size_t output_limit_;
  const Dict& variables_;
  std::string* out_ = nullptr;
  const std::string* block_text_ = nullptr;  // what the filter chain of a block is applied to
};

}  // namespace pare::jinja
