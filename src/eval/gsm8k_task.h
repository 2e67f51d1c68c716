// The GSM8K task over any file of its record format: prompts, batched greedy answers, strict and flexible
// scores. Source: Cobbe et al. 2021, arXiv:2110.14168; prompt and extraction as lm-evaluation-harness has
// them.
//
//   prompt = k shots "Question: …\nAnswer: …" and the question "Question: …\nAnswer:", joined by blank lines
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "eval/gsm8k_answer.h"
#include "infer/generate.h"
#include "text/sums.h"

namespace pare {

struct Gsm8kOptions {
  i64 shots = 0;
  i64 batch = 32;
  i64 max_new_tokens = 256;
  SamplerOptions sampler;
  std::vector<std::string> stop_strings = {"Question:", "</s>", "<|im_end|>"};
};

/// The text before the model's answer.
std::string gsm8k_prompt(const std::vector<Problem>& shots, const std::string& question);
/// The text that training shows after the prompt: " " + answer.
std::string gsm8k_answer_text(const std::string& answer);

struct Gsm8kSample {
  i64 index = 0;
  std::string completion, strict, flexible;
  bool strict_correct = false, flexible_correct = false, truncated = false;
  AnswerError error = AnswerError::none;
  i64 new_tokens = 0;
};

struct Gsm8kResult {
  std::vector<Gsm8kSample> samples;  // in the order of the problems
  i64 strict = 0, flexible = 0, truncated = 0, no_answer = 0, wrong_arithmetic = 0;
};

/// Answers every problem. Each finished sample is appended to `samples_file` (JSON lines, synced now and
/// then) and read back from it when a run was cut: answers are the same bits either way. The file beside it,
/// `samples_file`.key, names `key`, which has no line breaks; a file of another key is started afresh. An
/// empty path keeps nothing.
Gsm8kResult run_gsm8k(const Model& model,
                      const Tokenizer& tokenizer,
                      const std::vector<Problem>& problems,
                      const std::vector<Problem>& shots,
                      const Gsm8kOptions& o,
                      const std::filesystem::path& samples_file,
                      const std::string& key);

}  // namespace pare
