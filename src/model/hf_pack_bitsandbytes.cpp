#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "model/config.h"
#include "model/hf_packing.h"
#include "weights/blockwise8.h"
#include "weights/int8_row.h"

namespace pare {
namespace {

constexpr i64 kNestedBlock = 256;

const char* name_of(Code4 code) { return code == Code4::nf4 ? "nf4" : "fp4"; }

std::string kind_of(const LinearForm& form) {
  if (std::holds_alternative<Int8RowForm>(form.kind)) return "int8";
  const auto* four = std::get_if<Codebook4Form>(&form.kind);
  return four ? name_of(four->options.code) : "";
}

/// With the blanks of Python's json.dumps: any reader needs the object only, but so files are the library's
/// own to the byte.
std::string quant_state(const LinearForm& form) {
  const auto& [o, nested_offset] = std::get<Codebook4Form>(form.kind);
  std::string text =
      fmt::format("{{\"quant_type\": \"{}\", \"blocksize\": {}, \"dtype\": \"{}\", \"shape\": [{}, {}]",
                  name_of(o.code),
                  o.block,
                  config_dtype(o.values),
                  form.rows,
                  form.cols);
  if (o.double_quantized)
    text += fmt::format(", \"nested_blocksize\": {}, \"nested_dtype\": \"float32\", \"nested_offset\": {}",
                        kNestedBlock,
                        json(static_cast<double>(nested_offset)).dump());
  return text + "}";
}

Tensor as_bytes(const std::string& text) {
  Tensor bytes = Tensor::empty({static_cast<i64>(text.size())}, DType::u8);
  std::memcpy(bytes.raw(), text.data(), text.size());
  return bytes;
}

class BitsandbytesPacking final : public HfPacking {
 public:
  explicit BitsandbytesPacking(DType compute) : compute_(compute) {}

  std::string refusal(const LinearForm& form) const override {
    return kind_of(form).empty() ? "bitsandbytes holds nf4, fp4, and int8 with a scale per row" : "";
  }

  std::map<std::string, std::string> settle(const std::vector<NamedForm>& linears) override {
    std::map<std::string, i64> counts;
    for (const NamedForm& x : linears) ++counts[kind_of(x.form)];
    const auto most = std::max_element(
        counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    kind_ = most->first;
    std::map<std::string, std::string> others;
    for (const NamedForm& x : linears) {
      if (kind_of(x.form) != kind_) others[x.module] = "bitsandbytes has one type for all, here " + kind_;
      const auto* four = std::get_if<Codebook4Form>(&x.form.kind);
      double_quantized_ |= kind_of(x.form) == kind_ && four && four->options.double_quantized;
    }
    return others;
  }

  std::vector<HfPart> parts(const LinearForm& form) const override {
    const i64 N = form.rows, K = form.cols;
    if (kind_of(form) == "int8")
      return {{".weight", "I8", {N, K}}, {".SCB", "F32", {N}}, {".weight_format", "U8", {}}};
    const Codebook4Options& o = std::get<Codebook4Form>(form.kind).options;
    const i64 B = (N * K + o.block - 1) / o.block;
    const std::string state = std::string(".weight.quant_state.bitsandbytes__") + name_of(o.code);
    std::vector<HfPart> parts = {{".weight", "U8", {(N * K + 1) / 2, 1}},
                                 {".weight.absmax", o.double_quantized ? "U8" : "F32", {B}},
                                 {".weight.quant_map", "F32", {16}},
                                 {state, "U8", {static_cast<i64>(quant_state(form).size())}}};
    if (!o.double_quantized) return parts;
    parts.push_back({".weight.nested_absmax", "F32", {(B + kNestedBlock - 1) / kNestedBlock}});
    parts.push_back({".weight.nested_quant_map", "F32", {256}});
    return parts;
  }

  PackedLinear pack(const std::string&, const Weight& w) const override {
    if (const auto* rows = dynamic_cast<const Int8RowWeight*>(&w.format()))
      return {{rows->codes(), rows->scb(), Tensor::zeros({}, DType::u8)}, w};
    const auto& f = dynamic_cast<const Codebook4Weight&>(w.format());
    const auto& p = f.parts();
    PackedLinear out{{p.codes.reshaped({p.codes.count(), 1}),
                      p.absmax,
                      Tensor::of({16}, code4_table(f.choice().code)),
                      as_bytes(quant_state(form_of(w)))},
                     w};
    if (!f.choice().double_quantized) return out;
    out.tensors.push_back(p.nested_absmax);
    out.tensors.push_back(Tensor::of({256}, dynamic_map8()));
    return out;
  }

  json config(const std::vector<std::string>& dense) const override {
    const bool eight = kind_ == "int8";
    json skipped;  // null: what its readers leave alone by themselves, the head
    if (!dense.empty()) {
      skipped = dense;
      skipped.push_back("lm_head");
    }
    return {{"quant_method", "bitsandbytes"},
            {"_load_in_4bit", !eight},
            {"_load_in_8bit", eight},
            {"load_in_4bit", !eight},
            {"load_in_8bit", eight},
            {"bnb_4bit_compute_dtype", config_dtype(compute_)},
            {"bnb_4bit_quant_storage", "uint8"},
            {"bnb_4bit_quant_type", eight ? "fp4" : kind_},
            {"bnb_4bit_use_double_quant", double_quantized_},
            {"llm_int8_enable_fp32_cpu_offload", false},
            {"llm_int8_has_fp16_weight", false},
            {"llm_int8_skip_modules", skipped},
            {"llm_int8_threshold", 6.0}};
  }

 private:
  DType compute_;
  std::string kind_;
  bool double_quantized_ = false;
};

}  // namespace

std::unique_ptr<HfPacking> bitsandbytes_packing(DType compute) {
  return std::make_unique<BitsandbytesPacking>(compute);
}

}  // namespace pare
