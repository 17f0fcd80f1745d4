"""AGORA: people of scans in Unreal's world, children, tables of old pandas, images of two sizes in many folders."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from ehps.benchmark.protocols import catalogue
from ehps.body.helper_files import kid_template
from ehps.body.params import BodyParams, smplx_params
from ehps.converters.base import Instances
from ehps.converters.datasets import agora_tables
from ehps.converters.datasets.agora import AGORA, COUNTED
from ehps.converters.pipeline.report import Report
from ehps.converters.readers import raw_files
from ehps.demo.raw import stage
from ehps.errors import BodyModelError, DataError, UsageError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw import faults
from tests.raw.agora import (
    CAMERAS,
    Tree,
    edit,
    fit,
    frame_of_pandas_0_25,
    load,
    official_joints,
    table_path,
    write,
)
from tests.raw.checks import (
    STILL,
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    blank,
    nearest,
    parameters,
)
from tests.raw.streams import stream
from tests.raw.trees import Raw, runner

Pair = tuple[HumanData, Report]

DATASET = "agora"
run = runner(DATASET)


def converted_of(root: Path, out: Path, models: Path | None, **options: Any) -> Pair:
    report = run(root, out, models, **options)
    return HumanData.open(out), report


# -- people ---------------------------------------------------------------------------------------------------


def test_joints_of_adults_are_those_of_the_scans_in_the_camera(tree: Tree, converted: Pair, body_models: Path) -> None:
    hd, _ = converted
    assert len(tree.adults) == 5
    adults = hd[tree.adults]
    assert not adults["smplx/betas_extra"].any()
    assert_joints_are_the_truth(adults, tree.truth[tree.adults], body_models)


def test_children_keep_pelvis_and_pose_and_their_joints_are_a_childs(
    tree: Tree, converted: Pair, body_models: Path
) -> None:
    hd, _ = converted
    assert len(tree.kids) == 4
    truth, kids = tree.truth[tree.kids].joints[:, STILL], hd[tree.kids]
    params = parameters(kids)
    adult = stage.package(body_models, params.with_(betas_extra=None))[0][:, STILL]
    np.testing.assert_allclose(adult[:, 0], truth[:, 0], atol=1e-4)
    assert np.linalg.norm(adult - truth, axis=2).max(axis=1).min() > 0.05
    child = stage.package(body_models, params)[0][:, STILL]
    np.testing.assert_allclose(child - child[:, :1], truth - truth[:, :1], atol=1e-3)
    np.testing.assert_allclose(kids["keypoints3d_smplx"][:, STILL, :3], truth, atol=1e-3)
    np.testing.assert_allclose(
        kids["keypoints2d_smplx"][:, STILL, :2], tree.truth[tree.kids].points[:, STILL], atol=0.1
    )


def test_the_packages_children_are_the_published_blend(tree: Tree, body_models: Path) -> None:
    params = children_at_rest(tree)
    _, child = stage.package(body_models, params)
    _, adult = stage.package(body_models, params.with_(betas_extra=None))
    assert params.betas_extra is not None
    for k, gender in enumerate(params.gender):
        with np.load(body_models / "smplx" / f"SMPLX_{gender.upper()}.npz") as model:
            blend = np.load(body_models / "smplx_kid_template.npy")
            blend = blend - blend.mean(axis=0) - model["v_template"]
        np.testing.assert_allclose(child[k] - adult[k], params.betas_extra[k] * blend, atol=1e-5)
    assert np.abs(kid_template(body_models, "smplx").mean(axis=0)).max() < 1e-12


def children_at_rest(tree: Tree) -> BodyParams:
    """The shapes of the children of the tree."""
    betas = np.concatenate([tree.fits()[k]["betas"] for k in tree.kids])
    zero = np.zeros((len(betas), 3))
    return smplx_params(
        gender=tree.truth.gender[tree.kids],
        betas=betas[:, :10],
        betas_extra=betas[:, 10:],
        global_orient=zero,
        body_pose=zero[:, [0] * 63],
        transl=zero,
        flat_hand_mean=True,
    )


def test_every_row_is_its_own_person_in_the_order_of_the_tables(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert nearest(hd, tree.truth) == list(range(9))
    assert hd["image_path"].tolist() == tree.truth.image_path
    assert hd["meta/person_id"].tolist() == [0, 1, 2, 3, 0, 2, 1, 2, 4]


def test_projected_joints_land_on_the_annotated_points(tree: Tree, converted: Pair) -> None:
    hd, report = converted
    own2d, own3d = hd["keypoints2d_original"], hd["keypoints3d_original"]
    assert (
        hd.keypoint_names["keypoints2d_original"] == hd.keypoint_names["keypoints3d_original"] == point_names("agora")
    )
    assert (own2d[..., 2] == 1).all()
    assert (own3d[..., 3] == 1).all()
    np.testing.assert_allclose(own2d[..., :2] * 3, np.stack(tree.column("gt_joints_2d")), atol=1e-2)
    np.testing.assert_allclose(own3d[..., :3], np.stack(tree.column("gt_joints_3d")), atol=1e-6)
    ours = hd.keypoints("keypoints2d_smplx", point_names("agora"))
    assert (ours[..., 2] > 0).all()
    assert np.linalg.norm(own2d[..., :2] - ours[..., :2], axis=2).max() < 0.1
    assert report.quality["points3d_m"]["max"] < 1e-4
    assert report.quality["world_to_camera_m"]["max"] < 1e-4


def test_pose_and_shape_are_the_raw_ones_and_the_root_is_turned(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    fits = tree.fits()
    for name in ("body_pose", "left_hand_pose", "right_hand_pose", "jaw_pose", "leye_pose", "reye_pose", "expression"):
        values = np.concatenate([values[name] for values in fits])
        np.testing.assert_allclose(hd[f"smplx/{name}"].reshape(9, -1), values, atol=1e-6)
    np.testing.assert_allclose(hd["smplx/betas"], [values["betas"][0, :10] for values in fits], atol=1e-6)
    extra = [values["betas"][0, 10] if values["betas"].size == 11 else 0 for values in fits]
    np.testing.assert_allclose(hd["smplx/betas_extra"][:, 0], extra, atol=1e-6)
    assert np.flatnonzero(extra).tolist() == tree.kids
    shapes = {name: hd[f"smplx/{name}"].shape[1:] for name in ("body_pose", "left_hand_pose", "betas", "betas_extra")}
    assert shapes == {"body_pose": (21, 3), "left_hand_pose": (15, 3), "betas": (10,), "betas_extra": (1,)}
    turned = (
        Rotation.from_rotvec(hd["smplx/global_orient"])
        * Rotation.from_rotvec(np.concatenate([values["global_orient"] for values in fits])).inv()
    )
    for k, (row, j) in enumerate(tree.people[:4]):  # hdri: the camera looks straight ahead
        wanted = Rotation.from_euler("y", row["Yaw"][j] - 90, degrees=True).as_matrix() @ np.diag([1, -1, -1])
        np.testing.assert_allclose(turned[k].as_matrix(), wanted, atol=1e-5)


@pytest.mark.parametrize("resolution", ["1280x720", "3840x2160"])
def test_every_kind_of_camera(tmp_path: Path, body_models: Path, resolution: str) -> None:
    root, markers = tmp_path / "AGORA", [*CAMERAS, ""]
    rng = np.random.default_rng(8)
    scale = 1 if resolution == "1280x720" else 3
    for table, marker in enumerate(markers):
        truth = write(root, body_models, rng, table, marker, ("male", "boy"))
        if scale == 3:
            blank(root, [truth.image_path[0].replace("_1280x720", "")], 16, 16)
    converter = AGORA(root, "train", {"resolution": resolution})
    rows = [converter.read(unit) for unit in converter.units()]
    assert len(rows) == 7
    for table, (marker, one) in enumerate(zip(markers, rows, strict=True)):
        (row,) = load(table_path(root, table)).to_dict("records")
        assert one.camera is not None
        assert one.keypoints3d is not None
        for k in (0, 1):
            joints, focal = official_joints(root, row, k, marker, body_models)
            np.testing.assert_allclose(one.camera.focal[k], [focal * scale] * 2, rtol=1e-6)
            np.testing.assert_allclose(one.camera.principal_point[k], [640 * scale, 360 * scale])
            np.testing.assert_allclose(np.asarray(one.size)[k], [720 * scale, 1280 * scale])
            np.testing.assert_allclose(moved(one, root, row, k, body_models), joints[STILL], atol=1e-4)
            np.testing.assert_allclose(one.keypoints3d.points[k, :, :3], joints[STILL], atol=1e-3)
            pixels = joints[STILL, :2] / joints[STILL, 2:] * focal * scale + [640 * scale, 360 * scale]
            assert one.keypoints2d is not None
            np.testing.assert_allclose(one.keypoints2d.points[k, :, :2], pixels, atol=0.5)


def moved(rows: Instances, root: Path, row: dict[str, Any], k: int, models: Path) -> Any:
    """Raw joints through the converter's rigid motion."""
    assert rows.body is not None
    assert rows.world_to_camera is not None
    joints = stage.package(models, rows.body[k : k + 1])[0][0, STILL]
    return joints @ rows.world_to_camera.rotation[k].T + rows.world_to_camera.translation[k]


