"""The command line: one step of backpropagation over an expression of yours.

    python -m microgrant "tanh(w1*x1 + w2*x2 + b)" x1=2 x2=0 w1=-3 w2=1 b=6.88

prints every value of the forward pass and every contribution of the backward pass, in numbers,
and writes a page to walk through (step.html) and the drawing of the graph (step.svg). Without
arguments it shows a neuron; ``--open`` opens the page, ``--play`` walks through the step in the
terminal, and ``--steps 20`` repeats it with parameters that follow their gradients. ``--example
mazur`` shows what a textbook prints, and ``--example`` lists all that there are.

    python -m microgrant live

opens a page with a field for the expression, and walks through whatever is typed there.
"""

from __future__ import annotations

import argparse
import codecs
import math
import os
import re
import sys
import textwrap
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from . import __version__
from .engine.value import Value
from .expression import (
    CALLED,
    MAX_NODES,
    ExpressionError,
    evaluate,
    in_one_line,
    number_of,
    with_a_name,
)
from .ops.numbers import aligned, number
from .optim import SGD, Adam, Optimizer
from .textbooks import EXAMPLES, PROGRAMS, Example
from .views.drawing import draw
from .views.events import MISTAKES
from .views.explanation import PAGES, Explanation, explain
from .views.rendering import FORMATS, NoGraphvizError
from .views.style import THEMES

OPTIMIZERS: dict[str, Callable[[list[Value], float], Optimizer]] = {
    "sgd": SGD,
    "momentum": lambda parameters, rate: SGD(parameters, rate, momentum=0.9),
    "adam": Adam,
}
MOST_LISTED, MOST_STEPS_LISTED = 6, 20  # parameters, and lines, of the table of what is learned
NEURON = "tanh(w1*x1 + w2*x2 + b)"
NEURON_VALUES = ("x1=2", "x2=0", "w1=-3", "w2=1", "b=6.8813735870195432")

LIVE = "live"

