"""Invented people: plausible, varied, repeatable, and dressed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.body.models import BodyModels
from ehps.demo.backgrounds import SCENES, background
from ehps.demo.clothing import SURFACES, dress, regions
from ehps.demo.people import STYLES, motion, random_people
from ehps.humandata.keypoints import point_names

JOINT = {name: k for k, name in enumerate(point_names("smplx"))}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("model_type", "joints", "hands"), [("smplx", 21, True), ("smplh", 21, True), ("smpl", 23, False)]
)
def test_every_kind_has_its_parameters(model_type: str, joints: int, hands: bool) -> None:
    people = random_people(5, rng(), model_type=model_type, num_betas=11, gender=["male", "f", "neutral", "m", "n"])
    assert people.model_type == model_type
    assert people.betas.shape == (5, 11)
    assert people.body_pose.shape == (5, joints, 3)
    assert (people.left_hand_pose is not None) == hands
    assert (people.expression is not None) == (model_type == "smplx")
    assert people.gender.tolist() == ["male", "female", "neutral", "male", "neutral"]
    assert not people.transl.any()


def test_the_same_seed_gives_the_same_people_and_no_two_are_alike() -> None:
    one, again, other = (random_people(4, rng(seed), style="sports") for seed in (1, 1, 2))
    for name, values in one.arrays().items():
        np.testing.assert_array_equal(values, again.arrays()[name])
    assert not np.allclose(one.body_pose, other.body_pose)
    assert np.ptp(one.body_pose, axis=0).max() > 0.1


@pytest.mark.parametrize("style", [*STYLES, "mixed"])
def test_knees_and_elbows_never_bend_backwards(style: str) -> None:
    pose = random_people(200, rng(), style=style).body_pose
    assert pose[:, [JOINT["left_knee"] - 1, JOINT["right_knee"] - 1], 0].min() >= -1e-9
    assert pose[:, JOINT["left_elbow"] - 1, 1].max() <= 1e-9
    assert pose[:, JOINT["right_elbow"] - 1, 1].min() >= -1e-9


def test_styles_look_like_their_names(models: BodyModels) -> None:
    def joints(style: str) -> dict[str, np.ndarray]:
        points = models.joints(random_people(40, rng(), style=style)).mean(0)
        return {name: points[k] for name, k in JOINT.items()}

    standing, sitting, hands = joints("standing"), joints("sitting"), joints("hands")
    for side in ("left", "right"):
        hip = f"{side}_hip"
        assert standing[f"{side}_wrist"][1] < standing[f"{side}_shoulder"][1] - 0.35
        assert standing[hip][1] - standing[f"{side}_knee"][1] > 0.35
        assert sitting[hip][1] - sitting[f"{side}_knee"][1] < 0.15
        assert sitting[f"{side}_knee"][2] > sitting[hip][2] + 0.3
        assert hands[f"{side}_wrist"][2] > hands["spine_3"][2] + 0.15
        assert hands[f"{side}_wrist"][1] > hands["pelvis"][1] + 0.15


def test_fingers_curl_to_the_palm_on_both_hands(models: BodyModels) -> None:
    people = random_people(60, rng(), flat_hand_mean=True)
    curled = people.with_(body_pose=0 * people.body_pose, global_orient=0 * people.global_orient)
    flat = curled.with_(
        left_hand_pose=0 * curled.left_hand_pose,  # type: ignore[operator]
        right_hand_pose=0 * curled.right_hand_pose,  # type: ignore[operator]
    )
    move = (models.joints(curled) - models.joints(flat)).mean(0)
    for side in ("left", "right"):
        assert move[JOINT[f"{side}_middle"], 1] < -0.01


def test_a_motion_is_one_person_moving_smoothly() -> None:
    video = motion(60, rng(), style="gesturing", frames_between_poses=20)
    assert len(video) == 60
    assert np.ptp(video.betas, axis=0).max() == 0
    pose = video.body_pose
    step = (
        Rotation.from_rotvec(pose[:-1].reshape(-1, 3)).inv() * Rotation.from_rotvec(pose[1:].reshape(-1, 3))
    ).magnitude()
    assert step.max() < np.radians(12)
    assert np.abs(pose[40] - pose[0]).max() > np.radians(10)
    drawn = random_people(4, rng(), style="gesturing")
    np.testing.assert_allclose(pose[[0, 20, 40]], drawn.body_pose[:3], atol=1e-9)
    np.testing.assert_allclose(video.expression[[0, 20, 40]], drawn.expression[:3], atol=1e-9)  # type: ignore[index]


def test_motion_of_one_frame_and_without_hands() -> None:
    assert len(motion(1, rng(), model_type="smpl")) == 1


@pytest.mark.parametrize("model_type", ["smplx", "smplh", "smpl"])
def test_clothes_cover_the_body_by_region(body_models: Path, model_type: str) -> None:
    model = BodyModels(body_models).get(model_type, "male")
    table = regions(model.weights, model.v_template)
    np.testing.assert_allclose(table.sum(1), 1)
    share = dict(zip(SURFACES, table.T, strict=True))
    top = model.v_template[:, 1].argmax()
    assert share["hair"][top] == 1
    assert share["foot"][model.v_template[:, 1].argmin()] == 1
    assert share["lips"].any()
    assert share["pupil"].any()
    colours = dress(rng(), table)
    assert colours.dtype == np.uint8
    face = (share["face"] == 1).nonzero()[0]
    assert (colours[face] == colours[face[0]]).all()
    assert len({dress(rng(seed), table).tobytes() for seed in range(8)}) == 8


def test_other_bodies_are_dressed_by_their_joints(body_models: Path) -> None:
    model = BodyModels(body_models).get("smplx", "male")
    weights = np.roll(model.weights, 1, axis=0)
    table = regions(weights, np.roll(model.v_template, 1, axis=0))
    share = dict(zip(SURFACES, table.T, strict=True))
    moved = weights.argmax(1)
    assert share["shin"][moved == 4].all()
    assert share["eyeball"][moved == 23].all()
    assert share["hair"].any()
    assert not share["lips"].any()


@pytest.mark.parametrize("scene", SCENES)
def test_backgrounds_fill_any_size_and_differ(scene: str) -> None:
    image = background(rng(), scene, (61, 97))
    assert image.shape == (61, 97, 3)
    assert image.dtype == np.uint8
    assert (background(rng(), scene, (61, 97)) == image).all()
    assert (background(rng(1), scene, (61, 97)) != image).any()
