"""What servers take: written, read by emulations of their readers, read back, and scored without a detour."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ehps.benchmark.protocols.points import ORIENTED
from ehps.benchmark.suites import agora_export
from ehps.benchmark.suites.foreign import score_files, with_paths_of
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smpl_params
from ehps.body.topology import TOPOLOGY
from ehps.cli import main
from ehps.errors import DataError, UnsafeFileError, UsageError
from ehps.exchange import forms, pw3d_challenge
from ehps.exchange.forms import Sources, Stated
from ehps.humandata import HumanData
from ehps.humandata.passport import Passport
from tests.exchange.sequences import moving

PROTOCOL = "pw3d-challenge"
SEEN = [("a_00", 0, 0), ("a_00", 0, 2), ("a_00", 1, 0), ("a_00", 1, 1), ("b_01", 0, 1)]  # sequence, person, frame
FRAMES = {"a_00": 3, "b_01": 2}


@dataclass(frozen=True)
class Challenge:
    """A small test split of 3DPW, predictions of it, and both as they were drawn."""

    truth: Path
    predictions: HumanData
    true: BodyParams
    made: BodyParams
    models: BodyModels

    @property
    def sources(self) -> Sources:
        return Sources(body_models=self.models)


def people_of(params: BodyParams) -> HumanData:
    columns: dict[str, Any] = {
        "image_path": [f"imageFiles/{name}/image_{frame:05d}.jpg" for name, _, frame in SEEN],
        "meta/track_id": [f"{name}_{person}" for name, person, _ in SEEN],
        "meta/gender": params.gender.tolist(),
        **{f"smpl/{name}": value for name, value in params.arrays().items()},
    }
    passport = Passport(body_model="smpl", gender="per-instance", num_betas=10, dataset="pw3d", split="test")
    return HumanData(columns, passport=passport)


@pytest.fixture(scope="module")
def challenge(models: BodyModels, tmp_path_factory: pytest.TempPathFactory) -> Challenge:
    rng, n = np.random.default_rng(4), len(SEEN)

    def drawn(gender: list[str], betas: np.ndarray, pose: np.ndarray) -> BodyParams:
        transl = np.tile([0.0, 0.0, 4.0], (n, 1))
        return smpl_params(gender=np.array(gender), betas=betas, pose=pose, transl=transl)

    pose, betas = rng.normal(0, 0.4, (n, 24, 3)), rng.normal(0, 1, (n, 10))
    true = drawn(["male", "male", "female", "female", "male"], betas, pose)
    made = drawn(["neutral"] * n, betas * 0, pose + rng.normal(0, 0.2, pose.shape))
    path = people_of(true).save(tmp_path_factory.mktemp("pw3d") / "truth.h5")
    return Challenge(path, people_of(made), true, made, models)


def turns(params: BodyParams) -> np.ndarray:
    """(N, 24, 3, 3) rotations of SMPL's joints, one after the other."""
    from scipy.spatial.transform import Rotation

    pose = np.concatenate([params.global_orient[:, None], params.body_pose], axis=1)
    out = np.zeros((len(pose), 24, 3, 3))
    for row in range(len(pose)):
        for joint, parent in enumerate(TOPOLOGY["smpl"].parents):
            own = Rotation.from_rotvec(pose[row, joint]).as_matrix()
            out[row, joint] = own if joint == 0 else out[row, parent] @ own
    return out


def their_numbers(folder: Path, challenge: Challenge) -> dict[str, float]:
    """MPJPE (mm), PCK and MPJAE (degrees) as the challenge's code takes them from the files, person after person."""
    from scipy.spatial.transform import Rotation

    joints, turned = challenge.models.joints(challenge.true, "float64")[:, :24], turns(challenge.true)
    errors, limbs, angles = [], [], []
    for path in sorted((folder / "test").glob("*.pkl")):
        with path.open("rb") as file:
            content = pickle.load(file, encoding="latin1")
        for person in sorted({p for name, p, _ in SEEN if name == path.stem}):
            rows = [row for row, (name, p, _) in enumerate(SEEN) if (name, p) == (path.stem, person)]
            valid = np.array([SEEN[row][2] for row in rows])
            made = np.array(content["jointPositions"])[person, valid, :, :]
            own = np.array(content["orientations"])[person, valid, :, :]
            assert made.shape[1:] == (24, 3)
            assert own.shape[1:] == (9, 3, 3)
            apart = np.linalg.norm((made - made[:, :1]) - (joints[rows] - joints[rows][:, :1]), axis=-1) * 1000
            errors += apart.mean(axis=1).tolist()
            limbs += (apart[:, [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]] <= 50).mean(axis=1).tolist()
            back = turned[rows][:, list(ORIENTED)].transpose(0, 1, 3, 2)
            angles += Rotation.from_matrix((own @ back).reshape(-1, 3, 3)).magnitude().tolist()
    return {
        "MPJPE": float(np.mean(errors)),
        "PCK@50": 100 * float(np.mean(limbs)),
        "MPJAE": float(np.degrees(np.mean(angles))),
    }


