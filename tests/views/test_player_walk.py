"""Walking through a step in a browser, as a lecturer does: the board, the camera, whole boxes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from browser import Browser

from microgrant import Value, explain
from microgrant.nn import MLP, RNN, Module
from microgrant.ops.numbers import number
from microgrant.optim import SGD
from microgrant.views import record
from microgrant.views.graph import Graph
from microgrant.views.player import page

KEPT: list[Module] = []  # a page asks modules for their names, so they have to live on
END, RIGHT, LEFT = "\ue010", "\ue014", "\ue012"


def square() -> Value:
    a, b, c = (Value(x, name) for x, name in ((2.0, "a"), (-3.0, "b"), (10.0, "c")))
    root = (a * b + c) ** 2
    root.label = "L"
    return root


def network(*widths: int) -> Value:
    random.seed(7)
    KEPT.append(MLP(2, widths, activation="tanh"))
    out = KEPT[-1]([Value(1.0, "x1"), Value(-2.0, "x2")])
    loss: Value = (1 - out) ** 2
    loss.label = "loss"
    return loss


def recurrent() -> Value:
    random.seed(3)
    KEPT.append(RNN(1, 2))
    inputs = [[Value(x, f"x{i}")] for i, x in enumerate((0.5, -1.0, 2.0), 1)]
    h = KEPT[-1](inputs)[-1]
    loss: Value = h[0] ** 2 + h[1] ** 2
    loss.label = "loss"
    return loss


def shifted(browser: Browser, key: str) -> None:
    from selenium.webdriver import ActionChains, Keys

    chain = ActionChains(browser.driver)
    chain.key_down(Keys.SHIFT).send_keys(key).key_up(Keys.SHIFT).perform()


def columns(browser: Browser) -> list[list[str]]:
    """The formulas of the chain rule, and the numbers below them."""
    found: list[list[str]] = browser.run(
        "return ['above', 'below'].map((row) => [...document.querySelectorAll('#chain .' + row)]"
        ".map((x) => x.textContent.trim()))"
    )
    return found


def marked(browser: Browser) -> dict[str, str]:
    """The parts of the statement that are marked, by their marks."""
    found: dict[str, str] = browser.run(
        "return Object.fromEntries([...document.querySelectorAll('#statement [class]')]"
        ".map((x) => [x.className, x.textContent]).filter(([name]) => name && name !== 'name'))"
    )
    return found


# --- The board ------------------------------------------------------------------------------------


def test_the_board_says_what_is_computed_and_marks_what_is_done(browser: Browser) -> None:
    browser.open(page(square()))
    assert browser.text("#statement") == "L = (a × b + c)²"
    assert marked(browser) == {}
    expected: list[dict[str, str]] = [
        *({"active": text} for text in ("a × b", "a × b + c", "(a × b + c)²")),
        {"source": "(a × b + c)²"},  # the seed
        {"source": "(a × b + c)²", "active": "a × b + c"},
        {"source": "a × b + c", "active": "a × b"},
        {"source": "a × b + c", "active": "c"},
        {"source": "a × b", "active": "a"},
        {"source": "a × b", "active": "b"},
    ]
    for parts in expected:
        browser.press(" ")
        assert marked(browser) in (parts, {"active": parts.get("source")}), browser.step


def test_the_chain_rule_stands_over_its_numbers(browser: Browser) -> None:
    browser.open(page(square()), "#step=9")
    assert columns(browser) == [
        ["∂L/∂a", "+=", "∂L/∂v1", "·", "∂v1/∂a (= b)", ""],
        ["−24", "= 0 +", "8", "·", "(−3)", "= 0 + (−24)"],
    ]
    for kind, colour in (("upstream", "gradient"), ("value", "value"), ("result", "gradient")):
        assert browser.run(
            "const [kind, colour] = arguments; const probe = document.createElement('i');"
            "probe.style.color = `var(--${colour})`; document.body.append(probe);"
            "const [x, y] = [document.querySelector(`#chain .below .${kind}`), probe]"
            ".map((each) => getComputedStyle(each).color); probe.remove(); return x === y",
            kind,
            colour,
        )
    # Each number under the middle of its factor.
    apart = browser.run(
        "return [...document.querySelectorAll('#chain .column')].slice(0, 5).map((column) => {"
        "const [above, below] = [...column.children].map((x) => x.getBoundingClientRect());"
        "return [above.bottom <= below.top + 1,"
        "Math.abs(above.left + above.right - below.left - below.right) / 2 < 2] })"
    )
    assert apart == [[True, True]] * 5


def test_two_uses_have_a_share_each(browser: Browser) -> None:
    b = Value(3.0, "b")
    root = b * b
    root.label = "c"
    browser.open(page(root), "#step=4")
    assert columns(browser)[0][4] == "∂c/∂b⁽¹⁾ (= b⁽²⁾)"
    assert marked(browser) == {"source": "b × b", "active": "b"}
    place = "return document.querySelector('#statement .active').getBoundingClientRect().left"
    first = browser.run(place)
    browser.press(" ")
    assert columns(browser) == [
        ["∂c/∂b", "+=", "∂c/∂c", "·", "∂c/∂b⁽²⁾ (= b⁽¹⁾)", ""],
        ["6", "= 3 +", "1", "·", "3", "= 3 + 3"],
    ]
    assert browser.run(place) > first


def test_a_mistake_is_written_as_it_is_made(browser: Browser) -> None:
    browser.open(page(square(), mistake="overwrite"), f"#step={len(record(square()))}")
    assert columns(browser)[0][1] == "="
    assert columns(browser)[1][1] == "="


def test_what_is_rounded_is_not_said_to_be_equal(browser: Browser) -> None:
    root = Value(0.5, "x").tanh()
    browser.open(page(root), "#step=2")
    assert browser.formula.endswith("= tanh(0.5) ≈ 0.4621")
    browser.press(" ", " ")
    assert columns(browser)[1][1] == "≈ 0 +"
    assert root.data != 0.4621


@pytest.mark.parametrize(
    ("make", "title"),
    [
        (lambda a, b: (a * b + 10) ** 2, "(a × b + 10)²: one step of backpropagation"),
        (
            lambda a, b: sum([a * b + i for i in range(40)], a),
            "v117 + a × b + 37 + a × b + 38 + a × b + 39: one step of backpropagation",
        ),
    ],
)
def test_what_has_no_name_is_called_by_what_it_is(
    browser: Browser, make: Callable[[Value, Value], Value], title: str
) -> None:
    browser.open(page(make(Value(2.0, "a"), Value(-3.0, "b"))))
    assert browser.text("h1") == title == browser.driver.title


# --- The camera -----------------------------------------------------------------------------------

OUTSIDE = """
const stage = document.querySelector('#picture').getBoundingClientRect();
return [...document.querySelectorAll('.view.open :is(.value, .box) > .body')].filter((body) => {
  const { left, right, top, bottom } = body.getBoundingClientRect();
  return left < stage.left || right > stage.right || top < stage.top || bottom > stage.bottom;
}).length;
"""


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (960, 720), (390, 844)])
@pytest.mark.parametrize("make", [square, lambda: network(4, 4, 1), recurrent])
def test_it_opens_on_the_whole(
    browser: Browser, make: Callable[[], Value], size: tuple[int, int]
) -> None:
    browser.size(*size)
    browser.open(page(make()))
    assert browser.run(OUTSIDE) == 0
    assert not browser.find("#map").is_displayed()


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (960, 720), (390, 844)])
def test_nothing_around_the_picture_moves(browser: Browser, size: tuple[int, int]) -> None:
    browser.size(*size)
    for root in (network(4, 4, 1), recurrent()):
        browser.open(page(root))
        heights = browser.run(
            "const found = new Set();"
            "for (let step = 1; step <= microgrant.state.run.events.length; step++) {"
            "  microgrant.go(step);"
            "  found.add(['header', '#formula-line', '#picture', 'footer'].map((x) => {"
            "    const { top, bottom } = document.querySelector(x).getBoundingClientRect();"
            "    return [top, bottom] }).join()) }"
            "return [...found]"
        )
        assert len(heights) == 1


@pytest.mark.parametrize("width", [1280, 960])
def test_the_bar_above_is_one_line(browser: Browser, width: int) -> None:
    browser.size(width, 720)
    browser.open(page(network(4, 4, 1)))
    assert box_of(browser, "h1")["bottom"] > box_of(browser, "#follow")["top"]


VIEWS = """
const seen = [];
for (let step = 1; step <= microgrant.state.run.events.length; step++) {
  microgrant.go(step);
  if (microgrant.state.view !== seen.at(-1)) seen.push(microgrant.state.view);
}
return seen.length - 1;
"""


def test_the_view_changes_once_for_each_module(browser: Browser) -> None:
    root = network(4, 4, 1)
    browser.open(page(root))
    neurons = 9
    assert browser.run(VIEWS) <= 2 * neurons + 1


def test_whole_boxes_take_a_dozen_clicks(browser: Browser) -> None:
    root = network(4, 4, 1)
    browser.open(page(root))
    steps, went = len(record(root)), [1]
    while browser.step < steps:
        browser.click("#next-box")
        assert browser.text("#trail") == "whole graph"
        went.append(browser.step)
    assert 6 <= len(went) <= 13
    for step in reversed(went[:-1]):
        shifted(browser, LEFT)
        assert browser.step == step
    shifted(browser, RIGHT)
    assert browser.step == went[1]
    browser.open(page(square()))
    assert not browser.find("#next-box").is_displayed()


def boxes(browser: Browser) -> dict[str, list[str]]:
    """What each folded box shows, by the names of all boxes around it."""
    found: dict[str, list[str]] = browser.run(
        "return Object.fromEntries([...document.querySelectorAll('.view.open .box')].map((box) => {"
        "const inside = microgrant.data.paths.find((path) => path.includes(+box.dataset.box));"
        "const path = inside.slice(0, inside.indexOf(+box.dataset.box) + 1);"
        "return [path.map((each) => microgrant.data.boxes[each].name).join('.'),"
        "['.data', '.grad'].map((x) => box.querySelector(x).textContent)] }))"
    )
    return found


def test_folded_boxes_show_what_comes_out_of_them(browser: Browser) -> None:
    root = network(4, 4, 1)
    browser.open(page(root), f"#step={len(record(root))}&view=1&follow=no")  # the layers folded
    graph = Graph(root)
    values, gradients = record(root).state(len(record(root)))
    shown = boxes(browser)
    assert [len(data.split(", ")) for data, _ in shown.values()] == [4, 4, 1]  # three and …

    def inside(place: int, name: str) -> bool:
        path = [box.name for box in graph.paths[place]]
        return path[: name.count(".") + 1] == name.split(".")

    for name, told in shown.items():
        outputs = {
            operand: None
            for place, operands in enumerate(graph.operands)
            for operand in operands
            if graph.operands[operand] and inside(operand, name) and not inside(place, name)
        }
        for text, numbers in zip(told, (values, gradients), strict=True):
            expected = [number(float(numbers[x] or 0.0)) for x in sorted(outputs)]
            assert text.split(", ") == [*expected[:3], *["…"] * (len(expected) > 3)]


def test_a_box_shows_nothing_before_it_is_reached(browser: Browser) -> None:
    browser.open(page(network(4, 4, 1)))
    assert set(map(tuple, boxes(browser).values())) == {("", "–")}
    browser.click("#next-box")
    first = [name for name, (data, _) in boxes(browser).items() if data]
    assert first == [f".layers[0].neurons[{i}]" for i in range(4)]


def test_wires_between_boxes_turn_on_the_way_back(browser: Browser) -> None:
    root = network(4, 4, 1)
    browser.open(page(root), f"#step={len(record(root))}&view=0&follow=no")
    wires = "return [...document.querySelectorAll('.view.open .edge%s')].length"
    assert browser.run(wires % ".reached") == browser.run(wires % "")
    for _ in range(6):
        shifted(browser, LEFT)
    assert browser.run(wires % ".reached") == 0
    for _ in range(2):
        shifted(browser, RIGHT)
    assert 0 < browser.run(wires % ".reached") < browser.run(wires % "")


def test_the_trail_names_every_level(browser: Browser) -> None:
    browser.open(page(network(4, 4, 1)))
    assert browser.text("#trail") == "whole graph"
    browser.press(" ")
    assert browser.text("#trail") == "whole graph› MLP 2→4→4→1› layers[0]› neurons[0]"
    browser.run("document.querySelectorAll('#trail button')[2].click()")  # layers[0], a frame
    assert browser.text("#trail") == "whole graph"
    frame = browser.run(
        "const { left, right, top, bottom } = [...document.querySelectorAll('.view.open .frame')]"
        ".find((x) => x.textContent.startsWith('layers[0]')).getBoundingClientRect();"
        "const stage = document.querySelector('#picture').getBoundingClientRect();"
        "return left >= stage.left && right <= stage.right"
    )
    assert frame


def test_the_map_shows_where_one_is_and_leads_elsewhere(browser: Browser) -> None:
    browser.size(960, 720)
    browser.open(page(network(4, 4, 1)), "#step=2&view=0&follow=no")
    assert browser.find("#map").is_displayed()
    pane = "const x = document.querySelector('#map .window'); return +x.getAttribute('x')"
    before = browser.run(pane)
    browser.run(
        "const map = document.querySelector('#map');"
        "const { right, top, height } = map.getBoundingClientRect();"
        "map.dispatchEvent(new PointerEvent('pointerdown', {bubbles: true, cancelable: true,"
        "buttons: 1, clientX: right - 2, clientY: top + height / 2}))"
    )
    assert browser.run(pane) > before
    browser.press("0")
    assert not browser.find("#map").is_displayed()


COVERED = """
const [map, ring] = ['#map', '.view.open .ring.active']
  .map((x) => document.querySelector(x).getBoundingClientRect());
