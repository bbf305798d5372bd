
"use strict";
/* The player. The page holds the graph of one step of backpropagation: what was computed from what,
   with all numbers, and pictures made by Graphviz. This script walks through it.

   What is shown at a step is always derived from the list of events, and never accumulated: so going
   back is exact, and any step can be shown at once. Only classes, texts and attributes change, and
   texts are set with textContent: no name can become markup. */
(() => {

const data = JSON.parse(document.getElementById("step-data").textContent);
const at = (id) => document.getElementById(id);
const body = document.body;
const framed = window.top !== window;  // in a notebook
const size = data.values.length;
const root = size - 1;
const constants = new Set(data.constants);
const decoded = (x) => (typeof x === "number" ? x : { inf: Infinity, "-inf": -Infinity }[x] ?? NaN);
const recordedValues = data.values.map(decoded);
const recordedPartials = data.partials.map((partials) => partials.map(decoded));
const functions = window.operations || [];
const leaves = [];  // those with a name first: they are what one asks about
for (let i = 0; i < size; i++) if (data.operation[i] < 0 && !constants.has(i)) leaves.push(i);
const named = leaves.length;
/* What a node is computed from: its operands, and what decides which branch a `where` takes. */
const inputs = data.operands.map((operands, i) => operands.concat(data.mentions[i] ?? []));
for (let i = 0; i < size; i++) if (constants.has(i)) leaves.push(i);

// --- Numbers in print ------------------------------------------------------------------------------

/* Four significant digits, as microgrant.ops.numbers writes them in Python, tie for tie: there a
   number halfway between two is rounded to the even digit, here away from zero. */
function number(x) {
  if (Number.isNaN(x)) return "nan";
  const sign = x < 0 ? "−" : "";
  const amount = Math.abs(x);
  if (amount === Infinity) return sign + "inf";
  if (amount === 0) return "0";
  if (amount >= 9999.5 && amount < 99999.5) return sign + wholeHalfToEven(amount);
  let [digits, exponent] = amount.toExponential(3).split("e");
  const exact = amount.toExponential(60).replace(".", "");
  if (/^50*$/.test(exact.slice(4).split("e")[0]) && Number(exact[3]) % 2 === 0) {
    [digits, exponent] = [exact[0] + "." + exact.slice(1, 4), exact.split("e")[1]];
  }
  digits = digits.replace(/\.?0+$/, "");
  const power = Number(exponent);
  if (amount >= 1e-3 && amount < 99999.5) {
    return sign + String(Number(digits + "e" + power));
  }
  return sign + digits + "e" + String(power).replace("-", "−");
}

function wholeHalfToEven(amount) {
  const below = Math.floor(amount);
  const rest = amount - below;
  return String(rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below);
}

/* All digits, for those who compare with Python. */
function full(x) {
  if (Number.isNaN(x)) return "nan";
  if (Math.abs(x) === Infinity) return x > 0 ? "inf" : "−inf";
  return (Object.is(x, -0) ? "-0" : String(x)).replaceAll("-", "−");
}

/* What a person typed, as a number or a fraction; null if it is none. A comma may stand for the point, but not where
   it may as well set off thousands: 1,000 is a thousand for some, and one for others. */
function typed(text) {
  const parts = text.split("/");
  if (parts.length === 2) {
    const [over, under] = parts.map(typed);
    return over !== null && under !== null && Number.isFinite(over / under) ? over / under : null;
  }
  if (thousands(text)) return null;
  const plain = text.trim().replaceAll("−", "-").replace(",", ".").toLowerCase();
  const word = { inf: Infinity, "+inf": Infinity, "-inf": -Infinity, nan: NaN }[plain];
  if (word !== undefined) return word;
  return plain !== "" && Number.isFinite(Number(plain)) ? Number(plain) : null;
}

const thousands = (text) => /,\d{3}(?!\d)/.test(text) || (text.includes(",") && text.includes("."));

function refusal(text) {
  return thousands(text) ? "Thousands or decimals? Leave the comma out, or write a point."
    : /^\s*[-+−]?[\d.,]+e\+?\d+\s*$/i.test(text) ? "That is beyond the largest number, 1.8e308: inf is infinity."
    : "Write a number, such as −2.5, 1/2, 1e-3, inf or nan.";
}

// --- The step, computed ----------------------------------------------------------------------------

const liveProblem = findLiveProblem();

/* Why live values are off, or the empty text. An operation of the user's own must not only have a
   spelling in JavaScript, it must also agree with what Python recorded. */
function findLiveProblem() {
  for (let i = 0; i < size; i++) {
    const operation = data.operations[data.operation[i]];
    if (!operation) continue;
    const spelled = functions[data.operation[i]];
    if (operation.choice && !operation.live) {
      return `Live values are off: a ${operation.symbol} has a branch that is not in this graph.`;
    }
    if (!operation.live || !spelled) {
      return `Live values are off: the operation ${operation.symbol} has no spelling in JavaScript.`;
    }
    if (!operation.own) continue;
    const numbers = data.operands[i].map((operand) => recordedValues[operand]);
    const value = recordedValues[i];
    const same = close(spelled.forward(...numbers), value) &&
      spelled.partials(value, ...numbers).every((x, k) => close(x, recordedPartials[i][k]));
    if (!same) {
      return `Live values are off: the operation ${operation.symbol} computes something else in JavaScript.`;
    }
  }
  return "";
}

function close(x, y) {
  return Object.is(x, y) || Math.abs(x - y) <= 1e-9 * Math.max(Math.abs(x), Math.abs(y), 1e-300) ||
    (Number.isNaN(x) && Number.isNaN(y));
}

/* The forward pass. Without changes, it is what Python recorded. */
function forward(changes) {
  if (changes.size === 0) return { values: recordedValues, partials: recordedPartials };
  const values = new Array(size);
  const partials = new Array(size);
  for (let i = 0; i < size; i++) {
    const spelled = functions[data.operation[i]];
    if (!spelled) {
      values[i] = changes.has(i) ? changes.get(i) : recordedValues[i];
      partials[i] = [];
      continue;
    }
    const numbers = inputs[i].map((operand) => values[operand]);
    values[i] = spelled.forward(...numbers);
    partials[i] = spelled.partials(values[i], ...numbers);
  }
  return { values, partials };
}

const MOST_VISITS = 100000;

/* The events of the step in order: every value is computed, the seed is set, and then each use of a
   value passes a contribution on. A mistake changes what the backward pass does. */
function run(changes, mistake) {
  const { values, partials } = forward(changes);
  const events = [];
  const history = Array.from({ length: size }, () => []);  // for each node, when its gradient changed
  for (let i = 0; i < size; i++) events.push({ kind: "forward", node: i });
  const gradients = new Array(size).fill(0);
  let earlier = null;
  if (mistake === "no_zero_grad") {
    earlier = run(changes, null).gradients.map((x, i) => (data.operation[i] < 0 ? x : 0));
    earlier.forEach((x, i) => { gradients[i] = x; });
  }
  gradients[root] = 1;
  events.push({ kind: "seed", node: root, after: 1 });
  history[root].push(events.length);
  const visit = (node) => {
    const upstream = gradients[node];
    data.operands[node].forEach((operand, place) => {
      const local = partials[node][place];
      const before = gradients[operand];
      const contribution = local * upstream;
      const after = mistake === "overwrite" ? contribution : before + contribution;
      gradients[operand] = after;
      events.push({ kind: "backward", node, place, operand, upstream, local, contribution, before, after });
      history[operand].push(events.length);
    });
  };
  if (mistake === "no_topological_order") {
    const stack = [root];
    for (let visits = 0; stack.length; visits++) {
      if (visits > MOST_VISITS) return null;
      const node = stack.pop();
      visit(node);
      for (let i = data.operands[node].length - 1; i >= 0; i--) stack.push(data.operands[node][i]);
    }
  } else {
    for (let node = root; node >= 0; node--) visit(node);
  }
  return { values, partials, events, history, gradients, earlier, mistake };
}

// --- The step, in words ----------------------------------------------------------------------------

const nameOf = (node, values) => (constants.has(node) ? number(values[node]) : data.names[node]);
const shortOf = (node, values) => data.short[node] ?? nameOf(node, values);

/* A template has a sign of its own for each operand and for the result. */
function filled(template, words, out) {
  let text = "";
  for (const sign of template) {
    const code = sign.charCodeAt(0);
    if (code === 0xe00f) text += out;
    else if (code >= 0xe000 && code < 0xe008) text += words[code - 0xe000];
    else text += sign;
  }
  return text;
}

/* The template for operands in one of several forms, in which they need parentheses or not: a name
   begins with a minus sign or not (2 forms), a number may also have an exponent of ten (3 forms). */
function fitting(templates, words, forms) {
  const form = (word) => (/^[−-]/.test(word) ? 1 : forms === 3 && word.includes("e") ? 2 : 0);
  return templates.length > 1 ? templates[words.reduce((which, word) => which * forms + form(word), 0)] : templates[0];
}

/* What happens at a step, as a list of [class, text]. The texts joined are the line of the table. */
function sentence(step, short) {
  const { values, events, mistake } = state.run;
  const name = short ? shortOf : nameOf;
  const event = events[step - 1];
  const out = name(event.node, values);
  const operation = data.operations[data.operation[event.node]];
  if (event.kind === "seed") {
    return [["name", out + ".grad:"], ["", " "], ["result gradient", "1"], ["rule", " (the seed)"]];
  }
  const words = inputs[event.node].map((operand) => name(operand, values));
  if (event.kind === "forward") {
    if (constants.has(event.node)) return [["rule", "constant "], ["name value", out]];
    const parts = [["name", out], ["", " = "]];
    if (operation) {
      const numbers = inputs[event.node].map((operand) => number(values[operand]));
      parts.push(["", filled(fitting(operation.formula, words, 2), words, out)], ["", " = "]);
      parts.push(["value", filled(fitting(operation.numbers, numbers, 3), numbers, out)], ["", " = "]);
    }
    parts.push([operation ? "result value" : "value", number(values[event.node])]);
    return parts;
  }
  const target = words[event.place];
  const rule = filled(fitting(operation.rules, words, 2)[event.place], words, out);
  const local = number(event.local);
  const before = number(event.before);
  const contribution = number(event.contribution);
  const keeps = mistake !== "overwrite";
  const isConstant = constants.has(event.operand);
  return [
    ["name", isConstant ? `(constant ${target}).grad:` : target + ".grad:"], ["", " "],
    ...(keeps ? [["gradient", before], ["", " + "]] : []),
    ["", "upstream "], ["gradient", number(event.upstream)], ["", " × "],
    ["", `∂${out}/∂${target}`], ["rule", rule === local ? "" : ` (= ${rule})`],
    ["value", " " + local], ["", " = "],
    ...(keeps ? [["guess gradient", before], ["guess", " + "]] : []),
    ["guess gradient", contribution], ["", " → "], ["result gradient", number(event.after)],
  ];
}

const plain = (parts) => parts.map(([, text]) => text).join("");

// --- What is shown ---------------------------------------------------------------------------------

const state = {
  step: 0,            // how many events have happened; the last of them is the one shown
  revealed: true,     // whether its result is shown; predicting keeps it back
  predict: false,
  mistake: data.mistake,
  changes: new Map(), // leaves that were given another value
  nudged: leaves[0],
  run: null,
  right: null,        // the same without the mistake
  view: 0,
  follow: true,
  zoom: 1,            // times the usual scale
  whole: false,       // whether all is to be seen, however small
};
state.right = run(state.changes, null);
state.run = state.mistake ? run(state.changes, state.mistake) : state.right;

const templates = document.querySelectorAll("template");
const views = data.views.map((view, i) => ({ ...view, template: templates[i - 1], element: null, parts: null }));

/* The elements of a view, taken from its template when it is first opened. */
function partsOf(view) {
  if (view.parts) return view.parts;
  view.element = view.template ? view.template.content.querySelector(".view") : document.querySelector(".view");
  at("world").append(view.element);
  const all = (selector) => Array.from(view.element.querySelectorAll(selector));
  const place = (element) => {
    const [x, y] = element.getAttribute("transform").match(/-?[\d.]+/g).map(Number);
    const rect = element.querySelector(".body");
    return { x, y, width: Number(rect.getAttribute("width")), height: Number(rect.getAttribute("height")) };
  };
  const nodes = new Map();
  for (const element of all("[data-node]")) {
    const text = (name) => element.querySelector("." + name);
    nodes.set(Number(element.dataset.node), {
      element, area: place(element), data: text("data"), grad: text("grad"), wrong: null,
    });
  }
  const boxes = new Map();
  for (const element of all("[data-box]")) {
    boxes.set(Number(element.dataset.box), { element, area: place(element) });
  }
  const edges = all(".edge").map((element) => ({ element, ...element.dataset }));
  const only = (selector) => view.element.querySelector(selector);
  view.parts = { nodes, boxes, edges, flow: only(".flow"), active: only(".ring.active"), source: only(".ring.source") };
  return view.parts;
}

/* A sign at the corner of a node whose gradient is wrong; few nodes ever need one. */
function markWrong(view, shown, wrong) {
  if (!wrong && !shown.wrong) return;
  if (!shown.wrong) {
    const { x, y, width, height } = shown.area;
    shown.wrong = document.createElementNS("http://www.w3.org/2000/svg", "text");
    shown.wrong.setAttribute("class", "wrong");
    shown.wrong.setAttribute("x", x + width + 1);
    shown.wrong.setAttribute("y", y + height + 9);
    view.element.append(shown.wrong);
  }
  shown.wrong.textContent = wrong ? "≠" : "";
}

/* Put a ring around something, or take it away. */
function encircle(ring, thing) {
  ring.classList.toggle("shown", thing !== null);
  if (thing === null) return;
  const { x, y, width, height } = thing.area;
  const place = { x: x - 6, y: y - 6, width: width + 12, height: height + 12, rx: 13 };
  for (const [name, value] of Object.entries(place)) ring.setAttribute(name, value);
}

/* When the values inside of each box are computed, and when their gradients are reached. */
let spans = [];
function findSpans() {
  spans = data.boxes.map(() => ({ first: Infinity, last: 0, reached: Infinity }));
  for (let i = 0; i < size; i++) {
    for (const box of data.paths[i]) {
      const span = spans[box];
      span.first = Math.min(span.first, i + 1);
      span.last = Math.max(span.last, i + 1);
      span.reached = Math.min(span.reached, state.run.history[i][0] ?? Infinity);
    }
  }
}

/* The gradient of a node after a step; null if it is not reached yet. */
function gradientAt(node, step) {
  const { history, events, earlier } = state.run;
  const when = history[node];
  let low = 0;
  let high = when.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (when[middle] <= step) low = middle + 1; else high = middle;
  }
  if (low > 0) return events[when[low - 1] - 1].after;
  return earlier && data.operation[node] < 0 ? earlier[node] : null;
}

const valueAt = (node, step) => (node < step ? state.run.values[node] : null);

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.classList.toggle("long", text.length > 8);
}

