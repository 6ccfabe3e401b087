"""Wrong (and differently right) solutions of exercise 14."""

import math

import numpy as np

from minigan import autograd, optim
from minigan.editing.inversion import Settings

# ---- schedule


def _factor(t, up, down):
    return math.sin(math.pi / 2 * min(1.0, (1 - t) / down)) ** 2 * min(1.0, t / up)


def _scale(t, quiet):
    return 0.05 * max(0.0, 1 - t / quiet) ** 2


def schedule__correct_by_the_sine(step, steps, up=0.05, down=0.25, quiet=0.75):
    t = step / steps
    return _factor(t, up, down), _scale(t, quiet)


def schedule__linear_fall(step, steps, up=0.05, down=0.25, quiet=0.75):
    t = step / steps
    return min(1.0, (1 - t) / down) * min(1.0, t / up), _scale(t, quiet)


def schedule__cosine_rise(step, steps, up=0.05, down=0.25, quiet=0.75):
    t = step / steps
    rise = 0.5 - 0.5 * math.cos(math.pi * min(1.0, t / up))
    return _factor(t, 1e-9, down) * rise if step else 0.0, _scale(t, quiet)


def schedule__the_smaller_of_the_two(step, steps, up=0.05, down=0.25, quiet=0.75):
    t = step / steps
    return min(_factor(1.0 - 1e-12 if t else t, 1e-9, 1e-12), 1.0) and min(
        math.sin(math.pi / 2 * min(1.0, (1 - t) / down)) ** 2, min(1.0, t / up)
    ), _scale(t, quiet)


def schedule__fifty_steps_always(step, steps, up=0.05, down=0.25, quiet=0.75):
    t = step / steps
    fall = math.sin(math.pi / 2 * min(1.0, (1 - t) / down)) ** 2
    return fall * min(1.0, step / (1000 * up)), _scale(t, quiet)


def schedule__rise_and_fall_exchanged(step, steps, up=0.05, down=0.25, quiet=0.75):
    t = step / steps
    return _factor(t, down, up), _scale(t, quiet)


def schedule__counts_from_one(step, steps, up=0.05, down=0.25, quiet=0.75):
    t = (step + 1) / steps
    return _factor(t, up, down), _scale(t, quiet)


def schedule__no_limit_of_one(step, steps, up=0.05, down=0.25, quiet=0.75):
    t = step / steps
    fall = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t) / down))
    return fall * t / up, _scale(t, quiet)


def schedule__noise_not_squared(step, steps, up=0.05, down=0.25, quiet=0.75):
    t = step / steps
    return _factor(t, up, down), 0.05 * max(0.0, 1 - t / quiet)


def schedule__noise_comes_back(step, steps, up=0.05, down=0.25, quiet=0.75):
    t = step / steps
    return _factor(t, up, down), 0.05 * (1 - t / quiet) ** 2


def schedule__noise_to_the_end(step, steps, up=0.05, down=0.25, quiet=0.75):
    t = step / steps
    return _factor(t, up, down), _scale(t, 1.0)


def schedule__the_learning_rate_itself(step, steps, up=0.05, down=0.25, quiet=0.75):
    t = step / steps
    return 0.1 * _factor(t, up, down), _scale(t, quiet)


# ---- noise_penalty


def _sizes(n, least=8):
    """The map, and its halves by means down to this size."""
    found = [n]
    while n.shape[2] > least:
        size = n.shape[2] // 2
        n = n.reshape(len(n), 1, size, 2, size, 2).mean(axis=(3, 5))
        found.append(n)
    return found


def _products(n, axis):
    return n * np.roll(n, 1, axis)


def _mean(x):
    return x.mean(axis=(1, 2, 3))


def noise_penalty__correct_by_einsum(n):
    total = np.zeros(len(n))
    for m in _sizes(n):
        for axis in (2, 3):
            total += (np.einsum("nchw,nchw->n", m, np.roll(m, -1, axis)) / m[0].size) ** 2
    return total


