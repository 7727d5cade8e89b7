"""Every number on every card is traced to a file, and a wrong one is caught.

    pytest tests/test_card_numbers.py

Cards are rendered with marks that say where each number comes from. Every source is opened again
(`card_sources`) and must give the same digits; whatever digits are left then must stand in words of
the products' files or in a short list.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections import Counter

import pytest
from card_sources import CODE, LINKS, NUMBER, WORDS, faults
from made_products import PRODUCTS, make_products
from toy_model import make_model
from toy_repo import make_repo

from cards import printing
from cards.printing import rendered, traces, unmarked
from cards.render import card_of, render_card
from cards.sourced import Number, sourced
from dataset_scripts.binary import build_binary
from emonet_face import EmoNetFaceError


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    return make_products(tmp_path_factory.mktemp("cards") / "hub")


@pytest.mark.parametrize("name", PRODUCTS)
def test_every_number_is_what_its_source_says(products, name):
    card = card_of(products[name])
    found = list(traces(card.marked))
    for marked in (card.marked, *card.others.values()):
        assert faults(products[name], marked) == []
    if name not in ("emonet_face_agreement", "page"):
        assert len({trace.source for trace in found}) > 150
    files = Counter(trace.source.partition("#")[0] for trace in found)
    if name == "emonet-face":
        assert {"evaluation.json", "README.md", "hq/*.parquet", "results/published.json"} <= set(
            files
        )
    if name == "empathicinsight-face-small":
        assert {"evaluation.json", "config.json", "training.json"} <= set(files)


def test_a_card_is_exactly_its_marked_text(products):
    for repo in products.values():
        render_card(repo)
        body = (repo / "README.md").read_text().split("---\n", 2)[2]
        assert body == unmarked(card_of(repo).marked)
        assert not re.search("[\ue000-\ue002]", body)


@pytest.mark.parametrize("name", ["emonet-face", "empathicinsight-face-small"])
def test_a_changed_number_is_caught_wherever_it_stands(products, name):
    """Each traced number in turn is changed by one in its last digit; each untraced one is new."""
    repo = products[name]
    marked = card_of(repo).marked
    places = list(re.finditer("\ue001([^\ue002]*)\ue002", marked))
    for place in places[:: max(1, len(places) // 25)]:
        digit = next(i for i in reversed(range(*place.span(1))) if marked[i].isdigit())
        other = str((int(marked[digit]) + 1) % 10)
        assert faults(repo, marked[:digit] + other + marked[digit + 1 :])
    for line in ("Of 812 images", "kappa 0.218", "a share of 73.5 %", "1,204 rows"):
        assert faults(repo, marked.replace("## Limits\n", f"## Limits\n{line}\n"))


def test_a_changed_file_is_caught(products, tmp_path):
    repo = tmp_path / "emonet-face"
    shutil.copytree(products["emonet-face"], repo)
    marked = card_of(repo).marked
    record = json.loads((repo / "evaluation.json").read_text())
    record["protocols"]["official"][0]["weighted_kappa"] += 0.001
    (repo / "evaluation.json").write_text(json.dumps(record))
    (fault,) = faults(repo, marked)
    assert fault.endswith("is not evaluation.json#/protocols/official/0/weighted_kappa")


def test_templates_say_few_numbers_themselves():
    used = set()
    for path in printing.TEMPLATES.glob("*.md.j2"):
        if path.name == "citation.md.j2":
            continue
        text = re.sub(r"\{[{%].*?[%}]\}", "", path.read_text(), flags=re.DOTALL)
        used |= set(NUMBER.findall(LINKS.sub("", CODE.sub("", text))))
    assert used <= set(WORDS), used - set(WORDS)


@pytest.fixture
def templates(tmp_path, monkeypatch):
    monkeypatch.setattr(printing, "TEMPLATES", tmp_path)
    printing._environment.cache_clear()
    printing._placeholders.cache_clear()
    yield tmp_path
    printing._environment.cache_clear()
    printing._placeholders.cache_clear()


def test_a_placeholder_unknown_or_unused_is_an_error(templates):
    (templates / "inner.j2").write_text("{{ b }}")
    (templates / "t.j2").write_text("{% if a %}{% include 'inner.j2' %}{% endif %}")
    assert rendered("t.j2", {"a": True, "b": "x"}) == "x\n"
    with pytest.raises(EmoNetFaceError, match=r"t\.j2: has placeholders that nothing fills: b"):
        rendered("t.j2", {"a": False})
    with pytest.raises(EmoNetFaceError, match=r"t\.j2: does not use: c"):
        rendered("t.j2", {"a": True, "b": "x", "c": 1})
    with pytest.raises(EmoNetFaceError, match=r"no\.j2: there is no such template"):
        rendered("no.j2", {})


@pytest.mark.parametrize(
    ("text", "value", "message"),
    [
        ("{{ n }}", 3, "without a filter"),
        ("{{ n }}", Number(3, "f#"), "without a filter"),
        ("{{ n | count }}", 3, "has no source"),
        ("{{ n | number }}", "3", "has no source"),
        ("{{ n }}", None, "not there"),
    ],
)
def test_no_number_is_printed_without_a_source(templates, text, value, message):
    (templates / "t.j2").write_text(text)
    with pytest.raises(EmoNetFaceError, match=message):
        rendered("t.j2", {"n": value})


def test_numbers_keep_their_source_and_must_be_finite():
    data = sourced({"a/b": [1, None, True, "2"]}, "f.json")
    assert data == {"a/b": [Number(1, "f.json#/a~1b/0"), None, True, "2"]}
    for bad in (math.nan, math.inf, True):
        with pytest.raises(ValueError, match="no finite number"):
            Number(bad, "f#")


def test_a_section_without_numbers_is_left_out(tmp_path):
    bare = make_repo(tmp_path / "emonet-face", lambda rows: rows.pop("binary"))
    body = render_card(bare).read_text()
    for heading in (
        "## Results",
        "## Agreement of the votes",
        "### Slices",
        "how far raters agree",
    ):
        assert heading not in body
    model = render_card(make_model(tmp_path / "m")).read_text()
    for heading in ("## Results", "## Calibration", "## Training", "## Published", "![Bars"):
        assert heading not in model


def test_the_card_of_the_real_votes(published, tmp_path):
    repo = tmp_path / "emonet-face"
    build_binary(published / "binary.csv", repo)
    card = card_of(repo)
    assert faults(repo, card.marked) == []
    body = unmarked(card.marked)
    for words in (
        "| `binary` | `train` | yes/no votes, for fine-tuning | 19,999 | 0 |",
        "| `binary` | human-4 | 18,278 |",
        "| Anger | 107 | 0.150 | 0.140 | 0.710 | 1,004 |",
        "(1,556 votes)",
        "| 382 images have three yes",
        "62,000 votes, the file has 65,686",
    ):
        assert words in body
    assert "eval.yaml" not in card.others
