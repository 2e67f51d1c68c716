// Round each weight to the nearest value of an integer grid per group of inputs. No data needed; 8 bits lose
// nothing that can be measured, 4 bits little, below that a model breaks without error correction. Source:
// the baseline of Frantar et al. 2022, arXiv:2210.17323 ("RTN").  Reads: model.  Writes: model.
#include "stages/stage.h"
#include "weights/int_group.h"

namespace pare {
namespace {

struct Options {
  i64 bits = 4;
  std::string group = "64";
  bool symmetric = true;
};

constexpr std::tuple fields{
    field("bits", &Options::bits, "bits of a weight", between(2, 8)),
    field(
        "group", &Options::group, "neighbouring inputs that share a scale", one_of("32", "64", "128", "row")),
    field("symmetric", &Options::symmetric, "false stores a zero point per group as well"),
};

i64 group_of(const Options& o) { return o.group == "row" ? 0 : std::stoll(o.group); }

Cost estimate(const Options& o, const ModelShape& m) {
  const double scale_bits = 16 + (o.symmetric ? 0 : static_cast<double>(o.bits));
  const double group = static_cast<double>(o.group == "row" ? m.config.D : group_of(o));
  return weight_pass_cost(m, static_cast<double>(o.bits) + scale_bits / group, 0.03);
}

void run(const Options& o, Job& job) {
  const IntGroupOptions options{static_cast<int>(o.bits), group_of(o), o.symmetric};
  job.each_linear(
      [&](const std::string&, const Weight& w) { return quantize_int_group(w.decode_all(), options); });
}

const bool added = add_stage(
    "quantize.rtn", 1, "round weights to 2-8 bit integers, a scale per group", fields, estimate, run);

}  // namespace
}  // namespace pare
