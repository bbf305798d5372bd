"""Arrows between modules point one way, and what is public explains itself."""

from __future__ import annotations

import ast
import importlib
import inspect
import pydoc
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_origin, get_type_hints

import pytest

import microgrant

PACKAGE = Path(microgrant.__file__).parent


def name_of(path: Path) -> str:
    """engine/value.py is engine.value, and engine/__init__.py is engine."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = sorted(map(name_of, PACKAGE.rglob("*.py")))
PUBLIC_MODULES = ["microgrant", *(f"microgrant.{x}" for x in MODULES if "__" not in x)]

# From the ground up: a room may import those that stand in a line above its own. In one line, and
# so in neither one's way, are those that do not know each other.
PACKAGES = (
    ("extras", "files", "ops"),
    ("engine",),
    ("nn", "losses", "optim"),
    ("expression",),
    ("textbooks", "compiler", "saving"),
    ("views",),  # whose page runs what the compiler writes
    ("training", "export"),
    ("__init__",),
    ("__main__",),
)
# Inside of a package, a module may import those that stand before it.
ROOMS = {
    "ops": "numbers functions rules vectors operators table words",
    "engine": "habits node modes conditions arguments by_hand copying ufuncs arithmetic freeing "
    "value derivatives functions jacobians checking pickling",
    "nn": "arguments module activations neurons images noise sequences",
    "expression": "errors functions tokens program parser evaluation",
    "compiler": "program sums macros rolled source listing tables llvm kernels loops arrays "
    "machine by_numpy xla update descent targets landing step",
    "views": "formulas naming order graph style statements updates data events network columns "
    "ranks sifting layered dot_reader labels plain_drawing rendering network_drawing drawing latex "
    "player.views player.layout player.svg player.network "
    "player.spelling player.optimizers player.document player live.answers live.shell "
    "live.server live terminal explanation",
    "training": "examples history trials evaluation runners fitting",
    "saving": "plain blueprint comparison models",
    "export": "kinds onnx_graph onnx_program onnx_layers onnx_file pytorch",
}
ORDER = {package: (*rooms.split(), "__init__") for package, rooms in ROOMS.items()}

# What `import microgrant` does not import, installed or not.
OPTIONAL = {
    "graphviz",
    "pygraphviz",
    "numpy",
    "pandas",
    "polars",
    "llvmlite",
    "matplotlib",
    "segno",
    "tqdm",
    "torch",
    "jax",
    "onnx",
    "onnxruntime",
    "IPython",
}


def imports(source: str, module: str) -> Iterator[str]:
    """The modules of the package that a source imports, at any depth of its code.

    module: where the source stands: "engine.value", or "engine.__init__".
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            paths = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            around = ["microgrant", *module.split(".")][: -node.level] if node.level else []
            path = ".".join([*around, *filter(None, [node.module])])
            # `from . import draw` names a module; `from .draw import Style` does not.
            paths = [f"{path}.{alias.name}" for alias in node.names]
        else:
            continue
        for path in paths:
            package, _, rest = path.partition(".")
            if package == "microgrant":
                while rest and rest not in MODULES:
                    rest = rest.rpartition(".")[0]
                yield rest or "__init__"


def full_name(module: str) -> str:
    """Of a package, its __init__: what `imports` takes for the place of a source."""
    folder = PACKAGE / module.replace(".", "/")
    return f"{module}.__init__" if folder.is_dir() else module


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_towards_ops(name: str) -> None:
    where = full_name(name)
    package, _, room = where.partition(".")
    lines = [line for line, packages in enumerate(PACKAGES) if package in packages]
    assert lines, f"{package} has no place in PACKAGES yet: put it below what it imports"
    below = [x for packages in PACKAGES[: lines[0]] for x in packages]
    path = PACKAGE / f"{where.replace('.', '/')}.py"
    for imported in imports(path.read_text(encoding="utf-8"), where):
        its_package, _, its_room = imported.partition(".")
        if its_package != package:
            assert its_package in below, f"{name} imports {imported}"
        elif package in ORDER:
            order = ORDER[package]
            place = room.removesuffix(".__init__")
            assert place in order, f"{name} has no place in ROOMS yet: put it after what it imports"
            assert its_room in order[: order.index(place)], f"{name} imports {imported}"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("from .drawing import draw", ["views.drawing"]),
        ("from . import drawing", ["views.drawing"]),
        ("from ..engine.value import Value", ["engine.value"]),
        ("from .. import nn", ["nn"]),
        ("from ..engine import Value, grad", ["engine", "engine"]),
        ("import microgrant.engine", ["engine"]),
        ("from microgrant.ops import power, clip", ["ops", "ops"]),
        ("from microgrant import Value", ["__init__"]),
        ("import microgrant", ["__init__"]),
        ("def f():\n    from ..engine.value import Value", ["engine.value"]),
        ("import math, graphviz", []),
        ("from __future__ import annotations", []),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_imports_are_found(statement: str, expected: list[str]) -> None:
    assert [*imports(statement, "views.explanation")] == expected


@pytest.mark.parametrize("package", ORDER)
def test_a_package_hands_on_names_and_defines_nothing(package: str) -> None:
    source = (PACKAGE / package / "__init__.py").read_text(encoding="utf-8")
    docstring, *rest = ast.parse(source).body
    assert isinstance(docstring, ast.Expr)
    for statement in rest:
        if not isinstance(statement, ast.ImportFrom):
            assert isinstance(statement, (ast.Assign, ast.AugAssign, ast.If))
            assert re.search("__all__|__getattr__ = elsewhere", ast.unparse(statement))
    public = set(importlib.import_module(f"microgrant.{package}").__all__)
    files = {path.stem for path in (PACKAGE / package).iterdir()}
    assert not public & files, "a name is a function or a module, and never both"


def test_a_star_gives_public_names_and_no_module() -> None:
    names: dict[str, object] = {}
    exec("from microgrant import *", names)
    names.pop("__builtins__")
    assert sorted(names) == sorted(microgrant.__all__)
    assert not any(map(inspect.ismodule, names.values()))
    assert "whole_order" not in names
    assert "class Value" in pydoc.plain(pydoc.render_doc(microgrant))


CORE = [x for x in MODULES if x.split(".")[0] in ("ops", "engine", "nn")]


BESIDE_NUMPY = ("engine.conditions", "engine.ufuncs")  # which NumPy asks, and so it is there


@pytest.mark.parametrize("name", [x for x in CORE if x not in BESIDE_NUMPY])
def test_the_core_needs_the_standard_library_only(name: str) -> None:
    path = PACKAGE / f"{full_name(name).replace('.', '/')}.py"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
    assert names or "nothing to call here" in (module.__doc__ or "")
    assert len(set(names)) == len(names)
    assert [name for name in names if not hasattr(module, name)] == []


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_the_types_of_what_is_public_can_be_looked_up(name: str) -> None:
    module = importlib.import_module(name)
    for public in (getattr(module, public_name) for public_name in public_names(module)):
        if get_origin(public) or not (inspect.isfunction(public) or inspect.isclass(public)):
            continue
        members = vars(public).values() if inspect.isclass(public) else ()
        for x in (public, *members):
            typed = getattr(x, "fget", None) or getattr(x, "__func__", x)
            if inspect.isfunction(typed) or typed is public:
                get_type_hints(typed)


def public_names(module: ModuleType) -> list[str]:
    """What a module says that it offers."""
    return list(module.__all__)
