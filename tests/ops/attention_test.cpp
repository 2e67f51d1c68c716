#include "ops/attention.h"

#include <gtest/gtest.h>

#include "close.h"

namespace pare {
namespace {

// Scores, weights and outputs are rounded to f32; chains of at most a few hundred terms of size about 1.
constexpr double kForwardError = 5e-6, kGradientError = 5e-5;

struct Case {
  i64 rows, H, K, E, window;
};

AttentionShape shape_of(const Case& c) {
  return {c.H, c.K, c.E, c.window, 1.0f / std::sqrt(static_cast<float>(c.E))};
}
ref::Attention reference(const Case& c) { return {c.H, c.K, c.E, c.window, shape_of(c).scale}; }

/// One sequence whose keys and values lie in one block.
AttentionSeq whole(const Tensor& k, const Tensor& v, i64 row, i64 rows, i64 keys) {
  return {row, rows, keys, {k.f32()}, {v.f32()}, std::max<i64>(keys, 1)};
}

struct Inputs {
  explicit Inputs(const Case& c, u64 seed = 1)
      : q(ref::normal({c.rows, c.H * c.E}, seed)),
        k(ref::normal({c.rows, c.K * c.E}, seed + 1)),
        v(ref::normal({c.rows, c.K * c.E}, seed + 2)) {}
  Tensor q, k, v;
};

struct Output {
  Tensor o, lse;
};
Output run(const Case& c, const Tensor& q, const std::vector<AttentionSeq>& seqs) {
  Output out{Tensor::empty(q.shape()), Tensor::empty({q.dim(0), c.H})};
  attention(q, seqs, shape_of(c), out.o, out.lse);
  return out;
}
Output run(const Case& c, const Inputs& in) { return run(c, in.q, {whole(in.k, in.v, 0, c.rows, c.rows)}); }

const std::vector<Case> kCases = {{1, 1, 1, 1, 0},
                                  {2, 1, 1, 3, 0},
                                  {5, 2, 1, 7, 0},
                                  {16, 1, 1, 8, 0},
                                  {31, 2, 2, 16, 0},
                                  {32, 4, 2, 24, 0},
                                  {33, 3, 1, 33, 0},
                                  {64, 2, 1, 48, 0},
                                  {65, 2, 2, 64, 0},
                                  {100, 6, 2, 80, 0},
                                  {130, 1, 1, 128, 0},
                                  {300, 2, 1, 32, 0},
                                  {40, 2, 1, 16, 1},
                                  {70, 2, 1, 20, 5},
                                  {100, 2, 2, 16, 32},
                                  {300, 1, 1, 48, 100}};

TEST(Attention, EqualsTheFormulaOnEveryTier) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << c.rows << " rows, " << c.H << "/" << c.K << " heads of " << c.E
                                    << ", window " << c.window);
    const Inputs in(c);
    ref::Doubles lse;
    const ref::Doubles o =
        ref::attention(ref::doubles(in.q), ref::doubles(in.k), ref::doubles(in.v), reference(c), &lse);
    for_each_isa([&] {
      const Output out = run(c, in);
      expect_close("o", out.o, o, kForwardError);
      expect_close("lse", out.lse, lse, kForwardError);
    });
  }
}

// ---- one row, one set of bits ----

/// The same keys in blocks of `tokens` tokens each, as a key cache holds them.
struct Blocks {
  Blocks(const Case& c, const Tensor& k, const Tensor& v, i64 keys, i64 tokens) : tokens(tokens) {
    for (i64 begin = 0; begin < keys; begin += tokens) {
      const i64 end = std::min(begin + tokens, keys);
      // Behind the last token lies what an unfinished block may hold: it must not be read.
      for (const auto& [from, to] : {std::pair{&k, &ks}, std::pair{&v, &vs}}) {
        Tensor block = ref::normal({tokens, c.K * c.E}, 99, 0.0, std::numeric_limits<double>::quiet_NaN());
        std::memcpy(block.raw(),
                    from->rows(begin, end).raw(),
                    static_cast<std::size_t>(from->rows(begin, end).bytes()));
        to->push_back(block);
      }
    }
  }
  AttentionSeq seq(i64 row, i64 rows, i64 keys) const {
    AttentionSeq out{row, rows, keys, {}, {}, tokens};
    for (const Tensor& t : ks) out.k_blocks.push_back(t.f32());
    for (const Tensor& t : vs) out.v_blocks.push_back(t.f32());
    return out;
  }
  i64 tokens;
  std::vector<Tensor> ks, vs;
};

