"""BVH is read as animation programs read it; OBJ by trimesh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from ehps.body.models import BodyModels
from ehps.body.variants import params_of
from ehps.exchange import bvh, gltf, obj
from ehps.exchange.forms import Sources
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.exchange.sequences import moving

Y_UP = np.array([1, -1, -1])


def joints_of(path: Path) -> tuple[dict[str, np.ndarray[Any, Any]], float]:
    """World places (T, 3) of each joint of a BVH file, centimetres, and the time of a frame."""
    head, motion = path.read_text().split("MOTION\n")
    lines = motion.splitlines()
    count, step = int(lines[0].split()[1]), float(lines[1].split()[2])
    values = np.array([[float(word) for word in line.split()] for line in lines[2:]])
    assert len(values) == count
    found: dict[str, np.ndarray[Any, Any]] = {}
    stack: list[np.ndarray[Any, Any]] = []
    name, at, offset = "", 0, np.zeros(3)
    for line in map(str.strip, head.splitlines()):
        words = line.split()
        if words[0] in ("ROOT", "JOINT", "End"):
            name = words[1] if words[0] != "End" else ""
        elif words[0] == "OFFSET":
            offset = np.array(words[1:], float)
        elif words[0] == "}":
            stack.pop()
        if words[0] == "OFFSET" and not name:
            stack.append(np.zeros(0))
        if words[0] == "CHANNELS":
            local = np.tile(np.eye(4), (count, 1, 1))
            local[:, :3, 3] = offset
            for channel in words[2:]:
                column = values[:, at]
                at += 1
                axis = channel[0].lower()
                if channel.endswith("position"):
                    local[:, "xyz".index(axis), 3] += column
                else:
                    local[:, :3, :3] = (
                        local[:, :3, :3] @ Rotation.from_euler(axis, column[:, None], degrees=True).as_matrix()
                    )
            world = stack[-1] @ local if stack else local
            found[name] = world[:, :3, 3]
            stack.append(world)
    assert at == values.shape[1]
    return found, step


def test_joints_of_a_bvh_are_those_of_the_body_model(models: BodyModels, tmp_path: Path) -> None:
    hd = moving(models)
    done = bvh.write(hd, tmp_path, Sources(body_models=models))
    assert [path.name for path in done.files] == ["clip_1.bvh", "clip_2.bvh"]
    # expressions move joints of the model's head by some millimetres, which bones of one length do not follow
    joints = models.joints(params_of(hd).with_(expression=np.zeros((len(hd), 10)))) * Y_UP * 100
    for person, path in enumerate(done.files, start=1):
        rows = np.flatnonzero(np.asarray(hd["meta/track_id"]) == person)
        found, step = joints_of(path)
        assert step == pytest.approx(1 / 25)
        assert tuple(sorted(found)) == tuple(sorted(point_names("smplx")[:55]))
        for k, name in enumerate(point_names("smplx")[:55]):
            assert np.abs(found[name] - joints[rows, k]).max() < 2e-3, name


def test_uneven_times_are_brought_to_even_steps_and_said(models: BodyModels, tmp_path: Path) -> None:
    hd = moving(models, people=1)
    gap = hd[[0, 1, 3, 4]]
    done = bvh.write(gap, tmp_path, Sources(body_models=models))
    found, step = joints_of(done.files[0])
    assert step == pytest.approx(1 / 25, rel=1e-3)
    assert len(found["pelvis"]) == 5
    assert any("interpolated" in sentence for sentence in done.left_out)
    whole, _ = joints_of(bvh.write(hd, tmp_path / "whole", Sources(body_models=models)).files[0])
    assert np.abs(found["pelvis"] - whole["pelvis"]).max() < 1e-2  # the pelvis moves evenly


def test_obj_has_the_vertices_of_each_row(models: BodyModels, tmp_path: Path) -> None:
    hd = moving(models, frames=2)
    done = obj.write(hd, tmp_path, Sources(body_models=models))
    assert [path.name for path in done.files] == ["clip_000000_0.obj", "clip_000001_0.obj", "clip_000001_1.obj"]
    vertices = models.mesh(params_of(hd)) * Y_UP
    for row, path in enumerate(done.files):
        read = trimesh.load(path, process=False, maintain_order=True)
        assert np.abs(read.vertices - vertices[row]).max() < 1e-6
        assert (read.faces == models.faces("smplx")).all()


def test_people_in_invented_cameras_are_said_to_have_no_depth(models: BodyModels, tmp_path: Path) -> None:
    hd = moving(models, frames=1, people=1)
    virtual = HumanData({name: hd[name] for name in hd.columns}, passport=hd.passport.with_(focal="virtual"))
    for form in (bvh, obj):
        done = form.write(virtual, tmp_path / form.__name__, Sources(body_models=models))
        assert any("depths" in sentence for sentence in done.left_out)


@pytest.mark.parametrize("form", [bvh, gltf, obj])
def test_people_of_images_with_like_names_are_all_written(form: Any, models: BodyModels, tmp_path: Path) -> None:
    hd = moving(models, frames=3, people=1).without(["meta/track_id"])
    hd = hd.with_columns({"image_path": ["a/b_1.jpg", "a_b/1.jpg", "A_B_1.jpg"]})
    done = form.write(hd, tmp_path, Sources(body_models=models))
    assert len({path.name.lower() for path in done.files}) == len(hd)
    assert all(path.is_file() for path in done.files)
