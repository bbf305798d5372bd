/* What keys, mouse, touch and buttons do. */

const keys = {
  ArrowRight: byHand((event) => (event.shiftKey ? nextBox() : next())),
  " ": byHand((event) => (event.shiftKey ? previous() : next())),
  PageDown: byHand(next),
  ArrowLeft: byHand((event) => (event.shiftKey ? previousBox() : previous())),
  PageUp: byHand(previous),
  Home: byHand(toStart),
  End: byHand(toEnd),
  b: byHand(toBackward),
  p: () => play(),
  g: () => togglePredict(),
  h: takeHint,
  v: () => togglePanel("values"),
  m: () => togglePanel("mistakes"),
  u: () => togglePanel("learn"),
  n: toggleNetwork,
  f: fullScreen,
  "+": () => zoom(1.25),
  "=": () => zoom(1.25),
  "-": () => zoom(0.8),
  "−": () => zoom(0.8),
  0: fit,
  "/": openSearch,
  l: openShare,
  e: () => live?.edit(),
  t: toggleTheme,
  "?": () => at("help-dialog").showModal(),
  Escape: leave,
  Backspace: leave,
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const element = event.target;
  const typing = element.matches?.("input, textarea, select, [contenteditable]");
  if (typing && !(element.id === "answer" && passes(event))) return;
  // A button, a link or a summary that was reached by keyboard answers to Enter and Space itself.
  const presses = event.key === "Enter" || (event.key === " " && !event.shiftKey);
  if (presses && element.matches?.("button, a, summary")) return;
  if (event.key === "Enter") {
    if (!activate(element)) {
      if (!state.predict || event.repeat) return;
      byHand(next)(event);
    }
    event.preventDefault();
    return;
  }
  const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action(event);
});

/* What a click or Enter does to something in the picture. */
function activate(element) {
  const found = element.closest?.("[data-node], [data-box], [data-fold]");
  if (!found) return false;
  const { node, box, fold } = found.dataset;
  if (inNetwork()) openNeuron(Number(node));
  else if (box !== undefined) openBox(Number(box));
  else if (fold !== undefined) foldBox(Number(fold));
  else {
    const reached = state.run.history[node];
    const backward = state.step > forwardSteps && reached.length > 0;
    play(false);
    if (backward) go(reached.at(-1)); else goForward(Number(node));
  }
  return true;
}

function fullScreen() {
  const page = live ? parent.document : document;  // with the field
  if (page.fullscreenElement) { page.exitFullscreen(); return; }
  const refused = () => say(!framed ? "This browser keeps the page from filling the screen."
    : "The frame keeps the page from filling the screen: save it with explain(…).save(\"step.html\") and open it.");
  if (page.fullscreenEnabled) page.documentElement.requestFullscreen().catch(refused);
  else refused();
}

function toggleTheme() {
  const { dataset } = document.documentElement;
  const dark = dataset.theme ? dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("microgrant-theme", dataset.theme); } catch { return; }  // a frame has none
}

function togglePredict() {
  state.revealed = true;
  setPredict(!state.predict);
  show();
}

function setPredict(on) {
  state.predict = on;
  restartQuiz();
  at("predict").setAttribute("aria-pressed", String(state.predict));
  showTableNote();
  showMistakes();
}

// --- Mouse and touch -------------------------------------------------------------------------------

const pointers = new Map();
let gesture = null;

/* In a frame, the first click is for the focus: who gives it the keys wants to stay at the step. */
let focusing = false;

picture.addEventListener("pointerdown", (event) => {
  dragged = false;
  focusing = framed && !document.hasFocus();
  const number = event.pointerType !== "touch" && event.target.closest(".data");
  const node = number ? Number(number.closest("[data-node]").dataset.node) : -1;
  if (number && graph.isLeaf(node)) { dragNumber(event, node); return; }
  pointers.set(event.pointerId, event);
  gesture = { start: event, x: camera.x, y: camera.y, zoom: zoomed(), apart: apart(), time: performance.now() };
});

