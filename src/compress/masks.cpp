#include "compress/masks.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/threads.h"

namespace pare {
namespace {

i64 pruned_count(double sparsity, i64 count) {
  if (!(sparsity >= 0 && sparsity <= 1)) throw user_error("sparsity is {}, expected 0 to 1", sparsity);
  return std::llround(sparsity * static_cast<double>(count));
}

void check_scores(const Tensor& scores) {
  if (scores.dtype() != DType::f32)
    throw bug("masks: scores of {}, expected f32", dtype_name(scores.dtype()));
  const float* s = scores.f32();
  if (std::any_of(s, s + scores.count(), [](float x) { return std::isnan(x); }))
    throw bug("masks: a score is NaN");
}

/// The score that `pruned` > 0 values lie at or below, and how many of those equal to it are pruned.
struct Threshold {
  float score;
  i64 equal;
};

Threshold find_threshold(std::vector<float>& scores, i64 pruned) {
  const auto at = scores.begin() + (pruned - 1);
  std::nth_element(scores.begin(), at, scores.end());
  const float score = *at;
  return {score, pruned - std::count_if(scores.begin(), scores.end(), [&](float s) { return s < score; })};
}

/// Prunes what lies below the threshold, and of what equals it as many as are left, which are counted down.
void prune(const float* scores, i64 count, Threshold& t, u8* mask) {
  for (i64 i = 0; i < count; ++i) {
    const bool equal = scores[i] == t.score && t.equal > 0;
    t.equal -= equal;
    mask[i] = !(scores[i] < t.score || equal);
  }
}

Tensor ones(const Shape& shape) {
  Tensor mask = Tensor::empty(shape, DType::u8);
  std::memset(mask.raw(), 1, static_cast<std::size_t>(mask.bytes()));
  return mask;
}

}  // namespace

Tensor magnitudes(const Tensor& w) {
  Tensor out = w.to_f32();
  float* x = out.f32();
  parallel_rows(out.count(), 1 << 15, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) x[i] = std::abs(x[i]);
  });
  return out;
}

std::vector<Tensor> lowest_global_masks(std::span<const Tensor> scores, double sparsity) {
  std::vector<float> all;
  std::vector<Tensor> masks;
  for (const Tensor& s : scores) {
    check_scores(s);
    all.insert(all.end(), s.f32(), s.f32() + s.count());
    masks.push_back(ones(s.shape()));
  }
  const i64 pruned = pruned_count(sparsity, static_cast<i64>(all.size()));
  if (pruned == 0) return masks;
  Threshold t = find_threshold(all, pruned);
  for (std::size_t i = 0; i < masks.size(); ++i)
    prune(scores[i].f32(), scores[i].count(), t, masks[i].data<u8>());
  return masks;
}

Tensor nonzero_mask(const Tensor& w) {
  Tensor mask = Tensor::empty(w.shape(), DType::u8);
  for (i64 i = 0; i < w.count(); ++i) mask.data<u8>()[i] = w.f32()[i] != 0;
  return mask;
}

Tensor wanda_scores(const Tensor& w, const Tensor& gram_diagonal) {
  const auto [N, K] = dims<2>("wanda_scores", w);
  expect("wanda_scores", gram_diagonal, {K});
  Tensor out = Tensor::empty({N, K});
  for (i64 n = 0; n < N; ++n)
    for (i64 k = 0; k < K; ++k)
      out.f32()[n * K + k] = std::abs(w.f32()[n * K + k]) * std::sqrt(gram_diagonal.f32()[k]);
  return out;
}

Tensor lowest_mask(const Tensor& scores, double sparsity) {
  return lowest_global_masks({&scores, 1}, sparsity)[0];
}

Tensor lowest_per_row_mask(const Tensor& scores, double sparsity) {
  const auto [N, K] = dims<2>("lowest_per_row_mask", scores);
  const i64 cols = K;
  check_scores(scores);
  Tensor mask = ones(scores.shape());
  const i64 pruned = pruned_count(sparsity, K);
  if (pruned == 0) return mask;
  u8* to = mask.data<u8>();
  parallel_rows(N, 8, [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end; ++n) {
      const float* row = scores.f32() + n * cols;
      std::vector<float> copy(row, row + cols);
      Threshold t = find_threshold(copy, pruned);
      prune(row, cols, t, to + n * cols);
    }
  });
  return mask;
}

Tensor n_of_m_mask(const Tensor& scores, i64 keep, i64 of) {
  const auto [N, K] = dims<2>("n_of_m_mask", scores);
  const i64 cols = K;
  if (keep <= 0 || keep > of) throw user_error("pattern {}:{}, expected to keep 1 to {}", keep, of, of);
  check_scores(scores);
  Tensor mask = ones(scores.shape());
  u8* to = mask.data<u8>();
  parallel_rows(N, 8, [&](i64 begin, i64 end) {
    std::vector<i64> order;
    for (i64 n = begin; n < end; ++n)
      for (i64 k = 0; k < cols; k += of) {
        const i64 size = std::min(of, cols - k), pruned = size - (size * keep + of - 1) / of;
        const float* group = scores.f32() + n * cols + k;
        order.resize(static_cast<std::size_t>(size));
        std::iota(order.begin(), order.end(), i64{0});
        std::stable_sort(order.begin(), order.end(), [&](i64 a, i64 b) { return group[a] < group[b]; });
        for (i64 i = 0; i < pruned; ++i) to[n * cols + k + order[static_cast<std::size_t>(i)]] = 0;
      }
  });
  return mask;
}

void apply_mask(const Tensor& mask, Tensor& w) {
  if (mask.shape() != w.shape() || mask.dtype() != DType::u8)
    throw bug("apply_mask: mask {}, weight {}", mask.shape().text(), w.shape().text());
  const i64 size = dtype_bytes(w.dtype());
  u8* to = static_cast<u8*>(w.raw());
  const u8* keep = mask.data<u8>();
  for (i64 i = 0; i < w.count(); ++i)
    if (!keep[i]) std::memset(to + i * size, 0, static_cast<std::size_t>(size));
}

double mask_sparsity(const Tensor& mask) {
  if (mask.count() == 0) return 0;
  const u8* keep = mask.data<u8>();
  return static_cast<double>(std::count(keep, keep + mask.count(), u8{0})) /
         static_cast<double>(mask.count());
}

}  // namespace pare
