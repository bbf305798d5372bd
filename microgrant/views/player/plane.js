/* What a network makes of its inputs, while it learns: a plane for two, a curve for one, a table for others. */

const FINE = 48;  // places of a plane along each side, or four times as many of a curve
const MOST_PREDICTED = 200;  // rows of the table
const { output = null, features = [] } = data.rows ?? {};
const targets = columns.map((_, i) => i).filter((i) => !features.includes(i));

/* The parameters that the prediction depends on. */
const usedParameters = (() => {
  if (output === null) return [];
  const needed = new Set([output]);
  for (let node = output; node >= 0; node--) if (needed.has(node)) data.operands[node].forEach((x) => needed.add(x));
  return data.learning.parameters.map((node, i) => [node, i]).filter(([node]) => needed.has(node)).map(([, i]) => i);
})();

function predicted(given) {
  const values = learning.training?.values ?? data.learning.parameters.map((node) => state.right.values[node]);
  if (Array.from(state.changes.keys()).some((node) => !columns.includes(node) && !data.learning.parameters.includes(node))) {
    // What is compiled has the numbers that were recorded.
    const parameters = data.learning.parameters.map((node, i) => [node, values[i]]);
    return given.map((row) => forward(graph, new Map([...state.changes, ...parameters,
      ...features.map((column, i) => [columns[column], row[i]])])).values[output]);
  }
  return PREDICTION(usedParameters.map((i) => values[i]), given).map(([x]) => x);
}

/* From the least to the greatest of some numbers, and a little beyond. */
function reach(numbers) {
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const margin = 0.15 * (high - low) || 1;
  return [low - margin, high + margin];
}

const column = (i) => rows.map((row) => row[i]);
const target = targets.length === 1 ? targets[0] : null;
const middle = target === null || saysLogits() ? 0 : (Math.min(...column(target)) + Math.max(...column(target))) / 2;

/* Whether what is predicted is squashed, or its logarithm taken, only on the way to the loss. */
function saysLogits() {
  if (output === null || symbolOf(output) === "sigmoid") return false;
  const after = new Set([output]);
  for (let node = output + 1; node < size; node++) if (data.operands[node].some((x) => after.has(x))) after.add(node);
  after.delete(output);
  return Array.from(after).some((node) => ["sigmoid", "log", "log1p", "exp", "expm1"].includes(symbolOf(node)));
}

function symbolOf(node) {
  return graph.isLeaf(node) ? "" : graph.operations[graph.operation[node]].symbol;
}

function showPredictions() {
  const drawn = [1, 2].includes(features.length);
  at("plane").dataset.middle = middle;
  at("plane").hidden = output === null || !drawn;
  at("predictions").hidden = output === null || drawn;
  if (output === null) return;
  if (features.length === 2) paintPlane();
  else if (features.length === 1) drawFit();
  else listPredictions();
}

const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function canvasOf() {
  const canvas = at("plane");
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  return { canvas, context };
}

/* Each place in the colour of its side, the stronger the surer; the rows as marks, and a line between the sides. */
function paintPlane() {
  const { canvas, context } = canvasOf();
  const [[left, right], [bottom, top]] = features.map((i) => reach(column(i)));
  const places = Array.from({ length: FINE * FINE }, (_, k) => [
    left + (k % FINE + 0.5) / FINE * (right - left), top - (Math.floor(k / FINE) + 0.5) / FINE * (top - bottom),
  ]);
  const sides = predicted(places).map((x) => x - middle);
  const most = Math.max(...sides.map(Math.abs).filter(Number.isFinite), 1e-12);
  const size = canvas.width / FINE;
  const [above, below] = [ink("value"), ink("gradient")];
  sides.forEach((side, k) => {
    context.globalAlpha = Number.isFinite(side) ? 0.12 + 0.5 * Math.abs(side) / most : 0;
    context.fillStyle = side > 0 ? above : below;
    context.fillRect(k % FINE * size, Math.floor(k / FINE) * size, size, size);
  });
  context.globalAlpha = 1;
  context.strokeStyle = context.fillStyle = ink("text");
  context.lineWidth = 2.5;
  sides.forEach((side, k) => {  // where the sides change
    const [x, y] = [k % FINE, Math.floor(k / FINE)];
    if (x + 1 < FINE && side > 0 !== sides[k + 1] > 0) stroke(context, (x + 1) * size, y * size, (x + 1) * size, (y + 1) * size);
    if (y + 1 < FINE && side > 0 !== sides[k + FINE] > 0) stroke(context, x * size, (y + 1) * size, (x + 1) * size, (y + 1) * size);
  });
  drawAxes(context, [left, right], [bottom, top]);
  rows.forEach((row, i) => {
    const x = (row[features[0]] - left) / (right - left) * canvas.width;
    const y = (top - row[features[1]]) / (top - bottom) * canvas.height;
    mark(context, x, y, target === null || row[target] > middle, i === learning.row);
  });
}

