"""The benchmark's figures: what they show, in grey too, and the world map.

pytest tests/test_figures.py
Whether they are pleasant to read is for eyes; here is what a program can tell.
"""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from emonet_face.taxonomy import EMOTIONS
from eval_metrics import corrected
from eval_metrics.comparison import compare
from eval_metrics.coverage_map import (
    coverage_map,
    equal_earth,
    images_of_countries,
    regions,
)
from eval_metrics.emonet_face_agreement.agreement import nan_mean
from eval_metrics.figure_face import one_face, shares, softmax, typical_face
from eval_metrics.figure_style import LEGIBLE, MEMBERS, STYLE, heat, short_name
from eval_metrics.figures import draw_all, figures_of
from eval_metrics.figures_kappa import agreement_by_group, pairwise_kappa
from eval_metrics.figures_lines import MEAN, RANGE, human_human_lines, model_human_lines
from eval_metrics.figures_models import (
    _label,
    best_model,
    reliability_and_performance,
    spearman_bars,
)
from eval_metrics.figures_reliability import krippendorff_alpha
from eval_metrics.figures_slices import slice_figure
from eval_metrics.groups import GROUPS, figure_name
from eval_metrics.panel import RatingTable
from eval_metrics.prompted import Prompts
from eval_metrics.protocols import Mean, references
from eval_metrics.slices import slice_statistics
from generation.prompts import ETHNICITIES

N = 40
OPTIONS = {"n_resamples": 20, "level": 0.95, "seed": 0}


def make(n_people=4, models=("Empathic Insight Face Small", "Random Baseline"), name="human"):
    """People of whom the last two share no image, and models."""
    rng = np.random.default_rng(0)
    felt = np.maximum(0, rng.normal(0, 3, (N, 40)))
    felt[:, 5] = 0  # a category nobody sees
    annotators, images, human, scores = [], [], [], []
    for image in range(N):
        half = [n_people - 1] if image % 2 else [n_people - 2]
        for person in [*range(n_people - 2), *half]:
            annotators.append(f"{name}-{person + 1}")
            scores.append(np.clip(np.rint(felt[image] + rng.normal(0, 1.3, 40)), 0, 7))
            scores[-1][5] = 0
        for model in models:
            annotators.append(model)
            noise = 50 if "Random" in model else 1.5
            scores.append(felt[image] + rng.normal(-1, noise, 40))
        images += [f"face-{image:02d}"] * (n_people - 1 + len(models))
        human += [True] * (n_people - 1) + [False] * len(models)
    where = [f"row {i}" for i in range(len(images))]
    return corrected.evaluate(
        RatingTable(annotators, images, human, np.array(scores), where), **OPTIONS
    )


@pytest.fixture(scope="module")
def statistics():
    return make()


# --- readable without colours ---


def luminance(colour):
    red, green, blue = to_rgb(colour)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_groups_differ_in_grey_by_hatch_or_by_lightness():
    assert set(STYLE) == set(GROUPS)
    for one, other in combinations(STYLE.values(), 2):
        assert (
            one.hatch != other.hatch or abs(luminance(one.colour) - luminance(other.colour)) > 0.1
        )


def test_lines_of_a_panel_differ_by_marker_and_by_dashes():
    assert len({marker for _, marker, _ in MEMBERS}) == len(MEMBERS)
    assert len({str(dashes) for _, _, dashes in MEMBERS}) == len(MEMBERS)


def test_short_names_are_unique():
    assert len({short_name(emotion) for emotion in EMOTIONS}) == 40


# --- heat map ---


def test_undefined_cells_are_hatched_and_defined_ones_numbered(statistics):
    axes = pairwise_kappa(statistics).axes[0]
    kappa = nan_mean(statistics.pair_kappa)
    undefined = int(np.isnan(kappa).sum())
    assert undefined == 6 + 2  # the diagonal, and two people without a shared image
    assert len([patch for patch in axes.patches if patch.get_hatch()]) == 2
    assert len([patch for patch in axes.patches if not patch.get_hatch()]) == 6  # left blank
    assert len(axes.texts) == kappa.size - undefined
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[:4] == ["human-1", "human-2", "human-3", "human-4"]


