#!/usr/bin/env python3
"""Times a GGUF file in llama.cpp beside the same file in pare, in turns, on the same threads.

    python3 bench/peers/beside_llama_cpp.py LLAMA_CPP_SOURCE MODEL.gguf [build/release/pare]

Builds llama-bench from the source folder (cmake and a compiler are all it needs) into build/peers. Prints for
reading a prompt of 128 tokens and for decoding 64 both rates and their ratio: the median over the turns, because
machines are shared. MODEL.gguf comes from `pare convert MODEL MODEL.gguf --to gguf --type q4_0`.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys

TURNS = 5
PROMPT, NEW = 128, 64


def built(source, root):
    folder = root / "build" / "peers" / "llama.cpp"
    program = folder / "bin" / "llama-bench"
    if program.exists():
        return program
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DLLAMA_CURL=OFF", "-DLLAMA_BUILD_TESTS=OFF",
               "-DLLAMA_BUILD_SERVER=OFF", "-DBUILD_SHARED_LIBS=OFF"]
    subprocess.run(["cmake", "-S", source, "-B", folder, *options], check=True, stdout=sys.stderr)
    jobs = str(os.cpu_count() or 1)
    subprocess.run(["cmake", "--build", folder, "--target", "llama-bench", "-j", jobs], check=True,
                   stdout=sys.stderr)
    return program


def json_of(command):
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def of_peer(program, model, threads):
    rows = json_of([program, "-m", model, "-p", str(PROMPT), "-n", str(NEW), "-t", str(threads), "-r", "1",
                    "-o", "json"])
    prompt = next(r["avg_ts"] for r in rows if r["n_prompt"] and not r["n_gen"])
    decode = next(r["avg_ts"] for r in rows if r["n_gen"] and not r["n_prompt"])
    return prompt, decode


def of_pare(program, model, threads):
    case = json_of([program, "bench", model, "--batch", "1", "--prompt", str(PROMPT), "--gen", str(NEW),
                    "--repeats", "1", "--threads", str(threads), "--json"])[0]
    return case["prefill_tok_per_s"], case["decode_tok_per_s"]


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    root = pathlib.Path(__file__).resolve().parents[2]
    pare = sys.argv[3] if len(sys.argv) > 3 else str(root / "build/release/pare")
    peer, model, threads = built(sys.argv[1], root), sys.argv[2], os.cpu_count() or 1
    turns = [(of_pare(pare, model, threads), of_peer(peer, model, threads)) for _ in range(TURNS)]
    print(f"{pathlib.Path(model).name}, {threads} threads, medians of {TURNS} turns")
    for at, what in enumerate((f"prompt of {PROMPT}", f"decoding {NEW}")):
        ours = statistics.median(a[at] for a, _ in turns)
        theirs = statistics.median(b[at] for _, b in turns)
        ratio = statistics.median(a[at] / b[at] for a, b in turns)
        print(f"{what:16} pare {ours:8.1f} tok/s   llama.cpp {theirs:8.1f} tok/s   ratio {ratio:.2f}")


main()
