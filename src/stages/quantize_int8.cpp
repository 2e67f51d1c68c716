// Weights as 8-bit integers with one scale per row, as LLM.int8() stores them.
// Source: Dettmers et al. 2022, arXiv:2208.07339.  Reads: model.  Writes: model.
#include "stages/stage.h"
#include "weights/int8_row.h"

namespace pare {
namespace {

struct Options {};

constexpr std::tuple<> fields;

Cost estimate(const Options&, const ModelShape& m) {
  return weight_pass_cost(m, 8 + 32.0 / static_cast<double>(m.config.D), 0.02);
}

void run(const Options&, Job& job) {
  job.each_linear([](const std::string&, const Weight& w) { return quantize_int8_row(w.decode_all()); });
}

const bool added = add_stage<Options>(
    "quantize.int8", 1, "8-bit integers, a scale per row (LLM.int8 layout)", fields, estimate, run);

}  // namespace
}  // namespace pare
