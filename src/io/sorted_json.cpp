#include "io/sorted_json.h"

#include <utility>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"

namespace pare {
namespace {

/// Builds the value from the parser's events. (The library's own builder with a callback looks at all
/// siblings whenever an object ends.)
class Builder final : public nlohmann::json_sax<sorted_json> {
 public:
  Builder(const std::string& where, int max_depth) : where_(where), max_depth_(max_depth) {}
  sorted_json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool key(string_t& value) override {
    key_ = std::move(value);
    return true;
  }
  bool start_object(std::size_t) override { return open(sorted_json::object()); }
  bool start_array(std::size_t) override { return open(sorted_json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& e) override {
    throw user_error("{}: not valid JSON: {}", where_, e.what());
  }

 private:
  sorted_json* place(sorted_json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) return &open_.back()->emplace_back(std::move(value));
    const auto [at, fresh] = open_.back()->emplace(key_, std::move(value));
    if (!fresh) throw user_error("{}: JSON key \"{}\" stands twice", where_, shown(key_));
    return &*at;
  }
  bool add(sorted_json value) {
    place(std::move(value));
    return true;
  }
  bool open(sorted_json value) {
    if (static_cast<int>(open_.size()) >= max_depth_)
      throw user_error("{}: JSON nested deeper than {} levels", where_, max_depth_);
    open_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  const std::string& where_;
  int max_depth_;
  sorted_json root_;
  std::vector<sorted_json*> open_;
  std::string key_;
};

}  // namespace

sorted_json parse_sorted_json(std::string_view text, const std::string& where, int max_depth) {
  if (!is_utf8(text)) throw user_error("{}: found bytes that are not UTF-8", where);
  Builder builder(where, max_depth);
  sorted_json::sax_parse(text, &builder);
  return builder.take();
}

}  // namespace pare
