"""Compile the recorded step: the graph that was drawn becomes the program that trains.

With this package you can

- compile the loss of one example:           step = compile(loss, inputs=[*x, y], parameters=ps)
- run the step over many examples:           mean_loss = step(rows)
- train, update and all:                     losses = step.train(rows, optimizer, epochs=100)
- read what was compiled:                    print(step.source)
- compile a predictor:                       predict = compile(score, inputs=x); predict(rows)
"""

from .step import DecisionWarning, Predictor, Step, compile
from .targets import TargetWarning

__all__ = ["DecisionWarning", "Predictor", "Step", "TargetWarning", "compile"]