def test_the_first_marker_of_a_name_decides_and_columns_count_without_one_only() -> None:
    row = {"imgPath": "ag2_hdri_cam01.png", "camX": 1.0, "camY": 2.0, "camZ": 3.0, "camYaw": 4.0}
    assert agora_tables.camera(row) == ((0, 0, 170), 0, 0, 50)
    assert agora_tables.camera(row | {"imgPath": "ag_renderpeople_5_15.png"}) == ((1, 2, 3), 4, 0, 28)


# -- facts ----------------------------------------------------------------------------------------------------


def test_facts_of_the_people(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert hd["meta/gender"].tolist() == [
        "male",
        "female",
        "male",
        "neutral",  # man, woman, boy, girl
        "neutral",
        "male",
        "male",
        "female",
        "male",
    ]
    assert tree.column("gender")[3:5] == ["female", "female"]
    for name in ("kid", "is_kid"):
        assert hd[f"meta/{name}"].tolist() == tree.column("kid")
    for name in ("age", "ethnicity"):
        assert hd[f"meta/{name}"].tolist() == tree.column(name)
    np.testing.assert_allclose(hd["meta/occlusion"], tree.column("occlusion"), rtol=1e-6)
    assert hd["meta/annot_valid"].all()


def test_facts_of_the_images_and_the_file(converted: Pair) -> None:
    hd, report = converted
    assert set(hd["meta/height"].tolist()) == {720}
    assert set(hd["meta/width"].tolist()) == {1280}
    focal = np.repeat([50 / 36 * 1280, 640, 28 / 36 * 1280], [4, 2, 3])
    np.testing.assert_allclose(hd["meta/focal_length"], np.column_stack([focal, focal]), rtol=1e-6)
    np.testing.assert_allclose(hd["meta/principal_point"], [[640, 360]] * 9)
    expected = {
        "smplx_source": "original",
        "cam_param_type": "perspective",
        "cam_param_source": "original",
        "flat_hand_mean": False,
        "has_betas_extra": True,
        "kps3d_root_aligned": False,
        "bbox_source": "keypoints2d_smplx",
        "bbox_body_scale": 1.2,
        "bbox_facehand_scale": 1.0,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    passport = hd.passport
    assert (passport.dataset, passport.split, passport.body_model) == ("agora", "train", "smplx")
    assert (passport.gender, passport.flat_hand_mean, passport.num_betas) == ("per-instance", False, 10)
    assert passport.focal == "image"
    assert hd.validate() == []
    assert report.published == 106_700


def test_boxes_hold_the_people_and_part_boxes_their_points(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert_boxes_hold_the_visible_joints(hd)
    order = hd.keypoint_names["keypoints2d_smplx"]
    for column, start, stop in (("lhand_bbox_xywh", 25, 40), ("rhand_bbox_xywh", 40, 55), ("face_bbox_xywh", 76, 127)):
        assert order[25].startswith("left")
        assert order[40].startswith("right")
        x, y, w, h, confidence = hd[column].T[:, :, None]
        points = hd["keypoints2d_smplx"][:, start:stop]
        assert (confidence == 1).all()
        assert (points[..., 0] >= x - 0.1).all()
        assert (points[..., 1] >= y - 0.1).all()
        assert (points[..., 0] <= x + w + 0.1).all()
        assert (points[..., 1] <= y + h + 0.1).all()


def test_what_is_left_out_is_counted_by_reason_and_named(tree: Tree, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(found) for reason, found in report.dropped.items()} == tree.dropped
    assert (report.found, report.written) == (15, 9)
    assert report.dropped["occluded beyond use (isValid)"][0].endswith("train1_cam02_5_00000.png person 1")
    assert report.dropped["SMPL-X fit missing"][0].endswith("train2_0000.obj")
    assert report.problems == []
    assert report.notes == []
    assert report.absent == {}


# -- splits, layouts, images --------------------------------------------------------------------------------


def test_validation_tables_a_folder_deeper(tmp_path: Path, body_models: Path) -> None:
    root = tmp_path / "AGORA"
    truth = write(root, body_models, np.random.default_rng(3), 4, "hdri", ("male", "boy"), split="validation")
    (root / "validation_SMPLX").mkdir()
    (root / "SMPLX").rename(root / "validation_SMPLX/SMPLX")
    (root / "SMPL").mkdir()
    (root / "SMPL/validation_1_withjv.pkl").write_bytes(b"a table of SMPL, not ours")
    hd, report = converted_of(root, tmp_path / "x.h5", None, split="validation")
    assert hd["image_path"].tolist() == truth.image_path
    assert hd["image_path"][0].startswith("validation/")
    assert hd.passport.split == "validation"
    assert report.published is None
    with pytest.raises(DataError, match="train_"):
        run(root, tmp_path / "y.h5", None, split="train")


def test_tables_are_sorted_by_number_and_found_once(own: Path) -> None:
    table_path(own, 0).rename(table_path(own, 10))
    (own / "train_SMPLX").mkdir()
    shutil.copytree(own / "SMPLX", own / "train_SMPLX/SMPLX")
    (own / "SMPLX/train_x_withjv.pkl").touch()
    units = AGORA(own, "train").units()
    assert [unit.path for unit in units] == [table_path(own, 2), table_path(own, 10)]


@pytest.mark.parametrize("above", ["", "images", "1280x720", "images_1280x720", "3840x2160", "images_3840x2160"])
@pytest.mark.parametrize("folder", ["train_0", "train_7", "train", ""])
def test_images_are_found_wherever_they_are_unpacked(tree: Tree, tmp_path: Path, above: str, folder: str) -> None:
    (tmp_path / "smplx_gt").symlink_to(tree.root / "smplx_gt")
    (tmp_path / "SMPLX").symlink_to(tree.root / "SMPLX")
    large = "3840" in above
    name = Path(tree.truth.image_path[0]).name
    name = name.replace("_1280x720", "") if large else name
    path = "/".join(part for part in (above, folder, name) if part)
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    converter = AGORA(tmp_path, "train")
    rows = converter.read(converter.units()[0])
    assert rows.image_path[0] == path
    assert np.asarray(rows.size)[0].tolist() == ([2160, 3840] if large else [720, 1280])


def test_the_resolution_asked_for_is_taken_where_both_are_there(own: Path, tree: Tree, tmp_path: Path) -> None:
    small = tree.truth.image_path[0]
    large = f"3840x2160/{small.replace('_1280x720', '')}"
    blank(own, [large], 2160, 3840)
    default, _ = converted_of(own, tmp_path / "small.h5", None)
    assert default["image_path"].tolist() == tree.truth.image_path
    hd, report = converted_of(own, tmp_path / "large.h5", None, options={"resolution": "3840x2160"})
    assert hd["image_path"].tolist() == [large] * 4 + tree.truth.image_path[4:]
    assert hd["meta/height"].tolist() == [2160] * 4 + [720] * 5
    assert hd["meta/width"].tolist() == [3840] * 4 + [1280] * 5
    scale = np.repeat([3, 1], [4, 5])[:, None, None]
    np.testing.assert_allclose(
        hd["keypoints2d_original"][..., :2], default["keypoints2d_original"][..., :2] * scale, rtol=1e-5
    )
    np.testing.assert_allclose(hd["meta/focal_length"], default["meta/focal_length"] * scale[..., 0], rtol=1e-6)
    assert report.notes == ["converted without body models: see which columns are absent"]
    with pytest.raises(UsageError, match="3840x2160"):
        run(own, tmp_path / "x.h5", None, options={"resolution": "4K"})


def test_tables_pickled_by_an_old_pandas_give_the_same(
    own: Path, converted: Pair, tmp_path: Path, body_models: Path
) -> None:
    for number in (0, 2):
        rows = load(table_path(own, number)).to_dict("records")
        table_path(own, number).write_bytes(stream(frame_of_pandas_0_25(rows)))
    with pytest.raises(ModuleNotFoundError, match=r"pandas\.core\.indexes"):
        load(table_path(own, 0))
    hd, report = converted_of(own, tmp_path / "x.h5", body_models)
    assert hd.columns == converted[0].columns
    for name in hd.columns:
        np.testing.assert_array_equal(hd[name], converted[0][name])
    assert report.dropped == converted[1].dropped


def test_vertices_are_gone_before_the_first_fit_is_read(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    vertices: list[weakref.ref[Any]] = []
    alive: list[int] = []
    original = raw_files.load_pkl

    def spy(path: Path, allow: Sequence[Any] = ()) -> Any:
        if path.parent.name == "SMPLX":
            table = original(path, allow)
            vertices.extend(weakref.ref(v) for row in table["gt_verts"] for v in row)
            return table
        alive.append(sum(v() is not None for v in vertices))
        return original(path, allow)

    monkeypatch.setattr(raw_files, "load_pkl", spy)
    converter = AGORA(tree.root, "train")
    converter.read(converter.units()[0])
    assert len(vertices) > 7
    assert set(alive) == {0}


def test_a_scan_in_many_images_is_read_once(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(own, 2, lambda table: pd.concat([table] * 5))
    read: list[Path] = []
    original = raw_files.load_pkl

    def spy(path: Path, allow: Sequence[Any] = ()) -> Any:
        read.append(path)
        return original(path, allow)

    monkeypatch.setattr(raw_files, "load_pkl", spy)
    converter = AGORA(own, "train")
    rows = converter.read(converter.units()[1])
    assert len(rows) == 20
    assert len(read) == len(set(read)) == 5


def test_hidden_people_and_images_of_nobody_else_are_kept_on_request(
    own: Path, converted: Pair, tmp_path: Path, body_models: Path
) -> None:
    edit(own, 0, lambda table: table.replace({"imgPath": {"ag_x_hdri_1.png": "ag_x_cam02_1.png"}}))
    blank(own, ["train_0/ag_x_cam02_1_1280x720.png"], 720, 1280)
    hd, report = converted_of(own, tmp_path / "x.h5", body_models, options={"persons": "all"})
    assert "occluded beyond use (isValid)" not in report.dropped
    valid = hd["meta/annot_valid"]
    assert len(hd) == 9 + 3
    assert not valid[[path == "train_0/ag_x_cam02_1_1280x720.png" for path in hd["image_path"].tolist()]].any()
    for name in ("image_path", "smplx/transl", "smplx/body_pose", "keypoints3d_smplx"):
        if name == "image_path":
            assert hd[valid][name].tolist() == converted[0][name].tolist()
        else:
            np.testing.assert_allclose(hd[valid][name], converted[0][name], atol=1e-5)
    assert not valid[np.asarray(hd["meta/occlusion"]) > 90].any()
    assert not hd[~valid]["keypoints2d_original"][..., 2].any()


# -- neutral fits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inner", ["smplx_gt_neutral_gender/smplx_gt", "smplx_gt_neutral_gender"])
def test_shapes_of_the_neutral_fits_come_along(own: Path, tree: Tree, tmp_path: Path, inner: str) -> None:
    shapes = write_neutral_fits(own, tree, inner)
    rows = [AGORA(own, "train").read(unit) for unit in AGORA(own, "train").units()]
    found = np.concatenate([one.body.betas_neutral for one in rows if one.body is not None])
    paths = [Path(path).stem for path in tree.column("gt_path_smplx")]
    found = np.delete(found, [4, 9], axis=0)  # the image that is missing, the fit that is no number
    np.testing.assert_allclose(found, [shapes[path] for path in paths], rtol=1e-6)


def write_neutral_fits(root: Path, tree: Tree, inner: str) -> dict[str, Any]:
    """Fits of everybody with other betas; scan -> the first ten of them."""
    rng, shapes = np.random.default_rng(2), {}
    for path in (root / "smplx_gt").rglob("*.pkl"):
        new = root / inner / path.relative_to(root / "smplx_gt")
        new.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, new)
        row = {"gt_path_smplx": [new.relative_to(root).as_posix()]}
        with fit(root, row, 0) as values:
            values["betas"] = rng.normal(size=values["betas"].shape).astype(np.float32)
            shapes[path.stem] = values["betas"][0, :10]
    return shapes


def test_neutral_shapes_are_a_column_of_the_file_unless_some_are_missing(
    own: Path, tree: Tree, tmp_path: Path, body_models: Path
) -> None:
    shapes = write_neutral_fits(own, tree, "smplx_gt_neutral_gender/smplx_gt")
    hd, report = converted_of(own, tmp_path / "x.h5", body_models)
    np.testing.assert_allclose(hd["smplx/betas_neutral"][8], shapes["train2_0004"], rtol=1e-6)
    assert hd["smplx/betas_neutral"].shape == (9, 10)
    assert report.problems == []
    (own / "smplx_gt_neutral_gender/smplx_gt/trainset_3dpeople_adults_bfh/train2_0004.pkl").unlink()
    hd, report = converted_of(own, tmp_path / "y.h5", body_models)
    assert "smplx/betas_neutral" not in hd
    assert report.notes == ["no smplx/betas_neutral: 1 of the fits are not in smplx_gt_neutral_gender"]
    assert report.absent == {"smplx/betas_neutral": "only 1 of 2 units have it"}


# -- children without their template, people without joints ---------------------------------------------------


@pytest.fixture
def child(tmp_path: Path, body_models: Path) -> tuple[Path, Any]:
    """A tree with one boy, and his joints in the camera."""
    root = tmp_path / "AGORA"
    truth = write(root, body_models, np.random.default_rng(11), 0, "cam00", ("boy",))
    return root, truth.joints[:, STILL]


def test_without_the_template_a_childs_pelvis_is_the_annotated_one(
    child: tuple[Path, Any], tmp_path: Path, body_models: Path
) -> None:
    root, joints = child
    (tmp_path / "models/smplx").mkdir(parents=True)
    (tmp_path / "models/smplx/SMPLX_MALE.npz").symlink_to(body_models / "smplx/SMPLX_MALE.npz")
    hd, report = converted_of(root, tmp_path / "x.h5", tmp_path / "models")
    np.testing.assert_allclose(hd["keypoints3d_smplx"][:, 0, :3], joints[:, 0], atol=1e-4)
    np.testing.assert_allclose(hd["keypoints3d_original"][..., :3], joints, atol=1e-5)
    assert np.linalg.norm(hd["keypoints3d_smplx"][:, STILL, :3] - joints, axis=2).max() > 0.05
    assert hd["smplx/betas_extra"].all()
    (note,) = report.notes
    assert note.startswith("smplx_kid_template.npy is not among the body models")
    assert "approximate" not in note
    adult = stage.package(body_models, parameters(hd).with_(betas_extra=None))[0]
    np.testing.assert_allclose(adult[:, 0], joints[:, 0], atol=1e-4)


def test_a_child_without_annotated_joints_is_placed_with_the_template(
    child: tuple[Path, Any], tmp_path: Path, body_models: Path
) -> None:
    root, joints = child

    none = pd.Series([[np.zeros(0)]])
    edit(root, 0, lambda table: table.assign(gt_joints_2d=none, gt_joints_3d=none))
    hd, report = converted_of(root, tmp_path / "x.h5", body_models)
    adult = stage.package(body_models, parameters(hd).with_(betas_extra=None))[0]
    np.testing.assert_allclose(adult[:, 0], joints[:, 0], atol=1e-4)
    np.testing.assert_allclose(hd["keypoints3d_smplx"][:, STILL, :3], joints, atol=1e-3)
    assert not hd["keypoints3d_original"].any()
    assert not hd["keypoints2d_original"][..., 2].any()
    assert report.problems == ["no model joint could be compared with the dataset's own 2D points"]


def test_adults_with_more_betas_are_no_children(tmp_path: Path, body_models: Path) -> None:
    root = tmp_path / "AGORA"
    write(root, body_models, np.random.default_rng(1), 0, "hdri", ("male",))
    (row,) = load(table_path(root, 0)).to_dict("records")
    with fit(root, row, 0) as values:
        values["betas"] = np.concatenate([values["betas"], np.ones((1, 6), np.float32)], axis=1)
    body = AGORA(root, "train").read(AGORA(root, "train").units()[0]).body
    assert body is not None
    assert body.betas.shape == (1, 10)
    assert body.betas_extra is not None
    assert not body.betas_extra.any()


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_points_boxes_and_facts_remain(tree: Tree, raw: Raw) -> None:
    hd, report = raw.without_models()
    assert set(report.absent) == {"smplx/*", "keypoints2d_smplx", "keypoints3d_smplx"}
    assert "rest pelvis" in report.absent["smplx/*"]
    assert not [name for name in hd.columns if name.startswith("smplx/")]
    np.testing.assert_allclose(hd["keypoints2d_original"][..., :2], tree.truth.points[:, STILL], atol=0.01)
    assert hd.misc["bbox_source"] == "keypoints2d_original"
    assert (hd["bbox_xywh"][:, 4] == 1).all()
    assert report.problems == []


@pytest.mark.parametrize(("who", "model"), [("girl", "NEUTRAL"), ("female", "FEMALE")])
def test_a_folder_without_a_gender_that_is_needed_is_an_error_that_names_it(
    tmp_path: Path, body_models: Path, who: str, model: str
) -> None:
    root = tmp_path / "AGORA"
    write(root, body_models, np.random.default_rng(1), 0, "hdri", (who,))
    (tmp_path / "models/smplx").mkdir(parents=True)
    for gender in {"NEUTRAL", "FEMALE", "MALE"} - {model}:
        name = f"smplx/SMPLX_{gender}.npz"
        (tmp_path / "models" / name).symlink_to(body_models / name)
    (tmp_path / "models/smplx_kid_template.npy").symlink_to(body_models / "smplx_kid_template.npy")
    with pytest.raises(BodyModelError, match=f"(?i){model}"):
        run(root, tmp_path / "x.h5", tmp_path / "models")


def test_files_of_another_kind_are_told_by_what_they_lack(own: Path, tree: Tree, tmp_path: Path) -> None:
    with fit(own, *tree.people[5]) as values:
        del values["jaw_pose"]
    edit(own, 2, lambda table: table.rename(columns={"gt_path_smplx": "gt_path_smpl"}))
    with pytest.raises(DataError, match=r"no gt_path_smplx .*train_2_withjv"):
        run(own, tmp_path / "x.h5", None)
    report = run(own, tmp_path / "x.h5", None, skip_bad=True)
    lost = report.dropped["SMPL-X fit cannot be read"]
    assert lost
    assert all("train1_0002.pkl: has no jaw_pose" in name for name in lost)


def test_tables_without_anybody_are_refused(own: Path, tmp_path: Path) -> None:
    table_path(own, 2).unlink()
    edit(own, 0, lambda table: table.iloc[[2, 4]])  # nobody, and hidden people
    with pytest.raises(DataError, match="no instance"):
        run(own, tmp_path / "x.h5", None)


# -- planted faults -------------------------------------------------------------------------------------------


def flipped_on_the_right(rows: Instances) -> None:
    """The flip taken to act on the body's own axes, and positions left as they are."""
    body = faults.body_of(rows)
    turn = Rotation.from_rotvec(body.global_orient) * Rotation.from_matrix(agora_tables.FLIP)
    rows.body, rows.world_to_camera = body.with_(global_orient=turn.as_rotvec()), None


def children_without_their_template(rows: Instances) -> None:
    body = faults.body_of(rows)
    assert body.betas_extra is not None
    rows.body = body.with_(betas_extra=np.zeros_like(body.betas_extra))


@pytest.mark.parametrize(
    ("fault", "words"),
    [(flipped_on_the_right, "2D points")],
)
def test_quality_exposes(tree: Tree, tmp_path: Path, body_models: Path, fault: faults.Fault, words: str) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(AGORA, fault))
    assert words in " ".join(report.problems)


def test_children_taken_for_adults_show_in_their_own_rows(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(AGORA, children_without_their_template))
    off = HumanData.open(tmp_path / "x.h5")["quality/reprojection_px"]
    assert off[tree.kids].min() > 2
    assert off[tree.adults].max() < 0.1


def test_a_validation_table_of_which_the_official_evaluation_counts_nobody_says_so(own: Path) -> None:
    def notes_of(split: str) -> list[str]:
        converter = AGORA(own, split)
        return [note for unit in converter.units() for note in converter.read(unit).notes]

    def hide(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(occlusion=[[100.0] * len(people) for people in table["occlusion"]])

    edit(own, 0, hide)
    assert notes_of("train") == []
    for number in (0, 2):
        table_path(own, number).rename(own / f"SMPLX/validation_{number}_withjv.pkl")
    (note,) = notes_of("validation")
    assert "(agora-official) counts nobody of validation_0_withjv.pkl" in note
    low, high = COUNTED
    assert f"occlusion in {low}..{high}" in catalogue.AGORA_OFFICIAL.valid
