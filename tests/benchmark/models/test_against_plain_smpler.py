"""SMPLer against its plain implementation, on numbers with which a fault shows."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from ehps.benchmark.models.outputs import SmplPrediction
from ehps.benchmark.models.smpler import SMPLer
from ehps.benchmark.models.unfilled import without_weights
from ehps.body.model_file import BodyModel
from ehps.body.models import BodyModels
from tests.benchmark.models import plain_backbones, plain_smpler, stage_agreement, visible_states
from tests.benchmark.models.plain_smpl import Stage

PERSONS = 2


@pytest.fixture(scope="module")
def smpl(models: BodyModels) -> BodyModel:
    return stage_agreement.bent_more(models.get("smpl", "neutral"))


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return visible_states.smpler_state("smpler")


@pytest.fixture(scope="module")
@torch.no_grad()
def maps(state: dict[str, Tensor]) -> list[Tensor]:
    return plain_backbones.hrnet(state, "backbone", plain_backbones.normalised(visible_states.images(PERSONS)))


@pytest.fixture(scope="module")
@torch.no_grad()
def expected(state: dict[str, Tensor], maps: list[Tensor], smpl: BodyModel) -> list[Stage]:
    return plain_smpler.refined(state, maps, stage_agreement.plain_arrays(smpl))


@pytest.fixture(scope="module")
@torch.no_grad()
def prediction(state: dict[str, Tensor], smpl: BodyModel) -> SmplPrediction:
    network = SMPLer(width=32, smpl=smpl).eval()
    network.load_state_dict(state, strict=True)
    return network(visible_states.images(PERSONS))


def test_all_stages_are_those_of_the_plain_implementation(prediction: SmplPrediction, expected: list[Stage]) -> None:
    stage_agreement.check_stages(prediction, expected)


class Given(nn.Module):
    """A trunk that is known already."""

    def __init__(self, maps: list[Tensor]) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, image: Tensor) -> list[Tensor]:
        return self.maps


@torch.no_grad()
def test_without_blocks_the_first_guess_is_the_answer(
    state: dict[str, Tensor], maps: list[Tensor], smpl: BodyModel
) -> None:
    kept = {key: value for key, value in state.items() if key.startswith(("backbone.", "SMPL_predictor."))}
    with without_weights():
        network = SMPLer(width=32, blocks=0).eval()
    network.load_state_dict(kept, strict=True, assign=True)
    network.backbone, network.smpl = Given(maps), nn.Identity()  # the body model is for blocks
    prediction = network(visible_states.images(PERSONS))
    stage_agreement.check_stages(prediction, plain_smpler.refined(kept, maps, stage_agreement.plain_arrays(smpl)))
    assert prediction.extras["stage_betas"].shape == (PERSONS, 1, 10)


def test_the_numbers_would_show_a_fault(expected: list[Stage]) -> None:
    """Every block turns every person and has windows cut by the border; no joint is so near a whole pixel that rounding
    moves its window."""
    for before, after in pairwise(expected):
        assert (stage_agreement.angles(before.rotmats, after.rotmats).mean(1) > 1).all()
    for looked in expected[:-1]:
        pixels = (looked.points + 1) / 2 * 55
        assert (pixels - pixels.round()).abs().min() > 1e-4
        assert ((pixels.floor() < 3) | (pixels.floor() > 51)).any()
    assert any((looked.points.abs() > 1).any() for looked in expected[:-1])
    assert stage_agreement.angles(expected[-1].rotmats[0], expected[-1].rotmats[1]).mean() > 1
