"""Raw trees with one thing changed, over all converters: what they make of it is told, or it is nothing.

A converter says what is odd in one of three ways: an error that names the file, a dropped row under a reason, a note.
Where it says nothing, rows must be those of the tree as it was (the place is not read, or another file stands in), or
fewer of them where a list of records became shorter. Points and boxes of
parts that are no numbers may lose their confidence instead, and columns that were not asked for may be absent.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters import registry
from ehps.converters.base import Converter
from ehps.converters.own.coco_labels import CocoLabels
from ehps.converters.pipeline import workers
from ehps.converters.pipeline.completion import complete
from ehps.converters.readers.images import ImageIndex
from ehps.demo.raw.stage import PaintedView
from ehps.errors import EhpsError
from tests.raw import coco2014, h36m, mpi_inf_3dhp, mpii, neural_annot, sam3d_body
from tests.raw.checks import blank
from tests.raw.fixtures import FIXTURES
from tests.raw.mutations import Mutation, UnchangedError, files_of, mutate
from tests.raw.trees import Raw

CASES = 10  # of each dataset
PYTHON = re.compile(
    r"could not convert|inhomogeneous|out of range|NoneType|has no attribute|\w+Error\b|not subscriptable|object is not"
    r"|invalid literal|setting an array|reshape|broadcast|unhashable|not iterable|unsupported operand|concatenat|"
    r"<class|dtype|ndarray|must match|positional|unpack \(|not enough values|too many values|Traceback|argument|"
    r"array\(|float\(|\bdict\b|\bstr\b"
)
LIST = "annotations/mpii_train.json"
AGAIN = "download or unpack it again"
POINTS = ("keypoints2d_original", "keypoints3d_original")
PART_BOXES = ("face_bbox_xywh", "lhand_bbox_xywh", "rhand_bbox_xywh")
ANY_LENGTH = {  # of which several are right: 4, 5 and 8 coefficients, 10 and 11 betas
    "egobody_kinect": {"meta/dist_coeffs"},
    "bedlam": {"smplx/betas", "smplx/betas_neutral"},
}
FROM_POINTS = ("bbox_xywh", *PART_BOXES, "meta/has_2d")


@dataclass
class Outcome:
    """What a conversion in memory came to: errors, columns of all rows, and what was said of the rest."""

    errors: list[EhpsError] = field(default_factory=list)
    columns: dict[str, list[Any]] = field(default_factory=dict)
    rows: int = 0
    said: list[Any] = field(default_factory=list)


def outcome(converter: Converter) -> Outcome:
    """Units read and completed without body models; only errors meant for users are caught."""
    out = Outcome()
    context = workers._context(workers.Job(converter))
    images = ImageIndex(converter.root)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(in cast|multiply|subtract)")
        try:
            units = converter.units()
        except EhpsError as error:
            out.errors.append(error)
            return out
        for unit in units:
            try:
                read = converter.read(unit)
                done = complete(read, context, images)
            except EhpsError as error:
                if error.path is None:
                    error.path = unit.path
                out.errors.append(error)
                continue
            reasons = {reason: sorted(names) for reason, names in done.account.dropped.items()}
            out.said.append((read.left_out, reasons, done.account.notes, done.account.absent))
            if done.data is None:
                continue
            out.rows += len(done.data)
            for name in done.data.columns:
                values = out.columns.setdefault(name, [])
                values += [None] * (out.rows - len(done.data) - len(values))
                values += list(np.asarray(done.data[name]))
        for values in out.columns.values():
            values += [None] * (out.rows - len(values))
    return out


def differences(before: Outcome, after: Outcome) -> list[str]:
    """Columns in which rows differ, those left out that only follow from points that lost their confidence."""
    names = [n for n in {**before.columns, **after.columns} if not n.startswith("quality")]
    found = [n for n in names if not all(map(same, before.columns.get(n, ()), after.columns.get(n, ())))]
    found += [n for n in names if (n in before.columns) != (n in after.columns) and n not in found]
    found = [n for n in found if n in after.columns]  # a column that is not there is no wrong one
    facts = [n for n in found if n.startswith(("meta/", "mhr/"))]
    silent = {n for n in facts if unknown(before.columns.get(n, ()), after.columns[n])}
    found = [n for n in found if n not in silent]
    for name in [n for n in found if n in POINTS or n in PART_BOXES]:
        pairs = zip(before.columns[name], after.columns[name], strict=True)
        if all(a is not None and b is not None and lost_confidence(a, b) for a, b in pairs):
            found = [n for n in found if n != name and n not in (FROM_POINTS if name in POINTS else ())]
    return found


def unknown(before: Sequence[Any], after: Sequence[Any]) -> bool:
    """Whether values differ only where they are now said to be unknown: NaN, -1, or no text."""
    changed = [b for a, b in zip(before, after, strict=False) if not same(a, b)]
    return all((np.ndim(b) == 0 and b in ("", -1)) or no_number(b) for b in changed)


def no_number(value: Any) -> bool:
    array = np.asarray(value)
    return array.dtype.kind == "f" and bool(np.isnan(array).all())


def lost_confidence(a: Any, b: Any) -> bool:
    """Whether points differ only in some that now have none."""
    if np.shape(a) != np.shape(b):
        return False
    other = ~np.all(np.isclose(a, b), axis=-1)
    return bool((b[other][:, -1] == 0).all())


def same(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    a, b = np.asarray(a), np.asarray(b)
    return bool(a.shape == b.shape and (a == b).all()) or (
        a.dtype.kind == "f" and b.dtype.kind == "f" and a.shape == b.shape and np.array_equal(a, b, equal_nan=True)
    )


def subset(before: Outcome, after: Outcome) -> bool:
    """Whether all rows of ``after`` are in ``before``."""
    have: dict[str, list[int]] = {}
    for i, path in enumerate(before.columns.get("image_path", [])):
        have.setdefault(str(path), []).append(i)
    names = [name for name in after.columns if not name.startswith("quality") and name != "meta/index"]
    return set(names) <= set(before.columns) and all(
        any(
            all(same(before.columns[name][i], after.columns[name][j]) for name in names)
            for i in have.get(str(after.columns["image_path"][j]), [])
        )
        for j in range(after.rows)
    )


def faults_of(dataset: str, before: Outcome, after: Outcome, path: Path, done: Mutation) -> list[str]:
    """What is wrong with how a changed file was dealt with."""
    faults = []
    for error in after.errors:
        words = f"{error.what} {error.fix}"
        if PYTHON.search(words.replace(str(path.parent), "")):
            faults.append(f"speaks Python: {error}")
        if AGAIN in words and not done.damaged and path.stat().st_size > 1:
            faults.append(f"says that it is damaged: {error}")
        if path.name not in str(error):
            faults.append(f"names another file: {error}")
    for _, reasons, notes, _ in after.said:
        for text in [*reasons, *notes, *(name for names in reasons.values() for name in names)]:
            if PYTHON.search(text):
                faults.append(f"speaks Python: {text}")
    if after.errors or after.said != before.said:
        return faults
    if after.rows < before.rows and done.fewer and subset(before, after):
        return faults
    if after.rows != before.rows:
        return [*faults, f"{before.rows} rows became {after.rows} in silence"]
    found = differences(before, after)
    if done.kind in ("twice", "shorter", "narrow"):
        found = [name for name in found if name not in ANY_LENGTH.get(dataset, ())]
    if found and not (done.words and all(name.startswith("meta/") for name in found)):
        return [*faults, f"{', '.join(found)} changed in silence"]
    return faults


def fuzz(
    converter: Converter, cases: int, rng: np.random.Generator, show: Callable[[str], None] | None = None
) -> Iterator[str]:
    """Sentences about what is wrong, of ``cases`` changes in the tree of a converter, each undone."""
    root = converter.root
    before = outcome(converter)
    assert not before.errors, before.errors
    files = files_of(root)
    kept = root.with_name(root.name + " kept")
    names: dict[str, list[Path]] = {}
    for path in files:  # few of a kind, so that the one calibration is as likely as one of fifty fits
        names.setdefault(re.sub(r"\d+", "0", path.name) + path.parent.name[:0], []).append(path)
    groups = list(names.values())
    for _ in range(cases):
        group = groups[rng.integers(len(groups))]
        path = group[rng.integers(len(group))]
        os.link(path, kept)
        try:
            done = mutate(path, rng)
            case = f"{converter.card.id} {path.relative_to(root)} {done.kind} {done.place}"
            if show:
                show(case)
            try:
                after = outcome(converter)
            except Exception as error:
                frames = [f for f in traceback.extract_tb(error.__traceback__) if "ehps" in f.filename]
                where = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames[-2:]))
                yield f"{case}: {type(error).__name__}: {error} ({where})"
                continue
            for fault in faults_of(converter.card.id, before, after, path, done):
                yield f"{case}: {fault}"
        except UnchangedError:
            pass
        finally:
            os.replace(kept, path)


def converter_of(dataset: str, root: Path, split: str = "", options: Mapping[str, str] | None = None) -> Converter:
    card = registry.card(dataset)
    return registry.converter(dataset)(root, split or card.default_split, dict(options or {}))


@pytest.mark.parametrize("dataset", list(FIXTURES))
def test_a_changed_file_is_told_or_changes_nothing(
    dataset: str, raw_trees: Callable[[str], Raw], tmp_path: Path
) -> None:
    root = raw_trees(dataset).linked(tmp_path)
    faults = list(fuzz(converter_of(dataset, root), CASES, np.random.default_rng(len(dataset))))
    assert faults == []


# -- other forms of the same data ------------------------------------------------------------------------------


def hrnet_list(root: Path, models: Path) -> Converter:
    names = [f"{k}.jpg" for k in range(4)]
    blank(root, [f"images/{name}" for name in names], 720, 1280)
    (root / "annotations").mkdir()
    people = [person for name in names for person in mpii.hrnet(root, LIST, name)]
    (root / LIST).write_text(json.dumps(people))
    return converter_of("mpii", root)


def annotations_of_mpii(root: Path, models: Path) -> Converter:
    blank(root, [f"images/{name}" for name in mpii.NAMES], 720, 1280)
    mpii.people_list(root, "mpii_annotations.json")
    return converter_of("mpii", root, "trainval")


def eft_of_coco(root: Path, models: Path) -> Converter:
    coco2014.write_fixture(root, models, np.random.default_rng(3))
    return converter_of("mscoco", root, options={"fits": "eft"})


def cliff_of_coco(root: Path, models: Path) -> Converter:
    coco2014.write_fixture(root, models, np.random.default_rng(3))
    return converter_of("mscoco", root, options={"fits": "cliff"})


def neuralannot_smpl(root: Path, models: Path) -> Converter:
    view = PaintedView(480, 640, 600.0)
    group = neural_annot.people(models, np.random.default_rng(5), "smpl", view, [4])
    labels = [
        {"id": k, "image_id": 5, "iscrowd": 0, "bbox": group.box(k), "keypoints": group.labelled(k, "mpii").ravel()}
        for k in range(4)
    ]
    people = [label | {"keypoints": label["keypoints"].tolist()} for label in labels]
    images = [{"id": 5, "file_name": "1.jpg", "height": view.height, "width": view.width}]
    neural_annot.dump(root / "annotations/train.json", {"images": images, "annotations": people})
    fits = {str(k): group.fit(k) for k in range(4)}
    neural_annot.dump(root / "annotations/MPII_train_SMPL_NeuralAnnot.json", fits)
    blank(root, ["images/1.jpg"], view.height, view.width)
    return converter_of("mpii", root, options={"fits": "neuralannot-smpl"})


def h36m_original(root: Path, models: Path) -> Converter:
    pytest.importorskip("cdflib")
    h36m.write_original(root, np.random.default_rng(5))
    return converter_of("h36m", root)


def mpi_inf_3dhp_original(root: Path, models: Path) -> Converter:
    mpi_inf_3dhp.write_original(root, np.random.default_rng(6))
    return converter_of("mpi_inf_3dhp", root)


def tars_of_sam3d_body(root: Path, models: Path) -> Converter:
    tree = sam3d_body.write_fixture(root, models, np.random.default_rng(7))
    shutil.rmtree(root / "coco_train")
    sam3d_body.write_tar(root / "coco_train/000000.tar", tree.people["coco_train"])
    return converter_of("sam3d_body", root)


def own_labels(root: Path, models: Path) -> Converter:
    names = ["nose", "left_knee", "right_knee", "tail"]
    blank(root, ["a.jpg", "more/b.jpg"], 200, 320)
    people = [
        {
            "id": k,
            "image_id": 1 + k % 2,
            "category_id": 1,
            "keypoints": [100, 40 + k, 2, 140, 80, 1, 60, 80, 2, 9, 9, 2],
        }
        for k in range(5)
    ]
    people[3]["bbox"] = [40, 30, 120, 90]
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "more/b.jpg", "height": 200, "width": 320}]
    skeleton = [{"id": 1, "name": "person", "keypoints": names}]
    labels = root / "labels.json"
    labels.write_text(json.dumps({"images": images, "annotations": people, "categories": skeleton}))
    return CocoLabels(root, "train", {"labels": str(labels)})


FORMS: list[Callable[[Path, Path], Converter]] = [
    hrnet_list,
    annotations_of_mpii,
    eft_of_coco,
    cliff_of_coco,
    neuralannot_smpl,
    h36m_original,
    mpi_inf_3dhp_original,
    tars_of_sam3d_body,
    own_labels,
]


@pytest.mark.parametrize("form", FORMS)
def test_so_is_that_of_another_form_of_the_data(
    form: Callable[[Path, Path], Converter], tmp_path: Path, body_models: Path
) -> None:
    converter = form(tmp_path / "raw", body_models)
    assert list(fuzz(converter, CASES, np.random.default_rng(len(form.__name__)))) == []
