"""Wrong (and differently right) solutions of exercise 10."""

import math

import numpy as np
import scipy.signal

from minigan.ops import upfirdn2d

# ---- lowpass


def _attenuation(n, width, fs):
    return 2.285 * (n - 1) * math.pi * width / (fs / 2) + 7.95


def _beta(a):
    if a > 50:
        return 0.1102 * (a - 8.7)
    return 0.5842 * (a - 21) ** 0.4 + 0.07886 * (a - 21) if a > 21 else 0.0


def _times(n, fs):
    return (np.arange(n) - (n - 1) / 2) / fs


def _sinc(n, cutoff, fs):
    return np.sinc(2 * cutoff * _times(n, fs))


def _windowed(n, cutoff, fs, beta):
    f = _sinc(n, cutoff, fs) * np.kaiser(n, beta)
    return f / f.sum()


def lowpass__correct_by_scipy(n, cutoff, width, fs):
    beta = _beta(_attenuation(n, width, fs))
    return scipy.signal.firwin(n, cutoff, window=("kaiser", beta), fs=fs)


def lowpass__no_window(n, cutoff, width, fs):
    f = _sinc(n, cutoff, fs)
    return f / f.sum()


def lowpass__not_normalised(n, cutoff, width, fs):
    return _sinc(n, cutoff, fs) * np.kaiser(n, _beta(_attenuation(n, width, fs)))


