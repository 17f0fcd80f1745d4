from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ehps.converters.base import Instances
from ehps.converters.datasets.h36m import H36M
from ehps.converters.pipeline.report import Report
from ehps.demo.raw import stage
from ehps.demo.raw.stage import Truth
from ehps.errors import DataError, UsageError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import part_indices, point_names
from tests.raw import faults
from tests.raw.checks import STILL, edited, parameters, truncate
from tests.raw.h36m import HEIGHTS, Actor, file_name, keys, path_of, truth
from tests.raw.neural_annot import ABSENT
from tests.raw.trees import Raw, runner

SHAPES = {"left_hand_pose": (15, 3), "right_hand_pose": (15, 3), "expression": (10,)}
GONE = [(1, 10, 2), *((5, frame, c) for c in HEIGHTS for frame in (5, 10))]
Actors = dict[int, Actor]
Converted = tuple[HumanData, Report, list[tuple[int, int, int]]]

DATASET = "h36m"
run = runner(DATASET)


def rows_of(hd: HumanData) -> list[tuple[int, int, int]]:
    columns = (hd[f"meta/{name}"].tolist() for name in ("subject_id", "frame_id", "camera_id"))
    return list(zip(*columns, strict=True))


def assert_people_are(hd: HumanData, people: Truth, models: Path) -> None:
    """Joints of the smplx package, with a mean hand and a neutral face, are the truth within 1 mm."""
    rest = {name: np.zeros((len(hd), *SHAPES.get(name, (3,)))) for name in ABSENT}
    joints = stage.package(models, parameters(hd).with_(**rest))[0]
    assert hd["image_path"].tolist() == people.image_path
    np.testing.assert_allclose(joints[:, STILL], people.joints[:, STILL], atol=1e-3)
    np.testing.assert_allclose(hd["keypoints3d_smplx"][:, STILL, :3], people.joints[:, STILL], atol=1e-3)
    body = hd["keypoints2d_smplx"][:, :22]
    np.testing.assert_allclose(body[..., :2], people.points[:, :22], atol=0.1)


@pytest.fixture(scope="module")
def root(raw: Raw) -> Path:
    return raw.root


@pytest.fixture(scope="module")
def actors(raw: Raw) -> Actors:
    """What is in the read-only tree."""
    return raw.tree


@pytest.fixture(scope="module")
def converted(actors: Actors, raw: Raw) -> Converted:
    wanted = [key for key in keys(actors, (1, 5), (0, 5, 10)) if key not in GONE]
    return *raw.converted(), wanted


# -- people -------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_world_moved_by_each_camera(
    actors: Actors, converted: Converted, body_models: Path
) -> None:
    hd, report, wanted = converted
    assert rows_of(hd) == wanted
    assert {c for _, _, c in wanted} == set(HEIGHTS)
    assert_people_are(hd, truth(actors, wanted), body_models)
    assert report.problems == []


def test_own_joints_are_right_leg_first_in_the_camera(actors: Actors, converted: Converted) -> None:
    hd, report, wanted = converted
    expected = np.concatenate([actors[s].joints[frame, c] for s, frame, c in wanted])
    own = hd["keypoints3d_original"]
    assert hd.keypoint_names["keypoints3d_original"] == point_names("h36m_mmpose")
    np.testing.assert_allclose(own[..., :3], expected, atol=1e-5)
    for place, joint in ((1, "right_hip"), (6, "left_ankle"), (13, "left_wrist")):
        ours = hd["keypoints3d_smplx"][:, point_names("smplx").index(joint), :3]
        np.testing.assert_allclose(own[:, place, :3], ours, atol=1e-3)
    assert report.quality["points3d_m"]["max"] < 1e-3
    assert report.quality["reprojection_px"]["max"] < 0.1


def test_each_row_has_the_camera_of_its_subject_and_number(actors: Actors, converted: Converted) -> None:
    hd, _, wanted = converted
    cameras = [actors[s].cameras[str(c)] for s, _, c in wanted]
    np.testing.assert_allclose(hd["meta/focal_length"], [camera["f"] for camera in cameras], rtol=1e-6)
    np.testing.assert_allclose(hd["meta/principal_point"], [camera["c"] for camera in cameras], rtol=1e-6)
    assert hd["meta/height"].tolist() == [HEIGHTS[c] for _, _, c in wanted]


