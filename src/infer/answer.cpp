#include "infer/answer.h"

#include <algorithm>

#include "base/error.h"
#include "infer/stop_strings.h"

namespace pare {

const char* finish_name(Finish f) {
  constexpr const char* names[] = {"stop", "length", "cancelled", "error"};
  return names[static_cast<int>(f)];
}

void check_request(const Config& c, const Tokenizer* tokenizer, const Request& r, const std::string& where) {
  const i64 T = static_cast<i64>(r.prompt.size());
  if (T == 0) throw user_error("{} is empty; expected at least one token", where);
  if (T >= c.position_limit())
    throw user_error("{} has {} tokens; the model takes {} positions in all", where, T, c.position_limit());
  for (const i32 id : r.prompt)
    if (id < 0 || id >= c.V)
      throw user_error("{} has id {}, expected 0 to {} (the model's vocabulary)", where, id, c.V - 1);
  if (r.max_new_tokens < 1)
    throw user_error("max_new_tokens: found {}, expected 1 or more", r.max_new_tokens);
  check_sampler(r.sampler);
  if (!r.stop_strings.empty() && !tokenizer)
    throw user_error("stop strings need a tokenizer; this model has none");
  if (r.answer_pattern.empty()) return;
  if (!tokenizer) throw user_error("an answer pattern needs a tokenizer; this model has none");
  Regex(r.answer_pattern);  // throws when it is none
}

Answer::Answer(const Config& c, const Tokenizer* tokenizer, Request request)
    : c_(c),
      tokenizer_(tokenizer),
      request_(std::move(request)),
      rng_(request_.sampler.seed, request_.stream),
      tokens_(request_.prompt) {
  if (!request_.answer_pattern.empty()) pattern_.emplace(request_.answer_pattern);
  done_.prompt_tokens = static_cast<i64>(request_.prompt.size());
}

i64 Answer::length_limit() const {
  const i64 room = c_.position_limit();  // compared before added: max_new_tokens may be as large as it likes
  return request_.max_new_tokens < room - done_.prompt_tokens ? done_.prompt_tokens + request_.max_new_tokens
                                                              : room;
}

i32 Answer::choose(std::span<const float> logits) {
  const SamplerOptions& o = request_.sampler;
  if (!o.has_penalties() && !request_.json_object) return sample(logits, o, rng_);
  std::vector<float> changed(logits.begin(), logits.end());
  if (o.has_penalties()) penalise(changed, o, request_.prompt, done_.ids);
  if (request_.json_object) request_.json_object->mask(json_, changed);
  const i32 id = sample(changed, o, rng_);
  if (request_.json_object) request_.json_object->advance(json_, id);
  return id;
}

/// Bytes of the text that belong to the answer, or npos when nothing in it says that it ends.
std::size_t Answer::end_of_text() const {
  std::size_t end = first_stop(done_.text, request_.stop_strings);
  if (pattern_)
    if (const auto match = pattern_->find(done_.text)) end = std::min(end, match->end);
  return end;
}

std::optional<i32> Answer::add(std::span<const float> logits) {
  const i32 id = choose(logits);
  if (std::find(request_.stop_ids.begin(), request_.stop_ids.end(), id) != request_.stop_ids.end()) {
    end(Finish::stop);
    return {};
  }
  tokens_.push_back(id);
  done_.ids.push_back(id);
  if (request_.logprobs >= 0) {
    done_.logprobs.push_back(logprobs(logits, id, request_.logprobs));
    if (request_.on_logprobs) request_.on_logprobs(done_.logprobs.back());
  }
  if (tokenizer_ && (pattern_ || !request_.stop_strings.empty())) {
    done_.text = tokenizer_->decode(done_.ids);
    if (const std::size_t at = end_of_text(); at != std::string::npos) {
      done_.text.resize(at);
      done_.finish = Finish::stop;
      finished_ = true;
      return id;
    }
  }
  if (json_.complete())
    end(Finish::stop);
  else if (static_cast<i64>(tokens_.size()) >= length_limit())
    end(Finish::length);
  return id;
}

void Answer::end(Finish why, std::string error) {
  finished_ = true;
  done_.finish = why;
  done_.error = std::move(error);
  if (tokenizer_) done_.text = tokenizer_->decode(done_.ids);
}

}  // namespace pare
