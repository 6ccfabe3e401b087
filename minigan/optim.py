"""Adam and the moving average of weights, on flat dicts of arrays.  Nothing is changed in place."""

import dataclasses
import math

import numpy as np


@dataclasses.dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba 2015, Algorithm 1), with the defaults of all StyleGANs: β₁ = 0.

    lr: step size; betas: decay of the first and second moment per step; eps: added to the root.
    """

    lr: float = 0.002
    betas: tuple = (0.0, 0.99)
    eps: float = 1e-8

    def lazy(self, interval):
        """The optimiser for a network whose regulariser runs every `interval` steps only.

        lr·c and βᶜ with c = k/(k+1), so that k+1 updates weigh as k (StyleGAN2, App. B).
        """
        c = interval / (interval + 1)
        return Adam(self.lr * c, tuple(beta**c for beta in self.betas), self.eps)

    def init(self, params):
        """The state before the first step: {"step": 0, "m": zeros, "v": zeros}."""
        zeros = {name: np.zeros_like(p) for name, p in params.items()}
        return {"step": 0, "m": zeros, "v": dict(zeros)}

    def step(self, params, grads, state):
        """(new params, new state).  All are dicts with the same names and shapes.

        Raises: ValueError if the names differ or a gradient has another shape than its parameter.
        """
        if params.keys() != grads.keys():
            odd = sorted(params.keys() ^ grads.keys())
            raise ValueError(f"Adam.step: params and grads differ in the names {odd}")
        beta1, beta2 = self.betas
        t = state["step"] + 1
        new, m, v = {}, {}, {}
        for name, p in params.items():
            g = grads[name]
            if g.shape != p.shape:
                raise ValueError(
                    f"Adam.step: grads[{name!r}] has shape {g.shape}; expected {p.shape}"
                )
            # With β₁ = 0 the average is the gradient itself.
            m[name] = beta1 * state["m"][name] + (1 - beta1) * g if beta1 else g
            v[name] = beta2 * state["v"][name] + (1 - beta2) * (g * g)
            root = np.sqrt(v[name]) / math.sqrt(1 - beta2**t) + self.eps
            new[name] = p - (self.lr / (1 - beta1**t)) * m[name] / root
        return new, {"step": t, "m": m, "v": v}


def ema_beta(batch, half_life):
    """Decay per step of an average with a half-life in images: 0.5^(batch/half_life)."""
    return 0.5 ** (batch / half_life)


def ema(average, current, beta):
    """beta·average + (1 − beta)·current, for dicts with the same names."""
    return {name: beta * a + (1 - beta) * current[name] for name, a in average.items()}