def test_hands_and_face_are_left_out_and_their_joints_do_not_count(converted: Converted) -> None:
    hd, _, _ = converted
    assert not {f"smplx/{name}" for name in ABSENT} & set(hd.columns)
    confidence = hd["keypoints3d_smplx"][..., 3]
    absent = [
        *part_indices(point_names("smplx"), "left_hand"),
        *part_indices(point_names("smplx"), "right_hand"),
        22,
        *range(76, 144),
    ]
    assert not confidence[:, absent].any()
    assert (np.delete(confidence, absent, axis=1) == 1).all()
    assert not hd["keypoints2d_smplx"][:, absent, 2].any()
    assert not hd["lhand_bbox_xywh"].any()
    assert not hd["face_bbox_xywh"].any()
    assert hd.passport.flat_hand_mean is False


def test_boxes_are_the_datasets_cut_to_the_image(root: Path, converted: Converted) -> None:
    hd, _, wanted = converted
    np.testing.assert_allclose(hd["bbox_xywh"][wanted.index((1, 5, 2))], [0, 300, 639.5, 700, 1], atol=1e-3)
    with edited(path_of(root, 5, "data")) as data:
        ids = {image["file_name"]: image["id"] for image in data["images"]}
        boxes = {a["image_id"]: a["bbox"] for a in data["annotations"]}
    x, y, w, h = boxes[ids[file_name(5, 0, 3)]]
    assert min(x, y) > 0
    np.testing.assert_allclose(hd["bbox_xywh"][wanted.index((5, 0, 3))], [x, y, w, h, 1], rtol=1e-5)


