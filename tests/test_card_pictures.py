"""What stands on the pictures of cards, letter by letter: pytest tests/test_card_pictures.py

Everything that is written into a picture is caught where Pillow draws it.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest
from made_products import METRIC, make_products
from PIL import Image, ImageDraw

from cards.pictures import Bar, draw_bars
from cards.render import card_of

ROOT = METRIC.parents[1]


class Written(NamedTuple):
    text: str
    box: tuple[float, float, float, float]


@pytest.fixture
def written(monkeypatch):
    found: list[Written] = []
    draw = ImageDraw.ImageDraw.text

    def text(self, xy, text, *args, **settings):
        box = self.textbbox(xy, text, font=settings["font"], anchor=settings.get("anchor"))
        found.append(Written(text, box))
        return draw(self, xy, text, *args, **settings)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    return found


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    return make_products(tmp_path_factory.mktemp("cards") / "hub")


def bars(n):
    names = ["Intoxication/Altered States of Consciousness", *(f"bar {i}" for i in range(1, n))]
    return [Bar(name, 0.4 - 0.01 * i, 0.3 - 0.01 * i, 0.5) for i, name in enumerate(names)]


@pytest.mark.parametrize("n", [1, 7, 12, 13, 41])
def test_nothing_is_cut_off_or_written_over(n, written, tmp_path):
    draw_bars("A title", bars(n), tmp_path / "card.png", "A note. " * 40)
    names = {bar.name for bar in bars(n)}
    assert names <= {one.text for one in written}
    with Image.open(tmp_path / "card.png") as image:
        width, height = image.size
    for place, one in enumerate(written):
        left, top, right, bottom = one.box
        assert left >= 0 <= top
        assert right <= width
        assert bottom <= height
        for other in written[:place]:
            apart = right <= other.box[0] or other.box[2] <= left
            assert apart or bottom <= other.box[1] or other.box[3] <= top, (one, other)


def test_few_bars_stand_in_one_column_and_many_in_two(written, tmp_path):
    for n, columns in ((12, 1), (13, 2)):
        written.clear()
        draw_bars("t", bars(n), tmp_path / "card.png", "n")
        ends = {round(one.box[2]) for one in written if one.text.startswith("bar ")}
        assert len({end // 4 for end in ends}) == columns


def test_the_metrics_picture_prints_what_published_json_says(products, written):
    card_of(products[METRIC.name])
    published = json.loads((ROOT / "results" / "published.json").read_text())["spearman_median"]
    values = published["values"]
    texts = [one.text for one in written]
    drawn = [text for text in texts if text.startswith("0.")]
    assert drawn == [f"{v['value']:.3f}" for v in values.values()]
    assert texts.index("0.395") > texts.index("Empathic Insight Face Large")
    with (
        Image.open(METRIC / "card.png") as ours,
        Image.open(products[METRIC.name] / "card.png") as new,
    ):
        assert ours.size == new.size


def test_the_models_picture_says_protocol_simulated_and_the_interval_of_the_mean(
    products, written, monkeypatch
):
    lines = []
    line = ImageDraw.ImageDraw.line

    def noted(self, xy, *args, **settings):
        lines.append(xy)
        return line(self, xy, *args, **settings)

    monkeypatch.setattr(ImageDraw.ImageDraw, "line", noted)
    repo = products["empathicinsight-face-small"]
    card_of(repo)
    text = " ".join(one.text for one in written)
    assert "protocol corrected" in text
    assert "Simulated raters: a demonstration" in text
    assert "EmpathicInsight-Face Small (demo)" in text
    assert "mean of the categories" in text
    assert "Intoxication/Altered States of Consciousness" in text
    assert "…" not in text
    before = len(lines)
    record = json.loads((repo / "evaluation.json").read_text())
    (row,) = (r for r in record["protocols"]["corrected"] if r["annotator"] == "a model")
    row["spearman_ci"] = [0.1, 0.2]
    (repo / "evaluation.json").write_text(json.dumps(record))
    lines.clear()
    card_of(repo)
    assert len(lines) == before + 3  # the interval and its two ends


def test_faces_are_said_to_show_more_than_their_prompt(products, monkeypatch):
    monkeypatch.setattr("cards.card_pictures.LEAST_FACES", 2)
    body = card_of(products["emonet-face"]).marked
    assert "a face may show other categories too" in body
    assert "raters may see another one" in body
