"""What the benchmark says where ratings are thin, undefined or wrong: pytest
tests/test_bad_ratings.py

Each case is either defined (an empty cell, never a comfortable 0) or one error that names the row.
"""

from __future__ import annotations

import csv

import numpy as np
import pytest

from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import CATEGORIES, EMOTIONS
from eval_metrics import corrected, official
from eval_metrics.benchmark import benchmark
from eval_metrics.panel import RatingTable

PROTOCOLS = {"official": official.evaluate, "corrected": corrected.evaluate}
BOTH = pytest.mark.parametrize("protocol", PROTOCOLS)


def evaluate(protocol, given, n_resamples=20):
    """Statistics of {annotator: (n_images, 40) ratings, NaN rows where it rated no image}."""
    rows = [
        (name, f"{image:03d}", name.startswith("human"), values)
        for name, ratings in given.items()
        for image, values in enumerate(ratings)
        if not np.isnan(values).all()
    ]
    names, images, human, scores = zip(*rows, strict=True)
    where = [f"row {row}" for row in range(1, len(rows) + 1)]
    table = RatingTable(list(names), list(images), list(human), np.array(scores), where)
    return PROTOCOLS[protocol](table, n_resamples=n_resamples, level=0.95, seed=1)


def ratings(n=20, seed=0, noise=2):
    felt = np.random.default_rng(0).integers(0, 8, (n, 40))
    return np.clip(felt + np.random.default_rng(seed).integers(-noise, noise + 1, felt.shape), 0, 7)


def only(images, values):
    """The ratings of some images alone."""
    kept = np.full(values.shape, np.nan)
    kept[images] = values[images]
    return kept


def undefined(interval):
    return np.isnan(interval).all()


@BOTH
def test_an_annotator_with_one_image_has_no_kappa(protocol):
    given = {"human-1": ratings(seed=1), "human-2": ratings(seed=2), "model": ratings(seed=3)}
    given |= {"human-3": only([4], ratings(seed=4)), "single": only([4], ratings(seed=5))}
    found = evaluate(protocol, given)
    for name in ("human-3", "single"):
        place = found.panel.annotators.index(name)
        assert np.isnan(found.pair_kappa[place]).all()
        assert np.isnan(found.agreement[place]).all()
        assert np.isnan(found.agreement_means[place].value)
        assert undefined(found.agreement_means[place].interval)
        assert found.annotator_tests[place].could_be is None
    single = found.panel.annotators.index("single")
    for correlation in found.spearman.values():  # one image has no order
        assert np.isnan(correlation.rho[single]).all()
        assert np.isnan(correlation.means[single].value)
    rest = evaluate(protocol, {k: v for k, v in given.items() if k not in ("human-3", "single")})
    assert found.anchor.value == rest.anchor.value  # and the others lose nothing


@BOTH
def test_people_without_a_shared_image_have_no_kappa_with_each_other(protocol):
    first, second = np.arange(10), np.arange(10, 20)
    found = evaluate(
        protocol,
        {
            "human-1": only(first, ratings(seed=1)),
            "human-2": only(second, ratings(seed=2)),
            "model": ratings(seed=3),
        },
    )
    assert np.isnan(found.pair_kappa[0, 1]).all()
    assert np.isnan(found.agreement[:2]).all()
    assert np.isnan(found.anchor.value)
    assert undefined(found.anchor.interval)
    assert np.isnan(found.alpha).all()
    assert undefined(found.alpha_intervals)
    assert not np.isnan(found.agreement[2]).any()  # the model shares images with each of them
    assert found.annotator_tests[2].could_be is None
    assert np.isnan(found.annotator_tests[2].difference.mean_difference)


@BOTH
def test_a_category_that_nobody_used_is_undefined(protocol):
    given = {"human-1": ratings(seed=1), "human-2": ratings(seed=2), "model": ratings(seed=3)}
    for values in given.values():
        values[:, 7] = 0
    found = evaluate(protocol, given)
    for values in (found.agreement[:, 7], found.alpha[7], found.alpha_intervals[7]):
        assert np.isnan(values).all()
    assert all(np.isnan(one.rho[2, 7]) for one in found.spearman.values())
    assert not np.isnan(np.delete(found.agreement, 7, axis=1)).any()
    np.testing.assert_allclose(
        [one.value for one in found.agreement_means], np.nanmean(found.agreement, axis=1)
    )


