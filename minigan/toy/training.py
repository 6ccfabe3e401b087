"""Training the toy: the GAN game in one screen.  Read `toy/model.py` and `losses.py` first.

Each step: D learns to tell real from fake, with R1; then G learns to pass for real; then the moving
average of G's weights, the generator one keeps, takes a small step towards them.
"""

import dataclasses

import numpy as np

from minigan import autograd, latents, losses, optim, progress, toy
from minigan.data import signals


@dataclasses.dataclass(frozen=True)
class Training:
    """How to train.  The defaults train a toy in well under a minute."""

    steps: int = 1200
    batch: int = 32
    lr: float = 0.003
    gamma: float = 0.5  # of R1
    r1_interval: int = 4  # R1 in every 4th step, with 4 times the weight (lazy, StyleGAN2 §3.1)
    ema_half_life: float = 5000.0  # images
    w_avg_beta: float = 0.995  # decay of w̄ per step
    mixing_prob: float = 0.0  # share of steps in which two styles are mixed (§3.1: 0.9)


def d_loss(d_params, D, real, fake, gamma):
    """D's loss and R1 (none if gamma is 0); D's parameters come first, to differentiate by them."""
    D = dataclasses.replace(D, params=d_params)
    loss = losses.d_logistic(D(real), D(fake))
    return loss if gamma == 0 else loss + losses.r1_penalty(D, real, gamma)


def g_loss(g_params, G, D, z, rng, mixing_prob=0.0):
    """G's loss, and the mean of w as aux; fresh noise from rng; perhaps two styles mixed."""
    G = dataclasses.replace(G, params=g_params)
    ws = G.mapping(z)
    w_mean = np.mean(ws[:, 0], axis=0)
    if rng.random() < mixing_prob:
        other = G.mapping(rng.standard_normal(z.shape, np.float32))
        ws = latents.style_mix(ws, other, int(rng.integers(1, G.num_ws)))
    return losses.g_nonsaturating(D(G.synthesis(ws, "random", rng))), w_mean


def train(config, rng, training=None, on_step=None):
    """Train a toy on `signals`.  Returns (generator of averaged weights, discriminator, history).

    rng: numpy Generator; the same seed gives the same weights.  on_step(step, G_ema): called after
    each step, to watch.  history: one dict a step, {"d_loss", "g_loss"}.  A progress bar is
    shown unless MINIGAN_QUIET=1.
    Raises: FloatingPointError that names the step, once a loss or a weight is no longer finite.
    """
    t = Training() if training is None else training
    G, D = toy.Generator.init(config, rng), toy.Discriminator.init(config, rng)
    average = G
    adam = optim.Adam(t.lr)
    g_state, d_state = adam.init(G.params), adam.init(D.params)
    history = []
    for step in progress.bar(range(t.steps), f"toy, {config.style}"):
        real = signals.sample(t.batch, rng)
        z = rng.standard_normal((t.batch, config.z_dim), np.float32)
        fake = G(z, noise_mode="random", rng=rng)
        gamma = t.gamma * t.r1_interval if step % t.r1_interval == 0 else 0
        loss_d, grads = autograd.value_and_grad(d_loss)(D.params, D, real, fake, gamma)
        params, d_state = adam.step(D.params, grads, d_state)
        D = dataclasses.replace(D, params=params)

        z = rng.standard_normal((t.batch, config.z_dim), np.float32)
        (loss_g, w_mean), grads = autograd.value_and_grad(g_loss, has_aux=True)(
            G.params, G, D, z, rng, t.mixing_prob
        )
        params, g_state = adam.step(G.params, grads, g_state)
        w_avg = w_mean + t.w_avg_beta * (G.w_avg - w_mean)
        G = dataclasses.replace(G, params=params, buffers=G.buffers | {"mapping.w_avg": w_avg})

        beta = optim.ema_beta(t.batch, min(t.ema_half_life, 0.05 * t.batch * (step + 1)))
        average = dataclasses.replace(
            G, params=optim.ema(average.params, params, beta)
        )  # the buffers are G's own: w̄ is an average already
        history.append({"d_loss": float(loss_d), "g_loss": float(loss_g)})
        arrays = (loss_d, loss_g, *D.params.values(), *G.params.values())
        if not all(np.isfinite(a).all() for a in arrays):
            raise FloatingPointError(
                f"training came apart at step {step} (d_loss {loss_d:.3g}, g_loss {loss_g:.3g}); "
                "a lower lr or a higher gamma may help"
            )
        if on_step is not None:
            on_step(step, average)
    return average, D, history
