// An answer does not depend on the batch it is made in; it ends where it must; requests that cannot be run
// are named.
#include "infer/generate.h"

#include "backends.h"
#include "model/fixture.h"

namespace pare {
namespace {

std::vector<GenerateRequest> mixed_requests(const Model& m, i64 n) {
  std::vector<GenerateRequest> out;
  Rng rng(5);
  for (i64 i = 0; i < n; ++i) {
    GenerateRequest r;
    const i64 T = i % 3 == 0 ? rng.between(1, 3) : rng.between(20, 90);
    for (i64 t = 0; t < T; ++t) r.prompt.push_back(static_cast<i32>(rng.below(m.config.V)));
    r.max_new_tokens = rng.between(1, 24);
    out.push_back(r);
  }
  return out;
}

/// Every request by itself, drawing from the stream it has in the whole.
std::vector<Completion> one_by_one(const Model& m,
                                   const std::vector<GenerateRequest>& requests,
                                   const GenerateOptions& o) {
  std::vector<Completion> out;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    GenerateRequest r = requests[i];
    r.stream = static_cast<i64>(i);
    out.push_back(generate(m, nullptr, {r}, o)[0]);
  }
  return out;
}

void expect_equal(const std::vector<Completion>& got, const std::vector<Completion>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].ids, want[i].ids) << "request " << i;
    EXPECT_EQ(got[i].finish, want[i].finish) << "request " << i;
    EXPECT_EQ(got[i].text, want[i].text) << "request " << i;
    EXPECT_EQ(got[i].prompt_tokens, want[i].prompt_tokens) << "request " << i;
  }
}

class Generate : public testing::TestWithParam<std::string> {
 protected:
  Generate() : model_(load_model(fixture::dir(GetParam()))) {}
  Model model_;
};

TEST_P(Generate, BatchesAnswerTokenForTokenLikeSingleRequests) {
  const std::vector<GenerateRequest> requests = mixed_requests(model_, 11);
  GenerateOptions greedy, drawn;
  drawn.sampler = {.temperature = 1.3, .top_k = 40, .top_p = 0.95, .seed = 9};
  drawn.stop_ids = {7, 11, 13};
  for (const GenerateOptions& o : {greedy, drawn}) {
    set_threads(1);
    const std::vector<Completion> want = one_by_one(model_, requests, o);
    const struct {
      int threads;
      i64 batch, prefill_rows;
    } ways[] = {{1, 1, 1024}, {2, 4, 1024}, {3, 16, 1}, {2, 16, 100}, {8, 100, 4096}, {1, 3, 50}};
    for (const auto& [count, batch, prefill_rows] : ways) {
      SCOPED_TRACE(fmt::format("{} threads, batches of {}, {} rows of prompts", count, batch, prefill_rows));
      set_threads(count);
      GenerateOptions some = o;
      some.batch = batch;
      some.prefill_rows = prefill_rows;
      expect_equal(generate(model_, nullptr, requests, some), want);
    }
    set_threads(0);
  }
}

TEST_P(Generate, EndsBeforeAStopIdWhereverItComes) {
  GenerateRequest r{{1, 2, 3, 4, 5}, 20};
  const std::vector<i32> free = generate(model_, nullptr, {r}, {})[0].ids;
  ASSERT_EQ(free.size(), 20u);
  for (std::size_t at = 0; at < free.size(); ++at) {
    GenerateOptions o;
    o.stop_ids = {100000, free[at]};
    const Completion c = generate(model_, nullptr, {r}, o)[0];
    const auto first = std::find(free.begin(), free.end(), free[at]);
    EXPECT_EQ(c.ids, std::vector<i32>(free.begin(), first));
    EXPECT_EQ(c.finish, Finish::stop);
    EXPECT_EQ(c.prompt_tokens, 5);
    EXPECT_EQ(c.text, "") << "no tokenizer, no text";
  }
}

TEST_P(Generate, StopsWhereThePositionsEnd) {
  const i64 room = model_.config.max_positions;
  GenerateRequest r;
  r.prompt.assign(static_cast<std::size_t>(room - 3), 1);
  r.max_new_tokens = 1000;
  const Completion c = generate(model_, nullptr, {r}, {})[0];
  EXPECT_EQ(c.ids.size(), 3u);
  EXPECT_EQ(c.finish, Finish::length);
}

