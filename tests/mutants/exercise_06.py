"""Wrong (and differently right) solutions of exercise 06."""

import numba
import numpy as np

# ---- upfirdn


def _steps(x, f, up, down, pad, turned=True):
    x0, x1, y0, y1 = pad
    stuffed = np.zeros((x.shape[0] * up, x.shape[1] * up))
    stuffed[::up, ::up] = x
    return _filter(np.pad(stuffed, [(y0, y1), (x0, x1)]), f, down, turned)


def _filter(padded, f, down, turned=True):
    f = f[::-1, ::-1] if turned else f
    rows, columns = padded.shape[0] - f.shape[0] + 1, padded.shape[1] - f.shape[1] + 1
    y = np.zeros((rows, columns))
    for i in range(f.shape[0]):
        for j in range(f.shape[1]):
            y += f[i, j] * padded[i : i + rows, j : j + columns]
    return y[::down, ::down]


def upfirdn__correct_tap_by_tap(x, f, up, down, pad):
    return _steps(x, f, up, down, pad)


def upfirdn__does_not_flip(x, f, up, down, pad):
    return _steps(x, f, up, down, pad, turned=False)


def upfirdn__flips_rows_only(x, f, up, down, pad):
    return _steps(x, f[:, ::-1], up, down, pad)


def upfirdn__no_zeros_after_the_last(x, f, up, down, pad):
    x0, x1, y0, y1 = pad
    stuffed = np.zeros(((x.shape[0] - 1) * up + 1, (x.shape[1] - 1) * up + 1))
    stuffed[::up, ::up] = x
    return _filter(np.pad(stuffed, [(y0, y1), (x0, x1)]), f, down)


def upfirdn__swaps_x_and_y_padding(x, f, up, down, pad):
    return _steps(x, f, up, down, (*pad[2:], *pad[:2]))


def upfirdn__pads_before_upsampling(x, f, up, down, pad):
    x0, x1, y0, y1 = pad
    return _steps(np.pad(x, [(y0, y1), (x0, x1)]), f, up, down, (0, 0, 0, 0))


def upfirdn__repeats_instead_of_zeros(x, f, up, down, pad):
    x0, x1, y0, y1 = pad
    wide = x.repeat(up, axis=0).repeat(up, axis=1)
    return _filter(np.pad(wide, [(y0, y1), (x0, x1)]), f, down)


def upfirdn__decimates_before_filtering(x, f, up, down, pad):
    x0, x1, y0, y1 = pad
    stuffed = np.zeros((x.shape[0] * up, x.shape[1] * up))
    stuffed[::up, ::up] = x
    return _filter(np.pad(stuffed, [(y0, y1), (x0, x1)])[::down, ::down], f, 1)


def upfirdn__keeps_the_odd_ones(x, f, up, down, pad):
    return _steps(x, f, up, 1, pad)[down - 1 :: down, down - 1 :: down]


def upfirdn__adds_the_gain(x, f, up, down, pad):
    return _steps(x, f, up, down, pad) * up**2


def upfirdn__forgets_down_along_columns(x, f, up, down, pad):
    return _steps(x, f, up, 1, pad)[::down]


# ---- upfirdn_gradient


def _spread(g, f, up, down, pad, shape, turned=True):
    x0, x1, y0, y1 = pad
    padded = np.zeros((shape[0] * up + y0 + y1, shape[1] * up + x0 + x1))
    f = f[::-1, ::-1] if turned else f
    for i in range(g.shape[0]):
        for j in range(g.shape[1]):
            padded[i * down : i * down + f.shape[0], j * down : j * down + f.shape[1]] += (
                g[i, j] * f
            )
    return padded


