// Answers over the endpoints, without HTTP: the same as generate()'s, streamed or whole, whoever else asks.
#include "serve/api.h"

#include <thread>

#include "base/utf8.h"
#include "serve/served.h"

namespace pare {
namespace {

class ApiOf : public Served {
 protected:
  static EngineOptions options() {
    EngineOptions o;
    o.scheduler.kv_bytes = 256 * KvPool::block_bytes(the_model().config);
    o.scheduler.max_sequences = 8;
    return o;
  }
  static bool alive() { return true; }
  HttpReply post(bool chat, const json& body) { return api.answer(chat, body.dump(), "somebody", alive); }
  json whole(bool chat, const json& body) {
    const HttpReply reply = post(chat, body);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return parse_json(reply.body, "a reply");
  }
  std::vector<json> streamed(bool chat, json body) {
    body["stream"] = true;
    const HttpReply reply = post(chat, body);
    EXPECT_EQ(reply.status, 200) << reply.body;
    std::string bytes;
    while (reply.stream && !reply.stream->over()) bytes += reply.stream->next(1);
    return events_of(bytes);
  }
  static std::string text_of(const json& choice) {
    return choice.contains("text")      ? choice["text"].get<std::string>()
           : choice.contains("message") ? choice["message"]["content"].get<std::string>()
                                        : choice["delta"].value("content", std::string());
  }
  struct Joined {
    std::map<i64, std::string> texts, finishes;
    std::map<i64, json> logprobs;  // arrays of token entries
    json usage;
  };
  static Joined joined(const std::vector<json>& events) {
    Joined out;
    for (const json& event : events) {
      if (event.contains("usage")) out.usage = event["usage"];
      for (const json& c : event["choices"]) {
        const i64 i = c["index"].get<i64>();
        EXPECT_FALSE(out.finishes.contains(i)) << "a chunk behind the last one";
        EXPECT_TRUE(is_utf8(text_of(c)));
        out.texts[i] += text_of(c);
        if (!c["finish_reason"].is_null()) out.finishes[i] = c["finish_reason"].get<std::string>();
        if (c["logprobs"].is_null()) continue;
        if (c["logprobs"].contains("content"))
          for (const json& token : c["logprobs"]["content"]) out.logprobs[i].push_back(token);
        else
          for (const auto& [key, values] : c["logprobs"].items())
            for (const json& value : values) out.logprobs[i][key].push_back(value);
      }
    }
    return out;
  }