NOT_AN_OPTION = "\0"  # no argument of a command can hold it
PLAIN_SIGNS = {"−": "-", "×": "*", "∂": "d", "→": "->", "²": "^2", "³": "^3", "≥": ">=", "≤": "<="}
DEFAULT_OUTPUTS = (Path("step.html"), Path("step.svg"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 if a file cannot be written, 2 for bad input."""
    if hasattr(sys.stdout, "reconfigure"):
        codecs.register_error("plain-signs", _plain_signs)
        sys.stdout.reconfigure(errors="plain-signs")
    options = _options(sys.argv[1:] if arguments is None else arguments)
    if options.example == "":
        print(_examples())
        return 0
    try:
        _take_live(options)
        if options.live:
            _check_live(options)
        if options.example:
            _take_example(options)
        if options.live:
            return _live(options)
        if options.expression is None:
            options.expression, options.values = NEURON, NEURON_VALUES
        root, leaves = _root(options.expression, options.values)
        outputs = [_output(path) for path in options.output or DEFAULT_OUTPUTS]
        optimizer = _optimizer(options, leaves)
        step = explain(root, mistake=options.mistake, optimizer=optimizer)
    except ValueError as error:  # of the expression, the values, the file's name or the mistake
        print(f"microgrant: {error}", file=sys.stderr)
        return 2
    root.backward()
    # Files first: nothing is lost if the reader of the table, such as `head`, leaves early.
    results = [_write(step, path, options) for path in outputs]
    try:
        step.play() if options.play else print(step)
        print()
        if optimizer is not None and options.steps:
            print(_learned(options, leaves, optimizer), end="\n\n")
        if options.printed:
            print(options.printed, end="\n\n")
        for written, message in results:
            print(message, file=sys.stdout if written else sys.stderr)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if options.open and results[0][0] and not webbrowser.open(outputs[0].resolve().as_uri()):
        print(f"no browser could be started: open {outputs[0]} in yours", file=sys.stderr)
    return 0 if all(written for written, _ in results) else 1


def _take_live(options: argparse.Namespace) -> None:
    """Take the word live for --live; but not where it has a value, as a name like any other."""
    given = [assignment.partition("=")[0].strip() for assignment in options.values]
    if options.expression == LIVE and LIVE not in given:
        options.live = True
        options.expression, *options.values = options.values or [None]


def _check_live(options: argparse.Namespace) -> None:
    offered = ("output", "play", "mistake", "optimizer", "learning_rate", "steps", "parameters")
    plain = {"style": "node", "theme": "light"}
    for option in (*offered, *plain):
        if getattr(options, option) not in (None, False, plain.get(option)):
            word = option.replace("_", "-")
            raise ValueError(f"the live page takes no --{word}, but has buttons: leave it out here")


def _live(options: argparse.Namespace) -> int:
    """Serve the live page until Ctrl-C. What is wrong with the expression is said there."""
    from .views.live import fragment
    from .views.live.server import serve

    values: dict[str, str] = {}
    for assignment in options.values:
        name, number = _assignment(assignment)
        if name in values:
            raise ValueError(f"{name} is given twice: {values[name]} and {number}")
        values[name] = assignment.partition("=")[2].strip()
    if options.printed:
        print(options.printed)
    serve("" if options.expression is None else fragment(options.expression, values))
    return 0


def _plain_signs(error: UnicodeError) -> tuple[str, int]:
    """What a terminal that has no − and × shows for them."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(PLAIN_SIGNS.get(sign, "?") for sign in signs), error.end


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m microgrant",
        description="One step of backpropagation over an expression: in numbers, and as a picture.",
        epilog=f'example: python -m microgrant "{NEURON}" {" ".join(NEURON_VALUES)}',
    )
    add = parser.add_argument
    add("--version", action="version", version=f"microgrant {__version__}")
    add(
        "expression",
        type=_text,
        nargs="?",
        help="arithmetic: numbers, names, + - * / %% **, parentheses, comparisons to choose by, "
        + ", ".join(CALLED)
        + f"; before it statements such as h = a*b; separated by ';' (or the word {LIVE}, "
        "before all others: the same as --live)",
    )
    add("values", type=_text, nargs="*", metavar="NAME=NUMBER", help="of a name: 0.5, 1/3, pi/4")
    add(
        "--example",
        type=_text,
        nargs="?",
        const="",
        metavar="NAME",
        help="show what a textbook prints; without a name: list these examples",
    )
    parser.set_defaults(printed="", title="")
    add(
        "-o",
        "--output",
        type=_path,
        action="append",
        metavar="FILE",
        help=f"the page, a file {PAGES[0]}, or the drawing, a file .{', .'.join(FORMATS)}; "
        "may be repeated (default: step.html and step.svg)",
    )
    add("--open", action="store_true", help="open the page (or the first -o) in the browser")
    add("--live", action="store_true", help="walk through it, and what you type, in the browser")
    add("--play", action="store_true", help="walk through the step here, a key forward, a key back")
    add(
        "--mistake",
        type=_text,
        choices=tuple(MISTAKES),
        help="let the backward pass make a classic mistake",
    )
    add(
        "--optimizer",
        type=_text,
        choices=tuple(OPTIMIZERS),
        help="go on to the update of the parameters",
    )
    add(
        "--learning-rate",
        type=_text,
        metavar="RATE",
        help="of the optimizer, which is sgd if none is named (default: 0.1)",
    )
    add("--steps", type=_text, metavar="N", help="repeat the step, and list what is learned")
    add(
        "--parameters",
        type=_text,
        metavar="NAME,NAME",
        help="what is learned (default: every name)",
    )
    add(
        "--style",
        type=_text,
        choices=("node", "circuit"),
        default="node",
        help="of the drawing; circuit: values above the wires, gradients below",
    )
    add("--theme", type=_text, choices=tuple(THEMES), default="light", help="of the drawing")
    return parser


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    """What was typed: options may stand between the values, and before the expression."""
    parser = _parser()
    options, rest = parser.parse_known_intermixed_args(_protected(arguments))
    if rest:  # an option that there is not, and, of some Pythons, the values behind it
        unknown = [argument for argument in rest if argument.startswith("-")]
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return options


def _protected(arguments: Sequence[str]) -> list[str]:
    """Keep argparse from taking the expression -x + 1 for an option, and --x too if x is given."""
    given = {argument.partition("=")[0] for argument in arguments}
    return [
        argument if argument[:1] != "-" or _is_option(argument, given) else NOT_AN_OPTION + argument
        for argument in arguments
    ]


def _is_option(argument: str, given: set[str]) -> bool:
    if argument in ("-h", "-o") or re.fullmatch(r"-o(=.*|\S+\.[a-z]+)", argument):
        return True
    word = re.fullmatch(r"--([a-z-]+)(=.*)?", argument)
    return word is not None and word[1] not in given


def _text(argument: str) -> str:
    return argument.removeprefix(NOT_AN_OPTION)


def _path(argument: str) -> Path:
    return Path(_text(argument))


def _examples() -> str:
    """A list of the examples that there are, and of what `--example` cannot show."""
    lines = [_listed(name, each.title, each.source) for name, each in EXAMPLES.items()]
    lines.append("\nwhole programs, which run in a checkout")
    lines += [
        _listed(name, title, f"{source}: run {run}")
        for name, (title, source, run) in PROGRAMS.items()
    ]
    return "\n".join(lines)


def _listed(name: str, title: str, source: str) -> str:
    return f"{name:20}{title}\n{'':20}{source}"


def _take_example(options: argparse.Namespace) -> None:
    """Put an example in place of what was not typed."""
    name = options.example
    if name in PROGRAMS:
        raise ValueError(f"{name} is a whole program: in a checkout, run {PROGRAMS[name][-1]}")
    if name not in EXAMPLES:
        close = get_close_matches(name, (*EXAMPLES, *PROGRAMS), n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise ValueError(f"there is no example {name!r}{hint}: --example alone lists them")
    example = EXAMPLES[name]
    typed = [] if options.expression is None else [options.expression, *options.values]
    changed = {_assignment(text)[0] for text in typed}
    rest = [f"{x}={number}" for x, number in example.typed.items() if x not in changed]
    options.expression, options.values = example.expression, [*rest, *typed]
    options.title = example.source
    if example.learning_rate > 0 and options.learning_rate is None:
        options.learning_rate = str(example.learning_rate)
        options.parameters = options.parameters or ",".join(example.parameters)
    if not typed and not options.mistake:
        table = textwrap.indent(example.compared(), "  ")
        heading = f"{'printed in' if example.result else 'from'} {example.source}"
        options.printed = f"{heading}{_update(example)}\n{table}"


def _update(example: Example) -> str:
    """How a textbook updates its parameters, if it does."""
    if not example.parameters:
        return ""
    sign, rate = "−+"[example.learning_rate < 0], number(abs(example.learning_rate))
    return f"\nupdate: p ← p {sign} {rate} × ∂p, for p = {', '.join(example.parameters)}"


def _root(expression: str, values: Sequence[str]) -> tuple[Value, dict[str, Value]]:
    """What the expression computes, and its leaves by name."""
    given: dict[str, Value] = {}
    for name, data in map(_assignment, values):
        if name in given:
            raise ValueError(f"{name} is given twice: {given[name].data} and {data}")
        given[name] = Value(data, name)
    return with_a_name(evaluate(expression, given), given), given


def _optimizer(options: argparse.Namespace, leaves: Mapping[str, Value]) -> Optimizer | None:
    """The optimizer that was asked for, if one was."""
    asked = (options.optimizer, options.learning_rate, options.steps, options.parameters)
    if asked == (None,) * 4:
        return None
    if options.mistake and options.steps:
        raise ValueError("--steps follows the right gradients: leave out --mistake, or --steps")
    if not leaves:
        raise ValueError("nothing can be learned: give a parameter its number apart, as in w=-3")
    names = [name.strip() for name in options.parameters.split(",")] if options.parameters else []
    names = names or list(leaves)
    unknown = [name for name in names if name not in leaves]
    if unknown:
        known = ", ".join(leaves) or "none"
        raise ValueError(f"--parameters: there is no {unknown[0]!r}; the names are {known}")
    rate = _number("--learning-rate", options.learning_rate or "0.1")
    options.steps = int(_number("--steps", options.steps or "0", whole=True))
    parameters = [leaves[name] for name in names]
    return OPTIMIZERS[options.optimizer or "sgd"](parameters, rate)


def _number(option: str, text: str, whole: bool = False) -> float:
    wanted = "a whole number up to 1000000" if whole else "a number"
    try:
        given = float(text.replace("−", "-"))
    except ValueError:
        given = math.nan
    if not math.isfinite(given) or (whole and not (given.is_integer() and 0 <= given <= 1e6)):
        raise ValueError(f"{option} wants {wanted}, not {text!r}")
    return given


def _learned(options: argparse.Namespace, leaves: Mapping[str, Value], optimizer: Optimizer) -> str:
    """A table of what becomes of the result, and of the first parameters, step after step."""
    shown = optimizer.parameters[:MOST_LISTED]
    rows = []
    for iteration in range(options.steps + 1):
        root = evaluate(options.expression, leaves)
        rows.append([str(iteration), *(number(x.data) for x in (root, *shown))])
        optimizer.zero_grad()
        root.backward()
        optimizer.step()
    every = -(-options.steps // MOST_STEPS_LISTED) or 1
    listed = [row for i, row in enumerate(rows) if i % every == 0 or i == options.steps]
    return aligned([["step", "result", *(x.label for x in shown)], *listed])


def _assignment(text: str) -> tuple[str, float]:
    """NAME=NUMBER, as given on the command line."""
    name, equals, number = (part.strip() for part in text.partition("="))
    if not equals:
        raise ValueError(
            f'expected NAME=NUMBER, but got {text!r} (an expression goes into quotes: "a * b")'
        )
    if not name.isidentifier():
        hint = " (a subscript cannot be part of it: write w1)" if re.search("[₀-₉]", name) else ""
        raise ValueError(f"expected a name before the '=' of {text!r}{hint}")
    if not number:
        raise ValueError(f"expected a number after the '=' of {text!r}, such as {name}=0.5")
    try:
        return name, number_of(number)
    except ExpressionError as error:
        comma = re.fullmatch(r"[+-]?\d+,\d+", number)
        hint = f" (write {number.replace(',', '.')})" if comma else f": {error}"
        raise ValueError(f"expected a number after the '=' of {text!r}{hint}") from None


def _output(path: Path) -> Path:
    endings = (*PAGES, *(f".{ending}" for ending in FORMATS))
    if path.suffix.lower() not in endings:
        raise ValueError(f"-o wants a file that ends in {', '.join(endings)}, not {path.name!r}")
    return path


def _write(step: Explanation, path: Path, options: argparse.Namespace) -> tuple[bool, str]:
    """Write a page or a drawing; whether that went well, and what to tell the user."""
    try:
        if path.suffix.lower() in PAGES:
            step.save(path, title=options.title or in_one_line(options.expression))
            return True, f"page: {path}"
        # The picture shows v1, v2, … where the table speaks of them.
        called = step.graph.called.items()
        names = {name: value for value, name in called if value.operation}
        limit = MAX_NODES**2 if path.suffix.lower() == ".dot" else 1_000  # .dot is not laid out
        picture = draw(step.root, names, style=options.style, theme=options.theme, limit=limit)
        picture.write(path)
        return True, f"drawing: {path}"
    except (NoGraphvizError, OSError, ValueError) as problem:
        return False, f"microgrant: {path} is not written: {problem}"


if __name__ == "__main__":
    sys.exit(main())
