// Turn a model into a random basis in which no input is an outlier: the same function, weights that are
// easier to quantise with one scale per row or at 2 and 3 bits. Nothing is added to a forward pass. Source:
// Ashkboos et al. 2024, arXiv:2404.00456 (QuaRot).  Reads: model.  Writes: model.
#include "compress/rotate_model.h"
#include "model/load.h"
#include "stages/rotation.h"

namespace pare {
namespace {

struct Options {
  bool r1 = true, r2 = true;
  std::string stored = "f32";
};

constexpr std::tuple fields{
    field("r1", &Options::r1, "rotate the residual stream; folds norms, gives a tied head its own weight"),
    field("r2", &Options::r2, "rotate the values of each key/value head"),
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
  say_blocks(job, m.config, o.r1, o.r2);
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
