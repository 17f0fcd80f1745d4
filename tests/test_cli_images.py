"""Commands that open the images of a file: what they say of broken ones, and that nothing outside is opened."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from ehps.humandata import HumanData
from ehps.humandata.exclusions import listed_rows
from ehps.humandata.passport import Passport
from tests.test_cli import call, data

PATHS = ["a/0.png", "a/1.png", "a/2.png", "b/3.jpg", "b/3.jpg", "b/4.jpg"]


def people(paths: list[str], folder: Path) -> Path:
    n = len(paths)
    columns = {
        "image_path": paths,
        "bbox_xywh": np.tile(np.array([5, 5, 20, 30, 1], np.float32), (n, 1)) + np.arange(n)[:, None] * (1, 0, 0, 0, 0),
        "smplx/global_orient": np.random.default_rng(0).normal(size=(n, 3)),
        "smplx/body_pose": np.zeros((n, 21, 3)),
        "smplx/betas": np.zeros((n, 10)),
        "meta/height": np.full(n, 60, np.int32),
        "meta/width": np.full(n, 40, np.int32),
    }
    passport = Passport(body_model="smplx", num_betas=10, gender="neutral", dataset="toy")
    return HumanData(columns, passport=passport).save(folder / "toy.h5")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file beside its five images, 40 x 60."""
    for name in sorted({*PATHS}):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), np.full((60, 40, 3), 90, np.uint8))
    return people(PATHS, tmp_path)


@pytest.fixture
def broken(file: Path) -> Path:
    """Of its images one is absent, one empty, one cut short, one half as large."""
    root = file.parent
    (root / "a/0.png").unlink()
    (root / "a/1.png").write_bytes(b"")
    (root / "a/2.png").write_bytes((root / "a/2.png").read_bytes()[:-20])
    cv2.imwrite(str(root / "b/3.jpg"), np.zeros((30, 20, 3), np.uint8))
    return file


def test_sound_images_are_counted(file: Path) -> None:
    root = ("--images", file.parent)
    text = call("humandata", "verify", file, *root).stdout
    assert "all columns are as they were written" in text
    assert "all 5 images were decoded" in text
    assert "no problems" in call("humandata", "validate", file, *root).stdout
    assert {"image_missing", "image_unreadable", "image_size"} <= data("humandata", "audit", file, *root)[
        "counts"
    ].keys()


def test_verify_lists_what_cannot_be_used_for_merge_and_sample(broken: Path, tmp_path: Path) -> None:
    listed = tmp_path / "broken.txt"
    result = call("humandata", "verify", broken, "--images", tmp_path, "--jobs", "2", "--exclude-to", listed, code=1)
    assert "4 of 5 images cannot be used, 5 rows" in result.stdout
    for line in (
        "a/0.png (row 0): no such image",
        "a/1.png (row 1): has 0 bytes",
        "a/2.png (row 2): is cut short",
        "b/3.jpg (row 3): has 20 x 30 pixels, its rows say 40 x 60",
    ):
        assert line in result.stdout
    assert np.flatnonzero(listed_rows(HumanData.open(broken), listed)).tolist() == [0, 1, 2, 3, 4]
    for command in ("merge", "sample"):
        made = call("humandata", command, broken, "--exclude", listed, "--out", tmp_path / "left.h5")
        assert f"left out: 5 rows, which {listed} names" in made.stderr
        assert HumanData.open(tmp_path / "left.h5")["image_path"].tolist() == ["b/4.jpg"]
    listed.write_text("other.jpg\n")
    for command in ("merge", "sample"):
        refused = call("humandata", command, broken, "--exclude", listed, "--out", tmp_path / "none.h5", code=1)
        assert "names no row" in refused.stderr


