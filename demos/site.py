"""A site that needs no server but for files: python demos/site.py OUT

OUT holds the live page, with Python running in the browser; a gallery of worked examples, as
textbooks print them; and the lessons, as notebooks that run in the browser. Any static host can
serve it, and so can `python -m http.server -d OUT`.

It needs the extra `site`: pip install -e ".[site]". Pyodide, which is Python as WebAssembly, and a
Graphviz of that kind come from npm, and wheels from PyPI; the folder .cache keeps them. What
else a notebook imports, such as NumPy, its reader's browser takes from Pyodide's own host.
"""

from __future__ import annotations

import argparse
import hashlib
import html
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from microgrant import Value, draw, explain
from microgrant.expression import evaluate, with_a_name
from microgrant.optim import SGD
from microgrant.textbooks import EXAMPLES, Example
from microgrant.views.live import answer, files, fragment
from microgrant.views.player.document import palette
from microgrant.views.style import fitted

DEMOS = Path(__file__).resolve().parent
PAGES = DEMOS / "pages"
PYODIDE = "314.0.6"  # the one that jupyterlite-pyodide-kernel is made for
FROM_NPM = {"pyodide": PYODIDE, "@viz-js/viz": "3.31.0"}
RUNTIME = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
ELSEWHERE = f"https://cdn.jsdelivr.net/pyodide/v{PYODIDE}/full/"
KERNEL = "@jupyterlite/pyodide-kernel-extension:kernel"
INSTALL = re.compile(r"You need microgrant.*?`pip install [^`]*`", re.DOTALL)
# What tells a site of ours; and a host that knows Jekyll, to drop no folders it takes for its own.
OURS = ".nojekyll"
NEEDED = ("ipython", "jedi", "micropip")  # by the kernel of the notebooks, of what Pyodide knows
ADDED = ("graphviz>=0.20", "segno>=1.6", "comm>=0.2")  # and the rest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="the folder to write; what is in it is replaced")
    parser.add_argument(
        "--cache", type=Path, default=DEMOS.parent / ".cache" / "site", help="what was fetched"
    )
    options = parser.parse_args()
    build(options.out.resolve(), options.cache.resolve())
    print(f"{options.out}: `python -m http.server -d {options.out}` shows it")


def build(out: Path, cache: Path) -> None:
    """Write the whole site."""
    if out.exists() and not (out / OURS).exists() and any(out.iterdir()):
        raise SystemExit(f"{out} is a folder of something else: it would be replaced")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / OURS).touch()
    python(out / "pyodide", cache)
    live(out / "live")
    gallery(out / "gallery")
    lessons(out / "lessons", cache)
    titles = {path.name: title_of(path) for path in notebooks()}
    write(
        out / "index.html",
        "index.html",
        lessons="".join(
            f'<li><a href="lessons/notebooks/index.html?path={name}">{html.escape(title)}</a></li>'
            for name, title in titles.items()
        ),
    )
    shutil.copy(DEMOS / "pictures" / "player.png", out)
    (out / "site.css").write_text(palette() + text("site.css"), encoding="utf-8")


def text(name: str) -> str:
    return (PAGES / name).read_text(encoding="utf-8")


def write(target: Path, template: str, **parts: str) -> None:
    """A page of which parts are still to be filled in."""
    target.write_text(filled(template, parts), encoding="utf-8")


def filled(template: str, parts: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda word: parts[word[1]], text(template))


# --- Python in the browser ------------------------------------------------------------------------


def python(folder: Path, cache: Path) -> None:
    """The runtime, the wheels that are here, and where to find all others."""
    folder.mkdir(parents=True)
    for name, version in FROM_NPM.items():
        package(name, version, cache)
    npm = cache / f"pyodide-{PYODIDE}" / "package"
    for name in RUNTIME:
        shutil.copy(npm / name, folder)
    shutil.copy(cache / f"@viz-js-viz-{FROM_NPM['@viz-js/viz']}/package/dist/viz.js", folder)
    lock = json.loads((npm / "pyodide-lock.json").read_text(encoding="utf-8"))
    packages: dict[str, dict[str, Any]] = lock["packages"]
    for known in packages.values():
        known["file_name"] = ELSEWHERE + known["file_name"]
    here = sorted(with_dependencies(packages, NEEDED))
    wheels = fetched(
        [f"{name}=={packages[name]['version']}" for name in here], cache / f"kernel-{PYODIDE}"
    )
    wheels += fetched(ADDED, cache / "added")
    wheels += [own_wheel(folder)]
    for wheel in wheels:
        name, version, *_ = wheel.name.split("-")
        name = name.lower().replace("_", "-")
        entry = packages.setdefault(
            name,
            {
                "name": name,
                "imports": [name],
                "depends": ["graphviz"] if name == "microgrant" else [],
                "install_dir": "site",
                "package_type": "package",
                "unvendored_tests": False,
            },
        )
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        entry |= {"version": version, "file_name": wheel.name, "sha256": digest}
        if wheel.parent != folder:
            shutil.copy(wheel, folder)
    (folder / "pyodide-lock.json").write_text(json.dumps(lock), encoding="utf-8")


def package(name: str, version: str, cache: Path) -> None:
    """A package of npm's, unpacked in the cache."""
    place = cache / f"{name.replace('/', '-')}-{version}"
    if place.exists():
        return
    cache.mkdir(parents=True, exist_ok=True)
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit(
            "npm, which brings Pyodide, is not installed: get it from https://nodejs.org"
        )
    packed = run(npm, "pack", "--silent", f"{name}@{version}", "--pack-destination", str(cache))
    archive = cache / packed.split()[-1]
    part = place.with_suffix(".part")
    with tarfile.open(archive) as file:
        file.extractall(part, filter="data")
    part.rename(place)
    archive.unlink()


