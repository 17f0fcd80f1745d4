"""Models that predict SMPL: their crops, the camera of what they write, and which protocols take them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from ehps.benchmark import crop_boxes
from ehps.benchmark import models as networks
from ehps.benchmark.models.outputs import SQUARE_CAMERA
from ehps.benchmark.suites.evaluation import evaluate
from ehps.benchmark.suites.runs import Run
from ehps.benchmark.training.samples import CropView, HumanDataset
from ehps.benchmark.training.specs import SetSpec
from ehps.benchmark.training.truncated_crops import truncated_crop
from ehps.body.models import BodyModels
from ehps.cli import main
from ehps.errors import UsageError
from ehps.humandata.core import HumanData
from tests.drawn_people import Style, people, write_set
from tests.upright import NAME, Upright, registered, standing, write_weights

N = 6


@pytest.fixture
def card() -> Iterator[networks.ModelCard]:
    with registered() as card:
        yield card


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> SetSpec:
    folder = tmp_path_factory.mktemp("smpl")
    return SetSpec(write_set(folder, standing(N), models), folder, protocol="pw3d-challenge")


@pytest.fixture
def weights(card: networks.ModelCard, tmp_path: Path) -> Path:
    return write_weights(tmp_path / "upright.pt")


def test_predictions_fall_in_the_image_where_they_fell_in_the_crop(
    truth: SetSpec, weights: Path, models: BodyModels, tmp_path: Path
) -> None:
    result = evaluate(tmp_path / "run", "smpl", truth, models, checkpoint=weights)
    assert result.value("body", "MPJPE") > result.value("body", "PA-MPJPE") > 0
    hd = HumanData.open(Run(tmp_path / "run").predictions("smpl"))
    assert hd.passport.body_model == "smpl"
    assert (hd.misc["crop"], Run(tmp_path / "run").manifest["tests"]["smpl"]["crop"]) == ("exact", "exact")
    assert hd["smpl/body_pose"].shape == (N, 23, 3)
    boxes, transl = np.asarray(hd["bbox_xywh"])[:, :4], np.asarray(hd["smpl/transl"], float)
    np.testing.assert_allclose(boxes[:, 2], boxes[:, 3])
    depth = transl[:, 2]
    scale = 2 * 5000 / (224 * depth)
    assert np.ptp(scale) > 1e-3  # the crops were looked at
    camera = torch.tensor(np.stack((scale, transl[:, 0], transl[:, 1]), axis=1))
    points = torch.randn((N, 5, 3), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    in_crop = SQUARE_CAMERA.project(points, camera).numpy()  # -1 to 1
    expected = boxes[:, None, :2] + (in_crop + 1) / 2 * boxes[:, None, 2:]
    seen = points.numpy() + transl[:, None]
    focal, centre = np.asarray(hd["meta/focal_length"]), np.asarray(hd["meta/principal_point"])
    found = seen[..., :2] / seen[..., 2:] * focal[:, None] + centre[:, None]
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_crops_of_a_test_are_windows_of_whole_pixels_and_of_a_training_one_affine_map(
    card: networks.ModelCard, truth: SetSpec
) -> None:
    net = Upright()
    tested = HumanDataset(truth.data, truth.images, CropView.of(net, card, ratio=1.0), with_targets=False)
    trained = HumanDataset(
        truth.data, truth.images, CropView.of(net, card, ratio=1.0, training=True), with_targets=False
    )
    stored = np.asarray(tested.hd["bbox_xywh"])
    np.testing.assert_allclose(tested.boxes, crop_boxes.square(stored, 1.0))
    image = cv2.imread(str(truth.images / tested.hd["image_path"][2]))[..., ::-1]
    expected = truncated_crop(np.ascontiguousarray(image), tested.boxes[2], "bicubic")
    found, warped = (data[2]["image"].numpy().transpose(1, 2, 0) for data in (tested, trained))
    np.testing.assert_array_equal(found, expected)
    assert 0 < np.abs(found.astype(float) - warped).mean() < 10


def test_a_protocol_of_other_bodies_is_refused_with_the_ones_that_would_do(
    weights: Path, models: BodyModels, tmp_path: Path
) -> None:
    params = people(2, np.random.default_rng(2), Style(0.3, 0.3))
    whole = SetSpec(write_set(tmp_path, params, models), tmp_path, protocol="egobody-ego")
    with pytest.raises(UsageError, match=r"upright predicts SMPL, egobody-ego compares SMPL-X bodies") as error:
        evaluate(tmp_path / "run", "ego", whole, models, checkpoint=weights)
    assert "pw3d-challenge" in error.value.fix


def test_predictions_of_both_bodies_are_scored_beside_true_smpl_bodies(
    truth: SetSpec, weights: Path, models: BodyModels, tmp_path: Path
) -> None:
    arguments = {"width": 32, "depth": 1, "heads": 2}
    state = dict(networks.build("tiny", **arguments).state_dict())
    whole = write_weights(tmp_path / "tiny.pt", "tiny", state, arguments)
    for protocol in ("pw3d-smplerx", "pw3d-h36m14"):
        found = [
            evaluate(tmp_path / file.stem, "smpl", truth, models, checkpoint=file, protocol=protocol)
            for file in (weights, whole)
        ]
        assert [score.value("body", "MPJPE") > 0 for score in found] == [True, True], protocol
        assert {line["n"] for score in found for line in score.metrics} == {N}
    assert HumanData.open(Run(tmp_path / "tiny").predictions("smpl")).passport.body_model == "smplx"
    assert Run(tmp_path / "tiny").manifest["model_args"] == arguments


def test_crops_of_a_test_may_be_affine_maps_and_are_said_to_be(
    truth: SetSpec, weights: Path, models: BodyModels, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    scales = []
    for crop in ("exact", "warp"):
        words = [run.folder, truth.data, "--checkpoint", weights, "--crop", crop, "--model", NAME]
        said = called("evaluate", *words, "--protocol", "pw3d-challenge", "--body-models", models.folder)
        assert said.exit_code == 0, said.output
        hd = HumanData.open(run.predictions("set"))
        assert (hd.misc["crop"], run.manifest["tests"]["set"]["crop"]) == (crop, crop)
        scales.append(1 / np.asarray(hd["smpl/transl"])[:, 2])
    assert 0 < np.abs(scales[0] - scales[1]).max() < 0.01 * scales[0].min()


def test_weights_of_another_model_and_crops_that_change_nothing_are_refused(
    truth: SetSpec, weights: Path, models: BodyModels, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="is a checkpoint of upright, not of pymaf"):
        evaluate(tmp_path / "run", "smpl", truth, models, checkpoint=weights, model="pymaf")
    networks._all()[NAME] = replace(networks.card(NAME), view=None)
    with pytest.raises(UsageError, match="upright sees boxes by one affine map"):
        evaluate(tmp_path / "run", "smpl", truth, models, checkpoint=weights, crop="warp")
    words = [tmp_path / "none", truth.data, "--protocol", "pw3d-challenge", "--body-models", models.folder]
    said = called("evaluate", *words)
    assert said.exit_code == 2
    assert "holds no trained model" in said.output
    assert not (tmp_path / "none").exists()


def called(*words: object) -> Result:
    return CliRunner().invoke(main, ["benchmark", *map(str, words)])