/// Rows [begin, end) computed with the keys that exist by then, in blocks of `tokens`.
void expect_same_chunk(const Case& c, const Inputs& in, const Output& all, i64 begin, i64 end, i64 tokens) {
  const Blocks blocks(c, in.k, in.v, end, tokens);
  const Output part = run(c, in.q.rows(begin, end).clone(), {blocks.seq(0, end - begin, end)});
  ASSERT_TRUE(identical(part.o, all.o.rows(begin, end)))
      << "rows " << begin << " to " << end << " in blocks of " << tokens;
  ASSERT_TRUE(identical(part.lse, all.lse.rows(begin, end)));
}

TEST(Attention, ARowHasTheSameBitsDecodedAloneInAChunkAndInTheWholePrompt) {
  set_threads(1);  // thousands of small calls
  for (const Case& c :
       {Case{100, 2, 2, 48, 0}, Case{100, 6, 2, 33, 0}, Case{100, 2, 1, 24, 40}, Case{140, 12, 1, 16, 0}}) {
    const Inputs in(c);
    for_each_isa([&] {
      const Output all = run(c, in);
      for (i64 n = 0; n < c.rows; ++n) expect_same_chunk(c, in, all, n, n + 1, 32);
      Rng rng(5);
      for (i64 begin = 0; begin < c.rows;) {
        const i64 end = std::min(c.rows, begin + rng.between(1, 50));
        expect_same_chunk(c, in, all, begin, end, 64);
        begin = end;
      }
    });
  }
  set_threads(0);
}

TEST(Attention, ARowHasTheSameBitsInAnyBatchAndWithAnyThreads) {
  const Case a{300, 4, 2, 48, 0}, b{77, 4, 2, 48, 0}, both{377, 4, 2, 48, 0};
  const Inputs first(a, 1), second(b, 7);
  const Output alone_a = run(a, first), alone_b = run(b, second);
  Tensor q = Tensor::empty({both.rows, both.H * both.E});
  std::memcpy(q.raw(), first.q.raw(), static_cast<std::size_t>(first.q.bytes()));
  std::memcpy(q.rows(a.rows, both.rows).raw(), second.q.raw(), static_cast<std::size_t>(second.q.bytes()));
  for_each_thread_count([&] {
    const Output out =
        run(both, q, {whole(first.k, first.v, 0, 300, 300), whole(second.k, second.v, 300, 77, 77)});
    EXPECT_TRUE(identical(out.o.rows(0, 300), alone_a.o));
    EXPECT_TRUE(identical(out.o.rows(300, 377), alone_b.o));
    EXPECT_TRUE(identical(out.lse.rows(300, 377), alone_b.lse));
  });
}

TEST(Attention, LaterTokensHaveNoInfluence) {
  const Case c{70, 2, 1, 16, 0};
  const Inputs in(c);
  const Output before = run(c, in);
  for (i64 i = 40 * 16; i < in.k.count(); ++i)
    const_cast<float*>(in.k.f32())[i] = 50.0f, const_cast<float*>(in.v.f32())[i] = 50.0f;
  const Output after = run(c, in);
  EXPECT_TRUE(identical(before.o.rows(0, 40), after.o.rows(0, 40)));
  EXPECT_FALSE(identical(before.o.rows(40, 70), after.o.rows(40, 70)));
}

TEST(Attention, LargeScoresNeitherOverflowNorVanish) {
  const Case c{65, 1, 1, 16, 0};
  Inputs in(c);
  for (i64 i = 0; i < in.q.count(); ++i) in.q.f32()[i] *= 300.0f;
  ref::Doubles lse;
  const ref::Doubles o =
      ref::attention(ref::doubles(in.q), ref::doubles(in.k), ref::doubles(in.v), reference(c), &lse);
  for_each_isa([&] {
    const Output out = run(c, in);
    expect_close(
        "o", out.o, o, 2e-3);  // scores of about 1000 are rounded to 6e-5, sometimes between two equals
    for (i64 n = 0; n < c.rows; ++n) EXPECT_NEAR(out.lse.f32()[n], lse[static_cast<std::size_t>(n)], 1e-3);
  });
}

