"""The GPT of demos/microgpt.py: its graph, its gradients, its training, and the program."""

from __future__ import annotations

import doctest
import importlib.util
import itertools
import math
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from benchmarks.microgpt_original import PUBLISHED, microgpt, our_losses

import microgrant
from microgrant.engine import Value, topological_order
from microgrant.optim import Adam

DEMOS = Path(__file__).parents[2] / "demos"
SCRIPT = DEMOS / "microgpt.py"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
TARGETS = ("native", "python")
TINY = ("--positions", "4", "--width", "4", "--heads", "2", "--steps", "3", "--batch", "4")


END = microgpt.END


def small(documents: list[str], positions: int = 5, **options: Any) -> Any:
    options = {"width": 4, "heads": 2, "draw": random.Random(1)} | options
    return microgpt.GPT(microgpt.alphabet(documents), positions, **options)


def values(row: list[float]) -> list[Value]:
    return [Value(x) for x in row]


def loss_and_gradients(model: Any, row: list[float]) -> list[float]:
    model.zero_grad()
    loss = model.loss(values(row))
    loss.backward()
    return [loss.data, *(p.grad for p in model.parameters())]


def logits(model: Any, text: str) -> list[list[float]]:
    [row] = microgpt.eager_predictor(model)([model.one_hots(text, model.positions)])
    size = len(model.letters)
    return [row[i : i + size] for i in range(0, len(row), size)]


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest, lacking: Callable[[str], NoReturn]) -> str:
    if request.param == "native" and not importlib.util.find_spec("llvmlite"):
        lacking("llvmlite is not installed")
    return str(request.param)


def test_examples_in_its_docstrings() -> None:
    failed, attempted = doctest.testmod(microgpt)
    assert attempted
    assert not failed


# --- The list of names --------------------------------------------------------------------------


def test_names_are_sorted_and_distinct_and_in_plain_letters() -> None:
    names = (DEMOS / "names.txt").read_text(encoding="ascii").splitlines()
    assert len(names) >= 1000
    assert names == sorted(set(names))
    assert {*"".join(names)} == {*LETTERS}
    assert microgpt.read_documents(microgpt.NAMES) == names


# --- From text to numbers -----------------------------------------------------------------------


def test_a_row() -> None:
    model = small(["ba"], positions=4)
    assert model.letters == "ab" + END
    a, b, end, nothing = [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]
    assert model.row("ba") == [*end, *b, *a, *end, *nothing, 1 / 3, 1 / 3, 1 / 3, 0]
    assert model.row("") == [*end, *end, *nothing, *nothing, *nothing, 1, 0, 0, 0]
    assert model.row("aaa")[-4:] == [1 / 4] * 4


