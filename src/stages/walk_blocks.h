// How a stage goes through the blocks of a model with calibration data.
#pragma once
#include <array>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "compress/gram.h"
#include "model/forward.h"
#include "stages/block_inputs.h"
#include "stages/calibration.h"

namespace pare {

/// What becomes of a weight, given the moments of its inputs.
using ChangeWeight =
    std::function<Weight(const std::string& name, const Weight& w, const InputMoments& inputs)>;
/// Whether packed weights are refused before any work, or changed like dense ones.
enum class Takes { dense_weights, any_weight };

/// Bytes of the MLP's hidden that a walk may keep.
inline constexpr i64 kKeptHiddenBytes = i64{512} << 20;

/// Through the blocks in order, inside a block through its groups in order (q k v, then o, then gate up, then
/// down): `change` sees inputs that have come through everything changed before it; with_dense: and G, what
/// they have to do with those of the dense model. Each weight is kept as soon as it is made; a killed job
/// goes on with the next. Blocks are read one by one and given back; the activations of all tokens between
/// two blocks stay in memory, twice with_dense, and as much as kept_bytes of the MLP's hidden: it is
/// wanted before and after `change` has its output layer, and made again where it was not kept.
void walk_weights(Job& job,
                  const Calibration& calibration,
                  bool with_dense,
                  const ChangeWeight& change,
                  Takes takes = Takes::dense_weights,
                  i64 kept_bytes = kKeptHiddenBytes);

/// Second moments by input; those a block does not have are missing.
using BlockMoments = std::map<BlockInput, Gram>;
/// Changes a block's parameters in place, given the inputs that its dense self has.
using ChangeBlock = std::function<void(i64 layer, LayerParams& params, const BlockMoments& inputs)>;

/// Through the blocks in order: a block's inputs have come through everything changed before it, with its own
/// weights still dense. What `change` replaced is kept when it returns; a killed job goes on with the next
/// block.
void walk_whole_blocks(Job& job, const Calibration& calibration, const ChangeBlock& change);

/// Tokens that go through a block together: what enters it, and what the dense model has behind it.
struct BlockSample {
  const Batch& batch;
  const Tensor &x, &target;  // (N, D) f32
};
/// Changes a block's parameters in place so that its outputs come near the targets.
using ReconstructBlock =
    std::function<void(i64 layer, LayerParams& params, const std::vector<BlockSample>& samples)>;

/// Through the blocks in order, as walk_whole_blocks(): the changed model's activations beside those of
/// `teacher`, the model it is to be like, in samples of about `rows` tokens. The job's source may be packed.
void walk_reconstructing(
    Job& job, const Calibration& calibration, i64 rows, const Model& teacher, const ReconstructBlock& change);

/// Visits the moments of all inputs of the source model in the blocks that are wanted; changes nothing.
void visit_dense_moments(Job& job,
                         const Calibration& calibration,
                         const std::function<bool(i64 layer)>& wanted,
                         const std::function<void(i64 layer, const BlockMoments& inputs)>& visit);

}  // namespace pare
