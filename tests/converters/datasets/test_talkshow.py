from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters.base import Unit
from ehps.converters.datasets.talkshow import MOVING, TalkSHOW
from ehps.converters.pipeline.report import Report
from ehps.converters.readers import videos
from ehps.errors import DataError
from ehps.humandata import HumanData
from tests.raw import faults
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    blank,
    nearest,
    truncate,
)
from tests.raw.talkshow import CLIPS, LEGS, RELEASE, SITTING, SPACED, Tree, pickle_of, without_splits
from tests.raw.trees import runner
from tests.raw.ubody import number_at, write_video

CONAN, SETH, _, _, OLIVER, CHEMISTRY = CLIPS
Pair = tuple[HumanData, Report]

DATASET = "talkshow"
run = runner(DATASET)


def rewrite(path: Path, **changes: Any) -> None:
    """Change values of a fit; what is not a number in it is left out."""
    fit = pickle.loads(path.read_bytes())
    fit = fit[0] if isinstance(fit, list) else fit
    path.write_bytes(pickle.dumps(fit | changes))


# -- people -------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_fits_moved_by_their_cameras(tree: Tree, converted: Pair, body_models: Path) -> None:
    hd, report = converted
    assert_joints_are_the_truth(hd, tree.truth["train"], body_models)
    assert nearest(hd, tree.truth["train"]) == list(range(7))
    assert set(hd["meta/gender"].tolist()) == {"neutral"}
    assert_boxes_hold_the_visible_joints(hd)
    assert report.problems == []
    assert report.notes == []
    assert hd.validate() == []


def test_cameras_only_move_bodies(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    conan, seth = tree.params["train"]
    for rows, params, clip in ((slice(0, 4), conan, CONAN), (slice(4, 7), seth, SETH)):
        focal, (x, y, z) = tree.cameras[clip.name]
        np.testing.assert_allclose(hd["smplx/transl"][rows], params.transl + np.array([-x, -y, z]), atol=1e-5)
        np.testing.assert_allclose(hd["smplx/global_orient"][rows], params.global_orient, atol=1e-5)
        np.testing.assert_allclose(hd["meta/focal_length"][rows], focal, rtol=1e-6)
        np.testing.assert_allclose(hd["meta/principal_point"][rows], [[clip.width / 2, clip.height / 2]] * len(params))
        assert (hd["meta/height"][rows] == clip.height).all()
        assert (hd["meta/width"][rows] == clip.width).all()


def test_hands_are_twelve_components_and_legs_those_of_the_authors(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    for rows, params in zip((slice(0, 4), slice(4, 7)), tree.params["train"], strict=True):
        for name in ("left_hand_pose", "right_hand_pose", "body_pose", "betas", "expression", "jaw_pose"):
            np.testing.assert_allclose(hd[f"smplx/{name}"][rows], getattr(params, name), atol=1e-5)
    assert np.abs(hd["smplx/left_hand_pose"]).max() > 0.1
    assert not hd["smplx/body_pose"][:4, LEGS].any()
    np.testing.assert_allclose(hd["smplx/body_pose"][4:, LEGS], [SITTING] * 3, rtol=1e-6)
    assert hd["smplx/betas"].shape == hd["smplx/expression"].shape == (7, 10)
    assert hd.passport.flat_hand_mean is False


def test_the_fitted_legs_on_request(tree: Tree, converted: Pair, tmp_path: Path, body_models: Path) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, options={"lower_body": "original"})
    raw, reference = HumanData.open(tmp_path / "x.h5")["smplx/body_pose"], converted[0]["smplx/body_pose"]
    legs = np.isin(np.arange(21), LEGS)
    assert (np.abs(raw - reference)[:, legs].max(axis=(1, 2)) > 0.05).all()
    np.testing.assert_array_equal(raw[:, ~legs], reference[:, ~legs])


def test_facts_of_the_file(converted: Pair) -> None:
    hd, report = converted
    assert hd["image_path"][0] == "frames/conan/Conan_meets_a_guest.mp4/12-00_00_01-00_00_04/000001.jpg"
    assert hd["meta/speaker"].tolist() == ["conan"] * 4 + ["seth"] * 3
    assert hd["meta/sequence_name"][0] == f"{SPACED}/{CONAN.name}"
    assert hd["meta/frame_id"].tolist() == [0, 1, 2, 3, 0, 1, 2]
    expected = {
        "smplx_source": "SHOW",
        "lower_body": "reference",
        "cam_param_source": "estimated",
        "flat_hand_mean": False,
        "kps3d_root_aligned": False,
        "bbox_source": "keypoints2d_smplx",
    }
    assert {key: hd.misc[key] for key in expected} == expected
    assert (hd.passport.dataset, hd.passport.split, hd.passport.body_model) == ("talkshow", "train", "smplx")
    assert report.dropped == {
        "body parameters or camera of the sequence not finite": [
            f"chemistry/{CHEMISTRY.video}/{CHEMISTRY.name} frame {k}" for k in range(2)
        ],
        "number of images is not that of poses": [
            f"oliver/{OLIVER.video}/{OLIVER.name} frame {k}" for k in range(OLIVER.frames)
        ],
    }


# -- splits, layouts and options ------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["val", "test"])
def test_other_splits_are_their_folders(tree: Tree, tmp_path: Path, body_models: Path, split: str) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, split=split)
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.truth[split], body_models)


