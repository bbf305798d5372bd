/* The picture: what was laid out by Graphviz, painted as it is at a step; which view of it is open;
   and the camera. Only classes, texts and attributes change, and texts are set with textContent: no
   name can become markup. */

const templates = document.querySelectorAll("template");
const views = data.views.map((view, i) => ({ ...view, template: templates[i - 1], element: null, parts: null }));

/* The elements of a view, taken from its template when it is first opened. */
function partsOf(view) {
  if (view.parts) return view.parts;
  view.element = view.template ? view.template.content.querySelector(".view") : document.querySelector(".view");
  at("world").append(view.element);
  const all = (selector) => Array.from(view.element.querySelectorAll(selector));
  for (const element of all("[data-node], [data-box], [data-fold]")) {
    element.setAttribute("tabindex", "0");
    element.setAttribute("role", "button");
  }
  const place = (element) => {
    const [x, y] = element.getAttribute("transform").match(/-?[\d.]+/g).map(Number);
    const [width, height] = ["width", "height"].map((side) => Number(element.querySelector("rect").getAttribute(side)));
    return { x, y, width, height, round: Number(element.querySelector("rect").getAttribute("rx")) };
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
    const text = (name) => element.querySelector("." + name);
    boxes.set(Number(element.dataset.box), { element, area: place(element), data: text("data"), grad: text("grad") });
  }
  const edges = all(".edge, .line").map((element) => ({ element, ...element.dataset }));
  const between = new Map(edges.filter((edge) => edge.from).map((edge) => [`${edge.from} ${edge.to}`, edge]));
  const more = view === views[network.view] ? networkParts(view.element) : {};
  for (const edge of edges) edge.uses = edge.use ? [edge.use.split("-").map(Number)] : [];
  if (between.size) addUses(between, (node) => thingIn({ nodes, boxes, ...more }, node)?.key);
  const frames = new Map(all("[data-fold]").map((title) => [Number(title.dataset.fold), place(title.parentNode)]));
  const only = (selector) => view.element.querySelector(selector);
  view.parts = { ...more, nodes, boxes, frames, edges, flow: only(".flow"), active: only(".ring.active"), source: only(".ring.source") };
  return view.parts;
}

/* For each edge between boxes, the uses of values that it stands for. */
function addUses(edges, keyOf) {
  const keys = data.names.map((_, node) => keyOf(node));
  data.operands.forEach((operands, node) => operands.forEach((operand, place) => {
    edges.get(`${keys[operand]} ${keys[node]}`)?.uses.push([node, place]);
  }));
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
  const { x, y, width, height, round } = thing.area;
  const place = { x: x - 6, y: y - 6, width: width + 12, height: height + 12, rx: round > 12 ? round + 6 : 13 };
  for (const [name, value] of Object.entries(place)) ring.setAttribute(name, value);
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.classList.toggle("long", text.length > 8);
}

/* Where a value is to be seen in a view: itself, or the box that it is in; or nowhere, as what is
   active when all leaves are given. */
function thingIn(parts, value) {
  const node = parts.stands?.[value] ?? value;
  if (parts.nodes.has(node)) return { key: "n" + node, node, ...parts.nodes.get(node) };
  if (parts.more?.has(node)) return { key: "n" + node, node, ...parts.more.get(node) };
  for (const box of data.paths[node] ?? []) {
    if (parts.boxes.has(box)) return { key: "b" + box, ...parts.boxes.get(box) };
  }
  return null;
}

/* Show the state: in the picture, and around it. */
function show() {
  const { step } = state;
  const event = eventAt(step);
  const backward = isBackward(event);
  body.classList.toggle("backward", backward);
  body.classList.toggle("forward", !backward);
  body.classList.toggle("mistaken", state.mistake !== null);
  body.classList.toggle("predicting", state.predict);
  const view = views[state.view];
  const parts = partsOf(view);
  const target = event.operand ?? event.node;
  const active = thingIn(parts, target);
  const source = event.kind === "backward" ? thingIn(parts, event.node) : null;
  const hidden = state.revealed ? null : target;
  for (const [node, shown] of parts.nodes) {
    showNode(view, node, shown, node === hidden ? (backward ? "gradient" : "value") : "");
    const given = event.kind === "given" && graph.isLeaf(node);
    shown.element.classList.toggle("active", given || active?.element === shown.element);
  }
  for (const [box, shown] of parts.boxes) {
    showBox(box, shown, hidden, backward);
    shown.element.classList.toggle("active", active?.element === shown.element);
  }
  encircle(parts.active, active);
  encircle(parts.source, source);
  parts.flow.textContent = "";
  for (const edge of parts.edges) {
    const isActive = showEdge(edge, event, active, source);
    if (isActive && backward) {
      label(parts.flow, state.revealed ? number(event.contribution) : "?", edge.element);
    }
  }
  if (inNetwork()) showNetwork(parts, event, active);
  showFormula(event, step);
  showControls();
  showValues();
  showLearning();
  showMistakes();
  showTableRow();
  aim();
  writeAddress();
}