/* Where a value is to be seen in a view: itself, or the box that it is in; or nowhere. */
function thingIn(parts, node) {
  if (parts.nodes.has(node)) return { key: "n" + node, ...parts.nodes.get(node) };
  for (const box of data.paths[node]) {
    if (parts.boxes.has(box)) return { key: "b" + box, ...parts.boxes.get(box) };
  }
  return null;
}

function show() {
  const step = state.step;
  const event = step > 0 ? state.run.events[step - 1] : null;
  const backward = event !== null && event.kind !== "forward";
  body.classList.toggle("backward", backward);
  body.classList.toggle("forward", event !== null && !backward);
  body.classList.toggle("mistaken", state.mistake !== null);
  body.classList.toggle("predicting", state.predict);
  const view = views[state.view];
  const parts = partsOf(view);
  const target = event && (event.kind === "backward" ? event.operand : event.node);
  const active = event && thingIn(parts, target);
  const source = event && event.kind === "backward" ? thingIn(parts, event.node) : null;
  for (const [node, shown] of parts.nodes) {
    const value = valueAt(node, step);
    const gradient = gradientAt(node, step);
    const hidden = !state.revealed && node === target;
    setText(shown.data, value === null ? "" : hidden && !backward ? "?" : number(value));
    setText(shown.grad, hidden && backward ? "?" : gradient === null ? "–" : number(gradient));
    const final = gradient !== null && step >= state.run.history[node].at(-1);
    const wrong = state.mistake !== null && final && !hidden && !close(gradient, state.right.gradients[node]);
    markWrong(view, shown, wrong);
    const { classList } = shown.element;
    classList.toggle("waiting", value === null);
    classList.toggle("reached", gradient !== null);
    classList.toggle("active", active !== null && active.element === shown.element);
    const label = `${nameOf(node, state.run.values)}: ` +
      `value ${shown.data.textContent || "not computed yet"}, ` +
      `gradient ${gradient === null ? "not reached yet" : shown.grad.textContent}` +
      (wrong ? `, which is wrong: it is ${number(state.right.gradients[node])}` : "");
    if (shown.element.getAttribute("aria-label") !== label) shown.element.setAttribute("aria-label", label);
  }
  for (const [box, shown] of parts.boxes) {
    const { classList } = shown.element;
    classList.toggle("waiting", step < spans[box].first);
    classList.toggle("reached", step >= spans[box].reached);
    classList.toggle("active", active !== null && active.element === shown.element);
  }
  encircle(parts.active, active);
  encircle(parts.source, source);
  parts.flow.textContent = "";
  for (const edge of parts.edges) {
    const [node, place] = edge.use ? edge.use.split("-").map(Number) : [];
    let isActive = false;
    if (event && event.kind === "forward") {
      isActive = edge.use ? node === event.node
        : edge.to === active?.key && data.operands[event.node].some((x) => thingIn(parts, x)?.key === edge.from);
    } else if (event && event.kind === "backward") {
      isActive = edge.use ? node === event.node && place === event.place
        : edge.to === source?.key && edge.from === active?.key;
    }
    const { classList } = edge.element;
    classList.toggle("active", isActive);
    classList.toggle("waiting", edge.use !== undefined && valueAt(node, step) === null);
    classList.toggle("reached", edge.use !== undefined && passed(node, place, step));
    if (isActive && backward) {
      label(parts.flow, state.revealed ? number(event.contribution) : "?", edge.element);
    }
  }
  showFormula(event, step);
  showControls();
  showTableRow();
  aim();
}

