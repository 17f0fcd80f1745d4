"""Pickled pandas frames of every generation (0.2x to 3.x), rebuilt from their blocks.

pandas pickles its internals, which change with its versions. None of pandas' code reads them here: the blocks, axes and
extension arrays are taken out of what was recorded and a new DataFrame is made. Facts: the ``__reduce__`` and
``__getstate__`` output of pandas' block managers:

- up to 1.2 (and Series to this day): state ``(axes, values, items, {"0.14.1": {"axes", "blocks"}})``;
- from 1.3: ``BlockManager(blocks, axes)`` with blocks ``_unpickle_block(values, placement, ndim)``.

Texts, also pandas' own string arrays (numpy or Arrow memory), come back as columns of Python strings.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ehps.humandata.pickles.allowed import Allow, Array, Recorded, Resolver, refused


class _Block(NamedTuple):
    values: Array
    rows: Any  # slice or positions of the frame's columns


class _Manager(NamedTuple):
    axes: list[Any]
    blocks: list[_Block]


def _block(values: Any, placement: Any) -> _Block:
    if not isinstance(values, np.ndarray):
        raise TypeError(f"a block of {type(values).__name__}")
    return _Block(values, placement if isinstance(placement, slice) else np.asarray(placement, dtype=np.intp))


def _manager(recorded: Recorded, resolve: Resolver) -> _Manager:
    if recorded.state is None or not isinstance(recorded.state, tuple):
        blocks, axes = (resolve(value) for value in recorded.args[:2])
        if isinstance(blocks, _Block):  # a Series: one block, one axis
            blocks, axes = [blocks], [axes]
        return _Manager(list(axes), list(blocks))
    if len(recorded.state) >= 4 and "0.14.1" in recorded.state[3]:
        newer = recorded.state[3]["0.14.1"]
        blocks = [_block(resolve(b["values"]), resolve(b["mgr_locs"])) for b in newer["blocks"]]
        return _Manager(resolve(newer["axes"]), blocks)
    axes, values, items = (resolve(value) for value in recorded.state[:3])
    names = list(axes[0])
    places = [np.array([names.index(name) for name in block], np.intp) for block in items]
    return _Manager(axes, [_block(value, place) for value, place in zip(values, places, strict=True)])


def _frame(recorded: Recorded, resolve: Resolver) -> Any:
    import pandas as pd

    state = recorded.state
    manager = resolve(state["_mgr"] if "_mgr" in state else state["_data"])
    names, index = manager.axes
    columns: dict[int, Any] = {}
    for block in manager.blocks:
        where = block.rows
        places = range(*where.indices(len(names))) if isinstance(where, slice) else where.tolist()
        rows = block.values if block.values.ndim == 2 else block.values[None]
        for place, values in zip(places, rows, strict=True):
            columns[place] = _series(values, index)
    if sorted(columns) != list(range(len(names))):
        raise ValueError("columns without values")
    frame = pd.DataFrame({place: columns[place] for place in sorted(columns)}, index=index)
    frame.columns = names
    return frame


def _series(values: Array, index: Any, name: Any = None) -> Any:
    import pandas as pd

    # object stays object: pandas 3 would turn texts into its string type, older versions would not
    return pd.Series(values, index=index, name=name, dtype=object if values.dtype == object else None)


def _index(cls: Any, state: Any, resolve: Resolver) -> Any:
    import pandas as pd

    kind = cls.name.rsplit(".", 1)[1]
    state = resolve(state)
    if kind == "RangeIndex":
        start, stop, step = (state.get(key) for key in ("start", "stop", "step"))
        return pd.RangeIndex(start or 0, stop or 0, 1 if step is None else step, name=state.get("name"))
    if kind not in ("Index", "Int64Index", "UInt64Index", "Float64Index", "NumericIndex"):
        raise refused(resolve.where, cls.name)
    return pd.Index(state["data"], name=state.get("name"))


# -- pandas' own arrays -----------------------------------------------------------------------------------


def _extension(name: str, state: Any, resolve: Resolver) -> Array:
    """Values of an extension array from its state: texts, masked numbers, categories."""
    if isinstance(state, tuple):  # (dtype, values[, instance dictionary]) of arrays backed by numpy
        dtype, values = resolve(state[0]), resolve(state[1])
    else:
        state = resolve(state)
        dtype = state.get("_dtype", state.get("dtype"))
        data = [state[key] for key in ("_ndarray", "_codes", "_pa_array", "_data") if key in state]
        values = data[0]
        if "_mask" in state and state["_mask"].any():
            values = np.where(state["_mask"], None, values.astype(object))
    if not isinstance(values, np.ndarray):
        raise TypeError(f"{name} of {type(values).__name__}")
    if isinstance(dtype, _Categories):
        choices = np.array([*dtype.words, None], dtype=object)  # code -1 is missing
        return choices[values]
    return values


class _Categories(NamedTuple):
    words: Any


def _arrow(recorded: Recorded, resolve: Resolver) -> Any:
    kind = recorded.name.rsplit(".", 1)[1]
    if kind in ("type_for_alias", "py_buffer"):
        return resolve(recorded.args[0])
    if kind in ("string", "large_string", "utf8", "large_utf8"):
        return kind
    if kind == "chunked_array":
        chunks = resolve(recorded.args[0])
        return np.concatenate(chunks) if chunks else np.empty(0, object)
    if kind == "_restore_array":
        alias, length, _, offset, buffers, *_ = (resolve(value) for value in recorded.args[0])
        return _arrow_texts(alias, length, offset, buffers)
    raise refused(resolve.where, recorded.name)


def _arrow_texts(alias: str, length: int, offset: int, buffers: list[Any]) -> Array:
    if alias not in ("string", "large_string", "utf8", "large_utf8"):
        raise ValueError(f"an Arrow array of {alias}")
    valid, ends, data = buffers
    kind = "<i8" if alias.startswith("large") else "<i4"
    bounds = np.frombuffer(ends or bytes(16), kind)[offset : offset + length + 1]
    out = np.empty(length, object)
    there = np.ones(length, bool)
    if valid is not None:
        there = np.unpackbits(np.frombuffer(valid, "u1"), bitorder="little")[offset : offset + length] == 1
    if len(bounds) != length + 1 or len(there) != length or (length and bounds.min() < 0):
        raise ValueError("an Arrow array that is cut short")
    for i in np.flatnonzero(there).tolist():
        if bounds[i + 1] > len(data):
            raise ValueError("an Arrow array that is cut short")
        out[i] = data[bounds[i] : bounds[i + 1]].decode()
    return out


def _rebuild(recorded: Recorded, resolve: Resolver) -> Any:
    name, args, state = recorded.name, recorded.args, recorded.state
    kind = name.rsplit(".", 1)[1]
    if name.startswith("pyarrow."):
        return _arrow(recorded, resolve)
    if kind == "DataFrame":
        return _frame(recorded, resolve)
    if kind == "Series":
        manager = resolve(state["_mgr"] if "_mgr" in state else state["_data"])
        values = manager.blocks[0].values
        return _series(values, manager.axes[0], resolve(state.get("_name", state.get("name"))))
    if kind in ("BlockManager", "SingleBlockManager"):
        return _manager(recorded, resolve)
    if kind in ("_unpickle_block", "new_block"):
        return _block(resolve(args[0]), resolve(args[1]))
    if kind == "BlockPlacement":
        return resolve(args[0])
    if kind == "_new_Index":
        return _index(args[0], args[1], resolve)
    if kind == "__pyx_unpickle_NDArrayBacked":
        return _extension(args[0].name, state, resolve)
    if kind == "StringDtype":
        return "string"
    if kind == "CategoricalDtype":
        found = resolve(state)["categories"] if state else resolve(args[0])
        return _Categories(found)
    if kind in ("Int64Dtype", "Float64Dtype", "BooleanDtype", "PandasDtype", "NumpyEADtype"):
        return kind
    if kind in _ARRAYS:
        return _extension(name, state, resolve)
    raise refused(resolve.where, name)


_ARRAYS = (
    "StringArray",
    "StringArrayNumpySemantics",
    "ArrowStringArray",
    "ArrowStringArrayNumpySemantics",
    "ArrowExtensionArray",
    "Categorical",
    "IntegerArray",
    "FloatingArray",
    "BooleanArray",
    "PandasArray",
    "NumpyExtensionArray",
)

PANDAS = Allow(
    "pandas frames",
    ("pandas.*", "pyarrow.lib.*"),
    _rebuild,
    {"pandas.NA": None, "pandas._libs.missing.NA": None, "pandas._libs.missing.C_NA": None},
)