def test_the_colour_bar_says_that_values_below_0_are_shown_as_0(statistics):
    assert np.nanmin(nan_mean(statistics.pair_kappa)) < 0
    bar = pairwise_kappa(statistics).axes[1]
    assert bar.get_yticklabels()[0].get_text() == "≤ 0"
    axes = Figure().add_subplot()
    heat(axes, np.array([[0.2, 0.4]]), "kappa")
    labels = [label.get_text() for label in axes.figure.axes[1].get_yticklabels()]
    assert "≤ 0" not in labels


def test_ticks_of_the_colour_bar_print_what_they_stand_at():
    """Up to 0.4 a tall bar has a tick every 0.05; in one decimal two would read the same."""
    axes = Figure(figsize=(9, 9)).add_subplot()
    heat(axes, np.array([[-0.1, 0.37]]), "kappa")
    bar = axes.figure.axes[1]
    labels = [label.get_text() for label in bar.get_yticklabels()]
    assert labels[:2] == ["≤ 0", "0.05"]
    assert [float(label) for label in labels[1:]] == pytest.approx(bar.get_yticks()[1:])


def test_a_median_just_below_0_is_no_negative_zero(statistics):
    kappa = np.full_like(statistics.agreement, -0.001)
    figure = agreement_by_group(replace(statistics, agreement=kappa))
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts[-1] == "median .00, n = 40"
    assert not [text for text in texts if "-.00" in text or "-0" in text]


# --- legends ---


def overlapping(ones, others):
    """Pairs of artists, one of each list, whose boxes meet on a page that has been drawn."""
    return [(one, other) for one in ones for other in others
            if one.get_window_extent().overlaps(other.get_window_extent())]  # fmt: skip


@pytest.mark.parametrize("draw", [
    lambda statistics: spearman_bars(statistics, 0.95),
    lambda statistics: krippendorff_alpha(statistics, 0.95),
    reliability_and_performance,
    lambda statistics: one_face(statistics, "face-00", 4, None, None),
    lambda statistics: coverage_map({"Indian": 3, "White": 5}, 10),
])  # fmt: skip
def test_legends_cover_nothing_that_is_drawn(statistics, draw):
    figure = draw(statistics)
    figure.supxlabel("a notice", x=0.01, ha="left")
    legends = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    assert legends
    drawn = [axes.patch for axes in figure.axes]
    words = [figure._supxlabel, *(axes.xaxis.label for axes in figure.axes)]
    words += [label for axes in figure.axes if axes.axison for label in axes.get_xticklabels()]
    figure.draw_without_rendering()
    assert not overlapping(legends, drawn + words)


def test_a_group_without_a_bar_has_no_entry(statistics):
    found = statistics.spearman["median"]
    nothing = {5: Mean(np.nan, (np.nan, np.nan))}
    assert statistics.panel.annotators[5] == "Random Baseline"
    changed = replace(statistics, spearman={"median": replace(found, means=found.means | nothing)})
    for shown, names in (
        (statistics, ["Empathic Insight Models", "Random Baseline"]),
        (changed, ["Empathic Insight Models"]),
    ):
        legend = spearman_bars(shown, 0.95).axes[0].get_legend()
        assert [text.get_text() for text in legend.get_texts()] == names


def test_an_undefined_correlation_says_no_more_than_that(statistics):
    found = statistics.spearman["median"]
    nothing = Mean(np.nan, (np.nan, np.nan))
    means = dict.fromkeys(found.means, nothing)
    changed = replace(statistics, spearman={"median": replace(found, means=means)})
    texts = [text.get_text() for text in spearman_bars(changed, 0.95).axes[0].texts]
    assert texts == ["undefined"] * len(means)


def test_numbers_are_left_out_where_they_cannot_be_read():
    axes = pairwise_kappa(make(n_people=LEGIBLE + 1, models=())).axes[0]
    assert not axes.texts


# --- lines ---