/* Write a text above the middle of an edge: higher, where the edge is steep and would cross it. */
function label(element, text, edge) {
  const length = edge.getTotalLength();
  const [before, middle, after] = [0.45, 0.5, 0.55].map((part) => edge.getPointAtLength(part * length));
  const slope = Math.abs((after.y - before.y) / (after.x - before.x || 1));
  const steep = slope > 1.5;
  element.setAttribute("x", middle.x + (steep ? 12 + 5 * text.length : 0));
  element.setAttribute("y", middle.y + (steep ? 6 : -9 - slope * 5 * text.length));
  element.textContent = text;
}

/* Whether an edge has passed its contribution on. */
function passed(node, place, step) {
  const first = data.operation[node] < 0 ? undefined : firstVisit(node);
  return first !== undefined && step >= first + place;
}

let visits = null;
function firstVisit(node) {
  if (!visits || visits.run !== state.run) {
    visits = { run: state.run, steps: new Map() };
    state.run.events.forEach((event, i) => {
      if (event.kind === "backward" && !visits.steps.has(event.node)) visits.steps.set(event.node, i + 1);
    });
  }
  return visits.steps.get(node);
}

function showFormula(event, step) {
  const line = at("formula");
  at("half").textContent = event === null ? "start" : event.kind === "forward" ? "forward" : "backward";
  const { events } = state.run;
  const parts = event === null
    ? [["", `${size} steps forward, then ${events.length - size} backward. → or Space goes on.`]]
    : sentence(step, true);
  line.replaceChildren(...spansOf(parts, !state.revealed));
  line.classList.toggle("long", plain(parts).length > 80);
  at("aside").textContent = asideFor(event);
}

function spansOf(parts, hidden) {
  const found = [];
  let guessed = false;
  for (const [kind, text] of parts) {
    if (hidden && kind.includes("guess")) {
      if (!guessed) found.push(span("result", "?"));
      guessed = true;
    } else {
      found.push(span(kind, hidden && kind.includes("result") ? "?" : text));
    }
  }
  return found;
}

function span(kind, text) {
  const element = document.createElement("span");
  element.className = kind;
  element.textContent = text;
  return element;
}

function asideFor(event) {
  if (state.mistake) return `With a mistake: ${data.mistakes[state.mistake]}.`;
  if (!state.revealed) return "What comes out? The next key shows it.";
  if (!event) return "";
  if (constants.has(event.operand)) return "A constant has a gradient too, but nobody asks for it.";
  const around = data.paths[event.node].map((box) => data.boxes[box].name).filter(Boolean);
  return around.length ? "in " + around.join(" › ") : "";
}

// --- Going from step to step -----------------------------------------------------------------------

