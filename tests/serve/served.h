// The shipped model with a chat template, as a server has it.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "base/threads.h"
#include "infer/generate.h"
#include "model/load.h"
#include "serve/http_client.h"
#include "serve/http_server.h"

namespace pare {

inline const std::string kQuestion = "Tom has 3 apples and buys 4 more. How many apples does Tom have?";
inline const std::string kPrompt = "Question: " + kQuestion + "\nAnswer:";

class Served : public testing::Test {
 protected:
  // One thread: the model is too small for more, and waiting threads would take the time of other tests.
  Served() { set_threads(1); }
  ~Served() override { set_threads(0); }

  static std::filesystem::path folder() { return std::filesystem::path(PARE_SOURCE) / "models" / "sums-3m"; }
  static const Model& the_model() {
    static const Model model = load_model(folder());
    return model;
  }
  static std::shared_ptr<const ChatTemplates> chat_templates(const std::string& more = "") {
    const std::string source =
        "{% for m in messages %}{% if m.role == 'user' %}Question: {{ m.content }}\nAnswer:"
        "{% elif m.role == 'system' %}{{ m.content }}\n{% else %} {{ m.content }}\n{% endif %}{% endfor %}";
    return std::make_shared<const ChatTemplates>(
        std::map<std::string, std::string>{{"default", more + source}}, std::map<std::string, std::string>{});
  }
  std::vector<i32> encoded(const std::string& text) const {
    return served.tokenizer->encode(text, {.add_special = true});
  }
  /// What generate() makes of the same prompts, n times each.
  std::vector<Completion> offline(const std::vector<std::string>& prompts,
                                  i64 n,
                                  i64 tokens,
                                  const SamplerOptions& sampler,
                                  const std::vector<std::string>& stops = {}) const {
    std::vector<GenerateRequest> requests;
    for (const std::string& prompt : prompts)
      for (i64 i = 0; i < n; ++i) requests.push_back({encoded(prompt), tokens});
    GenerateOptions options;
    options.sampler = sampler;
    options.stop_ids = served.stop_ids;
    options.stop_strings = stops;
    return generate(served.model, served.tokenizer.get(), requests, options);
  }

  ServedModel served{"sums", the_model(), Tokenizer::load(folder()), chat_templates(), {1}};
};

/// The data of server-sent events, without the last one, which must be [DONE].
inline std::vector<json> events_of(const std::string& stream) {
  std::vector<json> out;
  bool done = false;
  for (std::size_t at = 0; at < stream.size();) {
    const std::size_t end = stream.find("\n\n", at);
    EXPECT_NE(end, std::string::npos) << "an event that is cut: " << stream.substr(at);
    if (end == std::string::npos) break;
    const std::string event = stream.substr(at, end - at);
    EXPECT_TRUE(event.starts_with("data: ")) << event;
    EXPECT_EQ(event.find('\n'), std::string::npos);
    EXPECT_FALSE(done) << "an event behind [DONE]";
    done = event == "data: [DONE]";
    if (!done) out.push_back(parse_json(event.substr(6), "an event"));
    at = end + 2;
  }
  EXPECT_TRUE(done) << "no [DONE]";
  return out;
}

}  // namespace pare
