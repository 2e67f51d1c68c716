#include "compress/inverse_factor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "base/error.h"
#include "base/threads.h"
#include "compress/blocked_cholesky.h"

namespace pare {
namespace {

constexpr i64 kLargestInF64 = 2048;

/// The mean of H's diagonal over live inputs; 1 where there is none.
double mean_of_live(const Tensor& h) {
  const i64 K = h.dim(0);
  double sum = 0;
  i64 live = 0;
  for (i64 k = 0; k < K; ++k) sum += h.f32()[k * K + k], live += h.f32()[k * K + k] != 0;
  return sum > 0 ? sum / static_cast<double>(live) : 1;
}

enum class Sides { as_they_lie, reversed };  // rows and columns

template <class T>
void copy_lower(const Tensor& h, Sides sides, T* out) {
  const i64 K = h.dim(0);
  parallel_rows(K, 16, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) {
      const float* row = h.f32() + (sides == Sides::reversed ? (K - 1 - i) * K + K - 1 : i * K);
      for (i64 j = 0; j <= i; ++j) out[i * K + j] = sides == Sides::reversed ? row[-j] : row[j];
    }
  });
}

/// The lower triangle of h, in the precision that serves. What lies above it is not defined.
Tensor lower_of(const Tensor& h, Sides sides) {
  const i64 K = h.dim(0);
  Tensor out = Tensor::empty({K, K}, K <= kLargestInF64 ? DType::f64 : DType::f32);
  if (out.dtype() == DType::f64)
    copy_lower(h, sides, out.data<double>());
  else
    copy_lower(h, sides, out.f32());
  return out;
}

/// U (K, K) f32 from a lower triangle with rows and columns in reverse.
template <class T>
Tensor upper(const T* lower, i64 K) {
  Tensor u = Tensor::zeros({K, K});
  parallel_rows(K, 16, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) {
      const T* row = lower + (K - 1 - i) * K + K - 1;
      for (i64 j = i; j < K; ++j) u.f32()[i * K + j] = static_cast<float>(row[-j]);
    }
  });
  return u;
}

/// The Cholesky factor of `h`, or an undefined tensor.
Tensor factor_of(const Tensor& h) {
  const i64 K = h.dim(0);
  Tensor a = lower_of(h, Sides::as_they_lie);
  if (!cholesky(a)) return {};
  for (i64 i = 0; i < K; ++i) {
    void* behind = static_cast<char*>(a.raw()) + (i * K + i + 1) * dtype_bytes(a.dtype());
    std::memset(behind, 0, static_cast<std::size_t>((K - i - 1) * dtype_bytes(a.dtype())));
  }
  return a.dtype() == DType::f64 ? a.to_f32() : a;
}

bool finite(const Tensor& t) {
  return std::all_of(t.f32(), t.f32() + t.count(), [](float x) { return std::isfinite(x); });
}

}  // namespace

Tensor damped_gram(const Tensor& h, double damping) {
  const i64 K = h.dim(0);
  const double mean = mean_of_live(h);
  Tensor out = h.clone();
  for (i64 k = 0; k < K; ++k) {
    float& d = out.f32()[k * K + k];
    d = static_cast<float>((d == 0 ? mean : static_cast<double>(d)) + damping * mean);
  }
  return out;
}

namespace {

/// Calls attempt(damped H) with the damping, then with larger ones, until it says that it went well: the one
/// that served.
double with_enough_damping(const Tensor& h,
                           double damping,
                           const std::function<bool(const Tensor& damped)>& attempt) {
  const auto [K, columns] = dims<2>("inverse_factor", h);
  expect("inverse_factor", h, {K, K});
  if (!(damping > 0 && damping <= 1))
    throw user_error("damping is {}, expected more than 0 and at most 1", damping);
  for (const double tried : {damping, 0.03, 0.1, 1.0})
    if (tried >= damping && attempt(damped_gram(h, tried))) return tried;
  throw user_error("the Gram matrix of {} inputs is not positive definite, not even with damping 1", K);
}

}  // namespace

InverseFactor inverse_factor(const Tensor& h, double damping) {
  InverseFactor out;
  out.damping = with_enough_damping(h, damping, [&](const Tensor& damped) {
    const i64 K = damped.dim(0);
    Tensor a = lower_of(damped, Sides::reversed);
    if (!inverse_of_cholesky(a)) return false;
    out.u = a.dtype() == DType::f64 ? upper(a.data<double>(), K) : upper(a.f32(), K);
    return finite(out.u);
  });
  for (i64 j = 0; j < h.dim(0); ++j)
    if (h.f32()[j * h.dim(0) + j] == 0) out.dead.push_back(j);
  return out;
}

GramFactor gram_factor(const Tensor& h, double damping) {
  GramFactor out;
  out.damping = with_enough_damping(h, damping, [&](const Tensor& damped) {
    out.l = factor_of(damped);
    return out.l.defined() && finite(out.l);
  });
  return out;
}

}  // namespace pare
