/* Learning: the third phase of a step, the next iteration, many of them, and the curve of the loss. */

const MOST_REPEATED = 100000;  // iterations in one go
const MOST_KEPT = 1000;  // iterations of which it is kept where the training stood; others are computed again
const optimizers = data.optimizers.map((recipe, i) => ({ ...recipe, functions: RULES[i] }));

const learning = {
  training: null,   // where the training stands, or null if nothing is learned
  optimizer: 0,     // which of the optimizers
  settings: null,
  kept: new Map(),  // by iteration, where the training stood, and the right one, and whether something was set anew
  every: 1,         // of so many iterations one is kept
  losses: [],       // before each iteration
  right: null,      // { training, losses } without the mistake, if there is one
  logarithmic: false,
  running: null,
  row: 0,           // which of the rows is shown
  size: 0,          // of a batch of rows; 0 for all
};

// --- Over data -------------------------------------------------------------------------------------

const { rows = [], inputs: columns = [] } = data.rows ?? {};

/* What was changed, and the numbers of the row that is shown. */
const rowShown = () => (data.rows ? withRow(state.changes, columns, rows[learning.row]) : state.changes);

/* The rows of an iteration, one batch after the other; null without rows. */
function batchAt(iteration) {
  if (!data.rows) return null;
  const size = learning.size || rows.length;
  const first = iteration % Math.ceil(rows.length / size) * size;
  return { rows: rows.slice(first, first + size), inputs: columns, loss: LOSS };
}

const iterateOnce = (training, mistake) => iterate(graph, state.changes, mistake, training, batchAt(training.iteration));

/* What comes of the present iteration, computed once. */
let outcome = null;
function present() {
  const { training } = learning;
  if (outcome?.training !== training) outcome = { training, ...iterateOnce(training, state.mistake) };
  return outcome;
}

/* Where the training stands; over rows, with the gradients of its batch, which the update follows. */
function trainingShown() {
  const { training } = learning;
  return training && data.rows ? { ...training, means: present().gradients } : training;
}

function showRow(row) {
  learning.row = Math.min(Math.max(Math.round(row) || 0, 0), rows.length - 1);
  compute();
}

/* The loss of all rows with the parameters as they are. */
function lossNow() {
  const { training, size: batch } = learning;
  if (!data.rows || !training) return state.right.values[root];
  return batch ? overRows(graph, state.changes, null, training, { rows, inputs: columns, loss: LOSS }).loss : present().loss;
}

// --- Iterations ------------------------------------------------------------------------------------

/* Begin, with the values as they are. */
function startLearning(optimizer = learning.optimizer, settings = null) {
  const recipe = optimizers[optimizer];
  learning.optimizer = optimizer;
  learning.settings = { ...recipe.settings, ...settings };
  restartLearning(true);
}

/* Once more from the beginning: from the values that were given. */
function restartLearning(on = learning.training !== null) {
  if (!on) return;
  runFor(false);
  const values = graph.values.map((x, node) => state.changes.get(node) ?? x);
  const recipe = optimizers[learning.optimizer];
  const memory = data.learning.memory && learning.optimizer === 0 ? data.learning.memory : {};
  learning.training = beginning(graph, recipe, learning.settings, data.learning.parameters, values, memory);
  learning.right = state.mistake === null ? null : { training: learning.training, losses: [] };
  Object.assign(learning, { kept: new Map(), every: 1, losses: [] });
  keep();
}

/* What has been learned is given from now on: who changes a value goes on from here. */
function startFromHere() {
  if (!learning.training?.iteration) return;
  state.changes = withParameters(state.changes, learning.training);
}

/* So many iterations; then the first step of the next one is shown. */
function learn(count) {
  if (!learning.training) startLearning();
  repeat(count);
  compute();
  go(1);
}

/* One iteration, without showing it. */
function advance() {
  const { training, right } = learning;
  const done = present();
  learning.losses[training.iteration] = done.loss;
  if (right) {
    const other = iterateOnce(right.training, null);
    right.losses[right.training.iteration] = other.loss;
    right.training = other.next;
  }
  learning.training = done.next;
  keep();
}

/* Where the training stands now; if too many are kept, of two one is forgotten. */
function keep(turned = false) {
  const { training, kept, right } = learning;
  if (turned || training.iteration % learning.every === 0) {
    kept.set(training.iteration, { training, right: right?.training, turned });
  }
  if (kept.size <= MOST_KEPT) return;
  learning.every *= 2;
  for (const [iteration, { turned }] of kept) if (iteration % learning.every && !turned) kept.delete(iteration);
}