def test_verify_of_an_npz_looks_at_its_images(broken: Path, tmp_path: Path) -> None:
    call("humandata", "export", broken, "--out", tmp_path / "toy.npz")
    listed = tmp_path / "list.json"
    result = call(
        "humandata", "verify", tmp_path / "toy.npz", "--images", tmp_path, "--exclude-to", listed, "--json", code=1
    )
    assert [fault["row"] for fault in json.loads(result.stdout)["broken"]] == [0, 1, 2, 3]
    assert [entry["dataset"] for entry in json.loads(listed.read_text())] == ["toy"] * 4
    assert (
        "give --images" in call("humandata", "verify", tmp_path / "toy.npz", code=2).stderr.replace("\n", " ").lower()
    )


def test_verify_without_a_folder_takes_no_options_of_images(file: Path, tmp_path: Path) -> None:
    assert "--images" in call("humandata", "verify", file, "--jobs", "2", code=2).stderr
    assert "no such folder" in call("humandata", "verify", file, "--images", tmp_path / "no", code=1).stderr


def test_validate_and_audit_count_images_that_differ(broken: Path) -> None:
    rows = json.loads(call("humandata", "validate", broken, "--images", broken.parent, "--json", code=1).stdout)
    assert [(row["column"], row["rows"]) for row in rows] == [("image_path", 1), ("image_path", 2), ("meta/width", 2)]
    assert rows[2]["problem"] == "1 images have another size: b/3.jpg has 20 x 30 pixels, its rows say 40 x 60"
    text = call("humandata", "audit", broken, "--images", broken.parent).stdout
    assert "row 3, b/3.jpg#0: has 20 x 30 pixels, its rows say 40 x 60" in text
    counts = data("humandata", "audit", broken, "--images", broken.parent)["counts"]
    assert [counts[name] for name in ("image_missing", "image_unreadable", "image_size")] == [1, 2, 2]


def test_view_tells_broken_images_from_absent_ones(broken: Path, tmp_path: Path) -> None:
    out = ("--images", tmp_path, "--out", tmp_path / "pages")
    some = call("humandata", "view", broken, *out, "--rows", "0,1,2,5").stderr
    assert "1 images are not below" in some
    assert "a/1.png cannot be read: has 0 bytes" in some
    assert "a/2.png cannot be read: is cut short" in some
    none = call("humandata", "view", broken, *out, "--rows", "1,2", code=1).stderr
    assert "no image could be read" in none
    assert "not below" not in none


@pytest.mark.parametrize("name", ["../secret.png", "ABSOLUTE", "link.png", "linked/secret.png"])
def test_no_command_opens_an_image_outside_the_folder(file: Path, tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    (tmp_path / "a").rename(root)
    (tmp_path / "out").mkdir()
    cv2.imwrite(str(tmp_path / "secret.png"), np.zeros((60, 40, 3), np.uint8))
    (tmp_path / "out/secret.png").symlink_to(tmp_path / "secret.png")
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "linked").symlink_to(tmp_path / "out")
    path = str(tmp_path / "secret.png") if name == "ABSOLUTE" else name
    led_out = people(["0.png", path, "1.png", "2.png"], tmp_path)
    for command in (
        ("humandata", "view", led_out, "--images", root, "--out", tmp_path / "pages", "--rows", "0,1"),
        ("humandata", "audit", led_out, "--images", root, "--out", tmp_path / "audit"),
        ("humandata", "verify", led_out, "--images", root),
        ("analysis", "attributes", led_out, "--test", led_out, "--images", f"{led_out}={root}"),
    ):
        refused = call(*command, code=1).stderr
        assert f"image_path {path!r} of row 1" in refused
        assert "it was not opened" in refused
    assert list(tmp_path.glob("pages/*")) == []
    assert "image_path" in call("humandata", "validate", led_out, "--images", root, code=1).stdout


def test_a_pipe_with_the_name_of_an_image_is_not_waited_for(file: Path, tmp_path: Path) -> None:
    (tmp_path / "a/0.png").unlink()
    os.mkfifo(tmp_path / "a/0.png")
    text = call("humandata", "verify", file, "--images", tmp_path, code=1).stdout
    assert "a/0.png (row 0): is a pipe, socket or device, not an image" in text
    assert (
        "pipe" in call("humandata", "view", file, "--images", tmp_path, "--out", tmp_path / "p", "--rows", "0,1").stderr
    )