def noise_penalty__mean_of_the_squares(n):
    return sum(_mean(_products(m, axis) ** 2) for m in _sizes(n) for axis in (2, 3))


def noise_penalty__mean_not_squared(n):
    return sum(_mean(_products(m, axis)) for m in _sizes(n) for axis in (2, 3))


def noise_penalty__one_axis(n):
    return sum(_mean(_products(m, 3)) ** 2 for m in _sizes(n))


def noise_penalty__down_to_four(n):
    return sum(_mean(_products(m, axis)) ** 2 for m in _sizes(n, 4) for axis in (2, 3))


def noise_penalty__own_size_only(n):
    return sum(_mean(_products(n, axis)) ** 2 for axis in (2, 3))


def noise_penalty__not_its_own_size(n):
    return sum(_mean(_products(m, axis)) ** 2 for m in _sizes(n)[1:] or [n] for axis in (2, 3))


def noise_penalty__small_maps_left_out(n):
    return sum(
        _mean(_products(m, axis)) ** 2 * (m.shape[2] >= 8) for m in _sizes(n) for axis in (2, 3)
    )


def noise_penalty__every_other_pixel(n):
    total = np.zeros(len(n))
    while True:
        total += sum(_mean(_products(n, axis)) ** 2 for axis in (2, 3))
        if n.shape[2] <= 8:
            return total
        n = n[:, :, ::2, ::2]


def noise_penalty__mean_over_the_batch_first(n):
    """As in rosinality's projector: pictures whose products cancel are not penalised."""
    total = sum(_products(m, axis).mean() ** 2 for m in _sizes(n) for axis in (2, 3))
    return np.full(len(n), total)


def noise_penalty__sum_over_the_batch(n):
    return noise_penalty__correct_by_einsum(n).sum()


def noise_penalty__differences_of_neighbours(n):
    return sum(_mean((m - np.roll(m, 1, axis)) ** 2) for m in _sizes(n) for axis in (2, 3))


def noise_penalty__both_shifts_at_once(n):
    return sum(2 * _mean(m * np.roll(m, (1, 1), (2, 3))) ** 2 for m in _sizes(n))


def noise_penalty__nothing_comes_in_on_the_other_side(n):
    total = np.zeros(len(n))
    for m in _sizes(n):
        total += _mean(m[:, :, 1:] * m[:, :, :-1]) ** 2
        total += _mean(m[:, :, :, 1:] * m[:, :, :, :-1]) ** 2
    return total


# ---- perceptual


def _unit(x, axes=1):
    return x / np.sqrt(np.sum(x**2, axis=axes, keepdims=True) + 1e-8)


def _added(layer, maps_a, maps_b):
    return sum(layer(a, b) for a, b in zip(maps_a, maps_b, strict=True))


def perceptual__correct_as_one_vector(maps_a, maps_b):
    def vector(maps):
        parts = [_unit(m) * (m.shape[2] * m.shape[3]) ** -0.5 for m in maps]
        return np.concatenate([p.reshape(len(p), -1) for p in parts], axis=1)

    return np.square(vector(maps_a) - vector(maps_b)).sum(axis=1)


def perceptual__not_normalised(maps_a, maps_b):
    return _added(lambda a, b: ((a - b) ** 2).sum(1).mean((1, 2)), maps_a, maps_b)


def perceptual__normalised_over_space(maps_a, maps_b):
    def layer(a, b):
        return ((_unit(a, (2, 3)) - _unit(b, (2, 3))) ** 2).sum(1).mean((1, 2))

    return _added(layer, maps_a, maps_b)


def perceptual__normalised_over_everything(maps_a, maps_b):
    def layer(a, b):
        return ((_unit(a, (1, 2, 3)) - _unit(b, (1, 2, 3))) ** 2).sum(1).mean((1, 2))

    return _added(layer, maps_a, maps_b)


def perceptual__normalised_after_the_difference(maps_a, maps_b):
    return _added(lambda a, b: (_unit(a - b) ** 2).sum(1).mean((1, 2)), maps_a, maps_b)


