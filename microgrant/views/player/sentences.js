/* The step, in words: each event as a line, and what becomes of a mistake. Pure functions: nothing
   here knows the page. */

const nameOf = (graph, node, values) => (graph.constants.has(node) ? number(values[node]) : graph.names[node]);
const shortOf = (graph, node, values) => graph.short[node] ?? nameOf(graph, node, values);

/* A template has a sign of its own for each operand and for the result. */
function filled(template, words, out) {
  let text = "";
  for (const sign of template) {
    const code = sign.charCodeAt(0);
    if (code === 0xf8ff) text += out;
    else if (code >= 0xe000 && code < 0xf8ff) text += words[code - 0xe000];
    else text += sign;
  }
  return text;
}

/* The template for operands in one of several forms, in which they need parentheses or not: a name
   begins with a minus sign or not (2 forms), a number may also have an exponent of ten (3 forms). */
function fitting(templates, words, forms) {
  const form = (word) => (/^[−-]/.test(word) ? 1 : forms === 3 && /\de|\\cdot/.test(word) ? 2 : 0);
  return templates.length > 1 ? templates[words.reduce((which, word) => which * forms + form(word), 0)] : templates[0];
}

const MOST_GIVEN = 100;  // characters of leaves that a line lists

/* What is given, as a list of lists of [class, text]. */
function givenLeaves(graph, values) {
  const found = [];
  let length = 0;
  for (const leaf of graph.named) {
    const parts = [["name", graph.names[leaf]], ["", ` ${equals(values[leaf])} `], ["value", number(values[leaf])]];
    length += Array.from(plain(parts)).length;
    if (length > MOST_GIVEN) break;
    found.push(parts);
  }
  const more = graph.named.length - found.length;
  if (more) found.push([["", `and ${more} more`]]);
  return found.length ? found : [[["", "constants"]]];
}

/* The operands of a node, an operand that it has twice by its uses: of b × b the derivative by each is the other. */
function usesOf(graph, node, words) {
  const operands = graph.operands[node];
  return words.map((word, i) => {
    if (operands.indexOf(operands[i]) === operands.lastIndexOf(operands[i])) return word;
    const use = operands.slice(0, i + 1).filter((x) => x === operands[i]).length;
    return `${word}⁽${superscript(use)}⁾`;
  });
}

const superscript = (count) => String(count).replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);

/* What happens at a step of a run, as a list of [class, text]. The texts joined are the line of the
   table.

   name: `nameOf`, or `shortOf`. */
function sentence(graph, { values, events, mistake, training }, step, name = nameOf) {
  const event = events[step - 1];
  if (event.kind === "update") return updateLines(graph, training, event.node, event.lines);
  if (event.kind === "given") {
    const leaves = givenLeaves(graph, values);
    return [["rule", "given: "], ...leaves.flatMap((parts, i) => [["", i ? ", " : ""], ...parts])];
  }
  const out = name(graph, event.node, values);
  const operation = graph.operations[graph.operation[event.node]];
  if (event.kind === "seed") {
    return [["name", out + ".grad:"], ["", " "], ["result gradient", "1"], ["rule", " (the seed)"]];
  }
  const words = graph.inputs[event.node].map((operand) => name(graph, operand, values));
  if (event.kind === "forward") {
    const numbers = graph.inputs[event.node].map((operand) => number(values[operand]));
    const given = graph.operands[event.node].map((operand) => values[operand]);
    return [
      ["name", out], ["", " = "],
      ["", filled(fitting(operation.formula, words, 2), words, out)], ["", ` ${equals(...given)} `],
      ["value", filled(fitting(operation.numbers, numbers, 3), numbers, out)],
      ["", ` ${equals(...given, values[event.node])} `], ["result value", number(values[event.node])],
    ];
  }
  const uses = usesOf(graph, event.node, words);
  const target = words[event.place];
  const rule = filled(fitting(operation.rules, uses, 2)[event.place], uses, out);
  const local = number(event.local);
  const before = number(event.before);
  const contribution = number(event.contribution);
  const keeps = mistake !== "overwrite";
  const isConstant = graph.constants.has(event.operand);
  return [
    ["name", isConstant ? `(constant ${target}).grad:` : target + ".grad:"], ["", " "],
    ...(keeps ? [["gradient", before], ["", " + "]] : []),
    ["", "upstream "], ["gradient", number(event.upstream)], ["", " × "],
    ["", `∂${out}/∂${uses[event.place]}`], ["rule", rule === local ? "" : ` (= ${rule})`],
    ["value", " " + local], ["", ` ${equals(event.before, event.upstream, event.local, event.contribution)} `],
    ...(keeps ? [["guess gradient", before], ["guess", " + "]] : []),
    ["guess gradient", contribution], ["", " → "], ["result gradient", number(event.after)],
  ];
}

/* A negative number behind a sign. */
const bracketed = (text) => (/^−/.test(text) ? `(${text})` : text);

/* The chain rule at a step, as it stands on a blackboard: columns of a formula and the number below it. Each
   is a list of [class, text], or of [class, above, below] for a fraction. */
