"""Training as the introductions tell it, from examples to a model that has learned.

With this package you can

- train:                     history = fit(model, cross_entropy, (xs, ys), epochs=20, batch_size=32)
- stop when it is time:      fit(…, validation=0.2, patience=10), or Ctrl-C
- look on, and stop it:      fit(…, on_epoch=lambda history: history.loss[-1] > 0.01)
- go on where it stopped:    fit(…, resume=history), or history.state out of a file
- use what was learned:      outputs = predict(model, xs)
- keep data for the test:    train, validation, test = split(xs, ys)
- count what is right:       accuracy(outputs, ys), confusion(outputs, ys)
- compare settings:          search(train, {"learning_rate": [0.1, 0.01], "width": [4, 8]})
"""

from .evaluation import Confusion, Search, Trial, accuracy, classify, confusion, search, split
from .fitting import DecisionError, DivergenceError, fit, predict
from .history import History

__all__ = ["Confusion", "DecisionError", "DivergenceError", "History", "Search", "Trial"]
__all__ += ["accuracy", "classify", "confusion", "fit", "predict", "search", "split"]
