// Turn a model into a random basis in which no input is an outlier: the same function, weights that are
// easier to quantise with one scale per row or at 2 and 3 bits. R1 and R2 add nothing to a forward pass; R3
// and R4 are transforms in it, for activations and caches that are to be quantised. Source: Ashkboos et al.
// 2024, arXiv:2404.00456 (QuaRot).  Reads: model.  Writes: model.
#include "base/error.h"
#include "compress/rotate_model.h"
#include "model/load.h"
#include "stages/rotation.h"

namespace pare {
namespace {

struct Options {
  bool r1 = true, r2 = true, r3 = false, r4 = false;
  std::string stored = "f32";
};

constexpr std::tuple fields{
    field("r1", &Options::r1, "rotate the residual stream; folds norms, gives a tied head its own weight"),
    field("r2", &Options::r2, "rotate the values of each key/value head"),
    field("r3", &Options::r3, "transform queries and keys while the model runs; only this program can"),
    field("r4",
          &Options::r4,
          "transform what the MLP's down reads while the model runs; only this program can"),
    field("stored",
          &Options::stored,
          "dtype of changed weights; source rounds them to what they were",
          one_of("f32", "source")),
};

Cost estimate(const Options& o, const ModelShape& m) { return rotated_cost(m, o.r1, o.stored == "f32"); }

void run(const Options& o, Job& job) {
  const Model m = load_model(job.source());
  expect_all_dense(job);
  ModelRotation r;
  if (o.r1) r.residual = random_residual_rotation(m.config, job.seed());
  if (o.r2) r.values = random_value_rotations(m.config, job.seed());
  r.mlp = o.r4;
  if ((o.r3 && m.config.hadamard_qk) || (o.r4 && m.config.hadamard_mlp))
    throw user_error("rotate.hadamard: {} transforms {} already; leave out {}",
                     job.source().string(),
                     o.r4 && m.config.hadamard_mlp ? "what down reads" : "queries and keys",
                     o.r4 && m.config.hadamard_mlp ? "r4" : "r3");
  if (o.r1) say_blocks(job, "model's width", m.config.D);
  if (o.r2 || o.r3) say_blocks(job, "width of a head", m.config.E);
  if (o.r4) say_blocks(job, "width of the MLP", m.config.F);
  if (o.r3) job.change_config({{"pare", {{"online_hadamard", {{"qk", true}}}}}});
  write_rotated(job, m, r, o.stored == "f32");
}

const bool added = add_stage("rotate.hadamard",
                             1,
                             "rotate weights by random Hadamard matrices: the same function",
                             fields,
                             estimate,
                             run);

}  // namespace
}  // namespace pare
