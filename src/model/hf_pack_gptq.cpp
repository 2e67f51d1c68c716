#include <algorithm>

#include "base/error.h"
#include "model/hf_packing.h"
#include "weights/transpose.h"

namespace pare {
namespace {

constexpr i64 kWordBits = 32;
constexpr float kLargestF16 = 65504.0f;

class GptqPacking final : public HfPacking {
 public:
  explicit GptqPacking(GptqZeros version) : version_(version) {}

  std::string refusal(const LinearForm& form) const override {
    const auto ints = integer_form(form);
    if (!ints) return "GPTQ holds integers of 2, 3, 4 or 8 bits";
    const int bits = ints->options.bits;
    if (bits != 2 && bits != 3 && bits != 4 && bits != 8)
      return fmt::format("GPTQ has no integers of {} bits", bits);
    // Its tools make the words of zero points by a division that rounds down, so rows of either side are
    // whole.
    if (form.cols * bits % kWordBits || form.rows * bits % kWordBits)
      return fmt::format("sides of {} bits do not fill words of 32 bits", bits);
    if (ints->largest_scale * static_cast<float>((1 << bits) - 1) > kLargestF16)
      return "a scale is too large for f16";
    return "";
  }

  std::map<std::string, std::string> settle(const std::vector<NamedForm>& linears) override {
    std::map<int, i64> counts;
    for (const NamedForm& x : linears) ++counts[integer_form(x.form)->options.bits];
    const auto most = std::max_element(
        counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    bits_ = most->first;
    group_ = common_group(linears);
    for (const NamedForm& x : linears) {
      const IntGroupForm ints = *integer_form(x.form);
      symmetric_ &= ints.options.symmetric;
      act_order_ |= ints.act_order;
      const i64 G = x.form.groups(ints.options.group);
      const bool usual_group = G == x.form.groups(group_) && (G == 1 || ints.options.group == group_);
      if (ints.options.bits == bits_ && usual_group) continue;
      own_["+:" + pattern(x.module)] = {{"bits", ints.options.bits},
                                        {"group_size", said(ints.options.group)}};
    }
    return {};
  }

  std::vector<HfPart> parts(const LinearForm& form) const override {
    const IntGroupOptions o = integer_form(form)->options;
    const i64 N = form.rows, K = form.cols, G = form.groups(o.group);
    return {{".qweight", "I32", {K * o.bits / kWordBits, N}},
            {".qzeros", "I32", {G, N * o.bits / kWordBits}},
            {".scales", "F16", {G, N}},
            {".g_idx", "I32", {K}}};
  }

  PackedLinear pack(const std::string& module, const Weight& w) const override {
    const auto f = as_int_group(module, w, DType::f16, DType::f16);
    return {{gptq_qweight(f->codes()),
             gptq_qzeros(f->unpacked_zeros(), f->bits(), version_),
             transposed(f->scales()),
             group_index(*f)},
            Weight(f)};
  }

  json config(const std::vector<std::string>& dense) const override {
    const char* format = version_ == GptqZeros::v1 ? "gptq" : "gptq_v2";
    json c = {{"quant_method", "gptq"},
              {"method", "gptq"},
              {"bits", bits_},
              {"group_size", said(group_)},
              {"desc_act", act_order_},
              {"sym", symmetric_},
              {"lm_head", false},
              {"checkpoint_format", format},
              {"format", format},
              {"pack_dtype", "int32"},
              {"meta", {{"quantizer", {"pare:" PARE_VERSION}}}}};
    json dynamic = own_;
    for (const std::string& module : dense) dynamic["-:" + pattern(module)] = json::object();
    if (!dynamic.empty()) c["dynamic"] = dynamic;
    return c;
  }

 private:
  static i64 said(i64 group) { return group <= 0 ? -1 : group; }

  /// An expression that matches this module only.
  static std::string pattern(const std::string& module) {
    std::string text = "^";
    for (const char c : module) {
      if (c == '.') text += '\\';
      text += c;
    }
    return text + "$";
  }

  static Tensor group_index(const IntGroupWeight& w) {
    if (w.group_index().defined()) return w.group_index();
    Tensor index = Tensor::empty({w.cols()}, DType::i32);
    for (i64 k = 0; k < w.cols(); ++k) index.data<i32>()[k] = static_cast<i32>(k / w.group());
    return index;
  }

  GptqZeros version_;
  int bits_ = 4;
  i64 group_ = 0;
  bool symmetric_ = true, act_order_ = false;
  json own_ = json::object();  // modules unlike the others
};

}  // namespace

std::unique_ptr<HfPacking> gptq_packing(GptqZeros version) { return std::make_unique<GptqPacking>(version); }

}  // namespace pare
