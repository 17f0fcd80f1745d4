from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ehps.converters import registry
from ehps.converters.datasets import sam3d_body
from ehps.converters.datasets.sam3d_body import SAM3DBody
from ehps.converters.datasets.sam3d_body_tars import image_of_key
from ehps.converters.pipeline.repeated_rows import REPEATED
from ehps.converters.pipeline.report import Report
from ehps.errors import DataError, EhpsError
from ehps.humandata import HumanData
from ehps.humandata.audit import audit
from ehps.humandata.audit.measures import measures_of
from ehps.humandata.keypoints import CONVENTIONS, convert
from tests.raw.checks import blank, replace
from tests.raw.sam3d_body import (
    AT_ORIGIN,
    COCO,
    HARMONY,
    IN_CAMERA,
    OTHER,
    PW3D,
    ROOT,
    TRANSLATED,
    VIEWS,
    Record,
    Tree,
    image_path,
    people,
    write,
    write_fixture,
    write_tar,
)
from tests.raw.trees import Raw, runner

DATASET = "sam3d_body"
CODE = b"cos\nsystem\n(S'false'\ntR."
run = runner(DATASET)

Pair = tuple[HumanData, Report]


@pytest.fixture(scope="module")
def crowd(body_models: Path) -> list[list[Record]]:
    """Five images with 1, 2, 3, 1 and 2 people."""
    rng = np.random.default_rng(11)
    names = [f"COCO_train2014_{k:012d}.jpg" for k in range(5)]
    return [
        people(name, count, body_models, rng, view=VIEWS[COCO])
        for name, count in zip(names, (1, 2, 3, 1, 2), strict=True)
    ]


def flat(images: list[list[Record]]) -> list[Record]:
    return [record for image in images for record in image]


def written(root: Path, records: list[Record], **values: Any) -> Path:
    """A tree with one shard of coco_train, its images, and other values in the first record."""
    records = [records[0] | values, *records[1:]]
    write(root / "coco_train/000000.parquet", records)
    for record in records:
        view = VIEWS.get(record["image"], VIEWS[COCO])
        blank(root, [image_path(record)], view.height, view.width)
    return root


def converted(root: Path, out: Path, **options: Any) -> Pair:
    report = run(root, out, None, **options)
    return HumanData.open(out), report


# -- people --------------------------------------------------------------------------------------------------


def test_points_boxes_and_cameras_are_those_of_the_labels(converted: Pair, tree: Tree) -> None:
    hd, _ = converted
    rows = tree.people["coco_train"]
    assert hd["image_path"].tolist() == [image_path(record) for record in rows]
    np.testing.assert_allclose(hd["keypoints2d_original"][..., :2], [r["keypoints_2d"] for r in rows], atol=1e-3)
    assert (hd["keypoints2d_original"][..., 2] == 1).all()
    focal = [[r["cam_int"][0][0], r["cam_int"][1][1]] for r in rows]
    np.testing.assert_allclose(hd["meta/focal_length"], focal)
    np.testing.assert_allclose(hd["meta/principal_point"], [[r["cam_int"][0][2], r["cam_int"][1][2]] for r in rows])
    for k, record in enumerate(rows):
        low, high = np.array(record["keypoints_2d"]).min(axis=0), np.array(record["keypoints_2d"]).max(axis=0)
        size = [VIEWS[COCO].width, VIEWS[COCO].height] if record["image"] != OTHER else [427, 640]
        margin = 0.1 * (high - low)
        wanted = np.concatenate([np.maximum(low - margin, 0), np.minimum(high + margin, size)])
        box = hd["bbox_xywh"][k]
        np.testing.assert_allclose([*box[:2], *(box[:2] + box[2:4])], wanted, atol=0.01)
        assert box[4] == pytest.approx(0.9)


