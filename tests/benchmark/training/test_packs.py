"""Packed crops: the same as those of the folder, refused where they are not, whole after a kill."""

import os
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from ehps.benchmark.suites.evaluation import content_of
from ehps.benchmark.training import crops, packing
from ehps.benchmark.training.packing import pack
from ehps.benchmark.training.packs import AUGMENTED, Pack
from ehps.benchmark.training.samples import CropView, HumanDataset
from ehps.benchmark.training.specs import SetSpec
from ehps.body.models import BodyModels
from ehps.errors import DataError, EhpsError, UsageError
from ehps.humandata.core import HumanData
from ehps.humandata.operations import merge
from tests.drawn_people import Style, people, write_set

N = 6
RATIO = CropView((256, 192)).ratio


def scene(size: tuple[int, int], seed: int) -> np.ndarray:
    """(h, w, 3) an image with edges, shading and colours, as smooth as images of a camera are."""
    rng, (height, width) = np.random.default_rng(seed), size
    image = cv2.resize(rng.integers(0, 255, (height // 40, width // 40, 3), np.uint8), (width, height))
    for _ in range(40):
        x, y = rng.integers(0, (width, height)).tolist()
        cv2.circle(image, (x, y), int(rng.integers(5, 80)), rng.integers(0, 255, 3).tolist(), -1, cv2.LINE_AA)
    return cv2.GaussianBlur(image, (0, 0), 1.5)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people in each of three large images, small and large, one at the border."""
    folder = tmp_path_factory.mktemp("few")
    size = (720, 960)
    for i in range(N // 2):
        cv2.imwrite(str(folder / f"{i}.jpg"), scene(size, i), (cv2.IMWRITE_JPEG_QUALITY, 98))
    boxes = np.array(
        [
            [300, 60, 420, 600],
            [50, 80, 90, 160],
            [700, 300, 260, 420],
            [0, 0, 300, 700],
            [200, 10, 240, 320],
            [5, 5, 50, 60],
        ],
        np.float32,
    )
    columns = {
        "image_path": [f"{i // 2}.jpg" for i in range(N)],
        "bbox_xywh": np.concatenate((boxes, np.ones((N, 1), np.float32)), axis=1),
        "meta/height": np.full(N, size[0], np.int32),
        "meta/width": np.full(N, size[1], np.int32),
    }
    return HumanData(columns).save(folder / "few.h5")


@pytest.fixture(scope="module")
def packed(few: Path) -> Path:
    return pack(few, few.parent, few.parent / "few.pack", jobs=1, show=False).path


def dataset(data: Path, images: Path, view: CropView) -> HumanDataset:
    return HumanDataset(data, images, view, with_targets=False)


def apart(a: dict, b: dict) -> float:
    """Mean difference of two items' images, grey levels."""
    return float((a["image"].int() - b["image"].int()).abs().float().mean())


DRAWS = {
    "as it is": crops.NONE,
    "largest": crops.Augmentation(1.25, np.deg2rad(60), True, (0.8, 1.2, 1.0)),
    "smallest": crops.Augmentation(0.75, np.deg2rad(-35)),
}


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("size", [(256, 192), (128, 96)])
def test_crops_of_the_pack_are_those_of_the_folder(few: Path, packed: Path, size: tuple[int, int], draw: str) -> None:
    view = CropView(size, antialias=True, augment=True)
    folder, own = dataset(few, few.parent, view), dataset(few, packed, view)
    for row in range(N):
        (a, m), (b, n) = (one._crop(row, row, DRAWS[draw]) for one in (folder, own))
        np.testing.assert_array_equal(m, n)
        assert np.abs(a.astype(int) - b).mean() < 2, row


def test_bilinear_packs_are_for_networks_that_sample_large_images(few: Path, tmp_path: Path) -> None:
    view = CropView((256, 192))
    path = pack(few, few.parent, tmp_path / "b.pack", exact=True, sampling="bilinear", jobs=1, show=False).path
    folder, own = dataset(few, few.parent, view), dataset(few, path, view)
    for row in range(N):
        assert apart(folder[row], own[row]) < 2
    with pytest.raises(
        UsageError, match=r"b\.pack: has crops of large images that were sampled bilinearly, .*averaged"
    ):
        dataset(few, path, CropView((256, 192), antialias=True))


def test_a_pack_is_as_wide_as_the_largest_augmentation_asks() -> None:
    """The corners of the crop in the image, for every turn and size."""
    box, reach = np.array([0.0, 0.0, 300.0, 400.0]), np.zeros(2)
    for turn in np.deg2rad(np.linspace(-60, 60, 241)):
        matrix = crops.affine(box, (256, 192), 1000, crops.Augmentation(1.25, turn))
        inverse = np.linalg.inv(np.vstack((matrix, (0, 0, 1))))[:2]
        corners = crops.transform(np.array(((0, 0), (192, 0), (0, 256), (192, 256)), float), inverse)
        reach = np.maximum(reach, np.ptp(corners, axis=0) / box[2:])
    np.testing.assert_allclose(reach, AUGMENTED, rtol=1e-4)


def test_small_people_keep_their_pixels_and_crops_their_sizes(packed: Path) -> None:
    own = Pack(packed)
    factor, box = own.columns["map"][:, 0], own.columns["box"]
    np.testing.assert_allclose(factor, np.minimum(1, 192 / box[:, 2]), rtol=1e-6)
    assert (factor == 1).sum() == 2
    assert own.complete


VIEWS: dict[str, tuple[CropView, str]] = {
    "larger": (CropView((512, 384), antialias=True), "has boxes of 256x192 pixels .* the model sees 512x384"),
    "sampled": (CropView((256, 192)), "averaged down, the model sees them sampled bilinearly"),
}


def test_a_wide_pack_serves_a_larger_box_ratio_without_augmentation(few: Path, packed: Path) -> None:
    assert len(dataset(few, packed, CropView((256, 192), 1.25, antialias=True))) == N


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_that_a_pack_cannot_give_is_refused(few: Path, packed: Path, view: str) -> None:
    wanted, words = VIEWS[view]
    with pytest.raises(UsageError, match=words):
        dataset(few, packed, wanted)


def test_augmentation_of_a_larger_box_ratio_is_refused(few: Path, packed: Path) -> None:
    with pytest.raises(UsageError, match=r"2\.6 widths by 1\.95 heights of the stored box are needed"):
        dataset(few, packed, CropView((256, 192), 1.25, antialias=True, augment=True))


def test_another_file_another_box_and_rows_that_are_not_packed_are_refused(
    few: Path, packed: Path, tmp_path: Path
) -> None:
    view, hd = CropView((256, 192), antialias=True), HumanData.open(few)
    other = hd[:4].save(tmp_path / "other.h5")
    with pytest.raises(DataError, match=r"few\.pack: holds the crops of few\.h5 with content"):
        dataset(other, packed, view)
    boxes = hd["bbox_xywh"].copy()
    boxes[3, 2] += 8
    opened = Pack(packed)
    changed = dataset(hd.with_columns({"bbox_xywh": boxes}).save(tmp_path / "c.h5"), few.parent, view)
    with pytest.raises(DataError, match="was packed with another box of row 3"):
        opened.require(
            opened.facts.content,
            changed.rows,
            changed.boxes,
            size=(256, 192),
            ratio=RATIO,
            antialias=True,
            augment=False,
        )
    part = pack(few, few.parent, tmp_path / "part.pack", rows=np.arange(0, N, 2), jobs=1, show=False).path
    with pytest.raises(DataError, match=r"part\.pack: lacks 3 of 6 rows, row 1 for one"):
        dataset(few, part, view)
    assert len(HumanDataset(few, part, view, with_targets=False, interval=2)) == 3
    assert HumanDataset(few, few.parent, view, with_targets=False, interval=2.5).rows.tolist() == [0, 2, 5]
    before = {row: jpeg_of(part, row) for row in range(0, N, 2)}
    pack(few, few.parent, part, jobs=1, show=False)
    assert len(dataset(few, part, view)) == N
    assert before == {row: jpeg_of(part, row) for row in range(0, N, 2)}


def jpeg_of(path: Path, row: int) -> bytes:
    own = Pack(path)
    return own.jpeg(int(own.places(np.array([row]))[0]))


def test_a_training_is_known_by_how_its_rows_were_chosen_and_packed(few: Path, packed: Path) -> None:
    known = {
        content_of(spec)
        for spec in (
            SetSpec(few, few.parent),
            SetSpec(few, packed),
            SetSpec(few, few.parent, interval=2),
            SetSpec(few, few.parent, interval=2.5),
            SetSpec(few, few.parent, weight=2),
        )
    }
    assert len(known) == 5
    assert content_of(SetSpec(few, few.parent, interval=2.0)) == content_of(SetSpec(few, few.parent, interval=2))
    assert content_of(SetSpec(few, few.parent)) == Pack(packed).facts.content  # as in earlier versions


def test_packing_otherwise_into_the_same_file_is_refused(few: Path, packed: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="was packed with quality 92, not 80"):
        pack(few, few.parent, packed, quality=80, show=False)
    other = HumanData.open(few)[:4].save(tmp_path / "other.h5")
    with pytest.raises(UsageError, match=r"was packed with content .* of few\.h5, not"):
        pack(other, few.parent, packed, show=False)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("saved", [0, 3])
def test_a_killed_packing_goes_on_and_ends_in_the_same_crops(
    few: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: int
) -> None:
    """Killed at the fifth crop, after ``saved`` crops were saved."""
    path, add, count = tmp_path / "k.pack", packing._Writer.add, 0

    def dying(writer: packing._Writer, row: dict, data: bytes) -> None:
        nonlocal count
        count += 1
        if count == 5:
            writer.file.write(data[:100])
            writer.file.flush()
            raise Killed
        add(writer, row, data)
        if count == saved:
            writer.save()

    with monkeypatch.context() as patch:
        patch.setattr(packing._Writer, "add", dying)
        with pytest.raises(Killed):
            pack(few, few.parent, path, jobs=1, show=False)
    left = Pack(path)
    assert (len(left), left.complete) == (saved, False)
    with pytest.raises(DataError, match="is unfinished and lacks"):
        dataset(few, path, CropView((256, 192), antialias=True))
    done = pack(few, few.parent, path, jobs=1, show=False)
    assert done.complete
    assert [jpeg_of(path, row) for row in range(N)] == [jpeg_of(packed, row) for row in range(N)]
    size = path.stat().st_size
    pack(few, few.parent, path, jobs=1, show=False)
    assert path.stat().st_size == size


def test_every_cut_and_every_changed_byte_of_what_counts_is_noticed(packed: Path, tmp_path: Path) -> None:
    whole, path = packed.read_bytes(), tmp_path / "d.pack"
    rng = np.random.default_rng(0)
    for cut in [0, 5, 63, 64, 200, *rng.integers(0, len(whole), 20).tolist(), len(whole) - 1]:
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"cut short|no file of packed crops"):
            Pack(path)
    for place in rng.integers(0, len(whole), 60).tolist():
        changed = bytearray(whole)
        changed[place] ^= 0x41
        path.write_bytes(bytes(changed))
        try:
            faults = Pack(path).faults(show=False)
        except EhpsError as error:
            faults = [str(error)]
        gap = changed[place] == 0x41  # bytes between two parts, which are zeros
        assert faults or gap


def test_a_damaged_crop_is_named_by_a_dataset(few: Path, packed: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(packed, tmp_path / "e.pack"))
    place = int(Pack(path).columns["offset"][2]) + 500
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))
    own = dataset(few, path, CropView((256, 192), antialias=True))
    assert "error" not in own[0]
    assert "the crop of row 2 is not as it was written" in str(own[2]["error"])


