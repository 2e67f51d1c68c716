#include "ops/hadamard.h"

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

#include "base/threads.h"
#include "ops/hadamard_cpu.h"
#include "ops/paley.h"

namespace pare {
namespace {

/// p of n = p·2^k, the smallest one; 0 where there is none.
i64 factor_of(i64 n) {
  i64 odd = n;
  while (odd % 2 == 0) odd /= 2;
  for (i64 p = odd; p <= n && p <= kLargestHadamardFactor; p *= 2)
    if (p == 1 || has_paley(p)) return p;
  return 0;
}

i64 block_of(i64 n) {
  constexpr i64 kSmallestPowerBlock = 16;
  if (factor_of(n)) return n;
  const i64 power = n & -n;
  if (power >= kSmallestPowerBlock) return power;
  for (i64 b = n - 1; b > 1; --b)
    if (n % b == 0 && factor_of(b)) return b;
  return 1;
}

enum class Way { forward, inverse };

template <class T>
void transform(const Hadamard& h, const T* x, const float* signs, i64 rows, Way way, T* y) {
  const cpu::HadamardPlan plan{h.size(),
                               h.factor(),
                               h.power(),
                               way == Way::forward ? h.dense().data() : h.dense_transposed().data(),
                               way == Way::forward ? signs : nullptr,
                               way == Way::forward ? nullptr : signs};
  parallel_rows(rows, std::max<i64>(1, 16384 / h.size()), [&](i64 begin, i64 end) {
    std::vector<T> scratch(static_cast<std::size_t>(h.factor() > 1 ? h.block() : 0));
    cpu::hadamard_rows(plan, x, begin, end, scratch.data(), y);
  });
}

void checked(const char* name, const Tensor& x, const Tensor& signs, Way way, Tensor& y) {
  const auto [rows, n] = dims<2>(name, x, x.dtype() == DType::f64 ? DType::f64 : DType::f32);
  expect(name, y, {rows, n}, x.dtype());
  if (signs.defined()) expect(name, signs, {n});
  const float* s = signs.defined() ? signs.f32() : nullptr;
  const Hadamard& h = hadamard_matrix(n);
  if (x.dtype() == DType::f64)
    transform(h, x.data<double>(), s, rows, way, y.data<double>());
  else
    transform(h, x.f32(), s, rows, way, y.f32());
}

}  // namespace

bool has_hadamard(i64 n) { return n > 0 && factor_of(n) > 0; }

Hadamard::Hadamard(i64 n) : n_(n) {
  if (n < 1) throw bug("hadamard of width {}", n);
  const i64 block = block_of(n);
  factor_ = factor_of(block);
  power_ = block / factor_;
  if (factor_ == 1) return;
  const std::vector<i8> entries = paley(factor_);
  dense_.assign(entries.begin(), entries.end());
  for (i64 j = 0; j < factor_; ++j)
    for (i64 i = 0; i < factor_; ++i) dense_t_.push_back(dense_[static_cast<std::size_t>(i * factor_ + j)]);
}

int Hadamard::sign(i64 i, i64 j) const {
  const i64 b = block();
  if (i / b != j / b) return 0;
  i %= b, j %= b;
  const int sylvester = __builtin_parityll(static_cast<u64>(i % power_ & j % power_)) ? -1 : 1;
  const float outer =
      factor_ > 1 ? dense_[static_cast<std::size_t>(i / power_ * factor_ + j / power_)] : 1.0f;
  return static_cast<int>(outer) * sylvester;
}

std::string Hadamard::name() const {
  if (block() == 1) return "identity";
  if (block() < n_) return fmt::format("{} blocks of {}", n_ / block(), block());
  return factor_ == 1 ? fmt::format("{}", power_) : fmt::format("{} x {}", factor_, power_);
}

const Hadamard& hadamard_matrix(i64 n) {
  static std::mutex mutex;
  static std::map<i64, std::unique_ptr<const Hadamard>> made;
  const std::lock_guard lock(mutex);
  std::unique_ptr<const Hadamard>& h = made[n];
  if (!h) h = std::make_unique<const Hadamard>(n);
  return *h;
}

void hadamard(const Tensor& x, const Tensor& signs, Tensor& y) {
  checked("hadamard", x, signs, Way::forward, y);
}
void hadamard_inverse(const Tensor& x, const Tensor& signs, Tensor& y) {
  checked("hadamard_inverse", x, signs, Way::inverse, y);
}

}  // namespace pare
