"""environment.py FOLDER: makes FOLDER hold the clients that this folder's suites run: venv/ (requirements.txt, from PyPI) and
node/ (package-lock.json, from npm). Nothing is done when it already does."""
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PINS = ("requirements.txt", "package.json", "package-lock.json")


def run(what, *command, cwd=None):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{done.stdout}{done.stderr}\nclients: {what} failed; the lines above say why. Most often the registry cannot be "
                 f"reached: the clients come from PyPI and npm, once. Command: {' '.join(map(str, command))}")


def main(folder):
    pins = hashlib.sha256(sys.version.encode() + b"".join((HERE / name).read_bytes() for name in PINS)).hexdigest()
    stamp = folder / "stamp"
    if stamp.exists() and stamp.read_text() == pins:
        return print(f"{folder} is up to date")
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("clients: npm is missing: install the packages nodejs and npm (tools/setup.sh tests does)")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "node").mkdir(parents=True)
    run("making a Python environment (Debian: package python3-venv)", sys.executable, "-m", "venv", folder / "venv")
    run("installing requirements.txt", folder / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", "-r", HERE / PINS[0])
    for name in PINS[1:]:
        shutil.copy(HERE / name, folder / "node")
    run("installing package-lock.json", npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder / "node")
    stamp.write_text(pins)
    print(f"{folder} is made")


main(Path(sys.argv[1]).resolve())
