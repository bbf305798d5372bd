/* What is shown, and going from step to step.

   What is shown at a step is always derived from the list of events, and never accumulated: so going
   back is exact, and any step can be shown at once. */

const at = (id) => document.getElementById(id);
const body = document.body;
const live = aroundUs();  // the live page, if this is the page in it
const framed = window.top !== window && !live;  // in a notebook
const data = JSON.parse(at("step-data").textContent);
const graph = readGraph(data, window.operations || []);
const { size, root, constants, leaves, named, forwardSteps } = graph;
const liveProblem = findLiveProblem(graph);

/* A page of somebody else does not let us look. */
function aroundUs() {
  try { return window.parent.micrograntLive ?? null; } catch { return null; }
}

const BEGINNING = "at the beginning";
const state = {
  step: 1,            // how many events have happened; the last of them is the one shown
  revealed: true,     // whether its result is shown; predicting keeps it back
  predict: false,
  mistake: data.mistake,
  changes: new Map(), // leaves that were given another value
  nudged: leaves[0],
  given: new Map(),   // all leaves that are not as they were recorded: changed, learned, or of a row
  run: null,
  right: null,        // the same without the mistake
  spans: [],          // when each box is computed, and reached
  view: 0,
  follow: true,
  rate: 1,            // of playing, times the usual one
  zoom: 1,            // times the usual scale
  whole: BEGINNING,   // whether all is to be seen, however small
};

/* Run the step; false if the mistake would not let it come to an end. */
function runStep() {
  const training = trainingShown();
  const given = state.given = training ? withParameters(rowShown(), training) : rowShown();
  state.right = run(graph, given, null, training);
  const wrong = state.mistake ? run(graph, given, state.mistake, training) : state.right;
  if (wrong === null) state.mistake = null;
  state.run = wrong || state.right;
  state.spans = findSpans(graph, state.run);
  return wrong !== null;
}

const ENDLESS = "Without a topological order this step takes more than 100,000 visits: take a smaller graph.";

/* Run the step again, after a leaf or a mistake has changed. */
function compute() {
  const ended = state.step === lastStep();  // who looks at the results keeps doing so
  if (!runStep()) {
    say(ENDLESS);
  }
  state.step = ended ? lastStep() : Math.min(state.step, lastStep());
  restartQuiz();
  show();
  rewriteTable();
}

function change(leaf, value) {
  if (liveProblem) { say(liveProblem); return; }
  startFromHere();
  state.changes.set(leaf, value);
  restartLearning();
  compute();
}

const valueAt = (node, step) => valueAtStep(graph, state.run, node, step);
const lastStep = () => state.run.events.length;
const eventAt = (step) => state.run.events[step - 1];

/* Go to a step, and into the view where it can be seen; or to where the whole is seen. */
function go(step, { reveal = true, whole = false } = {}) {
  state.step = Math.min(Math.max(Math.round(step) || 1, 1), lastStep());
  state.revealed = reveal || !state.predict || state.step === 1;  // what is given cannot be guessed
  if (whole && !inNetwork()) openView(0, false); else followStep();
  lookAtWhole();
  show();
  ask();
}

/* It begins with the whole, and goes on so that it can be read; unless one has zoomed oneself. */
function lookAtWhole() {
  if (state.step > 1 ? state.whole === BEGINNING : !state.whole && state.zoom === 1) setWhole(state.step === 1 && BEGINNING);
}

function followStep() {
  if (!state.follow || inNetwork()) return;
  const event = eventAt(state.step);
  if (event.kind === "given") { openView(0, false); return; }
  const parts = partsOf(views[state.view]);
  const seen = parts.nodes.has(event.node) && (event.kind !== "backward" || parts.nodes.has(event.operand));
  const stub = parts.nodes.get(event.node)?.element.classList.contains("stub");
  if (!seen || stub) openView(data.home[event.node], false);
}

function next() {
  if (!state.revealed) { reveal(); return; }
  if (state.step < lastStep()) go(state.step + 1, { reveal: false });
  else if (learning.training) learn(1);
}

/* The steps at which a box is done: of the innermost boxes of which there are not too many. */
function doneSteps() {
  const deepest = Math.max(...data.paths.map((path) => path.length));
  for (let level = deepest; level > 1; level--) {
    const found = doneAt(level);
    if (found.length <= MOST_BOX_STEPS) return found;
  }
  return doneAt(1);
}

function doneAt(level) {
  const where = (event) => event && (event.kind === "update" ? "update" : `${isBackward(event)} ${data.paths[event.node]?.[level - 1] ?? `value ${event.node}`}`);
  const { events } = state.run;
  return events.flatMap((event, i) => (where(event) === where(events[i + 1]) ? [] : [i + 1]));
}

const MOST_BOX_STEPS = 16;

const nextBox = () => go(doneSteps().find((step) => step > state.step) ?? lastStep(), { whole: true });
const previousBox = () => go(doneSteps().findLast((step) => step < state.step) ?? 1, { whole: true });

function previous() {
  if (state.step > 1) go(state.step - 1);
  else if (learning.training?.iteration) { goToIteration(learning.training.iteration - 1); go(lastStep()); }
}

/* To the step at which a value is there; a leaf is shown, since all are given in one step. */
function goForward(node) {
  go(graph.when[node]);
  if (graph.isLeaf(node)) point(node);
}

const toStart = () => go(1);
const toBackward = () => go(forwardSteps + 1, { reveal: false });
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
    if (state.step === lastStep()) go(1);
    playing = setInterval(() => {
      if (state.step === lastStep() && state.revealed) play(false); else next();
    }, 1500 / state.rate);
  }
  at("play").setAttribute("aria-pressed", String(playing !== null));
}

const RATES = [0.25, 0.5, 1, 2, 4];
function setRate(rate) {
  state.rate = rate;
  at("rate").textContent = `${rate}×`;
  if (playing !== null) play(true);
}
