#include "train/optimizer.h"

#include <algorithm>
#include <cmath>

#include "base/threads.h"

namespace pare {
namespace {

constexpr i64 kPiece = 1 << 15;  // elements per piece: fixed, so that sums over pieces have one order

/// Calls body(tensor, begin, end) for every piece of every tensor, on all threads.
template <class Body>
void each_piece(const std::vector<TrainedTensor>& tensors, Body&& body) {
  struct Piece {
    std::size_t tensor;
    i64 begin, end;
  };
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < tensors.size(); ++i)
    for (i64 begin = 0; begin < tensors[i].w.count(); begin += kPiece)
      pieces.push_back({i, begin, std::min(begin + kPiece, tensors[i].w.count())});
  parallel_tasks(static_cast<i64>(pieces.size()), [&](i64 p) {
    const Piece& piece = pieces[static_cast<std::size_t>(p)];
    body(static_cast<std::size_t>(p), piece.tensor, piece.begin, piece.end);
  });
}

std::size_t piece_count(const std::vector<TrainedTensor>& tensors) {
  std::size_t n = 0;
  for (const TrainedTensor& t : tensors) n += static_cast<std::size_t>((t.w.count() + kPiece - 1) / kPiece);
  return n;
}

std::vector<Tensor> zeros_like(const std::vector<TrainedTensor>& tensors) {
  std::vector<Tensor> out;
  for (const TrainedTensor& t : tensors) out.push_back(Tensor::zeros(t.w.shape()));
  return out;
}

}  // namespace

std::vector<TrainedTensor> trained_tensors(const Params& params, const Params& grads, const Config& c) {
  std::vector<TrainedTensor> out;
  each_param(params, c, [&](const std::string& name, const auto& member, const Shape& shape) {
    out.push_back({name, f32_of(member), {}, shape.rank() >= 2});
  });
  std::size_t i = 0;
  each_param(
      grads, c, [&](const std::string&, const auto& member, const Shape&) { out[i++].g = f32_of(member); });
  return out;
}

double gradient_norm(const std::vector<TrainedTensor>& tensors) {
  std::vector<double> sums(piece_count(tensors));
  each_piece(tensors, [&](std::size_t piece, std::size_t i, i64 begin, i64 end) {
    const float* g = tensors[i].g.f32();
    double sum[4] = {0, 0, 0, 0};
    for (i64 k = begin; k < end; ++k) sum[k & 3] += static_cast<double>(g[k]) * g[k];
    sums[piece] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

void clip_gradients(const std::vector<TrainedTensor>& tensors, double norm, double max_norm) {
  const double factor = max_norm / (norm + 1e-6);
  if (factor >= 1) return;
  const float f = static_cast<float>(factor);
  each_piece(tensors, [&](std::size_t, std::size_t i, i64 begin, i64 end) {
    Tensor shared = tensors[i].g;
    float* g = shared.f32();
    for (i64 k = begin; k < end; ++k) g[k] *= f;
  });
}

void zero_gradients(const std::vector<TrainedTensor>& tensors) {
  for (const TrainedTensor& t : tensors) {
    Tensor shared = t.g;
    shared.zero();
  }
}

AdamWState adamw_state(const std::vector<TrainedTensor>& tensors) {
  return {0, zeros_like(tensors), zeros_like(tensors)};
}

void adamw_step(const std::vector<TrainedTensor>& tensors,
                double lr,
                const AdamWOptions& o,
                AdamWState& state) {
  ++state.steps;
  const double t = static_cast<double>(state.steps);
  const float step = static_cast<float>(lr / (1 - std::pow(o.beta1, t)));
  const float root = static_cast<float>(std::sqrt(1 - std::pow(o.beta2, t)));
  const float eps = static_cast<float>(o.eps), b2 = static_cast<float>(o.beta2);
  const float one_b1 = static_cast<float>(1 - o.beta1), one_b2 = static_cast<float>(1 - o.beta2);
  const float kept = static_cast<float>(1 - lr * o.weight_decay);
  each_piece(tensors, [&](std::size_t, std::size_t i, i64 begin, i64 end) {
    Tensor shared = tensors[i].w;
    float *w = shared.f32(), *m = state.m[i].f32(), *v = state.v[i].f32();
    const float* g = tensors[i].g.f32();
    const float decay = tensors[i].decay ? kept : 1.0f;
    for (i64 k = begin; k < end; ++k) {
      m[k] += (g[k] - m[k]) * one_b1;
      v[k] = v[k] * b2 + g[k] * g[k] * one_b2;
      w[k] = w[k] * decay - step * (m[k] / (std::sqrt(v[k]) / root + eps));
    }
  });
}

SgdState sgd_state(const std::vector<TrainedTensor>& tensors) { return {0, zeros_like(tensors)}; }

void sgd_step(const std::vector<TrainedTensor>& tensors, double lr, double momentum, SgdState& state) {
  const bool first = state.steps++ == 0;
  const float rate = static_cast<float>(lr), mu = static_cast<float>(momentum);
  each_piece(tensors, [&](std::size_t, std::size_t i, i64 begin, i64 end) {
    Tensor shared = tensors[i].w;
    float *w = shared.f32(), *b = state.momentum[i].f32();
    const float* g = tensors[i].g.f32();
    for (i64 k = begin; k < end; ++k) {
      b[k] = first ? g[k] : mu * b[k] + g[k];
      w[k] -= rate * b[k];
    }
  });
}

}  // namespace pare
