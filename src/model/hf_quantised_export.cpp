#include "model/hf_quantised_export.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "base/signals.h"
#include "io/safetensors.h"
#include "model/hf_folder.h"
#include "model/hf_packing.h"
#include "model/hf_rounding.h"
#include "model/hf_tokenizer.h"
#include "weights/read_options.h"
#include "weights/sparse_mask.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

constexpr i64 kMillion = 1'000'000;
constexpr const char* kInBlocks = "model.layers.";

template <class Member>
constexpr bool kIsWeight = std::is_same_v<std::decay_t<Member>, Weight>;

/// Types that say how to pack, not how to round.
std::vector<std::string> layout_names(const std::string& method) {
  if (method == "gptq") return {"v1", "v2"};
  if (method == "compressed-tensors") return {"sparse-bitmask", "sparse-24-bitmask"};
  return {};
}

bool is_layout(const std::string& method, const std::string& type) {
  const auto names = layout_names(method);
  return std::find(names.begin(), names.end(), type) != names.end();
}

/// What a file holds for a dense matrix that was packed: the embedding's dtype, or what config.json says.
DType dtype_of(const Model& m) {
  if (const Tensor embed = m.params.embed.dense(); embed.defined()) return embed.dtype();
  for (const char* key : {"dtype", "torch_dtype"})
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
      if (m.config.raw.value(key, json()) == config_dtype(dtype)) return dtype;
  return DType::f32;
}

/// input_activations of a source of compressed-tensors, where they need no numbers that were not read.
json carried_activations(const Config& c, std::vector<std::string>& lost) {
  const json q = c.raw.value("quantization_config", json());
  if (!q.is_object() || q.value("quant_method", json()) != "compressed-tensors") return nullptr;
  std::set<std::string> found;
  for (const json& group : q.value("config_groups", json::object()))
    found.insert(group.value("input_activations", json()).dump());
  if (found.size() != 1 || *found.begin() == "null") return nullptr;
  const json activations = json::parse(*found.begin());
  if (activations.value("dynamic", json()) == true) return activations;
  lost.emplace_back("input_activations: the scales of activations are not read, so products run on floats");
  return nullptr;
}

std::unique_ptr<HfPacking> packing_of(const std::string& method,
                                      const std::string& type,
                                      DType dtype,
                                      json activations) {
  if (method == "gptq") return gptq_packing(type == "v2" ? GptqZeros::v2 : GptqZeros::v1);
  if (method == "awq") return awq_packing();
  if (method == "bnb") return bitsandbytes_packing(dtype);
  if (type == "sparse-bitmask") return sparse_packing(SparseLayout::any);
  if (type == "sparse-24-bitmask") return sparse_packing(SparseLayout::two_of_four);
  return compressed_tensors_packing(dtype, std::move(activations));
}

/// Dense matrices seen as masks of what is not zero, where sparse ones are asked for.
class Masks final : public HfRounding {
 public:
  LinearForm form(const std::string& module, const Weight& dense) const override {
    return form_of(round(module, dense));
  }
  Weight round(const std::string&, const Weight& dense) const override {
    return sparse_mask_weight(dense.dense());
  }
};

std::string module_of(const std::string& name) { return name.substr(0, name.rfind(".weight")); }

class Exporter {
 public:
  Exporter(const Model& m, const std::string& method, const std::string& type, Converted& done)
      : m_(m), method_(method), type_(type), dtype_(dtype_of(m)), done_(done) {
    const bool layout = is_layout(method, type);
    if (!type.empty() && !layout)
      rounding_ = hf_rounding(method, type, m);
    else if (method == "compressed-tensors" && layout)
      rounding_ = std::make_unique<Masks>();
    json activations;
    if (method == "compressed-tensors")
      activations = rounding_ ? rounding_->activations() : carried_activations(m.config, done.lost);
    packing_ = packing_of(method, type, dtype_, activations);
  }

