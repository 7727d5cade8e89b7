"""Cards say what the product's own files say, and nothing else: pytest tests/test_cards.py"""

from __future__ import annotations

import json
import re

import pytest
import yaml

from cards.render import EVALUATION, SIMULATED, kind_of, render_card, write_evaluation
from dataset_scripts.binary import build_binary
from dataset_scripts.hq import build_hq
from emonet_face import EmoNetFaceError
from emonet_face.cli import main
from emonet_face.ratings import Scores
from emonet_face.released import Rating, Vote, write_ratings, write_votes
from emonet_face.taxonomy import EMOTIONS

ROWS = [
    {
        "annotator": "a model",
        "weighted_kappa": 0.12345,
        "weighted_kappa_ci": [0.1, 0.15],
        "spearman": None,
        "spearman_ci": None,
    }
]


def _dataset(tmp_path, name="human-1"):
    votes = [Vote("0", name, "Anger", True), Vote("0", "human-3", "Contentment", False)]
    write_votes(tmp_path / "v.csv", votes)
    ratings = [
        Rating(f"{i}.png", str(i), rater, True, Scores([float(i)] * 40))
        for i in range(3)
        for rater in (name, "human-9")
    ]
    write_ratings(tmp_path / "r.csv", ratings)
    repo = tmp_path / "emonet-face"
    build_binary(tmp_path / "v.csv", repo)
    build_hq(tmp_path / "r.csv", repo)
    return repo


def _model(tmp_path, **training):
    repo = tmp_path / "empathicinsight-face-small"
    repo.mkdir()
    config = {
        "model_type": "empathicinsight_face",
        "head_size": "small",
        "head_hidden_sizes": [128, 32],
        "output_names": list(EMOTIONS),
        "neutral_source": "images rated 0",
        "vision_config": {"hidden_size": 96},
    }
    (repo / "config.json").write_text(json.dumps(config))
    (repo / "training.json").write_text(json.dumps(training))
    return repo


def _front(repo):
    return yaml.safe_load((repo / "README.md").read_text().split("---\n")[1])


def _body(repo):
    return (repo / "README.md").read_text().split("---\n", 2)[2]


def test_a_dataset_card_keeps_what_loaders_read_and_counts_from_the_files(tmp_path):
    repo = _dataset(tmp_path)
    before = _front(repo)
    render_card(repo)
    after = _front(repo)
    assert {key: after[key] for key in before} == before
    assert after["size_categories"] == ["n<1K"]
    body = _body(repo)
    assert "| `hq` | `test` | slider ratings, for evaluation | 3 | 0 |" in body
    assert "| `binary` | `train` | yes/no votes, for fine-tuning | 1 | 0 |" in body
    assert "| `hq` | human-1 | 3 |" in body
    assert "`big`" not in body
    assert "## Results" not in body
    assert "alpha" not in body.split("## Published values")[0]
    assert SIMULATED not in body
    for emotion in EMOTIONS:
        assert emotion in body


def test_simulated_raters_are_told_from_the_data_itself(tmp_path):
    repo = _dataset(tmp_path, name="simulated-human-1")
    render_card(repo)
    assert SIMULATED in _body(repo)


def test_numbers_come_from_the_evaluation_file_and_undefined_is_a_dash(tmp_path):
    repo = _dataset(tmp_path)
    write_evaluation(repo, {"corrected": ROWS}, level=0.9, seed=1)
    render_card(repo)
    body = _body(repo)
    assert "| a model | 0.123 | [0.100,\N{NO-BREAK SPACE}0.150] | - | - |" in body
    assert "90\N{NO-BREAK SPACE}% bootstrap intervals" in body
    (repo / EVALUATION).write_text("{}")
    with pytest.raises(EmoNetFaceError, match="has no 'protocols'"):
        render_card(repo)


def test_rendering_twice_changes_nothing(tmp_path):
    repo = _dataset(tmp_path)
    write_evaluation(repo, {"corrected": ROWS}, level=0.9, seed=1)
    render_card(repo)
    first = {path: path.read_bytes() for path in repo.rglob("*") if path.is_file()}
    assert {path.name for path in first} >= {"README.md", "eval.yaml"}
    render_card(repo)
    assert {path: path.read_bytes() for path in first} == first


