// Whatever comes, goes and runs beside it, with whatever budgets: every request gets the tokens it gets
// alone, no block is lost, and every count is exact after every step; with drafts, right and wrong ones, too.
#include <map>
#include <set>

#include "base/rng.h"
#include "base/threads.h"
#include "infer/drafters.h"
#include "infer/one_by_one.h"
#include "infer/scheduler.h"
#include "model/fixture.h"

namespace pare {
namespace {

/// Requests whose prompts begin alike, of three clients.
struct Requests {
  explicit Requests(const Model& model, u64 seed) : m(model), rng(seed, 1) {
    for (auto& stem : stems)
      for (int i = 0; i < 100; ++i) stem.push_back(random_id());
  }
  i32 random_id() { return static_cast<i32>(rng.below(m.config.V)); }

  Request next() {
    Request r;
    const std::vector<i32>& stem = stems[static_cast<std::size_t>(rng.below(2))];
    r.prompt.assign(stem.begin(), stem.begin() + rng.below(101));
    for (i64 tail = rng.between(1, 20); tail > 0; --tail) r.prompt.push_back(random_id());
    r.max_new_tokens = rng.between(1, 40);
    r.stream = rng.next_u32();
    r.logprobs = rng.below(2) ? 3 : -1;
    r.client = std::string(1, static_cast<char>('a' + rng.below(3)));
    if (rng.below(2)) r.sampler = {.temperature = 1.2, .top_k = 50, .seed = rng.next_u32()};
    if (rng.below(3) == 0) r.sampler.repetition_penalty = 1.3;
    if (rng.below(3) == 0)
      for (int i = 0; i < 20; ++i) r.stop_ids.push_back(random_id());
    return r;
  }

  const Model& m;
  Rng rng;
  std::vector<i32> stems[2];
};

/// Ways to draft: none, or long drafts whether they pay or not, from models that fit always, never and now
/// and then, with a budget that holds some of the requests.
struct Drafters {
  explicit Drafters(const Model& m) : target(m), worst(contrary(m)), part(first_layers(m, m.config.L - 1)) {}

  SpeculationOptions next(Rng& rng) const {
    const Model* models[] = {&target, &worst, &part};
    SpeculationOptions o;
    o.speculate = static_cast<Speculate>(rng.below(3));
    o.draft_model = models[rng.below(3)];
    o.draft_kv_bytes = rng.below(3) * 4 * KvPool::block_bytes(o.draft_model->config);
    o.max_draft = rng.between(1, 12);
    o.always = rng.below(4) > 0;
    return o;
  }

  const Model &target, worst, part;
};

/// The longest request takes 5 blocks: 120 tokens of prompt, 40 new ones.
SchedulerOptions random_options(const Model& m, Rng& rng) {
  SchedulerOptions o;
  o.kv_bytes = rng.between(5, 10) * KvPool::block_bytes(m.config);
  if (rng.below(6) == 0) o.kv_bytes = 0;
  o.max_sequences = rng.between(1, 8);
  o.max_batched_tokens = o.max_sequences + (rng.below(3) ? 40 + rng.below(150) : rng.below(12));
  return o;
}

/// Blocks are referred to as often as requests that run have them, and no block otherwise.
void expect_exact(const Scheduler& s, const SchedulerOptions& o, i64 block_bytes) {
  const KvPool& pool = s.pool();
  std::map<i32, i64> references;
  for (const RunningRequest& r : s.running_requests()) {
    // A prompt that is not through has room for all of it; the last token of an answer has none yet.
    ASSERT_GE(static_cast<i64>(r.blocks.size()), KvPool::blocks_for(r.tokens - 1)) << "request " << r.request;
    ASSERT_LE(static_cast<i64>(r.blocks.size()), KvPool::blocks_for(r.tokens)) << "request " << r.request;
    ASSERT_LT(r.computed, r.tokens);
    for (const i32 block : r.blocks) ++references[block];
  }
  for (const auto& [block, n] : references) ASSERT_EQ(pool.references(block), n) << "block " << block;
  ASSERT_EQ(pool.used(), static_cast<i64>(references.size()));
  ASSERT_EQ(pool.used() + pool.cached() + pool.free(), pool.total());
  if (o.kv_bytes > 0) {
    ASSERT_EQ(pool.total(), o.kv_bytes / block_bytes);
    ASSERT_LE(pool.bytes(), o.kv_bytes);
  } else {
    ASSERT_EQ(pool.bytes(), pool.used() * block_bytes);
  }
  ASSERT_LE(s.running(), o.max_sequences);
}

struct Life {
  Request request;
  std::vector<i32> heard;
  std::vector<Completion> ends;
};

class Traffic {
 public:
  Traffic(const Model& m, u64 seed, const Drafters* drafters)
      : m_(m), rng_(seed, 2), requests_(m, seed), options_(random_options(m, rng_)) {
    if (drafters) options_.speculation = drafters->next(rng_);
  }

