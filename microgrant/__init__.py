"""A scalar autograd engine that draws and explains the very graph that it runs.

With this package you can

- compute and differentiate:        loss = (a * b + 10).relu(); loss.backward()
- use the functions of `math`:      angle = microgrant.atan2(y, x)
- draw the graph of a step:         draw(loss).write("step.svg")
- walk through the step:            explain(loss).save("step.html")
- build small networks:             from microgrant.nn import MLP
- train them at native speed:       step = compile(loss, inputs=x, parameters=model.parameters())
"""

from typing import TYPE_CHECKING

from . import losses as losses, nn as nn, optim as optim, saving as saving, training as training
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
from .engine.functions import (
    acos as acos,
    acosh as acosh,
    asin as asin,
    asinh as asinh,
    atan as atan,
    atan2 as atan2,
    atanh as atanh,
    cos as cos,
    cosh as cosh,
    elu as elu,
    erf as erf,
    erfc as erfc,
    exp as exp,
    exp2 as exp2,
    expm1 as expm1,
    floor as floor,
    gelu as gelu,
    hypot as hypot,
    leaky_relu as leaky_relu,
    log as log,
    log1p as log1p,
    log2 as log2,
    log10 as log10,
    maximum as maximum,
    minimum as minimum,
    normal_cdf as normal_cdf,
    relu as relu,
    sigmoid as sigmoid,
    sign as sign,
    silu as silu,
    sin as sin,
    sinh as sinh,
    softplus as softplus,
    sqrt as sqrt,
    tan as tan,
    tanh as tanh,
)
from .engine.habits import elsewhere
from .losses import log_softmax, logsumexp, softmax
from .views import Explanation, draw, explain

__version__ = "0.2.0"

# Without the functions: a star would put them in the place of those of `math`.
__all__ = ["AnomalyError", "Condition", "DecisionWarning", "Explanation", "FlatGraph"]
__all__ += ["GradientError", "Predictor", "Step", "TargetWarning", "Value", "apply", "compile"]
__all__ += ["define", "detect_anomaly", "draw", "explain", "grad", "gradcheck", "hessian", "hvp"]
__all__ += ["jacobian", "log_softmax", "logsumexp", "no_grad", "softmax", "topological_order"]
__all__ += ["value_and_grad", "where"]

if not TYPE_CHECKING:  # there, it is an error anyway
    __getattr__ = elsewhere(__name__)
