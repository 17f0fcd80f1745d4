from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.converters.base import Camera
from ehps.converters.datasets import harmony4d_files
from ehps.converters.pipeline.report import Report
from ehps.converters.readers import colmap
from ehps.demo.raw import stage
from ehps.errors import DataError, UsageError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw.checks import assert_boxes_hold_the_visible_joints, assert_joints_are_the_truth, blank, package_joints
from tests.raw.harmony4d import (
    CAMERAS,
    DANCING,
    GRAPPLING,
    HEIGHT,
    PEOPLE,
    TEST,
    WIDTH,
    Row,
    Shots,
    edit,
    index,
    intrinsics,
)
from tests.raw.trees import read, runner

Pair = tuple[HumanData, Report]

DATASET = "harmony4d"
run = runner(DATASET)


def rows_of(hd: HumanData) -> list[Row]:
    columns = (hd[f"meta/{name}"].tolist() for name in ("sequence_name", "camera", "frame_id", "person_id"))
    return list(zip(*columns, strict=True))


# -- people and cameras ----------------------------------------------------------------------------------------


def test_joints_are_those_of_the_world_in_every_fisheye(tree: Shots, converted: Pair, body_models: Path) -> None:
    """The unit of length of the reconstruction is gone, in both kinds of sequences, and pixels are OpenCV's."""
    hd, _ = converted
    assert hd.body_model == "smpl"
    assert_joints_are_the_truth(hd, tree.truth(tree.rows), body_models)


def test_rows_go_camera_by_camera_frame_by_frame_person_by_person(tree: Shots, converted: Pair) -> None:
    hd, _ = converted
    found = rows_of(hd)
    assert found == tree.rows
    assert hd["image_path"].tolist() == [
        f"train/{name}/exo/{camera}/images/{frame:05d}.jpg" for name, camera, frame, _ in found
    ]
    assert hd["meta/track_id"].tolist() == [f"{name}_{who}" for name, _, _, who in found]
    assert set(hd["meta/gender"].tolist()) == {"neutral"}


def test_the_camera_of_a_frame_is_the_nearest_registered_one(tree: Shots, converted: Pair, body_models: Path) -> None:
    """Camera 2 has moved between its registered pictures 1 and 5; of two equally near ones the first listed counts."""
    hd, _ = converted
    at = {row: k for k, row in enumerate(rows_of(hd))}
    still = package_joints(hd, body_models)[:, 0]
    world = stage.package(body_models, tree.params[GRAPPLING]["smpl_collision"])[0][:, [0]]
    first, fifth = (tree.cameras[GRAPPLING, "cam02"][n - 1] for n in (1, 5))
    assert np.abs(first.pose - fifth.pose).max() > 0.05
    for frame, shot in ((1, first), (2, first), (3, fifth), (4, fifth), (6, fifth)):
        expected = shot.joints(world[[index(frame, "aria01")]])[0, 0]
        np.testing.assert_allclose(still[at[GRAPPLING, "cam02", frame, "aria01"]], expected, atol=1e-3)


def test_lenses_are_written_as_the_reconstruction_has_them(converted: Pair) -> None:
    hd, _ = converted
    assert "meta/dist_coeffs" not in hd
    for k, camera in enumerate(CAMERAS[GRAPPLING]):
        rows = np.array([name == camera for name in hd["meta/camera"].tolist()])
        focal, centre, lens = intrinsics(k)
        for name, value in (("focal_length", focal), ("principal_point", centre), ("fisheye_dist_coeffs", lens)):
            found = hd[f"meta/{name}"][rows]
            np.testing.assert_allclose(found, np.tile(value, (len(found), 1)), rtol=1e-6)
    joints, points = hd["keypoints3d_smpl"][..., :3], hd["keypoints2d_smpl"]
    pinhole = joints[..., :2] / joints[..., 2:] * hd["meta/focal_length"][:, None]
    pinhole += hd["meta/principal_point"][:, None]
    assert np.abs(pinhole - points[..., :2]).max() > 10
    assert (hd.misc["images"], hd.misc["distortion"]) == ("raw", "opencv_fisheye")


