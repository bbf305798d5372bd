"""The engine: a `Value` records the arithmetic done on it, and `backward` differentiates it.

With this package you can

- compute with Values as with numbers:          loss = (w * x + b - y) ** 2
- differentiate the result:                     loss.backward(); print(w.grad)
- differentiate without touching `.grad`:       grad(loss, [w, b])
- have many derivatives at once:                jacobian(outputs, inputs), hessian(loss, [w, b])
- use functions that are no methods:            functions.atan(x), functions.gelu(x)
- take one branch of two:                       where(x > 0, x.log(), 0.0)
- record nothing, or look for the first nan:    with no_grad(): …; with detect_anomaly(): …
- add an operation of your own, and check it:   define("gaussian", …); gradcheck(gaussian, [0.5])

The text to begin with is `microgrant.engine.value`.
"""

from .checking import GradientError, gradcheck
from .conditions import RELATIONS, Choice, Condition, whole_order
from .derivatives import VALUES, apply, define, detach, grad, where
from .jacobians import hessian, hvp, jacobian, value_and_grad
from .modes import AnomalyError, detect_anomaly, no_grad
from .pickling import FlatGraph
from .value import NO_GRADIENT, Value, topological_order

__all__ = ["NO_GRADIENT", "RELATIONS", "VALUES", "AnomalyError", "Choice", "Condition"]
__all__ += ["FlatGraph", "GradientError", "Value", "apply", "define", "detach", "detect_anomaly"]
__all__ += ["grad", "gradcheck", "hessian", "hvp", "jacobian", "no_grad", "topological_order"]
__all__ += ["value_and_grad", "where", "whole_order"]
