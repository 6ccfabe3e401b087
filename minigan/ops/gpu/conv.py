"""Convolutions on the GPU: which kernel for which shape, and their geometry.

x and y are [N, C, H, W] in memory too.  Weights are packed once a call, outputs innermost, as
neighbouring threads want them (conv.cuh); for tensor cores both are packed, channels innermost
(conv_tensor_pack.cu).  Sizes and types have been checked by `minigan.ops`.
"""

import dataclasses

import numpy as np

from minigan.device import cupy
from minigan.ops.gpu.launch import THREADS, blocks, capability, contiguous, finish_arguments, launch
from minigan.ops.gpu.pointwise import bias_act
from minigan.ops.switch import chosen_precision

# So many blocks are wanted at least: two for each multiprocessor of an H100.  A constant, so that
# all GPUs add in one order.
ENOUGH = 264
WORDS, STAGES, PITCH = 16, 3, 20  # of conv_tensor.cu: words a step, steps in shared memory
PIXELS = 128  # of a block of pack_image


@dataclasses.dataclass(frozen=True)
class Tile:
    """What a block sums: `rows` outputs × `columns` pixels, `step` channels at a time."""

    file: str
    kernel: str
    rows: int
    columns: int
    step: int
    threads: int
    shared: int = 0


def _tensor(name, step, rows):
    shared = 4 * STAGES * (rows + 128) * PITCH
    return Tile("conv_tensor", f"conv_{name}_{rows}", rows, 128, step, 128, shared)


FORWARD = {  # those of a kind are for different numbers of outputs
    "tiled": [Tile("conv_tiled", "conv_tiled", 64, 64, 16, 256)],
    "wide": [
        Tile("conv_tiled", "conv_wide_32", 32, 128, 16, 128),
        Tile("conv_tiled", "conv_wide_64", 64, 128, 8, 128),
        Tile("conv_tiled", "conv_wide_128", 128, 128, 8, 256),
    ],
    "tf32": [_tensor("tf32", 16, rows) for rows in (32, 64, 128)],
    "fp16": [_tensor("f16", 32, rows) for rows in (32, 64, 128)],
}
GRADIENT = {  # rows: outputs; columns: channels; step: pixels
    "tiled": Tile("conv_tiled", "weight_gradient_tiled", 64, 64, 16, 256),
    "wide": Tile("conv_tiled", "weight_gradient_wide", 128, 128, 8, 256),
    "tf32": Tile("conv_tensor_gradient", "weight_gradient_tf32", 64, 64, 16, 128),
    "fp16": Tile("conv_tensor_gradient", "weight_gradient_f16", 64, 64, 32, 128),
}


def algorithm(dtype, C, O, taps, pixels, precision):
    """Which kernel sums a convolution, and which its weights' gradient: a pair of names.

    "naive": a thread an output, where a sum is short or outputs are few, so that a tile would be
    idle.  "tiled": tiles of 64 × 64 sums in shared memory; "wide": of 128 pixels, where there are
    enough.  "tf32", "fp16": such tiles on tensor cores, if `ops.precision` allows them.
    """
    if dtype == np.float32 and precision != "fp32" and min(C * taps, O) >= 8:
        return precision, precision
    many = dtype == np.float32 and pixels >= 1024
    backward = "naive" if pixels <= 32 else "wide" if many and min(C, O) >= 128 else "tiled"
    if C * taps <= 8 or O <= 4:
        return "naive", backward
    return "wide" if many else "tiled", backward


def _choose(x, C, O, taps, pixels):
    if pixels >= 1 << 31:
        raise ValueError(f"a convolution on the GPU makes {pixels} pixels; fewer than 2³¹ are possible")
    chosen = algorithm(x.dtype, C, O, taps, pixels, chosen_precision())
    if "tf32" in chosen and capability() < 80:
        raise RuntimeError(
            "ops.precision('tf32') needs a GPU of compute capability 8.0; 'fp16' runs on this one"
        )
    return chosen


def _tile(way, O):
    """The narrowest tile that has room for all outputs, or the widest; None: no tiles."""
    if way == "naive":
        return None
    return next((tile for tile in FORWARD[way] if O <= tile.rows), FORWARD[way][-1])


