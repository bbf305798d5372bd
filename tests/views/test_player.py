"""The player in a browser: what it shows is what Python's record says, whatever one does to it."""

from __future__ import annotations

import base64
import math
import os
import random
import re
import shutil
import sys
import time
import types
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from browser import Browser

from microgrant import Value, define, explain, grad, where
from microgrant.engine import apply, topological_order
from microgrant.extras import in_browser
from microgrant.nn import MLP
from microgrant.ops import OPERATIONS, clip, power
from microgrant.ops.numbers import equals, number
from microgrant.views import MISTAKES, THEMES, Contribution, Forward, Record, Seed, record
from microgrant.views.events import Event
from microgrant.views.graph import Graph, Link, spans
from microgrant.views.player import LARGEST, TooLargeError, layout, page
from tests.graphs import MICROGRANT, Program, random_program, run

TOLERANCE = 1e-12


def neuron() -> Value:
    given = {"x1": 2.0, "x2": 0.0, "w1": -3.0, "w2": 1.0, "b": 6.8813735870195432}
    x1, x2, w1, w2, b = (Value(x, label=name) for name, x in given.items())
    out = (x1 * w1 + x2 * w2 + b).tanh()
    out.label = "o"
    return out


def doubled() -> Value:
    """The smallest graph that needs a topological order."""
    a = Value(2.0, label="a")
    b = a + a
    c = b + b
    b.label, c.label = "b", "c"
    return c


MODELS: list[MLP] = []  # a drawing asks modules for their names, so they have to live on


def network(*widths: int) -> Value:
    random.seed(7)
    MODELS.append(MLP(2, widths, activation="tanh"))
    out = MODELS[-1]([Value(1.0, label="x1"), Value(-2.0, label="x2")])
    loss: Value = (1 - out) ** 2
    loss.label = "loss"
    return loss


# --- The file -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "most"), [(neuron, 190_000), (lambda: network(16, 16, 1), 3_000_000)]
)
def test_size(make: Callable[[], Value], most: int) -> None:
    assert len(page(make()).encode()) < most


def test_too_large_a_graph_says_what_to_do() -> None:
    total = Value(0.0)
    for _ in range(LARGEST):
        total = total + 1
    with pytest.raises(TooLargeError, match="one example rather than of a batch"):
        page(total)


def test_no_value_is_an_error() -> None:
    with pytest.raises(TypeError, match="page needs a Value, but got list"):
        page([Value(1.0)])  # type: ignore[arg-type]


def test_the_same_graph_gives_the_same_page() -> None:
    assert page(neuron()) == page(neuron())


def test_the_table_holds_every_event() -> None:
    step = record(neuron())
    document = page(neuron())
    for place in range(len(step)):
        assert f"<td>{step.line(place + 1)}</td>" in document


def product_with_a_constant() -> Value:
    root = Value(2.0, label="x") * 1.1
    root.label = "y"
    return root


def test_rows_of_constants_are_quiet() -> None:
    rows = re.findall(
        r'<tr class="(.*?)">.*?<td>([^<]*)</td></tr>', page(product_with_a_constant())
    )
    assert rows == [
        ("forward", "given: x = 2"),
        ("forward", "y = x × 1.1 = 2 × 1.1 = 2.2"),
        ("backward", "y.grad: 1 (the seed)"),
        ("backward", "x.grad: 0 + upstream 1 × ∂y/∂x 1.1 = 0 + 1.1 → 1.1"),
        ("backward constant", "(constant 1.1).grad: 0 + upstream 1 × ∂y/∂1.1 (= x) 2 = 0 + 2 → 2"),
    ]


def test_titles() -> None:
    assert "<title>o: one step of backpropagation</title>" in page(neuron())
    document = page(neuron(), title='tanh(w1*x1 + "b")')
    escaped = "tanh(w1*x1 + &quot;b&quot;)"
    assert f"<title>{escaped}</title>" in document
    assert f'<h1 title="{escaped}">{escaped}</h1>' in document


def test_long_names_keep_their_index() -> None:
    a = Value(2.0, label="layers[0].neurons[1].w[0]")
    assert ">layers[0].n…rons[1].w[0]<" in page(a * a)


@pytest.mark.parametrize("dot", [True, False])
@pytest.mark.parametrize("widths", [(2, 1), (3, 1), (2, 4, 1), (4, 4, 1), (5, 4, 3, 1)])
def test_siblings_are_stacked_from_the_top(
    widths: tuple[int, ...], dot: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neurons, open or folded, stand in the order of their indices when the page opens: with the
    program dot, which may be an old one, and with what pygraphviz brings along."""
    if not dot:
        monkeypatch.setenv("PATH", str(tmp_path))
    first = page(network(*widths)).split("<template>")[0]
    place = r'translate\((\d+) (\d+)\)"><rect[^>]*/><text[^>]*>(neurons\[\d+\])'
    columns: dict[int, list[tuple[int, str]]] = {}
    for x, y, name in re.findall(place, first):
        columns.setdefault(int(x), []).append((int(y), name))
    assert [len(columns[x]) for x in sorted(columns)] == list(widths)
    for column in columns.values():
        names = [name for _, name in sorted(column)]
        assert names == [name for _, name in column]  # the order of the Tab key
        assert names == sorted(names)


def crowded(kind: str, count: int) -> Value:
    x = Value(1.0, label="x")
    values = [x]
    for place in range(1, count):
        values.append(values[-1] + (x if kind == "leaf" else values[place // 2]))
    return values[-1]


@pytest.mark.parametrize("kind", ["leaf", "halves"])
@pytest.mark.parametrize("count", [20, 120, 300, 3_000])
@pytest.mark.skipif(in_browser(), reason="there is no Graphviz")
def test_graphviz_is_told_of_few_long_edges(
    monkeypatch: pytest.MonkeyPatch, kind: str, count: int
) -> None:
    """The others are drawn above the picture: what is laid out is bounded, what is shown is not."""
    sources: list[str] = []

    def lay_out(given: Sequence[str]) -> list[dict[str, Any]]:
        sources.extend(given)
        return graphviz(given)

    graphviz = layout._graphviz
    monkeypatch.setattr(layout, "_graphviz", lay_out)
    document = page(crowded(kind, count))
    beyond = 0
    for source in sources:
        edges: list[Link] = [
            (int(tail), int(head), None)
            for tail, head in re.findall(r"[nb](\d+) -> [nb](\d+)", source)
        ]
        beyond += sum(spans(edges)) - len(edges)
        if len(edges) < 100:
            assert "nslimit" not in source
    assert beyond <= 10_000
    paths = re.findall(r'<path class="edge reached" data-use="(\d+-\d)" d="(M[^"]+)"', document)
    assert len({use for use, _ in paths}) == 2 * (count - 1) or count > 300
    above = [path for _, path in paths if "H" in path]
    assert bool(above) == (count > 20)
    numbers = [float(number) for path in above for number in re.findall(r"-?[\d.]+", path)]
    assert min(numbers, default=0) >= 0  # inside of the picture


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def stand_in_for_dot(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "dot"
    program.write_text(f"#!{shutil.which('sh')}\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def is_laid_out(document: str) -> bool:
    """Whether a page shows the ten values of the neuron, and the nine uses of them."""
    return (document.count('data-node="'), document.count('data-use="')) == (10, 9)


@pytest.mark.skipif(os.name == "nt", reason="a stand-in for dot is a script for a shell")
@pytest.mark.parametrize(
    "script",
    [
        "while read -r line; do :; done; echo 'Format: \"json0\" not recognized.' >&2; exit 1",
        "while read -r line; do :; done; echo nothing of use",
        "while read -r line; do :; done; echo '{\"bb\": '",
        "kill -9 $$",
    ],
)
def test_a_broken_dot_gives_way_to_pygraphviz(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pygraphviz")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        whole = page(neuron())
    stand_in_for_dot(tmp_path, monkeypatch, script)
    assert page(neuron()) == whole
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    assert is_laid_out(page(neuron()))


def test_a_pygraphviz_without_graphviz_gives_way_to_our_own_layout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class AGraph:
        """That of a version before 2.0, which looks for the program dot as well."""

        def __init__(self, **_: Any) -> None: ...

        def draw(self, **_: Any) -> bytes:
            raise ValueError("Program dot not found in path.")

    old = types.ModuleType("pygraphviz")
    monkeypatch.setattr(old, "AGraph", AGraph, raising=False)
    monkeypatch.setitem(sys.modules, "pygraphviz", old)
    monkeypatch.setenv("PATH", "")
    assert is_laid_out(page(neuron()))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_in_the_page_without_javascript(mistake: str) -> None:
    step = record(doubled(), mistake=mistake)
    document = page(doubled(), mistake=mistake)
    for place in range(len(step)):
        assert f"<td>{step.line(place + 1)}</td>" in document
    assert document.count('<tr class="') == len(step)
    assert f'<p id="table-note">With a mistake: {MISTAKES[mistake]}.</p>' in document
    assert f'a: value 2, gradient {number(step.gradients["a"])}"' in document


def test_an_unknown_mistake_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mistake is one of overwrite, .* but got 'typo'"):
        page(neuron(), mistake="typo")


@pytest.mark.parametrize("theme", THEMES)
def test_every_text_stands_out_from_every_ground(theme: str) -> None:
    colours = THEMES[theme]
    for text, ground in product(
        ("text", "quiet", "value", "gradient"), ("background", "node", "leaf", "cluster")
    ):
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


# --- Steps ----------------------------------------------------------------------------------------

SHOWN = """
const shown = [];
for (let step = 1; step <= arguments[0]; step++) {
  microgrant.go(step);
  const texts = {};
  for (const node of document.querySelectorAll('.view.open [data-node]:not(.stub)')) {
    const text = (name) => node.querySelector(name).textContent;
    texts[node.dataset.node] = [text('.data'), text('.grad')];
  }
  const all = Array.from(microgrant.data.values.keys());
  const exact = (f) => all.map((i) => f(i, step)).map((x) => (x === null ? null : String(x)));
  const line = microgrant.sentence(step);
  const below = [...document.querySelectorAll('#chain .below')].map((x) => x.textContent.trim());
  shown.push([texts, exact(microgrant.valueAt), exact(microgrant.gradientAt), line, below]);
}
return shown;
"""


def read(x: str | None) -> float | None:
    return None if x is None else float(x.replace("Infinity", "inf"))


def same(x: float | None, y: float | None, scale: float = 0.0) -> bool:
    """Equal; up to 1e-12 of the larger, or of `scale`, where two runs are compared."""
    if x is None or y is None:
        return x is y
    if x == y or (math.isnan(x) and math.isnan(y)):
        return True
    return abs(x - y) <= TOLERANCE * scale * max(1.0, abs(x), abs(y))


def numbers_of_chain(event: Event, mistake: str | None) -> list[str]:
    """What stands below the formulas of the chain rule, as the record has it."""
    if isinstance(event, Seed):
        return ["1"]
    if not isinstance(event, Contribution):
        return []
    local, share_of = bracketed(number(event.local)), number(event.contribution)
    before = "" if mistake == "overwrite" else f"{number(event.before)} +"
    exact = equals(event.before, event.upstream, event.local, event.after)
    share = equals(event.contribution) if exact == "=" else exact
    return [
        number(event.after),
        f"{exact} {before}".strip(),
        number(event.upstream),
        "·",
        local,
        f"{share} {before} {bracketed(share_of)}" if before else f"{share} {share_of}",
    ]


def bracketed(text: str) -> str:
    return f"({text})" if text.startswith("−") else text


def check_every_step(browser: Browser, step: Record, scale: float = 0.0) -> None:
    """Every number of every step is Python's, in the picture, in memory and in words."""
    for count, shown_at in enumerate(browser.run(SHOWN, len(step)), 1):
        texts, values, gradients, line, below = shown_at
        right_values, right_gradients = step.state(count)
        for shown, right in zip(map(read, values), right_values, strict=True):
            assert same(shown, right, scale), (count, shown, right)
        for shown, right in zip(map(read, gradients), right_gradients, strict=True):
            assert same(shown, right, scale), (count, shown, right)
        if scale:
            continue  # the last of four digits may be another, if rarely
        assert line == step.line(count)
        told = numbers_of_chain(step.events[count - 1], step.mistake)
        assert [x for x in below if not x.startswith("the seed")] == told
        for place, (data, gradient) in texts.items():
            value, reached = right_values[int(place)], right_gradients[int(place)]
            assert data == ("" if value is None else number(value))
            assert gradient == ("–" if reached is None else number(reached))


@pytest.mark.parametrize("make", [neuron, doubled, lambda: network(3, 1)])
def test_each_step_is_that_of_the_record(browser: Browser, make: Callable[[], Value]) -> None:
    root = make()
    browser.open(page(root))
    names = browser.run("return microgrant.data.names")
    step = record(root, dict(zip(names, Graph(root).order, strict=True)))
    check_every_step(browser, step)


def program_root(program: Program, leaves: list[float] | None = None) -> Value:
    given = [
        Value(x, label=f"x{i}") for i, x in enumerate(program.leaves if leaves is None else leaves)
    ]
    return run(program, given, MICROGRANT)[-1]  # type: ignore[no-any-return]


def check_random_graph(browser: Browser, seed: int) -> None:
    program = random_program(seed)
    browser.open(page(program_root(program)))
    check_every_step(browser, record(program_root(program)))
    rng = random.Random(seed)
    leaves = list(program.leaves)
    changed = rng.randrange(len(leaves))
    leaves[changed] += rng.uniform(-0.1, 0.1)
    place = browser.run("return microgrant.data.names.indexOf(arguments[0])", f"x{changed}")
    browser.click("#show-values")
    browser.set(f"#values-table input[data-leaf='{place}']", repr(leaves[changed]))
    check_every_step(browser, record(program_root(program, leaves)), scale=1.0)


@pytest.mark.parametrize("seed", range(4))
def test_random_graphs(browser: Browser, seed: int) -> None:
    check_random_graph(browser, seed)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(4, 200))
