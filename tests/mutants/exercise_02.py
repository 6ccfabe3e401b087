"""Wrong (and differently right) solutions of exercise 02."""

import numpy as np

from minigan import toy

# ---- adain


def adain__correct_with_instance_norm_written_by_moments(x, scale, bias):
    mean = x.mean(axis=-1)[..., None]
    power = (x**2).mean(axis=-1)[..., None] - mean**2
    gain = (1 + scale)[..., None] / np.sqrt(np.maximum(power, 0) + 1e-8)
    return (x - mean) * gain + bias[..., None]


def adain__does_nothing(x, scale, bias):
    return x


def adain__returns_zeros(x, scale, bias):
    return np.zeros_like(x)


def adain__scale_without_the_one(x, scale, bias):
    return toy.instance_norm(x) * scale[:, :, None] + bias[:, :, None]


def adain__forgets_the_bias(x, scale, bias):
    return toy.instance_norm(x) * (scale[:, :, None] + 1)


def adain__removes_only_the_mean(x, scale, bias):
    centred = x - x.mean(axis=2, keepdims=True)
    return centred * (scale[:, :, None] + 1) + bias[:, :, None]


def adain__divides_by_the_variance(x, scale, bias):
    centred = x - x.mean(axis=2, keepdims=True)
    var = x.var(axis=2, keepdims=True)
    return centred / (var + 1e-8) * (scale[:, :, None] + 1) + bias[:, :, None]


def adain__normalises_over_the_batch(x, scale, bias):
    y = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-8)
    return y * (scale[:, :, None] + 1) + bias[:, :, None]


def adain__normalises_all_channels_together(x, scale, bias):
    mean, var = x.mean(axis=(1, 2), keepdims=True), x.var(axis=(1, 2), keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-8) * (scale[:, :, None] + 1) + bias[:, :, None]


def adain__unbiased_variance(x, scale, bias):
    mean, var = x.mean(axis=2, keepdims=True), x.var(axis=2, ddof=1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-8) * (scale[:, :, None] + 1) + bias[:, :, None]


def adain__no_epsilon(x, scale, bias):
    with np.errstate(invalid="ignore"):
        y = (x - x.mean(axis=2, keepdims=True)) / x.std(axis=2, keepdims=True)
    return y * (scale[:, :, None] + 1) + bias[:, :, None]


def adain__epsilon_outside_the_root(x, scale, bias):
    y = (x - x.mean(axis=2, keepdims=True)) / (x.std(axis=2, keepdims=True) + 1e-8)
    return y * (scale[:, :, None] + 1) + bias[:, :, None]


def adain__changes_its_argument(x, scale, bias):
    y = toy.adain(x, scale, bias)
    x -= x.mean(axis=2, keepdims=True)
    return y


def adain__adds_one_to_scale_in_place(x, scale, bias):
    y = (x - x.mean(axis=2, keepdims=True)) / np.sqrt(x.var(axis=2, keepdims=True) + 1e-8)
    scale += 1
    return y * scale[:, :, None] + bias[:, :, None]


# ---- pixel_norm


def pixel_norm__correct_by_vector_length(z):
    d = z.shape[1]
    return z * np.sqrt(d) / np.sqrt((z**2).sum(axis=1)[:, None] + d * 1e-8)


def pixel_norm__does_nothing(z):
    return z


def pixel_norm__length_one(z):
    return z / np.sqrt((z**2).sum(axis=1, keepdims=True) + 1e-8)


def pixel_norm__standardises(z):
    return (z - z.mean(axis=1, keepdims=True)) / np.sqrt(z.var(axis=1, keepdims=True) + 1e-8)


def pixel_norm__divides_by_the_std(z):
    return z / np.sqrt(z.var(axis=1, keepdims=True) + 1e-8)


def pixel_norm__over_the_batch(z):
    return z / np.sqrt((z**2).mean(axis=0) + 1e-8)


def pixel_norm__without_the_root(z):
    return z / ((z**2).mean(axis=1, keepdims=True) + 1e-8)


def pixel_norm__no_epsilon(z):
    with np.errstate(invalid="ignore"):
        return z / np.sqrt((z**2).mean(axis=1, keepdims=True))


def pixel_norm__in_place(z):
    z /= np.sqrt(np.mean(z**2, axis=1, keepdims=True) + 1e-8)
    return z


def pixel_norm__a_larger_epsilon(z):
    return z / np.sqrt(np.mean(z**2, axis=1, keepdims=True) + 1e-6)


def pixel_norm__epsilon_outside_the_root(z):
    return z / (np.sqrt(np.mean(z**2, axis=1, keepdims=True)) + 1e-8)


def pixel_norm__epsilon_for_zeros_only(z):
    return z / np.sqrt(np.maximum(np.mean(z**2, axis=1, keepdims=True), 1e-8))


# ---- add_noise


def add_noise__correct_by_einsum(x, noise, strength):
    return x + np.einsum("nl,c->ncl", noise[:, 0], strength)


