"""Runs a check on something broken: it must exit with 1 and say each of the texts.

    expect.py TEXT [TEXT ...] -- COMMAND...
"""

import subprocess
import sys

split = sys.argv.index("--")
texts, command = sys.argv[1:split], sys.argv[split + 1 :]
run = subprocess.run(command, capture_output=True, text=True)
said = run.stdout + run.stderr
print(said, end="")
missing = [text for text in texts if text not in said]
for text in missing:
    print(f'expected, but not said: "{text}"')
if run.returncode != 1:
    print(f"expected exit code 1, got {run.returncode}")
sys.exit(bool(missing) or run.returncode != 1)
