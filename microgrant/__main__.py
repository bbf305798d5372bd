"""The command line: one step of backpropagation over an expression of yours.

    python -m microgrant "tanh(w1*x1 + w2*x2 + b)" x1=2 x2=0 w1=-3 w2=1 b=6.88

prints every value of the forward pass and every contribution of the backward pass, in numbers, and
writes the drawing of the graph. Without arguments it shows a neuron.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .draw import THEMES, draw
from .engine import Value, topological_order
from .expression import MAX_NODES, ExpressionError, evaluate
from .record import name_values, record
from .rendering import FORMATS, NoGraphvizError

NEURON = "tanh(w1*x1 + w2*x2 + b)"
NEURON_VALUES = ("x1=2", "x2=0", "w1=-3", "w2=1", "b=6.8813735870195432")


class UsageError(ValueError):
    """Something on the command line cannot be understood; the message is for the user."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 if a file cannot be written, 2 for bad input."""
    options = _parser().parse_args(_protected(sys.argv[1:] if arguments is None else arguments))
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal without − shows ?, and no traceback
    try:
        root = _root(options.expression, options.values)
        if options.output.suffix.removeprefix(".").lower() not in FORMATS:
            endings = ", ".join(f".{ending}" for ending in FORMATS)
            raise UsageError(f"-o wants a file that ends in {endings}, not {options.output.name!r}")
    except (ExpressionError, UsageError) as error:
        print(f"microgrant: {error}", file=sys.stderr)
        return 2
    root.backward()
    print(record(root))
    return _write(root, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m microgrant",
        description="One step of backpropagation over an expression: in numbers, and as a picture.",
        epilog=f'example: python -m microgrant "{NEURON}" {" ".join(NEURON_VALUES)}',
    )
    parser.add_argument(
        "expression",
        nargs="?",
        default="",
        help="arithmetic: numbers, names, + - * / **, parentheses, exp, log, tanh, relu, …",
    )
    parser.add_argument("values", nargs="*", metavar="NAME=NUMBER", help="the value of a name")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("step.svg"),
        metavar="FILE",
        help=f"the drawing: a file .{', .'.join(FORMATS)} (default: step.svg)",
    )
    parser.add_argument(
        "--style",
        choices=("node", "circuit"),
        default="node",
        help="circuit: values above the wires, gradients below",
    )
    parser.add_argument("--theme", choices=tuple(THEMES), default="light")
    return parser


def _protected(arguments: Sequence[str]) -> list[str]:
    """Keep argparse from taking the expression -x + 1 for an option: with a space, it is none."""
    known = ("-h", "-o", "--")
    return [f"{x} " if x.startswith("-") and not x.startswith(known) else x for x in arguments]


def _root(expression: str, values: Sequence[str]) -> Value:
    if not expression.strip():
        expression, values = NEURON, NEURON_VALUES
    given: dict[str, float] = {}
    for name, number in map(_assignment, values):
        if name in given:
            raise UsageError(f"{name} is given twice: {number} and {given[name]}")
        given[name] = number
    root = evaluate(expression, given)
    if not root.label:
        root.label = "out" if "out" not in given else "result"
    return root


def _assignment(text: str) -> tuple[str, float]:
    """NAME=NUMBER, as given on the command line."""
    name, equals, number = text.partition("=")
    if not equals:
        raise UsageError(f"expected NAME=NUMBER, but got {text!r}")
    if not name.strip().isidentifier():
        raise UsageError(f"expected a name before the '=' of {text!r}")
    try:
        return name.strip(), float(number)
    except ValueError:
        raise UsageError(f"expected a number after the '=' of {text!r}") from None


def _write(root: Value, options: argparse.Namespace) -> int:
    # The picture shows v1, v2, … where the table speaks of them.
    names = {name: value for value, name in name_values(topological_order(root)).items()}
    try:
        picture = draw(root, names, style=options.style, theme=options.theme, limit=MAX_NODES)
        path = picture.write(options.output)
    except (NoGraphvizError, OSError, ValueError) as problem:
        print(f"\nno drawing: {problem}", file=sys.stderr)
        return 1
    print(f"\ndrawing: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
