#include "pipeline/recipe_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/types.h"
#include "base/utf8.h"

namespace pare {

namespace {

constexpr std::size_t kMaxBytes = 1'000'000;
constexpr i64 kMaxNodes = 100'000;
constexpr int kMaxDepth = 64;
constexpr std::size_t kMaxKeys = 4096;  // of one map: they are looked up one after another

/// "file:line"; an assignment has no lines.
std::string line_place(const std::string& where, i64 line) {
  return where.starts_with("--set ") ? where : fmt::format("{}:{}", where, line);
}

/// The parser recurses: nesting is bounded before it sees the text. Brackets inside quotes count as well, so
/// the bound is a generous one; the exact depth is checked on the nodes.
void check_nesting(const std::string& text, const std::string& where) {
  i64 open = 0, line = 1, dashes = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '[' || c == '{') ++open;
    if ((c == ']' || c == '}') && open > 0) --open;
    if (c == '\n') ++line, dashes = 0;
    if ((c == '-' || c == '?' || c == ':') && (i + 1 == text.size() || text[i + 1] == ' ')) ++dashes;
    if (open > 4 * kMaxDepth || dashes > 4 * kMaxDepth)
      throw user_error("{}: values are nested more than {} deep", line_place(where, line), kMaxDepth);
  }
}

/// The parser takes a quote that is never closed for one that ends with the file, and what follows for its
/// text.
void check_quote(const std::string& text, const YAML::Mark& mark, const std::string& place) {
  std::size_t at = 0;
  for (int line = 0; line < mark.line; ++line) at = text.find('\n', at) + 1;
  at += static_cast<std::size_t>(mark.column);
  const char quote = at < text.size() ? text[at] : ' ';
  if (quote != '"' && quote != '\'') return;  // a tag stands before it
  for (std::size_t i = at + 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\')
      ++i;
    else if (text[i] == quote && quote == '\'' && i + 1 < text.size() && text[i + 1] == quote)
      ++i;
    else if (text[i] == quote)
      return;
  }
  throw user_error("{}: not YAML: the quote that opens here is never closed", place);
}

/// An unquoted scalar by YAML's core rules: null, true/false, numbers, else text.
json scalar(const std::string& text, bool quoted) {
  if (quoted) return text;
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return {};
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const std::string bare = text[0] == '+' ? text.substr(1) : text;
  const char* end = bare.data() + bare.size();
  i64 whole = 0;
  if (const auto r = std::from_chars(bare.data(), end, whole); r.ec == std::errc() && r.ptr == end)
    return whole;
  double real = 0;
  // from_chars would take "inf" and "nan", which YAML spells .inf and .nan.
  const bool number = bare.find_first_not_of("0123456789+-.eE") == std::string::npos;
  if (const auto r = std::from_chars(bare.data(), end, real); number && r.ec == std::errc() && r.ptr == end)
    return real;
  return text;
}

class Converter {
 public:
  Converter(RecipeTree& tree, const std::string& text) : tree_(tree), text_(text) {}

  json convert(const YAML::Node& node, const std::string& pointer, int depth) {
    const std::string at = line_place(tree_.file, node.Mark().line + 1);
    if (++nodes_ > kMaxNodes)
      throw user_error("{}: more than {} values (aliases spelt out); is this a recipe?", at, kMaxNodes);
    if (depth > kMaxDepth) throw user_error("{}: values are nested more than {} deep", at, kMaxDepth);
    if (!tree_.where.contains(pointer)) tree_.where[pointer] = at;
    if (node.IsSequence()) {
      json out = json::array();
      for (const auto& item : node)
        out.push_back(convert(item, child(pointer, std::to_string(out.size())), depth + 1));
      return out;
    }
    if (node.IsMap()) {
      json out = json::object();
      if (node.size() > kMaxKeys)
        throw user_error("{}: a map of {} keys, more than the {} one may have", at, node.size(), kMaxKeys);
      for (const auto& entry : node) {
        const std::string place = line_place(tree_.file, entry.first.Mark().line + 1);
        if (!entry.first.IsScalar()) throw user_error("{}: a key is not a plain text", place);
        const std::string key = entry.first.Scalar();
        if (out.contains(key)) throw user_error("{}: the key \"{}\" is given twice", place, key);
        tree_.where[child(pointer, key)] = place;
        out[key] = convert(entry.second, child(pointer, key), depth + 1);
      }
      return out;
    }
    if (!node.IsScalar()) return {};
    const bool quoted = node.Tag() == "!";
    if (quoted) check_quote(text_, node.Mark(), at);
    return scalar(node.Scalar(), quoted);
  }

