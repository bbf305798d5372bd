// node .ci/pyodide.mjs CACHE ARGUMENTS: pytest with these arguments, by Pyodide, in this checkout.
// CACHE holds what .ci/pyodide has fetched.
import { resolve } from "node:path";

process.on("uncaughtException", ({ message }) => {
    console.error(message); // alone, as Node would print the line of code too, all megabytes of it
    process.exit(1);
});
const [cache, ...given] = process.argv.slice(2);
const { loadPyodide } = await import(resolve(cache, "node_modules/pyodide/pyodide.mjs"));
const pyodide = await loadPyodide();
for (const [folder, root] of [["/checkout", "."], ["/packages", `${cache}/packages`]]) {
    pyodide.FS.mkdirTree(folder);
    pyodide.mountNodeFS(folder, resolve(root));
}
pyodide.globals.set("given", pyodide.toPy(given));
process.exitCode = pyodide.runPython(`
import os, sys
sys.path[:0] = ["/checkout", "/packages"]
sys.dont_write_bytecode = True
os.chdir("/checkout")
import pytest
# Hypothesis counts references, as no two Pythons do.
quiet = ["-W", "ignore:It looks like \`register_random\`"]
int(pytest.main(["-p", "no:cacheprovider", *quiet, *given]))
`);