def test_lines_follow_the_table_in_falling_order_of_the_raters(statistics):
    figure = human_human_lines(statistics)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    people = statistics.agreement[statistics.panel.humans]
    order = [EMOTIONS[i] for i in np.argsort(-np.nan_to_num(_pairs(statistics), nan=-2.0),
                                             kind="stable")]  # fmt: skip
    names = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert names == [short_name(emotion) for emotion in order]
    expected = people[0][[EMOTIONS.index(emotion) for emotion in order]]
    np.testing.assert_array_equal(lines["human-1"].get_ydata(), expected)


def _pairs(statistics):
    people = statistics.panel.humans
    first, second = np.triu_indices(len(people), 1)
    return nan_mean(statistics.pair_kappa[people[first], people[second]], axis=0)


def test_the_mean_of_the_raters_lies_on_top_in_a_colour_of_its_own(statistics):
    axes = human_human_lines(statistics).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    mean = lines.pop(MEAN)
    assert [text.get_text() for text in axes.get_legend().get_texts()][:2] == [RANGE, MEAN]
    raters = [lines[f"human-{i}"] for i in (1, 2, 3, 4)]
    for line in raters:
        assert mean.zorder > line.zorder
        assert mean.get_linewidth() > 2 * line.get_linewidth()
    assert to_rgb(mean.get_color()) not in [to_rgb(colour) for colour, _, _ in MEMBERS]


def test_models_have_a_panel_for_each_group(statistics):
    titles = [axes.get_title(loc="left") or axes.get_title()
              for axes in model_human_lines(statistics).axes]  # fmt: skip
    assert titles == ["Empathic Insight Models", "Random Baseline"]
    assert [figure_name(name) for name in GROUPS if name != "Our Models"] == [
        name for name in GROUPS if name != "Our Models"
    ]


# --- reliability and performance ---


def test_every_defined_category_is_named_and_no_two_names_overlap(statistics):
    figure = reliability_and_performance(statistics)
    figure.draw_without_rendering()
    names = [text for text in figure.axes[0].texts if text.get_text()]
    defined = ~np.isnan(statistics.alpha) & ~np.isnan(statistics.agreement[best_model(statistics)])
    assert len(names) == defined.sum() < 40
    renderer = FigureCanvasAgg(figure).get_renderer()
    # of the text alone: the line to a far point may cross another name
    boxes = [Text.get_window_extent(text, renderer) for text in names]
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    for text in names:  # an axis at 0 does not strike it through
        (outline,) = text.get_path_effects()
        assert outline._gc["foreground"] == "white"


def test_the_name_of_a_point_at_the_edge_stays_in_the_panel():
    figure = Figure()
    axes = figure.add_subplot(xlim=(0, 1), ylim=(0, 1))
    _label(axes, np.array([0.01, 0.99]), np.array([0.01, 0.99]), [0, 1])
    figure.draw_without_rendering()
    for text in axes.texts:
        box = text.get_window_extent()
        assert axes.bbox.contains(*box.min)
        assert axes.bbox.contains(*box.max)


def test_the_best_model_is_no_baseline_where_there_is_another(statistics):
    name = statistics.panel.annotators[best_model(statistics)]
    assert name == "Empathic Insight Face Small"
    alone = make(models=("Random Baseline",))
    assert alone.panel.annotators[best_model(alone)] == "Random Baseline"
    with pytest.raises(ValueError, match="no model"):
        best_model(make(models=()))


# --- one face ---


def test_the_face_lies_at_the_median_distance(statistics):
    image, model = typical_face(statistics)
    panel = statistics.panel
    mean = references(panel, "mean")
    distance = np.abs(softmax(panel.scores[model]) - shares(mean)).sum(axis=1)
    rank = sorted(distance).index(distance[panel.images.index(image)])
    assert rank == (N - 1) // 2


