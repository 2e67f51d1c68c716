#include "text/jinja/loop.h"

namespace pare::jinja {
namespace {

struct Given : Iterator {  // what was read ahead to know the length
  Given(std::vector<Value> v) : Iterator("list_iterator", 1), values(std::move(v)) {}
  std::vector<Value> values;
  std::size_t at = 0;
  bool next(Runtime&, Value& out) override { return at < values.size() && (out = values[at++], true); }
};

}  // namespace

Loop::Loop(Runtime& rt, const Value& over, int depth0, std::function<std::string(const Value&, int)> recurse)
    : over_(over), iterator_(rt.iterate(over)), depth0_(depth0), recurse_(std::move(recurse)) {}

void Loop::release() {
  iterator_.reset();
  over_ = Value();
  after_.reset(), current_.reset(), before_.reset(), last_changed_.reset();
  recurse_ = nullptr;
}

bool Loop::next(Runtime& rt, Value& out) {
  Value v;
  if (after_) {
    v = std::move(*after_);
    after_.reset();
  } else if (!iterator_ || !iterator_->next(rt, v)) {
    return false;
  }
  ++index0_;
  before_ = std::move(current_);
  current_ = v;
  out = std::move(v);
  return true;
}

bool Loop::peek(Runtime& rt) {
  if (after_) return true;
  Value v;
  if (!iterator_ || !iterator_->next(rt, v)) return false;
  after_ = std::move(v);
  return true;
}

i64 Loop::length(Runtime& rt) {
  if (length_) return *length_;
  i64 n = rt.length_or_none(over_);
  if (n < 0 && iterator_) {
    std::vector<Value> rest;
    for (Value v; iterator_->next(rt, v);) {
      rt.made(sizeof(Value));
      rest.push_back(std::move(v));
    }
    n = static_cast<i64>(rest.size()) + index0_ + 1 + (after_ ? 1 : 0);
    iterator_ = std::make_shared<Given>(std::move(rest));
  }
  length_ = n;
  return n;
}

Value Loop::attribute(Runtime& rt, std::string_view name) {
  if (name == "index") return index0_ + 1;
  if (name == "index0") return index0_;
  if (name == "first") return index0_ == 0;
  if (name == "last") return !peek(rt);
  if (name == "length") return length(rt);
  if (name == "revindex") return length(rt) - index0_;
  if (name == "revindex0") return length(rt) - index0_ - 1;
  if (name == "depth") return depth0_ + 1;
  if (name == "depth0") return depth0_;
  if (name == "previtem")
    return index0_ > 0 && before_ ? *before_ : Value::undefined("there is no previous item");
  if (name == "nextitem") return peek(rt) ? *after_ : Value::undefined("there is no next item");
  return Value::missing();
}

Value Loop::call(Runtime& rt, const Args& args) {
  const Value over = rt.bind(args, "loop", {"iterable"}, 1)[0];
  if (!recurse_)
    rt.fail(ErrorKind::type, "The loop must have the 'recursive' marker to be called recursively.");
  const auto recurse = recurse_;
  return rt.string(recurse(over, depth0_ + 1));
}

std::string Loop::repr(Runtime& rt) { return fmt::format("<LoopContext {}/{}>", index0_ + 1, length(rt)); }

Value Loop::cycle(Runtime& rt, const Args& args) {
  if (args.list.empty()) rt.fail(ErrorKind::type, "no items for cycling given");
  return args.list[static_cast<std::size_t>(index0_) % args.list.size()];
}

Value Loop::changed(Runtime& rt, const Args& args) {
  bool same = last_changed_ && last_changed_->size() == args.list.size();
  for (std::size_t i = 0; same && i < args.list.size(); ++i)
    same = rt.equal((*last_changed_)[i], args.list[i]);
  if (!same && iterator_) last_changed_ = args.list;  // not after the end: nothing would let it go
  return !same;
}

}  // namespace pare::jinja
