"""Body-model files are found under their usual names, recognised, and read without running anything in them."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from ehps import doctor
from ehps.body.helper_files import j14_regressor, kid_template, vertex_ids, vertex_transfer
from ehps.body.joints import full_pose
from ehps.body.model_file import read_model
from ehps.body.model_folder import body_models_folder, find_model, inventory
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.body.topology import TOPOLOGY
from ehps.demo.people import random_people
from ehps.errors import BodyModelError, DataError, UnsafeFileError


@pytest.fixture(scope="module")
def smpl_arrays() -> dict[str, Any]:
    """A small-numbered but full-sized SMPL v1.0 file's content."""
    rng = np.random.default_rng(0)
    topology = TOPOLOGY["smpl"]
    vertices, joints = topology.vertices, topology.joints
    regressor = np.zeros((joints, vertices))
    regressor[np.arange(joints), np.arange(joints) * 7] = 1
    weights = np.zeros((vertices, joints))
    weights[np.arange(vertices), np.arange(vertices) % joints] = 1
    parents = np.array(topology.parents).astype(np.uint32)  # the root becomes 2^32 - 1, as in the official files
    return {
        "v_template": rng.normal(size=(vertices, 3)),
        "shapedirs": rng.normal(size=(vertices, 3, 10)).astype(np.float32),
        "posedirs": np.zeros((vertices, 3, 207), np.float32),
        "J_regressor": regressor,
        "weights": weights.astype(np.float32),
        "f": rng.integers(0, vertices, (topology.faces, 3)).astype(np.uint32),
        "kintree_table": np.stack([parents, np.arange(joints).astype(np.uint32)]),
    }


def test_versions_are_told_apart(body_models: Path, smpl_arrays: dict[str, Any], tmp_path: Path) -> None:
    assert read_model(body_models / "smpl" / "SMPL_MALE.pkl", "smpl").version == "stand-in"
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **smpl_arrays)
    assert read_model(tmp_path / "SMPL_NEUTRAL.npz", "smpl").version == "1.0"
    wide = {**smpl_arrays, "shapedirs": np.zeros((6890, 3, 300), np.float16)}
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **wide)
    assert read_model(tmp_path / "SMPL_NEUTRAL.npz", "smpl").version == "1.1"


