// Answers that are JSON objects: which tokens may come next, whatever the model would like to say.
//
// A pushdown automaton over bytes knows every prefix of a JSON object (RFC 8259, UTF-8 well-formed, \u
// escapes in whole surrogate pairs). A token may come next when the automaton takes its bytes; the others'
// logits become −∞ before anything is chosen, so greedy takes the likeliest allowed token, and sampling draws
// from the model's distribution restricted to allowed ones. Source: Willard & Louf 2023, arXiv:2307.09702
// (masks from an automaton); the automaton is our own.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace pare {

/// How far an object has come. Cheap to copy.
class JsonState {
 public:
  /// Most nested objects and arrays, bytes of white space in a row, bytes of a number, and digits of its
  /// exponent: what a model could write for ever, or a parser cannot hold.
  static constexpr std::size_t kMostDepth = 64, kMostSpace = 64, kMostNumber = 64, kMostExponent = 2;

  /// Takes the next byte; false when it cannot come here, and then this state is good for nothing more.
  bool accept(char c);
  /// The object is whole; only white space may follow.
  bool complete() const { return at_ == At::end; }
  /// Inside a string, between two characters.
  bool in_string() const { return at_ == At::string && continuation_ == 0; }

 private:
  enum class At : u8 {
    start,
    value,
    first_element,
    first_key,
    key,
    colon,
    after_value,
    literal,
    minus,
    zero,
    integer,
    point,
    fraction,
    exponent,
    exponent_sign,
    exponent_digits,
    string,
    escape,
    hex,
    low_backslash,
    low_u,
    end
  };

  bool structure(char c);
  bool begin_value(char c);
  bool number(char c);
  bool number_goes_on(char c);
  bool text(char c);
  bool character(u8 byte);
  bool hex_digit(char c);
  bool open(char bracket);
  bool close(char bracket);
  bool to(At at) {
    at_ = at;
    return true;
  }

  At at_ = At::start;
  bool is_key_ = false;                       // the string
  u8 continuation_ = 0, low_ = 0, high_ = 0;  // bytes of a character to come; limits of the next one
  u8 digits_ = 0;                             // of a \u escape or an exponent so far
  bool want_low_ = false;                     // it is the second half of a pair
  u32 code_ = 0;
  std::size_t space_ = 0, number_ = 0;  // bytes so far
  const char* literal_ = "";            // what is left of true, false, null
  std::string open_;                    // '{' and '['
};

/// The bytes of all tokens, prepared for masks. Immutable; safe to use from several threads.
class JsonVocabulary {
 public:
  /// `never`: tokens that may not come, as stop ids, which would end an object in its middle; special ones do
  /// not either. Takes a second for 10⁵ tokens.
  explicit JsonVocabulary(const Tokenizer& tokenizer, std::span<const i32> never = {});

  /// Sets the logits of all tokens that may not come next to −∞; a NaN stays. Throws a job error when no
  /// token may.
  void mask(const JsonState& state, std::span<float> logits) const;
  /// REQUIRES: `id` may come next.
  void advance(JsonState& state, i32 id) const;

 private:
  bool allows(const JsonState& state, std::size_t id) const;

  std::vector<std::string> bytes_;  // by id; "" never allowed: special tokens, and ids that stand for nothing
  std::vector<u8> plain_;           // nothing but whole characters of a string
};

}  // namespace pare
