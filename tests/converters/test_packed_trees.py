"""Trees with zip archives in the place of folders of images, at any level, convert as those whose images are files."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ehps.converters import layout, registry
from ehps.converters.base import Instances
from ehps.converters.disk_survey import survey
from ehps.converters.pipeline.whole_disk import plan
from ehps.converters.readers.images import ImageIndex
from ehps.humandata import HumanData
from tests.raw.fixtures import FIXTURES
from tests.raw.trees import Raw, read, run

pytestmark = pytest.mark.usefixtures("parts_stay_in_memory")

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp"}
MASKS = "_segmentation.png"  # labels, not images
DEEPEST = 9
BY_FOLDER = ("bedlam", "egobody_kinect", "harmony4d", "mtp", "muco", "posetrack", "synbody", "whac_a_mole")
"""Datasets whose converters ask for folders of images, which may all be in one archive."""


def pack_images(root: Path, deepest: int) -> None:
    """Move the images of every folder to an archive in its place, or in that of a folder above it: that of the first
    to one in the root, that of the next to one a level deeper, and so on down to ``deepest``, and again."""
    folders: dict[Path, list[Path]] = {}
    images = (path for path in root.rglob("*") if path.suffix in ENDINGS and not path.name.endswith(MASKS))
    for path in sorted(path for path in images if path.parent != root):
        folders.setdefault(path.parent, []).append(path)
    packed: dict[Path, list[Path]] = {}
    for k, (folder, images) in enumerate(folders.items()):
        parts = folder.relative_to(root).parts
        packed.setdefault(root.joinpath(*parts[: 1 + k % min(len(parts), deepest)]), []).extend(images)
    for place, images in packed.items():
        archive = place.with_name(f"{place.name}.zip")
        if archive.exists():  # the tree's own
            continue
        with zipfile.ZipFile(archive, "w") as file:
            for image in images:
                file.write(image, image.relative_to(place).as_posix())
                image.unlink()
    for path in sorted({above for folder in folders for above in (folder, *folder.parents)}, reverse=True):
        if path.is_relative_to(root) and not any(path.iterdir()):
            path.rmdir()


def told(root: Path, units: Sequence[Instances]) -> list[object]:
    """What was read, as far as images decide it."""
    index = ImageIndex(root)
    return [(unit.image_path, unit.dropped, index.missing(unit.image_path)) for unit in units]


@pytest.mark.parametrize(
    ("dataset", "deepest"), [*((name, DEEPEST) for name in sorted(FIXTURES)), *((name, 1) for name in BY_FOLDER)]
)
def test_images_in_archives_at_any_level_are_found_as_files(
    dataset: str, deepest: int, raw_trees: Callable[[str], Raw], tmp_path: Path
) -> None:
    raw, card = raw_trees(dataset), registry.card(dataset)
    root = raw.linked(tmp_path)
    pack_images(root, deepest)
    layout.forget()
    assert layout.missing(card, root, card.default_split) == []
    assert told(root, read(dataset, root)) == told(raw.root, raw.rows)


def test_images_in_archives_are_converted_as_files(raw_trees: Callable[[str], Raw], tmp_path: Path) -> None:
    raw = raw_trees("synbody")
    hd, report = raw.without_models()
    root = raw.linked(tmp_path)
    pack_images(root, DEEPEST)
    packed = run("synbody", root, tmp_path / "x.h5", None)
    assert (packed.written, packed.dropped) == (report.written, report.dropped)
    assert HumanData.open(tmp_path / "x.h5")["image_path"].tolist() == hd["image_path"].tolist()


@pytest.mark.parametrize("dataset", ["mpii", "ssp3d"])
def test_the_survey_of_a_disk_counts_images_in_archives(
    dataset: str, raw_trees: Callable[[str], Raw], tmp_path: Path
) -> None:
    root = raw_trees(dataset).linked(tmp_path)
    pack_images(root, DEEPEST)
    (found,) = [finding for finding in survey(root) if finding.card.id == dataset]
    assert found.state == "found"
    (planned,) = [one for one in plan([found], None) if one.split == found.card.default_split]
    assert not planned.damaged
    assert "no image is there" not in planned.obstacle
