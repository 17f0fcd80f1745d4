"""The native storage gives back what was stored, reads nothing unasked, and survives what happens to files."""

import errno
import json
import multiprocessing
import pickle
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest

from ehps.errors import DataError
from ehps.humandata import HumanData, Passport, Strings
from ehps.humandata.memory_map import owner
from ehps.humandata.storage import h5
from ehps.humandata.storage.former_names import MEASURES, former


@pytest.fixture
def file(people, tmp_path):
    return people().save(tmp_path / "a.h5")


def offset_of(file, column):
    with h5py.File(file) as opened:
        return opened[column].id.get_offset()


# -- what was stored comes back ---------------------------------------------------------------------------


def test_columns_names_passport_misc_and_quality_come_back(people, same, file):
    hd, back = people(), HumanData.open(file)
    same(back, hd)
    assert (back.misc, back.quality, back.source) == (hd.misc, hd.quality, file)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int64", "float16", "float32", "float64"])
def test_numeric_types_are_kept(tmp_path, dtype):
    values = np.arange(12).reshape(4, 3).astype(dtype)
    back = HumanData.open(HumanData({"x": values}).save(tmp_path / "a.h5"))["x"]
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)


def test_big_endian_and_strided_columns_are_stored_by_value(tmp_path):
    values = np.arange(24, dtype=">f4").reshape(4, 6)
    hd = HumanData({"a": values, "b": values[:, ::2], "c": np.asfortranarray(values)})
    back = HumanData.open(hd.save(tmp_path / "a.h5"))
    for name in hd.columns:
        np.testing.assert_array_equal(back[name], hd[name])


def test_no_rows_no_width_empty_and_foreign_texts_are_stored(people, same, tmp_path):
    words = ["", "straße/图.jpg", "", "a b"]
    odd = HumanData({"t": words, "none": [""] * 4, "flat": np.zeros((4, 0), np.float32)})
    for i, hd in enumerate((odd, people(0), odd[:0], HumanData({}))):
        same(HumanData.open(hd.save(tmp_path / f"{i}.h5")), hd)
    assert HumanData.open(tmp_path / "0.h5")["t"].tolist() == words


def test_misc_beyond_the_size_of_an_attribute_comes_back(tmp_path):
    misc = {"note": "ä" * 70_000, "shape": np.array([3, 4]), "scale": np.float32(1.5)}
    hd = HumanData({"x": np.arange(3)}, misc=misc)
    assert HumanData.open(hd.save(tmp_path / "a.h5")).misc == {"note": "ä" * 70_000, "shape": [3, 4], "scale": 1.5}


def test_any_hdf5_tool_reads_the_columns(people, file):
    with h5py.File(file) as opened:
        np.testing.assert_array_equal(opened["smplx/betas"][...], people()["smplx/betas"])
        codes, blob = opened["meta/gender/codes"][...], opened["meta/gender/blob"][...].tobytes().decode()
        assert blob == "femalemaleneutral"
        assert codes.tolist() == [0, 1, 2, 0, 1, 2, 0]
        assert json.loads(opened.attrs["passport"])["dataset"] == "toy"