def test_one_face_shows_the_shares_of_both_sides(statistics):
    image, model = typical_face(statistics)
    picture = BytesIO()
    Image.new("RGB", (8, 8), "red").save(picture, "PNG")
    figure = one_face(statistics, image, model, picture.getvalue(), "Awe")
    assert len(figure.axes) == 2
    bars = figure.axes[1].containers
    place = statistics.panel.images.index(image)
    emotions = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    said = softmax(statistics.panel.scores[model][place])
    expected = [said[EMOTIONS.index(emotion)] for emotion in emotions]
    assert [bar.get_width() for bar in bars[1]] == pytest.approx(expected)
    assert bars[1].get_label() == "Empathic Insight Face Small, softmax of scores"
    assert figure.axes[0].get_title() == image
    title = figure.get_suptitle()
    assert title.startswith("A distribution instead of one label: a face prompted as Awe\n")
    assert "compare the order of the bars, not their lengths" in title
    assert "protocol" not in title
    bare = one_face(statistics, image, model, None, None)
    assert len(bare.axes) == 1
    assert image in bare.get_suptitle()


def test_no_face_where_no_model_scores_all_categories(statistics):
    scores = statistics.panel.scores.copy()
    scores[statistics.panel.models, :, 0] = np.nan
    gappy = replace(statistics, panel=replace(statistics.panel, scores=scores))
    assert typical_face(gappy) is None


# --- the world map ---


def test_every_published_string_has_a_region_or_says_that_it_names_none():
    known = regions()
    assert tuple(known) == ETHNICITIES
    assert [name for name, countries in known.items() if not countries] == ["White"]
    for countries in known.values():
        assert set(countries) <= set(images_of_countries({}))
        assert countries == sorted(set(countries))


def test_images_count_for_every_country_their_string_may_evoke():
    found = images_of_countries({"Indian": 3, "South Asian": 4, "White": 5, "a word": 6})
    assert found["India"] == 7  # named by both strings
    assert found["Nepal"] == 4
    assert sum(n > 0 for n in found.values()) == len(regions()["South Asian"])


def test_the_projection_is_equal_earth():
    """Known values: half the equator is 2 sqrt(3) pi / (3 * 1.340264) = 2.7066, a pole 1.3173."""
    points = equal_earth(np.array([[0.0, 0.0], [180.0, 0.0], [0.0, 90.0], [-180.0, 0.0]]))
    assert points[0].tolist() == [0, 0]
    assert points[1] == pytest.approx([2.70663, 0], abs=1e-4)
    assert points[2] == pytest.approx([0, 1.31733], abs=1e-4)
    assert points[3] == pytest.approx(-points[1])


def test_equal_areas_are_equal_on_the_map():
    """Squares of half a degree at the equator and at 60 degrees: half as large there."""

    def area(latitude):
        corners = np.array([[0, latitude], [0.5, latitude], [0.5, latitude + 0.5],
                            [0, latitude + 0.5]])  # fmt: skip
        x, y = equal_earth(corners).T
        return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2

    ratio = np.cos(np.radians(60.25)) / np.cos(np.radians(0.25))
    assert area(60) / area(0) == pytest.approx(ratio, rel=1e-4)


def test_the_map_has_a_bar_for_each_string_and_names_what_it_lacks():
    figure = coverage_map({"Indian": 3, "White": 5}, 10)
    label = "images (2 more name no ethnicity)"
    bars = next(axes for axes in figure.axes if axes.get_xlabel() == label)
    assert [label.get_text() for label in bars.get_yticklabels()] == ["Indian", "White"]
    hatched = [[text.get_text() for text in axes.get_legend().get_texts()]
               for axes in (figure.axes[0], bars)]  # fmt: skip
    assert hatched == [["evoked by no prompt"], ["names no region"]]
    assert coverage_map({"Indian": 3}, 3).axes[1].get_legend() is None
    assert "not" in figure.get_suptitle()


def test_countries_have_the_colour_that_the_bar_gives_their_number():
    figure = coverage_map({"Indian": 3, "South Asian": 4}, 7)
    (bar,) = [axes for axes in figure.axes if "country" in axes.get_xlabel()]
    (scale,) = [found for found in bar.collections if found.get_array() is not None]
    filled = [shape.get_facecolor()[0].tolist() for shape in figure.axes[0].collections[1:]]
    assert filled == [pytest.approx(scale.to_rgba(n)) for n in (4, 7)]


