// A model with all that answering requests about text needs.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "model/params.h"
#include "text/chat_template.h"
#include "text/token_bytes.h"
#include "text/tokenizer.h"

namespace pare {

/// Immutable while it is served.
struct ServedModel {
  std::string name;
  const Model& model;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplates> templates;  // null: no conversations
  std::vector<i32> stop_ids;
  TokenBytes token_bytes{*tokenizer};
};

}  // namespace pare
