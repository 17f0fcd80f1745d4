"""Images in zip archives are those of the unpacked folder, and an archive that cannot be read is named."""

from __future__ import annotations

import os
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pytest

from ehps.errors import DataError
from ehps.humandata import HumanData, zip_archives, zip_directory
from ehps.humandata.image_checks import MISSING, OUTSIDE, UNREADABLE, check_images
from ehps.humandata.image_files import (
    LINKED,
    ImageFolder,
    MissingImageError,
    OutsideError,
    decoded_size,
    header,
    is_there,
    read,
    read_pixels,
    state,
    stored_size,
)
from ehps.humandata.image_headers import read_header

PIXELS = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8), (0, 0), 2)
ENDINGS = ("jpg", "png", "bmp", "webp", "tif")
IMAGES = {f"c.{ending}": cv2.imencode(f".{ending}", PIXELS)[1].tobytes() for ending in ENDINGS}
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def pack(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def rows(paths: list[str]) -> HumanData:
    sizes = {f"meta/{side}": np.full(len(paths), n, np.int32) for side, n in (("height", 90), ("width", 120))}
    return HumanData({"image_path": paths} | sizes)


# -- where ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("archive", "beginning"),
    [("a/b.zip", ""), ("a/b.zip", "b/"), ("a.zip", "b/"), ("a.zip", "a/b/"), ("a.zip", "./b/")],
)
def test_images_are_read_as_from_the_folder_that_the_archive_stands_for(
    tmp_path: Path, archive: str, beginning: str, method: int
) -> None:
    pack(tmp_path / archive, {beginning + name: data for name, data in IMAGES.items()}, method)
    folder = ImageFolder(tmp_path)
    for name, data in IMAGES.items():
        (tmp_path / name).write_bytes(data)
        path = folder.locate(f"a/b/{name}")
        assert is_there(path)
        assert read(path) == data
        assert header(path) == read_header(tmp_path / name)
        assert stored_size(path) == decoded_size(path) == (90, 120)
        np.testing.assert_array_equal(read_pixels(path), read_pixels(tmp_path / name))
    assert not (tmp_path / "a/b").exists()


def test_an_image_on_the_disk_is_taken_before_one_in_an_archive_and_the_nearer_archive_first(tmp_path: Path) -> None:
    pack(tmp_path / "a/b.zip", {"c.png": b"near", "d.png": b"near", "e.png": b"near"})
    pack(tmp_path / "a.zip", {"b/d.png": b"far", "b/f.png": b"far"})
    (tmp_path / "a/b").mkdir()
    (tmp_path / "a/b/c.png").write_bytes(b"disk")
    folder = ImageFolder(tmp_path)
    found = {name: read(folder.locate(f"a/b/{name}.png")) for name in "cdef"}
    assert found == {"c": b"disk", "d": b"near", "e": b"near", "f": b"far"}
    with pytest.raises(MissingImageError, match=r"a/b/g\.png"):
        read(folder.locate("a/b/g.png"))


def test_an_archive_in_the_place_of_the_whole_folder_is_not_looked_into(tmp_path: Path) -> None:
    pack(tmp_path / "root.zip", {"c.png": IMAGES["c.png"], "a/c.png": IMAGES["c.png"]})
    (tmp_path / "root").mkdir()
    for name in ("c.png", "a/c.png"):
        assert not is_there(ImageFolder(tmp_path / "root").locate(name))


def test_the_archive_of_a_label_is_not_looked_into(tmp_path: Path) -> None:
    pack(tmp_path / "there.zip", {"c.png": IMAGES["c.png"]})
    pack(tmp_path / "there/x.zip", {"c.png": IMAGES["c.png"]})
    folder = ImageFolder(tmp_path, {"label": tmp_path / "there"})
    assert not is_there(folder.locate("label/c.png"))
    assert read(folder.locate("label/x/c.png")) == IMAGES["c.png"]


