// Causal softmax attention over packed rows, blockwise in both directions (memory linear in T).
// Source: Dao 2023, arXiv:2307.08691; grouped queries: Ainslie et al. 2023, arXiv:2305.13245.
//
//   s[i,j] = scale · q[i]·k[j]  for j ≤ i and j > i − window     p = softmax_j(s)     o[i] = Σ_j p[i,j] v[j]
//   query head h reads key/value head h / (H/K)
//
// Keys are taken in tiles of kKeyTile aligned to absolute positions, merged in increasing order by the online
// softmax. So an output row has the same bits in any batch, any chunking of the prompt and any thread count.
#pragma once
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace pare {

inline constexpr i64 kKeyTile = 32;

struct AttentionShape {
  i64 H, K, E;      // query heads, key/value heads, head width
  i64 window = 0;   // 0 = every earlier key
  float scale = 0;  // 1/√E as a rule
};

/// One sequence of a packed batch: its query rows and where all its keys and values lie.
struct AttentionSeq {
  i64 row = 0;   // first query row in q and o
  i64 rows = 0;  // number of query rows, the last positions of the sequence
  i64 keys = 0;  // keys in all; query row i is at position keys − rows + i
  /// Blocks of `block_tokens` tokens each, a token being K·E consecutive floats; the last may be partly
  /// filled. REQUIRES: block_tokens is a multiple of kKeyTile, or there is one block that holds all keys.
  std::vector<const float*> k_blocks, v_blocks;
  i64 block_tokens = 0;
};

/// q (N, H·E) f32 → o (N, H·E) f32 and, when defined, lse (N,H) f32 = log Σ_j e^s[i,j]. `o` must not alias q.
void attention(
    const Tensor& q, std::span<const AttentionSeq> seqs, const AttentionShape& shape, Tensor& o, Tensor& lse);

/// Gradients for sequences whose keys are the rows of k and v themselves (training: rows == keys).
/// dout (N,H·E) · q, k, v, o, lse as in forward → writes dq (N,H·E), dk, dv (N,K·E). Nothing may alias.
/// The same bits for any thread count.
void attention_backward(const Tensor& dout,
                        const Tensor& q,
                        const Tensor& k,
                        const Tensor& v,
                        const Tensor& o,
                        const Tensor& lse,
                        std::span<const AttentionSeq> seqs,
                        const AttentionShape& shape,
                        Tensor& dq,
                        Tensor& dk,
                        Tensor& dv);

}  // namespace pare
