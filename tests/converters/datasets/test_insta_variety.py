from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from ehps.converters.base import Instances
from ehps.converters.datasets import insta_variety
from ehps.converters.datasets.insta_variety import InstaVariety
from ehps.converters.pipeline.report import Report
from ehps.errors import DataError
from ehps.humandata import HumanData, boxes
from ehps.humandata.keypoints import flip_order, point_names
from ehps.humandata.storage.h5 import content_hash
from tests.raw import faults
from tests.raw.checks import assert_joints_are_the_truth, nearest, peak_memory, truncate
from tests.raw.insta_variety import DUMP, FITS, IDS, KEPT, NAMES, TRACKS, VIBE, scale_up, write_vibe
from tests.raw.neural_annot import Tree
from tests.raw.trees import Raw, runner

Pair = tuple[HumanData, Report]
POINTS = point_names("instavariety")

DATASET = "insta_variety"
run = runner(DATASET)


def edit_dump(root: Path, without: str = "", **changes: Any) -> None:
    """Write the dump anew without some columns and with others changed."""
    content = {key: np.array(value) for key, value in joblib.load(root / DUMP).items() if key not in without.split()}
    joblib.dump(content | changes, root / DUMP)


# -- people -------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_raw_fits(tree: Tree, converted: Pair, body_models: Path) -> None:
    hd, _ = converted
    assert_joints_are_the_truth(hd, tree.truth, body_models)


