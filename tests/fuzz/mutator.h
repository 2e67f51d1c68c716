// Broken inputs from good ones: bytes, integers, lengths, pieces of other inputs.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"

namespace pare {

class Mutator {
 public:
  /// `words` are tokens of the format, put in anywhere.
  Mutator(u64 seed, std::vector<std::string> corpus, std::vector<std::string> words)
      : rng_(seed), corpus_(std::move(corpus)), words_(std::move(words)) {}

  /// One input of the corpus with one to eight changes.
  std::string next() {
    std::string text = pick(corpus_);
    for (i64 i = 1 + below(8); i > 0; --i) change(text);
    return text;
  }

 private:
  i64 below(std::size_t n) { return static_cast<i64>(rng_.below(static_cast<i64>(n))); }
  const std::string& pick(const std::vector<std::string>& from) {
    return from[static_cast<std::size_t>(below(from.size()))];
  }
  /// Half of the places lie in the first 200 bytes, where formats keep what matters most.
  std::size_t place(const std::string& text) {
    const std::size_t all = text.size() + 1;
    return static_cast<std::size_t>(below(below(2) ? all : std::min<std::size_t>(all, 200)));
  }

  void change(std::string& text) {
    const std::size_t at = place(text);
    const std::size_t left = text.size() - at;
    const auto length = static_cast<std::size_t>(below(std::min<std::size_t>(left, 64) + 1));
    switch (below(9)) {
      case 0:
        if (left) text[at] = static_cast<char>(below(256));
        break;
      case 1:
        if (left) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 2:
        text.erase(at, length);
        break;
      case 3:
        text.resize(at);
        break;
      case 4:
        text.insert(at, text.substr(at, length));
        break;
      case 5:
        overwrite(text, at);
        break;
      case 6:
        text.insert(at, pick(words_));
        break;
      case 7: {
        const std::string& other = pick(corpus_);
        const std::size_t from = place(other);
        text.replace(at, length, other.substr(from, static_cast<std::size_t>(below(200))));
        break;
      }
      default:
        replace_digits(text, at);
    }
  }

  /// An integer that is at a limit, in 1, 2, 4 or 8 bytes.
  void overwrite(std::string& text, std::size_t at) {
    static constexpr u64 kLimits[] = {0,
                                      1,
                                      0x7f,
                                      0x80,
                                      0xff,
                                      0x7fff,
                                      0xffff,
                                      0x7fffffff,
                                      0x80000000,
                                      0xffffffff,
                                      1ull << 40,
                                      1ull << 62,
                                      ~0ull >> 1,
                                      0x8000000000000000ull,
                                      ~0ull};
    const u64 value = kLimits[below(std::size(kLimits))];
    const std::size_t bytes = std::size_t{1} << below(4);
    for (std::size_t i = 0; i < bytes && at + i < text.size(); ++i)
      text[at + i] = static_cast<char>(value >> (8 * i) & 0xff);
  }

  /// The next number in the text becomes another one.
  void replace_digits(std::string& text, std::size_t at) {
    static const std::vector<std::string> kNumbers = {
        "0", "-1", "1e999", "4294967296", "9223372036854775808", "0.5", "true", "null", "[]", "\"\""};
    const std::size_t first = text.find_first_of("0123456789", at);
    if (first == text.npos) return;
    std::size_t last = first;
    while (last < text.size() && text[last] >= '0' && text[last] <= '9') ++last;
    text.replace(first, last - first, pick(kNumbers));
  }

  Rng rng_;
  std::vector<std::string> corpus_, words_;
};

}  // namespace pare
