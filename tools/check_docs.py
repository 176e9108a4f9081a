#!/usr/bin/env python3
"""Holds the documents to the tree: what they cite must exist. Prints every problem, exits 1 if there is one.

Checked, in README, AGENTS, HACKING, SPEED, docs/ and the READMEs of models/, tests/ and tools/:
  `path/to/file`      exists (from the root, src/, include/ or beside the document; braces and * expand)
  `Symbol`, `f()`     occurs in the code
  `make X`, `kontext X`, `kontext X --flag`    are a target, a command, a flag
  a table of measurements    has a date and a command in its section
    tools/check_docs.py [--root DIR]
"""

import argparse
import itertools
import pathlib
import re
import sys

DOCUMENTS = ("README.md", "AGENTS.md", "HACKING.md", "SPEED.md", "docs/*.md", "models/*/README.md", "tests/*/README.md",
             "tools/*/README.md")
CODE = ("CMakeLists.txt", "CMakePresets.json", "Makefile", "cmake/*.cmake", ".ci/run", *(
    f"{top}/**/*{suffix}" for top in ("src", "include", "apps", "bench", "tests", "tools")
    for suffix in (".h", ".cc", ".py", ".sh", ".mjs", ".txt", ".json")))
BASES = ("", "src", "src/*", "include", "apps", "models/mini", "models/mini/*")
# What a command writes, or a user brings: not part of the tree.
NOT_OURS = re.compile(r"(build[\w-]*|\.venv[\w-]*|out|share|bin|lib|include)/.*|.*\.(png|jpe?g|webp)|.*<.*|~?/.*|\.\./.*|(.*/)?foo\w*\.\w+")
# Names of other programs' things that documents speak of.
FOREIGN = {"KONTEXT_MODEL", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "CMAKE_PREFIX_PATH"}

UNIT = re.compile(r"(^|[\s(,])(s|ms|dB|seconds?|Gop/s|GiB|MiB|GB|MB|PSNR|NMSE|s/step)([\s),]|$)")
DATE = re.compile(r"\b20\d\d-\d\d-\d\d\b")
COMMAND = re.compile(r"\b(make|kontext|python3?|ctest|cmake)\b|tools/|bench/|build/")


def braces(text):
    """a/{b,c}.h -> a/b.h, a/c.h"""
    parts = [part[1:-1].split(",") if part.startswith("{") else [part] for part in re.split(r"(\{[^}]*\})", text)]
    return ["".join(choice) for choice in itertools.product(*parts)]


class Checker:
    def __init__(self, root):
        self.root, self.problems = root, []
        sources = [p for pattern in CODE for p in root.glob(pattern) if p.is_file() and p.stat().st_size < 1_000_000
                   and p.relative_to(root).parts[:2] not in (("tests", "must_fail"), ("tests", "data"))]
        code = "\n".join(p.read_text(errors="replace") for p in sources)
        self.words = set(re.findall(r"\w+", code))
        self.basenames = {p.name for p in sources} | {p.name for p in root.glob("models/**/*")} | {p.name for p in root.iterdir()}
        makefile = root / "Makefile"
        self.targets = set(re.findall(r"^([\w-]+):", makefile.read_text(), re.M)) if makefile.exists() else set()
        apps = "\n".join(p.read_text() for p in root.glob("apps/**/*.cc"))
        self.commands = set(re.findall(r'add_subcommand\(\s*"([\w-]+)"', apps))
        self.flags = set(re.findall(r'(?<![\w-])(--?[A-Za-z][\w-]*)', apps)) | {"--help", "--version"}

    def run(self):
        for pattern in DOCUMENTS:
            for path in sorted(self.root.glob(pattern)):
                if not path.is_symlink():
                    self.check_document(path)

    def check_document(self, path):
        fenced, section, heading_line = False, [], 1
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.startswith("```"):
                fenced = not fenced
            elif fenced:
                self.check_commands(path, number, line)
            else:
                if line.startswith("#"):
                    self.check_tables(path, heading_line, section)
                    section, heading_line = [], number
                for span in re.findall(r"`([^`]+)`", line):
                    self.check_span(path, number, span)
            section.append(line)
        self.check_tables(path, heading_line, section)

    def report(self, path, line, message):
        self.problems.append(f"{path.relative_to(self.root)}:{line}: {message}")

    def check_span(self, path, line, span):
        if re.match(r"(make|kontext) ", span):
            self.check_commands(path, line, span)
        elif re.fullmatch(r"--[a-z][\w-]*", span.split()[0].split("|")[0]):
            self.check_flag(path, line, span.split()[0])
        elif re.fullmatch(r"[\w.*{},/-]+", span) and ("/" in span.strip("/") or span.endswith("/") or re.search(
                r"\w\.(md|h|cc|py|sh|json|cmake)$", span)):
            self.check_path(path, line, span)
        elif re.fullmatch(r"(\w+::)*~?[A-Za-z_]\w*(\(\))?", span) and re.search(r"[A-Z_(:]", span):
            for word in re.findall(r"\w+", span):
                if word not in self.words | FOREIGN and word.strip("_") == word:  # `_px`: a part of names
                    self.report(path, line, f"`{span}`: {word} occurs nowhere in the code")

    def check_path(self, path, line, span):
        if NOT_OURS.fullmatch(span) and (span.startswith("/") or not (self.root / span).exists()):
            return
        for one in braces(span):
            places = [path.parent.glob(one)] + [self.root.glob(str(pathlib.PurePath(base) / one)) for base in BASES]
            if not any(any(place) for place in places) and not ("/" not in one and one in self.basenames):
                self.report(path, line, f"`{span}`: there is no {one}")

    def check_commands(self, path, line, text):
        text = text.split("#")[0]
        for target in re.findall(r"(?:^|&& |; )\s*make ([a-z][\w-]*)", text):
            if target not in self.targets:
                self.report(path, line, f"make {target}: the Makefile has no such target")
        for command, rest in re.findall(r"(?:^|&& |; |/)\s*kontext ([a-z][\w-]*)([^|;&]*)", text):
            if command not in self.commands:
                self.report(path, line, f"kontext {command}: there is no such command")
            for flag in re.findall(r"(?<=\s)(--[a-z][\w-]*)", rest):
                self.check_flag(path, line, flag)

    def check_flag(self, path, line, flag):
        if flag not in self.flags and flag.lstrip("-").replace("-", "_") not in self.words:
            self.report(path, line, f"{flag}: no command has this flag")

    def check_tables(self, path, line, section):
        headers = [row for row, rule in zip(section, section[1:]) if re.fullmatch(r"\|[\s:|-]+\|", rule)]
        text = "\n".join(section)
        for header in headers:
            if any(UNIT.search(cell) for cell in header.split("|")) and not (DATE.search(text) and COMMAND.search(text)):
                self.report(path, line, f"the table {header.strip()} has no date or no command beside it")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[1])
    checker = Checker(parser.parse_args().root)
    checker.run()
    for problem in checker.problems:
        print(problem)
    print(f"check_docs: {len(checker.problems)} problems")
    return 1 if checker.problems else 0


if __name__ == "__main__":
    sys.exit(main())
