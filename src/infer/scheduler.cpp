#include "infer/scheduler.h"

#include <algorithm>
#include <cstring>

#include "base/clock.h"
#include "base/error.h"
#include "model/kv_prefix.h"

namespace pare {

/// A request that is not over. Its tokens that have no keys and values yet are still to be run.
struct Scheduler::Entry {
  i64 id;
  Answer answer;
  KvCache cache;
  PrefixKeys keys;
  std::optional<Speculation::Sequence> speculation = {};
  std::vector<i32> draft = {};  // of this step: rows behind those of the tokens
  i64 rows = 0;                 // of this step, the draft's too
  bool cancelled = false;

  i64 tokens() const { return static_cast<i64>(answer.tokens().size()); }
  i64 left() const { return tokens() - cache.tokens(); }
};

Scheduler::Scheduler(const Model& model, const Tokenizer* tokenizer, SchedulerOptions options)
    : model_(model), tokenizer_(tokenizer), o_(std::move(options)), pool_(model.config, o_.kv_bytes) {
  if (o_.max_sequences < 1) throw user_error("max_sequences: found {}, expected 1 or more", o_.max_sequences);
  if (o_.max_batched_tokens < o_.max_sequences)
    throw user_error(
        "max_batched_tokens: found {}, expected at least max_sequences ({}): every request that "
        "runs has a row in a step",
        o_.max_batched_tokens,
        o_.max_sequences);
  if (o_.speculation.speculate == Speculate::off) return;
  check_speculation(model.config, o_.speculation);
  speculation_.emplace(o_.speculation);
}

Scheduler::~Scheduler() = default;

/// What keys and values depend on besides the tokens: the model, and with some rotary embeddings the length.
std::string Scheduler::salt(const Answer& a) const {
  const Config& c = model_.config;
  const bool by_length = c.rope.type == "dynamic" && a.length_limit() > c.max_positions;
  return by_length ? fmt::format("{}\n{}", o_.model_id, a.length_limit()) : o_.model_id;
}

i64 Scheduler::submit(Request request) {
  check_request(model_.config, tokenizer_, request, "the prompt");
  const i64 T = static_cast<i64>(request.prompt.size()), wanted = request.max_new_tokens;
  if (o_.max_prompt_tokens > 0 && T > o_.max_prompt_tokens)
    throw user_error("the prompt has {} tokens; at most {} are taken", T, o_.max_prompt_tokens);
  if (o_.max_new_tokens > 0 && wanted > o_.max_new_tokens)
    throw user_error("max_new_tokens: found {}, expected at most {}", wanted, o_.max_new_tokens);
  Answer answer(model_.config, tokenizer_, std::move(request));
  // The last token of an answer is never run.
  const i64 blocks = KvPool::blocks_for(answer.length_limit() - 1);
  if (pool_.has_budget() && blocks > pool_.total())
    throw user_error(
        "a prompt of {} tokens and up to {} new ones need {} bytes of keys and values; the KV cache has "
        "{}: shorten the request or raise the budget",
        T,
        answer.length_limit() - T,
        blocks * pool_.bytes_per_block(),
        pool_.total() * pool_.bytes_per_block());
  PrefixKeys keys(salt(answer));
  auto entry = std::make_unique<Entry>(Entry{next_, std::move(answer), KvCache(pool_), std::move(keys)});
  if (speculation_) entry->speculation.emplace(speculation_->begin(entry->answer.length_limit()));
  waiting_.push(entry->answer.request().client, entry.get());
  entries_.emplace(next_, std::move(entry));
  return next_++;
}

bool Scheduler::cancel(i64 request) {
  const auto found = entries_.find(request);
  if (found == entries_.end() || found->second->cancelled) return false;
  found->second->cancelled = true;
  if (!in_step_) finish(*found->second);
  return true;
}

bool Scheduler::step() {
  plan();
  if (running_.empty()) {
    if (waiting() > 0) throw bug("Scheduler: {} requests wait and nothing runs", waiting());
    return false;
  }
  in_step_ = true;
  run();
  in_step_ = false;
  std::vector<Entry*> cancelled;
  for (const auto& [id, e] : entries_)
    if (e->cancelled) cancelled.push_back(e.get());
  for (Entry* e : cancelled) finish(*e);
  ++counts_.steps;
  return true;
}

std::vector<RunningRequest> Scheduler::running_requests() const {
  std::vector<RunningRequest> out;
  for (const Entry* e : running_) {
    const auto blocks = e->cache.block_numbers();
    out.push_back({e->id, e->tokens(), e->cache.tokens(), {blocks.begin(), blocks.end()}});
  }
  return out;
}

// ---- which rows run ----

void Scheduler::plan() {
  for (Entry* e : running_) {
    e->rows = 0;
    e->draft.clear();
  }
  i64 budget = o_.max_batched_tokens;
  plan_tokens(budget);
  plan_prompts(budget);
  admit(budget);  // none that had to leave just now: what it gave back went to another
  only_answers_ = std::all_of(
      running_.begin(), running_.end(), [](const Entry* e) { return e->rows == 0 || e->left() == 1; });
  // Beside a prompt every row costs its full share of arithmetic.
  if (speculation_ && only_answers_) plan_drafts(budget);
}

/// The next token of each answer. The earliest to join never has to leave: alone it fits.
void Scheduler::plan_tokens(i64& budget) {
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Entry& e = *running_[i];
    if (e.left() > 1) continue;
    while (i < running_.size() && !e.cache.reserve(1)) preempt_last();
    if (i == running_.size()) return;
    e.rows = 1;
    --budget;
  }
}

