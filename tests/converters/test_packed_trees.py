"""Trees whose folders of images are zip archives convert as those whose images are files."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ehps.converters import layout, registry
from ehps.converters.disk_survey import survey
from ehps.converters.pipeline.whole_disk import plan
from ehps.humandata import HumanData
from tests.raw.trees import Raw, run

pytestmark = pytest.mark.usefixtures("parts_stay_in_memory")

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp"}
DATASETS = (
    "agora",
    "arctic",
    "bedlam",
    "egobody_kinect",
    "mpii",
    "mscoco",
    "mtp",
    "prox",
    "rich",
    "ssp3d",
    "synbody",
    "talkshow",
)


def pack_images(root: Path) -> None:
    """Put an archive in the place of every folder that holds nothing but images."""
    folders = {path.parent for path in root.rglob("*") if path.suffix in ENDINGS} - {root}
    packed = [folder for folder in folders if not any(path.is_dir() for path in folder.iterdir())]
    assert packed
    for folder in packed:
        with zipfile.ZipFile(folder.with_name(f"{folder.name}.zip"), "w") as archive:
            for path in folder.iterdir():
                archive.write(path, path.name)
        shutil.rmtree(folder)


@pytest.mark.parametrize("dataset", DATASETS)
def test_images_in_archives_are_converted_as_files(
    dataset: str, raw_trees: Callable[[str], Raw], tmp_path: Path
) -> None:
    raw = raw_trees(dataset)
    hd, report = raw.without_models()
    root = raw.linked(tmp_path)
    pack_images(root)
    card = registry.card(dataset)
    layout.forget()
    assert layout.missing(card, root, card.default_split) == []
    packed = run(dataset, root, tmp_path / "x.h5", None)
    assert (packed.written, packed.dropped) == (report.written, report.dropped)
    assert HumanData.open(tmp_path / "x.h5")["image_path"].tolist() == hd["image_path"].tolist()


@pytest.mark.parametrize("dataset", ["moyo", "mpii", "ssp3d"])
def test_the_survey_of_a_disk_counts_images_in_archives(
    dataset: str, raw_trees: Callable[[str], Raw], tmp_path: Path
) -> None:
    root = raw_trees(dataset).linked(tmp_path)
    pack_images(root)
    (found,) = [finding for finding in survey(root) if finding.card.id == dataset]
    assert found.state == "found"
    (planned,) = [one for one in plan([found], None) if one.split == found.card.default_split]
    assert not planned.damaged
    assert "no image is there" not in planned.obstacle