  /// Decides what becomes of each linear.
  void plan() {
    std::vector<NamedForm> candidates;
    std::map<std::string, std::string> refused;
    each_linear([&](const std::string& module, const Weight& w) {
      check_stop();
      const bool dense = w.dense().defined();
      if (!dense && rounding_ && !is_layout(method_, type_))
        throw user_error("{}: is packed already ({}), and type {} rounds dense weights; leave the type away",
                         module,
                         w.format().name(),
                         type_);
      if (dense && !rounding_) {
        dense_.push_back(module);
        return;
      }
      const LinearForm form = dense ? rounding_->form(module, w) : form_of(w);
      const std::string why = packing_->refusal(form);
      if (why.empty())
        candidates.push_back({module, form});
      else
        refused[module] = fmt::format("{}: {}", form.name, why);
    });
    if (candidates.empty()) throw nothing_to_pack(refused);
    for (const auto& [module, why] : packing_->settle(candidates)) refused[module] = why;
    for (const NamedForm& x : candidates)
      if (!refused.contains(x.module)) packed_[x.module] = x.form;
    std::map<std::string, std::vector<std::string>> reasons;
    each_linear([&](const std::string& module, const Weight&) {
      if (!refused.contains(module)) return;
      dense_.push_back(module);
      reasons[refused[module]].push_back(module);
    });
    for (const auto& [why, modules] : reasons)
      done_.lost.push_back(fmt::format("{} of {} linears stay dense ({}; the first is {})",
                                       modules.size(),
                                       packed_.size() + dense_.size(),
                                       why,
                                       modules.front()));
  }

  void write(const fs::path& file) {
    SafeTensorsWriter writer(file, entries());
    Progress progress("convert, million weights", m_.config.parameters() / kMillion + 1);
    i64 written = 0;
    each_param(m_.params, m_.config, [&](const std::string& name, const auto& member, const Shape& shape) {
      check_stop();
      if constexpr (kIsWeight<decltype(member)>)
        write_weight(name, member, writer);
      else
        writer.write(name, vector(member));
      written += shape.count();
      progress.advance(written / kMillion - progress.done(), name);
    });
    writer.finish();
  }

  json config() const {
    json config = hf_config(m_.config, dtype_, done_.lost);
    config["quantization_config"] = packing_->config(dense_);
    return config;
  }

 private:
  /// The weights inside the blocks.
  template <class Visit>
  void each_linear(Visit&& visit) const {
    each_param(m_.params, m_.config, [&](const std::string& name, const auto& member, const Shape&) {
      if constexpr (kIsWeight<decltype(member)>)
        if (name.starts_with(kInBlocks)) visit(module_of(name), member);
    });
  }

  Error nothing_to_pack(const std::map<std::string, std::string>& refused) const {
    if (!refused.empty())
      return user_error(
          "{}: no linear can be packed for {}: {}; try another --to, or --to hf for dense weights",
          refused.begin()->first,
          method_,
          refused.begin()->second);
    return user_error(
        "convert --to {}: found dense weights, expected packed ones; run a stage that quantises (pare run), "
        "or "
        "give a type that rounds: {}",
        method_,
        fmt::join(rounding_names(method_), ", "));
  }

  /// Norms and biases as the model's dtype where that says them exactly.
  Tensor vector(const Tensor& values) const {
    const Tensor full = values.to_f32(), rounded = dtype_ == DType::f32 ? full : full.to(dtype_);
    return dtype_ == DType::f32 || largest_difference(full, rounded) > 0 ? full : rounded;
  }
  DType dense_dtype(const Weight& w) const {
    const Tensor dense = w.dense();
    return dense.defined() ? dense.dtype() : dtype_;
  }

  std::vector<SafeTensorsWriter::Entry> entries() {
    std::vector<SafeTensorsWriter::Entry> entries;
    each_param(m_.params, m_.config, [&](const std::string& name, const auto& member, const Shape& shape) {
      DType dtype;
      if constexpr (kIsWeight<decltype(member)>) {
        if (const auto found = packed_.find(module_of(name)); found != packed_.end()) {
          for (HfPart& part : packing_->parts(found->second))
            entries.push_back({found->first + part.suffix, part.dtype, std::move(part.shape)});
          return;
        }
        dtype = dense_dtype(member);
      } else {
        dtype = vector(member).dtype();
      }
      std::vector<i64> dims;
      for (i64 i = 0; i < shape.rank(); ++i) dims.push_back(shape[i]);
      entries.push_back({name, safetensors_dtype(dtype), dims});
    });
    done_.tensors = static_cast<i64>(entries.size());
    return entries;
  }

