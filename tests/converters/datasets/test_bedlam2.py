"""BEDLAM2.0: locked-head bodies, cameras that zoom, scenes on their side, labels that others made."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.converters.base import Instances
from ehps.converters.datasets import bedlam2 as converter
from ehps.converters.datasets.bedlam2 import BEDLAM2
from ehps.converters.datasets.bedlam2_files import PORTRAIT as PORTRAIT_SCENES
from ehps.converters.pipeline.report import Report
from ehps.demo.raw import stage
from ehps.errors import BodyModelError, DataError, UsageError
from ehps.humandata import HumanData
from ehps.humandata.image_files import read_pixels
from ehps.humandata.keypoints import point_names
from tests.raw import bedlam2, faults
from tests.raw.bedlam import FRAMES, KEPT, edit, load
from tests.raw.bedlam2 import LABELS, LOST, MOYO, NO_FILE, NO_IMAGES, PORTRAIT, YOGI, Tree, locked
from tests.raw.checks import (
    STILL,
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    nearest,
)
from tests.raw.trees import completed, read, runner
from tests.raw.ubody import number_in, write_video

Pair = tuple[HumanData, Report]

DATASET = "bedlam2"
run = runner(DATASET)
MOTIONS = "motions_npz_training"


def converted_of(root: Path, out: Path, models: Path | None, **options: Any) -> Pair:
    report = run(root, out, models, **options)
    return HumanData.open(out), report


# -- (B) people -----------------------------------------------------------------------------------------------


def test_bodies_move_through_the_world_to_the_camera_of_their_frame(
    tree: Tree, converted: Pair, body_models: Path
) -> None:
    hd, _ = converted
    assert_joints_are_the_truth(hd, tree.truth, locked(body_models))
    assert_boxes_hold_the_visible_joints(hd)
    assert nearest(hd, tree.truth) == list(range(len(hd)))
    for column, values in tree.facts.items():
        assert hd[f"meta/{column}"].tolist() == values


def test_they_are_bodies_of_the_locked_head_model_with_sixteen_betas(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert hd["smplx/betas"].shape == (12, 16)
    assert (hd.passport.body_model, hd.passport.num_betas, hd.passport.gender) == ("smplx", 16, "neutral")
    assert str(hd.passport.body_model_version).endswith("locked_head")
    assert "smplx/betas_neutral" not in hd.columns
    for row, track in enumerate(hd["meta/track_id"].tolist()):
        betas = load(tree.root / MOTIONS / f"{track.rpartition('/')[2]}.npz")["betas"]
        np.testing.assert_allclose(hd["smplx/betas"][row], betas[:16], atol=1e-6)


def test_a_motion_of_moyo_has_three_hundred_betas_of_which_sixteen_count(tree: Tree, converted: Pair) -> None:
    assert load(tree.root / MOTIONS / f"{YOGI}.npz")["betas"].shape == (300,)
    assert any(track.endswith(YOGI) for track in converted[0]["meta/track_id"].tolist())


def test_every_frame_has_the_focal_length_of_its_zoom(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    np.testing.assert_allclose(hd["meta/focal_length"], np.column_stack([tree.focal] * 2), rtol=1e-6)
    frames = hd["meta/frame_id"]
    np.testing.assert_allclose(hd["meta/focal_length"][:, 0], (24 + 0.8 * frames) / 36 * 1280, rtol=1e-6)
    assert len(set(hd["meta/focal_length"][:, 0].tolist())) == 3


def test_hands_are_absolute_and_faces_without_expression(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    pose = load(tree.root / MOTIONS / "it_4001_XL_2400.npz")["poses"][7].reshape(55, 3)
    row = hd["meta/track_id"].tolist().index(f"{MOYO}/seq_000000/it_4001_XL_2400")
    for name, part in (
        ("body_pose", pose[1:22]),
        ("jaw_pose", pose[22]),
        ("leye_pose", pose[23]),
        ("reye_pose", pose[24]),
        ("left_hand_pose", pose[25:40]),
        ("right_hand_pose", pose[40:55]),
    ):
        assert part.any()
        np.testing.assert_allclose(hd[f"smplx/{name}"][row], part, atol=1e-6)
    assert not hd["smplx/expression"].any()
    assert hd.passport.flat_hand_mean


def test_what_is_left_out_is_counted_by_reason(tree: Tree, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(names) for reason, names in report.dropped.items()} == tree.dropped
    assert report.dropped["motion has ended"] == [f"{MOYO}/seq_000001/it_4003_M_2402 10"]
    assert report.dropped["no motion file"] == [f"{MOYO}/seq_000000/{NO_FILE} {frame}" for frame in KEPT]
    assert set(report.dropped["image missing"]) == {LOST}
    assert (report.found, report.written) == (24, 12)
    assert report.notes == []


def test_the_last_pose_of_a_motion_is_a_row(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    poses = load(tree.root / MOTIONS / "it_4001_XL_2400.npz")["poses"]
    rows = [i for i, track in enumerate(hd["meta/track_id"].tolist()) if track.endswith("seq_000001/it_4001_XL_2400")]
    assert len(poses) == 26 + 10 + 1
    np.testing.assert_allclose(hd["smplx/body_pose"][rows[-1]].ravel(), poses[36, 3:66], atol=1e-6)


def test_people_with_any_vertex_behind_the_camera_are_left_out(tree: Tree, body_models: Path) -> None:
    rows = next(rows for rows in read(DATASET, tree.root) if len(rows) and PORTRAIT in rows.image_path[0])
    assert rows.world_to_camera is not None
    truth = tree.truth[tree.of(PORTRAIT)]
    joints, vertices = truth.joints[..., 2].min(axis=1), locked_vertices(rows, body_models)[..., 2].min(axis=1)
    assert (vertices < joints - 0.005).all()
    kept = np.array([0.003, -0.003, 0.003])  # before and behind the camera, by millimetres
    rows.world_to_camera.translation[:, 2] -= vertices - kept
    rows.min_joints_inside = 1
    (done,) = completed(DATASET, tree.root, [rows], body_models)
    assert done.account.dropped == {"vertex of the body behind the camera": [truth.image_path[1]]}
    assert done.data is not None
    assert len(done.data) == 2


def locked_vertices(rows: Instances, models: Path) -> Any:
    """(N, V, 3) in the camera frame, by the smplx package."""
    body, move = faults.body_of(rows), rows.world_to_camera
    assert move is not None
    return stage.moved(stage.package(locked(models), body)[1], move.rotation, move.translation)


# -- (B) images -----------------------------------------------------------------------------------------------


def test_people_of_portrait_scenes_lie_in_the_image_as_it_is_stored(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    order = point_names("smplx")
    points = hd["keypoints2d_smplx"][..., :2]
    right, down = (points[:, order.index("pelvis")] - points[:, order.index("head")]).T
    lying = right > 3 * np.abs(down)  # turned counter-clockwise: the head is at the left
    assert np.flatnonzero(lying).tolist() == tree.of(PORTRAIT)
    assert (hd["meta/height"] == 720).all()
    assert (hd["meta/width"] == 1280).all()
    assert (hd["meta/principal_point"] == [640, 360]).all()


def test_rows_of_stored_images_are_the_official_labels_turned_back(tree: Tree) -> None:
    rows = next(rows for rows in read(DATASET, tree.root) if len(rows) and PORTRAIT in rows.image_path[0])
    assert rows.world_to_camera is not None
    path = tree.root / PORTRAIT / "ground_truth/meta_exr_csv/seq_000000_camera.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()[1:]]
    cameras = {int(line[0][-8:-4]): np.array(line[1:], float) for line in lines}
    body = next(line for line in (tree.root / PORTRAIT / "be_seq.csv").read_text().splitlines() if ",Body,it_" in line)
    x, y, z, yaw = map(float, body.split(",")[3:7])
    for i, frame in enumerate(KEPT):
        cx, cy, cz, camera_yaw, pitch, roll = cameras[frame][:6]
        official = Rotation.from_euler("ZXY", [-roll + 90, -pitch, -camera_yaw], degrees=True).as_matrix()
        stand = Rotation.from_euler("y", yaw - 90, degrees=True).as_matrix() @ np.diag([1, -1, -1])
        back = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])  # turned image (u, v) -> stored image (v, 720 - u)
        np.testing.assert_allclose(rows.world_to_camera.rotation[i], back @ official @ stand, atol=1e-9)
        offset = np.array([y - cy, -(z - cz), x - cx]) / 100
        np.testing.assert_allclose(rows.world_to_camera.translation[i], back @ official @ offset, atol=1e-9)


def test_the_list_of_scenes_tells_portrait_whatever_the_folder_is_called(own: Path, tmp_path: Path) -> None:
    assert "portrait" not in PORTRAIT
    (own / "bedlam2_scene_names.csv").unlink()
    hd, report = converted_of(own, tmp_path / "x.h5", None)
    assert hd["meta/portrait"].tolist() == [PORTRAIT in path for path in hd["image_path"].tolist()]
    assert not any("list of scenes" in note for note in report.notes)


def test_a_list_that_the_cameras_contradict_is_told(own: Path, tmp_path: Path) -> None:
    names = f"Folder name,Scene name\n{MOYO}, city-dolly-portrait\n{PORTRAIT}, ai1004-vcam\n"
    (own / "bedlam2_scene_names.csv").write_text(names)
    hd, report = converted_of(own, tmp_path / "x.h5", None)
    assert hd["meta/portrait"].tolist() == [MOYO in path for path in hd["image_path"].tolist()]
    told = " ".join(report.notes)
    assert f"{MOYO} is a portrait scene by the list of scenes, but its camera is level" in told
    assert f"{PORTRAIT} is no portrait scene by the list of scenes, but its camera is rolled" in told
    (own / "bedlam2_scene_names.csv").write_text(f"{MOYO} city-dolly\n")
    with pytest.raises(DataError, match=r"line 1 is .*bedlam2_scene_names|bedlam2_scene_names.*line 1 is"):
        run(own, tmp_path / "y.h5", None)


def test_scenes_may_lie_a_folder_deeper(tree: Tree, converted: Pair, tmp_path: Path, body_models: Path) -> None:
    deeper = bedlam2.write_fixture(tmp_path / "B", body_models, np.random.default_rng(5), below="bedlam_v2")
    hd, report = converted_of(deeper.root, tmp_path / "x.h5", body_models)
    assert_joints_are_the_truth(hd, deeper.truth, locked(body_models))
    assert hd["image_path"].tolist() == [f"bedlam_v2/{path}" for path in tree.truth.image_path]
    assert hd["meta/track_id"].tolist() == converted[0]["meta/track_id"].tolist()
    assert report.problems == []


def test_a_scene_that_is_there_twice_is_refused(own: Path, tmp_path: Path) -> None:
    shutil.copytree(own / MOYO, own / "bedlam_v2" / MOYO)
    with pytest.raises(DataError, match=r"is the scene of .* again.*eep one of the two"):
        run(own, tmp_path / "x.h5", None)


def test_a_note_says_that_a_blacklist_was_not_heeded(own: Path, tmp_path: Path) -> None:
    (own / MOYO / "blacklist.txt").write_text("seq_000001\n")
    _, report = converted_of(own, tmp_path / "x.h5", None)
    assert any(f"{MOYO} has a blacklist.txt" in note for note in report.notes)


# -- (B) movies -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Tree:
    """Movies in place of images. Read-only."""
    root = tmp_path_factory.mktemp("raw") / "movies"
    return bedlam2.with_movies(bedlam2.write_fixture(root, body_models, np.random.default_rng(5)))


@pytest.fixture
def own_movies(filmed: Tree, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filmed.root, tmp_path / "movies"))


def test_people_of_movies_are_those_of_their_frames(
    filmed: Tree, tree: Tree, tmp_path: Path, body_models: Path
) -> None:
    hd, report = converted_of(filmed.root, tmp_path / "x.h5", body_models)
    order = nearest_rows(hd, filmed)
    assert_joints_are_the_truth(hd[order], filmed.truth, locked(body_models))
    assert len(hd) == len(filmed.truth) + 2  # those of the image that was lost: it is in the movie
    assert "image missing" not in report.dropped
    upright = np.array([PORTRAIT in path for path in hd["image_path"].tolist()])
    assert (hd["meta/height"] == np.where(upright, 1280, 720)).all()
    assert (hd["meta/principal_point"][upright] == [360, 640]).all()
    assert (hd["meta/principal_point"][~upright] == [640, 360]).all()
    assert (hd["quality/up_y"] < -0.9).all()  # nobody lies
    assert report.problems == []


def nearest_rows(hd: HumanData, tree: Tree) -> list[int]:
    """The row of each person of the truth."""
    keys = list(zip(hd["image_path"].tolist(), hd["meta/track_id"].tolist(), strict=True))
    return [keys.index(key) for key in zip(tree.truth.image_path, tree.facts["track_id"], strict=True)]


def test_frames_of_movies_are_lines_of_the_camera_file(filmed: Tree, tmp_path: Path, body_models: Path) -> None:
    hd, _ = converted_of(filmed.root, tmp_path / "x.h5", body_models)
    for path, frame in zip(hd["image_path"].tolist(), hd["meta/frame_id"].tolist(), strict=True):
        assert path.endswith(f"/{FRAMES.index(frame):06d}.png")  # frame 3 was not rendered: 5 is the movie's number 4
        assert number_in(read_pixels(filmed.root / path)) == FRAMES.index(frame)


def test_frames_of_movies_are_those_of_the_sorted_names_whatever_the_order_of_lines(
    own_movies: Path, filmed: Tree, tmp_path: Path
) -> None:
    path = own_movies / MOYO / "ground_truth/meta_exr_csv/seq_000001_camera.csv"
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join([head, *reversed(lines)]))
    (mixed,) = [rows for rows in read(DATASET, own_movies) if MOYO in rows.image_path[0]]
    (sorted_,) = [rows for rows in read(DATASET, filmed.root) if MOYO in rows.image_path[0]]
    shown = [dict(zip(rows.image_path, rows.meta["frame_id"].tolist(), strict=True)) for rows in (mixed, sorted_)]
    assert shown[0] == shown[1]


def test_movies_of_another_length_are_left_out_and_counted(own_movies: Path, tmp_path: Path) -> None:
    write_video(own_movies / MOYO / "mp4/seq_000001.mp4", 9, 30, size=(720, 1280))
    _, report = converted_of(own_movies, tmp_path / "x.h5", None)
    reason = "movie of another number of frames than its camera file has"
    assert len(report.dropped[reason]) == 9
    assert all("seq_000001" in name for name in report.dropped[reason])


def test_an_upright_movie_of_a_level_camera_is_refused(own_movies: Path, tmp_path: Path) -> None:
    write_video(own_movies / MOYO / "mp4/seq_000001.mp4", 10, 30, size=(1280, 720))
    with pytest.raises(DataError, match="stands upright, and its camera is not rolled"):
        run(own_movies, tmp_path / "x.h5", None)


def test_movies_of_another_size_have_labels_scaled_to_them(own_movies: Path, tmp_path: Path) -> None:
    for scene, size in ((MOYO, (360, 640)), (PORTRAIT, (640, 360))):
        for movie in (own_movies / scene / "mp4").iterdir():
            write_video(movie, 10, 30, size=size)
    hd, _ = converted_of(own_movies, tmp_path / "x.h5", None)
    assert (hd["meta/image_scale"] == 0.5).all()
    assert set(hd["meta/principal_point"][:, 0].tolist()) == {320.0, 180.0}


def test_images_are_taken_where_a_sequence_has_them(own_movies: Path, tree: Tree, tmp_path: Path) -> None:
    shutil.copytree(tree.root / MOYO / "png/seq_000000", own_movies / MOYO / "png/seq_000000")
    hd, _ = converted_of(own_movies, tmp_path / "x.h5", None)
    assert {path.split("/")[1] for path in hd["image_path"].tolist() if "seq_000000" in path and MOYO in path} == {
        "png"
    }
    assert {path.split("/")[1] for path in hd["image_path"].tolist() if "seq_000001" in path} == {"mp4"}


# -- (B) frames and units -------------------------------------------------------------------------------------


def test_frames_are_taken_by_the_numbers_in_their_names(tree: Tree) -> None:
    for interval, frames in (("1", {0, 1, 2, 4, 5, 6, 7, 8, 9, 10}), ("5", {0, 5, 10}), ("10", {0, 10})):
        taken = read(DATASET, tree.root, interval=interval)
        assert {frame for rows in taken for frame in rows.meta["frame_id"].tolist()} == frames


def test_the_passport_says_how_many_frames_were_kept(tree: Tree, converted: Pair, tmp_path: Path) -> None:
    assert converted[0].passport.sampling == 5
    hd, _ = converted_of(tree.root, tmp_path / "x.h5", None, options={"interval": "10"})
    assert hd.passport.sampling == 10


def test_scenes_of_many_sequences_are_read_some_at_a_time(
    tree: Tree, converted: Pair, tmp_path: Path, body_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converter, "AT_ONCE", 1)
    hd, report = converted_of(tree.root, tmp_path / "x.h5", body_models)
    assert report.units == 3
    assert hd["image_path"].tolist() == converted[0]["image_path"].tolist()
    np.testing.assert_allclose(hd["smplx/transl"], converted[0]["smplx/transl"], atol=1e-6)
    assert {reason: len(names) for reason, names in report.dropped.items()} == tree.dropped


# -- (B) bad input --------------------------------------------------------------------------------------------


def test_without_any_motion_file_everybody_is_counted(own: Path, tmp_path: Path) -> None:
    for path in (own / MOTIONS).iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"no instance is left of 24.*24 no motion file"):
        run(own, tmp_path / "x.h5", None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gender": np.array("male")}, "bodies of the male model"),
        ({"betas": np.zeros(11)}, "11 betas"),
        ({"betas": np.zeros(10)}, "10 betas"),
        ({"poses": np.zeros((4, 156))}, "156"),
    ],
)
def test_motions_of_other_bodies_are_refused(own: Path, tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = own / MOTIONS / "it_4001_XL_2400.npz"
    edit(path, lambda data: data.update(change))
    with pytest.raises(DataError, match=words) as error:
        run(own, tmp_path / "x.h5", None)
    assert path.name in str(error.value)


def test_a_table_that_lost_a_sequence_is_told_by_its_camera(own: Path, tmp_path: Path) -> None:
    path = own / MOYO / "be_seq.csv"
    lines = path.read_text().splitlines()
    lines.remove(next(line for line in lines if "sequence_name=seq_000001" in line))  # its people are now seq_000000's
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="has no sequence seq_000001, of which there is a camera file"):
        run(own, tmp_path / "x.h5", None)


def change_line(path: Path, body: str, change: Callable[[str], str]) -> None:
    """Change the first line of a table that has a body."""
    lines = path.read_text().splitlines()
    number = next(i for i, line in enumerate(lines) if f",{body}," in line)
    lines[number] = change(lines[number])
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(("zeros", "words"), [("4.5,0.0", "Pitch is 4.5"), ("0.0,-3", "Roll is -3")])
def test_bodies_that_are_tilted_in_the_world_are_refused(own: Path, tmp_path: Path, zeros: str, words: str) -> None:
    change_line(own / MOYO / "be_seq.csv", YOGI, lambda line: line.replace(",0.0,0.0,", f",{zeros},"))
    with pytest.raises(DataError, match=rf"line 4: {words}, expected 0.*be_seq\.csv"):
        run(own, tmp_path / "x.h5", None)


def test_a_body_that_a_sequence_has_twice_is_two_people(own: Path, tree: Tree, tmp_path: Path) -> None:
    change_line(own / MOYO / "be_seq.csv", YOGI, lambda line: line.replace(YOGI, "it_4001_XL_2400"))
    hd, _ = converted_of(own, tmp_path / "x.h5", None)
    pairs = list(zip(hd["image_path"].tolist(), hd["meta/track_id"].tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert {track for _, track in pairs} >= {f"{MOYO}/seq_000000/it_4001_XL_2400{end}" for end in ("", " 2")}


def test_a_line_that_is_there_twice_is_no_second_person(own: Path, tmp_path: Path) -> None:
    path = own / MOYO / "be_seq.csv"
    lines = path.read_text().splitlines()
    k = next(k for k, line in enumerate(lines) if YOGI in line)
    path.write_text("\n".join([*lines[: k + 1], *lines[k:]]))
    with pytest.raises(DataError, match=rf"line {k + 2}: body {YOGI} is in the same place twice"):
        run(own, tmp_path / "x.h5", None)


@pytest.mark.parametrize("columns", [9, 8, 5])
def test_a_camera_file_that_ends_in_the_middle_of_a_line_is_told(own: Path, tmp_path: Path, columns: int) -> None:
    path = own / MOYO / "ground_truth/meta_exr_csv/seq_000001_camera.csv"
    *lines, last = path.read_text().splitlines()
    assert "_0010.png" in last
    path.write_text("\n".join([*lines, ",".join(last.split(",")[:columns])[:-1]]))  # the last number lacks a digit
    with pytest.raises(DataError, match=r"line 11 ends before its hfov.*seq_000001_camera\.csv"):
        run(own, tmp_path / "x.h5", None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda head, lines: [head], "has no line of a frame"),
        (
            lambda head, lines: [head, *(line.replace("seq_000001", "seq_000000") for line in lines)],
            r"line 2: name is 'seq_000000_0000\.png', which is no image of seq_000001",
        ),
    ],
)
def test_a_camera_file_of_no_frame_or_of_another_sequence_is_told(
    own: Path, tmp_path: Path, change: Callable[[str, list[str]], list[str]], words: str
) -> None:
    path = own / MOYO / "ground_truth/meta_exr_csv/seq_000001_camera.csv"
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join(change(head, lines)) + "\n")
    with pytest.raises(DataError, match=rf"{words}.*seq_000001_camera\.csv"):
        run(own, tmp_path / "x.h5", None)


def test_images_without_a_line_in_the_camera_file_are_counted(own: Path, tmp_path: Path) -> None:
    path = own / MOYO / "ground_truth/meta_exr_csv/seq_000001_camera.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))  # cut between two lines
    hd, report = converted_of(own, tmp_path / "x.h5", None)
    lost = f"{MOYO}/png/seq_000001/seq_000001_0010.png"
    assert report.dropped["no line of the frame in the camera file"] == [lost] * 3
    assert lost not in hd["image_path"].tolist()
    assert report.found == 24


def test_body_models_without_the_locked_head_are_refused_before_anything_is_read(
    tree: Tree, tmp_path: Path, body_models: Path
) -> None:
    (tmp_path / "smplx").symlink_to(body_models / "smplx")
    with pytest.raises(BodyModelError, match="models_lockedhead/smplx/SMPLX_NEUTRAL"):
        run(tree.root, tmp_path / "x.h5", tmp_path)


# -- (A) ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Tree:
    """Preprocessed labels. Read-only."""
    return bedlam2.write_labels(tmp_path_factory.mktemp("raw") / "data", body_models, np.random.default_rng(6))


@pytest.fixture(scope="module")
def of_labels(labelled: Tree, tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Pair:
    return converted_of(labelled.root, tmp_path_factory.mktemp("out") / "a.h5", body_models)


@pytest.fixture
def own_labels(labelled: Tree, tmp_path: Path) -> Path:
    return Path(shutil.copytree(labelled.root, tmp_path / "data"))


def test_labels_are_turned_to_the_images_as_they_are_stored(labelled: Tree, of_labels: Pair, body_models: Path) -> None:
    hd, report = of_labels
    assert_joints_are_the_truth(hd, labelled.truth, locked(body_models))
    assert_boxes_hold_the_visible_joints(hd)
    assert nearest(hd, labelled.truth) == list(range(10))
    assert np.flatnonzero(hd["meta/portrait"]).tolist() == labelled.of(PORTRAIT)
    assert (hd["meta/principal_point"] == [640, 360]).all()
    assert str(hd.passport.body_model_version).endswith("locked_head")
    assert hd["smplx/betas"].shape == (10, 16)
    assert report.problems == []


def test_of_the_labelled_points_only_the_joints_of_smplx_are_taken(labelled: Tree, of_labels: Pair) -> None:
    hd, report = of_labels
    assert hd.keypoint_names["keypoints2d_original"] == point_names("smplx_127")
    gap = hd["keypoints2d_original"][..., :2] - hd["keypoints2d_smplx"][:, STILL, :2]
    assert np.linalg.norm(gap, axis=2).max() < 0.1
    raw = load(labelled.root / LABELS / f"{MOYO}.npz")["gtkps"]
    assert raw.shape == (9, 171, 3)
    np.testing.assert_allclose(hd["keypoints2d_original"][:8, :, :2], raw[:8, 44:, :2], atol=1e-3)
    assert report.quality["reprojection_px"]["max"] < 0.1


def test_labels_are_read_some_rows_at_a_time(
    labelled: Tree, of_labels: Pair, tmp_path: Path, body_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converter, "ROWS", 4)
    hd, report = converted_of(labelled.root, tmp_path / "x.h5", body_models)
    assert report.units == 3 + 1 + 1
    assert hd["image_path"].tolist() == of_labels[0]["image_path"].tolist()
    np.testing.assert_allclose(hd["keypoints3d_smplx"], of_labels[0]["keypoints3d_smplx"], atol=1e-5)
    assert {reason: len(names) for reason, names in report.dropped.items()} == labelled.dropped


def test_labels_left_out_are_counted(labelled: Tree, of_labels: Pair) -> None:
    _, report = of_labels
    assert {reason: len(names) for reason, names in report.dropped.items()} == labelled.dropped
    assert report.dropped["scene without image folder"][0].startswith(NO_IMAGES)


def test_labels_have_every_fifth_frame_already(labelled: Tree, own_labels: Path, tmp_path: Path) -> None:
    def late(data: dict[str, Any]) -> None:  # a frame was missing when they were made: 0, 6 in place of 0, 5
        data["imgname"] = np.array([name.replace("_0005.png", "_0006.png") for name in data["imgname"].tolist()])

    edit(own_labels / LABELS / f"{MOYO}.npz", late)
    for interval, frames in (("5", {0, 6}), ("10", {0})):
        taken = read(DATASET, own_labels, interval=interval)
        assert {f for rows in taken if len(rows) for f in rows.meta["frame_id"].tolist() if f < 900} == frames
    with pytest.raises(UsageError, match="every fifth frame"):
        run(labelled.root, tmp_path / "x.h5", None, options={"interval": "2"})


def test_the_full_ground_truth_is_read_where_both_are(own_labels: Path, tree: Tree, tmp_path: Path) -> None:
    shutil.copytree(tree.root, own_labels, dirs_exist_ok=True)
    hd, _ = converted_of(own_labels, tmp_path / "x.h5", None)
    assert "keypoints2d_original" not in hd.columns
    assert not any("training-images" in path for path in hd["image_path"].tolist())
    shutil.rmtree(own_labels / MOTIONS)
    hd, _ = converted_of(own_labels, tmp_path / "y.h5", None)
    assert all("training-images" in path for path in hd["image_path"].tolist())


@pytest.mark.parametrize("shape", [(0,), (0, 16)])
def test_a_scene_of_nobody_is_no_fault(
    own_labels: Path, labelled: Tree, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    edit(own_labels / LABELS / f"{MOYO}.npz", lambda data: data.update({name: np.zeros(shape) for name in data}))
    hd, report = converted_of(own_labels, tmp_path / "x.h5", None)
    assert len(hd) == len(labelled.of(PORTRAIT))
    assert report.found == 10 - len(labelled.of(MOYO)) + 2


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("gtkps", lambda data: data["gtkps"][:, :127], "gtkps has 127 points, expected 171"),
        ("shape", lambda data: data["shape"][:, :11], "11 betas"),
        ("gender", lambda data: np.array(["female"] * len(data["shape"])), "bodies of the female model"),
        ("cam_ext", lambda data: data["cam_ext"][:, :3], "cam_ext is"),
    ],
)
def test_other_labels_are_refused(own_labels: Path, tmp_path: Path, name: str, value: Any, words: str) -> None:
    edit(own_labels / LABELS / f"{MOYO}.npz", lambda data: data.update({name: value(data)}))
    with pytest.raises(DataError, match=words):
        run(own_labels, tmp_path / "x.h5", None)


# -- planted faults -------------------------------------------------------------------------------------------


def sixteen_betas_cut_to_ten(rows: Instances) -> None:
    body = faults.body_of(rows)
    rows.body = body.with_(betas=np.pad(body.betas[:, :10], ((0, 0), (0, 6))))


def model_with_a_head_bun(rows: Instances) -> None:
    """SMPL-X 1.1 in place of the locked-head release."""
    rows.body = faults.body_of(rows).with_(locked_head=False)


def offset_forgotten(root: Path) -> faults.Fault:
    def fault(rows: Instances) -> None:
        scene = rows.image_path[0].split("/")[2]
        body, data = faults.body_of(rows), load(root / LABELS / f"{scene}.npz")
        rows.body = body.with_(transl=data["trans_cam"][: len(rows)] + np.array([0, 0, 3]))

    return fault


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (faults.sides_swapped, "2D points"),
        (faults.hands_relative, "finger joints are"),
        (faults.neighbours, "2D points"),
        (sixteen_betas_cut_to_ten, "2D points"),
        (model_with_a_head_bun, "2D points"),
        (offset_forgotten, "2D points"),
    ],
)
def test_quality_exposes(labelled: Tree, tmp_path: Path, body_models: Path, fault: Any, words: str) -> None:
    if fault is offset_forgotten:
        fault = fault(labelled.root)
    report = run(labelled.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(BEDLAM2, fault))
    assert words in " ".join(report.problems)


def test_scenes_left_in_the_world_leave_nobody(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    with pytest.raises(DataError, match="no instance is left of 24"):
        run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(BEDLAM2, faults.left_in_the_world))


def test_the_list_of_portrait_scenes_is_of_folders() -> None:
    assert len(PORTRAIT_SCENES) == 10
    assert all(re.fullmatch(r"20\d{6}_1_250_\w+", name) for name in PORTRAIT_SCENES)
