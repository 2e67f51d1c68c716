// Answers requests that come and go, many at once: continuous batching over a pool of key/value blocks.
//
// A step runs at most max_batched_tokens rows. First every answer that is being written gets its next token,
// then prompts that were begun go on, then waiting requests join; a prompt takes as many steps as it needs. A
// request joins when the pool has room for all its tokens so far. When the pool has no room for the next
// token of an answer, the request that joined last gives its blocks back and waits, ahead of the others, to
// compute them again.
//
// A request's tokens depend on the request alone: not on what else runs, on the budget, on steps or on blocks
// found in the pool, bit for bit (weights/linear.h, ops/attention.h).
//
// With speculation an answer may have more rows than one in a step: its last token and a draft of those that
// may follow. The answer chooses its next tokens one by one from the outputs of these rows, for as long as
// they are the drafted ones. Drafts take the rows that prompts and other answers leave, and no step that runs
// a prompt has any (infer/speculation.h).
// Sources: Yu et al. 2022 (Orca), OSDI '22: a batch that changes between steps; Kwon et al. 2023,
// arXiv:2309.06180: paged blocks, recomputation; Agrawal et al. 2024, arXiv:2403.02310: prompts in chunks.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "infer/answer.h"
#include "infer/fair_queue.h"
#include "infer/speculation.h"
#include "model/forward.h"

namespace pare {

struct SchedulerOptions {
  i64 kv_bytes = 0;  // budget of the pool; 0 = what is needed, and nothing kept for later requests
  i64 max_batched_tokens = 1024;        // rows of one step
  i64 max_sequences = 16;               // requests that run at once, at most max_batched_tokens
  i64 max_prompt_tokens = 0;            // of one request; 0 = what the model takes
  i64 max_new_tokens = 0;               // that one request may ask for; 0 = any number
  SpeculationOptions speculation = {};  // drafts; they never change an answer
  std::string model_id = {};            // stands in the names of shared blocks
};

struct SchedulerCounts {
  i64 steps = 0;
  i64 rows = 0;          // that were computed
  i64 found_tokens = 0;  // that were found in the pool instead
  i64 preemptions = 0;
  i64 drafted = 0, accepted = 0;  // tokens of drafts that were verified, and of these that fitted
};

/// A request that runs: how far it is, and the numbers of the pool's blocks that it refers to.
struct RunningRequest {
  i64 request = 0;
  i64 tokens = 0;    // prompt and answer so far
  i64 computed = 0;  // of these, those whose keys and values the blocks hold
  std::vector<i32> blocks;
};

/// Not thread-safe: one thread owns it. `model` and `tokenizer` (may be null) must outlive it.
class Scheduler {
 public:
  /// Throws a user error naming an option that is out of its range.
  Scheduler(const Model& model, const Tokenizer* tokenizer, SchedulerOptions options);
  ~Scheduler();

  /// Takes a request and returns its number, 0, 1, …. Throws a user error for one that cannot be run, as
  /// check_request() does, or when it goes beyond the limits or would never fit the pool.
  i64 submit(Request request);
  /// Ends a request, from a callback too: at the end of the step that runs. False when it is over already.
  bool cancel(i64 request);
  /// Runs one step; false when there was nothing to run. A request whose next token cannot be chosen (a logit
  /// that is NaN) ends with Finish::failed and the reason; the others go on. After any other error, or one
  /// from a callback, the object is good for nothing but its end.
  bool step();

  i64 waiting() const { return waiting_.count() + static_cast<i64>(preempted_.size()); }
  i64 running() const { return static_cast<i64>(running_.size()); }
  /// In the order in which they joined.
  std::vector<RunningRequest> running_requests() const;
  const SchedulerCounts& counts() const { return counts_; }
  const KvPool& pool() const { return pool_; }

 private:
  struct Entry;

  void plan();
  void plan_tokens(i64& budget);
  void plan_prompts(i64& budget);
  void admit(i64& budget);
  void plan_drafts(i64 budget);
  bool start(Entry& e);
  void preempt_last();
  Batch make_batch() const;
  void run();
  std::vector<Entry*> gather_outputs(const Batch& batch);
  void take(Entry& e, const float* logits);
  std::optional<i32> next_token(Entry& e, std::span<const float> logits);
  void finish(Entry& e);
  std::string salt(const Answer& a) const;

  const Model& model_;
  const Tokenizer* tokenizer_;
  SchedulerOptions o_;
  KvPool pool_;
  std::optional<Speculation> speculation_;
  std::map<i64, std::unique_ptr<Entry>> entries_;  // every request that is not over
  FairQueue<Entry*> waiting_;
  std::deque<Entry*> preempted_;  // in the order in which they joined
  std::vector<Entry*> running_;   // the same
  bool in_step_ = false;
  i64 next_ = 0;
  SchedulerCounts counts_;
  bool only_answers_ = false;  // this step runs no prompt
  Acts acts_;
  Tensor outputs_, logits_;
};

}  // namespace pare
