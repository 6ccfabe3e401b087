"""Filter design against SciPy and the reference vectors."""

import math

import numpy as np
import pytest
import scipy.signal

from minigan import filters
from tests.test_ops_golden import Vectors, cases, close


def same(got, expected):
    assert got.dtype == np.float64 and got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=0, atol=40 * np.finfo(np.float64).eps)


@pytest.mark.parametrize("taps, cutoff, width, fs", [(12, 4, 4, 32), (24, 11.3, 9.4, 128), (6, 8, 16, 64)])  # fmt: skip
def test_lowpass_is_scipys(taps, cutoff, width, fs):
    """firwin's own Kaiser design, with our width."""
    expected = scipy.signal.firwin(taps, cutoff, width=width, fs=fs)
    same(filters.design_lowpass_filter(taps, cutoff, width, fs), expected)


def test_radial_filter_is_round(rng):
    """Its response at one frequency is the same in all directions; that of a separable one is not."""
    radial = filters.design_lowpass_filter(13, 4, 4, 32, radial=True)
    line = filters.design_lowpass_filter(13, 4, 4, 32)
    t = (np.arange(13) - 6) / 32

    def spread(f):
        response = []
        for angle in np.linspace(0, math.pi, 9):
            x, y = 5 * np.cos(angle) * t, 5 * np.sin(angle) * t[:, None]
            response.append(np.abs(np.sum(f * np.exp(-2j * math.pi * (x + y)))))
        return max(response) - min(response)

    assert spread(radial) < 0.05 < 2 * 0.05 < spread(np.outer(line, line))
    assert filters.design_lowpass_filter(1, 4, 4, 32) is None


def test_binomial():
    assert filters.binomial(4).tolist() == [1 / 8, 3 / 8, 3 / 8, 1 / 8]
    assert filters.binomial(1).tolist() == [1]


@pytest.mark.parametrize("name, case", cases("setup_filter"))
def test_setup_filter(golden, name, case):
    close(filters.setup_filter(**case["args"]), Vectors(golden, name, case)["out"], np.float64)


@pytest.mark.parametrize("name, case", cases("design_lowpass_filter"))
def test_design_lowpass_filter(golden, name, case):
    expected = Vectors(golden, name, case)["f"]
    close(filters.design_lowpass_filter(**case["args"]), expected, np.float64)
