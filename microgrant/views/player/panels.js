/* What stands around the picture: the formula, the bars, the mistakes, the table, the search. */

function showFormula(event, step) {
  at("half").textContent = isBackward(event) ? "backward" : event.kind;
  const parts = sentence(graph, state.run, step, shortOf);
  if (event.kind === "given") parts.shift();  // it stands beside it
  const field = at("answer");
  const typing = document.activeElement === field;
  field.hidden = state.revealed;
  at("quiz").append(field);
  const backward = isBackward(event);
  const kept = state.revealed ? null : field;
  at("formula").replaceChildren(...spansOf(parts, kept && backward ? span("", "") : kept));
  at("formula").classList.toggle("many", event.kind === "update");
  at("formula").classList.toggle("spoken", backward);  // its columns say the same to the eye
  at("chain").replaceChildren(...(backward ? columnsOf(chainRule(graph, state.run, step, shortOf), kept) : []));
  if (typing) field.focus({ preventScroll: true });
  at("aside").textContent = asideFor(event);
  showStatement(event);
  fitBoard();
  showVerdict();
}

/* field: stands in place of the result, if that is kept back. */
function spansOf(parts, field) {
  const found = [];
  let guessed = false;
  for (const [kind, text, below] of parts) {
    if (field && kind.includes("guess")) {
      if (!guessed) found.push(span("result", "?"));
      guessed = true;
    } else if (below !== undefined) {
      found.push(span(`fraction ${kind}`, [span("", text), span("bar", "/"), span("", below)]));
    } else {
      found.push(field && kind.includes("result") ? field : span(kind, text));
    }
  }
  return found;
}

/* Columns of the chain rule: a formula, and the numbers below it. */
const columnsOf = (columns, field) => columns.map(([above, below]) =>
  span("column", [span("above", spansOf(above, null)), span("below", spansOf(below, field))]));

// --- What is computed ------------------------------------------------------------------------------

/* The statement in which each value is computed, by its place in `data.statements`. */
const statementOf = new Map(data.statements.map(([place], i) => [place, i]));
data.statements.forEach(([, parts], i) => {
  for (const part of parts) if (typeof part === "number" && !statementOf.has(part)) statementOf.set(part, i);
});
const MOST_STATED = 130;  // characters of statements; of more, one is shown
const allStated = data.statements.flatMap(([, parts]) => parts.filter((part) => typeof part === "string"))
  .join("").length <= MOST_STATED;

/* What the graph computes, with the part marked that the step is about. */
function showStatement(event) {
  const one = statementOf.get(event.node ?? graph.root);
  const shown = allStated ? data.statements.keys() : one === undefined ? [] : [one];
  at("statement").replaceChildren(...Array.from(shown).flatMap((which, i) =>
    [...(i ? [span("", "; ")] : []), ...stated(data.statements[which], which === one ? event : {})]));
  const marked = at("statement").querySelector(".active, .source");
  at("statement").scrollLeft = marked ? marked.offsetLeft + marked.offsetWidth / 2 - at("statement").clientWidth / 2 : 0;
}

/* A statement as elements, one inside of another as what they compute. */
function stated([place, parts], event) {
  const name = (node) => shortOf(graph, node, state.run.values);
  const top = span("", "");
  const stack = [top];
  let uses = event.place === undefined ? 0 : data.operands[event.node].slice(0, event.place + 1).filter((x) => x === event.operand).length;
  for (const part of parts) {
    if (part === -1) stack.pop();
    else if (typeof part === "string") stack.at(-1).append(part);
    else {
      const element = span("", "");
      // What a constant is now; and of several uses, the one of the step.
      const isOperand = part === event.operand && stack.some((each) => each.classList.contains("source")) && --uses === 0;
      if (isOperand) element.className = "active";
      if (part === event.node) element.className = event.kind === "backward" ? "source" : "active";
      stack.at(-1).append(element);
      stack.push(element);
    }
  }
  return [span("name", name(place)), span("", " = "), top];
}

/* The board keeps its size: what is long is written smaller, and in two lines at most. */
function fitBoard() {
  const [board, formula, chain] = ["board", "formula", "chain"].map(at);
  const cut = () => formula.scrollHeight - formula.clientHeight > parseFloat(getComputedStyle(formula).lineHeight) / 2;
  for (const size of [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4]) {
    board.style.setProperty("--size", size);
    const spoken = formula.classList.contains("spoken");
    const fits = (spoken || !cut()) && chain.scrollWidth <= board.clientWidth + 1;
    if (fits && board.scrollHeight <= board.clientHeight + 1) break;
  }
}

/* inside: a text, or a list of elements. */
function span(kind, inside) {
  const element = document.createElement("span");
  element.className = kind;
  if (typeof inside === "string") element.textContent = inside; else element.append(...inside);
  return element;
}

