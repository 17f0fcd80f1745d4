"""PyMAF against its plain implementation, on numbers with which a fault shows."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from ehps.benchmark.models.outputs import SmplPrediction
from ehps.benchmark.models.pymaf import PyMAF
from ehps.body.model_file import BodyModel
from ehps.body.models import BodyModels
from tests.benchmark.models import plain_pymaf, stage_agreement, visible_states
from tests.benchmark.models.plain_smpl import Stage

PERSONS = 3  # as many as axes: what mixes up the two fails


@pytest.fixture(scope="module")
def smpl(models: BodyModels) -> BodyModel:
    return stage_agreement.bent_more(models.get("smpl", "neutral"))


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return visible_states.pymaf_state()


@pytest.fixture(scope="module")
@torch.no_grad()
def expected(state: dict[str, Tensor], smpl: BodyModel) -> list[Stage]:
    return plain_pymaf.forward(state, visible_states.images(PERSONS), stage_agreement.plain_arrays(smpl))


@pytest.fixture(scope="module")
@torch.no_grad()
def prediction(state: dict[str, Tensor], smpl: BodyModel) -> SmplPrediction:
    network = PyMAF(smpl=smpl).eval()
    network.load_state_dict(state, strict=True)
    return network(visible_states.images(PERSONS))


def test_all_stages_are_those_of_the_plain_implementation(prediction: SmplPrediction, expected: list[Stage]) -> None:
    stage_agreement.check_stages(prediction, expected)


def test_a_new_network_samples_the_grid_with_x_slowest() -> None:
    ours = PyMAF(smpl=None).points_grid
    torch.testing.assert_close(ours, plain_pymaf.grid_points().T[None])


def test_the_numbers_would_show_a_fault(expected: list[Stage]) -> None:
    """Every step turns every person, and looks beyond the edge of the map."""
    for before, after in pairwise(expected):
        assert (stage_agreement.angles(before.rotmats, after.rotmats).mean(1) > 1).all()
    for looked in expected[1:3]:
        outside = (looked.points.abs() > 1).any(-1).float().mean()
        assert 0.01 < outside < 0.5
    assert stage_agreement.angles(expected[-1].rotmats[0], expected[-1].rotmats[1]).mean() > 1
