"""Rows of images with and without lens distortion in one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ehps.errors import DataError, PassportError
from ehps.humandata import HumanData
from ehps.humandata.operations import merge
from ehps.humandata.schema import FISHEYE


def file_of(name: str, count: int = 0, lens: str = "meta/dist_coeffs") -> HumanData:
    columns: dict[str, object] = {"image_path": [f"{name}{i}.jpg" for i in range(3)], "meta/height": np.full(3, 9)}
    if count:
        columns[lens] = np.full((3, count), 0.25, np.float32)
    hd = HumanData(columns)  # type: ignore[arg-type]
    hd.passport = hd.passport.with_(dataset=name)
    return hd


def test_images_of_a_pinhole_get_zeros_and_shorter_formulas_are_filled_up(tmp_path: Path) -> None:
    files = [file_of("five", 5), file_of("none"), file_of("eight", 8)]
    expected = np.zeros((9, 8), np.float32)
    expected[:3, :5] = 0.25
    expected[6:] = 0.25
    np.testing.assert_array_equal(HumanData.concat(files)["meta/dist_coeffs"], expected)
    paths = [hd.save(tmp_path / f"{k}.h5") for k, hd in enumerate(files)]
    merged = merge(paths, tmp_path / "all.h5")
    assert "meta/dist_coeffs" not in merged.left_out
    np.testing.assert_array_equal(HumanData.open(tmp_path / "all.h5")["meta/dist_coeffs"], expected)


def test_files_without_distortion_stay_without(tmp_path: Path) -> None:
    assert "meta/dist_coeffs" not in HumanData.concat([file_of("a"), file_of("b")])


def test_a_fisheye_is_not_put_beside_another_lens() -> None:
    bent = file_of("bent", 4, FISHEYE)
    with pytest.raises(PassportError, match=r"fisheye lens.*Train on both"):
        HumanData.concat([file_of("a"), bent])
    assert HumanData.concat([bent, bent])[FISHEYE].shape == (6, 4)


def test_a_column_that_is_no_list_a_row_is_named() -> None:
    odd = file_of("odd").with_columns({"meta/dist_coeffs": np.zeros(3, np.float32)})
    with pytest.raises(DataError, match="meta/dist_coeffs is not one list"):
        HumanData.concat([file_of("a"), odd])
