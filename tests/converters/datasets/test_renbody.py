"""DNA-Rendering, both sets of cameras: ``renbody`` (5 megapixels) and ``renbody_hires`` (12)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from ehps.body.models import BodyModels
from ehps.converters.base import Instances
from ehps.converters.datasets import dna_rendering_files
from ehps.converters.datasets.renbody import RenBody
from ehps.converters.pipeline.report import Report
from ehps.errors import DataError, UsageError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw import faults
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    package_joints,
)
from tests.raw.dna_rendering import (
    ABSENT_2D,
    ABSENT_3D,
    COPY,
    DETECTED,
    FRAMES,
    LENS,
    MAN,
    NAN_3D,
    TEST,
    TWINS,
    VIEWS,
    WOMAN,
    Studio,
    extract_all,
    fits_file,
    image_path,
    main_file,
    marks,
)
from tests.raw.trees import Raw, read, runner

LOW, HIGH = "Camera_5mp", "Camera_12mp"
ROWS = [
    *((WOMAN, camera, frame) for camera in (3, 25) for frame in range(FRAMES)),
    *((MAN, 3, frame) for frame in range(FRAMES)),
    *((MAN, 25, frame) for frame in range(FRAMES) if frame != 4),
]
HIGH_ROWS = [(WOMAN, camera, frame) for camera in (48, 59) for frame in range(8)]
Pair = tuple[HumanData, Report]

DATASET = "renbody"
run = runner(DATASET)


def ids(hd: HumanData) -> list[tuple[str, int, int]]:
    columns = (hd["meta/sequence_name"].tolist(), hd["meta/cam_id"].tolist(), hd["meta/frame_id"].tolist())
    return list(zip(*columns, strict=True))


@pytest.fixture(scope="module")
def high(tree: Studio, tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Pair:
    out = tmp_path_factory.mktemp("out") / "high.h5"
    report = run(tree.root, out, body_models, dataset="renbody_hires")
    return HumanData.open(out), report


# -- people --------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_world_moved_to_every_camera(
    tree: Studio, converted: Pair, high: Pair, body_models: Path
) -> None:
    assert_joints_are_the_truth(converted[0], tree.of(LOW, WOMAN, MAN), body_models)
    assert_joints_are_the_truth(high[0], tree.of(HIGH, WOMAN), body_models)


def test_rows_are_sequences_cameras_and_frames_counted_as_numbers(converted: Pair, high: Pair) -> None:
    assert ids(converted[0]) == ROWS
    assert ids(high[0]) == HIGH_ROWS
    for hd, rows in ((converted[0], ROWS), (high[0], HIGH_ROWS)):
        assert hd["image_path"].tolist() == [image_path(*row) for row in rows]
    assert converted[0]["image_path"][10] == f"images/{WOMAN}/03/000010.jpg"


def test_bodies_are_taken_through_the_inverse_of_rt_about_their_pelvis(tree: Studio, converted: Pair) -> None:
    hd, _ = converted
    for row, (name, camera, frame) in enumerate(ROWS):
        with h5py.File(fits_file(tree.root, name)) as file:
            move = np.linalg.inv(file[f"Camera_Parameter/{camera:02d}/RT"][()])
            root = cv2.Rodrigues(file["SMPLx/fullpose"][frame, 0])[0]
        stored = cv2.Rodrigues(hd["smplx/global_orient"][row].astype(float))[0]
        np.testing.assert_allclose(stored, move[:3, :3] @ root, atol=1e-4)
    with h5py.File(fits_file(tree.root, MAN)) as file:
        assert np.ravel(file["SMPLx/scale"][()]).tolist() == [1.07]  # and yet not used


def test_the_pose_is_cut_where_the_parts_are(tree: Studio, converted: Pair) -> None:
    hd, _ = converted
    parts = {
        "body_pose": slice(1, 22),
        "jaw_pose": 22,
        "leye_pose": 23,
        "reye_pose": 24,
        "left_hand_pose": slice(25, 40),
        "right_hand_pose": slice(40, 55),
    }
    for row, (name, _, frame) in enumerate(ROWS):
        with h5py.File(fits_file(tree.root, name)) as file:
            pose, shapes, faces = (file[f"SMPLx/{key}"][()] for key in ("fullpose", "betas", "expression"))
        for part, where in parts.items():
            np.testing.assert_allclose(hd[f"smplx/{part}"][row], pose[frame, where], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(hd["smplx/betas"][row], shapes[frame % len(shapes)], rtol=1e-5)
        np.testing.assert_allclose(hd["smplx/expression"][row], faces[frame], rtol=1e-5)
    with h5py.File(fits_file(tree.root, MAN)) as file:
        assert file["SMPLx/betas"].shape == (1, 10)
    assert hd.passport.flat_hand_mean is False


def test_the_gender_is_the_actors(converted: Pair) -> None:
    hd, _ = converted
    assert hd["meta/gender"].tolist() == ["female" if name == WOMAN else "male" for name, _, _ in ROWS]


# -- points, cameras, facts ---------------------------------------------------------------------------------------


def test_points_are_projected_through_the_lens(tree: Studio, converted: Pair) -> None:
    hd, _ = converted
    for row, (name, camera, _) in enumerate(ROWS):
        with h5py.File(fits_file(tree.root, name)) as file:
            k, d = (file[f"Camera_Parameter/{camera:02d}/{key}"][()] for key in "KD")
        joints = hd["keypoints3d_smplx"][row, :127, :3].astype(float)
        bent, straight = (cv2.projectPoints(joints, np.zeros(3), np.zeros(3), k, lens)[0][:, 0] for lens in (d, 0 * d))
        np.testing.assert_allclose(hd["keypoints2d_smplx"][row, :127, :2], bent, atol=0.01)
        assert np.abs(bent - straight).max() > 2
        np.testing.assert_allclose(hd["meta/focal_length"][row], [k[0, 0], k[1, 1]], rtol=1e-6)
        np.testing.assert_allclose(hd["meta/principal_point"][row], k[:2, 2], rtol=1e-6)
    np.testing.assert_allclose(hd["meta/dist_coeffs"], np.tile(LENS, (len(ROWS), 1)), rtol=1e-6)
    assert len(np.unique(hd["meta/focal_length"][:, 0])) == 2


def test_detected_points_are_those_of_the_camera_and_the_frame(tree: Studio, converted: Pair) -> None:
    hd, _ = converted
    own = hd["keypoints2d_original"]
    expected = [point_names("human_data")[slot] for slot in DETECTED]
    assert list(hd.keypoint_names["keypoints2d_original"]) == expected
    for row, (name, camera, frame) in enumerate(ROWS):
        with h5py.File(fits_file(tree.root, name)) as file:
            np.testing.assert_allclose(own[row], file[f"Keypoints_2D/{camera:02d}"][frame], rtol=1e-5)
    still = [k for k, slot in enumerate(DETECTED) if slot < 127 and slot != ABSENT_2D]
    ours = hd["keypoints2d_smplx"][:, [DETECTED[k] for k in still], :2]
    np.testing.assert_allclose(own[:, still, :2], ours, atol=0.05)
    np.testing.assert_allclose(own[:, still, 2], 0.9, rtol=1e-6)
    assert not own[:, DETECTED.index(ABSENT_2D)].any()


def test_triangulated_points_are_moved_and_empty_slots_are_known(converted: Pair, high: Pair) -> None:
    for hd, _ in (converted, high):
        own = hd["keypoints3d_original"]
        assert hd.keypoint_names["keypoints3d_original"] == point_names("human_data")
        there = [slot for slot in DETECTED if slot not in (ABSENT_3D, NAN_3D)]
        assert np.flatnonzero(own[..., 3].any(0)).tolist() == there
        assert (own[:, there, 3] == 1).all()
        assert not own[:, [0, COPY, *TWINS, ABSENT_3D, NAN_3D]].any()
        still = [slot for slot in there if slot < 127]
        np.testing.assert_allclose(own[:, still, :3], hd["keypoints3d_smplx"][:, still, :3], atol=1e-3)


def test_boxes_hold_the_visible_joints(converted: Pair, high: Pair) -> None:
    for hd, _ in (converted, high):
        assert_boxes_hold_the_visible_joints(hd)
        for column in ("face_bbox_xywh", "lhand_bbox_xywh", "rhand_bbox_xywh"):
            assert ((hd[column][:, 4] == 1) == (hd[column][:, 2] * hd[column][:, 3] > 0)).all()


def test_facts_of_the_rows_and_of_the_file(converted: Pair, high: Pair) -> None:
    for (hd, report), group, published in ((converted, LOW, 3_999_600), (high, HIGH, 999_900)):
        view = VIEWS[group]
        sizes = np.stack([hd["meta/height"], hd["meta/width"]], axis=1)
        assert (sizes == [view.height, view.width]).all()
        expected = {
            "smplx_source": "original",
            "bbox_source": "keypoints2d_smplx",
            "fps": 15,
            "flat_hand_mean": False,
            "kps3d_root_aligned": False,
            "image_undistorted": False,
        }
        assert {key: hd.misc[key] for key in expected} == expected
        assert (hd.passport.split, hd.passport.num_betas, hd.passport.gender) == ("train", 10, "per-instance")
        assert hd.validate() == []
        assert report.published == published
        assert report.problems == []
    assert (converted[0].passport.dataset, high[0].passport.dataset) == ("renbody", "renbody_hires")


def test_what_is_left_out_is_counted_by_reason(tree: Studio, converted: Pair, high: Pair) -> None:
    for (_, report), group, rows in ((converted, LOW, ROWS), (high, HIGH, HIGH_ROWS)):
        assert {reason: len(found) for reason, found in report.dropped.items()} == tree.dropped[group]
        assert {reason: len(units) for reason, units in report.left_out.items()} == tree.left_out[group]
        assert (report.found, report.written) == (len(rows) + sum(tree.dropped[group].values()), len(rows))
    dropped = converted[1].dropped
    assert dropped["no SMPL-X fit of the frame"] == [image_path(WOMAN, camera, FRAMES) for camera in (3, 25)]
    assert dropped["no image of a fitted frame"] == [image_path(MAN, 25, 4)]
    assert high[1].left_out["no images in Camera_12mp of the main file"] == [MAN]


# -- splits and options -----------------------------------------------------------------------------------------


def test_test_is_part_one(tree: Studio, tmp_path: Path, body_models: Path) -> None:
    for dataset, group in (("renbody", LOW), ("renbody_hires", HIGH)):
        report = run(tree.root, tmp_path / f"{dataset}.h5", body_models, dataset=dataset, split="test")
        assert_joints_are_the_truth(HumanData.open(tmp_path / f"{dataset}.h5"), tree.of(group, TEST), body_models)
        assert (report.dropped, report.written) == ({}, 2 * FRAMES)


def test_both_files_may_lie_in_one_folder_that_is_given_itself(own: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Part 1"
    folder.mkdir()
    for path in (main_file(own, TEST), fits_file(own, TEST)):
        path.rename(folder / path.name)
    assert run(folder, tmp_path / "x.h5", None, split="test").written == 2 * FRAMES


def test_a_list_of_sequences_goes_before_the_parts(tree: Studio, tmp_path: Path, body_models: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{TEST}\n\n{MAN} \n0999_01\n")
    report = run(tree.root, tmp_path / "x.h5", body_models, options={"sequences": str(tmp_path / "list.txt")})
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.of(LOW, TEST, MAN), body_models)
    assert report.left_out["no file of the sequence"] == ["0999_01"]
    assert report.published is None
    with pytest.raises(DataError, match=r"nowhere\.txt"):
        run(tree.root, tmp_path / "x.h5", None, options={"sequences": str(tmp_path / "nowhere.txt")})


def test_files_of_no_known_part_need_a_list(own: Path, tmp_path: Path) -> None:
    folder = tmp_path / "all"
    folder.mkdir()
    for path in (main_file(own, MAN), fits_file(own, MAN)):
        path.rename(folder / path.name)
    with pytest.raises(DataError, match=r"which part.*sequences=FILE"):
        run(folder, tmp_path / "x.h5", None)
    (tmp_path / "list.txt").write_text(MAN)
    assert run(folder, tmp_path / "x.h5", None, options={"sequences": str(tmp_path / "list.txt")}).written == 21


def test_cameras_and_frames_can_be_chosen(tree: Studio, converted: Pair, tmp_path: Path) -> None:
    run(tree.root, tmp_path / "x.h5", None, options={"cameras": "25, 7", "interval": "5"})
    assert ids(HumanData.open(tmp_path / "x.h5")) == [row for row in ROWS if row[1] == 25 and row[2] % 5 == 0]


@pytest.mark.parametrize("wrong", [{"cameras": "48"}, {"cameras": "a"}, {"interval": "0"}, {"interval": "x"}])
def test_a_wrong_choice_is_said_before_anything_is_read(tree: Studio, tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"cameras=|interval="):
        run(tree.root, tmp_path / "x.h5", None, options=wrong)


# -- images -----------------------------------------------------------------------------------------------------


def test_images_come_out_of_the_files_byte_by_byte(
    tree: Studio, converted: Pair, tmp_path: Path, body_models: Path
) -> None:
    frames = tmp_path / "frames"
    report = run(tree.root, tmp_path / "x.h5", body_models, frames=frames)
    assert report.notes == []
    assert ids(HumanData.open(tmp_path / "x.h5")) == ROWS
    for name, camera, frame in ROWS:
        data = (frames / image_path(name, camera, frame)).read_bytes()
        with h5py.File(main_file(tree.root, name)) as file:
            assert data == file[f"{LOW}/{camera}/color/{frame}"][()].tobytes()
        image = cv2.imread(str(frames / image_path(name, camera, frame)))
        assert image is not None
        assert marks(image) == (camera, frame)
    assert sum(path.is_file() for path in frames.rglob("*")) == len(ROWS)  # and no others


def test_only_images_that_are_used_and_not_there_are_written(tree: Studio, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    there = frames / image_path(WOMAN, 48, 0)
    there.parent.mkdir(parents=True)
    there.write_bytes(b"mine")
    run(tree.root, tmp_path / "x.h5", None, dataset="renbody_hires", frames=frames, options={"interval": "4"})
    found = sorted(path.relative_to(frames).as_posix() for path in frames.rglob("*.jpg"))
    assert found == [image_path(WOMAN, camera, frame) for camera in (48, 59) for frame in (0, 4)]
    assert there.read_bytes() == b"mine"


def test_without_images_rows_are_kept_with_a_note(converted: Pair, tree: Studio, tmp_path: Path) -> None:
    assert "--frames DIR" in " ".join(converted[1].notes)
    with pytest.raises(DataError, match="images are missing"):
        run(tree.root, tmp_path / "x.h5", None, strict_images=True)


def test_of_images_beside_the_files_the_lost_one_is_counted(own: Path, tmp_path: Path) -> None:
    extract_all(own)
    (own / image_path(WOMAN, 25, 10)).unlink()
    report = run(own, tmp_path / "x.h5", None)
    assert report.dropped["image missing"] == [image_path(WOMAN, 25, 10)]
    assert not [note for note in report.notes if "--frames" in note]


def test_the_size_is_that_of_the_images_not_what_is_said(own: Path, tmp_path: Path) -> None:
    with h5py.File(main_file(own, WOMAN), "r+") as file:
        file[LOW].attrs["resolution"] = (2448, 2048)
        file[f"{LOW}/3/color/0"][:] = 0  # no image: what is said is all that is known
    run(own, tmp_path / "x.h5", None)
    hd = HumanData.open(tmp_path / "x.h5")
    view = VIEWS[LOW]
    assert (hd["meta/height"][:FRAMES] == 2448).all()
    assert (hd["meta/width"][:FRAMES] == 2048).all()
    assert (hd["meta/height"][FRAMES:] == view.height).all()


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_only_the_points_are_kept(tree: Studio, raw: Raw) -> None:
    hd, report = raw.without_models()
    assert "rest pelvis" in report.absent["smplx/*"]
    assert {"keypoints2d_smplx", "keypoints3d_smplx"} <= set(report.absent)
    assert hd.misc["bbox_source"] == "keypoints2d_original"
    assert report.written == len(ROWS)


def test_annotations_without_main_files_are_told(tree: Studio, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to read for split test"):
        run(tree.root / "dna_rendering_part2_annotations", tmp_path / "x.h5", None, split="test")
    with pytest.raises(DataError, match="no main file of the sequence"):
        run(tree.root / "dna_rendering_part2_annotations", tmp_path / "x.h5", None)


@pytest.mark.parametrize(
    ("key", "words"),
    [("Camera_Parameter/03/RT", "RT"), ("SMPLx/expression", "expression"), ("SMPLx/fullpose", "fullpose")],
)
def test_what_a_file_lacks_is_named(own: Path, tmp_path: Path, key: str, words: str) -> None:
    with h5py.File(fits_file(own, MAN), "r+") as file:
        del file[key]
    with pytest.raises(DataError, match=rf"{MAN}: .*has no {words}.*{MAN}_annots\.smc"):
        run(own, tmp_path / "x.h5", None)


@pytest.mark.parametrize(
    ("key", "shape", "words"),
    [
        ("SMPLx/fullpose", (FRAMES, 24, 3), "fullpose is 11 x 24 x 3 numbers, expected frames x 55 x 3"),
        ("SMPLx/betas", (3, 10), "betas has 3 rows for 11 frames"),
        ("Keypoints_2D/03", (FRAMES, 133, 3), "Keypoints_2D/03 is 11 x 133 x 3 numbers"),
        ("Keypoints_3D/keypoints3d", (FRAMES, 144, 3), "keypoints3d is 11 x 144 x 3 numbers"),
    ],
)
def test_an_array_of_another_shape_is_named(
    own: Path, tmp_path: Path, key: str, shape: tuple[int, ...], words: str
) -> None:
    with h5py.File(fits_file(own, MAN), "r+") as file:
        del file[key]
        file[key] = np.zeros(shape)
    with pytest.raises(DataError, match=rf"{MAN}: {words}.*{MAN}_annots\.smc"):
        run(own, tmp_path / "x.h5", None)


@pytest.mark.parametrize("there", [4, 0])
def test_frames_without_an_expression_keep_their_bodies(own: Path, converted: Pair, there: int) -> None:
    with h5py.File(fits_file(own, MAN), "r+") as file:
        faces = file["SMPLx/expression"][()]
        del file["SMPLx/expression"]
        file["SMPLx/expression"] = faces[:there]
    units = {rows.meta["sequence_name"][0]: rows for rows in read(DATASET, own) if len(rows)}
    rows, hd = units[MAN], converted[0]
    assert rows.body is not None
    assert rows.body.expression is not None
    frames = rows.meta["frame_id"]
    assert frames.tolist() == [frame for name, _, frame in ROWS if name == MAN]
    assert rows.meta["face_valid"].tolist() == (frames < there).tolist()
    np.testing.assert_allclose(rows.body.expression, np.where(frames[:, None] < there, faces[frames], 0))
    np.testing.assert_allclose(rows.body.body_pose, hd["smplx/body_pose"][2 * FRAMES :], rtol=1e-5, atol=1e-7)
    assert rows.notes == [
        f"{MAN}: {there} of 11 fitted frames have an expression; that of the others is zero, and their "
        "meta/face_valid false"
    ]
    assert units[WOMAN].meta["face_valid"].all()
    assert hd["meta/face_valid"].all()


def test_sequences_without_fits_or_gender_are_counted(own: Path, tmp_path: Path) -> None:
    with h5py.File(fits_file(own, MAN), "r+") as file:
        del file["SMPLx"]
    with h5py.File(main_file(own, TEST), "r+") as file:
        del file.attrs["gender"]
    (tmp_path / "list.txt").write_text(f"{TEST}\n{MAN}\n{WOMAN}\n")
    report = run(own, tmp_path / "x.h5", None, options={"sequences": str(tmp_path / "list.txt")})
    assert report.left_out["no SMPL-X fits"] == [MAN]
    assert report.left_out["gender of the actor not given"] == [TEST]
    assert report.written == 2 * FRAMES


def test_frames_that_are_no_numbers_and_cameras_without_points(own: Path, tmp_path: Path, body_models: Path) -> None:
    with h5py.File(fits_file(own, WOMAN), "r+") as file:
        file["SMPLx/fullpose"][2, 30] = np.nan
        file["SMPLx/transl"][5, 0] = np.nan
        file["Camera_Parameter/25/RT"][:3, :3] *= 1.1
        points = file["Keypoints_2D/03"][:9]
        del file["Keypoints_2D/25"], file["Keypoints_2D/03"], file["Keypoints_3D"]
        file["Keypoints_2D/03"] = points
    report = run(own, tmp_path / "x.h5", body_models)
    wanted = [
        (name, camera, frame) for name, camera, frame in ROWS if name == MAN or (camera == 3 and frame not in (2, 5))
    ]
    hd = HumanData.open(tmp_path / "x.h5")
    assert ids(hd) == wanted
    assert len(report.dropped["body parameters not finite"]) == 4
    assert len(report.dropped["camera pose is no rotation (scaled or mirrored)"]) == FRAMES - 2
    assert not hd["keypoints2d_original"][7:9].any()  # frames 9 and 10, of which there are no points
    assert hd["keypoints2d_original"][:7, 0, 2].all()
    assert not hd["keypoints3d_original"][:9].any()


# -- planted faults ---------------------------------------------------------------------------------------------


def cameras_to_worlds(rows: Instances) -> None:
    """RT as it is, taken for the way from the world to the camera."""
    move = rows.world_to_camera
    assert move is not None
    centre = -np.einsum("nji,nj->ni", move.rotation, move.translation)
    rows.world_to_camera = replace(move, rotation=move.rotation.transpose(0, 2, 1), translation=centre)


def cameras_exchanged(rows: Instances) -> None:
    move = rows.world_to_camera
    assert move is not None
    rows.world_to_camera = replace(move, rotation=move.rotation[::-1], translation=move.translation[::-1])


def points_of_the_frame_before(rows: Instances) -> None:
    assert rows.keypoints3d is not None
    rows.keypoints3d.points = np.roll(rows.keypoints3d.points, 4, axis=0)


def scaled(rows: Instances) -> None:
    """``scale`` used: places multiplied by it."""
    body = faults.body_of(rows)
    rows.body = body.with_(transl=body.transl * 1.3)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (scaled, "2D points"),
        (cameras_to_worlds, "2D points"),
        (cameras_exchanged, "2D points"),
        (points_of_the_frame_before, "3D points"),
    ],
)
def test_quality_exposes(tree: Studio, tmp_path: Path, body_models: Path, fault: faults.Fault, words: str) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(RenBody, fault))
    assert words in " ".join(report.problems)


def test_a_pelvis_correction_left_out_shows_in_the_two_routes(
    tree: Studio, tmp_path: Path, body_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BodyModels, "rest_pelvis", lambda self, params: np.zeros((len(params), 3)))
    report = run(tree.root, tmp_path / "x.h5", body_models)
    assert "pelvis correction" in " ".join(report.problems)


@pytest.mark.parametrize(
    ("fault", "moved"), [(faults.other_gender, slice(0, 22)), (faults.hands_absolute, slice(66, 76))]
)
def test_some_faults_move_joints_by_less_than_the_noise_of_real_fits(
    tree: Studio, converted: Pair, tmp_path: Path, body_models: Path, fault: faults.Fault, moved: slice
) -> None:
    """The quality cannot tell these; the joints compared above can."""
    run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(RenBody, fault))
    wrong, right = package_joints(HumanData.open(tmp_path / "x.h5"), body_models), converted[0]["keypoints3d_smplx"]
    assert np.linalg.norm(wrong - right[..., :3], axis=2)[:, moved].max(1).min() > 0.01


def test_the_slots_of_the_points_are_those_of_the_page() -> None:
    assert list(dna_rendering_files.DETECTED) == DETECTED
    assert len(DETECTED) == 131
