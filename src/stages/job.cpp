#include "stages/job.h"

#include <algorithm>
#include <cstring>
#include <fstream>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/isa.h"
#include "base/log.h"
#include "base/signals.h"
#include "model/load.h"

namespace pare {
namespace fs = std::filesystem;

namespace {

fs::path journal_folder(const fs::path& work) { return work / "tensors"; }

/// The shape of a parameter of the model. Throws a bug when there is none of this name.
Shape shape_of(const Config& config, const std::string& name) {
  for (const auto& [known, shape] : parameter_shapes(config))
    if (known == name) return shape;
  throw bug("{} is no parameter of the model", name);
}

}  // namespace

Job::Job(JobInput input) : input_(std::move(input)) {
  if (has_source()) {
    source_ = open_source(input_.source);
    source_->config_json();  // what it cannot say is said before the work
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
  return source_->config();
}

const std::string& Job::data(const std::string& key) const {
  const auto it = input_.data.find(key);
  if (it == input_.data.end() || it->second.empty())
    throw user_error("{}: needs data, and the recipe names none; add `data: {{{}: …}}`", input_.stage, key);
  return it->second;
}

std::vector<std::string> Job::linears() const {
  std::vector<std::string> names;
  for (const auto& [name, shape] : block_weights(config())) names.push_back(name);
  return names;
}

Weight Job::weight(const std::string& name) const {
  const Shape shape = shape_of(config(), name);
  expect_dense(*source_, name, input_.stage);
  return Weight(source_->dense(name, shape));
}

Weight Job::any_weight(const std::string& name) const {
  const Shape shape = shape_of(config(), name);
  if (source_->packed_format(name).empty()) return Weight(source_->dense(name, shape));
  if (!packed_source_) packed_source_ = load_model(source());
  Weight found;
  each_param(
      packed_source_->params, packed_source_->config, [&](const std::string& n, auto& member, const Shape&) {
        if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Weight>)
          if (n == name) found = member;
      });
  return found;
}

namespace {

/// Whether two models share the values of all parameters outside the blocks' weight matrices.
bool same_frame(const Model& a, const Model& b) {
  if (parameter_shapes(a.config) != parameter_shapes(b.config)) return false;
  std::map<std::string, Tensor> values;
  const auto visit = [](const Model& m, const auto& take) {
    each_param(m.params, m.config, [&](const std::string& name, const auto& member, const Shape&) {
      if constexpr (std::is_same_v<std::decay_t<decltype(member)>, Tensor>) {
        take(name, member.to_f32());
      } else {
        if (!name.starts_with("model.layers.") && member.dense().defined())
          take(name, member.dense().to_f32());
      }
    });
  };
  visit(a, [&](const std::string& name, const Tensor& t) { values[name] = t; });
  bool same = true;
  visit(b, [&](const std::string& name, const Tensor& t) {
    const auto it = values.find(name);
    same = same && it != values.end() && it->second.shape() == t.shape() &&
           std::memcmp(it->second.raw(), t.raw(), static_cast<std::size_t>(t.bytes())) == 0;
  });
  return same;
}

}  // namespace

const fs::path& Job::origin() const {
  const Model here = load_model(source());
  for (const fs::path& ancestor : input_.ancestors)
    if (same_frame(load_model(ancestor), here)) return ancestor;
  return source();
}

void Job::write(const std::string& name, const Weight& weight) {
  std::vector<std::pair<std::string, Tensor>> tensors;
  weight.format().each_tensor(
      [&](const std::string& suffix, const Tensor& t) { tensors.emplace_back(name + suffix, t); });
  expect_shape(name, {weight.rows(), weight.cols()});
  keep(name, tensors, weight.dense().defined() ? json() : weight.format().options(), weight.format().name());
}

void Job::write(const std::string& name, const Tensor& vector) {
  expect_shape(name, vector.shape());
  keep(name, {{name, vector}}, json(), dtype_name(vector.dtype()));
}

void Job::expect_shape(const std::string& name, const Shape& shape) const {
  const Shape expected = shape_of(made(), name);
  if (shape != expected)
    throw bug("{}: {} is {} and is written as {}", input_.stage, name, expected.text(), shape.text());
}

void Job::keep(const std::string& name,
               const std::vector<std::pair<std::string, Tensor>>& tensors,
               const json& options,
               const std::string& format) {
  fs::create_directories(journal_folder(work()));
  const fs::path file = journal_folder(work()) / (name + ".safetensors");
  // Appears whole or not at all, so the file itself is the mark that this parameter is done.
  write_safetensors(file, tensors, {{"options", options.dump()}, {"name", format}});
  journal_[name] = {options, file};
}

void Job::change_config(const json& patch) {
  patches_.push_back(patch);
  const json raw = made_config();
  made_ = parse_config(raw, (source() / "config.json").string() + " as " + input_.stage + " changes it");
}

Weight Job::result(const std::string& name) const {
  const auto it = journal_.find(name);
  if (it == journal_.end()) throw bug("{}: {} is not written yet", input_.stage, name);
  const SafeTensors file = SafeTensors::open(it->second.file);
  if (it->second.options.is_null()) return Weight(file.tensor(name));
  const Shape shape = shape_of(made(), name);
  return weight_from_tensors(
      it->second.file.string(), it->second.options, shape[0], shape[1], [&](const std::string& suffix) {
        return file.has(name + suffix) ? file.tensor(name + suffix) : Tensor();
      });
}

Tensor Job::result_vector(const std::string& name) const {
  const auto it = journal_.find(name);
  if (it == journal_.end()) throw bug("{}: {} is not written yet", input_.stage, name);
  return SafeTensors::open(it->second.file).tensor(name);
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
  if (!fs::exists(journal_folder(work()), none)) return;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(journal_folder(work())))
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  for (const fs::path& file : files) {
    const std::string name = file.stem().string();
    try {
      const SafeTensors found = SafeTensors::open(file);
      journal_[name] = {parse_json(found.metadata().at("options"), file.string()), file};
    } catch (const std::exception& e) {
      log_warning("{}: the journal's {} cannot be read and is made again ({})", input_.stage, name, e.what());
      fs::remove(file, none);
    }
  }
  if (!journal_.empty()) log_info("{}: goes on with {} finished parameters", input_.stage, journal_.size());
}

