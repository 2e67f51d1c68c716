// What Jinja decides when it compiles a template.
// Source: Jinja2 3.1, idtracking.py and compiler.py.
//
// Which variable a name means is settled per scope before anything runs: a name that a scope sets without
// having read it is a variable of that scope from its beginning, so a loop that reads it earlier finds it
// undefined, even when a variable of that name was passed to the template. `unset` lists these names.
#include <algorithm>
#include <set>

#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"
#include "text/jinja/unicode.h"

namespace pare::jinja {
namespace {

struct Names {
  const Names* parent = nullptr;  // the scope around this one
  const Names* base =
      nullptr;  // in a branch: the same scope in front of it; the sets hold what the branch adds
  std::set<std::string> seen, stored, unset;

  static Names branch_of(const Names& base) {
    Names out;
    out.parent = base.parent, out.base = &base;
    return out;
  }
  bool sees(const std::string& name) const {
    for (const Names* n = this; n; n = n->base)
      if (n->seen.count(name)) return true;
    return false;
  }
  bool stores(const std::string& name) const {
    for (const Names* n = this; n; n = n->base)
      if (n->stored.count(name)) return true;
    return false;
  }
  bool knows(const std::string& name) const {
    for (const Names* n = this; n; n = n->parent)
      if (n->sees(name)) return true;
    return false;
  }
  void load(const std::string& name) {
    if (!knows(name)) seen.insert(name);
  }
  void store(const std::string& name) {
    if (!stores(name)) stored.insert(name);
    if (sees(name)) return;
    if (!parent || !parent->knows(name)) unset.insert(name);
    seen.insert(name);
  }
  void parameter(const std::string& name) {
    stored.insert(name), seen.insert(name);
    unset.erase(name);
  }
  void merge(const std::vector<Names>& branches) {
    // What is set in some branches only lets the outer variable show through.
    for (const Names& b : branches) {
      seen.insert(b.seen.begin(), b.seen.end());
      stored.insert(b.stored.begin(), b.stored.end());
    }
    for (const Names& b : branches)
      for (const std::string& name : b.stored) unset.erase(name);
  }
  std::vector<std::string> hidden() const { return {unset.begin(), unset.end()}; }
};

template <class Visit>
void each_kid(const Expr& e, Visit&& visit) {
  for (const ExprPtr& kid : e.kids)
    if (kid) visit(*kid);
  for (const auto& [name, value] : e.named) visit(*value);
  if (e.star) visit(*e.star);
  if (e.double_star) visit(*e.double_star);
}

void load_names(const Expr& e, Names& names) {
  if (e.kind == Ex::name || e.kind == Ex::member) names.load(e.name);
  each_kid(e, [&](const Expr& kid) { load_names(kid, names); });
}

void store_names(const Expr& target, Names& names, bool as_parameter) {
  if (target.kind == Ex::member) return names.load(target.name);
  if (target.kind == Ex::name) return as_parameter ? names.parameter(target.name) : names.store(target.name);
  for (const ExprPtr& kid : target.kids) store_names(*kid, names, as_parameter);
}

// The names that the statements of one scope read and set; scopes inside of it are not entered.
void collect(const Block& body, Names& names) {
  for (const StmtPtr& s : body) {
    switch (s->kind) {
      case St::output:
        for (const ExprPtr& e : s->exprs) load_names(*e, names);
        break;
      case St::if_: {
        load_names(*s->exprs[0], names);
        std::vector<Names> branches(3, Names::branch_of(names));
        collect(s->body, branches[0]);
        collect(s->elifs, branches[1]);
        collect(s->orelse, branches[2]);
        names.merge(branches);
        break;
      }
      case St::for_:
        load_names(*s->exprs[0], names);
        break;
      case St::set:
        load_names(*s->exprs[0], names);
        store_names(*s->target, names, false);
        break;
      case St::set_block:
        store_names(*s->target, names, false);
        break;
      case St::macro:
        names.store(s->name);
        break;
      case St::call_block:
      case St::filter_block:
        load_names(*s->exprs[0], names);
        break;
      case St::with:
        for (const ExprPtr& e : s->exprs) load_names(*e, names);
        break;
      default:
        break;
    }
  }
}

// Which of caller, varargs and kwargs a macro's body reads before it sets them.
struct Specials {
  std::set<std::string> open = {"caller", "varargs", "kwargs"}, used;

  void expr(const Expr& e) {
    if (e.kind == Ex::name && open.count(e.name)) used.insert(e.name);
    each_kid(e, [&](const Expr& kid) { expr(kid); });
  }
  void target(const Expr& e) {
    if (e.kind == Ex::name) open.erase(e.name);
    for (const ExprPtr& kid : e.kids) target(*kid);
  }
  void block(const Block& body) {
    for (const StmtPtr& s : body) {
      if (s->kind == St::block) continue;
      if (s->kind == St::with || s->kind == St::for_ || s->kind == St::set_block) target(*s->target);
      if (s->kind == St::macro || s->kind == St::call_block)
        for (const std::string& name : s->parameters) open.erase(name);
      for (const ExprPtr& e : s->exprs)
        if (e) expr(*e);
      if (s->kind == St::set) target(*s->target);
      block(s->body), block(s->elifs), block(s->orelse);
    }
  }
};

class Checker {
 public:
  // `soft`: Jinja leaves names of filters and tests in branches to be found unknown when they are reached.
  void block(Block& body, const Names& names, bool soft) {
    for (StmtPtr& s : body) statement(*s, names, soft);
  }

