"""BEDLAM: two releases of one dataset, images that lie on their side, eleven betas, worlds of one person each."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.body.params import genders
from ehps.converters.base import Instances
from ehps.converters.datasets.bedlam import BEDLAM
from ehps.converters.datasets.bedlam_scenes import read_sequences
from ehps.converters.pipeline.report import Report
from ehps.demo.raw.stage import Look
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import part_indices, point_names
from tests.raw import bedlam, faults
from tests.raw.bedlam import (
    CLOSE_UP,
    CROWD,
    HAIR,
    LABELS,
    MEASURED,
    NO_IMAGES,
    ONLY_NAMED_SO,
    PLAIN,
    SIDEWAYS,
    STREET,
    Tree,
    edit,
    load,
    write_ground_truth,
)
from tests.raw.checks import (
    STILL,
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    nearest,
)
from tests.raw.trees import Raw, runner

Pair = tuple[HumanData, Report]

DATASET = "bedlam"
run = runner(DATASET)


def converted_of(root: Path, out: Path, models: Path | None, **options: Any) -> Pair:
    report = run(root, out, models, **options)
    return HumanData.open(out), report


# -- (A) people -----------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_staged_people(tree: Tree, converted: Pair, body_models: Path) -> None:
    assert_joints_are_the_truth(converted[0], tree.truth, body_models)


def test_rows_keep_the_order_of_the_labels_scene_by_scene(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert nearest(hd, tree.truth) == list(range(14))
    scenes = [path.split("/")[1] for path in hd["image_path"]]
    assert scenes == sorted(scenes)
    names = [path.rsplit("/", 1)[1] for path in hd["image_path"].tolist()[:4]]
    assert names == [f"seq_000000_{frame:04d}.png" for frame in (0, 5, 0, 5)]  # one person, then the other


def test_people_of_one_image_have_worlds_of_their_own(tree: Tree) -> None:
    offset = tree.labels("cam_ext", CROWD)[:, :3, 3]
    name = tree.labels("imgname", CROWD)
    assert name[0] == name[2]
    assert np.linalg.norm(offset[0] - offset[2]) > 0.1


def test_projected_joints_land_on_the_labels(converted: Pair) -> None:
    hd, report = converted
    assert hd.keypoint_names["keypoints2d_original"] == point_names("smplx_127")
    gap = hd["keypoints2d_original"][..., :2] - hd["keypoints2d_smplx"][:, STILL, :2]
    assert np.linalg.norm(gap, axis=2).max() < 0.1
    assert report.quality["reprojection_px"]["n"] == 14


def test_labelled_points_count_wherever_they_are_and_turn_with_the_image(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    own, raw, turned = hd["keypoints2d_original"], tree.labels("gtkps"), tree.of(CLOSE_UP)
    assert (own[..., 2] == 1).all()
    u, v = raw[turned, :, 0], raw[turned, :, 1]
    np.testing.assert_allclose(own[turned, :, :2], np.stack([v, 720 - u], axis=2), atol=1e-3)
    others = [i for i in range(14) if i not in turned]
    np.testing.assert_allclose(own[others, :, :2], raw[others, :, :2], atol=1e-3)


def test_parameters_are_the_labels_own(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    pose = tree.labels("pose_cam").reshape(14, 55, 3)
    for name, part in (
        ("body_pose", pose[:, 1:22]),
        ("jaw_pose", pose[:, 22]),
        ("leye_pose", pose[:, 23]),
        ("reye_pose", pose[:, 24]),
        ("left_hand_pose", pose[:, 25:40]),
        ("right_hand_pose", pose[:, 40:55]),
    ):
        assert part.any()
        np.testing.assert_allclose(hd[f"smplx/{name}"], part, atol=1e-6)
    upright = [i for i in range(14) if i not in tree.of(CLOSE_UP)]
    transl = tree.labels("trans_cam") + tree.labels("cam_ext")[:, :3, 3]
    np.testing.assert_allclose(hd["smplx/global_orient"][upright], pose[upright, 0], atol=1e-6)
    np.testing.assert_allclose(hd["smplx/transl"][upright], transl[upright], atol=1e-5)
    assert not hd["smplx/expression"].any()


def test_all_eleven_betas_of_the_neutral_model_are_kept(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    for column in ("smplx/betas", "smplx/betas_neutral"):
        assert hd[column].shape == (14, 11)
        np.testing.assert_allclose(hd[column], tree.labels("shape"), atol=1e-6)
    assert (np.abs(hd["smplx/betas"][:, 10]) > 0).all()
    assert hd.passport.num_betas == 11


def test_the_subject_is_not_the_model(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert hd["meta/gender"].tolist() == ["neutral"] * 14
    assert hd["meta/subject_gender"].tolist() == tree.labels("gender").tolist()
    assert set(hd["meta/subject_gender"].tolist()) == {"m", "f"}


# -- (A) images ---------------------------------------------------------------------------------------------


def test_all_numbers_are_for_the_images_as_they_are_stored(converted: Pair) -> None:
    hd, _ = converted
    assert (hd["meta/height"] == 720).all()
    assert (hd["meta/width"] == 1280).all()
    assert (hd["meta/focal_length"] == 900).all()
    assert (hd["meta/principal_point"] == [640, 360]).all()


def test_people_lie_on_their_side_where_the_camera_does_whatever_the_scene_is_called(
    tree: Tree, converted: Pair
) -> None:
    hd, _ = converted
    order = point_names("smplx")
    points = hd["keypoints2d_smplx"][..., :2]
    right, down = (points[:, order.index("pelvis")] - points[:, order.index("head")]).T
    lying = right > 3 * np.abs(down)  # turned counter-clockwise: the head is at the left
    assert np.flatnonzero(lying).tolist() == tree.of(CLOSE_UP)
    assert (down[~lying] > 3 * np.abs(right[~lying])).all()
    assert (tree.labels("cam_int", CLOSE_UP)[:, :2, 2] == [360, 640]).all()
    assert "closeup" in ONLY_NAMED_SO


def test_cameras_of_turned_images_turn_their_two_numbers(own: Path, tree: Tree, tmp_path: Path) -> None:
    def odd(data: dict[str, Any]) -> None:
        data["cam_int"][:, 0], data["cam_int"][:, 1] = [880, 0, 350], [0, 910, 650]

    edit(own / LABELS / f"{CLOSE_UP}.npz", odd)
    run(own, tmp_path / "x.h5", None)
    hd = HumanData.open(tmp_path / "x.h5")
    rows = tree.of(CLOSE_UP)
    assert (hd["meta/focal_length"][rows] == [910, 880]).all()
    assert (hd["meta/principal_point"][rows] == [650, 370]).all()


def test_close_ups_alone_are_not_suspicious(tmp_path: Path, body_models: Path) -> None:
    rng = np.random.default_rng(2)
    bedlam.write(tmp_path / "B", body_models, rng, CLOSE_UP, Look(people=(1, 1)), 3, upright=True)
    hd, report = converted_of(tmp_path / "B", tmp_path / "x.h5", body_models)
    assert np.median(hd["quality/up_y"]) > 0  # the camera is rolled by a little more than a quarter
    assert report.problems == []


def test_boxes_hold_the_people(converted: Pair) -> None:
    assert_boxes_hold_the_visible_joints(converted[0])


def test_part_boxes_count_when_anything_of_the_part_is_in_the_image(converted: Pair) -> None:
    hd, _ = converted
    seen = []
    for column, part in (("face", "head"), ("lhand", "left_hand"), ("rhand", "right_hand")):
        points = hd["keypoints2d_smplx"][:, part_indices(point_names("smplx"), part), :2]
        x, y = np.moveaxis(points.astype(float), 2, 0)
        inside = ((x >= 0) & (x <= 1280) & (y >= 0) & (y <= 720)).any(axis=1)
        boxes = hd[f"{column}_bbox_xywh"]
        assert (boxes[:, 4] == inside).all()
        assert not boxes[~inside].any()
        x0, x1, y0, y1 = (
            f(v[inside], axis=1).clip(0, top) for v, top in ((x, 1280), (y, 720)) for f in (np.min, np.max)
        )
        np.testing.assert_allclose(boxes[inside, :4], np.stack([x0, y0, x1 - x0, y1 - y0], axis=1), atol=0.1)
        seen += inside.tolist()
    assert set(seen) == {True, False}


def test_facts_of_the_file(tree: Tree, converted: Pair) -> None:
    hd, report = converted
    sequence = [name.split("/")[0] for name in tree.labels("imgname")]
    scenes = [scene for scene, rows in tree.rows.items() for _ in rows]
    assert hd["meta/sequence_name"].tolist() == [f"{a}/{b}" for a, b in zip(scenes, sequence, strict=True)]
    assert hd["meta/frame_id"].tolist() == [int(name[-8:-4]) for name in tree.labels("imgname")]
    assert {0, 5} == set(hd["meta/frame_id"].tolist())
    expected = {
        "smplx_source": "original",
        "bbox_source": "keypoints2d_smplx",
        "cam_param_type": "perspective",
        "flat_hand_mean": True,
        "kps3d_root_aligned": False,
        "bbox_body_scale": 1.2,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    passport = hd.passport
    assert (passport.dataset, passport.split, passport.body_model) == ("bedlam", "train", "smplx")
    assert (passport.gender, passport.flat_hand_mean, passport.focal) == ("neutral", True, "image")
    assert hd.validate() == []
    assert report.published == 951_066


def test_what_is_left_out_is_counted_by_reason(tree: Tree, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(names) for reason, names in report.dropped.items()} == tree.dropped
    assert (report.found, report.written, report.units) == (19, 14, 6)
    assert report.dropped["scene without image folder"][0].startswith(NO_IMAGES)
    assert report.problems == []
    assert report.notes == []


# -- (A) splits, folders, releases ----------------------------------------------------------------------------


def test_the_validation_split_is_a_folder_of_its_own(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    hd, report = converted_of(tree.root, tmp_path / "val.h5", body_models, split="val")
    assert len(hd) == 2
    assert all(path.startswith(f"validation_images/{bedlam.VALIDATION}/png/seq_00000") for path in hd["image_path"])
    assert hd.passport.split == "val"
    assert report.quality["reprojection_px"]["max"] < 0.1
    assert report.problems == []


@pytest.mark.parametrize("images", ["train_images", "training", "images"])
def test_folders_may_have_the_names_that_others_give_them(
    own: Path, tree: Tree, tmp_path: Path, body_models: Path, images: str
) -> None:
    (own / LABELS).rename(own / "all_npz_12_training")
    (own / "training_images").rename(own / images)
    hd, report = converted_of(own, tmp_path / "x.h5", body_models)
    paths = [f"{images}/{path.split('/', 1)[1]}" for path in tree.truth.image_path]
    assert_joints_are_the_truth(hd, replace(tree.truth, image_path=paths), body_models)
    assert report.problems == []


def test_labels_of_the_model_with_a_locked_head_are_refused(own: Path, tmp_path: Path) -> None:
    edit(own / LABELS / f"{HAIR}.npz", lambda data: data.update(shape=np.zeros((1, 16))))
    with pytest.raises(DataError, match="16 betas"):
        run(own, tmp_path / "x.h5", None)


def test_labels_with_pickled_texts_are_read(own: Path, tree: Tree, tmp_path: Path) -> None:
    for scene in tree.rows:
        edit(
            own / LABELS / f"{scene}.npz",
            lambda data: data.update({name: data[name].astype(object) for name in ("imgname", "gender")}),
        )
    run(own, tmp_path / "x.h5", None)
    assert HumanData.open(tmp_path / "x.h5")["image_path"].tolist() == tree.truth.image_path


# -- (B) ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Tree:
    """Release (B). Read-only."""
    return write_ground_truth(tmp_path_factory.mktemp("raw") / "B", body_models, np.random.default_rng(6))


@pytest.fixture(scope="module")
def of_scenes(scenes: Tree, tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Pair:
    return converted_of(scenes.root, tmp_path_factory.mktemp("out") / "b.h5", body_models)


@pytest.fixture
def own_scenes(scenes: Tree, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scenes.root, tmp_path / "B"))


def test_bodies_move_through_the_world_to_the_camera_of_their_frame(
    scenes: Tree, of_scenes: Pair, body_models: Path
) -> None:
    hd, _ = of_scenes
    assert_joints_are_the_truth(hd, scenes.truth, body_models)
    assert_boxes_hold_the_visible_joints(hd)
    assert nearest(hd, scenes.truth) == list(range(len(hd)))


def test_scenes_are_reduced_to_every_fifth_frame_by_the_names_of_the_images(scenes: Tree, of_scenes: Pair) -> None:
    hd, _ = of_scenes
    for column, values in scenes.facts.items():
        assert hd[f"meta/{column}"].tolist() == values
    assert set(hd["meta/frame_id"].tolist()) == {0, 5, 10}
    assert (hd.passport.sampling, hd.passport.num_betas, hd.passport.gender) == (5, 11, "neutral")
    assert (hd["smplx/betas_neutral"] == hd["smplx/betas"]).all()
    np.testing.assert_allclose(hd["meta/focal_length"], 30 / 36 * 1280, rtol=1e-6)
    assert (hd["meta/principal_point"] == [640, 360]).all()


def test_people_of_rolled_cameras_lie_in_the_stored_image(scenes: Tree, of_scenes: Pair) -> None:
    hd, _ = of_scenes
    order = point_names("smplx")
    points = hd["keypoints2d_smplx"][scenes.of(SIDEWAYS)][..., :2]
    right, down = (points[:, order.index("pelvis")] - points[:, order.index("head")]).T
    assert (np.abs(right) > 3 * np.abs(down)).all()


def test_ended_motions_and_people_out_of_view_are_counted(scenes: Tree, of_scenes: Pair) -> None:
    _, report = of_scenes
    assert {reason: len(names) for reason, names in report.dropped.items()} == scenes.dropped
    assert report.dropped["motion has ended"] == [f"{STREET}/seq_000001/rp_aaron_posed_002_1005 10"]
    assert (report.found, report.written) == (21, 14)


def test_a_release_without_2d_points_is_not_suspicious_for_that(of_scenes: Pair) -> None:
    hd, report = of_scenes
    assert report.problems == []
    assert report.quality["reprojection"] == hd.misc["reprojection"] == "none"
    assert "keypoints2d_original" not in hd.columns
    assert report.quality["world_to_camera_m"]["max"] < 1e-5


def test_validation_scenes_are_told_by_their_names(tmp_path: Path, body_models: Path) -> None:
    scenes = write_ground_truth(tmp_path / "B", body_models, np.random.default_rng(7), split="val")
    hd, report = converted_of(scenes.root, tmp_path / "x.h5", body_models, split="val")
    assert_joints_are_the_truth(hd, scenes.truth, body_models)
    assert all(f"/{MEASURED}/" in path for path in hd["image_path"])
    assert report.dropped == {}


def test_gendered_motions_and_the_older_folder_work_too(tmp_path: Path, body_models: Path) -> None:
    rng = np.random.default_rng(8)
    scenes = write_ground_truth(
        tmp_path / "B", body_models, rng, gender="female", motions="smplx_gt/neutral_ground_truth"
    )
    hd, _ = converted_of(scenes.root, tmp_path / "x.h5", body_models)
    assert_joints_are_the_truth(hd, scenes.truth, body_models)
    assert hd["smplx/betas"].shape[1] == 10
    assert "smplx/betas_neutral" not in hd.columns
    assert set(hd["meta/gender"].tolist()) == {"female"}


def test_the_table_of_a_scene_holds_its_bodies_sequence_by_sequence(scenes: Tree) -> None:
    found = read_sequences(scenes.root / "images" / STREET / "be_seq.csv")
    assert {name: len(bodies) for name, bodies in found.items()} == {"seq_000000": 4, "seq_000001": 2}
    assert found["seq_000001"][1].name == "rp_anna_posed_003_1002"
    assert found["seq_000001"][1].start == 26


def test_a_missing_motion_or_camera_file_is_named(own_scenes: Path, tmp_path: Path) -> None:
    camera = own_scenes / "images" / STREET / "ground_truth/camera/seq_000001_camera.csv"
    camera.unlink()
    shutil.rmtree(own_scenes / "smplx_gt/neutral_ground_truth_motioninfo/rp_emma_posed_006")
    with pytest.raises(DataError, match=r"seq_000001_camera\.csv.*rp_emma_posed_006/1006/motion_seq\.npz"):
        run(own_scenes, tmp_path / "x.h5", None)
    shutil.rmtree(own_scenes / "smplx_gt")
    with pytest.raises(DataError, match="neutral_ground_truth_motioninfo"):
        run(own_scenes, tmp_path / "x.h5", None)


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_labels_of_level_images_are_kept(tree: Tree, own: Path, tmp_path: Path) -> None:
    (own / LABELS / f"{CLOSE_UP}.npz").unlink()
    hd, report = converted_of(own, tmp_path / "x.h5", None)
    level = [i for i in range(14) if i not in tree.of(CLOSE_UP)]
    transl = tree.labels("trans_cam") + tree.labels("cam_ext")[:, :3, 3]
    np.testing.assert_allclose(hd["smplx/transl"], transl[level], atol=1e-5)
    assert "body models" in report.absent["keypoints3d_smplx"]
    assert hd.misc["bbox_source"] == "keypoints2d_original"
    assert report.problems == []


def test_without_body_models_turned_bodies_are_absent_and_the_report_says_why(tree: Tree, raw: Raw) -> None:
    hd, report = raw.without_models()
    assert len(hd) == 14
    assert "rest pelvis" in report.absent["smplx/*"]
    assert report.absent["smplx/transl"] == "only 4 of 5 units have it"
    assert not [name for name in hd.columns if name.startswith("smplx/")]
    assert hd.passport.body_model is None
    np.testing.assert_allclose(hd["keypoints2d_original"][..., :2], tree.truth.points[:, STILL], atol=0.01)


def test_labels_without_a_column_are_named_with_it(own: Path, tmp_path: Path) -> None:
    edit(own / LABELS / f"{PLAIN}.npz", lambda data: data.pop("cam_ext"))
    with pytest.raises(DataError, match=f"has no cam_ext.*{PLAIN}"):
        run(own, tmp_path / "x.h5", None)


def test_labels_without_any_image_are_refused_with_the_count(own: Path, tmp_path: Path) -> None:
    shutil.rmtree(own / "training_images")
    with pytest.raises(DataError, match="19 scene without image folder"):
        run(own, tmp_path / "x.h5", None)


# -- planted faults -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def level(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Path:
    root = tmp_path_factory.mktemp("raw") / "level"
    bedlam.write(root, body_models, np.random.default_rng(1), CROWD, Look(people=(2, 2)), 2)
    return root


@pytest.fixture(scope="module")
def sideways(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Path:
    root = tmp_path_factory.mktemp("raw") / "sideways"
    bedlam.write(root, body_models, np.random.default_rng(2), CLOSE_UP, Look(people=(1, 1)), 3, upright=True)
    return root


def sex_of_the_subject(rows: Instances) -> None:
    """The rendered person's sex taken for the gender of the model."""
    rows.body = faults.body_of(rows).with_(gender=genders(rows.meta["subject_gender"], len(rows)))


