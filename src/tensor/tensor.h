// A contiguous row-major view of typed memory: dtype, shape, shared storage.
//
// Copying a Tensor copies the view, not the bytes. Storage is owned (64-byte aligned) or a mapped file.
#pragma once
#include <array>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/types.h"

namespace pare {

enum class DType : u8 { f32, bf16, f16, f64, i8, u8, i16, i32, i64 };

/// Bytes of one element.
i64 dtype_bytes(DType dtype);
/// "f32", "bf16", …
const char* dtype_name(DType dtype);

/// Up to four dimensions, outermost first.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<i64> dims);
  explicit Shape(std::span<const i64> dims);
  i64 rank() const { return rank_; }
  i64 operator[](i64 i) const { return dims_[static_cast<std::size_t>(i)]; }
  /// Product of the dimensions; 1 for a scalar.
  i64 count() const;
  bool operator==(const Shape& other) const = default;
  /// "(3, 64)"
  std::string text() const;

 private:
  std::array<i64, 4> dims_{};
  i64 rank_ = 0;
};

class Tensor {
 public:
  Tensor() = default;
  Tensor(const Tensor&) = default;
  Tensor& operator=(const Tensor&) = default;
  /// What was moved from is not defined, as if it were new.
  Tensor(Tensor&& other) noexcept { swap(other); }
  Tensor& operator=(Tensor&& other) noexcept {
    Tensor taken(std::move(other));
    swap(taken);
    return *this;
  }
  /// Owned memory, not initialised / zeroed. Throws a job error when memory is out.
  static Tensor empty(const Shape& shape, DType dtype = DType::f32);
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32);
  static Tensor of(const Shape& shape, std::span<const float> values);
  /// A view of `data`, kept alive by `owner`.
  static Tensor view(const Shape& shape, DType dtype, const void* data, std::shared_ptr<const void> owner);

  bool defined() const { return data_ != nullptr || shape_.rank() > 0; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  i64 dim(i64 i) const { return shape_[i]; }
  i64 count() const { return shape_.count(); }
  i64 bytes() const { return count() * dtype_bytes(dtype_); }

  void* raw() { return data_; }
  const void* raw() const { return data_; }
  /// The elements. Throws a bug unless the dtype is T's.
  template <class T>
  T* data();
  template <class T>
  const T* data() const;
  float* f32() { return data<float>(); }
  const float* f32() const { return data<float>(); }
  template <class T>
  std::span<const T> span() const {
    return {data<T>(), static_cast<std::size_t>(count())};
  }

  /// Rows [begin, end) of the outermost dimension, sharing storage.
  Tensor rows(i64 begin, i64 end) const;
  /// The same bytes in another shape of equal count.
  Tensor reshaped(const Shape& shape) const;
  /// A copy of its own.
  Tensor clone() const;
  /// f32 copy of an f32, bf16, f16 or f64 tensor (exact but for f64).
  Tensor to_f32() const;
  /// Copy in dtype f32, bf16 or f16 (nearest even), or f64 (exact).
  Tensor to(DType dtype) const;
  void zero();
  /// Gives it another shape, f32, with elements that mean nothing: in its own memory where that is large
  /// enough and no other Tensor looks at it, else in fresh memory.
  void resize(const Shape& shape);

 private:
  void swap(Tensor& other) noexcept {
    std::swap(shape_, other.shape_), std::swap(dtype_, other.dtype_), std::swap(data_, other.data_);
    std::swap(owner_, other.owner_), std::swap(capacity_, other.capacity_);
  }

  Shape shape_;
  DType dtype_ = DType::f32;
  void* data_ = nullptr;
  std::shared_ptr<const void> owner_;
  i64 capacity_ = 0;  // bytes from data_ on that are its own to use; 0 in views
};

/// Throws a bug naming `what` unless `t` has the shape and dtype.
void expect(const char* what, const Tensor& t, const Shape& shape, DType dtype = DType::f32);

/// The dimensions of `t`. Throws a bug naming `what` unless it has rank R and dtype.
template <std::size_t R>
std::array<i64, R> dims(const char* what, const Tensor& t, DType dtype = DType::f32) {
  if (t.shape().rank() != static_cast<i64>(R) || t.dtype() != dtype)
    throw bug("{}: found {} {}, expected {} dimensions of {}",
              what,
              dtype_name(t.dtype()),
              t.shape().text(),
              R,
              dtype_name(dtype));
  std::array<i64, R> out;
  for (std::size_t i = 0; i < R; ++i) out[i] = t.dim(static_cast<i64>(i));
  return out;
}

}  // namespace pare
