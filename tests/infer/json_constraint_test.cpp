// What the automaton takes is JSON and all of JSON; what a masked model writes is JSON.
#include "infer/json_constraint.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"
#include "base/rng.h"
#include "infer/answer.h"
#include "text/token_bytes.h"

namespace pare {
namespace {

enum class Taken { no, prefix, whole };

Taken taken(const std::string& text) {
  JsonState state;
  for (const char c : text)
    if (!state.accept(c)) return Taken::no;
  return state.complete() ? Taken::whole : Taken::prefix;
}

const std::vector<std::string> kObjects = {
    R"({})",
    R"( { "a" : 1 } )",
    R"({"a":[],"b":{},"c":[[{}]],"d":[1,2,{"e":null}]})",
    R"({"n":[0,-0,10,-1.5,0.25e1,1E-9,2e+3,12345678901234567890]})",
    R"({"t":true,"f":false,"n":null,"l":[true,false,null]})",
    R"({"s":"\"\\\/\b\f\n\r\t\u0041\uD83D\uDE00\ud83d\ude00\uFFFF"})",
    "{\"\u00e9\u20ac\U0001F600\":\"\u00ff\uffff\U0010FFFF\"}",
    "{\t\"a\"\n:\r\"b\"}",
};

TEST(JsonState, TakesObjectsAndAllTheirBeginnings) {
  for (const std::string& text : kObjects) {
    SCOPED_TRACE(text);
    EXPECT_EQ(taken(text), Taken::whole);
    const std::size_t end = text.rfind('}');
    for (std::size_t n = 0; n <= end; ++n) EXPECT_EQ(taken(text.substr(0, n)), Taken::prefix) << n;
  }
}

TEST(JsonState, TakesNothingElse) {
  for (const char* text : {"1",
                           "[]",
                           "\"a\"",
                           "null",
                           "x",
                           "{,",
                           "{1",
                           "{\"a\",",
                           "{\"a\":}",
                           "{\"a\":,",
                           "{\"a\":1,}",
                           "{\"a\":[1,]",
                           "{\"a\":[}",
                           "{\"a\":{]",
                           "{\"a\":01",
                           "{\"a\":1.}",
                           "{\"a\":.5",
                           "{\"a\":+1",
                           "{\"a\":1e}",
                           "{\"a\":-}",
                           "{\"a\":- 1",
                           "{\"a\":tru}",
                           "{\"a\":True",
                           "{\"a\":NaN",
                           "{'a'",
                           "{\"a\":\"\n",
                           "{\"a\":\"\\x",
                           "{\"a\":\"\\u00g",
                           "{\"a\":\"\\ud83d\"",
                           "{\"a\":\"\\ud83dx",
                           "{\"a\":\"\\ud83d\\n",
                           "{\"a\":\"\\ud83d\\u0041",
                           "{\"a\":\"\\ude00",
                           "{\"a\":\"\x80",
                           "{\"a\":\"\xC0\x80",
                           "{\"a\":\"\xE0\x80",
                           "{\"a\":\"\xED\xA0",
                           "{\"a\":\"\xF4\x90",
                           "{\"a\":\"\xE2\x82\"",
                           "{}{",
                           "{} x",
                           "{\"a\" \"b\"",
                           "{\"a\":1 2"})
    EXPECT_EQ(taken(text), Taken::no) << text;
  EXPECT_EQ(taken("{" + std::string(1000, ' ')), Taken::no) << "a model could write spaces for ever";
  EXPECT_EQ(taken("{\"a\":" + std::string(100, '1')), Taken::no);
  EXPECT_EQ(taken("{\"a\":1e100"), Taken::no);
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "{\"a\":";
  EXPECT_EQ(taken(deep), Taken::no);
}

TEST(JsonState, AgreesWithAParserOnBrokenObjects) {
  const Regex long_exponent("[eE][+-]?[0-9]{3}");
  Rng rng(1);
  i64 whole = 0;
  for (int i = 0; i < 40000; ++i) {
    std::string text = kObjects[static_cast<std::size_t>(rng.below(static_cast<i64>(kObjects.size())))];
    const std::string bytes = "{}[]:,\"\\u0dDe-.1E+ tfn\x80\xC3\xED";
    for (i64 k = rng.below(3); k >= 0; --k) {
      const std::size_t at = static_cast<std::size_t>(rng.below(static_cast<i64>(text.size())));
      const char c = bytes[static_cast<std::size_t>(rng.below(static_cast<i64>(bytes.size())))];
      rng.below(2) ? text.replace(at, 1, 1, c) : rng.below(2) ? text.insert(at, 1, c) : text.erase(at, 1);
      if (text.empty()) text = " ";
    }
    const bool want = json::accept(text) && json::parse(text).is_object();
    const bool whole_one = taken(text) == Taken::whole;
    // Longer exponents are not for every parser.
    EXPECT_TRUE(whole_one == want || long_exponent.find(text)) << text;
    EXPECT_TRUE(want || !whole_one) << text;
    whole += whole_one;
  }
  EXPECT_GT(whole, 1000);
}

