"""SMPLer-X and SMPLest-X give what the networks written out from their description give.

S runs whole; of the larger ones as many blocks as a test has time for, all with EHPS_LARGE_MODELS.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from ehps.benchmark.models.outputs import Prediction
from ehps.benchmark.models.smpler_x import SmplerX
from ehps.benchmark.models.smplest_x import SmplestX
from tests.benchmark.models import plain_smpler_x, plain_smplest_x
from tests.benchmark.models.comparing import beyond
from tests.benchmark.models.telling_states import State, images, smpler_x_state, smplest_x_state

PARAMETERS = (
    "global_orient",
    "body_pose",
    "left_hand_pose",
    "right_hand_pose",
    "jaw_pose",
    "betas",
    "expression",
    "cam_trans",
)
large = pytest.mark.skipif(
    "EHPS_LARGE_MODELS" not in os.environ, reason="minutes and 8 GB of memory: set EHPS_LARGE_MODELS=1 to run it"
)


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def outputs(prediction: Prediction) -> dict[str, Tensor]:
    return {name: getattr(prediction, name) for name in PARAMETERS} | prediction.extras


def loaded(network: nn.Module, state: State, blocks: int | None = None, layers: int | None = None) -> nn.Module:
    """A network with these tensors and no others, made shorter to the first blocks and decoder layers."""
    network.encoder.blocks = network.encoder.blocks[:blocks]
    if layers is not None:
        stack = network.decoder.transformer.transformer
        stack.layers = stack.layers[:layers]
    network.load_state_dict(state, strict=True, assign=True)
    return network.eval()


def with_constants(network: nn.Module, other: nn.Module) -> nn.Module:
    """Index grids and the like, which no file holds, of a network on the meta device: those of one on the CPU."""
    for name, buffer in list(network.named_buffers()):
        if buffer.is_meta:
            owner, _, last = name.rpartition(".")
            setattr(network.get_submodule(owner), last, other.get_buffer(name))
    return network


def smpler_x(size: str, state: State, constants: nn.Module, blocks: int | None = None) -> nn.Module:
    with torch.device("meta"):
        network = SmplerX(size)
    return with_constants(loaded(network, state, blocks), constants)


def smplest_x(state: State, constants: nn.Module, blocks: int | None = None, layers: int | None = None) -> nn.Module:
    with torch.device("meta"):
        network = SmplestX()
    return with_constants(loaded(network, state, blocks, layers), constants)


@pytest.fixture(scope="module")
def s_state() -> State:
    return smpler_x_state("smpler_x_s")


@pytest.fixture(scope="module")
def s_network(s_state: State) -> nn.Module:
    return loaded(SmplerX("s"), s_state)


@pytest.fixture(scope="module")
def s_outputs(s_state: State) -> dict[str, Tensor]:
    return plain_smpler_x.forward(s_state, images(3), "s")


@pytest.mark.parametrize("rows", [slice(0, 1), slice(1, 3), slice(0, 3)], ids=["one", "two", "three"])
def test_s_agrees_for_a_batch_of(rows: slice, s_network: nn.Module, s_outputs: dict[str, Tensor]) -> None:
    expected = {name: value[rows] for name, value in s_outputs.items()}
    assert beyond(outputs(s_network(images(3)[rows])), expected) == {}


@pytest.mark.parametrize(("size", "extreme_boxes"), [("b", True), ("l", False), ("h", False)])
def test_larger_sizes_with_one_block_agree(size: str, extreme_boxes: bool, s_network: nn.Module) -> None:
    state = smpler_x_state(f"smpler_x_{size}", blocks=1, extreme_boxes=extreme_boxes)
    found = smpler_x(size, state, s_network, blocks=1)(images(1))
    assert beyond(outputs(found), plain_smpler_x.forward(state, images(1), size)) == {}


def test_smplest_x_with_one_block_and_two_layers_agrees(s_network: nn.Module) -> None:
    state = smplest_x_state(blocks=1, layers=2)
    found = smplest_x(state, s_network, blocks=1, layers=2)(images(3))
    assert beyond(outputs(found), plain_smplest_x.forward(state, images(3))) == {}


@large
@pytest.mark.parametrize(("size", "batch"), [("b", 2), ("l", 2), ("h", 1)])
def test_a_whole_larger_size_agrees(size: str, batch: int, s_network: nn.Module) -> None:
    state = smpler_x_state(f"smpler_x_{size}")
    found = smpler_x(size, state, s_network)(images(batch))
    assert beyond(outputs(found), plain_smpler_x.forward(state, images(batch), size)) == {}


@large
def test_the_whole_smplest_x_agrees(s_network: nn.Module) -> None:
    state = smplest_x_state()
    found = smplest_x(state, s_network)(images(1))
    assert beyond(outputs(found), plain_smplest_x.forward(state, images(1))) == {}
