"""NVIDIA's files: what each must give, and what no file may do."""

import io
import json
import os
import pathlib
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minigan
from minigan import files
from minigan.files import nvidia, pickles, reading
from minigan.files.pickles import objects, unpickler
from minigan.networks import stylegan3
from tests import official_file
from tests.test_stylegan2 import official_epsilon  # noqa: F401

GOLDEN = pathlib.Path(__file__).parent / "golden" / "pickles"
NETWORKS = sorted(GOLDEN.glob("stylegan*.pkl"))
OUTCOMES = json.loads((GOLDEN / "hostile" / "expected_outcomes.json").read_text())
IDS = {"ids": lambda p: p.stem}


@pytest.fixture(autouse=True)
def nothing_is_created(tmp_path, monkeypatch):
    """Hostile files leave a file named PWNED where they run."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.rglob("PWNED"))


@pytest.mark.parametrize("path", NETWORKS, **IDS)
def test_an_official_file_gives_the_official_picture(path, official_epsilon):  # noqa: F811
    d = np.load(path.with_suffix(".expected.npz"))
    G = minigan.load(path)
    D = files.read_networks(path)["D"]
    c = d["c"] if G.c_dim else None
    for psi in (1, 0.7):
        wanted = d[f"img_G_ema_psi{psi}"]
        got = G(d["z"], c, psi)
        assert got.dtype == np.float32
        assert np.abs(got - wanted).max() < 2e-5 * max(1, np.abs(wanted).max())
    logits = D(d["img_G_ema_psi1"].astype(np.float32), c)
    np.testing.assert_allclose(logits, d["D_logits_on_float32_img_psi1"], atol=5e-6, rtol=2e-5)


def same(found, wanted):
    """The same networks, to the bit."""
    for name, network in wanted.items():
        assert found[name].config == network.config
        for part in ("params", "buffers"):
            ours, theirs = getattr(found[name], part), getattr(network, part)
            assert ours.keys() == theirs.keys()
            assert all(np.array_equal(ours[k], theirs[k]) for k in ours)


@pytest.mark.parametrize("path", NETWORKS, **IDS)
def test_what_was_read_can_be_exported_and_read_again(path, tmp_path):
    networks = files.read_networks(path)
    assert list(networks) == ["G", "D", "G_ema"]
    files.save(tmp_path / "ours.npz", networks)
    again = files.read_networks(tmp_path / "ours.npz")
    same(again, networks)


@pytest.mark.parametrize("path", NETWORKS, **IDS)
def test_configurations_are_those_the_file_was_made_with(path):
    meta = json.loads(str(np.load(path.with_suffix(".expected.npz"))["meta_json"]))
    G = minigan.load(path)
    asked = dict(meta["G_kwargs"])
    asked |= asked.pop("synthesis_kwargs", {})
    for name, value in asked.items():
        if name == "mapping_kwargs":
            assert G.config.mapping_kwargs.num_layers == value["num_layers"]
        elif name not in nvidia._IGNORED:
            assert getattr(G.config, name) == value, name
    beta = 0.995 if "stylegan2_ada" in path.stem else 0.998
    assert G.config.mapping_kwargs.w_avg_beta == beta


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("tensor_*.pkl")), **IDS)
def test_tensors_of_every_kind(path):
    wanted = dict(np.load(GOLDEN / "tensor_zoo.expected.npz"))
    with open(path, "rb") as file:
        found = pickles.load(file)
        assert found
        for name, tensor in found.items():
            expected = wanted["bf16_as_f32" if name == "bf16" else name]
            got = tensor.array()
            assert got.dtype == expected.dtype and got.shape == expected.shape
            np.testing.assert_array_equal(got, expected)


def region(data):
    return reading.Region(io.BytesIO(data), 0, len(data), reading.Budget(1 << 28))


def payload(count=3, stored=3, numbers=3, first=None):
    """A tensor's payload as `torch.save` writes it; the numbers may lie."""
    with official_file.standing_in() as stand_in:
        data = official_file.payload(np.ones(count, np.float32), stand_in)
    head = data[: len(data) - 8 - 4 * count]
    if first is not None:
        head = first + head[head.index(b".") + 1 :]
    return head + struct.pack("<q", stored) + bytes(4 * numbers)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (payload(stored=4), "says 3 and 4 numbers and has 12 bytes"),
        (payload(numbers=4), "says 3 and 3 numbers and has 16 bytes"),
        (payload(numbers=2), "says 3 and 3 numbers and has 8 bytes"),
        (payload(stored=4, numbers=4), "says 3 and 4 numbers and has 16 bytes"),
        (
            payload(first=b"\x80\x02ccollections\nOrderedDict\n."),
            "it names collections.OrderedDict",
        ),
        (payload(first=b"\x80\x02K\x05."), "a tensor's header is not"),
        (b"PK\x03\x04" + bytes(60), "a zipped tensor's directory is not"),
        (b"", "the file ends too early"),
    ],
)
def test_a_tensor_that_lies_about_itself_is_refused(made, message):
    with pytest.raises(pickles.Refused, match=message):
        objects._storage(region(made))