return map.width > 0 && map.left < ring.right && ring.left < map.right
  && map.top < ring.bottom && ring.top < map.bottom;
"""


def test_the_map_moves_only_to_cover_nothing(browser: Browser) -> None:
    browser.open(page(recurrent()))
    places = set()
    while browser.step < len(record(recurrent())):
        browser.click("#next-box")
        assert not browser.run(COVERED), browser.step
        if browser.find("#map").is_displayed():
            places.add(round(box_of(browser, "#map")["right"]))
    assert len(places) == 1
    browser.size(960, 720)
    browser.open(page(network(4, 4, 1)))
    covered = browser.run(
        f"const covered = () => {{ {COVERED} }}; const found = [];"
        "for (let step = 2; step <= microgrant.state.run.events.length; step++) {"
        "  microgrant.go(step); if (covered()) found.push(step) }"
        "return found"
    )
    assert covered == []


def test_the_cells_of_a_recurrent_network_stand_side_by_side(browser: Browser) -> None:
    """In the order of time, and not behind a tangle of what all of them share."""
    browser.open(page(recurrent()))
    frames = browser.run(
        "return [...document.querySelectorAll('.view.open .frame')]"
        ".filter((x) => x.textContent.startsWith('cell')).map((x) => {"
        "const { left, right } = x.getBoundingClientRect(); return [left, right] })"
    )
    assert len(frames) == 3
    assert frames[0][1] < frames[1][0] < frames[1][1] < frames[2][0]
    weight = "cell.neurons[0].w[0]"
    browser.press("/", *weight, "\ue007")
    assert weight in browser.text(".view.open")


def test_a_long_number_on_an_edge_covers_no_value(browser: Browser) -> None:
    browser.open(page(Value(-0.00123456, "x") ** 2), "#step=4")
    assert browser.text(".view.open .flow") == "−0.002469"
    apart = browser.run(
        "const sides = (x) => document.querySelector(x).getBoundingClientRect();"
        "const [label, x, root] = ['.flow', '[data-node=\"0\"]', '[data-node=\"1\"]']"
        ".map((which) => sides(`.view.open ${which}`));"
        "return [label.left - x.right, root.left - label.right]"
    )
    assert min(apart) > -8  # of its halo, no more


# --- Panels, and a phone --------------------------------------------------------------------------


def test_panels_show_gradients_when_the_walk_has_come_to_them(browser: Browser) -> None:
    browser.open(page(square()), "#step=7")
    browser.press("v")
    shown = (
        "return [...document.querySelectorAll('#values-table .gradient')].map((x) => x.textContent)"
    )
    assert browser.run(shown) == ["–", "–", "–"]
    browser.press(" ")
    assert browser.run(shown) == ["–", "–", "8"]
    assert browser.text("#nudge-result dd:nth-of-type(2)") == "–"
    browser.press(END)
    assert browser.run(shown) == ["−24", "16", "8"]
    assert browser.text("#nudge-result dd:nth-of-type(2)") == "−24"


TALL = """
const bad = [];
const [formula, chain, board] = ['formula', 'chain', 'board']
  .map((id) => document.getElementById(id));
