// One request and its answer as it grows: which token comes next, and when it is the last one.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/regex.h"
#include "infer/json_constraint.h"
#include "infer/sampler.h"
#include "model/config.h"
#include "text/tokenizer.h"

namespace pare {

/// stop: a stop id, a stop string or the answer pattern; length: no token more was allowed.
enum class Finish { stop, length, cancelled, failed };
/// "stop" and "length", as the OpenAI API names them; "cancelled", "error".
const char* finish_name(Finish f);

struct Completion {
  std::vector<i32> ids;                             // new ids only
  std::string text;                                 // empty without a tokenizer
  std::vector<std::vector<TokenLogprob>> logprobs;  // per id, when asked for: its own, then the likeliest
  Finish finish = Finish::length;
  std::string error;  // what was wrong, when it failed
  i64 prompt_tokens = 0;
  i64 drafted = 0, accepted = 0;  // tokens that were drafted for it, and those of them that it has
};

/// Called for every new token of a request, as it comes.
using OnToken = std::function<void(i64 request, i32 id)>;
/// Called before OnToken with the token's log probabilities, as Completion::logprobs has them.
using OnLogprobs = std::function<void(const std::vector<TokenLogprob>&)>;
/// Called once for each request, when it ends.
using OnDone = std::function<void(i64 request, const Completion&)>;

struct Request {
  std::vector<i32> prompt;
  i64 max_new_tokens = 128;
  SamplerOptions sampler;
  u64 stream = 0;                         // of the sampler's seed
  std::vector<i32> stop_ids;              // never part of the answer
  std::vector<std::string> stop_strings;  // the text is cut before the first of them; needs a tokenizer
  /// A regular expression (base/regex.h): the answer ends with the first token that completes a match, its
  /// text behind the match. It should match what comes behind the answer too, as the \n in `####
  /// -?[\d,.]+\n`, or the answer is cut in the middle; `\\boxed\{[^{}]*\}` has its end within. "" = none;
  /// needs a tokenizer.
  std::string answer_pattern;
  /// The answer is one JSON object and ends with it; null: no such bound. Log probabilities stay the model's.
  std::shared_ptr<const JsonVocabulary> json_object;
  i64 logprobs = -1;   // ≥ 0: log probabilities of the tokens and of so many likeliest ones
  std::string client;  // requests of different clients take turns
  OnToken on_token;
  OnLogprobs on_logprobs;  // when they are asked for
  OnDone on_done;
};

/// Throws a user error naming `where` ("prompt 3"): an empty prompt, an id outside the vocabulary, no room
/// left in the model's positions, an option out of its range, a pattern that is none, stops without a
/// tokenizer.
void check_request(const Config& c, const Tokenizer* tokenizer, const Request& r, const std::string& where);

/// Not thread-safe. `c` and `tokenizer` (may be null) must outlive it.
class Answer {
 public:
  /// REQUIRES: check_request() took the request.
  Answer(const Config& c, const Tokenizer* tokenizer, Request request);

  const Request& request() const { return request_; }
  /// The prompt and the answer so far.
  const std::vector<i32>& tokens() const { return tokens_; }
  /// Tokens that it may come to, however many it will.
  i64 length_limit() const;

  /// Chooses the next token from `logits` (V); nothing when that is a stop id. After it, finished() tells.
  /// Throws a job error when no token can be chosen, as from a logit that is NaN.
  std::optional<i32> add(std::span<const float> logits);
  bool finished() const { return finished_; }
  /// Ends it from outside.
  void end(Finish why, std::string error = "");
  void count_draft(i64 drafted, i64 accepted) {
    done_.drafted += drafted;
    done_.accepted += accepted;
  }
  const Completion& completion() const { return done_; }

 private:
  i32 choose(std::span<const float> logits);
  std::size_t end_of_text() const;

  const Config& c_;
  const Tokenizer* tokenizer_;
  Request request_;
  std::optional<Regex> pattern_;
  JsonState json_;
  Rng rng_;
  std::vector<i32> tokens_;
  Completion done_;
  bool finished_ = false;
};

}  // namespace pare
