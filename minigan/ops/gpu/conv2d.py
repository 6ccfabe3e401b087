"""Convolutions on the GPU: which kernel for which shape, and their geometry.

x and y are [N, C, H, W] in memory too.  Weights are packed once a call, outputs innermost, as
neighbouring threads want them (conv2d.cuh); for tensor cores both are packed, channels innermost
(conv2d_tensor_pack.cu).  Sizes and types have been checked by `minigan.ops`.
"""

import dataclasses
import math

import numpy as np

from minigan.device import cupy
from minigan.ops.dispatch import chosen_precision
from minigan.ops.gpu.bias_act import summed
from minigan.ops.gpu.launch import (
    ENOUGH,
    THREADS,
    blocks,
    capability,
    contiguous,
    epilogue_arguments,
    launch,
)

# What `pytest -m gpu` has not yet shown on a GPU of compute capability 9.0 stays off: products by
# warpgroups (tensor.cuh).
WARPGROUPS = False
WORDS = 16  # of conv2d_tensor.cu: words in a slice of channels
PIXELS = 128  # of a block of pack_image, and of a tile on tensor cores


@dataclasses.dataclass(frozen=True)
class Tile:
    """What a block sums: `rows` outputs × `columns` pixels, `step` channels at a time."""

    file: str
    kernel: str
    rows: int
    columns: int
    step: int
    threads: int
    stages: int = 0  # of conv2d_tensor.cu: steps in shared memory

    @property
    def shared(self):
        """Bytes of dynamic shared memory."""
        return 4 * WORDS * self.stages * (self.columns + self.rows)


TENSOR = ((32, 128), (64, 128), (128, 256))  # outputs and threads of conv2d_tensor.cu's blocks
SQUARE = ((64, 128), (128, 256))  # and of conv2d_tensor_gradient.cu's, with as many channels
GROUPED = ((64, 128, "warpgroup"), (128, 256, "warpgroups"))  # and of those by warpgroups
FORWARD = {  # those of a kind are for different numbers of outputs
    "tiled": [Tile("conv2d_tiled", "conv_tiled", 64, 64, 16, 256)],
    "wide": [
        Tile("conv2d_tiled", "conv_wide_32", 32, 128, 16, 128),
        Tile("conv2d_tiled", "conv_wide_64", 64, 128, 8, 128),
        Tile("conv2d_tiled", "conv_wide_128", 128, 128, 8, 256),
    ],
    "tf32": [Tile("conv2d_tensor", f"conv_tf32_{n}", n, PIXELS, 16, t, 3) for n, t in TENSOR],
    "fp16": [Tile("conv2d_tensor", f"conv_f16_{n}", n, PIXELS, 32, t, 3) for n, t in TENSOR],
}
BY_WARPGROUPS = {
    "tf32": [
        Tile("conv2d_tensor", f"conv_tf32_{n}_{g}", n, PIXELS, 16, t, 4) for n, t, g in GROUPED
    ],
    "fp16": [
        Tile("conv2d_tensor", f"conv_f16_{n}_{g}", n, PIXELS, 32, t, 4) for n, t, g in GROUPED
    ],
}
GRADIENT = {  # rows: outputs; columns: channels; step: pixels
    "tiled": [Tile("conv2d_tiled", "weight_gradient_tiled", 64, 64, 16, 256)],
    "wide": [Tile("conv2d_tiled", "weight_gradient_wide", 128, 128, 8, 256)],
    "tf32": [
        Tile("conv2d_tensor_gradient", f"weight_gradient_tf32_{n}", n, n, 16, t, 3)
        for n, t in SQUARE
    ],
    "fp16": [
        Tile("conv2d_tensor_gradient", f"weight_gradient_f16_{n}", n, n, 32, t, 3)
        for n, t in SQUARE
    ],
}
GRADIENT_BY_WARPGROUPS = Tile(
    "conv2d_tensor_gradient", "weight_gradient_f16_128_warpgroups", 128, 128, 32, 256, 4
)


