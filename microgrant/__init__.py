"""A scalar autograd engine that draws and explains the very graph that it runs.

With this package you can

- compute and differentiate:        loss = (a * b + 10).relu(); loss.backward()
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
from .conditions import Condition as Condition
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
from .machine import TargetWarning as TargetWarning
from .modes import AnomalyError as AnomalyError
from .modes import detect_anomaly as detect_anomaly
from .modes import no_grad as no_grad
from .native import DecisionWarning as DecisionWarning
from .native import Predictor as Predictor
from .native import Step as Step
from .native import compile as compile
from .pickling import FlatGraph as FlatGraph

__version__ = "0.1.0"