function chainRule(graph, { values, events, mistake }, step, name = nameOf) {
  const event = events[step - 1];
  const [root, out] = [graph.root, event.node].map((node) => name(graph, node, values));
  const gradient = (kind, of) => [kind, `∂${root}`, `∂${of}`];
  if (event.kind === "seed") {
    return [[[gradient("name", out)], [["result gradient", "1"]]],
      [[], [["rule", `the seed: ${out} changes as fast as itself`]]]];
  }
  const words = graph.inputs[event.node].map((operand) => name(graph, operand, values));
  const uses = usesOf(graph, event.node, words);
  const operation = graph.operations[graph.operation[event.node]];
  const rule = filled(fitting(operation.rules, uses, 2)[event.place], uses, out);
  const [before, upstream, local, contribution, after] =
    ["before", "upstream", "local", "contribution", "after"].map((key) => number(event[key]));
  const [sum, product] = [equals(event.before, event.upstream, event.local, event.after), equals(event.contribution)];
  const keeps = mistake !== "overwrite";
  return [
    [[gradient("name", words[event.place])], [["result gradient", after]]],
    [[["", keeps ? "+=" : "="]], [["", `${sum} `], ...(keeps ? [["gradient", before], ["", " +"]] : [])]],
    [[gradient("upstream", out)], [["gradient upstream", upstream]]],
    [[["", "·"]], [["", "·"]]],
    [[["local", `∂${out}`, `∂${uses[event.place]}`], ...(rule === local ? [] : [["rule", ` (= ${rule})`]])],
      [["value", bracketed(local)]]],
    [[], [["guess", `${sum === "=" ? product : sum} `], ...(keeps ? [["guess gradient", before], ["guess", " + "]] : []),
      ["guess gradient", keeps ? bracketed(contribution) : contribution]]],
  ];
}

const inLatex = (x) => number(x).replaceAll("−", "-").replace(/e(.*)/, " \\cdot 10^{$1}")
  .replace("inf", "\\infty").replace("nan", "\\text{nan}");

/* Equations, five in a line: more run off a slide. */
function gathered(equations, most = 5) {
  const lines = [];
  for (let i = 0; i < equations.length; i += most) lines.push(equations.slice(i, i + most).join(" \\qquad "));
  return lines.length > 1 ? `\\begin{gathered}\n${lines.join(" \\\\\n")}\n\\end{gathered}` : lines.join("");
}

/* What happens at a step, as an equation for LaTeX. */
function latex(graph, { values, events, history, mistake, training }, step) {
  const event = events[step - 1];
  const unchanged = (node) => !graph.constants.has(node) || Object.is(values[node], graph.values[node]);
  const called = (node) => (unchanged(node) ? graph.latex[node] : inLatex(values[node]));
  const sign = (...numbers) => (equals(...numbers) === "=" ? "=" : "\\approx");
  if (event.kind === "given") {
    return gathered(graph.named.map((leaf) => `${called(leaf)} ${sign(values[leaf])} ${inLatex(values[leaf])}`));
  }
  if (event.kind === "update") {
    const lines = event.lines.map(({ value }, i) => {
      const [sets, formula] = training.recipe.rules[i].latex.map((each) => filled(each, [called(event.node)]));
      return `${sets} \\leftarrow ${formula} ${sign(value)} ${inLatex(value)}`;
    });
    return gathered(lines, 1);
  }
  const gradient = (node) => `\\frac{\\partial ${called(graph.root)}}{\\partial ${called(node)}}`;
  const out = called(event.node);
  const operation = graph.operations[graph.operation[event.node]];
  if (event.kind === "seed") return `${gradient(event.node)} = 1`;
  const words = graph.inputs[event.node].map(called);
  const { formula, numbers, rules } = operation.latex;
  if (event.kind === "forward") {
    const written = graph.inputs[event.node].map((operand) => inLatex(values[operand]));
    const given = graph.operands[event.node].map((operand) => values[operand]);
    return `${out} = ${filled(fitting(formula, words, 2), words, out)} ` +
      `${sign(...given)} ${filled(fitting(numbers, written, 3), written, out)} ` +
      `${sign(...given, values[event.node])} ${inLatex(values[event.node])}`;
  }
  const [upstream, local, contribution, after] = ["upstream", "local", "contribution", "after"].map((key) => inLatex(event[key]));
  const rule = filled(fitting(rules, words, 2)[event.place], words, out);
  const adds = mistake !== "overwrite" && (history[event.operand][0] < step || event.before !== 0);
  return `${gradient(event.operand)} ${adds ? "\\mathrel{+}=" : "="} ${gradient(event.node)} \\cdot ${rule} ` +
    `${sign(event.upstream, event.local)} ` +
    `${upstream} \\cdot ${/^-/.test(local) ? `\\left(${local}\\right)` : local} ` +
    `${sign(event.upstream, event.local, event.contribution)} ${contribution}` +
    (adds ? ` \\quad\\to\\quad ${after}` : "");
}

const plain = (parts) => parts.map(([, text]) => text).join("");

/* What became of a mistake, or what to do if there is none.

   wrong: how many of `count` gradients are; undefined while the walk has not come to them, null while that is a
   secret. */
function mistakeNote(graph, mistake, wrong, count) {
  if (mistake === null) return "Switch a mistake on, and walk through the backward pass again.";
  const words = graph.mistakes[mistake];
  const text = words[0].toUpperCase() + words.slice(1) + ". ";
  if (wrong === undefined) return text + "Walk on to see what comes of it.";
  if (wrong === null) return text + "What comes of it is hidden while you predict.";
  if (wrong) return `${text}Wrong: ${wrong} of ${count}.`;
  if (mistake === "no_zero_grad") return text + "All gradients were 0 anyway.";
  const uses = new Map();
  for (const operands of graph.operands) for (const x of operands) uses.set(x, (uses.get(x) || 0) + 1);
  const twice = Array.from(uses).some(([node, times]) => times > 1 && !graph.constants.has(node));
  if (!twice) return text + "It needs a value that is used twice, and here there is none: nothing goes wrong.";
  return text + (mistake === "no_topological_order"
    ? "Here nothing goes wrong: it needs a value that is computed and then used twice, as in b = a + a; c = b + b."
    : "Here nothing goes wrong: what is overwritten was 0.");
}
