"""Worked examples that textbooks and lectures print, with the digits that they print.

With this module you can

- have one of them:      example = EXAMPLES["mazur"]
- compute it:            root = evaluate(example.expression, example.values)
- compare:               example.result, example.gradients["w5"], example.updated["w5"]
- see it beside ours:    print(example.compared())

``python -m microgrant --example`` lists them, and ``--example mazur`` shows one. The tests hold
each to its last digit, but for what a source has rounded on its way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .engine.value import Value
from .expression import evaluate
from .ops.numbers import aligned

__all__ = ["EXAMPLES", "PROGRAMS", "Example"]


@dataclass(frozen=True)
class Example:
    """One expression of a book or lecture, and what is printed there.

    title: what it is.
    source: who prints it, and where.
    expression, values: what to compute, as `microgrant.expression.evaluate` takes them.
    result, gradients: the digits that are printed, of what is printed.
    learning_rate, parameters: of the update that is printed as well, if one is; a rate below 0 goes
        uphill.
    result_then, updated: the digits after that update, of the result and of parameters.
    rounded: whether the source rounded on its way, so that its last digit may be one off.
    """

    title: str
    source: str
    expression: str
    values: Mapping[str, float]
    result: str = ""
    gradients: Mapping[str, str] = field(default_factory=dict)
    learning_rate: float = 0.0
    parameters: tuple[str, ...] = ()
    result_then: str = ""
    updated: Mapping[str, str] = field(default_factory=dict)
    rounded: bool = False

    @property
    def typed(self) -> dict[str, str]:
        """The values, as one would type them.

        >>> EXAMPLES["olah"].typed
        {'a': '2', 'b': '1'}
        """
        return {name: repr(x).removesuffix(".0") for name, x in self.values.items()}

    def compared(self) -> str:
        """A table of what is printed, and of what is computed here, with as many digits.

        The update is that of the source, and its result is computed also where none is printed.

        >>> print(EXAMPLES["olah"].compared())
          what  printed  computed
        result        6         6
            ∂a        2         2
            ∂b        5         5
        """
        lines = [["what", "printed", "computed"]]
        for what, printed, computed in self._rows():
            here = _rounded(computed, printed)
            line = [what, printed.replace("-", "−"), here.replace("-", "−")]
            differs = self.rounded and here != printed
            lines.append([*line, "the source rounded on its way"] if differs else line)
        return aligned(lines)

    def _rows(self) -> Iterator[tuple[str, str, float]]:
        """What is computed: its name, the digits that are printed of it, and its value."""
        leaves = {name: Value(x, name) for name, x in self.values.items()}
        root = evaluate(self.expression, leaves)
        root.backward()
        yield "result", self.result, root.data
        for name, printed in self.gradients.items():
            yield f"∂{name}", printed, leaves[name].grad
        if not self.parameters:
            return
        for name in self.parameters:
            leaves[name].data -= self.learning_rate * leaves[name].grad
        yield "after the update: result", self.result_then, evaluate(self.expression, leaves).data
        for name, printed in self.updated.items():
            yield f"after the update: {name}", printed, leaves[name].data


def _rounded(computed: float, printed: str) -> str:
    """A number with as many decimals as are printed; with nine where nothing is."""
    decimals = len(printed.partition(".")[2]) if printed else 9
    return f"{round(computed, decimals) + 0.0:.{decimals}f}"  # + 0.0 takes the sign of −0 away


def _numbers(text: str) -> dict[str, float]:
    return {name: float(digits) for name, digits in _digits(text).items()}


def _digits(text: str) -> dict[str, str]:
    pairs = (each.partition("=") for each in text.split())
    return {name: digits for name, _, digits in pairs}


CS231N = 'CS231n notes, "Backpropagation, Intuitions"'
MICROGRAD = "A. Karpathy, micrograd lecture"
EXERCISES = "A. Karpathy, micrograd exercises"
NG = "A. Ng, courses on machine learning"

EXAMPLES: dict[str, Example] = {
    "cs231n-sum": Example(
        title="a sum and a product",
        source=CS231N,
        expression="q = x + y; q*z",
        values=_numbers("x=-2 y=5 z=-4"),
        result="-12",
        gradients=_digits("x=-4 y=-4 z=3"),
    ),
    "cs231n-sigmoid": Example(
        title="a neuron with a sigmoid",
        source=CS231N,
        expression="sigmoid(w0*x0 + w1*x1 + w2)",
        values=_numbers("w0=2 x0=-1 w1=-3 x1=-2 w2=-3"),
        result="0.73",
        gradients=_digits("w0=-0.20 x0=0.39 w1=-0.39 x1=-0.59 w2=0.20"),
    ),
    "cs231n-max": Example(
        title="how +, × and max pass a gradient on",
        source=CS231N,
        expression="2*(x*y + max(z, w))",
        values=_numbers("x=3 y=-4 z=2 w=-1"),
        result="-20",
        gradients=_digits("x=-8 y=6 z=2 w=0"),
    ),
    "cs224n": Example(
        title="a value that is used twice",
        source="CS224n notes on computation graphs",
        expression="a = x + y; b = max(y, z); f = a*b",
        values=_numbers("x=1 y=2 z=0"),
        result="6",
        gradients=_digits("x=2 y=5 z=0"),
    ),
    "karpathy": Example(
        title="the first graph of the lecture, and a step uphill",
        source=MICROGRAD,
        expression="e = a*b; d = e + c; L = d*f",
        values=_numbers("a=2 b=-3 c=10 f=-2"),
        result="-8",
        gradients=_digits("a=6 b=-4 c=-2 f=4"),
        learning_rate=-0.01,
        parameters=("a", "b", "c", "f"),
        result_then="-7.286496",
    ),
    "karpathy-neuron": Example(
        title="a neuron with tanh",
        source=MICROGRAD,
        expression="n = x1*w1 + x2*w2 + b; o = tanh(n)",
        values=_numbers("x1=2 x2=0 w1=-3 w2=1 b=6.8813735870195432"),
        result="0.7071",
        gradients=_digits("x1=-1.5 w1=1.0 x2=0.5 w2=0"),
    ),
    "karpathy-exercise": Example(
        title="powers, a sine and a quotient",
        source=EXERCISES,
        expression="-a**3 + sin(3*b) - 1/c + b**2.5 - a**0.5",
        values=_numbers("a=2 b=3 c=4"),
        result="6.336362190988558",
        gradients=_digits("a=-12.353553390593273 b=10.25699027111255 c=0.0625"),
    ),
    "karpathy-softmax": Example(
        title="the cross-entropy of four classes",
        source=EXERCISES,
        expression=(
            "c0 = exp(z0); c1 = exp(z1); c2 = exp(z2); c3 = exp(z3); "
            "p3 = c3/(c0 + c1 + c2 + c3); -log(p3)"
        ),
        values=_numbers("z0=0 z1=3 z2=-2 z3=1"),
        result="2.1755153626167147",
        gradients=_digits(
            "z0=0.041772570515 z1=0.839024507463 z2=0.005653302662 z3=-0.886450380640"
        ),
    ),
    "mazur": Example(
        title="two hidden neurons, two outputs, and one update",
        source='M. Mazur, "A Step by Step Backpropagation Example"',
        expression=(
            "h1 = sigmoid(w1*i1 + w2*i2 + b1); h2 = sigmoid(w3*i1 + w4*i2 + b1); "
            "o1 = sigmoid(w5*h1 + w6*h2 + b2); o2 = sigmoid(w7*h1 + w8*h2 + b2); "
            "E = (t1 - o1)**2/2 + (t2 - o2)**2/2"
        ),
        values=_numbers(
            "i1=0.05 i2=0.10 b1=0.35 b2=0.60 t1=0.01 t2=0.99 w1=0.15 w2=0.20 w3=0.25 w4=0.30 "
            "w5=0.40 w6=0.45 w7=0.50 w8=0.55"
        ),
        result="0.298371109",
        gradients=_digits("w5=0.082167041"),
        learning_rate=0.5,
        parameters=("w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8"),  # its biases stay
        # The error that it prints after the update is not that of the weights that it prints.
        updated=_digits(
            "w1=0.149780716 w2=0.19956143 w3=0.24975114 w4=0.29950229 w5=0.35891648 "
            "w6=0.408666186 w7=0.511301270 w8=0.561370121"
        ),
    ),
    "prince": Example(
        title="a chain of four functions, and a loss",
        source='S. Prince, "Understanding Deep Learning", chapter 7, example 7.1 and its notebook',
        expression=(
            "f = beta3 + omega3*cos(beta2 + omega2*exp(beta1 + omega1*sin(beta0 + omega0*x))); "
            "(f - y)**2"
        ),
        values=_numbers(
            "beta0=1 beta1=2 beta2=-3 beta3=0.4 omega0=0.1 omega1=-0.4 omega2=2 omega3=3 x=2.3 y=2"
        ),
        result="0.139",
        gradients=_digits(
            "beta0=2.281 beta1=-17.060 beta2=-1.683 beta3=0.745 omega1=-16.079 omega2=-8.530 "
            "omega3=0.489"
        ),
    ),
    "baydin": Example(
        title="every value of the forward and of the reverse mode",
        source='Baydin et al., "Automatic Differentiation in Machine Learning: a Survey"',
        expression="ln(x1) + x1*x2 - sin(x2)",
        values=_numbers("x1=2 x2=5"),
        result="11.652",
        gradients=_digits("x1=5.5 x2=1.716"),
    ),
    "griewank": Example(
        title="a quotient that is used three times",
        source='Griewank and Walther, "Evaluating Derivatives", table 1.2 and what follows it',
        expression="q = x1/x2; r = exp(x2); s = q - r; (sin(q) + s)*s",
        values=_numbers("x1=1.5 x2=0.5"),
        result="2.0167",
        gradients=_digits("x1=3.0118 x2=-13.7239"),
        rounded=True,  # to four decimals in each line: without that, 2.0166 and -13.7240
    ),
    "olah": Example(
        title="one sum after the other",
        source='C. Olah, "Calculus on Computational Graphs"',
        expression="c = a + b; d = b + 1; e = c*d",
        values=_numbers("a=2 b=1"),
        result="6",
        gradients=_digits("a=2 b=5"),
    ),
    "ng": Example(
        title="a computation graph of three operations",
        source=NG,
        expression="u = b*c; v = a + u; J = 3*v",
        values=_numbers("a=5 b=3 c=2"),
        result="33",
        gradients=_digits("a=3 b=6 c=9"),
    ),
    "ng-check": Example(
        title="a gradient check of θ³, from both sides",
        source=NG,
        expression="((theta + epsilon)**3 - (theta - epsilon)**3) / (2*epsilon)",
        values=_numbers("theta=1 epsilon=0.01"),
        result="3.0001",
    ),
    "ng-check-one-sided": Example(
        title="a gradient check of θ³, from one side",
        source=NG,
        expression="((theta + epsilon)**3 - theta**3) / epsilon",
        values=_numbers("theta=1 epsilon=0.01"),
        result="3.0301",
    ),
    "xor": Example(
        title="four rows of a network without biases, which does not learn XOR (lesson 04)",
        source='"Backpropagation Algorithm in Machine Learning"',
        # Of the row 0, 0 both hidden neurons say 1/2.
        expression=(
            "o1 = sigmoid(w1/2 + w2/2); "
            "o2 = sigmoid(w1*sigmoid(u21) + w2*sigmoid(u22)); "
            "o3 = sigmoid(w1*sigmoid(u11) + w2*sigmoid(u12)); "
            "o4 = sigmoid(w1*sigmoid(u11 + u21) + w2*sigmoid(u12 + u22)); "
            "E = (o1**2 + (1 - o2)**2 + (1 - o3)**2 + o4**2)/2"
        ),
        values=_numbers(
            "u11=-0.165955990594852 u12=0.4406489868843162 u21=-0.9997712503653102 "
            "u22=-0.39533485473632046 w1=-0.7064882183657739 w2=-0.8153228104624044"
        ),
        learning_rate=0.1,
        parameters=("u11", "u12", "u21", "u22", "w1", "w2"),
    ),
}
"""The examples that are one expression, by name."""

PROGRAMS: dict[str, tuple[str, str, str]] = {
    "microgpt": (
        "a GPT of scalars, which learns a list of names",
        "A. Karpathy, microgpt",
        "python demos/microgpt.py",
    ),
}
"""Those that are whole programs: a title, the source, and what runs it in a checkout."""
