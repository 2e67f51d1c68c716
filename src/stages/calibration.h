// The texts a stage looks at to learn what a model's inputs are like.
#pragma once
#include <string>
#include <vector>

#include "stages/stage.h"

namespace pare {

/// Options that all stages with calibration share; their own structs derive from it.
struct CalibrationOptions {
  i64 tokens = 65536;
  i64 length = 1024;
  std::string importance = "uniform";
  std::string inputs = "compressed";
};

template <class O>
constexpr std::tuple calibration_fields{
    field<O, i64>("tokens", &O::tokens, "tokens of data.calib to look at", at_least(1)),
    field<O, i64>("length", &O::length, "plain text: tokens of one sequence", between(8, 131072)),
    field<O, std::string>("importance",
                          &O::importance,
                          "what a token counts: all alike, or digits and signs of arithmetic four times",
                          one_of("uniform", "math")),
    field<O, std::string>("inputs",
                          &O::inputs,
                          "what layers see when they are changed: what those changed before them give, or "
                          "what the dense model gives, collected once for all methods",
                          one_of("compressed", "dense")),
};

struct Calibration {
  std::vector<std::vector<i32>> sequences;
  std::vector<std::vector<float>> weights;  // of each token, mean 1; empty: all 1
  i64 tokens = 0;
};

/// data.calib, a mixture (text/mixture.h), cut to the options, each part to its share of the tokens: problems
/// one a sequence, as they were trained; plain text in pieces of `length` tokens (never more than the model's
/// positions) at places that the job's seed draws. Throws a user error when the data hold no sequence.
Calibration calibration_of(const CalibrationOptions& o, const Job& job);

}  // namespace pare
