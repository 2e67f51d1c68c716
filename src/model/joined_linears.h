// Linears that read the same inputs, which other programs run as one product of matrices laid side by side.
#pragma once
#include <string>
#include <vector>

namespace pare {

/// The names of the weights that run together with the weight `name`, itself among them: q, k and v of a
/// layer; gate and up. A model may lack some of them.
std::vector<std::string> joined_linears(const std::string& name);

}  // namespace pare