def test_facts_of_the_file(converted: Converted) -> None:
    hd, report, wanted = converted
    expected = {
        "smplx_source": "neural_annot",
        "bbox_source": "provided_by_dataset",
        "cam_param_type": "perspective",
        "cam_param_source": "original",
        "flat_hand_mean": False,
        "kps3d_root_aligned": False,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    assert set(hd["meta/action"].tolist()) == {"Directions"}
    passport = hd.passport
    assert (passport.dataset, passport.split, passport.sampling, passport.gender) == ("h36m", "train", 5, "neutral")
    assert hd.validate() == []
    assert (report.found, report.written, report.published) == (24, len(wanted), 312_188)
    assert {reason: len(rows) for reason, rows in report.dropped.items()} == {
        "no SMPL-X fit": 4,
        "no 3D joints": 4,
        "body box empty or outside the image": 1,
    }


# -- splits and options ----------------------------------------------------------------------------------------


def test_test_is_every_64th_frame_of_camera_4(actors: Actors, root: Path, tmp_path: Path, body_models: Path) -> None:
    report = run(root, tmp_path / "x.h5", body_models, split="test")
    hd = HumanData.open(tmp_path / "x.h5")
    wanted = keys(actors, (9,), (0, 64, 128), (4,))
    assert rows_of(hd) == wanted
    assert_people_are(hd, truth(actors, wanted), body_models)
    assert hd.passport.sampling == 64
    assert report.problems == []


def test_subjects_that_are_not_there_are_named_and_an_error_only_when_strict(
    own: Path, converted: Converted, tmp_path: Path
) -> None:
    for subject in (5, 8):
        for name in ("data", "camera", "joint_3d", "SMPLX_NeuralAnnot"):
            path_of(own, subject, name).unlink()
    report = run(own, tmp_path / "x.h5", None)
    assert report.left_out == {"subject not there": ["subject 5", "subject 8"]}
    wanted = [row for row in converted[2] if row[0] == 1]
    assert rows_of(HumanData.open(tmp_path / "x.h5")) == wanted
    with pytest.raises(DataError, match=r"2 of 5 units .*subject 5: subject not there .*--strict.*subject5_data\.json"):
        run(own, tmp_path / "y.h5", None, strict=True)
    for subject in (1, 6, 7):
        path_of(own, subject, "data").unlink()
    with pytest.raises(DataError, match=r"missing: annotations/Human36M_subject1_data\.json \| "):
        run(own, tmp_path / "y.h5", None)


def test_cameras_and_stride_can_be_chosen(actors: Actors, root: Path, tmp_path: Path, body_models: Path) -> None:
    run(root, tmp_path / "x.h5", body_models, split="test", options={"cameras": "3,1", "interval": "1"})
    wanted = keys(actors, (9,), (0, 3, 5, 10, 64, 128), (1, 3))
    assert rows_of(HumanData.open(tmp_path / "x.h5")) == wanted
    with pytest.raises(UsageError, match="no '5'"):
        run(root, tmp_path / "y.h5", None, options={"cameras": "5"})
    with pytest.raises(UsageError, match="interval=0"):
        run(root, tmp_path / "y.h5", None, options={"interval": "0"})


def test_centres_of_cameras_are_noticed(own: Path, actors: Actors, tmp_path: Path, body_models: Path) -> None:
    with edited(path_of(own, 9, "camera")) as cameras:
        for camera in cameras.values():
            camera["t"] = (-np.array(camera["R"]).T @ camera["t"]).tolist()
    report = run(own, tmp_path / "x.h5", body_models, split="test")
    people = truth(actors, keys(actors, (9,), (0, 64, 128), (4,)))
    assert_people_are(HumanData.open(tmp_path / "x.h5"), people, body_models)
    assert report.notes == ["translations of the cameras are their centres: taken as such"]


def test_without_fits_there_are_joints_and_boxes(own: Path, actors: Actors, tmp_path: Path) -> None:
    report = run(own, tmp_path / "x.h5", None, split="test", options={"fits": "none"})
    assert report.notes == ["fits=none was asked for: keypoints and boxes only"]
    path_of(own, 9, "SMPLX_NeuralAnnot").unlink()
    report = run(own, tmp_path / "y.h5", None, split="test")
    assert "Human36M_subject9_SMPLX_NeuralAnnot.json is absent" in report.notes[0]
    expected = np.concatenate([actors[9].joints[frame, c] for _, frame, c in keys(actors, (9,), (0, 64, 128), (4,))])
    for name in ("x.h5", "y.h5"):
        hd = HumanData.open(tmp_path / name)
        np.testing.assert_allclose(hd["keypoints3d_original"][..., :3], expected, atol=1e-5)
        assert hd.body_model is None


# -- bad input -------------------------------------------------------------------------------------------------


def test_odd_rows_are_dropped_and_a_camera_that_is_not_there_is_named(
    own: Path, tmp_path: Path, body_models: Path
) -> None:
    with edited(path_of(own, 9, "SMPLX_NeuralAnnot")) as fits:
        fits["2"]["1"]["64"]["trans"] = [[0.0, float("nan"), 0.0]]
    (own / "images" / file_name(9, 128, 4)).unlink()
    report = run(own, tmp_path / "x.h5", body_models, split="test")
    assert report.dropped == {
        "body parameters not finite": [f"images/{file_name(9, 64, 4)}"],
        "image missing": [f"images/{file_name(9, 128, 4)}"],
    }
    with edited(path_of(own, 9, "camera")) as cameras:
        del cameras["4"]
    with pytest.raises(DataError, match="has no camera 4"):
        run(own, tmp_path / "y.h5", body_models, split="test")


def test_subjects_made_of_other_cameras_are_not_taken_up_again(own: Path, actors: Actors, tmp_path: Path) -> None:
    truncate(path_of(own, 11, "data"))  # a second subject that fails, so that parts of the first stay
    with edited(path_of(own, 9, "camera")) as cameras:
        right = cameras["4"]["c"]
        cameras["4"]["c"] = [0.0, 0.0]
    with pytest.raises(DataError, match="subject11_data"):
        run(own, tmp_path / "x.h5", None, split="test", options={"fits": "none"})
    with edited(path_of(own, 9, "camera")) as cameras:
        cameras["4"]["c"] = right
    run(own, tmp_path / "x.h5", None, split="test", options={"fits": "none"}, skip_bad=True)
    assert HumanData.open(tmp_path / "x.h5")["meta/principal_point"][0].tolist() == pytest.approx(right)


# -- planted faults ---------------------------------------------------------------------------------------------


def left_leg_first(rows: Instances) -> None:
    assert rows.keypoints2d is not None
    assert rows.keypoints3d is not None
    rows.keypoints2d.convention = rows.keypoints3d.convention = "h36m"


def joints_in_millimetres(rows: Instances) -> None:
    assert rows.keypoints3d is not None
    rows.keypoints3d.points = rows.keypoints3d.points * 1000


@pytest.mark.parametrize(
    ("fault", "words"),
    [(faults.neighbours, "3D points"), (left_leg_first, "3D points")],
)
def test_quality_exposes(
    actors: Actors, root: Path, tmp_path: Path, body_models: Path, fault: faults.Fault, words: str
) -> None:
    report = run(root, tmp_path / "x.h5", body_models, dataset=faults.faulty(H36M, fault), options={"cameras": "1"})
    assert words in " ".join(report.problems)


@pytest.mark.parametrize("fault", [faults.millimetres, joints_in_millimetres, faults.left_in_the_world])
def test_units_and_frames_that_are_wrong_are_refused_or_exposed(
    actors: Actors, root: Path, tmp_path: Path, body_models: Path, fault: faults.Fault
) -> None:
    try:
        problems = run(root, tmp_path / "x.h5", body_models, dataset=faults.faulty(H36M, fault)).problems
    except DataError as error:
        problems = [str(error)]
    assert problems
