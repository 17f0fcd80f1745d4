"""What `ehps doctor DISK` proposes and `ehps convert --all DISK` does: conversions that succeed, one after another."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ehps.cli import main
from ehps.converters.disk_survey import Finding, survey
from ehps.converters.pipeline.whole_disk import findings_on, plan, splits_of
from ehps.converters.registry import card
from ehps.humandata import HumanData
from tests.raw.trees import Raw


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def doctor(disk: Path, *words: str | Path) -> dict[str, Any]:
    result = call("doctor", disk, *words, "--json")
    assert result.exit_code == 0, result.output
    return {row["dataset"]: row for row in json.loads(result.stdout)}


@pytest.fixture
def disk(raw_trees: Callable[[str], Raw], tmp_path: Path) -> Path:
    """3DPW as it is, under a name that a shell takes apart."""
    shutil.copytree(raw_trees("pw3d").root, tmp_path / "my disk" / "3DPW")
    return tmp_path / "my disk"


def test_a_proposed_command_carries_the_body_models_and_succeeds(
    disk: Path, tmp_path: Path, body_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    row = doctor(disk, "--body-models", body_models)["pw3d"]
    assert row["obstacles"] == []
    assert [shlex.split(command)[5] for command in row["commands"]] == ["train"]
    for command in row["commands"]:
        words = shlex.split(command)
        assert words[:4] == ["ehps", "convert", "pw3d", str(disk / "3DPW")]
        assert words[-2:] == ["--body-models", str(body_models)]
        result = call(*words[1:])
        assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.glob("*.h5")} == {"pw3d_train.h5"}


def test_the_splits_that_are_trained_on_and_tested_on() -> None:
    def used(dataset: str) -> list[str]:
        return splits_of(Finding(card(dataset), "found", Path(), list(card(dataset).splits)))

    assert used("agora") == ["train", "validation"]
    assert used("ubody") == ["train", "test"]
    assert used("ehf") == ["val"]
    assert used("emdb") == ["emdb1", "emdb2"]
    assert used("rich") == ["train", "test"]
    assert used("up3d") == ["trainval"]
    assert used("crowdpose") == ["train"]
    assert splits_of(Finding(card("mscoco"), "found", Path(), ["val"])) == ["val"]


def test_images_that_are_not_there_are_said_and_their_archive_named(disk: Path, body_models: Path) -> None:
    images = sorted((disk / "3DPW/imageFiles").rglob("*.jpg"))
    images[0].unlink()
    notes = [planned.note for planned in plan(survey(disk), body_models) if planned.command]
    lost = images[0].relative_to(disk / "3DPW").as_posix()
    assert [note for note in notes if f"images that were looked for are not there, {lost} for one" in note]
    for image in images[1:]:
        image.unlink()
    (disk / "3DPW/pictures.zip").touch()
    row = doctor(disk)["pw3d"]
    assert row["commands"] == []
    assert all("no image is there, imageFiles/" in said for said in row["obstacles"])
    assert all("still packed: pictures.zip" in said for said in row["obstacles"])
    text = call("doctor", disk).stdout
    assert "ehps convert" not in text
    assert "no image is there" in text


def test_clips_in_folders_of_their_own_name_are_no_mistake_where_labels_have_them_so(
    raw_trees: Callable[[str], Raw], tmp_path: Path
) -> None:
    root = Path(shutil.copytree(raw_trees("ubody").root, tmp_path / "disk/UBody"))
    images = {path for path in (root / "images").rglob("*") if path.is_file()}
    assert images
    (found,) = [finding for finding in findings_on(tmp_path / "disk") if finding.card.id == "ubody"]
    assert found.state == "found"
    (root / "images").rename(root / "inner")
    (root / "images").mkdir()
    (root / "inner").rename(root / "images/images")
    (found,) = [finding for finding in findings_on(tmp_path / "disk") if finding.card.id == "ubody"]
    assert (found.state, "one folder too deep" in found.note) == ("partial", True)


def test_body_models_that_are_needed_and_absent_are_said(disk: Path, tmp_path: Path) -> None:
    assert "without smpl models" in doctor(disk)["pw3d"]["notes"][0]
    assert "--body-models" not in doctor(disk)["pw3d"]["commands"][0]
    (tmp_path / "empty").mkdir()
    row = doctor(disk, "--body-models", tmp_path / "empty")["pw3d"]
    assert row["commands"] == []
    assert "SMPL" in row["obstacles"][0]


def test_all_that_lies_on_a_disk_is_converted_once(
    disk: Path, raw_trees: Callable[[str], Raw], tmp_path: Path, body_models: Path
) -> None:
    shutil.copytree(raw_trees("ssp3d").root, disk / "SSP3D")
    labels = disk / "SSP3D/labels.npz"
    words = ["convert", "--all", disk, "--out", tmp_path / "made" / "here", "--body-models", body_models]
    first = call(*words, "--json")
    assert first.exit_code == 0, first.output
    rows = {row["file"]: row for row in json.loads(first.stdout)}
    assert {name: row["state"] for name, row in rows.items()} == dict.fromkeys(rows, "converted")
    for name, row in rows.items():
        assert len(HumanData.open(tmp_path / "made/here" / name)) == row["rows"]
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "made/here").glob("*.h5")}
    labels.write_bytes(labels.read_bytes()[:200])
    again = call(*words, "--json")
    assert again.exit_code == 1
    states = {row["file"]: row["state"] for row in json.loads(again.stdout)}
    assert [states.pop(f"ssp3d_{split}.h5") for split in ("train", "test")] == ["failed", "failed"]
    assert set(states.values()) == {"current"}
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "made/here").glob("*.h5")} == times


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("pw3d", "--out", "x"), "is for one dataset"),
        (("--out", "x.h5"), "is no folder"),
        (("--out", "x", "--skip-bad"), "--all takes --out"),
    ],
)
def test_what_is_for_one_dataset_is_refused_for_a_disk(disk: Path, words: tuple[str, ...], says: str) -> None:
    result = call("convert", "--all", disk, *words)
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_disk_without_datasets_says_so(tmp_path: Path) -> None:
    result = call("convert", "--all", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "nothing on" in result.stdout
