"""A GPT made of scalars: it learns a list of names letter by letter, and then makes up new ones.

With this program you can

- train it on the given names beside it:  python demos/microgpt.py
- train it on lines of your own:          python demos/microgpt.py FILE --positions 24
- make it larger, or train it for longer: python demos/microgpt.py --width 24 --steps 3000
- feel what compiling is worth:           python demos/microgpt.py --eager --steps 5
- use its parts in a program:             from microgpt import GPT, compiled_step, train

The model is that of Andrej Karpathy's microgpt, final version
(https://gist.github.com/karpathy/8627fe009c40f57531cb18360106ce95): embeddings of letter and
position, RMSNorm, causal attention with several heads, an MLP with ReLU, no biases, and Adam with a
learning rate that falls linearly to 0, one document at a time. As there, one source of chance
shuffles the documents and then draws the weights, in the same order. So, given its list of names,
this program has the losses that it prints.

What differs is how a document enters. There, a letter is an index into a table, so that each
document makes a graph of its own. Here the graph is recorded and compiled once, and so it has to be
the same for all documents:

- It has a fixed number of positions. At each of them a letter enters as a one-hot input, one number
  for each letter of the alphabet: 1 for this letter, 0 for the others. To look a row up in a
  table is then to multiply by a matrix, and that is arithmetic.
- A shorter document is padded. Each position has one more input, by which its loss is multiplied:
  1/length inside of the document, and 0 beyond its end. So the sum is the mean over the document,
  and the padding neither counts in the loss nor gets a gradient. Nor can it be seen from inside of
  the document, because a position attends to what stands before it, and padding stands after.
"""

from __future__ import annotations

import argparse
import math
import operator
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from itertools import cycle, islice
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

import microgrant
from microgrant import Value, nn
from microgrant.compiler import step as native
from microgrant.losses import cross_entropy
from microgrant.optim import Adam, linear

NAMES = Path(__file__).with_name("names.txt")
END = "\n"  # stands before and after each document; no line can hold it
MOST_LETTERS = 250
AT_ONCE = 50  # steps between two looks at the losses

Vector: TypeAlias = list[Value]
Row: TypeAlias = list[float]
Step: TypeAlias = Callable[[list[Row]], float]
"""Adds the mean gradient of some documents to each parameter's `.grad`; returns the mean loss."""
Predictor: TypeAlias = Callable[[list[Row]], Any]
"""From the one-hots of some texts to the logits at all positions, one row for each text."""


# --- The model ----------------------------------------------------------------------------------


class Linear(nn.Module):
    """A matrix, to multiply a vector by."""

    def __init__(self, nin: int, nout: int, draw: random.Random) -> None:
        self.rows = drawn(nout, nin, draw)

    def forward(self, x: Vector) -> Vector:
        return [dot(row, x) for row in self.rows]

    def describe(self) -> str:
        return f"Linear {len(self.rows[0])}→{len(self.rows)}"


class Embedding(nn.Module):
    """A table with a vector for each letter: multiplied by a one-hot, it looks that letter up."""

    def __init__(self, letters: int, width: int, draw: random.Random) -> None:
        self.rows = drawn(letters, width, draw)

    def forward(self, one_hot: Vector) -> Vector:
        return [dot(one_hot, column) for column in zip(*self.rows, strict=True)]


class RMSNorm(nn.Module):
    """A vector, scaled so that the mean of its squares is 1."""

    def forward(self, x: Vector) -> Vector:
        mean_square = dot(x, x) / len(x)
        scale = 1 / (mean_square + 1e-5).sqrt()  # and so a vector of zeros is not divided by 0
        return [xi * scale for xi in x]


class Head(nn.Module):
    """One head of attention, at one position: a mean of contents, by how well query fits key."""

    def forward(self, query: Vector, keys: list[Vector], contents: list[Vector]) -> Vector:
        scale = len(query) ** -0.5
        weights = softmax([dot(query, key) * scale for key in keys])
        return [dot(weights, column) for column in zip(*contents, strict=True)]