def perceptual__mean_over_the_channels(maps_a, maps_b):
    return _added(lambda a, b: ((_unit(a) - _unit(b)) ** 2).mean((1, 2, 3)), maps_a, maps_b)


def perceptual__sum_over_the_places(maps_a, maps_b):
    return _added(lambda a, b: ((_unit(a) - _unit(b)) ** 2).sum((1, 2, 3)), maps_a, maps_b)


def perceptual__batch_summed(maps_a, maps_b):
    return perceptual__correct_as_one_vector(maps_a, maps_b).sum()


def perceptual__batch_in_every_number(maps_a, maps_b):
    found = perceptual__correct_as_one_vector(maps_a, maps_b)
    return np.full(len(found), found.mean())


def perceptual__not_squared(maps_a, maps_b):
    return _added(lambda a, b: np.abs(_unit(a) - _unit(b)).sum(1).mean((1, 2)), maps_a, maps_b)


def perceptual__root_of_the_squares(maps_a, maps_b):
    def layer(a, b):
        return np.sqrt(((_unit(a) - _unit(b)) ** 2).sum(1)).mean((1, 2))

    return _added(layer, maps_a, maps_b)


def perceptual__last_layer_only(maps_a, maps_b):
    return perceptual__correct_as_one_vector(maps_a[-1:], maps_b[-1:])


def perceptual__mean_over_the_layers(maps_a, maps_b):
    return perceptual__correct_as_one_vector(maps_a, maps_b) / len(maps_a)


def perceptual__no_epsilon(maps_a, maps_b):
    def unit(x):
        with np.errstate(invalid="ignore"):
            return x / np.sqrt(np.sum(x**2, axis=1, keepdims=True))

    return _added(lambda a, b: ((unit(a) - unit(b)) ** 2).sum(1).mean((1, 2)), maps_a, maps_b)


def perceptual__epsilon_outside_the_root(maps_a, maps_b):
    def unit(x):
        return x / (np.sqrt(np.sum(x**2, axis=1, keepdims=True)) + 1e-8)

    return _added(lambda a, b: ((unit(a) - unit(b)) ** 2).sum(1).mean((1, 2)), maps_a, maps_b)


# ---- invert_w


def _search(
    G,
    target,
    distance,
    samples,
    layers,
    steps,
    rng,
    start=None,
    radius=None,
    betas=(0.9, 0.999),
    shape=(1, 1),
    noise_at=None,
    rates=None,
    sign=1,
    keep_noise=False,
):
    """The search, with what can be done wrongly in it."""
    plan, mean = Settings("w", steps), samples.mean(axis=0)
    spread = np.sqrt(np.mean(np.sum((samples - mean) ** 2, axis=1)))
    spread = spread if radius is None else radius(samples)
    w = np.broadcast_to(mean if start is None else start, (*shape, len(mean))) + 0.0
    params, state = {"w": w}, optim.Adam().init({"w": w})
    found, history = w, []
    for step in range(steps):
        scale = (noise_at or plan.noise_at)(step)
        noise = rng.standard_normal(w.shape if shape[1] > 1 else len(mean)) * (spread * scale)
        if keep_noise:
            params = {"w": params["w"] + noise}
            noise = 0 * noise

        def loss(p, noise=noise):
            ws = np.broadcast_to(p["w"] + noise, (1, layers, len(mean)))
            return distance(G(ws), target)

        value, grads = autograd.value_and_grad(loss)(params)
        history.append((float(value), params["w"]))
        grads = {"w": sign * grads["w"]}
        adam = optim.Adam((rates or plan.lr_at)(step), betas)
        params, state = adam.step(params, grads, state)
        found = params["w"]
    return found.mean(axis=(0, 1)), history, noise


def invert_w__correct_with_three_axes(*args):
    return _search(*args)[0]


def invert_w__starts_at_zero(*args):
    return _search(*args, start=0 * args[3][0])[0]


def invert_w__starts_at_the_first_sample(*args):
    return _search(*args, start=args[3][0])[0]


