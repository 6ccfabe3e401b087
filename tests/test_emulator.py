"""The emulator finds what it says it finds, and rounds as tensor cores do."""

import contextlib
import struct

import numpy as np
import pytest

from minigan.ops.gpu import emulator, launch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(emulator.compiler() is None, reason="no C++ compiler: g++ or clang++"),
]

KERNELS = r"""
KERNEL void good(In<real> x, Out<real> y, int n) {  // reverses within a block, by shared memory
    SHARED(real, tile, 64);
    tile[threadIdx.x] = x[blockIdx.x * 64 + threadIdx.x];
    __syncthreads();
    y[blockIdx.x * 64 + threadIdx.x] = tile[63 - threadIdx.x];
}
KERNEL void reads_beyond(In<real> x, Out<real> y, int n) { y[threadIdx.x] = x[threadIdx.x + n]; }
KERNEL void writes_before(In<real> x, Out<real> y, int n) { y[(int)threadIdx.x - n] = x[0]; }
KERNEL void no_barrier(In<real> x, Out<real> y, int n) {
    SHARED(real, tile, 64);
    tile[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = tile[63 - threadIdx.x];
}
KERNEL void second_barrier_missing(In<real> x, Out<real> y, int n) {
    SHARED(real, tile, 64);
    for (int turn = 0; turn < 2; ++turn) {
        tile[threadIdx.x] = x[threadIdx.x];
        __syncthreads();
        y[threadIdx.x] = tile[63 - threadIdx.x];
    }
}
KERNEL void both_write(In<real> x, Out<real> y, int n) {
    SHARED(real, tile, 64);
    tile[threadIdx.x / 2] = x[threadIdx.x];
}
KERNEL void blocks_write(In<real> x, Out<real> y, int n) { y[threadIdx.x] = x[threadIdx.x]; }
KERNEL void never_written(In<real> x, Out<real> y, int n) {
    Shared<real> tile = dynamic_shared();
    if (threadIdx.x < 63) tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = tile[threadIdx.x];
}
KERNEL void shared_beyond(In<real> x, Out<real> y, int n) { dynamic_shared()[n] = 0; }
KERNEL void barrier_for_some(In<real> x, Out<real> y, int n) {
    if (threadIdx.x < 40) __syncthreads();
    else y[0] = warp_sum(x[0]);
}
KERNEL void sends(In<real> x, Out<real> y, int n) {  // reverses, four numbers at a time
    SHARED(real, tile, 64);
    int four = threadIdx.x * 4;
    if (threadIdx.x < 16) send<4>(tile, four, x, four, threadIdx.x < n);
    close_sending();
    await_all_but<0>();
    __syncthreads();
    y[threadIdx.x] = tile[63 - threadIdx.x];
    unsigned odd = __ballot_sync(0xffffffffu, threadIdx.x % 2);
    if (threadIdx.x == 0) y[0] = odd == 0xaaaaaaaau ? 1 : 0;
}
KERNEL void not_awaited(In<real> x, Out<real> y, int n) {
    SHARED(real, tile, 128);
    send<1>(tile, threadIdx.x, x, threadIdx.x, true);
    close_sending();
    send<1>(tile, 64 + threadIdx.x, x, threadIdx.x, true);
    close_sending();
    await_all_but<1>();
    __syncthreads();
    y[threadIdx.x] = tile[63 - threadIdx.x] + tile[127 - threadIdx.x];
}
KERNEL void sent_too_early(In<real> x, Out<real> y, int n) {
    SHARED(real, tile, 64);
    tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = tile[63 - threadIdx.x];
    send<1>(tile, threadIdx.x, x, threadIdx.x, true);  // others may still read
}
KERNEL void not_aligned(In<real> x, Out<real> y, int n) {
    real four[4];
    load_some<4>(x, threadIdx.x % 8, four);
}
KERNEL void warps(In<real> x, Out<real> y, int n) {
    real sum = warp_sum(x[threadIdx.x]);
    if (threadIdx.x % 32 == 0) y[threadIdx.x / 32] = sum;
}
"""


@pytest.fixture(scope="module")
def kernels():
    return emulator.build((launch.FOLDER / "common.cuh").read_text() + KERNELS, "float")


