"""FIT3D and HumanSC3D, which differ from CHI3D in having one person and no axis of persons."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters.base import Converter
from ehps.converters.datasets.fit3d import FIT3D
from ehps.converters.datasets.humansc3d import HumanSC3D
from ehps.converters.pipeline import convert
from ehps.converters.pipeline.report import Report
from ehps.demo.raw.stage import Truth
from ehps.errors import BodyModelError, DataError
from ehps.humandata import HumanData
from tests.raw import faults, imar
from tests.raw.checks import assert_boxes_hold_the_visible_joints, assert_joints_are_the_truth, nearest, truncate
from tests.raw.imar import CAMERAS, Action
from tests.raw.ubody import number_at, write_video


@dataclass
class Tree:
    """A raw tree of two subjects with one action each, of joints3d_25 at 1:1 and at 4:1."""

    id: str
    converter: type[Converter]
    published: int
    root: Path
    actions: tuple[Action, Action]

    @property
    def truth(self) -> Truth:
        return Truth.concat([action.truth() for action in self.actions])


def run(root: Path, out: Path, models: Path | None, dataset: Any, **options: Any) -> Report:
    return convert(dataset, root, out=out, body_models=models, progress=False, **options)


@pytest.fixture(scope="module", params=["fit3d", "humansc3d"])
def tree(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Tree:
    """Read-only."""
    root, rng = tmp_path_factory.mktemp("raw") / request.param, np.random.default_rng(8)
    converter: type[Converter]
    if request.param == "fit3d":
        converter, published, contacts, test = FIT3D, 1_779_300, "rep_ann.json", "s02"
        names = (("s03", "dumbbell_biceps_curls"), ("s10", "squat"))
    else:
        converter, published, contacts, test = HumanSC3D, 288_362, "self_contact_signature.json", "s04"
        names = (("s01", "001"), ("s06", "120"))
    first = imar.write_action(root, body_models, rng, *names[0], frames=4)
    second = imar.write_action(root, body_models, rng, *names[1], frames=2, rate=4)
    imar.save(root / "train" / names[0][0] / contacts, {names[0][1]: [0, 2]})
    imar.write_strays(root, names[0][0])
    imar.write_test_split(root, test, names[0][1])
    return Tree(request.param, converter, published, root, (first, second))


@pytest.fixture(scope="module")
def converted(tree: Tree, tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> tuple[HumanData, Report]:
    out = tmp_path_factory.mktemp("out") / "train.h5"
    report = run(tree.root, out, body_models, tree.id)
    return HumanData.open(out), report


@pytest.fixture
def own(tree: Tree, tmp_path: Path) -> Path:
    """A copy for one test alone."""
    return Path(shutil.copytree(tree.root, tmp_path / "own"))


def test_joints_are_those_of_the_raw_world_moved_by_every_raw_camera(
    tree: Tree, converted: tuple[HumanData, Report], body_models: Path
) -> None:
    hd, report = converted
    assert_joints_are_the_truth(hd, tree.truth, body_models)
    assert_boxes_hold_the_visible_joints(hd)
    assert nearest(hd, tree.truth) == list(range(12))
    assert report.quality["points3d_m"]["max"] < 1e-3
    assert report.quality["reprojection_px"]["max"] < 0.01
    assert (report.published, report.written, report.dropped) == (tree.published, 12, {})
    assert report.problems == []


def test_every_row_says_its_subject_camera_and_frame(tree: Tree, converted: tuple[HumanData, Report]) -> None:
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
    assert (hd.passport.dataset, hd.passport.flat_hand_mean) == (tree.id, True)
    assert hd.misc["lens"] == "h36m"
    assert hd.validate() == []


def test_frames_are_cut_by_their_number(own: Path, tree: Tree, tmp_path: Path, body_models: Path) -> None:
    for action, length in zip(tree.actions, (3, 3), strict=True):  # one frame less than fits, and one more
        for camera in CAMERAS:
            write_video(own / "train" / action.subject / "videos" / camera / f"{action.name}.mp4", length, 50)
    report = run(own, tmp_path / "x.h5", body_models, tree.id, frames=tmp_path / "frames")
    hd = HumanData.open(tmp_path / "x.h5")
    assert_joints_are_the_truth(hd, tree.truth[[0, 1, 2, 4, 5, 6, 8, 9, 10, 11]], body_models)
    shown = [number_at(tmp_path / "frames" / path) for path in hd["image_path"].tolist()]
    assert shown == hd["meta/frame_id"].tolist()
    assert len(report.dropped["image missing"]) == 2


def test_only_the_chosen_frames_are_cut(own: Path, tree: Tree, tmp_path: Path, body_models: Path) -> None:
    for action in tree.actions:
        write_video(own / "train" / action.subject / "videos" / CAMERAS[1] / f"{action.name}.mp4", 4, 50)
    options = {"cameras": CAMERAS[1], "stride": "2"}
    report = run(own, tmp_path / "x.h5", body_models, tree.id, frames=tmp_path / "frames", options=options)
    cut = sorted(path.relative_to(tmp_path / "frames").as_posix() for path in (tmp_path / "frames").rglob("*.jpg"))
    chosen = Truth.concat([action.truth(CAMERAS[1:], list(range(0, action.frames, 2))) for action in tree.actions])
    assert cut == sorted(chosen.image_path)
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), chosen, body_models)
    assert (report.published, report.dropped) == (None, {})


def test_a_video_that_is_not_there_is_named(own: Path, tree: Tree, tmp_path: Path, body_models: Path) -> None:
    with pytest.raises(DataError, match=r"no such video"):
        run(own, tmp_path / "x.h5", body_models, tree.id, frames=tmp_path / "frames")


def test_the_test_split_is_refused_with_the_reason(tree: Tree, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no bodies"):
        run(tree.root, tmp_path / "x.h5", None, tree.id, split="test")


def test_bad_files_folders_and_models_are_named(own: Path, tree: Tree, tmp_path: Path, body_models: Path) -> None:
    with pytest.raises(DataError, match="give that folder"):
        run(own / "train", tmp_path / "x.h5", None, tree.id)
    (tmp_path / "smplx").mkdir()
    with pytest.raises(BodyModelError, match="smplx"):
        run(own, tmp_path / "x.h5", tmp_path, tree.id)
    action = tree.actions[0]
    truncate(imar.file(own, action, "smplx"))
    with pytest.raises(DataError, match=rf"smplx/{action.name}\.json"):
        run(own, tmp_path / "x.h5", body_models, tree.id)
    report = run(own, tmp_path / "x.h5", body_models, tree.id, skip_bad=True)
    assert report.written == 4


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (faults.sides_swapped, "2D points"),
        (faults.pelvis_forgotten, "3D points"),
    ],
)
def test_quality_exposes(tree: Tree, tmp_path: Path, body_models: Path, fault: faults.Fault, words: str) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, faults.faulty(tree.converter, fault))
    assert words in " ".join(report.problems)