class Attention(nn.Module):
    """At each position, what its heads found at this position and at those before it."""

    def __init__(self, width: int, heads: int, draw: random.Random) -> None:
        self.query, self.key, self.content, self.output = (
            Linear(width, width, draw) for _ in range(4)
        )
        self.heads = [Head() for _ in range(heads)]

    def forward(self, xs: list[Vector]) -> list[Vector]:
        queries, keys, contents = (
            [matrix(x) for x in xs] for matrix in (self.query, self.key, self.content)
        )
        size = len(xs[0]) // len(self.heads)
        found: list[Vector] = [[] for _ in xs]
        for i, head in enumerate(self.heads):
            part = slice(i * size, (i + 1) * size)
            for t, query in enumerate(queries):
                # Causal: what comes later is not even recorded, so there is nothing to mask.
                seen = [key[part] for key in keys[: t + 1]]
                found[t] += head(query[part], seen, [c[part] for c in contents[: t + 1]])
        return [self.output(x) for x in found]


class MLP(nn.Module):
    """Four times as wide inside, with ReLU between."""

    def __init__(self, width: int, draw: random.Random) -> None:
        self.widen, self.narrow = Linear(width, 4 * width, draw), Linear(4 * width, width, draw)

    def forward(self, x: Vector) -> Vector:
        hidden: Vector = self.widen(x)
        narrowed: Vector = self.narrow([h.relu() for h in hidden])
        return narrowed


class Block(nn.Module):
    """Attention between the positions, then an MLP at each; both add to what was there."""

    def __init__(self, width: int, heads: int, draw: random.Random) -> None:
        self.norm = RMSNorm()
        self.attention, self.mlp = Attention(width, heads, draw), MLP(width, draw)

    def forward(self, xs: list[Vector]) -> list[Vector]:
        found = self.attention([self.norm(x) for x in xs])
        xs = [added(x, y) for x, y in zip(xs, found, strict=True)]
        return [added(x, self.mlp(self.norm(x))) for x in xs]


class GPT(nn.Module):
    """From one-hot letters to the logits of the letter that follows each of them.

    letters: the alphabet, `END` among it.
    positions: how many letters are predicted, the end of the document among them.
    width: of the vector that stands for a letter; a multiple of `heads`.
    draw: where the weights come from; by default `random.Random(42)`.

    >>> model = GPT(alphabet(["anna", "noah"]), positions=5, width=4, heads=2)
    >>> loss = model.loss([Value(x) for x in model.row("anna")])
    >>> len(model.letters), len(model.parameters()), f"{loss:.2f}"
    (5, 252, '1.59')
    """

    def __init__(
        self,
        letters: str,
        positions: int = 16,
        width: int = 16,
        heads: int = 4,
        layers: int = 1,
        draw: random.Random | None = None,
    ) -> None:
        if width % heads:
            raise ValueError(f"the width is a multiple of the heads, but {width} is not of {heads}")
        self.letters, self.positions = letters, positions
        draw = draw or random.Random(42)
        self.letter = Embedding(len(letters), width, draw)
        self.place = drawn(positions, width, draw)
        self.head = Linear(width, len(letters), draw)
        self.norm = RMSNorm()
        self.blocks = [Block(width, heads, draw) for _ in range(layers)]

    def forward(self, one_hots: list[Vector]) -> list[Vector]:
        """The logits at each position."""
        xs = [
            self.norm(added(self.letter(one_hot), place))
            for one_hot, place in zip(one_hots, self.place, strict=True)
        ]
        for block in self.blocks:
            xs = block(xs)
        return [self.head(x) for x in xs]

    def loss(self, row: Vector) -> Value:
        """The mean cross-entropy over one document, as `row` lays it out."""
        *one_hots, weights = in_parts(row, len(self.letters), self.positions + 1)
        losses = [
            weight * cross_entropy(logits, following)
            for weight, logits, following in zip(
                weights, self(one_hots[:-1]), one_hots[1:], strict=True
            )
        ]
        return reduce(operator.add, losses)

    # --- How text becomes numbers ---------------------------------------------------------------

    def one_hots(self, text: str, places: int) -> Row:
        """The letters of a text as `places` one-hots, one after the other; zeros beyond its end."""
        row = [0.0] * (places * len(self.letters))
        for place, letter in enumerate(text):
            row[place * len(self.letters) + self.letters.index(letter)] = 1.0
        return row

    def row(self, document: str) -> Row:
        """A document as the inputs of `loss`: its one-hots, then the weight of each position."""
        length = len(document) + 1  # what is to be predicted: each letter, and the end
        if length > self.positions:
            raise ValueError(
                f"{document!r} and its end need {length} positions, but there are {self.positions}"
            )
        weights = [1 / length] * length + [0.0] * (self.positions - length)
        return self.one_hots(END + document + END, self.positions + 1) + weights


