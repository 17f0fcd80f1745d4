import numpy as np
import pytest
import torch

from ehps.benchmark import models as networks
from ehps.benchmark.training import checkpoints, encoder_features
from ehps.errors import DataError


@pytest.fixture
def checkpoint(tmp_path):
    arguments = {"width": 32, "depth": 1, "heads": 2}
    torch.manual_seed(0)
    state = networks.build("tiny", **arguments).state_dict()
    content = {"model": {"name": "tiny", "args": arguments}, "state": state, "box_ratio": 1.0}
    return checkpoints.save(tmp_path / "last.pt", {**content, "weights_sha256": checkpoints.weights_hash(state)})


def test_image_features_are_the_mean_of_what_the_encoder_ends_with(checkpoint):
    crops = np.random.default_rng(0).integers(0, 255, (3, 256, 192, 3), dtype=np.uint8)
    found = encoder_features.of(checkpoint)(crops)
    net, _ = checkpoints.load_model(checkpoint)
    seen = []
    net.norm.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.inference_mode():
        net(encoder_features.prepared(crops, net.input_size))
    np.testing.assert_allclose(found, seen[0].mean(dim=1), rtol=1e-5)
    assert found.shape == (3, 32)
    np.testing.assert_allclose(encoder_features.of(checkpoint)(crops[1:]), found[1:], atol=1e-5)


def test_crops_are_padded_not_stretched():
    crops = np.full((1, 256, 192, 3), 255, np.uint8)
    assert encoder_features.prepared(crops, (128, 96)).min() == pytest.approx(1)
    square = encoder_features.prepared(crops, (224, 224))[0, 0]
    assert square.shape == (224, 224)
    assert square[:, 112].min() == pytest.approx(1)
    assert square[112, [0, 27, 196, 223]].max() < 0.1
    assert square[112, [30, 193]].min() > 0.9


def test_maps_and_tokens_are_pooled_to_one_row_a_crop():
    maps = torch.arange(24.0).reshape(2, 3, 2, 2)
    np.testing.assert_allclose(encoder_features.pooled([maps[:, :1], maps]), maps.mean(dim=(2, 3)))
    tokens = torch.arange(24.0).reshape(2, 4, 3)
    np.testing.assert_allclose(encoder_features.pooled((maps, tokens)), tokens.mean(dim=1))


def test_what_is_no_network_is_refused(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"no")
    with pytest.raises(DataError, match=r"x\.pt"):
        encoder_features.of(tmp_path / "x.pt")
