"""A model as plain data, and a model made of that: what `microgrant.saving` writes and reads.

With this module you can

- say how a model is built, and what it has learned:   contents = describe(model, kinds)
- make it again:                                       twin = rebuild(contents, kinds)

What the entries of the contents are is said in `microgrant.saving`. `kinds` are the classes that
modules may be of, by name. Nothing is made before it is known to have as many weights as there are
numbers for; and what is made is described once more, and compared.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from .. import nn
from ..engine.arguments import shown
from ..engine.value import Value
from ..nn import Module, Noise
from .plain import DEEPEST, ModelFileError, as_float, plain, plain_number, restored

__all__ = ["FORMAT", "OWN", "VERSION", "add_kind", "describe", "rebuild"]

FORMAT, VERSION = "microgrant model", 1

OWN: dict[str, type[Module]] = {
    name: kind
    for name, kind in vars(nn).items()
    if name in nn.__all__ and isinstance(kind, type) and issubclass(kind, Module)
    if kind is not Module
}
"""The classes of `microgrant.nn`, by name."""


def add_kind(kind: type[Module], kinds: dict[str, type[Module]]) -> str:
    """Note a class under its name, which is returned; a ValueError if another one has that name."""
    if not (isinstance(kind, type) and issubclass(kind, Module)):
        raise TypeError(f"modules lists classes of modules, but got {shown(kind)}")
    name = kind.__name__
    if kinds.setdefault(name, kind) is not kind:
        raise ValueError(f"two classes of modules are called {name}: rename one of them")
    return name


# --- A model as plain data ----------------------------------------------------------------------


def describe(model: Module, kinds: dict[str, type[Module]]) -> dict[str, Any]:
    """The contents of a file for a model; its classes are noted among the `kinds`."""

    def words(x: Any, depth: int) -> dict[str, Any] | None:
        if not isinstance(x, Module):
            return None
        name = add_kind(type(x), kinds)
        settings = plain(x.settings(), f"{name}.settings()", words, depth + 1)
        return {"$module": name, "settings": settings}

    return {
        "format": FORMAT,
        "version": VERSION,
        "model": plain(model, "the model", words),
        "training": _modes(model),
        "weights": _weights(model),
    }


def _inside(
    module: Module, path: str = "", around: tuple[Module, ...] = ()
) -> Iterator[tuple[str, Value | Module, Module]]:
    """All that stands in a module, in each of its places: path, thing, and the module it is in."""
    if len(around) > DEEPEST:
        raise ValueError(f"modules are nested more than {DEEPEST} deep")
    around = (*around, module)
    for name, child in module.named_children():
        place = f"{path}.{name}" if path else name
        yield place, child, module
        if isinstance(child, Module) and not any(child is x for x in around):
            yield from _inside(child, place, around)


def _parameters(model: Module) -> dict[str, Value]:
    """Each parameter in each of its places, by path."""
    return {
        path: child
        for path, child, _ in _inside(model)
        if isinstance(child, Value) and not (child.operation or isinstance(child, Noise))
    }


def _weights(model: Module) -> dict[str, Any]:
    first: dict[int, str] = {}
    return {
        path: plain_number(x.data) if first.setdefault(id(x), path) == path
        else {"$same": first[id(x)]}
        for path, x in _parameters(model).items()
    }  # fmt: skip


def _modes(model: Module) -> dict[str, bool]:
    different = {
        path: bool(child.training)
        for path, child, around in _inside(model)
        if isinstance(child, Module) and bool(child.training) != bool(around.training)
    }
    return {"": bool(model.training), **different}


# --- A model made of plain data -----------------------------------------------------------------


def rebuild(contents: Mapping[str, Any], kinds: Mapping[str, type[Module]]) -> Module:
    """The model that contents describe; a `ModelFileError` if they do not describe one exactly.

    The module `random` is left in the state that it was in.
    """
    weights = contents["weights"]
    if not isinstance(weights, dict):
        raise ModelFileError(f"weights are numbers by path, but there is {shown(weights)}")
    state = random.getstate()
    try:
        model = restored(contents["model"], _Maker(kinds, len(weights)).module)
    finally:
        random.setstate(state)
    if not isinstance(model, Module):
        raise ModelFileError(f"the model is to be a $module, but there is {shown(model)}")
    model = _with_weights(model, weights)
    _set_modes(model, contents["training"])
    wrong = [name for name, x in describe(model, dict(kinds)).items() if x != contents[name]]
    if wrong:
        raise ModelFileError(f"{wrong[0]!r} does not fit what is made of it")
    return model


class _Maker:
    """Makes modules of known classes, with no more weights in all than there are numbers for."""

    def __init__(self, kinds: Mapping[str, type[Module]], weights: int) -> None:
        self.kinds, self.weights, self.left = kinds, weights, weights

    def module(self, described: Mapping[str, Any]) -> Module:
        """A module of the class and the settings that are described."""
        name = described["$module"]
        if not isinstance(name, str) or name not in self.kinds:
            raise ModelFileError(
                f"no class of modules is known as {name!r:.60}: list those of your own that are in "
                "the file, as in load(path, modules=[Line])"
            )
        settings = restored(described.get("settings"), self.module)
        if not isinstance(settings, dict) or len(described) != 2:
            raise ModelFileError(
                f"a module has $module and settings, but there is a {name} without"
            )
        self.left -= _weights_of(name, settings)
        if self.left < 0:
            raise ModelFileError(
                f"there are {self.weights} weights, fewer than a {name} of these settings has"
            )
        try:
            return self.kinds[name].from_settings(settings)
        except Exception as error:  # whatever the constructor of a user's own class may raise
            raise ModelFileError(f"these settings make no {name}: {str(error)[:200]}") from error


def _weights_of(name: str, settings: Mapping[str, Any]) -> int:
    """How many weights a module of `nn` is going to have."""

    def size(name: str) -> int:
        return _whole(name, settings.get(name))

    layers: Iterable[tuple[int, int]] = ()  # inputs and neurons
    if name == "Neuron":
        layers = [(size("nin"), 1)]
    elif name == "Layer":
        layers = [(size("nin"), size("nout"))]
    elif name == "MLP" and isinstance(settings.get("nouts"), list):
        layers = pairwise([size("nin"), *(_whole("nouts", x) for x in settings["nouts"])])
    elif name == "Conv2d":
        layers = [(size("channels_in") * size("kernel_size") ** 2, size("channels_out"))]
    elif name in ("RNN", "RNNCell"):
        layers = [(size("nin") + size("nhidden"), size("nhidden"))]
    return sum((inputs + 1) * neurons for inputs, neurons in layers)


def _whole(name: str, x: Any) -> int:
    if type(x) is not int or x < 1:
        raise ModelFileError(f"{name} is a whole number from 1 on, but there is {shown(x)}")
    return x


def _with_weights(model: Module, weights: Mapping[str, Any]) -> Module:
    """The model with these weights, shared where they are said to be the same."""
    places, kind = _parameters(model), type(model).__name__
    for path in places:
        if path not in weights:
            raise ModelFileError(f"the weight {path} of the {kind} is missing")
    for path in weights:
        if path not in places:
            raise ModelFileError(f"the {kind} has no weight {path!r:.60}")
    kept, shared = {id(x): x for x in places.values()}, {}
    for path, x in weights.items():
        first = places[path]
        if isinstance(x, dict) and [*x] == ["$same"]:
            if not isinstance(x["$same"], str) or x["$same"] not in places:
                raise ModelFileError(f"{path} is the same as {x['$same']!r:.60}, which is missing")
            first = places[x["$same"]]
        else:
            first.data = as_float(x)
        if first is not places[path]:
            shared[id(places[path])] = first
    # A copy that takes the first of equals wherever it meets one of the others.
    return copy.deepcopy(model, {**kept, **shared}) if shared else model


def _set_modes(model: Module, modes: Any) -> None:
    if not isinstance(modes, dict) or not all(isinstance(mode, bool) for mode in modes.values()):
        raise ModelFileError(f"training is true or false by path, but there is {shown(modes)}")
    model.training = modes.get("", True)
    for path, child, around in _inside(model):
        if isinstance(child, Module):
            child.training = modes.get(path, around.training)
