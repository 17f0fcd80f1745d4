"""What every converter makes of images that are not those that were labelled; headers are changed, not files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ehps.converters import registry
from ehps.converters.base import Instances
from ehps.converters.pipeline.completion import Completed
from ehps.converters.pipeline.image_sizes import TURNED, UNREADABLE
from ehps.converters.readers import images
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.image_files import header as read_header
from ehps.humandata.image_headers import Header
from tests.raw.trees import Raw, completed, read

DATASETS = [card.id for card in registry.cards() if registry.available(card.id)]
NOWHERE_STATED = {"lspet", "moyo", "mtp", "posetrack", "up3d"}  # the size of the image that was labelled
POINTS_DECIDE = NOWHERE_STATED | {"crowdpose"}  # whether labels are for the stored or the turned image
CAMERA = ("focal_length", "principal_point")
BORDER = 0.6  # pixels that half of an odd height leaves

AsTheyAre = dict[tuple[str, int], Completed]  # by dataset and the unit's place in its tree


class Images:
    """The images of a raw tree with other headers; those of videos are made of nothing."""

    def __init__(self, raw: Raw, frames: Path, monkeypatch: pytest.MonkeyPatch, completed_once: AsTheyAre) -> None:
        self.raw, self.frames, self.monkeypatch, self.completed_once = raw, frames, monkeypatch, completed_once
        self.sizes: dict[Path, tuple[int, int]] = {}
        units = [unit for unit in raw.rows if len(unit)]
        if hasattr(registry.converter(raw.dataset), "extract_frames"):
            for unit in units:
                size = np.broadcast_to(np.asarray(unit.size), (len(unit), 2)).tolist()
                for path, (height, width) in zip(unit.image_path, size, strict=True):
                    self._stand_in(path, height, width)

    def _stand_in(self, path: str, height: int, width: int) -> None:
        where = self.frames / path
        if where not in self.sizes and not (self.raw.root / path).exists():
            where.parent.mkdir(parents=True, exist_ok=True)
            where.touch()
            self.sizes[where] = height, width

    def are_there(self, path: str) -> bool:
        return self.frames / path in self.sizes or (self.raw.root / path).is_file()

    def as_they_are(self, path: Path) -> Header:
        return Header(*self.sizes[path]) if path in self.sizes else read_header(path)

    def completed(
        self, change: Callable[[Path, Header], Header], units: Sequence[Instances], *, strict: bool = False
    ) -> Iterator[tuple[Completed, Completed | DataError]]:
        """Each unit with the images as they are, and with the changed ones."""
        raw, frames = self.raw, self.frames
        for place, (old, new) in enumerate(zip(raw.rows, units, strict=True)):
            if not len(old):
                continue
            before = self._as_it_is(place, old)
            self.monkeypatch.setattr(images, "read_header", lambda path: change(path, self.as_they_are(path)))
            try:
                (after,) = completed(raw.dataset, raw.root, [new], frames=frames, strict_images=strict)
                yield before, after
            except DataError as error:
                yield before, error

    def _as_it_is(self, place: int, unit: Instances) -> Completed:
        key = self.raw.dataset, place
        if key not in self.completed_once:
            self.monkeypatch.setattr(images, "read_header", self.as_they_are)
            (self.completed_once[key],) = completed(self.raw.dataset, self.raw.root, [unit], frames=self.frames)
        return self.completed_once[key]

    def read(self, change: Callable[[Path, Header], Header]) -> list[Instances]:
        self.monkeypatch.setattr(images, "read_header", lambda path: change(path, self.as_they_are(path)))
        return read(self.raw.dataset, self.raw.root)


@pytest.fixture(scope="module")
def completed_once() -> AsTheyAre:
    """Units with the images of their trees, which are the same for all tests."""
    return {}


@pytest.fixture(params=DATASETS)
def stored(
    request: pytest.FixtureRequest,
    raw_trees: Callable[[str], Raw],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    completed_once: AsTheyAre,
) -> Images:
    return Images(raw_trees(request.param), tmp_path, monkeypatch, completed_once)


def halved(path: Path, header: Header) -> Header:
    return replace(header, height=header.height // 2, width=header.width // 2)


def cropped(path: Path, header: Header) -> Header:
    return replace(header, width=header.width * 4 // 5)


def turned(path: Path, header: Header) -> Header:
    return replace(header, height=header.width, width=header.height, orientation=6)


def test_labels_are_scaled_to_images_at_half_size(stored: Images) -> None:
    seen = 0
    in_pixels = {name for unit in stored.raw.rows for name in unit.meta_in_pixels}
    for before, after in stored.completed(halved, stored.read(halved)):
        if stored.raw.dataset in NOWHERE_STATED:
            assert isinstance(after, DataError)
            assert "images are smaller than those that were labelled" in after.what
            seen += 1
        elif before.data is not None:
            assert isinstance(after, Completed)
            assert after.data is not None
            assert_scaled(before.data, after.data, in_pixels)
            assert [count for what, count in after.account.counts.items() if "another size" in what] == [
                len(after.data)
            ]
            seen += 1
    assert seen


def assert_scaled(before: HumanData, after: HumanData, in_pixels: set[str]) -> None:
    """Camera, points and boxes of ``after`` are half of those of ``before``, and the rest is the same."""
    assert after["image_path"].tolist() == before["image_path"].tolist()
    shrunk = before["meta/image_scale"] if "meta/image_scale" in before.columns else np.ones(len(before))
    np.testing.assert_allclose(after["meta/image_scale"], 0.5 * shrunk)
    for name in ("meta/height", "meta/width"):
        assert (after[name] == before[name] // 2).all()
    for name in before.columns:
        column = name.rpartition("/")[2]
        if name.startswith("quality/") or name in ("meta/height", "meta/width", "meta/image_scale"):
            continue
        wanted, there, tolerance = np.array(before[name]), np.array(after[name]), 1e-3
        if wanted.dtype.kind != "f":
            assert there.tolist() == wanted.tolist()
            continue
        if "keypoints2d" in name:
            wanted[..., :2] *= 0.5
        elif name.endswith("_xywh"):
            wanted[:, :4] *= 0.5
            tolerance = BORDER
        elif name.startswith("meta/") and column in {*CAMERA, *in_pixels}:
            wanted *= 0.5
        np.testing.assert_allclose(there, wanted, rtol=1e-5, atol=tolerance, err_msg=name)


def test_images_of_another_aspect_are_refused(stored: Images) -> None:
    if stored.raw.dataset in NOWHERE_STATED:
        pytest.skip("nothing says the aspect of all that were labelled")
    results = list(stored.completed(cropped, stored.read(cropped)))
    assert results
    for _, after in results:
        assert isinstance(after, DataError)
        assert "rows are of images that are not those that were labelled" in after.what
        assert " pixels, its labels are for " in after.what


def test_images_stored_turned_are_dropped(stored: Images) -> None:
    for before, after in stored.completed(turned, stored.read(turned)):
        if before.data is None:
            continue
        if isinstance(after, DataError):
            assert "rows are of images that are not those that were labelled" in after.what
            continue
        kept = 0 if after.data is None else len(after.data)
        square = int((before.data["meta/height"] == before.data["meta/width"]).sum())
        assert kept == square or (kept > square and stored.raw.dataset in POINTS_DECIDE)
        reasons = after.account.dropped.keys() - before.account.dropped.keys()
        said = "image is stored turned (EXIF orientation 6), its labels are for it upright" in reasons
        assert said or kept == len(before.data)
        assert not kept or TURNED in after.account.counts


def test_an_image_that_cannot_be_read_costs_its_rows(stored: Images) -> None:
    units = [[path for path in unit.image_path if stored.are_there(path)] for unit in stored.raw.rows if len(unit)]
    first = tuple({paths[0] for paths in units if paths})  # of others the images are in archives

    def broken(path: Path, header: Header) -> Header:
        return Header(unreadable="has 0 bytes") if path.as_posix().endswith(first) else header

    for paths, (before, after) in zip(units, stored.completed(broken, stored.raw.rows), strict=True):
        if isinstance(after, DataError):
            assert all(path in first for path in paths)
            assert "has 0 bytes" in after.what
        else:
            assert len(after.account.dropped.get(UNREADABLE, ())) == sum(path in first for path in paths)
            assert after.found == before.found
