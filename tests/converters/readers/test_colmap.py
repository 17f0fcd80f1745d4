"""COLMAP's text files: comments, pictures without points, and lines that are neither."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.converters.readers import colmap
from ehps.errors import DataError

TURN = Rotation.from_rotvec([0.3, -0.2, 0.5])
X, Y, Z, W = TURN.as_quat().tolist()
POSE = f"{W} {X} {Y} {Z} 1.5 -2.0 0.25"
HEAD = "# Image list with two lines of data per image:\n#   POINTS2D[] as (X, Y, POINT3D_ID)\n"


def images(folder: Path, text: str) -> list[colmap.ColmapImage]:
    path = folder / "images.txt"
    path.write_text(text)
    return colmap.read_images(path)


def test_pictures_are_read_with_and_without_points(tmp_path: Path) -> None:
    text = f"{HEAD}9 {POSE} 4 cam 2/00001.jpg\n\n3 {POSE} 2 cam01/00007.jpg\n10.5 20.25 -1 30 40.5 12\n"
    first, second = images(tmp_path, text)
    assert (first.name, first.camera) == ("cam 2/00001.jpg", 4)
    assert (second.name, second.camera) == ("cam01/00007.jpg", 2)
    np.testing.assert_allclose(first.rotation, TURN.as_matrix(), atol=1e-12)
    np.testing.assert_array_equal(first.translation, [1.5, -2.0, 0.25])


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n\n\n"])
def test_a_last_picture_without_points_needs_no_empty_line(tmp_path: Path, end: str) -> None:
    assert len(images(tmp_path, f"{HEAD}1 {POSE} 2 a.jpg{end}")) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f"1 {POSE} 2 a.jpg\n2 {POSE} 2 b.jpg\n", "the points of a picture"),  # empty lines were taken out
        (f"\n1 {POSE} 2 a.jpg\n", "a picture before an empty line"),
        ("10.5 20.25 -1\n", "id, quaternion"),
        (f"1 {POSE} two a.jpg\n\n", "id, quaternion"),
        (f"1 2{POSE} 2 a.jpg\n\n", "a quaternion of length 1"),
    ],
)
def test_lines_of_another_form_are_named(tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(DataError, match=rf"images\.txt: has the line .*expected {words}"):
        images(tmp_path, HEAD + body)


def test_cameras_have_their_model_size_and_parameters(tmp_path: Path) -> None:
    path = tmp_path / "cameras.txt"
    path.write_text(
        "# Camera list\n7 OPENCV_FISHEYE 1920 1080 900 901 960 540 0.1 0.2 0.3 0.4\n2 PINHOLE 64 48 5 5 3 2\n"
    )
    found = colmap.read_cameras(path)
    assert {key: (camera.model, camera.size) for key, camera in found.items()} == {
        7: ("OPENCV_FISHEYE", (1080, 1920)),
        2: ("PINHOLE", (48, 64)),
    }
    np.testing.assert_array_equal(found[7].parameters, [900, 901, 960, 540, 0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("7 PINHOLE 64 48 5 5 3 2", "no other camera has"),
        ("8 PINHOLE 64 0 5 5 3 2", "an image size"),
        ("8 PINHOLE 64 48 5 nan 3 2", "finite parameters"),
        ("8 PINHOLE 64.5 48 5 5 3 2", "id, model, width"),
        ("8 PINHOLE", "id, model, width"),
    ],
)
def test_cameras_of_another_form_are_named(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "cameras.txt"
    path.write_text(f"7 PINHOLE 64 48 5 5 3 2\n{line}\n")
    with pytest.raises(DataError, match=f"expected .*{words}"):
        colmap.read_cameras(path)


def test_files_that_are_no_text_or_not_there_are_named(tmp_path: Path) -> None:
    path = tmp_path / "images.txt"
    path.write_bytes(b"\x1f\x8b\x08\xff\xfe")
    with pytest.raises(DataError, match="gzip archive"):
        colmap.read_images(path)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        colmap.read_images(tmp_path / "other.txt")