function asideFor(event) {
  if (state.mistake) return `With a mistake: ${data.mistakes[state.mistake]}.`;
  if (event.kind === "given") {
    const steps = (count) => `${count} step${count === 1 ? "" : "s"}`;
    const updates = state.run.updated.size;
    const backward = lastStep() - forwardSteps - updates;
    return `${steps(forwardSteps - 1)} forward, then ${backward} backward${updates ? `, ${updates} to learn` : ""}. → or Space goes on.`;
  }
  if (state.predict) return "";
  if (event.kind === "update" && data.rows) {
    return `The gradient is ${rowsMeant()}; the picture shows row ${learning.row + 1}. ← means: becomes.`;
  }
  if (constants.has(event.operand)) return "A constant has a gradient too, but nobody asks for it.";
  const around = data.paths[event.node].map((box) => data.boxes[box].name).filter(Boolean);
  return around.length ? "in " + around.join(" › ") : "";
}

function showControls() {
  const last = lastStep();
  const scrubber = at("scrubber");
  scrubber.max = last;
  scrubber.value = state.step;
  scrubber.setAttribute("aria-valuetext", `step ${state.step} of ${last}`);
  at("counter").textContent = `${state.step} / ${last}`;
  at("forward-half").style.flex = String(Math.max(forwardSteps - 1, 1));
  const updates = learning.training?.parameters.length ?? 0;
  at("backward-half").style.flex = String(Math.max(last - forwardSteps - updates, 1));
  at("update-half").style.flex = String(Math.max(updates, 1));
  at("first").disabled = state.step === 1;
  at("previous").disabled = state.step === 1 && !learning.training?.iteration;
  at("last").disabled = state.step === last && state.revealed;
  at("next").disabled = at("last").disabled && !learning.training;
}

let note = null;
function say(text) {
  at("note").textContent = text;
  clearTimeout(note);
  note = setTimeout(() => { at("note").textContent = ""; }, 6000);
}

const NARROW = 850;  // up to here a panel lies upon the picture, as the style sheet has it

/* Values, learning or mistakes: one panel is open, or none (null). */
function togglePanel(which) {
  for (const name of ["values", "learn", "mistakes"]) {
    const open = name === which && at(`${name}-panel`).hidden;
    at(`${name}-panel`).hidden = !open;
    at(`show-${name}`).setAttribute("aria-expanded", String(open));
  }
  if (!at("values-panel").hidden) fillValues();
  if (!at("learn-panel").hidden && !learning.training) { startLearning(); compute(); }
  showLearning();
  showMistakes();
  aim();
}

/* Whether the walk has come to where nothing is added to a gradient any more; panels tell no more than the picture. */
const isComplete = (node) => state.step >= (state.run.history[node].at(-1) ?? lastStep());

// --- What goes wrong if… ---------------------------------------------------------------------------

function setMistake(mistake) {
  if (mistake && run(graph, state.given, mistake) === null) { say(ENDLESS); return; }
  state.mistake = mistake;
  const iterations = learning.training?.iteration ?? 0;
  restartLearning();
  repeat(iterations);  // as far as it had come
  const size = lastStep();
  compute();
  if (size !== lastStep()) say(`This now takes ${lastStep()} steps.`);
  followStep();
  show();
}

const MISTAKES = {
  overwrite: "= in place of +=",
  no_topological_order: "no topological order",
  no_zero_grad: "forget to zero the gradients",
};

function makeMistakes() {
  for (const [mistake, words] of Object.entries(data.mistakes)) {
    const button = document.createElement("button");
    button.dataset.mistake = mistake;
    button.textContent = MISTAKES[mistake] ?? mistake;
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
  const shown = named.length ? named : leaves.slice(0, 1);
  const rows = [];
  let wrong = 0;
  for (const leaf of shown) {
    const [right, now] = [state.right.gradients[leaf], state.run.gradients[leaf]];
    const differs = !close(right, now) && isComplete(leaf);
    if (differs) wrong++;
    if (shown.length > 60 && !differs) continue;
    const row = document.createElement("tr");
    row.classList.toggle("differs", differs);
    row.insertCell().textContent = nameOf(graph, leaf, state.run.values);
    row.insertCell().textContent = isComplete(leaf) ? number(right) : "–";
    row.insertCell().textContent = !isComplete(leaf) ? "–" : differs ? `≠ ${number(now)}` : number(now);
    rows.push(row);
    if (rows.length >= 200) break;
  }
  at("mistakes-table").tBodies[0].replaceChildren(...rows);
  at("mistakes-table").hidden = state.mistake === null;
  const known = wrong > 0 || shown.every(isComplete);
  at("mistakes-note").textContent = mistakeNote(graph, state.mistake, state.predict ? null : known ? wrong : undefined, shown.length);
}

// --- The table of steps ----------------------------------------------------------------------------

let pristine = true;   // whether the table is the one that Python wrote
let rewriting = null;

const asWritten = () => state.changes.size === 0 && state.mistake === data.mistake && learning.training === null && !data.rows;

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
    const half = isBackward(event) ? "backward" : event.kind === "update" ? "update" : "forward";
    const row = document.createElement("tr");
    row.className = constants.has(event.operand) ? `${half} constant` : half;
    const link = document.createElement("a");
    link.href = `#step=${i + 1}`;
    link.textContent = i + 1;
    row.insertCell().append(link);
    row.insertCell().textContent = plain(sentence(graph, state.run, i + 1));
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
  const row = at("rows").rows[state.step - 1];
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

/* To the next value whose name holds the text, and to its step; a full name comes first. */
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
  goForward(matches[searched.place]);
}