def test_parameters_are_the_raw_ones_turned_by_a_rotation_without_scale(
    tree: Shots, converted: Pair, body_models: Path
) -> None:
    hd, _ = converted
    for row, (name, camera, frame, who) in enumerate(rows_of(hd)):
        raw = tree.params[name]["smpl_collision" if name == GRAPPLING else "smpl"][[index(frame, who)]]
        near = (5 if frame > 2 else 1) if (name, camera) == (GRAPPLING, "cam02") else frame
        turn = tree.cameras[name, camera][near - 1].pose[:3, :3].T
        stored = Rotation.from_rotvec(hd["smpl/global_orient"][row]).as_matrix()
        np.testing.assert_allclose(stored, turn @ Rotation.from_rotvec(raw.global_orient[0]).as_matrix(), atol=1e-5)
        np.testing.assert_allclose(hd["smpl/body_pose"][row], raw.body_pose[0], atol=1e-6)
        np.testing.assert_allclose(hd["smpl/betas"][row], raw.betas[0], rtol=1e-5)


# -- points, boxes, facts --------------------------------------------------------------------------------------


def test_own_points_lie_on_the_joints_and_those_that_are_not_there_have_no_confidence(
    tree: Shots, converted: Pair
) -> None:
    hd, report = converted
    own, names = hd["keypoints3d_original"], point_names("coco_wholebody")
    assert hd.keypoint_names["keypoints3d_original"] == names
    ours = point_names("smpl_45")
    gone = np.array([(name, frame) == (DANCING, 3) for name, _, frame, _ in rows_of(hd)])
    for point in ("left_hip", "right_knee", "left_wrist", "nose", "right_ankle"):
        k = names.index(point)
        np.testing.assert_allclose(own[~gone, k, 3], 0.9, rtol=1e-6)
        distance = np.linalg.norm(own[:, k, :3] - hd["keypoints3d_smpl"][:, ours.index(point), :3], axis=1)
        assert distance[~gone].max() < 1e-3
    assert not own[gone].any()
    feet = own[:, names.index("left_bigtoe"), 3] > 0
    assert feet.tolist() == [name == GRAPPLING for name, *_ in rows_of(hd)]  # the others have 17 points
    assert report.quality["points3d_m"]["max"] < 1e-3


def test_overlap_is_that_of_the_two_boxes_of_an_image(converted: Pair) -> None:
    hd, _ = converted
    x, y, w, h = hd["bbox_xywh"][:, :4].astype(float).T
    rows = rows_of(hd)
    shares = []
    for k, row in enumerate(rows):
        other = [i for i, r in enumerate(rows) if r[:3] == row[:3] and r != row]
        if not other:
            shares.append(0.0)
            continue
        (i,) = other
        across = max(0.0, min(x[k] + w[k], x[i] + w[i]) - max(x[k], x[i]))
        down = max(0.0, min(y[k] + h[k], y[i] + h[i]) - max(y[k], y[i]))
        shares.append(across * down / (w[k] * h[k] + w[i] * h[i] - across * down))
    np.testing.assert_allclose(hd["meta/overlap"], shares, atol=1e-5)
    assert max(shares) > 0.3
    assert 0.0 in shares


def test_boxes_hold_the_people(converted: Pair) -> None:
    assert_boxes_hold_the_visible_joints(converted[0])


