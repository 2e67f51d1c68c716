#include "model/joined_linears.h"

namespace pare {

std::vector<std::string> joined_linears(const std::string& name) {
  static const std::vector<std::vector<std::string>> together = {{"q_proj", "k_proj", "v_proj"},
                                                                 {"gate_proj", "up_proj"}};
  const std::size_t end = name.rfind(".weight");
  const std::size_t begin = name.rfind('.', end == std::string::npos ? end : end - 1) + 1;
  const std::string role = name.substr(begin, end == std::string::npos ? end : end - begin);
  for (const auto& roles : together)
    for (const std::string& known : roles) {
      if (role != known) continue;
      std::vector<std::string> names;
      for (const std::string& r : roles)
        names.push_back(name.substr(0, begin) + r + name.substr(begin + role.size()));
      return names;
    }
  return {name};
}

}  // namespace pare