void Job::write_tensors() const {
  const auto replaced = [&](const std::string& name) { return journal_.contains(name); };
  std::vector<SafeTensorsWriter::Entry> entries;
  source_->each_kept(replaced, [&](const auto& entry, const Tensor&) { entries.push_back(entry); });
  for (const auto& [name, piece] : journal_) {
    const SafeTensors file = SafeTensors::open(piece.file);
    for (const std::string& stored : file.names())
      entries.push_back({stored, file.info(stored).dtype, file.info(stored).shape});
  }
  SafeTensorsWriter writer(out() / "model.safetensors", entries, source_->metadata());
  source_->each_kept(replaced, [&](const auto& entry, const Tensor& t) { writer.write(entry.name, t); });
  for (const auto& [name, piece] : journal_) {
    const SafeTensors file = SafeTensors::open(piece.file);
    for (const std::string& stored : file.names()) writer.write(stored, file.tensor(stored));
  }
  writer.finish();
}

json Job::made_config() const {
  json raw = source_->config_json();
  for (const json& p : patches_) raw.merge_patch(p);
  return raw;
}

void Job::write_config() const {
  json raw = made_config();
  auto [tensors, formats] = source_->packed([&](const std::string& name) { return journal_.contains(name); });
  for (const auto& [name, piece] : journal_)
    if (!piece.options.is_null()) {
      tensors[name] = piece.options;
      formats.insert(SafeTensors::open(piece.file).metadata().at("name"));
    }
  raw.erase("quantization_config");
  if (!tensors.empty())
    raw["quantization_config"] = {{"quant_method", "pare"},
                                  {"version", 1},
                                  {"format", formats.size() == 1 ? *formats.begin() : "mixed"},
                                  {"tensors", tensors}};
  write_file_atomic(out() / "config.json", raw.dump(2) + "\n");
}

void Job::finish() {
  progress_.reset();
  if (fs::exists(out() / "model.safetensors")) return;
  if (!has_source()) throw bug("{}: a stage without a source wrote no model.safetensors", input_.stage);
  source_->carry_files(out());
  write_config();
  write_tensors();
}

fs::path Job::shared(const json& inputs, const BuildFolder& build) const {
  json all = inputs;
  all["seed"] = input_.seed;
  all["isa"] = isa_name();
  if (!input_.identity.is_null() && input_.shared) {
    all.update(input_.identity);
    return input_.shared(all, build);
  }
  // Nobody to share with: a part of this job.
  const std::string text = all.dump();
  const fs::path folder = work() / ("shared-" + sha256(text).substr(0, 16)), done = folder / "done";
  if (fs::exists(done)) return folder / "out";
  fs::create_directories(folder / "work");
  fs::create_directories(folder / "out");
  build(folder / "work", folder / "out");
  write_file_atomic(done, "");
  return folder / "out";
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