def test_facts_of_the_file(converted: Pair) -> None:
    hd, report = converted
    expected = {
        "config": "harmony4d",
        "smpl_source": "original",
        "bbox_source": "keypoints2d_smpl",
        "bbox_body_scale": 1.2,
        "cam_param_type": "perspective",
        "kps3d_root_aligned": False,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    assert {(h, w) for h, w in zip(hd["meta/height"], hd["meta/width"], strict=True)} == {(HEIGHT, WIDTH)}
    assert (hd.passport.gender, hd.passport.num_betas, hd.passport.focal) == ("neutral", 10, "image")
    assert set(zip(hd["meta/sequence_name"].tolist(), hd["meta/smpl_folder"].tolist(), strict=True)) == {
        (GRAPPLING, "smpl_collision"),
        (DANCING, "smpl"),
    }
    assert "smpl_folder" not in hd.misc  # sequences differ
    assert set(hd["meta/activity"].tolist()) == {"02_grappling", "05_dancing"}
    assert (report.published, report.problems) == (None, [])


def test_what_is_left_out_is_counted_by_reason(tree: Shots, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(names) for reason, names in report.dropped.items()} == tree.dropped
    folder = f"train/{GRAPPLING}/exo"
    assert report.dropped["no SMPL fit"] == [f"{folder}/cam01/images/00007.jpg"]
    assert report.dropped["no SMPL fit of the person"][0] == f"{folder}/cam01/images/00004.jpg aria02"
    assert report.dropped["camera not registered"][0] == f"{folder}/cam03/images/00001.jpg aria01"
    assert report.dropped["image missing"] == [f"{folder}/cam01/images/00002.jpg"] * 2
    assert {name.split("/")[1] for name in report.dropped["body box empty or outside the image"]} == {"05_dancing"}


# -- splits and options ----------------------------------------------------------------------------------------


def test_test_has_sequences_of_its_own(tree: Shots, tmp_path: Path, body_models: Path) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, split="test")
    rows = [(TEST, "cam04", frame, who) for frame in (1, 2) for who in PEOPLE]
    hd = HumanData.open(tmp_path / "x.h5")
    assert_joints_are_the_truth(hd, tree.truth(rows), body_models)
    assert (hd.misc["smpl_folder"], hd.passport.split) == ("smpl", "test")


def test_fits_with_interpenetration_can_be_chosen(tree: Shots, tmp_path: Path, body_models: Path) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, options={"fits": "smpl", "cameras": "cam01"})
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd.misc["smpl_folder"] == "smpl"
    rows = [row for row in tree.rows if row[1] == "cam01"]
    assert rows_of(hd) == rows
    world = stage.package(body_models, tree.params[GRAPPLING]["smpl"])[0]
    for row, (name, camera, frame, who) in enumerate(rows):
        if name == GRAPPLING:
            expected = tree.cameras[name, camera][frame - 1].joints(world[[index(frame, who)]])[0]
            np.testing.assert_allclose(hd["keypoints3d_smpl"][row, :, :3], expected, atol=1e-3)


def test_cameras_and_strides_can_be_chosen(tree: Shots, converted: Pair, tmp_path: Path, body_models: Path) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, options={"cameras": "cam02", "interval": "2"})
    hd = HumanData.open(tmp_path / "x.h5")
    wanted = [k for k, row in enumerate(tree.rows) if row[1] == "cam02" and row[2] % 2 == 1]
    assert rows_of(hd) == [tree.rows[k] for k in wanted]
    np.testing.assert_allclose(hd["smpl/transl"], converted[0]["smpl/transl"][wanted], rtol=1e-5)
    with pytest.raises(UsageError, match="no 'cam09', but cam01, cam02, cam03"):
        run(tree.root, tmp_path / "x.h5", body_models, options={"cameras": "cam09"})