def upfirdn_gradient__correct_by_a_full_convolution(g, f, up, down, pad, shape):
    x0, x1, y0, y1 = pad
    (ty, tx), (H, W) = f.shape, shape
    wide = np.zeros((H * up + y0 + y1 + ty - 1, W * up + x0 + x1 + tx - 1))
    rows = wide[ty - 1 : ty - 1 + g.shape[0] * down : down]
    columns = slice(tx - 1, tx - 1 + g.shape[1] * down, down)
    rows[:, columns] = g
    full = _filter(wide, f, 1, turned=False)
    return full[y0 : y0 + H * up : up, x0 : x0 + W * up : up]


def upfirdn_gradient__forgets_the_flip(g, f, up, down, pad, shape):
    x0, _, y0, _ = pad
    padded = _spread(g, f, up, down, pad, shape, turned=False)
    return padded[y0 : y0 + shape[0] * up : up, x0 : x0 + shape[1] * up : up]


def upfirdn_gradient__does_not_crop(g, f, up, down, pad, shape):
    padded = _spread(g, f, up, down, pad, shape)
    return padded[: shape[0] * up : up, : shape[1] * up : up]


def upfirdn_gradient__swaps_the_padding(g, f, up, down, pad, shape):
    x0, _, y0, _ = pad
    padded = np.pad(_spread(g, f, up, down, pad, shape), 9)
    return padded[9 + x0 :: up, 9 + y0 :: up][: shape[0], : shape[1]]


def upfirdn_gradient__ignores_down(g, f, up, down, pad, shape):
    x0, _, y0, _ = pad
    padded = _spread(g, f, up, 1, pad, shape)
    return padded[y0 : y0 + shape[0] * up : up, x0 : x0 + shape[1] * up : up]


def upfirdn_gradient__averages_over_up(g, f, up, down, pad, shape):
    x0, _, y0, _ = pad
    (H, W), padded = shape, _spread(g, f, up, down, pad, shape)
    inside = padded[y0 : y0 + H * up, x0 : x0 + W * up]
    return inside.reshape(H, up, W, up).mean((1, 3))


def upfirdn_gradient__sums_over_up(g, f, up, down, pad, shape):
    x0, _, y0, _ = pad
    (H, W), padded = shape, _spread(g, f, up, down, pad, shape)
    inside = padded[y0 : y0 + H * up, x0 : x0 + W * up]
    return inside.reshape(H, up, W, up).sum((1, 3))


def upfirdn_gradient__overwrites_where_windows_overlap(g, f, up, down, pad, shape):
    x0, x1, y0, y1 = pad
    padded = np.zeros((shape[0] * up + y0 + y1, shape[1] * up + x0 + x1))
    for i in range(g.shape[0]):
        for j in range(g.shape[1]):
            at = np.s_[i * down : i * down + f.shape[0], j * down : j * down + f.shape[1]]
            padded[at] = g[i, j] * f[::-1, ::-1]
    return padded[y0 : y0 + shape[0] * up : up, x0 : x0 + shape[1] * up : up]


def upfirdn_gradient__returns_zeros(g, f, up, down, pad, shape):
    return np.zeros(shape)


# ---- upfirdn_fast


@numba.njit
def upfirdn_fast__correct_by_scattering(x, f, up, down, pad):
    H, W = x.shape
    ty, tx = f.shape
    x0, x1, y0, y1 = pad
    rows, columns = H * up + y0 + y1 - ty + 1, W * up + x0 + x1 - tx + 1
    y = np.zeros((rows, columns))
    for i in range(H):
        for j in range(W):
            for ky in range(ty):
                for kx in range(tx):
                    r, c = i * up + y0 - (ty - 1 - ky), j * up + x0 - (tx - 1 - kx)
                    if 0 <= r < rows and 0 <= c < columns:
                        y[r, c] += x[i, j] * f[ky, kx]
    return y[::down, ::down].copy()


def upfirdn_fast__not_compiled(x, f, up, down, pad):
    return _steps(x, f, up, down, pad)


