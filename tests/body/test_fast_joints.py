"""Fast joints equal the smplx package's, for every model type."""

from __future__ import annotations

import contextlib
import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import smplx
import torch

from ehps.body.joints import FastJoints, contour_rows
from ehps.body.model_file import read_model
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.body.topology import TOPOLOGY
from ehps.body.torch_joints import TorchJoints
from ehps.body.torch_joints import contour_rows as torch_contour_rows
from ehps.errors import BodyModelError

COUNT = {"smplx": 144, "smplh": 73, "smpl": 45}


def random_params(
    model_type: str, n: int, rng: np.random.Generator, *, gender: Any = "neutral", **kw: Any
) -> BodyParams:
    hands = model_type != "smpl"
    face = model_type == "smplx"
    values: dict[str, Any] = {
        "model_type": model_type,
        "gender": np.broadcast_to(np.asarray(gender), (n,)).astype("<U7"),
        "betas": rng.normal(0, 1, (n, 10)),
        "global_orient": rng.normal(0, 1.2, (n, 3)),
        "body_pose": rng.normal(0, 0.4, (n, 23 if model_type == "smpl" else 21, 3)),
        "transl": rng.normal(0, 2, (n, 3)),
        "left_hand_pose": rng.normal(0, 0.3, (n, 15, 3)) if hands else None,
        "right_hand_pose": rng.normal(0, 0.3, (n, 15, 3)) if hands else None,
        "jaw_pose": rng.normal(0, 0.2, (n, 3)) if face else None,
        "leye_pose": rng.normal(0, 0.2, (n, 3)) if face else None,
        "reye_pose": rng.normal(0, 0.2, (n, 3)) if face else None,
        "expression": rng.normal(0, 1, (n, 10)) if face else None,
    }
    return BodyParams(**{**values, **kw})


@cache
def packages_model(folder: Path, model_type: str, gender: str, flat: bool, betas: int) -> Any:
    extra: dict[str, Any] = {} if model_type == "smpl" else {"use_pca": False, "flat_hand_mean": flat}
    if model_type == "smplx":
        extra |= {"use_face_contour": True, "num_expression_coeffs": 10}
    if model_type == "smplh":
        extra["ext"] = "pkl"
    with contextlib.redirect_stdout(io.StringIO()):
        return smplx.create(str(folder), model_type, gender=gender, num_betas=betas, **extra)


def package(folder: Path, params: BodyParams) -> tuple[np.ndarray, np.ndarray]:
    """Joints and vertices of rows of one gender by the smplx package itself."""
    n, flat = len(params), bool(params.flat_hand_mean)
    body = packages_model(folder, params.model_type, str(params.gender[0]), flat, params.betas.shape[1])
    skip = {"betas_neutral", "betas_extra"}
    given = {
        name: torch.tensor(value.reshape(n, -1), dtype=torch.float32)
        for name, value in params.arrays().items()
        if name not in skip
    }
    with torch.no_grad():
        out = body(**given)
    return out.joints.numpy(), out.vertices.numpy()


@pytest.mark.parametrize("model_type", ["smplx", "smplh", "smpl"])
def test_joints_and_meshes_of_each_gender_equal_the_packages(models: BodyModels, model_type: str) -> None:
    own = np.array(["male", "female", "neutral" if model_type == "smplx" else "male", "female", "male"])
    params = random_params(model_type, 5, np.random.default_rng(10), gender=own)
    vertices, joints = models.mesh(params), models.joints(params)  # the mesh keeps the models that it reads
    assert vertices.shape == (5, TOPOLOGY[model_type].vertices, 3)
    for gender in np.unique(own):
        expected_joints, expected_vertices = package(models.folder, params[own == gender])
        np.testing.assert_allclose(joints[own == gender], expected_joints, atol=1e-5)
        np.testing.assert_allclose(vertices[own == gender], expected_vertices, atol=1e-5)


