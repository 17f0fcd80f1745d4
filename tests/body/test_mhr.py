"""Bodies of Momentum Human Rig fitted with SMPL-X; a rig whose surface is that of the stand-in takes Meta's place."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from ehps.benchmark.training.samples import check_meaning
from ehps.body import mhr
from ehps.body.mhr import DISTANCE, LIMIT, Rig, SurfaceMap, surface_map, with_smplx
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smplx_params
from ehps.body.refits import RESIDUAL
from ehps.body.variants import params_of
from ehps.cli import main
from ehps.errors import BodyModelError, DataError, UsageError
from ehps.humandata import HumanData, Passport
from ehps.humandata.keypoints import convert, point_names
from tests.raw.sam3d_body import mhr70

Array = npt.NDArray[np.float64]

N = 4
INDEX = 20  # the model parameter by which the rig below knows which body it is


@dataclass
class StandInRig:
    """Meshes that were made before, in Meta's units and axes."""

    meshes: Array
    faces: Array

    def vertices(self, model_params: Array, shape_params: Array, expr_params: Array) -> Array:
        assert model_params.shape[1:] == (204,)
        assert shape_params.shape[1:] == (45,)
        assert expr_params.shape[1:] == (72,)
        return self.meshes[model_params[:, INDEX].astype(int)] * [100, -100, -100]