@pytest.mark.parametrize("column", [np.array([{}, {}]), np.zeros(2, complex), np.zeros(2, "M8[s]")])
def test_a_column_that_is_neither_numbers_nor_texts_is_refused_by_name(tmp_path, column):
    with pytest.raises(DataError, match="column odd holds"):
        HumanData({"odd": column}).save(tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_column_below_another_column_is_refused(tmp_path):
    with pytest.raises(DataError, match="'a/b'"):
        HumanData({"a": np.zeros(1), "a/b": np.zeros(1)}).save(tmp_path / "a.h5")


# -- lazy, mapped, shared ---------------------------------------------------------------------------------


def test_columns_are_aligned_read_only_views_of_one_map(file):
    hd = HumanData.open(file)
    for name in hd.columns:
        array = hd[name].codes if isinstance(hd[name], Strings) else hd[name]
        assert array.__array_interface__["data"][0] % 64 == 0
        assert not array.flags.writeable
        assert owner(array) is owner(hd["bbox_xywh"])
        assert owner(array) is not None
    assert np.shares_memory(hd[2:5]["bbox_xywh"], hd["bbox_xywh"])
    assert np.shares_memory(hd[3]["smplx/body_pose"], hd["smplx/body_pose"])
    assert np.shares_memory(HumanData.open(file)["bbox_xywh"], hd["bbox_xywh"])


def test_opening_reads_no_data(file):
    """Whatever happens to the numbers after opening is seen, so nothing was read before."""
    hd = HumanData.open(file)
    with open(file, "r+b") as raw:
        raw.seek(offset_of(file, "smplx/transl"))
        raw.write(np.array([1, 2, 3], np.float32).tobytes())
    assert hd["smplx/transl"][0].tolist() == [1, 2, 3]


def test_random_rows_are_not_taken_before_they_are_looked_at(file):
    hd = HumanData.open(file)[[5, 1]][np.array([True, False])]
    with open(file, "r+b") as raw:
        raw.seek(offset_of(file, "smplx/transl") + 5 * 12)
        raw.write(np.array([1, 2, 3], np.float32).tobytes())
    assert hd["smplx/transl"].tolist() == [[1, 2, 3]]


def test_opening_a_big_file_needs_no_memory_for_it(people, tmp_path):
    file = tmp_path / "big.h5"
    HumanData({"x": np.zeros((15_000, 1000), np.float32)}).save(file)  # 60 MB
    code = """
        import resource, sys
        from ehps.humandata import HumanData
        from ehps.humandata.storage import h5
        import h5py
        limit = lambda: int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])
        before = limit()
        assert HumanData.open(sys.argv[1])[12_000]["x"].sum() == 0
        print(limit() - before)
    """
    used = subprocess.check_output([sys.executable, "-c", textwrap.dedent(code), str(file)])
    assert int(used) < 30_000  # kB


def test_single_rows_are_read_without_reading_ahead_and_columns_with(file):
    hd = HumanData.open(file)
    mapped = owner(hd["bbox_xywh"])
    assert not mapped.random
    row = hd[3]
    row["bbox_xywh"]
    assert mapped.random
    assert owner(pickle.loads(pickle.dumps(hd))[2]["bbox_xywh"]).random
    hd["bbox_xywh"]
    assert not mapped.random


def test_chunked_copies_made_by_other_tools_are_read_into_memory(people, file, tmp_path):
    with h5py.File(file, "r+") as opened:
        values = opened["bbox_xywh"][...]
        del opened["bbox_xywh"]
        opened.create_dataset("bbox_xywh", data=values, chunks=(2, 5), compression="gzip")
    np.testing.assert_array_equal(HumanData.open(file)["bbox_xywh"], people()["bbox_xywh"])


# -- pickling ---------------------------------------------------------------------------------------------


def test_pickles_of_mapped_rows_are_small_and_come_back(people, same, tmp_path):
    hd = people(2000)
    opened = HumanData.open(hd.save(tmp_path / "a.h5"))
    mask = np.arange(2000) % 3 == 0
    for rows in (slice(None), slice(100, 1900, 7), slice(1900, 100, -1), mask, [5, -1, 5], 17):
        packed = pickle.dumps(opened[rows])
        same(pickle.loads(packed), hd[rows])
        assert len(packed) < 20_000  # 2000 rows are 1.2 MB
    looked_at = opened[mask]
    looked_at["smplx/body_pose"]
    assert len(pickle.dumps(looked_at)) < 20_000


def test_pickles_keep_columns_that_are_not_in_the_file(people, same, file):
    weight = np.arange(7.0)
    hd = HumanData.open(file).with_columns({"weight": weight}).without(["smplx/transl"])
    hd.misc["note"] = 1
    back = pickle.loads(pickle.dumps(hd))
    same(back, people().with_columns({"weight": weight}).without(["smplx/transl"]))
    assert (back.misc["note"], back.source) == (1, file)
    same(pickle.loads(pickle.dumps(people())), people())


def row_sum(hd):
    return float(hd["smplx/betas"].sum()), hd["image_path"].tolist()


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_other_processes_get_the_same_rows(file, method):
    hd = HumanData.open(file)[[6, 0, 3]]
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(row_sum, (hd,)) == row_sum(hd)


def test_a_pickle_of_a_file_that_was_replaced_or_removed_is_refused(people, file):
    packed = pickle.dumps(HumanData.open(file))
    people(9).save(file)
    with pytest.raises(DataError, match=r"a\.h5: was changed"):
        pickle.loads(packed)
    file.unlink()
    with pytest.raises(DataError, match=r"a\.h5: cannot be opened again"):
        pickle.loads(packed)


# -- same content, same bytes -----------------------------------------------------------------------------


def test_the_same_content_gives_the_same_bytes_whenever_and_however_coded(people, file, tmp_path):
    hd = people()
    words = Strings.of(["unused", "neutral", *hd["meta/gender"].tolist()])[2:]
    again = hd.with_columns({"meta/gender": words}).save(tmp_path / "b.h5")
    rows = HumanData.open(people(9).save(tmp_path / "nine.h5"))
    assert again.read_bytes() == file.read_bytes()
    copied = HumanData.open(file)[np.arange(7)].save(tmp_path / "c.h5")
    assert copied.read_bytes() == file.read_bytes()
    assert rows[:7].save(tmp_path / "d.h5").read_bytes() != file.read_bytes()


def test_another_process_at_another_time_writes_the_same_bytes(file, tmp_path):
    code = "import sys, time; time.sleep(1.1); from ehps.humandata import HumanData; "
    code += "HumanData.open(sys.argv[1]).save(sys.argv[2])"
    subprocess.run([sys.executable, "-c", code, str(file), str(tmp_path / "b.h5")], check=True)
    assert (tmp_path / "b.h5").read_bytes() == file.read_bytes()


def test_the_content_hash_covers_values_types_names_and_passport_only(people, file, tmp_path):
    hd, known = people(), h5.content_hash(file)
    assert known == h5.content_hash(file, recompute=True) == h5.digest(hd)
    assert known == h5.digest(HumanData.open(file)[np.arange(7)])
    hd.misc["note"] = "other"
    assert h5.digest(hd) == known
    value = np.array(hd["smplx/betas"])
    value[3, 4] = np.nextafter(value[3, 4], value.dtype.type(9))
    others = [
        hd.with_columns({"smplx/betas": value}),
        hd.with_columns({"quality/height_m": np.asarray(hd["quality/height_m"], np.float32)}),
        hd.with_columns({"meta/gender": ["male"] * 7}),
        hd.without(["meta/height"]),
        hd[:6],
        hd.with_columns({}, keypoint_names={"keypoints2d_smplx": ("a", "b", "c", "d")}),
    ]
    other_passport = hd[:]
    other_passport.passport = Passport(dataset="other")
    hashes = {h5.digest(other) for other in (*others, other_passport)}
    assert len(hashes) == 7
    assert known not in hashes


def as_the_first_version_wrote_it(path):
    """Names of today put back to those of format 1, in place."""
    with h5py.File(path, "r+") as file:
        file.move("quality", "certificate")
        file.move("certificate/world_to_camera_m", "certificate/two_routes_m")
        columns, summary = (json.loads(file.attrs[name]) for name in ("columns", "quality"))
        for column in columns:
            column[0] = former(column[0])
        del file.attrs["quality"], file.attrs["columns"], file.attrs["facts_sha256"]
        file.attrs["columns"] = json.dumps(columns)
        file.attrs["certificate"] = json.dumps({MEASURES.get(k, k): v for k, v in summary.items()})
        file.attrs["ehps_format"] = 1


def test_files_of_the_first_version_give_the_same_rows_under_the_names_of_today(people, same, tmp_path):
    hd = people(quality__world_to_camera_m=np.linspace(0, 1, 7))
    hd.quality = {"rows": 7, "world_to_camera_m": {"p50": 0.5}}
    file = hd.save(tmp_path / "a.h5")
    known = h5.content_hash(file)
    as_the_first_version_wrote_it(file)
    opened = HumanData.open(file)
    same(opened, hd)
    assert opened.quality == hd.quality
    assert h5.verify(file) == []
    assert h5.content_hash(file) == h5.content_hash(file, recompute=True) == known == h5.digest(hd)


def test_a_changed_bit_is_found_and_the_column_named(file):
    assert h5.verify(file) == []
    with open(file, "r+b") as raw:
        raw.seek(offset_of(file, "smplx/betas") + 17)
        byte = raw.read(1)[0]
        raw.seek(-1, 1)
        raw.write(bytes([byte ^ 1]))
    assert h5.damaged_columns(file) == ["smplx/betas"]
    assert h5.content_hash(file) != h5.content_hash(file, recompute=True)


# -- joining ----------------------------------------------------------------------------------------------


def joined(parts, out, **options):
    first = HumanData.open(parts[0])
    h5.join(lambda: map(HumanData.open, parts), out, passport=first.passport, misc={}, quality={"rows": 1}, **options)
    return HumanData.open(out)


def test_joined_parts_are_the_concatenation_to_the_byte(people, same, tmp_path, monkeypatch):
    monkeypatch.setattr("ehps.humandata.storage.plan.BLOCK_BYTES", 5000)  # several blocks a part
    made = [people(11, seed=1), people(0, seed=2), people(40, seed=3), people(1, seed=1)]
    parts = [part.save(tmp_path / f"{i}.h5") for i, part in enumerate(made)]
    out = joined(parts, tmp_path / "out.h5")
    whole = HumanData.concat(made)
    same(out, whole)
    whole.misc, whole.quality = {}, {"rows": 1}
    assert whole.save(tmp_path / "whole.h5").read_bytes() == (tmp_path / "out.h5").read_bytes()
    assert h5.verify(tmp_path / "out.h5") == []


def test_differing_points_are_joined_by_name(people, same, tmp_path):
    a = people(3)
    b = people(2, seed=1).with_columns(
        {"keypoints2d_smplx": np.full((2, 2, 3), 5, np.float32)},
        keypoint_names={"keypoints2d_smplx": ("left_eye", "pelvis")},
    )
    out = joined([a.save(tmp_path / "a.h5"), b.save(tmp_path / "b.h5")], tmp_path / "out.h5")
    assert out.keypoint_names["keypoints2d_smplx"] == ("pelvis", "left_hip", "right_hip", "nose", "left_eye")
    np.testing.assert_array_equal(out["keypoints2d_smplx"][:3, :4], a["keypoints2d_smplx"])
    assert out["keypoints2d_smplx"][3:, :, 0].tolist() == [[5, 0, 0, 0, 5]] * 2
    assert out["keypoints2d_smplx"][:3, 4].any() == False  # noqa: E712
    same(out, HumanData.concat([a, b]))


def test_parts_without_rows_need_not_know_the_columns(people, same, tmp_path):
    empty = HumanData({"image_path": []}, passport=people().passport).save(tmp_path / "empty.h5")
    full = people().save(tmp_path / "full.h5")
    for order in ([empty, full], [full, empty], [empty, full, empty]):
        same(joined(order, tmp_path / "out.h5"), people())
    assert len(joined([empty, empty], tmp_path / "out.h5")) == 0


def test_number_types_are_widened_when_parts_differ(tmp_path):
    a = HumanData({"x": np.array([1, 2], np.int16)}).save(tmp_path / "a.h5")
    b = HumanData({"x": np.array([70_000], np.int32)}).save(tmp_path / "b.h5")
    assert joined([a, b], tmp_path / "out.h5")["x"].tolist() == [1, 2, 70_000]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda hd: hd.without(["smplx/transl"]), "lacks smplx/transl"),
        (lambda hd: hd.with_columns({"extra": np.zeros(7)}), "has also extra"),
        (lambda hd: hd.with_columns({"smplx/betas": np.zeros((7, 11))}), r"smplx/betas.*\(11,\).*\(10,\)"),
        (lambda hd: hd.with_columns({"meta/gender": np.zeros(7)}), "meta/gender.*text"),
    ],
)
def test_parts_that_do_not_fit_are_named(people, tmp_path, change, words):
    parts = [people().save(tmp_path / "a.h5"), change(people()).save(tmp_path / "odd.h5")]
    with pytest.raises(DataError, match=rf"odd\.h5.*{words}"):
        joined(parts, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()
    same_columns = joined(parts, tmp_path / "out.h5", columns=["image_path", "bbox_xywh"])
    assert (same_columns.columns, len(same_columns)) == (("image_path", "bbox_xywh"), 14)


def test_killed_while_joining_leaves_the_old_file(people, tmp_path):
    for i in range(3):
        people(seed=i).save(tmp_path / f"{i}.h5")
    out = people(1).save(tmp_path / "out.h5")
    before = out.read_bytes()
    code = """
        import os, sys
        from pathlib import Path
        from ehps.humandata import HumanData, Passport
        from ehps.humandata.storage import h5

        opened, folder = [], Path(sys.argv[1])

        def parts():
            for i in range(3):
                opened.append(i)
                if len(opened) == 6:  # once for the plan, then for the rows: the third part is about to be copied
                    assert list(folder.glob(".out.h5.*.tmp"))
                    os.kill(os.getpid(), 9)
                yield HumanData.open(folder / f"{i}.h5")

        h5.join(parts, folder / "out.h5", passport=Passport(), misc={}, quality={})
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True)
    assert run.returncode == -9
    assert out.read_bytes() == before


# -- what happens to files --------------------------------------------------------------------------------


def test_a_file_cut_short_anywhere_is_an_error_with_path_and_fix(file):
    whole = file.read_bytes()
    for kept in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:kept])
        with pytest.raises(DataError, match=r"a\.h5: (is cut short|is damaged).*[Cc]onvert it again"):
            HumanData.open(file)


def test_absent_foreign_and_future_files_are_told_apart(file, tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        HumanData.open(tmp_path / "none.h5")
    with pytest.raises(DataError, match="is a folder"):
        h5.read(tmp_path)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = np.zeros(3)
    with pytest.raises(DataError, match="not a HumanData file"):
        HumanData.open(tmp_path / "other.h5")
    with h5py.File(file, "r+") as opened:
        opened.attrs["ehps_format"] = 99
    with pytest.raises(DataError, match=r"format 99.*Update ehps"):
        HumanData.open(file)


def test_a_missing_or_overlong_column_is_damage(file):
    with h5py.File(file, "r+") as opened:
        del opened["bbox_xywh"]
        opened["bbox_xywh"] = np.zeros((8, 5), np.float32)
    with pytest.raises(DataError, match=r"is damaged.*bbox_xywh has 8 rows of 7"):
        HumanData.open(file)
    with h5py.File(file, "r+") as opened:
        del opened["bbox_xywh"]
    with pytest.raises(DataError, match=r"is damaged.*bbox_xywh"):
        HumanData.open(file)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full. Free some space"),
        (errno.EACCES, "no permission to write here. Choose another folder"),
        (errno.EROFS, "the file system is read-only. Choose another folder"),
    ],
)
@pytest.mark.parametrize("moment", ["open", "write", "rename"])
def test_a_write_that_fails_says_why_and_leaves_the_old_file(people, file, monkeypatch, code, words, moment):
    before = file.read_bytes()

    def fail(*args, **kwargs):
        raise OSError(code, "from the system")

    if moment == "open":
        monkeypatch.setattr(h5py, "File", fail)
    elif moment == "write":
        monkeypatch.setattr(h5, "_write_rows", fail)
    else:
        monkeypatch.setattr("os.replace", fail)
    with pytest.raises(DataError, match=rf"a\.h5: {words}"):
        people(9).save(file)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["a.h5"]


def test_too_little_space_is_known_before_writing(people, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(DataError, match=r"a\.h5: needs 0\.\d+ MB, only 0\.001 MB are free.*another disk"):
        people().save(tmp_path / "a.h5")


def test_an_interrupt_leaves_nothing_behind(people, tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(h5, "_write_rows", interrupt)
    with pytest.raises(KeyboardInterrupt):
        people().save(tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []
