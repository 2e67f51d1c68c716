// What a stage works with: the source model read tensor by tensor, a journal of finished tensors, the
// artefact's folder.
//
// A parameter that is written goes to its own file in work() at once, so a kill costs at most one of them.
// finish() streams everything into out(): written ones as they are, all other tensors byte for byte, and
// beside them config.json, tokenizer and templates. Nothing holds more than one weight in memory.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/rng.h"
#include "model/params.h"
#include "stages/source.h"
#include "weights/weight.h"

namespace pare {

/// One point of a curve: training loss, error per layer, …
struct CurvePoint {
  std::string name;
  i64 step = 0;
  double value = 0;
};

/// Fills the folder `out`; `work` survives a kill.
using BuildFolder = std::function<void(const std::filesystem::path& work, const std::filesystem::path& out)>;

struct JobInput {
  std::string stage;                // its name, for messages and the progress bar
  std::filesystem::path source;     // the parent model (a folder or a .gguf file); empty for one that trains
  std::filesystem::path work, out;  // both exist; work survives a kill
  u64 seed = 0;
  std::map<std::string, std::string> data;  // those of the recipe's that the stage reads
  /// The models that the source was made from, the recipe's own first; not the source itself.
  std::vector<std::filesystem::path> ancestors;
  /// What a folder shared by several jobs depends on, beside what the stage says: {"source", "data"}; null
  /// where nothing is shared.
  json identity = nullptr;
  /// Makes such a folder, or finds it made: Store::obtain().
  std::function<std::filesystem::path(const json& inputs, const BuildFolder& build)> shared;
};

class Job {
 public:
  /// Reads the source's configuration and the journal that an earlier, killed job left in work.
  explicit Job(JobInput input);

  bool has_source() const { return !input_.source.empty(); }
  /// These three throw a user error when there is no source.
  const std::filesystem::path& source() const;
  const Config& config() const;
  /// Weight matrices inside the blocks, in the order of layers: attention and MLP projections; never
  /// embeddings, output head or norms.
  std::vector<std::string> linears() const;

  /// A weight of the source as it lies there. Throws a user error when it is packed already: errors of two
  /// formats would add up unseen.
  Weight weight(const std::string& name) const;
  /// A weight of the source in whatever form it lies there, for stages that work on compressed models.
  Weight any_weight(const std::string& name) const;
  /// The earliest model that the source was made from whose parameters outside linears() are the source's,
  /// bit for bit: its weights mean the same, neither scaled nor rotated since. The source itself when there
  /// is none.
  const std::filesystem::path& origin() const;
  /// Keeps the new value of one of the model's parameters, weight matrix or norm or bias; it is on disk when
  /// this returns. Of the source's, or of those that change_config() gave the model.
  void write(const std::string& name, const Weight& weight);
  void write(const std::string& name, const Tensor& vector);
  /// What the artefact's config.json says otherwise than the source's: a merge patch (RFC 7396). Not kept in
  /// the journal: a stage says it each time, before it writes. Throws a user error when the outcome is no
  /// configuration.
  void change_config(const json& patch);
  /// Whether an earlier job has written it already.
  bool written(const std::string& name) const { return journal_.contains(name); }
  /// The value that write() keeps.
  Weight result(const std::string& name) const;
  Tensor result_vector(const std::string& name) const;
  /// write(name, change(name, weight)) for each of linears() not yet written, with progress, stopping cleanly
  /// between two when a signal came.
  void each_linear(const std::function<Weight(const std::string& name, const Weight& weight)>& change);
  /// Assembles the artefact. Does nothing when the stage wrote out()/model.safetensors itself.
  void finish();

  const std::filesystem::path& work() const { return input_.work; }
  const std::filesystem::path& out() const { return input_.out; }
  const std::string& stage() const { return input_.stage; }
  u64 seed() const { return input_.seed; }
  Rng rng(u64 stream) const { return Rng(input_.seed, stream); }
  /// The recipe's data string of a key. Throws a user error when the recipe names none.
  const std::string& data(const std::string& key) const;

  /// A folder that depends on the source, the data and `inputs` only: made once for all jobs that ask for the
  /// same, and kept in the store. `inputs` names its kind and version.
  std::filesystem::path shared(const json& inputs, const BuildFolder& build) const;

  /// A new bar of `total` units (the old one ends), and a step of it.
  void start_progress(const std::string& label, i64 total);
  void advance(i64 n = 1, const std::string& note = "");
  /// Throws a job error when SIGINT or SIGTERM came; call it where a stop loses nothing.
  void check_stop() const;

  /// A point of a curve of this run. A resumed job has the points of its earlier tries; a step given again
  /// replaces the old one.
  void add_series(const std::string& name, i64 step, double value);
  std::vector<CurvePoint> series() const;

 private:
  struct Piece {
    json options;  // null: dense
    std::filesystem::path file;
  };
  /// Of the model that is made: the source's, but for what change_config() said.
  const Config& made() const { return made_ ? *made_ : config(); }
  void expect_shape(const std::string& name, const Shape& shape) const;
  void keep(const std::string& name,
            const std::vector<std::pair<std::string, Tensor>>& tensors,
            const json& options,
            const std::string& format);
  void read_journal();
  void read_series();
  void write_tensors() const;
  void write_config() const;

  JobInput input_;
  std::unique_ptr<SourceModel> source_;         // null without a source
  mutable std::optional<Model> packed_source_;  // mapped, once asked for
  json made_config() const;

  std::vector<json> patches_;  // in the order in which they were asked for
  std::optional<Config> made_;
  std::map<std::string, Piece> journal_;
  std::map<std::string, std::map<i64, double>> series_;
  std::unique_ptr<Progress> progress_;
};

}  // namespace pare
