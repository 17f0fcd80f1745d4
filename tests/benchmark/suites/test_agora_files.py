"""AGORA's prediction files: what is written is what the server takes, and reads back as it was."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.scoring import score
from ehps.benchmark.suites import agora_export, agora_files
from ehps.benchmark.suites.foreign import score_files
from ehps.body import rotations
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smpl_params
from ehps.cli import main
from ehps.errors import DataError, UnsafeFileError, UsageError
from ehps.humandata.core import HumanData
from ehps.humandata.passport import Passport
from tests.drawn_people import Style, people

N = 5
PATHS = [f"validation/ag_bfh_{name}_1280x720.png" for name in "aaabc"]
FOCAL = 995.56
Crowd = tuple[HumanData, HumanData]


def as_humandata(params: BodyParams, **columns: Any) -> HumanData:
    """People of 1280 x 720 images."""
    fields = {f"{params.model_type}/{name}": value for name, value in params.arrays().items()}
    return HumanData(
        {
            "image_path": PATHS,
            **fields,
            "meta/gender": params.gender.tolist(),
            "meta/height": np.full(N, 720),
            "meta/width": np.full(N, 1280),
            "meta/focal_length": np.full((N, 2), FOCAL),
            "meta/principal_point": np.tile((640.0, 360.0), (N, 1)),
            **columns,
        },
        passport=Passport(
            body_model=params.model_type,
            num_betas=10,
            gender="neutral" if set(params.gender) == {"neutral"} else "per-instance",
            flat_hand_mean=False if params.model_type == "smplx" else None,
        ),
    )


def crowd_of(params: BodyParams, rng: np.random.Generator) -> Crowd:
    """Predictions beside each other, and the truth that they are of."""
    x = np.array([-1.2, 0, 1.2, 0, 0])
    params = params.with_(transl=params.transl * (0, 1, 1) + x[:, None] * (1, 0, 0))
    guess = params.with_(body_pose=params.body_pose + rng.normal(0, 0.1, params.body_pose.shape))
    return as_humandata(guess), as_humandata(params)


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    rng = np.random.default_rng(4)
    return crowd_of(people(N, rng, Style(0.3, 0.3)), rng)


@pytest.fixture(scope="module")
def small_people() -> Crowd:
    """SMPL."""
    rng = np.random.default_rng(5)
    pose = rng.normal(0, 0.2, (N, 24, 3))
    pose[:, 0] = (np.pi, 0, 0)
    transl = np.array([[0, 0.2, 5.0]] * N)
    return crowd_of(smpl_params(gender="neutral", betas=rng.normal(size=(N, 10)), pose=pose, transl=transl), rng)


def test_files_are_what_the_server_checks(crowd: Crowd, models: BodyModels, tmp_path: Path) -> None:
    assert agora_export.export(crowd[0], tmp_path / "out", models) == N
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        f"ag_bfh_{name}_personId_{k}.pkl" for name, k in (("a", 0), ("a", 1), ("a", 2), ("b", 0), ("c", 0))
    ]
    content = pickle.loads((tmp_path / "out" / names[1]).read_bytes())
    assert {name: value.shape for name, value in content["params"].items()} == {
        "transl": (1, 3),
        "betas": (1, 10),
        "expression": (1, 10),
        "global_orient": (1, 3),
        "body_pose": (1, 63),
        "left_hand_pose": (1, 45),
        "right_hand_pose": (1, 45),
        "jaw_pose": (1, 3),
        "leye_pose": (1, 3),
        "reye_pose": (1, 3),
    }
    joints = models.joints(agora_export.params_of(crowd[0]), "float64")[1, :127]
    np.testing.assert_allclose(content["joints"], joints[:, :2] / joints[:, 2:] * FOCAL * 3 + (1920, 1080))
    text = (tmp_path / "out" / names[1]).read_bytes()
    assert b"numpy.core.multiarray" in text
    assert b"numpy._core" not in text


@pytest.mark.parametrize("vertices", [False, True])
@pytest.mark.parametrize("people", ["crowd", "small_people"])
def test_there_and_back_changes_nothing(
    people: str, vertices: bool, request: pytest.FixtureRequest, models: BodyModels, tmp_path: Path
) -> None:
    guess, truth = request.getfixturevalue(people)
    agora_export.export(guess, tmp_path / "out/predictions", models, vertices=vertices)
    back, given = agora_files.read(tmp_path / "out", PATHS)
    assert back["image_path"].tolist() == PATHS
    for name in guess.columns if not vertices else ():
        if name.startswith(("smplx/", "smpl/")):
            np.testing.assert_array_equal(np.asarray(back[name]), np.asarray(guess[name]))
    assert (given is not None) == vertices
    spec = "agora-official" if people == "crowd" else "agora-official-smpl"
    direct, again = (
        score(made, truth, catalogue.get(spec), models, given=source) for made, source in ((guess, None), (back, given))
    )
    assert direct.notes["matched"] == N
    assert [line | {"value": 0} for line in again.metrics] == [line | {"value": 0} for line in direct.metrics]
    for a, b in zip(again.metrics, direct.metrics, strict=True):
        assert a["value"] == pytest.approx(b["value"], abs=0.101 if vertices else 0)


def test_the_commands_agree(crowd: Crowd, models: BodyModels, tmp_path: Path) -> None:
    guess, truth = (hd.save(tmp_path / f"{name}.h5") for name, hd in zip(("guess", "truth"), crowd, strict=True))
    call = ["benchmark", "export", str(guess), "--for", "agora", "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(main, [*call, "--body-models", str(models.folder)]).exit_code == 0
    again = CliRunner().invoke(main, [*call, "--body-models", str(models.folder)])
    assert again.exit_code == 2
    assert "has pickles already" in again.stderr
    both = [score_files(one, truth, "agora-official", models).metrics for one in (guess, tmp_path / "out")]
    assert both[0] == both[1]


def test_given_pixels_decide_who_is_who(crowd: Crowd, models: BodyModels, tmp_path: Path) -> None:
    """Two people of an image who exchange the joints in their files are taken for each other."""
    guess, truth = crowd
    agora_export.export(guess, tmp_path, models)
    one, other = (tmp_path / f"ag_bfh_a_personId_{k}.pkl" for k in (0, 2))
    contents = [pickle.loads(path.read_bytes()) for path in (one, other)]
    for path, content, partner in zip((one, other), contents, contents[::-1], strict=True):
        path.write_bytes(pickle.dumps(content | {"joints": partner["joints"][:24]}))
    back, _ = agora_files.read(tmp_path, PATHS)
    own, exchanged = (score(made, truth, catalogue.get("agora-official"), models) for made in (guess, back))
    assert exchanged.notes["matched"] == N
    assert exchanged.value("body", "MVE") > 1.2 * own.value("body", "MVE")


def test_matrices_children_and_many_betas_are_read(crowd: Crowd, models: BodyModels, tmp_path: Path) -> None:
    guess, _ = crowd
    agora_export.export(guess.with_columns({"smplx/betas_extra": np.eye(N)[:, :1] * 0.3}), tmp_path, models)
    path = tmp_path / "ag_bfh_a_personId_1.pkl"
    content = pickle.loads(path.read_bytes())
    for name in (
        "global_orient",
        "body_pose",
        "left_hand_pose",
        "right_hand_pose",
        "jaw_pose",
        "leye_pose",
        "reye_pose",
    ):
        content["params"][name] = rotations.to_matrix(content["params"][name].reshape(1, -1, 3))
    path.write_bytes(pickle.dumps(content | {"pose2rot": False}))
    path = tmp_path / "ag_bfh_b_personId_0.pkl"
    content = pickle.loads(path.read_bytes())
    content["params"]["betas"] = np.pad(content["params"]["betas"], ((0, 0), (0, 5)), constant_values=1)
    path.write_bytes(pickle.dumps(content | {"num_betas": 15, "gender": "female"}))
    back, _ = agora_files.read(tmp_path, PATHS)
    np.testing.assert_allclose(back["smplx/body_pose"], guess["smplx/body_pose"], atol=1e-9)
    np.testing.assert_array_equal(np.asarray(back["smplx/betas_extra"])[:, 0], [0.3, 0, 0, 0, 0])
    assert back["smplx/betas"].shape == (N, 15)
    assert np.asarray(back["smplx/betas"])[3, 10:].tolist() == [1] * 5
    assert back["meta/gender"].tolist() == ["neutral"] * 3 + ["female", "neutral"]


def change(**changes: Any) -> Callable[[HumanData], HumanData]:
    return lambda hd: hd.with_columns({name.replace("__", "/"): value for name, value in changes.items()})


def gendered(hd: HumanData, gender: str) -> HumanData:
    hd.passport = hd.passport.with_(gender=gender)
    return hd.with_columns({"meta/gender": [gender] * len(hd)})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (change(meta__person_id=np.array([0, 1, 1, 0, 0])), r"2 predictions would be ag_bfh_a_personId_1\.pkl"),
        (change(image_path=["x/a.png", "y/a.png", "b.png", "c.png", "d.png"]), "x/a.png and y/a.png are both called a"),
        (change(image_path=["a.b.png"] * N), "name with a dot"),
        (change(smplx__expression=np.ones((N, 12))), "more than 10 expression coefficients"),
        (change(smplx__transl=np.full((N, 3), np.nan)), "transl is not finite"),
        (
            lambda hd: gendered(hd.with_columns({"smplx/betas_extra": np.ones((N, 1))}), "female"),
            "row 0 is a girl of the female model",
        ),
        (lambda hd: hd.without(["meta/height"]), "how large the images are"),
    ],
)
def test_what_the_server_would_refuse_or_misread_is_not_written(
    crowd: Crowd, models: BodyModels, tmp_path: Path, changed: Callable[[HumanData], HumanData], said: str
) -> None:
    with pytest.raises((DataError, UsageError), match=said):
        agora_export.export(changed(crowd[0]), tmp_path / "out", models)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "edit", "said"),
    [
        ("x.pkl", {}, "not called IMAGE_personId_K"),
        ("ag_bfh_a_personId_00.pkl", {}, "the same person as"),
        ("i_personId_0.pkl", {"joints": np.zeros((23, 2))}, r"joints have shape \(23, 2\)"),
        ("i_personId_0.pkl", {"joints": [[0, 0]] * 24}, "joints is list"),
        ("i_personId_0.pkl", {"gender": "man"}, "gender is 'man'"),
        ("i_personId_0.pkl", {"num_betas": 11}, r"betas has shape \(1, 10\), expected \(1, 11\)"),
        ("i_personId_0.pkl", {"pose2rot": False}, r"expected \(1, 1, 3, 3\)"),
        ("i_personId_0.pkl", {"params": None}, "neither params nor verts"),
        (
            "i_personId_0.pkl",
            {"verts": np.zeros((6890, 3)), "allSmplJoints3d": np.zeros((24, 3))},
            "of another model type",
        ),
    ],
)
def test_files_that_the_server_refuses_are_refused(
    crowd: Crowd, models: BodyModels, tmp_path: Path, name: str, edit: dict[str, Any], said: str
) -> None:
    agora_export.export(crowd[0], tmp_path, models)
    content = pickle.loads((tmp_path / "ag_bfh_a_personId_0.pkl").read_bytes())
    (tmp_path / name).write_bytes(pickle.dumps(content | edit))
    with pytest.raises(DataError, match=said):
        agora_files.read(tmp_path)


def test_pickles_that_are_programs_are_not_run(tmp_path: Path) -> None:
    (tmp_path / "i_personId_0.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(UnsafeFileError):
        agora_files.read(tmp_path)
