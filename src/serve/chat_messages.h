// The messages of a chat request as the prompt that the model's own template makes of them.
#pragma once
#include <vector>

#include "serve/json_fields.h"
#include "serve/served_model.h"

namespace pare {

/// Reads messages, tools, tool_choice and chat_template_kwargs. Throws an ApiError naming the message and key
/// that is wrong; for a model without a template, one without tools where there are some, and what the
/// template itself refuses.
std::vector<i32> chat_prompt(const JsonFields& fields, const ServedModel& model);

}  // namespace pare
