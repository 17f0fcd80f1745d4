"""Meshes made block by block."""

import numpy as np
import pytest

from ehps.body import meshes
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smpl_params


def people(count: int, gender: str | list[str]) -> BodyParams:
    rng = np.random.default_rng(0)
    pose = rng.normal(scale=0.4, size=(count, 24, 3))
    return smpl_params(gender=gender, betas=rng.normal(size=(count, 10)), pose=pose, transl=rng.normal(size=(count, 3)))


def test_the_size_of_blocks_changes_no_vertex(models: BodyModels, monkeypatch: pytest.MonkeyPatch) -> None:
    params, model = people(3, "neutral"), models.get("smpl", "neutral")
    some, every = np.arange(0, 6890, 31), meshes.vertices(model, params)
    monkeypatch.setattr(meshes, "BLOCK", 50)
    monkeypatch.setattr(meshes, "_skins", type(meshes._skins)())  # blocks are kept with the model
    np.testing.assert_allclose(meshes.vertices(model, params, ids=some), every[:, some], atol=1e-6)
    blocks = next(iter(meshes._skins[model].values())).blocks
    assert [len(range(len(some))[block.vertices]) for block in blocks] == [50, 50, 50, 50, 23]
    assert max(len(block.joints) for block in blocks) < 24  # those alone that move a vertex of the block


def test_people_of_one_model_and_of_several_have_the_same_vertices(models: BodyModels) -> None:
    mixed, ids = models.mesh(people(3, ["male", "neutral", "male"]), ids=np.arange(9)), np.arange(9)
    np.testing.assert_allclose(mixed[1:2], models.mesh(people(3, "neutral")[1:2], ids=ids), atol=1e-6)
    np.testing.assert_allclose(mixed[[0, 2]], models.mesh(people(3, "male"), ids=ids)[[0, 2]], atol=1e-6)