addEventListener("pointermove", (event) => {
  if (!gesture || !pointers.has(event.pointerId)) return;
  pointers.set(event.pointerId, event);
  if (pointers.size === 2) {
    zoomTo(gesture.zoom * apart() / (gesture.apart || apart()));
    dragged = true;
    aim(false);
    return;
  }
  const [dx, dy] = [event.clientX - gesture.start.clientX, event.clientY - gesture.start.clientY];
  if (!dragged && Math.hypot(dx, dy) < 6) return;
  dragged = true;
  picture.classList.add("dragging");
  camera.x = gesture.x - dx / camera.scale;
  camera.y = gesture.y - dy / camera.scale;
  camera.byHand = true;
  aim(false);
  camera.byHand = false;
});

for (const end of ["pointerup", "pointercancel"]) {
  addEventListener(end, (event) => {
    if (!pointers.delete(event.pointerId) || !gesture) return;
    picture.classList.remove("dragging");
    const alone = pointers.size === 0;
    const dx = event.clientX - gesture.start.clientX;
    const quick = performance.now() - gesture.time < 350;
    const step = (on) => byHand(on ? next : previous)();
    if (alone && end === "pointerup" && event.pointerType === "touch" && !gesture.apart && !focusing) {
      if (quick && Math.abs(dx) > 60) {
        step(dx < 0);
      } else if (!dragged && !gesture.start.target.closest("[data-node], [data-box], [data-fold]")) {
        step(event.clientX > picture.getBoundingClientRect().left + picture.clientWidth / 2);
      }
    }
    if (alone) gesture = null;
  });
}

function apart() {
  if (pointers.size !== 2) return 0;
  const [a, b] = pointers.values();
  return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
}

picture.addEventListener("click", (event) => { if (!dragged && !focusing) activate(event.target); });
/* All digits, under the mouse. */
picture.addEventListener("pointerover", (event) => {
  const element = event.target.closest("[data-node]");
  if (!element) return;
  const node = Number(element.dataset.node);
  const [value, gradient] = [valueAt(node, state.step), gradientAt(graph, state.run, node, state.step)];
  let title = element.querySelector("title");
  if (!title) element.append(title = document.createElementNS("http://www.w3.org/2000/svg", "title"));
  title.textContent = state.revealed ? `${nameOf(graph, node, state.run.values)}: ` +
    `data = ${value === null ? "–" : full(value)}, grad = ${gradient === null ? "–" : full(gradient)}` : "";
});

/* What is reached with Tab is brought into view by the camera, and not by scrolling. */
picture.addEventListener("focusin", (event) => {
  const parts = partsOf(views[state.view]);
  const { node, box } = event.target.dataset;
  const thing = parts.nodes.get(Number(node)) || parts.boxes.get(Number(box));
  at("stage").scrollTo(0, 0);
  if (!thing || !event.target.matches(":focus-visible")) return;
  lookAt(thing.area);
  at("stage").scrollTo(0, 0);
});

for (const kind of ["pointerdown", "pointermove"]) {
  at("map").addEventListener(kind, (event) => {
    if (!event.buttons) return;
    event.preventDefault();
    lookFromMap(event);
  });
}

picture.addEventListener("wheel", (event) => {
  if (!event.ctrlKey) return;
  event.preventDefault();
  zoom(Math.exp(-event.deltaY / 300));
}, { passive: false });

// --- Buttons ---------------------------------------------------------------------------------------

