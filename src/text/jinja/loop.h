// The variable `loop` of {% for %}.
#pragma once
#include <functional>
#include <optional>

#include "text/jinja/runtime.h"

namespace pare::jinja {

/// Looks one element ahead only when asked for last, nextitem or a length that is not known.
class Loop : public Special {
 public:
  /// `recurse` renders the loop over other values one level deeper; empty without the `recursive` marker.
  Loop(Runtime& runtime,
       const Value& over,
       int depth0,
       std::function<std::string(const Value&, int)> recurse);

  bool next(Runtime& runtime, Value& out);
  Value attribute(Runtime& runtime, std::string_view name) override;
  Value call(Runtime& runtime, const Args& args) override;
  std::string repr(Runtime& runtime) override;
  Value cycle(Runtime& runtime, const Args& args);
  Value changed(Runtime& runtime, const Args& args);
  /// The loop has ended: what it holds is let go.
  void release();

 private:
  bool peek(Runtime& runtime);
  i64 length(Runtime& runtime);

  Value over_;
  std::shared_ptr<Iterator> iterator_;
  std::optional<Value> after_, current_, before_;
  std::optional<std::vector<Value>> last_changed_;
  std::optional<i64> length_;
  i64 index0_ = -1;
  int depth0_;
  std::function<std::string(const Value&, int)> recurse_;
};

}  // namespace pare::jinja
