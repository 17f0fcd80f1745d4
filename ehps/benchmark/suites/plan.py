"""What running a suite would do: its sets and cells, what they need and is missing, and about how long it takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ehps.arrays import Array, Mask, strided
from ehps.benchmark import models
from ehps.benchmark.crop_boxes import widen, with_area
from ehps.benchmark.models.labels import label
from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.fitting import require_fit
from ehps.benchmark.protocols.scoring import compares
from ehps.benchmark.protocols.true_bodies import EXCLUDED, rows_to_test
from ehps.benchmark.suites.evaluation import content_of
from ehps.benchmark.suites.runs import Run, content_hash, model_of
from ehps.benchmark.suites.suite import Suite, Training
from ehps.benchmark.training import pack_file, packs
from ehps.benchmark.training.continuation import LAST
from ehps.benchmark.training.samples import check_meaning, training_model_type
from ehps.benchmark.training.smpl_losses import draws_surfaces
from ehps.benchmark.training.specs import SetSpec
from ehps.benchmark.training.train_log import LOG, read_log
from ehps.benchmark.training.trainer import total_steps
from ehps.body.helper_files import HELPERS, find_helper
from ehps.body.model_folder import find_model
from ehps.body.topology import NAMES, SITES
from ehps.body.variants import genders_of
from ehps.errors import EhpsError
from ehps.humandata.core import HumanData
from ehps.humandata.image_files import images_of, is_there

LOOKED_AT = 200
"""Images of a set whose presence is looked at; a run looks at all of them."""

_Needs = set[tuple[str, str]]


@dataclass(frozen=True)
class Plan:
    """See the module docstring.

    Attributes
    ----------
    sets : one a training or test set: ``set, role, file, rows, MB``.
    cells : one a training: ``train_set, model, seed, training, tests, left`` (what is done, and tests to be made), and
        ``recipe`` where the suite has some.
    missing : what the run cannot do without, in words.
    seconds : of what is to be made, None where nothing like it was timed.
    """

    sets: list[dict[str, Any]]
    cells: list[dict[str, Any]]
    missing: list[str]
    seconds: float | None

    @property
    def todo(self) -> int:
        """Trainings that are not done, or not tested on all sets."""
        return sum(cell["training"] != "done" or bool(cell["left"]) for cell in self.cells)

    @property
    def time(self) -> str:
        """In words."""
        if not self.todo:
            return "nothing is left to be made"
        if self.seconds is None:
            return "time: not known before some steps were timed and a test was made in this folder"
        hours = self.seconds / 3600
        return (
            f"time: about {hours:,.1f} hours" if hours >= 1 else f"time: about {max(1, round(self.seconds / 60))} min"
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def faults(suite: Suite, body_models: Path, out: Path) -> list[str]:
    """What a run would fail for later: files without bodies, protocols that do not fit, absent images and models, other
    runs in the folders."""
    needs = _of_models(suite)
    found = [*_not_compared(suite), *_looked_at(suite, needs, []), *_missing_bodies(body_models, needs)]
    return found or list(_held(suite, out))


def _held(suite: Suite, out: Path) -> Iterable[str]:
    for training in suite.trainings:
        try:
            _is_done(suite, out, training)
        except EhpsError as error:
            yield str(error)


def plan(suite: Suite, out: Path, body_models: Path | None) -> Plan:
    """Look at everything a suite names, and at what is in ``out``; nothing is written, no image is opened."""
    needs, sets = _of_models(suite), list[dict[str, Any]]()
    missing = [*suite.missing_files(), *_not_compared(suite), *_looked_at(suite, needs, sets)]
    missing += _missing_bodies(body_models, needs)
    rows = {(entry["role"], entry["set"]): entry["rows"] for entry in sets}
    cells: list[dict[str, Any]] = []
    timings = _Timings(out)
    seconds: list[float | None] = []
    for training, model in suite.labels().items():
        try:
            cell, steps = _cell(suite, out, training, model, rows.get(("train", training.train_set)))
        except EhpsError as error:
            missing.append(str(error))
            continue
        cells.append(cell)
        config = suite.settings(training)
        network = label(config.model, config.model_args)
        seconds.append(timings.training(network, steps * config.batch_size))
        seconds += [timings.test(network, rows.get(("test", name))) for name in cell["left"]]
    known = [value for value in seconds if value is not None]
    return Plan(sets, cells, missing, sum(known) if len(known) == len(seconds) else None)


def _of_models(suite: Suite) -> _Needs:
    needs: _Needs = {(models.card(name).body, "neutral") for name in suite.models}
    if any(draws_surfaces(suite.settings(training)) for training in suite.trainings):
        needs.add(("helper", "densepose"))
    return needs


def _not_compared(suite: Suite) -> Iterable[str]:
    """Tests that do not compare what a model predicts."""
    for name, spec in suite.test.items():
        protocol = catalogue.get(spec.protocol)
        if protocol.frame == "world":
            yield f"test.{name}.protocol: {protocol.id} compares tracks in the world, which no model here predicts"
            continue
        for model in suite.models:
            if not compares(protocol, body := models.card(model).body):
                what = f"compares {NAMES[protocol.body]} bodies, {model} predicts {NAMES[body]}"
                yield f"test.{name}.protocol: {protocol.id} {what}; put {model} into a suite of its own"


def _looked_at(suite: Suite, needs: _Needs, sets: list[dict[str, Any]]) -> Iterable[str]:
    """What is wrong with the files; their rows are appended to ``sets``, the body models they need to ``needs``."""
    parts = [(name, "train", specs) for name, specs in suite.train.items()]
    parts += [(name, "test", (spec,)) for name, spec in suite.test.items()]
    body = models.card(suite.models[0]).body
    for name, role, specs in parts:
        total, whole = 0, True
        for i, spec in enumerate(specs):
            place = f"{role}.{name}[{i}]" if len(specs) > 1 else f"{role}.{name}"
            if not spec.data.is_file():
                whole = False
                continue
            try:
                hd = HumanData.open(spec.data)
                rows = rows_to_train(hd, spec, needs, body) if role == "train" else _rows_to_test(hd, spec, needs)
            except EhpsError as error:
                whole = False
                yield f"{place}: {error}"
                continue
            total += len(rows)
            yield from _missing_images(hd, rows, spec, place)
        if whole:
            sets.append(_entry(name, role, [spec.data for spec in specs], total))


def _entry(name: str, role: str, files: list[Path], rows: int) -> dict[str, Any]:
    size = round(sum(file.stat().st_size for file in files) / 1e6, 1)
    return {"set": name, "role": role, "file": ", ".join(map(str, files)), "rows": rows, "MB": size}


def rows_to_train(hd: HumanData, spec: SetSpec, needs: _Needs, body: str = "smplx") -> Array:
    """(N,) rows of a training set, as a model of ``body`` takes them; the body models that they need are added to
    ``needs``.
    """
    check_meaning(hd)
    if training_model_type(hd) == "smplx" and "smplx/betas_neutral" not in hd:
        needs |= {("smplx", str(gender)) for gender in np.unique(genders_of(hd))}
    excluded = spec.excluded(hd)
    rows = np.arange(len(hd)) if excluded is None else np.flatnonzero(~excluded)
    rows = rows[strided(len(rows), spec.interval)]
    return rows[_has_box(hd, rows, body)]


def _has_box(hd: HumanData, rows: Array, body: str) -> Mask:
    """(N,) whether a row has a box inside its image; where sizes are not known, whether it has an area."""
    if "bbox_xywh" not in hd:
        return np.ones(len(rows), bool)  # refused when it is trained on
    boxes = hd["bbox_xywh"][rows]
    if body != "smplx" or "meta/height" not in hd or "meta/width" not in hd:
        return with_area(boxes)
    return widen(boxes, np.stack((hd["meta/height"][rows], hd["meta/width"][rows]), axis=1))[1]


def rows_of_each(specs: Sequence[SetSpec], model: str) -> list[int]:
    """How many rows each of several training sets gives to a model."""
    body = models.card(model).body
    return [len(rows_to_train(HumanData.open(spec.data), spec, set(), body)) for spec in specs]


def _rows_to_test(hd: HumanData, spec: SetSpec, needs: _Needs) -> Array:
    protocol = catalogue.get(spec.protocol)
    require_fit(protocol, hd)
    if (excluded := spec.excluded(hd)) is not None:
        hd = hd.with_columns({EXCLUDED: excluded})
    rows = rows_to_test(protocol, hd, all_persons=protocol.matching != "by-row")
    model_type, gendered = protocol.body, protocol.truth == "gendered-parameters"
    if gendered or (protocol.truth == "neutral-parameters" and "smplx/betas_neutral" not in hd):
        needs |= {(model_type, str(gender)) for gender in np.unique(genders_of(hd)[rows])}
    extra = f"{model_type}/betas_extra"
    if gendered and extra in hd and np.any(hd[extra][rows]):
        needs.add(("helper", f"kid_{model_type}"))
    return rows


def _missing_images(hd: HumanData, rows: Array, spec: SetSpec, place: str) -> list[str]:
    if pack_file.is_pack(spec.images):
        return _missing_crops(hd, rows, spec, place)
    if not len(rows) or not (spec.folders or spec.images.is_dir()):
        return []
    folder = images_of(hd, spec.images, spec.folders)
    some = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), LOOKED_AT)).astype(int))]
    names = hd["image_path"][some].unique()
    absent = [name for name in names if not is_there(folder.find(name))]
    if not absent:
        return []
    return [f"{place}.images: {len(absent)} of {len(names)} images looked at are not below {spec.images}: {absent[0]}"]


def _missing_crops(hd: HumanData, rows: Array, spec: SetSpec, place: str) -> list[str]:
    """What of the rows a pack lacks; whether it is as wide as a training or test asks is seen when it begins."""
    if not spec.images.is_file():
        return []  # named with the other files
    try:
        packs.require_sizes(hd)
        sizes = np.stack((hd["meta/height"][rows], hd["meta/width"][rows]), axis=1)
        packs.Pack(spec.images).require_rows(packs.content_of(spec.data), rows[widen(hd["bbox_xywh"][rows], sizes)[1]])
    except EhpsError as error:
        return [f"{place}.images: {error}"]
    return []


def _missing_bodies(folder: Path | None, needs: _Needs) -> list[str]:
    if folder is None:
        return ["body models: pass --body-models DIR, set EHPS_BODY_MODELS, or name them in the suite"]
    lines = []
    for kind, name in sorted(needs):
        if kind == "helper":
            helper = HELPERS[name]
            if find_helper(folder, name) is None:
                lines.append(f"{helper.names[0]} in {folder}, for {helper.used_for}: {helper.source}")
        elif find_model(folder, kind, name) is None:
            lines.append(f"{name} {NAMES[kind]} model in {folder}: {SITES[kind]}")
    return lines


def _cell(suite: Suite, out: Path, training: Training, model: str, rows: int | None) -> tuple[dict[str, Any], int]:
    """A training with its tests, its model called ``model``, and the steps that are left of it.

    Raises
    ------
    UsageError : the run folder holds another run.
    """
    run = Run(suite.folder(out, training))
    config = suite.settings(training)
    specs = suite.train[training.train_set]
    done = _is_done(suite, out, training)
    whole = config.strategy != "mixture" or not rows  # else the longest set counts
    steps = total_steps(config, [rows or 0] if whole else rows_of_each(specs, training.model))
    made = run.step if (run.folder / "checkpoints" / LAST).is_file() else 0
    left = list(suite.test)
    if done:
        left = [name for name, spec in suite.test.items() if not _tested(run, name, spec)]
    failed = run.failures.get("training")
    state = "done" if done else f"{made:,} of {steps:,} steps" if made else "failed" if failed else f"{steps:,} steps"
    cell = {
        "train_set": training.train_set,
        "model": model,
        "seed": training.seed,
        **({"recipe": training.recipe} if suite.recipes else {}),
        "training": state,
        "tests": f"{len(suite.test) - len(left)} of {len(suite.test)}",
        "left": left,
    }
    return cell, 0 if done else max(0, steps - made)


def _is_done(suite: Suite, out: Path, training: Training) -> bool:
    """
    Raises
    ------
    UsageError : the run folder holds another run.
    """
    source = suite.start(training)
    begun = "" if source is None else Run(suite.folder(out, source)).weights
    if source is not None and not begun:
        return False
    run, config = Run(suite.folder(out, training)), suite.settings(training)
    hashes = [content_of(spec) if spec.data.is_file() else "" for spec in suite.train[training.train_set]]
    return run.done("training", run.wanted(training.train_set, config, hashes, begun), run.checkpoint)


def _tested(run: Run, name: str, spec: SetSpec) -> bool:
    wanted = (name, catalogue.get(spec.protocol).id)
    content = content_hash(spec.data) if spec.data.is_file() else ""
    return any((cell["test_set"], cell["protocol"]) == wanted and cell.get("content") == content for cell in run.cells)


class _Timings:
    """How fast trainings and tests of a folder were, by model with its arguments."""

    def __init__(self, out: Path) -> None:
        self.images: dict[str, list[float]] = {}
        self.rows: dict[str, list[float]] = {}
        for path in sorted(out.rglob(LOG)) if out.is_dir() else []:
            run = Run(path.parent)
            try:
                lines, manifest = read_log(path), run.manifest
            except EhpsError:
                continue  # said where the run is looked at
            network = label(*model_of(manifest))
            self.images.setdefault(network, []).extend(
                float(line["images_per_second"]) for line in lines if line.get("images_per_second")
            )
            self.rows.setdefault(network, []).extend(
                timed["seconds"] / timed["rows"] for timed in manifest.get("timings", {}).values()
            )

    def training(self, network: str, images: int) -> float | None:
        """Seconds of a training that is to see so many images."""
        if images == 0:
            return 0.0
        speeds = self.images.get(network)
        return images / median(speeds) if speeds else None

    def test(self, network: str, rows: int | None) -> float | None:
        """Seconds of a test of so many rows."""
        each = self.rows.get(network)
        return rows * median(each) if each and rows is not None else None