def test_every_row_is_its_own_person_in_the_order_of_the_dump(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert hd["meta/annotation_id"].tolist() == [IDS[k] for k in KEPT]
    assert hd["image_path"].tolist() == [f"images/{NAMES[k]}" for k in KEPT]
    assert nearest(hd, tree.truth) == [0, 1, 2, 3]
    assert hd["meta/sequence_name"].tolist() == [TRACKS[0], TRACKS[1], TRACKS[1], TRACKS[2]]
    assert hd["meta/frame_id"].tolist() == [7, 1, 2, 0]


def test_parameters_and_cameras_are_the_raw_ones_nested_or_not(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    pose = np.concatenate([hd["smpl/global_orient"], hd["smpl/body_pose"].reshape(4, 69)], axis=1)
    np.testing.assert_allclose(pose, tree.parameter("pose"), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(hd["smpl/betas"], tree.parameter("shape"), rtol=1e-5)
    np.testing.assert_allclose(hd["smpl/transl"], tree.parameter("trans"), rtol=1e-5)
    np.testing.assert_allclose(hd["meta/focal_length"], tree.camera("focal"), rtol=1e-6)
    np.testing.assert_allclose(hd["meta/principal_point"], tree.camera("princpt"), rtol=1e-6)
    assert len(np.unique(hd["meta/focal_length"][:, 0])) == 4


def test_detected_points_are_kept_and_heels_are_heels(tree: Tree, converted: Pair) -> None:
    hd, report = converted
    own = hd["keypoints2d_original"]
    assert hd.keypoint_names["keypoints2d_original"] == POINTS
    np.testing.assert_allclose(own, np.array(tree.values("joints2D")), rtol=1e-6)
    assert not own[:, 13].any()
    assert not own[3].any()
    heels = hd.keypoints("keypoints2d_smpl", ("right_heel", "left_heel"))
    seen = own[:, [0, 5], 2] > 0
    assert seen.any()
    assert np.linalg.norm((heels - own[:, [0, 5]])[..., :2], axis=2)[seen].max() < 0.1
    assert report.quality["reprojection_px"]["max"] < 0.1
    assert report.quality["reprojection_px"]["n"] == 3


def test_boxes_are_the_datasets_own_within_the_crop(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    box = np.array(tree.values("bbox"))
    low, high = np.clip(box[:, :2], 0, 224), np.clip(box[:, :2] + box[:, 2:], 0, 224)
    np.testing.assert_allclose(hd["bbox_xywh"], np.column_stack([low, high - low, np.ones(4)]), atol=1e-4)
    assert hd["bbox_xywh"][1].tolist() == [0, 5, 224, 180, 1]


def test_facts_of_the_file(converted: Pair) -> None:
    hd, report = converted
    assert hd["meta/height"].tolist() == hd["meta/width"].tolist() == [224] * 4
    assert hd["meta/gender"].tolist() == ["neutral"] * 4
    expected = {
        "smpl_source": "neural_annot",
        "bbox_source": "provided_by_dataset",
        "image_shape": [224, 224],
        "cam_param_type": "perspective",
        "bbox_body_scale": 1.0,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    assert (hd.passport.dataset, hd.passport.body_model, hd.passport.focal) == ("insta_variety", "smpl", "virtual")
    assert hd.validate() == []
    assert report.published == 2_184_800


def test_what_is_left_out_is_counted_by_reason(tree: Tree, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(found) for reason, found in report.dropped.items()} == tree.dropped
    assert report.dropped["no SMPL fit"] == ["17"]
    assert (report.found, report.written) == (8, 4)
    assert report.problems == []
    assert report.notes == []


# -- chunks and size ------------------------------------------------------------------------------------------


def test_chunks_of_rows_and_workers_do_not_change_the_file(
    tree: Tree, converted: Pair, tmp_path: Path, body_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(insta_variety, "ROWS", 3)
    assert [unit.data[:2] for unit in InstaVariety(tree.root, "train").units()] == [(0, 3), (3, 6), (6, 8)]
    report = run(tree.root, tmp_path / "x.h5", body_models)
    assert (report.units, report.dropped) == (3, converted[1].dropped)
    run(tree.root, tmp_path / "y.h5", body_models, jobs=2, backend="threading")
    assert content_hash(tmp_path / "x.h5") == content_hash(tmp_path / "y.h5")
    hd, whole = HumanData.open(tmp_path / "x.h5"), converted[0]
    assert list(hd.columns) == list(whole.columns)
    for name in hd.columns:
        if isinstance(hd[name], np.ndarray):
            np.testing.assert_allclose(hd[name], whole[name], rtol=1e-4, atol=1e-5)
        else:
            assert hd[name].tolist() == whole[name].tolist()


def test_chunks_made_of_other_fits_are_not_taken_up_again(
    own: Path, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(insta_variety, "ROWS", 3)
    text = (own / FITS).read_text()
    (own / FITS).write_text(text.replace('"princpt": [[', '"princpt": [[;'))
    with pytest.raises(DataError, match=r"rows 3.*entry 41 is not JSON"):
        run(own, tmp_path / "x.h5", None)
    (own / FITS).write_text(text)
    assert run(own, tmp_path / "x.h5", None).finished_before == 0
    np.testing.assert_allclose(HumanData.open(tmp_path / "x.h5")["smpl/transl"], tree.parameter("trans"), rtol=1e-5)


MEASURE = """
import sys
from ehps.converters.datasets import insta_variety
from ehps.converters.pipeline import convert
insta_variety.ROWS = 250
peaks = []
for raw in sys.argv[1:]:
    convert(insta_variety.InstaVariety, raw, out=raw + ".h5", progress=False)
    peaks.append(peak())
print(peaks[1] - peaks[0])
"""  # one process for both: to start one takes longer than they do


def test_memory_does_not_grow_with_the_dataset(tree: Tree, tmp_path: Path) -> None:
    for rows in (250, 2000):
        scale_up(tree.root, tmp_path / str(rows), rows)
    assert (tmp_path / "2000" / FITS).stat().st_size > 3_000_000
    assert peak_memory(MEASURE, tmp_path / "250", tmp_path / "2000") < 12
    assert [len(HumanData.open(tmp_path / f"{rows}.h5")) for rows in (250, 2000)] == [250, 2000]


# -- releases -------------------------------------------------------------------------------------------------


def test_without_fits_there_are_points_and_boxes(own: Path, tmp_path: Path) -> None:
    asked = run(own, tmp_path / "x.h5", None, options={"fits": "none"})
    (own / FITS).unlink()
    absent = run(own, tmp_path / "y.h5", None)
    assert asked.written == absent.written == 6
    assert asked.notes == ["fits=none was asked for: keypoints and boxes only"]
    assert absent.notes == [f"no fits ({FITS} is absent): keypoints and boxes only"]
    assert "smpl/betas" not in HumanData.open(tmp_path / "y.h5")


def test_a_dump_with_names_as_objects_and_no_more_than_is_needed(own: Path, tree: Tree, tmp_path: Path) -> None:
    edit_dump(own, "img_shape joints2D features", file_name=np.array([f"images/{n}" for n in NAMES], object))
    run(own, tmp_path / "x.h5", None)
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["image_path"].tolist() == tree.truth.image_path
    assert hd["meta/height"].tolist() == [224] * 4
    assert "keypoints2d_original" not in hd


def test_without_boxes_they_are_made_of_the_visible_points(own: Path, tree: Tree, tmp_path: Path) -> None:
    edit_dump(own, "bbox")
    report = run(own, tmp_path / "x.h5", None)
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["meta/annotation_id"].tolist() == [IDS[k] for k in (0, 3, 4, 5)]  # 6 has no visible point
    assert len(report.dropped["body box empty or outside the image"]) == 1
    points = np.array(tree.values("joints2D"))[:1]
    np.testing.assert_allclose(hd["bbox_xywh"][:1], boxes.from_keypoints(points, (224, 224), 1.2), rtol=1e-5)
    assert hd.misc["bbox_source"] == "keypoints2d_original"
    assert hd.misc["bbox_body_scale"] == 1.2


def test_vibes_file_gives_points_and_boxes_of_the_exported_crops(own: Path, tmp_path: Path) -> None:
    joints = write_vibe(own)
    shutil.rmtree(own / "annotations")
    report = run(own, tmp_path / "x.h5", None)
    hd = HumanData.open(tmp_path / "x.h5")
    rows = [0, 3, 4, 5]  # 1 has no visible joint, 2 no crop
    assert hd["image_path"].tolist() == [f"images/{NAMES[k]}" for k in rows]
    assert hd["meta/sequence_name"].tolist() == [TRACKS[0], *[TRACKS[1]] * 3]
    assert hd["meta/frame_id"].tolist() == [7, 0, 1, 2]
    np.testing.assert_allclose(hd["keypoints2d_original"], joints[rows], rtol=1e-6)
    np.testing.assert_allclose(hd["bbox_xywh"], boxes.from_keypoints(joints[rows], (224, 224), 1.2), rtol=1e-5)
    assert {reason: len(found) for reason, found in report.dropped.items()} == {
        "image missing": 1,
        "body box empty or outside the image": 1,
    }
    assert report.notes == [f"{VIBE} has no fits: keypoints and boxes only"]
    assert report.problems == []


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_parameters_are_kept_and_joints_are_absent(tree: Tree, raw: Raw) -> None:
    hd, report = raw.without_models()
    np.testing.assert_allclose(hd["smpl/transl"], tree.parameter("trans"), rtol=1e-5)
    assert "body models" in report.absent["keypoints3d_smpl"]
    assert "keypoints3d_smpl" not in hd


def test_a_truncated_file_of_vibe_is_named(own: Path, tmp_path: Path) -> None:
    write_vibe(own)
    shutil.rmtree(own / "annotations")
    truncate(own / VIBE)
    with pytest.raises(DataError, match=r"insta_train_db\.h5"):
        run(own, tmp_path / "x.h5", None)


def test_the_dump_of_another_method_is_refused_with_what_to_take(own: Path, tmp_path: Path) -> None:
    edit_dump(own, "ann_id", vid_name=np.array(NAMES))
    with pytest.raises(DataError, match=r"no ann_id and file_name.*belongs to the fits"):
        run(own, tmp_path / "x.h5", None)


def test_columns_of_different_lengths_are_refused(own: Path, tmp_path: Path) -> None:
    edit_dump(own, bbox=np.zeros((3, 4)))
    with pytest.raises(DataError, match="different lengths"):
        run(own, tmp_path / "x.h5", None)


def test_a_dump_without_a_usable_row_is_refused(own: Path, tmp_path: Path) -> None:
    (own / FITS).write_text("{}")
    with pytest.raises(DataError, match="8 no SMPL fit"):
        run(own, tmp_path / "x.h5", None)


# -- planted faults ---------------------------------------------------------------------------------------------


def points_mirrored(rows: Instances) -> None:
    assert rows.keypoints2d is not None
    rows.keypoints2d.points = rows.keypoints2d.points[:, flip_order("instavariety")]


def heels_as_ankles(rows: Instances) -> None:
    assert rows.keypoints2d is not None
    rows.keypoints2d.points[:, [23, 24]] = rows.keypoints2d.points[:, [5, 0]]


def one_camera_for_all(rows: Instances) -> None:
    assert rows.camera is not None
    rows.camera.focal = rows.camera.focal[[-1] * len(rows)]


@pytest.mark.parametrize(
    ("fault", "words"),
    [(points_mirrored, "left and right exchanged"), (one_camera_for_all, "2D points")],
)
def test_quality_exposes(tree: Tree, tmp_path: Path, body_models: Path, fault: faults.Fault, words: str) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(InstaVariety, fault))
    assert words in " ".join(report.problems)


def test_heels_taken_for_ankles_show_in_the_error(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    wrong = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(InstaVariety, heels_as_ankles))
    assert wrong.quality["reprojection_px"]["p50"] > 0.2
