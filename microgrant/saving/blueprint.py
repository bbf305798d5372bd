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
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from .. import nn
from ..engine.arguments import shown
from ..engine.value import Value
from ..nn import Module, Noise
from .plain import DEEPEST, ModelFileError, as_float, plain, restored

__all__ = ["FORMAT", "OWN", "VERSION", "describe", "rebuild"]

FORMAT, VERSION = "microgrant model", 1

OWN: dict[str, type[Module]] = {
    name: kind
    for name, kind in vars(nn).items()
    if isinstance(kind, type) and issubclass(kind, Module) and kind is not Module
}
"""The classes of `microgrant.nn`, by name."""


# --- A model as plain data ----------------------------------------------------------------------


def describe(model: Module, kinds: dict[str, type[Module]]) -> dict[str, Any]:
    """The contents of a file for a model; its classes are noted among the `kinds`."""
    described = plain(model, "the model", kinds)
    training, weights = {"": bool(model.training)}, {}
    first: dict[Value, str] = {}
    for path, child, around in _inside(model):
        if isinstance(child, Value):
            same = first.setdefault(child, path)
            weights[path] = plain(child.data, path) if same == path else {"$same": same}
        elif bool(child.training) != bool(around.training):
            training[path] = bool(child.training)
    contents = {"format": FORMAT, "version": VERSION, "model": described}
    return contents | {"training": training, "weights": weights}


def _inside(
    module: Module, path: str = "", around: tuple[Module, ...] = ()
) -> Iterator[tuple[str, Value | Module, Module]]:
    """Parameters and modules in a module, each in all of its places: path, thing, its module."""
    if len(around) > DEEPEST:
        raise ValueError(f"modules are nested more than {DEEPEST} deep")
    around = (*around, module)
    for name, child in module.named_children():
        place = f"{path}.{name}" if path else name
        if isinstance(child, Module):
            yield place, child, module
            if not any(child is x for x in around):
                yield from _inside(child, place, around)
        elif not (child.operation or isinstance(child, Noise)):
            yield place, child, module


# --- A model made of plain data -----------------------------------------------------------------


def rebuild(contents: Mapping[str, Any], kinds: Mapping[str, type[Module]]) -> Module:
    """The model that contents describe; a `ModelFileError` if they do not describe one exactly.

    The module `random` is left in the state that it was in.
    """
    weights, modes = contents["weights"], contents["training"]
    if not isinstance(weights, dict):
        raise ModelFileError(f"weights are numbers by path, but there is {shown(weights)}")
    state = random.getstate()
    try:
        model = restored(contents["model"], _maker(kinds, len(weights)))
    finally:
        random.setstate(state)
    if not isinstance(model, Module):
        raise ModelFileError(f"the model is to be a $module, but there is {shown(model)}")
    model = _with_weights(model, weights)
    if not isinstance(modes, dict) or not all(isinstance(mode, bool) for mode in modes.values()):
        raise ModelFileError(f"training is true or false by path, but there is {shown(modes)}")
    model.training = modes.get("", True)
    for path, child, around in _inside(model):
        if isinstance(child, Module):
            child.training = modes.get(path, around.training)
    for name, x in describe(model, dict(kinds)).items():
        if x != contents[name]:
            raise ModelFileError(f"{name!r} does not fit what is made of it")
    return model


def _maker(kinds: Mapping[str, type[Module]], weights: int) -> Callable[[dict[str, Any]], Module]:
    """What makes modules of known classes, with no more weights in all than there are numbers."""
    left = weights

    def module(described: dict[str, Any]) -> Module:
        nonlocal left
        name = described["$module"]
        if not isinstance(name, str) or name not in kinds:
            raise ModelFileError(
                f"no class of modules is known as {name!r:.60}: list those of your own that are in "
                "the file, as in load(path, modules=[Line])"
            )
        settings = restored(described.get("settings"), module)
        if not isinstance(settings, dict) or len(described) != 2:
            raise ModelFileError(
                f"a module has $module and settings, but there is a {name} without"
            )
        left -= sum((inputs + 1) * neurons for inputs, neurons in _layers(name, settings))
        if left < 0:
            raise ModelFileError(
                f"there are {weights} weights, fewer than a {name} of these settings has"
            )
        try:
            return kinds[name].from_settings(settings)
        except Exception as error:  # whatever the constructor of a user's own class may raise
            raise ModelFileError(f"these settings make no {name}: {str(error)[:200]}") from error

    return module


def _layers(name: str, settings: Mapping[str, Any]) -> Iterable[tuple[int, int]]:
    """How many inputs and neurons each layer of a module of `nn` is going to have."""

    def size(name: str) -> int:
        return _whole(name, settings.get(name))

    if name == "Neuron":
        return [(size("nin"), 1)]
    if name in ("Layer", "Linear"):
        return [(size("nin"), size("nout"))]
    if name == "MLP" and isinstance(settings.get("nouts"), list):
        return pairwise([size("nin"), *(_whole("nouts", x) for x in settings["nouts"])])
    if name == "Conv2d":
        return [(size("channels_in") * size("kernel_size") ** 2, size("channels_out"))]
    if name in ("RNN", "RNNCell"):
        return [(size("nin") + size("nhidden"), size("nhidden"))]
    return ()


def _whole(name: str, x: Any) -> int:
    if type(x) is not int or x < 1:
        raise ModelFileError(f"{name} is a whole number from 1 on, but there is {shown(x)}")
    return x


def _with_weights(model: Module, weights: Mapping[str, Any]) -> Module:
    """The model with these weights, shared where they are said to be the same."""
    places = {path: child for path, child, _ in _inside(model) if isinstance(child, Value)}
    for path in (*places, *weights):
        if path not in weights:
            raise ModelFileError(f"the weight {path} of the {type(model).__name__} is missing")
        if path not in places:
            raise ModelFileError(f"the {type(model).__name__} has no weight {path!r:.60}")
    stand_ins = {id(x): x for x in places.values()}
    for path, x in weights.items():
        if isinstance(x, dict) and [*x] == ["$same"]:
            first = places.get(str(x["$same"]))
            if first is None:
                raise ModelFileError(f"{path} is the same as {x['$same']!r:.60}, which is missing")
            stand_ins[id(places[path])] = first
        else:
            places[path].data = as_float(x)
    shared = any(id(x) != replaced for replaced, x in stand_ins.items())
    # A copy that takes the first of equals wherever it meets one of the others.
    return copy.deepcopy(model, stand_ins) if shared else model
