// What a client of the OpenAI API gets: whole replies, chunks of streams, usage, log probabilities.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "infer/answer.h"
#include "text/token_bytes.h"

namespace pare {

/// What a reply and all chunks of a stream begin with.
struct ReplyHead {
  std::string id;   // "chatcmpl-..." or "cmpl-..."
  i64 created = 0;  // seconds since 1970
  std::string model;
  bool chat = false;
  u64 seed = 0;  // "seed": our own key; the same one gives the same answer
};
/// With a fresh id, made now.
ReplyHead make_head(bool chat, const std::string& model, u64 seed);

/// {"prompt_tokens", "completion_tokens", "total_tokens"}
json usage_json(i64 prompt_tokens, i64 answer_tokens);

/// Log probabilities of tokens as the endpoint of the head has them; null for none. `offsets` (completions
/// only): characters of the answer before each token.
json logprobs_json(const ReplyHead& head,
                   const TokenBytes& bytes,
                   std::span<const std::vector<TokenLogprob>> tokens,
                   std::span<const i64> offsets);

/// One answer of a whole reply.
json choice_json(
    const ReplyHead& head, i64 index, const std::string& text, const json& logprobs, Finish finish);
/// A whole reply.
json reply_json(const ReplyHead& head, const json& choices, const json& usage);

/// A piece of an answer. `finish` is null but in the last chunk.
json chunk_json(
    const ReplyHead& head, i64 index, const std::string& text, const json& logprobs, const Finish* finish);
/// The first chunk of an answer in a conversation: its role.
json role_chunk_json(const ReplyHead& head, i64 index);
/// The last chunk of a stream, when it is asked for: no choices, the usage.
json usage_chunk_json(const ReplyHead& head, const json& usage);

/// The bytes of a JSON document; broken UTF-8 becomes U+FFFD.
std::string json_bytes(const json& document);
/// One server-sent event.
std::string event_bytes(const json& document);
inline constexpr const char* kLastEvent = "data: [DONE]\n\n";

}  // namespace pare
