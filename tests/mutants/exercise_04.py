"""Wrong (and differently right) solutions of exercise 04."""

import numpy as np

from minigan.autograd import grad, stop_gradient

# ---- d_loss, g_loss


def d_loss__correct_by_absolute_values(real_logits, fake_logits):
    def softplus(t):
        return np.maximum(t, 0) + np.log1p(np.exp(-np.abs(t)))

    return softplus(-real_logits).mean() + softplus(fake_logits).mean()


def d_loss__sum_instead_of_mean(real_logits, fake_logits):
    return np.logaddexp(-real_logits, 0).sum() + np.logaddexp(fake_logits, 0).sum()


def d_loss__real_and_fake_swapped(real_logits, fake_logits):
    return np.logaddexp(real_logits, 0).mean() + np.logaddexp(-fake_logits, 0).mean()


def d_loss__overflows(real_logits, fake_logits):
    return np.log(1 + np.exp(-real_logits)).mean() + np.log(1 + np.exp(fake_logits)).mean()


def d_loss__reals_only(real_logits, fake_logits):
    return 2 * np.logaddexp(-real_logits, 0).mean()


def d_loss__half_of_the_sum(real_logits, fake_logits):
    return (np.logaddexp(-real_logits, 0).mean() + np.logaddexp(fake_logits, 0).mean()) / 2


def g_loss__saturating(fake_logits):
    return -np.logaddexp(fake_logits, 0).mean()


def g_loss__wants_low_logits(fake_logits):
    return np.logaddexp(fake_logits, 0).mean()


def g_loss__raw_logits(fake_logits):
    return -fake_logits.mean() + np.log(2)


def d_loss__one_mean_over_both(real_logits, fake_logits):
    both = np.logaddexp(-real_logits, 0).sum() + np.logaddexp(fake_logits, 0).sum()
    return 2 * both / (len(real_logits) + len(fake_logits))


def d_loss__mean_by_the_number_of_reals(real_logits, fake_logits):
    both = np.logaddexp(-real_logits, 0).sum() + np.logaddexp(fake_logits, 0).sum()
    return both / len(real_logits)


# ---- adam_step


def adam_step__correct_with_the_correction_in_the_step_size(
    p, g, m, v, t, lr=0.002, beta1=0.0, beta2=0.99, eps=1e-8
):
    m, v = m + (1 - beta1) * (g - m), v + (1 - beta2) * (g * g - v)
    root = np.sqrt(1 - beta2**t)
    return p - lr * root / (1 - beta1**t) * m / (np.sqrt(v) + eps * root), m, v


def adam_step__no_bias_correction(p, g, m, v, t, lr=0.002, beta1=0.0, beta2=0.99, eps=1e-8):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    return p - lr * m / (np.sqrt(v) + eps), m, v


def adam_step__eps_inside_the_root(p, g, m, v, t, lr=0.002, beta1=0.0, beta2=0.99, eps=1e-8):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    return p - lr * m / (1 - beta1**t) / np.sqrt(v / (1 - beta2**t) + eps), m, v


def adam_step__uphill(p, g, m, v, t, lr=0.002, beta1=0.0, beta2=0.99, eps=1e-8):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    return p + lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps), m, v


def adam_step__stores_the_corrected_moments(
    p, g, m, v, t, lr=0.002, beta1=0.0, beta2=0.99, eps=1e-8
):
    m = (beta1 * m + (1 - beta1) * g) / (1 - beta1**t)
    v = (beta2 * v + (1 - beta2) * g**2) / (1 - beta2**t)
    return p - lr * m / (np.sqrt(v) + eps), m, v


def adam_step__gradient_not_squared(p, g, m, v, t, lr=0.002, beta1=0.0, beta2=0.99, eps=1e-8):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * np.abs(g)
    return p - lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps), m, v


def adam_step__no_epsilon(p, g, m, v, t, lr=0.002, beta1=0.0, beta2=0.99, eps=1e-8):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    with np.errstate(invalid="ignore"):
        return p - lr * m / (1 - beta1**t) / np.sqrt(v / (1 - beta2**t)), m, v


def adam_step__ignores_the_first_moment(p, g, m, v, t, lr=0.002, beta1=0.0, beta2=0.99, eps=1e-8):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    return p - lr * g / (np.sqrt(v / (1 - beta2**t)) + eps), m, v


def adam_step__changes_p_in_place(p, g, m, v, t, lr=0.002, beta1=0.0, beta2=0.99, eps=1e-8):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    p -= lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return p, m, v


def adam_step__changes_the_moments_in_place(
    p, g, m, v, t, lr=0.002, beta1=0.0, beta2=0.99, eps=1e-8
):
    m += (1 - beta1) * (g - m)
    v += (1 - beta2) * (g**2 - v)
    return p - lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps), m, v


def adam_step__only_p(p, g, m, v, t, lr=0.002, beta1=0.0, beta2=0.99, eps=1e-8):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    return p - lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps)


# ---- ema_step


def ema_step__correct_by_moving_towards(average, current, batch, half_life):
    step = 1 - np.exp(np.log(0.5) * batch / half_life)
    return {k: average[k] + step * (current[k] - average[k]) for k in current}


def ema_step__beta_swapped(average, current, batch, half_life):
    beta = 0.5 ** (batch / half_life)
    return {k: (1 - beta) * average[k] + beta * current[k] for k in current}


def ema_step__ratio_upside_down(average, current, batch, half_life):
    beta = 0.5 ** (half_life / batch)
    return {k: beta * average[k] + (1 - beta) * current[k] for k in current}


