#include "base/error.h"
#include "model/hf_packing.h"
#include "model/hf_quantised_awq.h"
#include "weights/transpose.h"

namespace pare {
namespace {

constexpr i64 kPerWord = 8;
constexpr int kBits = 4;
constexpr float kLargestF16 = 65504.0f;

class AwqPacking final : public HfPacking {
 public:
  std::string refusal(const LinearForm& form) const override {
    const auto ints = integer_form(form);
    if (!ints || ints->options.bits != kBits) return "AWQ holds integers of 4 bits";
    if (ints->act_order) return "AWQ has no act-order";
    if (form.rows % kPerWord) return "AWQ packs outputs by 8";
    if (ints->options.group > 0 && form.cols % ints->options.group) return "the last group is short";
    if (ints->largest_scale > kLargestF16) return "a scale is too large for f16";
    return "";
  }

  std::map<std::string, std::string> settle(const std::vector<NamedForm>& linears) override {
    group_ = common_group(linears);
    std::map<std::string, std::string> others;
    for (const NamedForm& x : linears) {
      const i64 group = integer_form(x.form)->options.group, G = x.form.groups(group);
      if (G == x.form.groups(group_) && (group_ <= 0 || x.form.cols % group_ == 0)) continue;
      others[x.module] = fmt::format("AWQ has one group for all, here {}",
                                     group_ <= 0 ? "the row" : fmt::format("{} inputs", group_));
    }
    return others;
  }

  std::vector<HfPart> parts(const LinearForm& form) const override {
    const i64 N = form.rows, G = form.groups(integer_form(form)->options.group);
    return {{".qweight", "I32", {form.cols, N / kPerWord}},
            {".qzeros", "I32", {G, N / kPerWord}},
            {".scales", "F16", {G, N}}};
  }

  PackedLinear pack(const std::string& module, const Weight& w) const override {
    const auto f = as_int_group(module, w, DType::f16, DType::f32);
    const Tensor zeros = packed_code_rows(f->unpacked_zeros(), kBits);
    return {{awq_words(f->codes(), w.cols()), awq_words(zeros, f->groups()), transposed(f->scales())},
            Weight(f)};
  }

  json config(const std::vector<std::string>& dense) const override {
    json c = {{"quant_method", "awq"},
              {"bits", kBits},
              {"group_size", group_ <= 0 ? -1 : group_},
              {"zero_point", true},
              {"version", "gemm"},
              {"modules_to_not_convert", nullptr}};
    if (dense.empty()) return c;
    c["modules_to_not_convert"] = dense;
    c["modules_to_not_convert"].push_back("lm_head");  // a list replaces the usual one
    return c;
  }

 private:
  i64 group_ = 0;
};

}  // namespace

std::unique_ptr<HfPacking> awq_packing() { return std::make_unique<AwqPacking>(); }

}  // namespace pare
