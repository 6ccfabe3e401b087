"""Wrong (and differently right) solutions of exercise 13."""

import numpy as np
import scipy.linalg

# ---- frechet_distance


def _moments(a, b, ddof=0):
    return a.mean(axis=0), np.cov(a.T, ddof=ddof), b.mean(axis=0), np.cov(b.T, ddof=ddof)


def _trace_of_root(s, t):
    return np.sum(np.sqrt(np.maximum(np.linalg.eigvals(s @ t).real, 0)))


def frechet_distance__correct_by_eigenvalues(a, b):
    m, s, k, t = _moments(a, b)
    return np.sum((m - k) ** 2) + np.trace(s) + np.trace(t) - 2 * _trace_of_root(s, t)


def frechet_distance__means_only(a, b):
    return np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2)


def frechet_distance__variances_only(a, b):
    return np.sum((a.mean(0) - b.mean(0)) ** 2) + np.sum((a.std(0) - b.std(0)) ** 2)


def frechet_distance__root_of_each_number(a, b):
    m, s, k, t = _moments(a, b)
    return np.sum((m - k) ** 2) + np.trace(s + t - 2 * np.sqrt(np.abs(s @ t)))


def frechet_distance__no_root(a, b):
    m, s, k, t = _moments(a, b)
    return np.sum((m - k) ** 2) + np.trace(s + t - 2 * s @ t)


def frechet_distance__without_the_two(a, b):
    m, s, k, t = _moments(a, b)
    return np.sum((m - k) ** 2) + np.trace(s + t) - _trace_of_root(s, t)


def frechet_distance__covariance_by_n_minus_one(a, b):
    m, s, k, t = _moments(a, b, 1)
    return np.sum((m - k) ** 2) + np.trace(s + t) - 2 * _trace_of_root(s, t)


def frechet_distance__length_not_squared(a, b):
    m, s, k, t = _moments(a, b)
    return np.linalg.norm(m - k) + np.trace(s + t) - 2 * _trace_of_root(s, t)


def frechet_distance__product_of_the_roots(a, b):
    m, s, k, t = _moments(a, b)
    roots = scipy.linalg.sqrtm(s).real @ scipy.linalg.sqrtm(t).real
    return np.sum((m - k) ** 2) + np.trace(s + t) - 2 * np.sum(np.abs(np.diag(roots))) * 1.001


def frechet_distance__root_of_the_whole(a, b):
    return np.sqrt(np.maximum(frechet_distance__correct_by_eigenvalues(a, b), 0))


def frechet_distance__correct_by_singular_values(a, b):
    x, y = (a - a.mean(axis=0)) / len(a) ** 0.5, (b - b.mean(axis=0)) / len(b) ** 0.5
    cross = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    means = np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2)
    return means + np.sum(x**2) + np.sum(y**2) - 2 * cross


def frechet_distance__complex(a, b):
    m, s, k, t = _moments(a, b)
    return np.sum((m - k) ** 2) + np.trace(s + t - 2 * scipy.linalg.sqrtm(s @ t)) + 0j


def frechet_distance__something_on_the_diagonals(a, b):
    m, s, k, t = _moments(a, b)
    s, t = s + 1e-6 * np.eye(len(s)), t + 1e-6 * np.eye(len(t))
    return np.sum((m - k) ** 2) + np.trace(s + t) - 2 * _trace_of_root(s, t)


# ---- precision_recall


def _distances(a, b):
    return np.linalg.norm(a[:, None] - b, axis=2)


def _covered(points, others, k, radii_of=None):
    own = others if radii_of is None else radii_of
    radius = np.sort(_distances(own, own), axis=1)[:, k]
    return np.mean(np.any(_distances(points, others) <= radius, axis=1))


def precision_recall__correct_with_squares(real, fake, k=3):
    def covered(points, others):
        own = ((others[:, None] - others) ** 2).sum(axis=2)
        np.fill_diagonal(own, np.inf)
        radius = np.partition(own, k - 1, axis=1)[:, k - 1]
        return np.mean((((points[:, None] - others) ** 2).sum(axis=2) <= radius).any(axis=1))

    return covered(fake, real), covered(real, fake)


def precision_recall__swapped(real, fake, k=3):
    return _covered(real, fake, k), _covered(fake, real, k)


def precision_recall__its_own_neighbour(real, fake, k=3):
    return _covered(fake, real, k - 1), _covered(real, fake, k - 1)


def precision_recall__one_neighbour_too_far(real, fake, k=3):
    last = min(len(real), len(fake)) - 1
    return _covered(fake, real, min(k + 1, last)), _covered(real, fake, min(k + 1, last))


def precision_recall__balls_of_the_points_themselves(real, fake, k=3):
    def covered(points, others):
        radius = np.sort(_distances(points, points), axis=1)[:, k]
        return np.mean(np.any(_distances(points, others) <= radius[:, None], axis=1))

    return covered(fake, real), covered(real, fake)


def precision_recall__squares_against_distances(real, fake, k=3):
    def covered(points, others):
        radius = np.sort(_distances(others, others), axis=1)[:, k]
        return np.mean(np.any(_distances(points, others) ** 2 <= radius, axis=1))

    return covered(fake, real), covered(real, fake)


