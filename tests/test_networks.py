"""Every network and loss: derivatives to second order, and what must hold of the architecture."""

import collections
import dataclasses
import json
import pathlib
import pickle
import re
import sys
import zipfile

import numpy as np
import pytest

import minigan
from minigan import autograd, files, losses, toy, training
from minigan.data import portraits
from minigan.experiments import texture_sticking
from minigan.files.description import Shapes
from minigan.networks import NETWORKS, reader, stylegan1, stylegan2, stylegan3
from minigan.training.feature_discriminator import FeatureDiscriminator

TINY1 = {"img_resolution": 8, "channel_base": 32, "channel_max": 4}
MAPPING1 = stylegan1.MappingConfig(num_layers=2, lr_multiplier=0.1)
MAPPING2 = stylegan2.MappingConfig(num_layers=2, lr_multiplier=0.1)
G_CONFIGS = [
    stylegan1.Config(**TINY1, z_dim=3, w_dim=3, mapping_kwargs=MAPPING1),
    stylegan1.Config(**TINY1, z_dim=3, w_dim=3, mapping_kwargs=MAPPING1, lod=0.4, c_dim=2),
    *(
        stylegan2.Config(
            **TINY1, z_dim=3, w_dim=3, mapping_kwargs=MAPPING2, architecture=a, c_dim=c
        )
        for a, c in (("skip", 0), ("resnet", 2), ("orig", 0))
    ),
    *(
        stylegan3.Config(
            **TINY1,
            z_dim=3,
            w_dim=3,
            mapping_kwargs=MAPPING2,
            conv_kernel=k,
            c_dim=c,
            use_radial_filters=k == 1,
            num_layers=3,
            num_critical=1,
            margin_size=2,
            filter_size=4,
        )
        for k, c in ((3, 0), (1, 2))
    ),  # fmt: skip
]
D_CONFIGS = [
    stylegan1.DiscriminatorConfig(**TINY1),
    stylegan1.DiscriminatorConfig(**TINY1, lod=0.4, c_dim=2),
    *(
        stylegan2.DiscriminatorConfig(**TINY1, architecture=a, c_dim=c, mapping_kwargs=MAPPING2)
        for a, c in (("skip", 0), ("resnet", 2), ("orig", 0))
    ),
]


EPS = 1e-6  # of the differences: along 1e-5 an activation may change its sign


def label(config):
    kind = "G" if hasattr(config, "z_dim") else "D"
    named = {"architecture": "", "lod": "lod", "conv_kernel": "k"}
    about = next(f"-{w}{getattr(config, n)}" for n, w in named.items() if hasattr(config, n))
    return f"{type(config).__module__.rpartition('.')[2]}-{kind}{about}"


def in_double(network, rng):
    """The network in float64, its zeros and ones replaced: nothing is tested at a trivial point."""

    def moved(arrays, by):
        return {
            k: a.astype(np.float64) + by * rng.standard_normal(a.shape) for k, a in arrays.items()
        }

    return network.replace(params=moved(network.params, 0.1), buffers=moved(network.buffers, 0.0))


def labels(config, n):
    return np.eye(config.c_dim)[np.arange(n) % config.c_dim] if config.c_dim else None


@pytest.mark.parametrize("config", G_CONFIGS, ids=label)
def test_generators_are_differentiable_twice(config, rng):
    G = in_double(config.build(rng), rng)
    z, c = rng.standard_normal((2, 3)), labels(config, 2)
    weight = rng.standard_normal((2, 3, 8, 8))
    autograd.check_grads(
        lambda p: np.sum(np.tanh(G.replace(params=p)(z, c)) * weight), G.params, order=2, eps=EPS
    )
    autograd.check_grads(lambda z: np.sum(np.tanh(G(z, c)) * weight), z, order=2, eps=EPS)


@pytest.mark.parametrize("config", D_CONFIGS, ids=label)
def test_discriminators_are_differentiable_twice(config, rng):
    D = in_double(config.build(rng), rng)
    x, c = rng.standard_normal((4, 3, 8, 8)), labels(config, 4)
    autograd.check_grads(
        lambda p: np.sum(np.tanh(D.replace(params=p)(x, c))), D.params, order=2, eps=EPS
    )
    autograd.check_grads(lambda x: np.sum(np.tanh(D(x, c))), x, order=2, eps=EPS)


