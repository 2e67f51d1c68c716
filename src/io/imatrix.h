// Importance matrices as llama.cpp keeps them: for each linear layer Σ x² of every input over some text, and
// how many tokens that were.
// Source: llama.cpp (tools/imatrix, tools/quantize).
//
//   GGUF     general.type "imatrix" · imatrix.datasets · imatrix.chunk_count · imatrix.chunk_size
//            NAME.in_sum2 f32 (M, K) Σ x² · NAME.counts f32 (M) tokens; M matrices, one but for experts
//   before   i32 entries; of each i32 bytes, its name, i32 calls, i32 M·K, f32 (M·K) mean of x² · calls;
//            then, where they are there, i32 calls · i32 bytes, the dataset
//
// docs/formats/gguf.md has more. Little-endian only.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace pare {

struct Imatrix {
  struct Entry {
    Tensor sums;                // (M·K) f32, finite, ≥ 0
    std::vector<float> counts;  // M, finite, ≥ 0
    /// sums over counts (M·K) f32; 1 for a matrix that no token came to, as llama.cpp has it.
    Tensor mean_square() const;
  };

  std::filesystem::path file;            // that it was read from; empty when it was measured
  std::vector<std::string> datasets;     // the texts, for people
  i64 chunks = 0, chunk_tokens = 0;      // pieces of text and their length; 0 when the file does not say
  std::map<std::string, Entry> entries;  // by the weight's name in GGUF files: "blk.3.ffn_down.weight"
};

/// A file of either form. Throws a user error naming the file, and the entry and what was expected, on
/// anything that contradicts itself, on numbers that are negative or not finite, and on a model's file;
/// memory stays in proportion to the bytes that are really there.
Imatrix read_imatrix(const std::filesystem::path& file);

/// In the GGUF form. The file appears when it is whole. Throws a user error on a name that is too long, a job
/// error when the file cannot be written.
void write_imatrix(const std::filesystem::path& file, const Imatrix& imatrix);

}  // namespace pare