def test_a_document_that_is_too_long() -> None:
    with pytest.raises(ValueError, match="'abba' and its end need 5 positions, but there are 4"):
        small(["ab"], positions=4).row("abba")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: write one document"),
        (b"\n \n\t\n", "is empty: write one document"),
        (b"anna\n\xff\xfe", "is no text in UTF-8: byte 5 is not"),
        (b"an\0na", "is no text: it holds a zero byte"),
    ],
)
def test_files_that_are_no_documents(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        microgpt.read_documents(file)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.txt", tmp_path):
        with pytest.raises(ValueError, match=f"{path.name} cannot be read: "):
            microgpt.read_documents(path)


def test_lines_become_documents(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_bytes("\ufeff zoë\r\n\r\nanna maria\nzoë".encode())
    documents = microgpt.read_documents(file)
    assert documents == ["zoë", "anna maria", "zoë"]
    assert microgpt.alphabet(documents) == " aimnorzë" + END


def test_what_is_too_long_is_left_out() -> None:
    assert microgpt.that_fit(["anna", "eve", "adam"], 4) == ["eve"]
    with pytest.raises(ValueError, match=r"no line fits into 4 positions.*the shortest needs 5"):
        microgpt.that_fit(["anna", "maria"], 4)


def test_an_alphabet_that_is_too_large() -> None:
    with pytest.raises(ValueError, match="use 300 different letters"):
        microgpt.alphabet(["".join(map(chr, range(0x4E00, 0x4E00 + 300)))])


# --- The graph ----------------------------------------------------------------------------------


def shape(root: Value) -> list[tuple[str, tuple[int, ...]]]:
    order = topological_order(root)
    place = {node: i for i, node in enumerate(order)}
    return [(node._op, tuple(place[x] for x in node._prev)) for node in order]


def test_its_size() -> None:
    model = microgpt.GPT(LETTERS + END)
    assert len(model.parameters()) == 4192  # as many as the original has
    assert 140_000 <= len(topological_order(model.loss(values(model.row("anna"))))) <= 150_000
    tiny = microgpt.GPT(LETTERS + END, positions=3, width=2, heads=1)
    assert len(topological_order(tiny.loss(values(tiny.row("ev"))))) < 3_000


def test_all_documents_make_the_same_graph() -> None:
    model = small(["anna", "eve"])
    shapes = [shape(model.loss(values(model.row(x)))) for x in ("anna", "eve", "")]
    assert shapes[0] == shapes[1] == shapes[2]


def test_layers_and_heads() -> None:
    with pytest.raises(ValueError, match="the width is a multiple of the heads, but 6 is not of 4"):
        small(["ab"], width=6, heads=4)
    one, two = (small(["ab"], layers=layers) for layers in (1, 2))
    assert len(two.parameters()) - len(one.parameters()) == 12 * 4**2
    names = [name for name, _ in two.named_parameters()]
    assert "blocks[1].attention.query.rows[3][0]" in names


def test_a_later_letter_does_not_change_an_earlier_prediction() -> None:
    model = small(["abc"], layers=2)
    text = END + "abca"
    before = logits(model, text)
    for place, letter in itertools.product(range(len(text)), model.letters):
        if text[place] == letter:
            continue
        after = logits(model, text[:place] + letter + text[place + 1 :])
        assert after[:place] == before[:place]
        assert all(new != old for new, old in zip(after[place:], before[place:], strict=True))


def test_padding_counts_in_nothing() -> None:
    model = small(["anna", "eve"], positions=6)
    row = model.row("eve")
    found = loss_and_gradients(model, row)

    size, length = len(model.letters), len("eve") + 1
    rubbish = list(row)
    padding = range((length + 1) * size, (model.positions + 1) * size)
    for i in padding:
        rubbish[i] = random.Random(i).gauss(0, 1)
    assert loss_and_gradients(model, rubbish) == found

    names = ["loss", *(name for name, _ in model.named_parameters())]
    gone = ("place[4]", "place[5]")
    kept = [x for name, x in zip(names, found, strict=True) if not name.startswith(gone)]
    model.place, model.positions = model.place[:length], length  # the same, without padding
    assert loss_and_gradients(model, model.row("eve")) == pytest.approx(kept, rel=1e-12, abs=1e-15)


def test_the_loss_of_one_who_knows_nothing() -> None:
    model = microgpt.GPT(LETTERS + END, width=4)
    rows = [model.row(x) for x in ("anna", "eve", "xqzj")]
    untrained = microgpt.eager_step(model)(rows)
    assert untrained == pytest.approx(math.log(27), abs=0.1)
    for weight in itertools.chain(*model.head.rows):
        weight.data = 0.0
    assert microgpt.eager_step(model)(rows) == pytest.approx(math.log(27), rel=1e-14)


def test_losses_and_gradients_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    model = small(["anna", "eve", "noah"], positions=6, width=6, heads=3, layers=2)
    draw = random.Random(5)
    for p in model.parameters():
        p.data = draw.uniform(-0.8, 0.8)  # larger than at the start, so that attention attends
    for document in ("anna", "noah", "eve", "a"):
        expected = torch_loss_and_gradients(torch, model, document)
        found = loss_and_gradients(model, model.row(document))
        assert found == pytest.approx(expected, rel=1e-10, abs=1e-14)


def torch_loss_and_gradients(torch: Any, model: Any, document: str) -> list[float]:
    """The same with PyTorch's layers: letters enter as indices, and nothing is padded."""
    functional, made = torch.nn.functional, []

    def tensor(rows: list[list[Value]]) -> Any:
        numbers = [[x.data for x in row] for row in rows]
        made.append(torch.tensor(numbers, dtype=torch.float64, requires_grad=True))
        return made[-1]

    def norm(x: Any) -> Any:
        return functional.rms_norm(x, x.shape[-1:], eps=1e-5)

    tokens = torch.tensor([model.letters.index(x) for x in END + document + END])
    letter, place, head = map(tensor, (model.letter.rows, model.place, model.head.rows))
    x = norm(functional.embedding(tokens[:-1], letter) + place[: len(tokens) - 1])
    for block in model.blocks:
        attention, seen = block.attention, norm(x)
        parts = []
        for linear in (attention.query, attention.key, attention.content):
            whole = functional.linear(seen, tensor(linear.rows))
            parts.append(whole.unflatten(1, (len(attention.heads), -1)).transpose(0, 1))
        heard = functional.scaled_dot_product_attention(*parts, is_causal=True)
        x = x + functional.linear(heard.transpose(0, 1).flatten(1), tensor(attention.output.rows))
        hidden = functional.linear(norm(x), tensor(block.mlp.widen.rows)).relu()
        x = x + functional.linear(hidden, tensor(block.mlp.narrow.rows))
    loss = functional.cross_entropy(functional.linear(x, head), tokens[1:])
    loss.backward()
    return [loss.item(), *itertools.chain(*(x.grad.flatten().tolist() for x in made))]


# --- The losses that are published ---------------------------------------------------------------

# The first thousand of the 32,033 names of https://github.com/karpathy/makemore (MIT licence), in
# the order into which `random.seed(42)` shuffles them. (They are those of the births of 2018 in the
# United States, which are in the public domain.)
DOCUMENTS = Path(__file__).with_name("documents.txt").read_text(encoding="ascii").split()


@pytest.mark.slow
def test_the_first_losses_are_those_that_the_original_prints() -> None:
    losses = our_losses(DOCUMENTS[:8], 32_033, microgpt.eager_step)
    assert losses == [PUBLISHED[i] for i in range(1, 9)]


@pytest.mark.campaign
def test_a_thousand_losses_are_those_of_the_original(lacking: Callable[[str], NoReturn]) -> None:
    if not importlib.util.find_spec("llvmlite"):
        lacking("llvmlite is not installed")
    losses = our_losses(DOCUMENTS, 32_033, microgpt.compiled_step)
    assert len(losses) == 1000
    assert {i: losses[i - 1] for i in PUBLISHED} == PUBLISHED


# --- Compiled and eager -------------------------------------------------------------------------

NAMES = ["anna", "eve", "noah", "adam", "ada", "otto", "nora", "mina", "tom", "ian"]


def losses_of_20_steps(make_step: Callable[..., Any], *options: str) -> list[float]:
    model = small(NAMES)
    step = make_step(model, *options)
    return list(microgpt.train(model, step, [model.row(x) for x in NAMES], steps=20, batch=4))


@pytest.mark.slow
def test_20_steps_compiled_are_20_steps_eager(target: str) -> None:
    eager = losses_of_20_steps(microgpt.eager_step)
    compiled = losses_of_20_steps(microgpt.compiled_step, target)
    assert len(eager) == 20
    assert eager[-1] < eager[0] - 0.1
    assert compiled == pytest.approx(eager, rel=0, abs=1e-9)


def test_the_order_of_documents_does_not_matter(target: str) -> None:
    model = small(NAMES)
    step = microgpt.compiled_step(model, target)
    rows = [model.row(x) for x in NAMES]
    weights = [p.data for p in model.parameters()]
    loss, gradient = step.value_and_grad(weights, rows)
    for seed in range(3):
        shuffled = random.Random(seed).sample(rows, len(rows))
        loss_again, gradient_again = step.value_and_grad(weights, shuffled)
        assert loss_again == pytest.approx(loss, rel=1e-12)
        assert list(gradient_again) == pytest.approx(list(gradient), rel=1e-9, abs=1e-15)


def test_large_weights_do_not_overflow(target: str) -> None:
    model = small(NAMES)
    step = microgpt.compiled_step(model, target)
    for p in model.parameters():
        p.data *= 1000.0
    rows = [model.row(x) for x in NAMES]
    loss = step(rows)
    gradients = [p.grad for p in model.parameters()]
    assert loss > 1000  # scores beyond what exp can take
    assert all(map(math.isfinite, gradients))
    model.zero_grad()
    assert microgpt.eager_step(model)(rows) == pytest.approx(loss, rel=1e-12)
    assert [p.grad for p in model.parameters()] == pytest.approx(gradients, rel=1e-9, abs=1e-9)


def test_a_predictor_follows_the_weights(target: str) -> None:
    model = small(NAMES)
    compiled = microgpt.compiled_predictor(model, target)
    eager = microgpt.eager_predictor(model)
    rows = [model.one_hots(text, model.positions) for text in (END, END + "an", END + "noah")]
    seen = []
    for _ in range(2):
        for found, expected in zip(compiled(rows), eager(rows), strict=True):
            seen.append(list(found))
            assert seen[-1] == pytest.approx(expected, rel=1e-12, abs=1e-14)
        for p in model.parameters():
            p.data += 0.1
    assert seen[:3] != seen[3:]


# --- Training, and writing ----------------------------------------------------------------------


def test_batches_go_through_all_rows_in_turn() -> None:
    rows = [[float(i)] for i in range(5)]
    first = list(itertools.islice(microgpt.batches(rows, 3), 4))
    assert first == [rows[:3], rows[3:] + rows[:1], rows[1:4], rows[4:] + rows[:2]]
    assert len(next(microgpt.batches(rows, 12))) == 12
    with pytest.raises(ValueError, match="there are no documents to train on"):
        next(microgpt.batches([], 4))


def test_the_learning_rate_falls_to_zero_in_a_straight_line() -> None:
    model = small(["ab"])
    weight = model.parameters()[0]
    seen = [weight.data]

    def step(rows: Any) -> float:
        for p in model.parameters():
            p.grad = 1.0  # always the same: then Adam goes as far as the learning rate
        return 0.0

    for _ in microgpt.train(model, step, [model.row("ab")], steps=4, learning_rate=0.1):
        seen.append(weight.data)
    lengths = [before - after for before, after in itertools.pairwise(seen)]
    assert lengths == pytest.approx([0.1, 0.075, 0.05, 0.025], rel=1e-6)


def test_it_is_adam_with_these_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def adam(parameters: Any, **options: Any) -> Adam:
        seen.append(options)
        return Adam(parameters, **options)

    monkeypatch.setattr(microgpt, "Adam", adam)
    losses_of_20_steps(microgpt.eager_step)
    assert seen == [{"learning_rate": 0.01, "betas": (0.85, 0.99)}]


def test_it_learns_a_name_by_heart() -> None:
    model = small(["anna"])
    step = microgpt.compiled_step(model, "python")
    *_, last = microgpt.train(model, step, [model.row("anna")], steps=200)
    assert last < 0.05
    predict = microgpt.compiled_predictor(model, "python")
    assert set(microgpt.sample(model, predict, 10, temperature=0.5)) == {"anna"}


def test_samples() -> None:
    model = small(["anna", "eve"])
    predict = microgpt.compiled_predictor(model, "python")
    texts = microgpt.sample(model, predict, 60, temperature=1.0, seed=3)
    assert len(texts) == 60
    assert len(set(texts)) > 10
    assert {*"".join(texts)} == {*"anev"}
    assert {len(text) for text in texts} == {1, 2, 3, 4, 5}  # never empty, up to all positions
    assert texts == microgpt.sample(model, predict, 60, temperature=1.0, seed=3)
    assert texts != microgpt.sample(model, predict, 60, temperature=1.0, seed=4)
    assert len(set(microgpt.sample(model, predict, 30, temperature=1e-6))) == 1
    assert len(set(microgpt.sample(model, predict, 30, temperature=1e-320))) == 1


def test_a_likelier_letter_is_sampled_more_often() -> None:
    model = small(["ab"], positions=1)
    table = [[math.log(3.0), 0.0, 0.0]]  # for "a", "b" and the end
    texts = microgpt.sample(model, lambda rows: table * len(rows), 4000, temperature=1.0)
    assert texts.count("a") / 4000 == pytest.approx(3 / 4, abs=0.03)
    sharper = microgpt.sample(model, lambda rows: table * len(rows), 4000, temperature=0.5)
    assert sharper.count("a") / 4000 == pytest.approx(9 / 10, abs=0.03)


def test_the_loss_that_is_shown_is_a_mean_of_the_last() -> None:
    assert microgpt.recent([2.0, 4.0]) == 3.0
    assert microgpt.recent([9.0] * 10 + [1.0] * 50) == 1.0


def test_ctrl_c_ends_the_training_only(capsys: pytest.CaptureFixture[str]) -> None:
    def losses() -> Iterator[float]:
        yield 3.0
        yield 2.0
        raise KeyboardInterrupt

    assert microgpt.followed(losses(), 10) == [3.0, 2.0]
    assert "stopped early" in capsys.readouterr().err


# --- The program --------------------------------------------------------------------------------


def run(*options: str, path: str = "") -> subprocess.CompletedProcess[str]:
    package = Path(microgrant.__file__).parent.parent  # the package that we test
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [path, str(package)])),
        "PYTHONUTF8": "1",
    }
    return subprocess.run(
        [sys.executable, str(SCRIPT), *options],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env=environment,
    )


