"""A network of microgrant's as scikit-learn has classifiers: to be cloned, searched, put in a row.

With this recipe you can, after ``cd demos``,

- train and count:        MLPClassifier(hidden=(8,)).fit(X, y).score(X_test, y_test)
- go before it:           make_pipeline(StandardScaler(), MLPClassifier())
- compare settings:       GridSearchCV(MLPClassifier(), {"hidden": [(4,), (8,)]}).fit(X, y)

It needs scikit-learn, which `pip install 'microgrant[lessons]'` brings. Copy it, and change what
you like. A setting is what `__init__` takes and keeps as it is; what is learned ends in _.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from microgrant.losses import cross_entropy
from microgrant.nn import MLP
from microgrant.optim import Adam
from microgrant.training import fit, predict


class MLPClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classes by an `MLP`, with an output for each of them, and the cross-entropy.

    model_, history_: what `fit` leaves behind: the network, and how it was trained.
    """

    def __init__(
        self, hidden: Any = (8,), activation: Any = "tanh", epochs: int = 100,
        learning_rate: float = 0.05, seed: int = 0,
    ) -> None:  # fmt: skip
        self.hidden, self.activation, self.epochs = hidden, activation, epochs
        self.learning_rate, self.seed = learning_rate, seed

    def fit(self, X: Any, y: Any) -> MLPClassifier:
        """Train a new network; the numbers that `random` gives others stay what they were."""
        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        self.classes_, places = np.unique(y, return_inverse=True)
        state = random.getstate()
        random.seed(self.seed)
        widths = [*self.hidden, max(2, len(self.classes_))]
        self.model_ = MLP(X.shape[1], widths, activation=self.activation, init="xavier")
        random.setstate(state)
        self.history_ = fit(
            self.model_, cross_entropy, (X, places), epochs=self.epochs, optimizer=Adam,
            learning_rate=self.learning_rate, seed=self.seed, progress=False,
        )  # fmt: skip
        return self

    def predict(self, X: Any) -> Any:
        """The class of each row of X."""
        check_is_fitted(self)
        outputs = predict(self.model_, validate_data(self, X, reset=False))
        return self.classes_[np.argmax(outputs, axis=1)]
