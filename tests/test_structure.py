"""Arrows between modules point one way, and what is public explains itself."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_origin

import pytest

import microgrant

PACKAGE = Path(microgrant.__file__).parent
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))
PUBLIC_MODULES = ["microgrant", *(f"microgrant.{name}" for name in MODULES if name[0] != "_")]

# A module may import those that stand before it.
ORDER = (
    *(
        "printing",
        "files",
        "elementary",
        "ops",
        "symbolic",
        "modes",
        "conditions",
        "engine",
        "derivatives",
    ),
    *("module", "nn", "losses", "optim", "gradcheck", "pickling", "expression"),
    *("program", "source", "llvm", "tables", "machine", "native"),
    *("examples", "history", "evaluation", "runners", "training"),
    *("plain", "blueprint", "saving", "onnx_graph", "onnx_program", "onnx_layers", "export"),
    *("record", "rendering", "draw", "player", "terminal", "explain"),
    *("__init__", "__main__"),
)

# What `import microgrant` does not import, installed or not.
OPTIONAL = {
    "graphviz",
    "pygraphviz",
    "numpy",
    "llvmlite",
    "matplotlib",
    "tqdm",
    "torch",
    "onnx",
    "onnxruntime",
    "IPython",
}


def imports(source: str) -> Iterator[str]:
    """The modules of the package that a source imports, at any depth of its code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            paths = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "microgrant" if node.level else ""
            path = ".".join(filter(None, [base, node.module]))
            # `from . import draw` names a module; `from .draw import Style` does not.
            paths = [f"{path}.{alias.name}" for alias in node.names]
        else:
            continue
        for path in paths:
            package, _, rest = path.partition(".")
            if package == "microgrant":
                name = rest.partition(".")[0]
                yield name if name in MODULES else "__init__"


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_towards_ops(name: str) -> None:
    assert name in ORDER, f"{name}.py has no place in ORDER yet: put it after what it imports"
    before = ORDER[: ORDER.index(name)]
    for imported in imports((PACKAGE / f"{name}.py").read_text(encoding="utf-8")):
        assert imported in before, f"{name}.py imports {imported}"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("from .draw import draw", ["draw"]),
        ("from . import nn", ["nn"]),
        ("import microgrant.engine", ["engine"]),
        ("from microgrant.ops import power, clip", ["ops", "ops"]),
        ("from microgrant import Value", ["__init__"]),
        ("import microgrant", ["__init__"]),
        ("def f():\n    from .engine import Value", ["engine"]),
        ("import math, graphviz", []),
        ("from __future__ import annotations", []),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_imports_are_found(statement: str, expected: list[str]) -> None:
    assert [*imports(statement)] == [name for name in expected if name in {*MODULES, "__init__"}]


@pytest.mark.parametrize("name", ["ops", "symbolic", "engine", "nn"])
def test_the_core_needs_the_standard_library_only(name: str) -> None:
    for node in ast.walk(ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found = [node.module or ""]
        else:
            continue
        assert {path.partition(".")[0] for path in found} <= sys.stdlib_module_names


def test_an_import_loads_nothing_optional() -> None:
    program = "import sys, microgrant, microgrant.nn; print(*sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(finished.stdout.split())
    assert "microgrant.engine" in loaded
    assert not OPTIONAL & loaded


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_what_is_public_has_a_docstring(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    for public_name in public_names(module):
        public = getattr(module, public_name)
        if get_origin(public) or not (inspect.isfunction(public) or inspect.isclass(public)):
            continue  # an alias of a type, or a constant
        assert inspect.getdoc(public), public_name
        if inspect.isclass(public):
            for member, x in vars(public).items():
                if member[0] != "_" and (inspect.isfunction(x) or isinstance(x, property)):
                    assert inspect.getdoc(getattr(public, member)), f"{public_name}.{member}"


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_what_is_public_is_listed_once(name: str) -> None:
    module = importlib.import_module(name)
    names = public_names(module)
    assert names
    assert len(set(names)) == len(names)
    assert [name for name in names if not hasattr(module, name)] == []


def public_names(module: ModuleType) -> list[str]:
    """`__all__`; for the package, which re-exports name by name, what it has."""
    if module is microgrant:
        return [n for n, x in vars(module).items() if n[0] != "_" and not inspect.ismodule(x)]
    return list(module.__all__)
