"""Every image is looked at once; those that cannot be used are named with their rows."""

import threading

import cv2
import numpy as np
import pytest

from ehps.errors import DataError
from ehps.humandata import HumanData, image_checks
from ehps.humandata.image_checks import MISSING, OTHER_SIZE, UNREADABLE, check_images, require_images
from ehps.humandata.image_files import OutsideError


def rows(paths, height=30, width=40):
    n = len(paths)
    return HumanData(
        {"image_path": paths, "meta/height": np.full(n, height, np.int32), "meta/width": np.full(n, width, np.int32)}
    )


@pytest.fixture
def root(tmp_path):
    """Five images: two sound, one of another size, one cut after its header, one of 0 bytes."""
    data = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8))[1].tobytes()
    (tmp_path / "b").mkdir()
    for name in ("0.png", "b/1.png"):
        (tmp_path / name).write_bytes(data)
    cv2.imwrite(str(tmp_path / "half.png"), np.zeros((15, 20, 3), np.uint8))
    broken = bytearray(data)
    broken[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    (tmp_path / "broken.png").write_bytes(broken)
    (tmp_path / "empty.png").touch()
    return tmp_path


PATHS = ["half.png", "0.png", "gone.png", "broken.png", "b/1.png", "empty.png", "half.png", "b/gone.png"]


def test_headers_tell_what_is_missing_unreadable_or_of_another_size(root):
    check = check_images(rows(PATHS), root)
    assert check.images == 7
    assert [(fault.image_path, fault.kind, fault.row) for fault in check.faults] == [
        ("half.png", OTHER_SIZE, 0),
        ("gone.png", MISSING, 2),
        ("empty.png", UNREADABLE, 5),
        ("b/gone.png", MISSING, 7),
    ]
    assert check.faults[0].reason == "has 20 x 15 pixels, its rows say 40 x 30"
    np.testing.assert_array_equal(np.flatnonzero(check.rows(OTHER_SIZE)), [0, 6])
    np.testing.assert_array_equal(np.flatnonzero(check.rows(MISSING)), [2, 7])
    assert check.wrong[6] == 1
    assert "4 of 7 images cannot be used (2 no such image, 1 image cannot be read, 1 image of another size)" in (
        check.summary()
    )


def test_decoding_finds_what_headers_do_not_say(root):
    check = check_images(rows(PATHS), root, decode=True, jobs=2)
    assert {fault.image_path for fault in check.faults} == {*PATHS} - {"0.png", "b/1.png"}


def test_a_row_that_differs_from_the_others_of_its_image_is_found(root):
    hd = rows(["0.png", "0.png"])
    hd = hd.with_columns({"meta/width": np.array([40, 80], np.int32)})
    (fault,) = check_images(hd, root).faults
    assert fault.reason == "has 40 x 30 pixels, its rows say 80 x 30"


def test_only_images_of_the_wanted_rows_are_looked_at(root):
    hd = rows(PATHS)
    check = check_images(hd, root, rows=np.array([6, 4]))
    assert (check.images, [fault.row for fault in check.faults]) == (2, [6])
    assert np.flatnonzero(check.wrong).tolist() == [6]
    require_images(hd, root, rows=np.array([1, 4]))
    with pytest.raises(DataError, match=r"1 of 2 images cannot be used .*half.png \(row 6\): has 20 x 15"):
        require_images(hd, root, rows=np.array([6, 4]))


def test_a_file_that_states_no_sizes_is_checked_for_presence_and_headers(root):
    hd = rows(PATHS).without(["meta/width"])
    assert {fault.kind for fault in check_images(hd, root).faults} == {MISSING, UNREADABLE}


def test_each_image_is_opened_once(root, monkeypatch):
    opened = []
    lock = threading.Lock()

    def counted(path):
        with lock:
            opened.append(path.name)
        return 30, 40

    monkeypatch.setattr(image_checks, "stored_size", counted)
    check_images(rows(["0.png", "b/1.png"] * 50 + ["gone.png"]), root)
    assert sorted(opened) == ["0.png", "1.png"]


def test_each_folder_is_listed_once(root, monkeypatch):
    listed, scandir = [], image_checks.os.scandir
    monkeypatch.setattr(image_checks.os, "scandir", lambda path: listed.append(path) or scandir(path))
    check_images(rows([*PATHS, *PATHS, "no/1.png", "no/2.png"]), root)
    assert sorted(listed) == [root, root / "b", root / "no"]


def test_sizes_of_another_form_are_not_compared(root):
    hd = rows(["0.png", "b/1.png"])
    for odd in (["40", "40"], np.full((2, 1), 40)):
        assert check_images(hd.with_columns({"meta/width": odd}), root).faults == []


@pytest.mark.parametrize("name", ["../0.png", "b/../../0.png", "/etc/passwd"])
def test_nothing_outside_the_folder_is_looked_at(root, name):
    with pytest.raises(OutsideError, match="of row 1"):
        check_images(rows(["0.png", name]), root)


def test_links_are_followed_inside_the_folder_only(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "x.png"
    outside.write_bytes((root / "0.png").read_bytes())
    (root / "inside.png").symlink_to("0.png")
    (root / "dangling.png").symlink_to("nowhere.png")
    check = check_images(rows(["inside.png", "dangling.png"]), root)
    assert [(fault.image_path, fault.kind) for fault in check.faults] == [("dangling.png", MISSING)]
    (root / "out.png").symlink_to(outside)
    with pytest.raises(OutsideError):
        check_images(rows(["out.png"]), root)


def test_a_file_without_image_paths_is_told_so(root):
    with pytest.raises(DataError, match="no image paths"):
        check_images(HumanData({"image_id": np.arange(2)}), root)