def precision_recall__one_radius_for_all(real, fake, k=3):
    def covered(points, others):
        radius = np.sort(_distances(others, others), axis=1)[:, k].max()
        return np.mean(np.any(_distances(points, others) <= radius, axis=1))

    return covered(fake, real), covered(real, fake)


def precision_recall__precision_twice(real, fake, k=3):
    precision = _covered(fake, real, k)
    return precision, precision


def precision_recall__share_of_pairs(real, fake, k=3):
    def covered(points, others):
        radius = np.sort(_distances(others, others), axis=1)[:, k]
        return np.mean(_distances(points, others) <= radius)

    return covered(fake, real), covered(real, fake)


def precision_recall__precision_only(real, fake, k=3):
    return _covered(fake, real, k)


def precision_recall__always_three_neighbours(real, fake, k=3):
    last = min(len(real), len(fake)) - 1
    return _covered(fake, real, min(3, last)), _covered(real, fake, min(3, last))


# ---- with_floor


def with_floor__correct_by_choice(distance, real, fake, n, rng):
    picked = rng.choice(len(real), 2 * n, replace=False)
    fakes = fake[rng.choice(len(fake), n, replace=False)]
    reference = real[picked[n:]]
    return distance(reference, fakes), distance(reference, real[picked[:n]])


def with_floor__all_the_reals(distance, real, fake, n, rng):
    order = rng.permutation(len(real))
    return distance(fake[:n], real), distance(real[order[:n]], real[order[n:]])


def with_floor__overlapping_samples(distance, real, fake, n, rng):
    a, b = (real[rng.permutation(len(real))[:n]] for _ in range(2))
    return distance(fake[rng.permutation(len(fake))[:n]], a), distance(b, a)


def with_floor__in_the_order_of_the_file(distance, real, fake, n, rng):
    fakes = fake[rng.permutation(len(fake))[:n]]
    return distance(fakes, real[:n]), distance(real[n : 2 * n], real[:n])


def with_floor__first_fakes(distance, real, fake, n, rng):
    order = rng.permutation(len(real))
    a, b = real[order[:n]], real[order[n : 2 * n]]
    return distance(fake[:n], a), distance(b, a)


def with_floor__floor_of_the_fakes(distance, real, fake, n, rng):
    order, chosen = rng.permutation(len(real)), rng.permutation(len(fake))
    a = real[order[:n]]
    return distance(fake[chosen[:n]], a), distance(fake[chosen[n : 2 * n]], fake[chosen[:n]])


def with_floor__another_reference(distance, real, fake, n, rng):
    chosen = fake[rng.permutation(len(fake))[:n]]
    order = rng.permutation(len(real))
    first = real[order[:n]]
    return distance(chosen, first), distance(real[order[n : 2 * n]], real[order[2 * n : 3 * n]])


def with_floor__floor_first(distance, real, fake, n, rng):
    d, floor = with_floor__correct_by_choice(distance, real, fake, n, rng)
    return floor, d


def with_floor__reference_to_itself(distance, real, fake, n, rng):
    order = rng.permutation(len(real))
    a = real[order[:n]]
    return distance(fake[rng.permutation(len(fake))[:n]], a), distance(a, a)


def with_floor__only_the_distance(distance, real, fake, n, rng):
    order = rng.permutation(len(real))
    d = distance(fake[rng.permutation(len(fake))[:n]], real[order[:n]])
    return d, 0.0


def with_floor__fakes_with_replacement(distance, real, fake, n, rng):
    order = rng.permutation(len(real))
    reference, other = real[order[:n]], real[order[n : 2 * n]]
    chosen = fake[rng.integers(0, len(fake), n)]
    return distance(chosen, reference), distance(other, reference)


def with_floor__reals_with_replacement(distance, real, fake, n, rng):
    order = rng.permutation(len(real))
    half, rest = order[: len(real) // 2], order[len(real) // 2 :]
    reference, other = real[rng.choice(half, n)], real[rng.choice(rest, n)]
    chosen = fake[rng.permutation(len(fake))[:n]]
    return distance(chosen, reference), distance(other, reference)


def with_floor__twenty_always(distance, real, fake, n, rng):
    return with_floor__correct_by_choice(distance, real, fake, 20, rng)


def with_floor__numpys_own_generator(distance, real, fake, n, rng):
    order = np.random.permutation(len(real))  # noqa: NPY002
    reference, other = real[order[:n]], real[order[n : 2 * n]]
    chosen = fake[np.random.permutation(len(fake))[:n]]  # noqa: NPY002
    return distance(chosen, reference), distance(other, reference)


def with_floor__a_seed_of_its_own(distance, real, fake, n, rng):
    return with_floor__correct_by_choice(distance, real, fake, n, np.random.default_rng(0))


def with_floor__fakes_of_the_first_half(distance, real, fake, n, rng):
    order, half = rng.permutation(len(real)), len(fake) // 2
    chosen = fake[rng.permutation(max(n, half))[:n]]
    return distance(chosen, real[order[:n]]), distance(real[order[n : 2 * n]], real[order[:n]])


def with_floor__halves_of_the_reals(distance, real, fake, n, rng):
    order, half = rng.permutation(len(real)), len(real) // 2
    a, b = real[order[:half]], real[order[half:]]
    return distance(fake[rng.permutation(len(fake))[:n]], a), distance(b, a)
