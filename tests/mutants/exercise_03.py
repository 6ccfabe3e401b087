"""Wrong (and differently right) solutions of exercise 03."""

import numpy as np

from minigan.autograd import grad, stop_gradient

# ---- vjp_divide


def vjp_divide__correct_through_the_quotient(g, x, y):
    z = x / y
    return g / y, -g * z / y


def vjp_divide__forgets_the_sign(g, x, y):
    return g / y, g * x / y**2


def vjp_divide__forgets_g(g, x, y):
    return 1 / y, -x / y**2


def vjp_divide__forgets_the_square(g, x, y):
    return g / y, -g * x / y


def vjp_divide__swaps_the_two(g, x, y):
    return -g * x / y**2, g / y


def vjp_divide__forgets_to_return(g, x, y):
    g_x, g_y = g / y, -g * x / y**2  # noqa: F841


def vjp_divide__only_the_first(g, x, y):
    return g / y


def vjp_divide__g_in_place(g, x, y):
    g /= y
    return g, -g * x / y


# ---- unbroadcast


def unbroadcast__correct_in_one_sum(g, shape):
    lead = g.ndim - len(shape)
    axes = [i for i in range(g.ndim) if i < lead or shape[i - lead] == 1]
    return np.asarray(g.sum(axis=tuple(axes))).reshape(shape)


def unbroadcast__mean_instead_of_sum(g, shape):
    lead = g.ndim - len(shape)
    axes = [i for i in range(g.ndim) if i < lead or shape[i - lead] == 1]
    return np.asarray(g.mean(axis=tuple(axes))).reshape(shape)


def unbroadcast__only_the_missing_axes(g, shape):
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    return g


def unbroadcast__drops_axes_of_length_one(g, shape):
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1))


def unbroadcast__sums_the_last_axes(g, shape):
    while g.ndim > len(shape):
        g = g.sum(axis=-1)
    for i, n in enumerate(shape):
        if n == 1:
            g = g.sum(axis=i, keepdims=True)
    return g


def unbroadcast__takes_the_first_slice(g, shape):
    while g.ndim > len(shape):
        g = g[0]
    return g[tuple(slice(0, n) for n in shape)]


def unbroadcast__does_nothing(g, shape):
    return g


# ---- instance_norm_backward


def _normalised(x):
    sigma = np.sqrt(x.var(axis=2, keepdims=True) + 1e-8)
    return (x - x.mean(axis=2, keepdims=True)) / sigma, sigma


def instance_norm_backward__correct_by_the_jacobian(x, g):
    y, sigma = _normalised(x)
    length = x.shape[2]
    project = np.eye(length) - 1 / length - y[..., None] * y[..., None, :] / length
    return (project @ g[..., None])[..., 0] / sigma


def instance_norm_backward__sigma_is_constant(x, g):
    _, sigma = _normalised(x)
    return (g - g.mean(axis=2, keepdims=True)) / sigma


def instance_norm_backward__mean_is_constant(x, g):
    y, sigma = _normalised(x)
    return (g - y * (g * y).mean(axis=2, keepdims=True)) / sigma


def instance_norm_backward__both_constant(x, g):
    return g / _normalised(x)[1]


def instance_norm_backward__forgets_to_divide(x, g):
    y, _ = _normalised(x)
    return g - g.mean(axis=2, keepdims=True) - y * (g * y).mean(axis=2, keepdims=True)


def instance_norm_backward__wrong_sign(x, g):
    y, sigma = _normalised(x)
    return (g - g.mean(axis=2, keepdims=True) + y * (g * y).mean(axis=2, keepdims=True)) / sigma


def instance_norm_backward__forward_again(x, g):
    return _normalised(g)[0]


def instance_norm_backward__over_the_batch(x, g):
    sigma = np.sqrt(x.var(axis=0) + 1e-8)
    y = (x - x.mean(axis=0)) / sigma
    return (g - g.mean(axis=0) - y * (g * y).mean(axis=0)) / sigma


def instance_norm_backward__epsilon_outside_the_root(x, g):
    sigma = x.std(axis=2, keepdims=True) + 1e-8
    y = (x - x.mean(axis=2, keepdims=True)) / sigma
    return (g - g.mean(axis=2, keepdims=True) - y * (g * y).mean(axis=2, keepdims=True)) / sigma


def instance_norm_backward__no_epsilon_in_the_normalised(x, g):
    sigma = np.sqrt(x.var(axis=2, keepdims=True) + 1e-8)
    y = (x - x.mean(axis=2, keepdims=True)) / x.std(axis=2, keepdims=True)
    return (g - g.mean(axis=2, keepdims=True) - y * (g * y).mean(axis=2, keepdims=True)) / sigma


def instance_norm_backward__changes_g(x, g):
    y, sigma = _normalised(x)
    g -= g.mean(axis=2, keepdims=True)
    g -= y * (g * y).mean(axis=2, keepdims=True)
    g /= sigma
    return g


# ---- numerical_gradient


def _f(x):
    return np.sum(np.sin(x) * x**2) + x[0] * x[1]


