"""The agreement maths against scikit-learn, scipy and krippendorff, by hand, and by its properties.

    pytest tests/test_agreement.py

Every weighted bootstrap is compared with the statistic of the rows that were really drawn.
"""

from __future__ import annotations

import doctest
import warnings

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, cohen_kappa_score

from eval_metrics.emonet_face_agreement import (
    agreement,
    alpha,
    calibration,
    kappas,
    levels,
    p_values,
    precision,
    ranks,
)
from eval_metrics.emonet_face_agreement.agreement import (
    average_precision,
    benjamini_hochberg,
    calibrated_kappa,
    human_kappa,
    krippendorff_alpha,
    mann_whitney,
    nan_mean,
    nan_median,
    pairwise_kappa,
    percentile_interval,
    pooled_kappa,
    quantile_calibrate,
    resample_weights,
    round_to_levels,
    shared_images,
    spearman,
    truncate_to_levels,
    weighted_kappa,
)

EXACT = {"rtol": 0, "atol": 1e-12}
KINDS = ("random", "sparse", "constant", "missing", "one rater", "halves")


def make_ratings(kind: str, n_images: int = 60, n_raters: int = 4, k: int = 6, seed: int = 0):
    """(n_images, n_raters, k) levels of a shape that real ratings take."""
    rng = np.random.default_rng(seed)
    ratings = rng.integers(0, 8, (n_images, n_raters, k)).astype(float)
    ratings[rng.random(ratings.shape) < 0.2] = np.nan
    if kind == "sparse":  # most sliders untouched, as published
        ratings[rng.random(ratings.shape) < 0.85] = 0.0
    elif kind == "constant":
        ratings[:, :, 0] = 3.0
        ratings[:, 0, 1] = 0.0
    elif kind == "missing":
        ratings[:, :, 0] = np.nan
        ratings[:, 1] = np.nan
        ratings[:20] = np.nan
    elif kind == "one rater":
        ratings[:, 1:] = np.nan
    elif kind == "halves":  # an averaged duplicate; ranks and alpha take any number
        ratings += 0.5 * rng.integers(0, 2, ratings.shape)
    return ratings


def sklearn_kappa(a, b, weights="quadratic", n_levels=8):
    """scikit-learn on the pairs where both are present; its 0/0 and empty table are NaN here."""
    a, b = np.ravel(a), np.ravel(b)
    shared = ~(np.isnan(a) | np.isnan(b))
    if not shared.any():
        return np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of the 0/0 that is asked about
        return cohen_kappa_score(
            a[shared].astype(int),
            b[shared].astype(int),
            labels=range(n_levels),
            weights=weights,
        )


def package_alpha(ratings, metric):
    """The krippendorff package on (n_images, n_raters); it refuses what is NaN here."""
    units = ratings[(~np.isnan(ratings)).sum(axis=1) >= 2]
    if len(np.unique(units[~np.isnan(units)])) < 2:
        return np.nan
    return krippendorff.alpha(reliability_data=units.T, level_of_measurement=metric)


def scipy_spearman(x, y):
    shared = ~(np.isnan(x) | np.isnan(y))
    if shared.sum() < 2 or np.ptp(x[shared]) == 0 or np.ptp(y[shared]) == 0:
        return np.nan
    return stats.spearmanr(x[shared], y[shared]).statistic


def drawn_rows(n_images, n_resamples, seed):
    """The images that `resample_weights` counts."""
    return np.random.default_rng(seed).integers(n_images, size=(n_resamples, n_images))


# Known answers


