#include "text/sums.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "text/sums_templates.h"

namespace pare {
namespace {

constexpr u64 kTestOneIn = 16;

u64 hash_of_notes(std::string_view answer) {
  u64 hash = 0xcbf29ce484222325u;  // FNV-1a, then the finalizer of splitmix64 for the low bits
  for (std::size_t open = answer.find("<<"); open != std::string_view::npos;
       open = answer.find("<<", open + 2)) {
    for (const char c : answer.substr(open, answer.find(">>", open) - open)) {
      hash = (hash ^ static_cast<u8>(c)) * 0x100000001b3u;
    }
  }
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebu;
  return hash ^ (hash >> 31);
}

/// Draws until a problem of the wanted split comes up; each problem has a random stream of its own.
Problem make_one(i64 index, u64 seed, Split split) {
  Rng rng(seed, (static_cast<u64>(index) << 1) | (split == Split::test ? 1 : 0));
  const auto& templates = sums_templates();
  for (;;) {
    const auto chosen = static_cast<std::size_t>(rng.below(static_cast<i64>(templates.size())));
    SumsDraft draft(rng);
    templates[chosen](draft);
    // "1 apples": every noun is a plural.
    if (draft.has_one || split_of(draft.answer) != split) continue;
    return {draft.question, draft.answer + fmt::format("#### {}", draft.result)};
  }
}

/// The note at the start of `rest`; moves `rest` behind it and its result. "" when it is right.
std::string find_wrong_note(std::string_view& rest, i64& result) {
  const std::string shown(rest.substr(0, std::min(rest.find(">>"), rest.size())));
  const char* end = rest.data() + rest.size();
  i64 a = 0, b = 0, repeated = 0;
  const auto [op, e1] = std::from_chars(rest.data() + 2, end, a);
  if (e1 != std::errc{} || op == end) return "not a calculation: " + shown;
  const auto [equals, e2] = std::from_chars(op + 1, end, b);
  if (e2 != std::errc{} || equals == end || *equals != '=') return "not a calculation: " + shown;
  const auto [close, e3] = std::from_chars(equals + 1, end, result);
  if (e3 != std::errc{} || !std::string_view(close, end).starts_with(">>"))
    return "not a calculation: " + shown;
  const bool holds = *op == '+'   ? a + b == result
                     : *op == '-' ? a - b == result
                     : *op == '*' ? a * b == result
                     : *op == '/' ? b != 0 && result * b == a
                                  : false;
  if (!holds || result < 0) return "wrong: " + shown;
  const auto [after, e4] = std::from_chars(close + 2, end, repeated);
  if (e4 != std::errc{} || repeated != result) return "not followed by its result: " + shown;
  rest = std::string_view(after, end);
  return "";
}

}  // namespace

Split split_of(std::string_view answer) {
  return hash_of_notes(answer) % kTestOneIn == 0 ? Split::test : Split::train;
}

std::string find_wrong_step(std::string_view answer) {
  std::string_view rest = answer;
  std::optional<i64> last;
  for (std::size_t at = rest.find("<<"); at != std::string_view::npos; at = rest.find("<<")) {
    rest.remove_prefix(at);
    i64 result = 0;
    if (std::string wrong = find_wrong_note(rest, result); !wrong.empty()) return wrong;
    last = result;
  }
  if (!last) return "no calculation";
  const std::string line = fmt::format("\n#### {}", *last);
  return answer.ends_with(line) ? "" : fmt::format("the last line is not \"{}\"", line.substr(1));
}

std::vector<Problem> make_sums(i64 n, u64 seed, Split split) {
  if (n < 0) throw user_error("sums: found n = {}, expected 0 or more", n);
  std::vector<Problem> out;
  for (i64 i = 0; i < n; ++i) out.push_back(make_one(i, seed, split));
  return out;
}

i64 sums_template_count() { return static_cast<i64>(sums_templates().size()); }

void write_sums_jsonl(const std::filesystem::path& file, const std::vector<Problem>& problems) {
  std::string text;
  for (const Problem& p : problems)
    text += json{{"question", p.question}, {"answer", p.answer}}.dump() + "\n";
  write_file_atomic(file, text);
}

}  // namespace pare
