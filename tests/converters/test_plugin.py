"""The example of docs/adding_a_dataset.md works: a converter of another package, known by its entry point."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from ehps.cli import main
from ehps.converters import registry
from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.humandata import HumanData

PAGE = Path(__file__).parents[2] / "docs" / "adding_a_dataset.md"
VIEW = stage.PaintedView(120, 160, 150.0)
R, T = stage.FRONT, np.array([0.2, 0.5, 4.0])


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The page's module, installed as a distribution of its own."""
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert code is not None
    entry = re.search(r"\[options.entry_points\]\nehps.converters =\n    (.*)\n", PAGE.read_text())
    assert entry is not None
    site = tmp_path / "site"
    info = site / "lighthouse_ehps-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "lighthouse_ehps.py").write_text(code[1])
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lighthouse-ehps\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ehps.converters]\n{entry[1]}\n")
    return site


@pytest.fixture
def raw(tmp_path: Path, body_models: Path) -> tuple[Path, stage.Cast]:
    rng = np.random.default_rng(0)
    root = tmp_path / "lighthouse"
    image, pelvis = stage.places(rng, [1] * 4, VIEW)
    params = random_people(4, rng, gender="female", flat_hand_mean=True)
    params = params.with_(
        betas=np.repeat(params.betas[:1], 4, 0),
        leye_pose=np.zeros((4, 3)),
        reye_pose=np.zeros((4, 3)),
        expression=np.zeros((4, 10)),
    )
    cast = stage.cast(body_models, params, Rigid(R, T), image, pelvis, stage.orientations(rng, 4))
    (root / "fits").mkdir(parents=True)
    (root / "images" / "night").mkdir(parents=True)
    values = cast.params.arrays()
    order = ("global_orient", "body_pose", "jaw_pose", "leye_pose", "reye_pose", "left_hand_pose", "right_hand_pose")
    poses = np.concatenate([values[name].reshape(4, -1) for name in order], axis=1)
    np.savez(
        root / "fits" / "night.npz", poses=poses, trans=values["transl"], betas=values["betas"][0], gender="female"
    )
    (root / "camera.json").write_text(json.dumps({"K": VIEW.matrix.tolist(), "R": R.tolist(), "t": T.tolist()}))
    for i in range(4):
        cv2.imwrite(str(root / "images" / "night" / f"{i:05d}.jpg"), np.zeros((120, 160, 3), np.uint8))
    return root, cast


@pytest.fixture
def installed(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(package)
    registry._plugins.cache_clear()
    yield
    registry._plugins.cache_clear()
    sys.modules.pop("lighthouse_ehps", None)


@pytest.mark.usefixtures("installed")
def test_a_converter_of_another_package_is_listed_and_converts(
    raw: tuple[Path, stage.Cast], body_models: Path, tmp_path: Path
) -> None:
    root, cast = raw
    told = CliRunner().invoke(main, ["datasets", "--json"])
    assert {row["id"]: row["converts"] for row in json.loads(told.stdout)}["lighthouse"] == "yes"
    out = tmp_path / "lighthouse.h5"
    words = ["convert", "lighthouse", str(root), "--out", str(out), "--body-models", str(body_models)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    hd = HumanData.open(out)
    assert hd["image_path"].tolist() == [f"images/night/{i:05d}.jpg" for i in range(4)]
    np.testing.assert_allclose(hd["keypoints3d_smplx"][:, :127, :3], cast.joints[:, :127], atol=1e-3)
