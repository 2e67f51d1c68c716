#include "stages/job.h"

#include <algorithm>
#include <fstream>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/signals.h"
#include "model/hf_quantised.h"
#include "model/params.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

fs::path journal_folder(const fs::path& work) { return work / "tensors"; }

/// The weight matrices of the blocks with their shapes.
std::vector<std::pair<std::string, Shape>> block_weights(const Config& config) {
  Params p;
  p.layers.resize(static_cast<std::size_t>(config.L));
  std::vector<std::pair<std::string, Shape>> out;
  each_param(p, config, [&](const std::string& name, auto& member, const Shape& shape) {
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
      if (name.starts_with("model.layers.")) out.emplace_back(name, shape);
  });
  return out;
}

json packed_tensors(const Config& config) {
  const json& raw = config.raw;
  if (!raw.contains("quantization_config") || !raw["quantization_config"].is_object()) return json::object();
  const json& q = raw["quantization_config"];
  return q.contains("tensors") && q["tensors"].is_object() ? q["tensors"] : json::object();
}

/// Files beside the weights that make the folder usable on its own.
bool carried(const fs::path& file) {
  // The last two are of GPTQ and AWQ files, and would say of dense weights that they are packed.
  static const std::set<std::string> written = {
      "config.json", "pare.json", "quantize_config.json", "quant_config.json"};
  static const std::set<std::string> kinds = {".json", ".jinja", ".model", ".txt", ".tiktoken"};
  const std::string name = file.filename().string();
  if (written.contains(name) || name.ends_with(".safetensors.index.json") || name.starts_with("."))
    return false;
  return kinds.contains(file.extension().string()) || name.starts_with("LICENSE") ||
         name.starts_with("NOTICE");
}

/// A tensor of any dtype and its bytes; what is neither a number of ours nor one byte wide is refused by
/// tensor().
Tensor stored_tensor(const TensorFiles& files, const std::string& name) {
  static const std::set<std::string> one_byte = {
      "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"};
  const SafeTensors::Info& info = files.info(name);
  if (!one_byte.contains(info.dtype)) return files.tensor(name);
  return files.bytes(name).reshaped(Shape(std::span<const i64>(info.shape)));
}

}  // namespace

Job::Job(JobInput input) : input_(std::move(input)) {
  if (has_source()) {
    config_ = read_config(input_.source);
    read_journal();
  }
  read_series();
}

const fs::path& Job::source() const {
  if (!has_source())
    throw user_error(
        "{}: needs a model to start from; give the recipe `model:` or put a training stage before it",
        input_.stage);
  return input_.source;
}

const Config& Job::config() const {
  source();
  return *config_;
}

const std::string& Job::data(const std::string& key) const {
  const auto it = input_.data.find(key);
  if (it == input_.data.end() || it->second.empty())
    throw user_error("{}: needs data, and the recipe names none; add `data: {{{}: …}}`", input_.stage, key);
  return it->second;
}

const TensorFiles& Job::files() const {
  if (!files_) files_ = TensorFiles::open(source());
  return *files_;
}

std::vector<std::string> Job::linears() const {
  std::vector<std::string> names;
  for (const auto& [name, shape] : block_weights(config())) names.push_back(name);
  return names;
}

Weight Job::weight(const std::string& name) const {
  if (packed_tensors(config()).contains(name))
    throw user_error(
        "{}: {} in {} is packed already ({}); compress the model it was made from, or make the stage "
        "before this one store dense weights",
        input_.stage,
        name,
        source().string(),
        packed_tensors(config())[name].value("format", "?"));
  if (!files().has(name))
    throw user_error(
        "{}: tensor {} is missing; config.json asks for it{}",
        source().string(),
        name,
        read_hf_scheme(source(), config().raw)
            ? "; the model is quantised already: compress the one it was made from, or a dense copy "
              "(pare convert --to hf)"
            : "");
  const Tensor t = files().tensor(name);
  for (const auto& [known, shape] : block_weights(config()))
    if (known == name && t.shape() != shape)
      throw user_error("{}: {} is {}, expected {} from config.json",
                       source().string(),
                       name,
                       t.shape().text(),
                       shape.text());
  if (t.shape().rank() != 2 ||
      (t.dtype() != DType::f32 && t.dtype() != DType::bf16 && t.dtype() != DType::f16))
    throw user_error("{}: {} is {} {}, expected a matrix of f32, bf16 or f16",
                     source().string(),
                     name,
                     dtype_name(t.dtype()),
                     t.shape().text());
  return Weight(t);
}

void Job::write(const std::string& name, const Weight& weight) {
  const Weight before = this->weight(name);
  if (weight.rows() != before.rows() || weight.cols() != before.cols())
    throw bug("{}: {} was ({}, {}) and is written as ({}, {})",
              input_.stage,
              name,
              before.rows(),
              before.cols(),
              weight.rows(),
              weight.cols());
  std::vector<std::pair<std::string, Tensor>> tensors;
  weight.format().each_tensor(
      [&](const std::string& suffix, const Tensor& t) { tensors.emplace_back(name + suffix, t); });
  const bool dense = weight.dense().defined();
  const json options = dense ? json() : weight.format().options();
  fs::create_directories(journal_folder(work()));
  const fs::path file = journal_folder(work()) / (name + ".safetensors");
  // Appears whole or not at all, so the file itself is the mark that this weight is done.
  write_safetensors(file, tensors, {{"options", options.dump()}, {"name", weight.format().name()}});
  journal_[name] = {options, file};
}

