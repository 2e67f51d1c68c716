#!/usr/bin/env python3
"""Checks the tracked tree: sizes of sources, twin tests, and text that names somebody's machine."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINES_ASKED, LINES_MAX = 400, 600
# Absolute paths that exist on one machine only; spelt so that this line is not one of them.
MACHINE_PATH = re.compile(r"(?<![\w.}$)])/(?:" + "|".join(["work", "tmp", "home", "root", "Users"]) + r")/\w")


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, check=True, capture_output=True)
    return [pathlib.PurePath(p) for p in out.stdout.decode().split("\0") if p and (ROOT / p).is_file()]


def listed(name):
    lines = (ROOT / name).read_text().splitlines()
    return {line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()}


def sizes():
    faults = 0
    for file in tracked("*.h", "*.cpp"):
        lines = len((ROOT / file).read_text().splitlines())
        if lines > LINES_MAX:
            print(f"{file}: {lines} lines, at most {LINES_MAX} are allowed: which second subject moved in?")
            faults += 1
        elif lines > LINES_ASKED:
            print(f"warning: {file}: {lines} lines; over {LINES_ASKED} a file asks to be split")
    return faults


def twins():
    """Every src/<folder>/<name>.cpp has tests/<folder>/<name>*_test.cpp; _cpu files belong to their op. The
    exceptions are patterns of tools/no_twin.txt, each with the test that covers it."""
    patterns = listed("tools/no_twin.txt")
    used, faults = set(), 0
    for file in tracked("src/*.cpp"):
        excused = {p for p in patterns if file.match(p)}
        used |= excused
        name = file.stem.removesuffix("_cpu")
        folder = ROOT / "tests" / pathlib.Path(*file.parts[1:-1])
        if not excused and not any(folder.glob(f"{name}_test.cpp")) and not any(folder.glob(f"{name}_*_test.cpp")):
            print(f"{file}: no test tests/{'/'.join(file.parts[1:-1])}/{name}_test.cpp")
            faults += 1
    for pattern in sorted(patterns - used):
        print(f"tools/no_twin.txt: {pattern} excuses nothing")
        faults += 1
    return faults


def machine_paths():
    faults = 0
    for file in tracked():
        try:
            text = (ROOT / file).read_text()
        except UnicodeDecodeError:
            continue  # binary
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINE_PATH.search(line):
                print(f"{file}:{number}: names a path of one machine: {line.strip()[:100]}")
                faults += 1
    return faults


sys.exit(1 if sizes() + twins() + machine_paths() else 0)
