"""What G and D minimise.  Each loss is a mean over the batch of a value per sample.

The non-saturating logistic loss and R1 train StyleGAN (on FFHQ), 2 and 3; path length came with 2;
WGAN-GP is that of StyleGAN on CelebA-HQ.
"""

import math

import numpy as np

from minigan import autograd


def softplus(x):
    """log(1 + exp(x)), elementwise, without overflow."""
    return np.logaddexp(x, 0.0)


def d_logistic(real_logits, fake_logits):
    """D's loss: mean softplus(−D(real)) + mean softplus(D(fake)).  Logits [N, 1]; returns ().

    Goodfellow et al. 2014, Eq. 1, as −log sigmoid; used by StyleGAN (on FFHQ), 2 and 3.
    """
    return np.mean(softplus(-real_logits)) + np.mean(softplus(fake_logits))


def g_nonsaturating(fake_logits):
    """G's loss: mean softplus(−D(fake)).  Logits [N, 1]; returns ().

    Goodfellow et al. 2014, §3: maximise log D(G(z)), which still has a slope where D is sure,
    unlike minimising log(1 − D(G(z))).
    """
    return np.mean(softplus(-fake_logits))


def r1_penalty(discriminator, images, gamma):
    """(γ/2)·mean ‖∇ₓ D(x)‖² over real images x; the square is summed over channels and positions.

    discriminator: images [N, C, …] -> logits [N, 1].  gamma: γ ≥ 0.  Returns ().
    Mescheder et al. 2018 (arXiv 1801.04406), Eq. 9.  To train D it is differentiated once more,
    with respect to D's parameters: a gradient of a gradient.
    """
    # Sample n's logit depends on image n (and, through minibatch statistics, a little on the rest),
    # so the gradient of the sum is the stack of the gradients.
    slopes = autograd.grad(lambda x: np.sum(discriminator(x)))(images)
    return 0.5 * gamma * np.sum(np.square(slopes)) / images.shape[0]


def path_length(synthesis, ws, noise, pl_mean, decay=0.01):
    """(mean (ℓ − a)², the new a): how unevenly a step in W moves the image (StyleGAN2 §3.2, Eq. 4).

    synthesis: ws [N, L, w_dim] -> images [N, C, H, W].  noise [N, C, H, W]: N(0, 1); divided by
    √(H·W) here, it is y.  ℓ = √(mean over layers of ‖∂⟨image, y⟩/∂w‖²), per sample.  a: its moving
    average, pl_mean before; the new one includes this batch and takes part in the gradient, as in
    the official code.  Weigh the result with γ = 2, and by the interval if lazy.
    """
    y = noise * (1 / math.sqrt(math.prod(noise.shape[2:])))
    jacobian = autograd.grad(lambda w: np.sum(synthesis(w) * y))(ws)
    layers = math.sqrt(jacobian.shape[1])
    lengths = np.linalg.norm(np.reshape(jacobian, (len(ws), -1)), axis=1) / layers  # [N]
    pl_mean = pl_mean + decay * (np.mean(lengths) - pl_mean)
    return np.mean(np.square(lengths - pl_mean)), pl_mean


def d_wgan(real_logits, fake_logits, drift=0.001):
    """D's Wasserstein loss: mean D(fake) − mean D(real), and a drift that keeps D near 0.

    Gulrajani et al. 2017 (arXiv 1704.00028), Eq. 3; the drift is PG-GAN's (App. A.1).
    """
    loss = np.mean(fake_logits) - np.mean(real_logits)
    return loss + drift * np.mean(np.square(real_logits))


def g_wgan(fake_logits):
    """G's Wasserstein loss: −mean D(fake)."""
    return -np.mean(fake_logits)


def gradient_penalty(discriminator, real, fake, t, weight=10.0, target=1.0):
    """weight·mean (‖∇D(x̂)‖ − target)²/target², x̂ between real and fake (Gulrajani et al., Eq. 3).

    real, fake [N, C, …]; t [N], uniform on [0, 1]: how far x̂ lies towards the fake.
    """
    t = np.reshape(t, (-1, *[1] * (real.ndim - 1)))
    between = real + t * (fake - real)
    slopes = autograd.grad(lambda x: np.sum(discriminator(x)))(between)
    norms = np.linalg.norm(np.reshape(slopes, (len(real), -1)), axis=1)  # at 0 its gradient is 0
    return (weight / target**2) * np.mean(np.square(norms - target))


def d_relativistic(real_logits, fake_logits):
    """D's loss: mean softplus(D(fake) − D(real)), pair by pair.  Logits [N, 1]; returns ().

    Jolicoeur-Martineau 2018 (arXiv 1807.00734); R3GAN's, there with R1 and R2 (arXiv 2501.05441,
    Eq. 2).  A fake is judged beside a real one, not against a fixed mark, so that no region of the
    data can be left out for long.
    """
    return np.mean(softplus(fake_logits - real_logits))


def g_relativistic(real_logits, fake_logits):
    """G's loss: mean softplus(D(real) − D(fake)), the same game the other way.  Returns ()."""
    return np.mean(softplus(real_logits - fake_logits))