/// Prompts that have begun; their blocks are reserved.
void Scheduler::plan_prompts(i64& budget) {
  for (Entry* e : running_) {
    if (e->rows > 0) continue;
    e->rows = std::min(budget, e->left());
    budget -= e->rows;
  }
}

void Scheduler::admit(i64& budget) {
  while (budget > 0 && running() < o_.max_sequences && waiting() > 0) {
    const bool again = !preempted_.empty();
    Entry& e = again ? *preempted_.front() : *waiting_.front();
    if (!start(e)) return;  // nobody overtakes it
    again ? preempted_.pop_front() : waiting_.pop();
    running_.push_back(&e);
    e.rows = std::min(budget, e.left());
    budget -= e.rows;
  }
}

/// Blocks for all its tokens so far, as many as possible with keys and values in them; all or none.
bool Scheduler::start(Entry& e) {
  // The last token always runs: its output is what the next one is chosen from.
  const i64 found = e.cache.adopt(e.keys.extend(e.answer.tokens()), e.tokens() - 1);
  if (!e.cache.reserve(e.left())) {
    e.cache.truncate(0);
    return false;
  }
  counts_.found_tokens += found;
  return true;
}

void Scheduler::preempt_last() {
  Entry* e = running_.back();
  running_.pop_back();
  e->cache.truncate(0);
  if (e->speculation) e->speculation->pause();
  preempted_.push_front(e);
  ++counts_.preemptions;
}

/// Drafts get what is left of the rows, and of the pool: nobody has to leave for one.
void Scheduler::plan_drafts(i64 budget) {
  std::vector<Speculation::Ask> asks;
  std::vector<Entry*> whose;
  for (Entry* e : running_) {
    if (e->rows == 0) continue;
    asks.push_back({&*e->speculation, e->answer.tokens(), e->answer.length_limit(), {}});
    whose.push_back(e);
  }
  speculation_->draft(asks, budget);
  for (std::size_t i = 0; i < asks.size(); ++i) {
    Entry& e = *whose[i];
    e.draft = std::move(asks[i].draft);
    while (!e.draft.empty() && !e.cache.reserve(1 + static_cast<i64>(e.draft.size()))) e.draft.pop_back();
    e.rows += static_cast<i64>(e.draft.size());
  }
}

// ---- running them ----

Batch Scheduler::make_batch() const {
  i64 N = 0;
  for (const Entry* e : running_) N += e->rows;
  Batch batch{Tensor::empty({N}, DType::i32), Tensor::empty({N}, DType::i32), {}};
  i64 row = 0;
  for (Entry* e : running_) {
    if (e->rows == 0) continue;
    const i64 first = e->cache.tokens(), of_tokens = e->rows - static_cast<i64>(e->draft.size());
    i32* ids = batch.ids.data<i32>() + row;
    std::copy_n(e->answer.tokens().begin() + first, of_tokens, ids);
    std::copy(e->draft.begin(), e->draft.end(), ids + of_tokens);
    for (i64 i = 0; i < e->rows; ++i) batch.pos.data<i32>()[row + i] = static_cast<i32>(first + i);
    batch.sequences.push_back({row, e->rows, &e->cache, e->answer.length_limit()});
    row += e->rows;
  }
  return batch;
}

