"""What models for SMPL are trained to: beside augmentation done by hand, and sets of other body models."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from ehps.benchmark import models as networks
from ehps.benchmark.training import crops
from ehps.benchmark.training.samples import CropView, HumanDataset
from ehps.benchmark.training.smpl_points import POINTS, ROWS_14, BodyPoints, marked_points, regressed_points
from ehps.benchmark.training.smpl_targets import LAYOUT, SLICES, SmplRows, make
from ehps.benchmark.training.specs import SetSpec
from ehps.body.helper_files import extra_regressor, h36m_regressor
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smpl_params
from ehps.body.torch_meshes import TorchMesh
from ehps.body.variants import neutral_betas
from ehps.humandata import keypoints
from ehps.humandata.core import HumanData
from tests.drawn_people import FOCAL, SIZE, write_set

N = 4
HIPS = {"right": POINTS.index("right_hip_extra"), "left": POINTS.index("left_hip_extra")}
OWN = {"right": POINTS.index("right_hip"), "left": POINTS.index("left_hip")}


@pytest.fixture(scope="module")
def params() -> BodyParams:
    rng = np.random.default_rng(4)
    pose = rng.normal(0, 0.2, (N, 24, 3))
    pose[:, 0] = (np.pi, 0, 0)
    transl = np.stack((rng.normal(0, 0.1, N), rng.normal(0.2, 0.1, N), rng.uniform(4, 5, N)), axis=1)
    return smpl_params(gender="neutral", betas=rng.normal(0, 1, (N, 10)), pose=pose, transl=transl)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory, params: BodyParams, models: BodyModels) -> SetSpec:
    folder = tmp_path_factory.mktemp("smpl")
    return SetSpec(write_set(folder, params, models), folder)


@pytest.fixture(scope="module")
def body(models: BodyModels) -> BodyPoints:
    points, note = marked_points(models, TorchMesh(models.get("smpl", "neutral")))
    assert not note
    return points


def points_by_hand(params: BodyParams, models: BodyModels) -> np.ndarray:
    """(N, 26, 3) of the stored bodies, by name."""
    own = dict(
        zip(models.fast_joints("smpl", "neutral").names, models.joints(params, "float64").swapaxes(0, 1), strict=True)
    )
    vertices = models.mesh(params)
    extra = np.einsum("kv,nvc->knc", extra_regressor(models.folder), vertices)
    own |= dict(zip(keypoints.point_names("smpl_54")[45:], extra, strict=True))
    return np.stack([own[name] for name in POINTS], axis=1)


def view(*, augment: bool = False) -> CropView:
    return CropView((224, 224), ratio=1.0, augment=augment, aspect=1.0, turned=1.0)


def targets(spec: SetSpec, models: BodyModels, body: BodyPoints, *, augment: bool = False, draw: int = 0):
    data = HumanDataset(spec.data, spec.images, view(augment=augment), models=models, body="smpl", seed=3)
    items = [data[row, draw] for row in range(len(data))]
    return make(torch.stack([item["target"] for item in items]), body), data, items


@pytest.mark.parametrize("draw", [0, 1, 5])
def test_points_of_augmented_crops_are_those_moved_by_hand(
    draw: int, spec: SetSpec, params: BodyParams, models: BodyModels, body: BodyPoints
) -> None:
    truth, data, _ = targets(spec, models, body, augment=True, draw=draw)
    points = points_by_hand(params, models)
    flips = 0
    for n in range(N):
        drawn = crops.draw(np.random.default_rng((3, n, draw)), 1.0, 0.2)
        flips += drawn.flip
        x, y, w, h = data.boxes[n]
        image = points[n, :, :2] / points[n, :, 2:] * FOCAL + np.array((SIZE[1], SIZE[0])) / 2
        middle, space = np.array((x + w / 2, y + h / 2)), points[n].copy()
        if drawn.flip:
            image[:, 0] = SIZE[1] - 1 - image[:, 0]
            middle[0] = SIZE[1] - 1 - middle[0]
            space[:, 0] *= -1
        turn = Rotation.from_euler("z", -drawn.rotation).as_matrix()
        expected = (image - middle) @ turn[:2, :2].T / (w / 2 * drawn.scale)
        space = space @ turn.T
        for k, name in enumerate(POINTS):
            other = name.replace("left", "?").replace("right", "left").replace("?", "right") if drawn.flip else name
            np.testing.assert_allclose(truth.points[n, k], expected[POINTS.index(other)], atol=2e-4)
            hip = space[HIPS["right"]]
            found = truth.joints[n, k] - truth.joints[n, HIPS["left" if drawn.flip else "right"]]
            np.testing.assert_allclose(found, space[POINTS.index(other)] - hip, atol=2e-5)
    assert draw != 1 or 0 < flips < N  # both kinds are seen


def test_rotations_of_a_mirrored_crop_are_those_of_the_mirrored_body(
    spec: SetSpec, params: BodyParams, models: BodyModels, body: BodyPoints
) -> None:
    truth, _, items = targets(spec, models, body, augment=True, draw=1)
    assert torch.equal(truth.rotations_mask, torch.ones(N, 24))
    for n in range(N):
        flip, angle = (float(items[n]["target"][SLICES[name]]) for name in ("flip", "rotation"))
        pose = np.concatenate((params.global_orient[n : n + 1], params.body_pose[n].reshape(23, 3)))
        if flip:
            names = keypoints.point_names("smpl")
            swapped = [
                names.index(s.replace("left", "?").replace("right", "left").replace("?", "right")) for s in names
            ]
            pose = pose[swapped] * (1, -1, -1)
        expected = Rotation.from_rotvec(pose).as_matrix()
        expected[0] = Rotation.from_euler("z", -angle).as_matrix() @ expected[0]
        np.testing.assert_allclose(truth.rotations[n], expected, atol=2e-6)


def test_hips_are_counted_once_and_points_that_people_mark_come_first(
    spec: SetSpec, models: BodyModels, body: BodyPoints
) -> None:
    truth, _, _ = targets(spec, models, body)
    assert truth.joints_marked.all()
    for mask in (truth.joints_mask, truth.points_mask):
        assert mask[:, :24].all()
        assert not mask[:, 24:].any()
    assert truth.mesh_mask.all()
    assert truth.shape_mask.all()


def test_without_the_regressors_hips_are_smpls_own(
    spec: SetSpec, params: BodyParams, models: BodyModels, tmp_path: Path
) -> None:
    shutil.copytree(models.folder, tmp_path / "bodies", ignore=shutil.ignore_patterns("J_regressor_*", "*smplx*"))
    bare = BodyModels(tmp_path / "bodies")
    mesh = TorchMesh(bare.get("smpl", "neutral"))
    body, note = marked_points(bare, mesh)
    assert "J_regressor_extra.npy" in note
    truth, _, _ = targets(spec, bare, body)
    assert not truth.joints_marked.any()
    own = [name in keypoints.point_names("smpl_45") for name in POINTS]
    assert (truth.joints_mask > 0).tolist() == [own] * N
    expected = points_by_hand(params, models)[:, own]
    np.testing.assert_allclose(
        truth.joints[:, own] - truth.joints[:, -2:-1], expected - points_by_hand(params, models)[:, -2:-1], atol=1e-5
    )
    smplers, pelvis, note = regressed_points(bare, mesh)
    assert "J_regressor_h36m.npy" in note
    assert pelvis.nonzero().ravel().tolist() == [0]
    assert smplers.names[-2:] == ("right_hip", "left_hip")


def test_smplers_points_are_those_of_human36ms_regressor(params: BodyParams, models: BodyModels) -> None:
    mesh = TorchMesh(models.get("smpl", "neutral"))
    body, pelvis, note = regressed_points(models, mesh)
    assert not note
    assert len(body.names) == len(ROWS_14) == 16
    pose = np.concatenate((params.global_orient[:, None], params.body_pose.reshape(N, 23, 3)), axis=1)
    rotations = torch.as_tensor(Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(N, 24, 3, 3))
    found = body(rotations, torch.as_tensor(params.betas))
    vertices = models.mesh(params) - params.transl[:, None]
    joints = np.einsum("kv,nvc->nkc", h36m_regressor(models.folder, "smpl"), vertices)
    lsp = [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]
    np.testing.assert_allclose(found[:, :14], joints[:, lsp], atol=1e-5)
    np.testing.assert_allclose(pelvis[24:].double() @ torch.as_tensor(vertices), joints[:, 0], atol=1e-5)


def test_gendered_shapes_are_refitted_and_extreme_ones_teach_nothing(
    params: BodyParams, models: BodyModels, tmp_path: Path, body: BodyPoints
) -> None:
    betas = params.betas.copy()
    betas[1, 3] = 9
    male = params.with_(gender=np.full(N, "male"), betas=betas)
    path = write_set(tmp_path, male, models)
    hd = HumanData.open(path)
    rows = SmplRows(hd, models)
    row = torch.as_tensor(np.stack([rows.packed(hd, n, np.eye(3)[:2], crops.NONE) for n in range(N)]))
    expected = neutral_betas(male, models)[0]
    assert np.abs(expected[1]).max() > 3
    np.testing.assert_allclose(row[[0, 2, 3]][:, SLICES["betas"]], expected[[0, 2, 3]], atol=1e-5)
    for name in ("has_shape", "has_mesh", "has_camera"):
        assert row[:, SLICES[name]].ravel().tolist() == [1, float(name == "has_camera"), 1, 1]
    truth = make(row, body)
    assert not truth.joints_mask[1].any()  # the file has no points
    assert not truth.points_mask[1].any()
    assert truth.rotations_mask[1].all()


def test_rows_of_distorted_images_are_not_projected_by_a_pinhole(
    params: BodyParams, models: BodyModels, tmp_path: Path
) -> None:
    hd = HumanData.open(write_set(tmp_path, params, models))
    fisheye = hd.with_columns({"meta/fisheye_dist_coeffs": np.zeros((N, 4), np.float32)})
    straight = hd.with_columns({"meta/dist_coeffs": np.zeros((N, 5), np.float32)})
    bent = hd.with_columns({"meta/dist_coeffs": np.full((N, 5), 0.1, np.float32)})
    for file, camera in ((hd, 1), (straight, 1), (fisheye, 0), (bent, 0)):
        row = SmplRows(file, models).packed(file, 0, np.eye(3)[:2], crops.NONE)
        assert row[SLICES["has_camera"]] == camera


def test_sets_of_smplx_give_rotations_and_their_points_by_name(few: SetSpec, models: BodyModels, body) -> None:
    hd = HumanData.open(few.data)
    joints = models.joints(_smplx(hd), "float64")
    ones = np.ones((len(hd), 144, 1))
    image = joints[..., :2] / joints[..., 2:] * FOCAL + np.array((SIZE[1], SIZE[0])) / 2
    half = np.where(np.arange(144) % 2, 0.5, 1.0)[None, :, None] * ones
    both = {
        "keypoints2d_smplx": np.concatenate((image, half), axis=2).astype(np.float32),
        "keypoints3d_smplx": np.concatenate((joints, ones), axis=2).astype(np.float32),
    }
    both["keypoints3d_smplx"][2, 5] = np.nan
    hd = hd.with_columns(both, keypoint_names=dict.fromkeys(both, keypoints.point_names("smplx")))
    data = HumanDataset(hd, few.images, view(), models=models, body="smpl")
    truth = make(torch.stack([data[n]["target"] for n in range(4)]), body)
    assert truth.rotations_mask.tolist() == [[1] * 22 + [0] * 2] * 4
    pose = Rotation.from_rotvec(hd["smplx/body_pose"][1].reshape(21, 3)).as_matrix()
    np.testing.assert_allclose(truth.rotations[1, 1:22], pose, atol=1e-5)
    assert not truth.mesh_mask.any()
    assert not truth.shape_mask.any()
    assert not truth.joints_marked.any()
    names = keypoints.point_names("smplx")
    for k, name in enumerate(POINTS):
        assert bool(truth.joints_mask[1, k]) == (name in names)
        if name in names:
            at = names.index(name)
            np.testing.assert_allclose(
                truth.joints[1, k] - truth.joints[1, -1], joints[1, at] - joints[1, names.index("left_hip")], atol=1e-5
            )
            assert truth.points_mask[1, k] == (0.5 if at % 2 else 1)
    assert truth.joints_mask[2, POINTS.index(names[5])] == 0  # no number
    assert truth.joints_mask[2].sum() == truth.joints_mask[1].sum() - 1


def _smplx(hd: HumanData) -> BodyParams:
    from ehps.body.variants import params_of

    return params_of(hd, "smplx")


def test_a_pose_without_numbers_leaves_the_points(
    spec: SetSpec, models: BodyModels, body: BodyPoints, tmp_path: Path
) -> None:
    hd = HumanData.open(spec.data)
    pose = hd["smpl/body_pose"].copy()
    pose[0, 3] = np.nan
    points = np.ones((N, 17, 3), np.float32) * 50
    points[:, :, 2] = 4  # more than certain
    names = {"keypoints2d_original": keypoints.point_names("coco")}
    hd = hd.with_columns({"smpl/body_pose": pose, "keypoints2d_original": points}, keypoint_names=names)
    rows = SmplRows(hd, models)
    truth = make(torch.as_tensor(rows.packed(hd, 0, np.eye(3)[:2], crops.NONE))[None], body)
    assert not truth.rotations_mask.any()
    assert not truth.mesh_mask.any()
    assert truth.points_mask.sum() == 17
    assert truth.points_mask.max() == 1
    assert torch.isfinite(truth.points).all()


def test_augmentation_of_the_models_for_smpl_is_their_own() -> None:
    for name in ("pymaf", "smpler", "smpler_l"):
        card = networks.card(name)
        assert card.view is not None
        net = type("Net", (torch.nn.Module,), {"input_size": (224, 224)})()
        seen = CropView.of(net, card, ratio=1.0, training=True, augment=True)
        assert (seen.turned, seen.colour) == (0.4, 0.4)
    draws = [crops.draw(np.random.default_rng(seed), 0.4, 0.4) for seed in range(2000)]
    assert abs(np.mean([drawn.rotation != 0 for drawn in draws]) - 0.4) < 0.04
    colours = np.array([drawn.colour for drawn in draws])
    assert 0.6 <= colours.min() < 0.61
    assert 1.39 < colours.max() <= 1.4
    assert sum(LAYOUT.values()) == max(where.stop for where in SLICES.values())