/* So many iterations more, without showing each. */
function repeat(iterations) {
  for (let i = 0; i < iterations; i++) advance();
}

/* Back or on to an iteration, exactly as it was: what was not kept is computed again. */
function goToIteration(iteration) {
  runFor(false);
  const known = learning.kept.get(Math.max(...Array.from(learning.kept.keys()).filter((each) => each <= iteration)));
  learning.training = known.training;
  if (learning.right) learning.right.training = known.right;
  while (learning.training.iteration < iteration) {
    if (learning.right) learning.right.training = iterateOnce(learning.right.training, null).next;
    learning.training = present().next;
  }
  if (learning.training.settings !== learning.settings) turn();
  compute();
  go(1);
}

/* From here on with what is set now: what came later is another thing then, and forgotten. */
function turn() {
  const { right, settings, training: { iteration } } = learning;
  learning.training = { ...learning.training, settings };
  if (right) right.training = { ...right.training, settings };
  for (const losses of [learning.losses, right?.losses ?? []]) losses.length = Math.min(losses.length, iteration);
  for (const each of learning.kept.keys()) if (each > iteration) learning.kept.delete(each);
  keep(true);
}

/* On and on, as often as the screen is drawn, or no longer: one by one at first, and then more of them at a time. */
function runFor(on) {
  if (on && !learning.training) startLearning();
  cancelAnimationFrame(learning.running);
  learning.running = null;
  at("learn-run").setAttribute("aria-pressed", String(on));
  if (!on) return;
  let pace = 1;
  const ended = () => {
    const last = learning.losses[learning.training.iteration - 1];
    return !Number.isFinite(last) || (last === 0 && present().gradients.every((x) => x === 0)) || learning.training.iteration >= MOST_REPEATED;
  };
  const frame = () => {
    const begun = performance.now();
    // The rest of the time is for showing it.
    for (let i = 0; i < pace && performance.now() - begun < 8 && !(i && ended()); i++) advance();
    pace *= 1.1;
    compute();
    if (state.step > 1) go(1);
    if (ended()) runFor(false); else learning.running = requestAnimationFrame(frame);
  };
  learning.running = requestAnimationFrame(frame);
}

// --- The panel -------------------------------------------------------------------------------------

const SLOWEST = -5;  // the powers of ten of the learning rates on the slider
const rateAt = (power) => Number((10 ** power).toPrecision(2));

function makeLearning() {
  at("learn-rows").hidden = !data.rows;
  at("learn-count").textContent = rows.length;
  for (const option of at("learn-size").options) option.hidden = Number(option.value) >= rows.length;
  at("learn-optimizer").append(...optimizers.map(({ name }, i) => new Option(name, i)));
  at("learn-mistake").append(...Object.keys(data.mistakes).map((mistake) => new Option(MISTAKES[mistake] ?? mistake, mistake)));
}

function setRateOfLearning(rate) {
  if (rate === null || !(rate >= 0) || Object.is(rate, -0) || !Number.isFinite(rate)) return false;
  if (!learning.training) startLearning();
  learning.settings = { ...learning.settings, learning_rate: rate };
  turn();
  compute();
  return true;
}

/* What is said of the loss; not of the learning rate, where it is the mistake that keeps it from falling. */
function blamed(said) {
  const right = learning.right && learning.training.iteration > 0 ? learning.right.losses : [];
  const fell = right.length > 1 && right[right.length - 1] <= right[0];
  return said && fell ? `With the mistake it goes wrong: without, the loss was ${number(right[right.length - 1])} by then.` : said;
}

