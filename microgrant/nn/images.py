"""Layers for images: convolutions and pools. An image is lists [channel][row][column].

With this module you can

- look for patterns:       Conv2d(1, 4, 3, activation="relu")
- look less closely:       MaxPool2d(2), MeanPool2d(2)
- go on with neurons:      Sequential(Conv2d(1, 4, 3), MaxPool2d(2), Flatten(), Layer(36, 10))
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any, TypeAlias, TypeVar

from ..engine.arguments import shown, whole_number
from ..engine.value import Value, as_value
from .activations import Activations, one_each
from .arguments import as_leaf, lists
from .module import Module
from .neurons import Neuron, Neurons

__all__ = ["Conv2d", "Flatten", "Image", "MaxPool2d", "MeanPool2d", "padded", "windows"]

Element = TypeVar("Element")
Image: TypeAlias = list[list[list[Element]]]


class Flatten(Module):
    """The numbers of an image, or of other nested lists, in one list.

    >>> Flatten()([[[1.0, 2.0]], [[3.0, 4.0]]])[2]
    Value(data=3.0, grad=0.0)
    """

    def forward(self, x: Any) -> list[Value]:
        """Each number as a Value, in the order in which the lists are printed."""
        x = lists(x)
        if not isinstance(x, list):
            return [as_leaf(x)]
        return [value for element in x for value in self.forward(element)]


class Conv2d(Neurons):
    """A convolution: each neuron sees an image through a window, from wherever the window fits.

    kernel_size: how many rows and columns of each channel a window shows.
    stride: by how much it is moved at a time.
    padding: how many rows and columns of zeros are put around the image.
    activation, init: as in a `Layer`, whose neurons are the channels.

    The inputs of a neuron are what the window shows, channel by channel and row by row. What it
    says from everywhere is one channel of the image that is returned.

    >>> conv = Conv2d(1, 4, 3, padding=1, activation="relu")
    >>> image = conv([[[0.0] * 8] * 8])  # an image of one channel, 8×8
    >>> conv, len(image), len(image[0]), len(image[0][0])
    (<Conv2d 1→4 3×3 stride 1 padding 1 relu>, 4, 8, 8)
    """

    _words = (
        "Conv2d {self.channels_in}→{self.channels_out} {self.kernel_size}×{self.kernel_size} "
        "stride {self.stride} padding {self.padding} {self.activation}"
    )

    def __init__(
        self, channels_in: int, channels_out: int, kernel_size: int, stride: int = 1,
        padding: int = 0, activation: Activations = "linear", init: str = "uniform",
    ) -> None:  # fmt: skip
        self.channels_in = whole_number("channels_in", channels_in)
        self.channels_out = whole_number("channels_out", channels_out)
        self.kernel_size = whole_number("kernel_size", kernel_size)
        self.stride = whole_number("stride", stride)
        self.padding = whole_number("padding", padding, least=0)
        self.init = init
        nin, nout = (n * self.kernel_size**2 for n in (self.channels_in, self.channels_out))
        each = one_each(activation, self.channels_out, "channels")
        self.neurons = [Neuron(nin, True, x, init, nout) for x in each]

    def forward(self, x: Any) -> Image[Value]:
        """One channel from each neuron."""
        image = padded(_image(self, x, self.channels_in), self.padding, as_value(0.0))
        rows = windows(self, image, self.kernel_size, self.stride)
        return [[[neuron(seen) for seen in row] for row in rows] for neuron in self.neurons]


class _Pool2d(Module):
    pool: Callable[[list[Value]], Value]

    def __init__(self, size: int) -> None:
        self.size = whole_number("size", size)

    def forward(self, x: Any) -> Image[Value]:
        """One number for each window, channel by channel."""
        channels = [windows(self, [rows], self.size, self.size) for rows in _image(self, x)]
        return [[[self.pool(seen) for seen in row] for row in rows] for rows in channels]


class MaxPool2d(_Pool2d):
    """The largest number in each window of size×size; windows lie side by side, channel by channel.

    Rows and columns that are left over at the end do not count. Of several that are equally large,
    each gets an equal share of the gradient; PyTorch gives it to the first.

    >>> MaxPool2d(2)([[[1.0, 2.0], [4.0, 3.0]]])
    [[[Value(data=4.0, grad=0.0)]]]
    """

    _words = "MaxPool2d {self.size}×{self.size}"
    pool = staticmethod(lambda values: Value.maximum(*values))


class MeanPool2d(_Pool2d):
    """The mean of each window of size×size; windows lie as those of `MaxPool2d` do.

    >>> MeanPool2d(2)([[[1.0, 2.0], [4.0, 3.0]]])
    [[[Value(data=2.5, grad=0.0)]]]
    """

    _words = "MeanPool2d {self.size}×{self.size}"
    pool = staticmethod(lambda values: reduce(operator.add, values) / len(values))


def _image(module: Module, x: Any, channels: int | None = None) -> Image[Value]:
    """The numbers of an image as Values."""
    kind, image = type(module).__name__, lists(x)
    try:
        sizes = {(len(rows), len(row)) for rows in image for row in rows or [[]]}
    except TypeError:
        raise TypeError(
            f"the {kind} takes an image as lists [channel][row][column], but got {shown(x)}: of "
            "rows alone, [rows] makes an image of one channel"
        ) from None
    if channels not in (None, len(image)):
        many = "s" * (channels != 1)
        raise ValueError(f"the {kind} takes {channels} channel{many}, but got {len(image)}")
    if len(sizes) != 1:
        found = " and ".join(f"{height}×{width}" for height, width in sorted(sizes)) or "no rows"
        raise ValueError(f"all channels of an image are of one size, but the {kind} got {found}")
    return [[[*map(as_leaf, row)] for row in rows] for rows in image]


def padded(image: Image[Element], padding: int, zero: Element) -> Image[Element]:
    """An image with so many rows and columns of zeros around it."""
    width = max(map(len, image[0]), default=0)
    side, above = [zero] * padding, [[zero] * (width + 2 * padding)] * padding
    return [[*above, *([*side, *row, *side] for row in rows), *above] for rows in image]


def windows(module: Module, image: Image[Element], size: int, stride: int) -> Image[Element]:
    """For each place of a window: what it shows of all channels, in one list."""
    height, width = len(image[0]), max(map(len, image[0]), default=0)
    if min(height, width) < size:
        raise ValueError(
            f"the {type(module).__name__} looks through a window of {size}×{size}, which is larger "
            f"than the image of {height}×{width}"
        )
    return [
        [
            [x for rows in image for row in rows[top : top + size] for x in row[left : left + size]]
            for left in range(0, width - size + 1, stride)
        ]
        for top in range(0, height - size + 1, stride)
    ]