const lastStep = () => state.run.events.length;

/* Go to a step, and into the view where it can be seen. */
function go(step, { reveal = true } = {}) {
  state.step = Math.min(Math.max(Math.round(step) || 0, 0), lastStep());
  const event = state.run.events[state.step - 1];
  const given = event && event.kind === "forward" && data.operation[event.node] < 0;
  state.revealed = reveal || !state.predict || !event || given;
  followStep();
  show();
  writeHash();
}

function followStep() {
  if (!state.follow) return;
  const event = state.run.events[state.step - 1];
  if (!event) { openView(0, false); return; }
  const parts = partsOf(views[state.view]);
  const seen = parts.nodes.has(event.node) && (event.kind !== "backward" || parts.nodes.has(event.operand));
  const stub = parts.nodes.get(event.node)?.element.classList.contains("stub");
  if (!seen || stub) openView(data.home[event.node], false);
}

function next() {
  if (!state.revealed) { state.revealed = true; show(); return; }
  if (state.step < lastStep()) go(state.step + 1, { reveal: false });
}

function previous() { if (state.step > 0) go(state.step - 1); }

const toStart = () => go(0);
const toBackward = () => go(size + 1, { reveal: false });
const toEnd = () => go(lastStep());

/* Whoever chooses a step does not want to be carried away from it. */
function byHand(move) {
  return (event) => { play(false); move(event); };
}

let playing = null;
function play(on = playing === null) {
  clearInterval(playing);
  playing = null;
  if (on) {
    if (state.step === lastStep()) go(0);
    playing = setInterval(() => {
      if (state.step === lastStep() && state.revealed) play(false); else next();
    }, 1500);
  }
  at("play").setAttribute("aria-pressed", String(playing !== null));
}

/* The step in the address, so that it can be linked to; not more often than browsers let us. A frame
   in a notebook may have no address of its own. */
let addressing = null;
function writeHash() {
  clearTimeout(addressing);
  addressing = setTimeout(() => {
    try { history.replaceState(null, "", "#step=" + state.step); } catch { return; }
  }, 250);
}

function readHash() {
  const found = /^#step=(\d+)$/.exec(location.hash);
  return found ? Number(found[1]) : null;
}

// --- Views and modules -----------------------------------------------------------------------------

function openView(which, byHand) {
  if (byHand) setFollow(false);
  partsOf(views[which]);
  if (which === state.view && views[which].element.classList.contains("open")) return;
  views[state.view].element.classList.remove("open");
  state.view = which;
  views[which].element.classList.add("open");
  camera.fresh = true;
  showTrail();
}

function setFollow(on) {
  state.follow = on;
  at("follow").setAttribute("aria-pressed", String(on));
}

/* Open a box: unfold it in the same picture if that is possible, or else go into it. */
function openBox(box) {
  const { box: around, level } = data.views[state.view];
  let which = data.views.findIndex((view) => view.box === box);
  if (around < 0 && level < data.views[0].level) {
    which = data.views.findIndex((view) => view.box < 0 && view.level === level + 1);
  }
  if (which < 0) which = data.home[data.paths.findIndex((path) => path.includes(box))];
  openView(which, true);
  show();
}

/* Fold a frame: the whole with one more level folded. */
function foldBox(box) {
  const depth = data.paths.find((path) => path.includes(box)).indexOf(box);
  const which = data.views.findIndex((view) => view.box < 0 && view.level === depth);
  if (data.views[state.view].box >= 0 || which < 0) leave();
  else { openView(which, true); show(); }
}

function leave() {
  const { box, parent } = data.views[state.view];
  if (box < 0) return;
  openView(parent, true);
  show();
}

function showTrail() {
  const trail = at("trail");
  const chain = [];
  for (let which = state.view; ; which = data.views[which].parent) {
    chain.unshift(which);
    if (data.views[which].box < 0) break;
  }
  const items = chain.map((which, i) => {
    const { box } = data.views[which];
    const text = box < 0 ? "whole graph" : data.boxes[box].name || data.boxes[box].title;
    if (i === chain.length - 1) return span("", "› " + text);
    const button = document.createElement("button");
    button.textContent = (i ? "› " : "") + text;
    button.addEventListener("click", () => { openView(which, true); show(); });
    return button;
  });
  trail.replaceChildren(...(chain.length > 1 ? items : []));
  const shown = partsOf(views[state.view]).nodes.size;
  at("hidden-values").textContent = shown < size
    ? `${size.toLocaleString("en")} values, ${(size - shown).toLocaleString("en")} of them hidden` : "";
  if (!at("values-panel").hidden) fillValues();
}

// --- The camera ------------------------------------------------------------------------------------

const camera = { x: 0, y: 0, scale: 1, fresh: true, byHand: false };
const picture = at("picture");
const world = at("world");
const MARGIN = 34;  // around the picture, for rings and arrow heads
const TEXT = 19;  // the size of a number in the picture, before the camera

/* Large enough to be read: 24 px in a window of 1920 × 1080, in proportion in others. */
function readable() {
  return Math.max(24 * Math.min(innerWidth / 1920, innerHeight / 1080), 13) / TEXT * 1.005;
}

/* Look at the active node, without moving more than is needed. */
function aim(glide = true) {
  const { clientWidth: width, clientHeight: height } = picture;
  if (!width || !height) return;
  const view = views[state.view];
  const { whole, usual } = scales();
  camera.scale = state.whole ? whole : usual * state.zoom;
  const event = state.run.events[Math.max(state.step - 1, 0)];  // at the start, look where it begins
  const parts = partsOf(view);
  const target = event && thingIn(parts, event.kind === "backward" ? event.operand : event.node);
  if (camera.fresh) {
    camera.x = target ? target.area.x + target.area.width / 2 : 0;
    camera.y = target ? target.area.y + target.area.height / 2 : view.height / 2;
  }
  if (event && !camera.byHand) {
    const others = (event.kind === "backward" ? [event.node] : data.operands[event.node])
      .map((node) => thingIn(parts, node));
    // What is worth seeing, the least important first: the last word has the active node.
    for (const thing of others) if (thing) include(thing.area, width, height, MARGIN);
    if (target) include(target.area, width, height, Math.min(width, height) / 6);
  }
  keepInside("x", "width", width);
  keepInside("y", "height", height);
  const x = width / 2 - camera.x * camera.scale;
  const y = height / 2 - camera.y * camera.scale;
  world.classList.toggle("instant", !glide || camera.fresh);
  world.style.transform = `translate(${x}px, ${y}px) scale(${camera.scale})`;
  camera.fresh = false;
}

/* The scale at which all of the view is seen, and the usual one, at which it can be read as well. */
function scales() {
  const { clientWidth: width, clientHeight: height } = picture;
  const view = views[state.view];
  const fit = Math.min((width - 2 * MARGIN) / view.width, (height - 2 * MARGIN) / view.height);
  const usual = Math.min(Math.max(fit, readable()), 2.4 * readable());
  return { whole: Math.min(fit, usual), usual };
}

