#include "ops/attention.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "base/threads.h"
#include "ops/attention_cpu.h"

namespace pare {
namespace {

float* thread_scratch(i64 floats) {
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  thread_local std::unique_ptr<float, Free> data;
  thread_local i64 size = 0;
  if (size < floats) {
    const std::size_t bytes = (static_cast<std::size_t>(floats) * sizeof(float) + 127) / 64 * 64;
    void* fresh = std::aligned_alloc(64, bytes);
    if (!fresh) throw job_error("out of memory: {} bytes for attention's scratch", bytes);
    data.reset(static_cast<float*>(fresh));
    size = floats;
  }
  return data.get();
}

void check_sequences(const char* what, std::span<const AttentionSeq> seqs, const AttentionShape& s, i64 N) {
  if (s.K <= 0 || s.H % s.K || s.E <= 0)
    throw bug("{}: {} heads, {} key heads of width {}", what, s.H, s.K, s.E);
  i64 row = 0;
  for (const AttentionSeq& seq : seqs) {
    if (seq.row != row || seq.rows < 0 || seq.keys < seq.rows)
      throw bug("{}: sequence at row {} with {} rows and {} keys, expected at row {}",
                what,
                seq.row,
                seq.rows,
                seq.keys,
                row);
    row += seq.rows;
  }
  if (row != N) throw bug("{}: sequences cover {} of {} rows", what, row, N);
}

}  // namespace

void attention(const Tensor& q,
               std::span<const AttentionSeq> seqs,
               const AttentionShape& shape,
               Tensor& o,
               Tensor& lse) {
  const auto [N, width] = dims<2>("attention q", q);
  if (width != shape.H * shape.E)
    throw bug("attention: q has {} columns for {} heads of {}", width, shape.H, shape.E);
  expect("attention o", o, {N, width});
  if (lse.defined()) expect("attention lse", lse, {N, shape.H});
  check_sequences("attention", seqs, shape, N);

  struct Task {
    const AttentionSeq* seq;
    i64 kv, begin;
  };
  const i64 group = shape.H / shape.K, step = cpu::query_rows(group);
  std::vector<Task> tasks;
  for (const AttentionSeq& seq : seqs) {
    const i64 blocks = static_cast<i64>(std::min(seq.k_blocks.size(), seq.v_blocks.size()));
    if (seq.block_tokens % kKeyTile && blocks > 1)
      throw bug("attention: blocks of {} tokens, expected a multiple of {}", seq.block_tokens, kKeyTile);
    if (blocks * seq.block_tokens < seq.keys)
      throw bug("attention: {} blocks of {} tokens for {} keys", blocks, seq.block_tokens, seq.keys);
    // The last rows see the most keys: longest tasks first, so that threads end together.
    for (i64 begin = (seq.rows - 1) / step * step; begin >= 0; begin -= step)
      for (i64 kv = 0; kv < shape.K; ++kv) tasks.push_back({&seq, kv, begin});
  }
  const i64 scratch = cpu::attention_scratch(shape.E, group);
  parallel_tasks(static_cast<i64>(tasks.size()), [&](i64 t) {
    const Task& task = tasks[static_cast<std::size_t>(t)];
    const i64 end = std::min(task.begin + step, task.seq->rows);
    cpu::attention_tile(q.f32(),
                        *task.seq,
                        shape,
                        task.kv,
                        task.begin,
                        end,
                        o.f32(),
                        lse.defined() ? lse.f32() : nullptr,
                        thread_scratch(scratch));
  });
}

void attention_backward(const Tensor& dout,
                        const Tensor& q,
                        const Tensor& k,
                        const Tensor& v,
                        const Tensor& o,
                        const Tensor& lse,
                        std::span<const AttentionSeq> seqs,
                        const AttentionShape& shape,
                        Tensor& dq,
                        Tensor& dk,
                        Tensor& dv) {
  const auto [N, width] = dims<2>("attention q", q);
  const Shape keys{N, shape.K * shape.E};
  for (const Tensor* t : {&dout, &o, static_cast<const Tensor*>(&dq)})
    expect("attention_backward", *t, {N, width});
  for (const Tensor* t : {&k, &v, static_cast<const Tensor*>(&dk), static_cast<const Tensor*>(&dv)})
    expect("attention_backward keys", *t, keys);
  expect("attention_backward lse", lse, {N, shape.H});
  check_sequences("attention_backward", seqs, shape, N);

  for (const AttentionSeq& seq : seqs)
    if (seq.keys != seq.rows) throw bug("attention_backward: {} rows of {} keys", seq.rows, seq.keys);

  const cpu::AttentionGradients g{
      dout.f32(), q.f32(), k.f32(), v.f32(), o.f32(), lse.f32(), dq.f32(), dk.f32(), dv.f32()};
  parallel_tasks(static_cast<i64>(seqs.size()) * shape.K, [&](i64 t) {
    const AttentionSeq& seq = seqs[static_cast<std::size_t>(t / shape.K)];
    float* scratch = thread_scratch(cpu::attention_backward_scratch(shape.E, seq.rows));
    cpu::attention_backward_head(g, seq, shape, t % shape.K, scratch);
  });
}

}  // namespace pare