def test_facts_of_the_rows_are_kept(converted: Pair, tree: Tree) -> None:
    hd, _ = converted
    rows = tree.people["coco_train"]
    assert hd["meta/dataset"].tolist() == ["coco"] * 5
    assert hd["meta/person_id"].tolist() == [record["person_id"] for record in rows]
    assert hd["meta/subject_idx"].tolist() == [0, 1, 0, 0, 2]
    assert hd["meta/mhr_version"].tolist() == ["2025-10-01"] * 5
    loss = [np.nan if r["loss"] is None else r["loss"] for r in rows]
    np.testing.assert_allclose(hd["meta/loss"], loss, rtol=1e-6)
    assert hd["meta/label_file"].tolist() == ["coco_train/000000.parquet"] * 3 + ["coco_train/000001.parquet"] * 2
    assert hd["meta/annotation_index"].tolist() == [1, 2, 3, 1, 3]
    assert hd.misc["config"] == "sam3d_body_coco"
    assert hd.passport.body_model is None


def test_mhr_parameters_are_kept_bit_by_bit(converted: Pair, tree: Tree) -> None:
    hd, _ = converted
    fitted = hd["meta/mhr_valid"]
    assert fitted.tolist() == [True, False, True, True, True]
    for name, width in (("model_params", 204), ("shape_params", 45)):
        stored = np.array(hd[f"mhr/{name}"])
        assert (stored.dtype, stored.shape) == (np.float32, (5, width))
        wanted = [record[name] for record in tree.people["coco_train"] if record["mhr_valid"]]
        assert (stored[fitted] == np.array(wanted, np.float32)).all()
    assert np.isnan(hd["mhr/model_params"][1]).all()


def test_people_without_a_fit_keep_their_2d_points_only(converted: Pair) -> None:
    hd, _ = converted
    assert hd["keypoints2d_original"][1, :, 2].all()
    assert not hd["keypoints3d_original"][1].any()
    assert hd["keypoints3d_original"][[0, 2, 3, 4], :, 3].all()


@pytest.mark.parametrize(
    ("frame", "reading"),
    [
        (TRANSLATED, "model_params[0:3] / 10, y and z negated"),
        (IN_CAMERA, "camera frame"),
        (AT_ORIGIN, "solved from keypoints_2d, keypoints_3d and cam_int"),
        (ROOT, "solved from keypoints_2d, keypoints_3d and cam_int"),
    ],
)
def test_3d_points_are_in_the_camera_frame_wherever_they_begin_in_the_labels(
    frame: str, reading: str, tmp_path: Path, body_models: Path
) -> None:
    tree = write_fixture(tmp_path / "raw", body_models, np.random.default_rng(6), frame=frame)
    hd, report = converted_of(tmp_path)
    fitted = hd["meta/mhr_valid"]
    truth = np.stack([record["points"] for record in tree.people["coco_train"]])
    assert np.abs(hd["keypoints3d_original"][..., :3] - truth)[fitted].max() < 1e-3
    assert hd.misc["keypoints3d_place"] == reading
    assert report.quality["own_points_px"]["max"] < 0.05
    assert report.quality["own_points_px"]["n"] == 4
    assert report.problems == []


def converted_of(tmp_path: Path, split: str = "coco_train", **options: Any) -> Pair:
    return converted(tmp_path / "raw", tmp_path / "out.h5", split=split, **options)


def test_points_go_by_name_to_the_places_of_smplx_joints(converted: Pair, tree: Tree) -> None:
    hd, _ = converted
    joints, mask = convert(hd["keypoints3d_original"], "mhr70", "human_data")
    assert mask.sum() == 64  # all but elbow tips, elbow pits and tops of the shoulders
    names = CONVENTIONS["human_data"]
    points = np.stack([record["points"] for record in tree.people["coco_train"]])
    for slot, index in {
        "left_hip": 9,
        "right_wrist": 41,
        "left_wrist": 62,
        "left_bigtoe": 15,
        "right_index": 25,  # the tip
        "right_index_1": 28,  # the knuckle
        "left_thumb_3": 43,
        "neck": 69,
    }.items():
        np.testing.assert_allclose(joints[0, names.index(slot), :3], points[0, index], atol=1e-3)


