// Zero part of the weights and round the rest, in one sweep: each makes the other's errors good.
// Source: Frantar & Alistarh 2023, arXiv:2301.00774, §3.5.  Reads: model, data.calib.  Writes: model.
#include "compress/gptq.h"
#include "stages/calibration.h"
#include "stages/sparsity.h"

namespace pare {
namespace {

struct Options : CalibrationOptions {
  i64 bits = 4;
  std::string group = "64";
  bool symmetric = true;
  double sparsity = 0.5;
  std::string pattern = "any";
  double damping = 0.01;
  double least_range = 1;
  i64 refinements = 2;
};

constexpr std::tuple fields = std::tuple_cat(
    std::tuple{
        field("bits", &Options::bits, "bits of a weight", between(2, 8)),
        field("group",
              &Options::group,
              "neighbouring inputs that share a scale",
              one_of("32", "64", "128", "row")),
        field("symmetric", &Options::symmetric, "false stores a zero point per group as well"),
        field("sparsity",
              &Options::sparsity,
              "share of weights set to zero; a pattern N:M sets its own",
              between(0, 1)),
        field("pattern",
              &Options::pattern,
              "where zeros may fall: anywhere, or N kept of M",
              one_of("any", "2:4", "4:8", "1:4")),
        field("damping",
              &Options::damping,
              "share of the mean that is added to the diagonal",
              between(1e-6, 1)),
        field("least_range",
              &Options::least_range,
              "smallest share of a group's range that its grid may cover; 1 never clips",
              between(0.1, 1)),
        field("refinements",
              &Options::refinements,
              "passes over codes and scales after the sweep; each lowers the layer's loss",
              between(0, 100)),
    },
    calibration_fields<Options>);

i64 group_of(const Options& o) { return o.group == "row" ? 0 : std::stoll(o.group); }

Cost estimate(const Options& o, const ModelShape& m) {
  const double scale_bits = 16 + (o.symmetric ? 0 : static_cast<double>(o.bits));
  const double group = static_cast<double>(o.group == "row" ? m.config.D : group_of(o));
  return walk_cost(o, m, static_cast<double>(o.bits) + scale_bits / group, [](double N, double K) {
    return K * K * K + N * K * K + 360 * N * K;
  });
}

void run(const Options& o, Job& job) {
  IntSweepOptions sweep;
  sweep.damping = o.damping;
  sweep.format = {static_cast<int>(o.bits), group_of(o), o.symmetric};
  sweep.least_range = o.least_range;
  sweep.refinements = o.refinements;
  const Pruning pruning = pruning_of(SparsityOptions{o.sparsity, o.pattern, "dense", 0});
  walk_blocks(job, calibration_of(o, job), [&](const std::string& name, const Weight& w, const Gram& gram) {
    const Tensor dense = w.decode_all(), h = gram.matrix();
    const Swept swept = sweep_to_integers(dense, h, sweep, pruning);
    report_sweep(job, name, swept, dense, h, gram, o.damping);
    return swept.weight;
  });
}

const bool added = add_stage("compress.joint",
                             1,
                             "zero part of the weights and round the rest in one sweep",
                             fields,
                             estimate,
                             run,
                             Makes::changed_model,
                             {"calib"});

}  // namespace
}  // namespace pare
