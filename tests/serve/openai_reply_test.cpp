// The documents that clients read: names and types of the API's own reference.
#include "serve/openai_reply.h"

#include "base/utf8.h"
#include "serve/answer_text.h"
#include "serve/served.h"

namespace pare {
namespace {

class OpenAiReply : public Served {
 protected:
  ReplyHead head(bool chat) const { return {"id-1", 1700000000, "sums", chat, 7}; }
  /// The answer `ids` as a stream shows it.
  std::vector<std::string> pieces(const std::vector<i32>& ids,
                                  const Request& request,
                                  const std::string& whole) const {
    AnswerText text(*served.tokenizer, request);
    std::vector<std::string> out;
    for (const i32 id : ids) out.push_back(text.add(id));
    out.push_back(text.finish(whole));
    return out;
  }
};

TEST_F(OpenAiReply, WholeRepliesHaveTheKeysOfTheirEndpoint) {
  const json usage = usage_json(3, 4);
  EXPECT_EQ(usage.dump(), R"({"prompt_tokens":3,"completion_tokens":4,"total_tokens":7})");
  const json chat =
      reply_json(head(true), json::array({choice_json(head(true), 0, "Hi", nullptr, Finish::stop)}), usage);
  EXPECT_EQ(chat["object"], "chat.completion");
  EXPECT_EQ(chat["choices"][0].dump(),
            R"({"index":0,"message":{"role":"assistant","content":"Hi","refusal":null},)"
            R"("logprobs":null,"finish_reason":"stop"})");
  EXPECT_EQ(chat["id"], "id-1");
  EXPECT_EQ(chat["created"], 1700000000);
  EXPECT_EQ(chat["seed"], 7);
  const json plain = choice_json(head(false), 1, "Hi", nullptr, Finish::length);
  EXPECT_EQ(plain.dump(), R"({"index":1,"text":"Hi","logprobs":null,"finish_reason":"length"})");
  EXPECT_EQ(reply_json(head(false), json::array({plain}), usage)["object"], "text_completion");
  EXPECT_TRUE(make_head(true, "m", 1).id.starts_with("chatcmpl-"));
  EXPECT_NE(make_head(false, "m", 1).id, make_head(false, "m", 1).id);
}

TEST_F(OpenAiReply, ChunksSayWhoThenWhatThenWhyItEnds) {
  const ReplyHead h = head(true);
  const auto choice = [](const json& chunk) { return chunk["choices"][0].dump(); };
  EXPECT_EQ(role_chunk_json(h, 2)["object"], "chat.completion.chunk");
  EXPECT_EQ(choice(role_chunk_json(h, 2)),
            R"({"index":2,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null})");
  EXPECT_EQ(choice(chunk_json(h, 0, "a", nullptr, nullptr)),
            R"({"index":0,"delta":{"content":"a"},"logprobs":null,"finish_reason":null})");
  const Finish stop = Finish::stop;
  EXPECT_EQ(choice(chunk_json(h, 0, "", nullptr, &stop)),
            R"({"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"})");
  EXPECT_EQ(choice(chunk_json(head(false), 0, "z", nullptr, &stop)),
            R"({"index":0,"text":"z","logprobs":null,"finish_reason":"stop"})");
  const json last = usage_chunk_json(h, usage_json(1, 2));
  EXPECT_EQ(last["choices"], json::array());
  EXPECT_EQ(last["usage"]["total_tokens"], 3);
  EXPECT_EQ(event_bytes({{"a", "x\ny"}}), "data: {\"a\":\"x\\ny\"}\n\n");
  EXPECT_TRUE(is_utf8(event_bytes({{"a", "\xE2\x82"}}))) << "half a character is no reason to fail";
}

TEST_F(OpenAiReply, LogProbabilitiesHaveTheFormOfTheirEndpoint) {
  const i32 tom = *served.tokenizer->id_of("\u0120Tom"), three = *served.tokenizer->id_of("3");
  std::vector<i32> euro = served.tokenizer->encode("\u20ac");
  const std::vector<std::vector<TokenLogprob>> tokens = {{{tom, -0.5}, {tom, -0.5}, {three, -2}},
                                                         {{euro[0], -INFINITY}}};
  const std::vector<i64> offsets = {0, 4};
  const json chat = logprobs_json(head(true), served.token_bytes, tokens, {});
  EXPECT_EQ(chat["content"][0].dump(),
            R"({"token":" Tom","logprob":-0.5,"bytes":[32,84,111,109],"top_logprobs":[)"
            R"({"token":" Tom","logprob":-0.5,"bytes":[32,84,111,109]},)"
            R"({"token":"3","logprob":-2.0,"bytes":[51]}]})");
  EXPECT_EQ(chat["content"][1]["logprob"], -9999);
  EXPECT_EQ(chat["content"][1]["bytes"][0], 0xE2);
  const json plain = logprobs_json(head(false), served.token_bytes, tokens, offsets);
  EXPECT_EQ(plain["tokens"][0], " Tom");
  EXPECT_TRUE(plain["tokens"][1].get<std::string>().starts_with("bytes:\\xe2"));
  EXPECT_EQ(plain["token_logprobs"].dump(), "[-0.5,-9999.0]");
  EXPECT_EQ(plain["top_logprobs"].dump(), R"([{" Tom":-0.5,"3":-2.0},null])");
  EXPECT_EQ(plain["text_offset"].dump(), "[0,4]");
  EXPECT_TRUE(logprobs_json(head(true), served.token_bytes, {}, {}).is_null());
}

TEST_F(OpenAiReply, PiecesOfAnAnswerAreWholeCharactersAndTheWholeText) {
  const std::string text = " Caf\u00e9, 3 \u20ac \U0001F600.";
  const std::vector<i32> ids = served.tokenizer->encode(text);
  std::string all;
  for (const std::string& piece : pieces(ids, {}, text)) {
    EXPECT_TRUE(is_utf8(piece)) << piece;
    all += piece;
  }
  EXPECT_EQ(all, text);
}

TEST_F(OpenAiReply, PiecesNeverShowWhatAStopStringOrAPatternCutsOff) {
  const std::vector<i32> ids = served.tokenizer->encode(" Tom has 3 apples");
  Request stops;
  stops.stop_strings = {" has 3 pears", "has 3 a"};
  std::string all;
  for (const std::string& piece : pieces(ids, stops, " Tom ")) all += piece;
  EXPECT_EQ(all, " Tom ");
  // A pattern that ends inside the last token.
  Request pattern;
  pattern.answer_pattern = "app";
  all.clear();
  for (const std::string& piece : pieces(ids, pattern, " Tom has 3 app")) all += piece;
  EXPECT_EQ(all, " Tom has 3 app");
}

}  // namespace
}  // namespace pare