function include(area, width, height, margin) {
  const halfWidth = Math.max((width / 2 - margin) / camera.scale, area.width / 2);
  const halfHeight = Math.max((height / 2 - margin) / camera.scale, area.height / 2);
  camera.x = Math.min(Math.max(camera.x, area.x + area.width - halfWidth), area.x + halfWidth);
  camera.y = Math.min(Math.max(camera.y, area.y + area.height - halfHeight), area.y + halfHeight);
}

/* No empty space at a border while there is something to see at the other one. */
function keepInside(axis, side, room) {
  const half = (room / 2 - MARGIN) / camera.scale;
  const length = views[state.view][side];
  if (length <= 2 * half) camera[axis] = camera.byHand ? camera[axis] : length / 2;
  else camera[axis] = Math.min(Math.max(camera[axis], half), length - half);
}

/* Larger or smaller by a factor. */
function zoom(factor) {
  zoomTo(zoomed() * factor);
  camera.byHand = false;
  aim();
}

/* All that there is; once more, and it can be read. */
function fit() {
  const { whole, usual } = scales();
  state.whole = !state.whole && whole < usual;
  state.zoom = 1;
  camera.byHand = false;
  camera.fresh = true;
  aim();
}

const zoomed = () => camera.scale / scales().usual;
function zoomTo(times) {
  state.whole = false;
  state.zoom = Math.min(Math.max(times, Math.min(zoomed(), 0.1)), 12);
}

// --- Bars: what they show --------------------------------------------------------------------------

function showControls() {
  const last = lastStep();
  const scrubber = at("scrubber");
  scrubber.max = last;
  scrubber.value = state.step;
  scrubber.setAttribute("aria-valuetext", `step ${state.step} of ${last}`);
  at("counter").textContent = `${state.step} / ${last}`;
  at("forward-half").style.flex = String(size);
  at("backward-half").style.flex = String(Math.max(last - size, 1));
  at("first").disabled = at("previous").disabled = state.step === 0;
  at("last").disabled = at("next").disabled = state.step === last && state.revealed;
}

let note = null;
function say(text) {
  at("note").textContent = text;
  clearTimeout(note);
  note = setTimeout(() => { at("note").textContent = ""; }, 6000);
}

// --- Live values -----------------------------------------------------------------------------------

/* Run the step again, after a leaf or a mistake has changed. */
function compute() {
  state.right = run(state.changes, null);
  const wrong = state.mistake ? run(state.changes, state.mistake) : state.right;
  if (wrong === null) {
    state.mistake = null;
    say("Without a topological order this step takes more than 100,000 visits: take a smaller graph.");
  }
  const ended = state.step > 0 && state.step === lastStep();  // who looks at the results keeps doing so
  state.run = wrong || state.right;
  state.step = ended ? lastStep() : Math.min(state.step, lastStep());
  findSpans();
  show();
  showValues();
  showMistakes();
  rewriteTable();
}

function change(leaf, value) {
  if (liveProblem) { say(liveProblem); return; }
  state.changes.set(leaf, value);
  compute();
}

const valueRows = new Map();

/* A row for each leaf in view, or for each that the filter finds. */
function fillValues() {
  const wanted = at("values-filter").value.trim().toLowerCase();
  const inView = partsOf(views[state.view]).nodes;
  let found = leaves.filter((leaf) => (wanted
    ? data.names[leaf].toLowerCase().includes(wanted)
    : leaves.length <= 40 || inView.has(leaf)));
  if (!found.length && !wanted) found = leaves;
  const most = 120;
  at("values-note").textContent = liveProblem || (found.length > most
    ? `The first ${most} of ${found.length} are shown: filter by name.`
    : "Type a number, drag it sideways, or press ↑ and ↓. The whole step follows.");
  valueRows.clear();
  const rows = found.slice(0, most).map(valueRow);
  at("values-table").tBodies[0].replaceChildren(...rows);
  showValues();
}

function valueRow(leaf) {
  const row = document.createElement("tr");
  const cells = Array.from({ length: 4 }, () => row.insertCell());
  cells[0].textContent = constants.has(leaf) ? `constant ${data.names[leaf]}` : data.names[leaf];
  const input = document.createElement("input");
  input.type = "text";
  input.inputMode = "decimal";
  input.spellcheck = false;
  input.dataset.leaf = leaf;
  input.disabled = liveProblem !== "";
  input.setAttribute("aria-label", `value of ${data.names[leaf]}`);
  input.setAttribute("aria-describedby", "values-hint");
  input.addEventListener("input", () => {
    const value = typed(input.value);
    refuse(input, value === null ? refusal(input.value) : "");
    if (value !== null) change(leaf, value);
  });
  let before = null;  // the change of this leaf when the input was entered, if there was one
  input.addEventListener("focus", () => {
    before = state.changes.get(leaf);
    refuse(input, "");
  });
  input.addEventListener("blur", () => {
    if (typed(input.value) !== null) { showValues(); return; }
    // On the way to what is no number, its beginning may have been one.
    if (before === undefined) state.changes.delete(leaf); else state.changes.set(leaf, before);
    const text = input.value.trim();
    compute();
    refuse(input, "");
    at("values-hint").textContent = `${text ? `“${text}”` : "Nothing"} is no number: it is ${input.value} again.`;
  });
  input.addEventListener("keydown", (event) => {
    const way = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (way) {
      event.preventDefault();
      change(leaf, stepped(state.run.values[leaf], way * (event.shiftKey ? 10 : event.altKey ? 0.1 : 1)));
      input.value = full(state.run.values[leaf]);
      refuse(input, "");
    }
    if (event.key === "Escape" || event.key === "Enter") input.blur();
  });
  input.addEventListener("pointerdown", (event) => {
    if (document.activeElement !== input) dragNumber(event, leaf);  // else it is text to be selected
  });
  cells[1].append(input);
  cells[2].className = "gradient";
  const button = document.createElement("button");
  button.textContent = "+h";
  button.dataset.nudge = leaf;
  button.setAttribute("aria-label", `nudge ${data.names[leaf]}`);
  button.addEventListener("click", () => { state.nudged = leaf; showValues(); });
  cells[3].append(button);
  valueRows.set(leaf, { input, gradient: cells[2], button });
  return row;
}

/* Mark what is no number and say why; an empty reason takes both away. */
function refuse(input, reason) {
  input.setAttribute("aria-invalid", String(reason !== ""));
  at("values-hint").textContent = reason;
}

/* A number moved by tenths, and not by 0.30000000000000004. */
const stepped = (value, tenths) => Number((value + tenths / 10).toPrecision(12));

