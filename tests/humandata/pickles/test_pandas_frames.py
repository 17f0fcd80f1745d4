"""Frames pickled by any generation of pandas are read; the old generations' streams are written by hand."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ehps.errors import DataError
from ehps.humandata.pickles import PANDAS, load_pickle
from tests.raw.streams import Global, Made, called, stream

LISTS = [[1.0, 2.0], [3.0], []]
JOINTS = [np.arange(6.0).reshape(2, 3), np.zeros((1, 3)), np.zeros((0, 3))]


def cells(*columns: list[Any]) -> np.ndarray:
    """(columns, rows) object block, as pandas lays blocks out."""
    out = np.empty((len(columns), len(columns[0])), object)
    for i, column in enumerate(columns):
        for j, cell in enumerate(column):
            out[i, j] = cell
    return out


NAMES = ["imgPath", "camX", "X", "camY", "gt_joints_3d"]
OBJECTS = cells(["a.png", "b.png", "c.png"], LISTS, JOINTS)
FLOATS = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def index(module: str, cls: str, data: np.ndarray) -> Made:
    return called("pandas.core.indexes.base._new_Index", Global(f"{module}.{cls}"), {"data": data, "name": None})


def range_index(n: int) -> Made:
    state = {"name": None, "start": 0, "stop": n, "step": 1}
    return called("pandas.core.indexes.base._new_Index", Global("pandas.core.indexes.range.RangeIndex"), state)


def columns() -> Made:
    return index("pandas.core.indexes.base", "Index", np.array(NAMES, object))


def state_with_blocks(rows: Made, *, newer: bool) -> tuple[Any, ...]:
    axes = [columns(), rows]
    float_items = index("pandas.core.indexes.base", "Index", np.array(["camX", "camY"], object))
    object_items = index("pandas.core.indexes.base", "Index", np.array(["imgPath", "X", "gt_joints_3d"], object))
    state: tuple[Any, ...] = (axes, [FLOATS, OBJECTS], [float_items, object_items])
    if not newer:
        return state
    blocks = [
        {"values": FLOATS, "mgr_locs": slice(1, 5, 2)},
        {"values": OBJECTS, "mgr_locs": np.array([0, 2, 4])},
    ]
    return (*state, {"0.14.1": {"axes": axes, "blocks": blocks}})


def frame_0_13() -> Made:
    manager = Made("pandas.core.internals.BlockManager", (), state_with_blocks(range_index(3), newer=False))
    return Made("pandas.core.frame.DataFrame", (), {"_data": manager, "_typ": "dataframe", "_metadata": []})


def frame_0_25() -> Made:
    rows = index("pandas.core.indexes.numeric", "Int64Index", np.arange(3))
    manager = Made("pandas.core.internals.managers.BlockManager", (), state_with_blocks(rows, newer=True))
    return Made("pandas.core.frame.DataFrame", (), {"_data": manager, "_typ": "dataframe", "_metadata": []})


def frame_1_1() -> Made:
    manager = Made("pandas.core.internals.managers.BlockManager", (), state_with_blocks(range_index(3), newer=True))
    state = {
        "_mgr": manager,
        "_typ": "dataframe",
        "_metadata": [],
        "attrs": {},
        "_flags": {"allows_duplicate_labels": True},
    }
    return Made("pandas.core.frame.DataFrame", (), state)


def frame_of_blocks(unpickle_block: str) -> Made:
    blocks = (
        called(unpickle_block, FLOATS, slice(1, 5, 2), 2),
        called(unpickle_block, OBJECTS, np.array([0, 2, 4]), 2),
    )
    manager = called("pandas.core.internals.managers.BlockManager", blocks, [columns(), range_index(3)])
    return Made("pandas.core.frame.DataFrame", (), {"_mgr": manager, "_typ": "dataframe", "attrs": {}})


GENERATIONS = {
    "0.13": frame_0_13(),
    "0.25": frame_0_25(),
    "1.1": frame_1_1(),
    "1.3": frame_of_blocks("pandas.core.internals.blocks.new_block"),
    "2.x": frame_of_blocks("pandas._libs.internals._unpickle_block"),
}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_frames_of_old_generations_have_their_cells_under_their_names(generation: str) -> None:
    frame = load_pickle(stream(GENERATIONS[generation]), allow=[PANDAS])
    assert list(frame.columns) == NAMES
    assert list(frame.index) == [0, 1, 2]
    assert frame["imgPath"].tolist() == ["a.png", "b.png", "c.png"]
    assert frame["X"].tolist() == LISTS
    assert frame["camX"].tolist() == [1, 2, 3]
    assert frame["camY"].tolist() == [4, 5, 6]
    assert frame["camX"].dtype == np.float64
    for cell, wanted in zip(frame["gt_joints_3d"], JOINTS, strict=True):
        np.testing.assert_array_equal(cell, wanted)


def test_the_hand_written_streams_are_what_pandas_itself_understands() -> None:
    for generation in ("0.25", "1.1", "2.x"):
        data = stream(GENERATIONS[generation])
        theirs = pd.compat.pickle_compat.loads(data, encoding="latin1")
        ours = load_pickle(data, allow=[PANDAS])
        pd.testing.assert_frame_equal(
            ours, theirs.astype({"imgPath": object}), check_index_type=False, check_column_type=False
        )


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("memory", ["python", "pyarrow"])
def test_frames_of_this_pandas_are_read(protocol: int, memory: str) -> None:
    if memory == "pyarrow":
        pytest.importorskip("pyarrow")
    frame = pd.DataFrame(
        {
            "imgPath": pd.array(["a", None, "ccé", ""], dtype=pd.StringDtype(memory)),
            "X": [*LISTS, [4.0]],
            "age": pd.Categorical(["old", "young", None, "old"]),
            "kid": [True, False, True, False],
            "id": pd.array([1, None, 3, 4], dtype="Int64"),
            "camX": [1.0, 2.0, 3.0, np.nan],
        }
    ).iloc[1:]
    read = load_pickle(pickle.dumps(frame, protocol), allow=[PANDAS])
    assert list(read.columns) == list(frame.columns)
    assert read.index.tolist() == [1, 2, 3]
    assert read["imgPath"].tolist() == [None, "ccé", ""]
    assert read["X"].tolist() == [[3.0], [], [4.0]]
    assert read["age"].tolist() == ["young", None, "old"]
    assert read["kid"].tolist() == [False, True, False]
    assert read["id"].tolist() == [None, 3, 4]
    np.testing.assert_array_equal(read["camX"], [2, 3, np.nan])


def test_series_are_read() -> None:
    series = pd.Series(["a", "b"], name="gender", index=[5, 7])
    read = load_pickle(pickle.dumps(series), allow=[PANDAS])
    assert (read.tolist(), read.name, read.index.tolist()) == (["a", "b"], "gender", [5, 7])


def test_an_arrow_array_cut_short_is_an_error() -> None:
    ends = np.array([0, 100], "<i8").tobytes()
    buffers = [None, called("pyarrow.lib.py_buffer", ends), called("pyarrow.lib.py_buffer", b"ab")]
    arrow = called(
        "pyarrow.lib._restore_array",
        (called("pyarrow.lib.type_for_alias", "large_string"), 1, 0, 0, buffers, [], None),
    )
    with pytest.raises(DataError, match="cut short"):
        load_pickle(stream(arrow), allow=[PANDAS])
