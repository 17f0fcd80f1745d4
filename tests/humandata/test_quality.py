"""The summary of measured quality is that of the rows it stands beside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ehps.humandata import HumanData, quality, quality_table, schema
from ehps.humandata.audit import audit
from ehps.humandata.operations import exclude, merge, sample


def measured(n: int, shift: float = 0.0, reprojection: str = "exact") -> HumanData:
    """n rows with a whole quality; row i is (i + 1 + shift) px off, in a box of 100 px."""
    columns = {name: np.full(n, np.nan, np.float32) for name in quality_table.COLUMNS}
    columns["quality/reprojection_px"] = np.arange(1, n + 1, dtype=np.float32) + np.float32(shift)
    columns["quality/behind_camera"] = np.zeros(n, np.int16)
    columns["quality/finite"] = np.ones(n, bool)
    columns["bbox_xywh"] = np.tile(np.float32([0, 0, 50, 100, 1]), (n, 1))
    hd = HumanData({"image_path": [f"{i}.jpg" for i in range(n)], **columns})
    hd.quality = quality.summary(columns, reprojection)
    return hd


def test_residuals_of_what_was_solved_for_are_summarised_with_it(tmp_path: Path) -> None:
    hd = measured(10)
    hd = HumanData({**{name: hd[name] for name in hd.columns}, "meta/template_residual_m": np.linspace(0, 0.009, 10)})
    hd.quality = quality.summary({name: hd[name] for name in hd.columns}, "none")
    assert hd.quality["template_residual_m"]["max"] == pytest.approx(0.009)
    back = HumanData.open(hd[:5].save(tmp_path / "few.h5"))
    assert back.quality["template_residual_m"]["max"] == pytest.approx(0.004)


@pytest.mark.parametrize("ending", ["h5", "npz"])
def test_fewer_rows_are_summarised_anew_when_saved(ending: str, tmp_path: Path) -> None:
    hd = HumanData.open(measured(10).save(tmp_path / f"all.{ending}"))
    assert (hd.quality["rows"], hd.quality["reprojection_px"]["max"]) == (10, 10.0)
    for few in (hd[:4], sample(hd, interval=3), exclude(hd, [{"id": "9.jpg#0"}])):
        back = HumanData.open(few.save(tmp_path / f"few.{ending}"))
        pixels = few["quality/reprojection_px"]
        assert back.quality["rows"] == len(few)
        assert back.quality["reprojection"] == "exact"
        assert back.quality["reprojection_px"]["mean"] == pytest.approx(pixels.mean())
        assert back.quality["reprojection_of_box"]["max"] == pytest.approx(pixels.max() / 100)
    none = hd[:0].save(tmp_path / f"none.{ending}")
    assert HumanData.open(none).quality == {}
    assert hd.quality["rows"] == 10


@pytest.mark.parametrize("ending", ["h5", "npz"])
def test_merged_files_have_the_quality_of_all_their_rows(ending: str, tmp_path: Path) -> None:
    parts = [measured(3), measured(5, shift=20.0)]
    paths = [part.save(tmp_path / f"{i}.h5") for i, part in enumerate(parts)]
    merge(paths, tmp_path / f"both.{ending}")
    found = HumanData.open(tmp_path / f"both.{ending}").quality
    assert (found["rows"], found["reprojection"]) == (8, "exact")
    assert found["reprojection_px"]["mean"] == pytest.approx((1 + 2 + 3 + 21 + 22 + 23 + 24 + 25) / 8)
    assert HumanData.concat(parts).quality == found


def test_the_looser_kind_of_reprojection_holds_for_a_mixture() -> None:
    assert HumanData.concat([measured(2), measured(2, reprojection="fitted")]).quality["reprojection"] == "fitted"
    assert HumanData.concat([measured(2), measured(2, reprojection="none")]).quality["reprojection"] == "exact"


def test_rows_that_were_not_measured_leave_no_summary() -> None:
    plain = HumanData({"image_path": ["a.jpg"]})
    assert HumanData.concat([measured(2), plain]).quality == {}


def test_every_measure_is_described_once_for_schema_and_audit() -> None:
    measures = quality_table.MEASURES
    assert len({measure.name for measure in measures}) == len(measures)
    for measure in measures:
        if measure.column:
            field = schema.field(measure.column)
            assert field is not None
            assert (field.unit, field.meaning, field.dtype) == (measure.unit, measure.meaning, measure.dtype)
    assert audit(measured(2), limits=quality_table.LIMITS).limits == quality_table.LIMITS