  void write_dense(const std::string& name, const Weight& w, SafeTensorsWriter& writer) {
    Tensor dense = w.dense();
    if (dense.defined()) {
      expect_finite(name, "", dense);
    } else {
      const Tensor before = w.decode_all();
      expect_finite_weight(name.c_str(), before);
      dense = before.to(dtype_);
      note_error(name, largest_difference(before, dense));
    }
    done_.by_format[dtype_name(dense.dtype())] += 1;
    writer.write(name, dense);
  }

  void write_weight(const std::string& name, const Weight& w, SafeTensorsWriter& writer) {
    const auto found = packed_.find(module_of(name));
    if (found == packed_.end()) return write_dense(name, w, writer);
    const Tensor before = w.decode_all();
    expect_finite_weight(name.c_str(), before);
    const bool dense = w.dense().defined();
    const PackedLinear packed = packing_->pack(found->first, dense ? rounding_->round(found->first, w) : w);
    const std::vector<HfPart> parts = packing_->parts(found->second);
    for (std::size_t i = 0; i < parts.size(); ++i)
      writer.write(found->first + parts[i].suffix, packed.tensors[i]);
    note_error(name, largest_difference(before, packed.read.decode_all()));
    done_.by_format[packed.read.format().name()] += 1;
  }

  void note_error(const std::string& name, double error) {
    if (!std::isfinite(error))
      throw user_error(
          "{}: holds weights too large for {}; convert --to hf in f32", name, dtype_name(dtype_));
    done_.max_error = std::max(done_.max_error, error);
  }

  const Model& m_;
  std::string method_, type_;
  DType dtype_;
  Converted& done_;
  std::unique_ptr<HfRounding> rounding_;  // of dense weights; null when they stay dense
  std::unique_ptr<HfPacking> packing_;
  std::map<std::string, LinearForm> packed_;  // by module
  std::vector<std::string> dense_;            // modules inside the blocks
};

}  // namespace

const std::vector<std::string>& hf_quantised_methods() {
  static const std::vector<std::string> names = {"gptq", "awq", "bnb", "compressed-tensors"};
  return names;
}

std::vector<std::string> hf_quantised_types(const std::string& method) {
  std::vector<std::string> names = layout_names(method);
  for (const std::string& name : rounding_names(method)) names.push_back(name);
  return names;
}

void expect_hf_quantised_type(const std::string& method, const std::string& type) {
  const std::vector<std::string> known = hf_quantised_types(method);
  if (type.empty() || std::find(known.begin(), known.end(), type) != known.end()) return;
  const std::string near = nearest_name(type, known);
  throw user_error("convert --to {}: type \"{}\", expected one of {}{}",
                   method,
                   type,
                   fmt::join(known, ", "),
                   near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near));
}

Converted export_hf_quantised(const Model& m,
                              const fs::path& source,
                              const std::string& method,
                              const std::string& type,
                              const fs::path& out) {
  expect_hf_quantised_type(method, type);
  expect_no_online_hadamard(m.config, source.string());
  Converted done;
  write_new_folder(out, [&](const fs::path& folder) {
    Exporter exporter(m, method, type, done);
    exporter.plan();
    write_hf_tokenizer(source, folder, done.lost);
    exporter.write(folder / "model.safetensors");
    const json config = exporter.config();
    write_file_atomic(folder / "config.json", config.dump(2) + "\n");
    if (method == "gptq" || method == "awq")  // older readers look there
      write_file_atomic(folder / "quantize_config.json", config["quantization_config"].dump(2) + "\n");
    done.bytes = static_cast<i64>(fs::file_size(folder / "model.safetensors"));
  });
  return done;
}

}  // namespace pare