 private:
  RecipeTree& tree_;
  const std::string& text_;
  i64 nodes_ = 0;
};

/// One entry of a list of stages → {"stage", "args"}. Lines of options move along.
json stage_entry(RecipeTree& tree, const json& entry, const std::string& pointer) {
  const auto moved = [&](const std::string& from, const json& args) {
    if (args.is_object())
      for (const auto& [key, value] : args.items())
        tree.where[child(child(pointer, "args"), key)] = tree.place(child(from, key));
    return args.is_null() ? json::object() : args;
  };
  if (entry.is_string()) return {{"stage", entry}, {"args", json::object()}};
  if (entry.is_object() && entry.contains("stage")) {
    for (const auto& [key, value] : entry.items())
      if (key != "stage" && key != "args")
        throw user_error("{}: an entry with \"stage\" has no \"{}\"; its options belong under \"args\"",
                         tree.place(child(pointer, key)),
                         key);
    if (!entry["stage"].is_string())
      throw user_error(
          "{}: \"stage\" is {}, expected a name", tree.place(child(pointer, "stage")), entry["stage"].dump());
    return {{"stage", entry["stage"]},
            {"args", moved(child(pointer, "args"), entry.value("args", json::object()))}};
  }
  if (entry.is_object() && entry.size() == 1) {
    const std::string name = entry.begin().key();
    return {{"stage", name}, {"args", moved(child(pointer, name), entry.begin().value())}};
  }
  throw user_error(
      "{}: expected a stage: `name`, `name: {{options}}` or `{{stage: name, args: {{options}}}}`",
      tree.place(pointer));
}

void normalise_stages(RecipeTree& tree, json& list, const std::string& pointer) {
  if (list.is_null()) list = json::array();
  if (!list.is_array())
    throw user_error("{}: expected a list of stages; [] is the model itself", tree.place(pointer));
  for (std::size_t i = 0; i < list.size(); ++i)
    list[i] = stage_entry(tree, list[i], child(pointer, std::to_string(i)));
}

void normalise_measures(RecipeTree& tree, json& measure) {
  if (measure.is_object()) return;
  if (!measure.is_array())
    throw user_error("{}: measure is {}, expected a list of names", tree.place("/measure"), measure.dump());
  json out = json::object();
  for (std::size_t i = 0; i < measure.size(); ++i) {
    const json& m = measure[i];
    const std::string at = child("/measure", std::to_string(i));
    const bool plain = m.is_string(), with_options = m.is_object() && m.size() == 1;
    if (!plain && !with_options)
      throw user_error("{}: expected a measure: `name` or `name: {{options}}`", tree.place(at));
    const std::string name = plain ? m.get<std::string>() : m.begin().key();
    if (out.contains(name)) throw user_error("{}: the measure {} is given twice", tree.place(at), name);
    out[name] = plain || m.begin().value().is_null() ? json::object() : m.begin().value();
    tree.where[child("/measure", name)] = tree.place(at);
  }
  measure = std::move(out);
}

std::vector<std::string> split_path(const std::string& path) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t dot; (dot = path.find('.', begin)) != std::string::npos; begin = dot + 1)
    parts.push_back(path.substr(begin, dot - begin));
  parts.push_back(path.substr(begin));
  return parts;
}