def run(kernels, name, n=64, blocks=1, **kwargs):
    x = np.arange(blocks * 64, dtype=np.float32)
    y = np.full_like(x, np.nan)
    arguments = [x, y, np.int32(n)]
    return y, kernels[name]((blocks, 1, 1), (64, 1, 1), arguments, shared=256, **kwargs)


def test_a_kernel_runs_and_is_counted(kernels):
    y, report = run(kernels, "good", blocks=3, trace=200)
    assert y.tolist() == np.arange(192.0).reshape(3, 64)[:, ::-1].ravel().tolist()
    assert (report.global_reads, report.global_writes, report.barriers) == (192, 192, 3)
    assert (report.shared_reads, report.shared_writes) == (192, 192)
    first = report.trace  # of block 0: all reads, then all writes
    assert len(first) == 128 and first["index"][:64].tolist() == list(range(64))
    assert set(first["written"][:64]) == {0} and set(first["array"][64:]) == {1}
    assert run(kernels, "good", blocks=3, backwards=True)[0].tolist() == y.tolist()
    y, _ = run(kernels, "sends", n=15)  # the last four are not there
    assert y[1:].tolist() == [0, 0, 0, *range(59, -1, -1)] and y[0] == 1
    y, _ = run(kernels, "warps")
    assert y[:2].tolist() == [sum(range(32)), sum(range(32, 64))]


FAULTS = [
    ("reads_beyond", "array 0 of 64 numbers read at 64"),
    ("writes_before", "array 1 of 64 numbers written at -64"),
    ("no_barrier", "shared number 63 read, never written"),
    ("second_barrier_missing", "race: shared number . written while another thread reads it|race: .* read while thread"),
    ("both_write", "race: shared number 0 written by thread 0, too"),
    ("blocks_write", "array 1 written at 0 by another block, too"),
    ("never_written", "shared number 63 read, never written"),
    ("shared_beyond", "shared array of 64 numbers indexed at 64"),
    ("not_awaited", "shared number 127 read, never written"),
    ("sent_too_early", "race: shared number .+ written while another thread reads it"),
    ("not_aligned", "4 numbers at once from place 1 on"),
    ("barrier_for_some", "a barrier or in a shuffle that others never reach"),
]  # fmt: skip


@pytest.mark.parametrize("name, text", FAULTS, ids=[name for name, _ in FAULTS])
def test_faults_are_found(kernels, name, text):
    with pytest.raises(emulator.Fault, match=f"{name}: .*({text})"):
        run(kernels, name, blocks=2 if name == "blocks_write" else 1)
    run(kernels, "good")  # and the next launch is as good as new


ROUNDING = r"""
KERNEL void to_tf32(In<float> x, Out<unsigned> y, int n) {
    for (int i = threadIdx.x; i < n; i += blockDim.x) y[i] = round_tf32(x[i]);
}
KERNEL void to_f16(In<float> x, Out<unsigned> y, int n) {
    for (int i = threadIdx.x; i < n; i += blockDim.x) y[i] = round_f16(x[i]);
}
KERNEL void product(In<unsigned> a, In<unsigned> b, Out<float> c, int half) {
    // One warp multiplies 16 × 8 words by 8 × 8 words; the layout is the PTX manual's.
    int g = threadIdx.x / 4, t = threadIdx.x % 4;
    unsigned fa[4] = {a[g * 8 + t], a[(g + 8) * 8 + t], a[g * 8 + t + 4], a[(g + 8) * 8 + t + 4]};
    unsigned fb[2] = {b[g * 8 + t], b[g * 8 + t + 4]};
    float sums[4] = {};
    if (half) mma_f16(sums, fa, fb);
    else mma_tf32(sums, fa, fb);
    for (int e = 0; e < 4; ++e) c[(g + e / 2 * 8) * 8 + 2 * t + e % 2] = sums[e];
}
KERNEL void matrices(In<unsigned> x, Out<unsigned> y, int turned) {
    // Four matrices of 8 rows of 4 words; row 8 i + r of x is row r of matrix i.
    SHARED(unsigned, tile, 128);
    for (int i = 0; i < 4; ++i) tile[threadIdx.x * 4 + i] = x[threadIdx.x * 4 + i];
    __syncthreads();
    unsigned words[4];
    if (turned) load_turned_matrices(words, tile, threadIdx.x * 4);
    else load_matrices(words, tile, threadIdx.x * 4);
    for (int i = 0; i < 4; ++i) y[i * 32 + threadIdx.x] = words[i];
}
"""