@pytest.mark.parametrize("model_type", ["smplx", "smplh", "smpl"])
@pytest.mark.parametrize(("n", "flat"), [(1, True), (9, False)])
def test_joints_equal_the_packages(models: BodyModels, model_type: str, flat: bool, n: int) -> None:
    params = random_params(model_type, n, np.random.default_rng(n), gender="female", flat_hand_mean=flat)
    expected, _ = package(models.folder, params)
    joints = models.joints(params)
    assert joints.shape == (n, COUNT[model_type], 3)
    assert joints.dtype == np.float32
    np.testing.assert_allclose(joints, expected, atol=1e-5)
    np.testing.assert_allclose(models.joints(params, np.float64), expected, atol=1e-5)


def test_two_precisions_agree_closely(models: BodyModels) -> None:
    params = random_params("smplx", 40, np.random.default_rng(0))
    single, double = models.joints(params), models.joints(params, "float64")
    assert double.dtype == np.float64
    assert 0 < np.abs(single - double).max() < 3e-6


def test_mean_hand_matters_for_fingers_only(models: BodyModels) -> None:
    params = random_params("smplx", 3, np.random.default_rng(1))
    moved = np.abs(models.joints(params) - models.joints(params.with_(flat_hand_mean=True))).max(axis=(0, 2))
    names = models.fast_joints("smplx", "neutral").names
    tips = [i for i, name in enumerate(names) if name.endswith(("index_3", "left_index", "right_index"))]
    assert min(moved[tips]) > 1e-3
    assert moved[:25].max() == 0


def test_contour_follows_the_yaw_of_the_whole_body(models: BodyModels) -> None:
    yaw = np.radians(np.linspace(-80, 80, 161))
    turned = np.stack([0 * yaw, yaw, 0 * yaw], axis=1)
    n = len(yaw)
    zeros = random_params("smplx", n, np.random.default_rng(2)).arrays()
    params = random_params("smplx", n, np.random.default_rng(2), **{k: 0 * v for k, v in zeros.items()})
    params = params.with_(global_orient=turned)
    expected, _ = package(models.folder, params)
    # Half degrees are where two roundings may differ; whole degrees are not near them.
    np.testing.assert_allclose(models.joints(params), expected, atol=1e-5)
    chain = np.zeros((n, 5, 3))
    chain[:, 0] = turned
    rows = contour_rows(chain)
    assert set(rows) == set(range(79))
    assert (rows[0], rows[79], rows[80], rows[81], rows[-1]) == (39, 1, 0, 40, 78)
    matrices = torch.tensor(np.asarray([_matrix(v) for v in chain.reshape(-1, 3)]).reshape(n, 5, 3, 3))
    np.testing.assert_array_equal(torch_contour_rows(matrices).numpy(), rows)


def _matrix(vector: np.ndarray) -> np.ndarray:
    import cv2

    return np.asarray(cv2.Rodrigues(vector)[0])


def test_order_of_rows_and_blocks_do_not_matter(models: BodyModels, monkeypatch: pytest.MonkeyPatch) -> None:
    params = random_params("smplx", 70, np.random.default_rng(3))
    whole = models.joints(params, np.float64)
    monkeypatch.setattr("ehps.body.joints.BLOCK", 16)
    monkeypatch.setattr("ehps.body.joints.CHUNK", 33)
    np.testing.assert_allclose(models.joints(params, np.float64), whole, atol=1e-12)
    np.testing.assert_allclose(models.joints(params[::-1], np.float64), whole[::-1], atol=1e-12)


def test_all_betas_of_the_parameters_are_used(models: BodyModels) -> None:
    rng = np.random.default_rng(4)
    params = random_params("smplx", 4, rng, betas=rng.normal(size=(4, 11)), flat_hand_mean=True)
    joints, vertices = package(models.folder, params)
    np.testing.assert_allclose(models.joints(params), joints, atol=1e-5)
    np.testing.assert_allclose(models.mesh(params), vertices, atol=1e-5)
    assert np.abs(models.joints(params.with_(betas=params.betas[:, :10])) - joints).max() > 1e-4