def drawn(rows: int, columns: int, draw: random.Random) -> list[Vector]:
    """A matrix of weights, row after row."""
    return [[Value(draw.gauss(0, 0.08)) for _ in range(columns)] for _ in range(rows)]


def dot(xs: Iterable[Value], ys: Iterable[Value]) -> Value:
    """The sum of the products."""
    total: Value = reduce(operator.add, (x * y for x, y in zip(xs, ys, strict=True)))
    return total


def added(xs: Vector, ys: Vector) -> Vector:
    return [x + y for x, y in zip(xs, ys, strict=True)]


def in_parts(xs: Vector, size: int, number: int) -> list[Vector]:
    """The first `number` parts of `size`, and what is left."""
    return [xs[i * size : (i + 1) * size] for i in range(number)] + [xs[number * size :]]


def softmax(scores: Vector) -> Vector:
    """Positive numbers with the sum 1, in proportion to the exponentials of the scores."""
    # exp overflows at 710, and how large a score becomes is up to the weights. So the largest is
    # subtracted first: then every power is at most 1, and one of them is 1. Which score is the
    # largest is not decided in Python, by max(score.data …): that would be the place of the
    # largest in the one document that was recorded. `maximum` is an operation of the graph, and
    # finds the largest anew in each document that runs through the compiled program.
    # `cross_entropy` does the same with the logits.
    largest = reduce(Value.maximum, scores)
    powers = [(score - largest).exp() for score in scores]
    total = reduce(operator.add, powers)
    return [power / total for power in powers]


# --- Two ways to run it: compiled, and as it stands ---------------------------------------------


def compiled_step(model: GPT, target: Any = "auto") -> native.Step:
    """A `Step` from the graph of one document: any will do, since all make the same."""
    row = [Value(x) for x in model.row("")]
    return microgrant.compile(
        model.loss(row), inputs=row, parameters=model.parameters(), target=target
    )


def eager_step(model: GPT) -> Step:
    """The same `Step` without compiling: each document is recorded, and walked backward."""

    def step(rows: list[Row]) -> float:
        losses = []
        for row in rows:
            loss = model.loss([Value(x) for x in row])
            loss.backward(1 / len(rows))
            losses.append(loss.data)
        return fmean(losses)

    return step


def compiled_predictor(model: GPT, target: Any = "auto") -> native.Predictor:
    """A `Predictor` with the weights that the model has whenever it is called."""
    row = [Value(x) for x in model.one_hots(END, model.positions)]
    return microgrant.compile(
        logits_of(model, row), inputs=row, parameters=model.parameters(), target=target
    )


def eager_predictor(model: GPT) -> Predictor:
    """The same `Predictor` without compiling."""

    def predict(rows: list[Row]) -> list[Row]:
        with microgrant.no_grad():
            return [[x.data for x in logits_of(model, [Value(x) for x in row])] for row in rows]

    return predict


def logits_of(model: GPT, row: Vector) -> Vector:
    """The logits at all positions, one after the other."""
    one_hots = in_parts(row, len(model.letters), model.positions)[:-1]
    return [logit for logits in model(one_hots) for logit in logits]


# --- Training, and writing ----------------------------------------------------------------------


def train(
    model: GPT,
    step: Step,
    rows: list[Row],
    steps: int,
    batch: int = 1,
    learning_rate: float = 0.01,
) -> Iterator[float]:
    """One step of Adam after the other, on the rows in turn; the loss of each.

    Nothing happens until somebody asks: ``for loss in train(…)``, or ``list(train(…))``. Then a
    compiled step takes `AT_ONCE` of them in one call.
    """
    rate = linear(learning_rate, 0.0, steps)
    optimizer = Adam(model.parameters(), learning_rate=learning_rate, betas=(0.85, 0.99))
    documents = batches(rows, batch)
    for begin in range(0, steps, AT_ONCE):
        some = list(islice(documents, min(AT_ONCE, steps - begin)))
        yield from taken(step, some, optimizer, lambda i, begin=begin: rate(begin + i))


