"""Trainings and tests begin with sound images only, leave out what a list names, open nothing outside the folder."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from ehps.benchmark import models as networks
from ehps.benchmark.protocols import true_bodies
from ehps.benchmark.protocols.protocol import Protocol
from ehps.benchmark.protocols.scoring import Score
from ehps.benchmark.suites import evaluation
from ehps.benchmark.suites.evaluation import evaluate, rescore, train_cell
from ehps.benchmark.suites.runs import Run
from ehps.benchmark.suites.suite_file import read_suite
from ehps.benchmark.training.samples import CropView, HumanDataset
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.benchmark.training.trainer import open_sets
from ehps.body.models import BodyModels
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.exclusions import write_exclusions
from ehps.humandata.image_files import OutsideError
from tests.drawn_people import Style, people, write_set

CONFIG = TrainConfig(
    model_args={"width": 32, "depth": 1, "heads": 2}, steps=1, batch_size=2, workers=0, log_every=1, lr=1e-3
)
IMAGE = "set/take1/0001.jpg"  # of row 1


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> SetSpec:
    folder = tmp_path_factory.mktemp("images")
    return SetSpec(
        write_set(folder, people(4, np.random.default_rng(0), Style()), models), folder, protocol="egobody-ego"
    )


@pytest.fixture
def spec(original: SetSpec, tmp_path: Path) -> SetSpec:
    """A copy of the set that a test may change."""
    folder = Path(shutil.copytree(original.images, tmp_path / "images"))
    return replace(original, data=folder / "set.h5", images=folder)


def half(path: Path) -> None:
    image = cv2.imread(str(path))
    cv2.imwrite(str(path), image[::2, ::2])


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent": (Path.unlink, "1 no such image"),
    "empty": (lambda path: path.write_bytes(b""), "has 0 bytes"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "is cut short"),
    "half": (half, "has 60 x 80 pixels, its rows say 120 x 160"),
}


@pytest.fixture(params=FAULTS)
def broken(spec: SetSpec, request: pytest.FixtureRequest) -> tuple[SetSpec, str]:
    """The set with one image that cannot be used, and what is said of it."""
    spoil, words = FAULTS[request.param]
    spoil(spec.images / IMAGE)
    return spec, words


def test_a_training_does_not_begin_and_a_test_is_not_made_with_an_image_that_cannot_be_used(
    broken: tuple[SetSpec, str], trained: Run, models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, words = broken
    monkeypatch.setattr("ehps.benchmark.training.trainer._loop", lambda *a: pytest.fail("a step was made"))
    for use in (
        lambda: train_cell(tmp_path / "run", "set", spec, CONFIG, models, progress=False),
        lambda: evaluate(tmp_path / "new", "set", spec, models, checkpoint=trained.checkpoint),
    ):
        with pytest.raises(DataError, match="1 of 4 images cannot be used") as error:
            use()
        assert words in str(error.value)
        assert f"{IMAGE} (row 1)" in str(error.value)


@pytest.fixture(scope="module")
def trained(original: SetSpec, models: BodyModels, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on rows 0, 2 and 3; read-only."""
    listed = write_exclusions([{"id": IMAGE, "reason": ""}], tmp_path_factory.mktemp("list") / "list.txt")
    folder = tmp_path_factory.mktemp("run") / "run"
    return train_cell(folder, "set", replace(original, exclude=listed), CONFIG, models, progress=False)


def test_rows_that_a_list_names_are_not_trained_on(spec: SetSpec, models: BodyModels, tmp_path: Path) -> None:
    listed = replace(spec, exclude=write_exclusions([{"id": IMAGE, "reason": ""}], tmp_path / "list.txt"))
    net = networks.build("tiny", **CONFIG.model_args)
    assert [data.rows.tolist() for data in open_sets(CONFIG, [spec, listed], models, net)] == [[0, 1, 2, 3], [0, 2, 3]]


def test_a_run_of_which_no_step_was_made_may_be_begun_with_other_data(
    spec: SetSpec, models: BodyModels, tmp_path: Path
) -> None:
    (spec.images / IMAGE).unlink()
    with pytest.raises(DataError, match="no such image"):
        train_cell(tmp_path / "run", "set", spec, CONFIG, models, progress=False)
    listed = replace(spec, exclude=write_exclusions([{"id": IMAGE, "reason": ""}], tmp_path / "list.json"))
    assert train_cell(tmp_path / "run", "set", listed, CONFIG, models, progress=False).checkpoint.is_file()


