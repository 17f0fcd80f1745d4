"""A suite: train sets x test sets x models, run one after another, resumed where it stopped.

    suite.yaml:   models: [tiny]
                  train: {bedlam: {data: bedlam_train.h5, images: raw/bedlam}, mix: [{...}, {...}]}
                  test:  {ehf: {data: ehf.h5, images: raw/ehf, protocol: ehf}}
                  steps: 300        # and any other setting of training
                  body_models: /path/to/models   # optional

Paths are relative to the file. A run folder is ``<out>/<train set>/<model>``.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ehps.benchmark import models
from ehps.benchmark.protocols import catalogue
from ehps.benchmark.suites.runs import Run, check_name, is_main, write_json
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.benchmark.training.train_log import LOG, read_log
from ehps.body.models import BodyModels
from ehps.errors import DataError, EhpsError, UsageError
from ehps.foreign_files import regular
from ehps.json_files import misfit, read_json
from ehps.progress import stage

if TYPE_CHECKING:
    import pandas as pd

SUITE = "suite.json"
MOST_VALUES = 100_000
_SET = (str, {"data": str, "images?": str, "interval?": int, "protocol?": str})
_FORM = {
    "train?": {str: (_SET, [_SET])},
    "test?": {str: _SET},
    "models?": (str, [str]),
    "model?": (str, [str]),
    "body_models?": (None, str),
}


@dataclass(frozen=True)
class Suite:
    """What is to be run.

    Attributes
    ----------
    train : name -> one or several sets.
    test : name -> set with its protocol.
    config : settings of all trainings; ``config.model`` is replaced by each of ``models``.
    models : names of models.
    body_models : folder, or None to use the caller's.
    """

    train: Mapping[str, tuple[SetSpec, ...]]
    test: Mapping[str, SetSpec]
    config: TrainConfig = field(default_factory=TrainConfig)
    models: tuple[str, ...] = ("tiny",)
    body_models: Path | None = None

    def __post_init__(self) -> None:
        for what, sets in (("train", self.train), ("test", self.test)):
            if not sets:
                raise UsageError(f"the suite has no {what} set")
            for name in sets:
                check_name(name, f"{what} set")
        if not self.models:
            raise UsageError("the suite has no model", fix=f"there are: {', '.join(models.names())}")
        for name in self.models:
            models.check(check_name(name, "model"))
        for name, spec in self.test.items():
            if not spec.protocol:
                raise UsageError(f"test set {name!r} has no protocol", fix=f"one of: {', '.join(catalogue.names())}")
            catalogue.get(spec.protocol)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], base: Path = Path()) -> Suite:
        """From the content of a suite file; paths relative to ``base``.

        Raises
        ------
        UsageError : a setting that does not exist, or a value of another kind than its setting.
        """
        if wrong := misfit(values, _FORM, "the suite"):
            raise UsageError(wrong, fix="see docs/benchmark.md for an example")
        values = dict(values)
        train, test = values.pop("train", {}), values.pop("test", {})
        named = values.pop("models", values.pop("model", ["tiny"]))
        body_models = values.pop("body_models", None)
        known = {f.name for f in fields(TrainConfig)}
        odd = sorted(set(values) - known, key=str)
        if odd:
            raise UsageError(
                f"the suite has no setting {odd[0]!r}",
                fix=f"there are: train, test, models, body_models, {', '.join(sorted(known - {'model'}))}",
            )
        return cls(
            train={name: _sets(spec, base) for name, spec in train.items()},
            test={name: SetSpec.from_dict(spec, base) for name, spec in test.items()},
            config=TrainConfig.from_dict(values),
            models=(named,) if isinstance(named, str) else tuple(named),
            body_models=None if body_models is None else base / body_models,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; :meth:`from_dict` reads it back."""

        def plain(spec: SetSpec) -> dict[str, Any]:
            return {
                "data": str(spec.data.resolve()),
                "images": str(spec.images.resolve()),
                "interval": spec.interval,
                "protocol": spec.protocol,
                **({"exclude": str(spec.exclude.resolve())} if spec.exclude else {}),
            }

        config = self.config.to_dict()
        del config["model"]
        return {
            "train": {name: [plain(s) for s in specs] for name, specs in self.train.items()},
            "test": {name: plain(spec) for name, spec in self.test.items()},
            "models": list(self.models),
            "body_models": None if self.body_models is None else str(self.body_models.resolve()),
            **config,
        }

    def folder(self, out: Path, train_set: str, model: str) -> Path:
        return out / train_set / model


def _sets(spec: Any, base: Path) -> tuple[SetSpec, ...]:
    return tuple(SetSpec.from_dict(s, base) for s in (spec if isinstance(spec, list | tuple) else [spec]))


