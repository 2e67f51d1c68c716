// The post-processors of a tokenizer.json: the special tokens around a text.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "base/types.h"

namespace pare {

/// Ids before and behind those of a single text.
struct Template {
  std::vector<i32> before, behind;
};

/// null adds nothing. Throws a user error naming `where` and the type when a component is not known or
/// broken.
Template make_post_processor(const json& component, const std::string& where);

}  // namespace pare
