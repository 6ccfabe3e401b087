"""How good is a generator of portraits?  Every measure of a model card, as numbers.

What stands beside each number makes it mean something: the *floor*, the same measure of fresh
drawings against drawings; a *bad* reference, drawings of 16 × 16 pixels; N; and
the spread over seeds.  Factors are read by a network, with the errors that its own card states.

Read first: `metrics.py`, `networks/reader.py`.  Read next: `tables.py`.
"""

import dataclasses

import numpy as np

from minigan import files
from minigan.autograd.variable import plain
from minigan.data import portraits
from minigan.evaluation import metrics
from minigan.evaluation.equivariance import eq_r, eq_t, eq_t_frac
from minigan.layers import dense
from minigan.networks.reader import columns, in_batches, targets

SEEDS = (0, 1, 2)
N = 4000
PSIS = (0.0, 0.25, 0.5, 0.7, 1.0, 1.25)
BINS = 4  # of a continuous factor


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How many pictures, or latents, `every` takes; those of a model card."""

    distances: int = N  # and the factors' tables
    paths: int = 200
    canvases: int = 480
    copies: int = 500  # beside so many of the training data, and as many new ones:
    others: int = 20_000
    variety: int = 1000
    shares: int = 512  # of the variance


CARD = Sizes()


def every(G, reader, data=None, images_seen: int = 0, sizes: Sizes = CARD) -> dict:
    """All measures of a generator of portraits below, by name, and what they were made with.

    data, images_seen: what G was trained on, for `memorised`; None: no such measure.
    "separability" is a sentence where G varies too little to be separated.
    """
    try:
        separable = separability(G, reader, sizes.distances)
    except ValueError as error:  # G has collapsed, and the card says so
        separable = str(error)
    return {
        "reader": {"fingerprint": reader.fingerprint, "features": reader.config.features,
                   "name": f"factors{reader.config.resolution}"},
        "sizes": sizes,
        "distances": distances(G, reader, sizes.distances),
        "path_lengths": path_lengths(G, reader, sizes.paths),
        "separability": separable,
        "readable": readable(G, reader, sizes.distances),
        "coverage": coverage(G, reader, sizes.distances),
        "memorised": None if data is None
        else memorised(G, data, images_seen, sizes.copies, sizes.others),
        "equivariance": equivariance(G, sizes.canvases),
        "variety": variety(G, sizes.variety),
    }  # fmt: skip


def reader_for(G):
    """The shipped network for factors that sees as many pixels as G draws, and never taught it."""
    return files.load_reader("factors64" if G.img_resolution >= 64 else "factors32")


def images(G, n, rng, psi=1.0):
    """n pictures of fresh latents and fresh noise."""
    z = rng.standard_normal((n, G.z_dim), np.float32)
    return synthesise(G, G.mapping(z, truncation_psi=psi), rng)


def synthesise(G, ws, rng):
    return in_batches(lambda part: G.synthesis(part, "random", rng), ws, 64)


def drawings(n, resolution, rng):
    """n freshly drawn portraits."""
    parts = [portraits.sample(min(64, n - i), resolution, rng)[0] for i in range(0, n, 64)]
    return np.concatenate(parts)


def blurred(pictures):
    """Only 16 × 16 pixels left, whatever the size: what a bad generator might do."""
    n, c, height, width = pictures.shape
    blocks = np.reshape(pictures, (n, c, 16, height // 16, 16, width // 16))
    return np.reshape(np.broadcast_to(blocks.mean((3, 5), keepdims=True), blocks.shape),
                      pictures.shape)  # fmt: skip


def distances(G, reader, n=N, seeds=SEEDS):
    """{what: {"frechet": [per seed], "kernel": …, "precision": …, "recall": …}}.

    Each set of n against n drawings: G at ψ = 1 and 0.7, other drawings (the floor), blurred ones.
    """
    found = {}
    for seed in seeds:
        rng = np.random.default_rng([seed, 1])
        real = reader(drawings(n, G.img_resolution, rng))
        other = drawings(n, G.img_resolution, rng)
        sets = {
            "G, ψ = 1": lambda rng=rng: images(G, n, rng),
            "G, ψ = 0.7": lambda rng=rng: images(G, n, rng, 0.7),
            "drawings (floor)": lambda other=other: other,
            "blurred (bad)": lambda other=other: blurred(other),
        }
        for name, make in sets.items():
            mine = reader(make())
            row = found.setdefault(
                name, {k: [] for k in ("frechet", "kernel", "precision", "recall")}
            )
            row["frechet"].append(metrics.frechet_distance(real, mine))
            row["kernel"].append(metrics.kernel_distance(real, mine, rng, 50)[0])
            precision, recall = metrics.precision_recall(real[:2000], mine[:2000])
            row["precision"].append(precision)
            row["recall"].append(recall)
    return found


def path_lengths(G, reader, n=200, seeds=SEEDS):
    """{"z full": [per seed], "z end", "w full", "w end"}: `metrics.feature_path_length`."""
    return {
        f"{space} {sampling}": [
            metrics.feature_path_length(
                G, reader, np.random.default_rng([seed, 2]), space, sampling, n
            )
            for seed in seeds
        ]
        for space in ("z", "w")
        for sampling in ("full", "end")
    }


def by_factor(factors):
    """{name: [N, K]}: each factor as numbers; a choice as a column for each value."""
    y = targets(factors)
    return {f.name: y[:, first:last] for f, first, last in columns()}


def styles(G, w):
    """Every layer's style of w [N, w_dim], side by side: StyleGAN's scales and shifts, StyleGAN2's
    scales, the space S of Wu et al. 2021 (StyleSpace, arXiv 2011.12799)."""
    names = [k.removesuffix(".weight") for k in G.params if k.endswith(".affine.weight")]
    return np.concatenate([plain(dense(G.params, name, w)) for name in names], axis=1)


def readable(G, reader, n=N, seed=0):
    """How well each factor of G's pictures can be read, linearly, from what made them.

    Returns {factor: {"z": (all, best one), "w": …, "s": …, "layers": [R² of each layer's own w]}};
    the numbers are `metrics.readability`'s, those of the layers `by_layer`'s.  NaN: no variation.
    """
    rng = np.random.default_rng([seed, 3])
    z = rng.standard_normal((n, G.z_dim), np.float32)
    ws = G.mapping(z)
    wanted = by_factor(reader.read(synthesise(G, ws, rng)))
    spaces = {"z": z, "w": ws[:, 0], "s": styles(G, ws[:, 0])}
    shares = {space: readabilities(x, wanted) for space, x in spaces.items()}
    layers = by_layer(G, reader, n, seed)
    return {
        name: {space: share[name][:2] for space, share in shares.items()} | {"layers": layers[name]}
        for name in wanted
    }


def readabilities(x, wanted):
    """`metrics.readabilities`, with NaN for what G never varies, as a collapsed one does."""
    varied = {name: y for name, y in wanted.items() if np.ptp(y, axis=0).max() > 0}
    return dict.fromkeys(wanted, (np.nan, np.nan, 0)) | metrics.readabilities(x, varied)


def by_layer(G, reader, n=N, seed=0):
    """{factor: [R² of each layer's own w]}, of n pictures in which every layer has a w of its own,
    so that what layer i alone says can be told apart."""
    rng = np.random.default_rng([seed, 11])
    ws = np.stack(
        [G.mapping(rng.standard_normal((n, G.z_dim), np.float32))[:, i] for i in range(G.num_ws)],
        axis=1,
    )
    wanted = by_factor(reader.read(synthesise(G, ws, rng)))
    shares = [readabilities(ws[:, i], wanted) for i in range(G.num_ws)]
    return {name: [share[name][0] for share in shares] for name in wanted}


def equivariance(G, n=480, seeds=SEEDS):
    """{"EQ-T": [dB per seed], "EQ-T_frac": …, "EQ-R": …}, each of n latents: StyleGAN3, App. E."""
    measures = {"EQ-T": eq_t, "EQ-T_frac": eq_t_frac, "EQ-R": eq_r}
    return {
        name: [measure(G, np.random.default_rng([seed, 10]), n, 16) for seed in seeds]
        for name, measure in measures.items()
    }


def separability(G, reader, n=N, seed=0):
    """{"z": score, "w": score}: linear separability (StyleGAN §4.2), of the factors that are
    numbers, upper half against lower half, as read from the pictures."""
    rng = np.random.default_rng([seed, 4])
    z = rng.standard_normal((n, G.z_dim), np.float32)
    ws = G.mapping(z)
    read = reader.read(synthesise(G, ws, rng))
    factors = np.stack(
        [read[f.name] for f in portraits.FACTORS if not f.choices and f.name != "background"],
        axis=1,
    )
    return {
        space: metrics.linear_separability(x.astype(np.float64), factors)[0]
        for space, x in (("z", z), ("w", ws[:, 0]))
    }


def shares(read):
    """{factor: share of each value}; numbers in BINS equal parts of the factor's range."""
    found = {}
    for f in portraits.FACTORS:
        values = read[f.name]
        if f.choices:
            count = np.bincount(values, minlength=len(f.choices))
        else:
            place = (values - f.low) / (f.high - f.low) * BINS
            count = np.bincount(np.clip(place, 0, BINS - 1).astype(int), minlength=BINS)
        found[f.name] = count / len(values)
    return found


def covered(real, fake):
    """Whether a value's share in G's pictures is within a factor of two of that in drawings."""
    return (fake >= real / 2) & (fake <= 2 * real)


def coverage(G, reader, n=N, seed=0, psi=1.0):
    """{factor: [(value, share in drawings, share in G's pictures)]}, as the reader sees both."""
    rng = np.random.default_rng([seed, 5])
    real = shares(reader.read(drawings(n, G.img_resolution, rng)))
    fake = shares(reader.read(images(G, n, rng, psi)))
    found = {}
    for f in portraits.FACTORS:
        if f.choices:
            names = f.choices
        else:
            edges = np.linspace(f.low, f.high, BINS + 1)
            names = [f"{a:g} … {b:g}" for a, b in zip(edges, edges[1:], strict=False)]
        found[f.name] = list(zip(names, real[f.name], fake[f.name], strict=True))
    return found


def memorised(G, data, images_seen, n=500, others=20_000, seed=0):
    """Are G's pictures copies?  Median distances, per pixel value, to the nearest of the pictures
    that G was trained on last, and to the nearest of as many drawn afresh; of fakes, and of new
    drawings.

    data: as `stream.open_data`'s: batch(position, n), whose images 0 … images_seen − 1 G has seen.
    Returns {"trained on": (fakes, drawings), "never seen": (fakes, drawings), "others": how many
    there are of either}.  If the fakes are nearer to what G was trained on, it has memorised.
    """
    rng = np.random.default_rng([seed, 6])
    others = min(others, images_seen)
    parts = range(images_seen - others, images_seen, 64)
    trained = np.concatenate([data.batch(i, min(64, images_seen - i))[0] for i in parts])
    unseen = drawings(others, G.img_resolution, rng)
    probes = images(G, n, rng), drawings(n, G.img_resolution, rng)
    scale = np.sqrt(trained[0].size)
    return {"others": others} | {
        name: tuple(
            float(np.median(metrics.nearest(p.reshape(n, -1), x.reshape(len(x), -1)))) / scale
            for p in probes
        )
        for name, x in (("trained on", trained), ("never seen", unseen))
    }


def variety(G, n=1000, seed=0):
    """{ψ: mean standard deviation of a pixel over latents}, "drawings" for comparison."""
    rng = np.random.default_rng([seed, 7])
    z = rng.standard_normal((n, G.z_dim), np.float32)
    found = {}
    for psi in PSIS:
        pictures = synthesise(G, G.mapping(z, truncation_psi=psi), rng)
        found[psi] = float(np.mean(np.std(pictures, axis=0)))
    real = drawings(n, G.img_resolution, rng)
    return found | {"drawings": float(np.mean(np.std(real, axis=0)))}


# ---- of the networks that measure ----------------------------------------------------------------


def reading(reader, n=N, seed=0):
    """How well `reader.Network.read` reads fresh drawings: {factor: ("right", share) for choices,
    ("R²", share of the variance) for numbers, ("cos", mean cosine of the error) for the hue}."""
    rng = np.random.default_rng([seed, 8])
    factors = portraits.sample_factors(n, rng)
    return compared(
        reader.read(portraits.draw_randomly(factors, reader.config.resolution, rng)), factors
    )


def agreement(G, one, other, n=N, seed=0):
    """How well one reader's words say another's, of n pictures by G: as `reading`, or, of two that
    know people, {"cosines": R² of one's cosines from the other's, of pictures and others somewhere
    on the way, in W, to a third}."""
    rng = np.random.default_rng([seed, 12])
    ws = G.mapping(rng.standard_normal((n, G.z_dim), np.float32))
    pictures = synthesise(G, ws, rng)
    if one.config.task == "factors":
        return compared(one.read(pictures), other.read(pictures))
    away = rng.uniform(0, 1, (n, 1, 1)).astype(np.float32)
    moved = synthesise(G, ws + away * (np.roll(ws, 1, axis=0) - ws), rng)
    a, b = (np.sum(network(pictures) * network(moved), axis=1) for network in (one, other))
    return {"cosines": ("R²", float(np.corrcoef(a, b)[0, 1] ** 2))}


def compared(read, factors):
    """{factor: (in what unit, how well `read` says `factors`)}, see `reading`."""
    found = {}
    for f in portraits.FACTORS:
        true, got = factors[f.name], read[f.name]
        if f.choices:
            found[f.name] = "right", float(np.mean(true == got))
        elif f.name == "background":
            found[f.name] = "cos", float(np.mean(np.cos(2 * np.pi * (true - got))))
        else:
            found[f.name] = "R²", float(1 - np.mean((true - got) ** 2) / np.var(true))
    return found


def recognition(network, n=1000, seed=0):
    """Does an identity network know who it is?  Cosines of pairs of drawings, and what they tell.

    Returns {"same": mean cosine of one person twice, all attributes drawn anew; "other": of two
    people; "found": share whose other picture is the nearest of n; "auc": chance that a same pair
    is nearer than another; "one factor": {identity factor: auc where only it was drawn anew}}.
    """
    rng = np.random.default_rng([seed, 9])
    someone = portraits.people(n, rng)

    def seen(factors):
        return network(portraits.draw_randomly(factors, network.config.resolution, rng))

    a, b = seen(someone), seen(portraits.people(n, rng, someone))
    same, other = np.sum(a * b, axis=1), np.sum(a * np.roll(b, 1, axis=0), axis=1)
    one = {}
    for name in portraits.IDENTITY:
        changed = someone | {name: portraits.sample_factors(n, rng)[name]}
        c = seen(portraits.people(n, rng, changed))
        one[name] = _auc(same, np.sum(a * c, axis=1))
    return {
        "same": float(same.mean()), "other": float(other.mean()),
        "found": float(np.mean((a @ b.T).argmax(axis=1) == np.arange(n))),
        "auc": _auc(same, other), "one factor": one,
    }  # fmt: skip


def _auc(high, low):
    """The chance that one of `high` exceeds one of `low`; ties count half."""
    order = np.sort(low)
    below = np.searchsorted(order, high, "left") + np.searchsorted(order, high, "right")
    return float(np.mean(below) / (2 * len(low)))