def test_the_box_of_a_mask_is_kept_and_says_nothing_without_one(converted: Pair, tree: Tree) -> None:
    hd, _ = converted
    box = hd["meta/mask_bbox"]
    assert np.isnan(box[1]).all()
    for k in (0, 2, 3, 4):
        points = np.array(tree.people["coco_train"][k]["keypoints_2d"])
        assert np.abs(box[k, :2] - points.min(axis=0)).max() <= 1
        assert np.abs(box[k, :2] + box[k, 2:] - points.max(axis=0)).max() <= 1


def test_rows_images_and_fits_are_counted_as_the_files_have_them(converted: Pair, tree: Tree) -> None:
    _, report = converted
    assert report.notes[:3] == [
        "8 rows in the label files",
        "4 images in them (subject_idx 0)",
        "7 rows whose MHR fit may be used (mhr_valid)",
    ]
    assert {reason: len(names) for reason, names in report.dropped.items()} == tree.dropped


@pytest.mark.parametrize(("split", "image"), [("harmony4d_train", HARMONY), ("3dpw_train", PW3D)])
def test_splits_below_data_and_beside_it_are_found_with_their_own_image_folders(
    split: str, image: str, raw: Raw, tree: Tree, tmp_path: Path
) -> None:
    hd, report = converted(raw.root, tmp_path / "out.h5", split=split)
    assert set(hd["image_path"].tolist()) == {image_path({"image": image})}
    assert hd.misc["config"] == f"sam3d_body_{split.partition('_')[0]}"
    truth = np.stack([record["points"] for record in tree.people[split]])
    np.testing.assert_allclose(hd["keypoints3d_original"][..., :3], truth, atol=1e-3)
    undistorted = any("undistorted images" in note for note in report.notes)
    assert undistorted == (split == "harmony4d_train")


def test_3dpw_images_may_lie_where_metas_script_takes_them(raw: Raw, tmp_path: Path) -> None:
    root = raw.copy(tmp_path)
    (root / "images/3dpw/imageFiles/downtown_bar_00").rename(root / "images/3dpw/downtown_bar_00")
    shutil.rmtree(root / "images/3dpw/imageFiles")
    hd, _ = converted(root, tmp_path / "out.h5", split="3dpw_train")
    assert hd["image_path"].tolist() == [f"images/3dpw/{PW3D}"]


def test_images_go_to_the_folders_that_their_datasets_have() -> None:
    converter = SAM3DBody(Path("/nowhere"), "coco_train")
    places = {
        ("aic", "a.jpg"): "images/aic/train/images/a.jpg",
        ("mpii", "015601864.jpg"): "images/mpii/images/015601864.jpg",
        ("sa1b", "sa_1.jpg"): "images/sa1b/sa_1.jpg",
        ("egoexo4d", "cmu_bike01_2/cam01/1.jpg"): "images/egoexo4d/cmu_bike01_2/cam01/1.jpg",
        ("egohumans", "01_tagging/001_tagging/cam01/1.jpg"): "images/egohumans/01_tagging/001_tagging/cam01/1.jpg",
        ("coco", "COCO_val2014_000000000042.jpg"): "images/coco/val2014/COCO_val2014_000000000042.jpg",
        ("coco", "../secret.jpg"): "",
        ("lvis", "1.jpg"): "",
    }
    assert {key: converter._image(*key) for key in places} == places


def test_the_audit_measures_what_the_conversion_did(converted: Pair) -> None:
    hd, report = converted
    assert audit(hd, None).flagged == []
    stored = hd["quality/own_points_px"]
    assert np.isfinite(stored).tolist() == hd["meta/mhr_valid"].tolist()
    measured = measures_of(hd.without(["quality/own_points_px"]))["own_points_px"]
    np.testing.assert_allclose(measured, stored, rtol=1e-5)
    assert report.quality["points_in_box"]["p50"] == 1


def test_the_file_can_be_stored_as_npz(raw: Raw, converted: Pair, tmp_path: Path) -> None:
    hd, _ = converted
    other = HumanData.open(hd.save(tmp_path / "out.npz"))
    assert np.array_equal(other["mhr/model_params"], hd["mhr/model_params"], equal_nan=True)