@pytest.mark.parametrize("config", [D_CONFIGS[0], D_CONFIGS[3]], ids=label)
def test_losses_are_differentiable_twice(config, rng):
    D = in_double(config.build(rng), rng)
    real, fake = rng.standard_normal((2, 4, 3, 8, 8))
    c, t = labels(config, 4), rng.random(4)

    def check(loss, weight=1.0):
        def f(p):
            network = D.replace(params=p)
            return weight * loss(lambda x: network(x, c))

        autograd.check_grads(f, D.params, order=2, eps=EPS)

    check(lambda D: losses.d_logistic(D(real), D(fake)))
    check(lambda D: losses.g_nonsaturating(D(fake)))
    check(lambda D: losses.d_wgan(D(real), D(fake)))
    check(lambda D: losses.g_wgan(D(fake)))
    check(lambda D: losses.r1_penalty(D, real, 3.0))
    check(lambda D: losses.gradient_penalty(D, real, fake, t))


@pytest.mark.parametrize("config", [G_CONFIGS[0], G_CONFIGS[2]], ids=label)
def test_path_length_is_differentiable_twice(config, rng):
    G = in_double(config.build(rng), rng)
    z, y = rng.standard_normal((2, 3)), rng.standard_normal((2, 3, 8, 8))

    def f(p):
        network = G.replace(params=p)
        return losses.path_length(network.synthesis, network.mapping(z), y, 0.3)[0]

    autograd.check_grads(f, G.params, order=2, eps=EPS)


@pytest.mark.parametrize("config", G_CONFIGS + D_CONFIGS, ids=label)
def test_float32_stays(config, rng):
    network = config.build(rng)
    if hasattr(config, "z_dim"):
        z = rng.standard_normal((4, 3), np.float32)
        f = lambda p: np.sum(network.replace(params=p)(z, labels(config, 4)))  # noqa: E731
    else:
        x = rng.standard_normal((4, 3, 8, 8), np.float32)
        f = lambda p: losses.r1_penalty(  # noqa: E731
            lambda x: network.replace(params=p)(x, labels(config, 4)), x, 1.0
        )
    value, grads = autograd.value_and_grad(f)(network.params)
    assert value.dtype == np.float32
    assert {g.dtype for g in grads.values()} == {np.dtype(np.float32)}


# ---- StyleGAN, for which there are no reference vectors ------------------------------------------


def test_stylegan1_has_the_published_size():
    """26.2 million parameters at 1024² (README of the authors' code); counted exactly: 26,219,627."""
    shapes = stylegan1.Generator.init(stylegan1.Config(), np.random.default_rng(0)).params
    assert sum(a.size for a in shapes.values()) == 26_219_627


def naive_stylegan1(p, b, ws, res):
    """The generator once more, layer by layer, written with nothing of the package."""

    def conv(x, w):
        k = w.shape[2] // 2
        x = np.pad(x, ((0, 0), (0, 0), (k, k), (k, k)))
        windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
        return np.einsum("nchwij,ocij->nohw", windows, w)

    def layer(name, x, i):
        x = x + b[f"{name}.noise_const"] * p[f"{name}.noise_strength"][:, None, None]
        x = x + p[f"{name}.bias"][:, None, None]
        x = np.where(x > 0, x, 0.2 * x)
        x = (x - x.mean((2, 3), keepdims=True)) / np.sqrt(x.var((2, 3), keepdims=True) + 1e-8)
        a = p[f"{name}.affine.weight"]
        style = ws[:, i] @ a.T / np.sqrt(a.shape[1]) + p[f"{name}.affine.bias"]
        scale, bias = np.split(style[:, :, None, None], 2, axis=1)
        return x * (scale + 1) + bias

    x = np.repeat(p["synthesis.b4.const"][None], len(ws), axis=0)
    x, i = layer("synthesis.b4.conv0", x, 0), 1
    blur = np.outer([1, 2, 1], [1, 2, 1]) / 16
    for r in [2**k for k in range(2, int(np.log2(res)) + 1)]:
        for part in ("conv0", "conv1"):
            if (r, part) == (4, "conv0"):
                continue
            w = p[f"synthesis.b{r}.{part}.weight"]
            w = w * np.sqrt(2 / w[0].size)
            if part == "conv0":
                x = conv(x.repeat(2, axis=2).repeat(2, axis=3), w)
                x = conv(x, blur * np.eye(x.shape[1])[:, :, None, None])
            else:
                x = conv(x, w)
            x, i = layer(f"synthesis.b{r}.{part}", x, i), i + 1
    w = p[f"synthesis.b{res}.torgb.weight"]
    return conv(x, w / np.sqrt(w.shape[1])) + p[f"synthesis.b{res}.torgb.bias"][:, None, None]


