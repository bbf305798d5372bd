/* The start: everything is there, and is shown for the first time. */

try { document.documentElement.dataset.theme = localStorage.getItem("microgrant-theme") || ""; } catch { /* a frame has none */ }
if (!document.documentElement.dataset.theme) delete document.documentElement.dataset.theme;
makeLearning();
if (data.learning.on && !liveProblem) startLearning();
runStep();
makeMistakes();
at("show-learn").hidden = liveProblem !== "" || data.learning.parameters.length === 0 || optimizers.length === 0;
at("live-key").hidden = !live;
document.documentElement.classList.toggle("live", live !== null);
at("follow").hidden = at("next-box").hidden = data.boxes.length === 0;
at("network").hidden = at("network-key").hidden = !data.network;
if (leaves.length <= 12) at("values-filter").hidden = true;
document.documentElement.classList.add("scripted");
picture.removeAttribute("viewBox");  // from here on, the camera looks
partsOf(views[0]);
views[0].element.classList.add("open");
showTrail();
if (!restore()) go(1);
if (data.rows || at("rows").rows.length !== lastStep()) writeTable();  // Python wrote of what was recorded
if (innerWidth > NARROW && (state.mistake || data.rows)) togglePanel(data.rows ? "learn" : "mistakes");

/* For tests, and for those who want to look behind the page from the browser's console. */
window.microgrant = {
  data, state, go, number, valueAt,
  run: (changes, mistake) => run(graph, changes, mistake),
  nudge: (leaf, h) => nudge(graph, state.given, state.right, leaf, h),
  gradientAt: (node, step) => gradientAt(graph, state.run, node, step),
  learning, learn, goToIteration, svgText,
  latex: (step) => latex(graph, state.run, step),
  sentence: (step) => plain(sentence(graph, state.run, step)),
};
