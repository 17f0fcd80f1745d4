"""FIT3D and HumanSC3D, which differ from CHI3D in having one person and no axis of persons."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ehps.converters.pipeline.report import Report
from ehps.demo.raw.stage import Truth
from ehps.errors import DataError
from ehps.humandata import HumanData
from tests.raw import imar
from tests.raw.checks import assert_boxes_hold_the_visible_joints, assert_joints_are_the_truth, nearest
from tests.raw.imar import CAMERAS, Singles
from tests.raw.trees import Raw, run
from tests.raw.ubody import number_at, write_video

PUBLISHED = {"fit3d": 1_779_300, "humansc3d": 288_362}


@pytest.fixture(scope="module", params=sorted(PUBLISHED))
def raw(request: pytest.FixtureRequest, raw_trees: Callable[[str], Raw]) -> Raw:
    return raw_trees(request.param)


def test_joints_are_those_of_the_raw_world_moved_by_every_raw_camera(
    raw: Raw, tree: Singles, converted: tuple[HumanData, Report], body_models: Path
) -> None:
    hd, report = converted
    assert_joints_are_the_truth(hd, tree.truth, body_models)
    assert_boxes_hold_the_visible_joints(hd)
    assert nearest(hd, tree.truth) == list(range(12))
    assert report.quality["points3d_m"]["max"] < 1e-3
    assert report.quality["reprojection_px"]["max"] < 0.01
    assert (report.published, report.written, report.dropped) == (PUBLISHED[raw.dataset], 12, {})
    assert report.problems == []


def test_every_row_says_its_subject_camera_and_frame(
    raw: Raw, tree: Singles, converted: tuple[HumanData, Report]
) -> None:
    hd, _ = converted
    rows = [
        (f"{action.subject}/{action.name}", action.subject, camera, frame)
        for action in tree.actions
        for camera in CAMERAS
        for frame in range(action.frames)
    ]
    columns = [hd[f"meta/{name}"].tolist() for name in ("sequence_name", "subject", "camera", "frame_id")]
    assert list(zip(*columns, strict=True)) == rows
    assert set(hd["meta/person_id"].tolist()) == {0}
    assert set(hd["meta/gender"].tolist()) == {"neutral"}
    betas = [json.loads(imar.file(tree.root, action, "smplx").read_text())["betas"][0] for action in tree.actions]
    expected = [betas[k] for k, action in enumerate(tree.actions) for _ in range(2 * action.frames)]
    np.testing.assert_allclose(hd["smplx/betas"], expected, rtol=1e-6)
    assert (hd.passport.dataset, hd.passport.flat_hand_mean) == (raw.dataset, True)
    assert hd.misc["lens"] == "h36m"
    assert hd.validate() == []


def test_frames_are_cut_by_their_number(own: Path, raw: Raw, tree: Singles, tmp_path: Path, body_models: Path) -> None:
    for action, length in zip(tree.actions, (3, 3), strict=True):  # one frame less than fits, and one more
        for camera in CAMERAS:
            video = own / "train" / action.subject / "videos" / camera / f"{action.name}.mp4"
            write_video(video, length, 50, size=(900, 900))
    report = run(raw.dataset, own, tmp_path / "x.h5", body_models, frames=tmp_path / "frames")
    hd = HumanData.open(tmp_path / "x.h5")
    assert_joints_are_the_truth(hd, tree.truth[[0, 1, 2, 4, 5, 6, 8, 9, 10, 11]], body_models)
    shown = [number_at(tmp_path / "frames" / path) for path in hd["image_path"].tolist()]
    assert shown == hd["meta/frame_id"].tolist()
    assert len(report.dropped["image missing"]) == 2


def test_only_the_chosen_frames_are_cut(own: Path, raw: Raw, tree: Singles, tmp_path: Path, body_models: Path) -> None:
    for action in tree.actions:
        video = own / "train" / action.subject / "videos" / CAMERAS[1] / f"{action.name}.mp4"
        write_video(video, 4, 50, size=(900, 900))
    options = {"cameras": CAMERAS[1], "interval": "2"}
    report = run(raw.dataset, own, tmp_path / "x.h5", body_models, frames=tmp_path / "frames", options=options)
    cut = sorted(path.relative_to(tmp_path / "frames").as_posix() for path in (tmp_path / "frames").rglob("*.jpg"))
    chosen = Truth.concat([action.truth(CAMERAS[1:], list(range(0, action.frames, 2))) for action in tree.actions])
    assert cut == sorted(chosen.image_path)
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), chosen, body_models)
    assert (report.published, report.dropped) == (None, {})


def test_a_video_that_is_not_there_is_named(
    own: Path, raw: Raw, tree: Singles, tmp_path: Path, body_models: Path
) -> None:
    with pytest.raises(DataError, match=r"no such video"):
        run(raw.dataset, own, tmp_path / "x.h5", body_models, frames=tmp_path / "frames")


def test_the_test_split_is_refused_with_the_reason(raw: Raw, tree: Singles, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no bodies"):
        run(raw.dataset, tree.root, tmp_path / "x.h5", None, split="test")