INSTANTIATE_TEST_SUITE_P(Models,
                         Generate,
                         testing::ValuesIn(fixture::random_models()),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Generation, TellsOfEveryTokenAndEveryEndOnce) {
  const Model m = load_model(fixture::dir("qwen3"));
  const std::vector<GenerateRequest> requests = mixed_requests(m, 7);
  std::vector<std::vector<i32>> heard(requests.size());
  std::vector<i64> ends;
  GenerateOptions o;
  o.batch = 3;
  const auto all = generate(
      m,
      nullptr,
      requests,
      o,
      [&](i64 request, i32 id) { heard[static_cast<std::size_t>(request)].push_back(id); },
      [&](i64 request, const Completion& c) {
        EXPECT_EQ(c.ids, heard[static_cast<std::size_t>(request)]) << "at its end";
        ends.push_back(request);
      });
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].ids, heard[i]);
    EXPECT_EQ(static_cast<i64>(all[i].ids.size()), requests[i].max_new_tokens);
  }
  std::sort(ends.begin(), ends.end());
  EXPECT_EQ(ends, (std::vector<i64>{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_TRUE(generate(m, nullptr, {}, o).empty());
  EXPECT_STREQ(finish_name(Finish::stop), "stop");
  EXPECT_STREQ(finish_name(Finish::length), "length");
}

TEST(Generation, CutsTheTextBeforeTheFirstStopString) {
  const std::filesystem::path dir = std::filesystem::path(PARE_SOURCE) / "models/sums-3m";
  const Model m = load_model(dir);
  const auto tokenizer = Tokenizer::load(dir);
  GenerateRequest r{
      tokenizer->encode("Question: Tom has 12 apples. He buys 5 more.\nAnswer:", {.add_special = true}), 40};
  const Completion whole = generate(m, tokenizer.get(), {r}, {})[0];
  EXPECT_EQ(whole.text, tokenizer->decode(whole.ids));
  ASSERT_GT(whole.text.size(), 20u);
  // Every piece of the text is a stop string in turn; what remains is what stands before its first place.
  for (std::size_t begin = 0; begin + 3 < whole.text.size(); begin += 2) {
    const std::string stop = whole.text.substr(begin, 3);
    GenerateOptions o;
    o.stop_strings = {"never in this text", stop};
    const Completion c = generate(m, tokenizer.get(), {r}, o)[0];
    EXPECT_EQ(c.text, whole.text.substr(0, whole.text.find(stop))) << "stop string '" << stop << "'";
    EXPECT_EQ(c.finish, Finish::stop);
    EXPECT_LE(c.ids.size(), whole.ids.size());
  }
  GenerateOptions o;
  o.stop_strings = {"never in this text"};
  EXPECT_EQ(generate(m, tokenizer.get(), {r}, o)[0].text, whole.text);
}

TEST(Generation, EndsWithTheAnswerPattern) {
  const std::filesystem::path dir = std::filesystem::path(PARE_SOURCE) / "models/sums-3m";
  const Model m = load_model(dir);
  const auto tokenizer = Tokenizer::load(dir);
  GenerateRequest r{
      tokenizer->encode("Question: Tom has 12 apples. He buys 5 more.\nAnswer:", {.add_special = true}), 40};
  const std::string whole = generate(m, tokenizer.get(), {r}, {})[0].text;
  GenerateOptions o;
  o.answer_pattern = "[0-9]+[^0-9]";
  const Completion c = generate(m, tokenizer.get(), {r}, o)[0];
  const auto match = Regex(o.answer_pattern).find(whole);
  ASSERT_TRUE(match) << whole;
  EXPECT_EQ(c.text, whole.substr(0, match->end));
  EXPECT_EQ(c.finish, Finish::stop);
}

TEST(Generation, LogitsThatAreNaNEndTheJobAndNameTheirRequest) {
  Model m = load_model(fixture::dir("qwen3"));
  m.params = dense_copy(m.params, m.config);
  f32_of(m.params.embed).f32()[11 * m.config.D] = NAN;
  try {
    generate(m, nullptr, {{{1, 2}, 3}, {{1, 11, 2}, 3}}, {});
    ADD_FAILURE() << "made an answer";
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::job);
    for (const char* part : {"prompt 1", "NaN"})
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos);
  }
}

TEST(Generation, RequestsThatCannotBeRunAreNamed) {
  const Model m = load_model(fixture::dir("qwen3"));
  const GenerateRequest good{{1, 2}, 3};
  GenerateRequest empty = good, low = good, high = good, full = good, none = good;
  empty.prompt.clear();
  low.prompt[1] = -1;
  high.prompt[1] = 320;
  full.prompt.assign(256, 1);
  none.max_new_tokens = 0;
  const std::pair<GenerateRequest, std::vector<std::string>> cases[] = {
      {empty, {"prompt 1 is empty"}},
      {low, {"prompt 1", "id -1", "0 to 319"}},
      {high, {"prompt 1", "id 320", "0 to 319"}},
      {full, {"prompt 1", "256 tokens", "256 positions"}},
      {none, {"max_new_tokens", "0"}}};
  const auto expect_refused =
      [&](const GenerateRequest& second, const GenerateOptions& o, const std::vector<std::string>& parts) {
        i64 tokens = 0;
        try {
          generate(m, nullptr, {good, second}, o, [&](i64, i32) { ++tokens; });
          ADD_FAILURE() << "accepted: " << parts[0];
        } catch (const Error& e) {
          EXPECT_EQ(e.fault(), Fault::user);
          for (const std::string& part : parts)
            EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what() << " lacks " << part;
        }
        EXPECT_EQ(tokens, 0) << "refused before any work";
      };
  for (const auto& [request, parts] : cases) expect_refused(request, {}, parts);
  GenerateOptions o;
  o.stop_strings = {"x"};
  expect_refused(good, o, {"tokenizer"});
  expect_refused(good, {.sampler = {.temperature = -1}}, {"temperature"});
}

}  // namespace
}  // namespace pare
