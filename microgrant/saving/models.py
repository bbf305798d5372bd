"""Models in files: plain JSON that says how a model is built, and what it has learned.

With this module you can

- keep a model, and have it again:       save(model, "xor.json"); model = load("xor.json")
- stop a training, and go on later:      save(model, "xor.json", extra=history.state)
                                         fit(model, …, resume=load_extra("xor.json"))
- keep a model of a class of your own:   save(Line(), "line.json")
                                         line = load("line.json", modules=[Line])

A file is UTF-8 text: one JSON object, with these entries and no others.

- "format": "microgrant model", and "version": 1
- "model": {"$module": "MLP", "settings": {"nin": 2, "nouts": [3, 1], …}}: the name of a class, and
  the arguments that make such a module (`Module.settings`), among which may be further modules
- "training": {"": true}: whether the model is in training mode; and by its path, each module inside
  that is in another mode than what it stands in
- "weights": {"layers[0].neurons[0].w[0]": 0.25, …}: the number of each parameter by its path. Where
  a parameter stands once more, there is {"$same": path}, with the path of its first place
- "extra": what was given to `save` to be kept with the model

In settings and in "extra", a tuple becomes a list.

A number is written in the fewest digits that mean that very float. {"$float": "nan"} (or "inf", or
"-inf") is one that JSON has no word for; hence no key of your own can begin with "$".

A file is data, and none of it is run. Loading makes modules of `microgrant.nn` and of the classes
that you list; one of your own gets its settings from the file, and has to refuse what is absurd.
A file has 64 MiB at most, and is nested 100 deep at most.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..engine.arguments import shown
from ..files import write_file
from ..nn import Module
from .blueprint import FORMAT, OWN, VERSION, describe, rebuild
from .comparison import difference
from .plain import ModelFileError, add_kind, parsed, plain, restored

__all__ = ["ModelFileError", "load", "load_extra", "save"]

ENTRIES = ("format", "version", "model", "training", "weights", "extra")
LARGEST = 2**26  # bytes


def save(model: Module, path: str | os.PathLike[str], *, extra: Any = None) -> None:
    """Write a model to a file. An old one is replaced in one go: there is always a whole file.

    extra: plain data to be kept with the model, such as the `state` of a history: numbers, texts,
        None, and lists and dictionaries of them.

    A TypeError or ValueError says what cannot be kept, and an OSError why the file cannot be
    written; then the old file is as it was. What could not be loaded again is not written, and what
    would be loaded as another model neither: what was changed by hand, and is not said by
    `settings`. Labels and gradients are not kept, nor are outputs that a call leaves in attributes.

    >>> import tempfile
    >>> from microgrant.nn import MLP
    >>> model = MLP(2, [3, 1], activation="tanh").eval()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(model, f"{folder}/model.json", extra={"accuracy": 0.97})
    ...     twin, extra = load(f"{folder}/model.json"), load_extra(f"{folder}/model.json")
    >>> twin([0.5, -1.0]).data == model([0.5, -1.0]).data, twin.training, extra
    (True, False, {'accuracy': 0.97})
    """
    if not isinstance(model, Module):
        raise TypeError(f"save needs a Module, but got {shown(model)}")
    kinds = dict(OWN)
    contents = describe(model, kinds)
    name = type(model).__name__
    try:
        other = difference(model, rebuild(contents, kinds))
    except ModelFileError as error:
        raise ValueError(
            f"the {name} could not be loaded again: {error}. What {name}.settings() returns is to "
            "make a module with the same parameters"
        ) from error
    if other:
        raise ValueError(
            f"the {name} would be loaded as another one: {other}. A file holds what "
            f"{name}.settings() returns, and the parameters; all else has to follow from that"
        )
    contents["extra"] = plain(extra, "extra")
    data = _text(contents).encode()
    if len(data) > LARGEST:
        raise ValueError(f"a file of {len(data):,} bytes is too large: {LARGEST:,} can be loaded")
    write_file(Path(path), data)


def load(path: str | os.PathLike[str], *, modules: Iterable[type[Module]] = ()) -> Any:
    """The model in a file: a new one of the same architecture, with the same weights and mode.

    modules: the classes of your own that are in it.

    A `ModelFileError` says what is wrong with the file, an OSError why it cannot be read. To the
    numbers that `random` gives you, it is as if nothing had been loaded.
    """
    kinds = dict(OWN)
    if isinstance(modules, type):
        raise TypeError(f"modules is a list of classes: modules=[{modules.__name__}]")
    for kind in modules:
        add_kind(kind, kinds)
    with _naming(path):
        return rebuild(_read(Path(path)), kinds)


def load_extra(path: str | os.PathLike[str]) -> Any:
    """What was given to `save` to be kept with the model; None if nothing was."""
    with _naming(path):
        return _read(Path(path))["extra"]


@contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Puts the name of the file before what is wrong with it."""
    try:
        yield
    except ModelFileError as error:
        raise ModelFileError(f"{os.fspath(path)}: {error}") from error.__cause__


def _text(contents: dict[str, Any]) -> str:
    """JSON in which people find their way: a line for each entry, and for each weight."""
    texts = {name: json.dumps(contents[name]) for name in ENTRIES}
    weights = (f"{json.dumps(path)}: {json.dumps(x)}" for path, x in contents["weights"].items())
    texts["weights"] = "{\n  " + ",\n  ".join(weights) + "\n }"
    return "{\n" + ",\n".join(f' "{name}": {text}' for name, text in texts.items()) + "\n}\n"


def _read(path: Path) -> dict[str, Any]:
    """The entries of a file, all of them, and `extra` as it was given."""
    if path.exists() and not path.is_file():
        raise ModelFileError("this is not a file")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST:
            raise ModelFileError(
                f"this has {size:,} bytes, and no model file more than {LARGEST:,}"
            )
        contents = parsed(file.read(size))
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise ModelFileError(f'this is no model file: it lacks "format": "{FORMAT}"')
    version = contents.get("version")
    if type(version) is not int or version != VERSION:
        raise ModelFileError(f"it is of version {version!r:.60}, and only {VERSION} is known here")
    for name in sorted({*ENTRIES} ^ {*contents}):
        has = "has" if name in contents else "lacks"
        raise ModelFileError(f"it {has} {name!r:.60}: the entries are {', '.join(ENTRIES)}")
    contents["extra"] = restored(contents["extra"])
    return contents
