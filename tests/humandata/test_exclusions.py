"""Lists of rows to leave out: both forms, and none that silently does nothing."""

import numpy as np
import pytest

from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.exclusions import excluded_rows, listed_rows, read_exclusions, write_exclusions
from ehps.humandata.operations import merge

ENTRIES = [
    {"dataset": "toy", "id": "toy/0/1.jpg", "reason": "has 0 bytes"},
    {"dataset": "toy", "id": "toy/0/2.jpg#1", "reason": "is cut\tshort"},
]


@pytest.mark.parametrize("name", ["list.json", "list.txt", "list"])
def test_a_list_comes_back_as_it_was_written(people, tmp_path, name):
    path = write_exclusions(ENTRIES, tmp_path / name)
    found = read_exclusions(path)
    assert [(entry["id"], entry["reason"]) for entry in found] == [(e["id"], e["reason"]) for e in ENTRIES]
    np.testing.assert_array_equal(np.flatnonzero(listed_rows(people(7), path)), [2, 3, 5])


def test_names_may_hold_spaces_and_hashes(tmp_path):
    hd = HumanData({"image_path": ["a b#1.jpg", "c.jpg"]})
    path = write_exclusions([{"id": "a b#1.jpg", "reason": "x"}], tmp_path / "list.txt")
    np.testing.assert_array_equal(listed_rows(hd, path), [True, False])


def test_a_list_that_names_no_row_is_an_error_and_an_empty_one_is_not(people, tmp_path):
    write_exclusions([{"dataset": "toy", "id": "other/1.jpg", "reason": ""}], tmp_path / "other.json")
    hd = people(4)
    hd.save(tmp_path / "a.h5")
    for use in (lambda p: listed_rows(hd, p), lambda p: merge([tmp_path / "a.h5"], tmp_path / "b.h5", without=p)):
        with pytest.raises(DataError, match=r"other\.json: names no row of .*'other/1\.jpg' of toy"):
            use(tmp_path / "other.json")
    assert not (tmp_path / "b.h5").exists()
    for name in ("none.json", "none.txt"):
        assert not listed_rows(hd, write_exclusions([], tmp_path / name)).any()


def test_entries_of_a_merged_set_name_its_rows(people):
    hd = people(4, dataset="a+b")
    assert excluded_rows(hd, [{"dataset": "a+b", "id": "a+b/0/0.jpg"}]).sum() == 2
    assert excluded_rows(hd, [{"dataset": "a", "id": "a+b/0/0.jpg"}]).sum() == 2
    assert excluded_rows(hd, [{"dataset": "c", "id": "a+b/0/0.jpg"}]).sum() == 0


@pytest.mark.parametrize("name", ["c.h5", "c.npz"])
def test_a_merge_leaves_out_what_is_listed_in_any_of_its_files(people, tmp_path, name):
    paths = [people(4, seed).save(tmp_path / f"{seed}.h5") for seed in (0, 1)]
    listed = write_exclusions([{"id": "toy/1/0.jpg", "reason": "broken"}], tmp_path / "list.txt")
    merged = merge(paths, tmp_path / name, without=listed)
    hd = HumanData.open(tmp_path / name)
    assert (merged.instances, merged.excluded, hd.misc["excluded"]) == (6, 2, 2)
    assert hd["image_path"].tolist() == ["toy/0/0.jpg"] * 2 + ["toy/0/1.jpg"] * 2 + ["toy/1/1.jpg"] * 2


def test_what_is_no_list_is_refused(tmp_path):
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not a readable exclusion list"):
        read_exclusions(tmp_path / "binary.txt")
    with pytest.raises(DataError, match="no such file"):
        read_exclusions(tmp_path / "absent.txt")
    with pytest.raises(DataError, match="is a folder"):
        read_exclusions(tmp_path)
