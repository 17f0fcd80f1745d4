"""Pickles of other people are read as data; nothing they name is ever called."""

from __future__ import annotations

import collections
import copyreg
import io
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from ehps.errors import DataError, UnsafeFileError
from ehps.humandata.pickles import CHUMPY, KEPT_SPARSE, PANDAS, SCIPY_SPARSE, TORCH, Allow, load_pickle
from tests.raw.streams import Global, Made, Writer, called, stream

# -- plain data -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_and_arrays_come_back_from_every_protocol(protocol: int) -> None:
    value = {
        "big endian": np.arange(6, dtype=">f4").reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "objects": np.array([1, "a", None, (2, 3)], dtype=object),
        "texts": np.array(["aa", "b"]),
        "records": np.array([(1.5, [2, 3])], dtype=[("x", "f4"), ("y", "i8", (2,))]),
        "dates": np.array(["2020-01-01"], "M8[D]"),
        "empty": np.zeros((0, 3), np.float32),
        "0-d": np.array(5),
        "scalar": np.float64(3.5),
        "plain": [1, 2.5, "x", b"\xff", b"", None, True, (1, {2: [3]}), {4}, frozenset({5}), 1j, range(3)],
        "ordered": collections.OrderedDict(a=1, b=2),
    }
    read = load_pickle(pickle.dumps(value, protocol))
    for name, wanted in value.items():
        if isinstance(wanted, np.ndarray):
            assert read[name].dtype == wanted.dtype
            np.testing.assert_array_equal(read[name], wanted)
            assert read[name].flags.writeable
        else:
            assert read[name] == wanted
    assert list(read["ordered"]) == ["a", "b"]
    assert isinstance(read["scalar"], np.float64)


def test_names_of_both_numpy_generations_are_understood() -> None:
    for module in ("numpy.core", "numpy._core"):
        array = Made(
            f"{module}.multiarray._reconstruct",
            (Global("numpy.ndarray"), (0,), b"b"),
            (
                1,
                (2,),
                Made("numpy.dtype", ("f4", False, True), (3, "<", *[None] * 3, -1, -1, 0), True),
                False,
                np.array([1, 2], "<f4").tobytes(),
            ),
            call=True,
        )
        np.testing.assert_array_equal(load_pickle(stream(array)), np.array([1, 2], np.float32))


def test_python2_strings_are_read_as_latin1() -> None:
    stream_of_python2 = b"\x80\x02}q\x00(U\x04nameq\x01U\x03M\xfcrq\x02u."
    assert load_pickle(stream_of_python2) == {"name": "Mür"}


def test_python2_arrays_hold_their_bytes_in_a_string() -> None:
    raw = np.array([1.5, -2.5]).tobytes()
    text = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85"
        b"cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U"
        + bytes([len(raw)])
        + raw
        + b"tb."
    )
    np.testing.assert_array_equal(load_pickle(text), [1.5, -2.5])


def test_shared_values_stay_shared() -> None:
    once = [1.5] * 3
    read = load_pickle(pickle.dumps([once] * 10))
    assert read[0] is read[9]


def test_values_that_unfold_without_end_by_sharing_are_refused() -> None:
    bomb: list[Any] = ["x"] * 10
    for _ in range(60):  # 10 ** 60 values for whoever follows every reference, as writing them as JSON does
        bomb = [bomb] * 10
    with pytest.raises(DataError, match="holds more than"):
        load_pickle(pickle.dumps(bomb))


# -- refusals ---------------------------------------------------------------------------------------------


def payloads(marker: Path) -> dict[str, Any]:
    command = f"touch {marker}"
    touch = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    return {
        "os.system": called("os.system", command),
        "posix.system": called("posix.system", command),
        "subprocess.Popen": called("subprocess.Popen", ["touch", str(marker)]),
        "builtins.eval": called("builtins.eval", touch),
        "__builtin__.eval": called("__builtin__.eval", touch),
        "builtins.exec": called("builtins.exec", touch),
        "builtins.getattr": called("builtins.getattr", Global("os.path"), "join"),
        "numpy.load": called("numpy.load", str(marker)),
        "numpy.testing._private.utils.runstring": called("numpy.testing._private.utils.runstring", touch, {}),
        "pandas.eval": called("pandas.eval", touch),
        "torch.load": called("torch.load", str(marker)),
        "scipy.sparse.load_npz": called("scipy.sparse.load_npz", str(marker)),
    }