def test_more_random_graphs(browser: Browser, seed: int) -> None:
    check_random_graph(browser, seed)


NUMBERS = [
    "0",
    "-0",
    "1",
    "-1",
    "0.5",
    "1.0625",
    "1.0635",
    "1234.5",
    "12345.5",
    "12344.5",
    "99994.9",
    "99995",
    "9999.5",
    "9999.4",
    "1e-3",
    "0.00099995",
    "0.0009999499",
    "1e5",
    "1.23456e-7",
    "-1e300",
    "5e-324",
    "1.7976931348623157e308",
    "0.30000000000000004",
    "123456789",
    "0.1",
    "2.0005",
    "2.0015",
    "0.0625",
    "0.00048828125",
    "1e22",
    "1.0005",
    "100.05",
    "nan",
    "inf",
    "-inf",
]


def test_numbers_are_written_as_in_python(browser: Browser) -> None:
    browser.open(page(neuron()))
    rng = random.Random(0)
    numbers = [float(x) for x in NUMBERS]
    numbers += [rng.uniform(-10, 10) * 10 ** rng.randint(-8, 8) for _ in range(500)]
    numbers += [rng.randint(0, 2**20) / 2**7 for _ in range(500)]  # many ties
    written = browser.run(
        "return arguments[0].map((x) => microgrant.number(Number(x)))",
        [str(x).replace("inf", "Infinity").replace("nan", "NaN") for x in numbers],
    )
    assert written == list(map(number, numbers))


def test_what_is_given_is_there_when_the_page_opens(browser: Browser) -> None:
    browser.open(page(neuron()))
    assert browser.text("#half") == "given"
    assert browser.formula == "x1 = 2, w1 = −3, x2 = 0, w2 = 1, b ≈ 6.881"
    assert browser.text("#counter") == "1 / 16"
    assert browser.text("#aside") == "5 steps forward, then 10 backward. → or Space goes on."
    shown = "return [...document.querySelectorAll('[data-node] .data')].map((x) => x.textContent)"
    assert browser.run(shown) == ["2", "−3", "", "0", "1", "", "", "6.881", "", ""]
    active = "return [...document.querySelectorAll('.value.active')].map((x) => x.dataset.node)"
    assert browser.run(active) == ["0", "1", "3", "4", "7"]
    browser.press("g")  # nobody is asked to guess what is given
    browser.press("\ue014")
    assert browser.formula == "v1 = x1 × w1 = 2 × −3 = "
    browser.press("\ue011")
    assert browser.formula.startswith("x1 = 2, ")
    browser.open(page(network(3, 1)))
    assert browser.formula.endswith(".w[0] ≈ −0.3523, and 11 more")
    for hash in ("#step=0", "#step=-1", "#step=x"):
        browser.open(page(neuron()), hash)
        assert browser.step == 1


# --- Getting about --------------------------------------------------------------------------------


def test_keys(browser: Browser) -> None:
    from selenium.webdriver import ActionChains, Keys

    browser.open(page(neuron()))
    last = len(record(neuron()))
    assert browser.step == 1
    for key, step in [
        (Keys.ARROW_RIGHT, 2),
        (Keys.SPACE, 3),
        (Keys.PAGE_DOWN, 4),
        (Keys.ARROW_LEFT, 3),
        (Keys.PAGE_UP, 2),
        (Keys.END, last),
        (Keys.ARROW_RIGHT, last),
        ("b", 7),
        (Keys.HOME, 1),
        (Keys.ARROW_LEFT, 1),
    ]:
        browser.press(key)
        assert browser.step == step, key
    browser.press("b")
    assert browser.formula == "o.grad: 1 (the seed)"
    browser.wait(400)
    assert browser.run("return location.hash") == "#step=7"
    ActionChains(browser.driver).key_down(Keys.SHIFT).send_keys(" ").key_up(Keys.SHIFT).perform()
    assert browser.step == 6


def test_keys_for_the_look(browser: Browser) -> None:
    from selenium.webdriver import Keys

    browser.open(page(neuron()))
    ground = "return getComputedStyle(document.documentElement).backgroundColor"
    light = browser.run(ground)
    browser.press("t")
    assert browser.run(ground) != light
    browser.press("t")
    assert browser.run(ground) == light
    scale = "return document.querySelector('#world').getScreenCTM().a"
    fit = browser.run(scale)
    browser.press("+")
    assert browser.run(scale) > fit
    browser.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert browser.run(scale) > fit  # kept between steps
    browser.press("-", "-")
    assert browser.run(scale) < fit
    browser.press("0")
    assert browser.run(scale) == pytest.approx(fit)
    browser.press("?")
    assert browser.find("#help-dialog").is_displayed()
    browser.press(Keys.ESCAPE)
    assert not browser.find("#help-dialog").is_displayed()
    browser.run("Element.prototype.requestFullscreen = async () => { window.asked = true }")
    browser.press("f")
    assert browser.run("return window.asked")


def long_expression() -> Value:
    total = Value(0.5, label="start")
    for i in range(43):
        total = (total * Value(0.1 * i, label=f"a{i}")).tanh()
    return total


INSIDE = """
const stage = document.querySelector('#stage').getBoundingClientRect();
const inside = (node) => {
  const { left, right, top, bottom } = node.getBoundingClientRect();
  return left >= stage.left && right <= stage.right && top >= stage.top && bottom <= stage.bottom;
};
return [...document.querySelectorAll('.view.open .body')].filter(inside).length;
"""


SCALE = "return document.querySelector('#world').getScreenCTM().a"


def test_a_long_expression_is_seen_as_a_whole_and_then_so_that_it_can_be_read(
    browser: Browser,
) -> None:
    root = long_expression()
    size = len(topological_order(root))
    browser.open(page(root))
    assert size == 130
    assert browser.run(INSIDE) == size
    whole = browser.run(SCALE)
    assert not browser.find("#map").is_displayed()
    browser.press(" ")
    assert 1 < browser.run(INSIDE) < size
    readable = browser.run(SCALE)
    assert readable * 19 >= 24 > whole * 19
    assert browser.find("#map").is_displayed()
    browser.press("0")
    assert browser.run(INSIDE) == size
    browser.press(" ", " ")
    assert browser.run(INSIDE) == size
    browser.press("0")
    assert browser.run(SCALE) == readable
    browser.press("0", "+")
    assert whole < browser.run(SCALE) < readable
    browser.press("0", "0")
    browser.press("\ue011")  # Home: the whole again
    assert browser.run(SCALE) == whole


def test_autoplay(browser: Browser) -> None:
    browser.open(page(neuron()))
    browser.run(
        "const real = setInterval; window.setInterval = (f) => real(f, 5);"
        "document.querySelector('#play').click()"
    )
    browser.driver.set_script_timeout(20)
    browser.driver.execute_async_script(
        "const done = arguments[0]; const look = () =>"
        "document.querySelector('#play').ariaPressed === 'false' ? done() : setTimeout(look, 20);"
        "look()"
    )
    assert browser.step == len(record(neuron()))
    browser.open(page(neuron()))
    browser.press("p")
    assert browser.find("#play").get_attribute("aria-pressed") == "true"
    browser.press("p")
    assert browser.find("#play").get_attribute("aria-pressed") == "false"