def algorithm(dtype, C, O, taps, pixels, precision):
    """Which kernel sums a convolution, and which its weights' gradient: a pair of names.

    "naive": a thread an output, where a sum is too short to share what it reads.  "few": a thread a
    pixel, for few outputs.  "tiled": tiles of 64 × 64 sums in shared memory; "wide": of 128 pixels,
    where there are enough.  "tf32", "fp16": such tiles on tensor cores, if `ops.precision` allows
    them.
    """
    if dtype == np.float32 and precision != "fp32" and min(C * taps, O) >= 8:
        return precision, precision
    many = dtype == np.float32 and pixels >= 1024
    backward = "naive" if pixels <= 32 else "wide" if many and min(C, O) >= 128 else "tiled"
    if C * taps <= 8:
        return "naive", backward
    if O <= 4 and pixels >= 16384:
        return "few", backward
    return "wide" if many else "tiled", backward


def _countable(pixels):
    """Kernels count pixels in 32 bits.  Raises: ValueError."""
    if pixels >= 1 << 31:
        raise ValueError(
            f"a convolution on the GPU makes {pixels} pixels, padding included; fewer than 2³¹ are "
            "possible: divide the batch"
        )


def _choose(x, C, O, taps, pixels, precision):
    _countable(pixels)
    chosen = algorithm(x.dtype, C, O, taps, pixels, precision)
    if "tf32" in chosen and capability() < 80:
        raise RuntimeError(
            "ops.precision('tf32') needs a GPU of compute capability 8.0; 'fp16' runs on this one"
        )
    return chosen


def _by_warpgroups():
    """Whether tensor cores work by warpgroups here."""
    return WARPGROUPS and capability() == 90


def _tile(way, O):
    """The narrowest tile that has room for all outputs, or the widest; None: no tiles."""
    if way not in FORWARD:
        return None
    tiles = FORWARD[way]
    if way in BY_WARPGROUPS and O > 32 and _by_warpgroups():
        tiles = BY_WARPGROUPS[way]
    return next((tile for tile in tiles if O <= tile.rows), tiles[-1])


