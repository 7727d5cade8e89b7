"""What cards say beside numbers: front matter, uses, names, pictures, further files.

pytest tests/test_card_contents.py
"""

from __future__ import annotations

import re
import shutil
from collections import Counter

import pytest
import yaml
from made_products import METRIC, PRODUCTS, make_products, results_of
from toy_repo import good_rows, make_repo

from cards.card_pictures import PICTURE
from cards.collection import LIMITS, collection_text
from cards.model_card import model_front_matter
from cards.printing import unmarked
from cards.render import card_of, kind_of, put_results, render_card
from emonet_face import EmoNetFaceError
from emonet_face.cli import main
from emonet_face.taxonomy import EMOTIONS


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    return make_products(tmp_path_factory.mktemp("cards") / "hub")


def test_front_matter_says_rows_that_the_shards_do_not_hold(tmp_path):
    repo = make_repo(tmp_path / "emonet-face")
    text = (repo / "README.md").read_text()
    (repo / "README.md").write_text(text.replace("num_examples: 3", "num_examples: 4", 1))
    with pytest.raises(EmoNetFaceError, match="says 4 rows, the shards hold 3; build again"):
        render_card(repo)


@pytest.mark.parametrize("name", PRODUCTS)
def test_front_matter_is_valid_by_the_hubs_own_classes(products, name):
    from huggingface_hub import DatasetCardData, ModelCardData, SpaceCardData

    repo = products[name]
    render_card(repo, org="some-org")
    front = yaml.safe_load((repo / "README.md").read_text().split("---\n")[1])
    assert front["license"] in ("cc-by-4.0", "apache-2.0")
    assert "emonet-face" in front["tags"] or kind_of(repo) == "metric"
    if kind_of(repo) == "dataset":
        data = DatasetCardData(**front)
        assert data.task_categories == ["image-classification"]
        assert data.configs[0]["config_name"] == "hq"
        assert data.size_categories == ["n<1K"]
        assert {info["config_name"] for info in front["dataset_info"]} == set(good_rows())
    elif kind_of(repo) == "model":
        data = ModelCardData(**front)  # reads model-index, and raises where it is broken
        assert (data.library_name, data.pipeline_tag) == ("transformers", "image-classification")
        assert data.datasets == ["some-org/emonet-face"]
        measured = {(r.metric_type, r.metric_args["protocol"]) for r in data.eval_results}
        assert len(measured) == 4
        assert {r.dataset_type for r in data.eval_results} == {"some-org/emonet-face"}
        large = name.endswith("large")
        assert (data.base_model == "google/siglip2-so400m-patch16-384") == large
    else:
        assert SpaceCardData(**front).sdk == "gradio"


def test_results_that_others_wrote_into_a_model_card_stay(products, tmp_path):
    repo = tmp_path / "m"
    shutil.copytree(products["empathicinsight-face-small"], repo)
    metric = {"type": "x", "value": 1.0}
    result = {"task": {"type": "t"}, "dataset": {"type": "d", "name": "d"}, "metrics": [metric]}
    theirs = [{"name": "m", "results": [result]}]
    front = model_front_matter({"model-index": theirs, "thumbnail": "t"}, repo, None, "d")
    assert (front["model-index"], front["thumbnail"]) == (theirs, "t")
    ours = model_front_matter({}, repo, None, "d")["model-index"]
    again = model_front_matter({"model-index": ours}, repo, "org", "d")["model-index"]
    assert again[0]["results"][0]["dataset"]["type"] == "org/d"


def test_every_card_names_all_categories_with_their_kind(products):
    body = card_of(products["emonet-face"]).marked
    rows = re.findall(r"^\| ([^|]+) \| (emotion|physical state|cognitive state) \|", body, re.M)
    assert [name for name, _ in rows] == list(EMOTIONS)
    assert Counter(kind for _, kind in rows) == {
        "emotion": 34,
        "physical state": 4,
        "cognitive state": 2,
    }


@pytest.mark.parametrize("name", PRODUCTS)
def test_every_card_says_what_it_may_be_used_for(products, name):
    body = " ".join(unmarked(card_of(products[name]).marked).split())
    for words in (
        "Article 5(1)(f)",
        "at work or in education",
        "medical and safety reasons excepted",
        "Annex III 1(c)",
        "Article 50(3)",
        "Article 50(2)",
        "Recital 18",
        "no legal advice",
        "law enforcement, border control, asylum",
    ):
        assert words in body


def test_the_card_of_the_metric_is_the_committed_one(products):
    folder = products["emonet_face_agreement"]
    committed = (METRIC / "README.md").read_text(encoding="utf-8")
    render_card(folder)
    assert (folder / "README.md").read_text(encoding="utf-8") == committed


def test_names_are_those_of_the_hub_where_an_organisation_is_given(products):
    for name in PRODUCTS[:-1]:
        body = unmarked(card_of(products[name], org="some-org").marked)
        assert f'"some-org/{name}"' in body
        assert "ORG/" not in body
        assert f"ORG/{name}" in unmarked(card_of(products[name]).marked)


