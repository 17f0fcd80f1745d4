"""What the test of every converter asks: joints found again by the smplx package, rows told apart, faults planted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ehps.body.params import BodyParams
from ehps.demo.raw import stage
from ehps.demo.raw.stage import Truth
from ehps.humandata import HumanData

Array = npt.NDArray[Any]

STILL = slice(0, 127)  # the face contour is chosen by orientation; all other joints are the body's own


def parameters(hd: HumanData) -> BodyParams:
    """The body columns of a converted file."""
    model_type = hd.body_model
    assert model_type is not None
    known = {field.name for field in fields(BodyParams)}
    columns = {
        name.split("/")[1]: np.asarray(hd[name], float) for name in hd.columns if name.startswith(f"{model_type}/")
    }
    values = {name: value for name, value in columns.items() if name in known}
    return BodyParams(
        model_type=model_type,
        gender=np.asarray(hd["meta/gender"].tolist()),
        flat_hand_mean=bool(hd.passport.flat_hand_mean),
        **values,
    )


def package_joints(hd: HumanData, models: Path) -> Array:
    """(N, J, 3) joints of the converted parameters, evaluated by the smplx package."""
    return stage.package(models, parameters(hd))[0]


def nearest(hd: HumanData, truth: Truth) -> list[int]:
    """The person of ``truth`` that each row is: the one in its image whose pelvis is nearest."""
    found = []
    for path, joints in zip(hd["image_path"].tolist(), hd[f"keypoints3d_{hd.body_model}"], strict=True):
        there = [k for k, other in enumerate(truth.image_path) if other == path]
        distance = np.linalg.norm(truth.joints[there, 0] - joints[0, :3], axis=1)
        found.append(there[int(distance.argmin())])
    return found


def assert_joints_are_the_truth(hd: HumanData, truth: Truth, models: Path) -> None:
    """Rows of ``hd`` are the people of ``truth`` one by one: within 1 mm and 0.1 pixel."""
    model_type = hd.body_model
    assert hd["image_path"].tolist() == truth.image_path
    np.testing.assert_allclose(package_joints(hd, models)[:, STILL], truth.joints[:, STILL], atol=1e-3)
    np.testing.assert_allclose(hd[f"keypoints3d_{model_type}"][:, STILL, :3], truth.joints[:, STILL], atol=1e-3)
    np.testing.assert_allclose(hd[f"keypoints2d_{model_type}"][:, STILL, :2], truth.points[:, STILL], atol=0.1)


def assert_boxes_hold_the_visible_joints(hd: HumanData, people: Sequence[int] | None = None) -> None:
    """Body boxes are inside their images and hold every projected joint that is inside the image."""
    rows = np.arange(len(hd)) if people is None else np.asarray(people)
    x0, y0, w, h, confidence = hd["bbox_xywh"][rows].astype(float).T[:, :, None]
    width, height = hd["meta/width"][rows, None], hd["meta/height"][rows, None]
    assert (confidence == 1).all()
    assert (np.minimum(x0, y0) >= 0).all()
    assert (x0 + w <= width + 1e-3).all()
    assert (y0 + h <= height + 1e-3).all()
    points = hd[f"keypoints2d_{hd.body_model or 'smplx'}"][rows][:, STILL, :2]  # of meshes where there is no body
    x, y = np.moveaxis(points.astype(float), 2, 0)
    seen = (x >= 0) & (y >= 0) & (x <= width) & (y <= height)
    held = (x >= x0 - 1) & (x <= x0 + w + 1) & (y >= y0 - 1) & (y <= y0 + h + 1)
    assert seen.any(axis=1).all()
    assert held[seen].all()


def blank(root: Path, paths: Sequence[str], height: int, width: int) -> None:
    """One-colour images where only their presence and size matter."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(one_colour(Path(path).suffix, height, width))


@cache
def one_colour(suffix: str, height: int, width: int) -> bytes:
    """The file of an image."""
    done, content = cv2.imencode(suffix, np.full((height, width, 3), 120, np.uint8))
    assert done
    return bytes(content)


@contextmanager
def edited(path: Path) -> Iterator[Any]:
    """The content of a json file, written back afterwards."""
    content = json.loads(path.read_text())
    yield content
    path.write_text(json.dumps(content))


PEAK = """
def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1000
"""


def peak_memory(code: str, *arguments: Path | str) -> float:
    """MB that a fresh process prints last when it runs ``code``, in which ``peak()`` is its peak so far.

    The system's ``ru_maxrss`` will not do: a child process starts with the peak of its parent.
    """
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process is read from /proc")
    command = [sys.executable, "-c", PEAK + code, *map(str, arguments)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def truncate(path: Path) -> None:
    """Leave the first half of a file, as a broken download does."""
    data = path.read_bytes()
    replace(path, data[: len(data) // 2])


def replace(path: Path, data: bytes) -> None:
    """Put a new file in the place of one that may be a link to another."""
    path.unlink()
    path.write_bytes(data)
