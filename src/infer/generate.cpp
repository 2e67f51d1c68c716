#include "infer/generate.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/signals.h"
#include "infer/stop_strings.h"

namespace pare {
namespace {

/// One sequence in the batch.
struct Active {
  i64 request;
  KvCache cache;
  Rng rng;
  std::vector<i32> fresh;  // tokens that the next step runs: the prompt, then one at a time
  Completion done;
  bool finished = false;
};

void check_request(const Model& model, const GenerateRequest& r, i64 index) {
  const i64 T = static_cast<i64>(r.prompt.size());
  if (T == 0) throw user_error("prompt {} is empty; expected at least one token", index);
  if (T >= model.config.position_limit())
    throw user_error("prompt {} has {} tokens; the model takes {} positions in all",
                     index,
                     T,
                     model.config.position_limit());
  for (const i32 id : r.prompt)
    if (id < 0 || id >= model.config.V)
      throw user_error(
          "prompt {} has id {}, expected 0 to {} (the model's vocabulary)", index, id, model.config.V - 1);
  if (r.max_new_tokens < 1)
    throw user_error("max_new_tokens: found {}, expected 1 or more", r.max_new_tokens);
}

class Generator {
 public:
  Generator(const Model& model,
            const Tokenizer* tokenizer,
            const std::vector<GenerateRequest>& requests,
            const GenerateOptions& o,
            const OnToken& on_token,
            const OnDone& on_done)
      : model_(model),
        tokenizer_(tokenizer),
        requests_(requests),
        o_(o),
        on_token_(on_token),
        on_done_(on_done) {}

  std::vector<Completion> run() {
    results_.resize(requests_.size());
    while (next_ < requests_.size() || !active_.empty()) {
      check_stop();
      admit();
      step();
    }
    return std::move(results_);
  }

 private:
  void admit() {
    i64 rows = 0;
    while (next_ < requests_.size() && static_cast<i64>(active_.size()) < std::max<i64>(o_.batch, 1)) {
      const GenerateRequest& r = requests_[next_];
      const i64 T = static_cast<i64>(r.prompt.size());
      if (rows > 0 && rows + T > o_.prefill_rows) return;
      rows += T;
      active_.push_back(std::make_unique<Active>(
          Active{static_cast<i64>(next_),
                 KvCache(model_.config),
                 Rng(o_.sampler.seed, r.stream < 0 ? next_ : static_cast<u64>(r.stream)),
                 r.prompt,
                 {},
                 false}));
      active_.back()->done.prompt_tokens = T;
      ++next_;
    }
  }

  /// Tokens that a sequence may come to, however many it will.
  i64 length_of(const Active& a) const {
    const i64 wanted = a.done.prompt_tokens + requests_[static_cast<std::size_t>(a.request)].max_new_tokens;
    return std::min(wanted, model_.config.position_limit());
  }

  Batch make_batch() const {
    i64 N = 0;
    for (const auto& a : active_) N += static_cast<i64>(a->fresh.size());
    Batch batch{Tensor::empty({N}, DType::i32), Tensor::empty({N}, DType::i32), {}};
    i64 row = 0;
    for (const auto& a : active_) {
      const i64 rows = static_cast<i64>(a->fresh.size());
      for (i64 i = 0; i < rows; ++i) {
        batch.ids.data<i32>()[row + i] = a->fresh[static_cast<std::size_t>(i)];
        batch.pos.data<i32>()[row + i] = static_cast<i32>(a->cache.tokens() + i);
      }
      batch.sequences.push_back({row, rows, &a->cache, length_of(*a)});
      row += rows;
    }
    return batch;
  }

  void step() {
    const Batch batch = make_batch();
    forward(model_, batch, acts_);
    const i64 B = static_cast<i64>(active_.size()), D = model_.config.D, V = model_.config.V;
    reuse(last_, {B, D});
    for (i64 b = 0; b < B; ++b) {
      const auto& s = batch.sequences[static_cast<std::size_t>(b)];
      std::memcpy(last_.f32() + b * D,
                  acts_.out.f32() + (s.row + s.rows - 1) * D,
                  static_cast<std::size_t>(D) * sizeof(float));
    }
    head(model_, last_, logits_);
    for (i64 b = 0; b < B; ++b) take(*active_[static_cast<std::size_t>(b)], logits_.f32() + b * V);
    std::erase_if(active_, [](const auto& a) { return a->finished; });
  }

  i32 choose(Active& a, std::span<const float> logits) {
    if (!o_.sampler.has_penalties()) return sample(logits, o_.sampler, a.rng);
    std::vector<float> penalised(logits.begin(), logits.end());
    penalise(penalised, o_.sampler, requests_[static_cast<std::size_t>(a.request)].prompt, a.done.ids);
    return sample(penalised, o_.sampler, a.rng);
  }

  void take(Active& a, const float* logits) {
    const std::span<const float> row(logits, static_cast<std::size_t>(model_.config.V));
    const i32 id = choose(a, row);
    if (std::find(o_.stop_ids.begin(), o_.stop_ids.end(), id) != o_.stop_ids.end())
      return finish(a, Finish::stop);
    a.done.ids.push_back(id);
    if (o_.logprobs >= 0) a.done.logprobs.push_back(logprobs(row, id, o_.logprobs));
    if (on_token_) on_token_(a.request, id);
    if (tokenizer_ && !o_.stop_strings.empty()) {
      a.done.text = tokenizer_->decode(a.done.ids);
      if (const std::size_t at = first_stop(a.done.text, o_.stop_strings); at != std::string::npos) {
        a.done.text.resize(at);
        return finish(a, Finish::stop);
      }
    }
    const i64 made = static_cast<i64>(a.done.ids.size());
    const i64 positions = a.done.prompt_tokens + made;
    if (made >= requests_[static_cast<std::size_t>(a.request)].max_new_tokens ||
        positions >= model_.config.position_limit())
      return finish(a, Finish::length);
    a.fresh = {id};
  }

  void finish(Active& a, Finish why) {
    a.finished = true;
    a.done.finish = why;
    if (tokenizer_ && (o_.stop_strings.empty() || why == Finish::length || a.done.text.empty())) {
      a.done.text = tokenizer_->decode(a.done.ids);
      a.done.text.resize(std::min(a.done.text.size(), first_stop(a.done.text, o_.stop_strings)));
    }
    if (on_done_) on_done_(a.request, a.done);
    results_[static_cast<std::size_t>(a.request)] = std::move(a.done);
  }

  const Model& model_;
  const Tokenizer* tokenizer_;
  const std::vector<GenerateRequest>& requests_;
  const GenerateOptions& o_;
  const OnToken& on_token_;
  const OnDone& on_done_;
  std::size_t next_ = 0;
  std::vector<std::unique_ptr<Active>> active_;
  std::vector<Completion> results_;
  Acts acts_;
  Tensor last_, logits_;
};

}  // namespace

const char* finish_name(Finish f) { return f == Finish::stop ? "stop" : "length"; }

std::vector<Completion> generate(const Model& model,
                                 const Tokenizer* tokenizer,
                                 const std::vector<GenerateRequest>& requests,
                                 const GenerateOptions& options,
                                 const OnToken& on_token,
                                 const OnDone& on_done) {
  check_sampler(options.sampler);
  if (!options.stop_strings.empty() && !tokenizer)
    throw user_error("stop strings need a tokenizer; this model has none");
  for (std::size_t i = 0; i < requests.size(); ++i) check_request(model, requests[i], static_cast<i64>(i));
  return Generator(model, tokenizer, requests, options, on_token, on_done).run();
}

}  // namespace pare
