"""Low-pass filters: what stands between two sampling rates.

Binomial ones blur cheaply (StyleGAN 1 and 2); windowed sinc ones cut where they are told to
(StyleGAN3, App. C.1).  All are float64; official networks hold them rounded to float32.
"""

import math
import numbers

import numpy as np
from scipy.special import j1

from minigan import check


def binomial(taps):
    """[taps], sum 1: [1, 1] convolved with itself, again and again; 4 taps: [1, 3, 3, 1]/8."""
    check.within("binomial", "taps", taps, 1, 4096, whole=True)
    return np.array([math.comb(taps - 1, k) for k in range(taps)]) / 2.0 ** (taps - 1)


def setup_filter(f, normalize=True, flip_filter=False, gain=1, separable=None):
    """The filter that `ops.upfirdn2d` takes, from numbers: [taps] or [ty, tx].

    f: a number, a sequence [taps], an array [ty, tx], or None for the identity.  Divided by its sum
    if `normalize`, then flipped if asked, then times `gain` (its root per axis).  A 1-D filter
    stays 1-D if `separable`, by default from 8 taps on; shorter ones become their outer product.
    Raises: ValueError for NaN, no taps, a sum of 0 to normalise by, or a 2-D f with separable=True.
    """
    if f is not None and not isinstance(f, (numbers.Real, np.ndarray, list, tuple)):
        raise TypeError(f"setup_filter: f is a {type(f).__name__}; expected numbers or None")
    f = np.atleast_1d(np.asarray(1 if f is None else f, dtype=np.float64))
    if f.ndim > 2 or f.size == 0:
        raise ValueError(f"setup_filter: f has shape {f.shape}; expected [taps] or [ty, tx]")
    if not np.isfinite(f).all() or not math.isfinite(gain):
        raise ValueError(f"setup_filter: f is {f.tolist()}, gain {gain}; expected finite numbers")
    if f.ndim == 2 and separable:
        raise ValueError(f"setup_filter: f has shape {f.shape}; expected [taps] to be separable")
    if separable is None:
        separable = f.ndim == 1 and f.size >= 8
    if f.ndim == 1 and not separable:
        f = np.outer(f, f)
    if normalize:
        if f.sum() == 0:
            raise ValueError("setup_filter: f sums to 0; expected another sum, or normalize=False")
        f = f / f.sum()
    if flip_filter:
        f = np.flip(f)
    if gain < 0 and f.ndim == 1:
        raise ValueError(f"setup_filter: gain is {gain}; expected ≥ 0 for a separable filter")
    return f * gain ** (f.ndim / 2)


def design_lowpass_filter(numtaps, cutoff, width, fs, radial=False):
    """A sinc, or in 2-D a jinc, under a Kaiser window (StyleGAN3, App. C.1).

    cutoff: the frequency at half the amplitude; width: of the transition from pass to stop band;
    fs: the sampling rate; all in one unit, 0 < cutoff < fs/2.  The longer, the steeper: numtaps and
    width together decide how well the stop band is stopped.
    Returns [numtaps], or if `radial` (equal in all directions, not separable) [numtaps, numtaps],
    of sum 1; or None, the identity, for one tap.
    Raises: TypeError, ValueError for other values.
    """
    who = "design_lowpass_filter"
    check.within(who, "numtaps", numtaps, 1, 4096, whole=True)
    for name, value in (("cutoff", cutoff), ("width", width), ("fs", fs)):
        if not isinstance(value, numbers.Real) or not 0 < value < math.inf:
            raise ValueError(f"{who}: {name} is {value!r}; expected a positive number")
    if numtaps == 1:  # the identity, which cuts nothing
        return None
    if cutoff >= fs / 2:
        raise ValueError(f"{who}: cutoff is {cutoff}; expected less than fs/2, {fs / 2}")
    window = np.kaiser(numtaps, _beta(numtaps, width / (fs / 2)))
    t = (np.arange(numtaps) - (numtaps - 1) / 2) / fs
    if radial:
        r = np.hypot(t, t[:, None])
        safe = np.where(r == 0, 1, r)
        # The transform of a disc of radius `cutoff`, over `cutoff`; its limit at r = 0 is `cutoff`.
        f = np.where(r == 0, cutoff, j1(2 * math.pi * cutoff * safe) / (math.pi * safe))
        f = f * np.outer(window, window)
    else:
        f = np.sinc(2 * cutoff * t) * window
    return f / f.sum()


def _beta(numtaps, width):
    """Kaiser's window parameter; width as a fraction of half the sampling rate (Kaiser 1974)."""
    attenuation = 2.285 * (numtaps - 1) * math.pi * width + 7.95  # of the stop band, in dB
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return 0.0