TEST(Attention, LseIsOptionalAndNoRowsAreFine) {
  const Case c{40, 2, 1, 16, 0};
  const Inputs in(c);
  const Output out = run(c, in);
  Tensor o = Tensor::empty(in.q.shape()), none;
  attention(in.q, std::vector<AttentionSeq>{whole(in.k, in.v, 0, 40, 40)}, shape_of(c), o, none);
  EXPECT_TRUE(identical(o, out.o));
  EXPECT_FALSE(none.defined());
  Tensor no_rows = Tensor::empty({0, 32}), no_o = Tensor::empty({0, 32});
  attention(no_rows, std::vector<AttentionSeq>{}, shape_of(c), no_o, none);
  attention(no_rows,
            std::vector<AttentionSeq>{{0, 0, 40, {in.k.f32()}, {in.v.f32()}, 40}},
            shape_of(c),
            no_o,
            none);
}

TEST(Attention, WritesNothingBesideItsRows) {
  const Case c{33, 3, 1, 7, 0};
  const Inputs in(c);
  Tensor q = ref::normal({35, 21}, 3), o = ref::normal({35, 21}, 4), lse = ref::normal({35, 3}, 5);
  const Tensor o_before = o.clone(), lse_before = lse.clone();
  Tensor o_inner = o.rows(1, 34), lse_inner = lse.rows(1, 34);
  for_each_isa([&] {
    attention(q.rows(1, 34),
              std::vector<AttentionSeq>{whole(in.k, in.v, 0, 33, 33)},
              shape_of(c),
              o_inner,
              lse_inner);
    for (const i64 n : {0, 34}) {
      EXPECT_TRUE(identical(o.rows(n, n + 1), o_before.rows(n, n + 1)));
      EXPECT_TRUE(identical(lse.rows(n, n + 1), lse_before.rows(n, n + 1)));
    }
  });
}

TEST(Attention, RefusesWrongShapes) {
  const Case c{40, 2, 1, 16, 0};
  const Inputs in(c);
  Tensor o = Tensor::empty(in.q.shape()), lse;
  const auto call = [&](AttentionShape shape, AttentionSeq seq) {
    attention(in.q, std::vector<AttentionSeq>{seq}, shape, o, lse);
  };
  const AttentionSeq good = whole(in.k, in.v, 0, 40, 40);
  call(shape_of(c), good);
  EXPECT_THROW(call({3, 1, 16}, good), Error);                           // heads do not fit the columns
  EXPECT_THROW(call({2, 0, 16}, good), Error);                           // no key heads
  EXPECT_THROW(call(shape_of(c), whole(in.k, in.v, 0, 39, 40)), Error);  // a row without a sequence
  EXPECT_THROW(call(shape_of(c), whole(in.k, in.v, 1, 40, 40)), Error);
  EXPECT_THROW(call(shape_of(c), whole(in.k, in.v, 0, 40, 39)), Error);  // fewer keys than rows
  AttentionSeq odd = good;
  odd.k_blocks.push_back(in.k.f32()), odd.v_blocks.push_back(in.v.f32()), odd.block_tokens = 20;
  EXPECT_THROW(call(shape_of(c), odd), Error);
  AttentionSeq short_blocks = good;
  short_blocks.block_tokens = 32;  // 32 tokens in one block for 40 keys
  EXPECT_THROW(call(shape_of(c), short_blocks), Error);
}

// ---- backward ----

struct Gradients {
  Tensor dq, dk, dv;
};
Gradients run_backward(const Case& c,
                       const Inputs& in,
                       const Tensor& dout,
                       const Output& out,
                       const std::vector<AttentionSeq>& seqs) {
  // Filled with what would show if it were added to.
  Gradients g{ref::normal(in.q.shape(), 8), ref::normal(in.k.shape(), 9), ref::normal(in.v.shape(), 10)};
  attention_backward(dout, in.q, in.k, in.v, out.o, out.lse, seqs, shape_of(c), g.dq, g.dk, g.dv);
  return g;
}
Gradients run_backward(const Case& c, const Inputs& in, const Tensor& dout) {
  const std::vector<AttentionSeq> seqs{whole(in.k, in.v, 0, c.rows, c.rows)};
  return run_backward(c, in, dout, run(c, in.q, seqs), seqs);
}