/* A value with its gradient. hidden: which of its numbers is kept back, "value" or "gradient". */
function showNode(view, node, shown, hidden) {
  const step = shownStep();
  const value = valueAt(node, step);
  const gradient = gradientAt(graph, state.run, node, step);
  setText(shown.data, value === null ? "" : hidden === "value" ? "?" : number(value));
  setText(shown.grad, hidden === "gradient" ? "?" : gradient === null ? "–" : number(gradient));
  const right = state.right.gradients[node];
  const final = gradient !== null && step >= state.run.history[node].at(-1);
  const wrong = state.mistake !== null && final && !hidden && !close(gradient, right);
  markWrong(view, shown, wrong);
  shown.element.classList.toggle("waiting", value === null);
  shown.element.classList.toggle("reached", gradient !== null);
  const words = `${shown.element.dataset.name ?? nameOf(graph, node, state.run.values)}: ` +
    `value ${shown.data.textContent || "not computed yet"}, ` +
    `gradient ${gradient === null ? "not reached yet" : shown.grad.textContent}` +
    (wrong ? `, which is wrong: it is ${number(right)}` : "");
  if (shown.element.getAttribute("aria-label") !== words) shown.element.setAttribute("aria-label", words);
}

/* A folded box with what comes out of it, and the gradients of that. */
function showBox(box, { element, data: values, grad }, hidden, backward) {
  const { step } = state;
  const { outputs } = data.boxes[box];
  const listed = (numberOf, kept) => {
    const shown = outputs.slice(0, data.mostOutputs);
    if (!shown.some((node) => numberOf(node) !== null)) return "";
    const texts = shown.map((node) => {
      const x = numberOf(node);
      return node === kept ? "?" : x === null ? "–" : number(x);
    });
    return [...texts, ...(outputs.length > shown.length ? ["…"] : [])].join(", ");
  };
  values.textContent = listed((node) => valueAt(node, step), backward ? null : hidden);
  grad.textContent = listed((node) => gradientAt(graph, state.run, node, step), backward ? hidden : null) || "–";
  element.classList.toggle("waiting", step < state.spans[box].first);
  element.classList.toggle("reached", step >= state.spans[box].reached);
}

/* An edge; whether it is the one along which something flows at this step. */
function showEdge({ element, use, uses, from, to, weight }, event, active, source) {
  const [node, place] = use ? uses[0] : [];
  let isActive = false;
  if (event.kind === "forward") {
    isActive = use ? node === event.node
      : to === active?.key && uses.some(([head]) => head === event.node);
  } else if (event.kind === "backward") {
    isActive = use ? node === event.node && place === event.place
      : to === source?.key && (from === active?.key || Number(weight) === event.operand) &&
        uses.some(([head]) => head === event.node);
  } else if (event.kind === "update") {
    isActive = Number(weight) === event.node;
  }
  element.classList.toggle("active", isActive);
  element.classList.toggle("waiting", uses.every(([head]) => valueAt(head, shownStep()) === null));
  element.classList.toggle("reached", uses.some(([head, i]) => state.step >= state.run.visited.get(head) + i));
  return isActive;
}

/* Show where a value is, whatever the step is about. */
function point(node) {
  if (!inNetwork() || !thingIn(partsOf(views[state.view]), node)) openView(data.home[node], false);
  show();
  const parts = partsOf(views[state.view]);
  const thing = thingIn(parts, node);
  encircle(parts.active, thing);
  lookAt(thing.area);
}

/* Write a text above the middle of an edge: higher, where the edge is steep and would cross it. */
function label(element, text, edge) {
  const length = edge.getTotalLength();
  const [before, middle, after] = [0.45, 0.5, 0.55].map((part) => edge.getPointAtLength(part * length));
  const slope = Math.abs((after.y - before.y) / (after.x - before.x || 1));
  const steep = slope > 1.5;
  const long = text.length > 6;
  const half = (long ? 3.7 : 5) * text.length;
  element.classList.toggle("long", long);
  element.setAttribute("x", middle.x + (steep ? 12 + half : 0));
  element.setAttribute("y", middle.y + (steep ? 6 : -9 - slope * half));
  element.textContent = text;
}


// --- Views and modules -----------------------------------------------------------------------------

function openView(which, chosen) {
  if (chosen) setFollow(false);
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
  if (leaveNeuron()) return;
  const { box, parent } = data.views[state.view];
  if (box < 0) return;
  openView(parent, true);
  show();
}