def test_no_ring_of_the_map_crosses_the_edge():
    from eval_metrics import coverage_map as module

    shapes = json.loads((module._HERE / "world_countries.json").read_text())
    assert "public domain" in shapes["licence"]
    for rings in shapes["countries"].values():
        for ring in rings:
            longitude = np.array(ring[::2] + ring[:1]) / 10
            assert np.abs(np.diff(longitude)).max() < 180


# --- all together ---


@pytest.fixture(scope="module")
def prompts(statistics):
    of_image = {image: ETHNICITIES[i % 2] for i, image in enumerate(statistics.panel.images)}
    one = dict.fromkeys(statistics.panel.images, "schematic")
    return Prompts({"ethnicity": of_image, "age": {}, "gender": {}, "generator": one}, N)


def test_slices_have_a_row_each_and_undivided_attributes_none(statistics, prompts):
    draws = compare(statistics, **OPTIONS).draws
    slices = slice_statistics(statistics.panel, prompts, draws, seed=0)
    figure = slice_figure(statistics, slices, 0.95)
    assert [axes.get_title() or axes.get_title(loc="left") for axes in figure.axes] == [
        "prompted ethnicity"
    ]
    rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert rows == [f"{name} (n = 20)" for name in sorted(ETHNICITIES[:2], reverse=True)]
    assert "best of" not in figure.get_suptitle()  # all are shown
    many = make(models=tuple(f"model {i}" for i in range(6)))
    slices = slice_statistics(many.panel, prompts, compare(many, **OPTIONS).draws, seed=0)
    assert slice_figure(many, slices, 0.95).get_suptitle().endswith("the 4 best of 6 models")


@pytest.mark.parametrize("n_models", [1, 4])
def test_marks_of_a_slice_stand_together_and_no_words_on_others(n_models):
    statistics = make(models=tuple(f"a model with a long name {i}" for i in range(n_models)))
    images = statistics.panel.images
    prompts = Prompts({
        "ethnicity": {image: ETHNICITIES[i % 2] for i, image in enumerate(images)},
        "gender": {image: ("man", "woman")[i // 20] for i, image in enumerate(images)},
    }, N)  # fmt: skip
    draws = compare(statistics, **OPTIONS).draws
    figure = slice_figure(statistics, slice_statistics(statistics.panel, prompts, draws, 0), 0.95)
    notice = figure.supxlabel("a notice of some length, as of simulated raters", x=0.01, ha="left")
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert axes.get_xlabel().startswith("difference: weighted kappa less that of\nrandom")
        marks = [line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
        rows = [sorted(y for y in marks if round(y) == row) for row in (0, 1)]
        assert [len(row) for row in rows] == [n_models + 1] * 2
        partners = np.diff(rows).max()
        assert rows[1][0] - rows[0][-1] > 1.3 * partners
        labels = [label for label in axes.get_xticklabels() if label.get_text()]
        assert len(labels) > 2
        assert not any(overlapping([one], [other]) for one, other in combinations(labels, 2))
    axes = figure.axes[0]
    below = [notice, axes.xaxis.label, *axes.get_xticklabels()]
    assert not overlapping([axes.get_legend()], below)


@pytest.mark.slow
def test_every_figure_is_written(statistics, prompts, tmp_path):
    slices = slice_statistics(statistics.panel, prompts, compare(statistics, **OPTIONS).draws, 0)
    draw_all({"corrected": statistics}, tmp_path, 0.95, slices, prompts)
    names = [f"{name}_corrected" for name, _ in figures_of(statistics, 0.95)]
    names += ["slices_corrected", "coverage_map", "one_face"]
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(files) == {f"{name}.{kind}" for name in names for kind in ("png", "pdf")}
    for name, data in files.items():
        assert data.startswith(b"\x89PNG" if name.endswith("png") else b"%PDF")
        assert len(data) > 5000
