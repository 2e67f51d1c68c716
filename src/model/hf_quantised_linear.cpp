#include "model/hf_quantised_linear.h"

#include <algorithm>

#include "base/error.h"
#include "weights/bits.h"
#include "weights/read_options.h"

namespace pare {
namespace {

/// The dimensions that are not 1.
std::vector<i64> essential(const Shape& shape) {
  std::vector<i64> out;
  for (i64 i = 0; i < shape.rank(); ++i)
    if (shape[i] != 1) out.push_back(shape[i]);
  return out;
}

}  // namespace

Tensor words_as_bytes(const Tensor& words) {
  const auto [R, C] = dims<2>("words_as_bytes", words, DType::i32);
  const auto owner = std::make_shared<Tensor>(words);
  return Tensor::view({R, C * 4}, DType::u8, owner->raw(), owner);
}

Tensor bytes_as_words(const Tensor& bytes) {
  const auto [R, C] = dims<2>("bytes_as_words", bytes, DType::u8);
  if (C % 4) throw bug("bytes_as_words: rows of {} bytes, expected whole words", C);
  const auto owner = std::make_shared<Tensor>(bytes);
  return Tensor::view({R, C / 4}, DType::i32, owner->raw(), owner);
}

Tensor packed_zeros(const Tensor& zeros, int bits) {
  const auto [N, G] = dims<2>("packed_zeros", zeros, DType::u8);
  const auto all = zeros.span<u8>();
  if (std::all_of(all.begin(), all.end(), [&](u8 z) { return z == 1 << (bits - 1); })) return {};
  Tensor packed = Tensor::empty({N, packed_bytes(G, bits)}, DType::u8);
  for (i64 n = 0; n < N; ++n)
    pack_codes(zeros.data<u8>() + n * G, G, bits, packed.data<u8>() + n * packed.dim(1));
  return packed;
}

std::string StoredLinear::where() const {
  return files_.files().front().file().parent_path().string() + ": " + module_;
}

std::string StoredLinear::dtype(const std::string& suffix) const {
  return has(suffix) ? files_.info(module_ + suffix).dtype : "";
}

std::string StoredLinear::take(const std::string& suffix) const {
  const std::string name = module_ + suffix;
  if (!files_.has(name))
    throw user_error("{}{} is missing; quantization_config asks for it", where(), suffix);
  used_.push_back(name);
  return name;
}

Tensor StoredLinear::any(const std::string& suffix) const { return files_.tensor(take(suffix)); }

Tensor StoredLinear::tensor(const std::string& suffix, DType dtype, const Shape& shape) const {
  const Tensor t = any(suffix);
  expect_stored(where(), suffix, t, shape, dtype);
  return t;
}

Tensor StoredLinear::floats(const std::string& suffix, const Shape& shape) const {
  const Tensor t = any(suffix);
  const DType type = t.dtype();
  if ((type != DType::f32 && type != DType::bf16 && type != DType::f16) ||
      essential(t.shape()) != essential(shape))
    throw user_error("{}{}: found {} {}, expected {} of f32, bf16 or f16",
                     where(),
                     suffix,
                     dtype_name(type),
                     t.shape().text(),
                     shape.text());
  expect_finite(where(), suffix, t);
  return t.reshaped(shape);
}

Tensor StoredLinear::codes(const std::string& suffix, const std::string& dtype, const Shape& shape) const {
  const std::string name = take(suffix);
  const SafeTensors::Info& info = files_.info(name);
  if (info.dtype != dtype || info.shape.size() > 4 || Shape(std::span<const i64>(info.shape)) != shape)
    throw user_error("{}{}: found {} [{}], expected {} {}",
                     where(),
                     suffix,
                     info.dtype,
                     fmt::join(info.shape, ", "),
                     dtype,
                     shape.text());
  return files_.bytes(name).reshaped(shape);
}

Tensor StoredLinear::bytes(const std::string& suffix) const { return files_.bytes(take(suffix)); }

void StoredLinear::ignore(const std::string& suffix) const {
  if (has(suffix)) used_.push_back(module_ + suffix);
}

}  // namespace pare