def invert_w__returns_the_best(*args):
    _, history, _ = _search(*args)
    return min(history, key=lambda pair: pair[0])[1].mean(axis=(0, 1))


def invert_w__noise_kept_at_the_end(*args):
    mean = args[3].mean(axis=0)
    spread = np.sqrt(np.mean(np.sum((args[3] - mean) ** 2, axis=1)))
    return _search(*args)[0] + 0.05 * spread * args[6].standard_normal(len(mean))


def invert_w__noise_added_for_good(*args):
    return _search(*args, keep_noise=True)[0]


def invert_w__noise_that_never_falls(*args):
    return _search(*args, noise_at=lambda step: 0.05)[0]


def invert_w__without_noise(*args):
    return _search(*args, noise_at=lambda step: 0.0)[0]


def invert_w__a_radius_for_each_dimension(*args):
    return _search(*args, radius=lambda samples: samples.std(axis=0))[0]


def invert_w__a_radius_of_the_mean_square(*args):
    return _search(*args, radius=lambda samples: samples.std())[0]


def invert_w__radius_not_used(*args):
    return _search(*args, radius=lambda samples: 1.0)[0]


def invert_w__beta_1_of_training(*args):
    return _search(*args, betas=(0.0, 0.999))[0]


def invert_w__betas_of_training(*args):
    return _search(*args, betas=(0.0, 0.99))[0]


def invert_w__one_learning_rate(*args):
    return _search(*args, rates=lambda step: 0.1)[0]


def invert_w__uphill(*args):
    return _search(*args, sign=-1)[0]


def invert_w__a_w_for_each_layer(*args):
    return _search(*args, shape=(1, args[4]))[0]


def invert_w__in_the_first_layer_only(G, target, distance, samples, layers, steps, rng):
    rest = np.ones((1, layers, 1))
    rest[:, 0] = 0
    mean = samples.mean(axis=0)
    return _search(
        lambda ws: G(ws * (1 - rest) + mean * rest), target, distance, samples, layers, steps, rng
    )[0]


def invert_w__the_target_moves_too(G, target, distance, samples, layers, steps, rng):
    plan, mean = Settings("w", steps), samples.mean(axis=0)
    radius = np.sqrt(np.mean(np.sum((samples - mean) ** 2, axis=1)))
    params = {"w": mean, "target": target}
    state = optim.Adam().init(params)
    for step in range(steps):
        noise = rng.standard_normal(len(mean)) * (radius * plan.noise_at(step))

        def loss(p, noise=noise):
            ws = np.broadcast_to(p["w"] + noise, (1, layers, len(mean)))
            return distance(G(ws), p["target"])

        grads = autograd.grad(loss)(params)
        params, state = optim.Adam(plan.lr_at(step), (0.9, 0.999)).step(params, grads, state)
    return params["w"]


# ---- locality


def _way(w_p, w_z):
    return (w_z - w_p) / np.sqrt(np.sum((w_z - w_p) ** 2, axis=(1, 2), keepdims=True))


def locality__correct_by_the_norm(w_p, w_z, alpha):
    way = w_z - w_p
    length = np.linalg.norm(way.reshape(len(way), -1), axis=1)
    return w_p + way * (alpha / length)[:, None, None]


def locality__a_share_of_the_way(w_p, w_z, alpha):
    return w_p + alpha * (w_z - w_p)


def locality__a_norm_for_each_layer(w_p, w_z, alpha):
    length = np.sqrt(np.sum((w_z - w_p) ** 2, axis=2, keepdims=True))
    return w_p + alpha * (w_z - w_p) / np.maximum(length, 1e-12)


def locality__one_norm_for_the_batch(w_p, w_z, alpha):
    return w_p + alpha * (w_z - w_p) / np.sqrt(np.sum((w_z - w_p) ** 2))


def locality__norm_not_rooted(w_p, w_z, alpha):
    return w_p + alpha * (w_z - w_p) / np.sum((w_z - w_p) ** 2, axis=(1, 2), keepdims=True)