def test_the_task_file_names_what_the_repo_has(products):
    repo = products["emonet-face"]
    render_card(repo, org="some-org")
    text = (repo / "eval.yaml").read_text()
    task = yaml.safe_load(text)
    assert task["evaluation_framework"] == "inspect-ai"
    assert task["tasks"] == [{"id": "hq", "config": "hq", "split": "test"}]
    assert "inspect eval emonet_face/hq" in text
    assert "dataset=some-org/emonet-face" in text
    assert {"name", "description"} <= set(task)


def test_the_curves_of_training_are_shown(products, tmp_path):
    repo = tmp_path / "empathicinsight-face-small"
    shutil.copytree(products[repo.name], repo)
    assert "curves.png" not in card_of(repo).marked
    (repo / "training").mkdir()
    (repo / "training" / "curves.png").write_bytes(b"x")
    assert "](training/curves.png)" in card_of(repo).marked


def test_the_metrics_example_loads_it_by_the_name_it_has_on_the_hub(products):
    body = unmarked(card_of(products[METRIC.name], org="some-org").marked)
    assert body.count(f'evaluate.load("some-org/{METRIC.name}")') == 2
    assert f'evaluate.load("{METRIC.name}")' not in body


def test_slices_say_whose_agreement_they_are(products):
    whose = {
        "emonet-face": "the raters with each other",
        "empathicinsight-face-small": "this model with the raters",
    }
    for name, words in whose.items():
        assert f"Agreement of {words} on the images" in card_of(products[name]).marked


ODD = {
    "config.json": ('{"model_type": "empathicinsight_face"}',),
    "training.json": ('{"stages": []}', '{"stages": {"ratings": {"run": true}}}'),
    "evaluation.json": (
        '{"protocols": 3, "confidence_level": 0.9}',
        '{"protocols": {}, "confidence_level": 0.9, "categories": []}',
    ),
}


@pytest.mark.parametrize(
    ("name", "text"), [(n, text) for n, texts in ODD.items() for text in texts]
)
def test_files_of_another_form_are_one_line(name, text, products, tmp_path, capsys):
    repo = tmp_path / "empathicinsight-face-small"
    shutil.copytree(products[repo.name], repo)
    before = (repo / "README.md").read_bytes() if (repo / "README.md").exists() else None
    (repo / name).write_text(text)
    assert main(["card", str(repo)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert ((repo / "README.md").read_bytes() if before is not None else None) == before


@pytest.mark.parametrize("front", ["configs: abc", "configs: []", "configs: [3]"])
def test_a_front_matter_by_hand_is_one_line(front, tmp_path, capsys):
    (tmp_path / "README.md").write_text(f"---\n{front}\n---\n# T\n")
    assert main(["card", str(tmp_path)]) == 2
    assert "has no `dataset_info`; build it again" in capsys.readouterr().err


@pytest.mark.parametrize("index", ["abc", [{"name": "x", "results": [{"metrics": []}]}], [3]])
def test_a_model_index_of_another_form_is_somebody_elses(index, products):
    repo = products["empathicinsight-face-small"]
    assert model_front_matter({"model-index": index}, repo, None, "d")["model-index"] == index


def test_pictures_are_drawn_from_the_products_own_data(products):
    from PIL import Image

    for name in PRODUCTS[:2]:
        with Image.open(products[name] / PICTURE) as image:
            assert image.size[0] > 500
            assert "emonet-face card" in image.info["Software"]
        assert f"]({PICTURE})" in (products[name] / "README.md").read_text()


def test_a_picture_of_somebody_else_is_not_overwritten(products, tmp_path):
    repo = tmp_path / "emonet-face"
    shutil.copytree(products["emonet-face"], repo)
    (repo / PICTURE).write_bytes(b"mine")
    with pytest.raises(EmoNetFaceError, match="was not made by this command"):
        render_card(repo)


def test_the_citation_says_what_the_other_pages_say():
    root = METRIC.parents[1]
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    (state,) = re.findall(rf"^## {re.escape(citation['version'])} \((.+)\)$", changes, re.M)
    assert citation.get("date-released") == (None if state == "unreleased" else state)
    assert "it carries neither" in citation["message"]
    assert "this repository carries none of them" in (root / "README.md").read_text("utf-8")


def test_the_collection_fits_the_hub():
    text = collection_text()
    assert len(text.description) < LIMITS["description"]
    assert set(text.notes) == {"dataset", "model", "metric", "space"}


def test_results_go_into_products_only_under_a_known_name(products, tmp_path):
    model = tmp_path / "empathicinsight-face-small"
    shutil.copytree(products[model.name], model)
    results, summaries = results_of()
    before = (model / "evaluation.json").read_bytes()
    for name in (None, "nobody"):
        with pytest.raises(EmoNetFaceError, match="give one of a model, another model"):
            put_results([model], summaries, results, name)
    with pytest.raises(EmoNetFaceError, match="a benchmark has no results for a metric"):
        put_results([model, products[METRIC.name]], summaries, results, "a model")
    assert (model / "evaluation.json").read_bytes() == before
    put_results([model], summaries, results, "another model")
    body = render_card(model).read_text()
    ours = results["protocols"]["corrected"]["weighted_kappa"][1]["Anger"]
    assert f"| Anger | emotion | moderate | {ours:.3f} |" in body