def test_sixteen_betas_of_smplh_are_not_cut_to_ten(models: BodyModels) -> None:
    """The package's release 0.1.28 drops the last six without a word."""
    rng = np.random.default_rng(5)
    params = random_params("smplh", 3, rng, betas=rng.normal(size=(3, 16)))
    model = models.get("smplh", "neutral")
    shaped = model.v_template + model.shapedirs @ params.betas[0]
    still = params[:1].with_(
        global_orient=np.zeros((1, 3)),
        body_pose=np.zeros((1, 21, 3)),
        left_hand_pose=np.zeros((1, 15, 3)),
        right_hand_pose=np.zeros((1, 15, 3)),
        flat_hand_mean=True,
    )
    expected = model.J_regressor @ shaped + params.transl[0]
    np.testing.assert_allclose(models.joints(still, np.float64)[0, :52], expected, atol=1e-9)


def test_more_betas_than_the_model_has_are_an_error_unless_zero(models: BodyModels) -> None:
    params = random_params("smpl", 2, np.random.default_rng(6), betas=np.zeros((2, 12)))
    models.joints(params)
    params.betas[1, 11] = 0.5
    with pytest.raises(BodyModelError, match=r"x\.h5: parameters have 12 betas, the model has 10"):
        models.joints(params.with_(source=Path("x.h5")))


def test_kinds_are_not_confused(models: BodyModels) -> None:
    with pytest.raises(BodyModelError, match="SMPL parameters were given to an SMPL-X model"):
        FastJoints(models.get("smplx", "neutral"))(random_params("smpl", 1, np.random.default_rng(0)))


def test_hand_coefficients_are_expanded_with_the_models_components(models: BodyModels) -> None:
    rng = np.random.default_rng(7)
    model = models.get("smplx", "neutral")
    left, right = rng.normal(0, 0.5, (3, 12)), rng.normal(0, 0.5, (3, 6))
    params = random_params("smplx", 3, rng)
    full = params.with_(
        left_hand_pose=np.einsum("nk,kd->nd", left, model.hands_components_left[:12]).reshape(3, 15, 3),
        right_hand_pose=np.einsum("nk,kd->nd", right, model.hands_components_right[:6]).reshape(3, 15, 3),
    )
    coefficients = params.with_(left_hand_pose=left, right_hand_pose=right)
    np.testing.assert_allclose(models.joints(coefficients, "float64"), models.joints(full, "float64"), atol=1e-7)


def test_children_use_the_child_template(models: BodyModels) -> None:
    folder = models.folder
    params = random_params("smplx", 4, np.random.default_rng(9), betas_extra=np.array([[0.0], [0.7], [0.0], [1.0]]))
    joints = models.joints(params)
    adults = models.joints(params.with_(betas_extra=None))
    np.testing.assert_allclose(joints[[0, 2]], adults[[0, 2]], atol=1e-6)
    eleven = params[[1, 3]].with_(betas=np.concatenate([params.betas, params.betas_extra], axis=1)[[1, 3]])
    kid = {"age": "kid", "kid_template_path": str(folder / "smplx_kid_template.npy")}
    expected, vertices = package_kid(folder, eleven, kid)
    np.testing.assert_allclose(joints[[1, 3]], expected, atol=1e-5)
    np.testing.assert_allclose(models.mesh(params)[[1, 3]], vertices, atol=1e-5)
    with pytest.raises(BodyModelError, match="no child template"):
        models.fast_joints("smplx", "neutral")(params)