def numerical_gradient__correct_with_rows(x, eps=1e-5):
    steps = eps * np.eye(len(x))
    return np.array([(_f(x + s) - _f(x - s)) / (2 * eps) for s in steps])


def numerical_gradient__one_sided(x, eps=1e-5):
    return np.array([(_f(x + s) - _f(x)) / eps for s in eps * np.eye(len(x))])


def numerical_gradient__divides_by_eps(x, eps=1e-5):
    return np.array([(_f(x + s) - _f(x - s)) / eps for s in eps * np.eye(len(x))])


def numerical_gradient__moves_all_at_once(x, eps=1e-5):
    return np.full(len(x), (_f(x + eps) - _f(x - eps)) / (2 * eps))


def numerical_gradient__does_not_restore_x(x, eps=1e-5):
    gradient = np.zeros_like(x)
    for i in range(len(x)):
        x[i] += eps
        above = _f(x)
        x[i] -= 2 * eps
        gradient[i] = (above - _f(x)) / (2 * eps)
    return gradient


def numerical_gradient__ignores_eps(x, eps=1e-5):
    return numerical_gradient__correct_with_rows(x)


def numerical_gradient__forgets_the_cross_term(x, eps=1e-5):
    return np.cos(x) * x**2 + 2 * x * np.sin(x)


def numerical_gradient__step_relative_to_x(x, eps=1e-5):
    steps = eps * np.abs(x)
    return np.array([(_f(x + s) - _f(x - s)) / (2 * s.sum()) for s in np.diag(steps)])


# ---- r1_grads


def _d(params, x):
    return np.tanh(x @ params["W"]) @ params["a"]


def _slopes(params, x):
    return grad(lambda x: np.sum(_d(params, x)))(x)


def r1_grads__correct_by_hand_written_slopes(params, x, gamma):
    def penalty(p):
        slopes = ((1 - np.square(np.tanh(x @ p["W"]))) * p["a"]) @ p["W"].T
        return 0.5 * gamma * np.sum(slopes * slopes) / len(x)

    return grad(penalty)(params)


def r1_grads__detached(params, x, gamma):
    def penalty(p):
        return (
            gamma / 2 * np.mean(np.sum(stop_gradient(_slopes(p, x)) ** 2, axis=1)) + 0 * p["a"][0]
        )

    return grad(penalty)(params)


def r1_grads__no_half(params, x, gamma):
    return grad(lambda p: gamma * np.mean(np.sum(_slopes(p, x) ** 2, axis=1)))(params)


def r1_grads__mean_inside_the_inner_gradient(params, x, gamma):
    def penalty(p):
        slopes = grad(lambda x: np.mean(_d(p, x)))(x)
        return gamma / 2 * np.mean(np.sum(slopes**2, axis=1))

    return grad(penalty)(params)


def r1_grads__sum_over_the_batch(params, x, gamma):
    return grad(lambda p: gamma / 2 * np.sum(_slopes(p, x) ** 2))(params)


def r1_grads__mean_over_everything(params, x, gamma):
    return grad(lambda p: gamma / 2 * np.mean(_slopes(p, x) ** 2))(params)


def r1_grads__norm_not_squared(params, x, gamma):
    return grad(lambda p: gamma / 2 * np.mean(np.linalg.norm(_slopes(p, x), axis=1)))(params)


def r1_grads__norm_over_the_batch_axis(params, x, gamma):
    def penalty(p):
        return gamma / 2 * np.mean(np.sum(_slopes(p, x) ** 2, axis=0))

    return grad(penalty)(params)


def r1_grads__penalises_the_logits(params, x, gamma):
    return grad(lambda p: gamma / 2 * np.mean(_d(p, x) ** 2))(params)


def r1_grads__gamma_left_out(params, x, gamma):
    return grad(lambda p: 0.5 * np.mean(np.sum(_slopes(p, x) ** 2, axis=1)))(params)


def _differences(f, params, step):
    """Central differences of f(params) for every number in params."""
    found = {}
    for name, value in params.items():
        found[name] = np.zeros(value.shape)
        for at in np.ndindex(value.shape):
            moved = np.zeros(value.shape)
            moved[at] = step
            up, down = (f(params | {name: value + s * moved}) for s in (1, -1))
            found[name][at] = (up - down) / (2 * step)
    return found


def r1_grads__outer_gradient_by_finite_differences(params, x, gamma):
    def penalty(p):
        return gamma / 2 * np.mean(np.sum(_slopes(p, x) ** 2, axis=1))

    return _differences(penalty, params, 1e-5)


def r1_grads__inner_gradient_by_finite_differences(params, x, gamma):
    def penalty(p):
        steps = 1e-5 * np.eye(x.shape[1])
        slopes = np.stack([(_d(p, x + s) - _d(p, x - s)) / 2e-5 for s in steps], axis=1)
        return gamma / 2 * np.mean(np.sum(slopes**2, axis=1))

    return grad(penalty)(params)


def r1_grads__forgets_a(params, x, gamma):
    return {"W": r1_grads__correct_by_hand_written_slopes(params, x, gamma)["W"]}
