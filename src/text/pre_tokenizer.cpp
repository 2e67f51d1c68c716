#include "text/pre_tokenizer.h"

#include <optional>

#include "base/error.h"
#include "text/bytes.h"
#include "text/component.h"
#include "text/split_pattern.h"
#include "text/split_words.h"
#include "text/unicode_classes.h"

namespace pare {
namespace {

constexpr const char* kKind = "pre_tokenizer";
constexpr const char* kKnown =
    "ByteLevel, Digits, Metaspace, Punctuation, Sequence, Split, Whitespace, WhitespaceSplit";

/// Cuts at a pattern.
class Split : public PreTokenizer {
 public:
  explicit Split(SplitPattern pattern) : pattern_(std::move(pattern)) {}
  void split(const TextPiece& piece, EmitPiece emit) const override {
    const char* begin = piece.text.data();
    pattern_.split(piece.text, [&](std::string_view text) {
      emit({text, piece.first && text.data() == begin});
    });
  }

 private:
  SplitPattern pattern_;
};

class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(bool prefix, bool words) : prefix_(prefix), words_(words) {}
  /// From now on bytes are given as they are. False when nothing is left to do.
  bool leave_bytes() {
    spell_ = false;
    return prefix_ || words_;
  }
  void split(const TextPiece& piece, EmitPiece emit) const override {
    std::string spaced;
    std::string_view text = piece.text;
    if (prefix_ && !text.starts_with(' ')) text = spaced.append(" ").append(text);
    const char* begin = text.data();
    const auto out = [&](std::string_view word) {
      const bool first = piece.first && word.data() == begin;
      if (spell_)
        emit({to_byte_characters(word), first});
      else
        emit({word, first});
    };
    if (words_)
      split_words(WordPattern::gpt2, text, out);
    else
      out(text);
  }

 private:
  bool prefix_, words_, spell_ = true;
};

class Metaspace : public PreTokenizer {
 public:
  enum class Prepend { first, never, always };
  Metaspace(std::string space, Prepend prepend, bool cut)
      : space_(std::move(space)), prepend_(prepend), cut_(cut) {}

  void split(const TextPiece& piece, EmitPiece emit) const override {
    std::string text;
    text.reserve(piece.text.size() + piece.text.size() / 2);
    const bool wanted = prepend_ == Prepend::always || (prepend_ == Prepend::first && piece.first);
    if (wanted && !piece.text.starts_with(' ') && !piece.text.starts_with(space_)) text = space_;
    for (std::size_t at = 0; at < piece.text.size();) {
      const std::size_t space = std::min(piece.text.find(' ', at), piece.text.size());
      text.append(piece.text, at, space - at);
      if (space < piece.text.size()) text += space_;
      at = space + 1;
    }
    if (!cut_) return emit({text, piece.first});
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t next = std::min(text.find(space_, at + 1), text.size());
      emit({std::string_view(text).substr(at, next - at), piece.first && at == 0});
      at = next;
    }
  }

 private:
  std::string space_;
  Prepend prepend_;
  bool cut_;
};

/// Runs of characters of one kind.
class CharRuns : public PreTokenizer {
 public:
  struct Rule {
    bool alone, dropped;  // whether the characters of a kind stand alone, whether they are left out
  };
  using Kind = int (*)(u32 code_point);
  CharRuns(Kind kind, Rule (*rule)(int kind)) : kind_(kind), rule_(rule) {}

  void split(const TextPiece& piece, EmitPiece emit) const override {
    const std::string_view text = piece.text;
    for (std::size_t at = 0; at < text.size();) {
      const Utf8Character first = character_at(text, at);
      const int kind = kind_(first.code_point);
      std::size_t end = at + first.bytes;
      while (!rule_(kind).alone && end < text.size()) {
        const Utf8Character next = character_at(text, end);
        if (kind_(next.code_point) != kind) break;
        end += next.bytes;
      }
      if (!rule_(kind).dropped) emit({text.substr(at, end - at), piece.first && at == 0});
      at = end;
    }
  }

 private:
  Kind kind_;
  Rule (*rule_)(int);
};

