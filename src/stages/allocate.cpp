// Spend a budget of bits where it helps most: each weight gets the width that the whole model is best with.
//
//   loss(i, c) = KL of the model with weight i alone rounded to 3 bits · tr(Δ_c HΔ_cᵀ) / tr(Δ_3 HΔ_3ᵀ)
//
// one measured number per weight, carried over to other widths by the layer's own loss (second order), then
// an exact knapsack (compress/allocation.h), then one sweep through the model.
// Source: the sensitivity of Dong et al. 2019, arXiv:1911.03852 (HAWQ-V2), by measurement in place of a
// trace. Reads: model, data.calib.  Writes: model.
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "compress/allocation.h"
#include "measure/machine.h"
#include "measure/sensitivity.h"
#include "model/load.h"
#include "stages/calibrated.h"
#include "stages/gram_store.h"
#include "stages/integer_sweep.h"

namespace pare {
namespace {

struct Options : CalibrationOptions, IntegerSweepOptions {
  double budget = 4.25;
  std::string widths = "2,3,4,5,6,8";
  i64 probe = 2048;
};

constexpr std::tuple fields = std::tuple_cat(
    std::tuple{
        field("budget",
              &Options::budget,
              "bits that a weight of the blocks may take on average, scales and zero points included",
              between(1, 16)),
        field("widths",
              &Options::widths,
              "bits to choose from, separated by commas; 16 leaves a weight as it is"),
        field(
            "probe", &Options::probe, "tokens on which each weight's sensitivity is measured", at_least(16)),
        field<Options, std::string>("group",
                                    &Options::group,
                                    "neighbouring inputs that share a scale",
                                    one_of("32", "64", "128", "row")),
        field<Options, bool>("symmetric", &Options::symmetric, "false stores a zero point per group as well"),
    },
    sweep_fields<Options>,
    calibration_fields<Options>);

constexpr i64 kDense = 16;
constexpr int kReference = 3;

std::vector<i64> widths_of(const Options& o) {
  std::vector<i64> out;
  std::stringstream list(o.widths);
  for (std::string word; std::getline(list, word, ',');) {
    std::size_t end = 0;
    i64 bits = 0;
    try {
      bits = std::stoll(word, &end);
    } catch (const std::exception&) {
    }
    if (word.find_first_not_of(' ', end) != word.npos || !((bits >= 2 && bits <= 8) || bits == kDense))
      throw user_error("allocate: widths: \"{}\", expected 2 to 8, or 16 for a weight left as it is", word);
    out.push_back(bits);
  }
  if (out.empty()) throw user_error("allocate: widths names none; expected such as \"3,4,8\"");
  return out;
}

Cost estimate(const Options& o, const ModelShape& m) {
  Cost cost = calibrated_cost(o, m, o.budget, o.shift > 0, [](double N, double K) {
    return K * K * K + 9 * N * K * K + 300 * N * K;
  });
  const double weights = static_cast<double>(linear_sizes(m.config).parameters);
  const auto matrices = static_cast<double>(7 * m.config.L);
  cost.s += matrices * 0.6 * 2 * static_cast<double>(o.probe) * weights / (f32_gflop_per_s(0.03) * 1e9 * 0.5);
  return cost;
}

/// A weight's choices, with what they are.
struct Candidates {
  std::string name;
  i64 layer;
  Weight LayerParams::*member;
  std::vector<StorageChoice> choices;
};

IntGroupOptions format_of(const Options& o, i64 bits) {
  return {static_cast<int>(bits), o.group_size(), o.symmetric};
}

/// Bytes and losses of a weight at each width, in the unit of the reference's loss.
Candidates candidates_of(const Options& o,
                         const std::vector<i64>& widths,
                         const Weight& w,
                         const Gram& gram,
                         const std::function<double(const Weight&)>& kl) {
  const Tensor dense = w.decode_all(), h = gram.matrix();
  const Weight reference = quantize_int_group(dense, format_of(o, kReference));
  const double loss = gram_loss(dense, reference.decode_all(), h), moved = kl(reference);
  Candidates out;
  for (const i64 bits : widths) {
    if (bits == kDense) {
      out.choices.push_back({w.bytes(), 0});
      continue;
    }
    const Weight q = quantize_int_group(dense, format_of(o, bits));
    const double share = loss > 0 ? gram_loss(dense, q.decode_all(), h) / loss : 0;
    out.choices.push_back({q.bytes(), std::max(0.0, moved) * share});
  }
  return out;
}

json journal_of(const std::vector<StorageChoice>& choices) {
  json out = json::array();
  for (const StorageChoice& c : choices) out.push_back({c.bytes, c.loss});
  return out;
}

/// All weights' choices; each is kept as soon as it is measured.
std::vector<Candidates> measure_all(const Options& o, const std::vector<i64>& widths, Job& job) {
  const GramStore grams = GramStore::obtain(job, o);
  const Config& c = job.config();
  const std::filesystem::path file = job.work() / "sensitivity.json";
  json journal = std::filesystem::exists(file) ? read_json(file) : json::object();
  std::optional<Sensitivity> sensitivity;
  const Model model = load_model(job.source());
  job.start_progress("allocate: sensitivity", static_cast<i64>(job.linears().size()));
  std::vector<Candidates> out;
  for (i64 layer = 0; layer < c.L; ++layer)
    for (const LinearGroup& group : linear_groups(c)) {
      std::optional<Gram> gram;
      for (const auto member : group.members) {
        job.check_stop();
        const std::string name = linear_name(c, layer, member);
        if (!journal.contains(name)) {
          if (!gram) gram = grams.gram(layer, group.input);
          if (!sensitivity) sensitivity.emplace(model, calibration_of(o, job).sequences, o.probe);
          journal[name] = journal_of(candidates_of(o, widths, job.weight(name), *gram, [&](const Weight& q) {
                                       return sensitivity->kl_with(layer, member, q);
                                     }).choices);
          write_file_atomic(file, journal.dump());
        }
        Candidates& w = out.emplace_back(Candidates{name, layer, member, {}});
        for (const json& choice : journal[name])
          w.choices.push_back({choice.at(0).get<i64>(), choice.at(1).get<double>()});
        job.advance(1, name);
      }
    }
  return out;
}

void run(const Options& o, Job& job) {
  const std::vector<i64> widths = widths_of(o);
  const std::vector<Candidates> weights = measure_all(o, widths, job);
  std::vector<std::vector<StorageChoice>> choices;
  for (const Candidates& w : weights) {
    for (const StorageChoice& c : w.choices)
      if (!std::isfinite(c.loss))
        throw user_error("allocate: {}: rounded to {} bits the model gives no numbers", w.name, kReference);
    choices.push_back(w.choices);
  }
  const auto parameters = static_cast<double>(linear_sizes(job.config()).parameters);
  const Allocation a = allocate(choices, static_cast<i64>(o.budget * parameters / 8));
  std::map<std::string, i64> bits;
  std::map<i64, i64> counts;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    bits[weights[i].name] = widths[a.chosen[i]];
    ++counts[widths[a.chosen[i]]];
    job.add_series("bits", static_cast<i64>(i), static_cast<double>(widths[a.chosen[i]]));
  }
  std::string text;
  for (const auto& [width, count] : counts) text += fmt::format(", {} of {} bits", count, width);
  log_info("allocate: {:.3f} of {:.3f} bits a weight{}",
           static_cast<double>(a.bytes) * 8 / parameters,
           o.budget,
           text);

  change_weights(
      job, o, o.shift > 0, [&](const std::string& name, const Weight& w, const InputMoments& inputs) {
        if (bits.at(name) == kDense) return w;
        IntSweepOptions sweep = o.sweep();
        sweep.format.bits = static_cast<int>(bits.at(name));
        sweep.order = ColumnOrder::grouped;
        sweep.damping = damping_for(o.damping, inputs.h);
        const Tensor h = inputs.h.matrix(), dense = o.target(w.decode_all(), h, inputs);
        const Swept swept = sweep_to_integers(dense, h, sweep);
        report_sweep(job, name, swept, dense, h, inputs.h, o.damping);
        return swept.weight;
      });
}

const bool added = add_stage("allocate",
                             1,
                             "spend a budget of bits on the weights that need them, then sweep as gptq does",
                             fields,
                             estimate,
                             run,
                             Makes::changed_model,
                             {"calib"});

}  // namespace
}  // namespace pare