def test_of_two_copies_of_a_sequence_one_is_taken(own: Path, tree: Tree, tmp_path: Path, body_models: Path) -> None:
    path = pickle_of(own, CONAN)
    shutil.copytree(path.parent, path.parents[2] / CONAN.name)
    (own / "split_more_than_2s.pkl").write_bytes(pickle.dumps({"conan": {SPACED: {"train": [f"train/{CONAN.name}"]}}}))
    run(own, tmp_path / "x.h5", body_models)
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.truth["train"], body_models)


@pytest.mark.parametrize("packed", [False, True])
def test_layouts_without_folders_of_splits(
    own: Path, tree: Tree, tmp_path: Path, body_models: Path, packed: bool
) -> None:
    without_splits(own, packed=packed)
    for split in ("train", "val"):
        run(own, tmp_path / f"{split}.h5", body_models, split=split)
        assert_joints_are_the_truth(HumanData.open(tmp_path / f"{split}.h5"), tree.truth[split], body_models)
    (own / "split_more_than_2s.pkl").unlink()
    with pytest.raises(DataError, match="convert the split all"):
        run(own, tmp_path / "x.h5", body_models)
    assert run(own, tmp_path / "x.h5", body_models, split="all").written == 4 + 3 + 2 + 2


def test_folders_of_images_may_keep_the_spaces(own: Path, tree: Tree, tmp_path: Path, body_models: Path) -> None:
    folder = own / "frames/conan"
    (folder / SPACED.replace(" ", "_")).rename(folder / SPACED)
    run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["image_path"][3] == f"frames/conan/{SPACED}/{CONAN.name}/000004.jpg"
    np.testing.assert_allclose(hd["keypoints3d_smplx"][:4, :127, :3], tree.truth["train"].joints[:4, :127], atol=1e-3)


def test_an_image_that_is_being_written_does_not_count(own: Path, tmp_path: Path, body_models: Path) -> None:
    (own / CONAN.folder / ".000004.jpg").touch()  # as an extraction that was broken off leaves it
    assert run(own, tmp_path / "x.h5", body_models).written == 4 + 3


def test_one_speaker_and_a_stride(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, options={"speaker": "conan", "interval": "3"})
    hd = HumanData.open(tmp_path / "x.h5")
    assert_joints_are_the_truth(hd, tree.truth["train"][[0, 3]], body_models)
    assert hd["meta/frame_id"].tolist() == [0, 3]