def taken(
    step: Step, documents: list[list[Row]], optimizer: Adam, rate: Callable[[int], float]
) -> Iterator[float]:
    """Some steps, each on a batch of documents: those of a compiled step in one call."""
    if isinstance(step, native.Step):
        rows = [row for batch in documents for row in batch]
        size = len(documents[0])
        yield from step.train(rows, optimizer, batch_size=size, schedule=rate, seed=None).steps
        return
    for i, batch in enumerate(documents):
        optimizer.learning_rate = rate(i)
        optimizer.zero_grad()
        loss = step(batch)
        optimizer.step()
        yield loss


def batches(rows: list[Row], size: int) -> Iterator[list[Row]]:
    """Batches without end: all rows in turn, and then again."""
    if not rows:
        raise ValueError("there are no documents to train on")
    in_turn = cycle(rows)
    while True:
        yield list(islice(in_turn, size))


def sample(
    model: GPT, predict: Predictor, number: int, temperature: float = 0.5, seed: int = 42
) -> list[str]:
    """New documents. All are written at once: a call of `predict` adds a letter to each.

    temperature: near 0 the likeliest letter is taken; 1 is chance as the model learned it.
    """
    draw, size = random.Random(seed), len(model.letters)
    texts = [END] * number
    for place in range(model.positions):
        table = predict([model.one_hots(text, model.positions) for text in texts])
        choice = model.letters if place else model.letters[:-1]  # no document is without a letter
        for i, row in enumerate(table):
            logits = [float(x) for x in row[place * size :][: len(choice)]]
            largest = max(logits)
            powers = [math.exp((logit - largest) / temperature) for logit in logits]
            [letter] = draw.choices(choice, powers)
            texts[i] += letter
    return [text[1:].partition(END)[0] for text in texts]


# --- Files --------------------------------------------------------------------------------------


