#include "compress/blocked_cholesky.h"

#include <Eigen/Cholesky>
#include <Eigen/Dense>
#include <algorithm>
#include <vector>

#include "ops/gemm_f64.h"
#include "ops/multiply.h"

namespace pare {
namespace {

/// Small where the diagonal is a large share of the work, large where traffic of the rest is.
template <class T>
constexpr i64 kBlockOf = sizeof(T) == 8 ? 128 : 256;
/// Columns of the inverse found at once: whole blocks of a product's depth, which leading zeros do not shift.
constexpr i64 kPanel = 768;

using Small = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class T>
struct Part {
  const T* data;
  i64 stride;
  Layout layout = Layout::plain;
};

/// C (M, N) (+)= A (M, K) · B (K, N), all inside larger matrices; A is plain.
void multiply(i64 M, i64 N, i64 K, Part<float> a, Part<float> b, float* c, i64 ldc, Result result) {
  pare::multiply(M, N, K, {a.data, a.stride, a.layout}, {b.data, b.stride, b.layout}, c, ldc, result);
}
void multiply(i64 M, i64 N, i64 K, Part<double> a, Part<double> b, double* c, i64 ldc, Result result) {
  gemm_f64(M, N, K, a.data, a.stride, {b.data, b.stride, b.layout}, c, ldc, result);
}

template <class T>
void negate(T* x, i64 n) {
  for (i64 i = 0; i < n; ++i) x[i] = -x[i];
}

/// L replaces the block (n, n) at `a`, and its inverse is written side by side; false when the block is not
/// positive definite.
template <class T>
bool factor_block(T* a, i64 stride, i64 n, T* inverse) {
  Small block(n, n);
  for (i64 i = 0; i < n; ++i)
    for (i64 j = 0; j < n; ++j) block(i, j) = a[i * stride + j];
  const Eigen::LLT<Small> llt(block);
  if (llt.info() != Eigen::Success) return false;
  block = llt.matrixL();
  Small inverted = Small::Identity(n, n);
  block.triangularView<Eigen::Lower>().solveInPlace(inverted);
  for (i64 i = 0; i < n; ++i)
    for (i64 j = 0; j < n; ++j) {
      a[i * stride + j] = static_cast<T>(block(i, j));
      inverse[i * n + j] = static_cast<T>(inverted(i, j));
    }
  return inverted.allFinite();
}

/// The factor in place of the lower triangle of `a`, and the inverses of its diagonal blocks, one after the
/// other. Right-looking: factor a block, solve the panel below it, update what lies behind.
template <class T>
bool factor(Tensor& matrix, std::vector<Tensor>& inverses) {
  constexpr i64 kBlock = kBlockOf<T>;
  const i64 K = matrix.dim(0);
  T* a = matrix.data<T>();
  Tensor panel = Tensor::empty({K, kBlock}, matrix.dtype());
  T* p = panel.data<T>();
  for (i64 at = 0; at < K; at += kBlock) {
    const i64 n = std::min(kBlock, K - at), below = K - at - n;
    inverses.push_back(Tensor::empty({n, n}, matrix.dtype()));
    const T* inverse = inverses.back().data<T>();
    if (!factor_block(a + at * K + at, K, n, inverses.back().data<T>())) return false;
    if (below == 0) break;
    // P = A[below, block] · L⁻ᵀ
    T* source = a + (at + n) * K + at;
    multiply(below, n, n, Part<T>{source, K}, {inverse, n, Layout::transposed}, p, kBlock, Result::write);
    for (i64 i = 0; i < below; ++i) std::copy_n(p + i * kBlock, n, source + i * K);
    // A[below, below] −= P·Pᵀ, the lower triangle by panels of columns
    negate(p, below * kBlock);
    for (i64 j = 0; j < below; j += 2 * kBlock) {
      const i64 columns = std::min(2 * kBlock, below - j);
      T* to = a + (at + n + j) * K + at + n + j;
      multiply(below - j,
               columns,
               n,
               Part<T>{source + j * K, K},
               {p + j * kBlock, kBlock, Layout::transposed},
               to,
               K,
               Result::add);
    }
  }
  return true;
}

/// L⁻¹ in place of the factor, zeros above the diagonal. Its row block i is −L[i,i]⁻¹ · (L[i, 0…i) · L⁻¹[0…i,
/// :]), of which a panel of columns begins where its first one has its diagonal.
template <class T>
void invert(Tensor& factor, const std::vector<Tensor>& inverses) {
  constexpr i64 kBlock = kBlockOf<T>;
  const i64 K = factor.dim(0);
  Tensor sums = Tensor::empty({kBlock, K}, factor.dtype());
  T *l = factor.data<T>(), *sum = sums.data<T>();
  for (i64 at = 0, index = 0; at < K; at += kBlock, ++index) {
    const Tensor& inverse = inverses[static_cast<std::size_t>(index)];
    const T* own = inverse.data<T>();
    const i64 n = inverse.dim(0);
    for (i64 j = 0; j < at; j += kPanel) {
      const Part<T> left{l + at * K + j, K}, right{l + j * K + j, K};
      multiply(n, std::min(kPanel, at - j), at - j, left, right, sum + j, K, Result::write);
    }
    for (i64 i = 0; i < n; ++i) negate(sum + i * K, at);
    if (at > 0) multiply(n, at, n, Part<T>{own, n}, {sum, K}, l + at * K, K, Result::write);
    for (i64 i = 0; i < n; ++i) {
      T* row = l + (at + i) * K;
      std::copy_n(own + i * n, n, row + at);
      std::fill(row + at + n, row + K, T{0});
    }
  }
}

template <class T>
bool factor_and_invert(Tensor& a) {
  std::vector<Tensor> inverses;
  if (!factor<T>(a, inverses)) return false;
  invert<T>(a, inverses);
  return true;
}

}  // namespace

bool cholesky(Tensor& a) {
  std::vector<Tensor> inverses;
  return a.dtype() == DType::f64 ? factor<double>(a, inverses) : factor<float>(a, inverses);
}

bool inverse_of_cholesky(Tensor& a) {
  return a.dtype() == DType::f64 ? factor_and_invert<double>(a) : factor_and_invert<float>(a);
}

}  // namespace pare
