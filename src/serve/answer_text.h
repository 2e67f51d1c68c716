// The text of an answer while it grows, in pieces that are whole characters and never taken back.
#pragma once
#include <string>

#include "infer/answer.h"
#include "infer/stop_strings.h"
#include "text/stream_decoder.h"

namespace pare {

/// All pieces together are Completion::text, byte for byte. Not thread-safe; the tokenizer must outlive it.
class AnswerText {
 public:
  AnswerText(const Tokenizer& tokenizer, const Request& request)
      : decoder_(tokenizer), filter_(request.stop_strings), late_(!request.answer_pattern.empty()) {}

  /// What may be shown after `id` came: not what a stop string may begin with, and with an answer pattern not
  /// the last token, which the pattern may cut.
  std::string add(i32 id);
  /// The rest of the text that the answer has in the end.
  std::string finish(const std::string& whole) const;
  /// Characters (code points) of the answer before the token that was added last.
  i64 offset() const { return offset_; }

 private:
  StreamDecoder decoder_;
  StopFilter filter_;
  bool late_;
  std::string held_;  // with a pattern: the last piece
  std::size_t shown_bytes_ = 0;
  i64 offset_ = 0, decoded_ = 0;  // code points
};

}  // namespace pare