def _splits(tile, pixels, O, groups, steps):
    """Into how many parts to cut each sum, so that small images and few outputs occupy the GPU."""
    if tile is None:
        return 1
    there = max(1, blocks(pixels, tile.columns) * blocks(O, tile.rows) * groups)
    return max(1, min(ENOUGH // there, steps // (8 * tile.step), 65535 // groups))


def _largest(a):
    """The largest magnitude, as an array: nobody waits for its value."""
    parts = cupy().empty((min(4 * ENOUGH, blocks(a.size, THREADS)),), a.dtype)
    launch("conv2d_tensor_pack", "largest", (parts.size, 1, 1), (THREADS, 1, 1),
           (contiguous(a), parts, np.int64(a.size)), a.dtype)  # fmt: skip
    return parts.max().reshape(1)


def _pack(x, styles, largest, groups, slices, pixels, plane, place, stride=(1, 1)):
    """x [N, C, H, W] times styles as words [groups, slices, pixels, 16]; place: PW, py and px of
    conv2d_tensor_pack.cu.  largest: of the magnitudes, for half precision; None for tf32."""
    N, C, H, W = x.shape
    words = cupy().empty((groups, slices, pixels, WORDS), np.uint32)
    grid = (blocks(plane, PIXELS), slices, N * groups)
    args = (x, styles, largest, words, groups, C // groups, H, W, slices, pixels, plane, *place,
            *stride)  # fmt: skip
    kernel = "pack_image_tf32" if largest is None else "pack_image_f16"
    launch("conv2d_tensor_pack", kernel, grid, (THREADS, 1, 1), args, x.dtype)
    return words


class _Image:
    """x [N, C, H, W] as the kernels of a way want it, times styles [N, C] if given.

    windows: what is read, for rows and for columns: lists of (where the first window begins, how
    many there are, taps).
    """

    def __init__(self, x, styles, groups, way, windows):
        self.array, self.styles, self.largest = contiguous(x), contiguous(styles), None
        if way not in ("tf32", "fp16"):
            return
        N, half = len(x), way == "fp16"
        if half:
            self.largest = _largest(x) if styles is None else _largest(x) * _largest(styles)
        (self.py, PH, down), (self.px, PW, across) = (_padded(of) for of in windows)
        self.PW = PW = blocks(PW, 2) * 2  # pairs of pixels lie in one row
        self.slices, self.plane = _slices(x.shape[1] // groups, half), PH * PW
        _countable(N * self.plane)
        # Whole tiles are computed, so taps read on after the last pixel, for outputs nobody wants.
        self.pixels = blocks(N * self.plane, PIXELS) * PIXELS + down * PW + across
        self.array = _pack(self.array, self.styles, self.largest, groups, self.slices, self.pixels,
                           self.plane, (PW, self.py, self.px))  # fmt: skip


def _padded(windows):
    """How many zeros before an axis; how long it is with those before and after; how far the last
    tap of the first window lies from its beginning."""
    before = max(0, *(-start for start, _, _ in windows))
    reach = max(before + start + taps - 1 for start, _, taps in windows)
    return before, max(before + start + count + taps - 1 for start, count, taps in windows), reach


def _slices(channels, half):
    """So many slices of 16 words hold a pixel's channels."""
    return blocks(channels, (2 if half else 1) * WORDS)


class _Weights:
    """w [groups, C, O, KH, KW] (or O before C), of which taps [ky, kx], slices, are wanted."""

    def __init__(self, w, outputs_first, ky, kx, way):
        groups, first, second, KH, KW = w.shape
        of_group, of_first, of_second = first * second * KH * KW, second * KH * KW, KH * KW
        if outputs_first:
            (O, C), (of_o, of_c) = (first, second), (of_first, of_second)
        else:
            (C, O), (of_c, of_o) = (first, second), (of_first, of_second)
        rows, columns = range(KH)[ky], range(KW)[kx]
        self.largest = None
        if way not in ("tf32", "fp16"):
            order = (0, 3, 4, 2, 1) if outputs_first else (0, 3, 4, 1, 2)
            self.array = contiguous(w[:, :, :, ky, kx].transpose(order))
            return
        half = way == "fp16"
        slices = _slices(C, half)
        shape = (groups, slices, len(rows), len(columns), O, WORDS)
        self.array = cupy().empty(shape, np.uint32)
        self.largest = cupy().empty((groups, O), w.dtype) if half else None
        start = rows.start * KW + columns.start
        strides = (start, of_group, of_o, of_c, rows.step * KW, columns.step)
        taps = (len(rows), len(columns))
        args = (contiguous(w), self.array, self.largest, O, C, *taps, slices, *strides)
        launch("conv2d_tensor_pack", f"pack_weights_{'f16' if half else 'tf32'}", (O, groups, 1),
               (THREADS, 1, 1), args, w.dtype)  # fmt: skip


def _sums(image, weights, y, geometry, way, tile, splits, epilogue):
    """Correlate an _Image with _Weights into y; geometry as CONV_PARAMS."""
    N, O, OH, OW = geometry[0], geometry[6], geometry[4], geometry[5]
    groups, pixels = geometry[-1], N * OH * OW
    end = epilogue_arguments(epilogue, y[0])
    if tile is None:
        grid = (blocks(pixels, THREADS), groups if way == "few" else groups * O, 1)
        args = (image.array, weights.array, image.styles, y, *geometry, *end)
        launch("conv2d_naive", f"conv_{way}", grid, (THREADS, 1, 1), args, y.dtype)
        return
    if tile.file == "conv2d_tensor":
        pixels, (Y0, X0) = N * image.plane, geometry[11:13]
        first = (Y0 + image.py) * image.PW + X0 + image.px
        args = (image.array, weights.array, y, splits, image.largest, weights.largest,
                image.slices, image.pixels, image.plane, image.PW, first)  # fmt: skip
    else:
        args = (image.array, weights.array, image.styles, y, splits)
    grid = (blocks(pixels, tile.columns), blocks(O, tile.rows), groups * splits)
    launch(tile.file, tile.kernel, grid, (tile.threads, 1, 1), (*args, *geometry, *end), y.dtype,
           tile.shared)  # fmt: skip


def _plain(N, C, H, W, OH, OW, O, KH, KW, stride, padding, groups):
    """CONV_PARAMS of conv2d.cuh, of a convolution that is not transposed."""
    (sx, sy), (x0, _, y0, _) = stride, padding
    return N, C, H, W, OH, OW, O, KH, KW, sy, sx, -y0, -x0, OH, OW, 0, 0, 1, 1, groups


def conv2d(x, w, stride, padding, groups, styles=None, epilogue=None):
    """See `minigan.ops.conv2d`.  styles [N, C], if given, multiplies x on the way in; epilogue,
    an `Epilogue` or None, is done on the way out."""
    N, C, H, W = x.shape
    (O, inside, KH, KW), (sx, sy), (x0, x1, y0, y1) = w.shape, stride, padding
    OH, OW, O = (H + y0 + y1 - KH) // sy + 1, (W + x0 + x1 - KW) // sx + 1, O // groups
    # Tensor cores' tiles are made for neighbouring windows (conv2d_tensor.cu).
    precision = chosen_precision() if (sx, sy) == (1, 1) else "fp32"
    way, _ = _choose(x, inside, O, KH * KW, N * OH * OW, precision)
    tile = _tile(way, O)
    splits = _splits(tile, N * OH * OW, O, groups, inside * KH * KW)
    y = cupy().empty((splits, N, groups * O, OH, OW), x.dtype)
    if y.size:
        every = slice(0, None, 1)
        weights = _Weights(w.reshape(groups, O, inside, KH, KW), True, every, every, way)
        geometry = _plain(N, inside, H, W, OH, OW, O, KH, KW, stride, padding, groups)
        fused = epilogue if splits == 1 else None
        image = _Image(x, styles, groups, way, ([(-y0, OH, KH)], [(-x0, OW, KW)]))
        _sums(image, weights, y, geometry, way, tile, splits, fused)
    return y[0] if splits == 1 else summed(y, epilogue)


def conv_transpose2d(x, w, stride, padding, groups, styles=None):
    """See `minigan.ops.conv_transpose2d`: for each residue of the position modulo the stride, the
    plain convolution with those taps that meet a sample there.  No zeros are inserted."""
    N, C, H, W = x.shape
    (_, O, KH, KW), (sx, sy), (x0, x1, y0, y1) = w.shape, stride, padding
    inside = C // groups
    TH, TW = (H - 1) * sy + KH - y0 - y1, (W - 1) * sx + KW - x0 - x1
    rows, columns = (list(_residues(*of)) for of in ((KH, sy, y0, TH), (KW, sx, x0, TW)))
    pixels, taps = N * blocks(TH, sy) * blocks(TW, sx), blocks(KH, sy) * blocks(KW, sx)
    way, _ = _choose(x, inside, O, taps, pixels, chosen_precision())
    tile = _tile(way, O)
    splits = _splits(tile, pixels, O, groups, inside * taps)
    all_reached = KH >= sy and KW >= sx  # else some results are sums of nothing
    make = cupy().empty if all_reached else cupy().zeros
    y = make((splits, N, groups * O, TH, TW), x.dtype)
    if y.size:
        windows = [[(at, count, len(range(K)[k])) for k, _, at, count in of]
                   for of, K in ((rows, KH), (columns, KW))]  # fmt: skip
        image = _Image(x, styles, groups, way, windows)
        w = contiguous(w).reshape(groups, inside, O, KH, KW)
        for ky, top, Y0, OH in rows:
            for kx, left, X0, OW in columns:
                kh, kw = len(range(KH)[ky]), len(range(KW)[kx])
                if kh and kw and OH > 0 and OW > 0:
                    into = (TH, TW, top, left, sy, sx, groups)
                    geometry = (N, inside, H, W, OH, OW, O, kh, kw, 1, 1, Y0, X0, *into)
                    weights = _Weights(w, False, ky, kx, way)
                    _sums(image, weights, y, geometry, way, tile, splits, None)
    return y[0] if splits == 1 else summed(y)


def _residues(taps, stride, crop, size):
    """For each residue: its taps, mirrored, as a slice; where its first result lies; which sample
    the first tap meets there; how many results there are."""
    for r in range(min(stride, taps)):
        count = blocks(taps - r, stride)
        start = blocks(crop - r, stride)  # of results r, r + stride, …: the first not cropped
        top = r + stride * start - crop
        backwards = slice(r + stride * (count - 1), r - 1 if r else None, -stride)
        yield backwards, top, start - count + 1, blocks(size - top, stride)


def conv2d_weight_grad(x, g, size, stride, padding, groups):
    """See `minigan.ops.conv2d_weight_grad`."""
    (N, C, H, W), (_, O, OH, OW), (KH, KW) = x.shape, g.shape, size
    inside, O = C // groups, O // groups
    pixels, taps = N * OH * OW, KH * KW
    if x.size == 0 or g.size == 0:
        return cupy().zeros((groups * O, inside, KH, KW), x.dtype)
    _, way = _choose(x, inside, O, taps, pixels, chosen_precision())
    if way in ("tf32", "fp16"):
        return _tensor_weight_grad(x, g, size, stride, padding, groups, way)
    geometry = _plain(N, inside, H, W, OH, OW, O, KH, KW, stride, padding, groups)
    x, g = contiguous(x), contiguous(g)
    if way == "naive":
        dw = cupy().empty((1, groups * O, inside, KH, KW), x.dtype)
        grid, args = (blocks(dw.size, THREADS), 1, 1), (x, g, dw, 1, *geometry)
        launch("conv2d_naive", "weight_gradient_naive", grid, (THREADS, 1, 1), args, x.dtype)
        return dw[0]
    return _weight_sums(GRADIENT[way][0], x, g, (groups, O, inside, KH, KW), pixels, (), geometry)


def _weight_sums(tile, x, g, shape, pixels, scales, geometry):
    """Sums over so many pixels, into ∂w [groups · O, C, KH, KW]; shape: groups, O, C, KH, KW."""
    groups, O, inside, KH, KW = shape
    tiles = (blocks(inside, tile.columns), blocks(O, tile.rows))
    there = math.prod(tiles) * groups * KH * KW
    # Four times as many blocks as enough: if there were a few more than there is room for at once,
    # the last of them would have the GPU for themselves.
    splits = max(1, min(blocks(4 * ENOUGH, there), pixels // (8 * tile.step)))
    dw = cupy().empty((splits, groups * O, inside, KH, KW), np.float32 if scales else x.dtype)
    launch(tile.file, tile.kernel, (*tiles, groups * KH * KW * splits), (tile.threads, 1, 1),
           (x, g, dw, splits, *scales, *geometry), dw.dtype, tile.shared)  # fmt: skip
    return dw[0] if splits == 1 else summed(dw)


def _tensor_weight_grad(x, g, size, stride, padding, groups, way):
    """Both factors packed with pixels counted alike (conv2d_tensor_gradient.cu)."""
    N, O, OH, OW = g.shape
    (KH, KW), (sx, sy), (x0, _, y0, _) = size, stride, padding
    inside, O = x.shape[1] // groups, O // groups
    windows = ([(-y0, (OH - 1) * sy + 1, KH)], [(-x0, (OW - 1) * sx + 1, KW)])
    image = _Image(x, None, groups, way, windows)
    g = contiguous(g)
    largest = _largest(g) if way == "fp16" else None
    slices, all_pixels = _slices(O, way == "fp16"), N * image.plane
    words = _pack(
        g, None, largest, groups, slices, all_pixels, image.plane, (image.PW, 0, 0), (sy, sx)
    )
    first = (image.py - y0) * image.PW + image.px - x0
    narrow, wide = GRADIENT[way]
    if way == "fp16" and _by_warpgroups():
        wide = GRADIENT_BY_WARPGROUPS
    tile = narrow if max(O, inside) <= narrow.rows else wide
    scales = (image.largest, largest, image.slices, slices, image.pixels, all_pixels)
    return _weight_sums(tile, image.array, words, (groups, O, inside, KH, KW), all_pixels,
                        scales, (image.PW, first, O, inside, KH, KW, groups))  # fmt: skip
