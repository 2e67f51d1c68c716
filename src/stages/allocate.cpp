// Spend a budget of bits where it helps most: each weight gets the width that the whole model is best with.
//
//   loss(i, c) = KL of the model with weight i alone rounded to 3 bits · tr(Δ_c HΔ_cᵀ) / tr(Δ_3 HΔ_3ᵀ)
//
// one measured number per weight, carried over to other widths by the layer's own loss (second order), then
// an exact knapsack (compress/allocation.h), then one sweep through the model.
// Source: the sensitivity of Dong et al. 2019, arXiv:1911.03852 (HAWQ-V2), by measurement in place of a
// trace. Reads: model, data.calib.  Writes: model.
#include <algorithm>
#include <cmath>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/regex.h"
#include "compress/allocation.h"
#include "measure/machine.h"
#include "measure/sensitivity.h"
#include "model/load.h"
#include "stages/gram_store.h"
#include "stages/integer_sweep.h"
#include "weights/sparse_int.h"

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
        field(
            "widths",
            &Options::widths,
            "what to choose from, separated by commas: bits, bits with a share of zeros (4:50%) or a pattern "
            "(4:2:4), 16 to leave a weight as it is"),
        field(
            "probe", &Options::probe, "tokens on which each weight's sensitivity is measured", at_least(16)),
    },
    group_fields<Options>,
    sweep_fields<Options>,
    calibration_fields<Options>);

constexpr i64 kDense = 16;
constexpr int kReference = 3;

/// One way to store a weight.
struct Width {
  std::string text;  // as the option has it
  i64 bits = 0;
  std::optional<Pruning> pruning;
};

/// "4", "4:50%", "4:2:4", "16".
std::optional<Width> parse_width(const std::string& text) {
  static const Regex form(R"(^\s*(\d{1,2})(?::(?:(\d{1,2})%|(\d):(\d)))?\s*$)");
  const std::optional<RegexMatch> found = form.find(text);
  if (!found) return {};
  const auto number = [&](std::size_t i) {
    const std::string digits(found->groups[i]);
    return digits.empty() ? i64{0} : i64{std::stoll(digits)};
  };
  Width w{text, number(1), {}};
  if (!((w.bits >= 2 && w.bits <= 8) || w.bits == kDense)) return {};
  if (number(2)) w.pruning = Pruning{static_cast<double>(number(2)) / 100, 0, 0, {}};
  if (!found->groups[3].empty()) {
    w.pruning = Pruning{0, number(3), number(4), {}};
    if (w.pruning->keep < 1 || w.pruning->keep > w.pruning->of) return {};
  }
  if (w.pruning && w.bits == kDense) return {};
  return w;
}