  SchedulerCounts run() {
    Scheduler s(m_, nullptr, options_);
    const i64 count = 20, block_bytes = KvPool::block_bytes(m_.config);
    for (i64 steps = 0; submitted_ < count || s.running() + s.waiting() > 0; ++steps) {
      if (steps >= 3000) {
        ADD_FAILURE() << "no end";
        break;
      }
      if (submitted_ < count && rng_.below(2) == 0) submit(s);
      if (submitted_ > 0 && rng_.below(25) == 0) cancel(s, rng_.below(submitted_));
      const i64 rows = s.counts().rows;
      s.step();
      EXPECT_LE(s.counts().rows - rows, options_.max_batched_tokens);
      expect_exact(s, options_, block_bytes);
      if (testing::Test::HasFatalFailure()) return {};
    }
    EXPECT_EQ(s.pool().used(), 0) << "blocks were lost";
    return s.counts();
  }

  void expect_the_tokens_of_each_alone() const {
    for (const auto& [id, life] : lives_) {
      SCOPED_TRACE(fmt::format("request {}", id));
      ASSERT_EQ(life.ends.size(), 1u) << "told of its end once";
      const Completion& found = life.ends[0];
      Completion want = answer_alone(m_, nullptr, life.request);
      EXPECT_EQ(found.ids, life.heard);
      if (found.finish == Finish::cancelled) {
        ASSERT_LE(found.ids.size(), want.ids.size());
        want.ids.resize(found.ids.size());
        want.logprobs.resize(found.logprobs.size());
      } else {
        EXPECT_EQ(found.finish, want.finish);
      }
      EXPECT_EQ(found.ids, want.ids);
      EXPECT_TRUE(same_logprobs(found, want));
    }
  }
  i64 cancelled() const { return cancelled_; }

 private:
  void submit(Scheduler& s) {
    Request r = requests_.next();
    const i64 id = submitted_++;
    Life& life = lives_[id];
    life.request = r;
    r.on_token = [this, &s, id](i64 request, i32 token) {
      EXPECT_EQ(request, id);
      lives_[id].heard.push_back(token);
      if (rng_.below(60) == 0) cancel(s, rng_.below(submitted_));  // in the middle of a step
    };
    r.on_done = [this, id](i64 request, const Completion& c) {
      EXPECT_EQ(request, id);
      lives_[id].ends.push_back(c);
    };
    EXPECT_EQ(s.submit(std::move(r)), id);
  }
  void cancel(Scheduler& s, i64 id) {
    const bool over = !lives_[id].ends.empty();
    const bool done = s.cancel(id);
    EXPECT_FALSE(done && over);
    cancelled_ += done;
  }

  const Model& m_;
  Rng rng_;
  Requests requests_;
  SchedulerOptions options_;
  std::map<i64, Life> lives_;
  i64 submitted_ = 0, cancelled_ = 0;
};

class SchedulerTraffic : public testing::TestWithParam<std::string> {};

/// Returns the counts of all together.
SchedulerCounts run_traffic(const Model& m, u64 first_seed, u64 seeds, const Drafters* drafters) {
  set_threads(1);  // the models are too small for more
  SchedulerCounts all;
  i64 cancelled = 0;
  for (u64 seed = first_seed; seed < first_seed + seeds; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Traffic traffic(m, seed, drafters);
    const SchedulerCounts counts = traffic.run();
    traffic.expect_the_tokens_of_each_alone();
    if (testing::Test::HasFailure()) return {};
    all.preemptions += counts.preemptions;
    all.found_tokens += counts.found_tokens;
    all.drafted += counts.drafted;
    all.accepted += counts.accepted;
    cancelled += traffic.cancelled();
  }
  set_threads(0);
  // Else the traffic is too thin to say anything.
  EXPECT_GT(all.preemptions, 3);
  EXPECT_GT(all.found_tokens, 500);
  EXPECT_GT(cancelled, 3);
  return all;
}

TEST_P(SchedulerTraffic, EveryRequestGetsTheTokensItGetsAlone) {
  run_traffic(load_model(fixture::dir(GetParam())), 0, 5, nullptr);
}

TEST_P(SchedulerTraffic, EveryRequestGetsTheTokensItGetsAloneWithDraftsToo) {
  const Model m = load_model(fixture::dir(GetParam()));
  const Drafters drafters(m);
  const SchedulerCounts counts = run_traffic(m, 100, 7, &drafters);
  EXPECT_GT(counts.accepted, 100);
  EXPECT_GT(counts.drafted, counts.accepted + 100);
}

INSTANTIATE_TEST_SUITE_P(Models,
                         SchedulerTraffic,
                         testing::ValuesIn(fixture::random_models()),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace pare