def add_noise__never_injects(x, noise, strength):
    return x


def add_noise__strength_along_the_signal(x, noise, strength):
    return x + noise * np.resize(strength, x.shape[2])


def add_noise__mean_strength_for_all(x, noise, strength):
    return x + noise * strength.mean()


def add_noise__multiplies(x, noise, strength):
    return x * (1 + noise * strength[:, None])


def add_noise__noise_of_the_first_sample(x, noise, strength):
    return x + noise[:1] * strength[:, None]


def add_noise__in_place(x, noise, strength):
    x += noise * strength[:, None]
    return x


def add_noise__squared_strength(x, noise, strength):
    return x + noise * strength[:, None] * np.abs(strength[:, None])


def add_noise__size_of_the_strength(x, noise, strength):
    return x + noise * np.abs(strength[:, None])


# ---- spreads


def _outputs(adain_on, seed, perturbation=0.5):
    rng = np.random.default_rng(seed + 1)
    z0 = rng.standard_normal((1, 16), np.float32)
    config = toy.Config(style="adain" if adain_on else "off")
    G = toy.Generator.init(config, np.random.default_rng(seed), noise_strength=0.1)
    z = z0 + perturbation * rng.standard_normal((256, 16), np.float32)
    return G, z, np.repeat(z0, 256, axis=0), rng


def spreads__correct_with_loops(adain_on, seed):
    G, z, fixed, rng = _outputs(adain_on, seed)
    by_latent = np.concatenate([G(row[None]) for row in z])
    by_noise = np.concatenate([G(row[None], noise_mode="random", rng=rng) for row in fixed])
    return np.array([np.mean(np.std(by_latent, axis=0)), np.mean(np.std(by_noise, axis=0))])


def spreads__random_noise_in_both(adain_on, seed):
    G, z, fixed, rng = _outputs(adain_on, seed)
    pair = G(z, noise_mode="random", rng=rng), G(fixed, noise_mode="random", rng=rng)
    return np.array([x.std(axis=0).mean() for x in pair])


def spreads__adain_always_on(adain_on, seed):
    return spreads__correct_with_loops(True, seed)


def spreads__along_the_signal(adain_on, seed):
    G, z, fixed, rng = _outputs(adain_on, seed)
    pair = G(z), G(fixed, noise_mode="random", rng=rng)
    return np.array([x.std(axis=2).mean() for x in pair])


def spreads__over_everything(adain_on, seed):
    G, z, fixed, rng = _outputs(adain_on, seed)
    pair = G(z), G(fixed, noise_mode="random", rng=rng)
    return np.array([x.std() for x in pair])


def spreads__latents_never_perturbed(adain_on, seed):
    G, z, fixed, rng = _outputs(adain_on, seed)
    pair = G(fixed), G(fixed, noise_mode="random", rng=rng)
    return np.array([x.std(axis=0).mean() for x in pair])


def spreads__noise_left_fixed(adain_on, seed):
    G, z, fixed, _ = _outputs(adain_on, seed)
    return np.array([x.std(axis=0).mean() for x in (G(z), G(fixed))])


def spreads__swapped(adain_on, seed):
    return spreads__correct_with_loops(adain_on, seed)[::-1].copy()


def spreads__perturbed_latents_in_both(adain_on, seed):
    G, z, _, rng = _outputs(adain_on, seed)
    pair = G(z), G(z, noise_mode="random", rng=rng)
    return np.array([x.std(axis=0).mean() for x in pair])


def spreads__wrong_perturbation(adain_on, seed):
    G, z, fixed, rng = _outputs(adain_on, seed, perturbation=5.0)
    pair = G(z), G(fixed, noise_mode="random", rng=rng)
    return np.array([x.std(axis=0).mean() for x in pair])


def spreads__correct_in_double_precision(adain_on, seed):
    G, z, fixed, rng = _outputs(adain_on, seed)
    pair = G(z), G(fixed, noise_mode="random", rng=rng)
    return np.array([np.std(x, axis=0, dtype=np.float64).mean() for x in pair])


def spreads__seed_ignored(adain_on, seed):
    return spreads__correct_with_loops(adain_on, 0)


def spreads__twice_the_perturbation(adain_on, seed):
    G, z, fixed, rng = _outputs(adain_on, seed, perturbation=1.0)
    pair = G(z), G(fixed, noise_mode="random", rng=rng)
    return np.array([x.std(axis=0).mean() for x in pair])


def spreads__spread_of_the_first_position(adain_on, seed):
    G, z, fixed, rng = _outputs(adain_on, seed)
    pair = G(z), G(fixed, noise_mode="random", rng=rng)
    return np.array([x.std(axis=0)[0, 0] for x in pair])


# ---- why


def why__mapping_is_untrained():
    return "a"


def why__rounding():
    return "b"


def why__noise_covers_it():
    return "d"


def why__nothing_at_all():
    return None
