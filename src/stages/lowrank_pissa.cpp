// Split each weight into its largest singular directions, kept in full, and a rest that takes rounding better
// than the weight did; or that later training leaves alone.
// Source: Meng et al. 2024, arXiv:2404.02948 (PiSSA, QPiSSA).  Reads: model.  Writes: model.
//
//   W ≈ Q + BA      round 1: BA = the nearest of rank R to W, Q = rounded(W − BA)
//                   later rounds: BA = the nearest of rank R to W − Q, Q = rounded(W − BA)
//
// Deviation from the paper: of all pairs on the way, the one with the least ‖W − Q − BA‖ is kept; and rests
// are taken from W less the factors as they are stored.
#include <cmath>
#include <optional>

#include "base/error.h"
#include "stages/low_rank_part.h"
#include "weights/codebook4.h"
#include "weights/int_group.h"

namespace pare {
namespace {

struct Options {
  i64 rank = 16;
  std::string residual = "nf4";
  std::string group = "64";
  i64 rounds = 1;
  std::string dtype = "bf16";

  bool rounds_rest() const { return residual != "dense"; }
};

constexpr std::tuple fields{
    field("rank", &Options::rank, "of the part that is kept in full", between(1, 4096)),
    field("residual",
          &Options::residual,
          "what becomes of the rest; dense keeps it in f32",
          one_of("dense", "nf4", "int8", "int4", "int3", "int2")),
    field("group", &Options::group, "neighbouring weights that share a scale", one_of("32", "64", "128")),
    field("rounds", &Options::rounds, "times that part and rest are fitted to each other", between(1, 5)),
    field("dtype", &Options::dtype, "of the part's numbers", one_of("bf16", "f32")),
};

Cost estimate(const Options& o, const ModelShape& m) {
  const double group = std::stod(o.group);
  const double rest = !o.rounds_rest()      ? 32
                      : o.residual == "nf4" ? 4 + 32 / group
                                            : std::stod(o.residual.substr(3)) + 16 / group;
  constexpr double kSide = 1000;  // a million weights as one square
  const double svd_s = svd_flops(kSide, kSide, o.rank) / 20e9;
  return weight_pass_cost(m,
                          rest + factor_bits(m.config, o.rank, dtype_of_name(o.dtype)),
                          0.03 + static_cast<double>(o.rounds) * (svd_s + 0.03));
}

Weight rounded(const Options& o, const Tensor& w) {
  const i64 group = std::stoll(o.group);
  if (!o.rounds_rest()) return Weight(w);
  if (o.residual == "nf4") return quantize_codebook4(w, {Code4::nf4, group, false});
  return quantize_int_group(w, {std::stoi(o.residual.substr(3)), group, true});
}

Tensor difference(const Tensor& a, const Tensor& b) {
  Tensor out = a.clone();
  for (i64 i = 0; i < out.count(); ++i) out.f32()[i] -= b.f32()[i];
  return out;
}

double power(const Tensor& t) {
  double sum = 0;
  for (const float x : t.span<float>()) sum += static_cast<double>(x) * x;
  return sum;
}

/// The best pair that the rounds come by, and its ‖W − Q − BA‖².
class Split {
 public:
  Split(const Options& o, const Tensor& w) : o_(o), dtype_(dtype_of_name(o.dtype)), w_(w) {
    const i64 rank = rank_of(o.rank, Weight(w));
    Tensor target = w;
    for (i64 round = 0; round < (o.rounds_rest() ? o.rounds : 1); ++round) {
      LowRankPart part = nearest_low_rank(target, rank);
      part.a = part.a.to(dtype_).to_f32(), part.b = part.b.to(dtype_).to_f32();
      if (rest_) keep_if_better(*rest_, part);
      rest_ = rounded(o, difference(w, low_rank_product(part)));
      keep_if_better(*rest_, part);
      target = difference(w, rest_->decode_all());
    }
  }
  const Weight& best() const { return best_; }
  double error() const { return error_; }

 private:
  void keep_if_better(const Weight& rest, const LowRankPart& part) {
    const Weight sum = beside(rest, part, dtype_);
    const double error = power(difference(w_, sum.decode_all()));
    if (best_.defined() && error >= error_) return;
    best_ = sum, error_ = error;
  }

  const Options& o_;
  DType dtype_;
  const Tensor& w_;
  std::optional<Weight> rest_;
  Weight best_;
  double error_ = 0;
};

void run(const Options& o, Job& job) {
  i64 index = 0;
  job.each_linear([&](const std::string&, const Weight& weight) {
    const Tensor w = weight.decode_all();
    const Split split(o, w);
    const double all = power(w);
    job.add_series("relative_error", index++, all > 0 ? std::sqrt(split.error() / all) : 0);
    return split.best();
  });
}

const bool added = add_stage("lowrank.pissa",
                             1,
                             "keep the largest singular directions in full, round the rest",
                             fields,
                             estimate,
                             run);

}  // namespace
}  // namespace pare