def test_stylegan1_is_its_recipe(rng):
    config = dataclasses.replace(G_CONFIGS[0], img_resolution=16, channel_max=6, channel_base=64)
    G = in_double(config.build(rng), rng)
    ws = rng.standard_normal((3, G.num_ws, 3))
    wanted = naive_stylegan1(G.params, G.buffers, ws, 16)
    assert np.abs(G.synthesis(ws) - wanted).max() < 1e-10 * np.abs(wanted).max()


@pytest.mark.parametrize("config", [G_CONFIGS[0], G_CONFIGS[2], G_CONFIGS[5]], ids=label)
def test_the_mapping_knows_no_length_of_z(config, rng):
    G = in_double(config.build(rng), rng)
    z = rng.standard_normal((3, 3))
    assert np.allclose(G.mapping(z), G.mapping(5 * z), rtol=1e-6)


def test_growing_is_continuous_and_ends_in_the_whole(rng):
    """Just before a resolution is complete, and just after it begins to fade in, nothing jumps."""
    big = stylegan1.Config(img_resolution=32, channel_base=64, channel_max=8, z_dim=3, w_dim=3)
    G = in_double(big.build(rng), rng)
    D = in_double(
        stylegan1.DiscriminatorConfig(img_resolution=32, channel_base=64, channel_max=8).build(rng),
        rng,
    )
    z, x = rng.standard_normal((2, 3)), rng.standard_normal((4, 3, 32, 32))

    def at(network, lod):
        return network.replace(config=dataclasses.replace(network.config, lod=lod))

    for lod in (0.0, 1.0, 2.0):
        for near in (lod + 1e-9, max(0.0, lod - 1e-9)):
            assert np.abs(at(G, near)(z) - at(G, lod)(z)).max() < 1e-6
            assert np.abs(at(D, near)(x) - at(D, lod)(x)).max() < 1e-6
            faded = [stylegan1.fade_reals(at(D, l).config, x) for l in (near, lod)]
            assert np.abs(faded[0] - faded[1]).max() < 1e-6
    image = at(G, 2.0)(z)
    assert image.shape == (2, 3, 32, 32)
    assert np.array_equal(image, image[:, :, ::4, ::4].repeat(4, axis=2).repeat(4, axis=3))
    # D at a lower resolution sees nothing of the details.
    assert np.allclose(at(D, 2.0)(x), at(D, 2.0)(stylegan1.fade_reals(at(D, 2.0).config, x)))


# ---- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", G_CONFIGS + D_CONFIGS, ids=label)
def test_a_file_gives_back_what_it_was_given(config, rng, tmp_path):
    network = config.build(rng)
    files.save(tmp_path / "n.npz", {"net": network})
    again = files.read_networks(tmp_path / "n.npz")["net"]
    assert again.config == config and type(again) is type(network)
    for part in ("params", "buffers"):
        old, new = getattr(network, part), getattr(again, part)
        assert old.keys() == new.keys() and all(np.array_equal(old[k], new[k]) for k in old)


def test_a_toy_is_saved_and_loaded_as_any_network(rng, tmp_path):
    for style in toy.STYLES:
        config = toy.Config(style=style, z_dim=4, w_dim=4, channels=5, num_layers=2)
        G, D = toy.Generator.init(config, rng, 0.1), toy.Discriminator.init(config, rng)
        files.save(tmp_path / "toy.npz", {"G": G, "D": D})
        z = rng.standard_normal((4, 4), np.float32)
        again = minigan.load(tmp_path / "toy.npz")
        assert type(again) is toy.Generator and again.config == config
        drawn = [g(z, None, 0.7, None, "random", np.random.default_rng(1)) for g in (G, again)]
        assert np.array_equal(*drawn) and np.array_equal(G(z), again(z))
        assert np.array_equal(D(drawn[0]), files.read_networks(tmp_path / "toy.npz")["D"](drawn[0]))


