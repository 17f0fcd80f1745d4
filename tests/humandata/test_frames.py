"""What a file of others does not say is not claimed, and not lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.errors import DataError, PassportError, UsageError
from ehps.humandata import HumanData, Passport, frames
from ehps.humandata.export import export_for
from ehps.humandata.operations import info, merge

N = 3
TURN = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
EXTRINSICS: dict[str, dict[str, Any]] = {
    "meta R and T": {"meta": {"R": [TURN] * N, "T": [np.array([1.0, 2, 3])] * N}},
    "one a row": {"cam_params": {"R": np.tile(TURN, (N, 1, 1)), "T": np.tile([1.0, 2, 3], (N, 1))}},
    "columns of T": {"cam_param": {"R": np.tile(TURN, (N, 1, 1)), "T": np.tile([[1.0], [2], [3]], (N, 1, 1))}},
    "one for all": {"cam_param": {"R": TURN, "T": np.array([1.0, 2, 3])}},
    "a dict a row": {"cam_param": np.array([{"R": TURN, "T": np.array([1.0, 2, 3])}] * N, object)},
    "matrices": {"meta": {"RT": np.tile(np.vstack([np.c_[TURN, [1.0, 2, 3]], [0, 0, 0, 1]]), (N, 1, 1))}},
    "in meta": {"meta": {"cam_param": {"R": np.tile(TURN, (N, 1, 1)), "T": np.tile([1.0, 2, 3], (N, 1))}}},
    "matrices of three rows": {"cam_params": {"extrinsic": np.tile(np.c_[TURN, [1.0, 2, 3]], (N, 1, 1))}},
}


def foreign(path: Path, **more: Any) -> Path:
    """A file as other programs write it."""
    body = {
        "betas": np.zeros((N, 10), np.float32),
        "transl": np.ones((N, 3), np.float32),
        "global_orient": np.zeros((N, 3), np.float32),
        "body_pose": np.zeros((N, 69), np.float32),
    }
    values = {
        "image_path": np.array([f"{i}.jpg" for i in range(N)]),
        "bbox_xywh": np.tile(np.float32([1, 2, 30, 40, 1]), (N, 1)),
        "smpl": body,
        "config": "other",
    } | more
    np.savez(path, **{name: np.array(v, object) if isinstance(v, dict) else v for name, v in values.items()})
    return path


def test_what_a_file_of_others_does_not_show_is_unknown(tmp_path: Path) -> None:
    hd = HumanData.open(foreign(tmp_path / "x.npz"))
    assert hd.passport == Passport(
        body_model="smpl",
        body_model_version="unknown",
        num_betas=10,
        gender="unknown",
        frame="unknown",
        units="unknown",
        focal="unknown",
        dataset="other",
        sampling=0,
    )
    told = {column["name"]: column["meaning"] for column in info(hd)["columns"]}
    assert told["smpl/transl"] == "translation in frame unknown"
    problems = [problem.what for problem in hd.validate()]
    assert any("frame unknown" in what and "--declare frame=opencv-camera" in what for what in problems)
    assert any("whose body model" in what and "--declare gender=" in what for what in problems)


def test_what_a_file_shows_is_taken_from_it(tmp_path: Path) -> None:
    shown = {"meta": {"gender": "m"}, "misc": {"cam_param_type": "predicted_camera", "flat_hand_mean": True}}
    passport = HumanData.open(foreign(tmp_path / "x.npz", **shown)).passport
    assert (passport.gender, passport.focal, passport.flat_hand_mean) == ("male", "virtual", True)


def test_a_file_without_bodies_has_nothing_in_a_frame(tmp_path: Path) -> None:
    hd = HumanData.open(foreign(tmp_path / "x.npz")).without([f"smpl/{part}" for part in ("betas", "body_pose")])
    flat = hd.without(frames.posed_columns(hd.columns))
    flat.passport = flat.passport.with_(body_model=None, body_model_version=None, num_betas=None, gender=None)
    assert flat.validate() == []
    own = HumanData({"image_path": ["a.jpg"], "bbox_xywh": np.ones((1, 5), np.float32)})
    assert len(HumanData.concat([own, flat])) == 1 + N


def test_a_passport_that_leaves_the_frame_out_does_not_state_it() -> None:
    assert Passport.from_dict({"dataset": "x"}).frame == "unknown"
    assert Passport.from_dict(Passport().to_dict()) == Passport()


@pytest.mark.parametrize("wrong", [{"frame": None}, {"gender": ["male"]}, {"num_betas": True}, {"sampling": "2"}])
def test_a_passport_of_other_kinds_is_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Passport.from_dict(wrong)


@pytest.mark.parametrize("form", EXTRINSICS)
def test_extrinsics_are_found_in_every_form(tmp_path: Path, form: str) -> None:
    hd = HumanData.open(foreign(tmp_path / "x.npz", **EXTRINSICS[form]))
    found = frames.extrinsics(hd)
    np.testing.assert_array_equal(found.rotation, np.tile(TURN, (N, 1, 1)))
    np.testing.assert_array_equal(found.translation, np.tile([1.0, 2, 3], (N, 1)))
    (problem,) = [p.what for p in hd.validate() if "frame unknown" in p.what]
    assert all(name in problem for name in found.names)
    assert "--frame camera" in problem


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"meta": {"R": [TURN] * N}}, "meta/R alone"),
        ({"meta": {"R": np.zeros((N, 2, 2)), "T": np.zeros((N, 3))}}, r"meta/R has shape \(3, 2, 2\)"),
        ({"meta": {"R": [TURN] * N, "T": np.full((N, 3), np.nan)}}, "meta/T is not finite in 3 rows"),
        (EXTRINSICS["meta R and T"] | {"cam_param": {"R": TURN, "T": np.zeros(3)}}, "different extrinsics"),
        ({}, "no extrinsics"),
    ],
)
def test_extrinsics_that_say_nothing_are_refused(tmp_path: Path, more: dict[str, Any], what: str) -> None:
    hd = HumanData.open(foreign(tmp_path / "x.npz", **more))
    with pytest.raises((PassportError, DataError), match=rf"x\.npz: .*{what}"):
        frames.extrinsics(hd)


@pytest.mark.parametrize("form", EXTRINSICS)
def test_a_declared_file_keeps_its_extrinsics_for_reference(tmp_path: Path, form: str) -> None:
    hd = HumanData.open(foreign(tmp_path / "x.npz", **EXTRINSICS[form]))
    declared = frames.declared(hd, {"frame": "opencv-camera", "gender": "female"})
    assert (declared.passport.frame, declared.passport.units) == ("opencv-camera", "metre, radian, pixel")
    assert declared.passport.gender == "female"
    assert declared.validate() == []
    np.testing.assert_array_equal(declared["smpl/transl"], hd["smpl/transl"])
    np.testing.assert_array_equal(declared["meta/RT"][:, :3, :3], np.tile(TURN, (N, 1, 1)))
    assert frames.extrinsic_names(declared) == ["meta/RT"]
    assert hd.passport.frame == "unknown"
    again = HumanData.open(declared.save(tmp_path / "y.npz"))
    assert again.passport == declared.passport
    assert frames.extrinsic_names(again) == ["meta/RT"]


def test_what_a_file_says_cannot_be_declared_otherwise(people) -> None:
    with pytest.raises(PassportError, match="per-instance"):
        frames.declared(people(), {"gender": "male"})
    hd = people()
    hd.passport = hd.passport.with_(frame="world")
    with pytest.raises(PassportError, match="frame is world"):
        frames.declared(hd, {"frame": "opencv-camera"})
    assert frames.declared(people(), {"flat_hand_mean": "false"}).passport == people().passport


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ({"units": "inch"}, "units cannot be declared"),
        ({"gender": "m"}, "Give neutral, male, female"),
        ({"split": ""}, "Give a word"),
    ],
)
def test_only_what_the_passport_knows_is_declared(people, facts: dict[str, str], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        frames.declared(people(), facts)


def test_files_whose_release_is_not_known_are_merged_once_it_is_declared(people) -> None:
    unknown = people(3)
    unknown.passport = unknown.passport.with_(body_model_version="unknown", flat_hand_mean=None)
    with pytest.raises(PassportError, match=r"body_model_version.*--declare body_model_version=VALUE"):
        HumanData.concat([people(2), unknown])
    stated = frames.declared(unknown, {"body_model_version": "1.1", "flat_hand_mean": "false"})
    assert len(HumanData.concat([people(2), stated])) == 5


def test_extrinsics_beside_bodies_in_the_camera_frame_contradict_the_passport(people) -> None:
    (found,) = people(meta__R=np.tile(np.eye(3), (7, 1, 1)), meta__T=np.zeros((7, 3))).validate()
    assert "meta/R, meta/T would move the bodies once more" in found.what
    assert people(meta__RT=np.tile(np.eye(4), (7, 1, 1))).validate() == []


@pytest.mark.parametrize("ending", ["h5", "npz"])
def test_an_unknown_frame_is_not_merged_with_the_cameras(tmp_path: Path, ending: str) -> None:
    path = foreign(tmp_path / "a.npz", **EXTRINSICS["one a row"])
    declared = frames.declared(HumanData.open(path), {"frame": "opencv-camera"}).save(tmp_path / f"b.{ending}")
    with pytest.raises(PassportError, match=r"a\.npz and .*b\.\w+ differ in frame: .*--frame camera.*--declare frame="):
        merge([path, declared], tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_merging_does_not_lose_what_the_frame_depends_on(tmp_path: Path) -> None:
    world = foreign(tmp_path / "a.npz", **EXTRINSICS["one a row"])
    for i, more in enumerate(({}, EXTRINSICS["meta R and T"])):
        other = foreign(tmp_path / f"b{i}.npz", **more)
        for paths in ([world, other], [other, world]):
            with pytest.raises(PassportError, match=r"has no .*R, by which the others' bodies"):
                merge(paths, tmp_path / "out.h5")
    moved = {"cam_param": {"R": TURN, "T": np.zeros(3)}}
    two = [foreign(tmp_path / f"{i}.npz", **m) for i, m in enumerate((EXTRINSICS["one for all"], moved))]
    with pytest.raises(PassportError, match="different cam_param/T for all their rows"):
        merge(two, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()
    alike = foreign(tmp_path / "c.npz", **EXTRINSICS["one a row"], image_path=np.array([f"c{i}.jpg" for i in range(N)]))
    both = HumanData.open(merge([world, alike], tmp_path / "out.h5").out)
    assert (len(both), both.passport.frame) == (2 * N, "unknown")
    assert frames.extrinsics(both).names == ("cam_params/R", "cam_params/T")


def test_points_that_start_at_the_root_are_not_merged_with_those_in_the_camera(people) -> None:
    aligned = people(3, seed=1)
    aligned.misc = aligned.misc | {"kps3d_root_aligned": True}
    with pytest.raises(PassportError, match="start at the root"):
        HumanData.concat([people(2), aligned])
    assert len(HumanData.concat([aligned, aligned])) == 6


def test_programs_that_need_the_camera_frame_refuse_an_unknown_one(tmp_path: Path) -> None:
    hd = HumanData.open(foreign(tmp_path / "x.npz"))
    with pytest.raises(PassportError, match=r"x\.npz: .*unknown frame, and SMPLest-X .*--declare frame="):
        export_for(hd, "smplest-x", tmp_path)
    hd.passport = hd.passport.with_(frame="world")
    with pytest.raises(PassportError, match=r"frame 'world'.* Write them as they are before the camera"):
        export_for(hd, "smplest-x", tmp_path)
