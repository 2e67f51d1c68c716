// Zero the weights of smallest magnitude. The plainest pruning, and the baseline for every other; no data
// needed. Source: Han et al. 2015, arXiv:1506.02626.  Reads: model.  Writes: model.
#include <map>

#include "compress/masks.h"
#include "stages/sparsity.h"
#include "stages/stage.h"

namespace pare {
namespace {

struct Options {
  double sparsity = 0.5;
  std::string scope = "per_layer";
  std::string pattern = "any";
  std::string store = "mask";
};

constexpr std::tuple fields{
    field("sparsity",
          &Options::sparsity,
          "share of weights set to zero; a pattern N:M sets its own",
          between(0, 1)),
    field("scope",
          &Options::scope,
          "weights compared with each other when the pattern is any",
          one_of("per_layer", "global")),
    field("pattern",
          &Options::pattern,
          "where zeros may fall: anywhere, the same share in each row, or N kept of M",
          one_of("any", "row", "1:2", "2:4", "4:8", "1:4")),
    field("store",
          &Options::store,
          "mask leaves zeros out of the file; dense keeps them, so that stages can follow",
          one_of("mask", "dense")),
};

SparsityOptions shared(const Options& o) { return {o.sparsity, o.pattern, o.store, 0}; }

bool is_global(const Options& o) { return o.scope == "global" && o.pattern == "any"; }

Cost estimate(const Options& o, const ModelShape& m) {
  Cost cost = weight_pass_cost(m, stored_bits(shared(o), m), 0.05);
  // All magnitudes at once, and as many masks.
  if (is_global(o)) cost.peak_bytes += linear_sizes(m.config).parameters * 9;
  return cost;
}

Tensor layer_mask(const Options& o, const Weight& w) {
  const Tensor scores = magnitudes(w.dense());
  if (const Pruning p = pruning_of(shared(o)); p.of) return n_of_m_mask(scores, p.keep, p.of);
  return o.pattern == "row" ? lowest_per_row_mask(scores, o.sparsity) : lowest_mask(scores, o.sparsity);
}

std::vector<Tensor> global_masks(const Options& o, const Job& job) {
  std::vector<Tensor> scores;
  for (const std::string& name : job.linears()) {
    job.check_stop();
    scores.push_back(magnitudes(job.weight(name).dense()));
  }
  return lowest_global_masks(scores, o.sparsity);
}

void run(const Options& o, Job& job) {
  std::map<std::string, Tensor> masks;
  if (is_global(o)) {
    const std::vector<std::string> names = job.linears();
    std::vector<Tensor> all = global_masks(o, job);
    for (std::size_t i = 0; i < names.size(); ++i) masks[names[i]] = std::move(all[i]);
  }
  job.each_linear([&](const std::string& name, const Weight& w) {
    Tensor pruned = w.dense().clone();
    apply_mask(masks.contains(name) ? masks[name] : layer_mask(o, w), pruned);
    return stored_sparse(shared(o), pruned, pruned.dtype());
  });
}

const bool added =
    add_stage("prune.magnitude", 2, "zero the weights of smallest magnitude", fields, estimate, run);

}  // namespace
}  // namespace pare