@pytest.mark.parametrize("key", ["\ue014", "\ue012", " ", "shift", "b", "\ue010", "\ue011"])
def test_who_steps_stops_autoplay(browser: Browser, key: str) -> None:
    from selenium.webdriver import ActionChains, Keys

    browser.open(page(neuron()), "#step=5")
    browser.press("p")
    assert browser.find("#play").get_attribute("aria-pressed") == "true"
    if key == "shift":
        chain = ActionChains(browser.driver).key_down(Keys.SHIFT).send_keys(" ")
        chain.key_up(Keys.SHIFT).perform()
        assert browser.step == 4
    else:
        browser.press(key)
    assert browser.find("#play").get_attribute("aria-pressed") == "false"


def test_other_keys_leave_autoplay_alone(browser: Browser) -> None:
    browser.open(page(neuron()))
    browser.press("p", "t", "t", "+", "g")
    assert browser.find("#play").get_attribute("aria-pressed") == "true"


def test_the_halves_are_buttons(browser: Browser) -> None:
    from selenium.webdriver import Keys

    browser.open(page(neuron()), "#step=5")
    browser.find("#backward-half").click()
    assert browser.step == 7
    assert browser.formula == "o.grad: 1 (the seed)"
    browser.press(Keys.ARROW_RIGHT)  # after a click the keys are the player's again
    assert browser.step == 8
    browser.find("#forward-half").click()
    assert browser.step == 1
    browser.run("document.querySelector('#play').focus()")
    for _ in range(5):  # next, last, the speed, and the two halves
        browser.press(Keys.TAB)
    assert browser.run("return document.activeElement.id") == "backward-half"
    browser.press(Keys.ENTER)
    assert browser.step == 7
    for half in ("forward", "backward"):
        button = browser.find(f"#{half}-half")
        assert button.size["height"] >= 24
        assert button.accessible_name == half


def test_buttons_scrubber_and_table(browser: Browser) -> None:
    browser.open(page(neuron()))
    last = len(record(neuron()))
    for button, step in [
        ("next", 2),
        ("next", 3),
        ("previous", 2),
        ("last", last),
        ("first", 1),
    ]:
        browser.find(f"#{button}").click()
        assert browser.step == step, button
    browser.set("#scrubber", "14")
    assert browser.step == 14
    assert browser.text("[aria-current] a") == "14"
    browser.click("#rows tr:nth-child(12) td:last-child")
    assert browser.step == 12
    assert browser.text("[aria-current] a") == "12"
    assert browser.text("[aria-current] td:last-child") == record(neuron()).line(12)
    browser.press(" ")  # after a click the keys are the player's again
    assert browser.step == 13


STATE = """
const { step, changes, mistake, predict, revealed, view, follow, rate } = microgrant.state;
const values = [...changes].sort(([a], [b]) => a - b).map(([leaf, x]) =>
  [leaf, Object.is(x, -0) ? '-0' : String(x)]);
return { step, values, mistake, predict, revealed, view, follow, rate };
"""


def link(browser: Browser) -> str:
    """What stands in the address, once it stands there."""
    browser.wait(350)
    return str(browser.run("return location.hash"))


def test_links_to_a_step(browser: Browser) -> None:
    browser.open(page(neuron()), "#step=12")
    assert browser.step == 12
    browser.run("location.hash = '#step=3'")
    browser.wait(50)
    assert browser.step == 3
    browser.run("location.hash = '#table'")  # says nothing of this page
    browser.wait(50)
    assert browser.step == 3
    browser.open(page(neuron()), "#step=99999")
    assert browser.step == len(record(neuron()))


def test_a_link_tells_all_that_was_chosen(browser: Browser) -> None:
    browser.open(page(neuron()), "#step=12&w1=-2.5&mistake=overwrite&predict&rate=0.5")
    place = browser.run("return microgrant.data.names.indexOf('w1')")
    told = {"step": 12, "values": [[place, "-2.5"]], "mistake": "overwrite", "predict": True}
    told |= {"revealed": False, "view": 0, "follow": True, "rate": 0.5}
    assert browser.run(STATE) == told
    assert browser.find("#predict").get_attribute("aria-pressed") == "true"
    assert browser.text("#rate") == "0.5×"
    assert browser.find("#mistakes-panel").is_displayed()
    assert browser.formula.endswith("? → ")
    assert link(browser) == "#step=12&w1=-2.5&mistake=overwrite&predict&rate=0.5"
    browser.press("g")
    check_every_step(browser, record(neuron_with(w1=-2.5), mistake="overwrite"), scale=1.0)
    browser.run("location.hash = '#step=12'")  # another link, while the page is open
    browser.wait(50)
    untold = {"step": 12, "values": [], "mistake": None, "predict": False}
    assert browser.run(STATE) == told | untold | {"revealed": True, "rate": 1}
    check_every_step(browser, record(neuron()))


