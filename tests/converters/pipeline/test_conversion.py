from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_dataset import CARD, HEIGHT, WIDTH, Hall
from PIL import Image

from ehps.converters import registry
from ehps.converters.base import Converter, Instances, Unit, no_instances
from ehps.converters.pipeline import convert, workers
from ehps.converters.pipeline.report import Report
from ehps.errors import BodyModelError, DataError, UsageError
from ehps.humandata import HumanData
from tests.commands import ehps


def run(raw: Path, out: Path, models: Path | None = None, dataset: Any = Hall, **options: Any) -> Report:
    return convert(dataset, raw, out=out, body_models=models, progress=False, **options)


def test_units_are_joined_in_order_with_a_report(hall: Path, tmp_path: Path, body_models: Path) -> None:
    out = tmp_path / "hall.h5"
    report = run(hall, out, body_models)
    hd = HumanData.open(out)
    assert hd["meta/sequence_name"].tolist() == [f"walk_{s}" for s in range(3) for _ in range(4)]
    assert (report.found, report.written, report.published, report.units) == (15, 12, 12, 3)
    assert report.dropped == {"crowd": ["walk_0 crowd", "walk_1 crowd", "walk_2 crowd"]}
    assert hd.misc["fps"] == 30
    assert "unit" not in hd.misc  # differs between units
    assert hd.passport.dataset == "hall"
    files = ["hall.h5", "hall.h5.report.json", "hall.h5.sources.gz"]
    assert sorted(p.name for p in tmp_path.iterdir()) == files
    saved = json.loads((tmp_path / "hall.h5.report.json").read_text())
    assert saved["dropped"]["crowd"]["count"] == 3
    assert saved["quality"] == hd.quality
    assert hd.validate() == []


def test_the_report_can_be_printed(
    hall: Path, tmp_path: Path, body_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = run(hall, tmp_path / "x.h5", body_models)
    report.print()
    text = capsys.readouterr().out
    assert "12  instances written" in text
    assert "3  dropped: crowd (walk_0 crowd" in text
    assert "reprojection, px" in text
    report.quality = {"reprojection": "exact", "rows": 12}  # nothing could be measured
    report.print()
    assert "measured" not in capsys.readouterr().out


@pytest.fixture
def one_gender(tmp_path: Path, body_models: Path) -> Path:
    """Body models of SMPL-X, of which those of men and women are missing."""
    folder = tmp_path / "models/smplx"
    folder.mkdir(parents=True)
    (folder / "SMPLX_NEUTRAL.npz").symlink_to(body_models / "smplx/SMPLX_NEUTRAL.npz")
    return folder.parent


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_any_number_of_jobs_gives_the_same_bytes_and_the_same_error(
    hall: Path, tmp_path: Path, body_models: Path, one_gender: Path, backend: str
) -> None:
    run(hall, tmp_path / "one.h5", body_models, jobs=1)
    run(hall, tmp_path / "many.h5", body_models, jobs=2, backend=backend)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "many.h5").read_bytes()
    with pytest.raises(BodyModelError, match=r"no (fe)?male SMPL-X model"):
        run(hall, tmp_path / "x.h5", one_gender, jobs=2, backend=backend)


def test_npz_output_holds_the_same_instances(hall: Path, tmp_path: Path, body_models: Path) -> None:
    run(hall, tmp_path / "a.h5", body_models)
    run(hall, tmp_path / "a.npz", body_models)
    run(hall, tmp_path / "b.npz", body_models)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    h5, npz = HumanData.open(tmp_path / "a.h5"), HumanData.open(tmp_path / "a.npz")
    assert npz["image_path"].tolist() == h5["image_path"].tolist()
    np.testing.assert_array_equal(npz["smplx/transl"], h5["smplx/transl"])
    assert not (tmp_path / "a.npz.parts").exists()


