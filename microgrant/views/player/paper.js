/* On paper: a sheet for each step that is to be printed. */

const MOST_SHEETS = 60;
const MOST_ROWS = 500;  // of the table, which is printed behind the sheet of one step

/* The steps that are to be printed: what the dialog says, while it is open. */
function chosenSteps() {
  if (!at("print-dialog").open) return [state.step];
  const which = at("print-form").elements.which.value;
  if (which === "this") return [state.step];
  const [from, to] = which === "all" ? [1, lastStep()]
    : [Number(at("print-from").value), Number(at("print-to").value)];
  const steps = [];
  for (let step = Math.max(from, 1); step <= Math.min(to, lastStep()); step++) steps.push(step);
  return steps;
}

/* A page for each chosen step: its formula, and the picture as it is then. */
function makeSheets() {
  const { step, revealed, view } = state;
  const alone = at("print-dialog").open;
  const sheets = chosenSteps().slice(0, MOST_SHEETS).map((each) => {
    state.step = each;
    state.revealed = true;
    followStep();
    show();
    return sheet();
  });
  Object.assign(state, { step, revealed });
  openView(view, false);
  show();
  at("sheets").replaceChildren(...sheets);
  body.classList.add("printing");
  body.classList.remove("forward", "backward");  // each sheet has its own
  tableWasOpen = at("table").open;
  at("table").open = !alone && lastStep() <= MOST_ROWS;
}
let tableWasOpen = false;

function sheet() {
  const element = document.createElement("section");
  element.className = `sheet ${body.classList.contains("backward") ? "backward" : "forward"}`;
  const title = document.createElement("h2");
  title.append(span("title", data.title),
    span("", `step ${state.step} of ${lastStep()}, ${at("half").textContent}`));
  const lines = ["statement", isBackward(eventAt(state.step)) ? "chain" : "formula"].map((id) => {
    const line = document.createElement("p");
    line.className = id;
    line.append(...Array.from(at(id).childNodes, (child) => child.cloneNode(true)));
    return line;
  });
  const view = views[state.view];
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("viewBox", `-20 -20 ${view.width + 40} ${view.height + 40}`);
  drawing.append(view.element.cloneNode(true));
  element.append(title, ...lines, drawing);
  return element;
}

function clearSheets() {
  at("sheets").replaceChildren();
  body.classList.remove("printing");
  at("table").open = tableWasOpen;
  show();
}

addEventListener("beforeprint", makeSheets);
addEventListener("afterprint", clearSheets);

function checkPrint() {
  const count = chosenSteps().length;
  const ok = count > 0 && count <= MOST_SHEETS;
  at("print-note").textContent = count > MOST_SHEETS
    ? `That is ${count.toLocaleString("en")} pages. Choose ${MOST_SHEETS} steps at most.`
    : count === 0 ? `Choose steps from 1 to ${lastStep()}.` : count === 1 ? "1 page" : `${count} pages`;
  at("print-go").disabled = !ok;
}

function openPrint() {
  if (framed) { say("To print, save the page with explain(…).save(\"step.html\") and open it."); return; }
  at("print-to").value = lastStep();
  at("print-dialog").showModal();
  checkPrint();
}