def test_a_link_is_kept_up_to_date(browser: Browser) -> None:
    """Whatever is pressed, the address opens what is seen."""
    from selenium.webdriver import Keys

    document = page(network(4, 4, 1), mistake="no_zero_grad")
    browser.open(document)
    views = []

    def type_a_value() -> None:
        browser.find("#rate").click()
        browser.press("v")
        browser.set(leaf_input(browser, "x2"), "1/3")

    def repair() -> None:
        browser.press(Keys.END, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
        browser.find("[data-mistake=no_zero_grad]").click()

    def leave() -> None:
        browser.press(Keys.ESCAPE)
        browser.find("#predict").click()

    for act in (type_a_value, repair, leave):
        act()
        address, state = link(browser), browser.run(STATE)
        views.append((state["view"] > 0, state["follow"]))
        browser.open(document, address)
        assert browser.run(STATE) == state | {"revealed": not state["predict"]}, address
    assert views == [(False, True), (True, True), (False, False)]
    assert state["values"]
    assert (state["mistake"], state["rate"], state["predict"]) == (None, 2, True)


ODD_NAMES = [
    "step",
    "predict",
    "a&b=c",
    "#",
    "w[0]",
    "é ∂",
    "1+1",
    "%41",
    "__proto__",
    "x~0",
    "a\nb",
]


def test_a_link_with_odd_names_and_numbers(browser: Browser) -> None:
    """Constants of one name, and names that mean something else in an address."""
    total = Value(2.0, label="x") * 0.5 + 0.5
    for label in ODD_NAMES:
        total = total + Value(1.0, label=label) * 0.5
    numbers = ["-0", "1e-7", "1e+21", "5e-324", "0.30000000000000004", "NaN", "-Infinity"]
    browser.open(page(total))
    browser.press("v")
    count = browser.run(
        "const [numbers] = arguments; const { state, run } = microgrant; const rows ="
        "[...document.querySelectorAll('#values-table input')].map((x) => Number(x.dataset.leaf));"
        "rows.forEach((leaf, i) => state.changes.set(leaf, Number(numbers[i % numbers.length])));"
        "microgrant.go(3); return rows.length",
        numbers,
    )
    assert count == 2 * len(ODD_NAMES) + 3
    state = browser.run(STATE)
    address = link(browser)
    browser.open(page(total), address)
    assert browser.run(STATE) == state
    assert len(state["values"]) == count


@pytest.mark.parametrize(
    "address",
    [
        "#step=abc&zz=1&w1=two&mistake=typo&view=99&rate=fast",
        "#step=-5&view=-1&rate=0&mistake=constructor&w1=",
        "#step=NaN&view=length&rate=Infinity&mistake=&w1=1,000",
        "#%E0%A4%A&&=&==&step=%&w1&toString=1&__proto__=2",
    ],
)
def test_what_a_link_says_wrongly_is_ignored(browser: Browser, address: str) -> None:
    browser.open(page(neuron()))
    start = browser.run(STATE)
    browser.open(page(neuron()), address)
    assert browser.run(STATE) == start
    browser.open(page(neuron()), address + "&w2=7")
    assert browser.run(STATE)["values"] == [
        [browser.run("return microgrant.data.names.indexOf('w2')"), "7"]
    ]


def test_a_link_cannot_change_values_that_are_not_live(browser: Browser) -> None:
    cube = define("cube", lambda x: x**3, lambda m, out, x: (math.fabs(3 * x * x),))
    browser.open(page(cube(Value(2.0, label="x"))), "#x=3")
    assert "the operation cube has no spelling in JavaScript" in browser.text("#note")
    assert browser.run(STATE)["values"] == []


@pytest.mark.parametrize("allowed", ["granted", "denied"])
def test_copying_a_link(browser: Browser, allowed: str) -> None:
    browser.command(
        "Browser.setPermission",
        permission={"name": "clipboard-write", "allowWithoutSanitization": False},
        setting=allowed,
    )
    browser.open(page(neuron()), "#step=3&w1=7")
    browser.find("#share").click()
    browser.find("#copy-link").click()
    browser.wait(100)
    address = browser.run("return document.querySelector('#share-link').value")
    assert address == (browser.folder / "step.html").as_uri() + "#step=3&w1=7"
    if allowed == "granted":
        assert browser.text("#share-note") == "Copied."
    else:
        assert "Ctrl+C" in browser.text("#share-note")
        assert browser.run("return getSelection().toString()") == address


def test_the_speed_of_playing(browser: Browser) -> None:
    browser.open(page(neuron()), "#rate=4")
    browser.run(
        "window.waits = []; window.setInterval = (f, wait) => { waits.push(wait); return 1 }"
    )
    browser.press("p")
    for _ in range(2):
        browser.find("#rate").click()
    assert browser.run("return waits") == [375, 6000, 3000]
    assert browser.text("#rate") == "0.5×"


def test_keys_inside_inputs_are_left_alone(browser: Browser) -> None:
    from selenium.webdriver import Keys

    browser.open(page(network(3, 1)))
    theme = browser.run("return document.documentElement.dataset.theme")
    browser.press("v")
    browser.find("#values-filter").click()
    browser.press("b", " ", Keys.ARROW_LEFT, Keys.HOME, "t", "p")
    assert browser.step == 1
    assert browser.run("return document.querySelector('#values-filter').value") == "tpb "
    assert browser.run("return document.documentElement.dataset.theme") == theme


ENCIRCLED = """
const ring = document.querySelector('.view.open .ring.active.shown')?.getBoundingClientRect();
if (!ring) return [];
const [x, y] = [ring.x + ring.width / 2, ring.y + ring.height / 2];
return [...document.querySelectorAll('.view.open [data-node]')].filter((node) => {
  const { left, right, top, bottom } = node.querySelector('.body').getBoundingClientRect();
  return left < x && x < right && top < y && y < bottom;
}).map((node) => Number(node.dataset.node));
"""


def test_search(browser: Browser) -> None:
    from selenium.webdriver import Keys

    browser.open(page(neuron()))
    names = browser.run("return microgrant.data.names")
    browser.press("/")
    browser.press("v", Keys.ENTER)
    for step in (2, 3, 4, 5, 2):
        assert browser.step == step
        browser.press(Keys.ENTER)
    browser.press(*[Keys.BACK_SPACE] * 3, "w")
    for name in ("w1", "w2", "w1"):  # given in one step: each is shown
        browser.press(Keys.ENTER)
        assert browser.step == 1
        assert browser.run(ENCIRCLED) == [names.index(name)]
    browser.press(Keys.ESCAPE)
    browser.press(Keys.HOME)
    assert browser.run(ENCIRCLED) == []


def test_a_node_leads_to_its_step(browser: Browser) -> None:
    from selenium.webdriver import Keys

    browser.open(page(neuron()))
    browser.click("[data-node='2']")
    assert browser.step == 2
    browser.run("document.querySelector(`[data-node='6']`).focus()")
    browser.press(Keys.ENTER)
    assert browser.step == 4
    browser.click("[data-node='4'] .name")
    assert browser.step == 1
    assert browser.run(ENCIRCLED) == [4]
    browser.press(Keys.END)
    browser.click("[data-node='2']")
    assert browser.text("#formula .name") == "v1.grad:"


def test_predicting(browser: Browser) -> None:
    from selenium.webdriver import Keys

    browser.open(page(neuron()))
    browser.press("g", Keys.ARROW_RIGHT)
    assert browser.step == 2
    assert browser.formula == "v1 = x1 × w1 = 2 × −3 = "
    assert browser.find("#formula #answer").get_attribute("placeholder") == "?"
    assert browser.text("[data-node='2'] .data") == "?"
    assert not browser.find("#rows").is_displayed()
    browser.press(Keys.ARROW_RIGHT)
    assert browser.step == 2
    assert browser.formula == "v1 = x1 × w1 = 2 × −3 = −6"
    assert browser.text("[data-node='2'] .data") == "−6"
    browser.press("b", Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert browser.formula == "v4.grad: 0 + upstream 1 × ∂o/∂v4 (= 1 − o²) 0.5 = ? → "
    browser.press("g")
    assert browser.formula.endswith("0.5 = 0 + 0.5 → 0.5")
    assert not browser.find("#verdict").is_displayed()


def asked(browser: Browser) -> tuple[int, bool, str]:
    """The step, whether its result is still asked for, and what is said."""
    return browser.step, browser.find("#answer").is_displayed(), browser.text("#verdict")


FOCUSED = "return document.activeElement.id"


def test_a_quiz(browser: Browser) -> None:
    from selenium.webdriver import Keys

    browser.open(page(neuron()))
    assert not browser.find("#quiz").is_displayed()
    browser.press("g", Keys.ARROW_RIGHT)
    assert asked(browser) == (2, True, "What comes out?")
    assert browser.run(FOCUSED) == "answer"
    browser.press("6", Keys.ENTER)
    assert asked(browser) == (2, True, "Wrong: look at the sign.")
    assert browser.find("#answer").get_attribute("aria-invalid") == "true"
    assert browser.find("#verdict").get_attribute("role") == "status"
    browser.press("−6,03", Keys.ENTER)  # what was wrong is selected, and written over
    assert asked(browser) == (2, False, "Right.")
    assert browser.formula.endswith("= −6")
    browser.press(Keys.ENTER)
    assert asked(browser) == (3, True, "What comes out?")
    browser.press("h")
    assert browser.text("#verdict") == "0 × 1 is neither positive nor negative."
    browser.press("1e", Keys.ENTER)
    assert browser.text("#verdict").startswith("Write a number")
    browser.press("0", Keys.PAGE_DOWN)  # what is typed is checked before it is shown
    assert asked(browser) == (3, False, "Right.")
    for guess in ("-6", "1/2"):
        browser.press(Keys.ARROW_RIGHT, guess, Keys.ENTER)
    assert asked(browser) == (5, True, "Wrong: it is not 0.5.")
    browser.press(Keys.ARROW_RIGHT)  # nothing new is typed: give up
    assert asked(browser) == (5, False, "")
    browser.press("b", "2 / 2", Keys.ESCAPE)
    assert browser.run(FOCUSED) == ""
    assert asked(browser) == (7, True, "How much is ∂o/∂o now?")
    browser.find("#answer").click()
    browser.find("#check").click()
    assert asked(browser) == (7, False, "Right.")
    last = len(record(neuron()))
    while browser.step < last:
        browser.press(Keys.ARROW_RIGHT)
        assert browser.find("#answer").is_displayed()
        browser.find("#hint").click()
        assert "So " in browser.text("#verdict")
        browser.press("77", Keys.ENTER)
        browser.find("#answered").click()
    shown = last - 7 + 1
    # Step 2 at a later try, 3 with a hint, 4 and 7 at the first; 5 shown, and 6 was left out.
    counted = f"2 of {last - 1} right at the first try, 1 with a hint, 1 at a later try"
    assert browser.text("#verdict") == f"{counted}, {shown} shown, 1 left out."
    assert "=77" not in link(browser)


def test_the_field_of_a_quiz_keeps_what_is_typed(browser: Browser) -> None:
    from selenium.webdriver import Keys

    typed = "return document.querySelector('#answer').value"
    browser.open(page(neuron()), "#step=5&predict")
    assert browser.run(FOCUSED) == "answer"
    browser.press("b x vh", Keys.ENTER)  # a letter does not leave the step, and the others follow
    assert browser.run(typed) == "b x vh"
    assert browser.step == 5
    assert browser.text("#verdict").startswith("Write a number")
    browser.press("h")  # nothing new is typed: keys are keys
    assert "is positive" in browser.text("#verdict")
    browser.press("v")
    assert browser.find("#values-panel").is_displayed()
    browser.press("inf", Keys.ARROW_LEFT, Keys.HOME, "-")
    assert browser.run(typed) == "-inf"
    assert browser.step == 5
    browser.find(leaf_input(browser, "w1")).click()
    for step, said in [(5, "Wrong: it is not −inf."), (5, ""), (6, "What comes out?")]:
        browser.click("#next")
        assert browser.step == step
        assert browser.text("#verdict") == said
    # A field in use keeps the keys.
    assert browser.run("return document.activeElement.dataset.leaf !== undefined")


def test_each_result_is_right(browser: Browser) -> None:
    """What the page itself would show is taken for right, at each step."""
    from selenium.webdriver import Keys

    for root in (doubled(), product_with_a_constant()):
        browser.open(page(root), "#step=2&predict")
        step = record(root)
        for count in range(2, len(step) + 1):
            values, gradients = step.state(count)
            event = step.events[count - 1]
            place = event.operand if isinstance(event, Contribution) else event.node
            right = values[place] if isinstance(event, Forward) else gradients[place]
            browser.press(number(right), Keys.ENTER)
            assert asked(browser)[:2] == (count, False)
            assert browser.text("#verdict").startswith("Right.")
            browser.press(Keys.ENTER)
        total = len(step) - 1
        assert browser.text("#verdict") == f"Right. {total} of {total} right at the first try."


def test_a_quiz_begins_anew_with_other_values(browser: Browser) -> None:
    from selenium.webdriver import Keys

    browser.open(page(doubled()), "#step=2&predict")
    browser.press("7", Keys.ENTER, "v")
    browser.set(leaf_input(browser, "a"), "-1.5")
    assert asked(browser) == (2, True, "What comes out?")
    assert browser.run("return document.querySelector('#answer').value") == ""
    browser.find("#formula #answer").click()
    browser.press("-3", Keys.ENTER, *[Keys.PAGE_DOWN] * 12)
    assert browser.text("#verdict") == "1 of 7 right at the first try, 6 shown."


def test_a_quiz_by_touch(browser: Browser) -> None:
    """The keyboard that would cover the picture comes with a tap on the field."""
    browser.command("Emulation.setTouchEmulationEnabled", enabled=True)
    try:
        browser.open(page(neuron()), "#step=2&predict")
        assert browser.run(FOCUSED) == ""
        browser.find("#answer").send_keys("-5")
        browser.find("#check").click()
        assert asked(browser) == (2, True, "Wrong: it is not −5.")
        browser.run(TOUCH, 1700, 1700)
        assert asked(browser) == (2, False, "")
        browser.run(TOUCH, 900, 600)
        assert asked(browser) == (3, True, "What comes out?")
    finally:
        browser.command("Emulation.setTouchEmulationEnabled", enabled=False)


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (960, 720), (390, 844)])
def test_a_quiz_moves_nothing_and_fits(browser: Browser, width: int, height: int) -> None:
    from selenium.webdriver import Keys

    browser.size(width, height)
    browser.open(page(neuron()), "#step=11&predict")
    sizes = (
        "const it = document.querySelector.bind(document);"
        "return [it('#formula-line').offsetHeight, it('footer').getBoundingClientRect().top,"
        "Math.max(...[...document.querySelectorAll('#player button, #player input, #counter')]"
        ".map((x) => x.getBoundingClientRect().right)), document.documentElement.scrollWidth]"
    )
    tall, top, right, wide = browser.run(sizes)
    assert max(right, wide) <= width
    for button in browser.driver.find_elements("css selector", "#quiz button"):
        assert min(button.size.values()) >= 44
    for keys in ("h", "7" + Keys.ENTER, "0.5" + Keys.ENTER):
        browser.press(keys)
        assert browser.run(sizes)[:2] == [tall, top], keys


def test_predicting_hides_what_a_mistake_does(browser: Browser) -> None:
    browser.open(page(doubled(), mistake="overwrite"))
    assert browser.text("#mistakes-note").endswith("Walk on to see what comes of it.")
    browser.press("\ue010")  # End
    assert browser.find("#mistakes-table").is_displayed()
    assert "Wrong: 1 of 1." in browser.text("#mistakes-note")
    note = browser.text("#table-note")
    browser.press("g")
    assert not browser.find("#mistakes-table").is_displayed()
    assert "Wrong" not in browser.text("#mistakes-note")
    assert browser.text("#table-note") == f"What happens is hidden while you predict. {note}"
    browser.press("g")
    assert browser.find("#mistakes-table").is_displayed()
    assert "Wrong: 1 of 1." in browser.text("#mistakes-note")
    assert browser.text("#table-note") == note == f"With a mistake: {MISTAKES['overwrite']}."


