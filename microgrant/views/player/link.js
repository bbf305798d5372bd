/* A link to what is seen: #step=12&a=-3&mistake=overwrite&predict&view=2&rate=0.5&learn=SGD:0.1:20. It stands in the
   address, so that a page that is loaded again shows the same. What is as the page begins is left out. */

const WORDS = ["step", "row", "mistake", "predict", "view", "network", "follow", "rate", "learn"];

/* What each leaf is called in a link: its name, and its number behind it where that has another meaning. */
const linked = new Map();
for (const leaf of leaves) {
  let key = data.names[leaf];
  while (WORDS.includes(key) || linked.has(key)) key += `~${leaf}`;
  linked.set(key, leaf);
}
const linkOf = new Map(Array.from(linked, ([key, leaf]) => [leaf, key]));

const plainNumber = (value) => full(value).replaceAll("−", "-");

function fragment() {
  const parts = new URLSearchParams({ step: state.step });
  for (const [leaf, value] of state.changes) if (!live?.has(data.names[leaf])) parts.set(linkOf.get(leaf), plainNumber(value));
  if (state.mistake !== data.mistake) parts.set("mistake", state.mistake ?? "none");
  if (state.predict) parts.set("predict", "");
  if (inNetwork()) parts.set("network", "");
  else if (state.view > 0) parts.set("view", state.view);
  if (!state.follow) parts.set("follow", "no");
  if (state.rate !== 1) parts.set("rate", state.rate);
  if (learning.training) writeLearning(parts);
  if (learning.row > 0) parts.set("row", learning.row + 1);
  return `#${parts}`.replace(/=(?=&|$)/g, "");
}

/* Show what the address says, but for what has no meaning here; false if nothing has. */
function restore() {
  const parts = new URLSearchParams((live?.fragment ?? location.hash).slice(1));
  if (!Array.from(parts.keys()).some((key) => WORDS.includes(key) || linked.has(key))) return false;
  const changes = Array.from(parts, ([key, text]) => [linked.get(key), typed(text)])
    .filter(([leaf, value]) => leaf !== undefined && value !== null);
  const [chosen, rate] = ["view", "rate"].map((key) => Number(parts.get(key)));
  const view = parts.has("network") && data.network ? network.view : chosen;
  const mistake = parts.get("mistake");
  if (changes.length && liveProblem) say(liveProblem);
  state.changes = new Map(liveProblem ? [] : changes);
  state.mistake = mistake === "none" ? null : Object.hasOwn(data.mistakes, mistake) ? mistake : data.mistake;
  learning.row = Math.min(Math.max(Math.round(Number(parts.get("row"))) - 1 || 0, 0), Math.max(rows.length - 1, 0));
  if (state.mistake && run(graph, rowShown(), state.mistake) === null) state.mistake = null;
  setRate(rate >= RATES[0] && rate <= RATES.at(-1) ? rate : 1);
  setPredict(parts.has("predict"));
  restoreLearning(parts.get("learn"));
  compute();
  setFollow(parts.get("follow") !== "no");
  openView(views[view] ? view : 0, false);
  if (inNetwork()) lookAtNetwork();
  go(Number(parts.get("step")), { reveal: false });
  if (parts.has("view") && views[view] && state.view !== view) {  // a step may have opened another
    openView(view, false);
    show();
  }
  return true;
}

/* SGD:0.1:20 is the optimizer, its learning rate, and how many iterations it has done; and after them, how many rows
   are in a batch. Where the rate was another on the way, what was learned is told as values. */
function writeLearning(parts) {
  const { training, optimizer, settings, kept, size: batch } = learning;
  const turned = Array.from(kept.values()).some((each) => each.turned && each.training.iteration > 0);
  if (turned) training.parameters.forEach((node, i) => parts.set(linkOf.get(node), plainNumber(training.values[i])));
  const told = [optimizers[optimizer].name, settings.learning_rate, turned ? 0 : training.iteration];
  parts.set("learn", [...told, ...(batch ? [batch] : [])].join(":"));
}

const LONGEST = 5000;  // milliseconds

function restoreLearning(text) {
  runFor(false);
  const [name, rate, iterations, batch] = (text ?? "").split(":");
  const which = optimizers.findIndex((each) => each.name === name);
  learning.size = Math.min(Math.max(Math.round(Number(batch)) || 0, 0), rows.length);
  if (which < 0 || liveProblem) {
    if (data.learning.on && !liveProblem) restartLearning(); else learning.training = null;
    return;
  }
  const given = typed(rate ?? "");
  startLearning(which, given !== null && given >= 0 && Number.isFinite(given) ? { learning_rate: given } : {});
  const begun = performance.now();
  for (let left = Math.min(Number(iterations) || 0, MOST_REPEATED); left > 0; left--) {
    advance();
    if (performance.now() - begun < LONGEST) continue;
    say(`The link asks for more iterations than ${LONGEST / 1000} seconds are enough for.`);
    break;
  }
}

/* Not more often than browsers let us. A frame in a notebook may have no address of its own. */
let addressing = null;
function writeAddress() {
  clearTimeout(addressing);
  addressing = setTimeout(() => {
    if (live) { tellAround(); return; }
    try { history.replaceState(null, "", fragment()); } catch { return; }
  }, 250);
}

/* The live page has fields for the values, and an address for all. */
function tellAround() {
  const changes = Array.from(state.changes, ([leaf, value]) => [data.names[leaf], plainNumber(value)]);
  live.tell(fragment(), Object.fromEntries(changes.filter(([name]) => live.has(name))));
}

// --- To be taken along -----------------------------------------------------------------------------

function openShare() {
  if (live) tellAround();
  at("share-link").value = live ? live.link() : location.href.split("#")[0] + fragment();
  at("share-link").closest("p").hidden = framed;
  // What is to be guessed is told by no formula.
  at("share-latex").value = state.revealed ? latex(graph, state.run, state.step) : "";
  at("share-note").textContent = framed
    ? "For a link, save the page with explain(…).save(\"step.html\") and open it." : "";
  at("share-dialog").showModal();
  if (!framed) at("copy-link").focus();
}

/* Copy what a field holds; where that is refused, it is at least selected. */
async function copy(field) {
  try {
    await navigator.clipboard.writeText(field.value);
    at("share-note").textContent = "Copied.";
  } catch {
    field.focus();
    field.select();
    at("share-note").textContent = "The browser keeps the page from copying: what is selected, Ctrl+C copies.";
  }
}
