/* The network of the step: one of its views, in which neurons are circles and weights are lines. It is
   painted as the others are; here is what it has besides. */

const network = data.network ?? { view: -1 };
const inNetwork = () => state.view === network.view;
let entered = -1;  // the view of the neuron that was opened from the network

/* What a neuron is computed from, by what stands for it: to show what a filter looks at. */
const seenFrom = new Map();
if (data.network) {
  data.operands.forEach((operands, node) => {
    const head = network.stands[node];
    if (!seenFrom.has(head)) seenFrom.set(head, new Set());
    for (const operand of operands) if (network.stands[operand] !== head) seenFrom.get(head).add(network.stands[operand]);
  });
}

/* While it learns, the network shows the whole pass: its neurons would be empty at the first step. */
const shownStep = () => (learning.running !== null && inNetwork() ? lastStep() - state.run.updated.size : state.step);

const share = (x) => (Math.abs(x) === Infinity ? 1 : Math.abs(x) / (1 + Math.abs(x)) || 0);
const thickness = (weight) => 1 + (network.thickest - 1) * share(weight);

/* The parts of the network that the other views do not have. */
function networkParts(element) {
  const all = (selector) => Array.from(element.querySelectorAll(selector));
  const more = new Map();
  for (const each of all("[data-more]")) {
    for (const node of each.dataset.more.split(" ")) more.set(Number(node), each);
  }
  return {
    stands: network.stands, more,
    biases: all("[data-bias]").map((text) => ({ text, bias: Number(text.dataset.bias) })),
  };
}

/* Weights as thick as they are large, biases, and how dark each number is. */
function showNetwork(parts, event, active) {
  const source = event.kind === "backward" ? network.stands[event.node] : active?.node;
  for (const { element, weight, to } of parts.edges) {
    element.classList.toggle("near", to === `n${source}` && event.kind !== "given");
    if (weight === undefined) continue;
    const value = valueAt(Number(weight), shownStep()) ?? 0;
    const isActive = element.classList.contains("active");
    element.setAttribute("stroke-width", (thickness(value) + 3 * isActive).toFixed(1));
    element.classList.toggle("negative", value < 0);
  }
  for (const { text, bias } of parts.biases) text.textContent = `b ${number(valueAt(bias, shownStep()) ?? 0)}`;
  const seen = parts.nodes.get(source)?.element.classList.contains("cell") && seenFrom.get(source);
  for (const [node, { element, data: text }] of parts.nodes) {
    const value = text.textContent === "?" ? 0 : valueAt(node, shownStep()) ?? 0;
    const shade = element.querySelector(".shade");
    shade.setAttribute("opacity", (0.3 * share(value)).toFixed(3));
    shade.classList.toggle("negative", value < 0);
    element.classList.toggle("seen", Boolean(seen && seen.has(node)));
  }
}

function openNetwork() {
  entered = -1;
  openView(network.view, false);
  lookAtNetwork();
  show();
}

/* All of it, if that can be read; or else as the other views: the whole at first, and then what is active. */
function lookAtNetwork() {
  setWhole(scales().whole * TEXT >= 9 || (state.step === 1 && BEGINNING));
}

/* The network, or the graph as it is at this step. */
function toggleNetwork() {
  if (!data.network) return;
  if (!inNetwork()) { openNetwork(); return; }
  openView(0, false);
  setWhole(state.step === 1 && BEGINNING);
  followStep();
  show();
}

/* Open the graph of a neuron, or of what else a circle stands for. */
function openNeuron(node) {
  const box = data.paths[node].at(-1);
  play(false);
  setWhole(false);
  openView(data.home[node], true);
  if (box === undefined || graph.isLeaf(node)) show(); else goInto(box);
  const thing = thingIn(partsOf(views[state.view]), node);
  if (thing) lookAt(thing.area);
  entered = state.view;
}

/* Out of a neuron that was opened from the network, back to that. */
function leaveNeuron() {
  const back = entered >= 0 && entered === state.view;
  if (back) openNetwork();
  return back;
}

/* All digits of a weight, under the mouse. */
picture.addEventListener("pointerover", (event) => {
  const line = event.target.closest("[data-weight]");
  if (!line) return;
  const node = Number(line.dataset.weight);
  const gradient = gradientAt(graph, state.run, node, state.step);
  let title = line.querySelector("title");
  if (!title) line.append(title = make("title", {}));
  title.textContent = `${data.names[node]}: data = ${full(valueAt(node, state.step))}, grad = ${gradient === null || !state.revealed ? "–" : full(gradient)}`;
});
