/* Predicting as a quiz: each result is asked for, checked where it is typed, and counted. What is typed
   is judged by functions that know no page; below them stands what the page does with it. */

/* Within 1 %, which is more than what rounding to the printed digits does. */
const near = (guess, right) => Object.is(guess, right) ||
  (Number.isFinite(right) && Math.abs(guess - right) <= 0.01 * Math.abs(right));

/* What a step may be said to result in: its result, and what comes of the numbers as they are printed.
   Where a difference is small, or an exponential large, that is something else. */
function results(graph, { values, events, mistake }, step) {
  const event = events[step - 1];
  const printed = (x) => typed(number(x)) ?? x;
  if (event.kind === "seed") return [1];
  if (event.kind === "update") return [event.after];
  if (event.kind === "forward") {
    const which = graph.operation[event.node];
    const spelled = !graph.operations[which].own && graph.functions[which];  // the user's own may be misspelled
    const numbers = graph.inputs[event.node].map((operand) => printed(values[operand]));
    return [values[event.node], ...(spelled ? [spelled.forward(...numbers)] : [])];
  }
  const [before, upstream, local] = ["before", "upstream", "local"].map((key) => printed(event[key]));
  return [event.after, (mistake === "overwrite" ? 0 : before) + upstream * local];
}

/* "" if a guess is right, and otherwise what is wrong with it. */
function judged(graph, run, step, guess) {
  const event = run.events[step - 1];
  const right = results(graph, run, step);
  const hit = (x) => right.some((each) => near(x, each));
  if (hit(guess)) return "";
  if (hit(-guess)) return "Wrong: look at the sign.";
  return event.kind === "backward" && near(guess, event.contribution)
    ? `Wrong: that much arrives, and ${number(event.before)} was there before.` : `Wrong: it is not ${number(guess)}.`;
}

/* What a number is like, without telling it. */
function likeness(x) {
  if (Number.isNaN(x)) return "not a number";
  if (x === 0) return "neither positive nor negative";
  const sign = x > 0 ? "positive" : "negative";
  if (Math.abs(x) === Infinity) return `${sign}, and larger than any number`;
  const power = Number(x.toExponential().split("e")[1]);
  return `${sign}, its size from ${number(Number(`1e${power}`))} to ${number(Number(`1e${power + 1}`))}`;
}

const SIGNS = { "*": "×", "-": "−", neg: "−" };
const signOf = ({ symbol }) => (symbol.startsWith("**") ? symbol.replace("**", "^").replace("-", "−") : SIGNS[symbol] ?? symbol);

/* How the result of a step is found. */
function hint(graph, { values, events, mistake, training }, step) {
  const event = events[step - 1];
  if (event.kind === "update") {
    const written = event.lines.at(-1).given.map(number);
    const { numbers } = training.recipe.rules.at(-1);
    return `Against the gradient: ${filled(fitting(numbers, written, 3), written)} is ${likeness(event.after)}.`;
  }
  const out = shortOf(graph, event.node, values);
  if (event.kind === "seed") return `How fast does ${out} change with ${out} itself?`;
  const operation = graph.operations[graph.operation[event.node]];
  if (event.kind === "forward") {
    const numbers = graph.inputs[event.node].map((operand) => number(values[operand]));
    return `${filled(fitting(operation.numbers, numbers, 3), numbers, out)} is ${likeness(values[event.node])}.`;
  }
  const words = graph.inputs[event.node].map((operand) => shortOf(graph, operand, values));
  const rule = filled(fitting(operation.rules, words, 2)[event.place], words, out);
  const [upstream, local, before] = ["upstream", "local", "before"].map((key) => number(event[key]));
  const [copies, turns] = [" copies the gradient", " turns the sign"];
  const does = { "*": " swaps", "+": copies, "-": event.place ? turns : copies, neg: turns };
  return `${signOf(operation)}${does[operation.symbol] ?? ""}: the derivative by ${words[event.place]} is ` +
    `${rule}${rule === local ? "" : ` = ${local}`}. So ${upstream} × ${local}` +
    (mistake === "overwrite" ? ", in place of what was there." : `, added to ${before}.`);
}

