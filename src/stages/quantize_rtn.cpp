// Round each weight to the nearest value of an integer grid per group of inputs. No data needed; 8 bits lose
// nothing that can be measured, 4 bits little, below that a model breaks without error correction. Source:
// the baseline of Frantar et al. 2022, arXiv:2210.17323 ("RTN").  Reads: model.  Writes: model.
#include "stages/integer_format.h"
#include "weights/sparse_int.h"

namespace pare {
namespace {

struct Options : IntegerFormatOptions {
  std::string store = "dense";
};

constexpr std::tuple fields =
    std::tuple_cat(integer_format_fields<Options>,
                   std::tuple{field("store",
                                    &Options::store,
                                    "mask leaves out of the file what rounds to zero, where that makes it "
                                    "smaller: for pruned models",
                                    one_of("dense", "mask"))});

Cost estimate(const Options& o, const ModelShape& m) {
  return weight_pass_cost(m, o.stored_bits(m.config), 0.03);
}

void run(const Options& o, Job& job) {
  job.each_linear([&](const std::string&, const Weight& w) {
    const Weight q = quantize_int_group(w.decode_all(), o.format());
    return o.store == "mask" ? smallest_int_weight(q) : q;
  });
}

const bool added = add_stage(
    "quantize.rtn", 1, "round weights to 2-8 bit integers, a scale per group", fields, estimate, run);

}  // namespace
}  // namespace pare