def test_the_twins_round_as_tensor_cores_do(rng):
    kernels = emulator.build(ROUNDING, "float")
    values = rng.standard_normal(20000).astype(np.float32) * np.float32(2) ** rng.integers(
        -30, 20, 20000
    )
    ties = (np.arange(2048, dtype=np.uint16).view(np.float16).astype(np.float64) + 2.0**-25).astype(
        np.float32
    )
    x = np.concatenate([values, ties, np.float32([0, -0.0, 65504, 65519, 65520, 1e-8, np.inf, -np.inf])]).astype(np.float32)  # fmt: skip
    y = np.zeros(x.size, np.uint32)
    with np.errstate(over="ignore"):
        expected = x.astype(np.float16)
    kernels["to_f16"]((1, 1, 1), (32, 1, 1), [x, y, np.int32(x.size)])
    assert np.array_equal(y.astype(np.uint16), expected.view(np.uint16))
    kernels["to_tf32"]((1, 1, 1), (32, 1, 1), [x, y, np.int32(x.size)])
    rounded = y.view(np.float32)
    finite = np.isfinite(x)
    x, rounded = x[finite], rounded[finite]
    assert (np.abs(rounded - x) <= 2.0**-11 * np.abs(x)).all()
    assert not (y & 0x1FFF).any()  # 13 bits fewer
    one_and_a_half_steps = struct.unpack("f", struct.pack("I", 0x3F801000))[0]
    y = np.zeros(1, np.uint32)
    kernels["to_tf32"]((1, 1, 1), (32, 1, 1), [np.float32([one_and_a_half_steps]), y, np.int32(1)])
    assert y[0] == 0x3F802000  # ties go away from zero


@pytest.mark.parametrize("half", [0, 1])
def test_the_twins_multiply(half, rng):
    kernels = emulator.build(ROUNDING, "float")
    if half:
        a, b = (rng.integers(-9, 9, (rows, 16)).astype(np.float16) for rows in (16, 8))
        words = [np.ascontiguousarray(m).view(np.uint32).ravel() for m in (a, b)]
    else:
        a, b = (rng.integers(-9, 9, (rows, 8)).astype(np.float32) for rows in (16, 8))
        words = [m.view(np.uint32).ravel() for m in (a, b)]
    c = np.full(128, np.nan, np.float32)
    kernels["product"]((1, 1, 1), (32, 1, 1), [*words, c, np.int32(half)])
    assert np.array_equal(c.reshape(16, 8), (a.astype(np.float32) @ b.T.astype(np.float32)))


WARPGROUPS = r"""
KERNEL void warpgroup_product(In<unsigned> a, In<unsigned> b, Out<float> c, int half) {
    // A warpgroup multiplies 64 rows of 8 words by 128 rows of 8 words, as `place` lays them.
    Shared<unsigned> memory = dynamic_shared<unsigned>();
    constexpr int A = 64 * WORDS;  // b lies behind a
    constexpr int SLICE = 32 * WORDS;
    if (half == 2) {  // turned over: 16 rows of words with two of 64, and of 128, numbers
        for (int e = threadIdx.x; e < 16 * 96; e += 128) {
            int k = e / 96, word = e % 96, at = word < 32 ? word / 16 * SLICE : A + (word - 32) / 16 * SLICE;
            memory[at + place(SKIP / 8 * 16 + k, word % 16 / 4) + word % 4] =
                word < 32 ? a[k * 32 + word] : b[k * 64 + word - 32];
        }
    }
    for (int row = threadIdx.x; half < 2 && row < 192; row += 128) {
        for (int word = 0; word < 8; ++word) {
            unsigned v = row < 64 ? a[row * 8 + word] : b[(row - 64) * 8 + word];
            memory[place(row, SKIP / 4 + word / 4) + word % 4] = v;
        }
    }
    show_to_warpgroups();
    __syncthreads();
    float sums[64];
    for (int k = 0; k < 64; ++k) sums[k] = 1;
    open_products();
    constexpr int ROWS = SKIP / 8 * 16 * WORDS;
    if (half == 2) begin_product<true, SLICE>(sums, memory, ROWS, A + ROWS);
    else if (half) begin_product<true>(sums, memory, SKIP, A + SKIP);
    else begin_product<false>(sums, memory, SKIP, A + SKIP);
    close_products();
    await_products_but<0, 64>(sums);
    int row = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4, column = threadIdx.x % 4 * 2;
    for (int k = 0; k < 64; ++k) c[(row + k / 2 % 2 * 8) * 128 + k / 4 * 8 + column + k % 2] = sums[k];
}
// How it can go wrong: 1: not shown; 2: shown before it was written; 3: written while a product reads it;
// 4: never awaited; 5: shown, but no barrier; 6: the sums are used too early; else not at all.
KERNEL void careless_warpgroup(In<unsigned> x, Out<float> y, int how) {
    Shared<unsigned> memory = dynamic_shared<unsigned>();
    if (how == 2) show_to_warpgroups();
    for (int k = 0; k < 24; ++k) memory[threadIdx.x * 24 + k] = x[k];
    if (how != 1 && how != 2) show_to_warpgroups();
    if (how != 5) __syncthreads();
    float sums[64] = {};
    open_products();
    begin_product<true>(sums, memory, 0, 64 * WORDS);
    close_products();
    if (how == 3) {
        __syncthreads();
        memory[threadIdx.x * 24] = 0;
    }
    if (how == 6) y[threadIdx.x] = sums[0];
    if (how != 4) await_products_but<0, 64>(sums);
    if (how != 6) y[threadIdx.x] = sums[0];
}
"""


