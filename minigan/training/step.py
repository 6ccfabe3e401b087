"""Training: one step as a pure function, and the loop around it that never loses anything.

    state → advance(config, state, data) → state

All chance in a step comes from a generator seeded with (seed, step), and the data are a function of
(seed, position).  So a state is all there is to know: what continues from a saved one is, bit for
bit, what would have come without the interruption.

Read first: `losses.py`, `networks/stylegan2.py`, `config.py`.  Read next: `loop.py`, which saves
and shows.
"""

import dataclasses
import math

import numpy as np

from minigan import autograd, check, files, latents, layers, losses, optim
from minigan.autograd import variable
from minigan.device import beside, moved
from minigan.networks import stylegan1
from minigan.training import augment, readable
from minigan.training.config import Config
from minigan.training.feature_discriminator import FeatureDiscriminator


@dataclasses.dataclass(frozen=True, eq=False)
class State:
    """Everything between two steps."""

    G: object
    D: object
    G_ema: object  # G with averaged weights: the one to keep
    g_adam: dict
    d_adam: dict
    expert: FeatureDiscriminator | None = None  # a second D
    expert_adam: dict | None = None
    step: int = 0
    images: int = 0  # real ones that D has seen
    moments: readable.Moments | None = None  # of w and what the expert reads
    pl_mean: float = 0.0
    p: float = 0.0  # strength of the augmentation
    signs: float = 0.0  # Σ sign D(real) since p last changed …
    signs_count: int = 0  # … of so many logits

    @property
    def networks(self):
        """By name, those there are."""
        names = ("G", "D", "G_ema", "expert")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def adams(self):
        names = ("g_adam", "d_adam", "expert_adam")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def to(self, device):
        """A copy with all its arrays on "cpu" or "gpu".  Raises: ValueError, RuntimeError."""
        changes = {name: network.to(device) for name, network in self.networks.items()}
        for name, adam in self.adams.items():
            parts = {
                part: {k: moved(a, device) for k, a in adam[part].items()} for part in ("m", "v")
            }
            changes[name] = adam | parts
        return dataclasses.replace(self, **changes)


def start(config: Config) -> State:
    """The state before the first step.  Raises: as `files.load_reader`, for the expert's file."""
    rng = np.random.default_rng([config.seed, 1 << 62])
    G, D = config.G.build(rng), config.D.build(rng)
    if config.grow:
        G, D = _at_lod(G, config.lod(0)), _at_lod(D, config.lod(0))
    state = State(G, D, G, config.g_adam.init(G.params), config.d_adam.init(D.params))
    if config.expert:
        f = files.load_reader(config.expert)
        expert = FeatureDiscriminator.init(f.config, rng, f)
        adam = config.expert_adam.init(expert.params)
        state = dataclasses.replace(state, expert=expert, expert_adam=adam)
        if config.readable_weight:
            if f.config.task != "factors":
                raise ValueError(f"the expert's task is {f.config.task!r}; expected 'factors' for "
                                 "readable_weight")  # fmt: skip
            state = dataclasses.replace(state, moments=readable.Moments.of(config.G.w_dim))
    return state


def _at_lod(network, lod):
    return network.replace(config=dataclasses.replace(network.config, lod=lod))


def _grown(config, state):
    """The state at its resolution; where that changes, Adam begins anew."""
    lod, before = config.lod(state.images), state.G.config.lod
    networks = {name: _at_lod(getattr(state, name), lod) for name in ("G", "D", "G_ema")}
    state = dataclasses.replace(state, **networks)
    if (math.floor(lod), math.ceil(lod)) != (math.floor(before), math.ceil(before)):
        fresh = {
            "g_adam": config.g_adam.init(state.G.params),
            "d_adam": config.d_adam.init(state.D.params),
        }
        state = dataclasses.replace(state, **fresh)
    return state


class Diverged(FloatingPointError):
    """A number that is not finite; the message says at which step, and in which layer."""