const buttons = {
  first: byHand(toStart),
  previous: byHand(previous),
  next: byHand(next),
  "next-box": byHand(nextBox),
  last: byHand(toEnd),
  "forward-half": byHand(toStart),
  "backward-half": byHand(toBackward),
  play: () => play(),
  rate: () => { setRate(RATES.find((rate) => rate > state.rate) ?? RATES[0]); writeAddress(); },
  predict: togglePredict,
  check: checkGuess,
  hint: takeHint,
  answered: showAnswer,
  network: toggleNetwork,
  follow: () => { setFollow(!state.follow); followStep(); show(); },
  "show-values": () => togglePanel("values"),
  "show-mistakes": () => togglePanel("mistakes"),
  "show-learn": () => togglePanel("learn"),
  "update-half": byHand(() => go(lastStep() - learning.training.parameters.length + 1, { reveal: false })),
  "learn-back": byHand(() => goToIteration(learning.training.iteration - 1)),
  "learn-1": byHand(() => learn(1)),
  "learn-10": byHand(() => learn(10)),
  "learn-100": byHand(() => learn(100)),
  "learn-run": byHand(() => runFor(learning.running === null)),
  "learn-reset": byHand(() => goToIteration(0)),
  "curve-scale": () => {
    learning.logarithmic = !learning.logarithmic;
    at("curve-scale").setAttribute("aria-pressed", String(learning.logarithmic));
    showLearning();
  },
  "zoom-in": () => zoom(1.25),
  "zoom-out": () => zoom(0.8),
  "zoom-fit": fit,
  search: openSearch,
  share: openShare,
  "copy-link": () => copy(at("share-link")),
  "copy-latex": () => copy(at("share-latex")),
  "save-svg": () => download(svgText(), "svg", "image/svg+xml"),
  "save-png": () => download(pngBytes(), "png", "image/png"),
  print: openPrint,
  theme: toggleTheme,
  "full-screen": fullScreen,
  help: () => at("help-dialog").showModal(),
  "values-reset": () => { state.changes.clear(); restartLearning(); compute(); },
};
for (const [id, action] of Object.entries(buttons)) {
  at(id).addEventListener("click", action);
}
for (const button of document.querySelectorAll("aside .close")) button.addEventListener("click", () => togglePanel(null));
/* What the mouse has pressed does not keep the focus: the next key is the player's again, and would draw a
   ring around it that looks like the mark of the step. */
addEventListener("mouseup", () => {
  const { activeElement } = document;
  if (activeElement?.matches("button, a, summary, [role=button]")) activeElement.blur();
});
at("scrubber").addEventListener("input", byHand(() => go(Number(at("scrubber").value))));
at("scrubber").addEventListener("pointerup", () => at("scrubber").blur());
at("values-filter").addEventListener("input", fillValues);
at("learn-optimizer").addEventListener("change", () => { startLearning(Number(at("learn-optimizer").value)); compute(); });
at("learn-mistake").addEventListener("change", () => setMistake(at("learn-mistake").value || null));
at("learn-rate").addEventListener("input", () => {
  const rate = typed(at("learn-rate").value);
  const taken = setRateOfLearning(rate);
  at("learn-rate").setAttribute("aria-invalid", String(!taken));
  if (!taken) at("learn-note").textContent = rate === null ? refusal(at("learn-rate").value) : "A learning rate is 0 or more.";
});
at("learn-slider").addEventListener("input", () => {
  const rate = rateAt(Number(at("learn-slider").value));
  at("learn-rate").value = full(rate);
  at("learn-rate").setAttribute("aria-invalid", "false");
  setRateOfLearning(rate);
});
at("learn-row").addEventListener("input", () => showRow(Number(at("learn-row").value) - 1));
at("learn-size").addEventListener("change", () => {
  learning.size = Number(at("learn-size").value);
  restartLearning();
  compute();
});
at("curve").addEventListener("click", goAlongCurve);
at("nudge-slider").addEventListener("input", showNudge);
/* Not by forms: in the frame of a notebook they are not sent. */
at("answer").addEventListener("input", () => play(false));
at("answer").addEventListener("keydown", (event) => {
  if (event.key === "Escape") at("answer").blur();
  if (event.key === "Enter") checkGuess();
});
at("search-text").addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeSearch();
  if (event.key === "Enter") search();
});
/* What is chosen of the names, rather than typed: the Enter that chooses is kept by Chromium and Firefox, and
   in WebKit it is pressed before the name stands there. */
at("search-text").addEventListener("input", ({ inputType }) => {
  if (!inputType || inputType === "insertReplacementText") search();
});
at("print-form").addEventListener("input", checkPrint);
at("print-go").addEventListener("click", () => { window.print(); at("print-dialog").close(); });
at("rows").addEventListener("click", (event) => {
  const row = event.target.closest("tr");
  if (!row) return;
  event.preventDefault();
  play(false);
  go(row.sectionRowIndex + 1);
});
addEventListener("hashchange", byHand(restore));
new ResizeObserver(() => { fitBoard(); aim(false); }).observe(picture);
