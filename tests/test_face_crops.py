"""Faces: where they are found, and what is cut out around them.

.venv/bin/pytest tests/test_face_crops.py
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modeling_empathicinsight import face_crops
from modeling_empathicinsight.face_crops import (
    HOG,
    MARGIN,
    Detector,
    FaceBox,
    crop,
    crop_box,
    find_faces,
)

PORTRAITS = ("mj_data_108_U2.webp", "mj_data_119_U1.webp")


@pytest.fixture(scope="module")
def detector() -> Detector:
    pytest.importorskip("dlib", reason="the extra `faces` is not installed")
    return Detector()


@pytest.fixture(scope="module")
def portraits(published) -> list[Image.Image]:
    return [Image.open(published / "images" / name).convert("RGB") for name in PORTRAITS]


def share_of_overlap(a, b) -> float:
    """Intersection over union of two boxes."""
    wide = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return wide * high / (areas - wide * high)


def test_both_published_portraits_show_one_face_below_the_middle(detector, portraits):
    for portrait in portraits:
        (face,) = find_faces(portrait, detector)
        side = face.right - face.left
        # Chin to brows of a portrait: about half of its 1024 pixels, a little below the centre.
        assert 0.45 < side / 1024 < 0.7
        assert abs((face.left + face.right) / 2 - 512) < 100
        assert 512 < (face.top + face.bottom) / 2 < 700
        assert face.score > 1


def test_what_is_found_does_not_hang_on_the_resolution(detector, portraits):
    (large,) = find_faces(portraits[0], detector)
    for side in (200, 2048):
        (face,) = find_faces(portraits[0].resize((side, side)), detector)
        scaled = [value * 1024 / side for value in face.box]
        assert share_of_overlap(large.box, scaled) > 0.8


def test_several_faces_come_largest_first(detector, portraits):
    photo = Image.new("RGB", (1500, 1000), "grey")
    photo.paste(portraits[0].resize((300, 300)), (50, 50))
    photo.paste(portraits[1].resize((700, 700)), (700, 200))
    large, small = find_faces(photo, detector)
    assert large.left > 700 > 350 > small.right
    assert large.right - large.left > small.right - small.left


def test_a_face_at_the_edge_has_its_box_cut_off_there(detector, portraits):
    cut = portraits[0].crop((200, 0, 1024, 1024))
    for face in find_faces(cut, detector):
        left, top, right, bottom = face.box
        assert 0 <= left < right <= cut.width
        assert 0 <= top < bottom <= cut.height


@pytest.mark.parametrize("size", [(1, 1), (10, 5000), (5000, 3), (640, 480)])
def test_no_face_is_an_empty_list(detector, size):
    assert find_faces(Image.new("RGB", size, "white"), detector) == []


def test_threads_share_a_detector(detector, portraits):
    expected = [find_faces(portrait, detector) for portrait in portraits]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda p: find_faces(p, detector), portraits)) == expected


def test_a_detector_from_a_file_finds_what_the_one_in_the_library_finds(portraits, tmp_path):
    dlib = pytest.importorskip("dlib")
    path = tmp_path / "own.svm"
    dlib.get_frontal_face_detector().save(str(path))
    assert Detector(path).name == "own.svm"
    assert Detector().name == HOG
    assert find_faces(portraits[0], Detector(path)) == find_faces(portraits[0])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.dat", "no such file"),
        ("face.onnx", "is a .dat file .CNN. or an .svm file .HOG."),
        ("text.svm", "holds no face detector of dlib's"),
        ("text.dat", "holds no face detector of dlib's"),
    ],
)
def test_a_file_without_a_detector_is_named(detector, tmp_path, name, message):
    path = tmp_path / name
    if not name.startswith("gone"):
        path.write_text("not a detector")
    with pytest.raises(ValueError, match=message) as caught:
        Detector(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_dlib_the_pip_line_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'emonet-face\[faces\]'"):
        Detector()


def test_the_file_runs_beside_a_page_without_the_rest_of_the_project(tmp_path):
    """It is copied next to the page's app.py: nothing of ours is imported."""
    (tmp_path / "face_crops.py").write_bytes(Path(face_crops.__file__).read_bytes())
    code = (
        "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' in p or 'lib' in p];"
        f"sys.path.insert(0, {str(tmp_path)!r}); import face_crops;"
        "print([m for m in sys.modules if m.split('.')[0] in ('emonet_face', 'torch', 'dlib')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_face_in_the_open_keeps_its_margin_on_every_side():
    # 100 wide, margin .35 of it: 35 on each side, so a square of 170.
    face = FaceBox(400, 300, 500, 400, 1.0)
    assert crop_box((1000, 1000), face) == (365, 265, 535, 435)
    assert MARGIN == 0.35
    assert crop_box((1000, 1000), face, margin=0) == face.box


@pytest.mark.parametrize("margin", [-0.1, float("nan"), float("inf")])
def test_a_margin_must_be_a_number_from_0(margin):
    with pytest.raises(ValueError, match="margin is"):
        crop_box((10, 10), FaceBox(0, 0, 5, 5, 1.0), margin)


sides = st.integers(1, 3000)


@settings(max_examples=200, deadline=None)
@given(width=sides, height=sides, data=st.data(), margin=st.floats(0, 3))
def test_crops_are_squares_inside_the_picture_around_the_face(width, height, data, margin):
    left = data.draw(st.integers(0, width - 1))
    top = data.draw(st.integers(0, height - 1))
    face = FaceBox(
        left,
        top,
        data.draw(st.integers(left + 1, width)),
        data.draw(st.integers(top + 1, height)),
        0.0,
    )
    box = crop_box((width, height), face, margin)
    side = box[2] - box[0]
    assert side == box[3] - box[1] >= 1
    assert 0 <= box[0] < box[2] <= width
    assert 0 <= box[1] < box[3] <= height
    longer = max(face.right - face.left, face.bottom - face.top)
    # As large as asked for, or as large as the picture allows; then the whole face lies in it.
    assert side == min(round(longer * (1 + 2 * margin)), width, height)
    if longer <= side:
        assert box[0] <= face.left + 1
        assert box[1] <= face.top + 1
        assert face.right - 1 <= box[2]
        assert face.bottom - 1 <= box[3]


def test_crop_cuts_what_crop_box_says():
    image = Image.radial_gradient("L").convert("RGB")
    face = FaceBox(100, 100, 150, 150, 1.0)
    assert crop(image, face).tobytes() == image.crop((82, 82, 167, 167)).tobytes()
    assert crop(image, face).size == (85, 85)