def test_kappa_derived_by_hand():
    # Pairs (0,0) (0,1) (1,1) (2,0) on levels 0..2; quadratic cost (i-j)^2.
    # Observed: 0 + 1 + 0 + 4 = 5. Row counts 2,1,1 and column counts 2,2,0 of n = 4.
    # Expected: sum r_i c_j (i-j)^2 / 4
    #   = (2*2*1 [0,1] + 1*2*1 [1,0] + 1*2*4 [2,0] + 1*2*1 [2,1]) / 4 = (4+2+8+2)/4 = 4.
    # kappa = 1 - 5/4 = -1/4. Linear cost |i-j|: observed 0+1+0+2 = 3, expected (4+2+4+2)/4 = 3:
    # kappa = 0.
    first, second = np.array([0.0, 0, 1, 2]), np.array([0.0, 1, 1, 0])
    assert weighted_kappa(first, second) == -0.25
    assert weighted_kappa(first, second, weights="linear") == 0.0


def test_pooled_and_human_kappa_derived_by_hand():
    # Two images, raters (0, 2) and (4, 4), prediction 1 and 4.
    # Pooled pairs (1,0) (1,2) (4,4) (4,4): observed 1+1 = 2. Expected: sum a^2 + sum b^2 -
    # 2 sum a sum b / n = 34 + 36 - 2*10*10/4 = 20: kappa = 1 - 2/20 = 0.9.
    # Ordered human pairs (0,2) (2,0) (4,4) (4,4): observed 8, expected 36+36-2*10*10/4 = 22:
    # kappa = 1 - 8/22 = 7/11.
    ratings = np.array([[[0.0], [2.0]], [[4.0], [4.0]]])
    np.testing.assert_allclose(pooled_kappa([[1.0], [4.0]], ratings), [0.9], **EXACT)
    np.testing.assert_allclose(human_kappa(ratings), [7 / 11], **EXACT)


def test_alpha_derived_by_hand():
    # Units (0,2), (4,4) and a single 7, which leaves. n = 4 paired ratings 0,2,4,4.
    # Observed: ((0-2)^2 * 2 ordered pairs / (2-1)) / 4 = 2. Expected: all ordered pairs,
    # 2*(4+16+16+4+4+0) / (4*3) = 88/12. alpha = 1 - 2*12/88 = 8/11.
    ratings = np.array([[[0.0], [2.0]], [[4.0], [4.0]], [[7.0], [np.nan]]])
    np.testing.assert_allclose(krippendorff_alpha(ratings), [8 / 11], **EXACT)


# Four observers of twelve units: the worked example of Krippendorff, "Computing Krippendorff's
# Alpha-Reliability" (2011), section E. It prints alpha .815 (ordinal) and .849 (interval).
KRIPPENDORFF_2011 = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""


def test_alpha_of_krippendorffs_own_example():
    cells = [line.split() for line in KRIPPENDORFF_2011.split("\n") if line]
    observers = [[np.nan if cell == "." else float(cell) for cell in line] for line in cells]
    ratings = np.array(observers).T[:, :, None]
    assert krippendorff_alpha(ratings, metric="ordinal").round(3) == [0.815]
    assert krippendorff_alpha(ratings).round(3) == [0.849]


def test_kappa_of_a_published_table():
    # Husbands and wives on a scale of four (Hout, Duncan and Sobel 1987; Agresti 1990, table
    # 10.9). R's package vcd prints for it, as its documented example, kappa with linear weights
    # .2374.
    table = np.array([[7, 7, 2, 3], [2, 8, 3, 7], [1, 5, 4, 9], [2, 8, 9, 14]])
    husband, wife = (np.repeat(side.ravel(), table.ravel()) for side in np.indices(table.shape))
    kappa = weighted_kappa(husband, wife, weights="linear", n_levels=4)
    assert kappa.round(4) == 0.2374


def test_rounding_and_truncation():
    scores = [-1.0, -0.99, -0.5, 0.49, 0.5, 6.9, 7.5, 7.99, 8.0, np.nan]
    np.testing.assert_array_equal(round_to_levels(scores), [0, 0, 0, 0, 1, 7, 7, 7, 7, np.nan])
    cut = truncate_to_levels(scores)
    np.testing.assert_array_equal(cut, [np.nan, 0, 0, 0, 0, 6, 7, 7, np.nan, np.nan])
    assert not np.signbit(cut[~np.isnan(cut)]).any()


