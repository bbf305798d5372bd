/* The step, computed anew: forward, backward, with a mistake, with a nudge. Pure functions of the
   graph, of the leaves that were changed, and of the mistake: nothing here knows the page. */

/* What a page brings along about its graph, made ready for computing.

   functions: for each operation of `data.operations`, how JavaScript computes it and its partial
   derivatives; null if it cannot. */
function readGraph(data, functions) {
  const decoded = (x) => (typeof x === "number" ? x : { inf: Infinity, "-inf": -Infinity }[x] ?? NaN);
  const size = data.values.length;
  const constants = new Set(data.constants);
  const isLeaf = (i) => data.operation[i] < 0;
  const places = Array.from({ length: size }, (_, i) => i);
  const given = places.filter(isLeaf);
  const named = given.filter((i) => !constants.has(i));
  const computed = places.filter((i) => !isLeaf(i));
  const when = new Array(size).fill(1);  // the step at which each value is there
  computed.forEach((node, i) => { when[node] = i + 2; });
  return {
    ...data, functions, size, constants, isLeaf, given, computed, when,
    forwardSteps: 1 + computed.length,
    root: size - 1,
    values: data.values.map(decoded),
    partials: data.partials.map((partials) => partials.map(decoded)),
    // Those with a name first: they are what one asks about.
    named, leaves: [...named, ...given.filter((i) => constants.has(i))],
    // What a node is computed from: its operands, and what decides which branch a `where` takes.
    inputs: data.operands.map((operands, i) => operands.concat(data.mentions[i] ?? [])),
  };
}

/* Why live values are off, or the empty text. An operation of the user's own must not only have a
   spelling in JavaScript, it must also agree with what Python recorded. */
function findLiveProblem(graph) {
  for (let i = 0; i < graph.size; i++) {
    const operation = graph.operations[graph.operation[i]];
    if (!operation) continue;
    const spelled = graph.functions[graph.operation[i]];
    if (operation.choice && !operation.live) {
      return `Live values are off: a ${operation.symbol} has a branch that is not in this graph.`;
    }
    if (!operation.live || !spelled) {
      return `Live values are off: the operation ${operation.symbol} has no spelling in JavaScript.`;
    }
    if (!operation.own) continue;
    const numbers = graph.operands[i].map((operand) => graph.values[operand]);
    const value = graph.values[i];
    const same = close(spelled.forward(...numbers), value) &&
      spelled.partials(value, ...numbers).every((x, k) => close(x, graph.partials[i][k]));
    if (!same) {
      return `Live values are off: the operation ${operation.symbol} computes something else in JavaScript.`;
    }
  }
  return "";
}

/* The forward pass, with other values in some leaves. Without changes, it is what Python recorded. */
function forward(graph, changes) {
  if (changes.size === 0) return { values: graph.values, partials: graph.partials };
  const values = new Array(graph.size);
  const partials = new Array(graph.size);
  for (let i = 0; i < graph.size; i++) {
    const spelled = graph.functions[graph.operation[i]];
    if (!spelled) {
      values[i] = changes.has(i) ? changes.get(i) : graph.values[i];
      partials[i] = [];
      continue;
    }
    const numbers = graph.inputs[i].map((operand) => values[operand]);
    values[i] = spelled.forward(...numbers);
    partials[i] = spelled.partials(values[i], ...numbers);
  }
  return { values, partials };
}

/* The gradients, added up in the order in which Python does, and so equal to its own to the bit. */
function differentiate(graph, partials) {
  const { size, root, operands, order } = graph;
  const gradients = new Array(size).fill(0);
  gradients[root] = 1;
  for (let i = size - 1; i >= 0; i--) {
    const node = order[i];
    operands[node].forEach((operand, place) => {
      gradients[operand] += handedOn(graph, node, partials[node][place], gradients[node]);
    });
  }
  return gradients;
}

/* What an operand gets of an upstream: of what is detached nothing, and not 0 times inf. */
function handedOn(graph, node, local, upstream) {
  return graph.operations[graph.operation[node]]?.stops ? 0 : local * upstream;
}

const MOST_VISITS = 100000;

const isBackward = (event) => event.kind === "seed" || event.kind === "backward";