def test_the_last_of_several_members_of_a_name_counts_as_when_they_are_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("c.png", b"first")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("c.png", b"last")
    assert read(tmp_path / "a.zip/c.png") == b"last"


def test_names_that_are_not_ascii_are_found(tmp_path: Path) -> None:
    pack(tmp_path / "a.zip", {"päth/ö.png": b"1"})
    data = bytearray(pack(tmp_path / "b.zip", {"päth/ö.png": b"2"}).read_bytes())
    for start, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):  # as programs do that do not say how they spell
        data[data.index(start) + flags + 1] &= ~8 & 0xFF
    (tmp_path / "b.zip").write_bytes(data)
    folder = ImageFolder(tmp_path)
    assert [read(folder.locate(f"{archive}/päth/ö.png")) for archive in "ab"] == [b"1", b"2"]


def archive_of_empty_files(names: list[bytes]) -> bytes:
    """Of more than fit into the numbers of archives without 64 bits; zipfile takes a second for as many."""
    head, entry = struct.Struct("<4s5H3I2H"), struct.Struct("<4s6H3I5H2I")
    files, directory, at = [], [], 0
    for name in names:
        files.append(head.pack(b"PK\3\4", 20, 0, 0, 0, 33, 0, 0, 0, len(name), 0) + name)
        directory.append(entry.pack(b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, len(name), *[0] * 5, at) + name)
        at += len(files[-1])
    listed, n = b"".join(directory), len(names)
    end = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, n, n, len(listed), at)
    end += struct.pack("<4sIQI", b"PK\6\7", 0, at + len(listed), 1)
    end += struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(listed), at, 0)
    return b"".join(files) + listed + end


