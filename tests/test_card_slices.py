"""The tables of slices on a card agree with each other: pytest tests/test_card_slices.py"""

from __future__ import annotations

import json
import re
import shutil

import pytest
from made_products import make_products

from cards.printing import unmarked
from cards.render import card_of
from emonet_face import EmoNetFaceError

NAMES = ("emonet-face", "empathicinsight-face-small")


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    return make_products(tmp_path_factory.mktemp("cards") / "hub")


@pytest.fixture(params=NAMES)
def repo(request, products, tmp_path):
    return shutil.copytree(products[request.param], tmp_path / request.param)


def edit(repo, change):
    path = repo / "evaluation.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def tables(repo):
    """The rows of the table of gaps and of that of all slices, cells without blanks."""
    text = unmarked(card_of(repo).marked).partition("### Slices by prompt")[2]
    text = text.partition("</details>")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if re.match(r"\| (?!prompted)", line)
    ]
    return [row for row in rows if len(row) == 9], [row for row in rows if len(row) == 6]


def test_highest_lowest_and_gap_can_be_read_off_the_table_below(repo):
    """The kappas are turned round on purpose: who ranks by them names the wrong value as worst."""

    def turn(record):
        for row in record["slices"]:
            if row["attribute"] == "age" and row["weighted_kappa"] is not None:
                row["weighted_kappa"] = 1 - row["weighted_kappa"]

    edit(repo, turn)
    gaps, rows = tables(repo)
    for attribute, _, highest, high, lowest, low, gap, *_ in gaps:
        own = [(value, float(shown)) for a, value, _, _, shown, _ in rows if a == attribute
               and shown != "-"]  # fmt: skip
        assert own[0] == (highest, float(high)) == max(own, key=lambda pair: pair[1])
        assert own[-1] == (lowest, float(low)) == min(own, key=lambda pair: pair[1])
        # three roundings of at most half a thousandth each
        assert float(gap) == pytest.approx(float(high) - float(low), abs=0.0015)
    assert [row[0] for row in gaps] == ["age"]


def test_an_attribute_with_one_value_is_left_out_and_a_small_slice_says_so(repo):
    _, rows = tables(repo)
    assert {row[0] for row in rows} == {"age", "ethnicity"}
    small = [row for row in rows if row[1] == "30"]
    assert small == [["age", "30", "3", "-", "-", "fewer than 20 images"]]
    edit(repo, lambda record: record.update(slice_gaps=[]))
    assert "### Slices" not in card_of(repo).marked


def test_the_card_says_why_these_kappas_are_not_those_of_the_results(repo):
    words = " ".join(unmarked(card_of(repo).marked).split())
    for text in (
        "are not those of Results",
        "random slices with as many images",
        "before rounding",
    ):
        assert text in words


def test_a_gap_between_other_slices_is_refused(repo):
    edit(repo, lambda record: record["slice_gaps"][0].update(lowest="70", highest="20"))
    with pytest.raises(EmoNetFaceError, match="is not the one between the highest and the lowest"):
        card_of(repo)


def test_slices_without_the_column_that_ranks_them_are_refused(repo):
    edit(repo, lambda record: [row.pop("difference") for row in record["slices"]])
    with pytest.raises(EmoNetFaceError, match="put the results in again"):
        card_of(repo)