/* Drag a number sideways: a pixel is a hundredth. */
let dragged = false;  // whether the click that ends a drag is to be ignored
function dragNumber(down, leaf) {
  if (liveProblem || down.button !== 0) return;
  const start = state.run.values[leaf];
  dragged = false;
  const move = (event) => {
    const pixels = Math.round(event.clientX - down.clientX);
    if (!dragged && Math.abs(pixels) < 4) return;
    if (!dragged) down.target.blur?.();
    dragged = true;
    change(leaf, Number((start + pixels / 100).toPrecision(12)));
  };
  const up = () => {
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", up);
    removeEventListener("pointercancel", up);
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", up);
  addEventListener("pointercancel", up);
}

function showValues() {
  if (at("values-panel").hidden) return;
  for (const [leaf, row] of valueRows) {
    const value = state.run.values[leaf];
    if (document.activeElement !== row.input) {
      row.input.value = full(value);
      if (row.input.getAttribute("aria-invalid") === "true") refuse(row.input, "");
    }
    row.gradient.textContent = number(state.run.gradients[leaf]);
    row.gradient.title = full(state.run.gradients[leaf]);
    row.button.setAttribute("aria-pressed", String(leaf === state.nudged));
  }
  showNudge();
}

/* Add h to a leaf and see what becomes of the output: the derivative, measured. */
function nudge(leaf, h) {
  const value = state.right.values[leaf];
  const before = forward(state.changes.size ? state.changes : new Map([[leaf, value]])).values[root];
  const after = forward(new Map(state.changes).set(leaf, value + h)).values[root];
  return { before, after, quotient: (after - before) / h, gradient: state.right.gradients[leaf] };
}

function showNudge() {
  at("nudge").hidden = liveProblem !== "" || state.nudged === undefined;
  if (at("nudge").hidden) return;
  const power = Number(at("nudge-slider").value);
  const h = Number(`1e-${power}`);
  const { before, after, quotient, gradient } = nudge(state.nudged, h);
  const [leaf, out] = [shortOf(state.nudged, state.run.values), nameOf(root, state.run.values)];
  at("nudge-name").textContent = nameOf(state.nudged, state.run.values);
  at("nudge-h").textContent = full(h);
  const rows = [  // what is compared comes first, in large
    [`Δ${out} / h`, full(quotient)],
    [`∂${out}/∂${leaf}`, full(gradient)],
    ["difference", number(Math.abs(quotient - gradient))],
    [`${out} before`, full(before)],
    [`${out} after`, full(after)],
  ];
  at("nudge-result").replaceChildren(...rows.flatMap(([term, text]) => {
    const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
    dt.textContent = term;
    dd.textContent = text;
    return [dt, dd];
  }));
  at("nudge-note").textContent = after === before && gradient !== 0
    ? "The nudge is lost in rounding: nothing is left of it in the output."
    : power >= 9 ? "With so small an h, most digits of the difference are rounding."
      : power <= 2 ? "With so large an h, the curve bends on the way." : "";
}

// --- What goes wrong if… ---------------------------------------------------------------------------

function setMistake(mistake) {
  state.mistake = mistake;
  const size = lastStep();
  compute();
  if (size !== lastStep()) say(`This step now takes ${lastStep()} events.`);
  followStep();
  show();
  writeHash();
}

function makeMistakes() {
  const titles = {
    overwrite: "= in place of +=",
    no_topological_order: "no topological order",
    no_zero_grad: "forget to zero the gradients",
  };
  for (const [mistake, words] of Object.entries(data.mistakes)) {
    const button = document.createElement("button");
    button.dataset.mistake = mistake;
    button.textContent = titles[mistake] || mistake;
    button.title = words;
    button.addEventListener("click", () => setMistake(state.mistake === mistake ? null : mistake));
    at("mistakes").append(button);
  }
}

function showMistakes() {
  if (at("mistakes-panel").hidden) return;
  for (const button of at("mistakes").children) {
    button.setAttribute("aria-pressed", String(button.dataset.mistake === state.mistake));
  }
  const shown = leaves.slice(0, Math.max(named, named ? 0 : 1) || leaves.length);
  const rows = [];
  let wrong = 0;
  for (const leaf of shown) {
    const [right, now] = [state.right.gradients[leaf], state.run.gradients[leaf]];
    const differs = !close(right, now);
    if (differs) wrong++;
    if (shown.length > 60 && !differs) continue;
    const row = document.createElement("tr");
    row.classList.toggle("differs", differs);
    row.insertCell().textContent = nameOf(leaf, state.run.values);
    row.insertCell().textContent = number(right);
    row.insertCell().textContent = differs ? `≠ ${number(now)}` : number(now);
    rows.push(row);
    if (rows.length >= 200) break;
  }
  at("mistakes-table").tBodies[0].replaceChildren(...rows);
  at("mistakes-table").hidden = state.mistake === null;
  at("mistakes-note").textContent = mistakeNote(wrong, shown.length);
}

function mistakeNote(wrong, count) {
  if (state.mistake === null) return "Switch a mistake on, and walk through the backward pass again.";
  const words = data.mistakes[state.mistake];
  const text = words[0].toUpperCase() + words.slice(1) + ". ";
  if (state.predict) return text + "What comes of it is hidden while you predict.";
  if (wrong) return `${text}Wrong: ${wrong} of ${count}.`;
  if (state.mistake === "no_zero_grad") return text + "All gradients were 0 anyway.";
  const uses = new Map();
  for (const operands of data.operands) for (const x of operands) uses.set(x, (uses.get(x) || 0) + 1);
  const twice = Array.from(uses).some(([node, times]) => times > 1 && !constants.has(node));
  if (!twice) return text + "It needs a value that is used twice, and here there is none: nothing goes wrong.";
  return text + (state.mistake === "no_topological_order"
    ? "Here nothing goes wrong: it needs a value that is computed and then used twice, as in b = a + a; c = b + b."
    : "Here nothing goes wrong: what is overwritten was 0.");
}

// --- The table of steps ----------------------------------------------------------------------------

let pristine = true;   // whether the table is the one that Python wrote
let rewriting = null;

const asWritten = () => state.changes.size === 0 && state.mistake === data.mistake;

function rewriteTable() {
  if (asWritten() && pristine) return;
  clearTimeout(rewriting);
  rewriting = setTimeout(writeTable, 200);  // not at every pixel of a drag
}

function writeTable() {
  clearTimeout(rewriting);
  rewriting = null;
  pristine = asWritten();
  const rows = state.run.events.map((event, i) => {
    const half = event.kind === "forward" ? "forward" : "backward";
    const row = document.createElement("tr");
    row.className = event.kind !== "seed" && constants.has(event.operand ?? event.node) ? `${half} constant` : half;
    const link = document.createElement("a");
    link.href = `#step=${i + 1}`;
    link.textContent = i + 1;
    row.insertCell().append(link);
    row.insertCell().textContent = plain(sentence(i + 1, false));
    return row;
  });
  at("rows").replaceChildren(...rows);
  at("row-count").textContent = rows.length.toLocaleString("en");
  showTableNote();
  showTableRow();
}

function showTableNote() {
  const told = [
    state.predict ? "What happens is hidden while you predict." : "",
    state.changes.size ? "With other values." : "",
    state.mistake ? `With a mistake: ${data.mistakes[state.mistake]}.` : "",
  ];
  at("table-note").textContent = told.filter(Boolean).join(" ");
}

let currentRow = null;
function showTableRow() {
  const row = state.step > 0 ? at("rows").rows[state.step - 1] : null;
  if (row === currentRow) return;
  currentRow?.removeAttribute("aria-current");
  row?.setAttribute("aria-current", "step");
  currentRow = row;
}

// --- Searching -------------------------------------------------------------------------------------

let searched = { text: "", matches: [], place: -1 };

function openSearch() {
  at("search-box").hidden = false;
  if (!at("search-names").children.length && size <= 2000) {
    at("search-names").append(...data.names.filter((_, i) => !constants.has(i)).map((name) => {
      const option = document.createElement("option");
      option.value = name;
      return option;
    }));
  }
  at("search-text").focus();
  at("search-text").select();
}

function closeSearch() {
  at("search-box").hidden = true;
  at("search-text").blur();
}

/* To the forward step of the next value whose name holds the text; a full name comes first. */
function search() {
  const text = at("search-text").value.trim().toLowerCase();
  if (!text) return;
  if (text !== searched.text) {
    const names = data.names.map((name) => name.toLowerCase());
    const matches = [];
    names.forEach((name, i) => { if (name.includes(text)) matches.push(i); });
    matches.sort((a, b) => (names[b] === text) - (names[a] === text) || a - b);
    searched = { text, matches, place: -1 };
  }
  const { matches } = searched;
  if (!matches.length) { at("search-result").textContent = "no value of that name"; return; }
  searched.place = (searched.place + 1) % matches.length;
  at("search-result").textContent = `${searched.place + 1} of ${matches.length}: ${data.names[matches[searched.place]]}`;
  setFollow(true);
  play(false);
  go(matches[searched.place] + 1);
}

// --- Keys ------------------------------------------------------------------------------------------

const keys = {
  ArrowRight: byHand(next),
  " ": byHand((event) => (event.shiftKey ? previous() : next())),
  PageDown: byHand(next),
  ArrowLeft: byHand(previous),
  PageUp: byHand(previous),
  Home: byHand(toStart),
  End: byHand(toEnd),
  b: byHand(toBackward),
  p: () => play(),
  g: () => togglePredict(),
  v: () => togglePanel("values"),
  m: () => togglePanel("mistakes"),
  f: fullScreen,
  "+": () => zoom(1.25),
  "=": () => zoom(1.25),
  "-": () => zoom(0.8),
  "−": () => zoom(0.8),
  0: fit,
  "/": openSearch,
  t: toggleTheme,
  "?": () => at("help-dialog").showModal(),
  Escape: leave,
  Backspace: leave,
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const element = event.target;
  if (element.matches?.("input, textarea, select, [contenteditable]")) return;
  // A button, a link or a summary that was reached by keyboard answers to Enter and Space itself.
  const presses = event.key === "Enter" || (event.key === " " && !event.shiftKey);
  if (presses && element.matches?.("button, a, summary")) return;
  if (event.key === "Enter") {
    if (activate(element)) event.preventDefault();
    return;
  }
  const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action(event);
});

