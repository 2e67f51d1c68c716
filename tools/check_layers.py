#!/usr/bin/env python3
"""Fails when a file of src/ includes a folder above its own.

The order is PARE_FOLDERS in cmake/folders.cmake: each folder may include itself and those before it.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def folders():
    text = (ROOT / "cmake/folders.cmake").read_text()
    return re.search(r"set\(PARE_FOLDERS\s+([^)]*)\)", text).group(1).split()


def main():
    order = {name: level for level, name in enumerate(folders())}
    faults = []
    for file in sorted((ROOT / "src").rglob("*")):
        if file.suffix not in (".h", ".cpp"):
            continue
        where = file.relative_to(ROOT)
        own = where.parts[1] if len(where.parts) > 2 else None  # None: main.cpp, which may use all
        if own is not None and own not in order:
            faults.append(f"{where}: folder {own} is not in PARE_FOLDERS of cmake/folders.cmake")
            continue
        for include in INCLUDE.findall(file.read_text()):
            target = include.split("/")[0]
            if "/" not in include or target not in order:
                faults.append(f'{where}: "{include}" is not written from src/ ("folder/file.h")')
            elif not (ROOT / "src" / include).is_file():
                faults.append(f'{where}: "{include}" does not exist')
            elif own is not None and order[target] > order[own]:
                faults.append(f'{where}: includes "{include}", which lies above {own}/')
    print("\n".join(faults) if faults else "layers: no upward include")
    return 1 if faults else 0


sys.exit(main())
