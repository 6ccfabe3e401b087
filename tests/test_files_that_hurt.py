"""Hostile and damaged files of every kind that is opened: one sentence each, and no harm.

Each is made here and opened by `hurt.py` in a process of its own, whose time and memory count, with
a stand-in for Ghostscript in its PATH.  `python -m tests.test_files_that_hurt 600` tries random
damage for as many seconds.
"""

import dataclasses
import io
import json
import os
import pathlib
import pickle
import random
import re
import struct
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

import minigan
from minigan import files, toy
from minigan.data import images
from minigan.files import description
from minigan.files.reading import shown
from minigan.networks import class_for, reader, stylegan1, stylegan2, stylegan3
from tests import official_file

ROOT = pathlib.Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden" / "pickles"
TINY = stylegan3.Config(img_resolution=16, z_dim=8, w_dim=8, channel_base=128, channel_max=8)
TINY2 = stylegan2.Config(img_resolution=16, z_dim=8, w_dim=8, channel_base=128, channel_max=8)
EVIL = "\x1b]0;owned\x07\n\u202e\udcff"  # what steers terminals, breaks lines, is no text


@pytest.fixture(scope="module")
def opener(tmp_path_factory):
    """opener(way, path) -> what came of opening it: see `hurt.py`."""
    here = tmp_path_factory.mktemp("opener")
    (here / "bin").mkdir()
    (here / "work").mkdir()
    for name in ("gs", "gswin64c"):
        (here / "bin" / name).write_text(f"#!/bin/sh\necho {name} > {here}/work/PWNED\n")
        (here / "bin" / name).chmod(0o755)
    env = os.environ | {"PATH": f"{here}/bin:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-m", "tests.hurt"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, cwd=here / "work", env=env)  # fmt: skip

    def ask(way, path):
        before = sorted(path.parent.rglob("*"))
        process.stdin.write(json.dumps([way, str(path)]) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        assert answer["doing"] == []
        assert not list((here / "work").iterdir()) and sorted(path.parent.rglob("*")) == before
        return answer

    yield ask
    process.stdin.close()
    process.wait()


def measured(answer, name):
    if os.environ.get("HURT"):
        print(f"{name:44} {answer['seconds']:5.2f} s {answer['MB']:5} MB  {answer['said'][:1]}")
    assert answer["MB"] < 1000 and answer["seconds"] < 5


def refused(opener, way, path, name):
    """What is said of a network's file that is not to be read."""
    answer = opener(way, path)
    measured(answer, name)
    assert answer["came"] == "ValueError", answer
    [text] = answer["said"]
    assert text.startswith(f"{path} ") and text.isprintable() and len(text) < len(str(path)) + 900
    return text


# ---- official pickles ----------------------------------------------------------------------------

PROTO = b"\x80\x04"
SET = b"cbuiltins\nset\n\x94"


def raw(data):
    return lambda path: path.write_bytes(PROTO + data)


def many(n):
    return b"(" + b"".join(b"M" + struct.pack("<H", i) for i in range(n))


def sparse_texts(path):
    """640 MB on paper: forty texts of 16 MB, all holes."""
    with open(path, "wb") as file:
        file.write(PROTO + b"(")
        for _ in range(40):
            file.write(b"X" + struct.pack("<I", 1 << 24))
            file.seek(1 << 24, 1)
        file.write(b"t.")


def arrays(path):
    """A million NumPy arrays of one remembered kind."""
    head = (b"cnumpy.core.numeric\n_frombuffer\n\x94cnumpy\ndtype\n\x8c\x02f8\x89\x88\x87R\x94"
            b"C\xf8" + bytes(248) + b"\x94K\x1f\x85\x94\x8c\x01C\x94000")  # fmt: skip
    path.write_bytes(PROTO + head + b"(" + b"h\x00(h\x02h\x01h\x03h\x04tR" * 250_000 + b"t.")


def changed(change):
    """An official file whose tree is changed: change(the generator's state, stand_in)."""

    def write(path):  # fmt: skip
        official_file.write(
            path, TINY, ("G_ema",), lambda tree, names: change(inside(tree["G_ema"]), names)
        )

    return write


def inside(call):
    return call.args[0]["state"]


def part(state, *names):
    for name in names:
        state = inside(state["_modules"][name])
    return state


def long_name(state, names):
    tensor = official_file.view(np.ones(3), names)
    child = official_file.node("Part") | {"_buffers": {f"k{i}": tensor for i in range(60_000)}}
    state["_modules"]["x" * 100_000] = official_file.wrapped(child, names)


def shared_names(state, names):
    nothing = {f"k{i}": None for i in range(1000)}
    for i in range(2000):
        child = official_file.wrapped(official_file.node("Part"), names)
        inside(child)["_buffers"] = nothing
        state["_modules"][f"m{i}"] = child


def long_key(state, names):
    data = official_file.payload(np.zeros(8, np.float32), names)
    data = data.replace(
        b"X\x01\x00\x00\x001", b"X" + struct.pack("<I", 100_000) + b"1" * 100_000, 1
    )
    tensor = official_file.view(np.zeros(8), names)
    tensor.args = (official_file.Call(names["_load_from_bytes"], data), *tensor.args[1:])
    part(state, "mapping")["_buffers"]["w_avg"] = tensor


def sparse(count, strides=(1,), size=(8,)):
    """A tensor's storage grows to `count` numbers, all holes; strides: the tensor's."""

    def write(path):  # fmt: skip
        mark = np.arange(24, dtype=np.float32) + 0.5  # its storage's numbers, found again below

        def change(state, names):
            tensor = official_file.view(mark, names, size, strides)
            part(state, "mapping")["_buffers"]["w_avg"] = tensor
            write.payload = official_file.payload(mark, names)

        changed(change)(path)
        data = path.read_bytes()
        at = data.index(write.payload)
        head = write.payload[: -8 - mark.nbytes].replace(
            b"K\x18", b"\x8a\x08" + struct.pack("<q", count)
        )
        head += struct.pack("<q", count)
        before = data[:at].removesuffix(b"B" + struct.pack("<I", len(write.payload)))
        assert before != data[:at]
        with open(path, "wb") as file:
            file.write(before + b"\x8e" + struct.pack("<Q", len(head) + 4 * count) + head)
            file.seek(4 * count, 1)
            file.write(data[at + len(write.payload) :])

    return write


def storage(kind, size):
    def change(state, names):
        data = official_file.payload(np.zeros(8, np.float32), names)
        data = data.replace(b"FloatStorage", kind)[:-32] + bytes(8 * size)
        tensor = official_file.view(np.zeros(8), names)
        tensor.args = (official_file.Call(names["_load_from_bytes"], data), *tensor.args[1:])
        part(state, "mapping")["_buffers"]["w_avg"] = tensor

    return change


def swapped(state, names):
    place = part(state, "mapping")
    place["_parameters"]["w_avg"] = place["_buffers"].pop("w_avg")


def attribute(**values):
    return lambda state, names: state.update(values)


def kwargs(**values):
    return lambda state, names: state["_init_kwargs"].update(values)


def layer(**values):
    return lambda state, names: part(state, "synthesis", "L0_36_8").update(values)


def mapping(**values):
    return lambda state, names: part(state, "mapping").update(values)


def discriminator(path):
    official_file.write(path, TINY, ("D",), lambda tree, names: tree.update(G_ema=tree.pop("D")))


PICKLES = {
    "H1 a remembered list to a set": (
        raw(b"]\x94" + many(60_000) + b"e0" + SET + b"0" + b"h\x01h\x00\x85R0" * 100_000 + b"N."),
        "more than 500000 steps"),
    "H1 a remembered tuple to a set": (
        raw(many(60_000) + b"t\x940" + SET + b"0" + b"h\x01h\x00\x85R0" * 100_000 + b"N."),
        "more than 500000 steps"),
    "H1 a remembered tuple as arguments": (
        raw(many(60_000) + b"t\x940" + SET + b"0" + b"h\x01h\x00R0" * 100_000 + b"N."),
        "with other arguments"),
    "H1 a million empty sets": (raw(b"(" + b"\x8f" * 1_000_000 + b"t."), "more than 500000 steps"),
    "H1 a million lists, remembered": (raw(b"(" + b"]\x94" * 500_000 + b"t."), "500000 steps"),
    "H1 long numbers": (raw(b"(" + (b"\x8a\xff" + b"\x7f" * 255) * 100_000 + b"t."), "500000 steps"),
    "H2 a long name before 60,000 tensors": (changed(long_name), "expected a short word"),
    "H2 names that 2,000 modules share": (changed(shared_names), "more than 500000 steps"),
    "H2 a storage with a long key": (changed(long_key), "a tensor's header"),
    "H3 a stride across 20 GB": (sparse(5 << 30, (600_000_000,)), "leaves out most of them"),
    "H3 a stride across 157 GB": (sparse(39 << 30, (5 << 30,)), "leaves out most of them"),
    "H3 two strides across 8 GB": (sparse(2 << 30, (1 << 29, 1), (4, 2)), "leaves out most of them"),
    "H3 a tensor of 20 GB": (sparse(5 << 30, (1,), (5 << 30,)), "does not fit its own description"),
    "H4 wide margins": (changed(lambda s, _: part(s, "synthesis").update(margin_size=2000)),
                        "one picture would need arrays of"),
    "H4 a large picture": (changed(attribute(img_resolution=16384)), "expected|no channels"),
    "H5 forty texts of 16 MB": (sparse_texts, "more than 16777216 letters of text"),
    "H5 250,000 arrays": (arrays, "more than 500000 steps"),
    "M3 a discriminator as G_ema": (discriminator, "holds a Discriminator called G_ema"),
    "M4 conv_clamp is text": (changed(layer(conv_clamp="256")), "conv_clamp is '256'"),
    "M4 conv_clamp is negative": (changed(layer(conv_clamp=-1)), "conv_clamp is -1"),
    "M4 conv_clamp is 0": (changed(layer(conv_clamp=0)), "conv_clamp is 0"),
    "M4 output_scale is text": (
        changed(lambda s, _: part(s, "synthesis").update(output_scale="1")), "output_scale is '1'"),
    "M4 lr_multiplier is text": (
        changed(kwargs(mapping_kwargs={"lr_multiplier": "1"})), "lr_multiplier is '1'"),
    "M4 lr_multiplier is 0": (
        changed(kwargs(mapping_kwargs={"lr_multiplier": 0})), "lr_multiplier is 0"),
    "M4 activation is a number": (
        changed(kwargs(mapping_kwargs={"activation": 5})), "activation is 5"),
    "M4 z_dim is True": (changed(attribute(z_dim=True)), "z_dim is True"),
    "M4 whole numbers as weights": (changed(storage(b"IntStorage", 4)), "numbers of kind int32"),
    "M4 bytes as weights": (changed(storage(b"ByteStorage", 1)), "numbers of kind uint8"),
    "M4 a buffer among the parameters": (changed(swapped), "a parameter among the buffers"),
    "M5 a class": (lambda p: changed(lambda s, _: None)(p) or p.write_bytes(
        p.read_bytes().replace(b"\x8c\x09Generator", b"\x8c\x09Gen\x1b[2J\n\x07", 1)), "a network"),
    "M5 a name": (raw(b"\x8c\x02os\x8c\x06\x1b[2J\nq\x93."), r"os.\\x1b\[2J\\nq"),
    "M5 a key of 3 MB": (
        lambda p: p.write_bytes(pickle.dumps({"\x1b[2J\n" * 500_000: 1}, 4)), "it holds '.x1b"),
    "M5 an argument": (changed(kwargs(**{"\x1b[2J\n" + "x" * 3_000_000: 1})), "an argument '.x1b"),
    "M5 a tensor's name": (
        changed(lambda s, n: part(s, "mapping")["_buffers"].update(
            {"\x1b[2J\n": official_file.view(np.ones(3), n)})), r"mapping\.\\x1b\[2J\\n"),
    "M5 a surrogate": (raw(b"X\x03\x00\x00\x00\xed\xb3\xbf\x8c\x01x\x93."), r"it names \\udcff\.x"),
    "M6 a tensor without a name": (
        changed(lambda s, n: part(s, "mapping")["_buffers"].update(
            {7: official_file.view(np.ones(3), n)})), "a name in mapping. is 7; expected a short"),
    "M6 a number instead of a tensor": (
        changed(lambda s, n: part(s, "mapping")["_buffers"].update(w_avg=7)),
        "mapping.w_avg is 7; expected a Tensor"),
    "M6 protocol 0": (lambda p: p.write_bytes(pickle.dumps({"G": 1}, 0)), "pickle of protocol 0 or"),
    "M6 protocol 1": (lambda p: p.write_bytes(pickle.dumps([1], 1)), "is a pickle of protocol 0 or 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_cannot_hurt(name, opener, tmp_path):
    write, message = PICKLES[name]
    write(tmp_path / "hurt.pkl")
    text = refused(opener, "load", tmp_path / "hurt.pkl", name)
    assert re.search(message, text), text


# ---- our own archives ----------------------------------------------------------------------------


def ours(**changes):
    """A file of ours whose generator's description is changed."""

    def write(path):  # fmt: skip
        files.save(path, {"G": TINY.build(np.random.default_rng(0))})
        with np.load(path) as file:
            held = dict(file)
        meta = json.loads(str(held.pop("meta_json")))
        about = meta["networks"]["G"]
        about["config"] |= changes.pop("config", {})
        held |= changes.pop("arrays", {})
        about |= changes
        np.savez(path, meta_json=np.array(json.dumps(meta)), **held)

    return write


def described(kind, **config):
    """A description without arrays."""
    about = {"G": {"kind": kind, "config": config, "buffers": []}}
    meta = json.dumps({"format": "minigan 1", "networks": about})
    return lambda path: np.savez(path, meta_json=np.array(meta))


def saved(config, name="G"):
    return lambda path: files.save(path, {name: base_of(config)})


def base_of(config):
    cls = toy.Discriminator if type(config) is toy.Config else class_for(config)
    return cls.init(config, np.random.default_rng(0))


def compressed(path):
    """2 GB of zeros in 2 MB, before the description."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("a.npy", "w", force_zip64=True) as file:
            for _ in range(500):
                file.write(bytes(4 << 20))
        archive.writestr("meta_json.npy", b"")


def zip_of(entries, path):
    """An archive of [(name, size, data)]: where the data are shorter, there is a hole."""
    directory = b""
    with open(path, "wb") as file:
        for name, size, data in entries:
            at, name, crc = file.tell(), name.encode(), zlib.crc32(data)
            sizes = struct.pack("<3L2H", crc, size, size, len(name), 0)
            file.write(b"PK\3\4" + struct.pack("<5H", 20, 0, 0, 0, 0) + sizes)
            file.write(name + data)
            file.seek(size - len(data), 1)
            directory += b"PK\1\2" + struct.pack("<6H", 20, 20, 0, 0, 0, 0) + sizes
            directory += struct.pack("<3H2L", 0, 0, 0, 0, at) + name
        at = file.tell()
        file.write(directory)
        file.write(b"PK\5\6" + struct.pack("<4H2LH", 0, 0, len(entries), len(entries),
                                           len(directory), at, 0))  # fmt: skip


def npy(array_or_shape):
    out = io.BytesIO()
    if isinstance(array_or_shape, tuple):
        about = {"descr": "<f4", "fortran_order": False, "shape": array_or_shape}
        np.lib.format.write_array_header_1_0(out, about)
    else:
        np.save(out, array_or_shape)
    return out.getvalue()


def huge(path):
    """A network of 2 GB on paper, its arrays all holes."""
    config = dataclasses.replace(TINY, z_dim=16384, w_dim=16384)
    fresh = description.outline(stylegan3.Generator, config)
    about = {"kind": "stylegan3.Generator", "config": dataclasses.asdict(config),
             "buffers": list(fresh.buffers)}  # fmt: skip
    text = npy(np.array(json.dumps({"format": "minigan 1", "networks": {"G": about}})))
    entries = [("meta_json.npy", len(text), text)]
    for name, value in (fresh.params | fresh.buffers).items():
        head = npy(value.shape)
        entries.append((f"G/{name}.npy", len(head) + 4 * value.size, head))
    zip_of(entries, path)


def one_hole(path):
    """A description of 2 GB, all holes."""
    out = io.BytesIO()
    about = {"descr": "<U500000000", "fortran_order": False, "shape": ()}
    np.lib.format.write_array_header_1_0(out, about)
    zip_of([("meta_json.npy", len(out.getvalue()) + 2_000_000_000, out.getvalue())], path)


def overlapping(path):
    """16,000 members, all of them the same bytes."""
    zip_of([("a.npy", 1 << 20, b"")], path)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\1\2")
    one = data[at : data.index(b"PK\5\6")]
    many = b"".join(one.replace(b"a.npy", b"%05x" % i) for i in range(16_000))
    end = b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 16_000, 16_000, len(many), at, 0)
    path.write_bytes(data[:at] + many + end)


def long_directory(path):
    """20 GB on paper, nearly all of it the list of what is in it."""
    with open(path, "wb") as file:
        file.write(b"PK\3\4")
        file.seek(20 << 30)
        at = file.tell()
        file.write(b"PK\6\6" + struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, 9, 9, at - 64, 64))
        file.write(b"PK\6\7" + struct.pack("<LQL", 0, at, 1))
        file.write(b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0))


def weight(value):
    return ours(arrays={"G/mapping.fc0.bias": value})


ARCHIVES = {
    "H4 wide margins": (saved(dataclasses.replace(TINY, margin_size=2000)), "one picture would need"),
    "H4 upsampling by 8": (
        saved(dataclasses.replace(TINY, lrelu_upsampling=8, margin_size=400)), "one picture would"),
    "H4 a picture of 16384²": (
        saved(dataclasses.replace(TINY2, img_resolution=16384, channel_base=16384, use_noise=False)),
        "one picture would need"),
    "H6 w_dim 2⁴⁰": (described("stylegan2.Generator", w_dim=1 << 40), "w_dim is out of range"),
    "H6 a wide mapping": (
        described("stylegan2.Generator", w_dim=16384, mapping_kwargs={"num_layers": 64}), "absent"),
    "H6 a mapping of 10⁹ layers": (
        described("stylegan2.Generator", mapping_kwargs={"num_layers": 10**9}), "num_layers is out"),
    "H6 wide labels": (described("stylegan1.Generator", c_dim=16384, z_dim=16384), "absent"),
    "H6 10⁹ layers": (described("stylegan3.Generator", num_layers=10**9), "num_layers is out"),
    "H6 many taps": (
        described("stylegan3.Generator", filter_size=64, lrelu_upsampling=8), "filters of 1024 taps"),
    "H6 a long filter": (
        described("stylegan2.Generator", resample_filter=[1] * 1_000_000), "is a list; expected"),
    "H6 mappings within mappings": (
        described("stylegan2.Generator", mapping_kwargs=json.loads(
            '{"mapping_kwargs":' * 400 + "{}" + "}" * 400)), "does not hold what it says"),
    "H6 many channels": (
        described("stylegan2.Discriminator", channel_base=1 << 20, channel_max=16384),
        "one picture would need"),
    "H6 many features": (
        described("reader.Network", channels=[16384] * 4, features=16384), "absent"),
    "H6 a wide toy": (described("toy.Generator", channels=16384, w_dim=16384), "absent"),
    "H6 a negative width": (
        described("reader.Network", channels=[-1, 2, 2, 2]), "expected 4 whole numbers"),
    "H7 2 GB of zeros in 9 MB": (compressed, "its archive"),
    "H7 16,000 times the same bytes": (overlapping, "its archive"),
    "H7 a list of files of 20 GB": (long_directory, "its archive's directory"),
    "H7 a description of 2 GB": (one_hole, "more than 16777216 letters of text"),
    "H7 a network of 2 GB, all holes": (huge, "more than 850000000 bytes of numbers"),
    "M1 no archive": (lambda path: path.write_bytes(b"hello" * 9), "its archive's directory"),
    "M1 a header of another kind": (
        lambda path: saved(TINY)(path) or path.write_bytes(
            path.read_bytes().replace(b"'shape': (", b"'shape': \\")), "an array's header"),
    "M1 flipped bits": (
        lambda path: saved(TINY)(path) or path.write_bytes(
            path.read_bytes().replace(np.float32(1).tobytes() * 4, np.float32(2).tobytes() * 4)),
        "not those that were written"),
    "M1 deep JSON": (
        lambda path: np.savez(path, meta_json=np.array("[" * 100_000)), "is not a file of minigan's"),
    "M1 JSON of another kind": (
        lambda path: np.savez(path, meta_json=np.array("[1]")), "its description is not as it should be"),
    "M3 a discriminator as G_ema": (
        saved(stylegan2.DiscriminatorConfig(16, channel_base=128, channel_max=8), "G_ema"),
        "holds a Discriminator called G_ema; expected a generator"),
    "M3 a reader as G_ema": (
        saved(reader.Config(channels=(2, 2, 2, 2)), "G_ema"), "holds a Network called G_ema"),
    "M3 a toy's discriminator as G": (saved(toy.Config(channels=4)), "a Discriminator called G;"),
    "M4 conv_clamp is text": (ours(config={"conv_clamp": "256"}), "conv_clamp is '256'"),
    "M4 conv_clamp is negative": (ours(config={"conv_clamp": -2}), "conv_clamp is -2"),
    "M4 conv_clamp is 0": (ours(config={"conv_clamp": 0}), "conv_clamp is 0"),
    "M4 conv_clamp is NaN": (ours(config={"conv_clamp": float("nan")}), "conv_clamp is out of"),
    "M4 lr_multiplier is text": (
        ours(config={"mapping_kwargs": {"lr_multiplier": "1"}}), "lr_multiplier is '1'"),
    "M4 lr_multiplier is negative": (
        ours(config={"mapping_kwargs": {"lr_multiplier": -1}}), "lr_multiplier is -1"),
    "M4 activation is a number": (
        ours(config={"mapping_kwargs": {"activation": 5}}), "activation is 5"),
    "M4 a toy's lr_multiplier is text": (
        described("toy.Generator", lr_multiplier="1"), "lr_multiplier is '1'"),
    "M4 text as weights": (weight(np.array(["a"] * 8)), "numbers of kind <U1"),
    "M4 complex weights": (weight(np.zeros(8, complex)), "numbers of kind complex128"),
    "M4 dates as weights": (weight(np.zeros(8, "M8[D]")), "an array's header"),
    "M4 whole numbers as weights": (weight(np.zeros(8, int)), "numbers of kind int64"),
    "M4 objects as weights": (weight(np.zeros(8, object)), "an array's header"),
    "M4 another shape": (weight(np.zeros((8, 1), np.float32)), r"\(8, 1\), expected \(8,\)"),
    "M4 parameters among the buffers": (
        ours(buffers=["mapping.fc0.bias"]), "a parameter among the buffers"),
    "M4 buffers that are a number": (ours(buffers=7), "the description of G"),
    "M5 a kind": (ours(kind=EVIL + "x" * 3_000_000), r"G is a '\\x1b\]0;owned.x07"),
    "M5 a field": (ours(config={EVIL: 1}), "unexpected keyword argument '.x1b"),
    "M5 a value": (ours(config={"conv_clamp": EVIL * 100_000}), "conv_clamp is '.x1b"),
    "M5 an array": (ours(arrays={f"G/{EVIL[:-1]}": np.zeros(3)}), r"in \\x1b"),
    "M5 a format": (
        lambda path: np.savez(path, meta_json=np.array(json.dumps({"format": EVIL[:3] + "9 1"}))),
        "its format is '.x1b"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_cannot_hurt(name, opener, tmp_path):
    write, message = ARCHIVES[name]
    write(tmp_path / "hurt.npz")
    text = refused(opener, "load", tmp_path / "hurt.npz", name)
    assert re.search(message, text), text


# ---- pictures ------------------------------------------------------------------------------------


def picture(width=8, height=None, mode="RGB", kind="PNG", **how):
    out = io.BytesIO()
    Image.new(mode, (width, height or width)).save(out, kind, **how)
    return out.getvalue()


def png(width, height, depth, colour, bits, more=b""):
    """A PNG of zeros, made without the picture in memory."""

    def chunk(kind, data):  # fmt: skip
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    packer, row = zlib.compressobj(1), bytes(1 + (width * bits + 7) // 8)
    data = b"".join(packer.compress(row * 8) for _ in range(height // 8)) + packer.flush()
    head = struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", head) + (chunk(b"PLTE", more) if more else b"") + chunk(b"IDAT", data)
    return b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IEND", b"")


def folder(make):
    """The folder of make()'s files, {name: bytes}, and a good picture."""

    def write(path):  # fmt: skip
        path.mkdir()
        for name, data in ({"good.png": picture()} | make()).items():
            (path / name).write_bytes(data)
        return path

    return write


def archive(make, method=zipfile.ZIP_STORED):
    def write(path):  # fmt: skip
        path = path.with_suffix(".zip")
        with zipfile.ZipFile(path, "w", method, compresslevel=1) as zipped:
            for name, data in ({"good.png": picture()} | make()).items():
                zipped.writestr(name, data)
        return path

    return write


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(PWNED) (w) file\nshowpage\n"


def hole(path):
    folder(lambda: {"b.png": picture()})(path)
    os.truncate(path / "b.png", 20 << 30)
    return path


def lying(method):
    """A zip whose picture says that it is small and unpacks to 1 GB."""

    def write(path):  # fmt: skip
        path = archive(dict)(path)
        zipped = zipfile.ZipFile(path, "a", method, compresslevel=1)
        with zipped, zipped.open("b.png", "w") as file:
            for _ in range(250):
                file.write(bytes(4 << 20))
        data, size = path.read_bytes(), struct.pack("<L", 1000 << 20)
        assert data.count(size) == 2
        path.write_bytes(data.replace(size, struct.pack("<L", 1000)))
        return path

    return write


def listed(path):
    long_directory(path.with_suffix(".zip"))
    return path.with_suffix(".zip")


def labels(text, n=1):
    small = picture(1)
    return folder(lambda: {f"{i}.png": small for i in range(n)} | {"dataset.json": text(n)})


def classes(last):
    return lambda n: json.dumps(
        {"labels": [["good.png", 0], *([f"{i}.png", last] for i in range(n))]}
    ).encode()


def left_out(message):
    return "read", f"^b.png: cannot be read .*{message}.*left out$"


LARGE = "pixels; expected 48,000,000 at most"
MOST = (8000, 6000)
ODD = EVIL[:-1]  # which a zip's names cannot hold
PICTURES = {
    "C1 PostScript as .png": (folder(lambda: {"b.png": picture(kind="EPS")}), *left_out("not a PNG")),
    "C1 a PostScript program": (folder(lambda: {"b.png": POSTSCRIPT}), *left_out("not a PNG")),
    "C1 PostScript in a zip": (archive(lambda: {"b.png": POSTSCRIPT}), *left_out("not a PNG")),
    "C1 PDF, PSD, ICNS, PCX": (
        folder(lambda: {"b.png": picture(kind="PDF"), "c.tif": b"8BPS\0\1" + bytes(40),
                        "d.gif": picture(kind="ICNS"), "e.bmp": picture(kind="PCX")}),
        *left_out("not a PNG")),
    "H7 a zip of 1 GB of zeros": (
        archive(lambda: {"b.png": bytes(1 << 30)}, zipfile.ZIP_DEFLATED), *left_out("unpacked")),
    "H7 a dataset.json of 200 MB": (
        archive(lambda: {"dataset.json": b" " * (200 << 20)}, zipfile.ZIP_DEFLATED),
        "ValueError", "dataset.json cannot be read: it asks for more than 16777216 letters"),
    "H7 a list of files of 20 GB": (listed, "ValueError", "its list of files has .* bytes"),
    "H8 a file of 20 GB, all holes": (hole, *left_out("bytes; expected 268,435,456 at most")),
    "H8 1 GB that says it is small": (lying(zipfile.ZIP_DEFLATED), *left_out("")),
    "H8 1 GB of bzip2": (lying(zipfile.ZIP_BZIP2), *left_out("its compression is number 12")),
    "H8 1 GB of LZMA": (lying(zipfile.ZIP_LZMA), *left_out("its compression is number 14")),
    "H8 a palette of 13,000²": (
        folder(lambda: {"b.png": png(13_000, 13_000, 1, 3, 1, bytes(6))}), *left_out(LARGE)),
    "H8 16 bits of 9,000²": (
        folder(lambda: {"b.png": png(9000, 9000, 16, 0, 16)}), *left_out(LARGE)),
    "H8 a GIF of 60,000²": (
        folder(lambda: {"b.gif": b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + bytes(20)}),
        "read", "^b.gif: cannot be read"),
    "H8 the largest that is read, RGBA": (
        folder(lambda: {"b.png": png(*MOST, 8, 6, 32)}), "read", "b.png: transparency made white"),
    "H8 the largest that is read, 16 bits": (
        folder(lambda: {"b.png": png(*MOST, 16, 0, 16)}), "read", "I;16 made RGB"),
    "H8 the largest that is read, CMYK": (
        folder(lambda: {"b.jpg": picture(*MOST, "CMYK", "JPEG")}), "read", "CMYK made RGB"),
    "H8 the largest that is read, WebP": (
        folder(lambda: {"b.webp": picture(*MOST, "RGBA", "WEBP", quality=1, method=0)}),
        "read", "b.webp: transparency made white"),
    "H9 a class of 10¹²": (labels(classes(10**12)), "ValueError", "from 0 to 65535"),
    "H9 60,001 classes of 3,001 files": (
        labels(classes(60_000), 3000), "ValueError", "60001 classes for 3001 files; expected"),
    "H9 lists within lists": (
        labels(lambda n: b'{"labels": ' + b"[" * 5_000_000), "ValueError", "dataset.json cannot be"),
    "M2 bad members": (
        archive(lambda: {"b.png": b"", "c.tif": b"II*\0" + bytes(40), "d.webp": b"RIFF" + bytes(30)}),
        *left_out("")),
    "M5 a picture's name": (
        archive(lambda: {f"{ODD}b.png": b"", f"{ODD}.txt": b""}), "read", r"^\\x1b\]0;owned"),
    "M5 a hidden file's name": (archive(lambda: {f".{ODD}": b""}), "read", r"such as \.\\x1b\]0;own"),
    "M5 a label's file": (
        labels(lambda n: json.dumps({"labels": [[EVIL, 0], [EVIL, 1]]}).encode()), "ValueError",
        r"gives \\x1b\]0;owned"),
    "M5 a label": (
        labels(lambda n: json.dumps({"labels": [["a", EVIL * 99_999]]}).encode()), "ValueError",
        r"labels\[0\] is \['a', '\\x1b"),
    "M5 a dataset.json's folder": (
        archive(lambda: {f"{ODD}/dataset.json": b"{"}), "ValueError", r"\\x1b\]0;owned"),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_cannot_hurt(name, opener, tmp_path):
    write, came, message = PICTURES[name]
    path = write(tmp_path / "hurt")
    answer = opener("pictures", path)
    measured(answer, name)
    assert answer["came"] == came, answer
    assert any(re.search(message, line) for line in answer["said"]), answer["said"]
    assert all(line.isprintable() and len(line) < 900 for line in answer["said"])
    if came == "ValueError":
        assert answer["said"][0].startswith(f"{path}")


# ---- what is good ---------------------------------------------------------------------------------


@pytest.mark.parametrize("taps", [(1, 2, 1), (1, 1), (1, 3, 3, 1), (1, 4, 6, 4, 1)], ids=len)
def test_other_resample_filters_are_read(taps, tmp_path, rng):
    """Layers that do not resample keep the default filter in a buffer that nothing uses."""
    config = dataclasses.replace(TINY2, resample_filter=taps)
    about = stylegan2.DiscriminatorConfig(16, channel_base=128, channel_max=8, resample_filter=taps,
                                          conv_clamp=256.0)  # fmt: skip
    G, D = (c.build(np.random.default_rng(1)) for c in (config, about))

    def change(tree, names):
        usual = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / np.float32(64)
        for name, network in (("G_ema", G), ("D", D)):
            tree[name] = official_file.module(network, names)
            for key in network.buffers:
                *above, last = key.split(".")
                if last == "resample_filter" and above[-1] in UNUSED[name]:
                    part(inside(tree[name]), *above)["_buffers"][last] = official_file.view(
                        usual, names
                    )

    UNUSED = {"G_ema": ("conv1",), "D": ("fromrgb", "conv0", "conv")}
    official_file.write(tmp_path / "filters.pkl", TINY2, (), change)
    read = files.read_networks(tmp_path / "filters.pkl")
    assert read["G_ema"].config == config and read["D"].config.resample_filter == taps
    z, img = (
        rng.standard_normal((2, 8), np.float32),
        rng.standard_normal((2, 3, 16, 16), np.float32),
    )
    assert np.array_equal(read["G_ema"](z), G(z)) and np.array_equal(read["D"](img), D(img))
    files.save(tmp_path / "ours.npz", read)
    assert np.array_equal(minigan.load(tmp_path / "ours.npz")(z), G(z))


def test_what_read_would_refuse_is_not_saved(tmp_path):
    G = TINY.build(np.random.default_rng(0))
    bias = {"mapping.fc0.bias": np.zeros(8, int)}
    for networks, arrays, meta, message in (
        ({"G": G.replace(params=G.params | bias)}, {}, {}, "G/mapping.fc0.bias is of type int64"),
        ({}, {"a": np.zeros(3, "M8[D]")}, {}, "a is of type datetime64"),
        ({}, {"a": np.zeros(3, object)}, {}, "a is of type object"),
        ({}, {}, {"log": "x" * (1 << 24)}, "letters of text; expected at most"),
        ({}, {"a": np.broadcast_to(np.float32(0), 1 << 28)}, {}, "bytes of numbers and"),
    ):
        with pytest.raises((TypeError, ValueError), match=f"^save: .*{message}"):
            files.save(tmp_path / "no.npz", networks, arrays, **meta)
    assert not list(tmp_path.iterdir())
    for more in (
        np.zeros((2, 0), bool),
        np.asfortranarray(np.eye(3)),
        np.array("text"),
        np.uint8(3),
    ):
        files.save(tmp_path / "yes.npz", {"G": G}, {"more": more})
        again = files.read(tmp_path / "yes.npz")[1]["more"]
        assert np.array_equal(again, more) and again.dtype == more.dtype


def test_text_from_files_is_cut_and_plain():
    assert shown("a b’ü") == "a b’ü" and shown(3.5) == "3.5" and shown([1]) == "a list"
    assert shown(EVIL) == r"\x1b]0;owned\x07\n\u202e\udcff"
    assert shown("x" * 99, 5) == "xxxxx…" and shown(MemoryError()) == "MemoryError"


# ---- random damage -------------------------------------------------------------------------------


def good_files(folder):
    """(way, path) of small good files of all kinds."""
    for path in [*GOLDEN.glob("stylegan*.pkl")]:
        yield "networks", path
    rng = np.random.default_rng(0)
    configs = [TINY, TINY2, stylegan1.Config(8, z_dim=4, w_dim=4, channel_base=32, channel_max=4),
               reader.Config(channels=(2, 2, 2, 2)), toy.Config(channels=4)]  # fmt: skip
    networks = {f"n{i}": base_of(config) for i, config in enumerate(configs)}
    files.save(folder / "all.npz", networks, {"G_adam/m/x": rng.standard_normal(9)}, log=[{"a": 1}])
    yield "read", folder / "all.npz"
    held = {f"{i}.{kind}": picture(8, 8, mode, kind) for i, (mode, kind) in enumerate([
        ("RGB", "PNG"), ("P", "PNG"), ("L", "TIFF"), ("RGBA", "WEBP"), ("P", "GIF"), ("RGB", "BMP"),
        ("CMYK", "JPEG"), ("I;16", "PNG")])}  # fmt: skip
    labels = json.dumps({"labels": [[name, i % 2] for i, name in enumerate(held)]}).encode()
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(folder / f"{method}.zip", "w", method) as zipped:
            for name, data in (held | {"dataset.json": labels}).items():
                zipped.writestr(name, data)
        yield "pictures", folder / f"{method}.zip"


MARKS = re.compile(
    rb"PK[\x01-\x06]{2}|NUMPY|IDAT|II\x2a\0|RIFF|GIF8|\xff\xd8\xff|ctorch|labels|meta_json"
)


def damaged(data, chance):
    """Some bytes changed, put in, left out or doubled, mostly where formats say what is where."""
    data, marks = bytearray(data), [m.start() for m in MARKS.finditer(data)] or [0]
    for _ in range(chance.randint(1, 5)):
        at = chance.choice(marks) + chance.randrange(120)
        at = min(chance.choice([at, at, chance.randrange(len(data))]), len(data) - 1)
        new = chance.choice(
            [chance.randbytes(chance.randint(1, 8)), b"\xff" * 4, bytes(4), b"(", b"["]
        )
        match chance.randrange(5):
            case 0:
                data[at:at] = new
            case 1:
                del data[at : at + chance.randint(1, 9)]
            case 2:
                data[at:at] = data[max(0, at - chance.randint(1, 300)) : at]
            case _:
                data[at : at + len(new)] = new
    return data if chance.randrange(20) else data[: chance.randrange(len(data))]


def attack(folder, seconds, most, seed):
    """How many damaged files were opened; only ValueErrors that name the file may come of it."""
    chance, begun, count = random.Random(seed), time.monotonic(), 0
    good = [(way, path, path.read_bytes()) for way, path in good_files(folder)]
    ways = {"networks": files.read_networks, "read": files.read,
            "pictures": lambda path: images.Images(path, 8)}  # fmt: skip
    while count < most and time.monotonic() - begun < seconds:
        way, path, data = good[chance.choice([*range(len(good)), -1, -1, -2, -2, -3, -3, -3])]
        target = folder / f"damaged{path.suffix}"
        target.write_bytes(damaged(data, chance))
        with warnings.catch_warnings(record=True) as lines:
            warnings.simplefilter("always")
            try:
                ways[way](target)
            except ValueError as error:
                text = str(error)
                assert text.startswith(str(target)) and text.isprintable() and len(text) < 1200, (
                    text
                )
        assert all(str(line.message).isprintable() for line in lines)
        count += 1
    return count


def test_random_damage_is_refused_in_a_sentence(tmp_path):
    attack(tmp_path, 40, 1500, 1)
    assert not list(tmp_path.rglob("PWNED"))


if __name__ == "__main__":
    import resource

    with tempfile.TemporaryDirectory() as place:
        n = attack(pathlib.Path(place), float(sys.argv[1]), 10**9, time.time_ns())
    print(f"{n} files, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB at most")
