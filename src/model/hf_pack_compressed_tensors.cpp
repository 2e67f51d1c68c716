#include <algorithm>

#include "base/error.h"
#include "model/hf_packing.h"
#include "model/hf_quantised_compressed_tensors.h"
#include "weights/transpose.h"

namespace pare {
namespace {

constexpr i64 kMxGroup = 32, kNvfp4Group = 16;
constexpr const char* kVersion = "0.19.0";  // whose layouts are written

/// How the configuration describes a linear: an entry of config_groups but for its targets.
struct Scheme {
  std::string format;
  json weights;
  bool operator==(const Scheme& other) const = default;
};

json arguments(int bits, const char* type, const char* strategy) {
  return {{"num_bits", bits},
          {"type", type},
          {"symmetric", true},
          {"strategy", strategy},
          {"group_size", nullptr},
          {"block_structure", nullptr},
          {"dynamic", false},
          {"actorder", nullptr},
          {"scale_dtype", nullptr},
          {"zp_dtype", nullptr},
          {"observer", "minmax"},
          {"observer_kwargs", json::object()}};
}

/// Whether the words of `count` values say how they are packed; else readers may take them apart wrongly.
bool unambiguous(i64 count, int bits) {
  const i64 dense = packed_words(count, bits, WordPacking::dense);
  return dense <= 1 || 32 % bits == 0 || dense != packed_words(count, bits, WordPacking::padded);
}

/// The inputs that share a scale; 0 for whole rows.
i64 group_of(const LinearForm& form, const IntGroupOptions& o) {
  return o.group <= 0 || o.group > form.cols ? 0 : o.group;
}

std::string shape_name(const FloatGroupOptions& o) {
  if (o.scale == BlockScale::e8m0 && o.block_rows == 1 && o.block_cols == kMxGroup)
    return o.element == MiniFloat::e4m3 ? "mxfp8" : "mxfp4";
  if (o.scale == BlockScale::e4m3 && o.element == MiniFloat::e2m1 && o.block_rows == 1 &&
      o.block_cols == kNvfp4Group)
    return "nvfp4";
  if (o.scale != BlockScale::real || o.element != MiniFloat::e4m3) return "";
  if (o.block_rows == 0) return o.block_cols == 0 ? "tensor" : "";
  if (o.block_rows == 1) return o.block_cols == 0 ? "channel" : "group";
  return o.block_cols == 0 ? "" : "block";
}

class CompressedPacking final : public HfPacking {
 public:
  CompressedPacking(DType model_dtype, json activations)
      : model_dtype_(model_dtype), activations_(std::move(activations)) {
    integer_activations_ = activations_.is_object() && activations_.value("type", "int") == "int";
  }

  std::string refusal(const LinearForm& form) const override {
    if (const auto ints = integer_form(form)) return integer_refusal(form, *ints);
    if (std::holds_alternative<SparseForm>(form.kind))
      return "its tools have given up masks; types sparse-bitmask and sparse-24-bitmask write them for old "
             "ones";
    const auto* floats = std::get_if<FloatGroupOptions>(&form.kind);
    if (!floats)
      return "compressed-tensors holds integers and floats with a scale per group, row, block or matrix";
    const std::string shape = shape_name(*floats);
    if (shape.empty()) return "compressed-tensors has no such blocks";
    const bool grouped = shape != "tensor" && shape != "channel" && shape != "block";
    return grouped && form.cols % floats->block_cols ? "the last group is short" : "";
  }

  std::map<std::string, std::string> settle(const std::vector<NamedForm>& linears) override {
    for (const NamedForm& x : linears) {
      const auto ints = integer_form(x.form);
      if (ints && !ints->options.symmetric) asymmetric_.push_back(scheme_of(x.form, Zeros::left_out));
    }
    for (const NamedForm& x : linears) {
      const Scheme scheme = scheme_of(x.form);
      const auto known =
          std::find_if(groups_.begin(), groups_.end(), [&](const Group& g) { return g.scheme == scheme; });
      if (known == groups_.end())
        groups_.push_back({scheme, {x.module}});
      else
        known->modules.push_back(x.module);
    }
    std::stable_sort(groups_.begin(), groups_.end(), [](const Group& a, const Group& b) {
      return a.modules.size() > b.modules.size();
    });
    return {};
  }

  std::vector<HfPart> parts(const LinearForm& form) const override {
    return integer_form(form) ? integer_parts(form) : float_parts(form);
  }

  PackedLinear pack(const std::string& module, const Weight& w) const override {
    return integer_form(form_of(w)) ? pack_integers(module, w) : pack_floats(module, w);
  }