def world_pelvis_forgotten(root: Path) -> faults.Fault:
    """The parameters of each person's own world, moved to the camera as if bodies turned about the origin."""

    def fault(rows: Instances) -> None:
        data = load(root / LABELS / f"{CROWD}.npz")
        rotation, translation = data["cam_ext"][:, :3, :3], data["cam_ext"][:, :3, 3]
        turn = Rotation.from_matrix(rotation) * Rotation.from_rotvec(data["pose_world"][:, :3])
        transl = np.einsum("nij,nj->ni", rotation, data["trans_world"]) + translation
        rows.body = faults.body_of(rows).with_(global_orient=turn.as_rotvec(), transl=transl)

    return fault


def offset_of_another_person(root: Path) -> faults.Fault:
    """The offset of the image's other person, as if it belonged to the image."""

    def fault(rows: Instances) -> None:
        data = load(root / LABELS / f"{CROWD}.npz")
        rows.body = faults.body_of(rows).with_(transl=data["trans_cam"] + data["cam_ext"][[1, 0, 3, 2], :3, 3])

    return fault


def first_betas_only(rows: Instances) -> None:
    body = faults.body_of(rows)
    rows.body = body.with_(betas=body.betas[:, :5])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (sex_of_the_subject, "2D points"),
        (first_betas_only, "2D points"),
        (world_pelvis_forgotten, "2D points"),
        (offset_of_another_person, "2D points"),
    ],
)
def test_quality_exposes(level: Path, tmp_path: Path, body_models: Path, fault: Any, words: str) -> None:
    if fault in (world_pelvis_forgotten, offset_of_another_person):
        fault = fault(level)
    report = run(level, tmp_path / "x.h5", body_models, dataset=faults.faulty(BEDLAM, fault))
    assert words in " ".join(report.problems)


@pytest.mark.parametrize("fault", [faults.pelvis_forgotten, faults.left_in_the_world])
def test_quality_exposes_wrong_turns(sideways: Path, tmp_path: Path, body_models: Path, fault: Any) -> None:
    report = run(sideways, tmp_path / "x.h5", body_models, dataset=faults.faulty(BEDLAM, fault))
    assert "2D points" in " ".join(report.problems)


def test_scenes_left_in_the_world_leave_nobody(scenes: Tree, tmp_path: Path, body_models: Path) -> None:
    with pytest.raises(DataError, match="no instance is left of 21"):
        run(scenes.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(BEDLAM, faults.left_in_the_world))