def test_the_program_trains_and_writes() -> None:
    result = run(*TINY, "--samples", "7", "--target", "python")
    assert result.returncode == 0, result.stderr
    head, samples = result.stdout.split("\n\n")
    assert "names.txt: 10,1" in head
    assert "with at most 3 letters, the others are left out" in head
    assert "27 letters, the end among them; 424 weights" in head
    assert "documents kept apart: 3." in head
    title, *texts = samples.splitlines()
    assert title.startswith("new ones")
    assert len(texts) == 7
    known = {*microgpt.read_documents(microgpt.NAMES)}
    for text in texts:
        new = text.removesuffix(" *").strip()
        assert 1 <= len(new) <= 4
        assert (new in known) == text.endswith(" *")
    assert "compiled in" in result.stderr


@pytest.mark.campaign
def test_the_program_repeats_itself_and_agrees_with_itself_eager() -> None:
    first, again, eager, other = (
        run(*TINY, *options).stdout for options in ([], [], ["--eager"], ["--seed", "7"])
    )
    assert first
    assert first == again == eager
    assert other != first


@pytest.mark.slow
@pytest.mark.parametrize("installed", [True, False])
def test_the_program_shows_how_far_it_is(
    installed: bool, tmp_path: Path, lacking: Callable[[str], NoReturn]
) -> None:
    if installed:
        if not importlib.util.find_spec("tqdm"):
            lacking("tqdm is not installed")
    else:
        (tmp_path / "tqdm.py").write_text("raise ImportError", encoding="utf-8")
    result = run(*TINY, "--steps", "20", "--eager", path=str(tmp_path))
    assert result.returncode == 0, result.stderr
    if installed:
        assert "20/20" in result.stderr
        assert "loss=" in result.stderr
    else:
        lines = result.stderr.splitlines()
        assert [line.partition(":")[0] for line in lines] == [
            f"step {i} of 20" for i in range(2, 21, 2)
        ]