  json config(const std::vector<std::string>& dense) const override {
    json ignore = json::array({"lm_head"}), groups = json::object();
    for (const std::string& module : dense) ignore.push_back(module);
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      const Group& g = groups_[i];
      // The first takes all that no other names.
      groups["group_" + std::to_string(i)] = {{"targets", i == 0 ? json::array({"Linear"}) : json(g.modules)},
                                              {"weights", g.scheme.weights},
                                              {"input_activations", activations_},
                                              {"output_activations", nullptr},
                                              {"format", g.scheme.format}};
    }
    const bool one = std::all_of(groups_.begin(), groups_.end(), [&](const Group& g) {
      return g.scheme.format == groups_.front().scheme.format;
    });
    return {{"quant_method", "compressed-tensors"},
            {"version", kVersion},
            {"format", one ? groups_.front().scheme.format : "mixed-precision"},
            {"quantization_status", "compressed"},
            {"global_compression_ratio", nullptr},
            {"ignore", ignore},
            {"kv_cache_scheme", nullptr},
            {"config_groups", groups},
            {"sparsity_config", json::object()},
            {"transform_config", json::object()}};
  }

 private:
  struct Group {
    Scheme scheme;
    std::vector<std::string> modules;
  };
  enum class Zeros { as_they_are, left_out };

  // ---- integers ----

  /// Codes a byte each go with activations of 8 bits, words with weights only.
  bool in_words(const IntGroupOptions& o) const { return !integer_activations_ || o.bits != 8; }

  std::string integer_refusal(const LinearForm& form, const IntGroupForm& ints) const {
    const IntGroupOptions& o = ints.options;
    if (const i64 group = group_of(form, o); group && form.cols % group) return "the last group is short";
    if (ints.act_order && !in_words(o)) return "rows of bytes have no act-order";
    if (in_words(o) && (!unambiguous(form.cols, o.bits) || !unambiguous(form.rows, o.bits)))
      return fmt::format("words of {} bits for sides as short may be read in two ways", o.bits);
    if (o.values == DType::f16 && ints.largest_scale * static_cast<float>((1 << o.bits) - 1) > 65504)
      return "a scale is too large for f16";
    return "";
  }

  Scheme scheme_of(const LinearForm& form, Zeros zeros = Zeros::as_they_are) const {
    if (const auto ints = integer_form(form)) {
      const i64 group = group_of(form, ints->options);
      json args = arguments(ints->options.bits, "int", group ? "group" : "channel");
      if (group) args["group_size"] = group;
      if (ints->act_order) args["actorder"] = "group";
      Scheme scheme{in_words(ints->options) ? "pack-quantized" : "int-quantized", args};
      if (zeros == Zeros::as_they_are && has_zeros(form)) {
        scheme.weights["symmetric"] = false;
        scheme.weights["zp_dtype"] = "torch.int8";
      }
      return scheme;
    }
    const auto& o = std::get<FloatGroupOptions>(form.kind);
    const std::string shape = shape_name(o);
    if (shape == "nvfp4" || shape == "mxfp4" || shape == "mxfp8") {
      json args = arguments(shape == "mxfp8" ? 8 : 4, "float", shape == "nvfp4" ? "tensor_group" : "group");
      args["group_size"] = o.block_cols;
      args["scale_dtype"] = shape == "nvfp4" ? "torch.float8_e4m3fn" : "torch.uint8";
      return {shape == "mxfp8" ? "mxfp8-quantized" : shape + "-pack-quantized", args};
    }
    json args = arguments(8, "float", shape.c_str());
    if (shape == "group") args["group_size"] = o.block_cols;
    if (shape == "block") args["block_structure"] = {o.block_rows, o.block_cols};
    return {"float-quantized", args};
  }

  /// Zero points are written of all linears that differ in nothing else, where one has them: one entry of the
  /// configuration stands for them.
  bool has_zeros(const LinearForm& form) const {
    if (!integer_form(form)->options.symmetric) return true;
    const Scheme plain = scheme_of(form, Zeros::left_out);
    return std::find(asymmetric_.begin(), asymmetric_.end(), plain) != asymmetric_.end();
  }

  std::vector<HfPart> integer_parts(const LinearForm& form) const {
    const IntGroupForm ints = *integer_form(form);
    const IntGroupOptions& o = ints.options;
    const i64 N = form.rows, K = form.cols, G = form.groups(group_of(form, o));
    const std::string scales = safetensors_dtype(o.values);
    const bool zeros = has_zeros(form);
    std::vector<HfPart> parts;
    if (!in_words(o)) {
      parts = {{".weight", "I8", {N, K}}, {".weight_scale", scales, {N, G}}};
      if (zeros) parts.push_back({".weight_zero_point", "I8", {N, G}});
      return parts;
    }
    parts = {{".weight_packed", "I32", {N, packed_words(K, o.bits, WordPacking::dense)}},
             {".weight_scale", scales, {N, G}},
             {".weight_shape", "I64", {2}}};
    if (zeros)
      parts.push_back({".weight_zero_point", "I32", {packed_words(N, o.bits, WordPacking::dense), G}});
    if (ints.act_order) parts.push_back({".weight_g_idx", "I32", {K}});
    return parts;
  }

