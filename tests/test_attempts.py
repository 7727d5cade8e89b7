"""Pictures that do not come out at first: halved batches, other seeds, and what is kept of it.

pytest tests/test_attempts.py
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from painter import Painter
from PIL import Image

from emonet_face.errors import EmoNetFaceError
from generation.attempts import MAX_CAUSE, cause_of, fault_of, make_all
from generation.backends import OutOfMemory, Picture, Request
from generation.prompts import prompt_record
from generation.run import generate

BLACK = Image.new("RGB", (32, 32))


def noise(seed):
    levels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return Image.fromarray(levels)


def scripted(script):
    """A backend like a pipeline's, that does what a function of the requests says."""
    return Painter(paint=script, batch_size=4, batch_matters=True, overlap=True)


def good(request, n):
    return Picture(noise(request.seed))


def requests(n):
    return [Request(f"id-{i}", prompt_record(i), 0) for i in range(n)]


def outcomes(script, n=4, retries=2):
    backend = scripted(script)
    return backend, list(make_all(backend, requests(n), 32, retries))


def test_what_works_is_asked_once():
    backend, made = outcomes(good)
    assert backend.asked == [[(0, 0), (1, 0), (2, 0), (3, 0)]]
    assert [o.request.image_id for o in made] == [f"id-{i}" for i in range(4)]
    assert all(o.batch == ("id-0", "id-1", "id-2", "id-3") and o.causes == () for o in made)


@pytest.mark.parametrize(
    ("fits", "calls"),
    [
        (3, [[0, 1, 2, 3, 4], [0, 1, 2], [3, 4]]),
        (2, [[0, 1, 2, 3, 4], [0, 1, 2], [0, 1], [2], [3, 4]]),
        (1, [[0, 1, 2, 3, 4], [0, 1, 2], [0, 1], [0], [1], [2], [3, 4], [3], [4]]),
    ],
)
def test_a_batch_that_does_not_fit_is_halved_until_it_does(fits, calls):
    def script(request, n):
        if n > fits:
            raise OutOfMemory("tried to allocate 2.00 GiB")
        return good(request, n)

    backend, made = outcomes(script, n=5)
    assert [[index for index, _ in call] for call in backend.asked] == calls
    assert all(o.picture.image is not None and o.request.attempt == 0 for o in made)
    first = "out of memory in a batch of 5: tried to allocate 2.00 GiB"
    assert all(o.causes[0] == first for o in made)
    assert max(len(o.batch) for o in made) == fits


def test_memory_that_is_short_even_for_one_is_a_failure_with_its_causes():
    def script(request, n):
        raise OutOfMemory("no")

    backend, made = outcomes(script, n=1, retries=2)
    assert len(backend.asked) == 3
    assert made[0].picture.image is None
    assert made[0].causes == ("out of memory in a batch of 1: no",) * 3


def test_an_error_in_one_picture_does_not_cost_the_others():
    def script(request, n):
        if request.record.index == 2:
            raise RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED\nat line 3")
        return good(request, n)

    _, made = outcomes(script, retries=1)
    assert [o.picture.image is None for o in made] == [False, False, True, False]
    assert made[2].causes[-1] == "RuntimeError in a batch of 1: " + (
        "CUBLAS_STATUS_EXECUTION_FAILED at line 3"
    )


@pytest.mark.parametrize(
    ("bad", "cause"),
    [
        (Picture(BLACK), "one colour, (0, 0, 0)"),
        (Picture(Image.new("RGB", (32, 32), (200, 3, 9))), "one colour, (200, 3, 9)"),
        (Picture(None, fault="pixel values that are no numbers"), "pixel values that are no"),
        (Picture(noise(1), fault="replaced by a filter", flagged=True), "replaced by a filter"),
        (Picture(None), "no picture"),
    ],
)
def test_a_bad_picture_is_asked_for_again_with_another_seed(bad, cause):
    def script(request, n):
        return bad if request.record.index == 1 and request.attempt < 2 else good(request, n)

    backend, made = outcomes(script)
    assert backend.asked == [[(0, 0), (1, 0), (2, 0), (3, 0)], [(1, 1)], [(1, 2)]]
    again = made[1]
    assert (again.request.attempt, again.batch) == (2, ("id-1",))
    assert len(again.causes) == 2
    assert all(cause in text for text in again.causes)
    assert len({Request("id-1", again.request.record, 0, k).seed for k in range(3)}) == 3
    assert [o.causes for o in made if o is not again] == [()] * 3


def test_a_picture_that_stays_bad_is_kept_and_says_so():
    _, made = outcomes(lambda request, n: Picture(BLACK, flagged=True), n=1, retries=1)
    assert made[0].picture.image is BLACK
    assert made[0].request.attempt == 1
    assert made[0].causes == ("one colour, (0, 0, 0)",) * 2


def test_what_can_never_work_is_not_tried_again():
    def script(request, n):
        raise EmoNetFaceError("no such option")

    backend = scripted(script)
    with pytest.raises(EmoNetFaceError, match="no such option"):
        list(make_all(backend, requests(4), 32, retries=5))
    assert len(backend.asked) == 1


def test_a_dark_picture_is_not_called_black():
    dark = BLACK.copy()
    dark.putpixel((3, 3), (0, 3, 0))
    assert fault_of(Picture(dark)) is None
    dark.putpixel((3, 3), (2, 2, 2))
    assert fault_of(Picture(dark)) == "one colour, (0, 0, 0)"


def test_a_long_error_is_cut():
    text = cause_of(RuntimeError("x" * 10_000), 1)
    assert len(text) < MAX_CAUSE + 50


def test_a_run_records_what_went_wrong(tmp_path):
    """Memory for two at once, one picture black at first, one never: the run says all three."""

    def script(request, n):
        if n > 2:
            raise OutOfMemory
        if request.record.index == 5:
            raise RuntimeError("bad luck")
        if request.record.index == 2 and request.attempt == 0:
            return Picture(BLACK)
        return good(request, n)

    out, backend = tmp_path / "run", scripted(script)
    with pytest.raises(EmoNetFaceError, match=r"1 of 8 images could not be made") as failed:
        generate(8, out, backend=backend, size=32, retries=1)
    assert "painter-0-000005: RuntimeError in a batch of 1: bad luck" in str(failed.value)

    def made(index):
        path = out / "images" / f"painter-0-{index:06d}.json"
        return json.loads(path.read_text())["generation"]

    short = "out of memory in a batch of 4"
    assert (made(0)["causes"], made(0)["batch"]) == (
        [short],
        ["painter-0-000000", "painter-0-000001"],
    )
    assert made(2)["causes"] == [short, "one colour, (0, 0, 0)"]
    assert (made(2)["attempt"], made(2)["batch"]) == (1, ["painter-0-000002"])
    assert generate(8, out, backend=backend, size=32, only="painter-0-000000").equal
    assert generate(8, out, backend=backend, size=32, only="painter-0-000002").equal

    backend.paint, backend.asked = good, []
    kept = {path: path.stat().st_mtime_ns for path in out.glob("images/*.png")}
    generate(8, out, backend=backend, size=32)
    assert backend.asked == [[(i, 0) for i in range(4, 8)]], "its batch, and no other"
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not (out / "failures").exists()
