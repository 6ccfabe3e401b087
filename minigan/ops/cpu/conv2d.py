"""Convolutions on the CPU: which algorithm for which shape, and the layout they all want.

To the user arrays are NCHW.  In memory, the results have channels innermost (a transposed view),
and inputs that have too are taken as they are; others are copied once.  Sizes and types have been
checked by `minigan.ops`; stride is (x, y), padding (x0, x1, y0, y1).
"""

import collections
import functools
import threading

import numpy as np

from minigan.ops.cpu import conv2d_direct, conv2d_winograd, conv2d_winograd_up
from minigan.ops.cpu.runtime.compile import kernel
from minigan.ops.cpu.runtime.layout import contiguous, images, innermost
from minigan.ops.cpu.runtime.memory import aligned, empty
from minigan.ops.cpu.runtime.simd import BYTES, LANES, ROWS, VECTORS
from minigan.ops.cpu.runtime.threads import share, threads
from minigan.ops.dispatch import chosen


def algorithm(dtype, kh, kw, stride, C, O, pixels, transposed=False):
    """Which algorithm sums a convolution: "winograd", "pointwise" or "direct".  pixels: of the
    output; of the input, if transposed.

    Winograd's costs a digit of float32 and its transforms, so it is for float32 and for enough
    channels to share them; `ops.engine("direct")` forbids it.
    """
    step = 2 if transposed else 1
    fits = (kh, kw, *stride) == (3, 3, step, step) and dtype == np.float32
    pays = min(C, O) >= LANES and C * O >= 1024 and pixels >= 16 * ROWS
    if fits and pays and chosen() != "direct":
        return "winograd"
    return "pointwise" if (kh, kw, *stride) == (1, 1, 1, 1) else "direct"


def _width(dtype):
    return VECTORS * BYTES // dtype.itemsize


@functools.lru_cache(256)
def _ones(size, dtype):
    """For those who do not write to it."""
    return np.ones(size, dtype)


def _zeros(size, dtype):
    flat = empty(size, dtype)
    flat[:] = 0
    return flat


# Weights transformed for Winograd, by content: a weight serves several passes of a training step,
# and all pictures at inference.  What was not asked for lately goes, and the oldest of what is more
# than so many bytes.
_KEPT_BYTES, _KEPT_CALLS = 1 << 29, 128
_kept = collections.OrderedDict()  # hash and geometry -> (array, call), the last used at the end
_kept_now = _calls = 0
_guard = threading.Lock()


def forget():
    """Free the kept weights."""
    global _kept_now
    with _guard:
        _kept.clear()
        _kept_now = 0


@kernel
def _fingerprint(first, last, memory, words, out, size):
    """out[2·i : …]: a 128-bit hash of `size` 64-bit words: xor, multiply, shift, in two chains.
    Tasks: parts of `size` words."""
    prime = np.uint64(0x9E3779B97F4A7C15)
    for task in range(first, last):
        begin, end = task * size, min(words.size, (task + 1) * size)
        a, b = np.uint64(task), np.uint64(end - begin)
        for i in range(begin, end - 1, 2):
            a = (a ^ words[i]) * prime
            b = (b ^ words[i + 1]) * prime
            a ^= a >> np.uint64(32)  # without this the signs of two weights would cancel
            b ^= b >> np.uint64(32)
        if (end - begin) % 2:
            a = (a ^ words[end - 1]) * prime
        out[2 * task], out[2 * task + 1] = a, b


