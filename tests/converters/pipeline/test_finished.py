"""Outputs that are there already: what is done is not done again, and nobody's file is replaced unasked."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from fake_dataset import Hall

from ehps.converters.pipeline import convert
from ehps.converters.pipeline.finished import sources_path
from ehps.converters.pipeline.report import Report
from ehps.errors import UsageError
from ehps.humandata import HumanData


def run(raw: Path, out: Path, **options: Any) -> Report:
    return convert(Hall, raw, out=out, progress=False, **options)


def test_what_is_done_under_the_same_hashes_ends_at_once(own_hall: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "hall.h5"
    first = run(own_hall, out)
    written = out.stat().st_mtime_ns
    again = run(own_hall, out)
    assert (again.earlier is not None, again.written, out.stat().st_mtime_ns) == (True, first.written, written)
    assert again.to_json() == {**first.to_json(), "current": True}
    assert not (out.parent / "hall.h5.parts").exists()
    renewed = run(own_hall, out, overwrite=True)
    assert renewed.earlier is None
    assert renewed.finished_before == 0
    assert out.stat().st_mtime_ns > written


@pytest.mark.parametrize("change", ["annotation", "image", "unit", "output", "sources"])
def test_what_has_changed_is_converted_again(own_hall: Path, tmp_path: Path, change: str) -> None:
    out = tmp_path / "hall.h5"
    run(own_hall, out)
    if change == "annotation":
        (own_hall / "calibration.json").write_text(json.dumps({"focal": [390.0, 410.0]}))
    elif change == "image":
        (own_hall / "images/walk_0/000.jpg").unlink()
    elif change == "unit":
        (own_hall / "sequences/walk_2.npz").rename(own_hall / "sequences/gone")
    elif change == "output":
        out.write_bytes(b"damaged")
    else:
        sources_path(out).write_bytes(gzip.compress(b"{}"))
    report = run(own_hall, out)
    assert report.earlier is None
    assert report.written == {"image": 11, "unit": 8}.get(change, 12)


def test_a_run_that_left_bad_units_out_is_tried_again(own_hall: Path, tmp_path: Path) -> None:
    damaged = own_hall / "sequences/walk_1.npz"
    whole = damaged.read_bytes()
    damaged.write_bytes(b"PK")
    assert run(own_hall, tmp_path / "x.h5", skip_bad=True).written == 8
    damaged.write_bytes(whole)
    assert run(own_hall, tmp_path / "x.h5").written == 12


def test_a_file_of_another_request_is_not_replaced_unasked(hall: Path, tmp_path: Path) -> None:
    out = tmp_path / "hall.h5"
    run(hall, out)
    content = out.read_bytes()
    for options, says in (
        ({"split": "test"}, "split train, now test"),
        ({"limit": 2}, "limit not given, now 2"),
        ({"options": {"given": "x"}}, "option given not given, now x"),
    ):
        with pytest.raises(UsageError, match=rf"hall\.h5: is of another conversion \({says}\).*--overwrite"):
            run(hall, out, **options)
        assert out.read_bytes() == content
    assert run(hall, out, limit=2, overwrite=True).written == 2
    other = HumanData({"image_path": ["a.jpg"]}).save(tmp_path / "other.h5")
    with pytest.raises(UsageError, match="dataset unknown, now hall"):
        run(hall, other)
    other.write_text("no file of ours")
    with pytest.raises(UsageError, match="not known to be of a conversion"):
        run(hall, other)