def test_what_could_not_be_read_again_is_not_saved(rng, tmp_path):
    class Own(stylegan2.Generator):
        pass

    step = texture_sticking.STEPS["C  no noise"](rng)
    for network in (Own.init(G_CONFIGS[2], rng), step, {"weight": 1}):
        with pytest.raises(TypeError, match="save: G is a .*; expected one of stylegan1.Generator"):
            files.save(tmp_path / "G.npz", {"G": network})
    G = G_CONFIGS[2].build(rng)
    for name in ("G/ema", ""):
        with pytest.raises(ValueError, match="save: .* expected"):
            files.save(tmp_path / "G.npz", {name: G})
    with pytest.raises(ValueError, match="save: the array 'G/more' .* expected"):
        files.save(tmp_path / "G.npz", {"G": G}, {"G/more": np.zeros(3)})
    assert not list(tmp_path.iterdir())


def test_a_network_on_a_gpu_is_saved_as_its_copy_on_the_cpu(rng, tmp_path, device_emulated):
    G = G_CONFIGS[0].build(rng)
    files.save(tmp_path / "G.npz", {"G": G.to("gpu")})
    again = files.load(tmp_path / "G.npz")
    for name, value in (G.params | G.buffers).items():
        assert np.array_equal((again.params | again.buffers)[name], value)


def every_kind(rng):
    """A small network of each kind that files hold."""
    small = reader.Config(channels=(2, 2, 2, 2), features=4, embedding=2)
    one = toy.Config(z_dim=4, w_dim=4, channels=5, num_layers=2)
    configs = [G_CONFIGS[i] for i in (0, 2, 5)] + [D_CONFIGS[0], D_CONFIGS[3]]
    return [config.build(rng) for config in configs] + [
        cls.init(config, rng) for cls, config in (
            (reader.Network, small), (FeatureDiscriminator, small),
            (toy.Generator, one), (toy.Discriminator, one),
        )
    ]  # fmt: skip


def test_shapes_are_learned_without_numbers(rng):
    networks = every_kind(rng)
    assert len({type(network) for network in networks}) == len(NETWORKS)
    for network in networks:
        shapes = Shapes()
        before = shapes.bit_generator.state
        outline = type(network).init(network.config, shapes)
        assert shapes.bit_generator.state == before, "numbers were drawn"
        for part in ("params", "buffers"):
            wanted = {name: a.shape for name, a in getattr(network, part).items()}
            assert {name: a.shape for name, a in getattr(outline, part).items()} == wanted


def test_reading_draws_nothing(rng, tmp_path, monkeypatch):
    networks = {f"n{i}": network for i, network in enumerate(every_kind(rng))}
    files.save(tmp_path / "all.npz", networks)

    def refuse(*args, **kwargs):
        raise AssertionError("something is drawn, or computed")

    monkeypatch.setattr(np.random, "default_rng", refuse)
    monkeypatch.setattr(portraits, "draw", refuse)
    monkeypatch.setattr(reader.Network, "trunk", refuse)
    again = files.read_networks(tmp_path / "all.npz")
    assert [type(network) for network in again.values()] == list(map(type, networks.values()))


def test_networks_and_states_are_compared_by_identity(rng):
    """== over dicts of arrays has no answer, and they can be no keys."""
    D = D_CONFIGS[0].build(rng)
    state = training.State(D, D, D, {"m": np.zeros(2)}, {"m": np.zeros(2)})
    for one in (*every_kind(rng), state, texture_sticking.STEPS["C  no noise"](rng)):
        other = dataclasses.replace(one)
        assert one == one and one != other and one not in [other] and len({one, other}) == 2


