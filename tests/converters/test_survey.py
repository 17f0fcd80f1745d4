"""What `ehps doctor DISK` finds: complete, partial and mistaken downloads under folder names of the users' own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ehps.cli import main
from ehps.converters import registry
from ehps.converters.survey import Finding, survey
from ehps.errors import DataError


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    touch(tmp_path / "3dpw_download", "imageFiles/a/image_00000.jpg", "sequenceFiles/test/a.pkl")
    touch(tmp_path / "syn" / "b1", "training_labels/all_npz_12_training/", "training_images/")
    touch(tmp_path / "EgoBody", "data_splits.csv", "data_info_release.csv", "calibrations/", "egocentric_color/")
    touch(tmp_path / "shapes", "smplx_labels_with_vertices.npz")
    touch(tmp_path / "RICH", "RICH_train.zip")
    touch(tmp_path / "holiday", "images/beach.jpg", "train/", "data/notes.txt")
    return tmp_path


def found(disk: Path) -> dict[str, Finding]:
    return {finding.card.id: finding for finding in survey(disk)}


def test_every_dataset_gets_one_finding(disk: Path) -> None:
    assert list(found(disk)) == [card.id for card in registry.cards()]


def test_a_complete_split_is_found_under_any_folder_name(disk: Path) -> None:
    pw3d = found(disk)["pw3d"]
    assert (pw3d.state, pw3d.folder, pw3d.splits) == ("found", disk / "3dpw_download", ["test"])
    assert pw3d.command == f"ehps convert pw3d {disk / '3dpw_download'} --split test --out pw3d_test.h5"
    bedlam = found(disk)["bedlam"]
    assert (bedlam.state, bedlam.folder, bedlam.splits) == ("found", disk / "syn" / "b1", ["train"])


def test_a_partial_download_says_what_is_missing(disk: Path) -> None:
    ego = found(disk)["egobody_ego"]
    assert ego.state == "partial"
    assert ego.missing == ["smplx_interactee_train"]
    assert ego.command == ""


def test_a_mistaken_release_is_named(disk: Path) -> None:
    ssp3d = found(disk)["ssp3d"]
    assert ssp3d.state == "wrong variant"
    assert "ssp_3d.zip" in ssp3d.note


def test_archives_that_nobody_unpacked_are_named(disk: Path) -> None:
    rich = found(disk)["rich"]
    assert rich.state == "partial"
    assert rich.note == "still packed: RICH_train.zip"


def test_common_folder_names_speak_for_no_dataset(disk: Path) -> None:
    states = {name: finding.state for name, finding in found(disk).items()}
    assert {name for name, state in states.items() if state != "absent"} == {
        "pw3d", "bedlam", "egobody_ego", "egobody_kinect", "ssp3d", "rich",
    }  # fmt: skip


def test_size_and_time_come_from_the_published_count(disk: Path) -> None:
    assert found(disk)["bedlam"].expected == "6.3 GB, 3 min a core"


def test_a_missing_disk_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        survey(tmp_path / "nowhere")


def test_the_command_prints_what_to_run_and_where_to_register(disk: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", str(disk)])
    assert result.exit_code == 0
    assert "ehps convert pw3d" in result.stdout
    assert "egobody_ego: register at egobody.inf.ethz.ch" in result.stdout
    assert "https://arctic.is.tue.mpg.de" in result.stdout
    rows = json.loads(CliRunner().invoke(main, ["doctor", str(disk), "--json"]).stdout)
    assert {row["dataset"]: row["state"] for row in rows}["ssp3d"] == "wrong variant"