def test_the_challenges_code_finds_the_numbers_of_the_protocol(challenge: Challenge, tmp_path: Path) -> None:
    done = pw3d_challenge.write(challenge.predictions, tmp_path, challenge.sources)
    assert [path.relative_to(tmp_path).as_posix() for path in done.files] == ["test/a_00.pkl", "test/b_01.pkl"]
    assert any("3 times a person is not there" in sentence for sentence in done.left_out)
    hd = challenge.predictions
    direct = score_files(hd.save(tmp_path / "made.h5"), challenge.truth, PROTOCOL, challenge.models)
    read, form = forms.read(tmp_path, None, Stated())
    assert form.name == "pw3d-challenge"
    again = score_files(read, challenge.truth, PROTOCOL, challenge.models)
    assert len(direct.metrics) == 6
    for one, other in zip(direct.metrics, again.metrics, strict=True):
        assert one["n"] == other["n"] == len(SEEN)
        assert other["value"] == pytest.approx(one["value"], rel=1e-9)
    for metric, value in their_numbers(tmp_path, challenge).items():
        assert direct.value("body", metric) == pytest.approx(value, rel=1e-5)


def test_what_was_sent_is_read_and_written_again_without_a_difference(challenge: Challenge, tmp_path: Path) -> None:
    done = pw3d_challenge.write(challenge.predictions, tmp_path / "one", challenge.sources)
    back, _ = forms.read(tmp_path / "one", None, Stated())
    assert back["image_path"].tolist() == challenge.predictions["image_path"].tolist()
    assert back["meta/track_id"].tolist() == challenge.predictions["meta/track_id"].tolist()
    assert back.passport.split == "test"
    assert not back.validate()
    again = pw3d_challenge.write(back, tmp_path / "two", Sources())
    assert [path.read_bytes() for path in again.files] == [path.read_bytes() for path in done.files]


def test_joints_alone_are_scored_and_what_they_lack_is_said(challenge: Challenge, tmp_path: Path) -> None:
    for path in pw3d_challenge.write(challenge.predictions, tmp_path, challenge.sources).files:
        content = pickle.loads(path.read_bytes())
        more = np.concatenate([content["jointPositions"], np.ones_like(content["jointPositions"])], axis=1)
        path.write_bytes(pickle.dumps({"jointPositions": list(more)}))
    call = ["benchmark", "score", str(tmp_path), str(challenge.truth), "--protocol", PROTOCOL]
    result = CliRunner().invoke(main, [*call, "--body-models", str(challenge.models.folder)])
    assert result.exit_code == 0, result.output
    assert "MPJAE body; the predictions have no such points" in result.stderr
    assert "predictions are of nobody whom the truth lists" in result.stderr
    assert "PA-MPJPE" in result.stdout
    with pytest.raises(DataError, match="holds no body parameters"):
        score_files(forms.read(tmp_path, None, Stated())[0], challenge.truth, "pw3d-smplerx", challenge.models)