for (let step = 1; step <= microgrant.state.run.events.length; step++) {
  microgrant.go(step);
  const backward = formula.classList.contains('spoken');  // and then the chain is seen
  const height = parseFloat(getComputedStyle(formula).fontSize) * 1.25;
  const lines = backward ? 2 : Math.round(formula.getBoundingClientRect().height / height);
  const { right, bottom } = (backward ? chain : formula).getBoundingClientRect();
  const low = bottom > board.getBoundingClientRect().bottom + 1;
  if (lines > arguments[0] || right > innerWidth || low) bad.push([step, lines, right, bottom]);
}
return bad;
"""


def phone(browser: Browser, document: str, fragment: str = "") -> None:
    browser.size(390, 844)
    browser.open(document, fragment)


def box_of(browser: Browser, selector: str) -> dict[str, Any]:
    found: dict[str, Any] = browser.run(
        "return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", selector
    )
    return found


def test_on_a_phone_the_thumbs_find_on_and_back(browser: Browser) -> None:
    phone(browser, page(network(4, 4, 1)))
    for button in ("#next", "#previous"):
        area = box_of(browser, button)
        assert area["width"] >= 80
        assert area["height"] >= 48
        assert area["right"] <= 390
    browser.find("#next").click()
    assert browser.step == 2


def test_on_a_phone_panels_come_from_below(browser: Browser) -> None:
    phone(browser, page(square()), "#step=2")
    for key, panel in (("v", "#values-panel"), ("m", "#mistakes-panel")):
        browser.press(key)
        area, bar = box_of(browser, panel), box_of(browser, "footer")
        assert (area["left"], area["width"]) == (0, 390)
        assert area["bottom"] <= bar["top"]  # it covers no button
        picture, ring = (box_of(browser, x) for x in ("#picture", ".view.open .ring.active"))
        assert picture["bottom"] <= area["top"]  # nor what follows a change
        assert ring["bottom"] <= picture["bottom"]
        close = box_of(browser, f"{panel} .close")
        assert close["top"] >= area["top"]
        browser.find(f"{panel} .close").click()
        assert not browser.find(panel).is_displayed()


@pytest.mark.parametrize("make", [square, lambda: network(4, 4, 1), recurrent])
def test_on_a_phone_a_formula_has_two_lines(browser: Browser, make: Callable[[], Value]) -> None:
    phone(browser, page(make()))
    assert browser.run(TALL, 2) == []


ASKED = """
const bad = [];
const [board, chain] = ['board', 'chain'].map((id) => document.getElementById(id));
for (let step = 2; step <= microgrant.state.run.events.length; step++) {
  microgrant.go(step, { reveal: false });
  const size = parseFloat(getComputedStyle(chain).fontSize);
  const { right, bottom } = board.getBoundingClientRect();
  const last = chain.lastElementChild?.getBoundingClientRect();
  if (size < 10 || last?.right > right + 1 || last?.bottom > bottom + 1) bad.push([step, size]);
}
return bad;
"""


@pytest.mark.parametrize("make", [square, lambda: network(4, 4, 1)])
def test_on_a_phone_a_question_is_seen_as_a_whole(
    browser: Browser, make: Callable[[], Value]
) -> None:
    phone(browser, page(make()), "#step=2&predict")
    assert browser.run(ASKED) == []


def test_an_answer_moves_nothing(browser: Browser) -> None:
    browser.open(page(square()), "#step=9&predict")
    plus = "const x = document.querySelectorAll('#chain .column')[1].getBoundingClientRect();"
    place = plus + "return [Math.round(x.left), Math.round(x.top)]"
    browser.run("microgrant.go(9, { reveal: false })")
    before = browser.run(place)
    browser.press("-24", "\ue007")
    assert browser.text("#verdict") == "Right."
    assert browser.run(place) == before


def test_the_picture_of_a_step_has_its_formula_on_paper(browser: Browser) -> None:
    browser.open(page(square()), "#step=9")
    browser.run("window.dispatchEvent(new Event('beforeprint'))")
    assert "∂L/∂a" in browser.text("#sheets .sheet")
    browser.run("window.dispatchEvent(new Event('afterprint'))")


def test_what_python_explains_is_what_the_page_shows(browser: Browser) -> None:
    step = explain(square())
    browser.open(page(square()))
    for count in range(1, len(step) + 1):
        browser.run("microgrant.go(arguments[0])", count)
        assert step.line(count).replace("given: ", "") == browser.formula


TABLE = """
return [...document.querySelectorAll('#rows tr')].map((row, i) =>
  [row.cells[1].textContent, microgrant.sentence(i + 1)]);
"""


@pytest.mark.parametrize("rows", [None, [[1.0, 2.0], [2.0, 4.0]]])
def test_the_table_follows_what_is_learned(
    browser: Browser, rows: list[list[float]] | None
) -> None:
    w, x, y = (Value(number, name) for name, number in {"w": -3.0, "x": 5.0, "y": 7.0}.items())
    inputs = None if rows is None else [x, y]
    step = explain((w * x - y) ** 2, optimizer=SGD([w], 0.01), inputs=inputs, rows=rows)
    step.save(browser.folder / "learn.html")
    browser.open((browser.folder / "learn.html").read_text("utf-8"))
    if not browser.find("#learn-panel").is_displayed():
        browser.press("u")
    for button in (None, "#learn-10"):
        if button:
            browser.click(button)
        browser.wait(400)
        table = browser.run(TABLE)
        assert len(table) > 10
        assert [row for row, _ in table] == [line for _, line in table]