def locality__mean_for_sum(w_p, w_z, alpha):
    return w_p + alpha * (w_z - w_p) / np.sqrt(
        np.mean((w_z - w_p) ** 2, axis=(1, 2), keepdims=True)
    )


def locality__away_from_it(w_p, w_z, alpha):
    return w_p - alpha * _way(w_p, w_z)


def locality__from_the_other_side(w_p, w_z, alpha):
    return w_z - alpha * _way(w_p, w_z)


def locality__only_the_way(w_p, w_z, alpha):
    return alpha * _way(w_p, w_z)


# ---- tune


def _tuned(
    G,
    params,
    w_p,
    target,
    near,
    update,
    enough,
    fixed="mapping.",
    weight=0.1,
    at=lambda near, step, w_p: near[step],
    stop="before",
    newest=False,
    move_w=0.0,
    with_total=False,
):
    """The tuning, with what can be done wrongly in it."""
    learned = {k: a for k, a in params.items() if not (fixed and k.startswith(fixed))}
    for step in range(len(near)):
        w_r = at(near, step, w_p)
        before = G(params | learned if newest else params, w_r)

        def parts(p, w_p=w_p, w_r=w_r, before=before):
            p = params | p
            stay = np.mean((G(p, w_r) - before) ** 2)
            return np.mean((G(p, w_p) - target) ** 2), weight * stay

        def loss(p, parts=parts):
            error, stay = parts(p)
            return error + stay

        error, stay = parts(learned)
        done = error + (stay if with_total else 0) <= enough
        if done and stop == "before":
            return params | learned, step
        grads = autograd.grad(loss)(learned)
        if move_w:
            w_p = w_p - move_w * autograd.grad(
                lambda w, p=learned: np.mean((G(params | p, w) - target) ** 2)
            )(w_p)
        learned = update(learned, grads)
        if done and stop == "after":
            return params | learned, step + 1
    return params | learned, len(near)


def tune__correct_with_zero_gradients(G, params, w_p, target, near, update, enough):
    new, first = dict(params), dict(params)
    for step, w_r in enumerate(near):
        if np.mean((G(new, w_p) - target) ** 2) <= enough:
            return new, step

        def loss(p, w_r=w_r):
            stay = np.mean((G(p, w_r) - G(first, w_r)) ** 2)
            return np.mean((G(p, w_p) - target) ** 2) + 0.1 * stay

        grads = autograd.grad(loss)(new)
        new = update(new, {k: 0 * g if k.startswith("mapping.") else g for k, g in grads.items()})
    return new, len(near)


def tune__w_updated_too(*args):
    return _tuned(*args, move_w=0.1)


def tune__mapping_tuned(*args):
    return _tuned(*args, fixed="")


def tune__mapping_left_out_of_what_is_returned(*args):
    new, updates = _tuned(*args)
    return {k: a for k, a in new.items() if not k.startswith("mapping.")}, updates


def tune__stops_after_the_update(*args):
    return _tuned(*args, stop="after")


def tune__never_stops(*args):
    return _tuned(*args, stop="")


def tune__stops_at_the_whole_loss(*args):
    return _tuned(*args, with_total=True)


def tune__less_than_enough(G, params, w_p, target, near, update, enough):
    return _tuned(G, params, w_p, target, near, update, np.nextafter(enough, -1))


def tune__reference_from_the_tuned_generator(*args):
    return _tuned(*args, newest=True)


def tune__without_locality(*args):
    return _tuned(*args, weight=0.0)


def tune__locality_with_full_weight(*args):
    return _tuned(*args, weight=1.0)


def tune__locality_at_the_pivot(*args):
    return _tuned(*args, at=lambda near, step, w_p: w_p)


def tune__one_neighbour_for_all_steps(*args):
    return _tuned(*args, at=lambda near, step, w_p: near[0])


def tune__one_step(G, params, w_p, target, near, update, enough):
    return _tuned(G, params, w_p, target, near[:1], update, enough)