def read_documents(path: Path) -> list[str]:
    """The lines of a text file, without blanks around them and without empty lines.

    A ValueError says what is wrong with the file.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: byte {error.start} is not") from error
    if "\0" in text:
        raise ValueError(f"{path} is no text: it holds a zero byte, as binary files do")
    documents = [line.strip() for line in text.splitlines() if line.strip()]
    if not documents:
        raise ValueError(f"{path} is empty: write one document, such as a name, on each line")
    return documents


def that_fit(documents: list[str], positions: int) -> list[str]:
    """The documents that fit, with their end; the others are left out, not cut.

    For a document that is cut has no end, and the model would not learn to come to one.
    """
    fitting = [document for document in documents if len(document) < positions]
    if not fitting:
        shortest = min(map(len, documents)) + 1
        raise ValueError(
            f"no line fits into {positions} positions, with its end: the shortest needs {shortest}"
        )
    return fitting


def alphabet(documents: list[str]) -> str:
    """Each letter that is used, and `END`."""
    letters = sorted(set("".join(documents)))
    if len(letters) >= MOST_LETTERS:
        raise ValueError(
            f"the documents use {len(letters)} different letters, and each is an input at each "
            f"position: that makes too large a graph above {MOST_LETTERS}"
        )
    return "".join([*letters, END])


# --- The command line ---------------------------------------------------------------------------


def main() -> None:
    options = parsed()
    draw = random.Random(options.seed)
    try:
        documents = read_documents(options.file)
        kept = that_fit(documents, options.positions)
        draw.shuffle(kept)
        model = GPT(alphabet(kept), options.positions, options.width, options.heads,
                    options.layers, draw)  # fmt: skip
    except ValueError as error:
        raise SystemExit(f"microgpt: {error}") from error
    longest = options.positions - 1
    print(f"{options.file.name}: {len(documents):,} documents, ", end="")
    print(f"{len(kept):,} of them with at most {longest} letters, the others are left out")
    print(f"{len(model.letters)} letters, the end among them; {len(model.parameters()):,} weights")

    rows = [model.row(document) for document in kept]
    apart = min(len(rows) // 10, 200)
    training, test = rows[: len(rows) - apart], rows[len(rows) - apart :]
    step, predict = built(model, options)
    before = step(test) if test else math.nan  # `train` forgets the gradients of this
    training_steps = train(model, step, training, options.steps, options.batch,
                           options.learning_rate)  # fmt: skip
    try:
        losses = followed(training_steps, options.steps)
    except FloatingPointError as error:  # a compiled step stops there
        reason = str(error).partition(" in step")[0]
        raise SystemExit(f"microgpt: {reason}: lower --learning-rate") from error
    if losses and not math.isfinite(losses[-1]):
        raise SystemExit(f"microgpt: the loss became {losses[-1]}: lower --learning-rate")
    if losses:
        print(f"loss of the last steps: {recent(losses):.2f}")
    if test:
        after = step(test)
        print(f"loss of {apart} documents kept apart: {before:.2f} before, {after:.2f} after")

    known = set(documents)
    print("\nnew ones (* stands in the file as well):")
    for text in sample(model, predict, options.samples, options.temperature, options.seed):
        print(f"  {text}{' *' if text in known else ''}")


def built(model: GPT, options: argparse.Namespace) -> tuple[Step, Predictor]:
    if options.eager:
        return eager_step(model), eager_predictor(model)
    say("compiling …")
    start = time.perf_counter()
    try:
        step = compiled_step(model, options.target)
        predict = compiled_predictor(model, step.target)
    except ImportError as error:
        raise SystemExit(f"microgpt: {error}") from error
    say(f"compiled in {time.perf_counter() - start:.1f} s, to {step.target} code")
    return step, predict


def followed(losses: Iterator[float], steps: int) -> list[float]:
    """All losses, in the end; meanwhile a bar, or ten lines where tqdm is not installed.

    Ctrl-C ends the training, and keeps what was learned.
    """
    try:
        from tqdm import tqdm
    except ImportError:
        bar = None
    else:
        bar = tqdm(total=steps, unit="step")
    found: list[float] = []
    try:
        for i, loss in enumerate(losses, start=1):
            found.append(loss)
            if bar is not None:
                bar.set_postfix(loss=f"{recent(found):.2f}", refresh=False)
                bar.update()
            elif i * 10 // steps > (i - 1) * 10 // steps:
                say(f"step {i:,} of {steps:,}: loss {recent(found):.2f}")
    except KeyboardInterrupt:
        say("stopped early")
    finally:
        if bar is not None:
            bar.close()
    return found


def recent(losses: list[float]) -> float:
    """A batch is a small sample: the mean of the last ones tells more than the last."""
    return fmean(losses[-50:])


def say(text: str) -> None:
    """What depends on the machine, or passes by, is not part of the result."""
    print(text, file=sys.stderr, flush=True)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train a small GPT, made of scalars, on lines of text; and let it write more."
    )

    def whole(text: str) -> int:
        if not text.isdecimal() or not int(text):
            raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, but got {text}")
        return int(text)

    def positive(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not 0 < number < math.inf:
            raise argparse.ArgumentTypeError(f"expected a number above 0, but got {text}")
        return number

    parser.add_argument(
        "file", type=Path, nargs="?", default=NAMES, help="one document a line (default: names)"
    )
    for name, kind, default, text in (
        ("steps", whole, 1000, "steps of training"),
        ("batch", whole, 1, "documents in a step"),
        ("positions", whole, 16, "letters predicted; longer documents are left out, not cut"),
        ("width", whole, 16, "numbers that stand for a letter; a multiple of the heads"),
        ("heads", whole, 4, "heads of attention"),
        ("layers", whole, 1, "blocks of attention and MLP"),
        ("learning-rate", positive, 0.01, "of the first step; it falls to 0"),
        ("seed", int, 42, "of all that is left to chance"),
        ("samples", whole, 20, "documents to write in the end"),
        ("temperature", positive, 0.5, "near 0 for the likeliest letters, 1 for all as learned"),
    ):
        parser.add_argument(
            f"--{name}", type=kind, default=default, metavar="N", help=f"{text} ({default})"
        )
    parser.add_argument("--target", choices=["auto", "native", "numpy", "python"], default="auto")
    parser.add_argument("--eager", action="store_true", help="do not compile")
    return parser.parse_args()


if __name__ == "__main__":
    main()