@pytest.fixture(scope="module")
def smplx_files(body_models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """SMPL-X files without the stand-in's mark, by the columns of their shape space. Read-only."""
    with np.load(body_models / "smplx" / "SMPLX_NEUTRAL.npz") as archive:
        left_out = ("standin", "joint2num", "part2num", "posedirs", "shapedirs")
        small = {name: archive[name] for name in archive.files if name not in left_out}
    small["posedirs"] = np.zeros((10475, 3, 486), np.float16)
    files = {}
    for columns in (20, 400):
        files[columns] = tmp_path_factory.mktemp("smplx") / "any.npz"
        shapedirs = np.arange(columns, dtype=np.float16) * np.ones((10475, 3, 1), np.float16)
        np.savez(files[columns], shapedirs=shapedirs, **small)
    return files


@pytest.mark.parametrize(
    ("place", "columns", "version", "betas", "expressions"),
    [
        ("smplx/SMPLX_NEUTRAL.npz", 400, "1.1", 300, 100),
        ("smplx/SMPLX_NEUTRAL.npz", 20, "1.0", 10, 10),
        ("smplx/SMPLX_NEUTRAL_2020.npz", 400, "2020", 300, 100),
        ("models_lockedhead/smplx/SMPLX_NEUTRAL.npz", 400, "locked_head", 300, 100),
    ],
)
def test_releases_of_smplx(
    smplx_files: dict[int, Path], tmp_path: Path, place: str, columns: int, version: str, betas: int, expressions: int
) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.symlink_to(smplx_files[columns])
    model = read_model(path, "smplx")
    assert model.version == version
    assert model.exprdirs is not None
    assert (model.shapedirs.shape[2], model.exprdirs.shape[2]) == (betas, expressions)
    assert model.exprdirs[0, 0, 0] == betas  # expression starts right after the shape columns


@pytest.fixture(scope="module")
def handless(body_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a neutral SMPL-X as AMASS and SOMA have it: no ``hands_*``, in a folder called by gender."""
    folder = tmp_path_factory.mktemp("handless")
    with np.load(body_models / "smplx/SMPLX_NEUTRAL.npz") as archive:
        members = {name: archive[name] for name in archive.files if name not in ("joint2num", "part2num")}
    (folder / "smplx/neutral").mkdir(parents=True)
    members = {name: value for name, value in members.items() if not name.startswith("hands_")}
    np.savez(folder / "smplx/neutral/model.npz", **members)
    return folder


@pytest.fixture(scope="module")
def of_no_hands(handless: Path) -> BodyModels:
    return BodyModels(handless)


def bodies(**changes: Any) -> BodyParams:
    params = random_people(2, np.random.default_rng(3), flat_hand_mean=True)
    return params.with_(**changes)


NO_HANDS = dict.fromkeys(("left_hand_pose", "right_hand_pose"))
COEFFICIENTS = dict.fromkeys(NO_HANDS, np.ones((2, 6)))


@pytest.mark.parametrize("changes", [{}, {**NO_HANDS, "flat_hand_mean": False}])
def test_smplx_without_hand_pca_does_where_it_is_not_needed(
    of_no_hands: BodyModels, models: BodyModels, changes: dict[str, Any]
) -> None:
    params = bodies(**changes)
    got, whole = of_no_hands.joints(params), models.joints(params)
    apart = np.linalg.norm(got - whole, axis=2).max(axis=0)
    fingers = [*range(25, 55), *range(66, 76)]
    assert np.delete(apart, fingers).max() < 1e-6
    assert (apart[fingers].max() < 1e-6) == (not changes)  # fingers that are not posed are flat


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"flat_hand_mean": False}, "the mean hand, to which hand poses are relative"),
        (COEFFICIENTS, "the hand components, whose coefficients hand poses are"),
    ],
)
def test_smplx_without_hand_pca_is_named_where_it_is_needed(
    of_no_hands: BodyModels, changes: dict[str, Any], words: str
) -> None:
    params = bodies(**changes)
    release = rf"model\.npz: is a release without hand PCA, as for SOMA, MoSh and AMASS: it lacks {words}.*v1\.1"
    with pytest.raises(BodyModelError, match=release):
        of_no_hands.joints(params)
    if "left_hand_pose" in changes:
        with pytest.raises(BodyModelError, match=release):
            of_no_hands.with_full_hands(params)


def test_meshes_of_unposed_relative_hands_need_the_mean_hand(handless: Path) -> None:
    model = read_model(handless / "smplx/neutral/model.npz", "smplx")
    with pytest.raises(BodyModelError, match="it lacks the mean hand"):
        full_pose(model, bodies(**NO_HANDS, flat_hand_mean=False))


def test_doctor_names_the_release_without_hand_pca(handless: Path) -> None:
    (found,) = (line for line in inventory(handless) if line.name == "SMPL-X neutral")
    _, state, detail, remedy = doctor._body_file(found)
    assert state == "ok"
    assert detail.endswith("model.npz (stand-in, a release without hand PCA, as for SOMA, MoSh and AMASS)")
    assert "take SMPL-X v1.1 (NPZ+PKL) from smpl-x.is.tue.mpg.de" in remedy


def test_smplx_without_hand_pca_is_a_version_of_its_own(smplx_files: dict[int, Path], tmp_path: Path) -> None:
    with np.load(smplx_files[400]) as archive:
        members = {name: archive[name] for name in archive.files if name != "hands_componentsl"}
    np.savez(tmp_path / "any.npz", **members)
    (tmp_path / "lockedhead.npz").symlink_to(tmp_path / "any.npz")
    for name, version in (("any.npz", "without_hand_pca"), ("lockedhead.npz", "locked_head")):
        model = read_model(tmp_path / name, "smplx")
        assert (model.version, model.has_hands) == (version, False)
    np.savez(tmp_path / "any.npz", **members | {"hands_meanl": np.zeros(15)})
    with pytest.raises(BodyModelError, match=r"hands_meanl is \(15,\), expected 45 numbers"):
        read_model(tmp_path / "any.npz", "smplx")


class Trap:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_object_members_of_npz_are_never_opened(smpl_arrays: dict[str, Any], tmp_path: Path) -> None:
    trap = np.array(Trap(tmp_path / "sprung"), dtype=object)
    np.savez(tmp_path / "model.npz", joint2num=trap, **smpl_arrays)
    assert read_model(tmp_path / "model.npz", "smpl").v_template.shape == (6890, 3)
    assert not (tmp_path / "sprung").exists()


def test_pickles_that_ask_for_code_are_refused(smpl_arrays: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps({**smpl_arrays, "note": Trap(tmp_path / "sprung")}))
    with pytest.raises(UnsafeFileError, match="mkdir"):
        read_model(path, "smpl")
    assert not (tmp_path / "sprung").exists()


def test_official_pickles_with_sparse_regressors_are_read(smpl_arrays: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "basicmodel_f_lbs_10_207_0_v1.0.0.pkl"
    content = {**smpl_arrays, "J_regressor": sparse.csc_matrix(smpl_arrays["J_regressor"])}
    path.write_bytes(pickle.dumps(content, protocol=2))
    model = read_model(path, "smpl")
    np.testing.assert_array_equal(model.J_regressor, smpl_arrays["J_regressor"])
    assert (model.gender, model.parents[0], model.parents[1]) == ("female", -1, 0)


def test_another_kind_of_body_is_named(body_models: Path) -> None:
    with pytest.raises(BodyModelError, match=r"SMPLX_MALE\.npz: is a SMPL-X model, not SMPL-H"):
        read_model(body_models / "smplx" / "SMPLX_MALE.npz", "smplh")
    with pytest.raises(BodyModelError, match="is a SMPL model, not SMPL-X"):
        read_model(body_models / "smpl" / "SMPL_MALE.pkl", "smplx")


def test_what_is_no_body_model_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", v_template=np.zeros((5, 3)))
    with pytest.raises(BodyModelError, match="lacks shapedirs"):
        read_model(tmp_path / "a.npz", "smplx")
    (tmp_path / "b.npz").write_bytes(b"PK half a file")
    with pytest.raises(DataError, match="again"):
        read_model(tmp_path / "b.npz", "smplx")


def test_missing_gender_says_what_is_there_and_where_to_register(smpl_arrays: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "smpl").mkdir()
    np.savez(tmp_path / "smpl" / "SMPL_MALE.npz", **smpl_arrays)
    with pytest.raises(BodyModelError) as caught:
        BodyModels(tmp_path).get("smplx", "female")
    message = str(caught.value)
    for part in (str(tmp_path), "female SMPL-X", "smpl male", "smpl-x.is.tue.mpg.de", "SMPLX_FEMALE.npz"):
        assert part in message


@pytest.mark.parametrize(
    ("model_type", "gender", "name"),
    [
        ("smplx", "neutral", "smplx/SMPLX_NEUTRAL.npz"),
        ("smplx", "male", "models/smplx/SMPLX_MALE.npz"),
        ("smplx", "neutral", "smplx/SMPLX_NEUTRAL_2020.npz"),
        ("smplx", "neutral", "smplx/neutral/model.npz"),
        ("smplx", "female", "models/smplx/female/model.npz"),
        ("smplh", "male", "male/model.npz"),
        ("smplh", "female", "smplh/female/model.npz"),
        ("smplh", "male", "smplh/SMPLH_male.pkl"),
        ("smpl", "female", "smpl/basicModel_f_lbs_10_207_0_v1.0.0.pkl"),
        ("smpl", "neutral", "smpl/basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl"),
    ],
)
def test_usual_names_are_found(tmp_path: Path, model_type: str, gender: str, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.touch()
    models = BodyModels(tmp_path)
    assert find_model(tmp_path, model_type, gender) == path
    assert models.files(model_type) == [path]
    others = [(k, g) for k in TOPOLOGY for g in ("male", "female", "neutral") if (k, g) != (model_type, gender)]
    assert not any(models.has(k, g) for k, g in others)


def test_models_are_read_once(body_models: Path) -> None:
    models = BodyModels(body_models)
    assert models.get("smpl", "male") is models.get("smpl", "male")


def test_folder_comes_from_the_call_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert body_models_folder() is None
    monkeypatch.setenv("EHPS_BODY_MODELS", str(tmp_path))
    assert body_models_folder() == tmp_path
    (tmp_path / "other").mkdir()
    assert body_models_folder(tmp_path / "other") == tmp_path / "other"
    with pytest.raises(BodyModelError, match="not a folder"):
        body_models_folder(tmp_path / "gone")


def test_inventory_lists_what_is_there_and_what_is_not(body_models: Path, tmp_path: Path) -> None:
    lines = {found.name: found.path for found in inventory(body_models)}
    assert lines["SMPL-X female"] == body_models / "smplx" / "SMPLX_FEMALE.npz"
    assert lines["MANO_SMPLX_vertex_ids.pkl"] is not None
    assert all(found.path is None and found.source for found in inventory(tmp_path))


def test_helper_files(body_models: Path, tmp_path: Path) -> None:
    ids = vertex_ids(body_models)
    assert (len(ids["left_hand"]), len(ids["right_hand"]), len(ids["face"])) == (778, 778, 5023)
    assert not set(ids["left_hand"]) & set(ids["right_hand"])
    assert j14_regressor(body_models).shape == (14, 10475)
    for model_type in ("smplx", "smpl"):
        np.testing.assert_allclose(kid_template(body_models, model_type).mean(axis=0), 0, atol=1e-12)
    deep = tmp_path / "downloads" / "unzipped"
    deep.mkdir(parents=True)
    shutil.copy(body_models / "SMPLX_to_J14.pkl", deep)
    np.testing.assert_array_equal(j14_regressor(tmp_path), j14_regressor(body_models))


def test_missing_helper_says_what_it_is_for(tmp_path: Path) -> None:
    with pytest.raises(BodyModelError, match=r"SMPLX_to_J14.pkl or SMPLX_to_J14.npy .* 14-joint errors.*expose"):
        j14_regressor(tmp_path)


def test_helper_of_the_wrong_body_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "SMPLX_to_J14.npy", np.zeros((14, TOPOLOGY["smpl"].vertices)))
    with pytest.raises(BodyModelError, match="not a regressor from 10475 vertices"):
        j14_regressor(tmp_path)


def test_the_transfer_of_the_smplx_site_has_columns_for_normals(tmp_path: Path) -> None:
    """As it is handed out, in float64; a dense matrix of it takes more than a gigabyte."""
    rows, columns = TOPOLOGY["smplx"].vertices, TOPOLOGY["smpl"].vertices
    path = tmp_path / "smpl2smplx_deftrafo_setup.pkl"
    for column, wrong in ((columns - 1, False), (columns, True)):
        matrix = sparse.csc_matrix(([0.5], ([7], [column])), (rows, 2 * columns))
        path.write_bytes(pickle.dumps({"mtx": matrix}))
        if wrong:
            with pytest.raises(BodyModelError, match="moves vertices along normals"):
                vertex_transfer(tmp_path, "smpl", "smplx")
        else:
            read = vertex_transfer(tmp_path, "smpl", "smplx")
            assert (read.shape, read.nnz, read[7, column]) == ((rows, columns), 1, 0.5)


def test_hands_are_listed_without_the_file_of_faces(body_models: Path, tmp_path: Path) -> None:
    (tmp_path / "MANO_SMPLX_vertex_ids.pkl").symlink_to(body_models / "MANO_SMPLX_vertex_ids.pkl")
    assert vertex_ids(tmp_path, ["left_hand"])["left_hand"].shape == (778,)
    with pytest.raises(BodyModelError, match="SMPL-X__FLAME_vertex_ids"):
        vertex_ids(tmp_path)
