"""Schematic faces: mixing of action units, what a drawing shows, determinism, faults, the sheet.

    pytest tests/test_schematic.py

Distances between pictures are root mean squares over pixels and channels, in 0..1.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFont

from emonet_face.captions import caption_lines
from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import EMOTIONS, INDEX
from generation.action_units import UNITS, activations, on_side
from generation.contact_sheet import _CAPTION, _GAP, _HEADING, contact_sheet, main, pack_rows
from generation.displays import DISPLAYS, LITERATURE
from generation.face_hair import STYLES
from generation.face_identity import TONES, identity
from generation.prompts import AGES, ETHNICITIES, GENDERS
from generation.schematic import draw

ROOT = Path(__file__).resolve().parents[1]
NEUTRAL = [0.0] * 40
PEOPLE = (
    {"ethnicity": "Asian", "age": 40, "gender": "man", "seed": 5},
    {"ethnicity": "Black or African American", "age": 70, "gender": "woman", "seed": 2},
    {"ethnicity": "White", "age": 20, "gender": "non-binary person", "seed": 9},
)
intensity_lists = st.lists(st.floats(0.0, 1.0), min_size=40, max_size=40)


def only(emotion: str, intensity: float = 1.0) -> list[float]:
    return [intensity * (name == emotion) for name in EMOTIONS]


def pixels(intensities: list[float], size: int = 64, person: int = 0) -> np.ndarray:
    return np.asarray(draw(intensities, size=size, **PEOPLE[person]), dtype=np.float64) / 255


def distance(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.sqrt(((first - second) ** 2).mean()))


# The table of displays


def test_the_table_covers_the_taxonomy_in_order():
    assert tuple(DISPLAYS) == EMOTIONS


def test_every_row_names_known_units_and_works():
    for name, display in DISPLAYS.items():
        assert display.sources, name
        assert set(display.sources) <= set(LITERATURE), name
        assert set(display.units) <= set(UNITS), name
        assert all(0.0 < weight <= 1.0 for weight in display.units.values()), name


def test_no_unit_and_no_work_is_idle():
    used = {unit for display in DISPLAYS.values() for unit in display.units}
    cited = {source for display in DISPLAYS.values() for source in display.sources}
    assert used == set(UNITS)
    assert cited == set(LITERATURE)


@pytest.mark.parametrize(
    ("emotion", "prototype"),
    [  # units of the published prototypes that each row must hold
        ("Amusement", {"AU6", "AU7", "AU12", "AU25", "AU26", "AU53"}),  # Keltner et al. 2019
        ("Contentment", {"AU12", "AU43"}),  # Keltner et al. 2019
        ("Embarrassment", {"AU7", "AU12", "AU15", "AU52", "AU54", "AU64"}),  # Keltner et al. 2019
        ("Confusion", {"AU4", "AU7", "AU56"}),  # Keltner et al. 2019
        ("Pain", {"AU4", "AU6", "AU7", "AU9", "AU10", "AU43"}),  # Prkachin & Solomon 2008
        ("Anger", {"AU4", "AU5", "AU7", "AU23"}),  # EMFACS
        ("Sadness", {"AU1", "AU4", "AU15"}),  # EMFACS
        ("Fear", {"AU1", "AU2", "AU4", "AU5", "AU20", "AU26"}),  # EMFACS
        ("Astonishment/Surprise", {"AU1", "AU2", "AU5", "AU26"}),  # EMFACS
        ("Disgust", {"AU9", "AU10"}),  # Du et al. 2014
        ("Pride", {"AU12", "AU53"}),  # Tracy & Robins 2004
    ],
)
def test_published_prototypes_are_in_the_table(emotion, prototype):
    assert prototype <= set(DISPLAYS[emotion].units)


# Mixing


def test_a_neutral_face_activates_nothing():
    assert activations(NEUTRAL) == dict.fromkeys(UNITS, 0.0)


def test_one_category_gives_weight_times_intensity():
    for name, display in DISPLAYS.items():
        active = activations(only(name, 0.5))
        expected = {unit: 0.5 * display.units.get(unit, 0.0) for unit in UNITS}
        assert active == pytest.approx(expected), name


def test_contributions_add_with_saturation():
    both = only("Contentment", 0.5)
    both[INDEX["Pride"]] = 1.0
    # AU12: Contentment 0.7 * 0.5 = 0.35, Pride 0.5 * 1 = 0.5; 1 - (1 - 0.35) * (1 - 0.5) = 0.675.
    assert activations(both)["AU12"] == pytest.approx(0.675)
    assert activations(both)["AU43"] == pytest.approx(0.5)
    assert activations([1.0] * 40)["AU4"] == pytest.approx(1.0)


@settings(max_examples=60, deadline=None)
@given(intensity_lists, st.integers(0, 39), st.floats(0.0, 1.0))
def test_more_of_a_category_never_lowers_a_unit(intensities, index, raised):
    more = list(intensities)
    more[index] = max(raised, more[index])
    before, after = activations(intensities), activations(more)
    assert all(0.0 <= before[unit] <= after[unit] + 1e-12 <= 1.0 + 1e-12 for unit in UNITS)


def test_one_sided_units_join_the_two_sided_one():
    units = {"AU12": 0.5, "AU12L": 0.4}
    assert on_side(units, "AU12", "L") == pytest.approx(0.7)  # 1 - 0.5 * 0.6
    assert on_side(units, "AU12", "R") == pytest.approx(0.5)


# What a drawing shows


def test_every_pair_of_categories_differs_visibly():
    for person in range(len(PEOPLE)):
        faces = [pixels(only(name), person=person) for name in EMOTIONS]
        faces.append(pixels(NEUTRAL, person=person))
        closest = min(distance(a, b) for a, b in itertools.combinations(faces, 2))
        assert closest > 0.03  # smallest seen: 0.039; two renderings of one face: 0


def test_a_face_moves_away_from_neutral_with_intensity():
    neutral = pixels(NEUTRAL)
    for name in EMOTIONS:
        steps = [distance(pixels(only(name, level)), neutral) for level in (0.25, 0.5, 1.0)]
        assert 0.008 < steps[0] < steps[1] < steps[2], name


def patch(picture: np.ndarray, x: tuple[float, float], y: tuple[float, float]) -> np.ndarray:
    """A part of a picture, given in shares of its side."""
    side = len(picture)
    return picture[int(y[0] * side) : int(y[1] * side), int(x[0] * side) : int(x[1] * side)]


def redness(part: np.ndarray) -> float:
    return float((part[..., 0] - part[..., 1:].mean(axis=-1)).mean())


def white_share(part: np.ndarray) -> float:
    return float((part.min(axis=-1) > 0.88).mean())


CHEEKS, EYES, MOUTH = (
    ((0.28, 0.72), (0.50, 0.62)),
    ((0.3, 0.7), (0.4, 0.54)),
    ((0.35, 0.65), (0.6, 0.8)),
)


def test_blush_reddens_the_cheeks():
    # Of two frontal faces with lowered brows, Anger blushes and Bitterness does not.
    angry, bitter = (patch(pixels(only(name)), *CHEEKS) for name in ("Anger", "Bitterness"))
    assert redness(angry) > 0.03 + redness(bitter)


def test_closed_eyes_hide_the_whites_and_raised_lids_bare_them():
    closed, neutral, wide = (
        white_share(patch(pixels(shown, 128), *EYES))
        for shown in (only("Contentment"), NEUTRAL, only("Astonishment/Surprise"))
    )
    assert closed == 0.0
    assert closed < neutral < wide


def test_a_dropped_jaw_opens_a_dark_mouth_and_a_smile_shows_teeth():
    def dark_share(shown: list[float]) -> float:
        part = patch(pixels(shown, 128), *MOUTH)
        return float(((part[..., 0] < 0.45) & (part[..., 1] < 0.2)).mean())

    assert dark_share(only("Astonishment/Surprise")) > 0.05 + dark_share(NEUTRAL)
    smile = patch(pixels(only("Elation"), 128), *MOUTH)
    assert white_share(smile) > 0.02 + white_share(patch(pixels(NEUTRAL, 128), *MOUTH))


def test_left_and_right_are_the_persons_own():
    # Affection tilts the head to the person's left (AU55): to the right of the picture.
    def hair_centre(shown: list[float]) -> float:
        top = patch(pixels(shown, 128, person=0), (0.0, 1.0), (0.0, 0.25))
        dark = top.mean(axis=-1) < 0.35
        return float(np.nonzero(dark)[1].mean()) / 128

    assert hair_centre(only("Affection")) > hair_centre(NEUTRAL) + 0.05
    assert hair_centre(only("Confusion")) < hair_centre(NEUTRAL) - 0.05  # AU56, to the right


@pytest.mark.parametrize("size", [16, 64, 224, 512])
def test_every_size_shows_the_same_picture(size):
    face = draw(only("Elation"), size=size, **PEOPLE[0])
    assert (face.size, face.mode) == ((size, size), "RGB")
    large = draw(only("Elation"), size=1024, **PEOPLE[0])
    reduced = large.resize((size, size), Image.Resampling.BOX)
    apart = np.abs(np.asarray(face, dtype=float) - np.asarray(reduced, dtype=float)).mean()
    assert apart < 3.0  # of 255: edges only


@pytest.mark.slow
def test_the_largest_size_draws():
    assert draw(only("Awe"), size=2048, **PEOPLE[0]).size == (2048, 2048)


# People


def test_every_demographic_cell_draws():
    cells = list(itertools.product(ETHNICITIES, AGES, GENDERS))
    assert len(cells) == 294
    for seed, (ethnicity, age, gender) in enumerate(cells):
        face = draw(NEUTRAL, ethnicity=ethnicity, age=age, gender=gender, size=32, seed=seed)
        assert np.asarray(face).std() > 10.0


def test_ethnicity_changes_colours_only():
    coloured = {"skin", "shade", "glow", "line", "lips", "hair", "brow"}
    for seed in range(20):
        people = [identity(ethnicity, 30, "woman", seed) for ethnicity in ETHNICITIES]
        fixed = [
            {k: v for k, v in dataclasses.asdict(who).items() if k not in coloured}
            for who in people
        ]
        assert all(look == fixed[0] for look in fixed)


def test_any_two_ranges_of_skin_and_hair_overlap():
    assert tuple(sorted(TONES)) == tuple(sorted(ETHNICITIES))
    assert max(low for low, _, _ in TONES.values()) < min(high for _, high, _ in TONES.values())
    assert all(fair > 0.0 for _, _, fair in TONES.values())


def test_people_grow_grey_and_wrinkled_and_styles_are_known():
    for seed in range(40):
        young, old = (identity("Indian", age, "man", seed) for age in (20, 80))
        assert young.wrinkles == 0.0
        assert old.wrinkles == 1.0
        assert sum(old.hair) > sum(young.hair)
        assert old.face_width == young.face_width
    styles = {
        identity("Asian", age, gender, seed).style
        for age in AGES
        for gender in GENDERS
        for seed in range(60)
    }
    assert styles == set(STYLES)


def test_seeds_give_different_people():
    faces = {
        draw(NEUTRAL, ethnicity="Asian", age=30, gender="woman", size=32, seed=seed).tobytes()
        for seed in range(25)
    }
    assert len(faces) == 25


# Determinism


def test_same_arguments_same_bytes_and_the_input_is_left_alone():
    shown = np.random.default_rng(1).random(40)
    kept = shown.copy()
    first, second = (draw(shown, size=96, **PEOPLE[1]).tobytes() for _ in range(2))
    assert first == second
    assert np.array_equal(shown, kept)


def test_same_bytes_in_another_process():
    code = (
        "import hashlib; from generation.schematic import draw;"
        "print(hashlib.sha256(draw([0.3] * 40, ethnicity='arabic', age=50,"
        " gender='woman', size=48, seed=3).tobytes()).hexdigest())"
    )
    face = draw([0.3] * 40, ethnicity="arabic", age=50, gender="woman", size=48, seed=3)
    there = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert there.stdout.strip() == hashlib.sha256(face.tobytes()).hexdigest()


# Faults


@pytest.mark.parametrize("count", [0, 39, 41])
def test_a_wrong_number_of_intensities_is_refused(count):
    with pytest.raises(EmoNetFaceError, match=f"{count} intensities: 40 are needed"):
        draw([0.0] * count, **PEOPLE[0])


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf"), "much", None])
def test_an_intensity_out_of_range_is_refused_by_name(value):
    shown: list[object] = [0.0] * 40
    shown[INDEX["Anger"]] = value
    with pytest.raises(EmoNetFaceError, match=r"intensity of 'Anger' is .*must lie in 0\.\.1"):
        draw(shown, **PEOPLE[0])


@pytest.mark.parametrize(
    ("argument", "value", "allowed"),
    [
        ("ethnicity", "Martian", "Hispanic or Latino"),
        ("age", 35, "20, 30, 40"),
        ("gender", "non-binary", "non-binary person"),
        ("seed", -1, "0 or more"),
        ("seed", 1.5, "whole number"),
        ("size", 15, r"16\.\.2048"),
        ("size", 2049, r"16\.\.2048"),
        ("size", 64.5, "whole number"),
    ],
)
def test_unknown_arguments_are_refused_with_what_is_allowed(argument, value, allowed):
    with pytest.raises(EmoNetFaceError, match=rf"^{argument} is .*{allowed}"):
        draw(NEUTRAL, **{**PEOPLE[0], argument: value})


# The contact sheet


def test_the_sheet_shows_every_category_once():
    names = [name for row in pack_rows() for _, group in row for name in group]
    assert sorted(names) == sorted((*EMOTIONS, "Neutral"))
    assert all(sum(len(group) for _, group in row) <= 11 for row in pack_rows())


def test_captions_and_headings_of_the_sheet_fit_and_can_be_read_in_the_readme():
    """GitHub shows the picture about 830 pixels wide; 9 pixels are its smallest letters."""
    face = 128
    small, large = (ImageFont.load_default(round(face * part)) for part in (_CAPTION, _HEADING))
    assert small.size * 830 / contact_sheet(face=face).width > 9
    for row in pack_rows():
        for family, names in row:
            assert large.getlength(family) <= len(names) * (face + _GAP) - _GAP
            for name in names:
                assert max(map(small.getlength, caption_lines(name, small, face))) <= face


def test_the_committed_sheet_is_the_one_the_code_draws():
    committed = Image.open(ROOT / "docs" / "contact_sheet.png").convert("RGB")
    drawn = contact_sheet()
    assert committed.size == drawn.size
    apart = np.abs(np.asarray(committed, dtype=float) - np.asarray(drawn, dtype=float)).mean()
    assert apart < 1.0  # other builds of Pillow may draw letters a little differently
    assert (ROOT / "docs" / "contact_sheet.png").stat().st_size < 600_000


def test_the_command_writes_the_same_file_twice_and_never_over_a_strangers(tmp_path):
    out = tmp_path / "sheet.png"
    assert main(["--out", str(out)]) == 0
    first = out.read_bytes()
    assert main(["--out", str(out)]) == 0
    assert out.read_bytes() == first
    strange = tmp_path / "holiday.png"
    Image.new("RGB", (8, 8)).save(strange)
    before = strange.read_bytes()
    with pytest.raises(EmoNetFaceError, match="not made by this command"):
        main(["--out", str(strange)])
    assert strange.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["holiday.png", "sheet.png"]
