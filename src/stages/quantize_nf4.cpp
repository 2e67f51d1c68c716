// Weights as 4-bit codes whose values are quantiles of the normal distribution, scaled by block.
// Source: Dettmers et al. 2023, arXiv:2305.14314.  Reads: model.  Writes: model.
#include "stages/stage.h"
#include "weights/codebook4.h"

namespace pare {
namespace {

struct Options {
  std::string block = "64";
  bool double_quant = false;
};

constexpr std::tuple fields{
    field("block",
          &Options::block,
          "neighbouring weights that share a scale",
          one_of("32", "64", "128", "256", "512", "1024", "2048", "4096")),
    field("double_quant", &Options::double_quant, "store the scales themselves in 8 bits"),
};

Cost estimate(const Options& o, const ModelShape& m) {
  const double block = std::stod(o.block);
  return weight_pass_cost(m, 4 + (o.double_quant ? 8 + 32.0 / 256 : 32) / block, 0.03);
}

void run(const Options& o, Job& job) {
  const Codebook4Options options{Code4::nf4, std::stoll(o.block), o.double_quant};
  job.each_linear(
      [&](const std::string&, const Weight& w) { return quantize_codebook4(w.decode_all(), options); });
}

const bool added = add_stage(
    "quantize.nf4", 1, "4-bit codes spaced like a normal distribution (QLoRA)", fields, estimate, run);

}  // namespace
}  // namespace pare
