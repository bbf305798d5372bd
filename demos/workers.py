"""The gradient of data that is spread over the workers of Dask, for who outgrows one machine.

With this recipe you can, after ``cd demos``,

- see it in two processes of this machine:    python workers.py
- send a step and rows to workers:            there, parts = spread(client, step, rows, 8)
- have the mean loss and its gradient:        value_and_grad(client, there, parts, numbers)

It needs Dask and NumPy: `pip install distributed numpy`. Copy it, and change what you like. With
``Client("tcp://scheduler:8786")`` the workers are those of a cluster; microgrant is installed there
as well, and where llvmlite is, the step is native code. `parts` may also be what the workers have
read themselves: any futures of tables.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from distributed import Client, LocalCluster

import microgrant
from microgrant import Step, Value
from microgrant.nn import MLP
from microgrant.optim import Adam


def spread(client: Client, step: Step, rows: Any, number_of_parts: int) -> tuple[Any, Any]:
    """The step on each worker, which compiles it once, and each part of the rows on one of them."""
    parts = np.array_split(np.asarray(rows), number_of_parts)
    return client.scatter(step, broadcast=True), client.scatter(parts)


def sums(step: Step, numbers: Any, part: Any) -> Any:
    """Of one part: how many rows it has, and the sums of their losses and gradients."""
    loss, gradient = step.value_and_grad(numbers, part)
    return len(part) * np.array([1.0, loss, *gradient])


def value_and_grad(client: Client, there: Any, parts: Any, numbers: Any) -> tuple[float, Any]:
    """The mean loss over the rows of all parts, and its gradient for these parameters."""
    of_each = [client.submit(sums, there, numbers, part) for part in parts]
    count, loss, *gradient = client.submit(sum, of_each).result()  # added up where they are
    return float(loss / count), np.array(gradient) / count


def main() -> None:
    random.seed(1)
    model = MLP(2, [16, 1], activation="tanh")
    x, y = [Value(0.0), Value(0.0)], Value(0.0)
    loss = (model(x) - y) ** 2
    step = microgrant.compile(loss, inputs=[*x, y], parameters=model.parameters())
    corners = np.random.default_rng(1).uniform(-1, 1, size=(10_000, 2))
    rows = np.column_stack([corners, corners.prod(axis=1)])  # y = x1 · x2

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        there, parts = spread(client, step, rows, 7)
        optimizer = Adam(step.parameters, learning_rate=0.05)
        for number in range(31):
            numbers = [p.data for p in step.parameters]
            mean_loss, gradient = value_and_grad(client, there, parts, numbers)
            if number % 10 == 0:
                apart = abs(gradient - step.value_and_grad(numbers, rows)[1]).max()
                print(f"step {number}: loss {mean_loss:.4f}, apart from one machine {apart:.0e}")
            for p, slope in zip(step.parameters, gradient, strict=True):
                p.grad = slope
            optimizer.step()


if __name__ == "__main__":  # a worker imports this program, too
    main()
