"""HumanData files, run folders and suites that are damaged or hostile at random: one sentence, never a traceback.

Every case starts from a sound file of our own, changes it by a seeded rule, and goes through what a user would do with
it. What comes out is either a result or an :class:`~ehps.errors.EhpsError` in the field's words.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

from ehps.analysis.benchmarks import benchmarks_in
from ehps.analysis.curves import read_curves
from ehps.analysis.ranking import rank
from ehps.benchmark import models, results
from ehps.benchmark.protocols import catalogue
from ehps.benchmark.suites.matrix import load_suite, status
from ehps.benchmark.suites.runs import Run
from ehps.benchmark.training import checkpoints
from ehps.errors import EhpsError
from ehps.humandata import HumanData
from ehps.humandata.operations import info, sample
from ehps.humandata.storage import h5
from tests.humandata.conftest import build

PYTHON = re.compile(
    r"Traceback|KeyError|TypeError|ValueError|NoneType|object has no attribute|not subscriptable|out of range for"
    r"|could not convert|inhomogeneous|unexpected keyword|positional argument|not iterable|invalid literal"
)
ODD: tuple[Any, ...] = (
    None,
    "x",
    "",
    -1,
    10**30,
    1.5,
    float("nan"),
    float("inf"),
    True,
    [],
    {},
    [[]],
    {"a": 1},
    "\x1b[31m[red]\0",
)


def fine(action: Callable[[], Any]) -> str:
    """Do it; the sentence that was said when it could not be done."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            action()
    except EhpsError as error:
        said = str(error)
    else:
        return ""
    assert not PYTHON.search(said), said
    return said


# -- how things are changed -------------------------------------------------------------------------------


def changed_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes flipped, cut out, put in, or the end missing."""
    out = bytearray(data)
    kind = rng.integers(5)
    if kind == 0:
        return bytes(out[: rng.integers(len(out))])
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(max(1, len(out))))
        if kind == 1:
            out[at : at + 1] = bytes([int(rng.integers(256))])
        elif kind == 2:
            out[at : at + int(rng.integers(1, 40))] = b""
        elif kind == 3:
            out[at:at] = rng.bytes(8)
        else:
            out[at : at + 8] = b"\xff" * 8
    return bytes(out)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values in a tree of dicts and lists."""
    if path:
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from places(item, (*path, key))


def changed_tree(tree: Any, rng: np.random.Generator) -> Any:
    """A value of a tree replaced by an odd one, removed, or put in twice."""
    tree = json.loads(json.dumps(tree))
    every = list(places(tree))
    for _ in range(rng.integers(1, 3)):
        *above, last = every[int(rng.integers(len(every)))]
        node = tree
        try:
            for key in above:
                node = node[key]
            if rng.integers(4) == 0:
                del node[last]
            elif rng.integers(6) == 0 and isinstance(node, list):
                node.append(copy.deepcopy(node[last]))
            else:
                node[last] = copy.deepcopy(ODD[int(rng.integers(len(ODD)))])
        except (KeyError, IndexError, TypeError):  # changed away by the round before
            continue
    return tree


# -- HumanData --------------------------------------------------------------------------------------------


def use(path: Path) -> None:
    """What people do with a file."""
    hd = HumanData.open(path)
    json.dumps(info(hd))
    hd.validate()
    hd.to_frame()
    thinner = sample(hd, interval=2) if len(hd) else hd
    thinner.save(path.with_name("thinner.h5"))
    thinner.save(path.with_name("thinner.npz"))
    for name in hd.columns:
        list(hd[name][:3])


