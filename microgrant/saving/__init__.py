"""Models in files: plain JSON that says how a model is built, and what it has learned.

With this package you can

- keep a model, and have it again:       save(model, "xor.json"); model = load("xor.json")
- stop a training, and go on later:      save(model, "xor.json", extra=history.state)
                                         fit(model, …, resume=load_extra("xor.json"))
"""

from .models import ModelFileError, load, load_extra, save

__all__ = ["ModelFileError", "load", "load_extra", "save"]
