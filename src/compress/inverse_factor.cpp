#include "compress/inverse_factor.h"

#include <Eigen/Cholesky>
#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <functional>

#include "base/error.h"
#include "base/threads.h"
#include "ops/multiply.h"

namespace pare {
namespace {

constexpr i64 kLargestInF64 = 2048;
constexpr i64 kBlock = 256;

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// The mean of H's diagonal over live inputs; 1 where there is none.
double mean_of_live(const Tensor& h) {
  const i64 K = h.dim(0);
  double sum = 0;
  i64 live = 0;
  for (i64 k = 0; k < K; ++k) sum += h.f32()[k * K + k], live += h.f32()[k * K + k] != 0;
  return sum > 0 ? sum / static_cast<double>(live) : 1;
}

/// Rows and columns in reverse.
Tensor reversed(const Tensor& h) {
  const i64 K = h.dim(0);
  Tensor r = Tensor::empty({K, K});
  parallel_rows(K, 16, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i)
      for (i64 j = 0; j < K; ++j) r.f32()[i * K + j] = h.f32()[(K - 1 - i) * K + K - 1 - j];
  });
  return r;
}

/// L⁻¹ of a block that is replaced by its factor L; false when it is not positive definite.
bool factor_block(RowMajor& a, RowMajor& inverse) {
  const Eigen::LLT<RowMajor> llt(a);
  if (llt.info() != Eigen::Success) return false;
  a = llt.matrixL();
  inverse = RowMajor::Identity(a.rows(), a.cols());
  a.triangularView<Eigen::Lower>().solveInPlace(inverse);
  return inverse.allFinite();
}

RowMajor block_of(const Tensor& a, i64 at, i64 n) {
  const i64 K = a.dim(1);
  RowMajor block(n, n);
  for (i64 i = 0; i < n; ++i)
    for (i64 j = 0; j < n; ++j) block(i, j) = a.f32()[(at + i) * K + at + j];
  return block;
}

void put_block(const RowMajor& block, float* to, i64 stride) {
  for (i64 i = 0; i < block.rows(); ++i)
    for (i64 j = 0; j < block.cols(); ++j) to[i * stride + j] = static_cast<float>(block(i, j));
}

void negate(float* x, i64 n) {
  for (i64 i = 0; i < n; ++i) x[i] = -x[i];
}

/// The lower Cholesky factor in place of the lower triangle of `a`, and the inverses (kBlock, kBlock) of its
/// diagonal blocks. Right-looking: factor a block, solve the panel below it, update what lies behind.
bool factor_in_blocks(Tensor& a, std::vector<Tensor>& inverses) {
  const i64 K = a.dim(0);
  Tensor panel = Tensor::empty({K, kBlock});
  for (i64 at = 0; at < K; at += kBlock) {
    const i64 n = std::min(kBlock, K - at), below = K - at - n;
    RowMajor block = block_of(a, at, n), inverse;
    if (!factor_block(block, inverse)) return false;
    put_block(block, a.f32() + at * K + at, K);
    Tensor inverse_f32 = Tensor::empty({n, n});
    put_block(inverse, inverse_f32.f32(), n);
    inverses.push_back(inverse_f32);
    if (below == 0) break;
    // P = A[below, block] · L⁻ᵀ
    float* source = a.f32() + (at + n) * K + at;
    multiply(below,
             n,
             n,
             {source, K},
             {inverse_f32.f32(), n, Layout::transposed},
             panel.f32(),
             kBlock,
             Result::write);
    for (i64 i = 0; i < below; ++i) std::copy_n(panel.f32() + i * kBlock, n, source + i * K);
    // A[below, below] −= P·Pᵀ, the lower triangle by panels of columns
    negate(panel.f32(), below * kBlock);
    for (i64 j = 0; j < below; j += kBlock) {
      const i64 columns = std::min(kBlock, below - j);
      multiply(below - j,
               columns,
               n,
               {source + j * K, K},
               {panel.f32() + j * kBlock, kBlock, Layout::transposed},
               a.f32() + (at + n + j) * K + at + n + j,
               K,
               Result::add);
    }
  }
  return true;
}

/// L⁻¹ (lower) of a factor with the inverses of its diagonal blocks: row block i is
/// −L[i,i]⁻¹ · (L[i, 0…i) · L⁻¹[0…i, :]).
Tensor invert_in_blocks(const Tensor& l, const std::vector<Tensor>& inverses) {
  const i64 K = l.dim(0);
  Tensor out = Tensor::zeros({K, K}), sums = Tensor::empty({kBlock, K});
  for (i64 at = 0, index = 0; at < K; at += kBlock, ++index) {
    const Tensor& inverse = inverses[static_cast<std::size_t>(index)];
    const i64 n = inverse.dim(0);
    if (at > 0) {
      multiply(n, at, at, {l.f32() + at * K, K}, {out.f32(), K}, sums.f32(), K, Result::write);
      negate(sums.f32(), n * K);
      multiply(n, at, n, {inverse.f32(), n}, {sums.f32(), K}, out.f32() + at * K, K, Result::write);
    }
    for (i64 i = 0; i < n; ++i) std::copy_n(inverse.f32() + i * n, n, out.f32() + (at + i) * K + at);
  }
  return out;
}

/// L⁻¹ of the Cholesky factor of `a`, or an undefined tensor.
Tensor inverse_of_factor(Tensor a) {
  const i64 K = a.dim(0);
  if (K <= kLargestInF64) {
    RowMajor block = block_of(a, 0, K), inverse;
    if (!factor_block(block, inverse)) return {};
    put_block(inverse, a.f32(), K);
    return a;
  }
  std::vector<Tensor> inverses;
  return factor_in_blocks(a, inverses) ? invert_in_blocks(a, inverses) : Tensor();
}

/// The Cholesky factor of `a`, or an undefined tensor.
Tensor factor_of(Tensor a) {
  const i64 K = a.dim(0);
  if (K <= kLargestInF64) {
    RowMajor block = block_of(a, 0, K);
    const Eigen::LLT<RowMajor> llt(block);
    if (llt.info() != Eigen::Success) return {};
    block = llt.matrixL();
    put_block(block, a.f32(), K);
  } else {
    std::vector<Tensor> inverses;
    if (!factor_in_blocks(a, inverses)) return {};
  }
  for (i64 i = 0; i < K; ++i) std::fill_n(a.f32() + i * K + i + 1, K - i - 1, 0.0f);
  return a;
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
    const Tensor inverse = inverse_of_factor(reversed(damped));
    if (!inverse.defined() || !finite(inverse)) return false;
    out.u = Tensor::zeros({K, K});
    for (i64 i = 0; i < K; ++i)
      for (i64 j = i; j < K; ++j) out.u.f32()[i * K + j] = inverse.f32()[(K - 1 - i) * K + K - 1 - j];
    return true;
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