def test_truncation_equals_the_cast_of_the_published_analysis():
    scores = np.random.default_rng(3).normal(3, 5, 400)
    gold = np.random.default_rng(4).integers(0, 8, 400)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        published = cohen_kappa_score(
            scores.astype(int), gold, labels=range(8), weights="quadratic"
        )
    np.testing.assert_allclose(weighted_kappa(truncate_to_levels(scores), gold), published, **EXACT)


# References


@pytest.mark.parametrize("weights", ["quadratic", "linear"])
@pytest.mark.parametrize("kind", KINDS[:-1])
def test_weighted_kappa_equals_sklearn(kind, weights):
    ratings = make_ratings(kind)
    pairs = weighted_kappa(ratings[:, :, None], ratings[:, None], weights=weights)
    assert pairs.shape == (4, 4, 6)
    for i, j, c in np.ndindex(pairs.shape):
        expected = sklearn_kappa(ratings[:, i, c], ratings[:, j, c], weights)
        np.testing.assert_allclose(pairs[i, j, c], expected, **EXACT)


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_pairwise_kappa_equals_sklearn(kind):
    ratings = make_ratings(kind)
    pairs = pairwise_kappa(ratings)
    np.testing.assert_array_equal(pairs, pairs.swapaxes(0, 1))
    for i, j, c in np.ndindex(pairs.shape):
        expected = sklearn_kappa(ratings[:, i, c], ratings[:, j, c])
        np.testing.assert_allclose(pairs[i, j, c], expected, **EXACT)


def test_sums_beyond_32_bits_stay_exact():
    # 400,000 images of cost up to 98: their sums are more than 2^24, which 32-bit floats round.
    rng = np.random.default_rng(13)
    ratings = rng.integers(5, 8, (400_000, 2, 1)).astype(float)
    expected = sklearn_kappa(ratings[:, 0], ratings[:, 1])
    np.testing.assert_allclose(pairwise_kappa(ratings)[0, 1], [expected], **EXACT)
    np.testing.assert_allclose(weighted_kappa(ratings[:, 0], ratings[:, 1]), [expected], **EXACT)
    np.testing.assert_allclose(pooled_kappa(ratings[:, 0], ratings[:, 1:]), [expected], **EXACT)
    # of two raters in both orders: the table and its mirror image
    both = sklearn_kappa(ratings.swapaxes(1, 2).reshape(-1, 2)[:, [0, 1]].ravel(),
                         ratings.swapaxes(1, 2).reshape(-1, 2)[:, [1, 0]].ravel())  # fmt: skip
    np.testing.assert_allclose(human_kappa(ratings), [both], **EXACT)


def test_images_in_blocks_give_what_all_give_at_once(monkeypatch):
    ratings = make_ratings("sparse")
    pairs, shared = pairwise_kappa(ratings), shared_images(~np.isnan(ratings))
    rated = ~np.isnan(ratings)
    np.testing.assert_array_equal(shared, (rated[:, :, None] & rated[:, None]).sum(axis=0))
    for size in (1, 7, len(ratings)):
        monkeypatch.setattr(kappas, "_IMAGES", size)
        np.testing.assert_array_equal(pairwise_kappa(ratings), pairs)
        np.testing.assert_array_equal(shared_images(rated), shared)


def test_columns_ranked_in_blocks_give_what_all_give_at_once(monkeypatch):
    x, y = make_ratings("sparse"), make_ratings("random", seed=1)
    whole = spearman(x[:, :, None], y[:, None])
    monkeypatch.setattr(ranks, "_COLUMNS", 5)
    np.testing.assert_array_equal(spearman(x[:, :, None], y[:, None]), whole)


def test_weights_need_not_be_whole():
    rng = np.random.default_rng(14)
    first, second = rng.integers(0, 8, (2, 30, 1)).astype(float)
    weights = rng.random((3, 30))
    found = weighted_kappa(first, second, image_weights=weights)
    for row, kappa in zip(weights, found[:, 0], strict=True):
        expected = cohen_kappa_score(
            first[:, 0], second[:, 0], weights="quadratic", labels=range(8), sample_weight=row
        )
        np.testing.assert_allclose(kappa, expected, **EXACT)


