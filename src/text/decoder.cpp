#include "text/decoder.h"

#include "base/error.h"
#include "text/bytes.h"
#include "text/component.h"
#include "text/normalizer.h"
#include "text/replace_text.h"

namespace pare {
namespace {

using Tokens = std::vector<std::string>;

/// <0xHH> tokens become bytes; a run that is not UTF-8 becomes one U+FFFD a byte.
Tokens byte_fallback(const Tokens& tokens) {
  Tokens out;
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

std::string join(const Tokens& tokens) {
  std::string all;
  for (const std::string& t : tokens) all += t;
  return all;
}

/// Neighbouring byte-level tokens are one run of bytes; other tokens stay between them.
Tokens byte_level_decode(const Tokens& tokens) {
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

DecodeFunction replace(const Component& c) {
  return [change = make_replacement(c)](Tokens tokens) {
    for (std::string& t : tokens) t = change(std::move(t));
    return tokens;
  };
}

/// The replacement of spaces becomes spaces again; in the first token it goes, as in the reference.
DecodeFunction metaspace(const Component& c) {
  const std::string space = c.has("replacement") ? c.text("replacement") : "\u2581";
  const bool never =
      c.has("prepend_scheme") ? c.text("prepend_scheme") == "never" : !c.flag("add_prefix_space", true);
  return [space, never](Tokens tokens) {
    for (std::size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = replace_text(tokens[i], space, i == 0 && !never ? "" : " ");
    return tokens;
  };
}

DecodeFunction sequence(const Component& c) {
  std::vector<DecodeFunction> parts;
  for (const json& part : c.list("decoders")) parts.push_back(make_decoder(part, c.where()));
  return [parts](Tokens tokens) {
    for (const DecodeFunction& part : parts) tokens = part(std::move(tokens));
    return tokens;
  };
}

Tokens join_with_spaces(Tokens tokens) {
  for (std::size_t i = 1; i < tokens.size(); ++i) tokens[i].insert(tokens[i].begin(), ' ');
  return tokens;
}

}  // namespace

DecodeFunction make_decoder(const json& component, const std::string& where) {
  if (component.is_null()) return join_with_spaces;
  const Component c(component, where, "decoder");
  const std::string& type = c.type();
  if (type == "Sequence") return sequence(c);
  if (type == "ByteLevel") return byte_level_decode;
  if (type == "ByteFallback") return byte_fallback;
  if (type == "Fuse") return [](const Tokens& tokens) { return Tokens{join(tokens)}; };
  if (type == "Replace") return replace(c);
  if (type == "Metaspace") return metaspace(c);
  if (type == "Strip")
    return [content = c.text("content"), start = c.count("start"), stop = c.count("stop")](Tokens tokens) {
      for (std::string& t : tokens) t = strip(t, content, start, stop);
      return tokens;
    };
  c.refuse("ByteFallback, ByteLevel, Fuse, Metaspace, Replace, Sequence, Strip");
}

json sentencepiece_decoder_json(bool adds_space) {
  json parts = json::array();
  parts.push_back({{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}});
  parts.push_back({{"type", "ByteFallback"}});
  parts.push_back({{"type", "Fuse"}});
  if (adds_space) parts.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return {{"type", "Sequence"}, {"decoders", parts}};
}

}  // namespace pare
