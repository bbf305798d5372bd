/* The live page: what is typed is answered by `ask`, and the answer is a page of its own, in a frame below.

   The address holds all that is seen: #e=tanh(w*x)&w=-3&x=1/3&&step=5. Behind && stands what the player says. */

"use strict";

const at = (id) => document.getElementById(id);
const expression = at("expression");
const fields = new Map();  // for each name, the field of its value
const known = new Map();   // the last value of each name: whoever takes a name back has its value again
let asked = { expression: "", values: {} };  // what the frame walks through
let now = {};              // its values, as they are in the player by now
let turn = 0;
let early = null;          // keys for a page that is on its way; null if none is

/* Walk through what is typed. The player begins where a fragment of its own says, and has the keys from then on, unless
   one is to go on typing. */
async function walk(fragment = "", typing = false) {
  const mine = ++turn;
  for (const [name, field] of fields) known.set(name, field.value);
  const request = { expression: expression.value, values: Object.fromEntries(known) };
  document.body.setAttribute("aria-busy", "true");
  early = typing ? null : [];
  if (!typing) document.activeElement.blur();
  const answer = await ask(request).catch(({ message }) => ({ error: { message, field: null, position: null } }));
  if (mine !== turn) return;  // something else has been asked since
  document.body.setAttribute("aria-busy", "false");
  if (answer.values) showValues(answer.values);
  if (answer.error) early = null;
  showError(answer.error, request.expression);
  if (answer.error) return;
  asked = { expression: request.expression, values: answer.values };
  now = { ...answer.values };
  remember(asked);
  tell(fragment);
  showPage(answer, typing);
}

/* In a new frame each time: so none stays behind in the history of the browser. */
function showPage({ address, page }, typing) {
  const frame = document.createElement("iframe");
  frame.title = "one step of backpropagation";
  frame.addEventListener("load", () => {
    const keys = early ?? [];
    early = null;
    if (typing || document.activeElement.matches("input")) return;  // whoever types the next one goes on
    toPlayer();
    for (const event of keys) player().dispatchEvent(event);
  });
  if (address) frame.src = address; else frame.srcdoc = page;
  at("place").replaceChildren(frame);
  document.title = `${asked.expression} · microgrant`;
}

const player = () => at("place").firstElementChild?.contentWindow;
const toPlayer = () => player()?.focus();

function edit() {
  expression.focus();
  expression.select();
}

function showValues(values) {
  fields.clear();
  at("values").replaceChildren(...Object.entries(values).map(([name, text]) => {
    const label = document.createElement("label");
    const field = document.createElement("input");
    field.value = text;
    field.size = 6;
    field.spellcheck = false;
    field.enterKeyHint = "go";
    field.dataset.name = name;
    field.setAttribute("aria-describedby", "error");
    fields.set(name, field);
    label.append(`${name} = `, field);
    return label;
  }));
}

/* What is wrong, and where: under the fields, and selected in the one that it is about. */
function showError(error, text = "") {
  at("error").hidden = !error;
  for (const field of [expression, ...fields.values()]) field.removeAttribute("aria-invalid");
  if (!error) return;
  const { message, position } = error;
  const field = fields.get(error.field) ?? expression;
  const letters = Array.from(field === expression ? text : field.value);  // as Python counts them
  const before = letters.slice(0, position ?? 0).join("");
  const rest = letters.slice(position ?? 0).join("");
  const here = position === null ? "" : /^[\p{L}\p{N}_]+|^./su.exec(rest)?.[0] ?? " ";
  at("before").textContent = before.length > 40 ? `…${before.slice(-40)}` : before;
  at("here").textContent = here;
  at("after").textContent = position === null ? "" : rest.slice(here.length, here.length + 20);
  at("message").textContent = (field === expression ? "" : `${error.field}: `) + message;
  field.setAttribute("aria-invalid", "true");
  field.focus();
  if (position !== null) field.setSelectionRange(before.length, before.length + here.length);
}

// --- What was typed before: ↑ and ↓ ----------------------------------------------------------------

const MOST_REMEMBERED = 100;
let past = [];
let place = 0;     // which of them stands in the field; past.length, if it is none of them
let draft = null;  // that one, while another stands there
try { past = JSON.parse(sessionStorage.getItem("microgrant-past")) ?? []; } catch { /* a browser that keeps nothing */ }
place = past.length;

function remember(entry) {
  if (past.at(-1)?.expression === entry.expression) past.pop();  // with other values
  past = [...past, entry].slice(-MOST_REMEMBERED);
  place = past.length - 1;
  draft = null;
  try { sessionStorage.setItem("microgrant-past", JSON.stringify(past)); } catch { return; }
}

function recall(by) {
  if (place === past.length) draft = { expression: expression.value, values: valuesTyped() };
  const entry = place + by === past.length ? draft : past[place + by];
  if (!entry) return;
  place += by;
  expression.value = entry.expression;
  showValues(entry.values);
  showError(null);
}

