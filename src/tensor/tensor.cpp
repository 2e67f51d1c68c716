#include "tensor/tensor.h"

#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/memory.h"
#include "base/threads.h"
#include "tensor/half.h"

namespace pare {

i64 dtype_bytes(DType dtype) {
  switch (dtype) {
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
    case DType::f16:
    case DType::i16:
      return 2;
    case DType::i8:
    case DType::u8:
      return 1;
  }
  throw bug("unknown dtype");
}

const char* dtype_name(DType dtype) {
  constexpr const char* names[] = {"f32", "bf16", "f16", "f64", "i8", "u8", "i16", "i32", "i64"};
  return names[static_cast<std::size_t>(dtype)];
}

Shape::Shape(std::initializer_list<i64> dims) : Shape(std::span<const i64>(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const i64> dims) {
  if (dims.size() > dims_.size())
    throw user_error("tensor with {} dimensions; at most 4 are known", dims.size());
  for (const i64 d : dims) dims_[static_cast<std::size_t>(rank_++)] = d;
}

i64 Shape::count() const {
  i64 n = 1;
  for (i64 i = 0; i < rank_; ++i) n *= (*this)[i];
  return n;
}

std::string Shape::text() const {
  std::string out = "(";
  for (i64 i = 0; i < rank_; ++i) out += fmt::format("{}{}", i ? ", " : "", (*this)[i]);
  return out + ")";
}

Tensor Tensor::empty(const Shape& shape, DType dtype) {
  constexpr std::size_t kAlign = 64;
  Tensor t;
  t.shape_ = shape;
  t.dtype_ = dtype;
  // One vector of slack behind the last element: kernels may load (never store) a whole vector there.
  const std::size_t bytes = (static_cast<std::size_t>(t.bytes()) + 2 * kAlign - 1) / kAlign * kAlign;
  void* data = allocate_aligned(bytes);
  if (!data) throw job_error("out of memory: {} bytes for a tensor of shape {}", bytes, shape.text());
  t.data_ = data;
  t.capacity_ = t.bytes();
  t.owner_ = std::shared_ptr<const void>(data, [](const void* p) { std::free(const_cast<void*>(p)); });
  return t;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype) {
  Tensor t = empty(shape, dtype);
  t.zero();
  return t;
}

void Tensor::resize(const Shape& shape) {
  if (owner_.use_count() == 1 && shape.count() * dtype_bytes(DType::f32) <= capacity_) {
    shape_ = shape;
    dtype_ = DType::f32;
    return;
  }
  *this = Tensor();  // never the old and the new at once
  *this = empty(shape);
}

Tensor Tensor::of(const Shape& shape, std::span<const float> values) {
  Tensor t = empty(shape);
  if (static_cast<i64>(values.size()) != t.count())
    throw bug("Tensor::of: {} values for {}", values.size(), shape.text());
  std::memcpy(t.raw(), values.data(), values.size_bytes());
  return t;
}

Tensor Tensor::view(const Shape& shape, DType dtype, const void* data, std::shared_ptr<const void> owner) {
  Tensor t;
  t.shape_ = shape;
  t.dtype_ = dtype;
  t.data_ = const_cast<void*>(data);
  t.owner_ = std::move(owner);
  return t;
}

namespace {

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<i8>() {
  return DType::i8;
}
template <>
constexpr DType dtype_of<u8>() {
  return DType::u8;
}
template <>
constexpr DType dtype_of<i16>() {
  return DType::i16;
}
template <>
constexpr DType dtype_of<i32>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<i64>() {
  return DType::i64;
}

}  // namespace

template <class T>
T* Tensor::data() {
  if (dtype_ != dtype_of<T>())
    throw bug("tensor of {} read as {}", dtype_name(dtype_), dtype_name(dtype_of<T>()));
  return static_cast<T*>(data_);
}
template <class T>
const T* Tensor::data() const {
  return const_cast<Tensor*>(this)->data<T>();
}
/// The 16-bit floats are read as their bits.
template <>
u16* Tensor::data<u16>() {
  if (dtype_ != DType::bf16 && dtype_ != DType::f16)
    throw bug("tensor of {} read as 16-bit float", dtype_name(dtype_));
  return static_cast<u16*>(data_);
}

#define PARE_DATA(T)             \
  template T* Tensor::data<T>(); \
  template const T* Tensor::data<T>() const;
PARE_DATA(float)
PARE_DATA(double)
PARE_DATA(i8)
PARE_DATA(u8)
PARE_DATA(i16)
PARE_DATA(i32)
PARE_DATA(i64)
#undef PARE_DATA
template const u16* Tensor::data<u16>() const;

Tensor Tensor::rows(i64 begin, i64 end) const {
  if (shape_.rank() < 1 || begin < 0 || end < begin || end > dim(0))
    throw bug("rows [{}, {}) of {}", begin, end, shape_.text());
  const i64 row = dim(0) ? count() / dim(0) : 0;
  std::array<i64, 4> sizes{};
  for (i64 i = 0; i < shape_.rank(); ++i) sizes[static_cast<std::size_t>(i)] = dim(i);
  sizes[0] = end - begin;
  Tensor t = *this;
  t.shape_ = Shape(std::span<const i64>(sizes.data(), static_cast<std::size_t>(shape_.rank())));
  t.data_ = static_cast<u8*>(data_) + begin * row * dtype_bytes(dtype_);
  t.capacity_ = 0;
  return t;
}

Tensor Tensor::reshaped(const Shape& shape) const {
  if (shape.count() != count()) throw bug("{} reshaped to {}", shape_.text(), shape.text());
  Tensor t = *this;
  t.shape_ = shape;
  return t;
}

Tensor Tensor::clone() const {
  Tensor t = empty(shape_, dtype_);
  std::memcpy(t.raw(), raw(), static_cast<std::size_t>(bytes()));
  return t;
}

Tensor Tensor::to_f32() const { return to(DType::f32); }

Tensor Tensor::to(DType target) const {
  if (target == dtype_) return clone();
  Tensor out = empty(shape_, target);
  parallel_rows(count(), 1 << 15, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) {
      float x;
      switch (dtype_) {
        case DType::f32:
          x = static_cast<const float*>(data_)[i];
          break;
        case DType::bf16:
          x = bf16_to_f32(static_cast<const u16*>(data_)[i]);
          break;
        case DType::f16:
          x = f16_to_f32(static_cast<const u16*>(data_)[i]);
          break;
        case DType::f64:
          x = static_cast<float>(static_cast<const double*>(data_)[i]);
          break;
        default:
          throw bug("conversion from {}", dtype_name(dtype_));
      }
      switch (target) {
        case DType::f32:
          static_cast<float*>(out.data_)[i] = x;
          break;
        case DType::bf16:
          static_cast<u16*>(out.data_)[i] = f32_to_bf16(x);
          break;
        case DType::f16:
          static_cast<u16*>(out.data_)[i] = f32_to_f16(x);
          break;
        case DType::f64:
          static_cast<double*>(out.data_)[i] = x;
          break;
        default:
          throw bug("conversion to {}", dtype_name(target));
      }
    }
  });
  return out;
}

void Tensor::zero() { std::memset(data_, 0, static_cast<std::size_t>(bytes())); }

void expect(const char* what, const Tensor& t, const Shape& shape, DType dtype) {
  if (t.shape() == shape && t.dtype() == dtype) return;
  throw bug("{}: found {} {}, expected {} {}",
            what,
            dtype_name(t.dtype()),
            t.shape().text(),
            dtype_name(dtype),
            shape.text());
}

}  // namespace pare
