// Learns a byte-level BPE vocabulary from text.
// Source: Sennrich et al. 2016, arXiv:1508.07909, over bytes as in Radford et al. 2019 (GPT-2).
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "base/types.h"

namespace pare {

struct BpeTrainOptions {
  i64 vocab_size = 512;  // special tokens and the 256 bytes included
  std::vector<std::string> special = {"<|bos|>", "<|eos|>", "<|pad|>"};
  bool digits_apart = true;
  bool add_bos = true;  // the first special token is put before every text that asks for special tokens
};

/// A complete tokenizer.json: special tokens first, then the 256 byte characters, then merges, the most
/// frequent pair first (ties: the smaller ids). Deterministic. Stops early when no pair occurs twice. Throws
/// a user error when vocab_size is below 256 + special tokens.
json train_bpe(const std::vector<std::string>& texts, const BpeTrainOptions& options);

}  // namespace pare