def test_what_is_no_file_of_ours_is_said(tmp_path, rng):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        files.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    whole = tmp_path / "whole.npz"
    files.save(whole, {"D": D_CONFIGS[0].build(rng)})
    (tmp_path / "cut.npz").write_bytes(whole.read_bytes()[:-200])
    for name in ("text", "other", "cut"):
        with pytest.raises(ValueError, match="is not a file of minigan's networks, or is damaged"):
            files.load(tmp_path / f"{name}.npz")
    with pytest.raises(ValueError, match=r"holds \['D'\]; expected a generator"):
        files.load(whole)
    G = G_CONFIGS[2].build(rng)
    for name, params in (
        ("less", {k: v for k, v in G.params.items() if k != "mapping.fc0.bias"}),
        ("other", G.params | {"mapping.fc0.bias": np.zeros(5, np.float32)}),
    ):
        files.save(tmp_path / f"{name}.npz", {"G": G.replace(params=params)})
        with pytest.raises(ValueError, match="does not fit its configuration.*mapping.fc0.bias"):
            files.load(tmp_path / f"{name}.npz")


def test_half_precision_is_half_the_file_and_nearly_the_network(rng, tmp_path):
    G = G_CONFIGS[2].build(rng)
    for half in (False, True):
        files.save(tmp_path / f"{half}.npz", {"G": G}, half=half)
    again = files.load(tmp_path / "True.npz")
    for name, value in (G.params | G.buffers).items():
        got = (again.params | again.buffers)[name]
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, value, rtol=1e-3, atol=1e-6)
    sizes = [(tmp_path / f"{half}.npz").stat().st_size for half in (False, True)]
    arrays = sum(a.size for a in (G.params | G.buffers).values())
    assert sizes[0] - sizes[1] == pytest.approx(2 * arrays, rel=0.01)
    wild = G.replace(params=G.params | {"mapping.fc0.bias": np.full(G.w_dim, 1e5, np.float32)})
    with pytest.raises(ValueError, match="mapping.fc0.bias goes up to 1e.05"):
        files.save(tmp_path / "wild.npz", {"G": wild}, half=True)
    assert not (tmp_path / "wild.npz").exists()


def resaved(path, to, **changes):
    """A file of ours with other JSON in it."""
    with np.load(path) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays.pop("meta_json"))) | changes
    np.savez(to, meta_json=np.array(json.dumps(meta)), **arrays)


def test_newer_and_inconsistent_files_are_said(rng, tmp_path):
    path, to = tmp_path / "g.npz", tmp_path / "other.npz"
    files.save(path, {"G": G_CONFIGS[2].build(rng)})
    resaved(path, to, format="minigan 2")
    with pytest.raises(ValueError, match="is of format 2; this minigan reads 1: a newer one"):
        files.load(to)
    resaved(path, to, format="maxigan 1")
    with pytest.raises(ValueError, match="is not a file of minigan's networks"):
        files.load(to)
    for networks in (
        {"G": {"kind": "stylegan9.Generator", "config": {}, "buffers": []}},
        {"G": {"kind": "stylegan2.Generator", "config": {"depth": 3}, "buffers": []}},
        {"G": {"kind": "stylegan2.Generator"}},
        {"G": None},
        [1],
    ):
        resaved(path, to, networks=networks)
        with pytest.raises(ValueError, match="does not hold what it says"):
            files.load(to)


def test_a_file_cut_anywhere_is_one_error(rng, tmp_path):
    whole = tmp_path / "whole.npz"
    files.save(whole, {"G": G_CONFIGS[2].build(rng)})
    data = whole.read_bytes()
    for n in [0, 1, 10, *rng.integers(20, len(data), 20)]:
        (tmp_path / "cut.npz").write_bytes(data[:n])
        with pytest.raises(ValueError, match="is not a file of minigan's networks, or is damaged"):
            files.load(tmp_path / "cut.npz")