/* Each level of boxes around what is seen, and a way to it. */
function showTrail() {
  const { box } = data.views[state.view];
  const path = box < 0 ? [] : data.paths.find((each) => each.includes(box));
  const around = path.slice(0, path.indexOf(box) + 1);
  const items = around.map((each, i) => {
    const text = `› ${data.boxes[each].name || data.boxes[each].title.split(",")[0]}`;
    return i === around.length - 1 ? span("", text) : trailButton(text, () => goInto(each));
  });
  const whole = inNetwork() ? "network" : "whole graph";
  at("network").setAttribute("aria-pressed", String(inNetwork()));
  at("trail").replaceChildren(box < 0 ? span("", whole) : trailButton(whole, () => { openView(0, true); show(); }), ...items);
  at("place").hidden = data.boxes.length === 0;
  const shown = partsOf(views[state.view]).nodes.size;
  at("hidden-values").textContent = shown < size
    ? `${size.toLocaleString("en")} values, ${(size - shown).toLocaleString("en")} of them hidden` : "";
  if (!at("values-panel").hidden) fillValues();
}

function trailButton(text, action) {
  const button = document.createElement("button");
  button.textContent = text;
  button.addEventListener("click", action);
  return button;
}

/* The view of a box; of one that is only seen as a frame, the view with that frame. */
function goInto(box) {
  let which = data.views.findIndex((view) => view.box === box);
  const frameIn = (view) => partsOf(views[view]).frames.get(box);
  if (which < 0) for (which = state.view; which > 0 && !frameIn(which);) which = data.views[which].parent;
  openView(which, true);
  show();
  if (frameIn(which)) lookAt(frameIn(which));
}

// --- The camera ------------------------------------------------------------------------------------

const camera = { x: 0, y: 0, scale: 1, fresh: true, byHand: false, mapped: null };
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
  const event = eventAt(state.step);
  const parts = partsOf(view);
  const target = thingIn(parts, event.operand ?? event.node);
  if (camera.fresh) {
    camera.x = target ? target.area.x + target.area.width / 2 : 0;
    camera.y = target ? target.area.y + target.area.height / 2 : view.height / 2;
  }
  if (!camera.byHand) {
    const others = (event.kind === "backward" ? [event.node] : data.operands[event.node] ?? [])
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
  showMap(view, parts, width, height, target);
}

/* The whole in small, with a frame around what is seen of it; not where all is seen. */
function showMap(view, { frames, boxes, nodes }, width, height, target) {
  const map = at("map");
  const [seenWidth, seenHeight] = [width / camera.scale, height / camera.scale];
  const all = seenWidth >= view.width && seenHeight >= view.height;
  map.toggleAttribute("hidden", all);
  if (all) { camera.mapped = null; return; }
  if (camera.mapped !== view) {
    camera.mapped = view;
    const scale = Math.min(0.17 * width / view.width, 0.25 * height / view.height);
    const folded = [...boxes.values(), ...nodes.values()].map(({ area }) => area);
    map.setAttribute("viewBox", `0 0 ${view.width} ${view.height}`);
    map.style.width = `${view.width * scale}px`;
    map.style.height = `${view.height * scale}px`;
    map.replaceChildren(...[...frames.values()].map((area) => make("rect", { class: "frame", ...area })),
      ...folded.map((area) => make("rect", { class: "thing", ...area })),
      make("rect", { class: "now" }), make("rect", { class: "window" }));
  }
  const place = (which, area) => {
    for (const [name, value] of Object.entries(area)) map.querySelector(which).setAttribute(name, value);
  };
  // In the other corner where it would cover what the step is about.
  const free = { x: camera.x + seenWidth / 2 - (map.clientWidth + MARGIN) / camera.scale,
    y: camera.y + seenHeight / 2 - (map.clientHeight + MARGIN) / camera.scale };
  const covered = target && target.area.x + target.area.width > free.x && target.area.y + target.area.height > free.y;
  map.classList.toggle("left", Boolean(covered));
  place(".now", target?.area ?? { width: 0, height: 0 });
  place(".window", { x: camera.x - seenWidth / 2, y: camera.y - seenHeight / 2, width: seenWidth, height: seenHeight });
}

/* Look at a place that is pointed at on the map. */
function lookFromMap(event) {
  const view = views[state.view];
  const { left, top, width, height } = at("map").getBoundingClientRect();
  camera.x = (event.clientX - left) / width * view.width;
  camera.y = (event.clientY - top) / height * view.height;
  camera.byHand = true;
  aim(false);
  camera.byHand = false;
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

/* Move no more than is needed to see an area, and stay there until the next step. */
function lookAt(area) {
  include(area, picture.clientWidth, picture.clientHeight, MARGIN);
  camera.byHand = true;
  aim();
  camera.byHand = false;
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
  setWhole(!state.whole && whole < usual);
  camera.byHand = false;
  camera.fresh = true;
  aim();
}

function setWhole(on) {
  state.whole = on;
  state.zoom = 1;
}

const zoomed = () => camera.scale / scales().usual;
function zoomTo(times) {
  state.whole = false;
  state.zoom = Math.min(Math.max(times, Math.min(zoomed(), 0.1)), 12);
}