@pytest.mark.parametrize("seed", range(3))
def test_damaged_h5_and_npz(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for suffix in (".h5", ".npz"):
        data = build(5).save(tmp_path / f"sound{suffix}").read_bytes()
        path = tmp_path / f"damaged{suffix}"
        for _ in range(8):
            path.write_bytes(changed_bytes(data, rng))
            fine(lambda path=path: use(path))


@pytest.mark.parametrize("seed", range(3))
def test_headers_of_h5_with_odd_values(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sound = build(5).save(tmp_path / "sound.h5")
    path = tmp_path / "odd.h5"
    for _ in range(12):
        shutil.copy(sound, path)
        with h5py.File(path, "r+") as file:
            name = rng.choice(["columns", "keypoint_names", "passport", "misc", "quality", "instances", "codes"])
            if name == "codes":
                file["image_path/codes"][int(rng.integers(5))] = rng.choice([-1, 77, 2**31 - 1])
            elif name == "instances":
                file.attrs[name] = ("x", "", -1, 1.5, np.zeros(3), 4)[rng.integers(6)]
            else:
                tree = changed_tree({"x": json.loads(file.attrs[name])}, rng)
                file.attrs[name] = json.dumps(tree.get("x"))
        assert fine(lambda: use(path)) or h5.verify(path) or name == "instances"


def test_headers_of_h5_that_are_no_json(tmp_path: Path) -> None:
    path = build(5).save(tmp_path / "odd.h5")
    for text, words in (("[1,", "from line 1, column 4 on"), ("[" * 60_000, "it is nested too deeply")):
        with h5py.File(path, "r+") as file:
            file.attrs["misc"] = text
        assert words in fine(lambda: use(path))


@pytest.mark.parametrize("seed", range(2))
def test_npz_with_odd_members(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    with np.load(build(5).save(tmp_path / "sound.npz"), allow_pickle=True) as file:
        sound = {name: file[name] for name in file.files}
    odd = [np.array(value, object) for value in ODD[:12]]
    odd += [
        np.zeros((0, 3)),
        np.zeros((5, 2, 2, 2)),
        np.full(5, np.nan),
        np.array(["x"] * 5),
        np.array(3),
        np.arange(4),
    ]
    for _ in range(12):
        members = dict(sound)
        name = rng.choice(list(members))
        inner = members[name].item() if members[name].dtype == object and members[name].ndim == 0 else None
        if isinstance(inner, dict) and rng.integers(3):
            key = rng.choice(list(inner))
            members[name] = np.array({**inner, key: odd[int(rng.integers(len(odd)))]}, object)
        else:
            members[name] = odd[int(rng.integers(len(odd)))]
        np.savez(tmp_path / "odd.npz", **members)
        fine(lambda: use(tmp_path / "odd.npz"))


# -- run folders ------------------------------------------------------------------------------------------


def write_run(folder: Path) -> Path:
    """A run folder as training and two evaluations leave it, without having run them."""
    run = Run(folder / "toy" / "tiny")
    net = models.build("tiny", width=8, depth=1, heads=1)
    state = net.state_dict()
    model = {"name": "tiny", "args": {"width": 8, "depth": 1, "heads": 1}}
    content = {"model": model, "state": state, "step": 2, "config": "{}", "box_ratio": 1.0}
    checkpoints.save(run.checkpoint, {**content, "weights_sha256": checkpoints.weights_hash(state)})
    run.note(
        training={"train_set": "toy", "config": {"steps": 2}, "data": ["0"]}, train_set="toy", model="tiny", seed=1
    )
    run.note(tests={"ehf": {"data": "ehf.h5", "images": ".", "content": "0", "box_ratio": 1.0}})
    run.completed("training", "0")
    run.failed("test_pw3d", "no images")
    lines = [{"step": step, "loss": 1.0 / step, "pose": 0.5, "lr": 1e-3} for step in (1, 2)]
    (run.folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for test_set in ("ehf", "ubody"):
        protocol = catalogue.get({"ehf": "ehf", "ubody": "ubody-intra"}[test_set])
        values = np.linspace(50, 60, 6)
        errors = pd.DataFrame(
            {
                "truth_row": np.arange(6),
                "image_path": [f"{i}.jpg" for i in range(6)],
                "sequence": ["a", "b"] * 3,
                "part": "all",
                "metric": "PVE",
                "value": values,
            }
        )
        line = {"part": "all", "metric": "PVE", "value": float(values.mean()), "unit": "mm", "n": 6, "skipped": 0}
        cell = {"test_set": test_set, "protocol": protocol.id, "definition": protocol.to_dict(), "key": "0"}
        run.store({**cell, "metrics": [line], "notes": {"extreme_betas": 0}, "printed": {}, "body_models": {}}, errors)
    suite = {
        "train": {"toy": [{"data": "toy.h5", "images": ".", "interval": 1, "protocol": ""}]},
        "test": {"ehf": {"data": "ehf.h5", "images": ".", "interval": 1, "protocol": "ehf"}},
        "models": ["tiny"],
        "body_models": None,
        "steps": 2,
        "loss": {"pose": 1.0},
        "model_args": {"width": 8},
    }
    (folder / "suite.json").write_text(json.dumps(suite))
    return folder


def use_runs(folder: Path) -> None:
    """What status, rank and report read."""
    status(folder)
    numbers, errors = results.load(folder), results.load_errors(folder)
    rank(numbers, errors, bootstrap=3, benchmarks=benchmarks_in(numbers))
    read_curves(folder)
    checkpoints.load_model(folder / "toy" / "tiny" / "checkpoints" / "final.pt")


@pytest.mark.parametrize("seed", range(2))
def test_damaged_run_folders(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sound = write_run(tmp_path / "sound")
    assert fine(lambda: use_runs(sound)) == ""
    files = sorted(path.relative_to(sound) for path in sound.rglob("*") if path.is_file() and path.stat().st_size)
    for i in range(14):
        name = files[(seed + i) % len(files)]
        path = sound / name
        whole = path.read_bytes()
        if path.suffix == ".json" and rng.integers(4):
            path.write_text(json.dumps(changed_tree(json.loads(whole), rng)))
        else:
            path.write_bytes(changed_bytes(whole, rng))
        for step in (lambda: use_runs(sound), lambda: read_curves(sound), lambda: Run(sound / "toy/tiny").note(x=1)):
            fine(step)
        path.write_bytes(whole)


def test_checkpoints_with_odd_content(tmp_path: Path) -> None:
    import torch

    folder = write_run(tmp_path / "sound")
    path = folder / "toy/tiny/checkpoints/final.pt"
    content = torch.load(path, weights_only=True)
    state = content["state"]
    first = next(iter(state))
    odd: list[dict[str, Any]] = [{name: value} for name in content for value in (None, "x", -1, [], {}, {1: 2})]
    odd += [{"state": {**state, first: value}} for value in (None, 3, state[first].double().long(), state[first][:0])]
    odd += [{"state": {**state, first: torch.zeros(1).expand(10**6, 10**6)}}, {"state": {}}]
    odd += [
        {"model": {"name": "tiny", "args": {key: value}}} for key in ("width", "depth") for value in (10**9, 0, "x")
    ]
    odd += [{"model": {"name": name, "args": {}}} for name in ("../..", "", "[red]")]
    only_for_training = ("step", "config")
    for change in odd:
        torch.save({**content, **change}, path)
        said = fine(lambda: checkpoints.load_model(path))
        name = next(iter(change))
        assert said.startswith(str(path)) or name in only_for_training, change
    state[first][0] += 1
    torch.save({**content, "state": state}, path)
    assert "weights are not as they were written" in fine(lambda: checkpoints.load_model(path))


SUITE = {
    "models": ["tiny"],
    "train": {"one": {"data": "a.h5", "images": "raw"}, "mix": [{"data": "a.h5", "interval": 2}, "b.h5"]},
    "test": {"ehf": {"data": "ehf.h5", "protocol": "ehf"}},
    "steps": 3,
    "lr": 0.001,
    "loss": {"pose": 1.0, "rotation_form": "matrix"},
    "model_args": {"width": 16},
    "body_models": "models",
}
RECIPES = {"usual": {}, "slow": {"lr": 0.0001, "loss": {"pose": 2.0}, "augment": False, "clip": 1}}


@pytest.mark.parametrize("seed", range(3))
def test_suites_with_odd_values(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(SUITE))
    assert fine(lambda: load_suite(path)) == ""
    for _ in range(60):
        path.write_text(yaml.safe_dump(changed_tree(SUITE, rng)))
        fine(lambda: load_suite(path))
    for _ in range(20):
        path.write_bytes(changed_bytes(yaml.safe_dump(SUITE).encode(), rng))
        fine(lambda: load_suite(path))


def test_recipes_with_odd_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump({**SUITE, "recipes": RECIPES}))
    assert fine(lambda: load_suite(path)) == ""
    said = set()
    for _ in range(60):
        path.write_text(yaml.safe_dump({**SUITE, "recipes": changed_tree(RECIPES, rng)}))
        said.add(fine(lambda: load_suite(path)))
    assert len(said) > 10


@pytest.mark.parametrize(
    "name", ["..", "../x", "/tmp/x", "a/b", ".hidden", "a\\b", "a\0b", "a\x1b[31m", "", "x" * 300, 7]
)
@pytest.mark.parametrize("place", ["train", "test", "models", "recipes"])
def test_names_in_a_suite_that_lead_elsewhere_are_refused(tmp_path: Path, place: str, name: Any) -> None:
    sets = {name: {} if place == "recipes" else {"data": "ehf.h5", "protocol": "ehf"}}
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump({**SUITE, place: [name] if place == "models" else sets}))
    assert fine(lambda: load_suite(tmp_path / "suite.yaml"))


def test_a_suite_of_endless_aliases_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    (tmp_path / "suite.yaml").write_text("\n".join(lines))
    assert "more than" in fine(lambda: load_suite(tmp_path / "suite.yaml"))
    (tmp_path / "suite.yaml").write_text("train: &a [*a]")
    assert fine(lambda: load_suite(tmp_path / "suite.yaml"))


def test_a_small_file_that_unfolds_to_gigabytes_is_refused_before_it_does(tmp_path: Path) -> None:
    head = (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '|u1', 'fortran_order': False, 'shape': (3000000000,), }".ljust(117)
        + b"\n"
    )
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image_path.npy", head)
    data = (tmp_path / "bomb.npz").read_bytes()
    size = (len(head)).to_bytes(4, "little")
    at = data.rindex(size, 0, data.rindex(b"image_path.npy"))
    (tmp_path / "bomb.npz").write_bytes(data[:at] + (3_000_000_000).to_bytes(4, "little") + data[at + 4 :])
    assert "asks for 2.8 GiB" in fine(lambda: HumanData.open(tmp_path / "bomb.npz"))
    with h5py.File(build(3).save(tmp_path / "bomb.h5"), "r+") as file:
        del file["smplx/betas"]
        file.create_dataset("smplx/betas", (10**10, 10), "f4", chunks=(1000, 10))
    assert "of memory" in fine(lambda: HumanData.open(tmp_path / "bomb.h5"))
