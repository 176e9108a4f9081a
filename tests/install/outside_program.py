"""An outside program against the installed package: the example at the top of kontext.h, taken from the
installed header, must compile by find_package(kontext) alone and make a picture. README shows the same program.
The installed command must find the model that was installed beside it.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

LISTS = """cmake_minimum_required(VERSION 3.25)
project(outside LANGUAGES CXX)
find_package(kontext REQUIRED)
add_executable(outside main.cc)
target_link_libraries(outside PRIVATE kontext::kontext)
"""
PNG = b"\x89PNG\r\n\x1a\n"


def run(*command, **kwargs):
    print("+", *map(str, command), flush=True)
    subprocess.run(command, check=True, **kwargs)


def example(header):
    """The code of the first comment block, from its #include on."""
    lines = header.read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("//   #include"))
    code = []
    for line in lines[first:]:
        if not re.match(r"//($|   )", line):
            break
        code.append(line[5:])
    return "\n".join(code).strip() + "\n"


def is_png(path):
    return path.read_bytes()[:8] == PNG


def main():
    parser = argparse.ArgumentParser()
    for name in ("source", "build", "cmake", "compiler"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--link-flags", default="")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        prefix, outside = work / "prefix", work / "outside"
        run(args.cmake, "--install", args.build, "--prefix", prefix, stdout=subprocess.DEVNULL)

        code = example(prefix / "include/kontext/kontext.h")
        if f"```cpp\n{code}```" not in (args.source / "README.md").read_text():
            print(f"README.md does not show the program of kontext.h:\n{code}")
            return 1
        outside.mkdir()
        (outside / "main.cc").write_text(code)
        (outside / "CMakeLists.txt").write_text(LISTS)
        run(args.cmake, "-S", outside, "-B", outside / "build", f"-DCMAKE_PREFIX_PATH={prefix}",
            f"-DCMAKE_CXX_COMPILER={args.compiler}", f"-DCMAKE_EXE_LINKER_FLAGS={args.link_flags}",
            "-DCMAKE_CXX_FLAGS=-Wall -Wconversion -Werror", "-DCMAKE_FIND_PACKAGE_NO_PACKAGE_REGISTRY=ON")
        run(args.cmake, "--build", outside / "build")

        # The program names models/mini and in.png.
        (outside / "models").symlink_to(prefix / "share/kontext/models")
        shutil.copy(args.source / "tests/golden/inputs/cat_meadow.png", outside / "in.png")
        run(outside / "build/outside", cwd=outside)

        environment = {k: v for k, v in os.environ.items() if k != "KONTEXT_MODEL"}
        run(prefix / "bin/kontext", "generate", "-p", "a sad blue robot in the city", "--steps", "1", "-o", "drawn.png",
            cwd=outside, env=environment)
        for name in ("out.png", "drawn.png"):
            if not is_png(outside / name):
                print(f"{name} is no PNG")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
