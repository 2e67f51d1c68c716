// Beside each compressed weight the low-rank part that makes good most of what its layer's outputs lost.
// Source: Liu et al. 2024, arXiv:2410.21271 (EoRA); compress/low_rank.h has what is solved.
// Reads: model, the model it was compressed from, data.calib.  Writes: model.
#include <filesystem>
#include <map>

#include "base/error.h"
#include "model/load.h"
#include "stages/calibrated.h"
#include "stages/low_rank_part.h"
#include "weights/sparse_int.h"
#include "weights/sparse_mask.h"

namespace pare {
namespace {

struct Options : CalibrationOptions {
  i64 rank = 16;
  std::string keep = "adapter";
  std::string dtype = "bf16";
  double damping = 0.01;
};

constexpr std::tuple fields = std::tuple_cat(
    std::tuple{
        field("rank", &Options::rank, "of the part beside each weight", between(1, 4096)),
        field("keep",
              &Options::keep,
              "adapter: the compressed weight and its part; merged: their sum, dense, where a pruned weight "
              "keeps its zeros",
              one_of("adapter", "merged")),
        field("dtype", &Options::dtype, "of the part's numbers, or of merged weights", one_of("bf16", "f32")),
        field("damping",
              &Options::damping,
              "share of the mean input's power that is added to each",
              between(1e-6, 1.0)),
    },
    calibration_fields<Options>);

Cost estimate(const Options& o, const ModelShape& m) {
  const DType dtype = dtype_of_name(o.dtype);
  const double bits = o.keep == "merged" ? 8 * static_cast<double>(dtype_bytes(dtype))
                                         : 8 * bytes_per_parameter(m) + factor_bits(m.config, o.rank, dtype);
  return calibrated_cost(o, m, bits, false, [&](double N, double K) {
    return K * K * K / 3 + 2 * N * K * K + svd_flops(N, K, o.rank);
  });
}

/// The weights that the source's were made from.
class Origin {
 public:
  explicit Origin(const Job& job) {
    const std::filesystem::path& path = job.origin();
    if (path == job.source())
      throw user_error(
          "{}: {} has no ancestor here whose norms and embedding are its own, so what its weights lost is "
          "not "
          "known; put the stage behind the compression in the same recipe (one that scales norms, like "
          "quantize.awq or quantize.smooth, leaves nothing to compare with)",
          job.stage(),
          job.source().string());
    const Model model = load_model(path);
    each_param(model.params, model.config, [&](const std::string& name, const auto& member, const Shape&) {
      if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>) weights_[name] = member;
    });
  }
  Tensor weight(const std::string& name) const { return weights_.at(name).decode_all(); }

 private:
  std::map<std::string, Weight> weights_;  // mapped
};

/// What is pruned, not merely rounded to zero.
bool keeps_zeros(const Weight& w) {
  return w.dense().defined() || dynamic_cast<const SparseMaskWeight*>(&w.format()) ||
         dynamic_cast<const SparseIntWeight*>(&w.format());
}

Weight merged(const Weight& compressed, const Weight& sum, DType dtype) {
  Tensor values = sum.decode_all();
  if (keeps_zeros(compressed)) {
    const Tensor before = compressed.decode_all();
    for (i64 i = 0; i < values.count(); ++i)
      if (before.f32()[i] == 0) values.f32()[i] = 0;
  }
  return Weight(values.to(dtype));
}

/// original − compressed; undefined when it is zero everywhere.
Tensor error_of(const Tensor& original, const Weight& compressed) {
  Tensor e = compressed.decode_all();
  bool any = false;
  for (i64 i = 0; i < e.count(); ++i) {
    e.f32()[i] = original.f32()[i] - e.f32()[i];
    any |= e.f32()[i] != 0;
  }
  return any ? e : Tensor();
}

void run(const Options& o, Job& job) {
  const Origin origin(job);
  const DType dtype = dtype_of_name(o.dtype);
  change_weights(
      job,
      o,
      false,
      [&](const std::string& name, const Weight& w, const InputMoments& inputs) {
        const Tensor original = origin.weight(name), e = error_of(original, w);
        if (!e.defined()) return w;
        const Tensor h = inputs.h.matrix();
        const LowRankPart part = whitened_low_rank(e, h, o.damping, rank_of(o.rank, w));
        const Weight sum = beside(w, part, dtype);
        const Weight result = o.keep == "merged" ? merged(w, sum, dtype) : sum;
        report_sweep(job, name, {result, 0, part.damping}, original, h, inputs.h, o.damping);
        return result;
      },
      Takes::any_weight);
}

const bool added = add_stage("lowrank.repair",
                             1,
                             "put beside each compressed weight what its outputs lost most",
                             fields,
                             estimate,
                             run,
                             Makes::changed_model,
                             {"calib"});

}  // namespace
}  // namespace pare
