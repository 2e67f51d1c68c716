#!/usr/bin/env python3
"""Times tiktoken and Hugging Face tokenizers beside pare on the same text and vocabularies, one thread, in turns.

    python3 bench/text/beside_tokenizers.py TOKENIZERS_DIR TEXT [build/release/bench/pare-bench]

TOKENIZERS_DIR holds qwen2.5/tokenizer.json and llama2-legacy/tokenizer.json. Needs the packages tiktoken and
tokenizers and says so when they are not there; nothing else of the project does. Turns, because machines are
shared: the ratio is the median over the turns.
"""
import json
import os
import statistics
import subprocess
import sys
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
try:
    import tiktoken
    import tokenizers
except ImportError as e:
    sys.exit(f"beside_tokenizers: {e.name} is not installed; nothing was timed")

TURNS = 5


def byte_of_character():
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(b): b for b in kept}
    for n, b in enumerate(b for b in range(256) if b not in kept):
        table[chr(256 + n)] = b
    return table


def tiktoken_of(file):
    """A tokenizer.json's byte-level BPE as tiktoken takes it: ranks by id."""
    model = json.load(open(file, encoding="utf-8"))
    table = byte_of_character()
    pattern = next(p["pattern"]["Regex"] for p in model["pre_tokenizer"]["pretokenizers"] if "pattern" in p)
    ranks = {bytes(table[c] for c in piece): i for piece, i in model["model"]["vocab"].items()}
    return tiktoken.Encoding("beside", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def pare_mb_per_s(bench, case):
    out = subprocess.run([bench, f"--benchmark_filter=^{case}$", "--benchmark_format=json"],
                         capture_output=True, check=True, text=True).stdout
    return json.loads(out)["benchmarks"][0]["bytes_per_second"] / 1e6


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    folder, text_file = sys.argv[1:3]
    bench = sys.argv[3] if len(sys.argv) > 3 else "build/release/bench/pare-bench"
    text = open(text_file, encoding="utf-8").read()
    mb = len(text.encode()) / 1e6
    qwen, llama = (os.path.join(folder, name, "tokenizer.json") for name in ("qwen2.5", "llama2-legacy"))
    tik, hf_qwen, hf_llama = tiktoken_of(qwen), tokenizers.Tokenizer.from_file(qwen), tokenizers.Tokenizer.from_file(llama)
    if tik.encode_ordinary(text) != hf_qwen.encode(text, add_special_tokens=False).ids:
        sys.exit("beside_tokenizers: tiktoken and tokenizers disagree; nothing was timed")
    pairs = {"encode/qwen2_5": {"tiktoken": lambda: tik.encode_ordinary(text), "tokenizers": lambda: hf_qwen.encode(text)},
             "encode/llama2": {"tokenizers": lambda: hf_llama.encode(text)}}
    for case, peers in pairs.items():
        ratios = {name: [] for name in peers}
        for _ in range(TURNS):
            ours = pare_mb_per_s(bench, case)
            for name, work in peers.items():
                theirs = mb / min(seconds(work) for _ in range(3))
                ratios[name].append(ours / theirs)
                print(f"{case}: pare {ours:.1f} MB/s, {name} {theirs:.1f} MB/s, ratio {ours / theirs:.2f}")
        for name, values in ratios.items():
            print(f"{case}: median {statistics.median(values):.2f}x {name}")


if __name__ == "__main__":
    main()