def hidden_in_an_array(payload: Any) -> Any:
    objects = np.empty(1, object)
    objects[0] = {"deep": [payload]}
    return {"betas": objects}


@pytest.mark.parametrize("wrap", [lambda p: p, lambda p: {"a": [(1, p)]}, hidden_in_an_array])
@pytest.mark.parametrize("name", payloads(Path("x")))
def test_a_malicious_pickle_is_refused_by_name_and_runs_nothing(tmp_path: Path, name: str, wrap: Any) -> None:
    marker = tmp_path / "marker"
    file = tmp_path / "evil.pkl"
    file.write_bytes(stream(wrap(payloads(marker)[name])))
    with pytest.raises(UnsafeFileError, match=name) as error:
        load_pickle(file, allow=[SCIPY_SPARSE, CHUMPY, PANDAS, TORCH])
    assert error.value.path == str(file)
    assert error.value.fix
    assert not marker.exists()


def test_a_reduce_object_of_python_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (open, (str(tmp_path / "marker"), "w"))

    with pytest.raises(UnsafeFileError, match=r"open"):
        load_pickle(pickle.dumps({"misc": [Evil()]}))
    assert not (tmp_path / "marker").exists()


def test_additions_are_refused_unless_asked_for() -> None:
    for data, name in (
        (pickle.dumps(scipy.sparse.eye(3, format="csc")), "scipy.sparse"),
        (pickle.dumps(pd.DataFrame({"a": [1]})), "pandas"),
        (pickle.dumps(torch.ones(2)), "torch"),
        (stream(Made("chumpy.ch.Ch", (), {"x": 1})), "chumpy.ch.Ch"),
    ):
        with pytest.raises(UnsafeFileError, match=name):
            load_pickle(data)


def test_persistent_ids_and_extension_codes_are_refused() -> None:
    with pytest.raises(UnsafeFileError, match="persistent id"):
        load_pickle(b"\x80\x02X\x01\x00\x00\x00aQ.")
    copyreg.add_extension("os", "system", 240)
    try:
        data = b"\x80\x02\x82\xf0X\x04\x00\x00\x00true\x85R."
        import os

        assert pickle.loads(b"\x80\x02\x82\xf0.") is os.system  # now in the standard unpickler's cache
        with pytest.raises(UnsafeFileError, match="extension code"):
            load_pickle(data)
    finally:
        copyreg.remove_extension("os", "system", 240)


def test_nothing_recorded_leaks_into_the_result() -> None:
    with pytest.raises(UnsafeFileError, match=r"numpy\.ndarray"):
        load_pickle(stream({"a": Global("numpy.ndarray")}))
    with pytest.raises(UnsafeFileError, match=r"numpy\.ndarray"):
        load_pickle(stream(called("numpy.ndarray", (1 << 40,))))


def test_a_forged_dtype_cannot_mark_numbers_as_pointers() -> None:
    forged = Made("numpy.dtype", ("i8", False, True), (3, "<", *[None] * 3, -1, -1, 63), call=True)
    array = Made(
        "numpy.core.multiarray._reconstruct",
        (Global("numpy.ndarray"), (0,), b"b"),
        (1, (1,), forged, False, struct.pack("<q", 0x41414141)),
        call=True,
    )
    read = load_pickle(stream(array))
    assert read.tolist() == [0x41414141]
    assert not read.dtype.hasobject


def test_values_inside_themselves_and_endless_depth_are_errors() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(DataError, match="contains itself"):
        load_pickle(pickle.dumps(loop))
    with pytest.raises(DataError, match="nested"):
        load_pickle(b"\x80\x02" + b"]" * 5000 + b"a" * 4999 + b".")


def test_arrays_smaller_than_their_shape_are_errors() -> None:
    kind = Made("numpy.dtype", ("f8", False, True), (3, "<", *[None] * 3, -1, -1, 0), call=True)
    array = Made(
        "numpy.core.multiarray._reconstruct",
        (Global("numpy.ndarray"), (0,), b"b"),
        (1, (1 << 40,), kind, False, b"\0" * 8),
        call=True,
    )
    with pytest.raises(DataError, match="8 bytes for the shape"):
        load_pickle(stream(array))