# -- what the labels may be ----------------------------------------------------------------------------------


@pytest.mark.parametrize("spelled", ["XYXY", "xyxy_abs", "BoxMode.XYXY_ABS"])
def test_formats_of_boxes_may_be_spelled_otherwise(spelled: str, tmp_path: Path, crowd: list[list[Record]]) -> None:
    x, y, w, h = crowd[0][0]["bbox"]
    written(tmp_path / "raw", crowd[0], bbox=[x, y, x + w, y + h], bbox_format=spelled)
    hd, _ = converted_of(tmp_path)
    written(tmp_path / "raw", crowd[0])
    again, _ = converted_of(tmp_path)
    np.testing.assert_allclose(hd["bbox_xywh"], again["bbox_xywh"], atol=1e-3)


def test_confidences_of_wider_points_are_kept(tmp_path: Path, crowd: list[list[Record]]) -> None:
    records = [record.copy() for record in crowd[1]]
    for record in records:
        flags = np.where(np.arange(70) < 3, 0.0, np.where(np.arange(70) < 5, 2.0, 0.5))
        record["keypoints_2d"] = np.column_stack([record["keypoints_2d"], flags]).tolist()
        record["keypoints_3d"] = np.column_stack([record["keypoints_3d"], np.arange(70) > 1]).tolist()
    written(tmp_path / "raw", records)
    hd, _ = converted_of(tmp_path)
    np.testing.assert_allclose(hd["keypoints2d_original"][0, :6, 2], [0, 0, 0, 1, 1, 0.5])
    assert hd["keypoints3d_original"][0, :3, 3].tolist() == [0, 0, 1]


def test_people_whose_image_states_no_size_may_reach_beyond_it(tmp_path: Path, crowd: list[list[Record]]) -> None:
    records = [record | {"mask_size": [-1, -1], "mask_cnts": b""} for record in flat(crowd)]
    for record in records:
        points = np.array(record["keypoints_2d"])
        record["cam_int"] = np.array(record["cam_int"]).tolist()
        record["keypoints_2d"], record["bbox"] = points.tolist(), [300.0, 200.0, 100.0, 250.0]
        record["bbox_format"] = "xywh"
        shift = [0, 400]  # the camera looks higher up: legs are below the image
        record["keypoints_2d"] = (points + shift).tolist()
        record["cam_int"][1][2] += shift[1]
    written(tmp_path / "raw", records)
    _, report = converted_of(tmp_path)
    assert (report.written, report.dropped) == (len(records), {})


