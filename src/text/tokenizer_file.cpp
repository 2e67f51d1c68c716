#include "text/tokenizer_file.h"

#include <simdjson.h>

#include "base/error.h"
#include "base/file.h"

namespace pare {
namespace {

namespace dom = simdjson::dom;
constexpr int kMostDepth = 64;
// Ids may have gaps, but a huge id alone must not take memory.
constexpr i64 kMostGaps = 1'000'000;

class FileReader {
 public:
  explicit FileReader(const std::filesystem::path& file) : where_(file.string()) {
    const std::string text = read_file(file);
    if (const auto error = parser_.parse(text).get(root_)) {
      parse_json(text, where_, kMostDepth);  // says where the fault is
      throw user_error("{}: not valid JSON: {}", where_, simdjson::error_message(error));
    }
  }

  TokenizerFile read() {
    dom::element model;
    if (!root_.is_object() || root_["model"].get(model) || !model.is_object())
      throw user_error("{}: not a tokenizer.json: no \"model\"", where_);
    for (const auto& [key, value] : root_.get_object())
      add_key(out_.root, key, key == "model" ? small_part(value) : copy(value, 1));
    dom::element vocab, merges;
    if (!model["vocab"].get(vocab)) read_vocab(vocab);
    if (!model["merges"].get(merges)) read_merges(merges);
    return std::move(out_);
  }

 private:
  /// The model without its long parts.
  json small_part(const dom::element& model) {
    json out = json::object();
    for (const auto& [key, value] : model.get_object())
      add_key(out, key, key == "vocab" || key == "merges" ? json(true) : copy(value, 2));
    return out;
  }

  void add_key(json& object, std::string_view key, json value) const {
    if (object.contains(key)) throw user_error("{}: JSON key \"{}\" stands twice", where_, key);
    object[std::string(key)] = std::move(value);
  }

  json copy(const dom::element& e, int depth) const {
    if (depth > kMostDepth) throw user_error("{}: JSON nested deeper than {} levels", where_, kMostDepth);
    switch (e.type()) {
      case dom::element_type::OBJECT: {
        json out = json::object();
        for (const auto& [key, value] : e.get_object()) add_key(out, key, copy(value, depth + 1));
        return out;
      }
      case dom::element_type::ARRAY: {
        json out = json::array();
        for (const dom::element item : e.get_array()) out.push_back(copy(item, depth + 1));
        return out;
      }
      case dom::element_type::INT64:
        return i64{e};
      case dom::element_type::UINT64:
        return u64{e};
      case dom::element_type::DOUBLE:
        return double{e};
      case dom::element_type::STRING:
        return std::string(std::string_view(e));
      case dom::element_type::BOOL:
        return bool{e};
      case dom::element_type::NULL_VALUE:
        break;
    }
    return nullptr;
  }

  void read_vocab(const dom::element& vocab) {
    if (vocab.is_array()) return read_scored(vocab);
    if (!vocab.is_object()) throw user_error("{}: model.vocab is neither an object nor a list", where_);
    const dom::object pieces = vocab.get_object();
    const i64 most = static_cast<i64>(pieces.size()) + kMostGaps;
    out_.vocab.reserve(pieces.size());
    for (const auto& [piece, value] : pieces) {
      i64 id = -1;
      if (value.get(id) || id < 0 || id >= most)
        throw user_error(
            "{}: id {} of piece \"{}\" is not a token id", where_, simdjson::minify(value), piece);
      out_.vocab.emplace_back(piece, id);
    }
  }

  void read_scored(const dom::element& vocab) {
    for (const dom::element item : vocab.get_array()) {
      std::string_view piece;
      double score = 0;
      if (item.at(0).get(piece) || item.at(1).get(score))
        throw user_error("{}: entry {} of model.vocab is not [piece, score]",
                         where_,
                         simdjson::minify(item).substr(0, 60));
      out_.scored.emplace_back(piece, score);
    }
  }

  void read_merges(const dom::element& merges) {
    if (!merges.is_array()) throw user_error("{}: model.merges is not a list", where_);
    out_.merges.reserve(merges.get_array().size());
    for (const dom::element merge : merges.get_array()) {
      std::string_view left, right, both;
      if (!merge.get(both)) {
        const std::size_t space = both.find(' ');
        if (space == std::string_view::npos || space == 0 || space + 1 == both.size()) bad_merge(merge);
        left = both.substr(0, space), right = both.substr(space + 1);
      } else if (!merge.is_array() || merge.get_array().size() != 2 || merge.at(0).get(left) ||
                 merge.at(1).get(right)) {
        bad_merge(merge);
      }
      out_.merges.emplace_back(left, right);
    }
  }

  [[noreturn]] void bad_merge(const dom::element& merge) const {
    throw user_error(
        "{}: merge {} is neither \"a b\" nor [\"a\", \"b\"]", where_, simdjson::minify(merge).substr(0, 60));
  }

  std::string where_;
  dom::parser parser_;
  dom::element root_;
  TokenizerFile out_;
};

}  // namespace

TokenizerFile read_tokenizer_file(const std::filesystem::path& file) { return FileReader(file).read(); }

}  // namespace pare