/* What a click or Enter does to something in the picture. */
function activate(element) {
  const found = element.closest?.("[data-node], [data-box], [data-fold]");
  if (!found) return false;
  const { node, box, fold } = found.dataset;
  if (box !== undefined) openBox(Number(box));
  else if (fold !== undefined) foldBox(Number(fold));
  else {
    const reached = state.run.history[node];
    const backward = state.step > size && reached.length > 0;
    play(false);
    go(backward ? reached.at(-1) : Number(node) + 1);
  }
  return true;
}

function fullScreen() {
  if (document.fullscreenElement) { document.exitFullscreen(); return; }
  const refused = () => say(!framed ? "This browser keeps the page from filling the screen."
    : "The frame keeps the page from filling the screen: save it with explain(…).save(\"step.html\") and open it.");
  if (document.fullscreenEnabled) document.documentElement.requestFullscreen().catch(refused);
  else refused();
}

function toggleTheme() {
  const { dataset } = document.documentElement;
  const dark = dataset.theme ? dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("microgrant-theme", dataset.theme); } catch { return; }  // a frame has none
}

function togglePredict() {
  state.predict = !state.predict;
  state.revealed = true;
  at("predict").setAttribute("aria-pressed", String(state.predict));
  showTableNote();
  showMistakes();
  show();
}

const NARROW = 850;  // up to here a panel lies upon the picture, as the style sheet has it

function togglePanel(which) {
  for (const name of ["values", "mistakes"]) {
    const open = name === which && at(`${name}-panel`).hidden;
    at(`${name}-panel`).hidden = !open;
    at(`show-${name}`).setAttribute("aria-expanded", String(open));
  }
  if (!at("values-panel").hidden) fillValues();
  showMistakes();
  aim();
}

// --- Mouse and touch -------------------------------------------------------------------------------

const pointers = new Map();
let gesture = null;

/* In a frame, the first click is for the focus: who gives it the keys wants to stay at the step. */
let focusing = false;

picture.addEventListener("pointerdown", (event) => {
  dragged = false;
  focusing = framed && !document.hasFocus();
  const number = event.pointerType !== "touch" && event.target.closest(".data");
  const node = number ? Number(number.closest("[data-node]").dataset.node) : -1;
  if (number && data.operation[node] < 0) { dragNumber(event, node); return; }
  pointers.set(event.pointerId, event);
  gesture = { start: event, x: camera.x, y: camera.y, zoom: zoomed(), apart: apart(), time: performance.now() };
});

addEventListener("pointermove", (event) => {
  if (!gesture || !pointers.has(event.pointerId)) return;
  pointers.set(event.pointerId, event);
  if (pointers.size === 2) {
    zoomTo(gesture.zoom * apart() / (gesture.apart || apart()));
    dragged = true;
    aim(false);
    return;
  }
  const [dx, dy] = [event.clientX - gesture.start.clientX, event.clientY - gesture.start.clientY];
  if (!dragged && Math.hypot(dx, dy) < 6) return;
  dragged = true;
  picture.classList.add("dragging");
  camera.x = gesture.x - dx / camera.scale;
  camera.y = gesture.y - dy / camera.scale;
  camera.byHand = true;
  aim(false);
  camera.byHand = false;
});

for (const end of ["pointerup", "pointercancel"]) {
  addEventListener(end, (event) => {
    if (!pointers.delete(event.pointerId) || !gesture) return;
    picture.classList.remove("dragging");
    const alone = pointers.size === 0;
    const dx = event.clientX - gesture.start.clientX;
    const quick = performance.now() - gesture.time < 350;
    const step = (on) => byHand(on ? next : previous)();
    if (alone && end === "pointerup" && event.pointerType === "touch" && !gesture.apart && !focusing) {
      if (quick && Math.abs(dx) > 60) {
        step(dx < 0);
      } else if (!dragged && !gesture.start.target.closest("[data-node], [data-box], [data-fold]")) {
        step(event.clientX > picture.getBoundingClientRect().left + picture.clientWidth / 2);
      }
    }
    if (alone) gesture = null;
  });
}

function apart() {
  if (pointers.size !== 2) return 0;
  const [a, b] = pointers.values();
  return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
}

picture.addEventListener("click", (event) => { if (!dragged && !focusing) activate(event.target); });
/* All digits, under the mouse. */
picture.addEventListener("pointerover", (event) => {
  const element = event.target.closest("[data-node]");
  if (!element) return;
  const node = Number(element.dataset.node);
  const [value, gradient] = [valueAt(node, state.step), gradientAt(node, state.step)];
  let title = element.querySelector("title");
  if (!title) element.append(title = document.createElementNS("http://www.w3.org/2000/svg", "title"));
  title.textContent = state.revealed ? `${nameOf(node, state.run.values)}: ` +
    `data = ${value === null ? "–" : full(value)}, grad = ${gradient === null ? "–" : full(gradient)}` : "";
});

