#include "model/compute.h"

#include <set>

#include "base/error.h"
#include "model/load.h"
#include "ops/integer_gemm.h"
#include "weights/low_rank.h"

namespace pare {
namespace {

/// Bits of a code as it is stored.
i64 code_bits(const Weight& w) {
  const json options = w.format().options();
  if (const std::string format = options["format"]; format == "int_group")
    return options["bits"];
  else if (format == "int8_row")
    return 8;
  else if (format == "codebook4")
    return 4;
  return w.bytes() * 8 / (w.rows() * w.cols());
}

std::string arithmetic_of(const Weight& w) {
  if (const LowRankWeight* sum = low_rank_of(w)) return arithmetic_of(sum->parts().base);
  if (w.format().integer_rows()) return fmt::format("w{}a8", code_bits(w));
  const Tensor dense = w.dense();
  const bool bf16 = dense.defined() && dense.dtype() == DType::bf16 && bf16_products_are_native();
  return bf16 ? "bf16" : "f32";
}

}  // namespace

const std::vector<std::string>& compute_names() {
  static const std::vector<std::string> names = {"exact", "fast"};
  return names;
}

Products products_of(const std::string& compute) {
  if (compute == "exact") return Products::f32;
  if (compute == "fast") return Products::fast;
  throw user_error("compute is \"{}\", expected exact or fast", compute);
}

Model load_model(const std::filesystem::path& path, const std::string& compute) {
  const Products products = products_of(compute);
  Model m = load_model(path);
  m.products = products;
  return m;
}

std::string arithmetic_of(const Model& model) {
  if (model.products == Products::f32) return "f32";
  if (model.products == Products::bf16) return "bf16";
  std::set<std::string> kinds;
  for (const LayerParams& p : model.params.layers)
    for (const Weight* w : {&p.wq, &p.wk, &p.wv, &p.wo, &p.w_gate, &p.w_up, &p.w_down})
      if (w->defined()) kinds.insert(arithmetic_of(*w));
  kinds.insert(arithmetic_of(model.params.head));
  return fmt::format("{}", fmt::join(kinds, "+"));
}

std::string compute_key(const std::string& compute) {
  return compute == "fast" && bf16_products_are_native() ? "fast+bf16" : compute;
}

}  // namespace pare
