"""Wrong (and differently right) solutions of exercise 09."""

import numpy as np

from minigan.autograd import grad, stop_gradient
from minigan.ops import conv2d

# ---- modulated_weights


def _normed(w, axes, eps=1e-8):
    return w / np.sqrt(np.sum(w**2, axis=axes, keepdims=True) + eps)


def _modulated(w, s):
    return w * s[:, None, :, None, None]


def modulated_weights__correct_by_einsum(w, s):
    own = np.einsum("oihw,ni->noihw", w, s)
    return own / np.sqrt(np.einsum("noihw,noihw->no", own, own) + 1e-8)[:, :, None, None, None]


def modulated_weights__without_demodulation(w, s):
    return _modulated(w, s)


def modulated_weights__without_style(w, s):
    return _normed(np.broadcast_to(w, (len(s), *w.shape)), (2, 3, 4))


def modulated_weights__norm_over_the_kernel_only(w, s):
    return _normed(_modulated(w, s), (3, 4))


def modulated_weights__norm_over_the_outputs(w, s):
    return _normed(_modulated(w, s), (1, 3, 4))


def modulated_weights__one_norm_for_the_batch(w, s):
    own = _modulated(w, s)
    norm = np.sqrt(np.mean(np.sum(own**2, axis=(2, 3, 4), keepdims=True), axis=0) + 1e-8)
    return own / norm


def modulated_weights__norm_before_the_style(w, s):
    return _modulated(_normed(w, (1, 2, 3)), s)


def modulated_weights__no_root(w, s):
    own = _modulated(w, s)
    return own / (np.sum(own**2, axis=(2, 3, 4), keepdims=True) + 1e-8)


def modulated_weights__no_epsilon(w, s):
    with np.errstate(invalid="ignore"):
        return _normed(_modulated(w, s), (2, 3, 4), 0.0)


def modulated_weights__epsilon_outside_the_root(w, s):
    own = _modulated(w, s)
    return own / (np.sqrt(np.sum(own**2, axis=(2, 3, 4), keepdims=True)) + 1e-8)


# ---- modulated_conv


def _scales(w, s):
    return 1 / np.sqrt(s**2 @ np.sum(w**2, axis=(2, 3)).T + 1e-8)


def modulated_conv__correct_with_styles_of_the_operation(x, w, s):
    return conv2d(x, w, padding=1, styles=s) * _scales(w, s)[:, :, None, None]


def modulated_conv__no_demodulation(x, w, s):
    return conv2d(x * s[:, :, None, None], w, padding=1)


def modulated_conv__demodulation_without_the_style(x, w, s):
    d = _scales(w, np.ones_like(s))
    return conv2d(x * s[:, :, None, None], w, padding=1) * d[:, :, None, None]


def modulated_conv__no_style_on_the_input(x, w, s):
    return conv2d(x, w, padding=1) * _scales(w, s)[:, :, None, None]


def modulated_conv__no_root(x, w, s):
    d = _scales(w, s) ** 2
    return conv2d(x * s[:, :, None, None], w, padding=1) * d[:, :, None, None]


def modulated_conv__style_not_squared(x, w, s):
    d = 1 / np.sqrt(np.abs(s) @ np.sum(w**2, axis=(2, 3)).T + 1e-8)
    return conv2d(x * s[:, :, None, None], w, padding=1) * d[:, :, None, None]


def modulated_conv__actual_statistics(x, w, s):
    y = conv2d(x * s[:, :, None, None], w, padding=1)
    return y / np.sqrt(np.mean(y**2, axis=(2, 3), keepdims=True) + 1e-8)


def modulated_conv__first_style_for_all(x, w, s):
    return modulated_conv__correct_with_styles_of_the_operation(x, w, np.repeat(s[:1], len(s), 0))


def modulated_conv__epsilon_outside_the_root(x, w, s):
    d = 1 / (np.sqrt(s**2 @ np.sum(w**2, axis=(2, 3)).T) + 1e-8)
    return conv2d(x * s[:, :, None, None], w, padding=1) * d[:, :, None, None]


def modulated_conv__x_in_place(x, w, s):
    x *= s[:, :, None, None]
    return conv2d(x, w, padding=1) * _scales(w, s)[:, :, None, None]


def modulated_conv__weights_for_each_sample(x, w, s):
    from minigan.ops import conv2d

    own = _normed(_modulated(w, s), (2, 3, 4))
    return np.concatenate([conv2d(x[i : i + 1], own[i], padding=1) for i in range(len(x))])


def modulated_conv__scales_from_weights_for_each_sample(x, w, s):
    d = 1 / np.sqrt(np.sum(_modulated(w, s) ** 2, axis=(2, 3, 4)) + 1e-8)
    return conv2d(x * s[:, :, None, None], w, padding=1) * d[:, :, None, None]