def zipped(compressed=False, more=0, comment=b"", byteorder=b"little"):
    """A payload in the zip form, as Python's own zipfile writes it."""
    array, out = np.ones(3, np.float32), io.BytesIO()
    with official_file.standing_in() as stand_in:
        about = official_file.description(array, stand_in)
    with zipfile.ZipFile(out, "w", 8 if compressed else 0) as archive:
        for name, data in (
            ("data.pkl", about),
            ("byteorder", byteorder),
            ("data/1", array.tobytes()),
        ):
            archive.writestr(f"archive/{name}", data)
        for i in range(more):
            archive.writestr(f"archive/{i}", b"")
        archive.comment = comment
    return out.getvalue()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (zipped(compressed=True), "a zipped tensor is not"),
        (zipped(more=20), "a zipped tensor's directory is not"),
        (zipped(comment=b"hello"), "a zipped tensor's directory is not"),
        (zipped(byteorder=b"big"), "in big-endian order"),
        (zipped()[:-3], "a zipped tensor's directory is not"),
    ],
)
def test_a_zipped_tensor_is_plain_and_small_or_refused(made, message):
    storage, _ = objects._storage(region(zipped()))
    assert storage.count == 3
    with pytest.raises(pickles.Refused, match=message):
        objects._storage(region(made))


def test_a_tensor_that_is_true_is_read():
    storage, bfloat16 = objects._storage(region(payload()))
    assert (storage.count, storage.dtype, bfloat16) == (3, np.float32, False)


@pytest.mark.parametrize("name", sorted(OUTCOMES))
def test_hostile_files_are_refused_and_run_nothing(name):
    path = GOLDEN / "hostile" / name
    tracemalloc.start()
    try:
        with open(path, "rb") as file:
            if OUTCOMES[name].startswith("must raise"):
                with pytest.raises(pickles.Refused, match=r"at byte \d+: "):
                    pickles.load(file)
                with pytest.raises(ValueError, match="cannot be read as a network of NVIDIA's"):
                    files.read_networks(path)
            else:
                found = pickles.load(file)["G_ema"]
                weights = nvidia._tensors(found, reading.Budget(1))
                assert [[1, 2], [3, 4]] in [t.array().tolist() for _, _, t in weights]
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


# ---- files made here -----------------------------------------------------------------------------


def written(tmp_path, data):
    path = tmp_path / "made.pkl"
    path.write_bytes(data)
    return path


def refused(path, message):
    with open(path, "rb") as file, pytest.raises(pickles.Refused, match=message):
        pickles.load(file)