  PackedLinear pack_integers(const std::string& module, const Weight& w) const {
    const LinearForm form = form_of(w);
    const DType values = integer_form(form)->options.values;
    const auto f = as_int_group(module, w, values, values);
    const bool zeros = has_zeros(form);
    if (!in_words(integer_form(form)->options)) {
      PackedLinear out{{as_signed(f->codes()), f->scales()}, Weight(f)};
      if (zeros) out.tensors.push_back(as_signed(f->unpacked_zeros()));
      return out;
    }
    Tensor shape = Tensor::empty({2}, DType::i64);
    shape.data<i64>()[0] = w.rows();
    shape.data<i64>()[1] = w.cols();
    PackedLinear out{{words_of_rows(f->codes(), w.cols(), f->bits(), WordPacking::dense), f->scales(), shape},
                     Weight(f)};
    if (zeros) out.tensors.push_back(zero_words(*f));
    if (f->group_index().defined()) out.tensors.push_back(f->group_index());
    return out;
  }

  /// (N, G) → i32 (words, G), packed along the outputs.
  static Tensor zero_words(const IntGroupWeight& w) {
    const Tensor rows = packed_code_rows(transposed(w.unpacked_zeros()), w.bits());
    return transposed(words_of_rows(rows, w.rows(), w.bits(), WordPacking::dense));
  }

  /// u8 of 8 bits → i8, 128 less.
  static Tensor as_signed(const Tensor& codes) {
    Tensor out = Tensor::empty(codes.shape(), DType::i8);
    for (i64 i = 0; i < out.count(); ++i)
      out.data<i8>()[i] = static_cast<i8>(static_cast<int>(codes.data<u8>()[i]) - 128);
    return out;
  }

  // ---- floats ----

  std::vector<HfPart> float_parts(const LinearForm& form) const {
    const auto& o = std::get<FloatGroupOptions>(form.kind);
    const i64 N = form.rows, K = form.cols;
    const std::string shape = shape_name(o);
    const i64 C = form.groups(o.block_cols), R = o.block_rows ? (N + o.block_rows - 1) / o.block_rows : 1;
    const HfPart bytes{".weight", "F8_E4M3", {N, K}}, nibbles{".weight_packed", "U8", {N, K / 2}};
    if (shape == "mxfp8") return {bytes, {".weight_scale", "U8", {N, C}}};
    if (shape == "mxfp4") return {nibbles, {".weight_scale", "U8", {N, C}}};
    if (shape == "nvfp4")
      return {nibbles, {".weight_scale", "F8_E4M3", {N, C}}, {".weight_global_scale", "F32", {1}}};
    const std::vector<i64> scales = shape == "tensor" ? std::vector<i64>{1} : std::vector<i64>{R, C};
    return {bytes, {".weight_scale", safetensors_dtype(o.values), scales}};
  }

  PackedLinear pack_floats(const std::string& module, const Weight& w) const {
    const auto& f = dynamic_cast<const FloatGroupWeight&>(w.format());
    FloatGroupOptions o = f.choice();
    FloatGroupWeight::Parts parts = f.parts();
    if (o.scale == BlockScale::real)
      parts.scales = parts.scales.dtype() == o.values ? parts.scales : parts.scales.to_f32().to(o.values);
    else
      o.values = model_dtype_;  // such scales have no dtype that values could be rounded to
    const Weight read(std::make_shared<FloatGroupWeight>(module, w.rows(), w.cols(), o, parts));
    PackedLinear out{{parts.codes, parts.scales}, read};
    if (shape_name(o) == "tensor") out.tensors[1] = parts.scales.reshaped({1});
    if (parts.global.defined()) out.tensors.push_back(parts.global);
    return out;
  }

  DType model_dtype_;
  json activations_;
  bool integer_activations_ = false;
  std::vector<Scheme> asymmetric_;  // without their zero points
  std::vector<Group> groups_;
};

}  // namespace

std::unique_ptr<HfPacking> compressed_tensors_packing(DType model_dtype, json activations) {
  return std::make_unique<CompressedPacking>(model_dtype, std::move(activations));
}

}  // namespace pare