def _hash(w):
    """Of a flat float32 array's bytes."""
    words = w[: w.size // 2 * 2].view(np.uint64)
    size = max(1 << 16, -(-words.size // threads()))
    tasks = -(-words.size // size)
    out = np.empty(2 * tasks, np.uint64)
    if tasks == 1:  # to share it would take longer
        _fingerprint(0, 1, _ones(1, w.dtype), words, out, size)
    else:
        share(_fingerprint, tasks, words, out, size, work=words.size * 8)
    return out.tobytes(), w[-1:].tobytes()


def _winograd_weights(weights, width, up=0):
    """`conv2d_winograd.transform_weights` of kernels as `_kernels` gives them, kept or new."""
    global _kept_now, _calls
    w, start, steps, shape = weights
    key = (_hash(w), start, steps, shape, up)
    with _guard:
        _calls += 1
        u, _ = _kept.get(key, (None, 0))
        if u is not None:
            _kept[key] = (u, _calls)
            _kept.move_to_end(key)
            return u
    C, O = shape[2:]
    blocks = -(-O // width)
    u = aligned((49 if up else 36) * blocks * C * width, w.dtype)
    args = (*weights, width, up)
    share(
        conv2d_winograd.transform_weights, blocks, u, *args, work=u.size * 8,
        scratch=9 * width + 21 * LANES,
    )  # fmt: skip
    with _guard:
        if key not in _kept:  # another thread may have been faster
            _kept[key] = (u, _calls)
            _kept_now += u.nbytes
        while _kept_now > _KEPT_BYTES or next(iter(_kept.values()))[1] < _calls - _KEPT_CALLS:
            _kept_now -= _kept.popitem(last=False)[1][0].nbytes
    return u


def _memory(w):
    """Weights, and the flat array in which they lie without gaps: transposed and flipped ones need
    no copy."""
    if w.flags.c_contiguous and w.flags.writeable:
        return w, w.reshape(-1)
    ahead = w[tuple(slice(None, None, -1 if step < 0 else 1) for step in w.strides)]
    ahead = ahead.transpose(np.argsort([-step for step in ahead.strides], kind="stable"))
    if ahead.flags.c_contiguous and ahead.flags.writeable:
        return w, ahead.reshape(-1)
    w = contiguous(w)
    return w, w.reshape(-1)


def _kernels(flat, view):
    """Kernels [kh, kw, C, O], a view of weights, as (the flat weights, start, steps, shape)."""
    start = view.__array_interface__["data"][0] - flat.__array_interface__["data"][0]
    size, (y, x, c, o) = view.itemsize, view.strides
    return flat, start // size, (y // size, x // size, c // size, o // size), view.shape


def _sums(x, weights, out, geometry, styles, scale):
    """Correlate x, flat [N, H, W, C], with kernels as `_kernels` gives them: `conv2d_direct.py`."""
    N, H, W, C, OH, OW, O, KH, KW, SY, SX, Y0, X0, TH, TW, _, _, DY, DX = geometry
    dtype, width = x.dtype, _width(x.dtype)
    blocks, work = -(-O // width), N * OH * OW * O * C * KH * KW
    alone = (OH, OW, DY, DX) == (TH, TW, 1, 1)
    way = algorithm(dtype, KH, KW, (SY, SX), C, O, N * OH * OW)
    if way == "winograd" and alone:
        u = _winograd_weights(weights, width)
        count = N * -(-OH // 4) * -(-OW // 4)
        tasks, tiles = _pieces(count, 64 if C + O <= 128 or C * O >= 1 << 17 else 32)
        wide = -(-C // LANES) * LANES + blocks * width
        memory = 36 * (tiles * wide + 2 * conv2d_winograd.PAD + wide + LANES)
        styles, scale = _padded(styles, N, C, LANES), _padded(scale, N, O, width)
        sizes = (N, H, W, C, OH, OW, O, Y0, X0)
        args = (u, width, styles, scale, out, *sizes, tiles, tasks)
        share(conv2d_winograd.forward, tasks, x, *args, work=work // 4, scratch=memory)
        return
    packed = empty(blocks * KH * KW * C * width, dtype)
    whole = way == "pointwise" and alone and (Y0, X0, OH, OW) == (0, 0, H, W)
    none = np.empty(0, dtype)
    plain = styles.size == scale.size == 0
    if whole and (plain or H * W >= 256):  # or an image's own weights
        images, pixels = (1, N * H * W) if plain else (N, H * W)
        height = max(ROWS, -(-pixels // (32 * ROWS)) * ROWS)  # some 32 tasks
        for n in range(images):
            own = (none, none) if plain else (_row(styles, n, C), _row(scale, n, O))
            share(conv2d_direct.pack, blocks, packed, *weights, width, *own, work=packed.size * 32)
            p = slice(n * pixels, (n + 1) * pixels)
            one, to = x.reshape(-1, C)[p].reshape(-1), out.reshape(-1, O)[p].reshape(-1)
            args = (packed, width, to, pixels, C, O, height)
            share(
                conv2d_direct.pointwise, -(-pixels // height), one, *args, work=work // images,
                scratch=ROWS * (C + width),
            )  # fmt: skip
        return
    share(conv2d_direct.pack, blocks, packed, *weights, width, none, none, work=packed.size * 32)
    columns, _ = conv2d_direct.pitch.py_func(OW, KW, SY, SX)
    height = max(1, min(OH, 8, (1 << 16) // (columns * C * SY)))
    memory = (((height - 1) * SY + KH) * columns + ROWS) * C + ROWS * width
    args = (packed, width, styles, out, geometry, height)
    share(conv2d_direct.forward, N * -(-OH // height), x, *args, work=work, scratch=memory)
    if scale.size:
        y = out.reshape(N, -1, O)
        y *= scale.reshape(N, 1, O)


def _pieces(count, most):
    """Into how many tasks of up to `most` tiles, of whole register tiles, to cut so many tiles; and
    the most that a task has then.  As many for each thread, if they suffice.

    The more tiles at once, the seldomer the transformed weights are read anew; but the cache is
    small.
    """
    rows = -(-count // ROWS)
    tasks = min(rows, -(-count // (most * threads())) * threads())
    return tasks, -(-rows // tasks) * ROWS


def _winograd_up(x, weights, out, sizes, styles):
    """The transposed convolution of stride 2 with 3×3 kernels; see `conv2d_winograd_up.py`."""
    N, H, W, C, _, _, O, _, _ = sizes
    width = _width(x.dtype)
    u = _winograd_weights(weights, width, 1)
    count = N * (H // 5 + 1) * (W // 5 + 1)
    tasks, tiles = _pieces(count, 16 if C * O >= 1 << 17 else 8)
    wide = -(-C // LANES) * LANES + -(-O // width) * width
    memory = 121 * tiles * wide + 2 * 49 * conv2d_winograd.PAD + 36 * wide + 110 * LANES
    work = N * H * W * C * O * 5
    args = (u, width, _padded(styles, N, C, LANES), out, *sizes, tiles, tasks)
    share(conv2d_winograd_up.forward, tasks, x, *args, work=work, scratch=memory)


def conv2d(x, w, stride, padding, groups, styles=None, scale=None):
    """See `minigan.ops.conv2d`.  styles [N, C], if given, multiplies x on the way in, and scale
    [N, O] the result, where groups is 1."""
    N, C, H, W = x.shape
    O, _, KH, KW = w.shape
    (SX, SY), (x0, x1, y0, y1) = stride, padding
    OH, OW = (H + y0 + y1 - KH) // SY + 1, (W + x0 + x1 - KW) // SX + 1
    geometry = (N, H, W, C, OH, OW, O, KH, KW, SY, SX, -y0, -x0, OH, OW, 0, 0, 1, 1)
    if groups > 1:
        return _grouped(conv2d, x, w, stride, padding, groups, styles)
    y, flat = images(N, O, OH, OW, x.dtype)
    w, lying = _memory(w)
    weights = _kernels(lying, w.transpose(2, 3, 1, 0))
    _sums(innermost(x), weights, flat, geometry, _factors(styles, x), _factors(scale, x))
    return y


def conv_transpose2d(x, w, stride, padding, groups, styles=None):
    """See `minigan.ops.conv_transpose2d`: for each residue of the position, a convolution."""
    N, C, H, W = x.shape
    _, O, KH, KW = w.shape
    (SX, SY), (x0, x1, y0, y1) = stride, padding
    TH, TW = (H - 1) * SY + KH - y0 - y1, (W - 1) * SX + KW - x0 - x1
    if groups > 1:
        return _grouped(conv_transpose2d, x, w, stride, padding, groups, styles)
    y, out = images(N, O, TH, TW, x.dtype)
    if SY > KH or SX > KW:
        out[:] = 0  # positions that no tap reaches
    (w, lying), flat, styles = _memory(w), innermost(x), _factors(styles, x)
    if algorithm(x.dtype, KH, KW, stride, C, O, N * H * W, transposed=True) == "winograd":
        weights = _kernels(lying, w.transpose(2, 3, 0, 1))
        _winograd_up(flat, weights, out, (N, H, W, C, TH, TW, O, y0, x0), styles)
        return y
    for ry in range(min(SY, KH)):
        for rx in range(min(SX, KW)):
            # Output row i·SY + top lies at m·SY + ry of the uncropped output, and collects
            # x[m − j]·w[ry + SY·j] over j.
            taps = w[:, :, ry::SY, rx::SX][:, :, ::-1, ::-1].transpose(2, 3, 0, 1)
            top, left = (ry - y0) % SY, (rx - x0) % SX
            m, k = (top + y0 - ry) // SY, (left + x0 - rx) // SX
            OH, OW = -(-(TH - top) // SY), -(-(TW - left) // SX)
            kh, kw = taps.shape[:2]
            geometry = (N, H, W, C, OH, OW, O, kh, kw, 1, 1, m - kh + 1, k - kw + 1)
            geometry += (TH, TW, top, left, SY, SX)
            if OH > 0 and OW > 0:
                _sums(flat, _kernels(lying, taps), out, geometry, styles, np.empty(0, x.dtype))
    return y


def conv2d_weight_grad(x, g, size, stride, padding, groups):
    """See `minigan.ops.conv2d_weight_grad`."""
    N, C, H, W = x.shape
    _, O, OH, OW = g.shape
    (KH, KW), (SX, SY), (x0, _, y0, _) = size, stride, padding
    if groups > 1:
        parts = zip(np.split(x, groups, axis=1), np.split(g, groups, axis=1), strict=True)
        return np.concatenate(
            [conv2d_weight_grad(a, b, size, stride, padding, 1) for a, b in parts]
        )
    dtype, width = x.dtype, _width(x.dtype)
    x, g = innermost(x), innermost(g)
    out = np.empty((O, C, KH, KW), dtype)
    O_ = -(-O // width) * width
    work = N * OH * OW * O * C * KH * KW
    if algorithm(dtype, KH, KW, stride, C, O, N * OH * OW) == "winograd":
        tiles = 64 if C * O > 1 << 15 else 32
        wide = min(-(-C // LANES) * LANES, 128)
        cuts = -(-C // wide)
        shares = max(1, 4 // cuts) if C * O <= 1 << 15 else 1
        du = empty(shares * 36 * cuts * wide * O_, dtype)
        sizes = (N, H, W, C, OH, OW, O, -y0, -x0, tiles, shares, wide)
        args = (g, width, du, _ones(N * wide, dtype), *sizes)
        memory = 36 * (tiles * (wide + O_) + 2 * conv2d_winograd.PAD + wide + LANES) + 16 * O_
        share(
            conv2d_winograd.weight_gradient, shares * cuts, x, *args, work=work // 4, scratch=memory
        )
        args = (shares, C, cuts * wide, O, O_, out.reshape(-1))
        tasks, memory = -(-O // LANES), (9 * C + 54) * LANES
        share(
            conv2d_winograd.finish_weight_gradient,
            tasks,
            du,
            *args,
            work=du.size * 4,
            scratch=memory,
        )
        return out
    # The kernel's sums come as [kh, kw, C, O].  Where x and g play the same part, let them change
    # places: then the sums come as the result is wanted.
    turned = (KH, KW, SY, SX, y0, x0, OH, OW) == (1, 1, 1, 1, 0, 0, H, W)
    if turned:
        x, g, C, O, O_ = g, x, O, C, -(-C // width) * width
    geometry = (N, H, W, C, OH, OW, O, KH, KW, SY, SX, -y0, -x0, OH, OW, 0, 0, 1, 1)
    lanes = max(ROWS, width // VECTORS)  # a tile reads ROWS channels of x side by side
    C_ = -(-C // lanes) * lanes
    wide = min(C_, 128)
    cuts = -(-C // wide)
    shares = max(1, (8 if C * O * KH * KW <= 1 << 15 else 4) // cuts)
    columns = (OW - 1) * SX + KW
    height = max(1, min(OH, 128 // OW))  # so many pixels of a block of channels stay in the cache
    sums = _zeros(shares * KH * KW * C_ * O_, dtype)
    memory = ((height - 1) * SY + KH) * columns * wide + height * OW * O_
    args = (g, lanes, width, sums, geometry, height, shares, wide)
    share(conv2d_direct.weight_gradient, shares * cuts, x, *args, work=work, scratch=memory)
    if turned:
        sums.reshape(shares, C_, O_)[:, :C, :O].sum(axis=0, out=out[:, :, 0, 0])
        return out
    args = (shares, C_, O_, width, out.reshape(-1), O, C, KH * KW)
    share(conv2d_direct.unpack, O_ // width, sums, *args, work=sums.size * 32)
    return out


def _padded(factors, N, C, width):
    """Factors, flat [N, C], with C rounded up to a multiple of `width`; ones, if there are none.

    A kernel that multiplies in any case is faster than one that asks whether it should.
    """
    if factors.size == 0:
        return _ones(N * (C + width), factors.dtype)
    if C % width == 0:
        return factors
    return np.pad(factors.reshape(-1, C), ((0, 0), (0, -C % width))).reshape(-1)


def _row(factors, n, C):
    """Row n of factors, flat [N, C]; ones, if there are none."""
    return factors[n * C : (n + 1) * C] if factors.size else _ones(C, factors.dtype)


def _factors(a, x):
    """a for the kernels: flat, and empty if it is None."""
    return np.empty(0, x.dtype) if a is None else contiguous(a).reshape(-1)


def _grouped(operation, x, w, stride, padding, groups, styles):
    """Group by group."""
    x = np.split(x, groups, axis=1)
    w = np.split(w, groups)
    styles = [None] * groups if styles is None else np.split(styles, groups, axis=1)
    parts = zip(x, w, styles, strict=True)
    y = [operation(a, b, stride, padding, 1, s) for a, b, s in parts]
    return np.concatenate(y, axis=1)
