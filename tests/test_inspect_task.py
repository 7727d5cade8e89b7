"""The inspect_ai task asks, reads and scores as `annotate` and the metric do.

    pytest tests/test_inspect_task.py          # needs the extra `inspect`

The harness runs for real, with its mock model giving stored answers: made ones, broken ones, and
the published replies of Claude 3.7 from the folder of published data.
"""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from toy_repo import face, picture

from dataset_scripts.columns import rating_columns
from dataset_scripts.repository import write_configs
from emonet_face import EmoNetFaceError
from emonet_face.imaging import inspect_image
from emonet_face.taxonomy import EMOTIONS
from generation.annotators.asking import Reply, rating_label
from generation.annotators.endpoint import Endpoint
from generation.annotators.protocols import PROTOCOLS
from generation.annotators.spending import Pace, Spending
from generation.annotators.worked_examples import EXAMPLES

pytest.importorskip("inspect_ai", reason="inspect_ai is not installed: pip install '.[inspect]'")

from inspect_ai import eval as run_inspect
from inspect_ai.model import ModelOutput, ModelUsage, get_model

from emonet_face.inspect_tasks import hq

N_IMAGES = 12
METRIC = Path(__file__).resolve().parents[1] / "eval_metrics" / "emonet_face_agreement"


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    """A dataset repo of 12 faces whose four raters say different things; one face has two."""
    rng = np.random.default_rng(3)
    rows = []
    for index in range(N_IMAGES):
        n_raters = 2 if index == 5 else 4
        drawn = rng.integers(0, 8, (n_raters, 40)) * (rng.random((n_raters, 40)) < 0.4)
        raters = [(f"human-{i}", row.tolist()) for i, row in enumerate(drawn.astype(float), 1)]
        rows.append(face("hq", index, picture(index)) | rating_columns(raters))
    repo = tmp_path_factory.mktemp("inspect") / "emonet-face"
    write_configs(repo, {"hq": rows}, group_rows=4)
    return repo


def _zero_shot(seed):
    rng = np.random.default_rng(seed)
    chosen = rng.choice(40, 6, replace=False)
    entries = [{"category": EMOTIONS[i], "score": int(rng.integers(1, 8))} for i in chosen]
    return f"Here you are:\n```json\n{json.dumps({'emotions': entries})}\n```"


def _published_25(seed):
    rng = np.random.default_rng(seed)
    names = PROTOCOLS["zero-shot-25"].needed
    return json.dumps({name: int(rng.integers(1, 8)) for name in names})


def _stored(protocol, published):
    """An answer for each image; the last two are of no use."""
    made = {
        "multi-shot": [json.dumps(example.answer()) for example in EXAMPLES],
        "zero-shot": [_zero_shot(seed) for seed in range(10)],
        "zero-shot-25": [_published_25(seed) for seed in range(10)],
    }[protocol]
    if protocol == "multi-shot":
        replies = sorted((published / "vlm").glob("claude37_multi_shot_*"))
        made += [path.read_text(encoding="utf-8") for path in replies]
    return [made[i % len(made)] for i in range(N_IMAGES - 2)] + ["I cannot say.", '{"Anger": 9}']


