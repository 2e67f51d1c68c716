#include "ops/paley.h"

#include <array>
#include <optional>

#include "base/error.h"

namespace pare {
namespace {

constexpr int kDegrees = 3;  // up to cubes, a polynomial without roots is irreducible

/// Elements of the field of p^degree, by the digits of their number in base p.
class Field {
 public:
  using Element = std::array<i64, kDegrees>;

  Field(i64 p, int degree) : p_(p), degree_(degree), q_(1) {
    for (int i = 0; i < degree; ++i) q_ *= p;
    if (degree > 1)
      for (i64 number = 1; has_root(modulus_ = digits(number)); ++number) continue;
  }
  i64 order() const { return q_; }

  /// χ of every element.
  std::vector<i8> characters() const {
    std::vector<i8> chi(static_cast<std::size_t>(q_), -1);
    chi[0] = 0;
    for (i64 a = 1; a < q_; ++a) chi[static_cast<std::size_t>(number(square(digits(a))))] = 1;
    return chi;
  }
  i64 difference(i64 a, i64 b) const {
    Element x = digits(a);
    const Element y = digits(b);
    for (std::size_t i = 0; i < kDegrees; ++i) x[i] = (x[i] - y[i] + p_) % p_;
    return number(x);
  }

 private:
  Element digits(i64 a) const {
    Element out{};
    for (i64& digit : out) digit = a % p_, a /= p_;
    return out;
  }
  i64 number(const Element& x) const { return x[0] + p_ * (x[1] + p_ * x[2]); }

  /// Of t^degree − (modulus[0] + modulus[1]·t + …), by which products are reduced.
  bool has_root(const Element& modulus) const {
    for (i64 t = 0; t < p_; ++t) {
      i64 low = 0, power = 1;
      for (int i = 0; i < degree_; ++i) {
        low = (low + modulus[static_cast<std::size_t>(i)] * power) % p_;
        power = power * t % p_;
      }
      if (low == power) return true;
    }
    return false;
  }

  Element square(const Element& x) const {
    std::array<i64, 2 * kDegrees> product{};
    for (std::size_t i = 0; i < kDegrees; ++i)
      for (std::size_t j = 0; j < kDegrees; ++j) product[i + j] = (product[i + j] + x[i] * x[j]) % p_;
    const std::size_t degree = static_cast<std::size_t>(degree_);
    for (std::size_t top = 2 * kDegrees - 1; degree_ > 1 && top >= degree; --top)
      for (std::size_t i = 0; i < degree; ++i)
        product[top - degree + i] = (product[top - degree + i] + product[top] * modulus_[i]) % p_;
    Element out{};
    for (std::size_t i = 0; i < degree; ++i) out[i] = product[i];
    return out;
  }

  i64 p_;
  int degree_;
  i64 q_;
  Element modulus_{};
};

bool is_prime(i64 n) {
  for (i64 d = 2; d * d <= n; ++d)
    if (n % d == 0) return false;
  return n > 1;
}

struct PrimePower {
  i64 p;
  int degree;
};
/// q as p, p² or p³ of an odd prime.
std::optional<PrimePower> prime_power(i64 q) {
  for (i64 p = 3; p <= q; p += 2)
    if (q % p == 0) {
      i64 rest = q;
      int degree = 0;
      for (; rest % p == 0; rest /= p) ++degree;
      return is_prime(p) && rest == 1 && degree <= kDegrees ? std::optional(PrimePower{p, degree})
                                                            : std::nullopt;
    }
  return std::nullopt;
}

std::optional<PrimePower> field_of_first(i64 order) {
  return order % 4 == 0 ? prime_power(order - 1) : std::nullopt;
}
std::optional<PrimePower> field_of_second(i64 order) {
  return order % 4 == 0 && order / 2 % 4 == 2 ? prime_power(order / 2 - 1) : std::nullopt;
}

/// [0 1ᵀ; corner Q], row by row.
std::vector<i8> bordered(const Field& field, i8 corner) {
  const i64 q = field.order(), n = q + 1;
  const std::vector<i8> chi = field.characters();
  std::vector<i8> out(static_cast<std::size_t>(n * n), 0);
  for (i64 i = 1; i < n; ++i) {
    out[static_cast<std::size_t>(i)] = 1;
    out[static_cast<std::size_t>(i * n)] = corner;
    for (i64 j = 1; j < n; ++j)
      out[static_cast<std::size_t>(i * n + j)] =
          chi[static_cast<std::size_t>(field.difference(i - 1, j - 1))];
  }
  return out;
}

}  // namespace

bool has_paley(i64 order) { return field_of_first(order) || field_of_second(order); }

std::vector<i8> paley(i64 order) {
  if (const auto of = field_of_first(order)) {
    std::vector<i8> h = bordered(Field(of->p, of->degree), -1);
    for (i64 i = 0; i < order; ++i) h[static_cast<std::size_t>(i * (order + 1))] = 1;
    return h;
  }
  const auto of = field_of_second(order);
  if (!of) throw bug("there is no Paley matrix of order {}", order);
  const std::vector<i8> c = bordered(Field(of->p, of->degree), 1);
  const i64 half = order / 2;
  std::vector<i8> h(static_cast<std::size_t>(order * order));
  constexpr i8 kOuter[2][2] = {{1, 1}, {1, -1}}, kDiagonal[2][2] = {{1, -1}, {-1, -1}};
  for (i64 i = 0; i < order; ++i)
    for (i64 j = 0; j < order; ++j)
      h[static_cast<std::size_t>(i * order + j)] = static_cast<i8>(
          i / 2 == j / 2 ? kDiagonal[i % 2][j % 2]
                         : c[static_cast<std::size_t>(i / 2 * half + j / 2)] * kOuter[i % 2][j % 2]);
  return h;
}

}  // namespace pare
