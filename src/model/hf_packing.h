// What one method of quantised Hugging Face checkpoints makes of a linear: the inverse of hf_quantised.h.
//
// Codes, scales and zero points go over as they are; nothing is quantised again. The files are planned from
// the forms of weights before any tensor is made, so that one matrix at a time is held.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/json.h"
#include "model/hf_quantised_gptq.h"
#include "weights/codebook4.h"
#include "weights/float_group.h"
#include "weights/int_group.h"
#include "weights/weight.h"

namespace pare {

// ---- forms ----

struct IntGroupForm {
  IntGroupOptions options;  // group 0: the whole row
  bool act_order = false;   // groups by a map
  float largest_scale = 0;  // magnitude
};
struct Int8RowForm {};
struct Codebook4Form {
  Codebook4Options options;
  float nested_offset = 0;  // double-quantised only; written as a text, so the length of a part hangs on it
};
struct SparseForm {
  DType values = DType::f32;  // f32, bf16, f16; i8 or u8 (e4m3) with a scale per row
  i64 kept = 0;
  bool two_of_four = false;  // two of each four inputs are kept, in every row
};
struct OtherForm {};  // dense, or a format that no method holds

/// How a linear is stored, its numbers left out.
struct LinearForm {
  std::string name;  // of the format, for people
  i64 rows = 0, cols = 0;
  std::variant<OtherForm, IntGroupForm, Int8RowForm, Codebook4Form, FloatGroupOptions, SparseForm> kind;

  /// Groups of a row: ⌈cols/group⌉, 1 for the whole row.
  i64 groups(i64 group) const { return group <= 0 ? 1 : (cols + group - 1) / group; }
};

LinearForm form_of(const Weight& w);

/// The integer form that a weight has, or takes without another code: int_group as it is, int8_row as 8 bits
/// with a scale a row. Null for others.
std::optional<IntGroupForm> integer_form(const LinearForm& form);

// ---- packing ----

/// A stored tensor of linear X, `X<suffix>`; dtype as in the file ("F8_E4M3").
struct HfPart {
  std::string suffix, dtype;
  std::vector<i64> shape;
};

struct PackedLinear {
  std::vector<Tensor> tensors;  // of the parts, in their order
  Weight read;                  // what reading them gives
};

struct NamedForm {
  std::string module;  // the name before ".weight"
  LinearForm form;
};

/// One per file that is written, not thread-safe: refusal() of each linear, settle() once, then the rest.
class HfPacking {
 public:
  virtual ~HfPacking() = default;
  /// Why no file of this method holds such a weight, or "".
  virtual std::string refusal(const LinearForm& form) const = 0;
  /// Chooses what the file says once for all linears, from those that it can hold. Returns the modules that
  /// cannot stand beside the others, and why.
  virtual std::map<std::string, std::string> settle(const std::vector<NamedForm>& linears) = 0;
  virtual std::vector<HfPart> parts(const LinearForm& form) const = 0;
  /// Throws a user error naming the module when a number does not fit.
  virtual PackedLinear pack(const std::string& module, const Weight& w) const = 0;
  /// quantization_config. `dense`: the modules inside the blocks that are not packed.
  virtual json config(const std::vector<std::string>& dense) const = 0;
};

std::unique_ptr<HfPacking> gptq_packing(GptqZeros version);
std::unique_ptr<HfPacking> awq_packing();
/// `compute`: what products are computed in by its readers, the dtype of the model.
std::unique_ptr<HfPacking> bitsandbytes_packing(DType compute);
/// `activations`: input_activations of the configuration, null for weights only.
std::unique_ptr<HfPacking> compressed_tensors_packing(DType model_dtype, json activations);
enum class SparseLayout { any, two_of_four };
std::unique_ptr<HfPacking> sparse_packing(SparseLayout layout);

// ---- what several methods share ----

/// The integers of `w`, an int_group or int8_row weight, with scales and decoded values of these dtypes.
/// Throws a user error naming the module when a scale does not fit.
std::shared_ptr<const IntGroupWeight> as_int_group(const std::string& module,
                                                   const Weight& w,
                                                   DType scales,
                                                   DType values);

/// The most frequent group of the forms, 0 for whole rows. A row of one group fits any that is not smaller.
i64 common_group(const std::vector<NamedForm>& linears);

/// Zero points u8 (N, G) → rows u8 (N, ⌈G·bits/8⌉).
Tensor packed_code_rows(const Tensor& codes, int bits);

}  // namespace pare
