from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from ehps.converters.base import Instances
from ehps.converters.datasets.mpi_inf_3dhp import MPIINF3DHP
from ehps.converters.pipeline.report import Report
from ehps.converters.readers.matlab import load_mat
from ehps.demo.raw import stage
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import flip_order, point_names
from tests.raw import faults
from tests.raw.checks import STILL, edited, nearest, parameters, truncate
from tests.raw.mpi_inf_3dhp import ACTIVITY, SEQUENCES, VALID, Tree
from tests.raw.trees import runner

Pair = tuple[HumanData, Report]
POINTS = point_names("mpi_inf_3dhp_test")
HANDS_AND_FACE = ("left_hand_pose", "right_hand_pose", "jaw_pose", "leye_pose", "reye_pose", "expression")

DATASET = "mpi_inf_3dhp"
run = runner(DATASET)


@pytest.fixture(scope="module")
def tested(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    out = tmp_path_factory.mktemp("out") / "test.h5"
    report = run(tree.root, out, None, split="test")
    return HumanData.open(out), report


# -- train ----------------------------------------------------------------------------------------------------------


def test_joints_are_the_world_ones_before_every_camera(tree: Tree, converted: Pair, body_models: Path) -> None:
    hd, report = converted
    assert hd["image_path"].tolist() == tree.truth.image_path
    assert {row.camera for row in tree.rows} == {0, 8}
    stored = parameters(hd)
    n = len(hd)
    hands = {name: np.zeros((n, 15, 3)) for name in HANDS_AND_FACE[:2]}
    face = {name: np.zeros((n, 3)) for name in HANDS_AND_FACE[2:5]}
    joints, _ = stage.package(body_models, stored.with_(**hands, **face, expression=np.zeros((n, 10))))
    np.testing.assert_allclose(joints[:, STILL], tree.truth.joints[:, STILL], atol=1e-3)
    np.testing.assert_allclose(hd["keypoints3d_smplx"][:, STILL, :3], tree.truth.joints[:, STILL], atol=1e-3)
    posed = hd["keypoints2d_smplx"][:, STILL, 2] > 0
    assert posed[:, :22].all()
    np.testing.assert_allclose(
        hd["keypoints2d_smplx"][:, STILL, :2][posed], tree.truth.points[:, STILL][posed], atol=0.1
    )
    assert report.problems == []
    assert hd.validate() == []


def test_parts_that_were_not_fitted_are_left_out(converted: Pair) -> None:
    hd, _ = converted
    assert not {f"smplx/{name}" for name in HANDS_AND_FACE} & set(hd.columns)
    assert hd["smplx/betas"].shape[1] == 10
    assert hd.passport.flat_hand_mean is False
    assert set(hd["meta/gender"].tolist()) == {"neutral"}
    assert not any(hd[f"{part}_bbox_xywh"].any() for part in ("face", "lhand", "rhand"))


def test_rows_follow_the_annotations_and_know_their_frame_and_camera(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert nearest(hd, tree.truth) == list(range(len(hd)))
    assert hd["meta/annotation_id"].tolist() == [row.id for row in tree.rows]
    assert hd["meta/camera"].tolist() == [row.camera for row in tree.rows]
    facts = zip(hd["meta/subject"], hd["meta/seq"], hd["meta/frame"], strict=True)
    assert list(facts) == [(f"S{s}", f"Seq{q}", f) for s, q, f in (row.frame for row in tree.rows)]
    assert not any(path.startswith("/") for path in hd["image_path"])


def test_own_joints_are_moved_and_projected(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    three, two = hd["keypoints3d_original"], hd["keypoints2d_original"]
    assert hd.keypoint_names["keypoints3d_original"] == POINTS
    np.testing.assert_allclose(three[..., :3], [row.own for row in tree.rows], atol=1e-4)
    np.testing.assert_allclose(two[..., :2], [row.pixels for row in tree.rows], atol=0.05)


def test_boxes_are_the_annotated_ones_cut_at_the_border(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    x, y, w, h = np.array([row.bbox for row in tree.rows]).T
    low, high = np.clip([x, y], 0, 1024), np.clip([x + w, y + h], 0, 1024)
    np.testing.assert_allclose(hd["bbox_xywh"][:, :4], np.stack([*low, *(high - low)], 1), atol=0.01)
    assert (x < 0).any()
    body = hd["keypoints2d_smplx"][:, :22, :2]
    corner = hd["bbox_xywh"][:, None, :2]
    assert ((body >= corner - 1) & (body <= corner + hd["bbox_xywh"][:, None, 2:4] + 1)).all()


def test_what_is_left_out_is_counted(converted: Pair) -> None:
    _, report = converted
    counts = {reason: len(found) for reason, found in report.dropped.items()}
    assert counts == {"no SMPL-X fit": 2, "no 3D joints": 2, "body box empty or outside the image": 1}


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"cameras": "0"}, lambda row: row.camera == 0),
        ({"interval": "3"}, lambda row: row.frame[2] % 3 == 0),
        ({"cameras": "8", "interval": "2"}, lambda row: row.camera == 8 and row.frame[2] in (0, 4)),
    ],
)
def test_cameras_and_frames_may_be_chosen(tree: Tree, tmp_path: Path, options: dict[str, str], kept: Any) -> None:
    run(tree.root, tmp_path / "x.h5", None, options=options | {"fits": "none"})
    found = HumanData.open(tmp_path / "x.h5")["meta/annotation_id"].tolist()
    without_fit = {row.id for row in tree.rows if kept(row)}
    assert [i for i in found if i in without_fit] == [row.id for row in tree.rows if kept(row)]