def modulated_conv__sample_by_sample(x, w, s):
    from minigan.ops import conv2d

    d = _scales(w, s)[:, :, None, None]
    one = [conv2d((x * s[:, :, None, None])[i : i + 1], w, padding=1) for i in range(len(x))]
    return np.concatenate(one) * d


# ---- minibatch_stddev


def _append(x, numbers):
    n, _, h, w = x.shape
    extra = np.broadcast_to(numbers[:, None, None, None], (n, 1, h, w))
    return np.concatenate([x, extra], axis=1)


def minibatch_stddev__correct_by_slices(x):
    n = len(x)
    m = n // min(4, n)
    found = [np.sqrt(x[i::m].var(axis=0) + 1e-8).mean() for i in range(m)]
    return _append(x, np.array([found[i % m] for i in range(n)]))


def minibatch_stddev__neighbours_form_a_group(x):
    g = min(4, len(x))
    y = np.sqrt(x.reshape(-1, g, *x.shape[1:]).var(axis=1) + 1e-8).mean(axis=(1, 2, 3))
    return _append(x, np.repeat(y, g))


def minibatch_stddev__numbers_to_the_wrong_members(x):
    g = min(4, len(x))
    y = np.sqrt(x.reshape(g, -1, *x.shape[1:]).var(axis=0) + 1e-8).mean(axis=(1, 2, 3))
    return _append(x, np.repeat(y, g))


def minibatch_stddev__whole_batch_as_one_group(x):
    return _append(x, np.full(len(x), np.sqrt(x.var(axis=0) + 1e-8).mean()))


def minibatch_stddev__over_the_pixels(x):
    return _append(x, np.sqrt(x.var(axis=(2, 3)) + 1e-8).mean(axis=1))


def minibatch_stddev__everything_at_once(x):
    n = len(x)
    y = np.sqrt(x.reshape(min(4, n), -1, *x.shape[1:]).var(axis=(0, 2, 3, 4)) + 1e-8)
    return _append(x, np.tile(y, min(4, n)))


def minibatch_stddev__variance_of_a_sample(x):
    n = len(x)
    g = min(4, n)
    if g == 1:
        return minibatch_stddev__correct_by_slices(x)
    y = np.sqrt(x.reshape(g, -1, *x.shape[1:]).var(axis=0, ddof=1) + 1e-8).mean(axis=(1, 2, 3))
    return _append(x, np.tile(y, g))


def minibatch_stddev__no_epsilon(x):
    g = min(4, len(x))
    y = x.reshape(g, -1, *x.shape[1:]).std(axis=0).mean(axis=(1, 2, 3))
    return _append(x, np.tile(y, g))


def minibatch_stddev__variance_for_deviation(x):
    g = min(4, len(x))
    return _append(x, np.tile(x.reshape(g, -1, *x.shape[1:]).var(axis=0).mean(axis=(1, 2, 3)), g))


def minibatch_stddev__new_channel_first(x):
    y = minibatch_stddev__correct_by_slices(x)
    return np.concatenate([y[:, -1:], y[:, :-1]], axis=1)


# ---- r1_penalty


def _slopes(D, images):
    return grad(lambda x: np.sum(D(x)))(images)


def r1_penalty__correct_as_a_mean_of_norms(D, images, gamma):
    norms = np.sqrt(np.sum(np.reshape(_slopes(D, images), (len(images), -1)) ** 2, axis=1))
    return np.mean(norms**2) * (gamma * 0.5)


def r1_penalty__detached(D, images, gamma):
    return gamma / 2 * np.sum(stop_gradient(_slopes(D, images)) ** 2) / len(images) + 0 * np.sum(
        D(images)
    )


def r1_penalty__no_half(D, images, gamma):
    return gamma * np.sum(_slopes(D, images) ** 2) / len(images)


def r1_penalty__mean_over_pixels(D, images, gamma):
    return gamma / 2 * np.mean(_slopes(D, images) ** 2)


def r1_penalty__sum_over_pictures(D, images, gamma):
    return gamma / 2 * np.sum(_slopes(D, images) ** 2)


def r1_penalty__norm_not_squared(D, images, gamma):
    norms = np.sqrt(np.sum(np.reshape(_slopes(D, images), (len(images), -1)) ** 2, axis=1))
    return gamma / 2 * np.mean(norms)


def r1_penalty__slope_of_the_mean_logit(D, images, gamma):
    slopes = grad(lambda x: np.mean(D(x)))(images)
    return gamma / 2 * np.sum(slopes**2) / len(images)


