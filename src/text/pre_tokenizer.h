// The pre-tokenisers of a tokenizer.json: each cuts a piece of text into smaller ones.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "base/json.h"

namespace pare {

/// A piece of the input on its way to the model.
struct TextPiece {
  std::string_view text;  // valid while the callback runs
  bool first;             // whether the input begins here
};
using EmitPiece = FunctionRef<void(const TextPiece&)>;

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  /// Calls `emit` for each piece, in order; none is empty.
  virtual void split(const TextPiece& piece, EmitPiece emit) const = 0;
};

struct PreTokenizers {
  std::vector<std::unique_ptr<PreTokenizer>> steps;  // each works on what the one before gives
  bool plain_bytes =
      false;  // the last step should spell bytes as byte characters, but left that to the model

  /// All steps, one after the other.
  void split(const TextPiece& piece, EmitPiece emit) const { split_from(0, piece, emit); }

 private:
  void split_from(std::size_t step, const TextPiece& piece, EmitPiece emit) const {
    if (step == steps.size()) return emit(piece);
    steps[step]->split(piece, [&](const TextPiece& p) { split_from(step + 1, p, emit); });
  }
};

/// null gives no step. `byte_model`: the model understands plain bytes, which saves spelling them. Throws a
/// user error naming `where` and the type when a component is not known.
PreTokenizers make_pre_tokenizers(const json& component, const std::string& where, bool byte_model);

}  // namespace pare
