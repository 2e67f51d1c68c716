// The combination that this project found best at a given width; docs/methods/best.md has the measurements.
//
//   sweep    GPTQ's, inputs as they lie, each group's grid clipped to at least 0.8 of its range (2 bits:
//   0.6);
//            half of what earlier layers lost is made good (shifted_target.h), where there are tokens to tell
//   after    four passes of coordinate descent over codes and scales
//   learned  then block by block, from there, by gradients: which way weights round and how long steps are
//
// Source: Frantar et al. 2022, arXiv:2210.17323; Li et al. 2025, arXiv:2504.02692; Behdin et al. 2023,
// arXiv:2309.01885; Cheng et al. 2023, arXiv:2309.05516.  Reads: model, data.calib.  Writes: model.
#include "stages/calibration.h"
#include "stages/integer_format.h"

namespace pare {
namespace {

struct Options : CalibrationOptions, IntegerFormatOptions {
  i64 iterations = 100;
};

constexpr std::tuple fields = std::tuple_cat(
    integer_format_fields<Options>,
    std::tuple{field(
        "iterations",
        &Options::iterations,
        "steps of learning for each block after the sweep, most of the time it takes; 0 leaves them out",
        between(0, 100000))},
    calibration_fields<Options>);

std::vector<StagePart> parts(const Options& o) {
  const json calibration = {
      {"tokens", o.tokens}, {"length", o.length}, {"importance", o.importance}, {"inputs", o.inputs}};
  json sweep = {{"bits", o.bits},
                {"group", o.group},
                {"symmetric", o.symmetric},
                {"order", "natural"},
                {"least_range", o.bits <= 2 ? 0.6 : 0.8},
                {"refinements", 4},
                {"shift", o.inputs == "dense" ? 0.0 : 0.5}};
  json learned = {{"bits", o.bits},
                  {"group", o.group},
                  {"symmetric", o.symmetric},
                  {"iterations", o.iterations},
                  {"step_tokens", 1024}};
  sweep.update(calibration), learned.update(calibration);
  std::vector<StagePart> out{{"quantize.gptq", sweep}};
  if (o.iterations > 0) out.push_back({"quantize.learned", learned});
  return out;
}

const bool added = add_stages("compress.best",
                              2,
                              "the best that is known at a width, with nothing to choose",
                              fields,
                              parts,
                              {"calib"});

}  // namespace
}  // namespace pare