def test_undistorted_pictures_have_their_pinhole(own: Path, tree: Shots, tmp_path: Path, body_models: Path) -> None:
    """A dot on every joint of a raw picture is found at the projected joint once OpenCV has undistorted it."""
    names = [f"train/{DANCING}/cam01/{frame:05d}.jpg" for frame in (1, 2, 3)]
    blank(own, names, HEIGHT, WIDTH)
    run(own, tmp_path / "x.h5", body_models, options={"images": "undistorted"})
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["image_path"].tolist() == [name for k, name in enumerate(names) for _ in range(1 if k == 1 else 2)]
    assert not {"meta/fisheye_dist_coeffs", "meta/dist_coeffs"} & set(hd.columns)
    assert (hd.misc["images"], hd.misc["undistortion_balance"]) == ("undistorted", 0.8)
    focal, centre, lens = intrinsics(0)
    K = np.array([[focal[0], 0, centre[0]], [0, focal[1], centre[1]], [0, 0, 1]])
    new = np.diag([*hd["meta/focal_length"][0].astype(float), 1])
    new[:2, 2] = hd["meta/principal_point"][0]
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    raw, stored = tree.people[DANCING, "cam01"].points[0], hd["keypoints2d_smpl"][0, :, :2]
    apart = [0, 4, 5, 15, 20, 21]
    for u, v in raw[apart]:
        assert 0 < u < WIDTH
        cv2.circle(picture, (round(16 * u), round(16 * v)), 16 * 3, (255, 255, 255), -1, shift=4)
    straight = cv2.fisheye.undistortImage(picture, K, lens, Knew=new, new_size=(WIDTH, HEIGHT))[..., 0]
    _, _, _, dots = cv2.connectedComponentsWithStats((straight > 127).astype(np.uint8))
    for at in stored[apart]:
        assert np.linalg.norm(dots[1:] - at, axis=1).min() < 1
    np.testing.assert_allclose(stored, pinhole(hd)[0], atol=0.01)