def test_a_model_card_from_config_and_training(tmp_path):
    ratings = {
        "run": True,
        "annotators": ["simulated-vlm"],
        "images": {"training": 1080, "held_out": 120},
        "held_out": {"mae": 0.3584, "mae_of_mean": 0.6171},
    }
    repo = _model(tmp_path, stages={"ratings": ratings, "votes": {"run": False}})
    render_card(repo)
    front, body = _front(repo), _body(repo)
    assert front["library_name"] == "transformers"
    assert front["pipeline_tag"] == "image-classification"
    words = " ".join(body.split())
    assert "Stage `ratings`: 1,080 images, 120 more held out; labels by simulated-vlm." in words
    assert "| `ratings` | mean absolute error of the ratings | 0.617 | 0.358 |" in body
    assert "Stage `votes`: not run." in body
    assert "96 → 128 → 32 → one score" in body
    assert "(batch, 96)" in body
    assert SIMULATED in body
    assert "## Results" not in body


def test_what_a_stage_changed_is_a_table_and_many_raters_are_counted(tmp_path):
    votes = {
        "run": True,
        "annotators": [f"simulated-human-{n}" for n in range(1, 8)],
        "images": {"training": 360, "held_out": 40},
        "held_out": {"log_loss_before": 0.5775, "ratings_mae_before": 0.351, "log_loss": 0.536,
                     "ratings_mae": 0.3787},
    }  # fmt: skip
    repo = _model(tmp_path, stages={"ratings": {"run": False}, "votes": votes})
    body = render_card(repo).read_text()
    assert "labels by 7 simulated raters." in body
    assert "simulated-human-3" not in body
    rows = [line for line in body.splitlines() if line.startswith("| `votes` |")]
    assert rows == [
        "| `votes` | log loss of the votes | 0.578 | 0.536 |",
        "| `votes` | mean absolute error of the ratings, 40 categories | 0.351 | 0.379 |",
    ]
    votes["annotators"][0] = "human-1"
    (repo / "training.json").write_text(json.dumps({"stages": {"votes": votes}}))
    assert "labels by 7 raters, some of them simulated." in render_card(repo).read_text()


@pytest.mark.parametrize(
    ("backbone", "tower", "licence"),
    [
        (
            {"name": "tower", "revision": None, "made_by": "emonet-face tower"},
            "small demonstration tower, trained here",
            "CC BY 4.0, as the heads",
        ),
        (
            {"name": "tower", "revision": None},
            "`tower`, a folder; where it came from is not recorded",
            "that of its source, which is not recorded",
        ),
        (
            {"name": "google/siglip2-x", "revision": "abc"},
            "`google/siglip2-x`, revision `abc`",
            "Apache-2.0 (SigLIP 2, Google)",
        ),
    ],
)
def test_the_tower_is_what_the_record_shows(tmp_path, backbone, tower, licence):
    body = render_card(_model(tmp_path, backbone=backbone)).read_text()
    assert f"| vision tower | {tower} |" in body
    assert f"| vision tower | {licence} |" in body


def test_a_model_of_simulated_raters_does_not_have_the_published_ones_name(tmp_path):
    for name, demo in (("simulated-vlm", True), ("human-1", False)):
        (tmp_path / name).mkdir()
        repo = _model(tmp_path / name, stages={"ratings": {"annotators": [name]}})
        write_evaluation(repo, {"corrected": ROWS}, level=0.9, seed=1, annotator="a model")
        render_card(repo)
        assert ("# EmpathicInsight-Face Small (demo)\n" in _body(repo)) == demo
        assert _front(repo)["model-index"][0]["name"].endswith("(demo)") == demo


