"""Wrong (and differently right) solutions of exercise 05."""

import numpy as np

from minigan.autograd import grad

# ---- truncate


def truncate__correct_by_lerp(ws, w_avg, psi, cutoff=None):
    k = ws.shape[1] if cutoff is None else cutoff
    first = (np.arange(ws.shape[1]) < k)[:, None]
    return np.where(first, (1 - psi) * w_avg + psi * ws, ws)


def truncate__towards_zero(ws, w_avg, psi, cutoff=None):
    y = ws.copy()
    y[:, :cutoff] *= psi
    return y


def truncate__psi_the_other_way_round(ws, w_avg, psi, cutoff=None):
    y = ws.copy()
    y[:, :cutoff] = ws[:, :cutoff] + psi * (w_avg - ws[:, :cutoff])
    return y


def truncate__average_of_the_batch(ws, w_avg, psi, cutoff=None):
    y, mean = ws.copy(), ws.mean(axis=(0, 1))
    y[:, :cutoff] = mean + psi * (ws[:, :cutoff] - mean)
    return y


def truncate__zero_taken_for_none(ws, w_avg, psi, cutoff=None):
    y = ws.copy()
    k = cutoff or ws.shape[1]
    y[:, :k] = w_avg + psi * (ws[:, :k] - w_avg)
    return y


def truncate__behind_the_cutoff(ws, w_avg, psi, cutoff=None):
    y = ws.copy()
    k = ws.shape[1] if cutoff is None else cutoff
    part = slice(None) if k == ws.shape[1] else slice(k, None)
    y[:, part] = w_avg + psi * (ws[:, part] - w_avg)
    return y


def truncate__cutoff_of_samples(ws, w_avg, psi, cutoff=None):
    y = ws.copy()
    y[:cutoff] = w_avg + psi * (ws[:cutoff] - w_avg)
    return y


def truncate__in_place(ws, w_avg, psi, cutoff=None):
    ws[:, :cutoff] = w_avg + psi * (ws[:, :cutoff] - w_avg)
    return ws


def truncate__psi_clipped_at_zero(ws, w_avg, psi, cutoff=None):
    return truncate__correct_by_lerp(ws, w_avg, max(psi, 0.0), cutoff)


def truncate__one_layer_too_many(ws, w_avg, psi, cutoff=None):
    k = None if cutoff is None else cutoff + 1
    return truncate__correct_by_lerp(ws, w_avg, psi, k)


# ---- style_mix


def style_mix__correct_by_where(ws_a, ws_b, crossover):
    return np.where((np.arange(ws_a.shape[1]) < crossover)[:, None], ws_a, ws_b)


def style_mix__swapped(ws_a, ws_b, crossover):
    return style_mix__correct_by_where(ws_b, ws_a, crossover)


def style_mix__off_by_one(ws_a, ws_b, crossover):
    return style_mix__correct_by_where(ws_a, ws_b, crossover + 1)