  Api api{served, options()};
};

const json kGreedy = {{"prompt", kPrompt}, {"temperature", 0}, {"max_tokens", 40}};

TEST_F(ApiOf, ACompletionIsWhatGenerateMakes) {
  const json reply = whole(false, kGreedy);
  const Completion want = offline({kPrompt}, 1, 40, {}).at(0);
  EXPECT_EQ(reply["choices"].size(), 1u);
  EXPECT_EQ(reply["choices"][0]["text"], want.text);
  EXPECT_EQ(reply["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(reply["usage"], usage_json(want.prompt_tokens, static_cast<i64>(want.ids.size())));
  EXPECT_EQ(reply["model"], "sums");
  const json cut = whole(false, {{"prompt", kPrompt}, {"temperature", 0}, {"max_tokens", 3}});
  EXPECT_EQ(cut["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(cut["usage"]["completion_tokens"], 3);
}

TEST_F(ApiOf, AConversationIsAnsweredToo) {
  const json messages = {{{"role", "user"}, {"content", kQuestion}}};
  const json body = {{"messages", messages}, {"seed", 3}, {"max_tokens", 20}};
  const json reply = whole(true, body);
  EXPECT_EQ(reply["object"], "chat.completion");
  EXPECT_EQ(reply["seed"], 3);
  EXPECT_EQ(whole(true, body)["choices"], reply["choices"]) << "the same seed, the same answer";
  const auto events = streamed(true, body);
  EXPECT_EQ(events.front()["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(joined(events).texts.at(0), text_of(reply["choices"][0]));
}

TEST_F(ApiOf, AnswersWithASeedAreThoseOfGenerateAndANewSeedIsTold) {
  const std::vector<std::string> prompts = {kPrompt, "Question: Ann"};
  const json body = {{"prompt", prompts}, {"n", 3}, {"temperature", 1.5}, {"max_tokens", 12}};
  json seeded = body;
  seeded["seed"] = 11;
  const auto want = offline(prompts, 3, 12, {.temperature = 1.5, .seed = 11});
  const json reply = whole(false, seeded);
  ASSERT_EQ(reply["choices"].size(), 6u);
  i64 prompt_tokens = 0, answer_tokens = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(reply["choices"][i]["text"], want[i].text) << i;
    EXPECT_EQ(reply["choices"][i]["index"], i);
    answer_tokens += static_cast<i64>(want[i].ids.size());
    if (i % 3 == 0) prompt_tokens += want[i].prompt_tokens;
  }
  EXPECT_EQ(reply["usage"], usage_json(prompt_tokens, answer_tokens)) << "a prompt counts once";
  const json fresh = whole(false, body);
  EXPECT_NE(fresh["choices"], reply["choices"]);
  json again = body;
  again["seed"] = fresh["seed"];
  EXPECT_EQ(whole(false, again)["choices"], fresh["choices"]);
}

TEST_F(ApiOf, AStreamIsTheWholeReplyInPieces) {
  const std::vector<json> bodies = {
      kGreedy,
      {{"prompt", "Question: Zo\u00eb has 3 \u20ac"}, {"temperature", 2}, {"seed", 5}, {"max_tokens", 60}},
      {{"prompt", kPrompt}, {"n", 4}, {"temperature", 2}, {"seed", 6}, {"max_tokens", 30}},
      {{"prompt", kPrompt}, {"temperature", 0}, {"stop", {"=<<", "apples.\n#### 8"}}},
      {{"prompt", kPrompt}, {"temperature", 0}, {"stop", {"#### 7"}}},
      {{"prompt", kPrompt}, {"temperature", 0}, {"answer_pattern", "\\+4=<"}},
      {{"prompt", kPrompt}, {"temperature", 0}, {"logprobs", 3}, {"stop", "7 apples"}},
      {{"prompt", "\U0001F600"}, {"temperature", 2}, {"seed", 9}, {"logprobs", 2}, {"max_tokens", 50}},
  };
  for (json body : bodies) {
    SCOPED_TRACE(body.dump());
    const json reply = whole(false, body);
    body["stream_options"] = {{"include_usage", true}};
    const Joined got = joined(streamed(false, body));
    EXPECT_EQ(got.texts.size(), reply["choices"].size());
    for (const json& c : reply["choices"]) {
      const i64 i = c["index"].get<i64>();
      EXPECT_EQ(got.texts.at(i), text_of(c));
      EXPECT_EQ(got.finishes.at(i), c["finish_reason"]);
      EXPECT_EQ(got.logprobs.contains(i) ? got.logprobs.at(i) : json(), c["logprobs"]);
    }
    EXPECT_EQ(got.usage, reply["usage"]);
  }
}

TEST_F(ApiOf, StopsAndPatternsCutAsTheEngineSays) {
  json body = kGreedy;
  body["stop"] = {"#### 7", "apples"};
  const json stopped = whole(false, body);
  EXPECT_EQ(stopped["choices"][0]["text"], offline({kPrompt}, 1, 40, {}, {"#### 7", "apples"}).at(0).text);
  EXPECT_EQ(stopped["choices"][0]["finish_reason"], "stop");
  body.erase("stop");
  body["answer_pattern"] = "\\+4=<";
  EXPECT_TRUE(text_of(whole(false, body)["choices"][0]).ends_with("+4=<"));
}

TEST_F(ApiOf, LogProbabilitiesOfAConversationComeWithTheirTokens) {
  const json body = {{"messages", {{{"role", "user"}, {"content", kQuestion}}}},
                     {"seed", 3},
                     {"max_tokens", 8},
                     {"logprobs", true},
                     {"top_logprobs", 2}};
  const json tokens = whole(true, body)["choices"][0]["logprobs"]["content"];
  EXPECT_EQ(tokens.size(), 8u);
  std::string bytes;
  for (const json& t : tokens) {
    EXPECT_EQ(t["top_logprobs"].size(), 2u);
    EXPECT_LE(t["logprob"], 0);
    for (const json& b : t["bytes"]) bytes += static_cast<char>(b.get<int>());
  }
  EXPECT_EQ(bytes, text_of(whole(true, body)["choices"][0]));
  EXPECT_EQ(joined(streamed(true, body)).logprobs.at(0), tokens);
}

TEST_F(ApiOf, AnAnswerMayBeBoundToBeAJsonObject) {
  for (int seed = 0; seed < 3; ++seed) {
    json body = {{"messages", {{{"role", "user"}, {"content", kQuestion}}}},
                 {"seed", seed},
                 {"temperature", seed},
                 {"max_tokens", 50},
                 {"response_format", {{"type", "json_object"}}}};
    const json choice = whole(true, body)["choices"][0];
    JsonState state;
    for (const char c : text_of(choice)) ASSERT_TRUE(state.accept(c)) << text_of(choice);
    EXPECT_EQ(state.complete(), choice["finish_reason"] == "stop");
    EXPECT_EQ(joined(streamed(true, body)).texts.at(0), text_of(choice));
  }
}

TEST_F(ApiOf, SixteenClientsAtOnceGetWhatEachWouldGetAlone) {
  constexpr int kClients = 16;
  std::vector<std::string> got(kClients);
  std::vector<std::thread> clients;
  const auto body = [](int i) {
    return json{{"prompt", "Question: " + std::to_string(i) + kQuestion},
                {"temperature", 1.2},
                {"seed", i},
                {"max_tokens", 10 + i}};
  };
  for (int i = 0; i < kClients; ++i)
    clients.emplace_back([&, i] {
      got[static_cast<std::size_t>(i)] =
          i % 2 ? joined(streamed(false, body(i))).texts.at(0) : text_of(whole(false, body(i))["choices"][0]);
    });
  for (std::thread& t : clients) t.join();
  for (int i = 0; i < kClients; ++i) {
    const auto want =
        offline({body(i)["prompt"]}, 1, 10 + i, {.temperature = 1.2, .seed = static_cast<u64>(i)});
    EXPECT_EQ(got[static_cast<std::size_t>(i)], want.at(0).text) << i;
  }
}

TEST_F(ApiOf, WithoutMaxTokensAnAnswerMayHaveWhatFits) {
  EngineOptions o = options();
  o.scheduler.max_new_tokens = 9;
  Api limited(served, o);
  const HttpReply nine =
      limited.answer(false, json{{"prompt", kPrompt}, {"temperature", 0}}.dump(), "x", alive);
  EXPECT_EQ(parse_json(nine.body, "a reply")["usage"]["completion_tokens"], 9);
  const HttpReply ten =
      limited.answer(false, json{{"prompt", kPrompt}, {"max_tokens", 10}}.dump(), "x", alive);
  EXPECT_EQ(ten.status, 400);
  EXPECT_NE(ten.body.find("expected at most 9"), std::string::npos) << ten.body;
  o = options();
  o.scheduler.kv_bytes = 2 * KvPool::block_bytes(served.model.config);
  Api small(served, o);
  const HttpReply fits =
      small.answer(false, json{{"prompt", kPrompt}, {"temperature", 2}, {"seed", 4}}.dump(), "x", alive);
  EXPECT_EQ(fits.status, 200) << fits.body;
}

TEST_F(ApiOf, ErrorsAreRepliesInTheFormOfTheApi) {
  const auto status = [&](const std::string& body) { return api.answer(false, body, "x", alive).status; };
  EXPECT_EQ(status("{"), 400);
  EXPECT_EQ(status(""), 400);
  EXPECT_EQ(status("[]"), 400);
  EXPECT_EQ(status("{\"prompt\": \"\xC3\x28\"}"), 400) << "no UTF-8";
  EXPECT_EQ(status("{\"prompt\": \"\\ud800\"}"), 400) << "half a pair";
  EXPECT_EQ(status("{\"prompt\": 1, \"prompt\": 2}"), 400);
  EXPECT_EQ(status(std::string(100000, '[')), 400);
  const HttpReply many = post(false, {{"prompt", kPrompt}, {"n", 100}});
  EXPECT_EQ(many.status, 400) << "never fits into the queue";
  EXPECT_EQ(parse_json(many.body, "an error")["error"]["param"], "n");
  EXPECT_EQ(whole(false, kGreedy)["choices"].size(), 1u) << "and it goes on";
}

TEST_F(ApiOf, AClientThatIsGoneIsNotAnsweredAndItsBlocksComeBack) {
  for (const bool stream : {false, true}) {
    json body = {
        {"prompt", kPrompt}, {"temperature", 2}, {"seed", 1}, {"max_tokens", 400}, {"stream", stream}};
    if (stream) {
      HttpReply reply = post(false, body);
      reply.stream->next(1);
    } else {
      EngineRequest block;  // keeps the engine from answering before the client is looked after
      block.request.prompt = {5};
      block.request.on_token = [](i64, i32) { std::this_thread::sleep_for(std::chrono::milliseconds(300)); };
      block.request.max_new_tokens = 1;
      std::vector<i64> ids;
      api.engine().submit({block}, ids);
      EXPECT_EQ(api.answer(false, body.dump(), "x", [] { return false; }).status, kClientGone);
    }
    while (api.engine().outstanding() > 0) std::this_thread::yield();
  }
  EXPECT_EQ(api.engine().drain(60), 0);
  EXPECT_EQ(api.engine().stats().blocks_used, 0);
}

TEST_F(ApiOf, ModelsHealthAndMetricsAreTold) {
  EXPECT_EQ(parse_json(api.models().body, "models")["data"][0]["id"], "sums");
  EXPECT_EQ(parse_json(api.model("sums").body, "a model")["max_model_len"], 512);
  EXPECT_EQ(api.model("other").status, 404);
  EXPECT_EQ(api.health().status, 200);
  whole(false, kGreedy);
  EXPECT_NE(api.metrics_text().body.find("pare_time_to_first_token_seconds_count 1\n"), std::string::npos);
  EXPECT_NE(api.metrics_text().body.find("pare_prompt_tokens_total 24\n"), std::string::npos)
      << api.metrics_text().body;
  api.engine().drain(60);
  EXPECT_EQ(api.health().status, 503);
  const HttpReply late = post(false, kGreedy);
  EXPECT_EQ(late.status, 503);
  EXPECT_EQ(late.headers.at(0).first, "Retry-After");
}

}  // namespace
}  // namespace pare