std::string joined(const std::vector<std::string>& parts, std::size_t from, std::size_t n) {
  return fmt::format("{}",
                     fmt::join(parts.begin() + static_cast<std::ptrdiff_t>(from),
                               parts.begin() + static_cast<std::ptrdiff_t>(from + n),
                               "."));
}

/// Names may hold dots (quantize.nf4, task.gsm8k): the longest one that exists wins.
class Setter {
 public:
  Setter(RecipeTree& tree, std::string assignment, json value)
      : tree_(tree),
        text_(std::move(assignment)),
        parts_(split_path(text_.substr(0, text_.find('=')))),
        value_(std::move(value)) {}

  void set() { descend(tree_.root, "", 0); }

 private:
  void descend(json& node, const std::string& pointer, std::size_t i) {
    if (i == parts_.size()) {
      node = value_;
      tree_.where[pointer] = "--set " + text_;
      forget_below(pointer);
      return;
    }
    if (node.is_array()) return descend_list(node, pointer, i);
    if (node.is_null()) node = json::object();
    if (!node.is_object())
      throw user_error(
          "--set {}: \"{}\" is {}, so it has no \"{}\"", text_, joined(parts_, 0, i), node.dump(), parts_[i]);
    for (std::size_t n = parts_.size() - i; n >= 1; --n) {
      const std::string key = joined(parts_, i, n);
      if (node.contains(key)) return descend(node[key], child(pointer, key), i + n);
    }
    // A new variant comes whole; a path into one that is not there is a slip.
    if (pointer == "/variants" && i + 1 < parts_.size()) refuse(node, i);
    // A new option, measure or key: checked like one in the file. Measures are named as they are registered.
    const std::size_t n = pointer == "/measure" && parts_[i] == "task" && i + 1 < parts_.size() ? 2 : 1;
    const std::string key = joined(parts_, i, n);
    tree_.where[child(pointer, key)] = "--set " + text_;
    descend(node[key], child(pointer, key), i + n);
  }

  [[noreturn]] void refuse(const json& node, std::size_t i) const {
    std::vector<std::string> names;
    for (const auto& [key, value] : node.items()) names.push_back(key);
    const std::string near = nearest_name(parts_[i], names);
    throw user_error(
        "--set {}: \"{}\" has no \"{}\"; {}",
        text_,
        joined(parts_, 0, i),
        parts_[i],
        near.empty() ? fmt::format("it has {}", fmt::join(names, ", ")) : "did you mean \"" + near + "\"?");
  }

  void descend_list(json& node, const std::string& pointer, std::size_t i) {
    std::size_t index = 0;
    const std::string& part = parts_[i];
    const auto r = std::from_chars(part.data(), part.data() + part.size(), index);
    if (r.ec == std::errc() && r.ptr == part.data() + part.size()) {
      if (index >= node.size())
        throw user_error("--set {}: \"{}\" has {} entries, so there is no number {}",
                         text_,
                         joined(parts_, 0, i),
                         node.size(),
                         index);
      return descend_entry(node[index], child(pointer, part), i + 1);
    }
    std::vector<std::string> names;
    for (std::size_t k = 0; k < node.size(); ++k) {
      if (!is_stage(node[k])) continue;
      names.push_back(node[k]["stage"].get<std::string>());
      if (const std::size_t n = parts_named(names.back(), i))
        return descend_entry(node[k], child(pointer, std::to_string(k)), i + n);
    }
    const std::string word = joined(parts_, i, std::max<std::size_t>(1, parts_.size() - i - 1));
    const std::string near = nearest_name(word, names);
    throw user_error("--set {}: \"{}\" has no entry \"{}\"; {}",
                     text_,
                     joined(parts_, 0, i),
                     near.empty() ? part : word,
                     !near.empty()   ? "did you mean \"" + near + "\"?"
                     : names.empty() ? fmt::format("it has {} entries", node.size())
                                     : fmt::format("it has {}", fmt::join(names, ", ")));
  }

  static bool is_stage(const json& entry) {
    return entry.is_object() && entry.contains("stage") && entry["stage"].is_string() &&
           entry.contains("args");
  }

