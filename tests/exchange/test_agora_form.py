"""AGORA's files as a form; their content is tested with the benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ehps.body.models import BodyModels
from ehps.errors import UsageError
from ehps.exchange import forms
from ehps.exchange.forms import Sources, Stated
from ehps.humandata import HumanData
from tests.exchange.sequences import moving


def test_people_come_back_as_they_were(models: BodyModels, tmp_path: Path) -> None:
    hd = moving(models, frames=2)
    names = [f"ag_{k}.png" for k in range(len(hd))]
    named = HumanData({**{name: hd[name] for name in hd.columns}, "image_path": names}, passport=hd.passport)
    done = forms.write(named, "agora", tmp_path / "out", Sources(body_models=models))
    assert sorted(done.files) == sorted((tmp_path / "out").glob("*.pkl"))
    assert "meta/track_id" in done.left_out[0]
    back, form = forms.read(tmp_path / "out", None, Stated())
    assert form.name == "agora"
    assert back["image_path"].tolist() == names
    for name in ("betas", "global_orient", "body_pose", "left_hand_pose", "jaw_pose", "expression", "transl"):
        np.testing.assert_allclose(back[f"smplx/{name}"], hd[f"smplx/{name}"], atol=1e-6)


def test_writing_needs_body_models(models: BodyModels, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--body-models"):
        forms.write(moving(models, frames=1), "agora", tmp_path, Sources())
