"""Wrong (and differently right) solutions of exercise 08."""

import numpy as np

from minigan.networks import stylegan1

# ---- adain


def _normalised(x, axes, eps=1e-8, **kwargs):
    mean = x.mean(axis=axes, keepdims=True)
    return (x - mean) / np.sqrt(x.var(axis=axes, keepdims=True, **kwargs) + eps)


def _styled(x, style, one=1):
    c = x.shape[1]
    return x * (style[:, :c, None, None] + one) + style[:, c:, None, None]


def adain__correct_on_flat_maps(x, style):
    n, c, h, w = x.shape
    flat = x.reshape(n * c, h * w)
    flat = flat - flat.mean(axis=1)[:, None]
    flat = flat / np.sqrt(np.mean(flat**2, axis=1) + 1e-8)[:, None]
    return _styled(flat.reshape(x.shape), style)


def adain__statistics_over_the_batch_too(x, style):
    return _styled(_normalised(x, (0, 2, 3)), style)


def adain__statistics_over_the_channels_too(x, style):
    return _styled(_normalised(x, (1, 2, 3)), style)


def adain__statistics_along_rows_only(x, style):
    return _styled(_normalised(x, 3), style)


def adain__scale_without_one(x, style):
    return _styled(_normalised(x, (2, 3)), style, 0)


def adain__scale_and_shift_swapped(x, style):
    c = x.shape[1]
    return _styled(_normalised(x, (2, 3)), np.concatenate([style[:, c:], style[:, :c]], axis=1))


def adain__scale_and_shift_alternate(x, style):
    return _styled(_normalised(x, (2, 3)), np.concatenate([style[:, ::2], style[:, 1::2]], axis=1))


def adain__variance_of_a_sample(x, style):
    return _styled(_normalised(x, (2, 3), ddof=1), style)


def adain__no_epsilon(x, style):
    return _styled(_normalised(x, (2, 3), 0.0), style)


def adain__epsilon_outside_the_root(x, style):
    return _styled(
        (x - x.mean((2, 3), keepdims=True)) / (x.std((2, 3), keepdims=True) + 1e-8), style
    )


def adain__never_applied(x, style):
    return x


# ---- add_noise


def add_noise__correct_by_einsum(x, noise, strength):
    return x + np.einsum("c,nihw->nchw", strength, noise)


def add_noise__strength_along_the_columns(x, noise, strength):
    if len(strength) == x.shape[3]:
        return x + strength * noise
    return x + strength[:, None, None] * noise


def add_noise__strength_along_the_rows(x, noise, strength):
    if len(strength) == x.shape[2]:
        return x + strength[:, None] * noise
    return x + strength[:, None, None] * noise


def add_noise__first_sample_for_all(x, noise, strength):
    return x + strength[:, None, None] * noise[:1]


def add_noise__one_strength_for_all(x, noise, strength):
    return x + strength.mean() * noise


def add_noise__without_strength(x, noise, strength):
    return x + noise


def add_noise__multiplies(x, noise, strength):
    return x * (1 + strength[:, None, None] * noise)


def add_noise__never_injects(x, noise, strength):
    return x


# ---- after_convolution


def _noisy(x, noise, strength):
    return x + strength[:, None, None] * noise


def _lrelu(x, slope=0.2):
    return np.where(x > 0, x, slope * x)


def after_convolution__correct_bias_first_and_maximum(x, noise, strength, bias, style):
    y = bias[:, None, None] + strength[:, None, None] * noise + x
    return stylegan1.adain(np.maximum(y, 0.2 * y), style)


def after_convolution__adain_before_the_relu(x, noise, strength, bias, style):
    return _lrelu(stylegan1.adain(_noisy(x, noise, strength) + bias[:, None, None], style))


def after_convolution__adain_first(x, noise, strength, bias, style):
    y = stylegan1.adain(x, style)
    return _lrelu(_noisy(y, noise, strength) + bias[:, None, None])


def after_convolution__noise_after_adain(x, noise, strength, bias, style):
    y = stylegan1.adain(_lrelu(x + bias[:, None, None]), style)
    return _noisy(y, noise, strength)


def after_convolution__noise_after_the_relu(x, noise, strength, bias, style):
    y = _lrelu(x + bias[:, None, None])
    return stylegan1.adain(_noisy(y, noise, strength), style)


def after_convolution__bias_after_the_relu(x, noise, strength, bias, style):
    y = _lrelu(_noisy(x, noise, strength)) + bias[:, None, None]
    return stylegan1.adain(y, style)


def after_convolution__another_slope(x, noise, strength, bias, style):
    y = _lrelu(_noisy(x, noise, strength) + bias[:, None, None], 0.01)
    return stylegan1.adain(y, style)


def after_convolution__no_relu(x, noise, strength, bias, style):
    return stylegan1.adain(_noisy(x, noise, strength) + bias[:, None, None], style)


def after_convolution__no_strength(x, noise, strength, bias, style):
    return stylegan1.adain(_lrelu(x + noise + bias[:, None, None]), style)


def after_convolution__no_adain(x, noise, strength, bias, style):
    return _lrelu(_noisy(x, noise, strength) + bias[:, None, None])


# ---- fade_fake, fade_real


def _up(x):
    return np.kron(x, np.ones((2, 2)))


def _down(x):
    return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4


def fade_fake__correct_by_difference(low, high, alpha):
    return high + (1 - alpha) * (_up(low) - high)


def fade_fake__alpha_swapped(low, high, alpha):
    return alpha * _up(low) + (1 - alpha) * high


def fade_fake__tiles_the_picture(low, high, alpha):
    return (1 - alpha) * np.tile(low, (2, 2)) + alpha * high


def fade_fake__jumps(low, high, alpha):
    return high if alpha > 0 else _up(low)


def fade_fake__sum_of_both(low, high, alpha):
    return _up(low) + alpha * (high if alpha < 1 else high - _up(low))


def fade_fake__fades_with_the_root(low, high, alpha):
    return (1 - np.sqrt(alpha)) * _up(low) + np.sqrt(alpha) * high


def fade_real__correct_by_kron(img, alpha):
    return alpha * img + (1 - alpha) * _up(_down(img))


def fade_real__never_fades(img, alpha):
    return img


def fade_real__drops_pixels(img, alpha):
    return (1 - alpha) * _up(img[:, :, ::2, ::2]) + alpha * img


def fade_real__alpha_swapped(img, alpha):
    return alpha * _up(_down(img)) + (1 - alpha) * img


def fade_real__sums_blocks(img, alpha):
    return (1 - alpha) * _up(4 * _down(img)) + alpha * img


def fade_real__jumps(img, alpha):
    return img if alpha > 0 else _up(_down(img))
