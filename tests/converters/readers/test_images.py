"""Headers of images of every format, whole, cut short and strange; and images that are spelled in another way."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ehps.converters.readers.images import ImageIndex, scale_between
from ehps.humandata.image_headers import MOST_PIXELS, Header, header_size, read_header

PIXELS = np.random.default_rng(0).integers(0, 255, (37, 53, 3), dtype=np.uint8)
FORMATS = ("jpg", "png", "bmp", "webp", "tif")
WITH_EXIF = ("jpg", "png", "webp", "tif")


def written(path: Path, orientation: int = 1) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(path, **({} if path.suffix == ".bmp" else {"exif": exif}))
    return path


@pytest.mark.parametrize("ending", [*FORMATS, "gif"])
def test_size_is_read_from_the_header(ending: str, tmp_path: Path) -> None:
    assert read_header(written(tmp_path / f"a.{ending}")) == Header(37, 53)


@pytest.mark.parametrize("ending", WITH_EXIF)
def test_size_is_that_of_the_stored_pixels_whatever_the_orientation(ending: str, tmp_path: Path) -> None:
    assert [read_header(written(tmp_path / f"{k}.{ending}", k)) for k in range(1, 9)] == [
        Header(37, 53, k) for k in range(1, 9)
    ]


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.99])
def test_a_file_that_is_cut_short_cannot_be_read(ending: str, share: float, tmp_path: Path) -> None:
    path = written(tmp_path / f"a.{ending}")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    header = read_header(path)
    assert header.unreadable
    assert (header.height, header.width) == (0, 0)


@pytest.mark.parametrize("ending", FORMATS)
def test_what_cameras_write_behind_an_image_does_no_harm(ending: str, tmp_path: Path) -> None:
    path = written(tmp_path / f"a.{ending}")
    path.write_bytes(path.read_bytes() + b"\x01trailer" * 5000)
    assert read_header(path) == Header(37, 53)


def test_the_thumbnail_of_a_jpeg_does_not_count_as_its_end(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jpg")
    data = path.read_bytes()
    thumbnail = b"\xff\xe2" + (len(data) + 2).to_bytes(2, "big") + data
    path.write_bytes((data[:2] + thumbnail + data[2:])[:-200])
    assert read_header(path).unreadable == "is cut short"
    path.write_bytes(data[:2] + thumbnail + data[2:])
    assert read_header(path) == Header(37, 53)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF0000WEBP"])
def test_what_is_no_image_cannot_be_read(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    assert header_size(path) == (0, 0)
    assert read_header(path).unreadable


def test_an_absurd_size_cannot_be_read(tmp_path: Path) -> None:
    path = written(tmp_path / "a.png")
    data = bytearray(path.read_bytes())
    data[16:24] = (100_000).to_bytes(4, "big") * 2
    path.write_bytes(data)
    assert MOST_PIXELS < 100_000**2
    assert read_header(path).unreadable.startswith("states 100000 x 100000 pixels, more than ")


def test_pipes_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    assert read_header(tmp_path / "a.jpg").unreadable == "is no regular file"
    assert ImageIndex(tmp_path).missing(["a.jpg"]) == ["a.jpg"]


def test_a_link_to_itself_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "b.jpg").symlink_to(tmp_path / "b.jpg")
    (tmp_path / "c.jpg").symlink_to(tmp_path / "a.jpg")
    (tmp_path / "d.jpg").symlink_to(tmp_path / "gone.jpg")
    assert ImageIndex(tmp_path).present(["a.jpg", "b.jpg", "c.jpg", "d.jpg"]).tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("there", "asked", "found"),
    [
        (["a.JPG"], "a.jpg", "a.JPG"),
        (["A.jpg"], "a.jpg", "A.jpg"),
        (["a.jpeg"], "a.jpg", "a.jpeg"),
        (["a.png"], "a.jpg", "a.png"),
        (["a.jpg", "a.JPG"], "a.jpg", "a.jpg"),
        (["a.Jpg", "a.JPG"], "a.jpg", "a.jpg"),  # nobody knows which
        (["a.png", "b.jpg"], "a.jpg", "a.jpg"),  # of a folder of jpg images: a mask, or another release
        (["a.txt"], "a.jpg", "a.jpg"),
        (["a.jpg"], "a.json", "a.json"),
    ],
)
def test_images_of_another_spelling_are_found(there: list[str], asked: str, found: str, tmp_path: Path) -> None:
    for name in there:
        (tmp_path / name).touch()
    if len({name.casefold() for name in there}) < len(there) and len(list(tmp_path.iterdir())) < len(there):
        pytest.skip("the file system knows no case")
    index = ImageIndex(tmp_path)
    assert index.path_on_disk(asked) == found
    assert index.present([asked]).tolist() == [found in there]


@pytest.mark.parametrize("name", ["a\0b/c.jpg", "a" * 300 + "/c.jpg", "/etc/passwd"])
def test_names_that_no_file_can_have_are_missing(name: str, tmp_path: Path) -> None:
    assert ImageIndex(tmp_path).missing([name.lstrip("/")]) == [name.lstrip("/")]


@pytest.mark.parametrize(
    ("labelled", "stored", "scale"),
    [
        ((1080, 1920), (1080, 1920), 1),
        ((1080, 1920), (540, 960), 0.5),
        ((425, 640), (212, 320), 0.5),
        ((425, 640), (213, 320), 0.5),
        ((3008, 4112), (376, 514), 0.125),
        ((480, 640), (960, 1280), 2),
        ((480, 640), (640, 480), 0),
        ((1080, 1920), (1080, 1900), 0),
        ((480, 640), (478, 640), 0),
    ],
)
def test_scale_between_sizes_of_one_aspect(labelled: tuple[int, int], stored: tuple[int, int], scale: float) -> None:
    assert scale_between(np.array([labelled]), np.array([stored])).tolist() == [scale]


@pytest.mark.parametrize(("odd", "usual"), [(set(), (4, 6)), ({0}, (4, 6)), ({2, 4}, (2, 3)), ({1, 3}, (4, 6))])
def test_the_usual_size_is_that_of_most_of_the_first_the_middle_and_the_last(
    tmp_path: Path, odd: set[int], usual: tuple[int, int]
) -> None:
    names = [f"{k}.png" for k in range(5)]
    for k, name in enumerate(names):
        Image.new("RGB", (3, 2) if k in odd else (6, 4)).save(tmp_path / name)
    assert ImageIndex(tmp_path).usual_size(names) == usual


def test_the_usual_size_is_of_images_that_can_be_read(tmp_path: Path) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "1.png")
    (tmp_path / "0.png").write_bytes(b"")
    assert ImageIndex(tmp_path).usual_size(["0.png", "1.png", "2.png"]) == (4, 6)
    assert ImageIndex(tmp_path).usual_size(["0.png"]) == ImageIndex(tmp_path).usual_size([]) == (0, 0)


def test_the_usual_size_is_not_that_of_images_that_are_stored_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for k in range(3):
        Image.new("RGB", (6, 4) if k == 2 else (4, 6)).save(tmp_path / f"{k}.jpg", exif=b"" if k == 2 else exif)
    images = ImageIndex(tmp_path)
    assert images.usual_size(["0.jpg", "1.jpg", "2.jpg"]) == (4, 6)
    assert images.usual_size(["0.jpg", "1.jpg"]) == (0, 0)
