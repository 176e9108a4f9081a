#!/usr/bin/env python3
"""Holds the source tree to the rules of docs/dataflow.md; prints every violation, exits 1 if there is one.

The order of the layers is read from that document's arrow line, the stricter rules are the tables below.
    tools/check_layers.py [--root DIR]
"""

import argparse
import pathlib
import re
import sys

LONG_LINES, TOO_LONG_LINES = 400, 600
BANNED_NAMES = {"util", "utils", "common", "helper", "helpers", "misc", "extend", "manager"}
CODE = {".cc", ".h", ".py", ".sh", ".cmake"}

# Layers that see less of the lower ones than their level allows.
NETWORKS = {"text", "vae", "dit"}
NETWORKS_SEE = re.compile(r"(base|tensor)/.*|compute/ops\.h|weights/table\.h")
SERVE_SEES = re.compile(r"base/(status|cut_text|guard|process_memory)\.h|io/(json|database|atomic_file)\.h|model/sha256\.h")
# Which layer the public headers belong to. Status and the request are plain data that every layer may
# return or read; the engine is the top.
PUBLIC_HEADERS = {"kontext/status.h": "base", "kontext/request.h": "base", "kontext/convert.h": "base",
                  "kontext/kontext.h": "api", "kontext/fit.h": "api", "kontext/recipe.h": "api",
                  "kontext/tree.h": "tree", "kontext/serve.h": "serve"}

ONEDNN_HOME = "src/compute/cpu/"
CONDITIONAL_HOMES = re.compile(r"src/base/|src/io/mapped_file\.cc$|src/compute/[a-z]+/")
ENDS_OR_PRINTS = re.compile(
    r"\b(?:v?f?printf|puts|fputs|putchar|perror|exit|_exit|quick_exit|abort|terminate|assert)\s*\("
    r"|\bstd::(?:cout|cerr|clog)\b|\bthrow\b")

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)
LITERAL = re.compile(r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)


def read_levels(root):
    """{"base": 0, "tensor": 1, "io": 2, ...} from the line of docs/dataflow.md that has the arrows."""
    text = (root / "docs/dataflow.md").read_text()
    line = re.search(r"`(\w+ <- [^`]+)`", text)
    if not line:
        sys.exit("docs/dataflow.md: the line `base <- tensor <- ...` is gone")
    return {name: level for level, part in enumerate(line[1].split("<-")) for name in re.findall(r"\w+", part)}


def without_literals(code):
    """The code with comments and literals blanked; newlines stay, so that lines keep their numbers."""
    return LITERAL.sub(lambda m: "\n" * m[0].count("\n") or " ", code)


class Checker:
    def __init__(self, root):
        self.root, self.levels, self.problems = root, read_levels(root), []

    def run(self):
        for path in self.files():
            self.check_name(path)
            self.check_length(path)
            if path.suffix in (".cc", ".h") and path.parts[0] in ("src", "include", "apps"):
                self.check_source(path)

    def files(self):
        for top in ("include", "src", "apps", "tests", "bench", "tools", "cmake"):
            for path in sorted((self.root / top).rglob("*")):
                path = path.relative_to(self.root)
                # The fixtures below tests/must_fail/ break the rules on purpose.
                if path.suffix in CODE and path.parts[:2] != ("tests", "must_fail"):
                    yield path

    def report(self, path, line, message):
        self.problems.append(f"{path}:{line}: {message}")

    def check_name(self, path):
        for part in path.parts:
            bad = BANNED_NAMES & set(re.split(r"[_.-]", part))
            if bad:
                self.report(path, 1, f'no file or folder is called "{bad.pop()}": name it after what it works on')

    def check_length(self, path):
        lines = (self.root / path).read_text().count("\n")
        if lines > TOO_LONG_LINES:
            self.report(path, lines, f"{lines} lines, at most {TOO_LONG_LINES}: split it")
        elif lines > LONG_LINES:
            print(f"note: {path} has {lines} lines, the target is {LONG_LINES}")

    def check_source(self, path):
        text = (self.root / path).read_text()
        code = without_literals(text)
        layer = path.parts[1] if path.parts[0] == "src" else {"include": "include"}.get(path.parts[0], "apps")
        is_test = path.name.endswith("_test.cc")
        for match in INCLUDE.finditer(text):
            self.check_include(path, layer, is_test, text.count("\n", 0, match.start()) + 1, match[1], match[2])
        self.check_conditionals(path, code)
        if layer != "apps" and not is_test:
            for match in ENDS_OR_PRINTS.finditer(code):
                word = match[0].rstrip("( ")
                self.report(path, code.count("\n", 0, match.start()) + 1,
                            f"{word}: nothing below apps/ prints, ends the program or throws; return a Status")

    def check_include(self, path, layer, is_test, line, quote, target):
        if re.search(r"\bdnnl\b", target) and not str(path).startswith(ONEDNN_HOME):
            self.report(path, line, f"{target}: oneDNN's headers appear under {ONEDNN_HOME} only")
        folder = target.split("/")[0]
        if layer == "apps":
            own = path.parts[1]
            if quote == '"' and folder not in ("kontext", own):
                self.report(path, line, f'"{target}": apps/{own} includes kontext/*.h and its own folder only')
            return
        if layer == "include":
            if quote == '"' and folder != "kontext":
                self.report(path, line, f'"{target}": a public header includes public headers only')
            return
        if quote == "<" or "/" not in target:
            return
        owner = PUBLIC_HEADERS.get(target, folder)
        if owner not in self.levels:
            if not is_test:  # tests also include what tests/ offers
                self.report(path, line, f'"{target}": {folder}/ is no layer of docs/dataflow.md')
            return
        if layer not in self.levels:
            self.report(path, line, f"src/{layer}/ is no layer of docs/dataflow.md")
        elif owner != layer and self.levels[owner] >= self.levels[layer]:
            self.report(path, line, f'"{target}": {layer}/ may not include {owner}/ (docs/dataflow.md)')
        elif layer == "tree" and not is_test and owner not in ("base", "tree") and folder != "kontext" \
                and target != "io/database.h":
            self.report(path, line, f'"{target}": tree/ sees base/, io/database.h and the public headers only')
        elif layer == "serve" and not is_test and owner != layer and target not in PUBLIC_HEADERS \
                and not SERVE_SEES.fullmatch(target):
            self.report(path, line, f'"{target}": serve/ sees kontext/*.h, base/ (status, cut_text, guard, process_memory), io/ (json, database, atomic_file) and model/sha256.h only')
        elif layer in NETWORKS and not is_test and owner != layer and target not in PUBLIC_HEADERS \
                and not NETWORKS_SEE.fullmatch(target):
            self.report(path, line, f'"{target}": {layer}/ sees base/, tensor/, compute/ops.h and weights/table.h only')

    def check_conditionals(self, path, code):
        if CONDITIONAL_HOMES.match(str(path)):
            return
        for number, line in enumerate(code.splitlines(), 1):
            if re.match(r"\s*#\s*if", line) and not re.match(r"#ifndef KONTEXT_\w+_H_$", line):
                self.report(path, number, f'"{line.strip()}": conditions stay in base/, io/mapped_file.cc and compute/*/')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[1])
    checker = Checker(parser.parse_args().root)
    checker.run()
    for problem in checker.problems:
        print(problem)
    print(f"check_layers: {len(checker.problems)} problems")
    return 1 if checker.problems else 0


if __name__ == "__main__":
    sys.exit(main())