def r1_penalty__toward_a_norm_of_one(D, images, gamma):
    norms = np.sqrt(np.sum(np.reshape(_slopes(D, images), (len(images), -1)) ** 2, axis=1))
    return gamma / 2 * np.mean((norms - 1) ** 2)


def r1_penalty__by_finite_differences(D, images, gamma):
    h, total = 1e-4, 0.0
    for step in h * np.eye(images[0].size):
        step = step.reshape(images.shape[1:])
        total = total + np.sum(((D(images + step) - D(images - step)) / (2 * h)) ** 2)
    return gamma / 2 * total / len(images)


# ---- path_length


def _jacobian(synthesis, ws, noise, root=True):
    area = noise.shape[2] * noise.shape[3]
    y = noise / (np.sqrt(area) if root else area)
    return grad(lambda w: np.sum(synthesis(w) * y))(ws)


def _penalty(lengths, a, weight):
    a = a + 0.01 * (np.mean(lengths) - a)
    return weight * np.mean((lengths - a) ** 2), a


def _lengths(jacobian):
    return np.sqrt(np.mean(np.sum(jacobian**2, axis=2), axis=1))


def path_length__correct_by_einsum(synthesis, ws, noise, a, gamma=2.0, k=4):
    J = _jacobian(synthesis, ws, noise)
    lengths = np.sqrt(np.einsum("nld,nld->n", J, J) / ws.shape[1])
    a = 0.99 * a + 0.01 * np.mean(lengths)
    return np.mean(np.square(lengths - a)) * (gamma * k), a


def path_length__detached(synthesis, ws, noise, a, gamma=2.0, k=4):
    J = stop_gradient(_jacobian(synthesis, ws, noise))
    loss, a = _penalty(_lengths(J), a, gamma * k)
    return loss + 0 * np.sum(synthesis(ws)), a


def path_length__norm_over_the_batch(synthesis, ws, noise, a, gamma=2.0, k=4):
    J = _jacobian(synthesis, ws, noise)
    return _penalty(np.sqrt(np.mean(np.sum(J**2, axis=0), axis=0)), a, gamma * k)


def path_length__norm_over_the_layers(synthesis, ws, noise, a, gamma=2.0, k=4):
    J = _jacobian(synthesis, ws, noise)
    return _penalty(np.sqrt(np.mean(np.sum(J**2, axis=1), axis=1)), a, gamma * k)


def path_length__lazy_factor_left_out(synthesis, ws, noise, a, gamma=2.0, k=4):
    return _penalty(_lengths(_jacobian(synthesis, ws, noise)), a, gamma)


def path_length__sum_over_the_layers(synthesis, ws, noise, a, gamma=2.0, k=4):
    J = _jacobian(synthesis, ws, noise)
    return _penalty(np.sqrt(np.sum(J**2, axis=(1, 2))), a, gamma * k)


def path_length__noise_by_the_area(synthesis, ws, noise, a, gamma=2.0, k=4):
    return _penalty(_lengths(_jacobian(synthesis, ws, noise, root=False)), a, gamma * k)


def path_length__penalises_the_length(synthesis, ws, noise, a, gamma=2.0, k=4):
    lengths = _lengths(_jacobian(synthesis, ws, noise))
    return gamma * k * np.mean(lengths**2), a + 0.01 * (np.mean(lengths) - a)


def path_length__old_average_in_the_loss(synthesis, ws, noise, a, gamma=2.0, k=4):
    lengths = _lengths(_jacobian(synthesis, ws, noise))
    return gamma * k * np.mean((lengths - a) ** 2), a + 0.01 * (np.mean(lengths) - a)


def path_length__deviation_of_the_mean(synthesis, ws, noise, a, gamma=2.0, k=4):
    lengths = _lengths(_jacobian(synthesis, ws, noise))
    a = a + 0.01 * (np.mean(lengths) - a)
    return gamma * k * (np.mean(lengths) - a) ** 2, a


def path_length__decay_swapped(synthesis, ws, noise, a, gamma=2.0, k=4):
    lengths = _lengths(_jacobian(synthesis, ws, noise))
    a = 0.01 * a + 0.99 * np.mean(lengths)
    return gamma * k * np.mean((lengths - a) ** 2), a


def path_length__by_finite_differences(synthesis, ws, noise, a, gamma=2.0, k=4):
    y, h, squares = noise / np.sqrt(noise.shape[2] * noise.shape[3]), 1e-4, 0.0
    for step in h * np.eye(ws[0].size):
        step = step.reshape(1, *ws.shape[1:])
        moved = synthesis(ws + step) - synthesis(ws - step)
        squares = squares + (np.sum(moved * y, axis=(1, 2, 3)) / (2 * h)) ** 2
    return _penalty(np.sqrt(squares / ws.shape[1]), a, gamma * k)