# --- Live values ----------------------------------------------------------------------------------


def neuron_with(**changes: float) -> Value:
    """The neuron again, with other numbers in some leaves."""
    root = neuron()
    fresh: dict[Value, Value] = {}
    for value in topological_order(root):
        if value.operation is None:
            fresh[value] = Value(changes.get(value.label, value.data), label=value.label)
        else:
            a, b = (*(fresh[x] for x in value._prev), None)[:2]
            name = value.operation.name
            fresh[value] = MICROGRANT[name](a) if b is None else MICROGRANT[name](a, b)
    return fresh[root]


def leaf_input(browser: Browser, name: str) -> str:
    place = browser.run("return microgrant.data.names.indexOf(arguments[0])", name)
    return f"#values-table input[data-leaf='{place}']"


def test_typing_a_value(browser: Browser) -> None:
    from selenium.webdriver import Keys

    browser.open(page(neuron()))
    browser.press("v")
    box = browser.find(leaf_input(browser, "w1"))
    box.send_keys(Keys.CONTROL + "a" + Keys.NULL, "−2.5")
    check_every_step(browser, record(neuron_with(w1=-2.5)), scale=1.0)
    box.send_keys(Keys.CONTROL + "a" + Keys.NULL, "two")
    assert box.get_attribute("aria-invalid") == "true"
    assert "Write a number" in browser.find("#values-hint").text
    browser.find("#values-reset").click()
    check_every_step(browser, record(neuron()))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,5", 1.5),
        ("-0,25", -0.25),
        (",5", 0.5),
        ("1,2345", 1.2345),
        ("1.000", 1.0),
        ("1,5e3", 1500.0),
        ("1,000", None),
        ("1,000,000", None),
        ("1,000.5", None),
        ("1.000,5", None),
        ("1,5,5", None),
        ("1,000e3", None),
        ("1,", 1.0),
        ("1/2", 0.5),
        (" -1,5 / 2 ", -0.75),
        ("1/", None),
        ("1/0", None),
        ("1/2/3", None),
        ("2 5", None),
        ("1e999", None),
        ("-inf", -math.inf),
    ],
)
def test_commas(browser: Browser, text: str, value: float | None) -> None:
    browser.open(page(neuron()))
    browser.press("v")
    box = browser.find(leaf_input(browser, "w1"))
    browser.set(leaf_input(browser, "w1"), text)
    data = "return microgrant.state.run.values[microgrant.data.names.indexOf('w1')]"
    shown = browser.run(f"{data}.toString()")
    assert read(shown) == (-3.0 if value is None else value)
    assert (box.get_attribute("aria-invalid") == "true") == (value is None)
    assert browser.find("#values-hint").is_displayed() == (value is None)
    assert box.get_attribute("aria-describedby") == "values-hint"
    if text == "1,000":
        assert "Thousands or decimals?" in browser.text("#values-hint")
        box.click()
        browser.run("document.activeElement.blur()")
        assert box.get_attribute("value") == "−3"
        assert box.get_attribute("aria-invalid") == "false"
        assert browser.text("#values-hint") == "“1,000” is no number: it is −3 again."


@pytest.mark.parametrize("text", ["2 5", "1/0", "1e999", "7 apples", ""])
def test_what_is_no_number_leaves_no_trace(browser: Browser, text: str) -> None:
    """Not even of its beginning, which was a number when it was typed."""
    from selenium.webdriver import Keys

    browser.open(page(neuron()))
    browser.press("v")
    w1, w2 = (browser.find(leaf_input(browser, name)) for name in ("w1", "w2"))
    w2.send_keys(Keys.CONTROL + "a" + Keys.NULL, "1/2", Keys.TAB)
    for box, kept in [(w1, "−3"), (w2, "0.5")]:
        box.send_keys(Keys.CONTROL + "a" + Keys.NULL, Keys.DELETE, text)
        assert box.get_attribute("aria-invalid") == "true"
        browser.press(Keys.ENTER)
        assert box.get_attribute("value") == kept
        assert box.get_attribute("aria-invalid") == "false"
        assert browser.find("#values-hint").text.endswith(f"is no number: it is {kept} again.")
    check_every_step(browser, record(neuron_with(w2=0.5)), scale=1.0)
    w1.click()
    assert browser.text("#values-hint") == ""


def test_arrows_and_dragging_change_a_value(browser: Browser) -> None:
    from selenium.webdriver import ActionChains, Keys

    browser.open(page(neuron()))
    browser.press("v")
    box = browser.find(leaf_input(browser, "x2"))
    box.send_keys(Keys.ARROW_UP, Keys.ARROW_UP, Keys.ARROW_UP, Keys.SHIFT + Keys.ARROW_DOWN)
    check_every_step(browser, record(neuron_with(x2=-0.7)), scale=1.0)
    browser.press(Keys.ESCAPE)
    box = browser.find(leaf_input(browser, "b"))
    browser.run("document.activeElement.blur()")
    ActionChains(browser.driver).drag_and_drop_by_offset(box, 50, 0).perform()
    changed = browser.run("return microgrant.state.changes.size")
    assert changed == 2
    check_every_step(browser, record(neuron_with(x2=-0.7, b=7.38137358702)), scale=1.0)
    number_of_x1 = browser.find(".view.open [data-node='0'] .data")
    ActionChains(browser.driver).drag_and_drop_by_offset(number_of_x1, -30, 0).perform()
    check_every_step(browser, record(neuron_with(x1=1.7, x2=-0.7, b=7.38137358702)), scale=1.0)


def test_the_table_follows(browser: Browser) -> None:
    browser.open(page(neuron()))
    browser.press("v")
    browser.set(leaf_input(browser, "w1"), "4")
    browser.wait(400)
    changed = record(neuron_with(w1=4.0), {"o": None})
    rows = browser.run("return [...document.querySelectorAll('#rows tr')].map(r => r.textContent)")
    assert len(rows) == len(changed)
    assert rows[2] == "3" + changed.line(3)


@pytest.mark.parametrize("power", [2, 6, 13])
def test_nudge(browser: Browser, power: int) -> None:
    browser.open(page(neuron()), "#step=16")
    browser.press("v")
    place = browser.run("return microgrant.data.names.indexOf('w1')")
    browser.click(f"[data-nudge='{place}']")
    browser.set("#nudge-slider", str(power))
    shown = browser.run(
        "return [...document.querySelectorAll('#nudge-result dd')].map((x) => x.textContent)"
    )
    quotient, gradient, _, before, after = (float(x.replace("−", "-")) for x in shown)
    h = float(f"1e-{power}")
    assert before == pytest.approx(neuron().data, rel=TOLERANCE)
    assert after == pytest.approx(neuron_with(w1=-3 + h).data, rel=TOLERANCE)
    assert quotient == (after - before) / h
    assert gradient == pytest.approx(1.0, rel=TOLERANCE)
    assert browser.text("#nudge-name") == "w1"


@pytest.mark.parametrize("make", [neuron, lambda: network(3, 1)])
def test_what_the_nudge_compares_is_seen(browser: Browser, make: Callable[[], Value]) -> None:
    browser.size(960, 720)
    browser.open(page(make()))
    browser.press("v")
    bottoms = browser.run(
        "return [document.querySelectorAll('#nudge-result dd')[1],"
        "document.querySelector('#values-panel')].map((x) => x.getBoundingClientRect().bottom)"
    )
    assert bottoms[0] <= bottoms[1]
    few = browser.run("return document.querySelectorAll('#values-table input').length") <= 12
    assert browser.find("#values-filter").is_displayed() != few


def test_an_operation_without_javascript_turns_live_values_off(browser: Browser) -> None:
    cube = define("cube", lambda x: x**3, lambda m, out, x: (math.fabs(3 * x * x),))
    root = cube(Value(2.0, label="x"))
    browser.open(page(root))
    check_every_step(browser, record(root))
    browser.press("v")
    assert "the operation cube has no spelling in JavaScript" in browser.text("#values-note")
    assert not browser.find(leaf_input(browser, "x")).is_enabled()


def chosen(x: float, a: float = 3.0) -> Value:
    """Choices whose branches not taken are numbers, so that a page can make them anew."""
    x_, a_, floor = Value(x, label="x"), Value(a, label="a"), Value(-1.0, label="floor")
    slope = where(x_ > 0, 1.0, where(x_ < -1, 0.5, math.nan))
    gate = where((x_ >= -2) & ~(a_ == 4) | ~(x_ <= x_), a_ * x_, floor)
    return slope * gate + x_


@pytest.mark.parametrize("begin", [2.0, -1.5])
def test_a_choice_is_made_anew(browser: Browser, begin: float) -> None:
    browser.open(page(chosen(begin)))
    check_every_step(browser, record(chosen(begin)))
    browser.press("v")
    assert "The whole step follows" in browser.text("#values-note")
    place = browser.run("return microgrant.data.names.indexOf('x')")
    for x, a in ((2.0, 3.0), (-1.5, 3.0), (-0.5, 3.0), (-3.0, 3.0), (2.0, 4.0), (math.inf, 1.0)):
        browser.set(leaf_input(browser, "x"), str(x))
        browser.set(leaf_input(browser, "a"), str(a))
        values, gradients = (
            browser.run(f"return microgrant.state.run.{name}.map(String)")
            for name in ("values", "gradients")
        )
        right = chosen(x, a)
        leaf = next(value for value in topological_order(right) if value.label == "x")
        assert same(read(values[-1]), right.data, 1.0)
        assert same(read(gradients[place]), grad(right, leaf), 1.0), (x, a)


def test_a_choice_made_anew_is_told_with_its_numbers(browser: Browser) -> None:
    x, a = Value(2.0, label="x"), Value(3.0, label="a")
    browser.open(page(where(x >= 0, a * x, -1.0)))
    browser.press("v")
    browser.set(leaf_input(browser, "x"), "-4")
    lines = browser.run(
        "return microgrant.state.run.events.map((_, i) => microgrant.sentence(i + 1))"
    )
    assert "v2 = where(x ≥ 0, v1, −1) = where(−4 ≥ 0, −12, −1) = −1" in lines
    assert any("(= 1 if x ≥ 0 else 0) 0 = 0 + 0 → 0" in line for line in lines)


