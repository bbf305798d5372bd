"""Models for other libraries: the road for those who outgrow scalars.

With this package you can

- go on in PyTorch:                        network = to_torch(model)
- run a model wherever ONNX runs:          to_onnx(model, "model.onnx")
- say of what shape its inputs are:        to_onnx(model, "digits.onnx", (1, 8, 8))

Both compute what the model computes, in double precision and for many examples at once: arrays have
an axis more, in front, for the rows. A model that returns a single number, such as a `Layer` of one
neuron, gives a column: an array of the shape (n, 1).
"""

from .onnx_file import to_onnx
from .pytorch import to_torch

__all__ = ["to_onnx", "to_torch"]