def package_kid(folder: Path, params: BodyParams, kid: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    with contextlib.redirect_stdout(io.StringIO()):
        body = smplx.create(
            str(folder), "smplx", use_pca=False, use_face_contour=True, batch_size=len(params), num_betas=10, **kid
        )
    given = {k: torch.tensor(v.reshape(len(params), -1)).float() for k, v in params.arrays().items()}
    given.pop("betas_extra")
    with torch.no_grad():
        out = body(**given)
    return out.joints.numpy(), out.vertices.numpy()


@pytest.mark.parametrize("model_type", ["smplx", "smpl"])
def test_heights_are_those_of_the_whole_standing_mesh(models: BodyModels, model_type: str) -> None:
    rng = np.random.default_rng(12)
    own = np.array(["male", "female", "neutral", "neutral"])
    child = np.array([[0.0], [0.0], [0.7], [0.0]])
    params = random_params(model_type, 4, rng, gender=own, betas_extra=child)
    still = {name: 0 * value for name, value in params.arrays().items() if not name.startswith("betas")}
    mesh = models.mesh(params.with_(**still, flat_hand_mean=True))
    np.testing.assert_allclose(models.heights(params), np.ptp(mesh[..., 1], axis=1), atol=1e-5)


def test_no_rows_give_no_joints(models: BodyModels) -> None:
    params = random_params("smplx", 2, np.random.default_rng(0))[:0]
    assert models.joints(params).shape == (0, 144, 3)
    assert models.rest_pelvis(params).shape == (0, 3)
    assert models.mesh(params).shape == (0, 10475, 3)


def test_names_go_with_the_joints(models: BodyModels) -> None:
    for model_type, count in COUNT.items():
        names = models.fast_joints(model_type, "neutral").names
        assert len(names) == count == len(models.fast_joints(model_type, "neutral"))
        assert names[:3] == ("pelvis", "left_hip", "right_hip")


def test_body_models_travel_to_workers_as_their_folder(models: BodyModels) -> None:
    import pickle

    packed = pickle.dumps(models)
    assert len(packed) < 2000
    params = random_params("smpl", 1, np.random.default_rng(0))
    np.testing.assert_array_equal(pickle.loads(packed).joints(params), models.joints(params))  # own bytes


@pytest.mark.parametrize("model_type", ["smplx", "smplh", "smpl"])
@pytest.mark.parametrize("matrices", [False, True])
def test_torch_joints_equal_numpys(models: BodyModels, model_type: str, matrices: bool) -> None:
    params = random_params(model_type, 5, np.random.default_rng(12), flat_hand_mean=matrices)
    module = TorchJoints(models.get(model_type, "neutral"), flat_hand_mean=False, dtype=torch.float64)
    given = {name: torch.tensor(value) for name, value in params.arrays().items()}
    if matrices:
        for name in given:
            if "pose" in name or "orient" in name:
                flat = given[name].reshape(-1, 3).numpy()
                given[name] = torch.tensor(np.array([_matrix(v) for v in flat])).reshape(5, -1, 3, 3)
    joints = module(**given)
    np.testing.assert_allclose(joints.numpy(), models.joints(params, np.float64), atol=1e-9)


def test_torch_joints_without_contour_are_the_first_127(models: BodyModels) -> None:
    params = random_params("smplx", 3, np.random.default_rng(13))
    given = {name: torch.tensor(value).float() for name, value in params.arrays().items()}
    model = models.get("smplx", "neutral")
    short = TorchJoints(model, contour=False)(**given)
    assert short.shape == (3, 127, 3)
    np.testing.assert_allclose(short, TorchJoints(model)(**given)[:, :127], atol=1e-5)


def test_gradients_are_right_and_finite_at_rest(models: BodyModels) -> None:
    module = TorchJoints(models.get("smplx", "neutral"), dtype=torch.float64)
    params = random_params("smplx", 1, np.random.default_rng(14))
    names = ("global_orient", "body_pose", "betas", "left_hand_pose", "jaw_pose", "expression")
    given = {name: torch.tensor(params.arrays()[name]) for name in names}
    aim = torch.tensor(np.random.default_rng(15).normal(size=(1, 144, 3)))

    def loss(*values: torch.Tensor) -> torch.Tensor:
        return ((module(**dict(zip(names, values, strict=True))) - aim) ** 2).sum()

    values = [value.requires_grad_() for value in given.values()]
    assert torch.autograd.gradcheck(loss, values, atol=1e-5, fast_mode=True)
    still = [torch.zeros_like(value).requires_grad_() for value in values]
    loss(*still).backward()
    assert all(torch.isfinite(value.grad).all() for value in still)
    assert all(value.grad.abs().max() > 0 for value in still)


def test_torch_module_moves_its_maps_and_keeps_them_out_of_checkpoints(models: BodyModels) -> None:
    module = TorchJoints(models.get("smpl", "neutral"))
    assert not module.state_dict()
    assert module.double().pose_map.dtype == torch.float64
    assert module.to("meta").pose_map.device.type == "meta"


def test_gender_is_taken_from_file_names(body_models: Path) -> None:
    for gender in ("female", "male", "neutral"):
        assert read_model(body_models / "smpl" / f"SMPL_{gender.upper()}.pkl", "smpl").gender == gender