TEST(AttentionBackward, TheReferenceIsTheSlopeOfTheForwardPass) {
  for (const Case& c : {Case{6, 2, 1, 3, 0}, Case{9, 2, 2, 2, 4}}) {
    const Inputs in(c);
    const ref::Doubles dout = ref::doubles(ref::normal(in.q.shape(), 4));
    const ref::Doubles q = ref::doubles(in.q), k = ref::doubles(in.k), v = ref::doubles(in.v);
    const ref::AttentionGradients g = ref::attention_backward(dout, q, k, v, reference(c));
    const auto check = [](const ref::Doubles& got, const ref::Doubles& want) {
      for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-8);
    };
    const ref::Attention s = reference(c);
    check(g.dq, ref::central_differences(q, [&](const ref::Doubles& x) {
            return ref::dot(dout, ref::attention(x, k, v, s));
          }));
    check(g.dk, ref::central_differences(k, [&](const ref::Doubles& x) {
            return ref::dot(dout, ref::attention(q, x, v, s));
          }));
    check(g.dv, ref::central_differences(v, [&](const ref::Doubles& x) {
            return ref::dot(dout, ref::attention(q, k, x, s));
          }));
  }
}

TEST(AttentionBackward, EqualsTheFormulaOnEveryTier) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << c.rows << " rows, " << c.H << "/" << c.K << " heads of " << c.E
                                    << ", window " << c.window);
    const Inputs in(c);
    const Tensor dout = ref::normal(in.q.shape(), 4);
    const ref::AttentionGradients want = ref::attention_backward(
        ref::doubles(dout), ref::doubles(in.q), ref::doubles(in.k), ref::doubles(in.v), reference(c));
    for_each_isa([&] {
      const Gradients got = run_backward(c, in, dout);
      expect_close("dq", got.dq, want.dq, kGradientError);
      expect_close("dk", got.dk, want.dk, kGradientError);
      expect_close("dv", got.dv, want.dv, kGradientError);
    });
  }
}

TEST(AttentionBackward, TheSameBitsInAnyBatchAndWithAnyThreads) {
  const Case c{300, 4, 2, 48, 0};
  const Inputs in(c);
  const Tensor dout = ref::normal(in.q.shape(), 4);
  const std::vector<AttentionSeq> seqs{whole(in.k, in.v, 0, 100, 100), whole(in.k, in.v, 100, 200, 200)};
  // Keys of the second sequence begin at its own row.
  std::vector<AttentionSeq> packed = seqs;
  packed[1].k_blocks = {in.k.rows(100, 300).f32()}, packed[1].v_blocks = {in.v.rows(100, 300).f32()};
  const Output out = run(c, in.q, packed);
  const Gradients all = run_backward(c, in, dout, out, packed);
  for_each_thread_count([&] {
    const Gradients again = run_backward(c, in, dout, out, packed);
    EXPECT_TRUE(identical(again.dq, all.dq) && identical(again.dk, all.dk) && identical(again.dv, all.dv));
  });
  Case second = c;
  second.rows = 200;
  Inputs part(second);
  part.q = in.q.rows(100, 300), part.k = in.k.rows(100, 300), part.v = in.v.rows(100, 300);
  const Gradients alone = run_backward(second, part, dout.rows(100, 300));
  EXPECT_TRUE(identical(alone.dq, all.dq.rows(100, 300)));
  EXPECT_TRUE(identical(alone.dk, all.dk.rows(100, 300)));
  EXPECT_TRUE(identical(alone.dv, all.dv.rows(100, 300)));
}

TEST(AttentionBackward, RefusesSequencesWithOlderKeys) {
  const Case c{40, 2, 1, 16, 0};
  const Inputs in(c);
  const Output out = run(c, in);
  const std::vector<AttentionSeq> seqs{whole(in.k, in.v, 0, 40, 50)};
  EXPECT_THROW(run_backward(c, in, ref::normal(in.q.shape(), 4), out, seqs), Error);
}

}  // namespace
}  // namespace pare
