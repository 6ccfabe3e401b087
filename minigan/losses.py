"""What G and D minimise.  Each loss is a mean over the batch of a value per sample.

So far the non-saturating logistic loss and R1, which train StyleGAN 1, 2 and 3.
"""

import numpy as np

from minigan import autograd


def softplus(x):
    """log(1 + exp(x)), elementwise, without overflow."""
    return np.logaddexp(x, 0.0)


def d_logistic(real_logits, fake_logits):
    """D's loss: mean softplus(−D(real)) + mean softplus(D(fake)).  Logits [N, 1]; returns ().

    Goodfellow et al. 2014, Eq. 1, as −log sigmoid; in every StyleGAN.
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