std::vector<Width> widths_of(const Options& o) {
  std::vector<Width> out;
  std::stringstream list(o.widths);
  for (std::string word; std::getline(list, word, ',');) {
    const std::optional<Width> width = parse_width(word);
    if (!width)
      throw user_error(
          "allocate: widths: \"{}\", expected bits from 2 to 8, such with zeros (4:50%, 4:2:4), or "
          "16 for a weight left as it is",
          word);
    out.push_back(*width);
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
  cost.s +=
      matrices * 0.6 * 2 * static_cast<double>(o.probe) * weights / (planning_f32_gflop_per_s() * 1e9 * 0.5);
  return cost;
}

/// A weight's choices, with what they are.
struct Candidates {
  std::string name;
  std::vector<StorageChoice> choices;
};

IntSweepOptions sweep_of(const Options& o, const Width& width) {
  IntSweepOptions sweep = o.sweep(width.bits);
  sweep.order = width.pruning ? ColumnOrder::natural : ColumnOrder::grouped;
  return sweep;
}

/// A weight in one of its forms. Rounding tells enough to compare widths; zeros lose their worth without the
/// sweep that makes their loss good, so where there are any, all forms are swept.
Weight in_form(
    const Options& o, const Width& width, bool swept, const Tensor& w, const Tensor& h, double damping) {
  IntSweepOptions sweep = sweep_of(o, width);
  if (!swept) return quantize_int_group(w, sweep.format);
  sweep.damping = damping;
  const Weight q = sweep_to_integers(w, h, sweep, width.pruning).weight;
  return width.pruning ? smallest_int_weight(q) : q;
}

/// Bytes and losses of a weight in each form, in the unit of the reference's loss.
std::vector<StorageChoice> choices_of(const Options& o,
                                      const std::vector<Width>& widths,
                                      const Weight& w,
                                      const Gram& gram,
                                      const std::function<double(const Weight&)>& kl) {
  const bool swept =
      std::any_of(widths.begin(), widths.end(), [](const Width& v) { return v.pruning.has_value(); });
  const Tensor dense = w.decode_all(), h = gram.matrix();
  const Weight reference = quantize_int_group(dense, o.format(kReference));
  const double loss = gram_loss(dense, reference.decode_all(), h), moved = kl(reference);
  std::vector<StorageChoice> out;
  for (const Width& width : widths) {
    if (width.bits == kDense) {
      out.push_back({w.bytes(), 0});
      continue;
    }
    const Weight q = in_form(o, width, swept, dense, h, damping_for(o.damping, gram));
    const double share = loss > 0 ? gram_loss(dense, q.decode_all(), h) / loss : 0;
    out.push_back({q.bytes(), std::max(0.0, moved) * share});
  }
  return out;
}

json journal_of(const std::vector<StorageChoice>& choices) {
  json out = json::array();
  for (const StorageChoice& c : choices) out.push_back({c.bytes, c.loss});
  return out;
}

/// All weights' choices; each is kept as soon as it is measured.
std::vector<Candidates> measure_all(const Options& o, const std::vector<Width>& widths, Job& job) {
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
          journal[name] = journal_of(choices_of(o, widths, job.weight(name), *gram, [&](const Weight& q) {
            return sensitivity->kl_with(layer, member, q);
          }));
          write_file_atomic(file, journal.dump());
        }
        Candidates& w = out.emplace_back(Candidates{name, {}});
        for (const json& choice : journal[name])
          w.choices.push_back({choice.at(0).get<i64>(), choice.at(1).get<double>()});
        job.advance(1, name);
      }
    }
  return out;
}

/// What each weight becomes, said to the user.
std::map<std::string, const Width*> chosen_widths(const Options& o,
                                                  const std::vector<Width>& widths,
                                                  const std::vector<Candidates>& weights,
                                                  Job& job) {
  std::vector<std::vector<StorageChoice>> choices;
  for (const Candidates& w : weights) {
    for (const StorageChoice& c : w.choices)
      if (!std::isfinite(c.loss))
        throw user_error("allocate: {}: rounded to {} bits the model gives no numbers", w.name, kReference);
    choices.push_back(w.choices);
  }
  const auto parameters = static_cast<double>(linear_sizes(job.config()).parameters);
  const Allocation a = allocate(choices, static_cast<i64>(o.budget * parameters / 8));
  std::map<std::string, const Width*> out;
  std::map<std::string, i64> counts;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const Width& width = widths[a.chosen[i]];
    out[weights[i].name] = &width;
    ++counts[width.text];
    job.add_series("bits", static_cast<i64>(i), static_cast<double>(width.bits));
  }
  std::string text;
  for (const auto& [width, count] : counts) text += fmt::format(", {} of {}", count, width);
  log_info("allocate: {:.3f} of {:.3f} bits a weight{}",
           static_cast<double>(a.bytes) * 8 / parameters,
           o.budget,
           text);
  return out;
}

void run(const Options& o, Job& job) {
  const std::vector<Width> widths = widths_of(o);
  const auto chosen = chosen_widths(o, widths, measure_all(o, widths, job), job);
  change_weights(
      job, o, o.shift > 0, [&](const std::string& name, const Weight& w, const InputMoments& inputs) {
        const Width& width = *chosen.at(name);
        if (width.bits == kDense) return w;
        const SweepTask task(name, w, inputs, o.damping, o.shift);
        const Weight q = sweep_to_integers(job, task, sweep_of(o, width), width.pruning).weight;
        return width.pruning ? smallest_int_weight(q) : q;
      });
}

const bool added = add_stage("allocate",
                             2,
                             "spend a budget of bits on the weights that need them, then sweep as gptq does",
                             fields,
                             estimate,
                             run,
                             Makes::changed_model,
                             {"calib"});

}  // namespace
}  // namespace pare