/// Copies the outputs that next tokens are chosen from to outputs_: of each request that is returned, that of
/// its last token and those of its draft.
std::vector<Scheduler::Entry*> Scheduler::gather_outputs(const Batch& batch) {
  const i64 D = model_.config.D;
  std::vector<Entry*> ready;
  std::vector<i64> rows;
  auto sequence = batch.sequences.begin();
  for (Entry* e : running_) {
    if (e->rows == 0) continue;
    const i64 end = sequence->row + sequence->rows;
    ++sequence;
    if (e->left() > 0) continue;
    ready.push_back(e);
    for (i64 row = end - 1 - static_cast<i64>(e->draft.size()); row < end; ++row) rows.push_back(row);
  }
  reuse(outputs_, {static_cast<i64>(rows.size()), D});
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::memcpy(outputs_.f32() + static_cast<i64>(i) * D,
                acts_.out.f32() + rows[i] * D,
                static_cast<std::size_t>(D) * sizeof(float));
  return ready;
}

void Scheduler::run() {
  const Batch batch = make_batch();
  const Stopwatch watch;
  forward(model_, batch, acts_);
  counts_.rows += batch.rows();
  for (Entry* e : running_)  // others once it is known which of their rows are right
    if (e->draft.empty()) e->cache.publish(e->keys.extend(e->answer.tokens()));
  const std::vector<Entry*> ready = gather_outputs(batch);
  if (ready.empty()) return;
  head(model_, outputs_, logits_);
  if (speculation_ && only_answers_) speculation_->add_time(batch.rows(), watch.elapsed_s());
  const float* logits = logits_.f32();
  for (Entry* e : ready) {
    const i64 rows = 1 + static_cast<i64>(e->draft.size());
    take(*e, logits);  // after which it may be gone
    logits += rows * model_.config.V;
  }
}

/// Chooses tokens for as long as they are the drafted ones, and the one that follows them.
void Scheduler::take(Entry& e, const float* logits) {
  const std::size_t V = static_cast<std::size_t>(model_.config.V);
  const i64 before = e.tokens(), drafted = static_cast<i64>(e.draft.size());
  i64 fitted = 0;
  for (i64 i = 0; i <= fitted && !e.cancelled && !e.answer.finished(); ++i, logits += V) {
    const std::optional<i32> id = next_token(e, {logits, V});
    if (i < drafted && id == e.draft[static_cast<std::size_t>(i)]) ++fitted;
  }
  if (drafted > 0) {
    counts_.drafted += drafted;
    counts_.accepted += fitted;
    e.answer.count_draft(drafted, fitted);
    e.cache.truncate(before + fitted);
    e.cache.publish(e.keys.extend(e.answer.tokens()));
  }
  if (e.answer.finished()) finish(e);
}

/// The next token of an answer, told to whoever listens; nothing when there is none.
std::optional<i32> Scheduler::next_token(Entry& e, std::span<const float> logits) {
  std::optional<i32> id;
  try {
    id = e.answer.add(logits);
  } catch (const Error& error) {
    if (error.fault() == Fault::bug) throw;
    e.answer.end(Finish::failed, error.what());
  }
  const Request& request = e.answer.request();
  if (id && request.on_token) request.on_token(e.id, *id);
  return id;
}

/// Takes a request out wherever it is, and tells of its end last: the callback may submit and cancel.
void Scheduler::finish(Entry& e) {
  const auto found = entries_.find(e.id);
  const std::unique_ptr<Entry> owned = std::move(found->second);
  entries_.erase(found);
  if (std::erase(running_, &e) + std::erase(preempted_, &e) == 0)
    waiting_.remove(e.answer.request().client, &e);
  e.cache.truncate(0);
  if (!e.answer.finished()) e.answer.end(Finish::cancelled);
  if (e.answer.request().on_done) e.answer.request().on_done(e.id, e.answer.completion());
}

}  // namespace pare
