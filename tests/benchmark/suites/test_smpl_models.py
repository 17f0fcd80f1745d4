"""Models that predict SMPL: their crops, the camera of what they write, and which protocols take them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ehps.benchmark import crop_boxes
from ehps.benchmark import models as networks
from ehps.benchmark.models.cards import View
from ehps.benchmark.models.outputs import SQUARE_CAMERA, SmplPrediction
from ehps.benchmark.suites.evaluation import evaluate
from ehps.benchmark.suites.runs import Run
from ehps.benchmark.training import checkpoints
from ehps.benchmark.training.samples import CropView, HumanDataset
from ehps.benchmark.training.specs import SetSpec
from ehps.benchmark.training.truncated_crops import truncated_crop
from ehps.body.models import BodyModels
from ehps.body.params import smpl_params
from ehps.errors import UsageError
from ehps.humandata.core import HumanData
from tests.drawn_people import Style, people, write_set

N = 6
NAME = "upright"


class Upright(nn.Module):
    """A standing person, nearer where the crop is brighter."""

    input_size = (224, 224)
    antialias = True

    def __init__(self, smpl: object = None) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.8))

    def forward(self, image: Tensor) -> SmplPrediction:
        n = len(image)
        turned = torch.diag(torch.tensor((1.0, -1.0, -1.0))).expand(n, 3, 3)
        camera = torch.stack((self.scale + image.mean((1, 2, 3)), torch.full((n,), 0.1), torch.full((n,), -0.2)), dim=1)
        return SmplPrediction(turned, torch.eye(3).expand(n, 23, 3, 3), torch.zeros(n, 10), camera)


@pytest.fixture
def card() -> Iterator[networks.ModelCard]:
    view = View((224, 224), "square", 1.0, "averaged", "whole pixels")
    networks.register(NAME, Upright, body="smpl", view=view)
    yield networks.card(NAME)
    networks._all().pop(NAME)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> SetSpec:
    rng = np.random.default_rng(4)
    pose = rng.normal(0, 0.2, (N, 24, 3))
    pose[:, 0] = (np.pi, 0, 0)
    transl = np.stack((rng.normal(0, 0.3, N), rng.normal(0, 0.2, N), rng.uniform(3, 5, N)), axis=1)
    params = smpl_params(gender="neutral", betas=rng.normal(0, 1, (N, 10)), pose=pose, transl=transl)
    folder = tmp_path_factory.mktemp("smpl")
    return SetSpec(write_set(folder, params, models), folder, protocol="pw3d-challenge")


@pytest.fixture
def weights(card: networks.ModelCard, tmp_path: Path) -> Path:
    state = dict(Upright().state_dict())
    content = {
        "format": checkpoints.FORMAT,
        "model": {"name": NAME, "args": {}},
        "state": state,
        "box_ratio": 1.0,
        "weights_sha256": checkpoints.weights_hash(state),
    }
    return checkpoints.save(tmp_path / "upright.pt", content)


def test_predictions_fall_in_the_image_where_they_fell_in_the_crop(
    truth: SetSpec, weights: Path, models: BodyModels, tmp_path: Path
) -> None:
    result = evaluate(tmp_path / "run", "smpl", truth, models, checkpoint=weights)
    assert result.value("body", "MPJPE") > result.value("body", "PA-MPJPE") > 0
    hd = HumanData.open(Run(tmp_path / "run").predictions("smpl"))
    assert hd.passport.body_model == "smpl"
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