def test_a_pack_travels_to_workers_as_its_path(few: Path, packed: Path) -> None:
    own = dataset(few, packed, CropView((256, 192), antialias=True))
    sent = pickle.dumps(own)
    assert len(sent) < 5000
    assert (pickle.loads(sent)[1]["image"] == own[1]["image"]).all()


def test_two_processes_do_not_write_one_pack(few: Path, packed: Path, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with packing._opened(packed), pytest.raises(DataError, match="another process is writing this file"):
        pack(few, few.parent, packed, show=False)


def test_a_merged_file_with_several_image_folders_is_packed_in_one(models: BodyModels, tmp_path: Path) -> None:
    made = [
        write_set(tmp_path / n, people(2, np.random.default_rng(i), Style()), models, name=n)
        for i, n in enumerate("ab")
    ]
    merged = tmp_path / "both.h5"
    merge(made, merged, images={str(path): path.parent for path in made})
    own = pack(merged, tmp_path, tmp_path / "both.pack", jobs=1, show=False)
    assert len(own) == 4
    view = CropView((128, 96), antialias=True)
    for row in range(4):
        assert apart(dataset(merged, tmp_path, view)[row], dataset(merged, own.path, view)[row]) < 2
    with pytest.raises(UsageError, match=r"both\.pack: is a packed file.*Give it alone"):
        HumanDataset(merged, own.path, view, with_targets=False, folders={"a": tmp_path})


def test_a_full_disk_leaves_what_was_saved(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(few, few.parent, tmp_path / "f.pack", rows=np.arange(2), jobs=1, show=False).path

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(packing._Writer, "add", full)
        with pytest.raises(DataError, match=r"f\.pack: the disk is full"):
            pack(few, few.parent, path, jobs=1, show=False)
    assert len(Pack(path)) == 2
