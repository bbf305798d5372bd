"""What NumPy's functions make of Values, checked and run like natural.py.

Its stubs leave functions of two arguments, such as np.maximum, to arrays: a.maximum(b) is known.
"""

from __future__ import annotations

import numpy as np

from microgrant import Value

a, b = Value(0.5, "a"), Value(np.float32(2))
for result in (np.exp(a), np.log(b), np.sqrt(b), np.tanh(a), np.sin(a), np.square(a), np.abs(a)):
    result.backward()
(np.exp(-a) * np.float32(2) + 1).backward()
matrix = np.array([[a, b], [b, a]])
total = np.tanh(matrix).sum() + np.dot(matrix, matrix)[0, 1] + (matrix * a).mean()
total.backward()
print(a.grad, np.std(matrix), np.polyval([1, 2], matrix)[0, 0].data)