def test_a_choice_with_a_branch_elsewhere_turns_live_values_off(browser: Browser) -> None:
    x = Value(2.0, label="x")
    root = where(x > 0, x * 2, x * 0.1) + x
    browser.open(page(root))
    check_every_step(browser, record(root))
    browser.press("v")
    assert "a where has a branch that is not in this graph" in browser.text("#values-note")
    assert not browser.find(leaf_input(browser, "x")).is_enabled()


@pytest.mark.parametrize(
    ("spelling", "message"),
    [
        ("{0} * {0} * {0}", "The whole step follows"),
        ("{0} * {0}", "computes something else in JavaScript"),
        ("{0} * (", "has no spelling in JavaScript"),
        ("{0}</script><b>", "has no spelling in JavaScript"),
    ],
)
def test_an_operation_of_ones_own(chromium: Browser, spelling: str, message: str) -> None:
    cube = define(
        "cube",
        lambda x: x**3,
        lambda m, out, x: (3 * x * x,),
        symbol="<i>cube",
        spelling={"javascript": spelling},
    )
    root = cube(Value(2.0, label="x"))
    chromium.open(page(root))
    check_every_step(chromium, record(root))
    chromium.press("v")
    assert message in chromium.text("#values-note")
    if "follows" in message:
        chromium.set(leaf_input(chromium, "x"), "3")
        check_every_step(chromium, record(cube(Value(3.0, label="x"))), scale=1.0)


def table_root(x: float) -> Value:
    """Every operation of the table in one graph; the right-hand operands are constants."""
    leaf, total = Value(x, label="x"), Value(0.0)
    for operation in (*OPERATIONS.values(), power(3.0), power(-0.5), power(2.0), clip(-1.0, 0.9)):
        total = total + apply(operation, leaf, *[0.7] * (operation.arity - 1))
    return total


def test_every_operation_is_recomputed(browser: Browser) -> None:
    browser.open(page(table_root(0.8)))
    check_every_step(browser, record(table_root(0.8)))
    browser.press("v")
    for x in (0.85, 0.95, 0.7):
        browser.set(leaf_input(browser, "x"), repr(x))
        check_every_step(browser, record(table_root(x)), scale=1.0)


@pytest.mark.parametrize("y", [1e-4, -1e6, 2.0, -2.0])
def test_parentheses_around_numbers(browser: Browser, y: float) -> None:
    """Those of the record, for numbers with a sign and with an exponent of ten."""

    def root(x: float, y: float) -> Value:
        a, b = Value(x, label="a"), Value(y, label="b")
        return a**2 + a**3 * b - b / a + (-a) - (-b) + a**b + 1e-5 * (1e-5**b) + b * -2e-6

    browser.open(page(root(1.0, 1.0)))
    browser.press("v")
    browser.set(leaf_input(browser, "b"), repr(y))
    for x in (1e-5, -1e-5, 2e7, -2e7, 1e300, 3.0, -3.0):
        browser.set(leaf_input(browser, "a"), repr(x))
        lines = browser.run(
            "return microgrant.state.run.events.map((_, i) => microgrant.sentence(i + 1))"
        )
        step = record(root(x, y))
        assert lines == [step.line(count) for count in range(1, len(step) + 1)]


def test_parentheses_around_an_exponent_of_ten(browser: Browser) -> None:
    root = Value(1e-5, label="x") ** 2
    browser.open(page(root), "#step=2")
    assert browser.formula == "v1 = x² = (1e−5)² = 1e−10"


def test_infinities_and_nan(browser: Browser) -> None:
    x = Value(0.0, label="x")
    root = x.log() * 0 + (1 / x).exp() - Value(-math.inf, label="lowest")
    browser.open(page(root))
    check_every_step(browser, record(root))
    browser.press("v")
    browser.set(leaf_input(browser, "x"), "nan")
    assert browser.run("return microgrant.state.run.values.at(-1)") is None  # nan has no JSON


def test_a_single_leaf(browser: Browser) -> None:
    root = Value(3.0, label="x")
    browser.open(page(root))
    check_every_step(browser, record(root))


def test_all_digits_under_the_mouse(browser: Browser) -> None:
    from selenium.webdriver import ActionChains

    browser.open(page(neuron()), "#step=5")
    node = browser.find("[data-node='8']")
    ActionChains(browser.driver).move_to_element(node).perform()
    assert browser.text("[data-node='8'] title") == "v4: data = 0.8813735870195432, grad = –"


def test_data_changed_after_the_forward_pass(browser: Browser) -> None:
    """The page shows the step that was recorded, until a value is changed."""
    x = Value(3.0, label="x")
    root = x * x
    x.data = 100.0
    browser.open(page(root))
    check_every_step(browser, record(root))


# --- What goes wrong if… --------------------------------------------------------------------------


@pytest.mark.parametrize("make", [doubled, neuron])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(browser: Browser, mistake: str, make: Callable[[], Value]) -> None:
    root = make()
    right, wrong = record(root).gradients, record(root, mistake=mistake).gradients
    browser.open(page(root))
    browser.press("m")
    browser.find(f"[data-mistake={mistake}]").click()
    check_every_step(browser, record(root, mistake=mistake))
    rows = browser.run(
        "return [...document.querySelectorAll('#mistakes-table tbody tr')]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    assert {row[0]: row[1] for row in rows} == {name: number(x) for name, x in right.items()}
    for name, _, shown in rows:
        differs = right[name] != wrong[name]
        assert shown == ("≠ " if differs else "") + number(wrong[name])
    if right == wrong:
        note = browser.text("#mistakes-note")
        assert "nothing goes wrong" in note
        assert mistake != "overwrite" or "used twice, and here there is none" in note
    else:
        assert "≠" in browser.run(
            "return [...document.querySelectorAll('.wrong')].map((x) => x.textContent)"
        )
    browser.find(f"[data-mistake={mistake}]").click()
    check_every_step(browser, record(root))


@pytest.mark.parametrize("make", [doubled, neuron])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_page_that_begins_with_a_mistake(
    browser: Browser, mistake: str, make: Callable[[], Value]
) -> None:
    root = make()
    wrong = record(root, mistake=mistake)
    browser.open(page(root, mistake=mistake))
    assert browser.find("#mistakes-panel").is_displayed()
    button = browser.find(f"[data-mistake={mistake}]")
    assert button.get_attribute("aria-pressed") == "true"
    assert MISTAKES[mistake] in browser.text("#aside")
    check_every_step(browser, wrong)
    table = "return [...document.querySelectorAll('#rows td:last-child')].map(x => x.textContent)"
    lines = [wrong.line(place) for place in range(1, len(wrong) + 1)]
    assert browser.run(table) == lines
    button.click()
    browser.wait(400)
    right = record(root)
    assert browser.run(table) == [right.line(place) for place in range(1, len(right) + 1)]
    assert browser.text("#table-note") == ""
    check_every_step(browser, right)
    button.click()
    browser.wait(400)
    assert browser.run(table) == lines
    assert browser.text("#table-note") == f"With a mistake: {MISTAKES[mistake]}."


@pytest.mark.parametrize("mistake", MISTAKES)
def test_at_the_end_a_mistake_stays_at_the_end(browser: Browser, mistake: str) -> None:
    root = doubled()
    browser.open(page(root))
    browser.press("\ue010", "m")
    for wrong in (mistake, None):
        browser.find(f"[data-mistake={mistake}]").click()
        assert browser.step == len(record(root, mistake=wrong))


def test_in_a_narrow_window_a_mistake_leaves_the_picture_free(browser: Browser) -> None:
    browser.size(800, 560)
    browser.open(page(doubled(), mistake="overwrite"))
    assert not browser.find("#mistakes-panel").is_displayed()
    assert "dashed" in browser.find("#show-mistakes").value_of_css_property("outline")
    assert MISTAKES["overwrite"] in browser.text("#aside")


def test_naive_recursion_over_many_paths_is_refused(browser: Browser) -> None:
    x = Value(1.0, label="x")
    for _ in range(40):
        x = x + x
    browser.open(page(x))
    browser.press("m")
    browser.find("[data-mistake=no_topological_order]").click()
    assert "more than 100,000 visits" in browser.text("#note")
    assert browser.run("return microgrant.state.mistake") is None


# --- Modules --------------------------------------------------------------------------------------


def view(browser: Browser) -> tuple[int, int]:
    """How many values and boxes are shown."""
    return tuple(
        browser.run(
            "return ['[data-node]', '[data-box]'].map((selector) =>"
            "document.querySelectorAll('.view.open ' + selector).length)"
        )
    )


def test_modules_open_and_close(browser: Browser) -> None:
    from selenium.webdriver import Keys

    root = network(16, 16, 1)
    browser.open(page(root))
    count = len(topological_order(root))
    values, boxes = view(browser)
    assert boxes == 3
    assert f"{count:,} values, {count - values:,} of them hidden" in browser.text("#place")
    assert "Layer 16→16, 272 parameters" in browser.text(".view.open")
    browser.run("document.querySelectorAll('.view.open .box')[1].focus()")
    browser.press(Keys.ENTER)
    assert view(browser)[1] >= 16
    assert "layers[1]" in browser.text("#trail")
    browser.click(".view.open .box:not(.stub)")
    assert view(browser)[0] > 40
    assert "neurons[0]" in browser.text("#trail")
    browser.press(Keys.ESCAPE)
    browser.press(Keys.BACKSPACE)
    assert view(browser) == (values, boxes)


@pytest.mark.slow
@pytest.mark.parametrize("stride", [49, pytest.param(7, marks=pytest.mark.campaign)])
def test_the_player_follows_into_modules(browser: Browser, stride: int) -> None:
    browser.open(page(network(16, 16, 1)))
    steps = len(record(network(16, 16, 1)))
    marked = (
        "const bad = []; const [steps, stride] = arguments;"
        "for (let step = 2; step <= steps; step += stride) { microgrant.go(step);"
        "const ring = document.querySelector('.view.open .ring.active.shown')"
        "?.getBoundingClientRect();"
        "const stage = document.querySelector('#stage').getBoundingClientRect();"
        "const node = document.querySelector('.view.open .value.active .data');"
        "const size = node ? node.getScreenCTM().a * 19 : 0;"
        "const inside = ring && ring.left >= stage.left && ring.right <= stage.right"
        "&& ring.top >= stage.top && ring.bottom <= stage.bottom;"
        "if (!inside || size < 24) bad.push([step, size, ring, stage]) } return bad"
    )
    assert browser.run(marked, steps, stride) == []
    browser.find("#follow").click()
    browser.press("0")
    before = browser.text("#trail")
    browser.run("microgrant.go(1)")
    assert browser.text("#trail") == before


def test_small_modules_fold(browser: Browser) -> None:
    browser.open(page(network(2, 1)))
    values, boxes = view(browser)
    assert boxes == 0
    browser.click(".view.open [data-fold]")
    assert view(browser)[1] == 1
    browser.click(".view.open .box")
    assert view(browser)[1] == 2
    for _ in range(2):
        browser.click(".view.open .box")
    assert view(browser) == (values, 0)


def test_a_long_sum_is_cut_into_parts(browser: Browser) -> None:
    total = Value(0.0, label="start")
    for i in range(1250):
        total = total + Value(float(i), label=f"a{i}") * Value(0.5)
    browser.open(page(total))
    assert view(browser) == (0, 51)
    browser.press("b")
    assert browser.text("#formula").endswith("1 (the seed)")
    assert view(browser)[0] > 0
    assert len(topological_order(total)) == 5001


# --- Touch and the mouse --------------------------------------------------------------------------

TOUCH = """
const [from, to] = arguments;
const picture = document.querySelector('#picture');
const fire = (kind, x) => picture.dispatchEvent(new PointerEvent(kind, {
  pointerType: 'touch', pointerId: 7, clientX: x, clientY: 300, bubbles: true}));
fire('pointerdown', from);
for (let i = 1; i <= 10; i++) fire('pointermove', from + (to - from) * i / 10);
fire('pointerup', to);
"""


def test_touch(browser: Browser) -> None:
    browser.open(page(neuron()), "#step=5")
    for start, end, step in [(900, 600, 6), (600, 900, 5), (1700, 1700, 6), (400, 400, 5)]:
        browser.run(TOUCH, start, end)
        assert browser.step == step, (start, end)


RINGS = """
const focused = document.activeElement;
return [focused.matches(':focus-visible') ? getComputedStyle(focused).outlineStyle : 'none',
  document.querySelectorAll('.view.open .ring.active.shown').length];
"""


@pytest.mark.parametrize(
    "selector",
    ["[data-node='2'] .name", "[data-node='2'] .data", "#next", "#show-values", "[data-nudge]"],
)
@pytest.mark.parametrize("drag", [0, 90])
def test_the_only_ring_after_a_click_is_the_mark_of_the_step(
    browser: Browser, selector: str, drag: int
) -> None:
    from selenium.webdriver import ActionChains, Keys

    browser.open(page(neuron()), "#step=5")
    browser.press("v")
    chain = ActionChains(browser.driver).move_to_element(browser.find(selector)).click_and_hold()
    chain.move_by_offset(-drag, 0).release().perform()
    before = browser.step
    browser.press(Keys.ARROW_RIGHT)  # only then would a browser show who has the focus
    assert browser.run(RINGS) == ["none", 1]
    assert browser.step == before + 1


def test_a_ring_shows_where_the_keyboard_is(browser: Browser) -> None:
    from selenium.webdriver import Keys

    browser.open(page(neuron()), "#step=5")
    while not browser.run("return document.activeElement.matches('.value')"):
        browser.press(Keys.TAB)
    style, marks = browser.run(RINGS)
    assert (style, marks) == ("solid", 1)
    colours = browser.run(
        "return [getComputedStyle(document.activeElement).outlineColor,"
        "getComputedStyle(document.querySelector('.ring.shown')).stroke]"
    )
    assert colours[0] != colours[1]


@pytest.mark.parametrize("panel", ["values", "mistakes"])
@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (390, 844)])
def test_a_panel_covers_no_control_and_can_be_closed(
    browser: Browser, panel: str, width: int, height: int
) -> None:
    browser.size(width, height)
    browser.open(page(neuron()))
    browser.find(f"#show-{panel}").click()
    assert browser.find(f"#{panel}-panel").is_displayed()
    top, bottom, header, footer = browser.run(
        "const area = (it) => document.querySelector(it).getBoundingClientRect();"
        "const panel = area(arguments[0]);"
        "return [panel.top, panel.bottom, area('header').bottom, area('footer').top]",
        f"#{panel}-panel",
    )
    assert header <= top
    assert bottom <= footer
    browser.find(f"#{panel}-panel .close").click()
    assert not browser.find(f"#{panel}-panel").is_displayed()
    assert browser.find(f"#show-{panel}").get_attribute("aria-expanded") == "false"


