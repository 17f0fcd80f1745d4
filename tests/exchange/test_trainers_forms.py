"""The forms of trainers and of the hub, from the command line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from ehps.cli import main
from ehps.humandata.core import HumanData
from tests.exchange.people import same, smpl_people


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    hd = smpl_people(5)
    for name in set(hd["image_path"]):
        (folder / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name), np.zeros((480, 640, 3), np.uint8))
    return hd.save(folder / "people.h5")


def run(*words: object) -> str:
    result = CliRunner().invoke(main, ["humandata", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("form", ["hmr-tars", "parquet", "camerahmr", "hmr2", "tokenhmr", "prompthmr"])
def test_a_file_goes_out_and_comes_back(form: str, people: Path, tmp_path: Path) -> None:
    packs = form in ("hmr-tars", "parquet")
    out = tmp_path / ("out" if packs else "out.npz")
    run("export", people, "--for", form, "--out", out, *(["--images", people.parent] if packs else []))
    stated = ["--gender", "neutral"] if form in ("hmr2", "tokenhmr") else []
    run(
        "import",
        out,
        "--out",
        tmp_path / "back.h5",
        "--images",
        tmp_path / "images" if packs else people.parent,
        *stated,
    )
    back = HumanData.open(tmp_path / "back.h5")
    for name in ("smpl/betas", "smpl/global_orient", "smpl/body_pose"):
        same(back[name], smpl_people(5)[name])
    assert list(back["image_path"]) == list(smpl_people(5)["image_path"])


def test_metadata_of_a_file(people: Path, tmp_path: Path) -> None:
    run("export", people, "--for", "croissant", "--out", tmp_path / "croissant.json")
    assert "people.h5" in (tmp_path / "croissant.json").read_text()


def test_files_of_a_folder_are_replaced_only_when_that_is_said(people: Path, tmp_path: Path) -> None:
    line = ("export", people, "--for", "hmr2", "--out", tmp_path / "out")
    run(*line)
    before = (tmp_path / "out" / "hmr2.npz").stat().st_ino
    refused = CliRunner().invoke(main, ["humandata", *map(str, line)])
    assert refused.exit_code == 2
    assert "is there already and is not empty" in refused.stderr
    assert (tmp_path / "out" / "hmr2.npz").stat().st_ino == before
    run(*line, "--overwrite")
    assert (tmp_path / "out" / "hmr2.npz").stat().st_ino != before