/* How a quiz of so many questions went: "7 of 12 right at the first try, 2 with a hint". */
function tally(outcomes, questions) {
  const count = (which) => outcomes.filter((each) => each === which).length;
  const parts = [[count("hint"), "with a hint"], [count("later"), "at a later try"], [count("shown"), "shown"],
    [questions - outcomes.length, "left out"]];
  return [`${count("first")} of ${questions} right at the first try`,
    ...parts.filter(([n]) => n).map(([n, words]) => `${n} ${words}`)].join(", ") + ".";
}

// --- On the page -----------------------------------------------------------------------------------

const quiz = {
  asked: new Map(),  // for each step, what came of it: { tries, hinted, outcome }
  checked: "",       // what was in the field when it was last checked
  said: "",          // how it was, or a hint
  mood: "",          // "right", "wrong" or neither
};
const asking = () => state.predict && !state.revealed;

/* With other values, or a mistake, the questions are others. */
function restartQuiz() {
  quiz.asked.clear();
  ask();
}

function questionOf({ kind, node, operand = node }) {
  if (kind === "forward") return "What comes out?";
  const name = (which) => shortOf(graph, which, state.run.values);
  return kind === "update" ? `What becomes of ${name(node)}?` : `How much is ∂${name(root)}/∂${name(operand)} now?`;
}

/* The question of a step. */
function ask() {
  at("answer").value = quiz.checked = "";
  tell("", asking() ? questionOf(eventAt(state.step)) : "");
  if (asking()) focusAnswer();
}

/* The field gets the keys, unless another uses them. On a screen that is touched, a keyboard would cover the
   picture: there it comes with a tap on the field. */
function focusAnswer() {
  const busy = document.activeElement?.matches("input, textarea, select") || document.querySelector("dialog[open]");
  if (busy || (framed && !document.hasFocus()) || matchMedia("(pointer: coarse)").matches) return;
  at("answer").focus({ preventScroll: true });
}

function tell(mood, said) {
  Object.assign(quiz, { mood, said });
  showVerdict();
}

function showVerdict() {
  const over = state.step === lastStep() && state.revealed && quiz.asked.size > 0;
  const outcomes = Array.from(quiz.asked.values(), ({ outcome }) => outcome).filter(Boolean);
  at("quiz").hidden = at("verdict").hidden = !state.predict;
  at("quiz").classList.toggle("done", state.revealed);
  at("verdict").dataset.mood = quiz.mood;
  at("verdict").textContent = `${quiz.said} ${over ? tally(outcomes, lastStep() - 1) : ""}`.trim();
  at("answer").setAttribute("aria-invalid", String(quiz.mood === "wrong"));
}

function question() {
  if (!quiz.asked.has(state.step)) quiz.asked.set(state.step, { tries: 0, hinted: false, outcome: "" });
  return quiz.asked.get(state.step);
}

function checkGuess() {
  if (!asking()) return;
  const text = quiz.checked = at("answer").value;
  const guess = typed(text);
  const asked = question();
  if (guess !== null) asked.tries++;
  const verdict = guess === null ? refusal(text) : judged(graph, state.run, state.step, guess);
  if (verdict) {
    tell("wrong", verdict);
    focusAnswer();
    if (document.activeElement === at("answer")) at("answer").select();
    return;
  }
  asked.outcome ||= asked.hinted ? "hint" : asked.tries === 1 ? "first" : "later";
  state.revealed = true;
  tell("right", "Right.");
  show();
}

function takeHint() {
  if (!asking()) return;
  question().hinted = true;
  tell("", hint(graph, state.run, state.step));
  focusAnswer();
}

function showAnswer() {
  if (!asking()) return;
  question().outcome ||= "shown";
  state.revealed = true;
  tell("", "");
  show();
}

const isNew = () => at("answer").value !== quiz.checked;

/* Going on: what was typed and not checked yet is not lost. */
function reveal() {
  if (isNew()) checkGuess(); else showAnswer();
}

/* While nothing new is typed, keys that no number needs do in the field what they do elsewhere; but a letter
   does not leave the step. 1 / 3 may be typed with spaces. */
const passes = ({ key }) => /^Page/.test(key) ||
  (!isNew() && (key.length === 1 ? !/[\d.,/+\-−∞einfabp]/i.test(key) : /^(Arrow.*|Home|End)$/.test(key)));