def test_rows_are_the_same_in_many_units_and_no_image_is_divided(
    tmp_path: Path, crowd: list[list[Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = written(tmp_path / "raw", flat(crowd))
    whole, _ = converted_of(tmp_path)
    write(root / "coco_train/000000.parquet", flat(crowd), group=2)
    monkeypatch.setattr(sam3d_body, "ROWS", 4)
    parts = [(unit.data.start, unit.data.stop) for unit in SAM3DBody(root, "coco_train").units()]
    assert parts == [(0, 3), (3, 7), (7, 9)]
    other, report = converted(root, tmp_path / "other.h5")
    assert report.units == 3
    for name in whole.columns:
        a, b = np.array(whole[name].tolist()), np.array(other[name].tolist())
        assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), name


# -- what the labels must not be -----------------------------------------------------------------------------


def broken(change: Callable[[list[Record]], list[Record]], root: Path, crowd: list[list[Record]]) -> str:
    written(root / "raw", change([record.copy() for record in flat(crowd)]))
    with pytest.raises(DataError) as error:
        converted_of(root)
    assert "coco_train/000000.parquet" in str(error.value)
    return str(error.value)


def test_people_that_are_missing_from_an_image_are_an_error(tmp_path: Path, crowd: list[list[Record]]) -> None:
    assert "row 2: subject_idx 2 of 2" in broken(
        lambda records: [*records[:2], records[2] | {"subject_idx": 2}, *records[3:]], tmp_path, crowd
    )
    assert "row 4: subject_idx 2 of 3" in broken(lambda records: [*records[:4], *records[5:]], tmp_path, crowd)


def test_a_shard_that_starts_or_ends_within_an_image_is_an_error(tmp_path: Path, crowd: list[list[Record]]) -> None:
    said = broken(lambda records: records[2:], tmp_path, crowd)
    assert "row 0: subject_idx is 1, so the file starts in the middle of an image" in said
    assert "row 7: subject_idx 0 of 2" in broken(lambda records: records[:-1], tmp_path, crowd)


def test_numbers_that_label_files_skip_are_named(tmp_path: Path, crowd: list[list[Record]]) -> None:
    root = written(tmp_path, flat(crowd))
    write(root / "coco_train/000000.parquet", flat(crowd[:2]))
    write(root / "coco_train/000002.parquet", flat(crowd[2:]))
    _, report = converted(root, tmp_path / "x.h5", split="coco_train")
    assert report.left_out == {"label file not there": ["coco_train/000001.parquet"]}
    assert report.written == len(flat(crowd))
    with pytest.raises(DataError, match=r"label file not there.*000001\.parquet"):
        run(root, tmp_path / "y.h5", None, split="coco_train", strict=True)


def test_a_copy_beside_numbered_label_files_gives_nobody_twice(tmp_path: Path, crowd: list[list[Record]]) -> None:
    root = written(tmp_path, flat(crowd))
    shutil.copy(root / "coco_train/000000.parquet", root / "coco_train/000000 (1).parquet")
    _, report = converted(root, tmp_path / "x.h5", split="coco_train")
    assert report.left_out == {"label file not called as 000000": ["coco_train/000000 (1).parquet"]}
    assert report.written == len(flat(crowd))


def test_columns_of_the_first_release_are_refused_by_name(tmp_path: Path, crowd: list[list[Record]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    root = written(tmp_path / "raw", flat(crowd))
    path = root / "coco_train/000000.parquet"
    table = parquet.read_table(path).drop_columns(["model_params", "mhr_valid"])
    for name in ("global_rot", "proto_valid"):
        table = table.append_column(name, pa.array([0.0] * len(table)))
    parquet.write_table(table, path)
    with pytest.raises(DataError, match=r"first release \(global_rot, proto_valid\) and no mhr_valid, model_params"):
        converted_of(tmp_path)


def test_damage_within_a_shard_is_named_and_costs_its_unit_alone(raw: Raw, tmp_path: Path) -> None:
    root = raw.linked(tmp_path)
    path = root / "coco_train/000001.parquet"
    data = bytearray(path.read_bytes())
    footer = int.from_bytes(data[-8:-4], "little") + 8
    for k in range(4, len(data) - footer):
        data[k] ^= 0x5A
    replace(path, bytes(data))
    with pytest.raises(DataError, match=r"1 of 2 units could not be read: coco_train/000001\.parquet"):
        converted(root, tmp_path / "out.h5")
    assert converted(root, tmp_path / "out.h5", skip_bad=True)[1].written == 3


def test_raw_recordings_in_the_place_of_undistorted_images_are_told(raw: Raw, tmp_path: Path) -> None:
    root = raw.copy(tmp_path)
    (root / "images/harmony4d/train/01_hugging/001_hugging/exo").mkdir()
    _, report = converted(root, tmp_path / "out.h5", split="harmony4d_train")
    assert any("001_hugging/exo is of the raw recording" in note for note in report.notes)


@pytest.mark.parametrize("factor", [100, 1000])
def test_3d_points_in_other_units_are_refused(factor: int, tmp_path: Path, crowd: list[list[Record]]) -> None:
    def grown(records: list[Record]) -> list[Record]:
        return [r | {"keypoints_3d": (np.array(r["keypoints_3d"]) * factor).tolist()} for r in records]

    assert "keypoints_3d are not metres" in broken(grown, tmp_path, crowd)


def test_3d_points_in_other_axes_are_refused(tmp_path: Path, crowd: list[list[Record]]) -> None:
    def turned(records: list[Record]) -> list[Record]:
        return [r | {"keypoints_3d": (np.array(r["keypoints_3d"]) * [1, -1, -1]).tolist()} for r in records]

    assert "keypoints_3d lie on keypoints_2d in no known reading" in broken(turned, tmp_path, crowd)


ODD: list[tuple[str, Any, str]] = [
    ("bbox_format", "cxcywh", "bbox_format is not xyxy or xywh"),
    ("keypoints_2d", [[1.0, 2.0]] * 69, "keypoints_2d is not 70 x 2 or 3 numbers"),
    ("model_params", [0.0] * 203, "model_params is not 204 numbers"),
    ("shape_params", [float("nan")] * 45, "shape_params not finite or beyond any body"),
    ("cam_int", [[500.0, 3.0, 320.0], [0.0, 500.0, 240.0], [0.0, 0.0, 1.0]], "cam_int is no matrix of a pinhole"),
    ("cam_int", None, "cam_int is not 3 x 3 numbers"),
    ("dataset", "lvis", "dataset or image name of no known form"),
    ("bbox_score", 0.0, "bbox_score 0"),
]


@pytest.mark.parametrize(("column", "value", "reason"), ODD)
def test_rows_of_another_form_are_left_out_and_counted(
    column: str, value: Any, reason: str, tmp_path: Path, crowd: list[list[Record]]
) -> None:
    written(tmp_path / "raw", flat(crowd), **{column: value})
    hd, report = converted_of(tmp_path)
    ((said, names),) = report.dropped.items()
    assert said.startswith(reason)
    assert len(names) == 1
    assert "row 0" in names[0]
    assert len(hd) == len(flat(crowd)) - 1


# -- tars ----------------------------------------------------------------------------------------------------


@pytest.fixture
def tars(raw: Raw, tree: Tree, tmp_path: Path) -> Path:
    """The tree with tars in the place of the Parquet files of coco_train."""
    root = raw.copy(tmp_path)
    shutil.rmtree(root / "coco_train")
    write_tar(root / "coco_train/000000.tar", tree.people["coco_train"][:3])
    write_tar(root / "coco_train/000001.tar", [r | {"subject_cnt": 2} for r in tree.people["coco_train"][3:]])
    return root


def test_a_tar_gives_the_rows_that_it_was_made_of(tars: Path, tmp_path: Path, raw: Raw) -> None:
    hd, report = converted(tars, tmp_path / "out.h5")
    wanted, _ = raw.converted()
    assert report.dropped == {}
    skipped = {"meta/label_file", "meta/annotation_index", "meta/subject_idx"}
    for name in set(wanted.columns) - skipped:
        a, b = np.array(wanted[name].tolist()), np.array(hd[name].tolist())
        if a.dtype.kind == "f":
            np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-3, err_msg=name)
        else:
            assert a.tolist() == b.tolist(), name
    assert hd["meta/subject_idx"].tolist() == [0, 1, 0, 0, 1]


def test_images_are_taken_out_of_tars(tars: Path, tmp_path: Path) -> None:
    shutil.rmtree(tars / "images/coco")
    hd, report = converted(tars, tmp_path / "out.h5", frames=tmp_path / "frames")
    assert (report.written, report.dropped) == (5, {})
    for path in hd["image_path"].tolist():
        assert cv2.imread(str(tmp_path / "frames" / path)) is not None


def test_code_in_a_tar_is_not_run(tars: Path, tmp_path: Path) -> None:
    data = (tars / "coco_train/000000.tar").read_bytes()
    at = data.index(b"\x80")  # the first pickle
    (tars / "coco_train/000000.tar").write_bytes(data[:at] + CODE + data[at + len(CODE) :])
    with pytest.raises(EhpsError, match=r"asks for os\.system; nothing was run"):
        converted(tars, tmp_path / "out.h5")


def test_an_expression_is_kept_where_there_is_one(tars: Path, tree: Tree, tmp_path: Path) -> None:
    given = np.linspace(-1, 1, 72, dtype=np.float32)
    (tars / "coco_train/000001.tar").unlink()
    write_tar(tars / "coco_train/000000.tar", tree.people["coco_train"][:3], change={"expr_params": given})
    hd, _ = converted(tars, tmp_path / "out.h5")
    assert (hd["mhr/expr_params"] == given).all()


def test_parameters_of_the_first_release_are_refused_in_tars_too(tars: Path, tree: Tree, tmp_path: Path) -> None:
    write_tar(tars / "coco_train/000000.tar", tree.people["coco_train"][:3], change={"global_rot": np.zeros(3)})
    with pytest.raises(DataError, match=r"parameters of the first release \(global_rot\)"):
        converted(tars, tmp_path / "out.h5")


def test_half_a_tar_is_named(tars: Path, tmp_path: Path) -> None:
    path = tars / "coco_train/000000.tar"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"000000\.tar"):
        converted(tars, tmp_path / "out.h5")


@pytest.mark.parametrize(
    ("dataset", "key", "image"),
    [
        ("coco", "COCO_train2014_000000000009", "COCO_train2014_000000000009.jpg"),
        ("3dpw", "downtown_bar_00-image_00000", "downtown_bar_00/image_00000.jpg"),
        ("egohumans", "01_tagging-001_tagging-aira01-cam01-00001", "01_tagging/001_tagging/cam01/00001.jpg"),
        ("harmony4d", "train-01_hugging-001_hugging-cam01-00001", "train/01_hugging/001_hugging/cam01/00001.jpg"),
        ("egoexo4d", "cmu_bike01_2-cam01-1", "cmu_bike01_2/cam01/1.jpg"),
    ],
)
def test_names_of_images_are_found_again_from_those_in_tars(dataset: str, key: str, image: str) -> None:
    assert image_of_key(dataset, key) == image


def test_every_split_of_every_source_is_on_the_card() -> None:
    card = registry.card(DATASET)
    assert len(card.splits) == 24
    assert {"sa1b_train", "harmony4d_test", "egoexo4d_val"} <= set(card.splits)
    assert set(card.splits.values()) == {None}
    assert card.default_split == "coco_train"


def test_people_may_be_named(tars: Path, tree: Tree, tmp_path: Path) -> None:
    records = [record | {"person_id": name} for record, name in zip(tree.people["coco_train"][:2], "ab", strict=True)]
    (tars / "coco_train/000001.tar").unlink()
    write_tar(tars / "coco_train/000000.tar", records)
    hd, _ = converted(tars, tmp_path / "out.h5")
    assert hd["meta/person_id"].tolist() == ["a", "b"]


def test_a_label_file_under_a_second_number_gives_nobody_twice(tmp_path: Path, crowd: list[list[Record]]) -> None:
    root = written(tmp_path, flat(crowd))
    once, _ = converted(root, tmp_path / "once.h5", split="coco_train")
    shutil.copy(root / "coco_train/000000.parquet", root / "coco_train/000001.parquet")
    write(root / "coco_train/000002.parquet", flat(crowd[1:2]), group=2)
    hd, report = converted(root, tmp_path / "x.h5", split="coco_train")
    assert report.written == len(hd) == len(flat(crowd))
    assert hd["image_path"].tolist() == once["image_path"].tolist()
    names = report.dropped[REPEATED]
    assert len(names) == len(flat(crowd)) + len(crowd[1])
    assert all(name.endswith(" (as in coco_train/000000.parquet)") for name in names)
    assert [name.split()[0] for name in names].count("coco_train/000002.parquet") == len(crowd[1])


def test_people_whom_one_label_file_has_twice_are_left_as_they_are(tmp_path: Path, crowd: list[list[Record]]) -> None:
    root = written(tmp_path, flat([*crowd, crowd[0]]))
    _, report = converted(root, tmp_path / "x.h5", split="coco_train")
    assert report.dropped == {}
    assert report.written == len(flat(crowd)) + len(crowd[0])