const valuesTyped = () => Object.fromEntries(Array.from(fields, ([name, { value }]) => [name, value]));

// --- The address -----------------------------------------------------------------------------------

function addressOf() {
  const { fragment } = window.micrograntLive;
  const parts = String(new URLSearchParams([["e", asked.expression], ...Object.entries(now)]));
  const readable = parts.replace(/%(2[89CF]|3B)/g, decodeURIComponent);
  return `#${readable}${fragment.replace(/^#(step=1$)?/, (_, start) => (start ? "" : "&&"))}`;
}

/* Show what the address says; where it says nothing, something to be typed over. */
function start() {
  const [ours, players] = location.hash.slice(1).split("&&");
  const typing = !ours.startsWith("e=");
  const [[, text], ...values] = typing ? [["e", expression.placeholder]] : new URLSearchParams(ours);
  fields.clear();
  known.clear();
  for (const [name, value] of values) known.set(name, value);
  expression.value = inOneLine(text);
  if (typing) edit();
  walk(players && `#${players}`, typing);
}

/* A field has one line, and would drop what ends the others: statements, but for what is in parentheses, or goes on
   behind a sign. */
function inOneLine(text) {
  let depth = 0;
  return text.trim().replace(/[()[\]]|\s*;?\s*\n\s*/g, (sign, at, whole) => {
    if (/[()[\]]/.test(sign)) { depth += "([".includes(sign) ? 1 : -1; return sign; }
    return depth > 0 || /([-+*/%<>,]|[=!<>]=|\b(and|or|not))$/.test(whole.slice(0, at)) ? " " : "; ";
  });
}

// --- What the player asks for ----------------------------------------------------------------------

/* It shows something else: another step, or values that were changed there. */
function tell(fragment, changed = {}) {
  window.micrograntLive.fragment = fragment;
  for (const [name, text] of Object.entries({ ...asked.values, ...changed })) {
    const field = fields.get(name);
    if (field?.value === now[name]) field.value = text;  // and not what is being typed
    now[name] = text;
  }
  history.replaceState(null, "", addressOf());
}

window.micrograntLive = {
  fragment: "",
  has: (name) => Object.hasOwn(now, name),
  tell,
  link: () => location.href.split("#")[0] + addressOf(),
  edit,
};

// --- Keys and buttons ------------------------------------------------------------------------------

at("bar").addEventListener("submit", (event) => { event.preventDefault(); walk(); });
expression.addEventListener("input", () => { place = past.length; });
expression.addEventListener("paste", (event) => {
  const text = event.clipboardData.getData("text");
  if (!text.includes("\n")) return;
  event.preventDefault();
  expression.setRangeText(inOneLine(text), expression.selectionStart, expression.selectionEnd, "end");
});
expression.addEventListener("keydown", (event) => {
  const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!by) return;
  event.preventDefault();
  recall(by);
});
addEventListener("keydown", (event) => {
  const typing = event.target.matches("input");
  if (typing && event.key === "Escape") toPlayer();
  if (event.target !== document.body || event.ctrlKey || event.metaKey || event.altKey) return;
  if (early && (event.key.length === 1 || event.key === "Backspace") && event.key !== " ") {
    expression.focus();  // where the letter goes, and spaces before it went
    const spaces = early.map(({ key }) => (key === " " ? key : "")).join("");
    expression.setRangeText(spaces, expression.selectionEnd, expression.selectionEnd, "end");
    early = null;
    return;
  }
  const copy = new KeyboardEvent("keydown", event);
  if (early) { early.push(copy); return; }
  toPlayer();  // whoever has clicked beside the picture still has its keys
  player()?.dispatchEvent(copy);
});
at("examples").addEventListener("change", ({ target }) => {
  history.replaceState(null, "", target.value);
  target.value = "";
  start();
});
at("link").addEventListener("click", async () => {
  const field = at("address");
  field.value = window.micrograntLive.link();
  at("link-note").textContent = ONLY_HERE;
  at("qr").hidden = true;
  at("link-dialog").showModal();
  field.select();
  await navigator.clipboard?.writeText(field.value)
    .then(() => at("link-note").prepend("Copied. "), () => { /* it is selected */ });
  if (ONLY_HERE) return;
  const { qr } = await ask({ link: field.value }).catch(() => ({}));
  at("qr").hidden = !qr;
  if (qr) at("qr").src = qr;
});
at("link-dialog").addEventListener("close", toPlayer);
addEventListener("hashchange", start);

function readTheme() {
  try { document.documentElement.dataset.theme = localStorage.getItem("microgrant-theme") ?? ""; } catch { return; }
}
addEventListener("storage", readTheme);  // the player's button sets it
readTheme();
start();