def advance(config: Config, state: State, data) -> tuple[State, dict[str, float]]:
    """One step: (the next state, {"d_loss": …, "g_loss": …, …}).

    data: `batch(position, n)` -> (images float32 [n, C, R, R] in [−1, 1], labels [n, c_dim] or
    None), and for conditional networks `labels(rng, n)`.
    Raises: Diverged.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # said once, with its layer, by Diverged
        return _advance(config, state, data, np.random.default_rng([config.seed, state.step]))


def _advance(config, state, data, rng):
    stats = {}
    if config.grow:
        state = _grown(config, state)
        stats["lod"] = state.G.config.lod
    try:
        real, c = data.batch(state.images, config.batch)
        if config.mirror:
            flips = rng.random(config.batch) < 0.5
            real = np.where(flips[:, None, None, None], real[:, :, :, ::-1], real)
        real, c = beside(real, state.G.w_avg), beside(c, state.G.w_avg)
        if config.grow:
            real = stylegan1.fade_reals(state.D.config, real)
        state, stats["g_loss"] = _g_main(config, state, data, real, c, rng)
        if config.pl_weight and state.step % config.pl_interval == 0:
            state, stats["pl_length"] = _g_path_length(config, state, data, rng)
        state, found = _d_main(config, state, data, real, c, rng)
        stats |= found
        if config.lazy_r1 and state.step % config.r1_interval == 0:
            state, stats["r1"] = _d_r1(config, state, data, real, c, rng)
    except (Diverged, check.NotFinite) as error:
        raise Diverged(f"training came apart at step {state.step} ({error})") from None
    images = state.images + config.batch
    half_life = 1000 * config.ema_kimg
    if config.ema_rampup:
        half_life = min(half_life, config.ema_rampup * images)
    beta = optim.ema_beta(config.batch, half_life)
    average = state.G.replace(params=optim.ema(state.G_ema.params, state.G.params, beta))
    state = dataclasses.replace(state, G_ema=average, step=state.step + 1, images=images)
    if config.augment and state.step % config.ada_interval == 0:
        r_t = state.signs / state.signs_count
        p = augment.adapt(state.p, r_t, config.ada_target, state.signs_count, config.ada_kimg)
        state = dataclasses.replace(state, p=p, signs=0.0, signs_count=0)
        stats["r_t"] = r_t
    return state, stats


# ---- the four phases -----------------------------------------------------------------------------


def _latents(config, state, data, rng, n):
    """z, and labels like those of the data, if it has any."""
    z = rng.standard_normal((n, config.G.z_dim), np.float32)
    c = data.labels(rng, n) if config.G.c_dim else None
    return beside(z, state.G.w_avg), beside(c, state.G.w_avg)


def _styles(config, G, z, c, rng):
    """ws and w, which is in all of ws unless two styles are mixed (StyleGAN §3.1): then None, and
    the mean of w for w̄."""
    ws = G.mapping(z, c)
    w = ws[:, 0]
    w_mean = np.mean(w, axis=0)
    if config.mixing_prob and rng.random() < config.mixing_prob:
        w = None
        other = G.mapping(beside(rng.standard_normal(z.shape, np.float32), z), c)
        ws = latents.style_mix(ws, other, int(rng.integers(1, G.used_ws)))
    return ws, w, w_mean


_LOSSES = {"logistic": losses.d_logistic, "relativistic": losses.d_relativistic,
           "wgan-gp": losses.d_wgan}  # fmt: skip


def _d_loss(config, real_logits, fake_logits):
    return _LOSSES[config.loss](real_logits, fake_logits)


def _g_loss(config, real_logits, fake_logits):
    if config.loss == "relativistic":
        return losses.g_relativistic(real_logits, fake_logits)
    return (losses.g_wgan if config.loss == "wgan-gp" else losses.g_nonsaturating)(fake_logits)


def _as_d_sees(config, state, rng):
    """What D is shown of images in this pass: a function of them."""
    fade = 1 - state.images / (1000 * config.blur_kimg)
    sigma = config.blur_sigma * max(0.0, fade)

    def shown(images):
        images = augment.blur(images, sigma)
        return augment.augment(images, state.p, rng, config.augment) if config.augment else images

    return shown


def _learn(config, state, which, loss):
    """A step of Adam for "G" or "D": (the new state, the loss, its aux).  loss: params -> both."""
    network, key = getattr(state, which), f"{which.lower()}_adam"
    adam = getattr(config, key)
    adam = dataclasses.replace(adam, lr=adam.lr * config.pace(state.images))
    try:
        (value, aux), grads = autograd.value_and_grad(loss, has_aux=True)(network.params)
    except ValueError:  # parameters, or what a network is given, are not finite?  Or a real error
        where = _where(lambda: loss(network.params))
        if where is None:
            raise
        raise Diverged(f"{which}: {where}") from None
    params, opt = adam.step(network.params, grads, getattr(state, key))
    bad = _not_finite(grads)
    if bad or not math.isfinite(value) or _not_finite(params):
        where = _where(lambda: loss(network.params))
        if where is None:
            where = (
                f"the gradient is not finite, first at {bad[0]}" if bad else "Adam's step is not"
            )
        raise Diverged(f"{which}'s loss is {float(value):.3g}; {where}")
    state = dataclasses.replace(state, **{which: network.replace(params=params), key: opt})
    return state, float(value), aux


def _not_finite(arrays):
    """The names of those that hold NaN or infinity.  A GPU is waited for once, not for each."""
    finite = moved(np.stack([np.all(np.isfinite(a)) for a in arrays.values()]), "cpu")
    return [name for name, fine in zip(arrays, finite, strict=True) if not fine]


def _where(run):
    """The first layer that gives something not finite, in words; or None."""
    found = []

    def seen(name, y):
        if not found and not np.isfinite(variable.plain(y)).all():
            found.append(f"not finite first at {name}")

    with layers.watch(seen), np.errstate(all="ignore"):
        try:
            run()
        except ValueError as error:  # a network refuses input that is not finite
            found.append(str(error))
    return found[0] if found else None


def _g_main(config, state, data, real, real_c, rng):
    z, c = _latents(config, state, data, rng, config.batch)
    aug, D, expert = _as_d_sees(config, state, rng), state.D, state.expert
    moments = state.moments
    of_D = of_expert = None  # what they say of real images, if that counts
    if config.loss == "relativistic":
        seen = aug(real)
        of_D, of_expert = D(seen, real_c), expert and expert(seen)

    def loss(params):
        G = state.G.replace(params=params)
        ws, w, w_mean = _styles(config, G, z, c, rng)
        fake = aug(G.synthesis(ws, "random", rng))
        value = _g_loss(config, of_D, D(fake, c))
        if expert:
            value = value + config.expert_weight * _g_loss(config, of_expert, expert(fake))
        if moments is None or w is None:
            return value, (w_mean,)
        r = readable.read(expert.reader, fake)
        value = value + config.readable_weight * readable.loss(moments, w, r)
        return value, (w_mean, w, r)

    state, value, (w_mean, *seen) = _learn(config, state, "G", loss)
    if seen:
        state = dataclasses.replace(state, moments=moments.add(*seen))
    beta = config.G.mapping_kwargs.w_avg_beta
    w_avg = w_mean + beta * (state.G.w_avg - w_mean)
    G = state.G.replace(buffers=state.G.buffers | {"mapping.w_avg": w_avg})
    return dataclasses.replace(state, G=G), value


def _g_path_length(config, state, data, rng):
    n = max(1, config.batch // config.pl_batch_shrink)
    z, c = _latents(config, state, data, rng, n)
    shape = (n, config.G.img_channels, config.G.img_resolution, config.G.img_resolution)
    y = beside(rng.standard_normal(shape, np.float32), z)

    def loss(params):
        G = state.G.replace(params=params)

        def synthesis(ws):
            return G.synthesis(ws, "random", rng)

        value, pl_mean = losses.path_length(synthesis, G.mapping(z, c), y, state.pl_mean)
        return value * (config.pl_weight * config.pl_interval), pl_mean

    state, _, pl_mean = _learn(config, state, "G", loss)
    return dataclasses.replace(state, pl_mean=float(pl_mean)), float(pl_mean)


def _d_main(config, state, data, real, c, rng):
    z, fake_c = _latents(config, state, data, rng, len(real))
    ws, _, _ = _styles(config, state.G, z, fake_c, rng)
    fake, G = state.G.with_new_emas(ws, rng)  # the one pass that moves StyleGAN3's mean squares
    state = dataclasses.replace(state, G=G)
    number = int(rng.integers(1 << 62))

    def real_view(images):  # the same augmentations each time
        return _as_d_sees(config, state, np.random.default_rng(number))(images)

    real_seen, fake_seen = real_view(real), _as_d_sees(config, state, rng)(fake)
    t = beside(rng.random(len(real), np.float32), real)

    def loss(params):
        D = state.D.replace(params=params)
        real_logits, fake_logits = D(real_seen, c), D(fake_seen, fake_c)
        value, r1 = _d_loss(config, real_logits, fake_logits), 0.0
        if config.loss == "wgan-gp":
            value = value + losses.gradient_penalty(lambda x: D(x, c), real_seen, fake_seen, t)
        elif config.gamma and config.r1_interval == 1:
            r1 = _r1(D, real_view, [(real, c)], config.gamma)
        return value + r1, (real_logits, r1)

    stats = {}
    state, stats["d_loss"], (logits, r1) = _learn(config, state, "D", loss)
    if config.gamma and config.r1_interval == 1 and config.loss != "wgan-gp":
        stats["r1"] = float(r1)
    signs = state.signs + float(np.sign(logits).sum())
    count = state.signs_count + logits.size
    state = dataclasses.replace(state, signs=signs, signs_count=count)
    if state.expert is not None:
        seen = real_seen, fake_seen
        state, stats["expert_loss"] = _learn_feature_discriminator(config, state, *seen)
    return state, stats


def _learn_feature_discriminator(config, state, real, fake):
    real, fake = state.expert.see(real), state.expert.see(fake)

    def loss(params):
        judge = state.expert.replace(params=params).judge
        return _d_loss(config, judge(real), judge(fake)), None

    state, value, _ = _learn(config, state, "expert", loss)
    return state, value


def _d_r1(config, state, data, real, c, rng):
    aug = _as_d_sees(config, state, rng)
    weight = config.gamma * config.r1_interval
    sets = [(real, c)]
    if config.loss == "relativistic":  # R2 (Mescheder et al. 2018): the same penalty on fakes
        z, fake_c = _latents(config, state, data, rng, len(real))
        ws, _, _ = _styles(config, state.G, z, fake_c, rng)
        sets.append((state.G.synthesis(ws, "random", rng), fake_c))

    def loss(params):
        return _r1(state.D.replace(params=params), aug, sets, weight), None

    state, value, _ = _learn(config, state, "D", loss)
    return state, value / config.r1_interval


def _r1(D, view, sets, weight):
    """R1 over sets of (images, labels).  D's slope is that at the images themselves, through its
    view of them, as officially: a blur would otherwise change what γ means."""
    penalties = [losses.r1_penalty(lambda x, c=c: D(view(x), c), x, weight) for x, c in sets]
    return sum(penalties[1:], penalties[0])
