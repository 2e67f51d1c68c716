#include "text/post_processor.h"

#include "base/error.h"
#include "text/component.h"

namespace pare {
namespace {

i32 token_id(const json& id, const Component& c) {
  if (!id.is_number_integer() || id.get<i64>() < 0 || id.get<i64>() > 0x7FFFFFFF)
    throw user_error("{}: {} adds {}, which is not a token id", c.where(), c.type(), id.dump());
  return id.get<i32>();
}

Template from_template(const Component& c) {
  Template t;
  bool seen = false;
  try {
    for (const json& item : c.fields().at("single")) {
      if (item.is_object() && item.contains("Sequence")) {
        seen = true;
        continue;
      }
      const std::string name = item.at("SpecialToken").at("id").get<std::string>();
      for (const json& id : c.fields().at("special_tokens").at(name).at("ids"))
        (seen ? t.behind : t.before).push_back(token_id(id, c));
    }
  } catch (const json::exception& e) {
    throw user_error("{}: broken TemplateProcessing: {}", c.where(), e.what());
  }
  return t;
}

/// "cls": [text, id] before and "sep": [text, id] behind.
Template from_pair(const Component& c) {
  const std::vector<json> before = c.list("cls"), behind = c.list("sep");
  if (before.size() != 2 || behind.size() != 2)
    throw user_error("{}: {} needs cls and sep as [text, id]", c.where(), c.type());
  return {{token_id(before[1], c)}, {token_id(behind[1], c)}};
}

}  // namespace

Template make_post_processor(const json& component, const std::string& where) {
  if (component.is_null()) return {};
  const Component c(component, where, "post_processor");
  const std::string& type = c.type();
  if (type == "ByteLevel") return {};  // it only moves offsets
  if (type == "TemplateProcessing") return from_template(c);
  if (type == "RobertaProcessing" || type == "BertProcessing") return from_pair(c);
  if (type != "Sequence")
    c.refuse("BertProcessing, ByteLevel, RobertaProcessing, Sequence, TemplateProcessing");
  Template all;
  for (const json& part : c.list("processors")) {
    const Template t = make_post_processor(part, where);
    all.before.insert(all.before.begin(), t.before.begin(), t.before.end());
    all.behind.insert(all.behind.end(), t.behind.begin(), t.behind.end());
  }
  return all;
}

}  // namespace pare
