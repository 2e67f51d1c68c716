#include "model/hf_rounding.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/error.h"
#include "model/joined_linears.h"
#include "weights/float_group_encode.h"
#include "weights/int8_row.h"
#include "weights/int_group_encode.h"

namespace pare {
namespace {

// ---- integers on our grid: GPTQ and AWQ ----

struct IntScheme {
  const char* name;
  int bits;
  i64 group;
  bool symmetric;
};

constexpr IntScheme kIntSchemes[] = {
    {"int4_g128", 4, 128, true},
    {"int4_g128_asym", 4, 128, false},
    {"int4_g64", 4, 64, true},
    {"int4_g64_asym", 4, 64, false},
    {"int4_g32", 4, 32, true},
    {"int4_g32_asym", 4, 32, false},
    {"int3_g128", 3, 128, true},
    {"int3_g128_asym", 3, 128, false},
    {"int8_g128", 8, 128, true},
    {"int8_row", 8, 0, true},
};

bool holds(const std::string& method, const IntScheme& s) {
  return method == "gptq" || (method == "awq" && s.bits == 4);
}

class OwnGrid final : public HfRounding {
 public:
  explicit OwnGrid(const IntScheme& s) : name_(s.name), options_{s.bits, s.group, s.symmetric} {}
  LinearForm form(const std::string&, const Weight& dense) const override {
    return {name_, dense.rows(), dense.cols(), IntGroupForm{options_, false, 0}};
  }
  Weight round(const std::string&, const Weight& dense) const override {
    return quantize_int_group(dense.decode_all(), options_);
  }

 private:
  std::string name_;
  IntGroupOptions options_;
};

// ---- bitsandbytes ----

class Bitsandbytes final : public HfRounding {
 public:
  explicit Bitsandbytes(std::string name) : name_(std::move(name)) {}
  LinearForm form(const std::string& module, const Weight& dense) const override {
    LinearForm form{name_, dense.rows(), dense.cols(), Int8RowForm()};
    if (name_ == "int8") return form;
    if (!options(dense).double_quantized) {
      form.kind = Codebook4Form{options(dense), 0};
      return form;
    }
    return form_of(round(module, dense));  // a text in the file is as long as a number found on the way
  }
  Weight round(const std::string&, const Weight& dense) const override {
    const Tensor w = dense.decode_all();
    return name_ == "int8" ? quantize_int8_row(w) : quantize_codebook4(w, options(dense));
  }

 private:
  Codebook4Options options(const Weight& dense) const {
    Codebook4Options o;
    o.code = name_.starts_with("nf4") ? Code4::nf4 : Code4::fp4;
    o.double_quantized = name_.ends_with("_dq");
    o.values = dense.dense().dtype();
    return o;
  }
  std::string name_;
};

// ---- compressed-tensors ----

constexpr i64 kPresetGroup = 128;

const std::vector<std::string>& bnb_names() {
  static const std::vector<std::string> names = {"nf4", "nf4_dq", "fp4", "fp4_dq", "int8"};
  return names;
}

class Integers final : public HfRounding {
 public:
  Integers(std::string name, const IntGroupOptions& options, json activations)
      : name_(std::move(name)), options_(options), activations_(std::move(activations)) {}
  LinearForm form(const std::string&, const Weight& dense) const override {
    IntGroupOptions o = options_;
    o.values = dense.dense().dtype();
    return {name_, dense.rows(), dense.cols(), IntGroupForm{o, false, 0}};
  }
  Weight round(const std::string&, const Weight& dense) const override {
    return quantize_int_group_in_dtype(dense.dense(), options_);
  }
  json activations() const override { return activations_; }

 private:
  std::string name_;
  IntGroupOptions options_;
  json activations_;
};

class Floats final : public HfRounding {
 public:
  Floats(std::string name, FloatScheme scheme, json activations, const Model& m)
      : name_(std::move(name)), scheme_(scheme), activations_(std::move(activations)), model_(m) {}
  LinearForm form(const std::string&, const Weight& dense) const override {
    return {name_, dense.rows(), dense.cols(), float_scheme_options(scheme_, dense.dense().dtype())};
  }
  Weight round(const std::string& module, const Weight& dense) const override {
    return quantize_float_group(
        dense.dense(), scheme_, scheme_ == FloatScheme::nvfp4 ? global(module, dense) : 0);
  }
  json activations() const override { return activations_; }