def test_a_limit_takes_the_first_instances_and_reads_no_more(
    hall: Path, tmp_path: Path, body_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = Hall.read
    monkeypatch.setattr(Hall, "read", lambda self, unit: read.append(unit.name) or original(self, unit))
    run(hall, tmp_path / "all.h5", body_models)
    read.clear()
    report = run(hall, tmp_path / "six.h5", body_models, limit=6)
    assert read == ["walk_0", "walk_1"]
    assert report.written == 6
    whole, six = HumanData.open(tmp_path / "all.h5"), HumanData.open(tmp_path / "six.h5")
    assert six["image_path"].tolist() == whole["image_path"].tolist()[:6]
    np.testing.assert_allclose(six["keypoints2d_smplx"], whole["keypoints2d_smplx"][:6], rtol=1e-5, atol=1e-3)
    run(hall, tmp_path / "par.h5", body_models, limit=6, jobs=2, backend="threading")
    assert (tmp_path / "six.h5").read_bytes() == (tmp_path / "par.h5").read_bytes()


# -- bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_damaged_unit_is_named_and_the_others_are_kept(
    own_hall: Path, tmp_path: Path, body_models: Path, jobs: int
) -> None:
    out = tmp_path / "hall.h5"
    out.write_bytes(b"earlier result")
    damaged = own_hall / "sequences/walk_1.npz"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError) as caught:
        run(own_hall, out, body_models, jobs=jobs, backend="threading", overwrite=True)
    assert "1 of 3 units could not be read: walk_1" in str(caught.value)
    assert "sequences/walk_1.npz" in str(caught.value)
    assert "--skip-bad" in str(caught.value)
    assert out.read_bytes() == b"earlier result"
    kept = {p.stem: p.stat().st_mtime_ns for p in (tmp_path / "hall.h5.parts").glob("*/*.h5")}
    assert sorted(kept) == ["00000-walk_0", "00002-walk_2"]
    damaged.write_bytes(whole)
    report = run(own_hall, out, body_models, jobs=jobs, backend="threading", overwrite=True)
    assert report.finished_before == 2
    assert len(HumanData.open(out)) == 12


def test_bad_units_can_be_left_out(own_hall: Path, tmp_path: Path, body_models: Path) -> None:
    (own_hall / "sequences/walk_1.npz").write_bytes(b"PK")
    report = run(own_hall, tmp_path / "hall.h5", body_models, skip_bad=True)
    assert report.written == 8
    assert [unit.unit for unit in report.bad] == ["walk_1"]
    assert set(HumanData.open(tmp_path / "hall.h5")["meta/sequence_name"].tolist()) == {"walk_0", "walk_2"}


def test_a_crash_in_a_converter_names_its_line(hall: Path, tmp_path: Path, body_models: Path) -> None:
    with pytest.raises(
        DataError, match=r"3 of 3 units .*nothing called 'pose' is in it \(noticed at fake_dataset\.py:\d+\)"
    ):
        run(hall, tmp_path / "x.h5", body_models, options={"fault": "crash"})


