// The training loop: its steps are those of the parts, and its bits depend on nothing but model, examples and
// options, whether it is stopped, killed, split over threads or short of memory.
#include "train/trainer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "base/clock.h"
#include "base/file.h"
#include "base/signals.h"
#include "io/safetensors.h"
#include "ref/ops.h"
#include "train/checkpoint.h"
#include "train/tiny.h"

namespace pare {
namespace {
namespace fs = std::filesystem;
using tiny::expect_error;
using tiny::expect_identical;
using tiny::expect_same_points;

constexpr i64 kSteps = 23;

struct Outcome {
  TrainResult result;
  std::vector<Tensor> weights;
};

Outcome trained(const TrainOptions& o, const fs::path& checkpoint = {}, bool tied = false) {
  Model m = tiny::model(1, tied);
  Outcome out;
  out.result = train(m, tiny::examples(17), tiny::examples(5, 6), o, checkpoint, "key", tiny::ignore);
  out.weights = tiny::weights(m);
  return out;
}

void expect_same(const Outcome& a, const Outcome& b) {
  expect_identical(a.weights, b.weights);
  expect_same_points(a.result.points, b.result.points);
  EXPECT_EQ(a.result.steps, b.result.steps);
  EXPECT_EQ(a.result.tokens, b.result.tokens);
  EXPECT_EQ(a.result.reproducible, b.result.reproducible);
}

// ---- what a step is ----

TEST(Train, EachStepIsForwardBackwardClipAndAdamWOverTheExamplesInOrder) {
  const std::vector<Example> examples = tiny::examples(17);
  const TrainOptions o = tiny::options(kSteps);
  const Outcome found = trained(o);

  Model m = tiny::model();
  Params grads = zero_params(m.config);
  const auto tensors = trained_tensors(m.params, grads, m.config);
  AdamWState adamw = adamw_state(tensors);
  ExampleOrder order(17, o.seed);
  Acts acts;
  BackwardScratch scratch;
  i64 all_tokens = 0;
  for (i64 step = 0; step < kSteps; ++step) {
    SCOPED_TRACE(step);
    std::vector<TrainBatch> batches;  // at most 40 rows a step, 16 at a time, examples whole
    std::vector<const Example*> part;
    i64 rows = 0, part_rows = 0;
    for (;;) {
      const Example& e = examples[static_cast<std::size_t>(order.peek())];
      const i64 T = static_cast<i64>(e.ids.size());
      if (rows + T > 40) break;
      if (part_rows + T > 16) batches.push_back(make_batch(part)), part.clear(), part_rows = 0;
      part.push_back(&e);
      rows += T, part_rows += T;
      order.next();
    }
    batches.push_back(make_batch(part));
    const double loss = accumulate_gradients(m, batches, Keep::everything, acts, grads, tensors, scratch);
    const double norm = gradient_norm(tensors);
    clip_gradients(tensors, norm, o.clip_norm);
    adamw_step(tensors, learning_rate(o.schedule, step), o.adamw, adamw);
    const TrainPoint& p = found.result.points[static_cast<std::size_t>(step)];
    EXPECT_EQ(p.step, step);
    EXPECT_EQ(p.loss, loss);
    EXPECT_EQ(p.grad_norm, norm);
    EXPECT_EQ(p.learning_rate, learning_rate(o.schedule, step));
    EXPECT_EQ(p.tokens, rows);
    EXPECT_GE(batches.size(), 2u);
    all_tokens += rows;
    const bool validates = (step + 1) % o.validate_every == 0 || step + 1 == kSteps;
    EXPECT_EQ(p.validation_loss, validates ? validation_loss(m, tiny::examples(5, 6), o.micro_tokens) : -1);
  }
  expect_identical(found.weights, tiny::weights(m));
  EXPECT_EQ(found.result.steps, kSteps);
  EXPECT_EQ(found.result.tokens, all_tokens);
  EXPECT_TRUE(found.result.reproducible);
}

TEST(Train, LearnsExamplesByHeart) {
  Model m = tiny::model();
  const auto examples = tiny::examples(4);
  TrainOptions o = tiny::options(150);
  o.schedule.peak = 0.02;
  const TrainResult r = train(m, examples, examples, o, {}, "", tiny::ignore);
  EXPECT_GT(r.points.front().loss, 2.5);
  EXPECT_LT(r.points.back().validation_loss, 0.2);
}

TEST(AccumulateGradients, IsOneMeanOverAllTargetsHoweverTheBatchIsCut) {
  const Model m = tiny::model();
  const auto examples = tiny::examples(6);
  const auto gradients = [&](const std::vector<std::vector<std::size_t>>& parts, double& loss) {
    Params grads = zero_params(m.config);
    const auto tensors = trained_tensors(m.params, grads, m.config);
    std::vector<TrainBatch> batches;
    for (const auto& part : parts) {
      std::vector<const Example*> chosen;
      for (const std::size_t i : part) chosen.push_back(&examples[i]);
      batches.push_back(make_batch(chosen));
    }
    Acts acts;
    BackwardScratch scratch;
    for (const TrainedTensor& t : tensors) Tensor(t.g).f32()[0] = 77;  // what was there is gone
    loss = accumulate_gradients(m, batches, Keep::everything, acts, grads, tensors, scratch);
    std::vector<Tensor> out;
    for (const TrainedTensor& t : tensors) out.push_back(t.g.clone());
    return out;
  };
  double whole_loss = 0, cut_loss = 0;
  const auto whole = gradients({{0, 1, 2, 3, 4, 5}}, whole_loss),
             cut = gradients({{0}, {1, 2, 3, 4}, {5}}, cut_loss);
  EXPECT_NEAR(whole_loss, cut_loss, 1e-6);
  for (std::size_t i = 0; i < whole.size(); ++i)
    for (i64 k = 0; k < whole[i].count(); ++k) ASSERT_NEAR(whole[i].f32()[k], cut[i].f32()[k], 2e-6) << i;
}

TEST(AccumulateGradients, RefusesABatchWithoutTargets) {
  TrainOptions o = tiny::options(3);
  Model m = tiny::model();
  expect_error(Fault::user, {"no target that counts"}, [&] {
    train(m, {{{1, 2, 3}, 3}}, {}, o, {}, "", tiny::ignore);
  });
  expect_error(Fault::user, {"example 1", "empty"}, [&] {
    train(m, {{{1, 2, 3}, 1}, {{}, 1}}, {}, o, {}, "", tiny::ignore);
  });
  expect_error(Fault::user, {"no training examples"}, [&] { train(m, {}, {}, o, {}, "", tiny::ignore); });
}

TEST(Train, TakesAnExampleLongerThanABatchAlone) {
  Model m = tiny::model();
  TrainOptions o = tiny::options(4);
  o.batch_tokens = o.micro_tokens = 3;
  const TrainResult r = train(m, tiny::examples(3), {}, o, {}, "", tiny::ignore);
  for (const TrainPoint& p : r.points) EXPECT_GE(p.tokens, 4);
  EXPECT_EQ(r.steps, 4);
}

TEST(Train, ALossThatIsNoNumberIsAJobErrorNamingTheStep) {
  Model m = tiny::model();
  f32_of(m.params.embed).f32()[0] = 1;
  TrainOptions o = tiny::options(50);
  o.schedule = {"constant", 1e30, 1, 0, 0, 50};
  o.adamw.weight_decay = 0;
  expect_error(Fault::job, {"step ", "learning rate"}, [&] {
    train(m, tiny::examples(17), {}, o, {}, "", tiny::ignore);
  });
  o.validate_every = 1;
  Model again = tiny::model();
  expect_error(Fault::job, {"step ", "learning rate"}, [&] {
    train(again, tiny::examples(17), tiny::examples(5, 6), o, {}, "", tiny::ignore);
  });
}

// ---- what the bits do not depend on ----

TEST(Train, BitsDoNotDependOnThreads) {
  const TrainOptions o = tiny::options(8);
  std::vector<Outcome> outcomes;
  for (const int count : {1, 2, 3}) {
    set_threads(count);
    outcomes.push_back(trained(o));
  }
  set_threads(0);
  expect_same(outcomes[0], outcomes[1]);
  expect_same(outcomes[0], outcomes[2]);
}

/// Wide and long enough that every loop over rows, tiles and pieces is split.
TEST(Train, ProductsOfBf16LearnLikeThoseOfF32AndDoNotDependOnThreads) {
  const auto examples = tiny::examples(12);
  const auto losses = [&](Products products, int count) {
    set_threads(count);
    TrainOptions o = tiny::options(30);
    o.products = products;
    Model m = tiny::model();
    const TrainResult r = train(m, examples, {}, o, {}, "", tiny::ignore);
    EXPECT_EQ(m.products, Products::f32) << "the trained model is used as any other";
    set_threads(0);
    std::vector<double> out;
    for (const TrainPoint& p : r.points) out.push_back(p.loss);
    return out;
  };
  const auto f32 = losses(Products::f32, 1), bf16 = losses(Products::bf16, 1);
  EXPECT_NE(f32, bf16);
  EXPECT_EQ(bf16, losses(Products::bf16, 3));
  // Rounding to 8 bits moves a loss by far less than thirty steps do.
  for (std::size_t i = 0; i < f32.size(); ++i) EXPECT_NEAR(bf16[i], f32[i], 0.05) << "step " << i;
  EXPECT_LT(f32.back(), f32.front() - 0.3);
}

TEST(Train, BitsOfAWiderModelDoNotDependOnThreadsOrRecomputation) {
  Config c = tiny::config();
  c.D = 96, c.E = 24, c.F = 200, c.V = 700;
  c.rope.inv_freq.assign(12, 0.3f);
  std::vector<Example> examples = tiny::examples(4);
  Rng rng(1);
  for (Example& e : examples) {
    e.ids.clear();
    for (int i = 0; i < 150; ++i) e.ids.push_back(static_cast<i32>(rng.below(700)));
  }
  TrainOptions o = tiny::options(2);
  o.batch_tokens = o.micro_tokens = 600;
  std::vector<Tensor> wanted;
  double norm = 0;
  for (const int count : {1, 2, 3})
    for (const bool recompute : {false, true}) {
      SCOPED_TRACE(fmt::format("{} threads, recompute {}", count, recompute));
      set_threads(count);
      o.recompute = recompute;
      Model m{c, random_params(c, 1)};
      const TrainResult r = train(m, examples, {}, o, {}, "", tiny::ignore);
      if (wanted.empty()) wanted = tiny::weights(m), norm = r.points[1].grad_norm;
      expect_identical(tiny::weights(m), wanted);
      EXPECT_EQ(r.points[1].grad_norm, norm);
    }
  set_threads(0);
}

TEST(Train, BitsDoNotDependOnRecomputation) {
  TrainOptions o = tiny::options(8);
  const Outcome kept = trained(o);
  o.recompute = true;
  expect_same(kept, trained(o));
}

TEST(Train, BitsDoNotDependOnCheckpoints) {
  const tiny::Folder folder;
  TrainOptions o = tiny::options(8);
  const Outcome without = trained(o);
  for (const i64 every : {0, 1, 3}) {
    o.checkpoint_every = every;
    const fs::path file = folder / fmt::format("{}.safetensors", every);
    expect_same(without, trained(o, file));
    EXPECT_TRUE(fs::exists(file)) << "no checkpoint at the end of the run";
  }
}

// ---- stopping and going on ----

TEST(Train, AFinishedRunIsReadBack) {
  const tiny::Folder folder;
  const Outcome first = trained(tiny::options(6), folder / "c.safetensors");
  expect_same(first, trained(tiny::options(6), folder / "c.safetensors"));
}

TEST(Train, GoesOnAfterARequestedStopAtAnyStep) {
  for (const bool tied : {false, true}) {
    const Outcome whole = trained(tiny::options(kSteps), {}, tied);
    const tiny::Folder folder;
    const fs::path file = folder / "c.safetensors";
    TrainOptions o = tiny::options(kSteps);
    o.checkpoint_every = 0;  // the stop itself writes one
    i64 stops = 0;
    for (const i64 stop_at : {0, 1, 7, 8, 21, 22}) {
      Model m = tiny::model(1, tied);
      expect_error(Fault::job, {"SIGTERM"}, [&] {
        train(m, tiny::examples(17), tiny::examples(5, 6), o, file, "key", [&](const TrainPoint& p) {
          if (p.step == stop_at) request_stop(SIGTERM);
        });
      });
      clear_stop();
      ++stops;
    }
    EXPECT_EQ(stops, 6);
    expect_same(whole, trained(o, file, tied));
  }
}

TEST(Train, ShowsThePointsOfTheCheckpointAgain) {
  const tiny::Folder folder;
  const fs::path file = folder / "c.safetensors";
  std::vector<i64> seen;
  const auto run = [&](i64 stop_at) {
    Model m = tiny::model();
    seen.clear();
    train(m, tiny::examples(17), {}, tiny::options(5), file, "key", [&](const TrainPoint& p) {
      seen.push_back(p.step);
      if (p.step == stop_at) request_stop(SIGINT);
    });
  };
  expect_error(Fault::job, {"SIGINT"}, [&] { run(2); });
  clear_stop();
  run(-1);
  EXPECT_EQ(seen, (std::vector<i64>{0, 1, 2, 3, 4}));
}

TEST(Train, ACheckpointOfAnotherRunStopsItBeforeItStarts) {
  const tiny::Folder folder;
  trained(tiny::options(2), folder / "c.safetensors");
  Model m = tiny::model();
  expect_error(Fault::user, {"another run", "key", "other"}, [&] {
    train(m, tiny::examples(17), {}, tiny::options(2), folder / "c.safetensors", "other", tiny::ignore);
  });
  // Fewer examples than the position it stopped at: the key did not cover the data.
  trained(tiny::options(1), folder / "d.safetensors");
  expect_error(Fault::user, {"training position", "1 examples"}, [&] {
    train(m, tiny::examples(1), {}, tiny::options(2), folder / "d.safetensors", "key", tiny::ignore);
  });
}

/// In the child: trains to the end with a checkpoint after every step, telling each step through `pipe`.
[[noreturn]] void train_in_child(const fs::path& file, int pipe) {
  int code = 1;
  try {
    set_threads(1);  // the threads of the parent are not there after a fork
    Model m = tiny::model();
    TrainOptions o = tiny::options(kSteps);
    o.checkpoint_every = 1;
    train(m, tiny::examples(17), tiny::examples(5, 6), o, file, "key", [&](const TrainPoint& p) {
      const i32 step = static_cast<i32>(p.step);
      if (::write(pipe, &step, sizeof step) != sizeof step) ::_exit(3);
    });
    code = 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "child: %s\n", e.what());
  }
  ::_exit(code);
}

/// Reads steps until one is at least `wanted`; −1 at the end of the pipe.
i64 wait_for_step(int pipe, i64 wanted) {
  i32 step = -1;
  while (::read(pipe, &step, sizeof step) == sizeof step)
    if (step >= wanted) return step;
  return -1;
}

TEST(Train, GoesOnAfterKillsAtAnyPoint) {
  const Outcome whole = trained(tiny::options(kSteps));
  const tiny::Folder folder;
  const fs::path file = folder / "c.safetensors";
  Rng rng(static_cast<u64>(::getpid()));
  i64 kills = 0, seen = -1;
  for (;;) {
    ASSERT_LT(kills, 60) << "no progress";
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(ends[0]);
      train_in_child(file, ends[1]);
    }
    ::close(ends[1]);
    // Two steps beyond the last one seen: the checkpoint of the first of them is written by then. From there
    // on the child computes, writes, syncs or renames when it dies.
    const i64 step = wait_for_step(ends[0], seen + rng.between(2, 4));
    if (step >= 0) {
      seen = step;
      ::usleep(static_cast<useconds_t>(rng.below(4000)));
      ::kill(child, SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ::close(ends[0]);
    if (WIFEXITED(status)) {
      ASSERT_EQ(WEXITSTATUS(status), 0);
      break;
    }
    ASSERT_EQ(WTERMSIG(status), SIGKILL);
    ++kills;
  }
  EXPECT_GE(kills, 3);
  // The file holds the finished run; reading it back takes no step.
  const Outcome resumed = trained(tiny::options(kSteps), file);
  expect_same(whole, resumed);
}

// ---- the time limit ----

TEST(Train, ATimeLimitEndsTheRunAndSaysSo) {
  const tiny::Folder folder;
  const fs::path file = folder / "c.safetensors";
  TrainOptions o = tiny::options(1000000);
  o.time_limit_s = 0.2;
  o.checkpoint_every = 0;
  const Stopwatch watch;
  const Outcome out = trained(o, file);
  EXPECT_LT(watch.elapsed_s(), 60);
  EXPECT_GE(out.result.steps, 1);
  EXPECT_LT(out.result.steps, o.schedule.steps);
  EXPECT_FALSE(out.result.reproducible);
  ASSERT_EQ(static_cast<i64>(out.result.points.size()), out.result.steps);
  EXPECT_GE(out.result.points.back().validation_loss, 0) << "the last step is validated";
  // Started again it is over: the limit is of the whole run.
  expect_same(out, trained(o, file));
}

TEST(Train, ATimeLimitCountsTheTimeBeforeAStop) {
  const tiny::Folder folder;
  const fs::path file = folder / "c.safetensors";
  TrainOptions o = tiny::options(1000000);
  o.time_limit_s = 3600;
  Model m = tiny::model();
  expect_error(Fault::job, {"SIGINT"}, [&] {
    train(m, tiny::examples(17), {}, o, file, "key", [](const TrainPoint& p) {
      if (p.step == 3) request_stop(SIGINT);
    });
  });
  clear_stop();
  o.time_limit_s = 1e-9;
  const TrainResult r = train(m, tiny::examples(17), {}, o, file, "key", tiny::ignore);
  EXPECT_EQ(r.steps, 4);
  EXPECT_FALSE(r.reproducible);
}

TEST(Train, ATimeLimitThatIsNotMetChangesNothing) {
  TrainOptions o = tiny::options(6);
  const Outcome free = trained(o);
  o.time_limit_s = 1e6;
  expect_same(free, trained(o));
  EXPECT_TRUE(free.result.reproducible);
  // Met by the very last step, it has cut nothing off.
  o = tiny::options(1);
  o.time_limit_s = 1e-9;
  EXPECT_TRUE(trained(o).result.reproducible);
}

// ---- validation ----

TEST(ValidationLoss, IsTheMeanOverTargetsWhateverTheBatches) {
  const Model m = tiny::model();
  const auto examples = tiny::examples(9, 6);
  const double wanted = validation_loss(m, examples, 1000);
  double nll = 0;
  i64 targets = 0;
  for (const Example& e : examples) {
    const i64 n = make_batch({&e}).loss_tokens;
    nll += n ? validation_loss(m, {e}, 1) * static_cast<double>(n) : 0;
    targets += n;
  }
  EXPECT_NEAR(wanted, nll / static_cast<double>(targets), 1e-6);
  for (const i64 rows : {1, 20, 33}) EXPECT_NEAR(validation_loss(m, examples, rows), wanted, 1e-6);
  EXPECT_EQ(validation_loss(m, {}, 10), 0);
}

}  // namespace
}  // namespace pare