int number_or_not(u32 c) { return is_number(c); }
int space_or_not(u32 c) { return is_unicode_space(c); }
int space_word_or_sign(u32 c) { return is_unicode_space(c) ? 1 : is_word_character(c) ? 2 : 0; }

std::unique_ptr<PreTokenizer> digits(const Component& c) {
  if (c.flag("individual_digits", false))
    return std::make_unique<CharRuns>(
        number_or_not, [](int kind) { return CharRuns::Rule{.alone = kind == 1, .dropped = false}; });
  return std::make_unique<CharRuns>(number_or_not,
                                    [](int) { return CharRuns::Rule{.alone = false, .dropped = false}; });
}

std::unique_ptr<PreTokenizer> without_spaces(CharRuns::Kind kind) {
  return std::make_unique<CharRuns>(kind,
                                    [](int k) { return CharRuns::Rule{.alone = false, .dropped = k == 1}; });
}

SplitBehavior behavior_of(const Component& c) {
  const std::string name = c.text("behavior");
  if (name == "Removed") return SplitBehavior::removed;
  if (name == "Isolated") return SplitBehavior::isolated;
  if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
  if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
  if (name == "Contiguous") return SplitBehavior::contiguous;
  throw user_error(
      "{}: pre_tokenizer {}: behavior \"{}\" is not known; expected Removed, Isolated, MergedWithPrevious, "
      "MergedWithNext or Contiguous",
      c.where(),
      c.type(),
      name);
}

std::unique_ptr<PreTokenizer> metaspace(const Component& c) {
  const std::string space = c.has("replacement") ? c.text("replacement") : "\u2581";
  if (space.empty()) throw user_error("{}: Metaspace with an empty replacement", c.where());
  // Files of an older version say add_prefix_space instead.
  const std::string scheme = c.has("prepend_scheme")            ? c.text("prepend_scheme")
                             : c.flag("add_prefix_space", true) ? "always"
                                                                : "never";
  const bool first = scheme == "first", never = scheme == "never";
  if (!first && !never && scheme != "always")
    throw user_error(
        "{}: Metaspace with prepend_scheme \"{}\", expected first, never or always", c.where(), scheme);
  using Prepend = Metaspace::Prepend;
  return std::make_unique<Metaspace>(space,
                                     first   ? Prepend::first
                                     : never ? Prepend::never
                                             : Prepend::always,
                                     c.flag("split", true));
}

void add_steps(const json& fields, const std::string& where, PreTokenizers& out) {
  const Component c(fields, where, kKind);
  const std::string& type = c.type();
  if (type == "Sequence") {
    for (const json& part : c.list("pretokenizers")) add_steps(part, where, out);
  } else if (type == "ByteLevel") {
    out.steps.push_back(
        std::make_unique<ByteLevel>(c.flag("add_prefix_space", true), c.flag("use_regex", true)));
  } else if (type == "Split") {
    const Component::Pattern p = c.pattern();
    out.steps.push_back(
        std::make_unique<Split>(SplitPattern(p.text, p.regex, behavior_of(c), c.flag("invert", false))));
  } else if (type == "Metaspace") {
    out.steps.push_back(metaspace(c));
  } else if (type == "Digits") {
    out.steps.push_back(digits(c));
  } else if (type == "Whitespace") {
    out.steps.push_back(without_spaces(space_word_or_sign));
  } else if (type == "WhitespaceSplit") {
    out.steps.push_back(without_spaces(space_or_not));
  } else if (type == "Punctuation") {
    const SplitBehavior behavior = c.has("behavior") ? behavior_of(c) : SplitBehavior::isolated;
    out.steps.push_back(
        std::make_unique<Split>(SplitPattern("[!-/:-@\\[-`{-~]|\\p{P}", true, behavior, false)));
  } else {
    c.refuse(kKnown);
  }
}

}  // namespace

PreTokenizers make_pre_tokenizers(const json& fields, const std::string& where, bool byte_model) {
  PreTokenizers out;
  if (fields.is_null()) return out;
  add_steps(fields, where, out);
  auto* last = byte_model && !out.steps.empty() ? dynamic_cast<ByteLevel*>(out.steps.back().get()) : nullptr;
  out.plain_bytes = last != nullptr;
  if (last && !last->leave_bytes()) out.steps.pop_back();
  return out;
}

}  // namespace pare