/* What is reached with Tab is brought into view by the camera, and not by scrolling. */
picture.addEventListener("focusin", (event) => {
  const parts = partsOf(views[state.view]);
  const { node, box } = event.target.dataset;
  const thing = parts.nodes.get(Number(node)) || parts.boxes.get(Number(box));
  at("stage").scrollTo(0, 0);
  if (!thing || !event.target.matches(":focus-visible")) return;
  include(thing.area, picture.clientWidth, picture.clientHeight, MARGIN);
  camera.byHand = true;
  aim();
  camera.byHand = false;
  at("stage").scrollTo(0, 0);
});

picture.addEventListener("wheel", (event) => {
  if (!event.ctrlKey) return;
  event.preventDefault();
  zoom(Math.exp(-event.deltaY / 300));
}, { passive: false });

// --- On paper --------------------------------------------------------------------------------------

const MOST_SHEETS = 60;
const MOST_ROWS = 500;  // of the table, which is printed behind the sheet of one step

/* The steps that are to be printed: what the dialog says, while it is open. */
function chosenSteps() {
  if (!at("print-dialog").open) return [state.step];
  const which = at("print-form").elements.which.value;
  if (which === "this") return [state.step];
  const [from, to] = which === "all" ? [1, lastStep()]
    : [Number(at("print-from").value), Number(at("print-to").value)];
  const steps = [];
  for (let step = Math.max(from, 0); step <= Math.min(to, lastStep()); step++) steps.push(step);
  return steps;
}

/* A page for each chosen step: its formula, and the picture as it is then. */
function makeSheets() {
  const { step, revealed, view } = state;
  const alone = at("print-dialog").open;
  const sheets = chosenSteps().slice(0, MOST_SHEETS).map((each) => {
    state.step = each;
    state.revealed = true;
    followStep();
    show();
    return sheet();
  });
  Object.assign(state, { step, revealed });
  openView(view, false);
  show();
  at("sheets").replaceChildren(...sheets);
  body.classList.add("printing");
  body.classList.remove("forward", "backward");  // each sheet has its own
  tableWasOpen = at("table").open;
  at("table").open = !alone && lastStep() <= MOST_ROWS;
}
let tableWasOpen = false;

function sheet() {
  const element = document.createElement("section");
  element.className = `sheet ${body.classList.contains("backward") ? "backward" : "forward"}`;
  const title = document.createElement("h2");
  title.append(span("title", data.title),
    span("", `step ${state.step} of ${lastStep()}, ${at("half").textContent}`));
  const formula = document.createElement("p");
  formula.className = "formula";
  formula.append(...Array.from(at("formula").childNodes, (child) => child.cloneNode(true)));
  const view = views[state.view];
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("viewBox", `-20 -20 ${view.width + 40} ${view.height + 40}`);
  drawing.append(view.element.cloneNode(true));
  element.append(title, formula, drawing);
  return element;
}

function clearSheets() {
  at("sheets").replaceChildren();
  body.classList.remove("printing");
  at("table").open = tableWasOpen;
  show();
}

addEventListener("beforeprint", makeSheets);
addEventListener("afterprint", clearSheets);

function checkPrint() {
  const count = chosenSteps().length;
  const ok = count > 0 && count <= MOST_SHEETS;
  at("print-note").textContent = count > MOST_SHEETS
    ? `That is ${count.toLocaleString("en")} pages. Choose ${MOST_SHEETS} steps at most.`
    : count === 0 ? `Choose steps from 0 to ${lastStep()}.` : count === 1 ? "1 page" : `${count} pages`;
  at("print-go").disabled = !ok;
}

function openPrint() {
  if (framed) { say("To print, save the page with explain(…).save(\"step.html\") and open it."); return; }
  at("print-to").value = lastStep();
  at("print-dialog").showModal();
  checkPrint();
}

// --- Buttons ---------------------------------------------------------------------------------------

const buttons = {
  first: byHand(toStart),
  previous: byHand(previous),
  next: byHand(next),
  last: byHand(toEnd),
  "forward-half": byHand(toStart),
  "backward-half": byHand(toBackward),
  play: () => play(),
  predict: togglePredict,
  follow: () => { setFollow(!state.follow); followStep(); show(); },
  "show-values": () => togglePanel("values"),
  "show-mistakes": () => togglePanel("mistakes"),
  "zoom-in": () => zoom(1.25),
  "zoom-out": () => zoom(0.8),
  "zoom-fit": fit,
  search: openSearch,
  print: openPrint,
  theme: toggleTheme,
  "full-screen": fullScreen,
  help: () => at("help-dialog").showModal(),
  "values-reset": () => { state.changes.clear(); compute(); },
};
for (const [id, action] of Object.entries(buttons)) {
  at(id).addEventListener("click", (event) => {
    action(event);
    if (event.detail > 0) at(id).blur();  // after a click of the mouse, keys are the player's again
  });
}
at("scrubber").addEventListener("input", byHand(() => go(Number(at("scrubber").value))));
at("scrubber").addEventListener("pointerup", () => at("scrubber").blur());
at("values-filter").addEventListener("input", fillValues);
at("nudge-slider").addEventListener("input", showNudge);
at("search-box").addEventListener("submit", (event) => { event.preventDefault(); search(); });
at("search-text").addEventListener("keydown", (event) => { if (event.key === "Escape") closeSearch(); });
at("print-form").addEventListener("input", checkPrint);
at("print-go").addEventListener("click", () => { window.print(); at("print-dialog").close(); });
at("rows").addEventListener("click", (event) => {
  const row = event.target.closest("tr");
  if (!row) return;
  event.preventDefault();
  play(false);
  go(row.sectionRowIndex + 1);
});
addEventListener("hashchange", () => { const step = readHash(); if (step !== null && step !== state.step) go(step); });
new ResizeObserver(() => aim(false)).observe(picture);

// --- The start -------------------------------------------------------------------------------------

try { document.documentElement.dataset.theme = localStorage.getItem("microgrant-theme") || ""; } catch { /* a frame has none */ }
if (!document.documentElement.dataset.theme) delete document.documentElement.dataset.theme;
findSpans();
makeMistakes();
if (data.boxes.length === 0) at("follow").hidden = true;
if (leaves.length <= 12) at("values-filter").hidden = true;
document.documentElement.classList.add("scripted");
picture.removeAttribute("viewBox");  // from here on, the camera looks
partsOf(views[0]);
views[0].element.classList.add("open");
showTrail();
go(readHash() ?? 0);
if (state.mistake && innerWidth > NARROW) togglePanel("mistakes");

/* For tests, and for those who want to look behind the page from the browser's console. */
window.microgrant = {
  data, state, run, go, nudge, number, valueAt, gradientAt,
  sentence: (step) => plain(sentence(step, false)),
};

})();
