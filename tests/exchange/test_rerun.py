"""Recordings are checked and printed by rerun's own reader."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ehps.body.models import BodyModels
from ehps.exchange import rerun_recording
from ehps.exchange.forms import Sources
from tests.exchange.sequences import SIZE, moving

pytest.importorskip("rerun")


def read(path: Path, *what: str) -> str:
    command = [sys.executable, "-m", "rerun_cli", "rrd", *what, str(path)]  # rerun itself imports all that writes
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_lens_that_is_lost_is_told(models: BodyModels, tmp_path: Path) -> None:
    hd = moving(models, frames=1)
    bent = hd.with_columns({"meta/fisheye_dist_coeffs": np.zeros((len(hd), 4), np.float32)})
    done = rerun_recording.write(bent, tmp_path / "clip.rrd", Sources())
    assert [sentence.split(":")[0] for sentence in done.left_out][1] == "the distortion of the lens"


def test_a_recording_has_images_boxes_bodies_and_times(models: BodyModels, tmp_path: Path) -> None:
    hd = moving(models, frames=2)
    (tmp_path / "clip").mkdir()
    cv2.imwrite(str(tmp_path / "clip" / "000000.jpg"), np.full((*SIZE, 3), 90, np.uint8))
    out = tmp_path / "clip.rrd"
    done = rerun_recording.write(hd, out, Sources(images=tmp_path, body_models=models))
    assert done.left_out == [f"1 images, which are not below {tmp_path}"]
    read(out, "verify")
    text = read(out, "print", "-v")
    for entity in ("/camera/image", "/camera/image/bbox_xywh", "/camera/people/1/surface", "/camera/people/2/joints"):
        assert entity in text, entity
    assert "Pinhole" in text
    assert "time" in text


def test_what_is_missing_is_said(models: BodyModels, tmp_path: Path) -> None:
    hd = moving(models, frames=1, people=1)
    done = rerun_recording.write(hd, tmp_path / "a.rrd", Sources())
    assert [sentence.split(":")[0] for sentence in done.left_out] == ["joints and surfaces", "images"]
    hd = hd.with_columns({"smplx/transl": np.full((1, 3), np.nan, np.float32)})
    done = rerun_recording.write(hd, tmp_path / "b.rrd", Sources(body_models=models))
    assert "1 bodies, whose parameters are not finite" in done.left_out
