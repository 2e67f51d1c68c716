// A weight's own copy of its tensors, so that many of them lie where no cache holds them all.
#pragma once
#include <string>

#include "weights/weight.h"

namespace pare {

inline Weight fresh_copy(const Weight& w) {
  return weight_from_tensors(
      "copy", w.format().options(), w.rows(), w.cols(), [&](const std::string& suffix) {
        Tensor found;
        w.format().each_tensor([&](const std::string& s, const Tensor& t) {
          if (s == suffix) found = t.clone();
        });
        return found;
      });
}

}  // namespace pare