def test_the_picture_can_be_moved_and_zoomed(browser: Browser) -> None:
    from selenium.webdriver import ActionChains

    browser.open(page(network(16, 16, 1)), "#step=60")
    matrix = "const m = document.querySelector('#world').getScreenCTM(); return [m.a, m.e, m.f]"
    scale, left, top = browser.run(matrix)
    chain = ActionChains(browser.driver)
    chain.move_to_element_with_offset(
        browser.find("#stage"), -700, 250
    ).click_and_hold().move_by_offset(60, -40).release().perform()
    moved = browser.run(matrix)
    assert moved == pytest.approx([scale, left + 60, top - 40], abs=1)
    assert browser.step == 60
    browser.run(
        "document.querySelector('#picture').dispatchEvent(new WheelEvent('wheel',"
        "{deltaY: -100, ctrlKey: true, bubbles: true, cancelable: true}))"
    )
    assert browser.run(matrix)[0] > scale


# --- Windows, paper, notebooks --------------------------------------------------------------------


@pytest.mark.parametrize("title", ["", "tanh(w1*x1 + w2*x2 + b)", "x * " * 200 + "x"])
def test_the_header_shows_the_title(browser: Browser, title: str) -> None:
    browser.size(960, 720)
    browser.open(page(neuron(), title=title))
    heading = browser.find("h1")
    cut = browser.run(
        "const h = document.querySelector('h1'); return h.scrollWidth > h.clientWidth"
    )
    assert cut == (len(title) > 100)
    assert heading.size["height"] < 40
    assert heading.get_attribute("title") == (title or "o: one step of backpropagation")
    assert browser.run("return document.documentElement.scrollWidth") <= 960


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (960, 720), (1000, 560), (390, 844)])
def test_everything_fits_the_window(browser: Browser, width: int, height: int) -> None:
    browser.size(width, height)
    browser.open(page(neuron()), "#step=15")
    for key in ("", "v", "m"):
        browser.press(key)
        wide, right, low = browser.run(
            "return [document.documentElement.scrollWidth,"
            "Math.max(...[...document.querySelectorAll('#player button, #player input, #counter')]"
            ".map((x) => x.getBoundingClientRect().right)),"
            "document.querySelector('footer').getBoundingClientRect().bottom]"
        )
        assert wide <= width
        assert right <= width
        assert low <= height
    size = browser.run("return parseFloat(getComputedStyle(formula).fontSize)")
    assert size >= (28 if width == 1920 else 16)