def _run(repo, protocol, answers, tmp_path):
    """(log, [(messages, config)] as the model got them), image by image."""
    asked, left = [], iter(answers)

    def answer(messages, tools, choice, config):
        asked.append((messages, config))
        # With a count of its own the mock model asks no tokenizer of the network.
        usage = ModelUsage(input_tokens=1, output_tokens=1)
        return ModelOutput.from_content("mockllm/model", next(left)).model_copy(
            update={"usage": usage}
        )

    (log,) = run_inspect(
        hq(str(repo), protocol=protocol, seed=7),
        model=get_model("mockllm/model", custom_outputs=answer, memoize=False),
        max_samples=1,
        display="none",
        log_dir=str(tmp_path),
    )
    assert log.status == "success", log.error
    return log, asked


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_stored_answers_get_the_scores_of_annotate_and_of_the_metric(
    repo, protocol, published, tmp_path
):
    import datasets
    import evaluate

    answers = _stored(protocol, published)
    log, _ = _run(repo, protocol, answers, tmp_path)
    rows = datasets.load_dataset(str(repo), "hq", split="test")
    label = {
        image_id: rating_label(PROTOCOLS[protocol], lambda _, text=text: Reply(text))(None)
        for image_id, text in zip(rows["image_id"], answers, strict=True)
    }
    for sample in log.samples:
        (score,), said = sample.scores.values(), label[sample.id]
        if "error" in said:
            assert (score.value, score.explanation) == (0, said["error"])
        else:
            assert score.value == 1
            assert score.metadata["scores"] == list(said["scores"].values())
            assert score.metadata["dimensions"] == said.get("dimensions", {})
    found = {name: entry.value for name, entry in log.results.scores[0].metrics.items()}
    assert found.pop("mean") == pytest.approx((N_IMAGES - 2) / N_IMAGES)
    answered = [i for i, row in enumerate(rows) if "error" not in label[row["image_id"]]]
    assert len(answered) == N_IMAGES - 2
    # The metric takes whole rows only: columns that the 25-key form never asks for are left out.
    said = [list(label[rows["image_id"][i]]["scores"].values()) for i in answered]
    columns = [j for j in range(40) if all(row[j] is not None for row in said)]
    expected = evaluate.load(str(METRIC)).compute(
        predictions=[[row[j] for j in columns] for row in said],
        references=[
            [[rater["scores"][j] for j in columns] for rater in rows["ratings"][i]]
            for i in answered
        ],
    )
    for name in ("weighted_kappa", "spearman"):
        low, high = expected[f"{name}_ci"]
        assert found[name] == pytest.approx(expected[name], abs=1e-12)
        assert found[f"{name}_low"] == pytest.approx(low, abs=1e-12)
        assert found[f"{name}_high"] == pytest.approx(high, abs=1e-12)
    if len(columns) == 40:
        assert found["human_kappa"] == pytest.approx(expected["human_kappa"], abs=1e-12)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_model_is_sent_what_annotate_sends(repo, protocol, published, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    pytest.importorskip("openai")
    log, asked = _run(repo, protocol, _stored(protocol, published), tmp_path)
    rating = PROTOCOLS[protocol]
    schema = None if rating.schema is None else rating.schema()
    endpoint = Endpoint(
        "m", rating.prompt(), rating.sampling(7), schema, spending=Spending(), pace=Pace(None)
    )
    body = endpoint._body(inspect_image(picture(0), "hq-0"), frozenset())
    (message,) = body.pop("messages")
    ((sent,), config) = asked[0]
    assert sent.role == message["role"] == "user"
    assert [sent.content[0].image, sent.content[1].text] == [
        message["content"][0]["image_url"]["url"],
        message["content"][1]["text"],
    ]
    form = body.pop("response_format", None)
    given = config.response_schema
    assert (given is None) == (form is None)
    if given is not None:
        assert given.strict == form["json_schema"]["strict"]
        shown = given.json_schema.model_dump(exclude_none=True)
        assert shown == form["json_schema"]["schema"]
    assert body == {
        key: getattr(config, key)
        for key in ("temperature", "seed", "max_tokens")
        if getattr(config, key) is not None
    }
    assert len(asked) == len(log.samples) == N_IMAGES


def test_no_answer_at_all_is_undefined_and_not_0(repo, tmp_path):
    log, _ = _run(repo, "zero-shot", ["no"] * N_IMAGES, tmp_path)
    found = {name: entry.value for name, entry in log.results.scores[0].metrics.items()}
    assert found.pop("mean") == 0
    assert len(found) == 9
    assert all(value is None or np.isnan(value) for value in found.values())


def test_bad_arguments_are_one_line(repo):
    with pytest.raises(EmoNetFaceError, match="no protocol 'readout'; allowed: multi-shot"):
        hq(str(repo), protocol="readout")


def test_the_harness_finds_the_task_by_its_entry_point():
    """By its package's name where that is installed; straight from a clone it has no package."""
    from inspect_ai._util.registry import registry_info

    assert registry_info(hq).name in ("emonet_face/hq", "hq")
    found = {point.name: point for point in entry_points(group="inspect_ai")}
    if "emonet_face" not in found:
        pytest.skip("the installed package is older than its entry point: install it again")
    assert found["emonet_face"].load().hq is hq
    assert found["generation"].load().ratings