def test_a_file_damaged_anywhere_is_one_error(rng, tmp_path):
    """Bytes changed where the archive says what is in it: zipfile and NumPy have many words for it,
    and none names the file."""
    path = tmp_path / "damaged.npz"
    files.save(path, {"G": G_CONFIGS[2].build(rng)})
    data = path.read_bytes()
    heads = [m.start() for m in re.finditer(b"PK\x01\x02|PK\x03\x04|PK\x05\x06|NUMPY", data)]
    words = set()
    for _ in range(400):
        changed = bytearray(data)
        changed[min(rng.choice(heads) + rng.integers(140), len(data) - 1)] = rng.integers(256)
        path.write_bytes(changed)
        try:
            files.load(path)
        except ValueError as error:
            assert str(error).startswith(f"{path} ")
            words.add(str(error))
    assert len(words) > 20


@pytest.mark.parametrize(
    "start, message",
    [
        (
            b"\xef\xbb\xbf\n<!DOCTYPE html><title>Quota exceeded",
            "is a web page.*fetch the file anew",
        ),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a Git LFS pointer.*git lfs pull"),
        (b"\x1f\x8b\x08\x00", "is compressed; unpack it first"),
        (b"\x89HDF\r\n", "is an HDF5 file.*expected NVIDIA's .pkl"),
        (b"\x89PNG\r\n", "is a picture; expected a network"),
    ],
)
def test_what_people_take_for_a_network_is_called_what_it_is(start, message, tmp_path):
    for name in ("n.pkl", "n.npz"):
        (tmp_path / name).write_bytes(start)
        for read in (files.load, files.read, files.read_networks):
            with pytest.raises(ValueError, match=f"{name} {message}"):
                read(tmp_path / name)


def test_pytorchs_own_files_are_called_so(tmp_path):
    with zipfile.ZipFile(tmp_path / "new.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"g_ema": 1}, 2))
    legacy = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {"g_ema": 1})
    (tmp_path / "old.pt").write_bytes(b"".join(pickle.dumps(part, 2) for part in legacy))
    for name in ("new.pt", "old.pt"):
        with pytest.raises(ValueError, match=f"{name} is a PyTorch checkpoint; expected NVIDIA's"):
            files.load(tmp_path / name)


def test_a_folder_and_an_address_are_no_files(tmp_path, rng):
    with pytest.raises(ValueError, match="is a folder; expected a file$"):
        files.load(tmp_path)
    files.save(tmp_path / "checkpoint.npz", {"G": G_CONFIGS[0].build(rng)})
    with pytest.raises(ValueError, match="expected a file such as .*checkpoint.npz"):
        files.load(tmp_path)
    for address in ("https://example.org/ffhq.pkl", pathlib.Path("https://example.org/ffhq.pkl")):
        with pytest.raises(ValueError, match="example.org/ffhq.pkl is a URL; download it first"):
            files.load(address)
    assert files.shipped("C:/ffhq.pkl") == pathlib.Path("C:/ffhq.pkl")  # a drive


def test_a_name_that_does_not_ship_is_said():
    with pytest.raises(FileNotFoundError, match="no file portraits999; the shipped networks are"):
        files.load("portraits999")


def test_an_array_that_needs_unpickling_is_refused(tmp_path):
    path = tmp_path / "hostile.npz"
    np.savez(path, meta_json=np.array({"a": 1}, dtype=object))
    with pytest.raises(ValueError, match="is not a file of minigan's networks"):
        files.load(path)


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, message",
    [
        ({"img_resolution": 48}, "img_resolution is 48; expected a power of two"),
        ({"img_resolution": 4}, "img_resolution is 4; expected a power of two from 8"),
        ({"channel_max": 0}, "channel_max is 0; expected a whole number from 1"),
        ({"z_dim": 2.5}, "z_dim is 2.5; expected a whole number"),
        ({"architecture": "skipp"}, "architecture is 'skipp'; expected 'skip', 'resnet', 'orig'"),
        ({"activation": "gelu"}, "activation is 'gelu'; expected"),
        ({"channel_base": 4}, "channel_base is 4; expected at least img_resolution, 8"),
    ],
)
def test_a_wrong_config_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(G_CONFIGS[2], **change)


