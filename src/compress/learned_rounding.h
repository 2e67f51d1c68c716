// Rounding and clipping of a weight matrix, learned from gradients of whatever loss the caller has.
//
//   ŵ = s·(clip(round(w/s + v) + z, 0, 2^b − 1) − z)      s = c · (scale of the group's full range)
//   v in [−½, ½] per weight: which of its neighbours it goes to; c in [½, 1] per group: how far the range
//   goes
//
//   ∂ŵ/∂v = s inside the range, 0 beyond        ∂ŵ/∂s = round(w/s + v) − w/s inside, the bound beyond
//
// rounding counting as the identity. Steps follow the sign of the gradient.
// Source: Cheng et al. 2023, arXiv:2309.05516 (AutoRound); Esser et al. 2019, arXiv:1902.08153 (LSQ).
#pragma once
#include "weights/int_group.h"

namespace pare {

class LearnedRounding {
 public:
  /// W (N, K) f32; begins as plain rounding: v = 0, c = 1. Throws as quantize_int_group does.
  LearnedRounding(Tensor w, const IntGroupOptions& format);

  /// Begins as the packed q, whatever made it: w is moved to where rounding gives q's codes, no further than
  /// that takes, and c in [¾, 1¼] is of q's own scales; zero points stay. Throws a bug unless q is of the
  /// shape of W and its groups lie side by side.
  LearnedRounding(const Tensor& w, const IntGroupWeight& q);

  /// ŵ (N, K) f32 as it is now; scales are not yet rounded to f16.
  void fake(Tensor& out) const;
  /// A step against d(loss)/dŵ (N, K): v and c move by `rate` (v) and by `rate` times the half that c may
  /// move.
  void step(const Tensor& dw, float rate);
  /// Packed, scales rounded to f16 (bf16 where one does not fit) before codes are chosen.
  Weight weight() const;

  /// What a step changes, to keep and to come back to.
  struct State {
    Tensor v, c;  // (N, K), (N, G) f32
  };
  State state() const { return {v_.clone(), c_.clone()}; }
  void set_state(const State& state) { v_ = state.v.clone(), c_ = state.c.clone(); }

 private:
  struct Grid {
    float scale;
    float zero, low, high;  // of code − zero
  };
  Grid grid(i64 n, i64 g, DType scale_dtype) const;

  Tensor w_, v_, c_;
  Tensor zeros_;  // u8 (N, G) that stay as they are; undefined: those of shrunk ranges
  IntGroupOptions format_;
  i64 group_, groups_;
  float least_ = 0.5f, most_ = 1;  // of c
  Tensor full_scale_, lowest_;     // (N, G) f32 of the full range; the lowest weight of each group
};

}  // namespace pare