def test_folders_may_be_links(own: Path, tmp_path: Path, body_models: Path) -> None:
    speaker = own / RELEASE / "conan"
    speaker.symlink_to(shutil.move(speaker, tmp_path / "on another disk"), target_is_directory=True)
    assert run(own, tmp_path / "x.h5", body_models).written == 4 + 3


@pytest.mark.parametrize("content", [["conan"], {"conan": ["train"]}, {"conan": {SPACED: [CONAN.name]}}])
def test_another_pickle_in_place_of_the_split_file(own: Path, tmp_path: Path, content: Any) -> None:
    without_splits(own, packed=True)
    (own / "split_more_than_2s.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=r"split_more_than_2s\.pkl: is needed .*convert the split all"):
        run(own, tmp_path / "x.h5", None)


def test_images_of_another_size_scale_the_camera(own: Path, tree: Tree, tmp_path: Path, body_models: Path) -> None:
    paths = [f"{CONAN.folder}/{k:06d}.jpg" for k in range(1, 5)]
    blank(own, paths, 720, 1280)
    run(own, tmp_path / "x.h5", body_models, options={"speaker": "conan"})
    hd = HumanData.open(tmp_path / "x.h5")
    np.testing.assert_allclose(hd["meta/principal_point"], [[640, 360]] * 4)
    points = tree.truth["train"].points[:4, :127] * 2
    np.testing.assert_allclose(hd["keypoints2d_smplx"][:, :127, :2], points, atol=0.2)


# -- frames out of videos -------------------------------------------------------------------------------------


def test_frames_are_cut_from_the_start_of_their_sequence(
    own: Path, tree: Tree, tmp_path: Path, body_models: Path
) -> None:
    shutil.rmtree(own / "frames")
    write_video(own / "conan/videos" / SPACED, 60, 30, size=(180, 320))
    folder = tmp_path / "cut"
    report = run(own, tmp_path / "x.h5", body_models, frames=folder)
    found = {p.relative_to(folder).as_posix(): number_at(p) for p in sorted(folder.rglob("*.jpg"))}
    assert found == {f"{CONAN.folder}/{k + 1:06d}.jpg": 30 + k for k in range(4)}
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["image_path"].tolist() == list(found)
    scale = np.array([hd["meta/width"][0] / CONAN.width, hd["meta/height"][0] / CONAN.height])
    points = tree.truth["train"].points[:4, :127] * scale
    np.testing.assert_allclose(hd["keypoints2d_smplx"][:, :127, :2], points, atol=0.1)
    assert len([p for p in report.dropped["image missing"] if p.startswith("frames/seth/")]) == SETH.frames


def test_frames_of_a_later_sequence_at_another_rate(own: Path, tmp_path: Path, body_models: Path) -> None:
    """Rows have the size and the camera of the images that are cut, which are not those of the fit."""
    shutil.rmtree(own / "frames")
    write_video(tmp_path / "video.mkv", 1700, 25, size=(90, 160))
    (own / "seth/videos").mkdir(parents=True)
    shutil.move(tmp_path / "video.mkv", own / "seth/videos" / SETH.video)
    run(own, tmp_path / "x.h5", body_models, frames=tmp_path / "cut", options={"speaker": "seth"})
    found = {p.relative_to(tmp_path / "cut").as_posix(): number_at(p) for p in sorted(tmp_path.rglob("cut/**/*.jpg"))}
    start = 67 * 30
    # An output instant shows the frame that is nearest in time.
    assert found == {f"{SETH.folder}/{k + 1:06d}.jpg": round((start + k) * 25 / 30) for k in range(SETH.frames)}
    hd = HumanData.open(tmp_path / "x.h5")
    assert (hd["meta/height"][0], hd["meta/width"][0]) == (90, 160)
    np.testing.assert_allclose(hd["meta/principal_point"], [[80, 45]] * SETH.frames)


def test_sequences_start_at_the_hour_minute_and_second_of_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "oliver/videos/a.mkv"
    source.parent.mkdir(parents=True)
    source.touch()
    asked: list[Any] = []
    monkeypatch.setattr(videos, "extract", lambda *given, **more: asked.append((*given, more)))
    unit = Unit("x", tmp_path, ("oliver", "a.mkv", "9-01_02_03-01_02_06"))
    TalkSHOW(tmp_path, "all").extract_frames(unit, ["000001.jpg"], tmp_path)
    assert asked == [(source, ["000001.jpg"], tmp_path, {"fps": 30, "first": 1 - 30 * 3723})]


def test_without_frames_rows_are_kept_with_the_paths_they_would_have(
    own: Path, tree: Tree, tmp_path: Path, body_models: Path
) -> None:
    shutil.rmtree(own / "frames")
    report = run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    rows = [k for k, s in enumerate(hd["meta/speaker"].tolist()) if s != "oliver"]
    assert [hd["image_path"][k] for k in rows] == tree.truth["train"].image_path
    assert any("--frames DIR" in note for note in report.notes)


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_it_is_said_what_is_absent(tree: Tree, tmp_path: Path) -> None:
    report = run(tree.root, tmp_path / "x.h5", None)
    assert "rest pelvis" in report.absent["smplx/*"]
    assert {"keypoints2d_smplx", "keypoints3d_smplx"} <= set(report.absent)
    hd = HumanData.open(tmp_path / "x.h5")
    assert not [name for name in hd.columns if name.startswith("smplx/")]
    assert len(hd) == 7


def test_a_truncated_pickle_costs_its_sequence(own: Path, tmp_path: Path, body_models: Path) -> None:
    truncate(pickle_of(own, SETH))
    report = run(own, tmp_path / "x.h5", body_models)
    assert report.written == 4
    (names,) = [names for reason, names in report.left_out.items() if "cannot be read" in reason]
    assert names == [f"seth/{SETH.video}/{SETH.name}"]


@pytest.mark.parametrize(
    "changes",
    [
        {"transl": np.zeros((3, 2), np.float32)},
        {"transl": None},
        {"jaw_pose": np.zeros((2, 3), np.float32)},
        {"left_hand_pose": np.zeros((4, 12), np.float32)},
        {"expression": np.zeros((6, 100), np.float32)},
        {"center": []},
        {"focal_length": None},
        {"betas": np.where(np.arange(300) == 299, np.nan, 0)},
    ],
)
def test_a_pickle_of_other_arrays_costs_its_sequence(
    own: Path, tmp_path: Path, body_models: Path, changes: dict[str, Any]
) -> None:
    rewrite(pickle_of(own, SETH), **changes)
    assert run(own, tmp_path / "x.h5", body_models).written == 4


def test_a_sequence_without_frames_has_no_rows(own: Path, tmp_path: Path, body_models: Path) -> None:
    rewrite(pickle_of(own, SETH), **{key: np.zeros((0, k)) for key, k in MOVING.items()})
    shutil.rmtree(own / SETH.folder)
    assert run(own, tmp_path / "x.h5", body_models).written == 4


class Calls:
    def __reduce__(self) -> Any:
        return print, ("run",)


def test_a_pickle_that_asks_for_code_is_refused(own: Path, tmp_path: Path, body_models: Path) -> None:
    rewrite(pickle_of(own, SETH), speaker_name=Calls())
    with pytest.raises(DataError, match="print"):
        run(own, tmp_path / "x.h5", body_models)


# -- planted faults ---------------------------------------------------------------------------------------------


def test_the_sign_of_pytorch3d_is_exposed(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    def unturned(rows: Any) -> None:
        rows.world_to_camera.translation = rows.world_to_camera.translation * [-1, -1, -1]

    with pytest.raises(DataError):
        run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(TalkSHOW, unturned))