def ema_step__fixed_beta(average, current, batch, half_life):
    return {k: 0.5 * average[k] + 0.5 * current[k] for k in current}


def ema_step__in_place(average, current, batch, half_life):
    beta = 0.5 ** (batch / half_life)
    for k in average:
        average[k] *= beta
        average[k] += (1 - beta) * current[k]
    return average


def ema_step__time_constant_for_half_life(average, current, batch, half_life):
    beta = np.exp(-batch / half_life)
    return {k: beta * average[k] + (1 - beta) * current[k] for k in current}


def ema_step__first_name_only(average, current, batch, half_life):
    beta, name = 0.5 ** (batch / half_life), next(iter(average))
    return average | {name: beta * average[name] + (1 - beta) * current[name]}


def ema_step__forgets_to_return(average, current, batch, half_life):
    beta = 0.5 ** (batch / half_life)
    {k: beta * average[k] + (1 - beta) * current[k] for k in average}


# ---- d_step


def _d(params, x):
    return np.tanh(x @ params["W"]) @ params["a"]


def _descend(params, loss, lr):
    g = grad(loss)(params)
    return {k: params[k] - lr * g[k] for k in params}


def _logistic(params, real, fake):
    on_real = np.mean(np.logaddexp(-_d(params, real), 0.0))
    return on_real + np.mean(np.logaddexp(_d(params, fake), 0.0))


def _r1(params, x):
    slopes = grad(lambda x: np.sum(_d(params, x)))(x)
    return 0.5 * np.mean(np.sum(slopes**2, axis=1))


def d_step__correct_in_two_gradients(params, real, fake, gamma, lr):
    first = grad(lambda p: _logistic(p, real, fake))(params)
    second = grad(lambda p: _r1(p, real))(params)
    return {k: params[k] - lr * (first[k] + gamma * second[k]) for k in params}


def d_step__no_r1(params, real, fake, gamma, lr):
    return _descend(params, lambda p: _logistic(p, real, fake), lr)


def d_step__r1_on_the_fakes(params, real, fake, gamma, lr):
    return _descend(params, lambda p: _logistic(p, real, fake) + gamma * _r1(p, fake), lr)


def d_step__r1_detached(params, real, fake, gamma, lr):
    def loss(p):
        slopes = stop_gradient(grad(lambda x: np.sum(_d(p, x)))(real))
        return _logistic(p, real, fake) + gamma / 2 * np.mean(np.sum(slopes**2, axis=1))

    return _descend(params, loss, lr)


def d_step__r1_without_the_half(params, real, fake, gamma, lr):
    return _descend(params, lambda p: _logistic(p, real, fake) + 2 * gamma * _r1(p, real), lr)


def d_step__r1_summed(params, real, fake, gamma, lr):
    n = len(real)
    return _descend(params, lambda p: _logistic(p, real, fake) + n * gamma * _r1(p, real), lr)


def d_step__uphill(params, real, fake, gamma, lr):
    return _descend(params, lambda p: _logistic(p, real, fake) + gamma * _r1(p, real), -lr)


def d_step__real_and_fake_swapped(params, real, fake, gamma, lr):
    return _descend(params, lambda p: _logistic(p, fake, real) + gamma * _r1(p, real), lr)


def d_step__never_moves(params, real, fake, gamma, lr):
    return params


def d_step__by_finite_differences(params, real, fake, gamma, lr):
    def loss(p):
        return _logistic(p, real, fake) + gamma * _r1(p, real)

    new = {}
    for name, value in params.items():
        new[name] = np.array(value)
        for at in np.ndindex(value.shape):
            step = np.zeros(value.shape)
            step[at] = 1e-5
            up, down = (loss(params | {name: value + s * step}) for s in (1, -1))
            new[name][at] -= lr * (up - down) / 2e-5
    return new


def d_step__one_mean_over_both(params, real, fake, gamma, lr):
    share = 2 * len(real) / (len(real) + len(fake))

    def loss(p):
        on_real = np.mean(np.logaddexp(-_d(p, real), 0.0))
        on_fake = np.mean(np.logaddexp(_d(p, fake), 0.0))
        return share * on_real + (2 - share) * on_fake + gamma * _r1(p, real)

    return _descend(params, loss, lr)


# ---- w_share


def w_share__correct_by_covariance(a, b):
    together = np.mean((a - a.mean(axis=0)) * (b - b.mean(axis=0)))
    n, var = len(a), np.mean(np.var(a, axis=0, ddof=1))
    half = np.mean((a - b) ** 2) / 2
    return 1 - half / var if n > 1 else together


def w_share__noise_share(a, b):
    return np.mean((a - b) ** 2) / 2 / np.mean(np.var(a, axis=0, ddof=1))


def w_share__no_half(a, b):
    return 1 - np.mean((a - b) ** 2) / np.mean(np.var(a, axis=0, ddof=1))


def w_share__variance_over_everything(a, b):
    return 1 - np.mean((a - b) ** 2) / 2 / np.var(a, ddof=1)


def w_share__standard_deviations(a, b):
    return 1 - np.sqrt(np.mean((a - b) ** 2) / 2) / np.mean(np.std(a, axis=0, ddof=1))


def w_share__variance_along_the_signal(a, b):
    return 1 - np.mean((a - b) ** 2) / 2 / np.mean(np.var(a, axis=2, ddof=1))


def w_share__biased_variance(a, b):
    return 1 - np.mean((a - b) ** 2) / 2 / np.mean(np.var(a, axis=0))
