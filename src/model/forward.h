// The one forward pass: rows are packed tokens of any number of sequences.
//
// Training keeps every layer's activations (or only its input, and computes the rest again); inference keeps
// one layer's. The same ops in the same order either way.
#pragma once
#include <vector>

#include "model/kv_cache.h"
#include "model/params.h"
#include "ops/attention.h"

namespace pare {

/// Tokens of a packed batch. ids, pos (N) i32. A sequence's rows are consecutive; without a cache its keys
/// are its own rows (positions 0, 1, …), with one its rows are appended to it. `pos` is what the rotary
/// embedding sees.
struct Batch {
  struct Sequence {
    i64 row = 0, rows = 0;
    KvCache* cache = nullptr;
    i64 length = 0;  // tokens it will have in the end, for models whose rotary embedding depends on it
  };
  Tensor ids, pos;
  std::vector<Sequence> sequences;
  i64 rows() const { return ids.dim(0); }
};

/// Whole sequences without a cache, one after the other.
Batch pack_sequences(const std::vector<std::vector<i32>>& sequences);

enum class Keep { nothing, layer_inputs, everything };

/// Activations of one layer; N rows. x_in stays untouched by the layer.
struct LayerActs {
  Tensor x_in, a, m_att, r_att;   // (N,D) (N,D) (N) (N)
  Tensor q, k, v;                 // (N,H·E) (N,K·E) (N,K·E), q and k normed, rotated and transformed
  Tensor q_raw, k_raw, r_q, r_k;  // before the q/k norm, where there is one
  Tensor o, lse;                  // (N,H·E) (N,H)
  Tensor x_mid, b, m_mlp, r_mlp;  // after attention; input of the MLP
  Tensor g, u, h;                 // (N,F) each; h as down reads it
};

/// All activations of a batch. Buffers are reused from call to call; not thread-safe.
struct Acts {
  Keep keep = Keep::nothing;
  std::vector<LayerActs> layers;  // L entries, or one that is used again
  std::vector<Tensor> inputs;     // with Keep::layer_inputs: x_in of each layer
  Tensor x, out, m_out, r_out;    // last layer's output (N,D), final norm (N,D)
};

/// Runs the batch up to the final norm: acts.out (N,D). Appends to caches.
/// Throws a user error for an id outside the vocabulary, naming it and its row.
void forward(const Model& model, const Batch& batch, Acts& acts);

/// ids (N) → x (N,D). Throws a user error for an id outside the vocabulary, naming it and its row.
void embed(const Model& model, const Tensor& ids, Tensor& x);

/// The final norm: x (N,D), what the last layer gave → acts.out, with m_out and r_out.
void final_norm(const Model& model, const Tensor& x, Acts& acts);

/// hidden (N,D), rows of acts.out → logits (N,V).
void head(const Model& model, const Tensor& hidden, Tensor& logits);

/// Gives `t` the shape (f32), keeping its memory where it is large enough already.
void reuse(Tensor& t, const Shape& shape);

/// The attention of a layer: heads, window, 1/√E.
AttentionShape attention_shape(const Config& c, i64 layer);

/// x (N, heads·E), each head by hadamard() or its inverse, in place.
using HeadTransform = void (*)(const Tensor& x, const Tensor& signs, Tensor& y);
void transform_heads(const Config& c, Tensor& x, HeadTransform transform);

/// One layer: reads s.x_in, fills s, writes x_out (N,D). Part of forward; backward calls it to compute again.
void forward_layer(const Model& model, i64 layer, const Batch& batch, LayerActs& s, Tensor& x_out);

/// Its steps, in this order, for whoever changes weights between them; each reads what those before it made.
void attention_input(const Model& model, i64 layer, LayerActs& s);             // x_in → a
void attend(const Model& model, i64 layer, const Batch& batch, LayerActs& s);  // a → q, k, v, o
void attention_output(const Model& model, i64 layer, LayerActs& s);            // x_in, o → x_mid
/// The input of the MLP: s.b, or s.a where a parallel block feeds both halves from one norm.
const Tensor& mlp_input(const Model& model, i64 layer, LayerActs& s);           // x_mid → b
void mlp_hidden(const Model& model, i64 layer, const Tensor& b, LayerActs& s);  // b → g, u, h
void mlp_output(const Model& model, i64 layer, LayerActs& s, Tensor& x_out);    // x_mid, h → x_out

}  // namespace pare