@pytest.fixture(scope="module")
def people() -> BodyParams:
    rng = np.random.default_rng(2)
    return smplx_params(
        gender="neutral",
        betas=0.8 * rng.normal(size=(N, 10)),
        global_orient=rng.normal(size=(N, 3)),
        body_pose=0.25 * rng.normal(size=(N, 21, 3)),
        left_hand_pose=0.2 * rng.normal(size=(N, 15, 3)),
        right_hand_pose=0.2 * rng.normal(size=(N, 15, 3)),
        transl=rng.normal((0, 0, 5), 0.5, (N, 3)),
        flat_hand_mean=True,
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> BodyModels:
    """The stand-ins, with a map from each vertex to a triangle that it is a corner of."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "smplx").symlink_to(body_models / "smplx")
    (folder / "mhr").mkdir()
    faces = BodyModels(body_models).faces("smplx")
    order = np.argsort(faces.ravel(), kind="stable")
    place = order[np.searchsorted(faces.ravel()[order], np.arange(10475))]
    weights = np.zeros((10475, 3))
    weights[np.arange(10475), place % 3] = 1
    np.savez(folder / "mhr" / mhr.MAP, triangle_ids=place // 3, baryc_coords=weights)
    return BodyModels(folder)


def file_of(people: BodyParams, models: BodyModels) -> HumanData:
    joints = models.joints(people)
    points = np.ones((N, 70, 4), np.float32)
    points[..., :3] = mhr70(joints)
    parameters = np.zeros((N, 204), np.float32)
    parameters[:, INDEX] = np.arange(N)
    return HumanData(
        {
            "image_path": [f"{i}.jpg" for i in range(N)],
            "keypoints3d_original": points,
            "mhr/model_params": parameters,
            "mhr/shape_params": np.zeros((N, 45), np.float32),
            "meta/mhr_valid": np.ones(N, bool),
            "meta/height": np.full(N, 1000, np.int32),
            "meta/width": np.full(N, 1000, np.int32),
            "meta/focal_length": np.full((N, 2), 900, np.float32),
            "meta/principal_point": np.full((N, 2), 500, np.float32),
        },
        keypoint_names={"keypoints3d_original": point_names("mhr70")},
        passport=Passport(dataset="sam3d_body", focal="image"),
    )


def rig_of(people: BodyParams, models: BodyModels) -> StandInRig:
    return StandInRig(models.mesh(people).astype(float), models.faces("smplx"))


def assert_joints_are_those_of(people: BodyParams, done: HumanData, models: BodyModels) -> None:
    """Within 1 mm, joints of fingers within 5."""
    away = np.linalg.norm(models.joints(params_of(done))[:, :55] - models.joints(people)[:, :55], axis=2)
    assert away[:, :22].max() < 1e-3
    assert away.max() < 5e-3


def test_smplx_is_found_again_from_the_rigs_surface(people: BodyParams, models: BodyModels) -> None:
    hd = file_of(people, models)
    done = with_smplx(hd, models, rig=rig_of(people, models), show=False)
    assert_joints_are_those_of(people, done, models)
    assert done[DISTANCE].max() < 1e-3
    assert done[RESIDUAL].max() < 1e-3
    assert (done.passport.body_model, done.passport.gender, done.passport.flat_hand_mean) == ("smplx", "neutral", True)
    assert done.passport.num_betas == 10
    assert "left out" not in str(done.passport.changes)
    assert (done["mhr/model_params"] == hd["mhr/model_params"]).all()
    theirs, mask = convert(np.asarray(done["keypoints3d_original"]), "mhr70", "smplx")
    ours = done["keypoints3d_smplx"]
    assert np.median(np.linalg.norm((theirs - ours)[:, mask > 0][..., :3], axis=2)) < 1e-3
    seen = done["keypoints2d_smplx"][0, 0, :2]
    np.testing.assert_allclose(seen, 900 * ours[0, 0, :2] / ours[0, 0, 2] + 500, atol=0.05)
    assert done.validate() == []
    check_meaning(done)


def test_bodies_without_their_translation_are_put_where_the_points_are(people: BodyParams, models: BodyModels) -> None:
    rig = rig_of(people, models)
    rig.meshes -= rig.meshes.mean(axis=1, keepdims=True)
    done = with_smplx(file_of(people, models), models, rig=rig, show=False)
    assert_joints_are_those_of(people, done, models)
    assert "bodies put where the 3D points are" in str(done.passport.changes)


def test_rows_that_cannot_be_fitted_are_left_out_and_counted(people: BodyParams, models: BodyModels) -> None:
    hd = file_of(people, models)
    valid = np.array([True, False, True, True])
    points = np.array(hd["keypoints3d_original"])
    points[3] = points[3][::-1]  # of nobody
    rig = rig_of(people, models)
    rig.meshes[2] += np.random.default_rng(0).normal(0, 0.008, rig.meshes[2].shape)
    hd = hd.with_columns({"meta/mhr_valid": valid, "keypoints3d_original": points})
    done = with_smplx(hd, models, rig=rig, show=False)
    assert done["image_path"].tolist() == ["0.jpg"]
    said = str(done.passport.changes)
    assert "1 without a fit of the rig that may be used" in said
    assert "1 whose rig is not on their own 3D points" in said
    assert f"1 with a distance above {1000 * LIMIT:g} mm" in said


def test_a_file_of_which_no_row_can_be_fitted_is_an_error(people: BodyParams, models: BodyModels) -> None:
    hd = file_of(people, models).with_columns({"meta/mhr_valid": np.zeros(N, bool)})
    with pytest.raises(DataError, match="no row can be fitted: 4 without a fit of the rig"):
        with_smplx(hd, models, rig=rig_of(people, models), show=False)


def test_the_map_blends_the_corners_of_its_triangles() -> None:
    rng = np.random.default_rng(1)
    vertices, faces, ids = rng.normal(size=(2, 30, 3)), rng.integers(0, 30, (12, 3)), rng.integers(0, 12, 8)
    weights = rng.dirichlet(np.ones(3), 8)
    found = SurfaceMap(faces[ids], weights).apply(vertices)
    for n in range(2):
        for k, triangle in enumerate(ids):
            x, y, z = sum(weights[k, c] * vertices[n, faces[triangle, c]] for c in range(3)) / 100
            np.testing.assert_allclose(found[n, k], [x, -y, -z], atol=1e-6)


def test_a_map_for_another_surface_is_refused(models: BodyModels, tmp_path: Path) -> None:
    faces = models.faces("smplx")
    with pytest.raises(BodyModelError, match=r"has no mhr2smplx_mapping\.npz"):
        surface_map(tmp_path, faces)
    with pytest.raises(BodyModelError, match="is no map from 100 triangles to 10475 vertices"):
        surface_map(models.folder, faces[:100])
    (tmp_path / "mhr").mkdir()
    np.savez(tmp_path / "mhr" / mhr.MAP, triangle_ids=np.zeros(10475, int), baryc_coords=np.ones((10475, 3)))
    with pytest.raises(BodyModelError, match="is no map"):
        surface_map(tmp_path, faces)


# -- on the command line -------------------------------------------------------------------------------------


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["humandata", "convert", *arguments])
    return done.exit_code, " ".join(done.output.split())


def test_without_the_package_it_is_said_what_to_install(
    people: BodyParams, models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mhr, "installed", lambda name: name != "pymomentum")
    path = file_of(people, models).save(tmp_path / "a.h5")
    code, said = run(str(path), "--to", "smplx", "--body-models", str(models.folder), str(tmp_path / "b.h5"))
    assert code != 0
    assert "not installed: pymomentum" in said
    assert "pip install mhr pymomentum-cpu" in said
    assert not (tmp_path / "b.h5").exists()
    code, said = run(str(path), "--to", "smpl", "--body-models", str(models.folder), str(tmp_path / "b.h5"))
    assert code != 0
    assert "can be fitted with smplx only" in said


def test_a_file_is_converted_with_the_package(
    people: BodyParams, models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rig(folder: Path) -> Rig:
        assert folder == models.folder
        return rig_of(people, models)

    monkeypatch.setattr(mhr, "MHR", rig)
    path = file_of(people, models).save(tmp_path / "a.h5")
    code, said = run(str(path), "--to", "smplx", "--body-models", str(models.folder), str(tmp_path / "b.h5"))
    assert code == 0, said
    assert "SMPL-X fitted with 10 betas to the surface of 4 rigs" in said
    assert HumanData.open(tmp_path / "b.h5").body_model == "smplx"


def test_files_of_the_rig_are_named_where_they_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mhr, "installed", lambda name: False)
    with pytest.raises(UsageError, match="not installed: mhr, pymomentum"):
        mhr.MHR(tmp_path)


def test_the_package_is_asked_as_it_wants_to_be(
    models: BodyModels, people: BodyParams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of arguments and of what comes back are those of mhr 1.0.1."""
    import torch

    meshes, faces = rig_of(people, models).meshes, models.faces("smplx")

    class Model:
        character = SimpleNamespace(mesh=SimpleNamespace(faces=faces))

        @staticmethod
        def from_files(folder: Path, device: torch.device, lod: int) -> Model:
            assert (folder, device.type, lod) == (tmp_path / "mhr/assets", "cpu", 1)
            return Model()

        def __call__(
            self, identity_coeffs: torch.Tensor, model_parameters: torch.Tensor, face_expr_coeffs: torch.Tensor
        ) -> tuple[torch.Tensor, None]:
            assert (identity_coeffs.shape[1], model_parameters.shape[1], face_expr_coeffs.shape[1]) == (45, 204, 72)
            return torch.from_numpy(meshes[model_parameters[:, INDEX].long().numpy()]), None

    monkeypatch.setitem(sys.modules, "mhr", SimpleNamespace(mhr=SimpleNamespace(MHR=Model)))
    monkeypatch.setitem(sys.modules, "pymomentum", SimpleNamespace())
    with pytest.raises(BodyModelError, match=r"mhr: has no lod1\.fbx, .*assets\.zip"):
        mhr.MHR(tmp_path)
    (tmp_path / "mhr/assets").mkdir(parents=True)
    for name in mhr.FILES:
        (tmp_path / "mhr/assets" / name).touch()
    rig = mhr.MHR(tmp_path)
    parameters = np.zeros((2, 204), np.float32)
    parameters[:, INDEX] = [3, 1]
    found = rig.vertices(parameters, np.zeros((2, 45), np.float32), np.zeros((2, 72), np.float32))
    np.testing.assert_array_equal(found, meshes[[3, 1]])
    assert rig.faces is faces or (rig.faces == faces).all()
