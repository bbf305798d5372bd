/* Training: what an optimiser makes of gradients, and one iteration after the other. Pure functions of
   the graph and of where the training stands: nothing here knows the page. */

/* Where a training begins: the parameters as they are, nothing remembered of them yet.

   recipe: one of `data.optimizers`, with the functions of its rules. */
function beginning(graph, recipe, settings, parameters, values, memory = {}) {
  const zeros = () => new Float64Array(parameters.length);
  return {
    recipe, settings, parameters,
    iteration: 0,
    values: Float64Array.from(parameters, (node) => values[node]),
    memory: Object.fromEntries(recipe.memory.map((name) => [name, Float64Array.from(memory[name] ?? zeros())])),
    earlier: null,  // gradients of parameters that were not zeroed, from iteration to iteration
  };
}

/* What the optimiser does to parameter number i: its new value, what is remembered, and each rule with its numbers. */
function updateOf({ recipe, settings, values, memory }, i, gradient) {
  const known = { ...settings, parameter: values[i], gradient };
  for (const name of recipe.memory) known[name] = memory[name][i];
  const lines = recipe.rules.map(({ sets, operands }, k) => {
    const given = operands.map((operand) => known[operand]);
    known[sets] = recipe.functions[k](...given);
    return { given, value: known[sets] };
  });
  return { after: known.parameter, known, lines };
}

/* The next iteration, after all parameters have followed their gradients. */
function followed(training, gradients, earlier = null) {
  const next = {
    ...training,
    iteration: training.iteration + 1,
    values: new Float64Array(training.values),
    memory: Object.fromEntries(Object.entries(training.memory).map(([name, x]) => [name, new Float64Array(x)])),
    earlier,
  };
  training.parameters.forEach((_, i) => {
    const { after, known } = updateOf(training, i, gradients[i]);
    next.values[i] = after;
    for (const name of training.recipe.memory) next.memory[name][i] = known[name];
  });
  return next;
}

/* One iteration: the loss before it, the gradients, and where the training stands after it.

   batch: { rows, inputs, loss }, to take the mean over rows; null for the graph as it is. */
function iterate(graph, changes, mistake, training, batch = null) {
  const { loss, gradients } = batch ? overRows(graph, changes, mistake, training, batch) : onGraph(graph, changes, mistake, training);
  const earlier = mistake === "no_zero_grad" ? gradients : null;
  return { loss, gradients, next: followed(training, gradients, earlier) };
}

/* The loss, and the gradients of the parameters. */
function onGraph(graph, changes, mistake, training) {
  const given = withParameters(changes, training);
  const ofParameters = (gradients) => training.parameters.map((node) => gradients[node]);
  if (mistake !== null && mistake !== "no_zero_grad") {
    const { values, gradients } = run(graph, given, mistake);
    return { loss: values[graph.root], gradients: ofParameters(gradients) };
  }
  const { values, partials } = forward(graph, given);
  return { loss: values[graph.root], gradients: notZeroed(ofParameters(differentiate(graph, partials)), mistake, training) };
}

/* The same, as means over rows. */
function overRows(graph, changes, mistake, training, { rows, inputs, loss }) {
  const compiled = [...changes.keys()].every((node) => inputs.includes(node) || training.parameters.includes(node));
  if (compiled && (mistake === null || mistake === "no_zero_grad")) {
    const [mean, ...gradients] = loss(training.values, rows);
    return { loss: mean, gradients: notZeroed(gradients, mistake, training) };
  }
  const each = rows.map((row) => onGraph(graph, new Map([...changes, ...withRow([], inputs, row)]), mistake, training));
  const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / rows.length;
  return {
    loss: mean(each.map((one) => one.loss)),
    gradients: training.parameters.map((_, i) => mean(each.map((one) => one.gradients[i]))),
  };
}

/* Who forgets to zero gradients has those of all iterations; at the first one, of an equal step before it. */
function notZeroed(gradients, mistake, { earlier }) {
  return mistake === "no_zero_grad" ? gradients.map((x, i) => x + (earlier ? earlier[i] : x)) : gradients;
}

/* A row's numbers in its leaves; who has changed one of them wants it so. */
const withRow = (changes, inputs, row) => new Map([...inputs.map((node, i) => [node, row[i]]), ...changes]);

/* The leaves that were changed, and the parameters as the training has them. */
function withParameters(changes, { parameters, values }) {
  return new Map([...changes, ...parameters.map((node, i) => [node, values[i]])]);
}

/* How an update is written: for each rule, as `sentence` writes a step. */
function updateLines(graph, training, node, lines) {
  const name = graph.names[node];
  return lines.flatMap(({ given, value }, i) => {
    const { name: sets, formula, numbers } = training.recipe.rules[i];
    const written = given.map(number);
    return [
      ...(i ? [["", "; "]] : []),
      ["name", filled(sets, [name])], ["", " ← "], ["", filled(formula, [name])], ["", ` ${equals(...given)} `],
      ["value", filled(fitting(numbers, written, 3), written)], ["", ` ${equals(...given, value)} `],
      [i === lines.length - 1 ? "result value" : "value", number(value)],
    ];
  });
}

/* What a curve of losses says; the empty text if there is nothing to be said.

   batches: whether each is of other rows. */
function diagnosis(losses, gradients, batches) {
  const [first, last] = [losses[0], losses[losses.length - 1]];
  if (losses.length < 2 || !Number.isFinite(first)) return "";
  if (!Number.isFinite(last)) return "The loss is no number any more (it diverged): the learning rate is much too large.";
  if (batches) return "";  // one batch is not like the other
  const latest = losses.slice(-4);
  const grows = latest.length === 4 && latest.every((x, i) => i === 0 || x > latest[i - 1]);
  if (last > 10 * Math.abs(first) + 1 || (grows && last > first)) {
    return "The loss grows (it diverges): each step jumps too far, the learning rate is too large.";
  }
  if (gradients.every((x) => x === 0)) {
    return "All gradients are 0: nothing moves. (A minimum, a saddle, or a dead ReLU?)";
  }
  return "";
}