def with_dependencies(packages: dict[str, dict[str, Any]], names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name not in found:
            found.add(name)
            waiting += packages[name]["depends"]
    return found


def fetched(requirements: Iterable[str], cache: Path) -> list[Path]:
    """The wheels of pure Python that meet requirements, from PyPI or from the cache."""
    if not cache.exists():
        part = cache.with_suffix(".part")
        pip("download", "--no-deps", "--only-binary", ":all:", "--platform", "any",
            "--python-version", "3.14", "-d", str(part), *requirements)  # fmt: skip
        part.rename(cache)
    return sorted(cache.glob("*.whl"))


def own_wheel(folder: Path) -> Path:
    pip("wheel", "--no-deps", "-w", str(folder), str(DEMOS.parent))
    return next(folder.glob("microgrant-*.whl"))


def pip(*arguments: str) -> None:
    run(
        sys.executable,
        "-m",
        "pip",
        arguments[0],
        "-q",
        "--disable-pip-version-check",
        *arguments[1:],
    )


def run(*command: str, cwd: Path | None = None) -> str:
    finished = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, cwd=cwd)
    if finished.returncode:
        raise SystemExit(f"{' '.join(command)}\n{finished.stdout}{finished.stderr}")
    return finished.stdout


# --- The live page --------------------------------------------------------------------------------


def live(folder: Path) -> None:
    """The page that `python -m microgrant live` serves; only what answers it is another."""
    folder.mkdir()
    shell = files()
    for name, content in shell.items():
        (folder / name).write_text(content, encoding="utf-8")
    # What it asks first is known, and so it need not wait for Python.
    first = re.search('placeholder="([^"]*)"', shell["index.html"])
    assert first
    request = {"expression": html.unescape(first[1]), "values": {}}
    (folder / "first.json").write_text(json.dumps(answer(request)), encoding="utf-8")
    write(folder / "transport.js", "transport.js", first=json.dumps(request["expression"]))
    shutil.copy(PAGES / "worker.js", folder)


# --- The gallery ----------------------------------------------------------------------------------


def gallery(folder: Path) -> None:
    """A page for each example, and one with a picture of each."""
    folder.mkdir()
    cards = [card(folder, name, example) for name, example in EXAMPLES.items()]
    write(folder / "index.html", "gallery.html", cards="\n".join(cards))


def card(folder: Path, name: str, example: Example) -> str:
    leaves = {each: Value(x, each) for each, x in example.values.items()}
    root = with_a_name(evaluate(example.expression, leaves), leaves)
    parameters = [leaves[each] for each in example.parameters]
    optimizer = SGD(parameters, example.learning_rate) if example.learning_rate > 0 else None
    explain(root, optimizer=optimizer).save(folder / f"{name}.html", title=example.source)
    root.backward()
    picture = fitted(draw(root).pipe("svg", encoding="utf-8"), themed=True)
    (folder / f"{name}.svg").write_text(picture, encoding="utf-8")
    parts = {
        "name": name,
        "title": example.title,
        "source": example.source,
        "expression": example.expression,
        "compared": example.compared(),
        "live": "../live/index.html" + fragment(example.expression, example.typed),
    }
    return filled("card.html", {key: html.escape(part) for key, part in parts.items()})


# --- The lessons ----------------------------------------------------------------------------------


def notebooks() -> list[Path]:
    return sorted(DEMOS.glob("[0-9]*.ipynb"))


def title_of(notebook: Path) -> str:
    """Such as "01 A single step of backpropagation": the number in the name, and the heading."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return notebook.name[:3].replace("_", " ") + cells[0]["source"][0].lstrip("# ").strip()


def lessons(folder: Path, cache: Path) -> None:
    """JupyterLite, with the notebooks and what they read."""
    contents = cache / "contents"
    shutil.rmtree(contents, ignore_errors=True)
    contents.mkdir(parents=True)
    for path in notebooks():
        (contents / path.name).write_text(json.dumps(for_browsers(path)), encoding="utf-8")
    for name in ("exercises.py", "microgpt.py", "plain_engine.py", "names.txt", "sunspots.csv"):
        shutil.copy(DEMOS / name, contents)
    run(sys.executable, "-m", "jupyterlite_core", "build", "--lite-dir", str(contents),
        "--contents", str(contents), "--output-dir", str(folder),
        "--apps", "notebooks", "--apps", "lab", "--no-sourcemaps", cwd=cache)  # fmt: skip
    settings = folder / "jupyter-lite.json"
    config = json.loads(settings.read_text(encoding="utf-8"))
    plugins = config["jupyter-config-data"]["litePluginSettings"]
    plugins[KERNEL]["pyodideUrl"] = "./../pyodide/pyodide.mjs"
    settings.write_text(json.dumps(config), encoding="utf-8")


def for_browsers(notebook: Path) -> dict[str, Any]:
    """A lesson as its reader finds it there: nothing to install, and nothing run yet."""
    lesson: dict[str, Any] = json.loads(notebook.read_text(encoding="utf-8"))
    lesson["metadata"]["kernelspec"] = {
        "name": "python", "display_name": "Python (Pyodide)", "language": "python"
    }  # fmt: skip
    for cell in lesson["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
        else:
            cell["source"] = INSTALL.sub("What it needs is here", "".join(cell["source"]))
    return lesson


if __name__ == "__main__":
    main()