def test_it_is_said_where_undistorted_pictures_are_expected(tree: Shots, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no sequence has undistorted pictures.*<sequence>/cam01/00001\.jpg"):
        run(tree.root, tmp_path / "x.h5", None, options={"images": "undistorted"})


def test_a_sequence_without_pictures_of_the_chosen_cameras_is_left_out(own: Path) -> None:
    blank(own, [f"train/{DANCING}/cam01/00001.jpg"], HEIGHT, WIDTH)
    first, second = read(DATASET, own, images="undistorted")
    assert (first.left_out, first.absent) == ("no pictures of these cameras", True)
    assert len(second) == 6
    last = read(DATASET, own, cameras="cam03")[1]
    assert (last.left_out, last.absent) == ("no pictures of these cameras", False)


def pinhole(hd: HumanData) -> np.ndarray:
    joints = hd["keypoints3d_smpl"][..., :3].astype(float)
    return joints[..., :2] / joints[..., 2:] * hd["meta/focal_length"][:, None] + hd["meta/principal_point"][:, None]


@pytest.mark.parametrize("size", [(720, 1280), (2160, 3840), (1081, 1921)])
def test_the_pinhole_of_undistorted_pictures_keeps_eight_tenths_of_the_way_to_all_of_the_raw_one(
    size: tuple[int, int],
) -> None:
    """OpenCV's rule, by rays through the middles of the four sides found by bisection."""
    height, width = size
    f, c, k = (
        0.47 * width * np.array([1, 1.01]),
        np.array([0.502, 0.497]) * (width, height),
        np.array([0.05, -0.01, 0, 0]),
    )

    def ray(pixel: np.ndarray) -> np.ndarray:
        bent = (pixel - c) / f
        target, low, high = np.linalg.norm(bent), 0.0, 1.5
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if middle * (1 + k[0] * middle**2 + k[1] * middle**4) < target else (low, middle)
        return np.tan(low) * bent / target

    sides = np.array([ray(np.array(at, float)) for at in sides_of(height, width)])
    aspect = f[0] / f[1]
    sides[:, 1] *= aspect
    middle = sides.mean(axis=0)
    reach = np.array([width, width, height * aspect, height * aspect]) / 2
    reach /= [
        *np.abs(sides[:, 0].min() - middle[:1]),
        sides[:, 0].max() - middle[0],
        middle[1] - sides[:, 1].min(),
        sides[:, 1].max() - middle[1],
    ]
    focal = 0.8 * reach.min() + 0.2 * reach.max()
    centre = np.array([width, height * aspect]) / 2 - middle * focal
    lens = Camera(f[None], c[None], k[None], lens="fisheye")
    found = harmony4d_files.undistorted(np.array([size]), lens, np.array(["cam01"]), Path("cameras.txt"))
    np.testing.assert_allclose(found.focal[0], [focal, focal / aspect], rtol=1e-5)
    np.testing.assert_allclose(found.principal_point[0], [centre[0], centre[1] / aspect], rtol=1e-5)


def test_a_lens_that_cannot_be_undistorted_hinders_only_its_own_camera(
    own: Path, tmp_path: Path, body_models: Path
) -> None:
    """The error says which camera it is, and the option that leaves it out does."""
    for camera in CAMERAS[GRAPPLING]:
        blank(own, [f"train/{GRAPPLING}/{camera}/{frame:05d}.jpg" for frame in (1, 2)], HEIGHT, WIDTH)
    path = first(own) / "cameras.txt"
    lines = path.read_text().splitlines()
    lens = "600.0 604.0 640.0 360.0 -0.25 0.0 0.0 0.0"
    path.write_text("\n".join(f"3 OPENCV_FISHEYE {WIDTH} {HEIGHT} {lens}" if x[:2] == "3 " else x for x in lines))
    with pytest.raises(DataError, match=r"the lens of cam02, .* cannot be undistorted .*--option cameras"):
        run(own, tmp_path / "x.h5", body_models, options={"images": "undistorted"})
    run(own, tmp_path / "x.h5", body_models, options={"images": "undistorted", "cameras": "cam01"})
    assert [row[1:3] for row in rows_of(HumanData.open(tmp_path / "x.h5"))] == [("cam01", n) for n in (1, 1, 2, 2)]


def sides_of(height: int, width: int) -> list[tuple[int, int]]:
    return [(width // 2, 0), (width, height // 2), (width // 2, height), (0, height // 2)]


# -- bad input ---------------------------------------------------------------------------------------------------


def first(root: Path) -> Path:
    return root / "train" / GRAPPLING / "colmap/workplace"


def spoiled(text: str, what: str) -> str:
    lines = text.splitlines()
    data = [k for k, line in enumerate(lines) if not line.startswith("#")]
    if what == "blanks taken out":
        return "\n".join(line for line in lines if line.strip())
    words = lines[data[2]].split()
    changes = {"no unit quaternion": (1, "3.0"), "no number": (5, "north"), "no camera": (8, "99")}
    at, word = changes[what]
    words[at] = word
    lines[data[2]] = " ".join(words)
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("blanks taken out", r"images\.txt: has the line '.*', expected"),
        ("no unit quaternion", "a quaternion of length 1"),
        ("no number", "expected id, quaternion"),
        ("no camera", r"cameras\.txt: has no camera 99"),
    ],
)
def test_a_reconstruction_that_is_none_is_named(own: Path, what: str, words: str) -> None:
    path = first(own) / "images.txt"
    path.write_text(spoiled(path.read_text(), what))
    with pytest.raises(DataError, match=words):
        read(DATASET, own)


def test_another_lens_is_refused_by_name(own: Path) -> None:
    path = first(own) / "cameras.txt"
    path.write_text(path.read_text().replace("OPENCV_FISHEYE", "SIMPLE_RADIAL"))
    with pytest.raises(DataError, match="is SIMPLE_RADIAL with 8 parameters, expected OPENCV_FISHEYE"):
        read(DATASET, own)


@pytest.mark.parametrize("matrix", [np.diag([1.4, 1.4, -1.4, 1]), np.diag([1.4, 1.4, 1.2, 1]), np.eye(4) * 1.4])
def test_a_scale_that_is_none_is_refused(own: Path, matrix: np.ndarray) -> None:
    np.save(first(own) / "scale.npy", matrix)
    with pytest.raises(DataError, match=r"scale\.npy: .*scale"):
        read(DATASET, own)


def test_images_are_told_apart_from_their_points(own: Path) -> None:
    images = colmap.read_images(first(own) / "images.txt")
    assert [image.name for image in images[-2:]] == ["cam02/00005.jpg", "cam02/00001.jpg"]
    assert len(images) == 8
    cameras = colmap.read_cameras(own / "train" / DANCING / "colmap/workplace/cameras.txt")
    assert {key: camera.size for key, camera in cameras.items()} == {7: (720, 1280), 5: (1408, 1408), 3: (720, 1280)}


def test_missing_scales_of_both_kinds_are_named(own: Path) -> None:
    (first(own) / "scale.npy").unlink()
    with pytest.raises(DataError, match=r"holds neither scale\.npy nor colmap_from_aria_transforms\.pkl"):
        read(DATASET, own)


def test_registered_cameras_without_a_folder_are_said(own: Path, tmp_path: Path, body_models: Path) -> None:
    """Whoever has not unpacked a camera must see it, though releases may leave out cameras on purpose."""
    said = "11 people before cam02, which is registered and has no pictures"
    assert said not in run(own, tmp_path / "x.h5", body_models).notes
    shutil.rmtree(own / "train" / GRAPPLING / "exo/cam02")
    assert said in run(own, tmp_path / "y.h5", body_models).notes
    assert said not in run(own, tmp_path / "z.h5", body_models, options={"cameras": "cam01"}).notes


def test_a_sequence_without_fits_or_cameras_is_left_out(own: Path) -> None:
    (own / "train/07_karate/001_karate/exo/cam01/images").mkdir(parents=True)
    for folder in ("processed_data/smpl", "exo/cam01/images"):
        (own / "train/07_karate/002_karate" / folder).mkdir(parents=True)
    fit = "processed_data/smpl/00001.npy"
    (own / "train/07_karate/002_karate" / fit).write_bytes((own / "train" / DANCING / fit).read_bytes())
    assert [unit.left_out for unit in read(DATASET, own)[2:]] == ["no SMPL fits", "no cameras (colmap/workplace)"]


def test_a_person_whose_fit_is_of_another_form_costs_the_frame(own: Path) -> None:
    path = own / "train" / DANCING / "processed_data/smpl/00001.npy"
    edit(path, lambda people: people["aria02"].update(body_pose=np.zeros(63)))
    rows = read(DATASET, own)[1]
    (said,) = rows.dropped["SMPL fit cannot be read"]
    assert said == (
        f"train/{DANCING}/processed_data/smpl/00001.npy: aria02: body_pose is 63 numbers, expected 69 numbers"
    )
    assert set(rows.meta["frame_id"].tolist()) == {2, 3}


def test_joints_that_the_files_hold_measure_ours(converted: Pair) -> None:
    hd, report = converted
    assert np.nanmax(hd["quality/fit_joints_m"]) < 1e-4
    assert report.quality["fit_joints_m"]["n"] == report.written
    assert not any("beside the parameters" in said for said in report.problems)


def test_bodies_of_another_model_or_scale_are_noticed_by_the_joints_that_the_files_hold(
    own: Path, tmp_path: Path, body_models: Path
) -> None:
    for path in sorted((own / "train").rglob("smpl*/*.npy")):
        edit(path, lambda people: [fit.update(joints=1.02 * fit["joints"]) for fit in people.values()])
    report = run(own, tmp_path / "x.h5", body_models)
    (said,) = [said for said in report.problems if "beside the parameters" in said]
    assert "model joints are 0." in said
    assert report.quality["fit_joints_m"]["p50"] > 0.01


def test_files_without_joints_are_converted_without_that_measure(own: Path, tmp_path: Path, body_models: Path) -> None:
    for path in sorted((own / "train").rglob("smpl*/*.npy")):
        edit(path, lambda people: [fit.pop("joints") for fit in people.values()])
    report = run(own, tmp_path / "x.h5", body_models)
    assert report.written
    assert "fit_joints_m" not in report.quality
