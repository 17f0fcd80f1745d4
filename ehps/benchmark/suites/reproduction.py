"""A public file of weights tested as its authors tested it: our numbers beside the published ones.

The published numbers are those of :func:`ehps.benchmark.models.pages.published`, each with the protocol that it was
made under, as far as its source tells. Where sources disagree, or tell too little, :data:`TESTS` says which field of
the protocol is in question.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ehps.benchmark import models
from ehps.benchmark.models import pages
from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.protocol import Protocol
from ehps.benchmark.protocols.scoring import TRUTH_ROW, Score
from ehps.benchmark.suites.evaluation import evaluate
from ehps.benchmark.suites.places import by_name
from ehps.benchmark.suites.prediction import Crop
from ehps.benchmark.training import checkpoints
from ehps.benchmark.training.specs import SetSpec, image_folders
from ehps.body.models import BodyModels
from ehps.errors import DataError, EhpsError, UsageError
from ehps.humandata.core import HumanData

LIMIT = {"mm": 0.5, "%": 0.5, "": 0.005}
"""Differences above which fields of the protocol are in question, by unit."""

MEASURES: Mapping[str, tuple[str, str]] = {
    **{f"{metric} {part}": (part, metric) for metric in ("PVE", "PA-PVE") for part in ("all", "face")},
    **{f"{metric} hands": ("hand", metric) for metric in ("PVE", "PA-PVE")},
    **{metric: ("all", metric) for metric in ("PVE", "PA-PVE")},
    **{metric: ("body", metric) for metric in ("MPJPE", "PA-MPJPE", "AP", "AP50", "AP75")},
    "AP M": ("body", "AP-M"),
    "AP L": ("body", "AP-L"),
    "mIoU": ("silhouette", "mIoU"),
    **{f"{part} {metric}": (part, metric) for part in ("silhouette", "parts") for metric in ("accuracy", "F1")},
}
"""What papers call a number -> (part, metric) here."""
MEAN = "MPE"  # of the primary numbers of several protocols

_SHAPES = "extreme_betas: the original tests shapes with any |beta| > 3 against the mean shape"
_NEUTRAL = "truth: the neutral shape is betas_neutral where the file has it, a refit of ours where not"
_BOXES = (
    "box_ratio: of the file's boxes; the originals have theirs, 1.2 times as large as a person, in files of their own"
)


@dataclass(frozen=True)
class Test:
    """Where a protocol's published numbers were made.

    Attributes
    ----------
    dataset : of the converted file, as its passport has it.
    splits : that will do, the better one first.
    crop : of models that see windows of whole pixels.
    questions : fields that sources disagree on or leave open, each with what they say.
    people : that the published test has, where that is known.
    """

    dataset: str
    splits: tuple[str, ...]
    crop: Crop = "exact"
    questions: tuple[str, ...] = ()
    people: int | None = None

    @property
    def set(self) -> str:
        return f"{self.dataset} {' or '.join(self.splits)}"


TESTS: Mapping[str, Test] = {
    "agora-val": Test(
        "agora",
        ("validation",),
        questions=("truth: the original compares with AGORA's own vertices (agora-val[truth=given-vertices])",),
    ),
    "ubody-intra": Test(
        "ubody",
        ("test",),
        questions=("count_by: the original counts every 100th of all annotations of a scene", _SHAPES, _NEUTRAL),
    ),
    "egobody-ego": Test("egobody_ego", ("test",), questions=(_SHAPES, _NEUTRAL)),
    "arctic": Test("arctic", ("val",), questions=("step: every 10th row, from the first", _SHAPES, _NEUTRAL)),
    "ehf": Test(
        "ehf", ("val",), questions=("box_ratio: SMPLer-X enlarges tight boxes 1.2 times, OSX 1.25",), people=100
    ),
    "pw3d-smplerx": Test(
        "pw3d", ("test",), questions=("joints: other papers use the Human3.6M regressor (pw3d-h36m14)",)
    ),
    "pw3d-h36m14": Test(
        "pw3d",
        ("test",),
        questions=(
            "joint_alignment: SMPLer aligns at the middle of the hips (pw3d-h36m14-midhip)",
            "mesh_alignment: PyMAF does not align meshes, SMPLer does at the regressed pelvis",
            _BOXES,
        ),
        people=35_515,
    ),
    "pw3d-h36m14-midhip": Test(
        "pw3d",
        ("test",),
        questions=(
            "joints: the models trained on 3DPW have a regressor of their own (J_regressor_3dpw.npy), and the original "
            "compares with given joints",
            "truth: the original's mesh is the neutral SMPL with the annotation's betas",
            _BOXES,
        ),
        people=35_515,
    ),
    "h36m-p2": Test(
        "h36m",
        ("test",),
        questions=(
            "joint_alignment: PyMAF aligns at the regressed pelvis, SMPLer at the middle of the hips",
            "step: tested at 10 fps (`ehps convert h36m --option interval=5`); other loaders take every 64th frame",
            "mean: of all frames, or of the means of actions (h36m-p2[mean=groups])",
            _BOXES,
        ),
    ),
    "ssp3d": Test("ssp3d", ("test", "train"), people=311),
    "lsp-segmentation": Test(
        "lsp", ("test",), people=1000, questions=("prediction: the originals draw bodies at 224 pixels, and enlarge",)
    ),
    "coco-projection": Test(
        "mscoco",
        ("val",),
        "warp",
        questions=(
            "box_ratio: 1.25 about tight boxes, which is 1.25/1.2 about those of the file",
            "joints: hips of J_regressor_extra, or the model's own (coco17-model-hips)",
            "valid: people of COCO 2014 (`ehps convert mscoco --split val --option images=2014`)",
        ),
        people=50_197,
    ),
}


@dataclass(frozen=True)
class Line:
    """One published number and ours.

    Attributes
    ----------
    weights, test, metric, theirs, unit, source : as published.
    protocol : under which ours is made.
    ours : None where it could not be made.
    n : instances that ours is of.
    why : why there is none.
    in_question : fields of the protocol that may explain a difference above :data:`LIMIT`, with what is known of them.
    """

    weights: str
    test: str
    metric: str
    protocol: str
    theirs: float
    unit: str
    source: str
    ours: float | None = None
    n: int | None = None
    why: str = ""
    in_question: tuple[str, ...] = ()

    @property
    def difference(self) -> float | None:
        """Ours minus theirs."""
        return None if self.ours is None else self.ours - self.theirs

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"difference": self.difference, "in_question": list(self.in_question)}


@dataclass
class Reproduction:
    """What :func:`reproduce` found.

    Attributes
    ----------
    model, weights : which, the latter as published; all of the model where the file's name tells none.
    run : folder of predictions and errors.
    lines : one a published number.
    missing : sets that are not there, and tests that could not be made, each with the reason.
    other_weights : of the model that numbers are published of.
    elsewhere : tests of these weights that are published and that ehps cannot make: servers, other meshes, speed.
    """

    model: str
    weights: list[str]
    run: str
    lines: list[Line] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    other_weights: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"lines": [line.to_dict() for line in self.lines]}


def reproduce(
    name: str,
    checkpoint: Path,
    data: Path,
    out: Path,
    body_models: BodyModels,
    *,
    weights: str | None = None,
    device: str | None = None,
    workers: int = 0,
    progress: bool | None = None,
) -> Reproduction:
    """Test a file of weights wherever a number of it is published and the converted set is in ``data``.

    Parameters
    ----------
    name : of the model.
    data : folder of converted files; they are told by dataset and split, not by their names.
    out : run folder; what is there is not made again.
    weights : which published weights these are; by default those that the file's name begins with.

    Raises
    ------
    UsageError : no number of the model, or of the weights, is published that ehps can make.
    DataError : the file is not one of the model.
    """
    chosen, others = _chosen(name, checkpoint, weights)
    content = checkpoints.load_any(checkpoint, model=name)
    if (variant := models.card(name).variant(content["model"]["args"])) is not None:
        raise DataError(f"is a file of {variant.title}, of which no number is published", path=checkpoint)
    result = Reproduction(name, _each(chosen, "weights"), str(out), other_weights=others)
    result.elsewhere = _each([row for row in chosen if not row["protocol"]], "test")
    rows, files = [row for row in chosen if row["protocol"]], sets_of(data)
    paths = {one: path for row in rows for one in _protocols(row) if (path := _path_of(one, files))}
    scores: dict[Protocol, Score] = {}
    for protocol in dict.fromkeys(one for row in rows for one in _protocols(row)):
        if protocol not in paths:
            result.missing[protocol.id] = f"no file of {test_of(protocol).set} in {data}"
            continue
        if not any(protocol in asked and paths.keys() >= set(asked) for asked in map(_protocols, rows)):
            continue  # of means only, of which other sets are not there
        path, test = paths[protocol], test_of(protocol)
        images, folders = image_folders(None, path)
        try:
            scores[protocol] = evaluate(
                out,
                path.stem,
                SetSpec(path, images, folders=folders),
                body_models,
                protocol=protocol,
                checkpoint=checkpoint,
                model=name,
                crop=test.crop,
                device=device,
                workers=workers,
                progress=progress,
            )
        except EhpsError as error:
            result.missing[protocol.id] = str(error)
    result.lines = [_line(row, scores, result.missing) for row in rows]
    return result


def sets_of(folder: Path) -> dict[tuple[str, str], Path]:
    """(dataset, split) -> converted file below a folder; of several that which is named after them, else the first.

    Raises
    ------
    DataError : no such folder.
    """
    found: dict[tuple[str, str], Path] = {}
    for path in sorted(by_name(folder).values()):
        try:
            hd = HumanData.open(path)
        except EhpsError:
            continue  # of another kind, or damaged: doctor tells
        if TRUTH_ROW in hd:
            continue  # predictions
        own = (hd.passport.dataset, hd.passport.split)
        if own not in found or path.stem == "_".join(own):
            found[own] = path
    return found


def _path_of(protocol: Protocol, files: Mapping[tuple[str, str], Path]) -> Path | None:
    test = test_of(protocol)
    return next((files[test.dataset, split] for split in test.splits if (test.dataset, split) in files), None)


def test_of(protocol: Protocol) -> Test:
    """Where numbers of a protocol are published."""
    name = (protocol.base or protocol).name
    if name in TESTS:
        return TESTS[name]
    same = next(base for base in TESTS if name == f"{base.removesuffix('-ego')}-smplestx")
    return TESTS[same]


def _chosen(name: str, checkpoint: Path, weights: str | None) -> tuple[list[dict[str, Any]], list[str]]:
    """Published numbers of the file, and the names of other weights of the model."""
    rows = pages.published(name)
    if not any(row["protocol"] for row in rows):
        raise UsageError(f"no number of {name} is published that could be made here", fix="see `ehps benchmark models`")
    known = _each(rows, "weights")
    if weights is not None:
        if weights not in known:
            raise UsageError(f"no numbers of {weights!r} are published", fix=f"there are: {'; '.join(known)}")
        own = [weights]
    else:
        said = _letters(checkpoint.name)
        fitting = [one for one in known if said.startswith(_letters(one))]
        own = [max(fitting, key=len)] if fitting else known
    return [row for row in rows if row["weights"] in own], [one for one in known if one not in own]


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _each(rows: Sequence[Mapping[str, Any]], column: str) -> list[str]:
    return list(dict.fromkeys(row[column] for row in rows))


def _protocols(row: Mapping[str, Any]) -> list[Protocol]:
    return [catalogue.get(word) for word in row["protocol"].split(" + ")]


def _line(row: Mapping[str, Any], scores: Mapping[Protocol, Score], missing: Mapping[str, str]) -> Line:
    protocols = _protocols(row)
    said = {key: row[key] for key in ("weights", "test", "metric", "unit", "source")}
    line = Line(**said, protocol=" + ".join(one.id for one in protocols), theirs=row["value"])
    if any(one not in scores for one in protocols):
        return replace(line, why="; ".join(missing[one.id] for one in protocols if one.id in missing))
    keys = [one.primary if row["metric"] == MEAN else MEASURES[row["metric"]] for one in protocols]
    made: list[tuple[float, int]] = []
    for one, (part, metric) in zip(protocols, keys, strict=True):
        entry = _entry(scores[one], part, metric)
        if entry is None:
            reason = scores[one].not_computed.get(f"{metric} {part}") or "; ".join(scores[one].not_computed.values())
            return replace(line, why=f"{metric} {part} of {one.id} was not computed: {reason}")
        made.append(entry)
    ours = float(np.mean([value for value, _ in made]))
    line = replace(line, ours=ours, n=sum(n for _, n in made))
    if abs(ours - row["value"]) <= LIMIT[row["unit"]]:
        return line
    asked = [
        question
        for one, (_, metric), (_, n) in zip(protocols, keys, made, strict=True)
        for question in _asked(one, metric, n)
    ]
    asked += [remark for one in protocols for remark in scores[one].remarks]
    absent = [f"{what}: not computed, {why}" for one in protocols for what, why in scores[one].not_computed.items()]
    return replace(line, in_question=tuple(dict.fromkeys(asked + absent)))


def _asked(protocol: Protocol, metric: str, n: int) -> list[str]:
    """Questions about fields that this number, of ``n`` people, depends on."""
    test, acting = test_of(protocol), replace(protocol, metrics=(metric,)).settable
    asked = [question for question in test.questions if question.partition(":")[0] in acting]
    if test.people is not None and n != test.people:
        asked.append(f"valid: ours is of {n:,} people, the published test has {test.people:,}")
    return asked


def _entry(score: Score, part: str, metric: str) -> tuple[float, int] | None:
    """Value and number of instances; None where there is none."""
    for entry in score.metrics:
        if (entry["part"], entry["metric"]) == (part, metric) and entry["value"] is not None:
            return float(entry["value"]), int(entry["n"])
    return None
