"""What a type checker is to refuse: every line that is marked, and no other."""

from __future__ import annotations

import math

import numpy as np

import microgrant
from microgrant import Value, compile, grad, softmax, where
from microgrant.nn import MLP, Linear, Neuron, Sequential
from microgrant.optim import SGD

v, w = Value(1.0, "v"), Value(2.0)
model = MLP(2, [4, 1])

math.exp(v)  # refused
float(v)  # refused
round(v)  # refused
int(v)  # refused
Value("1")  # refused
Value(v)  # refused
Value(None)  # refused
Value([1.0])  # refused
Value(np.zeros(3))  # refused
v + "1"  # refused
v * None  # refused
v * [1.0]  # refused
"1" + v  # refused
v ** "2"  # refused
v.maximum("1")  # refused
v.clip("0", 1)  # refused
v.data = w  # refused
v.data = None  # refused
v.grad = "1"  # refused
v.grad = w  # refused
v.label = 3  # refused
v.backwards()  # refused
sum([v, w]).backward()  # refused
where([True], v, w)  # refused
where(v > 0, v, None)  # refused
grad(v, 1.0)  # refused
grad(v, w).backward()  # refused
model([1, 2]).backwards()  # refused
Neuron(2)([1, 2])[0]  # refused
for _ in Neuron(2)([1, 2]):  # refused
    pass
Sequential([model])  # refused
Linear(2, 3, bias=False)  # refused
softmax([v, w], dim=0)  # refused
microgrant.tensor(2.0)  # refused
microgrant.nn.MSELoss()  # refused
SGD(model, 0.1)  # refused
SGD(model.parameters(), "0.1")  # refused
compile(v, inputs=w)  # refused
compile(v).value([])  # refused

# And what is right.
print(math.exp(v.data), v.maximum(1), model([1, 2])[0], v * np.array([v, w]))
SGD(model.parameters(), 0.1).step()