def test_rows_that_a_list_names_are_not_tested_and_keep_their_numbers(
    spec: SetSpec, trained: Run, models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (spec.images / IMAGE).unlink()
    listed = replace(spec, exclude=write_exclusions([{"id": IMAGE, "reason": ""}], tmp_path / "list.json"))
    tested = []

    def score(predictions: HumanData, truth: HumanData, protocol: Protocol, *_: object, **__: object) -> Score:
        assert predictions["meta/truth_row"].tolist() == [0, 2, 3]
        tested.append(true_bodies.rows_to_test(protocol, truth, all_persons=True).tolist())
        words = dict.fromkeys(("image_path", "sequence", "part", "metric"), "x")
        return Score(protocol, pd.DataFrame({"truth_row": tested[-1], **words, "value": 0.0}), [], {})

    monkeypatch.setattr(evaluation, "score", score)
    run = Run(tmp_path / "run")
    found = evaluate(run.folder, "set", listed, models, protocol="egobody-ego", checkpoint=trained.checkpoint)
    assert found.notes == {"excluded": 1}
    assert rescore(run.folder, 'egobody-ego[metrics=["PVE"]]', models).notes == {"excluded": 1}
    assert tested == [[0, 2, 3], [0, 2, 3]]


def test_a_list_of_another_set_is_refused(spec: SetSpec, trained: Run, models: BodyModels, tmp_path: Path) -> None:
    listed = replace(spec, exclude=write_exclusions([{"id": "other.jpg", "reason": ""}], tmp_path / "list.json"))
    for use in (
        lambda: train_cell(tmp_path / "run", "set", listed, CONFIG, models, progress=False),
        lambda: evaluate(tmp_path / "new", "set", listed, models, checkpoint=trained.checkpoint),
    ):
        with pytest.raises(DataError, match=r"list\.json: names no row"):
            use()


def test_a_suite_keeps_the_lists_of_its_sets(tmp_path: Path) -> None:
    values = {
        "train": {"a": {"data": "a.h5", "exclude": "broken.json"}},
        "test": {"b": {"data": "b.h5", "protocol": "ehf"}},
    }
    suite = read_suite(values, tmp_path)
    assert suite.train["a"][0].exclude == tmp_path / "broken.json"
    assert read_suite(suite.to_dict()) == suite
    assert "exclude" not in suite.to_dict()["test"]["b"]


# -- outside the folder ---------------------------------------------------------------------------------------


def with_path(spec: SetSpec, name: str, **columns: object) -> SetSpec:
    """The set with another image path in row 1."""
    hd = HumanData.open(spec.data)
    paths = hd["image_path"].tolist()
    paths[1] = name
    data = hd.with_columns({"image_path": paths, **columns}).save(spec.data.parent / "led_out.h5")  # type: ignore[dict-item]
    return replace(spec, data=data)


@pytest.fixture(params=["../secret.jpg", "absolute", "set/link.jpg"])
def leading_out(spec: SetSpec, request: pytest.FixtureRequest) -> SetSpec:
    """The set with an image path that leads to a sound image outside its folder."""
    secret = spec.images.parent / "secret.jpg"
    secret.write_bytes((spec.images / IMAGE).read_bytes())
    (spec.images / "set/link.jpg").symlink_to(secret)
    return with_path(spec, str(secret) if request.param == "absolute" else request.param)


def test_no_image_outside_the_folder_is_trained_on_or_tested(
    leading_out: SetSpec, trained: Run, models: BodyModels, tmp_path: Path
) -> None:
    for use in (
        lambda: train_cell(tmp_path / "run", "set", leading_out, CONFIG, models, progress=False),
        lambda: evaluate(tmp_path / "new", "set", leading_out, models, checkpoint=trained.checkpoint),
    ):
        with pytest.raises(OutsideError, match="of row 1"):
            use()
    data = HumanDataset(leading_out.data, leading_out.images, CropView(size=(128, 96)), with_targets=False)
    assert "image" in data[0]
    assert isinstance(data[1]["error"], OutsideError)


def test_no_mesh_outside_the_folder_is_read(spec: SetSpec, tmp_path: Path) -> None:
    np.save(tmp_path / "secret.npy", np.zeros((10475, 3)))
    hd = HumanData.open(spec.data).with_columns({"vertices3d_path": ["../secret.npy"] * 4})
    with pytest.raises(OutsideError, match=r"vertices3d_path '../secret.npy' of row 2"):
        true_bodies.given(hd, np.array([2]), spec.images, None)
