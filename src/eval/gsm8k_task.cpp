#include "eval/gsm8k_task.h"

#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"

namespace pare {
namespace {

json sample_json(const Gsm8kSample& s, const Problem& p) {
  return {{"index", s.index},
          {"question", p.question},
          {"gold", p.answer},
          {"completion", s.completion},
          {"strict", s.strict},
          {"flexible", s.flexible},
          {"strict_correct", s.strict_correct},
          {"flexible_correct", s.flexible_correct},
          {"truncated", s.truncated},
          {"error", name_of(s.error)},
          {"new_tokens", s.new_tokens}};
}

Gsm8kSample judge(
    i64 index, const std::string& completion, bool truncated, i64 new_tokens, const Problem& p) {
  Gsm8kSample s;
  s.index = index;
  s.completion = completion;
  s.strict = extract_gsm8k_answer(completion, Gsm8kExtraction::strict);
  s.flexible = extract_gsm8k_answer(completion, Gsm8kExtraction::flexible);
  s.strict_correct = gsm8k_answers_equal(s.strict, p.answer);
  s.flexible_correct = gsm8k_answers_equal(s.flexible, p.answer);
  s.truncated = truncated;
  s.error = answer_error(completion, p.answer, truncated);
  s.new_tokens = new_tokens;
  return s;
}

/// The file beside the samples that says whose they are.
std::filesystem::path key_file(std::filesystem::path samples) { return samples += ".key"; }

/// Samples of an earlier, cut run of the same key. Anything unreadable ends the reading: the rest is made
/// again.
std::vector<Gsm8kSample> finished_samples(const std::filesystem::path& file,
                                          const std::string& key,
                                          const std::vector<Problem>& problems) {
  std::vector<Gsm8kSample> out;
  std::string line;
  std::ifstream of_key(key_file(file)), in(file);
  if (!std::getline(of_key, line) || line != key) return out;
  while (std::getline(in, line) && !in.eof()) try {
      const json j = json::parse(line, nullptr, false);
      const i64 index = j.at("index").get<i64>();
      if (index < 0 || index >= static_cast<i64>(problems.size())) break;
      out.push_back(judge(index,
                          j.at("completion").get<std::string>(),
                          j.at("truncated").get<bool>(),
                          j.at("new_tokens").get<i64>(),
                          problems[static_cast<std::size_t>(index)]));
    } catch (const json::exception&) {
      break;
    }
  return out;
}

/// The journal of a run: one line a sample, whole lines only.
class SampleFile {
 public:
  SampleFile(const std::filesystem::path& file,
             const std::string& key,
             const std::vector<Gsm8kSample>& kept,
             const std::vector<Problem>& problems) {
    if (file.empty()) return;
    std::string text;
    for (const Gsm8kSample& s : kept) text += line(s, problems);
    write_file_atomic(file, text);  // before its key: never another run's samples under this one's
    write_file_atomic(key_file(file), key + "\n");
    out_.open(file, std::ios::app);
    path_ = file;
  }
  void add(const Gsm8kSample& s, const std::vector<Problem>& problems) {
    if (path_.empty()) return;
    out_ << line(s, problems);
    out_.flush();
    if (!out_) throw job_error("{}: cannot be written (disk full?)", path_.string());
  }

 private:
  static std::string line(const Gsm8kSample& s, const std::vector<Problem>& problems) {
    // Completions may hold half a character at a cut: replace it rather than fail.
    return sample_json(s, problems[static_cast<std::size_t>(s.index)])
               .dump(-1, ' ', false, json::error_handler_t::replace) +
           "\n";
  }
  std::filesystem::path path_;
  std::ofstream out_;
};

}  // namespace

std::string gsm8k_prompt(const std::vector<Problem>& shots, const std::string& question) {
  std::string text;
  for (const Problem& s : shots) text += "Question: " + s.question + "\nAnswer: " + s.answer + "\n\n";
  return text + "Question: " + question + "\nAnswer:";
}

std::string gsm8k_answer_text(const std::string& answer) { return " " + answer; }

Gsm8kResult run_gsm8k(const Model& model,
                      const Tokenizer& tokenizer,
                      const std::vector<Problem>& problems,
                      const std::vector<Problem>& shots,
                      const Gsm8kOptions& o,
                      const std::filesystem::path& samples_file,
                      const std::string& key) {
  std::vector<Gsm8kSample> kept;
  if (!samples_file.empty()) kept = finished_samples(samples_file, key, problems);
  std::vector<bool> have(problems.size(), false);
  Gsm8kResult result;
  result.samples.resize(problems.size());
  for (const Gsm8kSample& s : kept) {
    have[static_cast<std::size_t>(s.index)] = true;
    result.samples[static_cast<std::size_t>(s.index)] = s;
  }
  if (!kept.empty()) log_info("{} of {} answers were made before", kept.size(), problems.size());
  SampleFile journal(samples_file, key, kept, problems);

  std::vector<GenerateRequest> requests;
  std::vector<i64> index_of;
  for (std::size_t i = 0; i < problems.size(); ++i) {
    if (have[i]) continue;
    requests.push_back({tokenizer.encode(gsm8k_prompt(shots, problems[i].question), {.add_special = true}),
                        o.max_new_tokens,
                        static_cast<i64>(i)});
    index_of.push_back(static_cast<i64>(i));
  }
  GenerateOptions g;
  g.sampler = o.sampler;
  g.stop_ids = model.config.eos;
  g.stop_strings = o.stop_strings;
  g.batch = o.batch;
  Progress progress("gsm8k", static_cast<i64>(problems.size()));
  progress.advance(static_cast<i64>(kept.size()));
  generate(model, &tokenizer, requests, g, {}, [&](i64 request, const Completion& c) {
    const i64 index = index_of[static_cast<std::size_t>(request)];
    const Gsm8kSample s = judge(index,
                                c.text,
                                c.finish == Finish::length,
                                static_cast<i64>(c.ids.size()),
                                problems[static_cast<std::size_t>(index)]);
    journal.add(s, problems);
    result.samples[static_cast<std::size_t>(index)] = s;
    progress.advance();
  });
  for (const Gsm8kSample& s : result.samples) {
    result.strict += s.strict_correct;
    result.flexible += s.flexible_correct;
    result.truncated += s.truncated;
    result.no_answer += s.error == AnswerError::no_answer;
    result.wrong_arithmetic += s.error == AnswerError::wrong_arithmetic;
  }
  return result;
}

}  // namespace pare
