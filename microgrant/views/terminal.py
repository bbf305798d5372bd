"""Walk through a step in a terminal: a key forward, a key back.

python -m microgrant "(a*b + c)**2" a=2 b=-3 c=10 --play
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress

from ..ops.numbers import number
from .events import Forward, Given, Record, Seed, Update, written
from .style import clean

__all__ = ["play", "screen"]

HELP = "→ next   ← back   b backward pass   Home, End   q quit"
CLEAR, BOLD, REVERSE, PLAIN = "\x1b[H\x1b[J", "\x1b[1m", "\x1b[7m", "\x1b[0m"
OTHER_SCREEN, FIRST_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"

# What terminals send for the keys that we know.
KEYS: dict[str, tuple[str, ...]] = {
    "next": ("\x1b[C", "\x1bOC", " ", "n", "\x1b[6~", "\r", "l", "\x1b[B", "\xe0M", "\x00M"),
    "back": ("\x1b[D", "\x1bOD", "p", "\x1b[5~", "\x7f", "h", "\x1b[A", "\xe0K", "\x00K"),
    "first": ("\x1b[H", "\x1bOH", "\x1b[1~", "g", "\xe0G", "\x00G"),
    "last": ("\x1b[F", "\x1bOF", "\x1b[4~", "G", "\xe0O", "\x00O"),
    "backward": ("b", "B"),
    "quit": ("q", "Q", "\x03", "\x04", "\x1b"),
}


def play(step: Record) -> None:
    """Show a step event by event, as the reader's keys ask; without a terminal, print its table."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print(step)
        return
    at = 1
    backward = next(place for place, x in enumerate(step, 1) if isinstance(x, Seed))
    with suppress(KeyboardInterrupt, OSError), _other_screen():
        while True:
            size = shutil.get_terminal_size()
            sys.stdout.write(CLEAR + "\r\n".join(screen(step, at, size.columns, size.lines)))
            sys.stdout.flush()
            pressed = _read_key()
            action = next((name for name, keys in KEYS.items() if pressed in keys), "")
            if action == "quit" or not pressed:  # nothing comes from a terminal that was closed
                return
            goals = {
                "next": min(at + 1, len(step)),
                "back": max(at - 1, 1),
                "first": 1,
                "last": len(step),
                "backward": backward,
            }
            at = goals.get(action, at)


def screen(step: Record, at: int, columns: int, rows: int) -> list[str]:
    """The lines shown at step number `at`, from 1: its event, and the state of every node after it.

    What the event writes to is marked by ▶ and set in reverse; a dash is a gradient that is not
    reached yet, and a dot a value that is not computed yet.
    """
    event = step[at - 1]
    phases = {Given: "given", Forward: "forward", Update: "update"}
    direction = phases.get(type(event), "backward")
    title = f"step {at} of {len(step)} · {direction}"
    active = written(event)
    values, gradients = step.state(at)
    spelled = textwrap.wrap(step.line(at), max(columns, 10), subsequent_indent="  ")
    spelled = spelled[: max(1, rows - 7)]
    room = max(1, rows - 6 - len(spelled))
    first = max(0, min(active[0] - room // 2, len(step.nodes) - room))
    width = min(max(len(node.name) for node in step.nodes), max(8, columns - 40))
    lines = [
        f"{BOLD}{title[:columns]}{PLAIN}",
        "",
        *(f"{BOLD}{line[:columns]}{PLAIN}" for line in spelled),
        "",
        f"  {'':{width}}  {'data':>11}  {'grad':>11}"[:columns],
    ]
    for place, node in enumerate(step.nodes[first : first + room], first):
        value, gradient = values[place], gradients[place]
        data = "·" if value is None else number(value)
        grad = "–" if gradient is None else number(gradient)
        line = f"{clean(node.name)[:width]:{width}}  {data:>11}  {grad:>11}  {node.symbol}"
        marked = f"{REVERSE}▶ {line[: columns - 2]}{PLAIN}"
        lines.append(marked if place in active else f"  {line[: columns - 2]}")
    return [*lines, "", HELP[:columns]]


@contextmanager
def _other_screen() -> Iterator[None]:
    """Until the end, the terminal shows our screen, and hands on each key as it is pressed."""
    sys.stdout.write(OTHER_SCREEN)
    try:
        with _raw_mode():
            yield
    finally:
        sys.stdout.write(FIRST_SCREEN)
        sys.stdout.flush()


if sys.platform == "win32":
    _raw_mode = nullcontext

    def _read_key() -> str:
        import msvcrt

        key = msvcrt.getwch()
        return key + msvcrt.getwch() if key in ("\x00", "\xe0") else key

else:

    @contextmanager
    def _raw_mode() -> Iterator[None]:
        import termios
        import tty

        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal)
        try:
            tty.setcbreak(terminal)
            yield
        finally:
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)

    def _read_key() -> str:
        """One key, which is one character, or all that follows an escape at once."""
        import os
        import select

        terminal = sys.stdin.fileno()
        pressed = os.read(terminal, 1)
        while pressed[:1] == b"\x1b" and select.select([terminal], [], [], 0.03)[0]:
            pressed += os.read(terminal, 1)
            if (len(pressed) > 2 and pressed[-1:].isalpha()) or pressed[-1:] == b"~":
                break
        return pressed.decode(errors="replace")
