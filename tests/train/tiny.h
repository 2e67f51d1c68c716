// A model of two small layers, examples for it, and runs that can be compared to the bit.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include "backends.h"
#include "base/rng.h"
#include "train/init.h"
#include "train/trainer.h"

namespace pare::tiny {

inline Config config(bool tied = false) {
  Config c;
  c.family = "llama";
  c.D = 16, c.L = 2, c.V = 24, c.H = 4, c.K = 2, c.E = 4, c.F = 20;
  c.max_positions = 64;
  c.tied = tied;
  c.window.assign(2, 0);
  c.rope.inv_freq = {1.0f, 0.1f};
  return c;
}

inline Model model(u64 seed = 1, bool tied = false) {
  const Config c = config(tied);
  return {c, random_params(c, seed, 0.2)};
}

/// `count` examples of 4 to 12 random ids; every third counts its second half only.
inline std::vector<Example> examples(i64 count, u64 seed = 5) {
  std::vector<Example> out;
  Rng rng(seed);
  for (i64 i = 0; i < count; ++i) {
    Example e;
    const i64 length = rng.between(4, 12);
    for (i64 t = 0; t < length; ++t) e.ids.push_back(static_cast<i32>(rng.below(24)));
    if (i % 3 == 0) e.loss_from = length / 2;
    out.push_back(std::move(e));
  }
  return out;
}

inline TrainOptions options(i64 steps) {
  TrainOptions o;
  o.schedule = {"cosine", 5e-3, 0.1, 0.2, 3, steps};
  o.batch_tokens = 40;
  o.micro_tokens = 16;
  o.validate_every = 4;
  o.checkpoint_every = 3;
  o.seed = 9;
  return o;
}

/// All parameters, copied, in the order of the file.
inline std::vector<Tensor> weights(const Model& m) {
  std::vector<Tensor> out;
  each_param(m.params, m.config, [&](const std::string&, const auto& member, const Shape&) {
    out.push_back(f32_of(member).clone());
  });
  return out;
}

inline void expect_identical(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(identical(a[i], b[i])) << "tensor " << i;
}

/// Everything that is recorded but the time.
inline void expect_same_points(const std::vector<TrainPoint>& a, const std::vector<TrainPoint>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(a[i].step, b[i].step);
    EXPECT_EQ(a[i].loss, b[i].loss);
    EXPECT_EQ(a[i].grad_norm, b[i].grad_norm);
    EXPECT_EQ(a[i].learning_rate, b[i].learning_rate);
    EXPECT_EQ(a[i].validation_loss, b[i].validation_loss);
    EXPECT_EQ(a[i].tokens, b[i].tokens);
  }
}

inline void ignore(const TrainPoint&) {}

/// A folder of its own, removed at the end.
class Folder {
 public:
  Folder() {
    path_ = std::filesystem::temp_directory_path() / fmt::format("pare-train-{}-{}", ::getpid(), counter_++);
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  static inline int counter_ = 0;
  std::filesystem::path path_;
};

/// body() throws a pare::Error of this kind whose message has every one of `parts`.
template <class Body>
void expect_error(Fault fault, const std::vector<std::string>& parts, Body&& body) {
  try {
    body();
    ADD_FAILURE() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), fault) << e.what();
    for (const std::string& part : parts)
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what() << " lacks " << part;
  }
}

}  // namespace pare::tiny
