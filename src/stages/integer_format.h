// The options of stages that round weights to integers in groups.
#pragma once
#include <string>

#include "stages/stage.h"
#include "weights/int_group.h"

namespace pare {

/// Own option structs derive from it.
struct IntegerFormatOptions {
  i64 bits = 4;
  std::string group = "64";
  bool symmetric = true;

  /// Inputs that share a scale; 0: the whole row.
  i64 group_size() const { return group == "row" ? 0 : std::stoll(group); }
  /// Inputs that share a scale in most weights of a model.
  double usual_group(const Config& c) const {
    return static_cast<double>(group == "row" ? c.D : group_size());
  }
  /// Bits of a weight in the artefact, its share of scales and zero points included.
  double stored_bits(const Config& c) const {
    const auto code = static_cast<double>(bits);
    return code + (16 + (symmetric ? 0 : code)) / usual_group(c);
  }
  IntGroupOptions format(i64 code_bits) const {
    return {static_cast<int>(code_bits), group_size(), symmetric};
  }
  IntGroupOptions format() const { return format(bits); }
};

template <class O>
constexpr std::tuple group_fields{
    field<O, std::string>(
        "group", &O::group, "neighbouring inputs that share a scale", one_of("32", "64", "128", "row")),
    field<O, bool>("symmetric", &O::symmetric, "false stores a zero point per group as well"),
};

template <class O>
constexpr std::tuple integer_format_fields = std::tuple_cat(
    std::tuple{field<O, i64>("bits", &O::bits, "bits of a weight", between(2, 8))}, group_fields<O>);

}  // namespace pare
