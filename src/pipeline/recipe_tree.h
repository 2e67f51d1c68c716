// YAML as JSON that knows where each value came from, and `--set` on it. Only recipe.cpp needs it.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace pare {

struct RecipeTree {
  json root;
  std::map<std::string, std::string> where;  // JSON pointer → "file:line" or "--set …"
  std::string file;

  /// Where the value at a pointer came from, else its nearest known parent.
  std::string place(std::string pointer) const;
};

/// "/a/b": `pointer` with one more part.
std::string child(const std::string& pointer, const std::string& part);

/// Throws a user error on bad YAML, bytes that are not UTF-8, duplicate keys, files over 1 MB, nesting beyond
/// 64, more than 100 000 nodes, maps of more than 4096 keys.
RecipeTree read_tree(const std::string& text, const std::string& where);

/// Brings lists of stages to [{"stage": name, "args": {…}}, …] and `measure` to {name: {options}}.
void normalise(RecipeTree& tree);

/// One `path=value`. Throws a user error when the path leads nowhere. REQUIRES: normalise() was called.
void set_value(RecipeTree& tree, const std::string& assignment);

}  // namespace pare