void Job::each_linear(const std::function<Weight(const std::string&, const Weight&)>& change) {
  const std::vector<std::string> names = linears();
  start_progress(input_.stage, static_cast<i64>(names.size()));
  for (const std::string& name : names) {
    if (!written(name)) {
      check_stop();
      write(name, change(name, weight(name)));
    }
    advance(1, name);
  }
  progress_.reset();
}

void Job::read_journal() {
  std::error_code none;
  for (const auto& [name, shape] : block_weights(config())) {
    const fs::path file = journal_folder(work()) / (name + ".safetensors");
    if (!fs::exists(file, none)) continue;
    try {
      const SafeTensors found = SafeTensors::open(file);
      journal_[name] = {parse_json(found.metadata().at("options"), file.string()), file};
    } catch (const std::exception& e) {
      log_warning("{}: the journal's {} cannot be read and is made again ({})", input_.stage, name, e.what());
      fs::remove(file, none);
    }
  }
  if (!journal_.empty()) log_info("{}: goes on with {} finished weights", input_.stage, journal_.size());
}

void Job::write_tensors() const {
  std::vector<SafeTensorsWriter::Entry> entries;
  std::vector<std::string> copied;
  for (const std::string& name : files().names()) {
    if (journal_.contains(name)) continue;
    entries.push_back({name, files().info(name).dtype, files().info(name).shape});
    copied.push_back(name);
  }
  for (const auto& [name, piece] : journal_) {
    const SafeTensors file = SafeTensors::open(piece.file);
    for (const std::string& stored : file.names())
      entries.push_back({stored, file.info(stored).dtype, file.info(stored).shape});
  }
  SafeTensorsWriter writer(out() / "model.safetensors", entries, files().files().front().metadata());
  for (const std::string& name : copied) writer.write(name, stored_tensor(files(), name));
  for (const auto& [name, piece] : journal_) {
    const SafeTensors file = SafeTensors::open(piece.file);
    for (const std::string& stored : file.names()) writer.write(stored, file.tensor(stored));
  }
  writer.finish();
}

void Job::write_config() const {
  json raw = config().raw;
  json tensors = packed_tensors(config());
  std::set<std::string> formats;
  if (!tensors.empty()) formats.insert(raw["quantization_config"].value("format", "mixed"));
  for (const auto& [name, piece] : journal_)
    if (!piece.options.is_null()) {
      tensors[name] = piece.options;
      formats.insert(SafeTensors::open(piece.file).metadata().at("name"));
    }
  if (!tensors.empty())
    raw["quantization_config"] = {{"quant_method", "pare"},
                                  {"version", 1},
                                  {"format", formats.size() == 1 ? *formats.begin() : "mixed"},
                                  {"tensors", tensors}};
  write_file_atomic(out() / "config.json", raw.dump(2) + "\n");
}

void Job::carry_files() const {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(source()))
    if (entry.is_regular_file() && carried(entry.path())) files.push_back(entry.path());
  for (const fs::path& file : files)
    if (!fs::exists(out() / file.filename())) write_file_atomic(out() / file.filename(), read_file(file));
}

void Job::finish() {
  progress_.reset();
  if (fs::exists(out() / "model.safetensors")) return;
  if (!has_source()) throw bug("{}: a stage without a source wrote no model.safetensors", input_.stage);
  carry_files();
  write_config();
  write_tensors();
}

void Job::start_progress(const std::string& label, i64 total) {
  progress_.reset();
  progress_ = std::make_unique<Progress>(label, total);
}

void Job::advance(i64 n, const std::string& note) {
  if (progress_) progress_->advance(n, note);
}

void Job::check_stop() const { pare::check_stop(); }

void Job::add_series(const std::string& name, i64 step, double value) {
  series_[name][step] = value;
  std::ofstream file(work() / "series.jsonl", std::ios::app);
  file << json::array({name, step, value}).dump() << '\n';
}

void Job::read_series() {
  std::ifstream file(work() / "series.jsonl");
  for (std::string line; std::getline(file, line);) {
    const json point = json::parse(line, nullptr, /*allow_exceptions=*/false);
    // The last line may be cut.
    if (!point.is_array() || point.size() != 3 || !point[0].is_string() || !point[2].is_number()) continue;
    series_[point[0].get<std::string>()][point[1].get<i64>()] = point[2].get<double>();
  }
}

std::vector<CurvePoint> Job::series() const {
  std::vector<CurvePoint> out;
  for (const auto& [name, points] : series_)
    for (const auto& [step, value] : points) out.push_back({name, step, value});
  return out;
}

}  // namespace pare