def test_the_program_reads_a_file(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_text("ja\nnein\nvielleicht\njö\n", encoding="utf-8")
    result = run(str(file), *TINY, "--eager", "--samples", "6", "--temperature", "1e-6")
    assert result.returncode == 0, result.stderr
    assert "own.txt: 4 documents, 2 of them with at most 3 letters" in result.stdout
    assert "4 letters, the end among them" in result.stdout
    assert "kept apart" not in result.stdout  # of two, none can be spared
    samples = result.stdout.splitlines()[-6:]
    assert len(set(samples)) == 1  # as cold as that, there is no chance


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty: write one document, such as a name, on each line"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is no text in UTF-8: byte 0 is not"),
        (b"mississippi", "no line fits into 4 positions, with its end: the shortest needs 12"),
    ],
)
def test_the_program_says_what_is_wrong_with_a_file(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "own.txt"
    if content is not None:
        file.write_bytes(content)
    result = run(str(file), *TINY)
    assert result.returncode == 1
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("microgpt: ")
    assert line.endswith(message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--steps", "0"], "--steps: expected a whole number from 1 on, but got 0"),
        (["--batch", "many"], "--batch: expected a whole number from 1 on, but got many"),
        (["--learning-rate", "-1"], "--learning-rate: expected a number above 0, but got -1"),
        (["--temperature", "nan"], "--temperature: expected a number above 0, but got nan"),
        (["--target", "gpu"], "invalid choice: 'gpu'"),
    ],
)
def test_the_program_says_what_is_wrong_with_an_option(options: list[str], message: str) -> None:
    result = run(*options)
    assert result.returncode == 2
    assert message in result.stderr


def test_the_program_says_that_heads_share_the_width() -> None:
    result = run("--width", "6")
    assert result.returncode == 1
    assert result.stderr == "microgpt: the width is a multiple of the heads, but 6 is not of 4\n"


@pytest.mark.parametrize("way", [["--eager"], ["--target", "python"]])
def test_the_program_says_what_to_do_when_the_loss_is_lost(way: list[str]) -> None:
    result = run(*TINY, *way, "--learning-rate", "1e200")
    assert result.returncode == 1
    assert re.search(r"microgpt: .+ nan.*: lower --learning-rate", result.stderr)
    assert "Traceback" not in result.stderr
