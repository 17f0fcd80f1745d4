from __future__ import annotations

import os
from pathlib import Path

import pytest

from ehps.converters.readers import opened, raw_files
from ehps.converters.readers.opened import SMALL, recording, remembered, unchanged


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "calibration.json"
    path.write_text("{}")
    return path


def noted(path: Path) -> dict[str, str]:
    with recording() as record:
        opened.note(path)
    return record.files


def later(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def test_what_appears_where_a_pattern_is_looked_for_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "000").mkdir()
    with recording() as record:
        assert raw_files.matching(tmp_path, "*/*.pkl") == []
    (tmp_path / "000/a.txt").touch()
    assert not unchanged(record.files)
    (tmp_path / "000/a.pkl").touch()
    (tmp_path / "b.pkl").touch()
    assert raw_files.matching(tmp_path, "*/*.pkl") == [tmp_path / "000/a.pkl"]


def test_nothing_is_kept_where_nobody_records(file: Path) -> None:
    opened.note(file)
    with recording() as record:
        pass
    assert record.files == {}


def test_a_small_file_is_known_by_its_content(file: Path) -> None:
    files = noted(file)
    later(file)
    assert unchanged(files)
    status = file.stat()
    file.write_text("[]")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not unchanged(files)


@pytest.mark.parametrize("change", [later, lambda path: path.write_bytes(bytes(SMALL + 2))])
def test_a_large_file_is_known_by_its_size_and_time(file: Path, change) -> None:
    file.write_bytes(bytes(SMALL + 1))
    files = noted(file)
    assert unchanged(files)
    change(file)
    assert not unchanged(files)


def test_a_file_that_is_not_there_is_missed_until_it_comes(file: Path) -> None:
    file.unlink()
    with recording() as record:
        assert not opened.is_file(file)
    assert unchanged(record.files)
    file.write_text("{}")
    assert not unchanged(record.files)


def test_of_a_folder_the_names_count_or_only_that_it_is_there(file: Path) -> None:
    listed = noted(file.parent)
    with recording() as record:
        assert opened.is_folder(file.parent)
    (file.parent / "more.json").write_text("{}")
    assert not unchanged(listed)
    assert unchanged(record.files)


def test_a_record_within_another_adds_to_it(file: Path) -> None:
    with recording() as outer:
        with recording() as inner:
            opened.note(file)
        assert outer.files == inner.files
    assert outer.last == file


def test_a_result_is_given_again_with_its_files_until_one_changes(file: Path) -> None:
    calls = []

    @remembered(1)
    def read(path: Path) -> str:
        calls.append(path)
        opened.note(path)
        return path.read_text()

    assert read(file) == "{}"
    with recording() as record:
        assert read(file) == "{}"
    assert list(record.files) == [str(file)]
    assert len(calls) == 1
    file.write_text("[]")
    assert read(file) == "[]"
    assert len(calls) == 2


def test_only_the_last_results_are_kept(file: Path) -> None:
    calls = []

    @remembered(1)
    def read(path: Path, n: int) -> int:
        calls.append(n)
        return n

    assert [read(file, n) for n in (1, 1, 2, 1)] == [1, 1, 2, 1]
    assert calls == [1, 2, 1]