def _splits(tile, pixels, O, groups, steps):
    """Into how many parts to cut each sum, so that small images and few outputs occupy the GPU."""
    if tile is None:
        return 1
    there = max(1, blocks(pixels, tile.columns) * blocks(O, tile.rows) * groups)
    return max(1, min(ENOUGH // there, steps // (8 * tile.step), 65535 // groups))


def _largest(a):
    """The largest magnitude, as an array: nobody waits for its value."""
    parts = cupy().empty((min(ENOUGH, blocks(a.size, THREADS)),), a.dtype)
    launch("conv_tensor_pack", "largest", (parts.size, 1, 1), (THREADS, 1, 1),
           (contiguous(a), parts, np.int64(a.size)), a.dtype)  # fmt: skip
    return parts.max().reshape(1)


class _Image:
    """x [N, C, H, W] as the kernels of a way want it, times styles [N, C] if given."""

    def __init__(self, x, styles, groups, way):
        self.array, self.styles, self.largest = contiguous(x), contiguous(styles), None
        if way not in ("tf32", "fp16"):
            return
        N, C, H, W = x.shape
        if way == "fp16":
            self.largest = _largest(x) if styles is None else _largest(x) * _largest(styles)
        inside, pixels, half = C // groups, H * W, way == "fp16"
        cw = _words(inside, half)
        packed = cupy().empty((N * groups, pixels, cw), np.uint32)
        grid = (blocks(pixels, PIXELS), cw // WORDS, N * groups)
        args = (self.array, self.styles, self.largest, packed, inside, pixels, cw)
        launch("conv_tensor_pack", f"pack_image_{'f16' if half else 'tf32'}", grid,
               (THREADS, 1, 1), args, x.dtype)  # fmt: skip
        self.array, self.styles = packed, None


def _words(channels, half):
    """So many words hold a pixel's channels: whole steps."""
    return blocks(channels, (2 if half else 1) * WORDS) * WORDS


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
        cw = _words(C, half)
        self.array = cupy().empty((groups, len(rows), len(columns), O, cw), np.uint32)
        self.largest = cupy().empty((groups, O), w.dtype) if half else None
        start = rows.start * KW + columns.start
        strides = (start, of_group, of_o, of_c, rows.step * KW, columns.step)
        args = (contiguous(w), self.array, self.largest, O, C, len(rows), len(columns), cw, *strides)
        launch("conv_tensor_pack", f"pack_weights_{'f16' if half else 'tf32'}", (O, groups, 1),
               (THREADS, 1, 1), args, w.dtype)  # fmt: skip


def _sums(image, weights, y, geometry, tile, splits, finish):
    """Correlate an _Image with _Weights into y; geometry as CONV_PARAMS."""
    N, O, OH, OW = geometry[0], geometry[6], geometry[4], geometry[5]
    groups, pixels = geometry[-1], N * OH * OW
    end = finish_arguments(finish)
    if tile is None:
        grid = (blocks(pixels, THREADS), groups * O, 1)
        args = (image.array, weights.array, image.styles, y, *geometry, *end)
        launch("conv_naive", "conv_naive", grid, (THREADS, 1, 1), args, y.dtype)
        return
    grid = (blocks(pixels, tile.columns), blocks(O, tile.rows), groups * splits)
    if tile.file == "conv_tensor":
        args = (image.array, weights.array, y, splits, image.largest, weights.largest,
                image.array.shape[-1])  # fmt: skip
    else:
        args = (image.array, weights.array, image.styles, y, splits)
    launch(tile.file, tile.kernel, grid, (tile.threads, 1, 1), (*args, *geometry, *end), y.dtype,
           tile.shared)  # fmt: skip


def _finished(y, parts, finish, fused):
    """The sum of the parts, and what is left to do."""
    if parts > 1:
        y = y.sum(axis=0)
    return y if fused or finish is None else bias_act(y, 1, **finish)


def _plain(N, C, H, W, OH, OW, O, KH, KW, stride, padding, groups):
    """CONV_PARAMS of conv.cuh, of a convolution that is not transposed."""
    (sx, sy), (x0, _, y0, _) = stride, padding
    return N, C, H, W, OH, OW, O, KH, KW, sy, sx, -y0, -x0, OH, OW, 0, 0, 1, 1, groups


def conv2d(x, w, stride, padding, groups, styles=None, finish=None):
    """See `minigan.ops.conv2d`.  styles [N, C], if given, multiplies x on the way in; finish,
    bias_act's arguments, is done on the way out."""
    N, C, H, W = x.shape
    (O, inside, KH, KW), (sx, sy), (x0, x1, y0, y1) = w.shape, stride, padding
    OH, OW, O = (H + y0 + y1 - KH) // sy + 1, (W + x0 + x1 - KW) // sx + 1, O // groups
    way, _ = _choose(x, inside, O, KH * KW, N * OH * OW)
    tile = _tile(way, O)
    splits = _splits(tile, N * OH * OW, O, groups, inside * KH * KW)
    y = cupy().empty((splits, N, groups * O, OH, OW), x.dtype)
    if y.size:
        every = slice(0, None, 1)
        weights = _Weights(w.reshape(groups, O, inside, KH, KW), True, every, every, way)
        geometry = _plain(N, inside, H, W, OH, OW, O, KH, KW, stride, padding, groups)
        fused = finish if splits == 1 else None
        _sums(_Image(x, styles, groups, way), weights, y, geometry, tile, splits, fused)
    return _finished(y if splits > 1 else y[0], splits, finish, splits == 1)


def conv_transpose2d(x, w, stride, padding, groups, styles=None):
    """See `minigan.ops.conv_transpose2d`: for each residue of the position modulo the stride, the
    plain convolution with those taps that meet a sample there.  No zeros are inserted."""
    N, C, H, W = x.shape
    (_, O, KH, KW), (sx, sy), (x0, x1, y0, y1) = w.shape, stride, padding
    inside = C // groups
    TH, TW = (H - 1) * sy + KH - y0 - y1, (W - 1) * sx + KW - x0 - x1
    rows, columns = (list(_residues(*of)) for of in ((KH, sy, y0, TH), (KW, sx, x0, TW)))
    pixels, taps = N * blocks(TH, sy) * blocks(TW, sx), blocks(KH, sy) * blocks(KW, sx)
    way, _ = _choose(x, inside, O, taps, pixels)
    tile = _tile(way, O)
    splits = _splits(tile, pixels, O, groups, inside * taps)
    all_reached = KH >= sy and KW >= sx  # else some results are sums of nothing
    make = cupy().empty if all_reached else cupy().zeros
    y = make((splits, N, groups * O, TH, TW), x.dtype)
    if y.size:
        image, w = _Image(x, styles, groups, way), w.reshape(groups, inside, O, KH, KW)
        for ky, top, Y0, OH in rows:
            for kx, left, X0, OW in columns:
                kh, kw = len(range(KH)[ky]), len(range(KW)[kx])
                if kh and kw and OH > 0 and OW > 0:
                    into = (TH, TW, top, left, sy, sx, groups)
                    geometry = (N, inside, H, W, OH, OW, O, kh, kw, 1, 1, Y0, X0, *into)
                    weights = _Weights(w, False, ky, kx, way)
                    _sums(image, weights, y, geometry, tile, splits, None)
    return y.sum(axis=0) if splits > 1 else y[0]


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
    _, way = _choose(x, inside, O, taps, pixels)
    geometry = _plain(N, inside, H, W, OH, OW, O, KH, KW, stride, padding, groups)
    x, g = contiguous(x), contiguous(g)
    if way == "naive":
        dw = cupy().empty((1, groups * O, inside, KH, KW), x.dtype)
        grid, args = (blocks(dw.size, THREADS), 1, 1), (x, g, dw, 1, *geometry)
        launch("conv_naive", "weight_gradient_naive", grid, (THREADS, 1, 1), args, x.dtype)
        return dw[0]
    tile = GRADIENT[way]
    there = blocks(inside, tile.columns) * blocks(O, tile.rows) * groups * taps
    splits = max(1, min(ENOUGH // there, pixels // (8 * tile.step)))
    dw = cupy().empty((splits, groups * O, inside, KH, KW), x.dtype)
    scales = {"tf32": (None, None)}.get(way, ())
    if way == "fp16":
        scales = (_largest(x), _largest(g))
    grid = (blocks(inside, tile.columns), blocks(O, tile.rows), groups * taps * splits)
    args = (x, g, dw, splits, *scales, *geometry)
    launch(tile.file, tile.kernel, grid, (tile.threads, 1, 1), args, x.dtype)
    return dw.sum(axis=0) if splits > 1 else dw[0]
