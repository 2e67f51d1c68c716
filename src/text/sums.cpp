#include "text/sums.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "text/sums_templates.h"

namespace pare {
namespace {

constexpr u64 kTestOneIn = 16;

u64 fnv1a(const std::string& text) {
  u64 hash = 14695981039346656037ull;
  for (const char c : text) hash = (hash ^ static_cast<u8>(c)) * 1099511628211ull;
  return hash ^ (hash >> 29);
}

struct Signed {
  Problem problem;
  std::string signature;
};

/// Draws until a problem of the wanted split comes up; each problem has a random stream of its own.
Signed make_one(i64 index, u64 seed, Split split) {
  Rng rng(seed, (static_cast<u64>(index) << 1) | (split == Split::test ? 1 : 0));
  const auto& templates = sums_templates();
  for (;;) {
    const SumsTemplate& t = templates[static_cast<std::size_t>(rng.below(static_cast<i64>(templates.size())))];
    SumsDraft draft(rng);
    t.write(draft);
    std::string signature = t.id;
    for (const i64 n : draft.numbers) signature += fmt::format("|{}", n);
    const bool test = fnv1a(signature) % kTestOneIn == 0;
    if (test != (split == Split::test)) continue;
    return {{draft.question, draft.answer + fmt::format("#### {}", draft.result)}, signature};
  }
}

}  // namespace

std::vector<Problem> make_sums(i64 n, u64 seed, Split split) {
  if (n < 0) throw user_error("sums: found n = {}, expected 0 or more", n);
  std::vector<Problem> out;
  for (i64 i = 0; i < n; ++i) out.push_back(make_one(i, seed, split).problem);
  return out;
}

std::vector<std::string> sums_signatures(i64 n, u64 seed, Split split) {
  std::vector<std::string> out;
  for (i64 i = 0; i < n; ++i) out.push_back(make_one(i, seed, split).signature);
  return out;
}

i64 sums_template_count() { return static_cast<i64>(sums_templates().size()); }

void write_problems(const std::filesystem::path& file, const std::vector<Problem>& problems) {
  std::string text;
  for (const Problem& p : problems) text += json({{"question", p.question}, {"answer", p.answer}}).dump() + "\n";
  write_file_atomic(file, text);
}

}  // namespace pare
