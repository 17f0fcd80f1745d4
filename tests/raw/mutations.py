"""Raw files with one thing in them changed: a value, a shape, a record, a line, or half of the file gone.

What is put in is never right where it is put (no number, an endless or absurd one, a text, nothing, another shape), so
a converter must say something of it, or give the same rows where it does not read that place.
"""

from __future__ import annotations

import copy
import io
import json
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet
from scipy.io import loadmat, savemat

ABSURD = 1e30


class UnchangedError(Exception):
    """The chosen place cannot be changed in the chosen manner."""


@dataclass(frozen=True)
class Mutation:
    """What was done to a file.

    Attributes
    ----------
    kind : of change.
    place : where in the file, for people.
    fewer : records may be gone without a word, as a shorter list of records is a list as well.
    damaged : the file is no longer of its format.
    words : a text has become another, which may be right where any text is.
    """

    kind: str
    place: str = ""
    fewer: bool = False
    damaged: bool = False
    words: bool = False


def mutate(path: Path, rng: np.random.Generator) -> Mutation:
    """Change one thing in a file, which is replaced.

    Raises
    ------
    UnchangedError : nothing came of it.
    """
    data = path.read_bytes()
    path.unlink()
    if rng.random() < 0.08:
        kind = str(rng.choice(["half", "empty", "noise"]))
        path.write_bytes({"half": data[: len(data) // 2], "empty": b"", "noise": b"\x00\x01abc" * 7}[kind])
        return Mutation(kind, damaged=True)
    try:
        return _mutators[path.suffix](path, data, rng)
    except UnchangedError:
        raise
    except Exception as error:
        raise UnchangedError(f"{path.name}: {error!r}") from error


# -- trees of lists, dicts and arrays --------------------------------------------------------------------------


def _places(node: Any, rng: np.random.Generator) -> list[tuple[Any, Any]]:
    """(container, key) on the way down to a random leaf."""
    way = []
    while True:
        if isinstance(node, dict) and node:
            key = list(node)[rng.integers(len(node))]
        elif isinstance(node, list) and node:
            key = int(rng.integers(len(node)))
        elif isinstance(node, np.ndarray) and node.dtype == object and node.size and node.ndim == 0:
            return [*way, *_places(node.item(), rng)]
        else:
            return way
        way.append((node, key))
        node = node[key]


def _is_records(value: Any) -> bool:
    items = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return (
        bool(items)
        and all(isinstance(item, dict | list) for item in items)
        and any(isinstance(item, dict) or _is_records(item) for item in items)
    )


def change_tree(content: Any, rng: np.random.Generator) -> tuple[Any, Mutation]:
    """The content with one node changed."""
    content = copy.deepcopy(content)
    way = _places(content, rng)
    if not way:
        raise UnchangedError("no node")
    depth = int(rng.integers(max(len(way) - 2, 0), len(way))) if rng.random() < 0.7 else int(rng.integers(len(way)))
    parent, key = way[depth]
    old = parent[key]
    place = "/".join(str(k) for _, k in way[: depth + 1])
    if isinstance(old, np.ndarray) and old.dtype != object and rng.random() < 0.8:
        parent[key], kind = change_array(old, rng)
        return content, Mutation(kind, place)
    kinds = ["none", "text", "nan", "inf", "absurd", "empty list", "empty dict", "nested", "drop"]
    if isinstance(old, list | dict) and old:
        kinds += ["shorter", "twice"]
    kind = str(rng.choice(kinds))
    fewer = False
    if kind == "drop":
        fewer = _is_records(parent)
        del parent[key]
    elif kind == "shorter":
        fewer = _is_records(old)
        if isinstance(old, list):
            parent[key] = old[: len(old) // 2]
        else:
            parent[key] = dict(list(old.items())[: len(old) // 2])
    elif kind == "twice":
        if not isinstance(old, list):
            raise UnchangedError("not a list")
        parent[key] = [*old, copy.deepcopy(old[0])]
    else:
        fewer = _is_records(old) and kind in ("empty list", "empty dict")
        parent[key] = {
            "none": None,
            "text": "abc",
            "nan": float("nan"),
            "inf": float("inf"),
            "absurd": ABSURD,
            "empty list": [],
            "empty dict": {},
            "nested": [old],
        }[kind]
    return content, Mutation(kind, place, fewer, words=kind == "text" and isinstance(old, str))


def change_array(old: np.ndarray, rng: np.random.Generator) -> tuple[Any, str]:
    """An array with one value or its shape changed."""
    kinds = ["empty", "deeper", "short", "one number", "none", "text"]
    if old.dtype.kind == "f" and old.size:
        kinds += ["nan", "inf", "absurd"] * 3
    if old.dtype.kind in "US" and old.size:
        kinds += ["odd word"] * 3
    if old.ndim:
        kinds += ["narrow"]
    kind = str(rng.choice(kinds))
    if kind in ("nan", "inf", "absurd"):
        new = old.copy()
        new.reshape(-1)[rng.integers(old.size)] = {"nan": np.nan, "inf": np.inf, "absurd": ABSURD}[kind]
        return new, kind
    if kind == "odd word":
        new = old.astype(object)
        new.reshape(-1)[rng.integers(old.size)] = "odd"
        return new.astype(str).astype(f"{old.dtype.kind}9" if old.dtype.itemsize < 9 else old.dtype), kind
    if kind == "short":
        if old.ndim == 0 or len(old) < 2:
            raise UnchangedError("short")
        return old[:-1], kind
    if kind == "narrow":
        if old.shape[-1] < 2:
            raise UnchangedError("narrow")
        return old[..., :-1], kind
    made: dict[str, Callable[[], Any]] = {
        "empty": lambda: old.reshape(-1)[:0],
        "deeper": lambda: old[..., None, None],
        "one number": lambda: np.array(7.5),
        "none": lambda: np.array(None, object),
        "text": lambda: np.full(old.shape, "abc"),
    }
    return made[kind](), kind


# -- formats ---------------------------------------------------------------------------------------------------


def _json(path: Path, data: bytes, rng: np.random.Generator) -> Mutation:
    content, done = change_tree(json.loads(data), rng)
    path.write_text(json.dumps(content))
    return done


def _npz(path: Path, data: bytes, rng: np.random.Generator) -> Mutation:
    with np.load(io.BytesIO(data), allow_pickle=True) as stored:
        arrays = {name: stored[name] for name in stored.files}
    name = list(arrays)[rng.integers(len(arrays))]
    if rng.random() < 0.15:
        del arrays[name]
        done = Mutation("drop", name)
    elif arrays[name].dtype == object and arrays[name].ndim == 0:
        inner, done = change_tree(arrays[name].item(), rng)
        arrays[name] = np.array(inner, object)
    else:
        words = arrays[name].dtype.kind in "US"
        arrays[name], kind = change_array(arrays[name], rng)
        done = Mutation(kind, name, words=words and kind in ("text", "odd word"))
    np.savez(path, **arrays)
    return done


def _npy(path: Path, data: bytes, rng: np.random.Generator) -> Mutation:
    array = np.load(io.BytesIO(data), allow_pickle=True)
    if array.dtype == object and array.ndim == 0:
        inner, done = change_tree(array.item(), rng)
        array = np.array(inner, object)
    else:
        array, kind = change_array(array, rng)
        done = Mutation(kind)
    np.save(path, array, allow_pickle=True)
    return done


def _pickle(path: Path, data: bytes, rng: np.random.Generator) -> Mutation:
    content = pickle.loads(data, encoding="latin1")
    content, done = _any(content, rng)
    path.write_bytes(pickle.dumps(content, 2))
    return done


def _joblib(path: Path, data: bytes, rng: np.random.Generator) -> Mutation:
    content, done = _any(joblib.load(io.BytesIO(data)), rng)
    joblib.dump(content, path)
    return done


def _any(content: Any, rng: np.random.Generator) -> tuple[Any, Mutation]:
    if isinstance(content, pd.DataFrame):
        content = content.copy()
        name = list(content)[rng.integers(content.shape[1])]
        if rng.random() < 0.15:
            return content.drop(columns=name), Mutation("drop", name)
        values = content[name].astype(object).tolist()
        row = int(rng.integers(len(values)))
        holder, done = change_tree({name: values[row]}, rng)
        values[row] = holder.get(name)
        content[name] = pd.Series(values, index=content.index, dtype=object)
        return content, done
    holder, done = change_tree({"": content}, rng)
    if "" not in holder:
        raise UnchangedError("gone")
    return holder[""], done


def _mat(path: Path, data: bytes, rng: np.random.Generator) -> Mutation:
    if h5py.is_hdf5(io.BytesIO(data)):
        return _hdf5(path, data, rng)
    stored = {k: v for k, v in loadmat(io.BytesIO(data)).items() if not k.startswith("__")}
    name = list(stored)[rng.integers(len(stored))]
    stored[name], kind = change_array(stored[name], rng)
    if stored[name].dtype == object:
        raise UnchangedError("object")
    savemat(path, stored)
    return Mutation(kind, name)


def _hdf5(path: Path, data: bytes, rng: np.random.Generator) -> Mutation:
    path.write_bytes(data)
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        names = [name for name in names if "color/" not in name] or names
        name = names[rng.integers(len(names))]
        old = file[name][()]
        if not isinstance(old, np.ndarray):
            old = np.asarray(old)
        attributes = dict(file[name].attrs)
        del file[name]
        if rng.random() < 0.2:
            return Mutation("drop", name)
        new, kind = change_array(old, rng)
        if new.dtype.kind in "UO":
            new = np.full(np.shape(new), b"abc")
        file[name] = new
        for key, value in attributes.items():
            file[name].attrs[key] = value
    return Mutation(kind, name)


def _parquet(path: Path, data: bytes, rng: np.random.Generator) -> Mutation:
    stored = parquet.read_table(io.BytesIO(data))
    name = stored.column_names[rng.integers(stored.num_columns)]
    if rng.random() < 0.15:
        parquet.write_table(stored.drop_columns([name]), path)
        return Mutation("drop", name)
    values = stored.column(name).to_pylist()
    row = int(rng.integers(len(values)))
    holder, done = change_tree({name: values[row]}, rng)
    values[row] = holder.get(name)
    kind = stored.schema.field(name).type
    try:
        made = pa.array(values, kind)
    except pa.ArrowInvalid:
        made = pa.array(values)  # a column of another type, where all values have one
    parquet.write_table(stored.set_column(stored.column_names.index(name), name, made), path)
    return replace(done, place=f"row {row} {done.place}")


def _tar(path: Path, data: bytes, rng: np.random.Generator) -> Mutation:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    names = [name for name in members if name.endswith((".pyd", ".json"))]
    name = names[rng.integers(len(names))]
    reader, writer = (json.loads, lambda v: json.dumps(v).encode()) if name.endswith("json") else (pickle.loads, _dumps)
    holder, done = change_tree({"": reader(members[name])}, rng)
    if "" not in holder or len(holder[""] or ()) != len(reader(members[name])):
        raise UnchangedError("as many people as there are, are right")
    members[name] = writer(holder[""])
    with tarfile.open(path, "w") as tar:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    words = done.words or (done.kind == "text" and done.place.endswith("person_id"))
    return replace(done, place=f"{name} {done.place}", words=words)


def _dumps(value: Any) -> bytes:
    return pickle.dumps(value, 4)


def _text(path: Path, data: bytes, rng: np.random.Generator) -> Mutation:
    text = data.decode()
    lines = text.split("\n")
    kind = str(rng.choice(["cell", "cell", "cell", "cell", "less", "more", "gone", "crlf", "blank"]))
    if kind == "crlf":
        path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
        return Mutation(kind)
    filled = [i for i, line in enumerate(lines) if line.strip()]
    if not filled:
        raise UnchangedError("empty")
    at = filled[rng.integers(len(filled))]
    sign = "," if "," in lines[at] else " "
    cells = lines[at].split(sign)
    words = False
    if kind == "cell":
        k = int(rng.integers(len(cells)))
        words = not cells[k].replace(".", "").replace("-", "").isdecimal()
        cells[k] = str(rng.choice(["", "nan", "inf", "1e30", "abc"]))
    elif kind == "less":
        cells = cells[:-1]
    elif kind == "more":
        cells.append("7")
    lines[at] = sign.join(cells)
    if kind in ("gone", "blank"):
        lines[at : at + 1] = [] if kind == "gone" else [""]
    path.write_text("\n".join(lines))
    return Mutation(
        kind,
        f"line {at + 1}: {lines[at] if at < len(lines) else ''}",
        fewer=kind in ("gone", "blank"),
        damaged=path.suffix == ".xml",
        words=words,
    )


_mutators: dict[str, Callable[[Path, bytes, np.random.Generator], Mutation]] = {
    ".json": _json,
    ".npz": _npz,
    ".npy": _npy,
    ".pkl": _pickle,
    ".pt": _joblib,
    ".mat": _mat,
    ".smc": _hdf5,
    ".parquet": _parquet,
    ".tar": _tar,
    ".csv": _text,
    ".txt": _text,
    ".xml": _text,
    ".obj": _text,
}


def files_of(root: Path) -> list[Path]:
    """Files below a root that can be changed, one kind of name after the other."""
    return sorted(path for path in root.rglob("*") if path.is_file() and path.suffix in _mutators)
