"""``ehps benchmark score`` on bad input: one sentence that names file and fault, no traceback, no numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ehps.body.models import BodyModels
from ehps.cli import main
from ehps.humandata.core import HumanData
from ehps.humandata.passport import Passport
from tests.drawn_people import Style, people, write_set

N = 3
OFFICIAL = 'agora-official[only_images=["00"]]'
Change = Callable[[HumanData], HumanData]


@dataclass(frozen=True)
class Files:
    """A test set and predictions of it."""

    truth: Path
    predictions: Path
    models: Path

    def refused(self, protocol: str, *options: str, code: int = 1, **files: Path) -> str:
        """Score, which must fail: what is said on the error stream."""
        paths = {"predictions": self.predictions, "truth": self.truth, "models": self.models, **files}
        call = ["benchmark", "score", str(paths["predictions"]), str(paths["truth"]), "--protocol", protocol]
        result = CliRunner().invoke(main, [*call, *options, "--body-models", str(paths["models"])])
        assert result.exit_code == code, result.output
        assert isinstance(result.exception, SystemExit), result.exception
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert line.startswith("error: ")
        return line


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> Files:
    folder = tmp_path_factory.mktemp("refusals")
    params = people(N, np.random.default_rng(2), Style(0.3, 0.3))
    truth = write_set(folder, params, models, name="truth")
    columns = {f"smplx/{name}": value for name, value in params.arrays().items()}
    hd = HumanData(
        {"image_path": HumanData.open(truth)["image_path"], **columns},
        passport=Passport(body_model="smplx", gender="neutral", flat_hand_mean=False, num_betas=10),
    )
    return Files(truth, hd.save(folder / "predictions.h5"), models.folder)


def changed(path: Path, folder: Path, change: Change) -> Path:
    """A changed copy of a file."""
    return change(HumanData.open(path)).save(folder / path.name)


def without(*names: str) -> Change:
    return lambda hd: hd.without(names)


def with_rows(*rows: object) -> Change:
    return lambda hd: hd.with_columns({"meta/truth_row": np.array(rows)})


def with_one(name: str, value: float) -> Change:
    """One number of row 1 replaced."""

    def change(hd: HumanData) -> HumanData:
        column = np.array(hd[name], float)
        column[1].flat[0] = value
        return hd.with_columns({name: column})

    return change


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        ("egobody-ego[step=many]", "'many' is not a value for the protocol's step"),
        ("egobody-ego[hands=flaged-valid]", "'flaged-valid' is not a value"),
        ("egobody", "there is no protocol 'egobody'"),
    ],
)
def test_wrong_protocols(protocol: str, said: str, files: Files) -> None:
    assert said in files.refused(protocol, code=2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "{}/numbers.csv"], "numbers.csv: a score is written as .json"),
        (["--out", "{}"], ".json: this is a folder"),
        (["--out", "{}/file/numbers.json"], "is a file, not a folder"),
        (["--device", "nonsense"], "'nonsense' is no device"),
        (["--device", "cuda:77"], "'cuda:77' is no device"),
    ],
)
def test_options_that_cannot_work_are_refused_before_anything_is_read(
    options: list[str], said: str, files: Files, tmp_path: Path
) -> None:
    folder = tmp_path / "folder.json"
    folder.mkdir()
    (folder / "file").touch()
    nowhere = {"predictions": folder / "file"}
    assert said in files.refused("egobody-ego", *(word.format(folder) for word in options), code=2, **nowhere)


@pytest.mark.parametrize(
    ("protocol", "name", "code"),
    [
        ("egobody-ego", "smplx/betas", 1),
        ("egobody-ego", "smplx/body_pose", 1),
        ("egobody-ego", "smplx/global_orient", 1),
        ("ubody-intra[step=1]", "smplx/transl", 1),
        ("ubody-intra[step=1]", "bbox_xywh", 1),
        ("ubody-intra[step=1]", "meta/height", 1),
        ("ehf", "vertices3d_path", 1),
        (OFFICIAL, "smplx/transl", 1),
    ],
)
def test_columns_that_the_truth_lacks(protocol: str, name: str, code: int, files: Files, tmp_path: Path) -> None:
    true = changed(files.truth, tmp_path, without(name) if name in HumanData.open(files.truth) else lambda hd: hd)
    said = files.refused(protocol, code=code, truth=true)
    assert str(true) in said
    assert (name if name != "smplx/betas" else "has no smplx parameters") in said


@pytest.mark.parametrize("which", ["truth", "predictions"])
def test_matching_in_the_image_needs_cameras(which: str, files: Files, tmp_path: Path) -> None:
    camera = ["meta/focal_length", "meta/principal_point"]
    true = HumanData.open(files.truth)
    made = changed(files.predictions, tmp_path, lambda hd: hd.with_columns({name: true[name] for name in camera}))
    paths = {"truth": files.truth, "predictions": made}
    (tmp_path / which).mkdir()
    paths[which] = changed(paths[which], tmp_path / which, without(camera[0]))
    assert f"{paths[which]}: has no camera" in files.refused(OFFICIAL, **paths)
    unknown = {camera[0]: np.array([[900, 900], [0, 0], [np.nan, 900]])}
    paths[which] = changed(made, tmp_path, lambda hd: hd.with_columns(unknown))
    assert "are no camera in 2 of 3 rows (first: row 1)" in files.refused(OFFICIAL, **paths)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda hd: hd.with_columns({"image_path": ["a", "b", "c"]}), "3 predictions are of images that"),
        (lambda hd: hd[:2], "1 of the 3 rows that egobody-ego tests have no prediction (first: row 2)"),
        (lambda hd: hd[:0], "has no rows"),
        (with_rows(1, 2, 0), "row 0 is of truth/take0/0000.jpg, and row 1 of"),
        (with_rows(5, 6, 7), "meta/truth_row goes from 5 to 7, and"),
        (with_rows(-1, 1, 2), "meta/truth_row goes from -1 to 2, and"),
        (with_rows(0, 0, 1), "meta/truth_row holds row 0 2 times"),
        (with_rows("a", "b", "c"), "meta/truth_row does not hold whole numbers"),
        (with_rows([0, 0], [1, 1], [2, 2]), "meta/truth_row does not hold whole numbers"),
        (without("smplx/body_pose"), "has no smplx/body_pose"),
        (with_one("smplx/body_pose", np.nan), "smplx/body_pose is not finite in 1 of 3 rows (first: row 1)"),
        (with_one("smplx/betas", np.inf), "smplx/betas is not finite in 1 of 3 rows (first: row 1)"),
    ],
)
def test_predictions_of_another_file_and_damaged_ones(change: Change, said: str, files: Files, tmp_path: Path) -> None:
    made = changed(files.predictions, tmp_path, change)
    line = files.refused("egobody-ego", predictions=made)
    assert line.startswith(f"error: {made}: {said}")


def test_predictions_cut_short(files: Files, tmp_path: Path) -> None:
    content, made = files.predictions.read_bytes(), tmp_path / "cut.h5"
    for size in (len(content) // 2, 100, 0):
        made.write_bytes(content[:size])
        assert str(made) in files.refused("egobody-ego", predictions=made)


def test_true_numbers_that_are_none_and_rows_that_are_none(files: Files, tmp_path: Path) -> None:
    true = changed(files.truth, tmp_path, with_one("smplx/transl", np.nan))
    assert "smplx/transl is not finite in 1 of 3 rows" in files.refused("egobody-ego", truth=true)
    true = changed(files.truth, tmp_path, lambda hd: hd[:0])
    assert f"{true}: has no rows" in files.refused("egobody-ego", truth=true)


def test_meshes_that_are_not_there_or_none(files: Files, tmp_path: Path) -> None:
    names = [f"{i}.npy" for i in range(N)]
    true = changed(files.truth, tmp_path, lambda hd: hd.with_columns({"vertices3d_path": names}))
    root = tmp_path / "elsewhere"
    root.mkdir()
    assert f"{root}/0.npy: there is no such file" in files.refused("ehf", "--images", str(root), truth=true)
    np.save(tmp_path / names[0], np.full((10475, 3), np.nan))
    assert f"{names[0]}: holds vertices that are not finite" in files.refused("ehf", truth=true)
    np.save(tmp_path / names[0], np.zeros((5, 3)))
    assert f"{names[0]}: has shape (5, 3)" in files.refused("ehf", truth=true)


def test_helper_files_and_models_that_are_missing(files: Files, tmp_path: Path) -> None:
    assert "no neutral SMPL-X model here" in files.refused("egobody-ego", models=tmp_path)
    assert "is not a folder" in files.refused("egobody-ego", models=tmp_path / "nowhere")
    (tmp_path / "smplx").symlink_to(files.models / "smplx")
    line = files.refused('egobody-ego[metrics=["MPJPE"]]', models=tmp_path)
    assert "SMPLX_to_J14.pkl" in line


def test_nobody_is_left_to_test(files: Files) -> None:
    assert "no row is left to test under ubody-intra" in files.refused("ubody-intra")
    assert "no row is left to test under agora-official" in files.refused("agora-official")