 private:
  /// What runs as one product shares it.
  float global(const std::string& module, const Weight& dense) const {
    const std::vector<std::string> joined = joined_linears(module + ".weight");
    float largest = 0;
    each_param(model_.params, model_.config, [&](const std::string& name, const auto& member, const Shape&) {
      if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
        if (std::find(joined.begin(), joined.end(), name) != joined.end())
          largest = std::max(largest, largest_magnitude(member.dense()));
    });
    return nvfp4_global(largest, dense.dense().dtype());
  }

  std::string name_;
  FloatScheme scheme_;
  json activations_;
  const Model& model_;
};

json activations_of(const char* type, const char* strategy, i64 group = 0) {
  return {{"num_bits", 8},
          {"type", type},
          {"symmetric", true},
          {"strategy", strategy},
          {"group_size", group ? json(group) : json()},
          {"block_structure", nullptr},
          {"dynamic", true},
          {"actorder", nullptr},
          {"scale_dtype", nullptr},
          {"zp_dtype", nullptr},
          {"observer", nullptr},
          {"observer_kwargs", json::object()}};
}

using MakeRounding = std::function<std::unique_ptr<HfRounding>(const std::string& name, const Model& m)>;

MakeRounding integers(int bits, i64 group, bool symmetric, const json& activations = nullptr) {
  return [=](const std::string& name, const Model&) {
    return std::make_unique<Integers>(name, IntGroupOptions{bits, group, symmetric}, activations);
  };
}
MakeRounding floats(FloatScheme scheme, const json& activations = nullptr) {
  return [=](const std::string& name, const Model& m) {
    return std::make_unique<Floats>(name, scheme, activations, m);
  };
}

/// The presets of llm-compressor, by their names there in lower case.
const std::vector<std::pair<std::string, MakeRounding>>& presets() {
  static const std::vector<std::pair<std::string, MakeRounding>> all = {
      {"w4a16", integers(4, kPresetGroup, true)},
      {"w4a16_asym", integers(4, kPresetGroup, false)},
      {"w3a16", integers(3, kPresetGroup, true)},
      {"w8a16", integers(8, 0, true)},
      {"w8a8", integers(8, 0, true, activations_of("int", "token"))},
      // Deviation from the preset: without calibration the scale of activations is found as they come.
      {"fp8", floats(FloatScheme::fp8_tensor, activations_of("float", "tensor"))},
      {"fp8_dynamic", floats(FloatScheme::fp8_row, activations_of("float", "token"))},
      {"fp8_block", floats(FloatScheme::fp8_block, activations_of("float", "group", kPresetGroup))},
      {"nvfp4a16", floats(FloatScheme::nvfp4)},
      {"mxfp4a16", floats(FloatScheme::mxfp4)},
      {"mxfp8a16", floats(FloatScheme::mxfp8)},
  };
  return all;
}

}  // namespace

std::vector<std::string> rounding_names(const std::string& method) {
  if (method == "bnb") return bnb_names();
  std::vector<std::string> names;
  for (const IntScheme& s : kIntSchemes)
    if (holds(method, s)) names.emplace_back(s.name);
  if (method == "compressed-tensors")
    for (const auto& [name, make] : presets()) names.push_back(name);
  return names;
}

std::unique_ptr<HfRounding> hf_rounding(const std::string& method, const std::string& name, const Model& m) {
  if (method == "bnb") return std::make_unique<Bitsandbytes>(name);
  for (const IntScheme& s : kIntSchemes)
    if (holds(method, s) && name == s.name) return std::make_unique<OwnGrid>(s);
  for (const auto& [known, make] : presets())
    if (name == known) return make(name, m);
  throw bug("{}: no rounding '{}'", method, name);
}

}  // namespace pare