/* A few round numbers between two. */
function roundNumbers(low, high) {
  const power = 10 ** Math.floor(Math.log10((high - low) / 3));
  const step = [1, 2, 5, 10].map((times) => times * power).find((each) => each >= (high - low) / 3);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

/* Round numbers along the edges, but not in the corners: which input is how large. */
function drawAxes(context, [left, right], [bottom, top]) {
  const { width, height } = context.canvas;
  Object.assign(context, { font: "26px Helvetica, Arial, sans-serif", lineWidth: 6, lineJoin: "round",
    fillStyle: ink("text"), strokeStyle: ink("background") });
  const write = (value, align, ...place) => {
    context.textAlign = align;
    context.strokeText(number(value), ...place);
    context.fillText(number(value), ...place);
  };
  for (const value of roundNumbers(left, right)) {
    const x = (value - left) / (right - left) * width;
    if (x > 60 && x < width - 30) write(value, "center", x, height - 8);
  }
  for (const value of roundNumbers(bottom, top)) {
    const y = (top - value) / (top - bottom) * height;
    if (y > 20 && y < height - 50) write(value, "left", 8, y + 9);
  }
}

function stroke(context, ...[x0, y0, x1, y1]) {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

/* A disc or a cross: told apart without colours as well. The row that is walked through has a ring. */
function mark(context, x, y, isAbove, isShown) {
  context.lineWidth = 3;
  context.fillStyle = context.strokeStyle = ink(isAbove ? "value" : "gradient");
  if (isAbove) {
    context.beginPath();
    context.arc(x, y, 6, 0, 7);
    context.fill();
  } else {
    stroke(context, x - 5, y - 5, x + 5, y + 5);
    stroke(context, x - 5, y + 5, x + 5, y - 5);
  }
  if (!isShown) return;
  context.strokeStyle = ink("text");
  context.beginPath();
  context.arc(x, y, 12, 0, 7);
  context.stroke();
}

/* With one input: the prediction as a curve, and the rows. */
function drawFit() {
  const { canvas, context } = canvasOf();
  const [left, right] = reach(column(features[0]));
  const places = Array.from({ length: 4 * FINE + 1 }, (_, k) => left + k / (4 * FINE) * (right - left));
  const curve = predicted(places.map((x) => [x]));
  const [bottom, top] = reach(target === null ? curve.filter(Number.isFinite) : column(target));
  const at_ = (x, y) => [(x - left) / (right - left) * canvas.width, (top - y) / (top - bottom) * canvas.height];
  drawAxes(context, [left, right], [bottom, top]);
  context.strokeStyle = ink("text");
  context.lineWidth = 3;
  for (let k = 1; k < curve.length; k++) stroke(context, ...at_(places[k - 1], curve[k - 1]), ...at_(places[k], curve[k]));
  if (target !== null) rows.forEach((row, i) => mark(context, ...at_(row[features[0]], row[target]), true, i === learning.row));
}

function listPredictions() {
  const shown = rows.slice(0, MOST_PREDICTED);
  const found = predicted(shown.map((row) => features.map((i) => row[i])));
  at("predictions").tBodies[0].replaceChildren(...shown.map((row, i) => {
    const line = document.createElement("tr");
    line.insertCell().textContent = i + 1;
    line.insertCell().textContent = targets.map((k) => number(row[k])).join(", ");
    line.insertCell().textContent = number(found[i]);
    if (i === learning.row) line.setAttribute("aria-current", "true");
    return line;
  }));
}