def test_text_that_is_code_is_not_looked_at(tmp_path):
    """A whole network whose source would create a file, were it run."""
    data = NETWORKS[0].read_bytes()
    assert data.count(b"raise RuntimeError") == 2
    code = b'open("PWNED", "w")#'
    path = written(tmp_path, data.replace(b"raise RuntimeError(", code))
    minigan.load(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file ends too early"),
        (b"\x80\x04", "the file ends too early"),
        (b"\x80\x06N.", "pickle protocol 6"),
        (b"\x80\x04N.N", "1 bytes follow the pickle's end"),
        (b"\x80\x04NN.", "the pickle's end is not"),
        (b"\x80\x04(N.", "the pickle's end is not"),
        (b"\x80\x04R", "the stack is empty"),
        (b"\x80\x04e.", "there is no mark"),
        (b"\x80\x04j\xff\xff\xff\x7f.", "the memo has no entry"),
        (b"\x80\x04I1\n.", "the opcode b'I' is not one"),
        (b"\x80\x04i", "the opcode b'i' is not one"),
        (b"\x80\x04o", "the opcode b'o' is not one"),
        (b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.", "the file ends too early"),
        (b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f.", "more than 16777216 letters of text"),
        (b"\x80\x04X\x04\x00\x00\x00\xff\xfe\xfd\xfc.", "codec can't decode"),
        (b"\x80\x04N}" + b"b", "a state to build"),
        (b"\x80\x04}]Ns.", "a list as a key"),
        (
            b"\x80\x04}\x8a\x09" + bytes(8) + b"\x01Ns.",
            "an? int as a key; expected text or a small",
        ),
        (b"\x80\x04\x8f(G" + bytes(8) + b"\x90.", "a float as a key"),
        (b"\x80\x04" + b")" + b"\x85" * 100000 + b"q\x00}h\x00Ns.", "a tuple as a key"),
        (b"\x80\x04cdnnlib.tflib.network\nNetwork\n.", "a file for TensorFlow"),
        (b"\x80\x04ctraining.networks\nGenerator\n.", "R3GAN"),
        (b"\x80\x04ctorch.nn.modules.sparse\nEmbedding\n.", "StyleGAN-XL"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "it names os.system.*nothing was run"),
        (b"\x80\x04cbuiltins\nset\n(K\x01K\x02K\x03tR.", "builtins.set with other arguments"),
        (b"\x80\x04ccollections\nOrderedDict\nN\x81.", "a new object is not"),
        (b"\x80\x04cdnnlib.util\nEasyDict\nK\x01\x85\x81.", "a new object is not"),
        (b"\x80\x04K\x01Q.", "a persistent id is not"),
    ],
)
def test_what_is_no_network_is_refused_in_a_sentence(tmp_path, data, message):
    refused(written(tmp_path, data), message)


def test_deep_nesting_needs_no_deep_stack(tmp_path):
    path = written(tmp_path, b"\x80\x04)" + b"\x85" * 300000 + b".")
    with open(path, "rb") as file:
        assert isinstance(pickles.load(file), tuple)
    refused(written(tmp_path, b"\x80\x04" + b"]" * 500_000), "more than 500000 steps")


def test_other_pickles_get_a_sentence(tmp_path):
    for value, message in (
        ({"weights": [1, 2]}, "it holds 'weights'; expected networks named G, D or G_ema"),
        ([1, 2], "it holds a list; expected a dict of networks"),
        (np.zeros(3, "O"), "a NumPy array of kind 'O8'"),
        (np.zeros(3, ">f8"), "a NumPy type of another byte order"),
        (Ellipsis, "builtins"),
    ):
        path = written(tmp_path, pickle.dumps(value, 4))
        with pytest.raises(ValueError, match=message):
            minigan.load(path)


def spoiled(change):
    """A good file's tree, with one thing changed; then what is said of it."""
    with open(NETWORKS[3], "rb") as file:
        tree = pickles.load(file)["G_ema"]
        change(tree)
        with pytest.raises((ValueError, TypeError, KeyError, ArithmeticError)) as caught:
            nvidia._network("G_ema", tree, reading.Budget(1 << 28))
    return str(caught.value)


def synthesis(tree):
    return tree.state["_modules"]["synthesis"]


def test_a_description_that_does_not_fit_is_refused():
    def state(**changes):
        return lambda t: t.state.update(changes)

    def inner(**changes):
        return lambda t: synthesis(t).state.update(changes)

    assert "z_dim" in spoiled(state(z_dim=10**9))
    assert "img_resolution" in spoiled(state(img_resolution=1 << 40))
    assert "does not fit its own description" in spoiled(state(w_dim=16))
    assert "num_layers" in spoiled(inner(num_layers=10**6))
    assert "margin_size" in spoiled(inner(margin_size="wide"))
    assert "output_scale" in spoiled(inner(output_scale=float("nan")))
    assert "has no synthesis" in spoiled(lambda t: t.state["_modules"].pop("synthesis"))
    assert "neither StyleGAN2's nor" in spoiled(lambda t: synthesis(t).state.pop("layer_names"))
    assert "layer_names" in spoiled(inner(layer_names=[[1]]))
    kwargs = {"img_resolution": 16, "secret": 1}
    assert "'secret' that is not one of the official" in spoiled(state(_init_kwargs=kwargs))
    cyclic = []
    cyclic.append(cyclic)
    assert spoiled(state(_init_kwargs={"channel_base": cyclic}))
    assert "in two places" in spoiled(lambda t: t.state["_modules"].update(again=t))

    def deep(tree):
        part = pickles.Module("Part", {})
        for _ in range(9):
            part = pickles.Module("Part", {"_modules": {"p": part}})
        tree.state["_modules"]["deep"] = part

    assert "expected fewer" in spoiled(deep)


# Tuples of two that share their parts, forty deep: as text they would have 2⁴⁰ commas.
LAUGHS = b")" + b"\x94h\x00\x86" + b"".join(b"\x94h" + bytes([i]) + b"\x86" for i in range(1, 40))


@pytest.mark.parametrize(
    "use",
    [
        b"cnumpy\ndtype\n%s\x88\x89\x87R.",  # a NumPy type of that name
        b"cnumpy\ndtype\n\x8c\x02f8\x89\x88\x87R(K\x03%sNNNKJKJK\x00tb.",  # … and state
        b"}\x8c\x01G%ss.",  # a network
        b"}%sNs.",  # a key
        b"ctorch.storage\n_load_from_bytes\n%s\x85R.",
    ],
)
def test_what_shares_its_parts_is_never_written_out(tmp_path, use):
    data = b"\x80\x04" + use.replace(b"%s", LAUGHS)
    with pytest.raises(ValueError) as caught:
        minigan.load(written(tmp_path, data))
    assert len(str(caught.value)) < 1000


def laughs():
    value = ()
    for _ in range(40):
        value = (value, value)
    return value


def test_a_description_that_laughs_is_refused_in_a_sentence():
    for change in (
        lambda t: t.state.update(z_dim=laughs()),
        lambda t: t.state.update(_init_kwargs={"channel_base": [laughs()]}),
        lambda t: t.state.update(_init_kwargs={"first_cutoff": laughs()}),
        lambda t: t.state.update(class_name="Generator", c_dim=laughs()),
        lambda t: synthesis(t).state.update(layer_names=[laughs()]),
        lambda t: (
            synthesis(t).state.pop("layer_names"),
            synthesis(t).state.update(block_resolutions=[laughs()]),
        ),
        lambda t: t.state["_modules"]["mapping"].state.update(num_layers=laughs()),
        lambda t: t.state["_init_kwargs"].update(channel_base="x" * 100),
    ):
        assert len(spoiled(change)) < 1000


def test_modules_that_share_their_parts_are_not_walked_through_again():
    """Eight levels of a hundred names for one module each: 10¹⁶ ways."""

    def change(tree):
        part = tree.state["_modules"]["mapping"]
        for _ in range(6):
            state = {"_modules": {str(i): part for i in range(100)}}
            part = pickles.Module("Part", state)
        tree.state["_modules"]["more"] = part

    assert "stands in two places" in spoiled(change)


def test_sizes_are_looked_at_before_anything_is_made():
    def kwargs(**changes):
        return lambda t: t.state["_init_kwargs"].update(changes)

    def mapping(**changes):
        return lambda t: t.state["_modules"]["mapping"].state.update(changes)

    tracemalloc.start()
    try:
        for change in (
            lambda t: synthesis(t).state.update(num_layers=1 << 40),
            mapping(num_layers=1 << 40),
            lambda t: t.state.update(w_dim=16384),
            kwargs(channel_max=1 << 30, channel_base=1 << 40),
            kwargs(channel_base=1 << 20, channel_max=16384),
            lambda t: (mapping(num_layers=64)(t), t.state.update(w_dim=8192)),
        ):
            assert spoiled(change)
        assert "filters of 512 taps" in spoiled(kwargs(filter_size=64, lrelu_upsampling=8))
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


def repeated(times):
    """One payload, remembered and loaded again and again."""
    made = payload()
    load = (
        b"ctorch.storage\n_load_from_bytes\nq\x01B" + struct.pack("<I", len(made)) + made + b"q\x02"
    )
    return b"\x80\x04(" + load + b"00" + b"h\x01h\x02\x85R" * times + b"t."


def test_a_payload_is_loaded_once(tmp_path):
    with open(written(tmp_path, repeated(1)), "rb") as file:
        assert len(pickles.load(file)) == 1
    refused(written(tmp_path, repeated(2)), "a tensor's data are used twice")


def test_the_programs_within_a_file_share_its_budget(tmp_path):
    budget = reading.Budget(1 << 20)
    budget.left["steps"] = 60
    with open(written(tmp_path, b"\x80\x04" + b"N0" * 25 + b"N."), "rb") as file:
        pickles.load(file, budget)
    budget.left["steps"] = 60
    path = written(tmp_path, b"\x80\x04" + b"N0" * 20 + repeated(1)[2:])
    with open(path, "rb") as file, pytest.raises(pickles.Refused, match="more than .* steps"):
        pickles.load(file, budget)


def test_a_large_array_that_is_no_tensor_is_refused(tmp_path):
    data = pickle.dumps(np.zeros(200), 5)
    refused(written(tmp_path, data), "a NumPy array of 1600 bytes; expected at most 1024")
    with open(written(tmp_path, pickle.dumps(np.arange(3.0), 4)), "rb") as file:
        assert pickles.load(file).value.tolist() == [0, 1, 2]


def test_what_a_network_has_overrules_what_was_asked_for():
    """Defaults differ between NVIDIA's repositories; the layers say what they came to be."""
    with open(NETWORKS[3], "rb") as file:
        tree = pickles.load(file)["G_ema"]
        synthesis(tree).state["_modules"]["L0_24_12"].state["conv_clamp"] = 0.25
        synthesis(tree).state["output_scale"] = 0.5
        tree.state["_modules"]["mapping"].state["w_avg_beta"] = 0.9
        config = nvidia._network("G_ema", tree, reading.Budget(1 << 28)).config
    assert (config.conv_clamp, config.output_scale) == (0.25, 0.5)
    assert config.mapping_kwargs.w_avg_beta == 0.9


def test_a_small_file_cannot_fill_the_memory():
    """One number, seen as a thousand by a thousand through strides of 0; and many such."""
    tree = objects.Storage(None, 0, np.dtype("f4"), 1)
    with pytest.raises(pickles.Refused, match="does not fit its storage of 1 numbers"):
        objects._tensor((tree, False), 0, (1000, 1000), (0, 0), False, {})
    with open(NETWORKS[3], "rb") as file:
        good = pickles.load(file)["G_ema"]
        with pytest.raises(pickles.Refused, match="more than 1000 bytes of numbers"):
            nvidia._network("G_ema", good, reading.Budget(250))


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    data = NETWORKS[3].read_bytes()
    for cut in range(0, len(data) - 1, len(data) // 150):
        path = written(tmp_path, data[:cut])
        with pytest.raises(ValueError):
            files.read_networks(path)


# Bytes that mean something to the machine are likelier than others.
CODES = st.sampled_from([*unpickler._STEPS, b".", b"\xff", b"\x00"])


@pytest.mark.slow
@settings(max_examples=1500, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(data=st.data())
def test_no_change_of_a_good_file_does_harm(tmp_path, data):
    """Whatever bytes are changed: it is read, or refused with a ValueError; never anything else."""
    path = data.draw(st.sampled_from(NETWORKS[2:] + sorted(GOLDEN.glob("tensor_zoo*.pkl"))))
    good = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(good) - 1, 20000)))
        new = data.draw(st.one_of(CODES, st.binary(min_size=1, max_size=9)))
        if data.draw(st.booleans()):
            good[at : at + len(new)] = new
        else:
            good[at:at] = new
    attempt(written(tmp_path, bytes(good)))


