#!/usr/bin/env python3
"""Times one training step in PyTorch beside the same step in pare, in turns, on the same threads.

    python3 bench/train/beside_torch.py [build/release/bench/pare-bench]

Needs PyTorch and says so when it is not there; nothing else of the project does. Both take a Llama-shaped model
in f32 with a tied head: forward, backward, clipping to norm 1, AdamW (fused where PyTorch has it). Turns, because
machines are shared: the ratio is the median over the turns.
"""
import json
import os
import re
import statistics
import subprocess
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit("beside_torch: PyTorch is not installed; nothing was timed")

SHAPES = [(384, 6, 8, 1536, 4096, 512, 8), (192, 6, 6, 512, 512, 256, 8)]  # d, L, H, ff, V, T, B
TURNS = 3


class Block(torch.nn.Module):
    def __init__(self, d, heads, ff):
        super().__init__()
        self.heads = heads
        self.norm_att, self.norm_mlp = (torch.nn.Parameter(torch.ones(d)) for _ in range(2))
        self.qkv = torch.nn.Linear(d, 3 * d, bias=False)
        self.out = torch.nn.Linear(d, d, bias=False)
        self.gate_up = torch.nn.Linear(d, 2 * ff, bias=False)
        self.down = torch.nn.Linear(ff, d, bias=False)

    def forward(self, x, cos, sin):
        B, T, D = x.shape
        q, k, v = (y.view(B, T, self.heads, -1).transpose(1, 2)
                   for y in self.qkv(rms_norm(x, self.norm_att)).split(D, -1))
        q, k = (y * cos + torch.cat((-y[..., y.shape[-1] // 2:], y[..., :y.shape[-1] // 2]), -1) * sin
                for y in (q, k))
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(o.transpose(1, 2).reshape(B, T, D))
        gate, up = self.gate_up(rms_norm(x, self.norm_mlp)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


def rms_norm(x, w):
    return w * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5)


class Model(torch.nn.Module):
    def __init__(self, d, layers, heads, ff, vocab, length):
        super().__init__()
        self.embed = torch.nn.Embedding(vocab, d)
        torch.nn.init.normal_(self.embed.weight, std=0.02)
        self.blocks = torch.nn.ModuleList(Block(d, heads, ff) for _ in range(layers))
        self.norm = torch.nn.Parameter(torch.ones(d))
        e = d // heads
        angle = torch.outer(torch.arange(length), 10000.0 ** (-torch.arange(0, e, 2) / e)).repeat(1, 2)
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def forward(self, ids):
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return F.linear(rms_norm(x, self.norm), self.embed.weight)


def torch_step_s(shape, seconds=6):
    d, layers, heads, ff, vocab, length, batch = shape
    torch.manual_seed(1)
    model = Model(d, layers, heads, ff, vocab, length)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    ids = torch.randint(vocab, (batch, length))

    def step():
        optimiser.zero_grad()
        logits = model(ids)
        F.cross_entropy(logits[:, :-1].reshape(-1, vocab), ids[:, 1:].reshape(-1)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    step()
    times, start = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - start < seconds:
        t = time.perf_counter()
        step()
        times.append(time.perf_counter() - t)
    return statistics.median(times)


def pare_step(program, shape):
    """Seconds of a step and its share of this machine's f32 peak."""
    name = "training_step/d:{}/L:{}/H:{}/ff:{}/V:{}/T:{}/B:{}/recompute:0/bf16:0/".format(*shape)
    out = subprocess.run([program, "--benchmark_filter=" + re.escape(name), "--benchmark_format=json"],
                         check=True, capture_output=True, text=True).stdout
    result = json.loads(out[out.index("{"):])["benchmarks"][0]
    scale = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}[result["time_unit"]]
    return result["real_time"] * scale, {k: v for k, v in result.items() if "share" in k or "peak" in k}


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else "build/release/bench/pare-bench"
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))))
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    for shape in SHAPES:
        pairs = []
        for _ in range(TURNS):
            ours, share = pare_step(program, shape)
            pairs.append((ours, torch_step_s(shape)))
            print(f"  d {shape[0]:4}  pare {1e3 * pairs[-1][0]:8.1f} ms {share}  PyTorch {1e3 * pairs[-1][1]:8.1f} ms")
        ratio = statistics.median(theirs / ours for ours, theirs in pairs)
        print(f"d {shape[0]}: PyTorch takes {ratio:.2f} times as long as pare")


if __name__ == "__main__":
    main()
