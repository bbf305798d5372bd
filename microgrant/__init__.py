"""A scalar autograd engine that draws, explains and runs the same graph.

from microgrant import Value, draw

a, b = Value(2.0, label="a"), Value(-3.0, label="b")
loss = (a * b + 10).relu()
loss.backward()
draw(loss).render("loss.svg")
"""

from .draw import draw as draw
from .engine import AnomalyError as AnomalyError
from .engine import Value as Value
from .engine import apply as apply
from .engine import define as define
from .engine import detect_anomaly as detect_anomaly
from .engine import grad as grad
from .engine import no_grad as no_grad
from .engine import topological_order as topological_order
from .engine import where as where
from .gradcheck import GradientError as GradientError
from .gradcheck import gradcheck as gradcheck
from .pickling import FlatGraph as FlatGraph
from .record import Record as Record
from .record import record as record