def test_a_few_bytes_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="set of something else"):
        load_pickle(stream(called("builtins.set", called("builtins.range", 1 << 60))))
    with pytest.raises(DataError, match="bytearray without data"):
        load_pickle(stream(called("builtins.bytearray", 1 << 60)))
    monkeypatch.setattr("ehps.humandata.pickles.allowed.memory_limit", lambda: 1 << 20)
    raw = bytes(1 << 12)
    kind = Made("numpy.dtype", ("u1", False, True), (3, "|", *[None] * 3, -1, -1, 0), call=True)
    many = [
        Made(
            "numpy.core.multiarray._reconstruct",
            (Global("numpy.ndarray"), (0,), b"b"),
            (1, (1 << 12,), kind, False, raw),
            call=True,
        )
        for _ in range(1000)
    ]
    assert len(stream(many, 4)) < 200_000  # they share the bytes of the first
    with pytest.raises(DataError, match="more memory"):
        load_pickle(stream(many, 4))


@pytest.mark.parametrize("cut", [0, 1, 30, 100, -1])
def test_a_truncated_pickle_names_the_file(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "half.pkl"
    file.write_bytes(pickle.dumps({"pose": np.zeros(100)})[:cut])
    with pytest.raises(DataError, match="not a complete pickle") as error:
        load_pickle(file)
    assert not isinstance(error.value, UnsafeFileError)
    assert str(error.value).startswith(str(file))


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_pickle(tmp_path / "none.pkl")


# -- additions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["csc", "csr", "coo"])
def test_sparse_matrices_become_dense_or_stay_sparse(layout: str) -> None:
    matrix = scipy.sparse.random(7, 5, 0.4, format=layout, random_state=0)
    read = load_pickle(pickle.dumps({"J_regressor": matrix}), allow=[SCIPY_SPARSE])
    np.testing.assert_array_equal(read["J_regressor"], matrix.toarray())
    kept = load_pickle(pickle.dumps({"J_regressor": matrix}), allow=[KEPT_SPARSE])["J_regressor"]
    assert kept.nnz == matrix.nnz
    np.testing.assert_array_equal(kept.toarray(), matrix.toarray())


def test_matrices_too_large_to_be_dense_stay_sparse() -> None:
    data = pickle.dumps(scipy.sparse.coo_matrix(([2.0], ([3], [70_000])), (20_000, 80_000)))
    with pytest.raises(DataError, match="coo_matrix"):
        load_pickle(data, allow=[SCIPY_SPARSE])
    assert load_pickle(data, allow=[KEPT_SPARSE])[3, 70_000] == 2


def test_sparse_matrices_of_old_scipy_with_entries_stored_twice() -> None:
    state = {
        "_shape": (2, 3),
        "maxprint": 50,
        "data": np.array([1.0, 2.0, 4.0]),
        "indices": np.array([0, 0, 1], np.int32),
        "indptr": np.array([0, 2, 2, 3], np.int32),
    }
    read = load_pickle(stream(Made("scipy.sparse.csc.csc_matrix", (), state)), allow=[SCIPY_SPARSE])
    np.testing.assert_array_equal(read, [[3, 0, 0], [0, 0, 4]])
    kept = load_pickle(stream(Made("scipy.sparse.csc.csc_matrix", (), state)), allow=[KEPT_SPARSE])
    np.testing.assert_array_equal(kept.toarray(), read)


@pytest.mark.parametrize("allow", [SCIPY_SPARSE, KEPT_SPARSE])
def test_sparse_indices_outside_the_matrix_are_an_error(allow: Allow) -> None:
    state = {"_shape": (2, 2), "data": np.ones(1), "indices": np.array([5]), "indptr": np.array([0, 1, 1])}
    with pytest.raises(DataError, match="csc_matrix"):
        load_pickle(stream(Made("scipy.sparse._csc.csc_matrix", (), state)), allow=[allow])


@pytest.mark.parametrize(
    ("allow", "data", "rows"),
    [(SCIPY_SPARSE, [1.0], 1 << 50), (KEPT_SPARSE, [1.0], 1 << 50), (KEPT_SPARSE, ["a"], 2)],
)
def test_sparse_matrices_without_end_or_of_texts_are_an_error(allow: Allow, data: list[Any], rows: int) -> None:
    state = {"_shape": (rows, 2), "data": np.array(data), "row": np.zeros(1, int), "col": np.zeros(1, int)}
    with pytest.raises(DataError):
        load_pickle(stream(Made("scipy.sparse._coo.coo_matrix", (), state)), allow=[allow])


def test_chumpy_arrays_are_read_without_chumpy() -> None:
    values = np.arange(12.0).reshape(3, 4)
    whole = Made("chumpy.ch.Ch", (), {"x": values, "_dirty_vars": set(), "_itr": None})
    part = Made(
        "chumpy.reordering.Select", (), {"a": whole, "idxs": np.array([11, 0, 5, 6]), "preferred_shape": (2, 2)}
    )
    old_style = called("copy_reg._reconstructor", Global("chumpy.ch.Ch"), Global("__builtin__.object"), None)
    old_style.state = {"x": values[0]}
    read = load_pickle(stream({"v_template": whole, "shapedirs": part, "J": old_style}), allow=[CHUMPY])
    np.testing.assert_array_equal(read["v_template"], values)
    np.testing.assert_array_equal(read["shapedirs"], [[11, 0], [5, 6]])
    np.testing.assert_array_equal(read["J"], values[0])


def test_tensors_keep_values_of_views_and_need_no_torch_to_be_called() -> None:
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    value = {
        "transposed": base.T,
        "part": base[1:, 2:],
        "parameter": torch.nn.Parameter(base.clone()),
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "bf16": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "bool": torch.tensor([True, False]),
    }
    read = load_pickle(pickle.dumps(value), allow=[TORCH])
    for name, tensor in value.items():
        np.testing.assert_array_equal(read[name], tensor.detach().float().numpy())
    assert read["transposed"].dtype == np.float32
    assert read["scalar"].dtype == np.int64


def cuda_tensor(values: np.ndarray) -> Made:
    """A tensor as pickled on a machine with a GPU: the storage's class and location say cuda."""
    inner = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}):
        inner.write(pickle.dumps(part, 2))

    class Storage(Writer):
        def persistent_id(self, obj: Any) -> Any:
            return obj[0] if isinstance(obj, list) else None

    storage = ("storage", Global("torch.cuda.FloatStorage"), "140", "cuda:0", values.size, None)
    Storage(inner, 2).dump([storage])
    inner.write(pickle.dumps(["140"], 2))
    inner.write(struct.pack("<q", values.size) + values.astype("<f4").tobytes())
    stride = tuple(n // values.itemsize for n in values.strides)
    return called(
        "torch._utils._rebuild_tensor_v2",
        called("torch.storage._load_from_bytes", inner.getvalue()),
        0,
        values.shape,
        stride,
        False,
        called("collections.OrderedDict"),
    )


def test_tensors_from_a_gpu_are_read_on_any_machine() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    read = load_pickle(stream({"betas": cuda_tensor(values)}), allow=[TORCH])
    np.testing.assert_array_equal(read["betas"], values)


def test_code_hidden_in_a_tensor_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    evil = called("torch.storage._load_from_bytes", stream(called("os.system", f"touch {marker}")))
    tensor = called("torch._utils._rebuild_tensor_v2", evil, 0, (1,), (1,), False, None)
    with pytest.raises(UnsafeFileError, match=r"os\.system"):
        load_pickle(stream(tensor), allow=[TORCH])
    assert not marker.exists()


def test_a_storage_that_is_cut_short_is_an_error() -> None:
    tensor = cuda_tensor(np.ones((2, 3), np.float32))
    whole = tensor.args[0].args[0]
    for size in (0, 5, len(whole) // 2, len(whole) - 1):
        tensor.args[0].args = (whole[:size],)
        with pytest.raises(DataError):
            load_pickle(stream(tensor), allow=[TORCH])


def test_a_tensor_larger_than_its_storage_is_an_error() -> None:
    tensor = cuda_tensor(np.zeros((2, 3), np.float32))
    tensor.args = (*tensor.args[:2], (2, 300), *tensor.args[3:])
    with pytest.raises(DataError, match="larger than its storage"):
        load_pickle(stream(tensor), allow=[TORCH])