def style_mix__always_half(ws_a, ws_b, crossover):
    return style_mix__correct_by_where(ws_a, ws_b, ws_a.shape[1] // 2)


def style_mix__in_place(ws_a, ws_b, crossover):
    ws_a[:, crossover:] = ws_b[:, crossover:]
    return ws_a


def style_mix__average(ws_a, ws_b, crossover):
    share = crossover / ws_a.shape[1]
    return share * ws_a + (1 - share) * ws_b


def style_mix__negative_slice(ws_a, ws_b, crossover):
    return np.concatenate([ws_a[:, :crossover], ws_b[:, -(ws_b.shape[1] - crossover) :]], axis=1)


def style_mix__wrong_for_one_crossover(ws_a, ws_b, crossover):
    y = ws_b.copy()
    for layer in range(ws_a.shape[1]):
        if layer < crossover or crossover == 3:
            y[:, layer] = ws_a[:, layer]
    return y


def style_mix__a_view_where_nothing_is_mixed(ws_a, ws_b, crossover):
    if crossover == 0:
        return ws_b
    return np.concatenate([ws_a[:, :crossover], ws_b[:, crossover:]], axis=1)


# ---- mixed_styles


def _mix(ws, other, cut):
    return np.concatenate([ws[:, :cut], other[:, cut:]], axis=1)


def mixed_styles__correct_drawn_in_another_order(mapping, z, rng, prob):
    ws = mapping(z)
    other = mapping(rng.standard_normal(z.shape).astype(np.float32))
    cut = int(rng.integers(ws.shape[1] - 1)) + 1
    return (_mix(ws, other, cut) if rng.uniform() < prob else ws), np.mean(ws[:, -1], axis=0)


def mixed_styles__fixed_half(mapping, z, rng, prob):
    ws = mapping(z)
    mean = ws[:, 0].mean(axis=0)
    if rng.random() < prob:
        ws = _mix(ws, mapping(rng.standard_normal(z.shape, np.float32)), ws.shape[1] // 2)
    return ws, mean


def mixed_styles__a_cut_for_each_sample(mapping, z, rng, prob):
    ws = mapping(z)
    mean = ws[:, 0].mean(axis=0)
    if rng.random() < prob:
        other = mapping(rng.standard_normal(z.shape, np.float32))
        cuts = rng.integers(1, ws.shape[1], len(ws))[:, None, None]
        ws = np.where(np.arange(ws.shape[1])[:, None] < cuts, ws, other)
    return ws, mean


def mixed_styles__each_layer_by_itself(mapping, z, rng, prob):
    ws = mapping(z)
    mean = ws[:, 0].mean(axis=0)
    if rng.random() < prob:
        other = mapping(rng.standard_normal(z.shape, np.float32))
        chosen = np.arange(ws.shape[1]) > 0
        chosen[1:-1] = rng.random(ws.shape[1] - 2) < 0.5
        ws = np.where(chosen[:, None], other, ws)
    return ws, mean


def mixed_styles__cut_may_be_none(mapping, z, rng, prob):
    ws = mapping(z)
    mean = ws[:, 0].mean(axis=0)
    if rng.random() < prob:
        other = mapping(rng.standard_normal(z.shape, np.float32))
        ws = _mix(ws, other, int(rng.integers(1, ws.shape[1] + 1)))
    return ws, mean


def mixed_styles__cut_may_be_all(mapping, z, rng, prob):
    ws = mapping(z)
    mean = ws[:, 0].mean(axis=0)
    if rng.random() < prob:
        other = mapping(rng.standard_normal(z.shape, np.float32))
        ws = _mix(ws, other, int(rng.integers(0, ws.shape[1])))
    return ws, mean


def mixed_styles__last_cut_never_drawn(mapping, z, rng, prob):
    ws = mapping(z)
    mean = ws[:, 0].mean(axis=0)
    if rng.random() < prob:
        other = mapping(rng.standard_normal(z.shape, np.float32))
        ws = _mix(ws, other, int(rng.integers(1, ws.shape[1] - 1)))
    return ws, mean


def mixed_styles__one_latent_for_the_batch(mapping, z, rng, prob):
    ws = mapping(z)
    mean = ws[:, 0].mean(axis=0)
    if rng.random() < prob:
        other = mapping(rng.standard_normal(z[:1].shape, np.float32))
        other = np.repeat(other, len(ws), axis=0)
        ws = _mix(ws, other, int(rng.integers(1, ws.shape[1])))
    return ws, mean


def mixed_styles__shuffles_the_batch(mapping, z, rng, prob):
    ws = mapping(z)
    mean = ws[:, 0].mean(axis=0)
    if rng.random() < prob:
        other = np.roll(ws, int(rng.integers(1, len(ws))), axis=0)
        ws = _mix(ws, other, int(rng.integers(1, ws.shape[1])))
    return ws, mean


def mixed_styles__mean_of_the_mixture(mapping, z, rng, prob):
    ws, _ = mixed_styles__correct_drawn_in_another_order(mapping, z, rng, prob)
    return ws, ws.mean(axis=(0, 1))


def mixed_styles__decided_for_each_sample(mapping, z, rng, prob):
    ws = mapping(z)
    mean = ws[:, 0].mean(axis=0)
    other = mapping(rng.standard_normal(z.shape, np.float32))
    mixed = _mix(ws, other, int(rng.integers(1, ws.shape[1])))
    chosen = rng.random(len(ws)) < prob
    return np.where(chosen[:, None, None], mixed, ws), mean


def mixed_styles__parts_swapped(mapping, z, rng, prob):
    ws = mapping(z)
    mean = ws[:, 0].mean(axis=0)
    if rng.random() < prob:
        other = mapping(rng.standard_normal(z.shape, np.float32))
        ws = _mix(other, ws, int(rng.integers(1, ws.shape[1])))
    return ws, mean


def mixed_styles__always(mapping, z, rng, prob):
    return mixed_styles__correct_drawn_in_another_order(mapping, z, rng, float(prob > 0))


def mixed_styles__double_precision(mapping, z, rng, prob):
    ws = mapping(z)
    mean = ws[:, 0].mean(axis=0)
    other = mapping(rng.standard_normal(z.shape))
    cut = int(rng.integers(1, ws.shape[1]))
    return (_mix(ws, other, cut) if rng.random() < prob else ws), mean


def mixed_styles__another_seed_each_time_the_same(mapping, z, rng, prob):
    ws = mapping(z)
    mean = ws[:, 0].mean(axis=0)
    if rng.random() < prob:
        other = mapping(np.random.default_rng(0).standard_normal(z.shape, np.float32))
        ws = _mix(ws, other, int(rng.integers(1, ws.shape[1])))
    return ws, mean


def mixed_styles__numpys_own_generator(mapping, z, rng, prob):
    ws = mapping(z)
    mean = ws[:, 0].mean(axis=0)
    if np.random.rand() < prob:  # noqa: NPY002
        other = mapping(np.random.randn(*z.shape).astype(np.float32))  # noqa: NPY002
        ws = _mix(ws, other, np.random.randint(1, ws.shape[1]))  # noqa: NPY002
    return ws, mean


def mixed_styles__cut_by_numpys_own_generator(mapping, z, rng, prob):
    ws = mapping(z)
    mean = ws[:, 0].mean(axis=0)
    if rng.random() < prob:
        other = mapping(rng.standard_normal(z.shape, np.float32))
        ws = _mix(ws, other, np.random.randint(1, ws.shape[1]))  # noqa: NPY002
    return ws, mean


def mixed_styles__a_generator_of_its_own(mapping, z, rng, prob):
    return mixed_styles__correct_drawn_in_another_order(mapping, z, np.random.default_rng(), prob)


def mixed_styles__only_the_styles(mapping, z, rng, prob):
    return mixed_styles__correct_drawn_in_another_order(mapping, z, rng, prob)[0]


# ---- mixing_step


def _decode(params, ws):
    return ws[:, 0] @ params["layer0"] + ws[:, 1] @ params["layer1"]


def _wanted(ws):
    return np.stack([ws[:, 0, 0], ws[:, 1, 1]], axis=1)


def _descend(params, ws, lr, wanted=None, loss=np.mean):
    target = _wanted(ws) if wanted is None else wanted
    slopes = grad(lambda p: loss((_decode(p, ws) - target) ** 2))(params)
    return {name: params[name] - lr * slopes[name] for name in params}


def _maybe_mixed(w, rng, prob):
    other = rng.standard_normal(w.shape) if rng.random() < prob else w
    return np.stack([w, other], axis=1)


def mixing_step__correct_by_hand(params, w, rng, prob, lr):
    ws = _maybe_mixed(w, rng, prob)
    off = (_decode(params, ws) - _wanted(ws)) * 2 / (2 * len(w))
    return {f"layer{i}": params[f"layer{i}"] - lr * ws[:, i].T @ off for i in (0, 1)}


def mixing_step__never_mixes(params, w, rng, prob, lr):
    return _descend(params, _maybe_mixed(w, rng, 0.0), lr)


def mixing_step__always_mixes(params, w, rng, prob, lr):
    return _descend(params, _maybe_mixed(w, rng, 1.0), lr)


def mixing_step__mixes_one_time_in_two(params, w, rng, prob, lr):
    return _descend(params, _maybe_mixed(w, rng, prob / 2), lr)


def mixing_step__wanted_of_the_unmixed(params, w, rng, prob, lr):
    return _descend(params, _maybe_mixed(w, rng, prob), lr, wanted=w)


def mixing_step__uphill(params, w, rng, prob, lr):
    return _descend(params, _maybe_mixed(w, rng, prob), -lr)


def mixing_step__sum_over_outputs(params, w, rng, prob, lr):
    return _descend(params, _maybe_mixed(w, rng, prob), 2 * lr)


def mixing_step__sum_over_samples(params, w, rng, prob, lr):
    return _descend(params, _maybe_mixed(w, rng, prob), lr, loss=np.sum)


def mixing_step__trains_the_second_layer_only(params, w, rng, prob, lr):
    new = _descend(params, _maybe_mixed(w, rng, prob), lr)
    return {"layer0": params["layer0"], "layer1": new["layer1"]}


def mixing_step__one_fresh_style_for_all(params, w, rng, prob, lr):
    other = rng.standard_normal((1, 2)) * np.ones((len(w), 1)) if rng.random() < prob else w
    return _descend(params, np.stack([w, other], axis=1), lr)


def mixing_step__in_place(params, w, rng, prob, lr):
    new = _descend(params, _maybe_mixed(w, rng, prob), lr)
    for name in params:
        params[name][:] = new[name]
    return params


def mixing_step__numpys_own_generator(params, w, rng, prob, lr):
    other = np.random.randn(*w.shape) if np.random.rand() < prob else w  # noqa: NPY002
    return _descend(params, np.stack([w, other], axis=1), lr)


def mixing_step__layer_0_gets_the_fresh_styles(params, w, rng, prob, lr):
    return _descend(params, _maybe_mixed(w, rng, prob)[:, ::-1], lr)


# ---- whose


def _corr(x, y):
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    power = np.sqrt(np.sum(x**2, axis=0) * np.sum(y**2, axis=0))
    return np.divide(np.sum(x * y, axis=0), power, out=np.zeros(len(power)), where=power > 0)


def whose__correct_by_correlation(mixed, a, b):
    return _corr(mixed, a) ** 2, _corr(mixed, b) ** 2


def whose__swapped(mixed, a, b):
    return _corr(mixed, b) ** 2, _corr(mixed, a) ** 2


def whose__not_squared(mixed, a, b):
    return np.abs(_corr(mixed, a)), np.abs(_corr(mixed, b))


def whose__signed(mixed, a, b):
    return tuple(_corr(mixed, s) * np.abs(_corr(mixed, s)) for s in (a, b))


def whose__nan_without_variance(mixed, a, b):
    with np.errstate(all="ignore"):
        return tuple(
            np.array([np.corrcoef(mixed[:, i], s[:, i])[0, 1] ** 2 for i in range(a.shape[1])])
            for s in (a, b)
        )


def whose__without_the_mean(mixed, a, b):
    def cosine(x, y):
        power = np.sum(x**2, axis=0) * np.sum(y**2, axis=0)
        return np.where(power > 0, np.sum(x * y, axis=0) ** 2 / np.maximum(power, 1e-300), 0.0)

    return cosine(mixed, a), cosine(mixed, b)


def whose__mean_over_all_factors(mixed, a, b):
    def r2(x, y):
        x, y = x - x.mean(), y - y.mean()
        power = np.sum(x**2, axis=0) * np.sum(y**2, axis=0)
        return np.where(power > 0, np.sum(x * y, axis=0) ** 2 / np.maximum(power, 1e-300), 0.0)

    return r2(mixed, a), r2(mixed, b)


def whose__share_of_both(mixed, a, b):
    ra, rb = _corr(mixed, a) ** 2, _corr(mixed, b) ** 2
    total = np.maximum(ra + rb, 1e-12)
    return ra / total, rb / total
