"""The published bootstrap of alpha, sum for sum and draw for draw."""

import doctest

import krippendorff
import numpy as np
import pytest

from eval_metrics import drawn_places, official_alpha
from eval_metrics.drawn_places import Places
from eval_metrics.official_alpha import alpha_bootstrap


def test_the_example_is_right():
    assert doctest.testmod(drawn_places).failed == 0


@pytest.mark.parametrize("n", [1, 2, 3, 2500, 65_537, 2**31 + 1, 3 * 2**30, 2**32 - 1])
def test_places_are_those_of_numpy(n):
    # 2**31 + 1 refuses nearly half of the bits, 3 * 2**30 a quarter; odd sizes leave half a draw
    places, generator = Places(5, n), np.random.default_rng(5)
    for shape in ((3,), (0, 4), (7, 11), (1,), (100, 99), (5,)):
        expected = generator.integers(n, size=shape)
        drawn = places(shape)
        assert drawn.dtype == expected.dtype
        np.testing.assert_array_equal(drawn, expected)


def whole():
    return np.random.default_rng(1).integers(0, 8, (30, 4, 3)).astype(float)


def averaged():
    return whole() / 2


def ragged():
    ratings = whole()
    ratings[::3, 1:3, 0] = np.nan
    ratings[1::3, 1:, 1] = np.nan
    return ratings


def too_large_for_one_integer():
    ratings = whole()
    ratings[0, 0] = 2.0**31
    return ratings


@pytest.mark.parametrize("make", [whole, averaged, ragged, too_large_for_one_integer])
def test_bootstrap_equals_krippendorff_on_the_images_drawn(make, monkeypatch):
    ratings = make()
    monkeypatch.setattr(official_alpha, "_DRAWS", 4 * len(ratings))  # three blocks, the last of 2
    alpha, samples = alpha_bootstrap(ratings, 10, 42)
    generator = np.random.default_rng(42)
    for category in range(ratings.shape[2]):
        of_category = ratings[:, :, category]
        assert alpha[category] == pytest.approx(of(of_category), abs=1e-12)
        for sample in samples[:, category]:
            drawn = of_category[generator.integers(len(ratings), size=len(ratings))]
            assert sample == pytest.approx(of(drawn), abs=1e-12)


def of(ratings):
    """Images x raters; ratings that are alone on their image leave, as in the published way."""
    paired = ratings[(~np.isnan(ratings)).sum(axis=1) > 1]
    return krippendorff.alpha(reliability_data=paired.T, level_of_measurement="interval")


def test_only_whole_ratings_of_as_many_raters_are_packed():
    fits = [official_alpha._Sums(np.stack(official_alpha.alpha_parts(make()), -1)[:, 0])._fits
            for make in (whole, averaged, ragged, too_large_for_one_integer)]  # fmt: skip
    assert fits == [True, False, False, False]


def test_nothing_to_draw_is_undefined():
    alpha, samples = alpha_bootstrap(np.empty((0, 2, 3)), 5, 1)
    assert np.isnan(alpha).all()
    assert samples.shape == (5, 3)
    assert np.isnan(samples).all()
    alpha, samples = alpha_bootstrap(whole(), 0, 1)
    assert samples.shape == (0, 3)
    assert not np.isnan(alpha).any()
    one_rater, samples = alpha_bootstrap(whole()[:, :1], 5, 1)
    assert np.isnan(one_rater).all()
    assert np.isnan(samples).all()