  /// How many parts from i on spell this name; 0 when they do not.
  std::size_t parts_named(const std::string& name, std::size_t i) const {
    const std::size_t n = split_path(name).size();
    return i + n <= parts_.size() && joined(parts_, i, n) == name ? n : 0;
  }

  /// An entry of a list of stages stands for its options; its name may stand between, as it does in the file.
  void descend_entry(json& entry, const std::string& pointer, std::size_t i) {
    if (!is_stage(entry) || i == parts_.size() || parts_[i] == "args" || parts_[i] == "stage")
      return descend(entry, pointer, i);
    const std::string name = entry["stage"].get<std::string>();
    const std::size_t n = parts_named(name, i);
    // Options are plain values, so what goes on after one part is the name of another stage.
    if (n == 0 && i + 1 < parts_.size())
      throw user_error("--set {}: \"{}\" is {}, not \"{}\"; did you mean \"{}.{}.{}\"?",
                       text_,
                       joined(parts_, 0, i),
                       name,
                       joined(parts_, i, parts_.size() - i - 1),
                       joined(parts_, 0, i),
                       name,
                       parts_.back());
    const bool says_args = n > 0 && i + n + 1 < parts_.size() && parts_[i + n] == "args";
    descend(entry["args"], child(pointer, "args"), i + n + (says_args ? 1 : 0));
  }

  void forget_below(const std::string& pointer) {
    std::erase_if(tree_.where, [&](const auto& item) { return item.first.starts_with(pointer + "/"); });
  }

  RecipeTree& tree_;
  std::string text_;
  std::vector<std::string> parts_;
  json value_;
};

}  // namespace

std::string child(const std::string& pointer, const std::string& part) { return pointer + "/" + part; }

std::string RecipeTree::place(std::string pointer) const {
  while (true) {
    if (const auto it = where.find(pointer); it != where.end()) return it->second;
    const auto slash = pointer.rfind('/');
    if (slash == std::string::npos) return file;
    pointer.resize(slash);
  }
}

RecipeTree read_tree(const std::string& text, const std::string& where) {
  if (text.size() > kMaxBytes)
    throw user_error("{}: {} bytes, more than the {} a recipe may have", where, text.size(), kMaxBytes);
  if (!is_utf8(text) || text.find('\0') != std::string::npos)
    throw user_error("{}: found bytes that are not UTF-8 text", where);
  check_nesting(text, where);
  RecipeTree tree{json(), {}, where};
  try {
    tree.root = Converter(tree, text).convert(YAML::Load(text), "", 0);
  } catch (const YAML::Exception& e) {
    throw user_error("{}: not YAML: {}", line_place(where, e.mark.line + 1), e.msg);
  }
  if (!tree.root.is_object())
    throw user_error("{}: expected a map of keys such as model, variants, measure", where);
  return tree;
}

void normalise(RecipeTree& tree) {
  json& root = tree.root;
  if (root.contains("variants")) {
    if (!root["variants"].is_object())
      throw user_error("{}: variants is {}, expected a map of names to lists of stages",
                       tree.place("/variants"),
                       root["variants"].type_name());
    for (auto& [name, list] : root["variants"].items())
      normalise_stages(tree, list, child("/variants", name));
  }
  if (root.contains("pipeline")) normalise_stages(tree, root["pipeline"], "/pipeline");
  if (root.contains("measure")) normalise_measures(tree, root["measure"]);
}

void set_value(RecipeTree& tree, const std::string& assignment) {
  const auto equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0)
    throw user_error("--set {}: expected path=value, such as seed=1 or variants.nf4.quantize.nf4.block=128",
                     assignment);
  const std::string text = assignment.substr(equals + 1);
  const json parsed = read_tree("value: " + text + "\n", "--set " + assignment).root;
  if (parsed.size() != 1) throw user_error("--set {}: expected one value after the =", assignment);
  const json& value = parsed.at("value");
  Setter(tree, assignment, value).set();
  normalise(tree);
}

}  // namespace pare