def test_a_crash_keeps_its_traceback(hall: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        run(hall, tmp_path / "x.h5", options={"fault": "crash"})
    assert "Traceback" not in str(caught.value)
    assert 'raise KeyError("pose")' in "".join(traceback.format_exception(caught.value))
    (saved,) = (tmp_path / "x.h5.parts").glob("*/report.json")
    units = json.loads(saved.read_text())["bad_units"]
    assert [unit["unit"] for unit in units] == ["walk_0", "walk_1", "walk_2"]
    assert all('raise KeyError("pose")' in unit["traceback"] for unit in units)


def test_a_damaged_file_needs_no_traceback(own_hall: Path, tmp_path: Path) -> None:
    (own_hall / "sequences/walk_1.npz").write_bytes(b"PK")
    report = run(own_hall, tmp_path / "x.h5", skip_bad=True)
    assert report.to_json()["bad_units"][0]["traceback"] == ""


class Breaking(Hall):
    """The second sequence has what nobody has thought of."""

    def read(self, unit: Unit) -> Instances:
        return [][1] if unit.name == "walk_1" else super().read(unit)


def test_tracebacks_are_printed_on_request(hall: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "converter", lambda _: Breaking)
    monkeypatch.setattr(registry, "card", lambda _: Breaking.card)
    monkeypatch.setattr(registry, "find", lambda word: word)
    words = ["convert", "hall", str(hall), "--out", str(tmp_path / "x.h5"), "--skip-bad"]
    plain, debugging = (ehps(*flags, *words) for flags in ([], ["--debug"]))
    for result in (plain, debugging):
        assert result.exit_code == 0, result.output
        assert "not read walk_1: this file, or one" in result.stdout
    assert "Traceback" not in plain.output
    assert "return [][1]" in debugging.stdout


def test_nothing_left_is_an_error_that_says_why(own_hall: Path, tmp_path: Path, body_models: Path) -> None:
    shutil.rmtree(own_hall / "images")
    (own_hall / "images").mkdir()
    with pytest.raises(DataError, match=r"no instance is left of 15; dropped: 3 crowd, 12 image missing"):
        run(own_hall, tmp_path / "x.h5", body_models)
    assert not (tmp_path / "x.h5").exists()
    assert not (tmp_path / "x.h5.parts").exists()


def test_strict_images_make_a_missing_image_an_error(own_hall: Path, tmp_path: Path, body_models: Path) -> None:
    (own_hall / "images/walk_2/001.jpg").unlink()
    with pytest.raises(DataError, match=r"walk_2: 1 images are missing"):
        run(own_hall, tmp_path / "x.h5", body_models, strict_images=True)
    report = run(own_hall, tmp_path / "x.h5", body_models)
    assert report.dropped["image missing"] == ["images/walk_2/001.jpg"]


def test_an_incomplete_layout_costs_no_reading(own_hall: Path, tmp_path: Path) -> None:
    (own_hall / "calibration.json").unlink()
    with pytest.raises(DataError, match=r"missing: calibration\.json"):
        run(own_hall, tmp_path / "x.h5")
    assert not (tmp_path / "x.h5.parts").exists()


def test_body_models_of_the_wrong_kind_are_refused_before_the_work(
    hall: Path, tmp_path: Path, body_models: Path
) -> None:
    only_smpl = tmp_path / "models"
    (only_smpl / "smpl").mkdir(parents=True)
    (only_smpl / "smpl/SMPL_NEUTRAL.pkl").symlink_to(body_models / "smpl/SMPL_NEUTRAL.pkl")
    with pytest.raises(BodyModelError, match="SMPL-X"):
        run(hall, tmp_path / "x.h5", only_smpl)
    assert not (tmp_path / "x.h5.parts").exists()


def test_a_missing_gender_ends_the_run(hall: Path, tmp_path: Path, one_gender: Path) -> None:
    with pytest.raises(BodyModelError, match=r"no (fe)?male SMPL-X model"):
        run(hall, tmp_path / "x.h5", one_gender)


def test_without_body_models_the_points_and_boxes_are_converted(hall: Path, tmp_path: Path) -> None:
    report = run(hall, tmp_path / "x.h5")
    hd = HumanData.open(tmp_path / "x.h5")
    assert len(hd) == 12
    assert "keypoints2d_original" in hd
    assert "bbox_xywh" in hd
    assert "--body-models" in report.absent["smplx/*"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"out": "x.pkl"}, r"\.h5 or \.npz"),
        ({"split": "val"}, "train, test"),
        ({"options": {"colour": "red"}}, "no option colour"),
        ({"jobs": 0}, "--jobs 0"),
        ({"limit": 0}, "--limit 0"),
        ({"jobs": 2, "backend": "slurm"}, "unknown backend"),
    ],
)
def test_wrong_calls_say_what_would_be_right(hall: Path, tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    changes = {"out": "x.h5"} | changes
    changes["out"] = tmp_path / changes["out"]
    with pytest.raises(UsageError, match=words):
        convert(Hall, hall, progress=False, **changes)


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_an_uninstalled_backend_says_how_to_install_it(
    hall: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setitem(sys.modules, backend, None)
    with pytest.raises(UsageError, match=rf"{backend} needs .*, which is not installed.*ehps\[{backend}\]"):
        run(hall, tmp_path / "x.h5", jobs=2, backend=backend)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_folder_is_an_error_with_its_name(hall: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(DataError, match="permission"):
        run(hall, locked / "x.h5")


def test_an_output_below_a_file_is_an_error_with_its_name(hall: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="is a file, not a folder"):
        run(hall, tmp_path / "file/x.h5")


def test_a_full_disk_ends_the_run_and_keeps_what_is_there(
    hall: Path, tmp_path: Path, body_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = HumanData.save

    def full(self: HumanData, path: Path) -> Path:
        if "walk_1" in Path(path).name:
            raise OSError(28, "No space left on device")
        return saved(self, path)

    monkeypatch.setattr(HumanData, "save", full)
    with pytest.raises(workers.OutputError, match="No space left"):
        run(hall, tmp_path / "x.h5", body_models)
    monkeypatch.undo()
    assert run(hall, tmp_path / "x.h5", body_models).finished_before == 1


class Escaping(Hall):
    """Its first image lies beside the dataset, and its units are called like folders above it."""

    def units(self) -> list[Unit]:
        return [replace(unit, name=f"../../{unit.name}") for unit in super().units()]

    def read(self, unit: Unit) -> Instances:
        rows = super().read(replace(unit, name=unit.path.stem))
        if "escape" in self.options.get("given", ""):
            rows.image_path = ["images/../../secret.jpg", *rows.image_path[1:]]
        return rows

    def extract_frames(self, unit: Unit, image_paths: Sequence[str], folder: Path) -> None:
        for path in image_paths:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()


@pytest.mark.parametrize("frames", [None, "folder/frames"])
def test_an_image_path_that_leaves_the_root_is_refused(own_hall: Path, tmp_path: Path, frames: str | None) -> None:
    where = None if frames is None else tmp_path / frames
    with pytest.raises(DataError, match=r"'images/\.\./\.\./secret\.jpg' is not below the dataset's root"):
        run(own_hall, tmp_path / "x.h5", dataset=Escaping, options={"given": "escape"}, frames=where)
    assert not list(tmp_path.rglob("secret.jpg"))


def test_a_unit_name_does_not_leave_the_folder_of_parts(own_hall: Path, tmp_path: Path) -> None:
    out = tmp_path / "a/b/x.h5"
    (own_hall / "sequences/walk_2.npz").write_bytes(b"")
    with pytest.raises(DataError, match="walk_2"):
        run(own_hall, out, dataset=Escaping)
    (folder,) = (path for path in out.with_name("x.h5.parts").iterdir() if path.is_dir())
    assert sorted(path.name for path in folder.glob("*.h5")) == ["00000-walk_0.h5", "00001-walk_1.h5"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["HALL", "a"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


# -- kinds of units -------------------------------------------------------------------------------------------


class Uneven(Hall):
    """The second sequence has no 3D points, the third holds nobody."""

    def read(self, unit: Unit) -> Instances:
        if unit.name == "walk_2":
            return no_instances({"crowd": ["everybody"]})
        rows = super().read(unit)
        if unit.name == "walk_1":
            rows.keypoints3d = None
        return rows


class Incomplete(Hall):
    """The fits of the second sequence are not there."""

    def read(self, unit: Unit) -> Instances:
        return no_instances(left_out="no fits") if unit.name == "walk_1" else super().read(unit)


def test_a_unit_that_is_left_out_is_not_counted_as_an_instance(
    hall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = run(hall, tmp_path / "x.h5", dataset=Incomplete)
    assert (report.units, report.found, report.written) == (3, 10, 8)
    assert report.left_out == {"no fits": ["walk_1"]}
    assert set(report.dropped) == {"crowd"}
    report.print()
    printed = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "10  found in 2 units" in printed
    assert "1  unit left out: no fits (walk_1)" in printed
    assert json.loads((tmp_path / "x.h5.report.json").read_text())["units_left_out"]["no fits"]["count"] == 1


class Nobody(Hall):
    def read(self, unit: Unit) -> Instances:
        return no_instances(left_out="no fits")


def test_units_left_out_are_named_when_nothing_else_is_there(hall: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no instance was found; units left out: 3 no fits"):
        run(hall, tmp_path / "x.h5", dataset=Nobody)


class Images(Hall):
    """A split without fits."""

    def read(self, unit: Unit) -> Instances:
        return replace(super().read(unit), body=None, world_to_camera=None)


def test_a_split_without_fits_is_not_suspicious_and_lacks_nothing_for_want_of_models(
    hall: Path, tmp_path: Path
) -> None:
    report = run(hall, tmp_path / "x.h5", dataset=Images)
    assert report.problems == []
    assert report.written == 12
    assert report.absent == {}
    assert report.notes == []


def test_columns_that_only_some_units_have_are_left_out_and_said(hall: Path, tmp_path: Path, body_models: Path) -> None:
    report = run(hall, tmp_path / "x.h5", body_models, dataset=Uneven)
    hd = HumanData.open(tmp_path / "x.h5")
    assert len(hd) == 8
    assert "keypoints3d_original" not in hd
    assert report.absent["keypoints3d_original"] == "only 1 of 2 units have it"
    assert report.dropped["crowd"][-1] == "everybody"


class Filmed(Hall):
    """Images come out of videos."""

    def extract_frames(self, unit: Unit, image_paths: Sequence[str], folder: Path) -> None:
        for path in image_paths[:3]:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (WIDTH, HEIGHT)).save(folder / path)


def test_frames_are_cut_where_they_are_missing(own_hall: Path, tmp_path: Path, body_models: Path) -> None:
    shutil.rmtree(own_hall / "images/walk_1")
    report = run(own_hall, tmp_path / "x.h5", body_models, dataset=Filmed, frames=tmp_path / "frames")
    assert sorted(p.name for p in (tmp_path / "frames/images/walk_1").iterdir()) == ["000.jpg", "001.jpg", "002.jpg"]
    assert not (tmp_path / "frames/images/walk_0").exists()
    assert report.dropped["image missing"] == ["images/walk_1/003.jpg"]


class Sized(Filmed):
    """The annotation says how large the images are."""

    def read(self, unit: Unit) -> Instances:
        return replace(super().read(unit), size=(HEIGHT, WIDTH))


def test_rows_of_videos_that_nobody_has_cut_are_kept_and_said(
    own_hall: Path, tmp_path: Path, body_models: Path
) -> None:
    shutil.rmtree(own_hall / "images/walk_1")
    some = run(own_hall, tmp_path / "x.h5", body_models, dataset=Sized)
    assert (some.written, len(some.dropped["image missing"])) == (8, 4)
    shutil.rmtree(own_hall / "images")
    (own_hall / "images/walk_0").mkdir(parents=True)
    none = run(own_hall, tmp_path / "x.h5", body_models, dataset=Sized)
    assert (none.written, "image missing" in none.dropped) == (12, False)
    assert [note for note in none.notes if "--frames DIR" in note]
    assert HumanData.open(tmp_path / "x.h5")["image_path"][11] == "images/walk_2/003.jpg"
    with pytest.raises(DataError, match="images are missing"):
        run(own_hall, tmp_path / "x.h5", body_models, dataset=Sized, strict_images=True)


def test_without_frames_the_remedy_is_named(own_hall: Path, tmp_path: Path, body_models: Path) -> None:
    for folder in (own_hall / "images").iterdir():
        shutil.rmtree(folder)
    with pytest.raises(DataError, match="--frames"):
        run(own_hall, tmp_path / "x.h5", body_models, dataset=Filmed)


def test_the_converter_of_a_registered_dataset_is_found_by_its_id(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="MSCOCO"):
        convert("mscoco", tmp_path, out=tmp_path / "x.h5")
    assert issubclass(Hall, Converter)
    assert CARD.default_split == "train"