def load_suite(path: str | Path) -> Suite:
    """Read ``suite.yaml`` (or ``.json``).

    Raises
    ------
    UsageError : absent, not YAML, or with settings that do not exist.
    """
    import yaml

    path = Path(path)
    if not path.exists():
        raise UsageError("there is no such suite file", path=path, fix="check the path")
    try:
        values = _without_aliases(yaml.safe_load(regular(path).read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        what = " ".join(str(error).split())
        raise UsageError(f"is not YAML ({what})", path=path) from None
    if not isinstance(values, dict):
        raise UsageError("is not a suite: it has no train and test sets", path=path)
    try:
        return Suite.from_dict(values, path.parent)
    except UsageError as error:
        raise UsageError(error.what, path=error.path or path, fix=error.fix) from None


def _without_aliases(values: Any) -> Any:
    """``values``, which a few aliases of YAML can make endless."""
    todo, seen = [values], 0
    while todo:
        value = todo.pop()
        seen += 1
        if seen > MOST_VALUES:
            raise ValueError(f"it holds more than {MOST_VALUES} values")
        if isinstance(value, dict | list):
            todo.extend(value.values() if isinstance(value, dict) else value)
    return values


def run_suite(
    suite: Suite,
    out: str | Path,
    *,
    body_models: BodyModels | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Run what is missing and return :func:`status`.

    A cell that fails is stored with its reason and the others go on; running again tries it again. Started by
    ``torchrun`` or ``accelerate launch``, every training uses all processes; the first one tests.
    """
    from ehps.benchmark.suites.evaluation import evaluate, train_cell

    out = Path(out)
    if body_models is None:
        if suite.body_models is None:
            raise UsageError("no body models were given", fix="pass --body-models DIR or set EHPS_BODY_MODELS")
        body_models = BodyModels(suite.body_models)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / SUITE, suite.to_dict())
    trainings = [(model, *item) for model in suite.models for item in suite.train.items()]
    tests = suite.test if is_main() else {}
    cells = len(trainings) * len(tests)
    for number, (model, train_set, sets) in enumerate(trainings):
        folder = suite.folder(out, train_set, model)
        config = replace(suite.config, model=model)
        run = Run(folder)
        try:
            with stage(f"training {number + 1} of {len(trainings)}: {model} on {train_set}", show=progress):
                run = train_cell(folder, train_set, sets, config, body_models, progress=progress)
        except Exception as error:
            _record(run, "training", error)
            continue
        for cell, (test_set, spec) in enumerate(tests.items(), number * len(tests) + 1):
            try:
                with stage(f"cell {cell} of {cells}: {model} of {train_set} on {test_set}", show=progress):
                    evaluate(folder, test_set, spec, body_models, workers=config.workers, progress=progress)
            except Exception as error:
                _record(run, f"test_{test_set}", error)
    return status(out)


def _record(run: Run, what: str, error: Exception) -> None:
    """Store a failure; a programming error keeps its traceback, a message for the user does not need one."""
    known = isinstance(error, EhpsError)
    reason = str(error) if known else f"{type(error).__name__}: {error}"
    run.failed(what, reason, "" if known else traceback.format_exc())


def status(out: str | Path) -> pd.DataFrame:
    """One row a cell: train_set, test_set, model, protocol, state (done, failed, training, missing), step,
    reason, value.

    ``value`` is the protocol's primary metric where the cell is done.

    Raises
    ------
    DataError : the folder holds no suite.
    """
    import pandas as pd

    out = Path(out)
    if not (out / SUITE).exists():
        raise DataError("holds no suite", path=out, fix="run one with this folder as output")
    again = "remove it, and run the suite again"
    try:
        suite = Suite.from_dict(read_json(out / SUITE, fix=again))
    except UsageError as error:
        raise DataError(f"is damaged: {error.what}", path=out / SUITE, fix=again) from None
    rows = []
    for model in suite.models:
        for train_set in suite.train:
            run = Run(suite.folder(out, train_set, model))
            for test_set, spec in suite.test.items():
                rows.append(
                    {"train_set": train_set, "test_set": test_set, "model": model, **_state(run, test_set, spec)}
                )
    return pd.DataFrame(rows)


def _state(run: Run, test_set: str, spec: SetSpec) -> dict[str, Any]:
    protocol = catalogue.get(spec.protocol)
    row: dict[str, Any] = {
        "protocol": protocol.id,
        "state": "missing",
        "step": _step(run),
        "reason": "",
        "value": float("nan"),
    }
    for what in ("training", f"test_{test_set}"):
        if what in run.failures:
            return {**row, "state": "failed", "reason": run.failures[what]["reason"]}
    for cell in run.cells:
        if cell["test_set"] == test_set and cell["protocol"] == protocol.id:
            values = {(m["part"], m["metric"]): m["value"] for m in cell["metrics"]}
            return {**row, "state": "done", "value": values.get(protocol.primary, float("nan"))}
    if row["step"] and not run.checkpoint.is_file():
        row["state"] = "training"
    return row


def _step(run: Run) -> int:
    """Last logged step of the training."""
    path = run.folder / LOG
    lines = read_log(path) if path.exists() else []
    return int(lines[-1]["step"]) if lines else 0