@pytest.mark.parametrize("config", [G_CONFIGS[0], G_CONFIGS[2], G_CONFIGS[5]], ids=label)
def test_wrong_arguments_of_a_generator_are_named(config, rng):
    G = config.build(rng)
    z = rng.standard_normal((2, 3), np.float32)
    ws = G.mapping(z)
    bad = np.array(z)
    bad[0, 0] = np.nan
    for call, error, message in [
        (lambda: G(z[:, :2]), ValueError, r"z has shape \(2, 2\); expected \[N, 3\]"),
        (
            lambda: G(z.astype(int)),
            TypeError,
            "z is an array of int64; expected an array of float32",
        ),
        (lambda: G([[1, 2, 3]]), TypeError, "z is list"),
        (lambda: G(bad), ValueError, "z holds 1 NaN; expected numbers"),
        (lambda: G(z, c=z), ValueError, "c was given; expected None"),
        (lambda: G(z, truncation_psi="x"), ValueError, "truncation_psi is 'x'"),
        (lambda: G(z, truncation_cutoff=99), ValueError, "truncation_cutoff is 99"),
        (lambda: G.synthesis(ws[:, :2]), ValueError, "ws has shape"),
        (lambda: G.synthesis(ws, "fresh"), ValueError, "noise_mode is 'fresh'"),
        (lambda: G.synthesis(ws, "random"), TypeError, "rng is NoneType"),
        (lambda: type(G).init(config, 0), TypeError, "rng is int"),
    ]:
        with pytest.raises(error, match=message):
            call()


def test_labels_are_asked_for(rng):
    G, D = G_CONFIGS[3].build(rng), D_CONFIGS[3].build(rng)
    with pytest.raises(ValueError, match=r"c is None; expected labels of shape \[2, 2\]"):
        G(rng.standard_normal((2, 3), np.float32))
    with pytest.raises(ValueError, match=r"c has shape \(4, 3\); expected \[4, 2\]"):
        D(rng.standard_normal((4, 3, 8, 8), np.float32), np.zeros((4, 3), np.float32))
    with pytest.raises(ValueError, match=r"img has shape \(4, 3, 9, 8\); expected \[N, 3, 8, 8\]"):
        D(rng.standard_normal((4, 3, 9, 8), np.float32))
    with pytest.raises(ValueError, match="expected a batch divisible by 4"):
        D_CONFIGS[2].build(rng)(rng.standard_normal((6, 3, 8, 8), np.float32))


# ---- arguments are checked once ---------------------------------------------------------------------


def test_an_image_takes_few_python_calls():
    """The network checks at its door; what it calls does not ask again."""
    G = minigan.load("portraits32")
    z = np.random.default_rng(0).standard_normal((1, 64), dtype=np.float32)
    package, calls = str(pathlib.Path(minigan.__file__).parent), collections.Counter()

    def count(frame, event, _):
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(package):
            calls[f"{file.removeprefix(package)} {frame.f_code.co_name}"] += 1

    G(z)  # compiles, hires threads
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        G(z)
    finally:
        sys.setprofile(before)
    assert 300 < sum(calls.values()) <= 1200, calls.most_common(20)


@pytest.mark.parametrize("name, text", [
    ("synthesis.b8.torgb.weight", "conv2d: w has shape"),
    ("synthesis.b8.conv0.weight", "dense: w has shape"),  # of the demodulation, which comes first
    ("synthesis.b8.conv1.affine.weight", "bias_act: b has shape"),
    ("synthesis.b8.conv1.bias", "bias_act: b has shape"),
    ("mapping.fc0.bias", "bias_act: b has shape"),
    ("synthesis.b8.conv1.noise_const", "bias_act: noise has shape"),
])  # fmt: skip
def test_a_parameter_that_does_not_fit_is_not_read_beyond_its_end(name, text):
    """By kernels, which look at no shape: checked networks may still be given any parameters."""
    G = stylegan2.Generator.init(G_CONFIGS[2], np.random.default_rng(0))
    z = np.zeros((2, 3), np.float32)
    array = (G.params | G.buffers)[name]
    which = "params" if name in G.params else "buffers"
    short = array[:, :2] if array.ndim == 4 else array[:2]
    with pytest.raises(ValueError, match=text):
        G.replace(**{which: getattr(G, which) | {name: short}})(z)
    wide = array.astype(np.float64)
    if array.ndim == 4:
        with pytest.raises(TypeError, match="arrays of float32 and float64; expected one dtype"):
            G.replace(params=G.params | {name: wide})(z)
