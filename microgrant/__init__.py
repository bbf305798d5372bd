"""A scalar autograd engine that draws and explains the very graph that it runs.

With this package you can

- compute and differentiate:        loss = (a * b + 10).relu(); loss.backward()
- use the functions of `math`:      angle = atan2(y, x)
- draw the graph of a step:         draw(loss).write("step.svg")
- walk through the step:            explain(loss).save("step.html")
- build small networks:             from microgrant.nn import MLP
- train them at native speed:       step = compile(loss, inputs=x, parameters=model.parameters())
"""

from . import losses as losses
from . import nn as nn
from . import optim as optim
from . import saving as saving
from . import training as training
from .compiler import DecisionWarning, Predictor, Step, TargetWarning, compile
from .engine import (
    AnomalyError,
    Condition,
    FlatGraph,
    GradientError,
    Value,
    apply,
    define,
    detect_anomaly,
    grad,
    gradcheck,
    hessian,
    hvp,
    jacobian,
    no_grad,
    topological_order,
    value_and_grad,
    where,
)
from .engine.functions import *  # noqa: F403 - microgrant.atan and the like
from .losses import log_softmax, logsumexp, softmax
from .views import Explanation, draw, explain

__version__ = "0.2.0"

# Without the functions: a star would put them in the place of those of `math`.
__all__ = ["AnomalyError", "Condition", "DecisionWarning", "Explanation", "FlatGraph"]
__all__ += ["GradientError", "Predictor", "Step", "TargetWarning", "Value", "apply", "compile"]
__all__ += ["define", "detect_anomaly", "draw", "explain", "grad", "gradcheck", "hessian", "hvp"]
__all__ += ["jacobian", "log_softmax", "logsumexp", "no_grad", "softmax", "topological_order"]
__all__ += ["value_and_grad", "where"]