@BOTH
def test_constant_ratings(protocol):
    given = {"human-1": ratings(seed=1), "human-2": ratings(seed=2)}
    found = evaluate(protocol, given | {"model": np.full((20, 40), 3)})
    assert (found.agreement[2] == 0).all()  # kappa of a constant is 0: agreement as by chance
    assert all(np.isnan(one.rho[2]).all() for one in found.spearman.values())
    alike = np.full((20, 40), 3)
    found = evaluate(protocol, {"human-1": alike, "human-2": alike, "model": alike})
    for values in (found.agreement, found.alpha, [found.anchor.value]):
        assert np.isnan(values).all()
    assert all(test.could_be is None for test in found.annotator_tests)


@BOTH
def test_people_who_rate_nothing_but_each_a_single_image(protocol):
    given = {f"human-{i}": only([i], ratings(seed=i)) for i in range(3)}
    found = evaluate(protocol, given)
    for values in (found.agreement, found.alpha, [found.anchor.value]):
        assert np.isnan(values).all()


def write(path, cells):
    """A ratings file of two people, one row of it given as (annotator, human, text)."""
    values = {category.key: 3 for category in CATEGORIES}
    rows = [(f"{i}.png", f"human-{p}", True, values) for i in range(3) for p in (1, 2)]
    rows.insert(4, ("7.png", *cells))
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("image", "annotator", "human", "annotations"), *rows])
    return path


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (("human-1", True, "{'Anger': nan}"), "'annotations' is not a dictionary of numbers"),
        (("human-1", True, "{'Anger': 1e999}"), "'Anger' is inf: a rating must be finite"),
        (("human-1", True, "{'Anger': '3'}"), "'Anger' is '3': a rating must be a number"),
        (("human-1", True, "{'Anger': True}"), "'Anger' is True: a rating must be a number"),
        (("human-1", True, "{'Anger': 7.5}"), "'Anger' is 7.5: a rating must lie in 0..7"),
        (("human-1", True, "{'Anger': -1}"), "'Anger' is -1: a rating must lie in 0..7"),
        (("human-1", True, "{'Angr': 1}"), "unknown category 'Angr'; nearest: 'Anger'"),
        (("human-1", True, "{'Anger': 1, 'anger': 2}"), "'anger' and 'Anger' both name 'Anger'"),
        (("human-1", True, "{'Anger': 1, 'Anger': 2}"), "'annotations' holds a key twice"),
        (("model", False, "{'Anger': nan}"), "'annotations' is not a dictionary of numbers"),
        (("model", False, "{'Anger': 'high'}"), "'Anger' is 'high': a rating must be a number"),
        (("model", False, "__import__('os')"), "'annotations' is not a dictionary of numbers"),
        (("", True, "{'Anger': 1}"), "'annotator' is empty"),
        (("human-1", "maybe", "{'Anger': 1}"), "'human' is 'maybe': must be True or False"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(tmp_path, cells, message):
    path = write(tmp_path / "hq.csv", cells)
    with pytest.raises(EmoNetFaceError) as raised:
        benchmark(tmp_path / "out", ratings=path, n_resamples=0, figures=False)
    assert str(raised.value).startswith(f"{path}, row 5 (line 6): ")
    assert message in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_values_of_models_may_be_any_finite_number(tmp_path):
    # Official: -0.9 is cut to 0, 99 leaves the pair. Corrected: both are clipped. Never an error.
    text = repr({name: -0.9 if place % 2 else 99 for place, name in enumerate(EMOTIONS)})
    path = write(tmp_path / "hq.csv", ("model", False, text))
    results = benchmark(tmp_path / "out", ratings=path, n_resamples=0, figures=False)
    assert results["counts"]["models"] == 1
