#include "text/tokenizer_parts.h"

#include <algorithm>

#include "base/error.h"
#include "text/bytes.h"
#include "text/split_gpt2.h"
#include "text/unicode_classes.h"

namespace pare {
namespace {

std::string type_of(const json& c, const std::string& where, const char* kind) {
  if (!c.is_object() || !c.contains("type") || !c["type"].is_string())
    throw user_error("{}: {} without a type: {}", where, kind, c.dump().substr(0, 80));
  return c["type"].get<std::string>();
}

std::string text_of(const json& c, const char* key, const std::string& where) {
  if (!c.contains(key) || !c[key].is_string())
    throw user_error("{}: {} lacks the text \"{}\"", where, c["type"].dump(), key);
  return c[key].get<std::string>();
}

bool flag(const json& c, const char* key, bool fallback, const std::string& where) {
  if (!c.contains(key)) return fallback;
  if (!c[key].is_boolean())
    throw user_error(
        "{}: {} option {} = {}, expected true or false", where, c["type"].dump(), key, c[key].dump());
  return c[key].get<bool>();
}

i64 count_of(const json& c, const char* key, const std::string& where) {
  if (!c.contains(key)) return 0;
  if (!c[key].is_number_integer() || c[key].get<i64>() < 0)
    throw user_error(
        "{}: {} option {} = {}, expected a number ≥ 0", where, c["type"].dump(), key, c[key].dump());
  return c[key].get<i64>();
}

const json& list_of(const json& c, const char* key, const std::string& where) {
  if (!c.contains(key) || !c[key].is_array())
    throw user_error("{}: Sequence lacks the list \"{}\"", where, key);
  return c[key];
}

std::string replace_all(const std::string& text, const std::string& from, const std::string& to) {
  if (from.empty()) return text;
  std::string out;
  for (std::size_t at = 0;;) {
    const std::size_t found = text.find(from, at);
    out += text.substr(at, found - at);
    if (found == std::string::npos) return out;
    out += to;
    at = found + from.size();
  }
}

/// {"String": "…"} of a Replace; regular expressions are not known yet.
std::string replace_pattern(const json& c, const std::string& where) {
  if (c.contains("pattern") && c["pattern"].is_object() && c["pattern"].contains("String") &&
      c["pattern"]["String"].is_string())
    return c["pattern"]["String"].get<std::string>();
  throw user_error("{}: Replace with pattern {} is not supported; only a plain text is",
                   where,
                   (c.contains("pattern") ? c["pattern"] : json()).dump().substr(0, 80));
}

SplitFunction byte_level(const json& c, const std::string& where) {
  const bool prefix = flag(c, "add_prefix_space", true, where), words = flag(c, "use_regex", true, where);
  return [prefix, words](const std::vector<std::string>& pieces) {
    std::vector<std::string> out;
    std::vector<std::string_view> views;
    for (const std::string& piece : pieces) {
      const std::string spaced = prefix && !piece.empty() && piece[0] != ' ' ? " " + piece : piece;
      views.clear();
      if (words)
        split_gpt2(spaced, views);
      else
        views.push_back(spaced);
      for (const std::string_view view : views) out.push_back(to_byte_characters(view));
    }
    return out;
  };
}

SplitFunction digits(const json& c, const std::string& where) {
  const bool alone = flag(c, "individual_digits", false, where);
  return [alone](const std::vector<std::string>& pieces) {
    std::vector<std::string> out;
    for (const std::string& piece : pieces) {
      bool open = false, numbers = false;  // whether the last piece may grow, and what it is
      for (std::size_t at = 0; at < piece.size();) {
        const Utf8Character ch = character_at(piece, at);
        const bool number = is_number(ch.code_point);
        if (!open || number != numbers || (number && alone)) out.emplace_back();
        out.back().append(piece, at, ch.bytes);
        open = true;
        numbers = number;
        at += ch.bytes;
      }
    }
    return out;
  };
}

/// <0xHH> tokens become bytes; a run that is not UTF-8 becomes one U+FFFD a byte.
std::vector<std::string> byte_fallback(const std::vector<std::string>& tokens) {
  std::vector<std::string> out;
  std::string run;
  const auto flush = [&] {
    if (run.empty()) return;
    std::string text = repair_utf8(run);
    if (text != run) {
      text.clear();
      for (std::size_t i = 0; i < run.size(); ++i) text += "\xEF\xBF\xBD";
    }
    out.push_back(text);
    run.clear();
  };
  for (const std::string& t : tokens) {
    const bool byte = t.size() == 6 && t.starts_with("<0x") && t[5] == '>' &&
                      std::isxdigit(static_cast<u8>(t[3])) && std::isxdigit(static_cast<u8>(t[4]));
    if (byte) {
      run += static_cast<char>(std::stoi(t.substr(3, 2), nullptr, 16));
      continue;
    }
    flush();
    out.push_back(t);
  }
  flush();
  return out;
}

std::string join(const std::vector<std::string>& tokens) {
  std::string all;
  for (const std::string& t : tokens) all += t;
  return all;
}

/// Neighbouring byte-level tokens are one run of bytes; other tokens stay between them.
std::vector<std::string> byte_level_decode(const std::vector<std::string>& tokens) {
  std::string bytes;
  for (const std::string& t : tokens) bytes += is_byte_characters(t) ? from_byte_characters(t) : t;
  return {repair_utf8(bytes)};
}

std::string strip(std::string text, const std::string& content, i64 start, i64 stop) {
  for (; start > 0 && !content.empty() && text.starts_with(content); --start) text.erase(0, content.size());
  for (; stop > 0 && !content.empty() && text.ends_with(content); --stop)
    text.resize(text.size() - content.size());
  return text;
}

}  // namespace

TextFunction make_normalizer(const json& c, const std::string& where) {
  if (c.is_null()) return [](std::string text) { return text; };
  const std::string type = type_of(c, where, "normalizer");
  if (type == "Sequence") {
    std::vector<TextFunction> parts;
    for (const json& part : list_of(c, "normalizers", where)) parts.push_back(make_normalizer(part, where));
    return [parts](std::string text) {
      for (const TextFunction& part : parts) text = part(std::move(text));
      return text;
    };
  }
  if (type == "Prepend") {
    const std::string prefix = text_of(c, "prepend", where);
    return [prefix](const std::string& text) { return text.empty() ? text : prefix + text; };
  }
  if (type == "Replace") {
    const std::string from = replace_pattern(c, where), to = text_of(c, "content", where);
    return [from, to](const std::string& text) { return replace_all(text, from, to); };
  }
  throw user_error(
      "{}: normalizer \"{}\" is not supported; known are Prepend, Replace, Sequence", where, type);
}

SplitFunction make_pre_tokenizer(const json& c, const std::string& where) {
  if (c.is_null()) return [](const std::vector<std::string>& pieces) { return pieces; };
  const std::string type = type_of(c, where, "pre_tokenizer");
  if (type == "Sequence") {
    std::vector<SplitFunction> parts;
    for (const json& part : list_of(c, "pretokenizers", where))
      parts.push_back(make_pre_tokenizer(part, where));
    return [parts](const std::vector<std::string>& pieces) {
      std::vector<std::string> out = pieces;
      for (const SplitFunction& part : parts) out = part(out);
      return out;
    };
  }
  if (type == "ByteLevel") return byte_level(c, where);
  if (type == "Digits") return digits(c, where);
  throw user_error(
      "{}: pre_tokenizer \"{}\" is not supported; known are ByteLevel, Digits, Sequence", where, type);
}

DecodeFunction make_decoder(const json& c, const std::string& where) {
  if (c.is_null())
    return [](std::vector<std::string> tokens) {  // the reference joins with spaces
      for (std::size_t i = 1; i < tokens.size(); ++i) tokens[i].insert(tokens[i].begin(), ' ');
      return tokens;
    };
  const std::string type = type_of(c, where, "decoder");
  if (type == "Sequence") {
    std::vector<DecodeFunction> parts;
    for (const json& part : list_of(c, "decoders", where)) parts.push_back(make_decoder(part, where));
    return [parts](std::vector<std::string> tokens) {
      for (const DecodeFunction& part : parts) tokens = part(std::move(tokens));
      return tokens;
    };
  }
  if (type == "ByteLevel") return byte_level_decode;
  if (type == "ByteFallback") return byte_fallback;
  if (type == "Fuse")
    return [](const std::vector<std::string>& tokens) { return std::vector<std::string>{join(tokens)}; };
  if (type == "Replace") {
    const std::string from = replace_pattern(c, where), to = text_of(c, "content", where);
    return [from, to](std::vector<std::string> tokens) {
      for (std::string& t : tokens) t = replace_all(t, from, to);
      return tokens;
    };
  }
  if (type == "Strip") {
    const std::string content = text_of(c, "content", where);
    const i64 start = count_of(c, "start", where), stop = count_of(c, "stop", where);
    return [content, start, stop](std::vector<std::string> tokens) {
      for (std::string& t : tokens) t = strip(t, content, start, stop);
      return tokens;
    };
  }
  throw user_error(
      "{}: decoder \"{}\" is not supported; known are ByteLevel, ByteFallback, Fuse, Replace, Strip, "
      "Sequence",
      where,
      type);
}

Template make_post_processor(const json& c, const std::string& where) {
  if (c.is_null()) return {};
  const std::string type = type_of(c, where, "post_processor");
  if (type == "ByteLevel") return {};  // it only moves offsets
  if (type == "Sequence") {
    Template all;
    for (const json& part : list_of(c, "processors", where)) {
      const Template t = make_post_processor(part, where);
      all.before.insert(all.before.begin(), t.before.begin(), t.before.end());
      all.behind.insert(all.behind.end(), t.behind.begin(), t.behind.end());
    }
    return all;
  }
  if (type != "TemplateProcessing")
    throw user_error(
        "{}: post_processor \"{}\" is not supported; known are ByteLevel, TemplateProcessing, Sequence",
        where,
        type);
  Template t;
  bool seen = false;
  try {
    for (const json& item : c.at("single")) {
      if (item.is_object() && item.contains("Sequence")) {
        seen = true;
        continue;
      }
      const std::string name = item.at("SpecialToken").at("id").get<std::string>();
      for (const json& id : c.at("special_tokens").at(name).at("ids")) {
        if (!id.is_number_integer() || id.get<i64>() < 0 || id.get<i64>() > 0x7FFFFFFF)
          throw user_error("{}: TemplateProcessing adds {}, which is not a token id", where, id.dump());
        (seen ? t.behind : t.before).push_back(id.get<i32>());
      }
    }
  } catch (const json::exception& e) {
    throw user_error("{}: broken TemplateProcessing: {}", where, e.what());
  }
  return t;
}

}  // namespace pare
