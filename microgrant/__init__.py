"""A scalar autograd engine that draws and explains the very graph that it runs.

With this package you can

- compute and differentiate:        loss = (a * b + 10).relu(); loss.backward()
- use the functions of `math`:      angle = microgrant.atan2(y, x)
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
from .engine.functions import (
    acos as acos,
)
from .engine.functions import (
    acosh as acosh,
)
from .engine.functions import (
    asin as asin,
)
from .engine.functions import (
    asinh as asinh,
)
from .engine.functions import (
    atan as atan,
)
from .engine.functions import (
    atan2 as atan2,
)
from .engine.functions import (
    atanh as atanh,
)
from .engine.functions import (
    cos as cos,
)
from .engine.functions import (
    cosh as cosh,
)
from .engine.functions import (
    elu as elu,
)
from .engine.functions import (
    erf as erf,
)
from .engine.functions import (
    erfc as erfc,
)
from .engine.functions import (
    exp as exp,
)
from .engine.functions import (
    exp2 as exp2,
)
from .engine.functions import (
    expm1 as expm1,
)
from .engine.functions import (
    floor as floor,
)
from .engine.functions import (
    gelu as gelu,
)
from .engine.functions import (
    hypot as hypot,
)
from .engine.functions import (
    leaky_relu as leaky_relu,
)
from .engine.functions import (
    log as log,
)
from .engine.functions import (
    log1p as log1p,
)
from .engine.functions import (
    log2 as log2,
)
from .engine.functions import (
    log10 as log10,
)
from .engine.functions import (
    maximum as maximum,
)
from .engine.functions import (
    minimum as minimum,
)
from .engine.functions import (
    normal_cdf as normal_cdf,
)
from .engine.functions import (
    relu as relu,
)
from .engine.functions import (
    sigmoid as sigmoid,
)
from .engine.functions import (
    sign as sign,
)
from .engine.functions import (
    silu as silu,
)
from .engine.functions import (
    sin as sin,
)
from .engine.functions import (
    sinh as sinh,
)
from .engine.functions import (
    softplus as softplus,
)
from .engine.functions import (
    sqrt as sqrt,
)
from .engine.functions import (
    tan as tan,
)
from .engine.functions import (
    tanh as tanh,
)
from .losses import log_softmax, logsumexp, softmax
from .views import Explanation, draw, explain

__version__ = "0.2.0"

# Without the functions: a star would put them in the place of those of `math`.
__all__ = ["AnomalyError", "Condition", "DecisionWarning", "Explanation", "FlatGraph"]
__all__ += ["GradientError", "Predictor", "Step", "TargetWarning", "Value", "apply", "compile"]
__all__ += ["define", "detect_anomaly", "draw", "explain", "grad", "gradcheck", "hessian", "hvp"]
__all__ += ["jacobian", "log_softmax", "logsumexp", "no_grad", "softmax", "topological_order"]
__all__ += ["value_and_grad", "where"]