@pytest.mark.parametrize(
    ("names", "creators"),
    [
        (("simulated-human-1", "simulated-human-9"), ["machine-generated"]),
        (("human-1", "human-2"), ["expert-generated"]),
        (("human-1", "somebody"), ["expert-generated", "other"]),
        (("simulated-human-1", "human-1"), ["expert-generated", "machine-generated"]),
    ],
)
def test_the_front_matter_does_not_make_programs_experts(tmp_path, names, creators):
    ratings = [
        Rating(f"{i}.png", str(i), rater, True, Scores([float(i)] * 40))
        for i in range(3)
        for rater in names
    ]
    write_ratings(tmp_path / "r.csv", ratings)
    build_hq(tmp_path / "r.csv", tmp_path / "emonet-face")
    render_card(tmp_path / "emonet-face")
    assert _front(tmp_path / "emonet-face")["annotations_creators"] == creators
    lines = _body(tmp_path / "emonet-face").partition("## Who annotated\n\n- ")[2].splitlines()
    first = next((i for i, name in enumerate(names) if name.startswith("simulated")), None)
    assert ("programs" in lines[0]) == (first is not None)
    assert ("each rater moved a slider" in "\n".join(lines)) == ("human-1" in names)


def test_what_rounds_to_zero_has_no_sign(tmp_path):
    repo = _dataset(tmp_path)
    row = ROWS[0] | {"weighted_kappa": -0.0004, "weighted_kappa_ci": [-0.0011, -0.00049]}
    write_evaluation(repo, {"corrected": [row]}, level=0.9, seed=1)
    body = render_card(repo).read_text()
    assert "| a model | 0.000 | [-0.001,\N{NO-BREAK SPACE}0.000] |" in body


def test_long_tables_are_folded_so_that_results_are_near(tmp_path):
    repo = _dataset(tmp_path)
    write_evaluation(repo, {"corrected": ROWS}, level=0.9, seed=1)
    render_card(repo)
    body = _body(repo)
    unfolded = re.sub(r"<details>.*?</details>", "", body.partition("## Results")[0], flags=re.S)
    tables = re.findall(r"(?:^\|.*\n)+", unfolded, re.M)
    assert max(table.count("\n") for table in tables) < 25
    assert body.count("<details>") == body.count("</details>") >= 1
    for fold in re.findall(r"<details>.*?</details>", body, re.S):
        assert re.match(r"<details><summary>[^\n]+</summary>\n\n\|", fold)
        assert fold.endswith("|\n\n</details>")


@pytest.mark.parametrize("make", [_dataset, _model])
def test_every_card_states_forbidden_use_and_leaves_no_gap(tmp_path, make):
    repo = make(tmp_path)
    body = render_card(repo).read_text()
    assert "at work or in education" in body
    assert not re.search(r"\{\{|\}\}\s|\{%|More Information Needed|None", body)
    assert "\n\n\n" not in body


def test_kinds_are_told_from_content(tmp_path):
    assert kind_of(_dataset(tmp_path)) == "dataset"
    assert kind_of(_model(tmp_path)) == "model"
    metric = tmp_path / "emonet_face_agreement"
    metric.mkdir()
    (metric / "emonet_face_agreement.py").write_text("")
    assert kind_of(metric) == "metric"


def test_what_is_no_product_is_one_line(tmp_path, capsys):
    assert main(["card", str(tmp_path)]) == 2
    assert "is no product folder" in capsys.readouterr().err
    repo = _model(tmp_path)
    (repo / "config.json").write_text('{"model_type": "bert"}')
    assert main(["card", str(repo)]) == 2
    assert "model_type is 'bert'" in capsys.readouterr().err


def test_a_file_or_nothing_in_place_of_a_product_folder(tmp_path, capsys):
    repo = _model(tmp_path)
    render_card(repo)
    assert main(["card", str(repo / "README.md")]) == 2
    assert f"{repo}/README.md: is a file; give a product folder" in capsys.readouterr().err
    assert main(["card", str(tmp_path / "none")]) == 2
    assert f"{tmp_path}/none: no such folder; give a product folder" in capsys.readouterr().err


def test_a_name_without_the_results_that_it_stands_in(tmp_path, capsys):
    assert main(["card", str(_model(tmp_path)), "--annotator", "mine"]) == 2
    assert "--annotator: names the model in --results" in capsys.readouterr().err


def test_a_missing_or_damaged_shard_is_one_line(tmp_path, capsys):
    repo = _dataset(tmp_path)
    (shard,) = (repo / "hq").glob("*.parquet")
    shard.write_bytes(shard.read_bytes()[:500])
    assert main(["card", str(repo)]) == 2
    assert shard.name in capsys.readouterr().err
    shard.unlink()
    assert main(["card", str(repo)]) == 2
    assert "config 'hq' has no Parquet files" in capsys.readouterr().err