class JsonAnswers : public testing::Test {
 protected:
  /// Tokens by logits that a model without any sense would give.
  Completion write(const SamplerOptions& sampler, i64 most) const {
    Request r;
    r.prompt = {5};
    r.max_new_tokens = most;
    r.sampler = sampler;
    r.stop_ids = c.eos;
    r.json_object = vocabulary;
    Answer answer(c, tokenizer.get(), r);
    Rng rng(sampler.seed, 99);
    while (!answer.finished()) {
      std::vector<float> logits(static_cast<std::size_t>(c.V));
      for (float& x : logits) x = static_cast<float>(3 * rng.normal());
      // It would like to close what is open, and to stop.
      for (const char* likely : {"}", "\"", "]"})
        if (const auto id = tokenizer->id_of(likely)) logits[static_cast<std::size_t>(*id)] += 6;
      for (const i32 stop : c.eos) logits[static_cast<std::size_t>(stop)] += 20;
      answer.add(logits);
    }
    return answer.completion();
  }

  const std::filesystem::path dir = std::filesystem::path(PARE_SOURCE) / "models/sums-3m";
  const Config c = read_config(dir);
  const std::shared_ptr<const Tokenizer> tokenizer = Tokenizer::load(dir);
  const std::shared_ptr<const JsonVocabulary> vocabulary = std::make_shared<const JsonVocabulary>(*tokenizer);
};

TEST_F(JsonAnswers, WhateverTheModelLikesTheAnswerIsAnObjectAndEndsWithIt) {
  i64 whole = 0;
  for (u64 seed = 0; seed < 200; ++seed) {
    const SamplerOptions sampler = {.temperature = seed % 4 ? 1.0 : 0.0,
                                    .top_k = seed % 3 ? 0 : 20,
                                    .top_p = seed % 2 ? 0.9 : 1.0,
                                    .repetition_penalty = seed % 5 ? 1 : 1.3,
                                    .seed = seed};
    const Completion done = write(sampler, 200);
    if (done.finish == Finish::length) continue;
    ASSERT_EQ(done.finish, Finish::stop);
    EXPECT_TRUE(json::accept(done.text) && json::parse(done.text).is_object()) << done.text;
    ++whole;
  }
  EXPECT_GT(whole, 100);
}

TEST_F(JsonAnswers, AllowedTokensKeepTheirLogitsAndOthersHaveNone) {
  JsonState state;
  for (const char ch : std::string("{\"a\":")) ASSERT_TRUE(state.accept(ch));
  std::vector<float> logits(static_cast<std::size_t>(c.V), 1.5f);
  logits[7] = NAN;
  vocabulary->mask(state, logits);
  EXPECT_TRUE(std::isnan(logits[7])) << "a broken model is to be noticed";
  const auto logit = [&](const char* token) {
    return logits[static_cast<std::size_t>(*tokenizer->id_of(token))];
  };
  EXPECT_EQ(logit("3"), 1.5f);
  EXPECT_EQ(logit("\""), 1.5f);
  EXPECT_EQ(logit("}"), -INFINITY);
  EXPECT_EQ(logit("<|eos|>"), -INFINITY);
  // The sums of the distribution are those of the allowed tokens alone: compare every token with the
  // automaton.
  const TokenBytes bytes(*tokenizer);
  for (i32 id = 8; id < c.V; ++id) {
    JsonState after = state;
    bool allowed = !tokenizer->is_special(id) && !bytes.of(id).empty();
    for (const char ch : bytes.of(id)) allowed = allowed && after.accept(ch);
    EXPECT_EQ(logits[static_cast<std::size_t>(id)], allowed ? 1.5f : -INFINITY) << bytes.of(id);
  }
}

TEST_F(JsonAnswers, InStringsTheShortcutForPlainTextChangesNothing) {
  for (const char* begun : {"{\"a", "{\"a\":\"\xC3", "{\"a\":\"\\", "{\"a\":\"\\u00", "{\"a\":\"x"}) {
    SCOPED_TRACE(begun);
    JsonState state;
    for (const char ch : std::string(begun)) ASSERT_TRUE(state.accept(ch));
    std::vector<float> logits(static_cast<std::size_t>(c.V), 0.0f);
    vocabulary->mask(state, logits);
    const TokenBytes bytes(*tokenizer);
    for (i32 id = 0; id < c.V; ++id) {
      JsonState after = state;
      bool allowed = !tokenizer->is_special(id) && !bytes.of(id).empty();
      for (const char ch : bytes.of(id)) allowed = allowed && after.accept(ch);
      EXPECT_EQ(logits[static_cast<std::size_t>(id)] == 0, allowed) << bytes.of(id);
    }
  }
}

TEST_F(JsonAnswers, TokensThatWouldEndTheAnswerInItsMiddleNeverCome) {
  const i32 quote = *tokenizer->id_of("\""), brace = *tokenizer->id_of("}");
  JsonState state;
  for (const char ch : std::string("{")) ASSERT_TRUE(state.accept(ch));
  std::vector<float> logits(static_cast<std::size_t>(c.V), 0.0f);
  JsonVocabulary(*tokenizer, std::vector<i32>{quote}).mask(state, logits);
  EXPECT_EQ(logits[static_cast<std::size_t>(quote)], -INFINITY);
  EXPECT_EQ(logits[static_cast<std::size_t>(brace)], 0);
}

}  // namespace
}  // namespace pare