 private:
  void expr(const Expr& e, bool soft) {
    if (e.kind == Ex::condition) soft = true;
    if (!soft && e.kind == Ex::filter && !find_filter(e.name) && !is_unsupported_filter(e.name))
      throw TemplateError(ErrorKind::syntax, e.line, fmt::format("No filter named {}.", text_repr(e.name)));
    if (!soft && e.kind == Ex::test && !find_test(e.name))
      throw TemplateError(ErrorKind::syntax, e.line, fmt::format("No test named {}.", text_repr(e.name)));
    each_kid(e, [&](const Expr& kid) { expr(kid, soft); });
  }

  void check_target(const Expr& target) {
    if (loops_ > 0 && target.kind == Ex::name && target.name == "loop")
      throw TemplateError(
          ErrorKind::syntax, target.line, "Can't assign to special loop variable in for-loop target");
    for (const ExprPtr& kid : target.kids) check_target(*kid);
  }

  std::vector<std::string> scope(Stmt& s, Block& body, const Names& outer, bool with_parameters) {
    Names names;
    names.parent = &outer;
    if (with_parameters) {
      if (s.target) store_names(*s.target, names, true);
      for (const std::string& p : s.parameters) names.parameter(p);
      if (s.kind == St::macro || s.kind == St::call_block) {
        const std::size_t first = s.kind == St::call_block ? 1 : 0;
        for (std::size_t i = first; i < s.exprs.size(); ++i) load_names(*s.exprs[i], names);
        for (const auto& [name, is_used] : {std::pair("caller", s.uses_caller),
                                            std::pair("varargs", s.uses_varargs),
                                            std::pair("kwargs", s.uses_kwargs)})
          if (is_used) names.parameter(name);
      }
    }
    collect(body, names);
    block(body, names, false);
    return names.hidden();
  }

  void macro(Stmt& s, const Names& names) {
    Specials specials;
    specials.block(s.body);
    auto is_parameter = [&](const char* name) {
      return std::find(s.parameters.begin(), s.parameters.end(), name) != s.parameters.end();
    };
    s.uses_caller = specials.used.count("caller") > 0;
    s.uses_varargs = specials.used.count("varargs") && !is_parameter("varargs");
    s.uses_kwargs = specials.used.count("kwargs") && !is_parameter("kwargs");
    const std::size_t defaults = s.exprs.size() - (s.kind == St::call_block ? 1 : 0);
    if (s.uses_caller && is_parameter("caller")) {
      const auto at = std::find(s.parameters.begin(), s.parameters.end(), "caller") - s.parameters.begin();
      if (static_cast<std::size_t>(at) + defaults < s.parameters.size())
        throw TemplateError(
            ErrorKind::syntax,
            s.line,
            "When defining macros or call blocks the special \"caller\" argument must be omitted or "
            "be given a default.");
    }
    outside_of_loops([&] { s.unset = scope(s, s.body, names, true); });
  }

  template <class Do>
  void outside_of_loops(Do&& what) {
    const bool was = in_loop_;
    in_loop_ = false;
    what();
    in_loop_ = was;
  }

  void statement(Stmt& s, const Names& names, bool soft) {
    const bool is_branch = s.kind == St::if_;
    for (const ExprPtr& e : s.exprs)
      if (e) expr(*e, soft || is_branch);
    if (s.target) check_target(*s.target);
    switch (s.kind) {
      case St::if_:
        block(s.body, names, true), block(s.elifs, names, true), block(s.orelse, names, true);
        break;
      case St::for_: {
        const bool was = in_loop_;
        in_loop_ = true, ++loops_;
        check_target(*s.target);
        s.unset = scope(s, s.body, names, true);
        in_loop_ = was && !s.recursive, --loops_;
        s.unset_orelse = scope(s, s.orelse, names, false);
        in_loop_ = was;
        break;
      }
      case St::macro:
      case St::call_block:
        macro(s, names);
        break;
      case St::generation:
        outside_of_loops([&] { s.unset = scope(s, s.body, names, false); });
        break;
      case St::block:
        outside_of_loops([&] { s.unset = scope(s, s.body, s.scoped ? names : Names(), false); });
        break;
      case St::set_block:
      case St::filter_block:
      case St::scope:
        s.unset = scope(s, s.body, names, false);
        break;
      case St::with:
        s.unset = scope(s, s.body, names, true);
        break;
      case St::break_:
      case St::continue_:
        if (!in_loop_)
          throw TemplateError(
              ErrorKind::syntax,
              s.line,
              s.kind == St::break_ ? "'break' outside loop" : "'continue' not properly in loop");
        break;
      default:
        break;
    }
  }

  bool in_loop_ = false;
  int loops_ = 0;
};

}  // namespace

std::vector<std::string> analyse(Block& body) {
  Names names;
  collect(body, names);
  Checker().block(body, names, false);
  return names.hidden();
}

}  // namespace pare::jinja
