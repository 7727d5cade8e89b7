"""Models against each other, against people and against trivial baselines.

pytest tests/test_comparison.py
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import false_discovery_control, ttest_1samp

from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import EMOTIONS
from eval_metrics import corrected, official
from eval_metrics.alternative_test import (
    EPSILON,
    MIN_IMAGES,
    alternative_annotator_test,
    significant,
    squared_distances,
)
from eval_metrics.baselines import (
    CONSTANT,
    MEAN_RATER,
    PREVALENCE,
    RANDOM,
    mean_of_others,
    random_rows,
)
from eval_metrics.comparison import compare, verdict_of
from eval_metrics.comparison_tables import comparison_tables
from eval_metrics.emonet_face_agreement.agreement import round_to_levels
from eval_metrics.groups import group_of
from eval_metrics.panel import RatingTable

OPTIONS = {"n_resamples": 60, "level": 0.95, "seed": 5}


def table(entries):
    """Entries (annotator, human, (N, 40) scores, images to leave out) as a table of ratings."""
    annotators, images, human, scores, where = [], [], [], [], []
    for name, flag, values, without in entries:
        for image, row in enumerate(values):
            if image in without:
                continue
            annotators.append(name)
            images.append(f"face-{image:03d}")
            human.append(flag)
            scores.append(row)
            where.append(f"row {len(where) + 1}")
    return RatingTable(annotators, images, human, np.array(scores, dtype=float), where)


@pytest.fixture(scope="module")
def faces():
    """Four people who see the same faces with noise, three of them on each, and three models."""
    rng = np.random.default_rng(0)
    felt = np.maximum(0, rng.normal(0, 3, (48, 40)))

    def noisy(spread):
        return np.clip(np.rint(felt + rng.normal(0, spread, felt.shape)), 0, 7)

    people = [
        (f"human-{p + 1}", True, noisy(1.5), {i for i in range(48) if i % 4 == p}) for p in range(4)
    ]
    good, poor = noisy(1.0), rng.integers(0, 8, felt.shape)
    models = [("good", False, good, set()), ("poor", False, poor, {1, 2, 3}),
              ("twin", False, good, set())]  # fmt: skip
    return table(people + models)


@pytest.fixture(scope="module")
def found(faces):
    statistics = corrected.evaluate(faces, **OPTIONS)
    return statistics, compare(statistics, **OPTIONS)


# --- models with each other ---


def test_differences_are_those_of_the_kappas_on_the_images_both_have(found, faces):
    statistics, comparison = found
    names = statistics.panel.annotators
    by_pair = {(names[d.first], names[d.second]): d for d in comparison.model_differences}
    assert list(by_pair) == [("good", "poor"), ("good", "twin"), ("poor", "twin")]
    # Take the three images that `poor` lacks from everybody: its kappa and that of `good` there.
    rows = [i for i, image in enumerate(faces.images) if int(image[5:]) not in (1, 2, 3)]
    few = RatingTable(
        [faces.annotators[i] for i in rows],
        [faces.images[i] for i in rows],
        [faces.human[i] for i in rows],
        faces.scores[rows],
        [faces.where[i] for i in rows],
    )
    alone = corrected.evaluate(few, n_resamples=0, level=0.95, seed=0)
    mean = {name: alone.agreement_means[i].value for i, name in enumerate(alone.panel.annotators)}
    one = by_pair["good", "poor"]
    assert one.difference == pytest.approx(mean["good"] - mean["poor"], abs=1e-12)
    assert (one.n_images, one.n_emotions) == (45, 40)
    assert one.interval[0] < one.difference < one.interval[1]
    assert one.p == pytest.approx(2 / 61)  # all 60 resamples on one side


def test_a_twin_differs_by_nothing(found):
    _, comparison = found
    one = comparison.model_differences[1]
    assert (one.difference, one.interval) == (0.0, (0.0, 0.0))
    assert one.p == 1.0


def test_p_values_are_adjusted_over_all_pairs(found):
    differences = found[1].model_differences
    expected = false_discovery_control([one.p for one in differences])
    assert [one.p_adjusted for one in differences] == pytest.approx(list(expected))


def test_models_against_the_anchor(found):
    statistics, comparison = found
    by_name = {one.name: one for one in comparison.against_people}
    assert list(by_name)[:3] == ["good", "poor", "twin"]
    assert by_name["good"].verdict == "above"
    assert by_name["poor"].verdict == "below"
    for one in comparison.against_people[:3]:
        test = next(t for t in statistics.annotator_tests if t.annotator == one.annotator)
        assert one.difference == test.difference
        assert one.published_could_be == (test.difference.p > 0.05)
    # The published rule says no to a model that agrees more with people than they do.
    assert by_name["good"].published_could_be is False
    assert verdict_of((np.nan, np.nan)) is None


# --- the alternative annotator test ---


def loop_test(said, ratings, epsilon, rate=0.05):
    """The procedure of arXiv:2501.10970 image by image: (winning rate, advantage)."""
    p_values, advantages = [], []
    n_images, n_people, _ = ratings.shape
    for person in range(n_people):
        ahead, behind = [], []
        for image in range(n_images):
            others = [
                ratings[image, p]
                for p in range(n_people)
                if p != person and not np.isnan(ratings[image, p]).any()
            ]
            own = ratings[image, person]
            if np.isnan(own).any() or not others or np.isnan(said[image]).any():
                continue

            def score(row, others=others):
                return -np.sqrt(np.mean([(row - other) ** 2 for other in others]))

            model, human = score(said[image]), score(own)
            ahead.append(model >= human)
            behind.append(int(human >= model) - int(model >= human))
        if len(ahead) < MIN_IMAGES:
            continue
        p_values.append(ttest_1samp(behind, epsilon, alternative="less").pvalue)
        advantages.append(np.mean(ahead))
    adjusted = false_discovery_control(p_values, method="by")
    return np.mean(adjusted <= rate), np.mean(advantages)


@pytest.mark.parametrize("name", ["good", "poor"])
def test_it_equals_the_published_procedure_in_loops(found, name):
    panel = found[0].panel
    levels = round_to_levels(panel.scores)
    ratings = levels[panel.humans].swapaxes(0, 1)
    said = levels[panel.annotators.index(name)]
    test = alternative_annotator_test(said, ratings)
    winning, advantage = loop_test(said, ratings, EPSILON)
    assert test.n_people == 4
    assert test.winning_rate == pytest.approx(winning)
    assert test.advantage == pytest.approx(advantage)
    assert test.strict_winning_rate == pytest.approx(loop_test(said, ratings, 0.0)[0])
    assert test.passes == (winning >= 0.5)


@pytest.mark.parametrize("seed", range(4))
def test_it_equals_the_loops_where_the_answer_is_open(seed):
    rng = np.random.default_rng(seed)
    ratings = rng.integers(0, 8, (80, 5, 40)).astype(float)
    ratings[rng.random((80, 5)) < 0.3] = np.nan
    said = np.where(rng.random((80, 1)) < 0.45, 3.0, rng.integers(0, 8, (80, 40)))
    test = alternative_annotator_test(said, ratings)
    winning, advantage = loop_test(said, ratings, EPSILON)
    assert (test.winning_rate, test.advantage) == pytest.approx((winning, advantage))


def test_the_mean_of_the_others_cannot_be_beaten():
    """Nearest whole number to the mean: no whole rating has a smaller squared distance."""
    rng = np.random.default_rng(1)
    ratings = rng.integers(0, 8, (40, 4, 40)).astype(float)
    test = alternative_annotator_test(round_to_levels(mean_of_others(ratings)), ratings)
    assert (test.advantage, test.winning_rate, test.strict_winning_rate) == (1.0, 1.0, 1.0)
    assert test.n_emotions_passed == 40


def test_distances_by_hand():
    """Ratings 1, 3, 7. To 3 and 7: model 2 has 1 + 25 = 26, the first person 4 + 36 = 40."""
    ratings = np.array([1.0, 3.0, 7.0]).reshape(1, 3, 1)
    model, person = squared_distances(np.full((1, 3, 1), 2.0), ratings)
    # multiplied by the number of others, so whole: count * x^2 - 2 x sum + sum of squares
    assert model.ravel().tolist() == [26, 26, 2]
    assert person.ravel().tolist() == [40, 20, 52]


def test_too_few_images_or_people_leave_it_undefined():
    rng = np.random.default_rng(2)
    ratings = rng.integers(0, 8, (MIN_IMAGES - 1, 3, 40)).astype(float)
    few = alternative_annotator_test(ratings[:, 0], ratings)
    assert (few.n_people, few.passes) == (0, None)
    assert np.isnan([few.advantage, few.winning_rate, few.strict_winning_rate]).all()
    lonely = rng.integers(0, 8, (40, 1, 40)).astype(float)
    assert alternative_annotator_test(lonely[:, 0], lonely).n_people == 0


def test_ratings_that_never_differ_decide_nothing():
    alike = np.full((40, 3, 40), 2.0)
    nothing = alternative_annotator_test(alike[:, 0], alike)
    assert (nothing.passes, nothing.n_people, nothing.n_emotions_passed) == (None, 0, 0)
    alike[:, :, 0] = np.random.default_rng(6).integers(0, 8, (40, 3))
    one = alternative_annotator_test(np.nanmedian(alike, axis=1), alike)
    assert (one.passes, one.n_emotions_passed) == (True, 1)  # only the category that tells


def test_groups_say_how_many_images_they_are_compared_on():
    """One weak model takes its whole group to the three images that it has."""
    rng = np.random.default_rng(7)
    values = {f"human-{i}": rng.integers(0, 8, (35, 40)) for i in (1, 2)}
    entries = [(name, True, one, set()) for name, one in values.items()]
    entries += [("good", False, rng.integers(0, 8, (35, 40)), set()),
                ("weak", False, rng.integers(0, 8, (35, 40)), set(range(3, 35))),
                ("A ZS", False, rng.integers(0, 8, (35, 40)), {0})]  # fmt: skip
    found = corrected.evaluate(table(entries), n_resamples=2, level=0.95, seed=0)
    few = {(d.group1, d.group2): (d.n_images, d.note) for d in found.group_differences}
    assert few["Humans", "VLMs Zero-Shot"] == (34, None)
    n, note = few["Humans", "Other Models"]
    assert n == 3
    assert note == (
        "only 3 images that all models of both groups have; of them 'weak' has the fewest, 3 of 35"
    )
    assert few["VLMs Zero-Shot", "Other Models"][0] == 2
    once = official.evaluate(table(entries), n_resamples=2, level=0.95, seed=0)
    assert {(d.n_images, d.note) for d in once.group_differences} == {(None, None)}


def test_significance_equals_benjamini_yekutieli():
    rng = np.random.default_rng(3)
    for size in (1, 4, 30):
        p = rng.random(size) ** 4
        expected = false_discovery_control(p, method="by") <= 0.05
        assert significant(p).tolist() == expected.tolist()


# --- baselines ---


def test_baselines_say_what_they_state(found):
    statistics, comparison = found
    one = {b.name: b for b in comparison.baselines}
    assert list(one) == [CONSTANT, PREVALENCE, RANDOM, MEAN_RATER]
    assert (one[CONSTANT].said == 0).all()
    panel = statistics.panel
    ratings = panel.scores[panel.humans]
    mean = np.nanmean(ratings, axis=(0, 1))
    assert (one[PREVALENCE].said == round_to_levels(mean)).all()
    # Random: each image shows a row that some person gave to some image, the same to everybody.
    rows = {tuple(row) for row in ratings.reshape(-1, 40) if not np.isnan(row).any()}
    assert all(tuple(row) in rows for row in one[RANDOM].said[:, 0])
    assert (one[RANDOM].said == one[RANDOM].said[:, :1]).all()


def test_constants_have_kappa_zero_and_no_correlation(found):
    one = {b.name: b for b in found[1].baselines}
    for name in (CONSTANT, PREVALENCE):
        assert one[name].mean.value == pytest.approx(0, abs=1e-12)
        assert np.isnan(one[name].spearman.value)
    assert abs(one[RANDOM].mean.value) < 0.1
    assert abs(one[RANDOM].spearman.value) < 0.1
    anchor = found[0].anchor.value
    assert one[MEAN_RATER].mean.value > anchor > 0.2


def test_the_random_baseline_shows_every_image_the_row_of_another():
    """Each image has one row of its own number, so its own row would be seen."""
    for seed, n in enumerate([2, 3, 5, 40]):
        ratings = np.full((n + 1, 2, 40), np.nan)  # the last image is rated by nobody
        ratings[np.arange(n), np.arange(n) % 2] = np.arange(n)[:, None]
        shown = random_rows(ratings, np.random.default_rng(seed))
        assert sorted(shown[:n, 0]) == list(range(n))
        assert (shown[:n, 0] != np.arange(n)).all()
        assert np.isnan(shown[n]).all()
    alone = random_rows(ratings[:1], np.random.default_rng(0))
    assert np.isnan(alone).all()  # there is no other image


def test_the_mean_of_the_others_by_hand():
    ratings = np.array([[[0.0], [4.0], [np.nan], [5.0]], [[3.0], [np.nan], [np.nan], [np.nan]]])
    others = mean_of_others(ratings)
    assert others[0].ravel().tolist() == [4.5, 2.5, 3.0, 2.0]
    assert np.isnan(others[1, 0, 0])  # nobody else
    assert others[1, 1:].ravel().tolist() == [3.0, 3.0, 3.0]


def test_baselines_fall_into_the_groups_of_baselines():
    assert group_of(RANDOM, human=False) == "Random Baseline"
    for name in (CONSTANT, PREVALENCE, MEAN_RATER):
        assert group_of(name, human=False) == "Other Baselines"


@pytest.mark.parametrize("protocol", [official, corrected])
@pytest.mark.parametrize("name", [CONSTANT, "Trivial thing", "raters with each other"])
def test_names_that_the_tables_use_are_refused_by_both_protocols(protocol, name):
    rng = np.random.default_rng(4)
    entries = [(f"human-{i}", True, rng.integers(0, 8, (5, 40)), set()) for i in (1, 2)]
    entries.append((name, False, np.zeros((5, 40)), set()))
    with pytest.raises(EmoNetFaceError, match=f"row 11: '{name}' is no name for an annotator"):
        protocol.evaluate(table(entries), n_resamples=2, level=0.95, seed=0)


def test_tables_have_a_row_for_everything(found):
    statistics, comparison = found
    tables = {one.name: one for one in comparison_tables(comparison, statistics.panel)}
    assert [row["annotator"] for row in tables["baselines"].rows] == [
        b.name for b in comparison.baselines
    ]
    assert len(tables["model_differences"].rows) == len(list(combinations(range(3), 2)))
    assert len(tables["against_people"].rows) == 3 + 4
    for one in tables.values():
        for row in one.rows:
            assert set(one.columns) <= set(row)
    assert set(EMOTIONS) <= set(tables["baselines"].columns)


def test_the_same_seed_gives_the_same_numbers(found, faces):
    _, comparison = found
    again = compare(corrected.evaluate(faces, **OPTIONS), **OPTIONS)
    assert again.model_differences == comparison.model_differences
    for one, two in zip(again.baselines, comparison.baselines, strict=True):
        np.testing.assert_array_equal(one.said, two.said)
