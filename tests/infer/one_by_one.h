// The plain way to answer a request, which the scheduler must agree with bit for bit: nothing else runs, no
// cache, every token from a pass over all tokens before it.
#pragma once
#include "infer/answer.h"
#include "model/forward.h"

namespace pare {

inline Completion answer_alone(const Model& m, const Tokenizer* tokenizer, Request r) {
  Answer answer(m.config, tokenizer, std::move(r));
  Acts acts;
  Tensor logits;
  while (!answer.finished()) {
    Batch batch = pack_sequences({answer.tokens()});
    batch.sequences[0].length = answer.length_limit();
    forward(m, batch, acts);
    head(m, acts.out.rows(batch.rows() - 1, batch.rows()), logits);
    answer.add({logits.f32(), static_cast<std::size_t>(m.config.V)});
  }
  return answer.completion();
}

inline bool same_logprobs(const Completion& a, const Completion& b) {
  const auto same = [](const TokenLogprob& x, const TokenLogprob& y) {
    return x.id == y.id && x.logprob == y.logprob;
  };
  return std::equal(
      a.logprobs.begin(), a.logprobs.end(), b.logprobs.begin(), b.logprobs.end(), [&](auto& x, auto& y) {
        return std::equal(x.begin(), x.end(), y.begin(), y.end(), same);
      });
}

}  // namespace pare