def test_without_fits_all_captured_joints_convert(tree: Tree, own: Path, tmp_path: Path) -> None:
    (own / "data/MPI-INF-3DHP_SMPLX_NeuralAnnot.json").unlink()
    report = run(own, tmp_path / "x.h5", None)
    hd = HumanData.open(tmp_path / "x.h5")
    assert len(hd) == len(tree.rows) + 2
    assert hd.body_model is None
    assert "no fits (MPI-INF-3DHP_SMPLX_NeuralAnnot.json is absent)" in report.notes[0]


def test_the_root_may_be_the_data_folder(own: Path, converted: Pair, tmp_path: Path, body_models: Path) -> None:
    run(own / "data", tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert [f"data/{path}" for path in hd["image_path"]] == converted[0]["image_path"].tolist()


# -- test ---------------------------------------------------------------------------------------------------------


def test_valid_frames_of_the_test_set_have_their_metric_joints(tree: Tree, tested: Pair) -> None:
    hd, report = tested
    frames = np.flatnonzero(VALID)
    assert hd["image_path"].tolist() == [
        f"mpi_inf_3dhp_test_set/{name}/imageSequence/img_{n + 1:06d}.jpg" for name in SEQUENCES for n in frames
    ]
    joints = np.concatenate([tree.test[name][0][frames] for name in SEQUENCES])
    pixels = np.concatenate([tree.test[name][1][frames] for name in SEQUENCES])
    np.testing.assert_allclose(hd["keypoints3d_original"][..., :3], joints, atol=1e-4)
    np.testing.assert_allclose(hd["keypoints2d_original"][..., :2], pixels, atol=0.01)
    assert hd.keypoint_names["keypoints2d_original"] == POINTS
    assert hd["meta/activity"].tolist() == [ACTIVITY[n] for n in frames] * 2
    assert hd["meta/frame"].tolist() == (frames + 1).tolist() * 2
    assert {k: len(v) for k, v in report.dropped.items()} == {"frame not valid": 4}
    assert report.found == 10
    assert report.left_out == {"sequence not there": ["TS2", "TS3", "TS4", "TS6"]}
    assert hd.body_model is None
    assert report.problems == []
    assert hd.validate() == []


def test_cameras_of_the_test_set_are_those_that_made_its_points(tested: Pair) -> None:
    hd, _ = tested
    of = np.array(hd["meta/seq"].tolist()) == "TS5"
    for rows, name in ((~of, "TS1"), (of, "TS5")):
        height, width, focal, centre = SEQUENCES[name]
        np.testing.assert_allclose(hd["meta/focal_length"][rows], [focal] * 3, rtol=1e-4)
        np.testing.assert_allclose(hd["meta/principal_point"][rows], [centre] * 3, atol=0.1)
        assert set(hd["meta/height"][rows].tolist()) == {height}
        assert set(hd["meta/width"][rows].tolist()) == {width}


def test_a_test_set_unpacked_into_a_folder_of_its_name_is_found(own: Path, tested: Pair, tmp_path: Path) -> None:
    (own / "a").mkdir()
    (own / "mpi_inf_3dhp_test_set").rename(own / "a/mpi_inf_3dhp_test_set")
    run(own, tmp_path / "x.h5", None, split="test")
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["image_path"].tolist() == [f"a/{path}" for path in tested[0]["image_path"]]


# -- bad input ------------------------------------------------------------------------------------------------------


def test_fits_of_smpl_under_the_name_of_smplx_are_refused(own: Path, tmp_path: Path) -> None:
    with edited(own / "data/MPI-INF-3DHP_SMPLX_NeuralAnnot.json") as fits:
        for sequences in fits.values():
            for frames in sequences.values():
                for frame in frames:
                    frames[frame] = {"pose": [0.0] * 72, "shape": [0.0] * 10, "trans": [0.0] * 3}
    with pytest.raises(DataError, match="has no root_pose, body_pose"):
        run(own, tmp_path / "x.h5", None)


def test_a_camera_that_is_not_there_is_named(own: Path, tmp_path: Path) -> None:
    with edited(own / "data/MPI-INF-3DHP_camera_1k.json") as cameras:
        del cameras["2"]["1"]["0"]
    with pytest.raises(DataError, match="has no camera 2/1/0"):
        run(own, tmp_path / "x.h5", None)


def test_a_fit_that_is_no_number_is_left_out(own: Path, tmp_path: Path, body_models: Path) -> None:
    path = own / "data/MPI-INF-3DHP_SMPLX_NeuralAnnot.json"
    fits = json.loads(path.read_text())
    fits["2"]["1"]["3"]["shape"][0] = float("nan")
    path.write_text(json.dumps(fits))
    report = run(own, tmp_path / "x.h5", body_models)
    assert len(report.dropped["body parameters not finite"]) == 2


@pytest.mark.parametrize("name", list(SEQUENCES))
def test_a_truncated_matlab_file_is_named(own: Path, tmp_path: Path, name: str) -> None:
    truncate(own / f"mpi_inf_3dhp_test_set/{name}/annot_data.mat")
    with pytest.raises(DataError, match=rf"{name}.annot_data\.mat"):
        run(own, tmp_path / "x.h5", None, split="test")


def test_matlab_files_without_what_is_needed_are_refused(own: Path, tmp_path: Path) -> None:
    path = own / "mpi_inf_3dhp_test_set/TS5/annot_data.mat"
    savemat(path, {"annot2": np.zeros((2, 17, 1, 5)), "valid_frame": np.ones((1, 5))})
    with pytest.raises(DataError, match="has no annot3"):
        run(own, tmp_path / "x.h5", None, split="test")
    savemat(
        path, {"annot2": np.zeros((2, 28, 1, 5)), "annot3": np.zeros((3, 28, 1, 5)), "valid_frame": np.ones((1, 5))}
    )
    with pytest.raises(DataError, match="expected 5 x 17 x 2 numbers"):
        run(own, tmp_path / "x.h5", None, split="test")


def test_a_file_that_is_no_matlab_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_text("<html>404</html>" * 20)
    with pytest.raises(DataError, match="no readable MATLAB file"):
        load_mat(tmp_path / "a.mat", "annot2")
    with pytest.raises(DataError, match="no such file"):
        load_mat(tmp_path / "b.mat", "annot2")


# -- planted faults ---------------------------------------------------------------------------------------------


def left_side_first(rows: Instances) -> None:
    for own in (rows.keypoints2d, rows.keypoints3d):
        assert own is not None
        own.convention = [POINTS[i] for i in flip_order(POINTS)]


@pytest.mark.parametrize(
    ("fault", "words"),
    [(left_side_first, "left and right exchanged")],
)
def test_quality_exposes(tree: Tree, tmp_path: Path, body_models: Path, fault: Any, words: str) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(MPIINF3DHP, fault))
    assert words in " ".join(report.problems)