@pytest.mark.slow
@settings(max_examples=3000, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(
    steps=st.lists(st.one_of(CODES, st.binary(max_size=6), st.just(b"\x8c\x03abc")), max_size=60)
)
def test_no_program_does_harm(tmp_path, steps):
    attempt(written(tmp_path, b"\x80\x04" + b"".join(steps) + b"."))


def attempt(path):
    tracemalloc.start()
    try:
        minigan.load(path)
    except ValueError as error:
        assert str(path) in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 50e6


def test_only_what_is_wanted_is_read(monkeypatch):
    """`load` of a file of three networks reads the numbers of one."""
    read = []
    array = pickles.Tensor.array
    monkeypatch.setattr(pickles.Tensor, "array", lambda t: read.append(t) or array(t))
    assert list(nvidia.networks(NETWORKS[3], ("G_ema", "G"))) == ["G_ema"]
    one = len(read)
    assert len(nvidia.networks(NETWORKS[3])) == 3 and len(read) > 3 * one


def test_reading_closes_the_file():
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(3):
        minigan.load(NETWORKS[0])
    if before:
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_written_here_is_read_bit_for_bit(tmp_path):
    config = stylegan3.Config(img_resolution=16, z_dim=8, w_dim=8, channel_base=128, channel_max=8)
    made = official_file.write(tmp_path / "made.pkl", config)
    read = files.read_networks(tmp_path / "made.pkl")
    same(read, made)
