#include "model/hf_packing.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "weights/bits.h"
#include "weights/float_group_encode.h"
#include "weights/int8_row.h"
#include "weights/sparse_mask.h"

namespace pare {
namespace {

constexpr float kOver127 = 7.874015718698502e-3f;  // as Int8RowWeight multiplies

IntGroupForm form_of_integers(const IntGroupWeight& w) {
  const i64 group = w.options()["group"].get<i64>();
  return {{w.bits(), group, w.symmetric(), w.values()},
          w.group_index().defined() && w.groups() > 1,
          largest_magnitude(w.scales())};
}

float nested_offset(const Codebook4Weight& w) {
  return w.choice().double_quantized ? w.parts().nested_offset.f32()[0] : 0;
}

/// Whether every four columns keep exactly two.
bool keeps_two_of_four(const SparseMaskWeight& w) {
  if (w.places().pattern() == KeptPattern::two_of_four) return true;
  if (w.cols() % 4) return false;
  const Tensor keep = w.places().unpacked();
  for (i64 i = 0; i < keep.count(); i += 4) {
    const u8* four = keep.data<u8>() + i;
    if (four[0] + four[1] + four[2] + four[3] != 2) return false;
  }
  return true;
}

}  // namespace

LinearForm form_of(const Weight& w) {
  LinearForm form{w.format().name(), w.rows(), w.cols(), OtherForm()};
  const WeightFormat* f = &w.format();
  if (const auto* ints = dynamic_cast<const IntGroupWeight*>(f))
    form.kind = form_of_integers(*ints);
  else if (dynamic_cast<const Int8RowWeight*>(f))
    form.kind = Int8RowForm();
  else if (const auto* codebook = dynamic_cast<const Codebook4Weight*>(f))
    form.kind = Codebook4Form{codebook->choice(), nested_offset(*codebook)};
  else if (const auto* floats = dynamic_cast<const FloatGroupWeight*>(f))
    form.kind = floats->choice();
  else if (const auto* sparse = dynamic_cast<const SparseMaskWeight*>(f))
    form.kind = SparseForm{sparse->values().dtype(), sparse->places().kept(), keeps_two_of_four(*sparse)};
  return form;
}

std::optional<IntGroupForm> integer_form(const LinearForm& form) {
  if (const auto* ints = std::get_if<IntGroupForm>(&form.kind)) return *ints;
  if (std::holds_alternative<Int8RowForm>(form.kind)) return IntGroupForm{{8, 0, true}, false, 0};
  return {};
}

std::shared_ptr<const IntGroupWeight> as_int_group(const std::string& module,
                                                   const Weight& w,
                                                   DType scales,
                                                   DType values) {
  const auto in = [](const Tensor& t, DType dtype) { return t.dtype() == dtype ? t : t.to_f32().to(dtype); };
  if (const auto* f = dynamic_cast<const IntGroupWeight*>(&w.format())) {
    IntGroupOptions o = form_of_integers(*f).options;
    o.values = values;
    const Tensor index = f->groups() > 1 ? f->group_index() : Tensor();
    return std::make_shared<IntGroupWeight>(
        module, w.rows(), w.cols(), o, f->codes(), in(f->scales(), scales), f->zeros(), index);
  }
  const auto& rows = dynamic_cast<const Int8RowWeight&>(w.format());
  Tensor codes = Tensor::empty(rows.codes().shape(), DType::u8), scale = Tensor::empty({w.rows(), 1});
  for (i64 i = 0; i < codes.count(); ++i)
    codes.data<u8>()[i] = static_cast<u8>(rows.codes().data<i8>()[i] + 128);
  for (i64 n = 0; n < w.rows(); ++n) scale.f32()[n] = rows.scb().f32()[n] * kOver127;
  return std::make_shared<IntGroupWeight>(
      module, w.rows(), w.cols(), IntGroupOptions{8, 0, true, values}, codes, in(scale, scales), Tensor());
}

i64 common_group(const std::vector<NamedForm>& linears) {
  std::map<i64, i64> counts;
  for (const NamedForm& linear : linears)
    if (const auto ints = integer_form(linear.form)) ++counts[std::max<i64>(ints->options.group, 0)];
  const auto most = std::max_element(
      counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == counts.end() ? 0 : most->first;
}

Tensor packed_code_rows(const Tensor& codes, int bits) {
  const auto [N, G] = dims<2>("packed_code_rows", codes, DType::u8);
  Tensor packed = Tensor::empty({N, packed_bytes(G, bits)}, DType::u8);
  for (i64 n = 0; n < N; ++n)
    pack_codes(codes.data<u8>() + n * G, G, bits, packed.data<u8>() + n * packed.dim(1));
  return packed;
}

}  // namespace pare
