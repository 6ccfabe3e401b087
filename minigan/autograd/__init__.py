"""Reverse-mode differentiation of plain NumPy code, to any order.

`grad(f)` calls f with `Variable`s in place of arrays.  Whatever NumPy function f uses finds the
variable through NumPy's own dispatch protocols (NEP 13 `__array_ufunc__`, NEP 18
`__array_function__`), computes on the array inside, and leaves a node that remembers how to send a
gradient back.  The backward pass walks the nodes from the last to the first.  Since every rule is
written in these same functions, a backward pass over variables is itself recorded: the gradient of
a gradient (R1, path length) needs no further code.

Read in this order:
    variable.py     the array that records, and `primitive`, the one way to add a rule
    rules.py        the table: a line per function, its derivative beside it
    transforms.py   grad, value_and_grad, vjp, stop_gradient, check_grads, and the backward pass

Sources: reverse accumulation, Griewank & Walther, "Evaluating Derivatives" (2008), ch. 3; one level
for each nested grad, against perturbation confusion, Siskind & Pearlmutter (2005).
"""

from minigan.autograd import rules as _rules  # noqa: F401  (fills the table)
from minigan.autograd.transforms import check_grads, grad, stop_gradient, value_and_grad, vjp
from minigan.autograd.variable import Variable, primitive, supported

__all__ = [
    "Variable",
    "check_grads",
    "grad",
    "primitive",
    "stop_gradient",
    "supported",
    "value_and_grad",
    "vjp",
]