/* The events of the step in order: leaves are given, all else is computed, the seed is set, and then
   each use of a value passes a contribution on. A mistake changes what the backward pass does; null if that would
   never come to an end.

   training: where a training stands, if the step is one of it; then the update of its parameters comes last. With
   `means`, these are the gradients that it follows. */
function run(graph, changes, mistake, training = null) {
  const { size, root, operands } = graph;
  const { values, partials } = forward(graph, changes);
  const events = [{ kind: "given" }];
  const history = Array.from({ length: size }, () => []);  // for each node, when its gradient changed
  const visited = new Map();  // for each node, when it first passes something on
  for (const node of graph.computed) events.push({ kind: "forward", node });
  const gradients = new Array(size).fill(0);
  const final = differentiate(graph, partials);
  let earlier = null;
  if (mistake === "no_zero_grad") {
    // Those of the iteration before; at the first one, of an equal step.
    earlier = final.map((x, i) => (graph.isLeaf(i) ? x : 0));
    training?.earlier?.forEach((x, i) => { earlier[training.parameters[i]] = x; });
    earlier.forEach((x, i) => { gradients[i] = x; final[i] += x; });
  }
  // Told in another order than it is added up in, a sum may be rounded otherwise in the last digit.
  const ends = mistake === null || mistake === "no_zero_grad";
  const left = new Array(size).fill(0);
  for (const each of operands) for (const operand of each) left[operand]++;
  gradients[root] = 1;
  events.push({ kind: "seed", node: root, after: 1 });
  history[root].push(events.length);
  const visit = (node) => {
    const upstream = gradients[node];
    if (!visited.has(node)) visited.set(node, events.length + 1);
    operands[node].forEach((operand, place) => {
      const local = partials[node][place];
      const before = gradients[operand];
      const contribution = handedOn(graph, node, local, upstream);
      const sum = mistake === "overwrite" ? contribution : before + contribution;
      const after = ends && --left[operand] === 0 ? final[operand] : sum;
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
      for (let i = operands[node].length - 1; i >= 0; i--) stack.push(operands[node][i]);
    }
  } else {
    for (let node = root; node >= 0; node--) visit(node);
  }
  const updated = new Map();  // for each parameter, when it is changed
  training?.parameters.forEach((node, i) => {
    const gradient = training.means?.[i] ?? gradients[node];
    const { after, lines } = updateOf(training, i, gradient);
    events.push({ kind: "update", node, gradient, before: values[node], after, lines });
    updated.set(node, events.length);
  });
  return { values, partials, events, history, visited, gradients, earlier, mistake, training, updated };
}

/* The gradient of a node after a step; null if it is not reached yet. */
function gradientAt(graph, { history, events, earlier }, node, step) {
  const when = history[node];
  let low = 0;
  let high = when.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (when[middle] <= step) low = middle + 1; else high = middle;
  }
  if (low > 0) return events[when[low - 1] - 1].after;
  return earlier && graph.isLeaf(node) ? earlier[node] : null;
}

/* The value of a node after a step; null if it is not computed yet. */
function valueAtStep(graph, { values, events, updated }, node, step) {
  const when = updated.get(node);
  if (when <= step) return events[when - 1].after;
  return graph.when[node] <= step ? values[node] : null;
}

/* When the values inside of each box are computed, and when their gradients are reached. */
function findSpans(graph, { history }) {
  const spans = graph.boxes.map(() => ({ first: Infinity, reached: Infinity }));
  graph.paths.forEach((path, i) => {
    for (const box of path) {
      if (!graph.isLeaf(i)) spans[box].first = Math.min(spans[box].first, graph.when[i]);
      spans[box].reached = Math.min(spans[box].reached, history[i][0] ?? Infinity);
    }
  });
  return spans;
}

/* Add h to a leaf and see what becomes of the output: the derivative, measured.

   right: the step without a mistake, which knows the derivative. */
function nudge(graph, changes, right, leaf, h) {
  const value = right.values[leaf];
  const output = (given) => forward(graph, given).values[graph.root];
  const before = output(changes.size ? changes : new Map([[leaf, value]]));
  const after = output(new Map(changes).set(leaf, value + h));
  return { before, after, quotient: (after - before) / h, gradient: right.gradients[leaf] };
}
