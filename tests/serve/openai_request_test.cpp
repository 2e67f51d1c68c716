// Every key of a request that is read, and everything that is refused with its name.
#include "serve/openai_request.h"

#include "serve/served.h"

namespace pare {
namespace {

using Prompts = std::vector<std::vector<i32>>;

class OpenAiRequest : public Served {
 protected:
  ApiRequest completion(json more = json::object()) const {
    json body = {{"prompt", "Hi"}};
    body.update(more);
    return parse_completion_request(body, served);
  }
  ApiRequest chat(json more = json::object()) const {
    json body = {{"messages", {{{"role", "user"}, {"content", kQuestion}}}}};
    body.update(more);
    return parse_chat_request(body, served);
  }
  template <class Parse>
  void expect_refused(int status,
                      const std::string& param,
                      const std::string& words,
                      const Parse& parse) const {
    try {
      parse();
      ADD_FAILURE() << "taken: " << param;
    } catch (const ApiError& e) {
      EXPECT_EQ(e.status(), status) << e.what();
      EXPECT_NE(std::string(e.what()).find(words), std::string::npos) << words << " in: " << e.what();
      const json error = e.body()["error"];
      EXPECT_EQ(error["type"], "invalid_request_error");
      EXPECT_EQ(error["message"], e.what());
      EXPECT_TRUE(param.empty() || error["param"] == param) << e.what();
    }
  }
};

TEST_F(OpenAiRequest, AnEmptyRequestHasTheDefaultsOfTheApi) {
  const ApiRequest r = completion();
  EXPECT_EQ(r.prompts, Prompts{encoded("Hi")});
  EXPECT_EQ(r.n, 1);
  EXPECT_FALSE(r.stream || r.include_usage || r.has_max_tokens || r.chat);
  EXPECT_EQ(r.request.sampler.temperature, 1);
  EXPECT_EQ(r.request.sampler.top_p, 1);
  EXPECT_FALSE(r.request.sampler.has_penalties());
  EXPECT_EQ(r.request.logprobs, -1);
  EXPECT_EQ(r.request.stop_ids, served.stop_ids);
  EXPECT_NE(r.seed, completion().seed) << "no seed asks for a fresh one";
  EXPECT_EQ(r.seed, r.request.sampler.seed);
}

TEST_F(OpenAiRequest, EveryKeyArrives) {
  const ApiRequest r = completion({{"model", "sums"},
                                   {"max_tokens", 7},
                                   {"temperature", 0.5},
                                   {"top_p", 0.9},
                                   {"n", 3},
                                   {"best_of", 3},
                                   {"stream", true},
                                   {"stream_options", {{"include_usage", true}}},
                                   {"logprobs", 4},
                                   {"stop", {"a", "b"}},
                                   {"presence_penalty", 0.25},
                                   {"frequency_penalty", -1},
                                   {"seed", -5},
                                   {"user", "me"},
                                   {"top_k", 9},
                                   {"min_p", 0.125},
                                   {"typical_p", 0.75},
                                   {"repetition_penalty", 1.5},
                                   {"answer_pattern", "x+"},
                                   {"echo", false},
                                   {"suffix", nullptr},
                                   {"logit_bias", json::object()},
                                   {"response_format", {{"type", "text"}}},
                                   {"a_key_of_tomorrow", {1, 2}}});
  const SamplerOptions& s = r.request.sampler;
  EXPECT_EQ(r.request.max_new_tokens, 7);
  EXPECT_TRUE(r.has_max_tokens && r.stream && r.include_usage);
  EXPECT_EQ(std::vector({s.temperature, s.top_p, s.min_p, s.typical_p, s.repetition_penalty}),
            std::vector({0.5, 0.9, 0.125, 0.75, 1.5}));
  EXPECT_EQ(std::vector({s.presence_penalty, s.frequency_penalty}), std::vector({0.25, -1.0}));
  EXPECT_EQ(s.top_k, 9);
  EXPECT_EQ(s.seed, static_cast<u64>(-5));
  EXPECT_EQ(r.choices(), 3);
  EXPECT_EQ(r.request.logprobs, 4);
  EXPECT_EQ(r.request.stop_strings, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(r.request.answer_pattern, "x+");
  EXPECT_EQ(r.user, "me");
  EXPECT_FALSE(r.json_object);
  EXPECT_TRUE(completion({{"response_format", {{"type", "json_object"}}}}).json_object);
  EXPECT_EQ(chat({{"max_tokens", 3}, {"max_completion_tokens", 4}}).request.max_new_tokens, 4);
  EXPECT_EQ(completion({{"stop", "one"}}).request.stop_strings, std::vector<std::string>{"one"});
  EXPECT_EQ(completion({{"top_k", -1}}).request.sampler.top_k, 0) << "off, as other servers write it";
}

TEST_F(OpenAiRequest, PromptsComeAsTextOrIdsOneOrMany) {
  const std::vector<i32> hi = encoded("Hi"), ids = {5, 6, 7};
  EXPECT_EQ(completion({{"prompt", {"Hi", "Hi"}}}).prompts, (Prompts{hi, hi}));
  EXPECT_EQ(completion({{"prompt", ids}}).prompts, Prompts{ids});
  EXPECT_EQ(completion({{"prompt", {ids, ids}}, {"n", 2}}).choices(), 4);
  const std::string prompt = "prompt";
  for (const json& wrong : {json(5),
                            json::array(),
                            json(true),
                            json::object(),
                            json{"a", 5},
                            json{5, "a"},
                            json{{5}, "a"},
                            json{5.5},
                            json{{}},
                            json{1e12}})
    expect_refused(400, prompt, "prompt: found", [&] { completion({{prompt, wrong}}); });
  expect_refused(400, prompt, "missing", [&] { parse_completion_request(json::object(), served); });
  expect_refused(400, prompt, "id 512, expected 0 to 511", [&] { completion({{prompt, {512}}}); });
  expect_refused(400, prompt, "id -1", [&] { completion({{prompt, {-1}}}); });
  const std::vector<i32> longest(511, 5), too_long(512, 5);
  EXPECT_EQ(completion({{prompt, longest}}).prompts[0].size(), 511u);
  try {
    completion({{prompt, too_long}});
    ADD_FAILURE();
  } catch (const ApiError& e) {
    EXPECT_EQ(e.body()["error"]["code"], "context_length_exceeded");
  }
}

TEST_F(OpenAiRequest, WrongTypesAndRangesAreRefusedByName) {
  const std::vector<std::pair<std::string, std::vector<json>>> wrong = {
      {"temperature", {"hot", -0.1, 2.1, true, json::array()}},
      {"top_p", {1.1, -1, "x"}},
      {"max_tokens", {0, -1, 1.5, "many", 1e30}},
      {"max_completion_tokens", {0}},
      {"n", {0, 129, 1.5, "two"}},
      {"stream", {1, "true"}},
      {"seed", {1.5, "x", 18446744073709551615u}},
      {"presence_penalty", {-2.5, 2.5}},
      {"frequency_penalty", {"x"}},
      {"top_k", {-2, 0.5}},
      {"min_p", {1.5}},
      {"typical_p", {0, 2}},
      {"repetition_penalty", {0}},
      {"user", {5}},
      {"stop", {5, {""}, "", {"a", 5}, std::vector<std::string>(17, "x")}},
      {"stream_options", {5, {{"include_usage", true}}}},
      {"response_format",
       {"json_object", {{"type", "xml"}}, {{"type", "json_schema"}, {"json_schema", {{"name", "x"}}}}}},
      {"answer_pattern", {5}},
  };
  for (const auto& [key, values] : wrong)
    for (const json& value : values) {
      SCOPED_TRACE(key + " " + value.dump());
      expect_refused(400, key, key + ": found", [&] { completion({{key, value}}); });
      expect_refused(400, key, key + ": found", [&] { chat({{key, value}}); });
    }
  expect_refused(400, "logprobs", "an integer from 0 to 20", [&] { completion({{"logprobs", 21}}); });
  expect_refused(400, "logprobs", "true or false", [&] { chat({{"logprobs", 5}}); });
  expect_refused(400, "top_logprobs", "logprobs", [&] { chat({{"top_logprobs", 5}}); });
  expect_refused(400, "best_of", "the value of n", [&] { completion({{"best_of", 4}}); });
  expect_refused(400, "answer_pattern", "missing closing parenthesis", [&] {
    completion({{"answer_pattern", "("}});
  });
  expect_refused(400, "", "a JSON object", [&] { parse_completion_request(json::array(), served); });
  expect_refused(404, "model", "this server has \"sums\"", [&] { completion({{"model", "gpt-4"}}); });
}

TEST_F(OpenAiRequest, KeysWithoutTheirEffectAreRefused) {
  const std::vector<std::pair<std::string, json>> keys = {{"logit_bias", {{"5", 1}}},
                                                          {"suffix", "end"},
                                                          {"echo", true},
                                                          {"functions", {1}},
                                                          {"audio", {{"voice", "x"}}},
                                                          {"reasoning_effort", "high"}};
  for (const auto& [key, value] : keys)
    expect_refused(400, key, "does not support it", [&] { completion({{key, value}}); });
  expect_refused(400, "modalities", "text only", [&] { chat({{"modalities", {"text", "audio"}}}); });
  expect_refused(400, "messages", "/v1/chat/completions", [&] {
    parse_completion_request({{"messages", {{{"role", "user"}, {"content", "x"}}}}}, served);
  });
}

TEST_F(OpenAiRequest, AConversationIsWhatTheTemplateMakesOfIt) {
  const auto text_of = [&](const ApiRequest& r) { return served.tokenizer->decode(r.prompts.at(0)); };
  EXPECT_EQ(text_of(chat()), kPrompt);
  const json parts = {{{"type", "text"}, {"text", "one"}}, {{"type", "text"}, {"text", "two"}}};
  const json messages = {{{"role", "developer"}, {"content", "Short."}},
                         {{"role", "user"}, {"content", parts}},
                         {{"role", "assistant"}, {"content", nullptr}, {"tool_calls", json::array()}},
                         {{"role", "user"}, {"content", "three"}}};
  EXPECT_EQ(text_of(chat({{"messages", messages}})),
            "Short.\nQuestion: one\ntwo\nAnswer: \nQuestion: three\nAnswer:");
}

TEST_F(OpenAiRequest, MessagesThatAreNoneAreRefusedByTheirPlace) {
  const auto refused = [&](const std::string& param, const std::string& words, const json& messages) {
    SCOPED_TRACE(messages.dump());
    expect_refused(400, param, words, [&] { chat({{"messages", messages}}); });
  };
  refused("messages", "at least one message", json::array());
  refused("messages", "expected an array", "Hi");
  refused("messages[0]", "an object", {"Hi"});
  refused("messages[0].role", "one of system, developer", {{{"content", "x"}}});
  refused("messages[0].role", "\"robot\"", {{{"role", "robot"}, {"content", "x"}}});
  refused("messages[1].content",
          "a string",
          {{{"role", "user"}, {"content", "x"}}, {{"role", "user"}, {"content", nullptr}}});
  refused("messages[0].content[0]",
          "text only",
          {{{"role", "user"}, {"content", {{{"type", "image_url"}, {"image_url", "x"}}}}}});
  expect_refused(400, "messages", "missing", [&] { parse_chat_request(json::object(), served); });
  served.templates = chat_templates("{{ raise_exception('no such order') }}");
  refused("messages", "no such order", {{{"role", "user"}, {"content", "x"}}});
  served.templates = nullptr;
  refused("messages", "no chat template", {{{"role", "user"}, {"content", "x"}}});
}

TEST_F(OpenAiRequest, ToolsGoToATemplateThatKnowsThem) {
  const json tools = {{{"type", "function"}, {"function", {{"name", "add"}}}}};
  expect_refused(400, "tools", "knows no tools", [&] { chat({{"tools", tools}}); });
  EXPECT_EQ(chat({{"tools", tools}, {"tool_choice", "none"}}).prompts, chat().prompts);
  served.templates = chat_templates("{% if tools %}{{ tools[0].function.name }}: {% endif %}");
  EXPECT_EQ(served.tokenizer->decode(chat({{"tools", tools}}).prompts[0]), "add: " + kPrompt);
  expect_refused(400, "tools", "\"function\"", [&] { chat({{"tools", {{{"type", "magic"}}}}}); });
  expect_refused(400, "tools", "an array", [&] { chat({{"tools", 5}}); });
  expect_refused(400, "tool_choice", "cannot be made", [&] {
    chat({{"tools", tools}, {"tool_choice", "required"}});
  });
}

}  // namespace
}  // namespace pare
