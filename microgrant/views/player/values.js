/* Live values: a row for each leaf, to type a number, to drag it or to nudge it. */

const valueRows = new Map();

/* A row for each leaf in view, or for each that the filter finds. */
function fillValues() {
  const wanted = at("values-filter").value.trim().toLowerCase();
  const inView = partsOf(views[state.view]).nodes;
  let found = leaves.filter((leaf) => (wanted
    ? data.names[leaf].toLowerCase().includes(wanted)
    : leaves.length <= 40 || inView.has(leaf)));
  if (!found.length && !wanted) found = leaves;
  const most = 120;
  at("values-note").textContent = liveProblem || (found.length > most
    ? `The first ${most} of ${found.length} are shown: filter by name.`
    : "Type a number, drag it sideways, or press ↑ and ↓. The whole step follows.");
  valueRows.clear();
  const rows = found.slice(0, most).map(valueRow);
  at("values-table").tBodies[0].replaceChildren(...rows);
  showValues();
}

function valueRow(leaf) {
  const row = document.createElement("tr");
  const cells = Array.from({ length: 4 }, () => row.insertCell());
  cells[0].textContent = constants.has(leaf) ? `constant ${data.names[leaf]}` : data.names[leaf];
  const input = document.createElement("input");
  input.type = "text";
  input.inputMode = "decimal";
  input.spellcheck = false;
  input.dataset.leaf = leaf;
  input.disabled = liveProblem !== "";
  input.setAttribute("aria-label", `value of ${data.names[leaf]}`);
  input.setAttribute("aria-describedby", "values-hint");
  input.addEventListener("input", () => {
    const value = typed(input.value);
    refuse(input, value === null ? refusal(input.value) : "");
    if (value !== null) change(leaf, value);
  });
  let before = null;  // the change of this leaf when the input was entered, if there was one
  input.addEventListener("focus", () => {
    before = state.changes.get(leaf);
    refuse(input, "");
  });
  input.addEventListener("blur", () => {
    if (typed(input.value) !== null) { showValues(); return; }
    // On the way to what is no number, its beginning may have been one.
    if (before === undefined) state.changes.delete(leaf); else state.changes.set(leaf, before);
    const text = input.value.trim();
    restartLearning();
    compute();
    refuse(input, "");
    at("values-hint").textContent = `${text ? `“${text}”` : "Nothing"} is no number: it is ${input.value} again.`;
  });
  input.addEventListener("keydown", (event) => {
    const way = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (way) {
      event.preventDefault();
      change(leaf, stepped(state.run.values[leaf], way * (event.shiftKey ? 10 : event.altKey ? 0.1 : 1)));
      input.value = full(state.run.values[leaf]);
      refuse(input, "");
    }
    if (event.key === "Escape" || event.key === "Enter") input.blur();
  });
  input.addEventListener("pointerdown", (event) => {
    if (document.activeElement !== input) dragNumber(event, leaf);  // else it is text to be selected
  });
  cells[1].append(input);
  cells[2].className = "gradient";
  const button = document.createElement("button");
  button.textContent = "+h";
  button.dataset.nudge = leaf;
  button.setAttribute("aria-label", `nudge ${data.names[leaf]}`);
  button.addEventListener("click", () => { state.nudged = leaf; showValues(); });
  cells[3].append(button);
  valueRows.set(leaf, { input, gradient: cells[2], button });
  return row;
}

/* Mark what is no number and say why; an empty reason takes both away. */
function refuse(input, reason) {
  input.setAttribute("aria-invalid", String(reason !== ""));
  at("values-hint").textContent = reason;
}


/* Drag a number sideways: a pixel is a hundredth. */
let dragged = false;  // whether the click that ends a drag is to be ignored
function dragNumber(down, leaf) {
  if (liveProblem || down.button !== 0) return;
  const start = state.run.values[leaf];
  dragged = false;
  const move = (event) => {
    const pixels = Math.round(event.clientX - down.clientX);
    if (!dragged && Math.abs(pixels) < 4) return;
    if (!dragged) down.target.blur?.();
    dragged = true;
    change(leaf, Number((start + pixels / 100).toPrecision(12)));
  };
  const up = () => {
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", up);
    removeEventListener("pointercancel", up);
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", up);
  addEventListener("pointercancel", up);
}

function showValues() {
  if (at("values-panel").hidden) return;
  for (const [leaf, row] of valueRows) {
    const value = state.run.values[leaf];
    if (document.activeElement !== row.input) {
      row.input.value = full(value);
      if (row.input.getAttribute("aria-invalid") === "true") refuse(row.input, "");
    }
    const gradient = gradientAt(graph, state.run, leaf, state.step);
    row.gradient.textContent = gradient === null ? "–" : number(gradient);
    row.gradient.title = gradient === null ? "not reached yet" : full(gradient);
    row.button.setAttribute("aria-pressed", String(leaf === state.nudged));
  }
  showNudge();
}


function showNudge() {
  at("nudge").hidden = liveProblem !== "" || state.nudged === undefined;
  if (at("nudge").hidden) return;
  const power = Number(at("nudge-slider").value);
  const h = Number(`1e-${power}`);
  const { before, after, quotient, gradient } = nudge(graph, state.given, state.right, state.nudged, h);
  const [leaf, out] = [shortOf(graph, state.nudged, state.run.values), nameOf(graph, root, state.run.values)];
  at("nudge-name").textContent = nameOf(graph, state.nudged, state.run.values);
  at("nudge-h").textContent = full(h);
  const rows = [  // what is compared comes first, in large
    [`Δ${out} / h`, full(quotient)],
    [`∂${out}/∂${leaf}`, isComplete(state.nudged) ? full(gradient) : "–"],
    ["difference", isComplete(state.nudged) ? number(Math.abs(quotient - gradient)) : "–"],
    [`${out} before`, full(before)],
    [`${out} after`, full(after)],
  ];
  at("nudge-result").replaceChildren(...rows.flatMap(([term, text]) => {
    const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
    dt.textContent = term;
    dd.textContent = text;
    return [dt, dd];
  }));
  at("nudge-note").textContent = after === before && gradient !== 0
    ? "The nudge is lost in rounding: nothing is left of it in the output."
    : power >= 9 ? "With so small an h, most digits of the difference are rounding."
      : power <= 2 ? "With so large an h, the curve bends on the way." : "";
}
