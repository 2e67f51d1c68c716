// Scale inputs so that rounding spares the weights that matter, clip the grids, round.
// Source: Lin et al. 2023, arXiv:2306.00978. docs/methods/scales.md says what differs.
// Reads: model, data.calib.  Writes: model.
#include "compress/clip_search.h"
#include "compress/scale_search.h"
#include "stages/calibrated.h"
#include "stages/integer_format.h"
#include "stages/scaled_block.h"

namespace pare {
namespace {

struct Options : CalibrationOptions, IntegerFormatOptions {
  Options() { symmetric = false; }

  i64 steps = 20;
  bool clip = true;
  std::string store = "packed";
};

constexpr std::tuple fields =
    std::tuple_cat(integer_format_fields<Options>,
                   std::tuple{
                       field("steps",
                             &Options::steps,
                             "powers between 0 and 1 that are tried; 1 never scales",
                             between(1, 200)),
                       field("clip", &Options::clip, "search each group's range as well (never of q and k)"),
                       field("store",
                             &Options::store,
                             "packed, or dense: scaled and not rounded, so that another stage can follow",
                             one_of("packed", "dense")),
                   },
                   calibration_fields<Options>);

Cost estimate(const Options& o, const ModelShape& m) {
  const double g = o.usual_group(m.config);
  const double bits = o.store == "dense" ? 32 : o.stored_bits(m.config);
  const auto steps = static_cast<double>(o.steps);
  return calibrated_cost(o, m, bits, false, [&](double N, double K) {
    return steps * (2 * N * K * K + 60 * N * K) + (o.clip ? 10 * 8 * N * K * g : 0);
  });
}

void scale_block(const Options& o,
                 Job& job,
                 ScaledBlock& block,
                 const LinearGroup& group,
                 i64 place,
                 const Gram& gram,
                 Tensor& h) {
  h = gram.matrix();
  if (o.steps == 1 || !block.can_scale(group.input)) return;
  const ScaleSearch found =
      search_scales(block.weights(group), h, block.tied(group.input, gram.mean_abs()), o.format(), o.steps);
  job.add_series("awq_ratio", place, found.ratio);
  job.add_series("awq_loss", place, found.tried.front() > 0 ? found.loss / found.tried.front() : 1);
  if (found.ratio == 0) return;
  block.scale(group, found.s);
  h = scaled_gram(h, found.s);
}

Weight rounded(const Options& o, const Tensor& w, const Tensor& h, bool clip) {
  return clip ? quantize_with_clipping(w, h, o.format()) : quantize_int_group(w, o.format());
}

void run(const Options& o, Job& job) {
  const Config& c = job.config();
  walk_whole_blocks(
      job, calibration_of(o, job), [&](i64 layer, LayerParams& params, const BlockMoments& inputs) {
        ScaledBlock block(c, params);
        const std::vector<LinearGroup> groups = linear_groups(c);
        std::map<BlockInput, Tensor> h;
        for (std::size_t i = 0; i < groups.size(); ++i) {
          const i64 place = layer * static_cast<i64>(groups.size()) + static_cast<i64>(i);
          scale_block(o, job, block, groups[i], place, inputs.at(groups[i].input), h[groups[i].input]);
        }
        // All scales first: those of o and down change the rows of v and up.
        for (const LinearGroup& group : groups)
          for (const auto member : group.members) {
            const bool scores = member == &LayerParams::wq || member == &LayerParams::wk;
            const Tensor w = (params.*member).decode_all();
            params.*member =
                o.store == "dense" ? Weight(w) : rounded(o, w, h.at(group.input), o.clip && !scores);
          }
      });
}

const bool added = add_stage("quantize.awq",
                             1,
                             "scale inputs so that rounding spares the weights that matter",
                             fields,
                             estimate,
                             run,
                             Makes::changed_model,
                             {"calib"});

}  // namespace
}  // namespace pare
