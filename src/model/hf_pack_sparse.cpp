#include <algorithm>

#include "base/error.h"
#include "model/hf_packing.h"
#include "weights/sparse_mask.h"

namespace pare {
namespace {

constexpr const char* kVersion = "0.11.0";  // the last that reads these

class SparsePacking final : public HfPacking {
 public:
  explicit SparsePacking(SparseLayout layout) : layout_(layout) {}

  std::string refusal(const LinearForm& form) const override {
    const auto* sparse = std::get_if<SparseForm>(&form.kind);
    if (!sparse) return "it holds no mask";
    const bool floats =
        sparse->values == DType::f32 || sparse->values == DType::bf16 || sparse->values == DType::f16;
    if (!floats) return "masks are written with values of f32, bf16 or f16";
    if (layout_ == SparseLayout::two_of_four && !sparse->two_of_four)
      return "a mask keeps other than two of each four inputs; --type sparse-bitmask takes any";
    return "";
  }

  std::map<std::string, std::string> settle(const std::vector<NamedForm>& linears) override {
    for (const NamedForm& x : linears) {
      count_ += x.form.rows * x.form.cols;
      kept_ += std::get<SparseForm>(x.form.kind).kept;
    }
    return {};
  }

  std::vector<HfPart> parts(const LinearForm& form) const override {
    const auto& sparse = std::get<SparseForm>(form.kind);
    const i64 N = form.rows, K = form.cols;
    const std::string dtype = safetensors_dtype(sparse.values);
    const HfPart mask{".weight.bitmask", "U8", {N, (K + 7) / 8}};
    if (layout_ == SparseLayout::two_of_four)
      return {{".weight.compressed", dtype, {N, K / 2}}, mask, {".weight.shape", "I64", {2, 1}}};
    return {{".weight.compressed", dtype, {sparse.kept}},
            mask,
            {".weight.shape", "I64", {2}},
            {".weight.row_offsets", "I64", {N}}};
  }

  PackedLinear pack(const std::string&, const Weight& w) const override {
    const auto& f = dynamic_cast<const SparseMaskWeight&>(w.format());
    Tensor shape = Tensor::empty({2}, DType::i64);
    shape.data<i64>()[0] = w.rows();
    shape.data<i64>()[1] = w.cols();
    const Tensor mask = pack_places(f.places().unpacked(), KeptPattern::any).stored();
    if (layout_ == SparseLayout::two_of_four)
      return {{f.values().reshaped({w.rows(), w.cols() / 2}), mask, shape.reshaped({2, 1})}, w};
    return {{f.values(), mask, shape, row_offsets(f.places())}, w};
  }

  json config(const std::vector<std::string>& dense) const override {
    const bool pattern = layout_ == SparseLayout::two_of_four;
    json ignore = json::array({"lm_head"});
    for (const std::string& module : dense) ignore.push_back(module);
    return {
        {"quant_method", "compressed-tensors"},
        {"version", kVersion},
        {"format", "dense"},
        {"quantization_status", "compressed"},
        {"ignore", ignore},
        {"config_groups", json::object()},
        {"sparsity_config",
         {{"format", pattern ? "sparse-24-bitmask" : "sparse-bitmask"},
          {"targets", {"Linear"}},
          {"ignore", ignore},
          {"global_sparsity", 1 - static_cast<double>(kept_) / static_cast<double>(std::max<i64>(count_, 1))},
          {"sparsity_structure", pattern ? "2:4" : "unstructured"}}}};
  }

 private:
  /// Index of the first value of each row.
  static Tensor row_offsets(const KeptPlaces& places) {
    Tensor offsets = Tensor::empty({places.rows()}, DType::i64);
    for (i64 n = 0; n < places.rows(); ++n) offsets.data<i64>()[n] = places.kept_before(n);
    return offsets;
  }

  SparseLayout layout_;
  i64 count_ = 0, kept_ = 0;  // of all matrices
};

}  // namespace

std::unique_ptr<HfPacking> sparse_packing(SparseLayout layout) {
  return std::make_unique<SparsePacking>(layout);
}

}  // namespace pare