def test_weighted_kappa_over_more_columns_than_one_block(monkeypatch):
    ratings = make_ratings("random")
    whole = weighted_kappa(ratings[:, :, None], ratings[:, None])
    monkeypatch.setattr(kappas, "_COLUMNS", 7)
    np.testing.assert_array_equal(weighted_kappa(ratings[:, :, None], ratings[:, None]), whole)


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_pooled_and_human_kappa_equal_one_table(kind):
    ratings = make_ratings(kind)
    predictions = make_ratings("random", seed=1)[:, 0]
    pooled, human = pooled_kappa(predictions, ratings), human_kappa(ratings)
    different = [(i, j) for i in range(4) for j in range(4) if i != j]
    for c in range(6):
        repeated = np.repeat(predictions[:, [c]], 4, axis=1)
        np.testing.assert_allclose(pooled[c], sklearn_kappa(repeated, ratings[:, :, c]), **EXACT)
        first = np.concatenate([ratings[:, i, c] for i, _ in different])
        second = np.concatenate([ratings[:, j, c] for _, j in different])
        np.testing.assert_allclose(human[c], sklearn_kappa(first, second), **EXACT)


@pytest.mark.parametrize("metric", ["interval", "ordinal"])
@pytest.mark.parametrize("kind", KINDS)
def test_alpha_equals_the_package(kind, metric):
    ratings = make_ratings(kind)
    alpha = krippendorff_alpha(ratings, metric=metric)
    expected = [package_alpha(ratings[:, :, c], metric) for c in range(6)]
    np.testing.assert_allclose(alpha, expected, **EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_spearman_equals_scipy(kind):
    ratings = make_ratings(kind)
    scores = np.random.default_rng(5).normal(0, 1, (60, 6))
    scores[::7] = np.nan
    scores[:, 5] = 1.5
    for x in (scores, ratings[:, 1]):
        expected = [scipy_spearman(x[:, c], ratings[:, 0, c]) for c in range(6)]
        np.testing.assert_allclose(spearman(x, ratings[:, 0]), expected, **EXACT)


def test_spearman_of_every_model_with_every_reference():
    rng = np.random.default_rng(15)
    models, references = rng.normal(0, 1, (40, 3, 1, 5)), rng.integers(0, 4, (40, 1, 2, 5)) / 2
    models[rng.random(models.shape) < 0.1] = np.nan
    models[:, 2] = np.round(models[:, 2])
    found = spearman(models, references)
    weights = resample_weights(40, 3, seed=1)
    resampled = spearman(models, references, image_weights=weights)
    assert found.shape == resampled.shape[1:] == (3, 2, 5)
    for m, r, c in np.ndindex(found.shape):
        pair = models[:, m, 0, [c]], references[:, 0, r, [c]]
        np.testing.assert_allclose(found[m, r, c], scipy_spearman(*pair), **EXACT)
        alone = spearman(*pair, image_weights=weights)[:, 0]
        np.testing.assert_array_equal(resampled[:, m, r, c], alone)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9])
def test_average_precision_equals_sklearn(share):
    rng = np.random.default_rng(16)
    relevant = (rng.random((60, 5)) < share).astype(float)
    scores = rng.normal(0, 1, (60, 5)) + relevant
    scores[:, 1] = np.round(scores[:, 1])  # ties
    scores[:, 2] = 3.0
    relevant[::9, 3] = scores[::7, 4] = np.nan
    for c, found in enumerate(average_precision(scores, relevant)):
        shared = ~(np.isnan(scores[:, c]) | np.isnan(relevant[:, c]))
        expected = np.nan
        if relevant[shared, c].any():
            expected = average_precision_score(relevant[shared, c], scores[shared, c])
        np.testing.assert_allclose(found, expected, **EXACT)


