"""Models as annotators over real HTTP: what is sent, what is kept, what goes wrong.

    pytest tests/test_model_annotators.py

The endpoint is the fake one of `fake_endpoint.py`, on a port of this machine.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import pytest
from fake_endpoint import fake_endpoint, good_reply
from PIL import Image
from terminal_signals import hear_signals

from emonet_face import EmoNetFaceError
from emonet_face.cli import main
from emonet_face.released import iter_ratings
from emonet_face.taxonomy import EMOTIONS
from generation.annotate import ModelOptions, annotate
from generation.annotators.asking import StoppedError
from generation.annotators.protocols import PROTOCOLS, PUBLISHED_25
from generation.annotators.spending import CapReachedError, Pace, Spending, Usage

KEY = "sk-a-secret-of-ours-0123456789"


@pytest.fixture(scope="module")
def endpoint():
    with fake_endpoint() as running:
        yield running


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def make_faces(folder, n=8):
    """Pictures that differ."""
    folder.mkdir()
    for index in range(n):
        Image.new("RGB", (16, 16), (index, 2 * index, 90)).save(folder / f"face-{index:03d}.png")
    return folder


@pytest.fixture
def faces(tmp_path):
    return make_faces(tmp_path / "faces")


@pytest.fixture
def quick(monkeypatch):
    """Retries wait a hundredth of what they would."""
    monkeypatch.setattr("generation.annotators.waiting.FIRST_WAIT_S", 0.005)


def ask(endpoint, faces, out, model="multi-shot", protocol=None, seed=0, **options):
    settings = {"base_url": endpoint.url, "retries": 3, "timeout_s": 5.0, "concurrency": 4}
    return annotate(
        faces,
        out,
        annotator="openai",
        protocol=protocol,
        seed=seed,
        options=ModelOptions(model, **settings | options),
    )


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_protocol_goes_through_the_benchmark(endpoint, faces, tmp_path, protocol, capsys):
    out = tmp_path / "said.jsonl"
    arguments = ["--annotator", "openai", "--model", protocol, "--base-url", endpoint.url]
    command = ["annotate", str(faces), *arguments, "--protocol", protocol, "--out", str(out)]
    assert main(command) == 0
    assert "8 of 8 images labelled" in capsys.readouterr().out
    lines = lines_of(out)
    assert sorted(line["image"] for line in lines) == sorted(p.name for p in faces.iterdir())
    for line in lines:
        assert list(line["scores"]) == list(EMOTIONS)
        assert (line["protocol"], line["simulated"], line["model"]) == (protocol, False, protocol)
        assert line["raw"]
        assert line["tokens"] == {"prompt": 1000, "completion": 500}
        gaps = {name for name, value in line["scores"].items() if value is None}
        assert gaps == (set(EMOTIONS) - set(PUBLISHED_25) if protocol == "zero-shot-25" else set())
    ratings = tmp_path / "people.csv"
    rows = [f'{p.name},human-{n},True,"{{}}"' for p in sorted(faces.iterdir()) for n in (1, 2)]
    ratings.write_text("image,annotator,human,annotations\n" + "\n".join(rows) + "\n")
    code = main(
        ["benchmark", "--ratings", str(ratings), "--predictions", f"X={out}", "--no-figures",
         "--resamples", "10", "--out", str(tmp_path / "benchmark")]
    )  # fmt: skip
    assert code == 0
    results = json.loads((tmp_path / "benchmark" / "results.json").read_text())
    assert '"X"' in json.dumps(results)


def test_what_is_sent(endpoint, faces, tmp_path):
    endpoint.bodies.clear()
    ask(endpoint, faces, tmp_path / "a.jsonl", seed=5)
    ask(endpoint, faces, tmp_path / "b.jsonl", model="zero-shot-25", protocol="zero-shot-25")
    multi, published = endpoint.bodies[0], endpoint.bodies[-1]
    assert (multi["temperature"], multi["seed"], multi["max_tokens"]) == (0, 5, 6000)
    assert multi["response_format"]["json_schema"]["strict"] is True
    assert (published["max_tokens"], "temperature" in published) == (1000, False)
    assert "response_format" not in published
    (message,) = multi["messages"]
    image, text = message["content"]
    assert text == {"type": "text", "text": PROTOCOLS["multi-shot"].prompt()}
    head, _, data = image["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    sent = base64.b64decode(data)
    assert sent in {path.read_bytes() for path in faces.iterdir()}
    assert Image.open(BytesIO(sent)).size == (16, 16)


def test_the_table_holds_what_fits_and_the_replies_lie_beside_it(endpoint, faces, tmp_path):
    out = tmp_path / "hq.csv"
    summary = ask(endpoint, faces, out, model="sometimes")
    rows = list(iter_ratings(out))
    lines = lines_of(tmp_path / "hq.replies.jsonl")
    failed = [line for line in lines if "error" in line]
    assert len(lines) == 8
    assert len(rows) + len(failed) == 8
    assert 0 < len(failed) < 8
    assert summary["failure_rate"] == len(failed) / 8
    assert {line["raw"] for line in failed} == {"I would rather not say."}
    said = {line["image"]: line["scores"] for line in lines if "scores" in line}
    for row in rows:
        assert not row.human
        assert row.scores.scores == list(said[row.image].values())
        assert len(row.scores.dimensions) == 4


def test_labels_feed_big(endpoint, faces, tmp_path, capsys):
    ask(endpoint, faces, tmp_path / "big.jsonl")
    labels = ["--labels", str(tmp_path / "big.jsonl"), "--out", str(tmp_path / "repo")]
    assert main(["build", "big", "--source", str(faces), *labels, "--strict"]) == 0
    assert "8" in capsys.readouterr().out


def test_a_dataset_repo_is_a_source(endpoint, faces, tmp_path):
    ask(endpoint, faces, tmp_path / "big.jsonl")
    repo = tmp_path / "emonet-face"
    labels = ["--labels", str(tmp_path / "big.jsonl"), "--out", str(repo)]
    assert main(["build", "big", "--source", str(faces), *labels]) == 0
    ask(endpoint, repo, tmp_path / "again.jsonl", config="big")
    said = [
        {
            line["image"]: (line["image_sha256"], line["scores"])
            for line in lines_of(tmp_path / name)
        }
        for name in ("big.jsonl", "again.jsonl")
    ]
    assert said[0] == said[1], "the same pictures under the same names"
    with pytest.raises(EmoNetFaceError, match="config 'hq' cannot be loaded"):
        ask(endpoint, repo, tmp_path / "none.jsonl")


FAULTS = {
    "garbage": "not JSON",
    "html": "not JSON: '<html>",
    "empty": "the reply is empty",
    "refusal": "the model refused: I cannot judge faces.",
    "other-language": "unknown category 'Gefühle'",
    "half-reply": "cut off",
    "endless-list": "cut off",
    "endless-body": "not JSON",
    "endless-error": "HTTP 400",
    "error-in-200": "answered an error",
    "always-400": "HTTP 400",
    "always-418": "HTTP 418",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_reply_that_does_not_fit_is_a_recorded_failure(endpoint, faces, tmp_path, fault):
    out = tmp_path / "f.jsonl"
    summary = ask(endpoint, faces, out, model=fault)
    assert (summary["labels"], summary["failure_rate"]) == (0, 1.0)
    lines = lines_of(out)
    assert len(lines) == 8
    assert all(FAULTS[fault] in line["error"] for line in lines)
    assert all("scores" not in line for line in lines)
    before = endpoint.requests[fault]
    assert before == {"always-400": 16}.get(fault, before)  # once more without structured output
    ask(endpoint, faces, out, model=fault)
    assert endpoint.requests[fault] == before, "never asked again until it fits"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_transient_errors_are_retried(endpoint, faces, tmp_path, status):
    model = f"flaky-{status}"
    out = tmp_path / "o.jsonl"
    summary = ask(endpoint, faces, out, model=model)
    assert (summary["labels"], summary["requests"]) == (8, 24)
    assert {line["attempts"] for line in lines_of(out)} == {3}
    endpoint.pictures.clear()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", ["always-500", "always-429", "nothing", "half-body"])
def test_no_answer_is_asked_for_again_by_the_next_call(endpoint, faces, tmp_path, fault):
    out = tmp_path / "o.jsonl"
    summary = ask(endpoint, faces, out, model=fault, retries=1)
    assert (summary["labels"], summary["unanswered"], summary["requests"]) == (0, 8, 16)
    assert summary["failure_rate"] is None
    lines = lines_of(out)
    assert all(line["final"] is False and "after 2 tries" in line["error"] for line in lines)
    # The endpoint comes to its senses: same payload, good replies.
    endpoint.reply_before, endpoint.reply = endpoint.reply, lambda m, picture, body, key: (
        200, _body(good_reply("multi-shot", picture)), []
    )  # fmt: skip
    try:
        again = ask(endpoint, faces, out, model=fault, retries=1)
    finally:
        endpoint.reply = endpoint.reply_before
    assert (again["labels"], again["unanswered"], again["requests"]) == (8, 0, 8)
    assert len(lines_of(out)) == 8, "the answers took the places of the errors"


def _body(text):
    return json.dumps({"choices": [{"message": {"content": text}}]}).encode()


@pytest.mark.usefixtures("quick")
def test_an_endpoint_that_is_down_stops_the_run(endpoint, tmp_path, capsys):
    faces = make_faces(tmp_path / "many", n=60)
    out = tmp_path / "o.jsonl"
    arguments = ["--annotator", "openai", "--model", "always-503", "--base-url", endpoint.url]
    options = ["--retries", "0", "--concurrency", "2", "--out", str(out)]
    assert main(["annotate", str(faces), *arguments, *options]) == 1
    assert "Stopped: 10 pictures in a row: no answer after 1 try" in capsys.readouterr().out
    assert 10 <= len(lines_of(out)) <= 13


def test_a_slow_endpoint_times_out(faces, tmp_path):
    with fake_endpoint(latency=3.0) as slow:
        start = time.monotonic()
        summary = ask(slow, faces, tmp_path / "o.jsonl", timeout_s=0.3, retries=0, concurrency=8)
        assert time.monotonic() - start < 2.5
    assert summary["unanswered"] == 8
    assert "timed out" in lines_of(tmp_path / "o.jsonl")[0]["error"]


def test_options_that_an_endpoint_does_not_know_are_left_out_and_said(endpoint, faces, tmp_path):
    for model, option in (("no-schema", "response_format"), ("new-names", "max_tokens")):
        out = tmp_path / f"{model}.jsonl"
        summary = ask(endpoint, faces, out, model=model, concurrency=1)
        assert summary["labels"] == 8
        assert summary["requests"] == 9, "found out once, not for each picture"
        assert {tuple(line["not_sent"]) for line in lines_of(out)} == {(option,)}
    assert endpoint.bodies[-1].get("max_completion_tokens") in (None, 6000)


@pytest.mark.parametrize("status", [408, 409, 413, 520, 529])
def test_a_fault_that_is_about_no_option_leaves_none_out(endpoint, faces, tmp_path, status):
    """Once HTTP 529 was taken for "response_format is unknown", for all pictures that followed."""
    out = tmp_path / "o.jsonl"
    refused = []
    good = endpoint.reply

    def reply(model, picture, body, key):
        if not refused:
            refused.append(picture)
            return status, b'{"error": {"message": "overloaded"}}', []
        return good("multi-shot", picture, body, key)

    endpoint.reply = reply
    try:
        first = ask(endpoint, faces, out, model=f"once-{status}", concurrency=1)
        lines = lines_of(out)
        assert not any("not_sent" in line for line in lines)
        again = ask(endpoint, faces, out, model=f"once-{status}", concurrency=1)
    finally:
        endpoint.reply = good
    (line,) = [line for line in lines if "error" in line]
    assert f"HTTP {status}" in line["error"]
    if status in (409, 413):  # it is about this picture: a failure like any other
        assert (first["labels"], first["failures"], again["labels"]) == (7, {line["error"]: 1}, 7)
    else:
        assert (first["labels"], first["unanswered"], first["failures"]) == (7, 1, {})
        assert again["labels"] == 8, "the server's own fault is asked about again"


def test_an_endpoint_that_asks_for_payment_stops_the_run(endpoint, faces, tmp_path):
    out = tmp_path / "o.jsonl"
    with pytest.raises(EmoNetFaceError, match="HTTP 402 for model 'always-402'"):
        ask(endpoint, faces, out, model="always-402")
    assert not out.exists(), "no picture counts as failed"


def test_token_counts_that_cannot_be_are_none(endpoint, faces, tmp_path):
    good = endpoint.reply
    for count in ("1" + "0" * 400, "1e999", "true", "-1", '"7"'):
        text = json.dumps({"choices": [{"message": {"content": good_reply("multi-shot", 1)}}]})
        body = f'{text[:-1]}, "usage": {{"prompt_tokens": {count}, "completion_tokens": 1}}}}'
        endpoint.reply = lambda *_, body=body: (200, body.encode(), [])
        try:
            out = tmp_path / f"{len(body)}.jsonl"
            summary = ask(endpoint, faces, out, price_in=1.0, price_out=1.0)
        finally:
            endpoint.reply = good
        assert (summary["labels"], summary["cost"]) == (8, 0.0)


def test_a_wrong_key_is_one_line_and_never_shown(endpoint, faces, tmp_path, capsys):
    arguments = ["--annotator", "openai", "--model", "bad-key", "--base-url", endpoint.url]
    out = tmp_path / "o.jsonl"
    assert main(["annotate", str(faces), *arguments, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "HTTP 401: OPENAI_API_KEY is refused" in error
    assert KEY not in error
    with pytest.raises(EmoNetFaceError) as caught:
        main(["annotate", str(faces), *arguments, "--out", str(out), "--debug"])
    assert KEY not in str(caught.value)
    assert caught.value.__suppress_context__
    assert not out.exists()


def test_a_key_in_a_reply_is_not_kept(endpoint, faces, tmp_path):
    ask(endpoint, faces, tmp_path / "o.jsonl", model="echo-key")
    text = (tmp_path / "o.jsonl").read_text()
    assert KEY not in text
    assert "[key]" in text


def test_an_unknown_model_is_one_line(endpoint, faces, tmp_path):
    with pytest.raises(EmoNetFaceError, match="HTTP 404 for model 'always-404'"):
        ask(endpoint, faces, tmp_path / "o.jsonl", model="always-404")


def test_bad_options_are_named(endpoint, faces, tmp_path, monkeypatch):
    out = tmp_path / "o.jsonl"
    for options, message in [
        ({"base_url": "localhost:8000"}, "give one like http://host"),
        ({"base_url": "http://me:secret@"}, r"--base-url 'http://'"),
        ({"concurrency": 0}, "--concurrency is 0"),
        ({"base_url": "http://[::1"}, r"--base-url 'http://\[::1'"),
        ({"base_url": "http://me:secret@host:99999/v1"}, "--base-url 'host:99999/v1'"),
        ({"timeout_s": 0}, "--timeout must be above 0"),
        ({"timeout_s": float("inf")}, "--timeout must be above 0 and at most 86,400"),
        ({"requests_per_minute": 1e-300}, "--requests-per-minute is 1e-300: must be 0.001 or more"),
        ({"model": ""}, "'--model' is empty"),
        ({"name": " "}, "'--name' is empty"),
        ({"name": "a\nb"}, "'--name' is 'a.*nb': holds a control character"),
        ({"name": "=1+1"}, "--name '=1\\+1': a spreadsheet takes it for a formula"),
        ({"name": "Simulated-human-1"}, "names of simulated annotators begin like that"),
        ({"requests_per_minute": 0}, "--requests-per-minute is 0"),
        ({"max_cost": 1.0}, "--max-cost needs --price-in"),
        ({"price_in": 1.0}, "together, or neither"),
        ({"price_in": float("inf"), "price_out": 1.0}, "--price-in is inf: must be a number"),
        ({"control": "blue"}, "unknown control 'blue'; allowed: grey, shuffled, constant"),
    ]:
        with pytest.raises(EmoNetFaceError, match=message):
            ask(endpoint, faces, out, **options)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(EmoNetFaceError, match=r"api\.openai\.com/v1 needs a key: set OPENAI"):
        ask(endpoint, faces, out, base_url="https://api.openai.com/v1")
    with pytest.raises(EmoNetFaceError, match="no such folder of images, nor a dataset repo"):
        ask(endpoint, tmp_path / "nothing" / "there", out)
    assert not out.exists()


def test_options_of_a_model_need_one(faces, tmp_path, capsys):
    out = ["--out", str(tmp_path / "o.jsonl")]
    assert main(["annotate", str(faces), "--control", "grey", *out]) == 2
    assert capsys.readouterr().err == (
        "emonet-face: --control is about a model: give --model too\n"
    )
    assert main(["annotate", str(faces), "--model", "m", *out]) == 2
    assert "the simulated annotators take no --model" in capsys.readouterr().err


def test_requests_are_under_way_at_once_and_no_more_than_asked_for(tmp_path):
    faces = make_faces(tmp_path / "f", n=30)
    with fake_endpoint(latency=0.1) as slow:
        ask(slow, faces, tmp_path / "o.jsonl", concurrency=10)
        assert slow.most_under_way == 10


def test_the_cap_on_requests_leaves_the_rest_for_another_call(endpoint, faces, tmp_path):
    out = tmp_path / "o.jsonl"
    first = ask(endpoint, faces, out, max_requests=3)
    assert (first["requests"], first["labels"]) == (3, 3)
    assert "--max-requests 3" in first["stopped"]
    second = ask(endpoint, faces, out)
    assert (second["requests"], second["labels"], second["stopped"]) == (5, 8, None)


def test_the_cap_on_the_cost_is_never_crossed(endpoint, tmp_path):
    # A reply costs 1000 tokens at 1 and 500 at 2 a million = .002, at its longest .001 + .012. The
    # prompt's length before the first answer is its characters: .023 + .012 fit under .04. Then
    # answers go on while .002 n + .013 <= .04, so the last one sent is the 14th.
    faces, out = make_faces(tmp_path / "faces", n=30), tmp_path / "o.jsonl"
    prices = {"price_in": 1.0, "price_out": 2.0}
    first = ask(endpoint, faces, out, **prices, max_cost=0.040)
    assert first["labels"] == first["requests"] == 14
    assert first["cost"] == pytest.approx(14 * 0.002)
    assert "--max-cost 0.04" in first["stopped"]
    assert {line["cost"] for line in lines_of(out)} == {0.002}
    again = ask(endpoint, faces, out, **prices, max_cost=0.040)
    assert again["requests"] == 0, "what earlier calls spent counts"
    whole = ask(endpoint, faces, out, **prices, max_cost=1.0)
    assert whole["labels"] == 30
    assert whole["cost"] == pytest.approx(30 * 0.002)
    with pytest.raises(EmoNetFaceError, match="--max-cost cannot be kept"):
        ask(endpoint, faces, tmp_path / "p.jsonl", model="no-usage", **prices, max_cost=1.0)


def test_spending_waits_for_what_is_under_way():
    spending = Spending(price_in=1e6, price_out=1e6, max_cost=10)  # a token costs 1
    with pytest.raises(CapReachedError), spending.request(6, 5):
        pass
    with spending.request(4, 5):
        spending.add(Usage(4, 1))
    assert spending.cost == 5
    with pytest.raises(CapReachedError), spending.request(0, 2):  # 4 + 2 more could be 11
        pass


def test_pace_spaces_requests_and_pauses():
    pace = Pace(per_minute=1200)
    start = time.monotonic()
    for _ in range(5):
        pace.wait()
    assert 0.2 <= time.monotonic() - start < 0.6
    pace.pause(0.3)
    pace.wait()
    assert time.monotonic() - start >= 0.45


def test_controls_show_something_else(endpoint, faces, tmp_path):
    own = {p.name: p.read_bytes() for p in faces.iterdir()}
    ask(endpoint, faces, tmp_path / "own.jsonl")
    said = {line["image"]: line for line in lines_of(tmp_path / "own.jsonl")}
    endpoint.bodies.clear()
    ask(endpoint, faces, tmp_path / "grey.jsonl", control="grey")
    for body in endpoint.bodies:
        data = base64.b64decode(body["messages"][0]["content"][0]["image_url"]["url"][22:])
        picture = Image.open(BytesIO(data))
        assert (picture.size, picture.getcolors()) == ((16, 16), [(256, (128, 128, 128))])
    ask(endpoint, faces, tmp_path / "shuffled.jsonl", control="shuffled", seed=3)
    shown = {}
    for line in lines_of(tmp_path / "shuffled.jsonl"):
        assert line["control"] == "shuffled"
        assert line["annotator"] == "multi-shot MS (shuffled control)"
        assert line["shown"] != line["image"]
        assert line["scores"] == said[line["shown"]]["scores"], "the other picture was judged"
        shown[line["image"]] = line["shown"]
    assert sorted(shown.values()) == sorted(own)
    before = endpoint.requests.total()
    ask(endpoint, faces, tmp_path / "constant.jsonl", control="constant")
    assert endpoint.requests.total() == before
    assert {v for ln in lines_of(tmp_path / "constant.jsonl") for v in ln["scores"].values()} == {0}


def test_another_plan_or_a_foreign_file_is_refused(endpoint, faces, tmp_path):
    out = tmp_path / "o.jsonl"
    ask(endpoint, faces, out)
    before = out.read_bytes()
    with pytest.raises(EmoNetFaceError, match="has protocol 'multi-shot', not 'zero-shot'"):
        ask(endpoint, faces, out, protocol="zero-shot", name="multi-shot MS")
    with pytest.raises(EmoNetFaceError, match="has sampling"):
        ask(endpoint, faces, out, seed=1)
    with pytest.raises(EmoNetFaceError, match="has a result for another picture"):
        Image.new("RGB", (16, 16), "red").save(faces / "face-000.png")
        ask(endpoint, faces, out)
    assert out.read_bytes() == before
    foreign = tmp_path / "notes.jsonl"
    foreign.write_text('{"note": 1}\n')
    with pytest.raises(EmoNetFaceError, match="was not made by this command"):
        ask(endpoint, faces, foreign)
    table = tmp_path / "published.csv"
    table.write_text("image,annotator,human,annotations\n")
    with pytest.raises(EmoNetFaceError, match="was not made by this command"):
        ask(endpoint, faces, table)
    assert not list(tmp_path.glob(".*")), "nothing is left behind"


def test_a_name_that_cannot_stand_in_a_table_is_refused_before_anybody_is_asked(endpoint, tmp_path):
    faces = make_faces(tmp_path / "faces", n=2)
    (faces / "face-000.png").rename(faces / "a\nb.png")
    with pytest.raises(EmoNetFaceError, match=r"'image' is 'a.*png': holds a control character"):
        ask(endpoint, faces, tmp_path / "o.jsonl")


def test_an_unreadable_picture_is_named_and_asked_about_once_it_is_whole(endpoint, faces, tmp_path):
    broken, out = faces / "face-003.png", tmp_path / "o.jsonl"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-20])
    summary = ask(endpoint, faces, out)
    assert (summary["labels"], summary["unanswered"]) == (7, 1)
    assert any("face-003.png" in line.get("error", "") for line in lines_of(out))
    assert [str(broken) in cause for cause in summary["causes"]] == [True]
    broken.write_bytes(whole)
    assert ask(endpoint, faces, out)["labels"] == 8
    assert len(lines_of(out)) == 8


def test_a_call_counts_the_images_of_its_source_and_names_the_rest(
    endpoint, faces, tmp_path, capsys
):
    """A picture that nobody could read and that is gone must not fail every later call."""
    (faces / "face-003.png").write_bytes(b"no picture")
    out = tmp_path / "o.jsonl"
    arguments = ["annotate", str(faces), "--annotator", "openai", "--model", "multi-shot"]
    arguments += ["--base-url", endpoint.url, "--out", str(out)]
    assert main(arguments) == 1
    assert "1 images got no answer" in (said := capsys.readouterr().out)
    assert "  1 x " in said
    assert "face-003.png: " in said
    for index in (3, 4):
        (faces / f"face-{index:03d}.png").unlink()
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "6 of 6 images labelled" in said
    assert "also has results for 2 images of other sources" in said
    assert len(lines_of(out)) == 8


def test_a_name_that_is_not_utf8_is_refused(endpoint, faces, tmp_path):
    """Two such names would become one in the results, and one picture's answer the other's."""
    os.rename(faces / "face-000.png", os.fsencode(faces) + b"/face\xff.png")
    with pytest.raises(EmoNetFaceError, match=r"face.*\.png' is not UTF-8; rename the file"):
        ask(endpoint, faces, tmp_path / "o.jsonl")


def test_an_interrupted_call_waits_for_no_retry(endpoint, faces, tmp_path):
    """Pauses between retries are minutes at the end; what is on its way is still waited for."""
    command = [sys.executable, "-m", "emonet_face.cli", "annotate", str(faces)]
    command += ["--annotator", "openai", "--model", "nothing", "--retries", "20"]
    command += ["--base-url", endpoint.url, "--out", str(tmp_path / "o.jsonl")]
    before = endpoint.requests["nothing"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_signals,
    )
    deadline = time.monotonic() + 60
    while endpoint.requests["nothing"] < before + 32:  # the pauses are seconds by now
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - start < 10.0
    assert process.returncode == 130
    assert "Stopping: answers that are on their way are kept" in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob(".*"))


def test_a_stopped_pace_lets_nothing_through():
    pace = Pace(per_minute=1)
    pace.wait()
    pace.stop.set()
    start = time.monotonic()
    with pytest.raises(StoppedError):
        pace.wait()
    assert time.monotonic() - start < 0.5


def start_process(faces, out, url, concurrency=4):
    code = "import sys; from emonet_face.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["--annotator", "openai", "--model", "multi-shot", "--base-url", url]
    return subprocess.Popen(
        [sys.executable, "-c", code, "annotate", str(faces), *arguments, "--out", str(out),
         "--concurrency", str(concurrency)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).resolve().parents[1],
        env={**os.environ, "OPENAI_API_KEY": KEY},
    )  # fmt: skip


def wait_for_lines(out, n, process):
    deadline = time.monotonic() + 60
    while not out.exists() or out.read_bytes().count(b"\n") < n:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


@pytest.mark.slow
def test_killed_and_continued_nothing_is_lost_or_repeated(tmp_path):
    faces, out = make_faces(tmp_path / "faces", n=60), tmp_path / "o.jsonl"
    kept = 0
    with fake_endpoint(latency=0.02) as endpoint:
        for n_more in (1, 9, 20):
            process = start_process(faces, out, endpoint.url)
            wait_for_lines(out, kept + n_more, process)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            kept = len(lines_of(out))
        time.sleep(0.3)  # what was on its way when the process died arrives
        asked = endpoint.requests["multi-shot"]
        with out.open("ab") as stream:
            stream.write(b'{"image": "face-0')  # a line that was being written
        summary = ask(endpoint, faces, out)
        assert summary["requests"] == 60 - kept
        assert endpoint.requests["multi-shot"] == asked + 60 - kept
        # At each kill at most the 4 that were under way had been asked without being kept.
        assert endpoint.requests["multi-shot"] <= 60 + 3 * 4
    lines = lines_of(out)
    assert len({line["image"] for line in lines}) == len(lines) == 60
    assert not list(tmp_path.glob(".*")), "the lock file goes with its last user"


@pytest.mark.slow
def test_two_processes_share_a_file(tmp_path):
    faces, out = make_faces(tmp_path / "faces", n=80), tmp_path / "o.jsonl"
    with fake_endpoint(latency=0.05) as endpoint:
        processes = [start_process(faces, out, endpoint.url) for _ in range(2)]
        printed = [process.communicate(timeout=120) for process in processes]
        assert endpoint.requests["multi-shot"] == 80, "each picture was asked about once"
    assert {process.returncode for process in processes} <= {0, 1}, printed
    lines = lines_of(out)
    assert len({line["image"] for line in lines}) == len(lines) == 80
    requests = [int(text.split(" requests")[0].split()[-1]) for text, _ in printed]
    assert sum(requests) == 80
    assert min(requests) > 10, "both took part"
    assert not list(tmp_path.glob(".*"))
