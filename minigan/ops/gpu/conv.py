"""Convolutions on the GPU: which kernel for which shape, and their geometry.

x and y are [N, C, H, W] in memory too.  Weights are packed once a call, outputs innermost, as
neighbouring threads want them (conv.cuh).  Sizes and types have been checked by `minigan.ops`.
"""

import numpy as np

from minigan.device import cupy
from minigan.ops.gpu.launch import THREADS, blocks, capability, contiguous, finish_arguments, launch
from minigan.ops.gpu.pointwise import bias_act
from minigan.ops.switch import chosen_precision

# So many blocks are wanted at least: two for each multiprocessor of an H100.  A constant, so that
# all GPUs add in one order.
ENOUGH = 264
#            file, kernel, gradient's kernel, outputs and pixels of a tile, channels a step, threads
TILES = {
    "tiled": ("conv_tiled", "conv_tiled", "weight_gradient_tiled", 64, 64, 16, 256),
    "wide": ("conv_tiled", "conv_tiled_wide", None, 128, 128, 8, 256),
    "tf32": ("conv_tensor", "conv_tf32", "weight_gradient_tf32", 64, 64, 16, 128),
    "fp16": ("conv_tensor", "conv_f16", "weight_gradient_f16", 64, 64, 32, 128),
}


def algorithm(dtype, C, O, taps, pixels, precision):
    """Which kernel sums a convolution, and which its weights' gradient: a pair of names.

    "naive": a thread an output, where a sum is short or outputs are few, so that a tile of 64
    would be idle.  "tiled" and "wide": tiles of 64² and 128² sums in shared memory.  "tf32",
    "fp16": such tiles on tensor cores, if `ops.precision` allows them.
    """
    if dtype == np.float32 and precision != "fp32" and min(C * taps, O) >= 8:
        return precision, precision
    backward = "naive" if pixels <= 32 else "tiled"
    if C * taps <= 8 or O <= 4:
        return "naive", backward
    wide = dtype == np.float32 and blocks(O, 128) * blocks(pixels, 128) >= ENOUGH and O >= 128
    return "wide" if wide else "tiled", backward


def _choose(x, C, O, taps, pixels):
    chosen = algorithm(x.dtype, C, O, taps, pixels, chosen_precision())
    if "tf32" in chosen and capability() < 80:
        raise RuntimeError(
            "ops.precision('tf32') needs a GPU of compute capability 8.0; 'fp16' runs on this one"
        )
    return chosen


def _largest(a, axis=None):
    """The largest magnitude, as an array: nobody waits for its value."""
    return contiguous(cupy().abs(a).max(axis=axis).reshape(-1))


def _sums(x, w, y, geometry, way, splits, styles, finish):
    """Correlate x with w [groups, KH, KW, C, O], packed, into y; geometry as CONV_PARAMS."""
    N, C, _, _, OH, OW, O, *_ = geometry
    groups, pixels = geometry[-1], N * OH * OW
    end = finish_arguments(finish)
    if way == "naive":
        grid = (blocks(pixels, THREADS), groups * O, 1)
        args = (x, w, styles, y, *geometry, *end)
        launch("conv_naive", "conv_naive", grid, (THREADS, 1, 1), args, x.dtype)
        return
    file, kernel, _, rows, columns, _, threads = TILES[way]
    grid = (blocks(pixels, columns), blocks(O, rows), groups * splits)
    scales = ()
    if file == "conv_tensor":
        scales = (None, None)
        if way == "fp16":
            x_max = _largest(x) if styles is None else _largest(x) * _largest(styles)
            scales = (x_max, _largest(w, (1, 2, 3)))
    args = (x, w, styles, y, splits, *scales, *geometry, *end)
    launch(file, kernel, grid, (threads, 1, 1), args, x.dtype)


def _splits(way, pixels, O, groups, steps):
    """Into how many parts to cut each sum, so that small images and few outputs occupy the GPU."""
    if way == "naive":
        return 1
    _, _, _, rows, columns, each, _ = TILES[way]
    there = max(1, blocks(pixels, columns) * blocks(O, rows) * groups)
    return max(1, min(ENOUGH // there, steps // (8 * each), 65535 // groups))


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
    splits = _splits(way, N * OH * OW, O, groups, inside * KH * KW)
    y = cupy().empty((splits, N, groups * O, OH, OW), x.dtype)
    if y.size:
        packed = contiguous(w.reshape(groups, O, inside, KH, KW).transpose(0, 3, 4, 2, 1))
        geometry = _plain(N, inside, H, W, OH, OW, O, KH, KW, stride, padding, groups)
        fused = finish if splits == 1 else None
        _sums(contiguous(x), packed, y, geometry, way, splits, contiguous(styles), fused)
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
    splits = _splits(way, pixels, O, groups, inside * taps)
    all_reached = KH >= sy and KW >= sx  # else some results are sums of nothing
    make = cupy().empty if all_reached else cupy().zeros
    y = make((splits, N, groups * O, TH, TW), x.dtype)
    if y.size:
        x, styles = contiguous(x), contiguous(styles)
        w = w.reshape(groups, inside, O, KH, KW).transpose(0, 3, 4, 1, 2)
        for ky, top, Y0, OH in rows:
            for kx, left, X0, OW in columns:
                kernel = contiguous(w[:, ky, kx])
                _, kh, kw, _, _ = kernel.shape
                if kh and kw and OH > 0 and OW > 0:
                    into = (TH, TW, top, left, sy, sx, groups)
                    geometry = (N, inside, H, W, OH, OW, O, kh, kw, 1, 1, Y0, X0, *into)
                    _sums(x, kernel, y, geometry, way, splits, styles, None)
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
    x, g, splits = contiguous(x), contiguous(g), 1
    if way != "naive":
        file, _, kernel, tile, _, each, threads = TILES[way]
        there = blocks(inside, tile) * blocks(O, tile) * groups * taps
        splits = max(1, min(ENOUGH // there, pixels // (8 * each)))
    dw = cupy().empty((splits, groups * O, inside, KH, KW), x.dtype)
    if way == "naive":
        grid, args = (blocks(dw.size, THREADS), 1, 1), (x, g, dw, 1, *geometry)
        launch("conv_naive", "weight_gradient_naive", grid, (THREADS, 1, 1), args, x.dtype)
    else:
        scales = (None, None) if way == "tf32" else ()
        scales = (_largest(x), _largest(g)) if way == "fp16" else scales
        grid = (blocks(inside, tile), blocks(O, tile), groups * taps * splits)
        args = (x, g, dw, splits, *scales, *geometry)
        launch(file, kernel, grid, (threads, 1, 1), args, x.dtype)
    return dw.sum(axis=0) if splits > 1 else dw[0]
