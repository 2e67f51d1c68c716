// The templates of text/sums.h: each draws its numbers and writes a problem around them.
#pragma once
#include <string>
#include <vector>

#include "base/rng.h"

namespace pare {

/// What a template writes.
class SumsDraft {
 public:
  explicit SumsDraft(Rng& rng) : rng_(rng) {}

  /// Words, each at most once in a problem.
  const std::string& name();
  const std::string& thing();
  const std::string& place();
  const std::string& baked();
  const std::string& fruit();
  /// "buys", "finds", …
  const std::string& gets();
  /// "gives away", "sells", …
  const std::string& loses();
  /// A number in [low, high].
  i64 number(i64 low, i64 high);

  /// Adds a sentence to the question.
  void ask(const std::string& text);
  /// Adds a step "text a∘b=<<a∘b=c>>c unit." and returns c. Numbers are whole; division is exact.
  i64 step(const std::string& text, i64 a, char op, i64 b, const std::string& unit);

  std::string question, answer;
  i64 result = 0;
  bool has_one = false;  // some number is 1

 private:
  /// A word that this draft has not used yet.
  const std::string& pick(const std::vector<std::string>& words);
  Rng& rng_;
  std::vector<const std::string*> used_;
};

using SumsTemplate = void (*)(SumsDraft& d);
const std::vector<SumsTemplate>& sums_templates();

}  // namespace pare