def warpgroup_kernels(skip):
    shared = [(launch.FOLDER / name).read_text() for name in ("common.cuh", "tensor.cuh")]
    return emulator.build(
        "\n".join([*shared, f"constexpr int SKIP = {skip};", WARPGROUPS]), "float"
    )


@pytest.mark.parametrize("skip", [0, 8])  # the first or the second eight words of a row
@pytest.mark.parametrize("half", [0, 1, 2])  # 2: turned over
def test_the_twins_of_warpgroups_multiply(half, skip, rng):
    kernels = warpgroup_kernels(skip)
    kind, words = (np.float16, 16) if half else (np.float32, 8)
    a, b = (rng.integers(-9, 9, (rows, words)).astype(kind) for rows in (64, 128))
    c = np.full(64 * 128, np.nan, np.float32)
    given = [m.T if half == 2 else m for m in (a, b)]
    given = [np.ascontiguousarray(m).view(np.uint32).ravel() for m in given]
    kernels["warpgroup_product"]((1, 1, 1), (128, 1, 1), [*given, c, np.int32(half)], shared=4 * 192 * 16)  # fmt: skip
    assert np.array_equal(c.reshape(64, 128), 1 + a.astype(np.float32) @ b.T.astype(np.float32))


CARELESS = {
    0: None,
    1: "shared number .* not shown to tensor cores",
    2: "shared number .* not shown to tensor cores",
    3: "race: shared number .* written while a product reads it",
    4: "a product that is never awaited",
    5: "race: shared number .* read while thread .* writes it|never written",
    6: None,
}


@pytest.mark.parametrize("how", CARELESS)
def test_faults_of_warpgroups_are_found(how):
    kernels = warpgroup_kernels(0)
    x, y = np.full(24, 0x3C003C00, np.uint32), np.full(128, np.nan, np.float32)  # pairs of 1
    expected = CARELESS[how]
    with pytest.raises(emulator.Fault, match=expected) if expected else contextlib.nullcontext():
        kernels["careless_warpgroup"](
            (1, 1, 1), (128, 1, 1), [x, y, np.int32(how)], shared=4 * 192 * 16
        )
        assert set(y) == {0.0 if how == 6 else 16.0}  # too early, the sums are what they were


def test_matrices_come_as_a_warp_wants_them():
    """Lane 4 g + t has word t of row g of each (PTX manual, ldmatrix), or of its transpose."""
    kernels = emulator.build(ROUNDING, "float")
    x, y = np.arange(128, dtype=np.uint32), np.zeros(128, np.uint32)
    kernels["matrices"]((1, 1, 1), (32, 1, 1), [x, y, np.int32(0)])
    assert np.array_equal(x, y)
    halves = np.arange(256, dtype=np.uint16).reshape(4, 8, 8)
    x = np.ascontiguousarray(halves).view(np.uint32).ravel()
    kernels["matrices"]((1, 1, 1), (32, 1, 1), [x, y, np.int32(1)])
    assert np.array_equal(y.view(np.uint16).reshape(4, 8, 8), halves.transpose(0, 2, 1))