@numba.njit
def _loops(x, f, up, down, y0, x0, out_y, out_x, flip, edge):
    H, W = x.shape
    ty, tx = f.shape
    y = np.zeros((out_y, out_x))
    for i in range(out_y):
        for j in range(out_x):
            for ky in range(ty):
                for kx in range(tx):
                    r, c = i * down + ky - y0, j * down + kx - x0
                    if r % up != 0 or c % up != 0:
                        continue
                    r, c = r // up, c // up
                    if edge:
                        r, c = min(max(r, 0), H - 1), min(max(c, 0), W - 1)
                    if 0 <= r < H and 0 <= c < W:
                        tap = f[ty - 1 - ky, tx - 1 - kx] if flip else f[ky, kx]
                        y[i, j] += tap * x[r, c]
    return y


@numba.njit
def upfirdn_fast__does_not_flip(x, f, up, down, pad):
    x0, x1, y0, y1 = pad
    rows = (x.shape[0] * up + y0 + y1 - f.shape[0]) // down + 1
    columns = (x.shape[1] * up + x0 + x1 - f.shape[1]) // down + 1
    return _loops(x, f, up, down, y0, x0, rows, columns, False, False)


@numba.njit
def upfirdn_fast__repeats_the_edge(x, f, up, down, pad):
    x0, x1, y0, y1 = pad
    rows = (x.shape[0] * up + y0 + y1 - f.shape[0]) // down + 1
    columns = (x.shape[1] * up + x0 + x1 - f.shape[1]) // down + 1
    return _loops(x, f, up, down, y0, x0, rows, columns, True, True)


@numba.njit
def upfirdn_fast__swaps_the_padding(x, f, up, down, pad):
    y0, y1, x0, x1 = pad
    rows = (x.shape[0] * up + y0 + y1 - f.shape[0]) // down + 1
    columns = (x.shape[1] * up + x0 + x1 - f.shape[1]) // down + 1
    return _loops(x, f, up, down, y0, x0, rows, columns, True, False)


@numba.njit
def upfirdn_fast__ignores_down_inside(x, f, up, down, pad):
    x0, x1, y0, y1 = pad
    rows = (x.shape[0] * up + y0 + y1 - f.shape[0]) // down + 1
    columns = (x.shape[1] * up + x0 + x1 - f.shape[1]) // down + 1
    return _loops(x, f, up, 1, y0, x0, rows, columns, True, False)


@numba.njit
def upfirdn_fast__loses_the_last_row(x, f, up, down, pad):
    x0, x1, y0, y1 = pad
    rows = (x.shape[0] * up + y0 + y1 - f.shape[0]) // down
    columns = (x.shape[1] * up + x0 + x1 - f.shape[1]) // down + 1
    return _loops(x, f, up, down, y0, x0, rows, columns, True, False)


@numba.njit
def upfirdn_fast__adds_the_padding(x, f, up, down, pad):
    x0, x1, y0, y1 = pad
    rows = (x.shape[0] * up + y0 + y1 - f.shape[0]) // down + 1
    columns = (x.shape[1] * up + x0 + x1 - f.shape[1]) // down + 1
    return _loops(x, f, up, down, -y0, -x0, rows, columns, True, False)


@numba.jit(forceobj=True)
def upfirdn_fast__in_object_mode(x, f, up, down, pad):
    return _steps(x, f, up, down, pad)


class CPUDispatcher:
    """Has the name of what numba.njit makes, and compiles nothing."""

    def __call__(self, x, f, up, down, pad):
        return _steps(x, f, up, down, pad)


upfirdn_fast__of_a_class_with_the_right_name = CPUDispatcher()


