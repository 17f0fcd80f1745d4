"""No path leads out of the folder, sizes come from headers, and what is not wholly there is no image."""

import os
import socket
import struct
import time
import zlib
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from ehps.errors import DataError, UsageError
from ehps.humandata import image_files
from ehps.humandata.image_files import (
    ImageFolder,
    MissingImageError,
    OutsideError,
    decode,
    decoded_size,
    read_pixels,
    stored_size,
)

FORMATS = ("jpg", "png", "bmp", "webp", "tif")
EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # orientation 6


def encoded(suffix, height=30, width=40):
    pixels = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8), (0, 0), 2)
    return cv2.imencode(f".{suffix}", pixels)[1].tobytes()


def with_exif(data, exif=EXIF):
    return data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]


def png_of_size(height, width):
    """A PNG whose header declares a size, without pixels."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return image_files.PNG + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


# -- where ----------------------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a.png").write_bytes(encoded("png"))
    (tmp_path / "root/in").mkdir(parents=True)
    return tmp_path / "root"


@pytest.mark.parametrize(
    "name",
    ["../outside/a.png", "in/../../outside/a.png", "/etc/passwd", "", "in/", "a\0.png", "..", "..\\a.png", "C:/a.png"],
)
def test_a_path_that_is_not_below_the_folder_is_refused(root, name):
    with pytest.raises(OutsideError) as error:
        ImageFolder(root).locate(name, 7)
    assert f"{name!r} of row 7" in str(error.value)
    assert str(root) in str(error.value)


def test_an_absolute_path_into_the_folder_is_refused(root):
    with pytest.raises(OutsideError):
        ImageFolder(root).locate(str(root / "in/a.png"))


def test_links_out_of_the_folder_are_refused_until_their_folder_is_named(root, monkeypatch):
    (root / "in/a.png").symlink_to("../../outside/a.png")
    (root / "linked").symlink_to(root.parent / "outside")
    for name in ("in/a.png", "linked/a.png"):
        with pytest.raises(OutsideError, match="EHPS_LINKED_FOLDERS"):
            ImageFolder(root).locate(name)
    monkeypatch.setenv(image_files.LINKED, os.pathsep.join([str(root / "in"), str(root.parent / "outside")]))
    for name in ("in/a.png", "linked/a.png"):
        assert read_pixels(ImageFolder(root).locate(name)).shape == (30, 40, 3)


def test_links_inside_the_folder_and_to_the_folder_are_followed(root):
    (root / "in/a.png").write_bytes(encoded("png"))
    (root / "in/b.png").symlink_to("a.png")
    (root.parent / "elsewhere").symlink_to(root)
    for name in ("in/a.png", "in/b.png", "in/none.png"):
        assert ImageFolder(root.parent / "elsewhere").locate(name) == root.parent / "elsewhere" / name


def test_pipes_sockets_and_folders_are_not_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the address of a socket is short
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        for name, words in (("pipe", "pipe, socket"), ("socket", "pipe, socket"), ("folder", "is a folder")):
            for look in (stored_size, read_pixels):
                with pytest.raises(DataError, match=words):
                    look(tmp_path / f"{name}.jpg")


def test_an_image_that_is_not_there_has_an_error_of_its_own(tmp_path):
    with pytest.raises(MissingImageError, match="no such image"):
        read_pixels(tmp_path / "a/b.png")


# -- sizes and pixels -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", FORMATS)
def test_sizes_are_those_of_the_pixels_whatever_the_name(tmp_path, suffix):
    path = tmp_path / "ü 人"
    path.write_bytes(encoded(suffix))
    assert stored_size(path) == decoded_size(path) == read_pixels(path).shape[:2] == (30, 40)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.95])
def test_what_is_not_wholly_there_is_no_image(tmp_path, suffix, kept):
    data = encoded(suffix)
    (tmp_path / "a").write_bytes(data[: int(kept * len(data)) if kept < 1 else kept])
    with pytest.raises(DataError):
        decoded_size(tmp_path / "a")
    with pytest.raises(DataError):
        stored_size(tmp_path / "a")


def test_other_bytes_are_no_image(tmp_path):
    for data in (
        b"\xff\xd8" + b"\xff" * 50_000,
        b"\xff\xd8\xff\xe0\0\0" * 20_000,
        b"<html>",
        b"\x89PNG\r\n\x1a\n",
        b"BM",
    ):
        (tmp_path / "a").write_bytes(data)
        for look in (stored_size, read_pixels):
            with pytest.raises(DataError, match=r"is no image|is a damaged|within its header|cut short"):
                look(tmp_path / "a")


def test_what_programs_append_and_thumbnails_do_not_change_the_end(tmp_path):
    thumbnail = with_exif(encoded("jpg"), EXIF + encoded("jpg", 8, 8))
    (tmp_path / "a").write_bytes(thumbnail + b"appended" * 20_000)
    assert stored_size(tmp_path / "a") == (30, 40)
    (tmp_path / "a").write_bytes(thumbnail[:-200])  # the thumbnail has an end, the image none
    with pytest.raises(DataError, match="cut short"):
        stored_size(tmp_path / "a")


def test_the_orientation_of_exif_is_not_applied(tmp_path):
    (tmp_path / "a.jpg").write_bytes(with_exif(encoded("jpg")))
    assert cv2.imread(str(tmp_path / "a.jpg")).shape == (40, 30, 3)
    assert stored_size(tmp_path / "a.jpg") == read_pixels(tmp_path / "a.jpg").shape[:2] == (30, 40)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_read_as_stored_though_opencv_turns_it(orientation, tmp_path):
    image = np.arange(30 * 40 * 3, dtype=np.uint8).reshape(30, 40, 3)
    Image.fromarray(image).save(tmp_path / "a.tif", tiffinfo={274: orientation})
    assert stored_size(tmp_path / "a.tif") == (30, 40)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif"), image)


def test_files_made_to_keep_a_reader_busy_do_not(tmp_path):
    png = png_of_size(9, 9)[:33]
    for data in (
        b"\xff\xd8" + b"\xff" * 3_000_000,
        png + bytes(8 + 4) * 200_000,
        b"\xff\xd8" + b"\xff\xe0\0\0" * 500_000,
    ):
        (tmp_path / "a").write_bytes(data)
        start = time.process_time()
        with pytest.raises(DataError):
            stored_size(tmp_path / "a")
        assert time.process_time() - start < 2


def test_images_that_declare_too_many_pixels_are_not_decoded(tmp_path, monkeypatch):
    stream = BytesIO()
    Image.new("1", (1, 1)).save(stream, "gif")
    gif = bytearray(stream.getvalue())
    gif[6:10] = struct.pack("<HH", 60_000, 60_000)
    for data, words in ((png_of_size(100_000, 100_000), "100000 x 100000"), (bytes(gif), "more than 178,956,970")):
        (tmp_path / "a").write_bytes(data)
        for look in (stored_size, read_pixels):
            with pytest.raises(DataError, match=words) as error:
                look(tmp_path / "a")
            assert image_files.PIXELS in str(error.value)
    monkeypatch.setenv(image_files.PIXELS, "10000000000")
    (tmp_path / "a").write_bytes(png_of_size(100_000, 100_000))
    assert stored_size(tmp_path / "a") == (100_000, 100_000)


def test_the_limit_is_a_number_of_pixels(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(encoded("png"))
    monkeypatch.setenv(image_files.PIXELS, "1199")
    with pytest.raises(DataError, match="40 x 30 pixels, more than 1,199"):
        read_pixels(tmp_path / "a")
    monkeypatch.setenv(image_files.PIXELS, "many")
    with pytest.raises(UsageError, match="'many', not a whole number"):
        stored_size(tmp_path / "a")


def test_a_jpeg_is_averaged_down_while_it_is_decoded(tmp_path):
    data = encoded("jpg", 64, 96)
    whole, one, size = decode(data, tmp_path)
    small, times, same = decode(data, tmp_path, 4)
    assert (whole.shape, one, size, same) == ((64, 96, 3), 1, (64, 96), (64, 96))
    if times == 4:
        assert small.shape == (16, 24, 3)
        assert np.abs(small - whole.reshape(16, 4, 24, 4, 3).mean(axis=(1, 3))).mean() < 4
