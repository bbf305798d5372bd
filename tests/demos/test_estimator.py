"""The recipe for scikit-learn: what that does with its own classifiers, it does with this one."""

from __future__ import annotations

import pickle
import random
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what a package warns of when it is imported
    from sklearn.base import clone
    from sklearn.datasets import make_moons
    from sklearn.exceptions import NotFittedError
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils.estimator_checks import check_estimator

sys.path.insert(0, str(Path(__file__).parents[2] / "demos"))

from estimator import MLPClassifier

X, NUMBERS = make_moons(60, noise=0.1, random_state=0)
NAMES = [["lower", "upper"][i] for i in NUMBERS]


def small(**settings: Any) -> Any:
    return MLPClassifier(**{"hidden": (4,), "epochs": 60} | settings)


def test_it_learns_and_keeps_names_of_classes() -> None:
    state = random.getstate()
    model = small().fit(X[:40], NAMES[:40])
    assert random.getstate() == state
    assert {*model.predict(X)} == {"lower", "upper"}
    assert model.score(X[40:], NAMES[40:]) > 0.8
    assert len(model.history_) == 60
    assert model.history_.target == "native"


def test_a_clone_has_the_settings_and_nothing_learned() -> None:
    model = small(activation="relu", seed=3).fit(X, NAMES)
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    assert twin.get_params()["activation"] == "relu"
    with pytest.raises(NotFittedError):
        twin.predict(X)
    assert list(twin.fit(X, NAMES).predict(X)) == list(model.predict(X))
    assert list(pickle.loads(pickle.dumps(model)).predict(X)) == list(model.predict(X))


def test_it_stands_in_a_pipeline_and_is_searched() -> None:
    far = X * [1e-3, 1e3]  # which only the scaler makes fit to be learned from
    model = make_pipeline(StandardScaler(), small())
    assert cross_val_score(model, far, NAMES, cv=2).mean() > 0.8
    space = {"mlpclassifier__epochs": [1, 60], "mlpclassifier__learning_rate": [0.05]}
    search = GridSearchCV(model, space, cv=2).fit(far, NAMES)
    assert search.best_params_["mlpclassifier__epochs"] == 60
    assert search.best_estimator_[-1].epochs == 60
    assert search.score(far, NAMES) == search.best_estimator_.score(far, NAMES) > 0.8


@pytest.mark.campaign
@pytest.mark.filterwarnings("ignore")  # of checks that are skipped
def test_scikit_learns_own_checks_pass() -> None:
    check_estimator(MLPClassifier(epochs=60))
