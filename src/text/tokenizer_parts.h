// The components of a tokenizer.json as small functions, built once by name.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/types.h"

namespace pare {

using TextFunction = std::function<std::string(std::string)>;
/// Each piece of text → its pieces.
using SplitFunction = std::function<std::vector<std::string>(const std::vector<std::string>&)>;
/// Token texts → token texts; the last result is joined.
using DecodeFunction = std::function<std::vector<std::string>(std::vector<std::string>)>;

/// Each throws a user error naming `where` and the type when a component is not known. null gives identity.
TextFunction make_normalizer(const json& component, const std::string& where);
SplitFunction make_pre_tokenizer(const json& component, const std::string& where);
DecodeFunction make_decoder(const json& component, const std::string& where);

/// What a post-processor puts before and behind the ids of a single text.
struct Template {
  std::vector<i32> before, behind;
};
Template make_post_processor(const json& component, const std::string& where);

}  // namespace pare
