"""The benchmarks run to their end, and every engine computes the same numbers in them."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

EAGER = Path(__file__).parent / "benchmarks" / "eager.py"


def eager(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", str(EAGER), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_eager_compares_all_engines() -> None:
    result = eager("--quick")
    assert result.returncode == 0, result.stderr
    _, *sections = re.split(r"\n\n(?=\w+)", result.stdout)
    rows = {section.splitlines()[0].split(":")[0] + str(i): [
        re.split(r"\s{2,}", line)[0] for line in section.splitlines() if re.search(r" \d+\.\d\d$", line)
    ] for i, section in enumerate(sections)}
    print(rows)