@numba.njit
def upfirdn_fast__multiplies_the_zeros(x, f, up, down, pad):
    x0, x1, y0, y1 = pad
    ty, tx = f.shape
    stuffed = np.zeros((x.shape[0] * up + y0 + y1, x.shape[1] * up + x0 + x1))
    stuffed[y0 : y0 + x.shape[0] * up : up, x0 : x0 + x.shape[1] * up : up] = x
    y = np.zeros(((stuffed.shape[0] - ty) // down + 1, (stuffed.shape[1] - tx) // down + 1))
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            for ky in range(ty):
                for kx in range(tx):
                    y[i, j] += f[ty - 1 - ky, tx - 1 - kx] * stuffed[i * down + ky, j * down + kx]
    return y


def upfirdn_fast__correct_around_a_kernel(x, f, up, down, pad):
    x0, x1, y0, y1 = pad
    rows = (x.shape[0] * up + y0 + y1 - f.shape[0]) // down + 1
    columns = (x.shape[1] * up + x0 + x1 - f.shape[1]) // down + 1
    return _loops(x, f, up, down, y0, x0, rows, columns, True, False)


# ---- lowpass


def _design(cutoff, width, attenuation, fs):
    n = int(np.ceil((attenuation - 7.95) / (2.285 * np.pi * width / (fs / 2)))) + 1
    a = attenuation
    beta = 0.1102 * (a - 8.7) if a > 50 else 0.5842 * (a - 21) ** 0.4 + 0.07886 * (a - 21)
    t = (np.arange(n) - (n - 1) / 2) / fs
    return n, beta, t


def lowpass__correct_with_the_sine_written_out(cutoff, width, attenuation, fs):
    n, beta, t = _design(cutoff, width, attenuation, fs)
    safe = np.where(t == 0, 1, t)
    taps = np.where(t == 0, 2 * cutoff, np.sin(2 * np.pi * cutoff * safe) / (np.pi * safe))
    taps = taps * np.kaiser(n, beta)
    return taps / taps.sum()


def lowpass__forgets_the_window(cutoff, width, attenuation, fs):
    _, _, t = _design(cutoff, width, attenuation, fs)
    taps = np.sinc(2 * cutoff * t)
    return taps / taps.sum()


def lowpass__forgets_the_sum(cutoff, width, attenuation, fs):
    n, beta, t = _design(cutoff, width, attenuation, fs)
    return np.sinc(2 * cutoff * t) * np.kaiser(n, beta)


def lowpass__forgets_the_two(cutoff, width, attenuation, fs):
    n, beta, t = _design(cutoff, width, attenuation, fs)
    taps = np.sinc(cutoff * t) * np.kaiser(n, beta)
    return taps / taps.sum()


def lowpass__counts_time_in_samples(cutoff, width, attenuation, fs):
    n, beta, t = _design(cutoff, width, attenuation, fs)
    taps = np.sinc(2 * cutoff * t * fs) * np.kaiser(n, beta)
    return taps / taps.sum()


def lowpass__takes_width_as_a_fraction_of_fs(cutoff, width, attenuation, fs):
    n, beta, _ = _design(cutoff, width / 2, attenuation, fs)
    t = (np.arange(n) - (n - 1) / 2) / fs
    taps = np.sinc(2 * cutoff * t) * np.kaiser(n, beta)
    return taps / taps.sum()


def lowpass__not_centred(cutoff, width, attenuation, fs):
    n, beta, t = _design(cutoff, width, attenuation, fs)
    taps = np.sinc(2 * cutoff * (t - t[0])) * np.kaiser(n, beta)
    return taps / taps.sum()


def lowpass__only_one_formula_for_beta(cutoff, width, attenuation, fs):
    n, _, t = _design(cutoff, width, attenuation, fs)
    taps = np.sinc(2 * cutoff * t) * np.kaiser(n, 0.1102 * max(0, attenuation - 30))
    return taps / taps.sum()


def lowpass__always_long_enough(cutoff, width, attenuation, fs):
    t = (np.arange(513) - 256) / fs
    taps = np.sinc(2 * cutoff * t) * np.kaiser(513, 8)
    return taps / taps.sum()


def lowpass__a_binomial(cutoff, width, attenuation, fs):
    taps = np.ones(1)
    for _ in range(23):
        taps = np.convolve(taps, [0.5, 0.5])
    return taps
