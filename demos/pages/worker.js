/* Python, beside the live page: it answers what `transport.js` hands on. */

import { loadPyodide } from "../pyodide/pyodide.mjs";
import { instance } from "../pyodide/viz.js";

const ready = (async () => {
  const [pyodide, graphviz] = await Promise.all([loadPyodide({ packages: ["microgrant", "segno"] }), instance()]);
  pyodide.registerJsModule("graphviz_here", {
    render: (source, format) => graphviz.renderString(source, { format }),
  });
  return pyodide.runPython(`
import json
from graphviz_here import render
from microgrant.views.live import answer
from microgrant.views.rendering import RENDERERS

RENDERERS.append(render)
lambda request: json.dumps(answer(json.loads(request)))
`);
})();

ready.then(() => postMessage({}), ({ message }) => postMessage({ failed: message }));

addEventListener("message", async ({ data: { number, request } }) => {
  try {
    postMessage({ number, answer: (await ready)(request) });
  } catch ({ message }) {
    postMessage({ number, failed: message });
  }
});