def pages(browser: Browser) -> int:
    pdf = base64.b64decode(browser.command("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert pdf.startswith(b"%PDF")
    return len(re.findall(rb"/Type\s*/Page[^s]", pdf))


def test_printing(browser: Browser) -> None:
    browser.open(page(neuron()), "#step=14")
    assert pages(browser) == 2  # this step, and the table
    browser.find("#print").click()
    assert pages(browser) == 1
    browser.click("[name=which][value=all]")
    browser.run("document.querySelector('[name=which][value=all]').checked = true")
    assert pages(browser) == len(record(neuron()))
    browser.run("document.querySelector('[name=which][value=range]').checked = true")
    browser.set("#print-from", "3")
    browser.set("#print-to", "7")
    assert browser.text("#print-note") == "5 pages"
    assert pages(browser) == 5
    assert browser.step == 14
    assert browser.run("return document.querySelectorAll('.sheet').length") == 0


def test_printing_very_many_pages_asks_to_choose(browser: Browser) -> None:
    browser.open(page(network(16, 16, 1)))
    browser.find("#print").click()
    browser.find("[value=all]").click()
    assert "Choose 60 steps at most" in browser.text("#print-note")
    assert not browser.find("#print-go").is_enabled()


def elements(picture: str) -> tuple[list[tuple[str, dict[str, str], str]], list[float]]:
    """What a picture consists of, but for the order in which things and classes are named; and
    where the labels on curves stand, as well as two ways of measuring find it."""
    found: list[tuple[str, dict[str, str], str]] = []
    places: list[tuple[str, float, float]] = []
    for element in ElementTree.fromstring(picture).iter():
        attributes = dict(element.attrib)
        classes = set(attributes.pop("class", "").split()) - {"open"}
        text = (element.text or "").strip()
        if "flow" in classes and "x" in attributes:
            places.append((text, float(attributes.pop("x")), float(attributes.pop("y"))))
        if not element.tag.endswith("title") and (text or "wrong" not in classes):
            found.append((element.tag, attributes | dict.fromkeys(sorted(classes), ""), text))
    return sorted(found, key=repr), [x for _, *place in sorted(places) for x in place]


@pytest.mark.parametrize("mistake", [None, *MISTAKES])
@pytest.mark.parametrize("make", [neuron, doubled, lambda: network(3, 1)])
def test_the_picture_of_the_page_is_that_of_python(
    browser: Browser, tmp_path: Path, make: Callable[[], Value], mistake: str | None
) -> None:
    step = explain(make(), mistake=mistake)
    browser.open(step.save(tmp_path / "page.html").read_text(encoding="utf-8"))
    steps = range(1, len(step) + 1, 1 + len(step) // 40)
    shown = browser.run(
        "return arguments[0].map((step) => {"
        "microgrant.go(0); microgrant.go(step); return microgrant.svgText() })",
        list(steps),
    )
    for path, picture in zip(step.pictures(tmp_path, steps=steps), shown, strict=True):
        found, labels = elements(picture)
        expected, places = elements(path.read_text(encoding="utf-8"))
        assert found == expected, path.name
        assert labels == pytest.approx(places, abs=0.5), path.name


# How many pixels of the picture painted as PNG are not those of the SVG.
UNLIKE = """
const [svg, png, done] = arguments;
const pixels = async (source) => {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = new OffscreenCanvas(size[0], size[1]);
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0, ...size);
  return context.getImageData(0, 0, ...size).data;
};
let size = [1, 1];
(async () => {
  const image = new Image();
  image.src = png;
  await image.decode();
  size = [image.naturalWidth, image.naturalHeight];
  const [a, b] = [await pixels(svg), await pixels(png)];
  let [unlike, drawn] = [0, 0];
  for (let i = 0; i < a.length; i += 4) {
    const differ = (x, y) => Math.max(...[0, 1, 2].map((k) => Math.abs(x[k] - y[k])));
    const [one, other] = [a.slice(i, i + 3), b.slice(i, i + 3)];
    if (differ(one, other) > 64) unlike++;
    if (differ(one, a) > 16) drawn++;
  }
  done([...size, unlike / drawn, drawn]);
})();
"""


def wait_for(path: Path) -> bytes:
    for _ in range(100):
        if path.exists():
            return path.read_bytes()
        time.sleep(0.05)
    pytest.fail(f"no {path.name} was saved")


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("step", [6, 12, 17])
def test_saving_the_picture(browser: Browser, tmp_path: Path, theme: str, step: int) -> None:
    browser.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.open(page(neuron()), f"#step={step}&mistake=no_zero_grad")
    browser.run("document.documentElement.dataset.theme = arguments[0]", theme)
    browser.press("l")
    for kind in ("svg", "png"):
        browser.find(f"#save-{kind}").click()
    name = f"step-{browser.step:03}"
    width, height = browser.run(
        "const { width, height } = microgrant.data.views[microgrant.state.view];"
        "return [width + 40, height + 40]"
    )
    svg, png = (wait_for(tmp_path / f"{name}.{kind}") for kind in ("svg", "png"))
    assert THEMES[theme]["background"].encode() in svg
    browser.driver.get("about:blank")
    sources = [
        f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        for kind, data in (("svg+xml", svg), ("png", png))
    ]
    *size, unlike, drawn = browser.driver.execute_async_script(UNLIKE, *sources)
    assert size == [2 * width, 2 * height]
    assert drawn > 10_000
    assert unlike < 0.002


def test_in_a_notebook_a_picture_can_be_saved_and_there_is_no_link(
    browser: Browser, tmp_path: Path
) -> None:
    browser.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.open(f"<!DOCTYPE html>{explain(neuron())._repr_html_()}")
    browser.driver.switch_to.frame(browser.find("iframe"))
    try:
        browser.find("#share").click()
        assert not browser.find("#share-link").is_displayed()
        assert "save the page" in browser.text("#share-note")
        browser.find("#save-svg").click()
        picture = wait_for(tmp_path / f"step-{browser.step:03}.svg")
    finally:
        browser.driver.switch_to.default_content()
    assert b"</svg>" in picture


def test_copying_a_formula_as_latex(browser: Browser) -> None:
    browser.open(page(neuron()))
    browser.press("b", " ", " ")
    browser.find("#share").click()
    shown = "return document.querySelector('#share-latex').value"
    assert browser.run(shown).startswith(r"\frac{\partial o}{\partial v_{3}} = ")
    browser.run(
        "Object.defineProperty(navigator, 'clipboard', { value:"
        "{ writeText: async (text) => { window.copied = text } } })"
    )
    browser.find("#copy-latex").click()
    assert browser.run("return window.copied") == browser.run(shown)
    assert browser.text("#share-note") == "Copied."
    browser.press("\ue00c", "g", " ")
    browser.find("#share").click()
    assert browser.formula.endswith("? → ")
    assert browser.run(shown) == ""
    assert "→" not in browser.run("return microgrant.svgText()")


def test_in_a_frame_without_privileges(browser: Browser) -> None:
    """As a notebook shows it: twice, in sandboxed frames that do not disturb one another."""
    import html

    frame = f'<iframe sandbox="allow-scripts" srcdoc="{html.escape(page(neuron()))}"></iframe>'
    browser.open(f"<!DOCTYPE html><input id='cell'>{frame}{frame}")
    browser.find("#cell").click()
    browser.press(" ", "b")
    assert browser.run("return document.activeElement.id") == "cell"
    frames = browser.driver.find_elements("css selector", "iframe")
    steps = []
    for count, each in enumerate(frames):
        browser.driver.switch_to.frame(each)
        assert browser.step == 1
        for _ in range(count + 1):
            browser.find("#next").click()
        browser.press("t")
        browser.driver.switch_to.default_content()
    for each in frames:
        browser.driver.switch_to.frame(each)
        steps.append(browser.step)
        browser.driver.switch_to.default_content()
    assert steps == [2, 3]


def test_in_a_frame_the_first_click_is_for_the_focus(browser: Browser) -> None:
    import html

    content = html.escape(page(neuron()))
    browser.open(
        "<!DOCTYPE html><input id='cell'>"
        f'<iframe sandbox="allow-scripts" width="900" height="600" srcdoc="{content}"></iframe>'
    )
    browser.find("#cell").click()
    browser.driver.switch_to.frame(browser.find("iframe"))
    node = browser.find("[data-node='2'] .body")
    node.click()
    assert browser.step == 1
    node.click()
    assert browser.step == 2
    browser.driver.switch_to.default_content()


def test_in_a_frame_a_quiz_and_a_search_work(browser: Browser) -> None:
    import html

    from selenium.webdriver import Keys

    content = html.escape(page(neuron()))
    browser.open(
        "<!DOCTYPE html>"
        f'<iframe sandbox="allow-scripts" width="900" height="600" srcdoc="{content}"></iframe>'
    )
    browser.driver.switch_to.frame(browser.find("iframe"))
    browser.find("#formula").click()
    browser.press("g", Keys.ARROW_RIGHT, "-6", Keys.ENTER)
    assert asked(browser) == (2, False, "Right.")
    browser.press("g", "/", "o", Keys.ENTER)
    assert browser.step == 6
    browser.driver.switch_to.default_content()


@pytest.mark.parametrize("allowed", [True, False])
def test_full_screen_in_a_frame(browser: Browser, allowed: bool) -> None:
    import html

    allow = 'allow="fullscreen"' if allowed else ""
    content = html.escape(page(neuron()))
    browser.open(
        f'<!DOCTYPE html><iframe sandbox="allow-scripts" {allow} srcdoc="{content}"></iframe>'
    )
    browser.driver.switch_to.frame(browser.find("iframe"))
    browser.find("h1").click()
    browser.press("f")
    browser.wait(300)
    fills = browser.run("return document.fullscreenElement !== null")
    note = browser.text("#note")
    browser.press("f")
    browser.wait(300)
    still = browser.run("return document.fullscreenElement !== null")
    browser.driver.switch_to.default_content()
    assert fills == allowed
    assert not still
    assert ("The frame keeps the page from filling the screen" in note) == (not allowed)


def test_without_javascript(browser: Browser) -> None:
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page(neuron()))
        for hidden in ("#formula-line", "footer"):  # nor does it take room from the picture
            assert browser.find(hidden).size["height"] == 0
        browser.find("summary").click()
        assert browser.find("#rows").is_displayed()
        assert record(neuron()).line(13) in browser.find("#rows").text
        assert browser.find(".view [data-node='0'] .grad").text == "−1.5"
        assert browser.find(".notice").is_displayed()
    finally:
        browser.command("Emulation.setScriptExecutionDisabled", value=False)


def test_for_screen_readers(browser: Browser) -> None:
    browser.open(page(neuron()), "#step=12")
    nodes = browser.run(
        "return [...document.querySelectorAll('[data-node]')].map((x) => [x.tabIndex, x.ariaLabel])"
    )
    assert all(tab == 0 for tab, _ in nodes)
    assert [0, "x1: value 2, gradient not reached yet"] in nodes
    assert [0, "o: value 0.7071, gradient 1"] in nodes
    assert browser.find("#formula").get_attribute("aria-live") == "polite"
    nameless = browser.run(
        "return [...document.querySelectorAll('button, input')]"
        ".filter((x) => !x.textContent.trim() && !x.ariaLabel && !x.closest('label')).length"
    )
    assert nameless == 0


# --- Hostile labels -------------------------------------------------------------------------------

PIECES = [
    "<script>window.hacked = 1</script>", "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>", '"><svg onload="window.hacked = 1">', "' onclick='x",
    "</title><b>", "</text></g></svg><p>", "<!--", "-->", "]]>", "&lt;b&gt;", "&#60;", "&", "\\n",
    "{{data}}", "{0}", "{", "%s", "$&", "${window.hacked = 1}", "`", "javascript:window.hacked=1",
    "\u2028", "\u2029", "\x00", "\x1b[31m", "\ud800", "\ue000", "\ue00f", "\u202e", "−3", "-3",
    "é" * 100, "__proto__", "constructor", "</style><style>*{display:none}", "\n", "\r", "\t",
    "a" * 300,
]  # fmt: skip


def hostile_labels(count: int) -> list[str]:
    rng = random.Random(1)
    mixed = ["".join(rng.sample(PIECES, rng.randint(2, 4))) for _ in range(count - len(PIECES))]
    return PIECES + mixed


STRUCTURE = """
microgrant.go(9999);
document.querySelector('#show-values').click();
document.querySelector('[data-mistake=overwrite]').click();
// How many parts a statement has depends on how long names are; all of them are spans.
const part = (element) =>
  element.closest('#statement *') && element.outerHTML.startsWith('<span class="');
const all = (root) => [...root.querySelectorAll('*')].flatMap((element) => part(element) ? [] : [
  element.tagName + ' ' + element.getAttributeNames().join(' '),
  ...(element instanceof HTMLTemplateElement ? all(element.content) : [])]);
return [all(document), window.hacked || null];
"""


def labelled(labels: list[str]) -> Value:
    total = Value(1.0, label="start")
    for label in labels:
        total = (total + Value(2.0, label=label)).tanh()
        total.label = f"t{label}"
    return total


MOST = [pytest.param(start, marks=pytest.mark.campaign) for start in range(60, 200, 20)]


@pytest.mark.parametrize("start", [0, 20, 40, *MOST])
def test_hostile_labels_do_nothing(browser: Browser, start: int) -> None:
    labels = hostile_labels(200)[start : start + 20]
    root = labelled(labels)
    browser.open(page(root, title=labels[0]))
    structure, hacked = browser.run(STRUCTURE)
    assert hacked is None
    check_every_step_quickly(browser, root)
    browser.open(page(labelled([f"harmless{i}" for i in range(len(labels))]), title="harmless"))
    assert structure == browser.run(STRUCTURE)[0]


def check_every_step_quickly(browser: Browser, root: Value) -> None:
    """The words of every step are those of the record, whatever the names are."""
    browser.click("[data-mistake=overwrite]")
    step = record(root)
    lines = browser.run(
        "return microgrant.state.run.events.map((_, i) => microgrant.sentence(i + 1))"
    )
    assert lines == [step.line(count) for count in range(1, len(step) + 1)]
