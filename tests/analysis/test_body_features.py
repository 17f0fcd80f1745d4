import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.analysis import body_features
from ehps.analysis.body_features import AbsentError
from ehps.humandata.core import HumanData
from ehps.humandata.keypoints import point_names
from ehps.humandata.passport import Passport

NAMES = point_names("smplx")


def standing(n=1, seed=0):
    """(n, K, 3) an upright person in the camera frame (y down), 0.1 m steps of chance in the limbs."""
    rng = np.random.default_rng(seed)
    places = {
        **{"pelvis": (0, 0, 0), "left_hip": (0.1, 0.1, 0), "right_hip": (-0.1, 0.1, 0), "spine_1": (0, -0.1, 0)},
        **{"spine_2": (0, -0.2, 0), "spine_3": (0, -0.3, 0), "neck": (0, -0.5, 0), "head": (0, -0.6, 0)},
        **{f"{s}_knee": (x, 0.5, 0) for s, x in (("left", 0.1), ("right", -0.1))},
        **{f"{s}_ankle": (x, 0.9, 0) for s, x in (("left", 0.1), ("right", -0.1))},
    }
    points = rng.normal(0, 0.3, (n, len(NAMES), 3))
    for name, place in places.items():
        points[:, NAMES.index(name)] = place
    return points


def people(points, **columns):
    n = len(points)
    known = np.ones((*points.shape[:2], 1))
    flat = np.concatenate([200 * points[..., :2] + 300, known], axis=2).astype(np.float32)
    content = {
        "image_path": [f"{i // 3}.png" for i in range(n)],
        "bbox_xywh": np.tile(np.array([10, 10, 40, 64, 1], np.float32), (n, 1)),
        "keypoints3d_smplx": np.concatenate([points, known], axis=2),
        "keypoints2d_smplx": flat,
        "meta/focal_length": np.full((n, 2), 1000.0),
        "meta/height": np.full(n, 500),
        "meta/width": np.full(n, 600),
    }
    names = {"keypoints3d_smplx": NAMES, "keypoints2d_smplx": NAMES}
    return HumanData(content | columns, keypoint_names=names, passport=Passport(focal="image"))


def test_poses_are_the_same_wherever_and_however_the_body_stands():
    points = standing(4)
    turned = points @ Rotation.from_rotvec([0.3, 2, -0.4]).as_matrix().T + [1, 2, 5]
    for describe in (body_features.body_joints, body_features.hand_joints):
        first, second = describe(people(points)), describe(people(turned))
        np.testing.assert_allclose(first, second, atol=1e-6)
        assert np.linalg.norm(first[0] - first[1]) > 0.05


def test_distances_of_poses_are_root_mean_squares_in_metres():
    points = standing()
    moved = points.copy()
    moved[0, NAMES.index("left_wrist")] += [0, 0, 0.21]
    first, second = (body_features.body_joints(people(p))[0] for p in (points, moved))
    assert np.linalg.norm(first - second) == pytest.approx(0.21 / np.sqrt(21))
    moved = points.copy()
    moved[0, NAMES.index("right_thumb_3")] += [0, 0.03, 0]
    first, second = (body_features.hand_joints(people(p))[0] for p in (points, moved))
    assert np.linalg.norm(first - second) == pytest.approx(0.03 / np.sqrt(30))


def test_the_camera_of_a_person_who_stands():
    points = standing() + np.array([0, 0, 4])
    focal, distance, elevation, sine, cosine = body_features.camera(people(points))[0]
    assert focal == pytest.approx(np.log2(1000 / 500))
    bones = 0.6 + np.hypot(0, 0.4) + 0.4  # spine to head, hip to knee to ankle
    assert distance == pytest.approx(np.log2(4 / bones))
    assert (elevation, sine, cosine) == pytest.approx((0, 0, 1))
    # Seen from 30 degrees above, the head is nearer than the feet.
    above = standing() @ Rotation.from_rotvec([np.radians(30), 0, 0]).as_matrix().T + [0, 0, 4]
    assert body_features.camera(people(above))[0, 2] == pytest.approx(np.radians(30))
    rolled = standing() @ Rotation.from_rotvec([0, 0, 0.5]).as_matrix().T + [0, 0, 4]
    assert body_features.camera(people(rolled))[0, 3:] == pytest.approx((np.sin(0.5), np.cos(0.5)))
    virtual = people(points)
    virtual.passport = Passport(focal="virtual")
    with pytest.raises(AbsentError, match="virtual"):
        body_features.camera(virtual)


def test_framing_counts_people_and_joints_that_are_cut_off():
    points = standing(5)
    hd = people(points)
    flat = hd["keypoints2d_smplx"].copy()
    body = [NAMES.index(name) for name in ("pelvis", *body_features.BODY)]
    flat[:, body, :2] = 100
    flat[0, body[:11], 0] = 700
    flat[1, body[:2], 2] = 0  # not known
    flat[1, body[2:7], 1] = -1
    hd = people(points, keypoints2d_smplx=flat)
    rows = np.array([0, 1, 4])
    found = body_features.framing(hd[rows], body_features.people_in_images(hd, rows))
    np.testing.assert_allclose(found[:, 0], 6)
    np.testing.assert_allclose(found[:, 1], [0.5, 0.25, 0])
    np.testing.assert_allclose(2 ** found[:, 2], [3, 3, 2])


def test_what_a_file_lacks_is_said():
    hd = people(standing(2), **{"meta/lefthand_valid": np.array([True, False])})
    assert np.isfinite(body_features.hand_joints(hd)).all(axis=1).tolist() == [True, False]
    bare = HumanData({"image_path": ["a.png"], "smpl/betas": np.zeros((1, 10))}, passport=Passport(body_model="smpl"))
    with pytest.raises(AbsentError, match="no body models to make them with"):
        body_features.body_joints(bare)
    for describe in (body_features.body_joints, body_features.camera, lambda hd: body_features.framing(hd, [1])):
        with pytest.raises(AbsentError):
            describe(HumanData({"image_path": ["a.png"]}))