function showLearning() {
  const { training, settings } = learning;
  at("iteration").textContent = training ? `iteration ${training.iteration}` : "";
  at("update-half").hidden = !training;
  if (at("learn-panel").hidden) return;
  const loss = lossNow();
  const now = settings ?? optimizers[learning.optimizer].settings;
  at("learn-optimizer").value = learning.optimizer;
  if (document.activeElement !== at("learn-rate")) at("learn-rate").value = full(now.learning_rate);
  at("learn-mistake").value = state.mistake ?? "";
  at("learn-slider").value = Math.log10(now.learning_rate || 10 ** SLOWEST);
  const name = nameOf(graph, root, state.run.values);
  at("learn-state").textContent = `iteration ${training?.iteration ?? 0}, ${name} = ${number(loss)}` +
    (data.rows ? ` (mean of ${rows.length} rows)` : "");
  at("curve-title").textContent = `${name} after each iteration: lower is better`;
  at("learn-back").disabled = at("learn-reset").disabled = !training?.iteration;
  const gradients = state.run.training ? state.run.events.slice(-state.run.updated.size).map(({ gradient }) => gradient) : [];
  at("learn-row").value = learning.row + 1;
  at("learn-size").value = learning.size;
  const walked = training ? [...learning.losses.slice(0, training.iteration), present().loss] : [];
  const same = learning.right && training.iteration > 1 && walked.every((x, i) => i === training.iteration || x === learning.right.losses[i]);
  at("learn-note").textContent = same ? mistakeNote(graph, state.mistake, 0, 1) : blamed(diagnosis(walked, gradients, learning.size > 0));
  showCurve(training ? present().loss : loss);
  showPredictions();
}

const WIDE = 360;
const HIGH = 170;

/* The loss, iteration by iteration; without the mistake as well, if there is one. */
function showCurve(loss) {
  const iteration = learning.training?.iteration ?? 0;
  const losses = learning.losses.slice();
  if (losses.length <= iteration) losses[iteration] = loss;
  const other = learning.right ? learning.right.losses.slice() : [];
  if (learning.right) other[iteration] = iterateOnce(learning.right.training, null).loss;
  const height = learning.logarithmic ? (x) => Math.log10(Math.max(x, 1e-300)) : (x) => x;
  const drawn = [...losses, ...other].filter((x) => Number.isFinite(x) && (!learning.logarithmic || x > 0)).map(height);
  const least = drawn.reduce((a, b) => Math.min(a, b), learning.logarithmic ? Infinity : 0);
  const [low, high] = [least, drawn.reduce((a, b) => Math.max(a, b), -Infinity)];
  const last = Math.max(losses.length, other.length, 2) - 1;
  const x = (i) => i / last * WIDE;
  const y = (value) => HIGH - Math.min(Math.max((height(value) - low) / (high - low || 1), 0), 1) * HIGH;
  const line = (numbers) => thinned(numbers).filter(([, value]) => Number.isFinite(value))
    .map(([i, value], k) => `${k ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  at("curve-right").setAttribute("d", line(learning.right ? other : losses));
  at("curve-wrong").setAttribute("d", learning.right ? line(losses) : "");
  at("curve-now").setAttribute("cx", x(iteration));
  at("curve-now").setAttribute("cy", Number.isFinite(loss) ? y(loss) : 0);
  const shown = (value) => number(learning.logarithmic ? 10 ** value : value);
  at("curve-high").textContent = drawn.length ? shown(high) : "";
  at("curve-low").textContent = drawn.length ? shown(low) : "";
  at("curve-last").textContent = `${last} iterations`;
  at("curve-legend").hidden = !learning.right;
}

/* No more points than can be told apart: of each stretch the least and the greatest. */
function thinned(numbers) {
  const size = Math.ceil(numbers.length / WIDE);
  const points = numbers.map((value, i) => [i, value]);
  if (size === 1) return points;
  const found = [];
  for (let i = 0; i < points.length; i += size) {
    const stretch = points.slice(i, i + size);
    const by = (choose) => stretch.reduce((a, b) => (choose(a[1], b[1]) === a[1] ? a : b));
    found.push(...[by(Math.min), by(Math.max)].sort((a, b) => a[0] - b[0]));
  }
  return found;
}

/* To the iteration below the mouse. */
function goAlongCurve(event) {
  const { left, width } = at("curve").getBoundingClientRect();
  const last = Math.max(learning.losses.length, 1) - 1;
  const iteration = Math.round((event.clientX - left) / width * Math.max(last, 1));
  if (learning.training) goToIteration(Math.min(Math.max(iteration, 0), last));
}

/* Which rows the gradients of the present iteration are the mean over. */
function rowsMeant() {
  const { rows: meant } = batchAt(learning.training.iteration);
  const first = rows.indexOf(meant[0]) + 1;
  if (meant.length === rows.length) return `the mean over all ${rows.length} rows`;
  return meant.length === 1 ? `that of row ${first}` : `the mean over rows ${first} to ${first + meant.length - 1}`;
}