def lowpass__half_a_tap_off(n, cutoff, width, fs):
    f = np.sinc(2 * cutoff * (np.arange(n) - n // 2) / fs)
    f = f * np.kaiser(n, _beta(_attenuation(n, width, fs)))
    return f / f.sum()


def lowpass__cutoff_not_doubled(n, cutoff, width, fs):
    return _windowed(n, cutoff / 2, fs, _beta(_attenuation(n, width, fs)))


def lowpass__cutoff_doubled(n, cutoff, width, fs):
    return _windowed(n, 2 * cutoff, fs, _beta(_attenuation(n, width, fs)))


def lowpass__pi_twice(n, cutoff, width, fs):
    return _windowed(n, math.pi * cutoff, fs, _beta(_attenuation(n, width, fs)))


def lowpass__width_as_a_share_of_the_whole_rate(n, cutoff, width, fs):
    return _windowed(n, cutoff, fs, _beta(_attenuation(n, width / 2, fs)))


def lowpass__n_instead_of_n_minus_1(n, cutoff, width, fs):
    return _windowed(n, cutoff, fs, _beta(_attenuation(n + 1, width, fs)))


def lowpass__always_the_first_formula(n, cutoff, width, fs):
    return _windowed(n, cutoff, fs, max(0.0, 0.1102 * (_attenuation(n, width, fs) - 8.7)))


def lowpass__always_the_middle_formula(n, cutoff, width, fs):
    a = max(21.0, _attenuation(n, width, fs))
    return _windowed(n, cutoff, fs, 0.5842 * (a - 21) ** 0.4 + 0.07886 * (a - 21))


def lowpass__attenuation_as_beta(n, cutoff, width, fs):
    return _windowed(n, cutoff, fs, _attenuation(n, width, fs) / 10)


def lowpass__ignores_the_rate(n, cutoff, width, fs):
    return _windowed(n, cutoff / fs, 1.0, _beta(_attenuation(n, width, 2.0)))


# ---- bands


def _bands(N, N_crit, R, end=2**0.3, ceil=np.ceil, factor=2):
    e = np.minimum(np.arange(N + 1) / (N - N_crit), 1)
    f_c = 2 * (R / 4) ** e
    f_t = 2**2.1 * (R / 2 * end / 2**2.1) ** e
    s = 2 ** ceil(np.log2(np.minimum(factor * f_t, R)))
    return f_c, f_t, s, np.maximum(f_t, s / 2) - f_c


def bands__correct_in_a_loop(N, N_crit, R):
    rows = []
    for i in range(N + 1):
        e = min(i / (N - N_crit), 1.0)
        f_c = 2 ** (1 - e) * (R / 2) ** e
        f_t = (2**2.1) ** (1 - e) * (R / 2 * 2**0.3) ** e
        s = 1
        while s < min(2 * f_t, R):
            s *= 2
        rows.append([f_c, f_t, float(s), max(f_t, s / 2) - f_c])
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def bands__no_critical_layers(N, N_crit, R):
    return _bands(N, 0, R)


def bands__exponent_goes_on(N, N_crit, R):
    e = np.arange(N + 1) / (N - N_crit)
    f_c, f_t = 2 * (R / 4) ** e, 2**2.1 * (R / 2 * 2**0.3 / 2**2.1) ** e
    s = 2 ** np.ceil(np.log2(np.minimum(2 * f_t, R)))
    return f_c, f_t, s, np.maximum(f_t, s / 2) - f_c


def bands__linear_instead_of_geometric(N, N_crit, R):
    e = np.minimum(np.arange(N + 1) / (N - N_crit), 1)
    f_c, f_t = 2 + e * (R / 2 - 2), 2**2.1 + e * (R / 2 * 2**0.3 - 2**2.1)
    s = 2 ** np.ceil(np.log2(np.minimum(2 * f_t, R)))
    return f_c, f_t, s, np.maximum(f_t, s / 2) - f_c


def bands__ends_at_the_resolution(N, N_crit, R):
    f_c, f_t, s, _ = _bands(N, N_crit, 2 * R)
    s = np.minimum(s, R)
    return f_c, f_t, s, np.maximum(f_t, s / 2) - f_c


def bands__stopband_ends_at_half_the_resolution(N, N_crit, R):
    return _bands(N, N_crit, R, end=1.0)


def bands__rate_rounded(N, N_crit, R):
    return _bands(N, N_crit, R, ceil=np.round)


def bands__rate_rounded_down(N, N_crit, R):
    return _bands(N, N_crit, R, ceil=np.floor)


def bands__rate_holds_the_stopband_once(N, N_crit, R):
    return _bands(N, N_crit, R, factor=1)


def bands__rate_not_limited(N, N_crit, R):
    f_c, f_t, _, _ = _bands(N, N_crit, R)
    s = 2 ** np.ceil(np.log2(2 * f_t))
    return f_c, f_t, s, np.maximum(f_t, s / 2) - f_c


def bands__rate_from_the_cutoff(N, N_crit, R):
    f_c, f_t, _, _ = _bands(N, N_crit, R)
    s = 2 ** np.ceil(np.log2(np.minimum(2 * f_c, R)))
    return f_c, f_t, s, np.maximum(f_t, s / 2) - f_c


def bands__half_width_to_the_stopband_only(N, N_crit, R):
    f_c, f_t, s, _ = _bands(N, N_crit, R)
    return f_c, f_t, s, f_t - f_c


def bands__half_width_to_half_the_rate_only(N, N_crit, R):
    f_c, f_t, s, _ = _bands(N, N_crit, R)
    return f_c, f_t, s, s / 2 - f_c


def bands__half_width_to_the_whole_rate(N, N_crit, R):
    f_c, f_t, s, _ = _bands(N, N_crit, R)
    return f_c, f_t, s, np.maximum(f_t, s) - f_c


def bands__without_the_last_layer(N, N_crit, R):
    return tuple(values[:-1] for values in _bands(N, N_crit, R))


def bands__correct_as_a_list(N, N_crit, R):
    return list(bands__correct_in_a_loop(N, N_crit, R))


def bands__three_of_four(N, N_crit, R):
    return bands__correct_in_a_loop(N, N_crit, R)[:3]


# ---- filtered_lrelu


def _bent(y, clamp, slope=0.2, gain=2**0.5):
    return np.clip(np.where(y < 0, slope * y, y) * gain, -clamp, clamp)


def _up(x, b, fu, up, padding, gain):
    return upfirdn2d(x + b[:, None, None], fu, up=up, padding=padding, gain=gain)


def filtered_lrelu__correct_in_other_words(x, b, fu, fd, up, down, padding, clamp):
    y = np.maximum(*(k * _up(x, b, fu, up, padding, up * up) for k in (1.0, 0.2)))
    y = np.maximum(np.minimum(y, clamp / math.sqrt(2)), -clamp / math.sqrt(2))
    return upfirdn2d(y, fd, down=down, gain=math.sqrt(2))


def filtered_lrelu__gain_up_instead_of_its_square(x, b, fu, fd, up, down, padding, clamp):
    return upfirdn2d(_bent(_up(x, b, fu, up, padding, up), clamp), fd, down=down)


def filtered_lrelu__no_gain_of_the_upsampling(x, b, fu, fd, up, down, padding, clamp):
    return upfirdn2d(_bent(_up(x, b, fu, up, padding, 1), clamp), fd, down=down)


def filtered_lrelu__gain_of_the_downsampling_too(x, b, fu, fd, up, down, padding, clamp):
    y = _bent(_up(x, b, fu, up, padding, up**2), clamp)
    return upfirdn2d(y, fd, down=down, gain=down**2)


def filtered_lrelu__bends_before_the_filters(x, b, fu, fd, up, down, padding, clamp):
    y = upfirdn2d(_bent(x + b[:, None, None], clamp), fu, up=up, padding=padding, gain=up**2)
    return upfirdn2d(y, fd, down=down)


def filtered_lrelu__bends_after_the_filters(x, b, fu, fd, up, down, padding, clamp):
    y = upfirdn2d(_up(x, b, fu, up, padding, up**2), fd, down=down)
    return _bent(y, clamp)


def filtered_lrelu__bias_after_the_upsampling(x, b, fu, fd, up, down, padding, clamp):
    y = upfirdn2d(x, fu, up=up, padding=padding, gain=up**2) + b[:, None, None]
    return upfirdn2d(_bent(y, clamp), fd, down=down)


def filtered_lrelu__no_bias(x, b, fu, fd, up, down, padding, clamp):
    return upfirdn2d(_bent(_up(x, 0 * b, fu, up, padding, up**2), clamp), fd, down=down)


def filtered_lrelu__relu(x, b, fu, fd, up, down, padding, clamp):
    return upfirdn2d(_bent(_up(x, b, fu, up, padding, up**2), clamp, 0.0), fd, down=down)


def filtered_lrelu__slope_of_a_hundredth(x, b, fu, fd, up, down, padding, clamp):
    return upfirdn2d(_bent(_up(x, b, fu, up, padding, up**2), clamp, 0.01), fd, down=down)


def filtered_lrelu__without_the_root_of_two(x, b, fu, fd, up, down, padding, clamp):
    return upfirdn2d(_bent(_up(x, b, fu, up, padding, up**2), clamp, gain=1.0), fd, down=down)


def filtered_lrelu__no_clamp(x, b, fu, fd, up, down, padding, clamp):
    return upfirdn2d(_bent(_up(x, b, fu, up, padding, up**2), np.inf), fd, down=down)


def filtered_lrelu__clamp_before_the_gain(x, b, fu, fd, up, down, padding, clamp):
    y = _bent(_up(x, b, fu, up, padding, up**2), clamp, gain=1.0) * math.sqrt(2)
    return upfirdn2d(y, fd, down=down)


def filtered_lrelu__clamp_at_the_end(x, b, fu, fd, up, down, padding, clamp):
    y = upfirdn2d(_bent(_up(x, b, fu, up, padding, up**2), np.inf), fd, down=down)
    return np.clip(y, -clamp, clamp)


def filtered_lrelu__clamp_only_above(x, b, fu, fd, up, down, padding, clamp):
    y = np.minimum(_bent(_up(x, b, fu, up, padding, up**2), np.inf), clamp)
    return upfirdn2d(y, fd, down=down)


def filtered_lrelu__padding_at_the_downsampling(x, b, fu, fd, up, down, padding, clamp):
    y = _bent(_up(x, b, fu, up, [0, len(fu) - 1] * 2, up**2), clamp)
    return upfirdn2d(y, fd, down=down, padding=padding)


def filtered_lrelu__filters_exchanged(x, b, fu, fd, up, down, padding, clamp):
    return upfirdn2d(_bent(_up(x, b, fd, up, padding, up**2), clamp), fu, down=down)


# ---- eq_t


def _parts(before, after, dx, dy):
    h, w = before.shape[2:]
    to = after[:, :, max(dy, 0) : h + min(dy, 0), max(dx, 0) : w + min(dx, 0)]
    origin = before[:, :, max(-dy, 0) : h - max(dy, 0), max(-dx, 0) : w - max(dx, 0)]
    return to, origin


def _squares(draw, shifts):
    before = draw(0, 0)
    found = []
    for dx, dy in shifts:
        to, origin = _parts(before, draw(dx, dy), dx, dy)
        found.append((to - origin) ** 2)
    return found


def _decibels(mse, top=4.0):
    return 10 * math.log10(top / mse) if mse else math.inf


def _mean(squares):
    return sum(s.sum() for s in squares) / sum(s.size for s in squares)


def eq_t__correct_with_a_mask(draw, shifts):
    before = draw(0, 0)
    h, w = before.shape[2:]
    errors = []
    for dx, dy in shifts:
        y, x = np.meshgrid(np.arange(h) - dy, np.arange(w) - dx, indexing="ij")
        known = (y >= 0) & (y < h) & (x >= 0) & (x < w)
        moved = before[:, :, y % h, x % w]
        errors.append(((draw(dx, dy) - moved) ** 2)[:, :, known].ravel())
    return _decibels(np.concatenate(errors).mean())


def eq_t__mean_of_means(draw, shifts):
    return _decibels(float(np.mean([s.mean() for s in _squares(draw, shifts)])))


def eq_t__mean_of_decibels(draw, shifts):
    return float(np.mean([_decibels(s.mean()) for s in _squares(draw, shifts)]))


def eq_t__wraps_around(draw, shifts):
    before = draw(0, 0)
    moved = [(draw(dx, dy) - np.roll(before, (dy, dx), (2, 3))) ** 2 for dx, dy in shifts]
    return _decibels(_mean(moved))


def eq_t__counts_the_unknown_as_zero(draw, shifts):
    before, squares = draw(0, 0), []
    for dx, dy in shifts:
        after = draw(dx, dy)
        moved = np.zeros_like(after)
        to, origin = _parts(before, moved, dx, dy)
        to[...] = origin
        squares.append((after - moved) ** 2)
    return _decibels(_mean(squares))


def eq_t__divides_by_all_pixels(draw, shifts):
    size = draw(0, 0).size
    return _decibels(sum(s.sum() for s in _squares(draw, shifts)) / (size * len(shifts)))


def eq_t__the_other_way(draw, shifts):
    return eq_t__correct_with_a_mask(lambda dx, dy: draw(-dx, -dy), shifts)


def eq_t__x_and_y_exchanged(draw, shifts):
    before, squares = draw(0, 0), []
    for dx, dy in shifts:
        to, origin = _parts(before, draw(dx, dy), dy, dx)
        squares.append((to - origin) ** 2)
    return _decibels(_mean(squares)) if sum(s.size for s in squares) else math.inf


def eq_t__does_not_move_the_picture(draw, shifts):
    before = draw(0, 0)
    return _decibels(_mean([(draw(dx, dy) - before) ** 2 for dx, dy in shifts]))


def eq_t__range_of_1(draw, shifts):
    return _decibels(_mean(_squares(draw, shifts)), 1.0)


def eq_t__range_of_255(draw, shifts):
    return _decibels(_mean(_squares(draw, shifts)), 255.0**2)


def eq_t__range_not_squared(draw, shifts):
    return _decibels(_mean(_squares(draw, shifts)), 2.0)


def eq_t__natural_logarithm(draw, shifts):
    mse = _mean(_squares(draw, shifts))
    return 10 * math.log(4 / mse) if mse else math.inf


def eq_t__twenty_times(draw, shifts):
    return 2 * _decibels(_mean(_squares(draw, shifts)))


def eq_t__absolute_differences(draw, shifts):
    return _decibels(_mean([np.sqrt(s) for s in _squares(draw, shifts)]))


def eq_t__the_sign_turned(draw, shifts):
    return -_decibels(_mean(_squares(draw, shifts)))


def eq_t__last_shift_only(draw, shifts):
    return _decibels(_mean(_squares(draw, shifts)[-1:]))


def eq_t__one_channel_only(draw, shifts):
    return _decibels(_mean([s[:, :1] for s in _squares(draw, shifts)]))


def eq_t__no_special_case(draw, shifts):
    return 10 * math.log10(4 / max(_mean(_squares(draw, shifts)), 1e-12))
