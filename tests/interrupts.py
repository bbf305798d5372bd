"""Programs that are interrupted from outside, as by Ctrl-C in a terminal."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress


def after_ctrl_c(program: str, *arguments: str, wait: float = 0.0) -> str:
    """What a program prints after its line "ready", when it is interrupted then, or a while later.

    It fails a test that the program ends before that by itself, or in another way than well.
    """
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=wait)
                raise AssertionError("it ended by itself")
            process.send_signal(signal.SIGINT)
            printed, _ = process.communicate(timeout=60)
        finally:
            process.kill()  # it would go on for ever
    assert process.returncode == 0
    return printed
