"""Images of every kind as frames, in the order that people count in."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from ehps.errors import DataError, UsageError
from ehps.humandata.core import HumanData
from ehps.inference.people import finder
from ehps.inference.sources import open_source

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def only(path: Path):
    (frame,) = open_source(str(path)).frames(0)
    return frame


def test_a_folder_in_natural_order_without_other_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("a10.png", "a2.png", "b/1.png", "._a2.png"):
        Image.fromarray(PIXELS).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    source = open_source(str(tmp_path))
    assert [frame.image_path for frame in source.frames(0)] == ["a2.png", "a10.png", "b/1.png"]
    assert [frame.index for frame in source.frames(2)] == [2]
    assert source.count == 3
    assert "2 files" in source.notes[0]


def test_a_pattern(tmp_path: Path) -> None:
    for name in ("a1.png", "b1.png"):
        Image.fromarray(PIXELS).save(tmp_path / name)
    assert [frame.image_path for frame in open_source(f"{tmp_path}/a*.png").frames(0)] == ["a1.png"]
    with pytest.raises(UsageError, match="no image matches"):
        open_source(f"{tmp_path}/c*.png")


def test_grey_alpha_16_bit_palette_and_cmyk(tmp_path: Path) -> None:
    rgb = Image.fromarray(np.full((4, 6, 3), (200, 100, 50), np.uint8))
    rgb.convert("L").save(tmp_path / "grey.png")
    rgb.convert("RGBA").save(tmp_path / "alpha.png")
    rgb.convert("P").save(tmp_path / "palette.png")
    rgb.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((4, 6, 3), (50, 100, 200), np.uint16) * 257)
    for name, colour in {
        "grey.png": (124, 124, 124),
        "alpha.png": (200, 100, 50),
        "palette.png": (200, 100, 50),
        "cmyk.jpg": (200, 100, 50),
        "deep.png": (200, 100, 50),
    }.items():
        frame = only(tmp_path / name)
        assert not frame.fault, name
        assert frame.pixels.dtype == np.uint8, name
        assert frame.pixels.shape == (4, 6, 3), name
        assert np.abs(frame.pixels.astype(int) - colour).max() < 30, (name, frame.pixels[0, 0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    frame = only(tmp_path / "a.png")
    assert np.array_equal(frame.pixels, np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.png"))))
    assert (frame.path is None) == (orientation != 1)


def test_an_image_of_8000_pixels(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "large.jpg"), np.zeros((8000, 8000), np.uint8))
    assert only(tmp_path / "large.jpg").size == (8000, 8000)


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "1.jpg")
    whole = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "2.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "3.jpg").write_bytes(b"")
    (tmp_path / "4.jpg").symlink_to(tmp_path / "nowhere")
    Image.fromarray(np.zeros((100, 100, 3), np.uint8)).save(tmp_path / "5.png")
    monkeypatch.setenv("EHPS_MAX_PIXELS", "5000")
    faults = [frame.fault for frame in open_source(str(tmp_path)).frames(0)]
    assert faults[0] == ""
    assert "cut short" in faults[1]
    assert "0 bytes" in faults[2]
    assert faults[3]
    assert "more than 5,000" in faults[4]


def test_no_link_leads_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(PIXELS).save(tmp_path / "out.png")
    (tmp_path / "in" / "a.png").symlink_to(tmp_path / "out.png")
    (frame,) = open_source(str(tmp_path / "in")).frames(0)
    assert "leads out" in frame.fault


def test_a_link_that_is_named_is_opened(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(PIXELS).save(tmp_path / "out.png")
    (tmp_path / "in" / "a.png").symlink_to(tmp_path / "out.png")
    frame = only(tmp_path / "in" / "a.png")
    assert frame.image_path == "a.png"
    assert np.array_equal(frame.pixels, PIXELS)


def test_results_hidden_folders_and_linked_ones_are_no_input(tmp_path: Path) -> None:
    for name in ("a.png", ".thumbnails/b.png", "out/overlay/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS).save(tmp_path / name)
    (tmp_path / "again").symlink_to(tmp_path)
    source = open_source(str(tmp_path), out=tmp_path / "out")
    assert [frame.image_path for frame in source.frames(0)] == ["a.png"]
    assert "1 links to folders" in source.notes[0]
    pattern = open_source(f"{tmp_path}/**/*.png", out=tmp_path / "out")
    assert [frame.image_path for frame in pattern.frames(0)] == ["a.png"]  # once, whatever links lead there
    with pytest.raises(UsageError, match="among the images"):
        open_source(str(tmp_path), out=tmp_path / "out" / "..")


def test_a_change_of_an_image_changes_the_facts(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    before = open_source(str(tmp_path)).facts
    assert open_source(str(tmp_path)).facts == before
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a.png")
    assert open_source(str(tmp_path)).facts != before


def test_humandata_gives_distinct_images_rows_and_tracks(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    Image.fromarray(PIXELS).save(tmp_path / "b.png")
    boxes = np.array([[0, 0, 2, 2, 1], [1, 1, 2, 2, 1], [2, 1, 3, 3, 1]], np.float32)
    columns = {"image_path": ["b.png", "a.png", "b.png"], "bbox_xywh": boxes, "meta/track_id": np.array([7, 8, 9])}
    HumanData(columns).save(tmp_path / "set.npz")
    source = open_source(str(tmp_path / "set.npz"))
    frames = list(source.frames(0))
    assert [frame.image_path for frame in frames] == ["b.png", "a.png"]
    first, second = finder(source)(frames)
    assert first.rows.tolist() == [0, 2]
    assert first.tracks.tolist() == [7, 9]
    assert second.rows.tolist() == [1]


def test_images_of_a_file_that_are_others_than_its_own(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    boxes = np.array([[0, 0, 2, 2, 1]], np.float32)
    sizes = {"meta/height": np.array([PIXELS.shape[0]]), "meta/width": np.array([2 * PIXELS.shape[1]])}
    HumanData({"image_path": ["a.png"], "bbox_xywh": boxes, **sizes}).save(tmp_path / "set.npz")
    (frame,) = open_source(str(tmp_path / "set.npz")).frames(0)
    assert frame.fault.endswith(f"its rows say {2 * PIXELS.shape[1]} x {PIXELS.shape[0]}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="none of its 1 images is below"):
        open_source(str(tmp_path / "set.npz"), images=tmp_path / "empty")
    HumanData({"image_path": [], "bbox_xywh": boxes[:0]}).save(tmp_path / "none.h5")
    with pytest.raises(DataError, match="has no rows"):
        open_source(str(tmp_path / "none.h5"))


def test_nothing_and_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("")
    for given in (tmp_path / "a.xyz", tmp_path / "none", tmp_path):
        with pytest.raises(DataError):
            open_source(str(given))
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="are for videos"):
        open_source(str(tmp_path / "a.png"), fps=3)
    with pytest.raises(UsageError, match="--images"):
        open_source(str(tmp_path / "a.png"), images=tmp_path)
    (tmp_path / "b.csv").write_text("image,x,y,w,h\nother.png,0,0,2,2\n")
    with pytest.raises(DataError, match=r"names other\.png, the input has a\.png"):
        finder(open_source(str(tmp_path / "a.png")), boxes=tmp_path / "b.csv")
    with pytest.raises(UsageError, match=r"--boxes .*--whole .*--detector"):
        finder(open_source(str(tmp_path / "a.png")))


def write_zip(path: Path, names: tuple[str, ...], image: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, image)


def test_images_in_zip_archives(tmp_path: Path) -> None:
    """An archive stands for its folder, whose own name its members may have before theirs."""
    Image.fromarray(PIXELS).save(tmp_path / "x1.png")
    image = (tmp_path / "x1.png").read_bytes()
    write_zip(tmp_path / "a.zip", ("a/10.png", "a/2.png", "__MACOSX/a/._2.png", "a/labels.json"), image)
    write_zip(tmp_path / "labels.zip", ("labels.json",), image)
    (tmp_path / "b.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:200])
    source = open_source(str(tmp_path))
    frames = list(source.frames(0))
    assert [frame.image_path for frame in frames] == ["a.zip/2.png", "a.zip/10.png", "b.zip", "x1.png"]
    assert [bool(frame.fault) for frame in frames] == [False, False, True, False]
    assert "no whole zip archive" in frames[2].fault
    assert "1 files" in source.notes[0]
    for frame in (frames[0], frames[3]):
        assert np.array_equal(frame.pixels, PIXELS)
    alone = open_source(str(tmp_path / "a.zip"))
    assert [frame.image_path for frame in alone.frames(1)] == ["a.zip/10.png"]
    for name, what in (("labels.zip", "holds no image"), ("b.zip", "no whole zip archive")):
        with pytest.raises(DataError, match=what):
            open_source(str(tmp_path / name))


def test_it_does_not_matter_from_where_an_input_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    Image.fromarray(PIXELS).save(tmp_path / "set" / "a.png")
    columns = {"image_path": ["set/a.png"], "bbox_xywh": np.array([[0, 0, 2, 2, 1]], np.float32)}
    HumanData(columns).save(tmp_path / "set.h5")
    monkeypatch.chdir(tmp_path / "set")
    for given, absolute in ((".", "set"), ("a.png", "set/a.png"), ("*.png", "set/*.png"), ("../set.h5", "set.h5")):
        assert open_source(given).facts == open_source(f"{tmp_path}/{absolute}").facts, given


def test_other_images_of_a_humandata_file_are_another_input(tmp_path: Path) -> None:
    for folder, image in (("one", PIXELS), ("other", np.zeros((9, 9, 3), np.uint8))):
        (tmp_path / folder).mkdir()
        Image.fromarray(image).save(tmp_path / folder / "a.png")
    HumanData({"image_path": ["a.png"], "bbox_xywh": np.array([[0, 0, 2, 2, 1]], np.float32)}).save(tmp_path / "a.h5")
    one, other = (open_source(str(tmp_path / "a.h5"), images=tmp_path / name).facts for name in ("one", "other"))
    assert one != other
