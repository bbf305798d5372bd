"""A scalar autograd engine that draws and explains the very graph that it runs.

With this package you can

- compute and differentiate:        loss = (a * b + 10).relu(); loss.backward()
- draw the graph of a step:         draw(loss).write("step.svg")
- walk through the step:            explain(loss).save("step.html")
- build small networks:             from microgrant.nn import MLP
"""

from . import nn as nn
from .derivatives import define as define
from .derivatives import grad as grad
from .derivatives import where as where
from .draw import draw as draw
from .engine import Value as Value
from .engine import apply as apply
from .engine import topological_order as topological_order
from .explain import Explanation as Explanation
from .explain import explain as explain
from .gradcheck import GradientError as GradientError
from .gradcheck import gradcheck as gradcheck
from .modes import AnomalyError as AnomalyError
from .modes import detect_anomaly as detect_anomaly
from .modes import no_grad as no_grad
from .pickling import FlatGraph as FlatGraph

__version__ = "0.1.0"
