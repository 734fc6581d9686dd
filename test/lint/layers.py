#!/usr/bin/env python3
"""Enforces the include graph between modules (one table below) and keeps the sans-io modules sans-io.

Prints `pass NAME` or `fail NAME: where` per module and exits 1 if any failed.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

GROUND = {"base"}
PLAIN = GROUND | {"config", "metrics", "ws"}
MIDDLE = PLAIN | {"net", "upstream", "balance"}

# A module may include itself and these. Siblings in one row of the drawing never include each other.
ALLOWED = {
    "base": set(),
    "config": GROUND,
    "metrics": GROUND,
    "ws": GROUND,
    "dialect": GROUND | {"config"},
    "net": PLAIN,
    "upstream": PLAIN | {"balance"},
    "balance": PLAIN,
    "auth": PLAIN,
    "dial": MIDDLE,
    "discover": PLAIN,
    "probe": MIDDLE | {"dial"},
    "session": MIDDLE | {"dial"},
    "feed": MIDDLE | {"dial", "session", "dialect"},
    "frontend": MIDDLE | {"auth", "dial", "session", "feed", "dialect"},
    "admin": {"base", "config", "metrics"},
}
# These assemble the rest; nobody includes them (they are in no set above).
UNLIMITED = {"server", "main"}

INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]')
ASIO = re.compile(r"^boost/(asio|beast)\b")
SANS_IO = {"auth", "config", "dialect", "balance", "upstream", "session"}


def module_of(path):
    """The module that a file of ours belongs to, e.g. src/ws/x.cpp and include/holdfast/ws/x.hpp: ws."""
    parts = path.relative_to(ROOT).parts
    if parts[0] == "include":
        return parts[2]
    return parts[1] if len(parts) > 2 else pathlib.Path(parts[1]).stem


def target_of(include):
    """The module that an include names, or None for a foreign or a generated header."""
    parts = include.removeprefix("holdfast/").split("/")
    known = set(ALLOWED) | UNLIMITED
    return parts[0] if len(parts) > 1 and parts[0] in known else None


def must_be_sans_io(module, path):
    return module in SANS_IO or (module == "ws" and path.suffix == ".hpp")


def faults_of(path):
    module = module_of(path)
    if module not in ALLOWED and module not in UNLIMITED:
        yield f"{path.relative_to(ROOT)}: unknown module {module}"
        return
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        where = f"{path.relative_to(ROOT)}:{number}"
        target = target_of(match[1])
        if target and target != module and module not in UNLIMITED and target not in ALLOWED[module]:
            yield f"{where}: {module} may not include {target}"
        if ASIO.match(match[1]) and must_be_sans_io(module, path):
            yield f"{where}: {module} is sans-io and may not include {match[1]}"


def main():
    paths = sorted(p for top in ("src", "include") for p in (ROOT / top).rglob("*") if p.suffix in (".cpp", ".hpp"))
    faults = {}
    for path in paths:
        faults.setdefault(module_of(path), []).extend(faults_of(path))
    for module, found in sorted(faults.items()):
        if not found:
            print(f"pass layers {module}")
        for fault in found:
            print(f"fail layers {module}: {fault}")
    return 1 if not faults or any(faults.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
