"""The schema knows every column that ehps writes, and the docs table shows all of it."""

import re
from pathlib import Path

import pytest

from ehps.humandata import quality_table, schema

CONVERTERS = Path(schema.__file__).parents[1] / "converters"


def test_names_are_unique_and_every_field_is_described():
    names = [field.name for field in schema.FIELDS]
    assert len(set(names)) == len(names)
    for field in (*schema.FIELDS, *schema.FAMILIES):
        assert field.shape[0] == "N"
        assert field.meaning
        assert not field.meaning.endswith(".")


@pytest.mark.parametrize(
    ("name", "shape", "unit"),
    [
        ("smplx/body_pose", ("N", 21, 3), "radian"),
        ("smpl/body_pose", ("N", 23, 3), "radian"),
        ("smplh/left_hand_pose", ("N", 15, 3), "radian"),
        ("smplx/expression", ("N", "E"), ""),
        ("bbox_xywh", ("N", 5), "pixel"),
        ("keypoints3d_smpl", ("N", "K", 4), "metre"),
        ("meta/focal_length", ("N", 2), "pixel"),
        ("quality/world_to_camera_m", ("N",), "metre"),
    ],
)
def test_fields_have_the_shapes_of_the_format(name, shape, unit):
    found = schema.field(name)
    assert (found.name, found.shape, found.unit) == (name, shape, unit)


def test_every_quality_column_is_a_field_of_its_own():
    known = {field.name for field in schema.FIELDS}
    assert set(quality_table.COLUMNS) <= known


def test_custom_columns_belong_to_families_and_others_are_unknown():
    assert schema.field("keypoints3d_gta").shape == ("N", "K", 4)
    assert schema.field("keypoints2d_ubody").name == "keypoints2d_ubody"
    assert schema.field("head_bbox_xywh").shape == ("N", 5)
    assert schema.field("meta/anything").dtype == schema.ANY
    assert schema.field("anything") is None
    assert "smplx/betas" not in schema.ROTATIONS
    assert {"smplx/global_orient", "smplx/jaw_pose", "smpl/body_pose"} <= set(schema.ROTATIONS)


def test_symbols_fit_any_number_and_numbers_only_themselves():
    assert schema.field("smplx/betas").fits((4, 11))
    assert not schema.field("smplx/betas").fits((4, 11, 1))
    assert not schema.field("smplx/transl").fits((4, 4))
    for shape in ((4,), (4, 2), (4, 2, 2)):
        assert schema.field("meta/anything").fits(shape)


def test_the_table_has_a_row_for_every_field():
    lines = schema.table_markdown().splitlines()
    assert len(lines) == 2 + len(schema.FIELDS) + len(schema.FAMILIES)
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 6 for line in lines)
    row = next(line for line in lines if "`smplx/left_hand_pose`" in line)
    assert "| (N, 15, 3) | float32 | radian | finger joints" in row
    assert "`image_path` (required)" in lines[2]