def test_a_person_that_was_not_predicted_is_missed(challenge: Challenge, tmp_path: Path) -> None:
    made = challenge.predictions[np.arange(len(SEEN) - 1)]
    pw3d_challenge.write(made, tmp_path, challenge.sources)
    with pytest.raises(DataError, match="1 of the 5 rows that pw3d-challenge tests have no prediction"):
        score_files(forms.read(tmp_path, None, Stated())[0], challenge.truth, PROTOCOL, challenge.models)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"poses": np.zeros(3)}, "has no jointPositions or orientations"),
        ({"jointPositions": np.zeros((1, 2, 72))}, r"jointPositions is float64 of \(1, 2, 72\)"),
        ({"jointPositions": np.full((1, 2, 24, 3), np.nan)}, "not finite"),
        ({"jointPositions": [np.zeros((2, 24, 3)), np.zeros((3, 24, 3))]}, "different numbers of frames"),
        ({"jointPositions": np.ones((1, 2, 24, 3)), "orientations": np.ones((1, 3, 9, 3, 3))}, "are of"),
    ],
)
def test_files_of_another_form_are_named(content: Any, said: str, tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "a_00.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=said) as caught:
        forms.read(tmp_path, None, Stated())
    assert "a_00.pkl" in str(caught.value)


def test_nothing_in_a_pickle_is_run(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "a_00.pkl").write_bytes(b"cos\nsystem\n(S'touch run'\ntR.")
    with pytest.raises(UnsafeFileError):
        forms.read(tmp_path, None, Stated())


def test_who_is_where_must_be_told(challenge: Challenge, tmp_path: Path) -> None:
    hd = challenge.predictions
    for changed, error, said in (
        (hd.without(["meta/track_id"]), DataError, "has no meta/track_id"),
        (hd.with_columns({"meta/track_id": np.arange(len(SEEN))}), DataError, "not called SEQUENCE/image_FRAME"),
        (hd[np.array([0, 0])], DataError, "person 0 of a_00 is in frame 0 twice"),
        (HumanData({n: hd[n] for n in hd.columns}, passport=hd.passport.with_(split="all")), UsageError, "split 'all'"),
    ):
        with pytest.raises(error, match=said):
            pw3d_challenge.write(changed, tmp_path / "out", challenge.sources)
    with pytest.raises(UsageError, match="body models"):
        pw3d_challenge.write(hd, tmp_path / "out", Sources())
    pw3d_challenge.write(hd, tmp_path / "out", challenge.sources)
    with pytest.raises(UsageError, match="pickles already"):
        pw3d_challenge.write(hd, tmp_path / "out", challenge.sources)


def test_meshes_for_agora_are_refused_with_what_takes_them(models: BodyModels, tmp_path: Path) -> None:
    agora_export.export(moving(models, frames=1, people=1), tmp_path, models, vertices=True)
    with pytest.raises(DataError, match="holds meshes"):
        forms.read(tmp_path, None, Stated())


def test_results_of_smpler_x_are_scored_as_they_lie(models: BodyModels, tmp_path: Path) -> None:
    hd = moving(models, people=1)
    truth = hd.without(["meta/track_id"]).save(tmp_path / "truth.h5")
    virtual = HumanData({name: hd[name] for name in hd.columns}, passport=hd.passport.with_(focal="virtual"))
    moved = virtual.with_columns({"image_path": [f"/elsewhere/{path}" for path in hd["image_path"].tolist()]})
    forms.write(moved, "smpler-x-results", tmp_path / "out", Sources(body_models=models))
    call = ["benchmark", "score", str(tmp_path / "out"), str(truth), "--protocol", 'egobody-ego[metrics=["PA-PVE"]]']
    result = CliRunner().invoke(main, [*call, "--body-models", str(models.folder), "--json"])
    assert result.exit_code == 0, result.output
    assert all(line["value"] < 1e-3 for line in json.loads(result.stdout))


def test_images_are_known_by_the_ends_of_their_paths() -> None:
    truth = HumanData({"image_path": ["set/a/1.jpg", "set/b/1.jpg", "set/b/2.jpg"]})
    made = HumanData({"image_path": ["/x/b/1.jpg", "2.jpg", "1.jpg", "set/a/1.jpg"]})
    named = with_paths_of(made, truth)["image_path"].tolist()
    assert named == ["set/b/1.jpg", "set/b/2.jpg", "1.jpg", "set/a/1.jpg"]


def test_a_folder_of_no_form_is_refused_with_the_command_that_reads_it(tmp_path: Path) -> None:
    (tmp_path / "truth.h5").touch()
    call = ["benchmark", "score", str(tmp_path), str(tmp_path / "truth.h5"), "--protocol", "ehf"]
    result = CliRunner().invoke(main, [*call, "--body-models", str(tmp_path)])
    assert result.exit_code == 2
    assert "is of no form that files tell" in result.stderr
    assert "ehps humandata import" in result.stderr