def test_median_equals_numpys():
    rng = np.random.default_rng(17)
    values = rng.integers(0, 9, (7, 6, 5)) / 2
    values[rng.random(values.shape) < 0.5] = np.nan
    values[:, 2] = np.nan
    for axis in (0, 1, 2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy warns where all is NaN, ours does not
            expected = np.nanmedian(values, axis=axis)
        np.testing.assert_array_equal(nan_median(values, axis=axis), expected)
    assert np.isnan(nan_median(np.empty((0, 3)), axis=0)).all()


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 12), st.integers(1, 40), st.integers(0, 999), st.sampled_from([2, 9, 10**9]))
def test_mann_whitney_equals_scipy(n1, n2, seed, values):
    """Exact and approximate, with few, some and no ties."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, values, n1), rng.integers(0, values, n2)
    expected = stats.mannwhitneyu(first, second)
    found = mann_whitney(first, second)
    np.testing.assert_allclose(found, (expected.statistic, expected.pvalue), rtol=1e-10)


def test_mann_whitney_and_benjamini_hochberg_equal_scipy():
    rng = np.random.default_rng(6)
    small, large, tied = rng.normal(0, 1, 6), rng.normal(0.3, 1, 90), rng.integers(0, 3, 40)
    for first, second in ((small, small[:3] + 1), (small, large), (tied, large), (tied, tied)):
        expected = stats.mannwhitneyu(first, second)
        given_nan = np.append(first.astype(float), np.nan)
        found = mann_whitney(given_nan, second)
        np.testing.assert_allclose(found, (expected.statistic, expected.pvalue), rtol=1e-12)
    assert np.isnan(mann_whitney([], large)).all()
    p = rng.random(30) ** 3
    with_nan = np.insert(p, 4, np.nan)
    adjusted = benjamini_hochberg(with_nan)
    assert np.isnan(adjusted[4])
    np.testing.assert_allclose(np.delete(adjusted, 4), stats.false_discovery_control(p), **EXACT)
    assert benjamini_hochberg([]).shape == (0,)
    assert np.isnan(benjamini_hochberg([np.nan, np.nan])).all()


# Resamples: weights must give what the rows drawn give


def statistics(ratings, scores):
    """Every statistic that takes image weights, as name -> function of (images, weights)."""
    levels, gold = round_to_levels(scores), round_to_levels(nan_mean(ratings, axis=1))
    return {
        "quadratic": lambda i, w: weighted_kappa(levels[i][:, None], ratings[i], image_weights=w),
        "linear": lambda i, w: weighted_kappa(
            levels[i][:, None], ratings[i], weights="linear", image_weights=w
        ),
        "pooled": lambda i, w: pooled_kappa(levels[i], ratings[i], image_weights=w),
        "human": lambda i, w: human_kappa(ratings[i], image_weights=w),
        "interval": lambda i, w: krippendorff_alpha(ratings[i], image_weights=w),
        "ordinal": lambda i, w: krippendorff_alpha(ratings[i], metric="ordinal", image_weights=w),
        "rank, continuous": lambda i, w: spearman(scores[i], ratings[i][:, 0], image_weights=w),
        "rank, tied": lambda i, w: spearman(ratings[i][:, 1], ratings[i][:, 0], image_weights=w),
        "calibrated": lambda i, w: calibrated_kappa(
            scores[i], ratings[i], gold[i], image_weights=w
        ),
        "precision": lambda i, w: average_precision(scores[i], gold[i] >= 2, image_weights=w),
        "calibrated, per rater": lambda i, w: calibrated_kappa(
            scores[i], ratings[i], gold[i], per_rater=True, image_weights=w
        ),
    }


@pytest.mark.parametrize("cells", [256, 0])  # ranks from tables of values, and from images
@pytest.mark.parametrize("kind", KINDS[:-1])
def test_weights_equal_drawing_the_rows(kind, cells, monkeypatch):
    monkeypatch.setattr(ranks, "_CELLS", cells)
    n_images, n_resamples = 25, 40
    monkeypatch.setattr(ranks, "_RESAMPLES", 32)  # more than one block
    ratings = make_ratings(kind, n_images=n_images)
    scores = np.random.default_rng(7).normal(2, 2, (n_images, 6))
    scores[3, 2] = np.nan
    weights = resample_weights(n_images, n_resamples, seed=11)
    rows = drawn_rows(n_images, n_resamples, seed=11)
    for name, statistic in statistics(ratings, scores).items():
        weighted = statistic(np.arange(n_images), weights)
        literal = np.stack([statistic(drawn, None) for drawn in rows])
        np.testing.assert_allclose(weighted, literal, **EXACT, err_msg=name)


def test_resample_weights_count_the_draws():
    weights = resample_weights(9, 50, seed=3)
    rows = drawn_rows(9, 50, seed=3)
    np.testing.assert_array_equal(weights, [np.bincount(r, minlength=9) for r in rows])
    np.testing.assert_array_equal(weights, resample_weights(9, 50, seed=3))
    assert (weights != resample_weights(9, 50, seed=4)).any()
    assert resample_weights(9, 0, seed=3).shape == (0, 9)


def test_percentile_interval():
    samples = np.arange(101.0)[:, None] * [1.0, 2.0, np.nan]
    samples[::2, 1] = np.nan  # leaves 2, 6, ..., 198
    low, high = percentile_interval(samples, 0.9)
    np.testing.assert_allclose(low, [5, np.percentile(samples[1::2, 1], 5), np.nan])
    np.testing.assert_allclose(high, [95, np.percentile(samples[1::2, 1], 95), np.nan])
    assert np.isnan(percentile_interval(np.empty((0, 3)))).all()
    with pytest.raises(ValueError, match="level is 95: it must lie between 0 and 1"):
        percentile_interval(samples, 95)


def test_bootstrap_interval_covers_the_truth_about_as_often_as_it_says():
    # 200 studies of 150 images from one population: 95 % intervals of rho should hold the value of
    # a very large study in 90 to 99 % of them (binomial sd at .95 and n = 200 is .015).
    rng = np.random.default_rng(12)

    def study(n):
        x = rng.normal(0, 1, (n, 1))
        return x, round_to_levels(x + rng.normal(2, 1, (n, 1)))

    truth = spearman(*study(200_000))[0]
    held = 0
    for seed in range(200):
        x, y = study(150)
        low, high = percentile_interval(
            spearman(x, y, image_weights=resample_weights(150, 400, seed))
        )
        held += low[0] <= truth <= high[0]
    assert 180 <= held <= 198


# Calibration


def test_calibration_reproduces_the_gold_counts():
    rng = np.random.default_rng(8)
    scores, gold = rng.normal(0, 1, (200, 3)), rng.integers(0, 8, (200, 3)) * [1, 0, 1]
    levels = quantile_calibrate(scores, gold)
    for c in range(3):
        counts = np.bincount(levels[:, c].astype(int), minlength=8)
        np.testing.assert_array_equal(counts, np.bincount(gold[:, c], minlength=8))
        in_order = levels[np.argsort(scores[:, c]), c]
        assert (np.diff(in_order) >= 0).all()


def test_calibration_keeps_ties_together_and_gaps_missing():
    # Gold: four 0, one 1, three 5. Scores: six equal ones take places 0..6, middle 3: level 0;
    # the two above keep theirs, 5.
    gold = np.array([0, 0, 0, 0, 1, 5, 5, 5, 2], float)[:, None]
    scores = np.array([1, 1, 1, 1, 1, 1, 2, 3, np.nan])[:, None]
    expected = [0, 0, 0, 0, 0, 0, 5, 5, np.nan]
    np.testing.assert_array_equal(quantile_calibrate(scores, gold)[:, 0], expected)
    # A border in the middle of a tie goes up: two equal scores over gold 0 and 7.
    np.testing.assert_array_equal(quantile_calibrate([[1.0], [1.0]], [[0], [7]]), [[7], [7]])
    assert np.isnan(quantile_calibrate(scores, np.full_like(gold, np.nan))).all()


def test_calibrated_kappa_is_kappa_of_calibrated_levels():
    ratings = make_ratings("sparse")
    scores = np.random.default_rng(9).normal(0, 1, (60, 6))
    gold = round_to_levels(nan_mean(ratings, axis=1))
    levels = quantile_calibrate(scores, gold)
    np.testing.assert_allclose(
        calibrated_kappa(scores, ratings, gold), pooled_kappa(levels, ratings), **EXACT
    )
    np.testing.assert_allclose(
        calibrated_kappa(scores, ratings, gold, per_rater=True),
        weighted_kappa(levels[:, None], ratings),
        **EXACT,
    )


# Properties

levels_of_two = st.integers(1, 30).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 7), min_size=n, max_size=n)] * 2)
)


@settings(deadline=None, max_examples=80)
@given(levels_of_two, st.sampled_from(["quadratic", "linear"]), st.randoms())
def test_kappa_is_symmetric_bounded_and_free_of_order(pair, weights, random):
    first, second = (np.array(side, float) for side in pair)
    kappa = weighted_kappa(first, second, weights=weights)
    np.testing.assert_equal(weighted_kappa(second, first, weights=weights), kappa)
    order = np.array(random.sample(range(len(first)), len(first)))
    np.testing.assert_equal(weighted_kappa(first[order], second[order], weights=weights), kappa)
    assert np.isnan(kappa) or -1 <= kappa <= 1
    np.testing.assert_allclose(kappa, sklearn_kappa(first, second, weights), **EXACT)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.sampled_from(KINDS[:-1]))
def test_statistics_are_free_of_the_order_of_images_and_raters(seed, kind):
    ratings = make_ratings(kind, n_images=20, seed=seed)
    rng = np.random.default_rng(seed)
    shuffled = ratings[rng.permutation(20)][:, rng.permutation(4)]
    for statistic in (human_kappa, krippendorff_alpha):
        np.testing.assert_allclose(statistic(shuffled), statistic(ratings), **EXACT)


def test_perfect_and_opposite_agreement():
    levels = np.arange(8.0)[:, None]
    ratings = np.repeat(levels[:, None], 3, axis=1)
    assert weighted_kappa(levels, levels) == pooled_kappa(levels, ratings) == 1
    assert human_kappa(ratings) == krippendorff_alpha(ratings) == 1
    assert krippendorff_alpha(ratings, metric="ordinal") == spearman(levels, levels) == 1
    assert weighted_kappa(levels, 7 - levels) == spearman(levels, 7 - levels) == -1


def test_constant_sides():
    constant, varying = np.full((5, 1), 2.0), np.arange(5.0)[:, None]
    assert weighted_kappa(constant, varying) == 0
    assert weighted_kappa(constant, varying, weights="linear") == 0
    assert weighted_kappa(constant, constant + 1) == 0
    assert np.isnan(weighted_kappa(constant, constant))
    assert np.isnan(weighted_kappa(constant, constant, weights="linear"))
    assert np.isnan(spearman(constant, varying))
    assert np.isnan(krippendorff_alpha(np.full((5, 3, 1), 0.1)))  # not 1 - rounding / rounding
    assert np.isnan(krippendorff_alpha(np.full((5, 3, 1), 0.1), metric="ordinal"))


def test_no_data_gives_nan_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nothing = np.full((4, 3, 2), np.nan)
        for ratings in (nothing, np.empty((0, 3, 2))):
            weights = resample_weights(len(ratings), 5, 0) if len(ratings) else np.empty((5, 0))
            for statistic in (human_kappa, krippendorff_alpha):
                assert np.isnan(statistic(ratings)).all()
                assert np.isnan(statistic(ratings, image_weights=weights)).all()
            assert np.isnan(krippendorff_alpha(ratings, metric="ordinal")).all()
            assert np.isnan(spearman(ratings[:, 0], ratings[:, 1])).all()
            assert np.isnan(pooled_kappa(ratings[:, 0], ratings)).all()
            assert np.isnan(nan_mean(ratings)).all()
        assert np.isnan(percentile_interval(nothing)).all()


def test_alpha_on_a_distant_scale():
    ratings = make_ratings("random")
    for metric in ("interval", "ordinal"):
        np.testing.assert_allclose(
            krippendorff_alpha(ratings + 2.0**30, metric=metric),
            krippendorff_alpha(ratings, metric=metric),
            **EXACT,
        )


def test_arguments_are_not_written_to():
    ratings, scores = make_ratings("sparse"), np.random.default_rng(1).normal(2, 2, (60, 6))
    before = ratings.copy(), scores.copy()
    for statistic in statistics(ratings, scores).values():
        statistic(np.arange(60), None)
    np.testing.assert_array_equal(ratings, before[0])
    np.testing.assert_array_equal(scores, before[1])


def test_a_bootstrap_never_builds_the_resampled_data():
    # (200 resamples, 800 images, 40 categories) of floats would be 51 MB
    import tracemalloc

    rng = np.random.default_rng(2)
    ratings = rng.integers(0, 8, (800, 4, 40)).astype(float)
    scores, levels = rng.normal(0, 1, (800, 40)), ratings[:, 0]
    weights = resample_weights(800, 200, 0)
    for statistic in (
        lambda: weighted_kappa(levels[:, None], ratings, image_weights=weights),
        lambda: pooled_kappa(levels, ratings, image_weights=weights),
        lambda: human_kappa(ratings, image_weights=weights),
        lambda: spearman(scores, levels, image_weights=weights),
        lambda: krippendorff_alpha(ratings, image_weights=weights),
        lambda: krippendorff_alpha(ratings, metric="ordinal", image_weights=weights),
        lambda: calibrated_kappa(scores, ratings, levels, image_weights=weights),
    ):
        tracemalloc.start()
        statistic()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 25e6


# Faults


def test_faults_are_named():
    levels = np.zeros((3, 2))
    wrong = levels.copy()
    wrong[2, 1] = 7.5
    with pytest.raises(ValueError, match=r"second\[2, 1\] is 7.5: levels are whole, 0..7"):
        weighted_kappa(levels, wrong)
    with pytest.raises(ValueError, match="first has 3 images, second 2"):
        weighted_kappa(levels, levels[:2])
    with pytest.raises(ValueError, match="weights is 'cubic'"):
        weighted_kappa(levels, levels, weights="cubic")
    with pytest.raises(ValueError, match="metric is 'nominal'"):
        krippendorff_alpha(levels[:, None], metric="nominal")
    with pytest.raises(ValueError, match=r"ratings is \(3, 2\)"):
        krippendorff_alpha(levels)
    with pytest.raises(ValueError, match=r"predictions is \(3, 2\): .* it must be \(3, 1\)"):
        pooled_kappa(levels, np.zeros((3, 4, 1)))
    with pytest.raises(ValueError, match=r"relevant\[0, 1\] is 2.0: allowed are 0, 1 and NaN"):
        average_precision(levels, np.add(levels, [0, 2]))
    with pytest.raises(ValueError, match=r"scores is \(3, 2\), relevant \(2, 2\)"):
        average_precision(levels, levels[:2])
    with pytest.raises(ValueError, match=r"image_weights is \(3,\)"):
        weighted_kappa(levels, levels, image_weights=np.ones(3))
    for other in (levels[:2], np.zeros((3, 5))):
        with pytest.raises(ValueError, match=r"first is \(3, 2\), second .* of the same images"):
            spearman(levels, other)
    with pytest.raises(ValueError, match=r"both must be \(n_images, k\)"):
        quantile_calibrate(levels, levels[:, 0])


def test_docstring_examples():
    examples = 0
    for module in (agreement, alpha, calibration, kappas, levels, p_values, precision, ranks):
        failed, tried = doctest.testmod(module)
        assert failed == 0
        examples += tried
    assert examples >= 11
