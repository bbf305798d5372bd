/* What answers the live page: Python in this browser, in a worker, which takes some seconds to come. */

const python = new Worker("worker.js", { type: "module" });
const waiting = new Map();  // by number, who waits for an answer
let asks = 0;
let failure = "";

const note = document.createElement("p");
note.setAttribute("role", "status");
note.textContent = "Python is on its way into your browser…";

function fail(message) {
  failure = `Python does not run in this browser: ${message}`;
  note.remove();
  for (const { reject } of waiting.values()) reject(new Error(failure));
  waiting.clear();
}

python.addEventListener("error", (event) => fail(event.message ?? "its files could not be loaded"));
python.addEventListener("message", ({ data: { number, answer, failed } }) => {
  note.remove();
  const asker = waiting.get(number);
  waiting.delete(number);
  if (failed && !asker) fail(failed);
  else if (failed) asker.reject(new Error(failed.trim().split("\n").at(-1)));
  else asker?.resolve(JSON.parse(answer));
});

async function ask(request) {
  const first = request.expression === {{first}} && !Object.keys(request.values).length;
  if (first) return (await fetch("first.json")).json();  // what the page begins with was written with it
  if (failure) throw new Error(failure);
  return new Promise((resolve, reject) => {
    asks += 1;
    waiting.set(asks, { resolve, reject });
    python.postMessage({ number: asks, request: JSON.stringify(request) });
  });
}

document.getElementById("bar").append(note);

/* Everybody can open a link to the site. */
const ONLY_HERE = "";