def test_many_members_take_little_memory_and_are_all_found(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(archive_of_empty_files([b"%06d.jpg" % k for k in range(70_000)]))
    assert all(zip_archives.holds(tmp_path / "a.zip", f"{k:06d}.jpg") for k in range(0, 70_000, 70))
    assert not zip_archives.holds(tmp_path / "a.zip", "070000.jpg")
    directory = zip_directory.directory_of(tmp_path / "a.zip")
    assert directory.hashes.nbytes + directory.entries.nbytes == 16 * 70_000


def test_what_is_in_front_of_an_archive_does_no_harm(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", IMAGES)
    path.write_bytes(b"#!/bin/sh\n" * 50 + path.read_bytes())
    assert read(path / "c.jpg") == IMAGES["c.jpg"]


def test_sizes_of_more_than_32_bits_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, archive.open("c.jpg", "w", force_zip64=True) as file:
        file.write(IMAGES["c.jpg"])
    data = bytearray((tmp_path / "a.zip").read_bytes())
    entry = data.index(b"PK\1\2")  # move the numbers of the directory into an extra field, as larger ones are
    size, packed = (struct.unpack_from("<I", data, entry + at)[0] for at in (24, 20))
    struct.pack_into("<II", data, entry + 20, 0xFFFFFFFF, 0xFFFFFFFF)
    extra = struct.pack("<HHQQ", 1, 16, size, packed)
    struct.pack_into("<H", data, entry + 30, len(extra))
    place = entry + 46 + len("c.jpg")
    data[place:place] = extra
    end = data.index(b"PK\5\6")
    struct.pack_into("<I", data, end + 12, end - entry)
    (tmp_path / "a.zip").write_bytes(data)
    assert read(tmp_path / "a.zip/c.jpg") == IMAGES["c.jpg"]
    assert stored_size(tmp_path / "a.zip/c.jpg") == (90, 120)


# -- what cannot be read ---------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def other_pixels(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[200:260] = bytes(60)
    path.write_bytes(data)


def encrypted(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for start, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        data[data.index(start) + flags] |= 1
    path.write_bytes(data)


def packed_otherwise(path: Path) -> None:
    pack(path, {"c.jpg": IMAGES["c.jpg"]}, zipfile.ZIP_LZMA)


def a_link(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("c.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")


def without_a_count(path: Path) -> None:
    data = bytearray(path.read_bytes())
    struct.pack_into("<HH", data, data.index(b"PK\5\6") + 8, 9, 9)
    path.write_bytes(data)


def overlong(path: Path) -> None:
    data = bytearray(path.read_bytes())
    struct.pack_into("<II", data, data.index(b"PK\1\2") + 20, 1 << 30, 1 << 30)
    path.write_bytes(data)


def last_of_several(path: Path) -> None:
    data = bytearray(path.read_bytes())
    struct.pack_into("<HH", data, data.index(b"PK\5\6") + 4, 3, 3)
    path.write_bytes(data)


def numbered(path: Path) -> None:
    path.rename(path.with_name("a.zip.001"))


def lettered(path: Path) -> None:
    path.rename(path.with_name("a.z01"))


def cut_after_a_part(path: Path) -> None:
    cut(path)
    path.with_name("a.z01").touch()


def leading_out(path: Path) -> None:
    pack(path, IMAGES | {"../../evil.jpg": b"1"})


OF_A_MEMBER = [
    (other_pixels, "is damaged"),
    (encrypted, "is encrypted"),
    (packed_otherwise, "packed by method 14"),
    (a_link, "is a link"),
    (overlong, "is cut short"),
]
OF_AN_ARCHIVE = [
    (cut, "does not end in a directory|is damaged"),
    (without_a_count, "not as many files"),
    (last_of_several, "last part of a split archive"),
    (numbered, r"a\.zip\.001: is a part of a split archive"),
    (lettered, r"a\.z01: is a part of a split archive"),
    (cut_after_a_part, r"a\.z01: is a part of a split archive"),
    (leading_out, "leads out of it"),
]


@pytest.mark.parametrize(("spoil", "said"), [*OF_A_MEMBER, *OF_AN_ARCHIVE])
@pytest.mark.parametrize("method", METHODS)
def test_what_cannot_be_read_is_named_with_its_archive(
    tmp_path: Path, method: int, spoil: Callable[[Path], None], said: str
) -> None:
    path = pack(tmp_path / "a.zip", {"c.jpg": IMAGES["c.jpg"]}, method)
    spoil(path)
    with pytest.raises(DataError, match=said) as error:
        read(ImageFolder(tmp_path).locate("a/c.jpg"))
    assert "a.z" in str(error.value)
    assert "c.jpg" in str(error.value)
    if (spoil, said) in OF_A_MEMBER:
        assert error.value.path == tmp_path / "a.zip/c.jpg"
    (fault,) = check_images(rows(["a/c.jpg"]), tmp_path, decode=True).faults
    assert fault.kind == UNREADABLE
    assert not list(tmp_path.rglob("evil*"))


def test_an_archive_that_cannot_be_read_does_no_harm_beside_its_unpacked_folder(tmp_path: Path) -> None:
    cut(pack(tmp_path / "a.zip", IMAGES))
    (tmp_path / "a").mkdir()
    (tmp_path / "a/c.jpg").write_bytes(IMAGES["c.jpg"])
    check = check_images(rows(["a/c.jpg", "a/d.jpg"]), tmp_path)
    assert [(fault.image_path, fault.kind) for fault in check.faults] == [("a/d.jpg", MISSING)]


def test_an_image_that_was_cut_before_it_was_packed_is_found_by_its_header_or_its_pixels(tmp_path: Path) -> None:
    short = IMAGES["c.jpg"][: len(IMAGES["c.jpg"]) // 2]
    for method in METHODS:
        path = pack(tmp_path / f"{method}.zip", {"c.jpg": short}, method) / "c.jpg"
        assert bool(header(path).unreadable) == (method == zipfile.ZIP_STORED)
        with pytest.raises(DataError, match=r"cut short|no image"):
            decoded_size(path)


def test_of_a_large_deflated_image_the_beginning_is_inflated_for_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (900, 1200, 3), np.uint8)
    data = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    path = pack(tmp_path / "a.zip", {"c.jpg": data}) / "c.jpg"
    made: list[int] = []
    inflate = zip_archives.MemberFile._inflate

    def counted(self: zip_archives.MemberFile, end: int) -> None:
        inflate(self, end)
        made.append(len(self._inflated))

    monkeypatch.setattr(zip_archives.MemberFile, "_inflate", counted)
    assert stored_size(path) == (900, 1200)
    assert max(made) < len(data) / 20


def test_links_out_of_the_folder_are_not_followed_to_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(tmp_path / "outside/a.zip", {"c.jpg": IMAGES["c.jpg"]})
    (tmp_path / "root").mkdir()
    (tmp_path / "root/a.zip").symlink_to(tmp_path / "outside/a.zip")
    with pytest.raises(OutsideError, match="by a link"):
        ImageFolder(tmp_path / "root").locate("a/c.jpg")
    (fault,) = check_images(rows(["a/c.jpg"]), tmp_path / "root", list_outside=True).faults
    assert fault.kind == OUTSIDE
    monkeypatch.setenv(LINKED, str(tmp_path / "outside"))
    assert read(ImageFolder(tmp_path / "root").locate("a/c.jpg")) == IMAGES["c.jpg"]


@pytest.mark.parametrize("name", ["../c.jpg", "a/../../c.jpg", "/a/c.jpg"])
def test_no_path_leads_out_by_way_of_an_archive(tmp_path: Path, name: str) -> None:
    pack(tmp_path / "a.zip", {"c.jpg": IMAGES["c.jpg"]})
    with pytest.raises(OutsideError):
        ImageFolder(tmp_path).locate(name)


# -- changes, threads, processes --------------------------------------------------------------------------------


def test_a_changed_archive_is_read_anew(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"c.jpg": b"1"}) / "c.jpg"
    before = state(path)
    assert read(path) == b"1"
    pack(tmp_path / "a.zip", {"x.jpg": b"x", "c.jpg": b"2"})
    os.utime(tmp_path / "a.zip", ns=(10**18, 10**18))
    assert read(path) == b"2"
    assert before != state(path) != ""
    assert state(tmp_path / "a.zip/d.jpg") == ""


def checksums(path: Path, done: Callable[[object], None]) -> None:
    try:
        done([zlib.crc32(read(path / f"{k}.bin")) for k in range(200)])
    except Exception as error:
        done(repr(error))


def test_threads_and_forked_processes_do_not_disturb_each_other(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    members = {f"{k}.bin": random.bytes(3000 + 17 * k) for k in range(200)}
    path = pack(tmp_path / "a.zip", members)
    expected = [zlib.crc32(members[f"{k}.bin"]) for k in range(200)]
    assert zip_archives.holds(path, "0.bin")  # the parent has read the directory
    found: list[object] = []
    threads = [threading.Thread(target=checksums, args=(path, found.append)) for _ in range(3)]
    fork = get_context("fork")
    queue = fork.SimpleQueue()
    processes = [fork.Process(target=checksums, args=(path, queue.put)) for _ in range(2)]
    for one in (*processes, *threads):
        one.start()
    found += [queue.get() for _ in processes]
    for one in (*processes, *threads):
        one.join()
    assert found == [expected] * 5


def test_verify_looks_at_images_in_archives(tmp_path: Path) -> None:
    pack(tmp_path / "a.zip", {f"{k}.png": IMAGES["c.png"] for k in range(5)})
    hd = rows([f"a/{k}.png" for k in range(6)])
    for decode in (False, True):
        check = check_images(hd, tmp_path, decode=decode)
        assert [(fault.image_path, fault.kind) for fault in check.faults] == [("a/5.png", MISSING)]
