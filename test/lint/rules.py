#!/usr/bin/env python3
"""House rules that a machine can see: sizes, macros, forbidden words, formatting, files that parse.

Looks at tracked and at new files alike. Prints `pass NAME` or `fail NAME: where`; exits 1 if any failed.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAX_LINES = 500
CODE = {".cpp", ".hpp", ".py", ".js", ".sh"}

# Our own macros are forbidden; these configure a library before it is included.
DEFINE = re.compile(r"^\s*#\s*define\s+(?!DOCTEST_CONFIG_|BOOST_)(\w+)")
# One word per concept; "helper" types are concepts that nobody found yet.
TYPE_NAME = re.compile(r"\b(?:class|struct|enum(?: class)?)\s+(\w*(?:Manager|Helper|Util|Utils|Endpoint|Cluster))\b")
LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(home|root|work)/\w")
REGISTRY = re.compile(r"\b(registry\.\w+\.(org|com)|deb\.\w+\.org|pypi\.(org|io))\b")
# A whole key, not the placeholder of a test.
SECRET = re.compile(r"BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}")


def files():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


def text_of(path):
    """None for a binary file (a fuzz seed)."""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return None


def name_of(path):
    return str(path.relative_to(ROOT))


def lines_matching(pattern, paths):
    for path in paths:
        text = text_of(path)
        for number, line in enumerate((text or "").splitlines(), 1):
            if pattern.search(line):
                yield f"{name_of(path)}:{number}: {line.strip()[:90]}"


def secrets(paths):
    return (name_of(path) for path in paths if SECRET.search(text_of(path) or ""))


def too_long(paths):
    for path in paths:
        count = len((text_of(path) or "").splitlines())
        if count > MAX_LINES:
            yield f"{name_of(path)}: {count} lines, at most {MAX_LINES}"


def misformatted(paths):
    if not paths or not shutil.which("clang-format"):
        return
    result = subprocess.run(["clang-format", "--dry-run", "-Werror", *map(str, paths)],
                            capture_output=True, text=True, check=False)
    faulty = set(re.findall(r"^(/[^:\n]+):\d+:\d+: error:", result.stderr, re.M))
    for name in sorted(faulty):
        yield f"{name_of(pathlib.Path(name))}: run clang-format -i on it"


def broken_json(paths):
    for path in paths:
        try:
            json.loads(path.read_text())
        except ValueError as error:
            yield f"{name_of(path)}: {error}"


def broken_python(paths):
    for path in paths:
        try:
            compile(path.read_text(), str(path), "exec")
        except SyntaxError as error:
            yield f"{name_of(path)}: {error}"


def broken_shell(paths):
    for path in paths:
        result = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True, check=False)
        if result.returncode:
            yield f"{name_of(path)}: {result.stderr.strip()}"


def shebang(path, word):
    return path.suffix == "" and (text_of(path) or "").startswith("#!") and word in text_of(path).split("\n", 1)[0]


def checks(every):
    cpp = [p for p in every if p.suffix in (".cpp", ".hpp")]
    shell = [p for p in every if p.suffix == ".sh" or shebang(p, "bash")]
    python = [p for p in every if p.suffix == ".py" or shebang(p, "python")]
    code = [p for p in every if p.suffix in CODE] + shell
    # Configurations of ours may hold comments; the end-to-end tests load them.
    strict_json = [p for p in every if p.suffix == ".json" and not {"fuzz", "config", "conf"} & set(p.parts)]
    this = pathlib.Path(__file__).resolve()
    others = [p for p in every if p != this]
    yield "file length", too_long(code)
    yield "no macros", lines_matching(DEFINE, cpp)
    yield "type names", lines_matching(TYPE_NAME, cpp)
    yield "no leftovers", lines_matching(LEFTOVER, [p for p in code if p != this])
    yield "no machine paths", lines_matching(MACHINE_PATH, others)
    yield "no registry addresses", lines_matching(REGISTRY, others)
    yield "no private keys", secrets(others)
    yield "clang-format", misformatted(cpp)
    yield "json parses", broken_json(strict_json)
    yield "python parses", broken_python(python)
    yield "shell parses", broken_shell(shell)


def main():
    failed = False
    for name, faults in checks(files()):
        found = list(faults)
        failed = failed or bool(found)
        if not found:
            print(f"pass rule {name}")
        for fault in found:
            print(f"fail rule {name}: {fault}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
