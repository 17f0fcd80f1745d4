"""Run folders: everything that one training and its tests leave behind, each file written as soon as it
exists.

    config.yaml               what was asked for (JSON, which is YAML)
    manifest.json             content hashes of data and weights, code version, seed; what is done under which
                              key; failures
    checkpoints/, train.jsonl
    predictions_<test>.h5     predictions as HumanData
    errors.parquet            one row an instance and metric, all tests and protocols
    metrics.json              means with n, and the protocol of each

Whatever is there under the same key (a hash of all that it depends on) is not computed again.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ehps
from ehps.atomic import replacing
from ehps.benchmark.protocols import catalogue
from ehps.benchmark.suites.run_identity import difference, environment, goes_on
from ehps.benchmark.training.specs import SCHEDULE, TRAINED_ON, WORLD, SetSpec, TrainConfig, key
from ehps.benchmark.training.train_log import LOG, read_log
from ehps.errors import DataError, EhpsError, UsageError
from ehps.extras import need
from ehps.file_locks import in_turn
from ehps.foreign_files import check_unfolded, regular
from ehps.json_files import read_json
from ehps.moved_files import noted

if TYPE_CHECKING:
    import pandas as pd

CONFIG, MANIFEST, ERRORS, METRICS = "config.yaml", "manifest.json", "errors.parquet", "metrics.json"
SUITE = "suite.json"  # beside run folders
LOCK = "results.lock"


def content_hash(path: Path) -> str:
    """Hash of the columns of a HumanData file (``.h5``: stored in it), of the bytes of any other."""
    if Path(regular(path)).suffix == ".h5":
        from ehps.humandata.storage import h5

        return h5.content_hash(Path(path))
    import hashlib

    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def is_main() -> bool:
    """Whether this is the process that writes, where ``torchrun`` or ``accelerate launch`` started several."""
    return os.environ.get("RANK", "0") == "0"


def write_json(path: Path, content: Any) -> None:
    """Indented, sorted, atomic; written by the main process only."""
    if not is_main():
        return
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


_EVALUATE = "remove it and errors.parquet or metrics.json beside it, and evaluate again"
_AGAIN = "remove this run folder and run again"
_MANIFEST_FORM = {
    "train_set?": str,
    "model?": str,
    "model_args?": {str: object},
    "seed?": (int, None),
    "weights_sha256?": str,
    "training?": {"train_set": str, "config": {str: object}, "data": [str], "start?": str},
    "done?": {str: str},
    "failures?": {str: {"reason": str}},
    "timings?": {str: {"rows": int, "seconds": float}},
    "tests?": {str: {"data": str, "images": str, "content": str, "box_ratio?": float, "crop?": str}},
    "trained_on?": [TRAINED_ON],
    "schedule?": [SCHEDULE],
    "world?": [WORLD],
}
_LINE_FORM = {"part": str, "metric": str, "value": (float, None), "unit": str, "n": int, "skipped": int}
_CELL_FORM = {
    "test_set": str,
    "dataset?": str,
    "split?": str,
    "body_model_version?": (str, None),
    "content?": str,
    "protocol": str,
    "definition": {"name": str, "truth": str, "metrics": [str]},
    "key": str,
    "metrics": [_LINE_FORM],
    "notes?": {str: float},
    "not_computed?": {str: str},
    "remarks?": [str],
}
_ERRORS = {"truth_row": "iu", "image_path": "OUS", "part": "OUS", "metric": "OUS", "value": "f", "test_set": "OUS"}
_ERRORS |= {"protocol": "OUS", "sequence": "OUS"}


def model_of(manifest: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The model of a run, and the arguments that it was made with; none of runs that do not say them."""
    trained = manifest.get("training", {}).get("config", {}).get("model_args")
    arguments = manifest.get("model_args", {}) if trained is None else trained
    return str(manifest.get("model", "")), arguments if isinstance(arguments, Mapping) else {}


class Run:
    """One run folder."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @property
    def manifest(self) -> dict[str, Any]:
        """What is known about the run; empty before anything is written."""
        path = self.folder / MANIFEST
        return read_json(path, _MANIFEST_FORM, fix=_AGAIN) if path.exists() else {}

    def note(self, **values: Any) -> None:
        """Add to (or replace in) the manifest; mappings are merged one level deep, None removes."""
        if not is_main():
            return
        with self._in_turn():
            manifest = self.manifest
            for name, value in values.items():
                if isinstance(value, Mapping):
                    merged = {**manifest.get(name, {}), **value}
                    manifest[name] = {k: v for k, v in merged.items() if v is not None}
                else:
                    manifest[name] = value
            write_json(self.folder / MANIFEST, manifest)

    def _in_turn(self) -> AbstractContextManager[None]:
        """Of processes that add to one file here, as tests of one run do that are made at once."""
        return in_turn(self.folder / LOCK)

    def done(self, what: str, wanted: str, *files: Path) -> bool:
        """Whether ``what`` was completed under the key ``wanted`` and its files are still there."""
        return self.manifest.get("done", {}).get(what) == wanted and all(f.is_file() for f in files)

    def completed(self, what: str, under: str) -> None:
        """Record that ``what`` is complete under a key; an earlier failure of it is forgotten."""
        self.note(done={what: under}, failures={what: None})

    def failed(self, what: str, reason: str, traceback: str = "") -> None:
        """Record that ``what`` could not be made, and why."""
        when = datetime.now(UTC).isoformat(timespec="seconds")
        self.note(failures={what: {"reason": reason, "traceback": traceback, "when": when}})

    @property
    def step(self) -> int:
        """Last logged step of the training."""
        path = self.folder / LOG
        lines = read_log(path) if path.exists() else []
        return int(lines[-1]["step"]) if lines else 0

    @property
    def unfinished(self) -> bool:
        """Whether a training was begun, or asked to go on, and has not ended."""
        manifest = self.manifest
        asked = manifest.get("training")
        return asked is not None and manifest.get("done", {}).get("training") != key(asked)

    @property
    def went_on(self) -> str:
        """What sets the weights apart from those of a training that was not made in parts; empty when nothing does."""
        manifest = self.manifest
        parts = manifest.get("schedule", [])
        config = manifest.get("training", {}).get("config", {})
        if len(parts) < 2 or config.get("lr") == config.get("lr_min"):
            return ""
        fell = ", ".join(f"over {part['steps']:,} from step {part['from_step']:,}" for part in parts)
        return f"the learning rate fell {fell}: these are not the weights of {parts[-1]['steps']:,} steps at once"

    @property
    def weights(self) -> str:
        """Hash of the trained weights; empty where there are none, or they are to be trained further."""
        if self.unfinished or not self.checkpoint.is_file():
            return ""
        return str(self.manifest.get("weights_sha256", ""))

    @property
    def failures(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = self.manifest.get("failures", {})
        return found

    def predictions(self, test: str) -> Path:
        return self.folder / f"predictions_{test}.h5"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoints" / "final.pt"

    def wanted(self, train_set: str, config: TrainConfig, hashes: list[str], start: str = "") -> str:
        """The key of a training, which this folder can hold; nothing is written.

        A run of the same configuration with fewer steps, or epochs, may go on to the larger number.

        Raises
        ------
        UsageError : the folder holds a suite, or a run of another configuration or other data, of which a step has been
            made.
        """
        return key(self._training(train_set, config, hashes, start))

    def _training(self, train_set: str, config: TrainConfig, hashes: list[str], start: str) -> dict[str, Any]:
        self.check_kind()
        training = {"train_set": train_set, "config": config.decisive(), "data": hashes}
        training |= {"start": start} if start else {}
        old = self.manifest.get("training")
        started = any((self.folder / "checkpoints").glob("*.pt"))
        if old == training:
            training = old  # 10 and 10.0 are the same number with different keys
        elif old is not None and started and not goes_on(old, training):
            raise UsageError(
                f"{self.folder} holds another run: {difference(old, training)}",
                fix="choose another output folder, or remove this one",
            )
        elif old is not None and started and not (self.folder / "checkpoints" / "last.pt").is_file():
            raise UsageError(
                f"{self.folder} holds a finished run: {difference(old, training)}. It cannot go on, as "
                "checkpoints/last.pt with the state of the optimiser is not there",
                fix="choose another output folder, or remove this one",
            )
        return training

    def begin(
        self, train_set: str, config: TrainConfig, sets: list[SetSpec], hashes: list[str], start: str = ""
    ) -> str:
        """Write config and manifest; returns the key of the training.

        Raises
        ------
        UsageError : as :meth:`wanted`.
        """
        training = self._training(train_set, config, hashes, start)
        self.folder.mkdir(parents=True, exist_ok=True)
        listed = [
            {**noted("data", s.data, self.folder), **noted("images", s.images, self.folder), "interval": s.interval}
            | ({"weight": s.weight} if s.weight != 1 else {})
            | ({"exclude": str(s.exclude)} if s.exclude else {})
            | ({"folders": {label: str(folder) for label, folder in s.folders.items()}} if s.folders else {})
            for s in sets
        ]
        write_json(self.folder / CONFIG, {"train_set": train_set, "sets": listed, **config.to_dict()})
        self.note(
            training=training,
            train_set=train_set,
            model=config.model,
            seed=config.seed,
            code=ehps.__version__,
            environment=environment(),
        )
        return key(training)

    def check_kind(self) -> None:
        """
        Raises
        ------
        UsageError : the folder is no run folder, but one of a suite, which has run folders in it.
        """
        if (self.folder / SUITE).exists():
            what = "is the folder of a suite, which has run folders in it"
            raise UsageError(what, path=self.folder, fix="name one of these, or another folder")

    def forget_tests(self) -> list[str]:
        """Remove predictions, errors and numbers of weights that are no longer there; returns the test sets."""
        tests = sorted({*self.manifest.get("tests", {}), *(cell["test_set"] for cell in self.cells)})
        for name in tests:
            self.predictions(name).unlink(missing_ok=True)
        for name in (ERRORS, METRICS):
            (self.folder / name).unlink(missing_ok=True)
        self.note(tests=dict.fromkeys(tests), done={f"predictions_{name}": None for name in tests})
        return tests

    # -- results ------------------------------------------------------------------------------------------

    @property
    def cells(self) -> list[dict[str, Any]]:
        """Entries of ``metrics.json``: one a test set and protocol."""
        path = self.folder / METRICS
        if not path.exists():
            return []
        return read_cells(path)

    def store(self, cell: dict[str, Any], errors: pd.DataFrame) -> None:
        """Add one test's numbers, replacing those of the same test set and protocol."""
        need("writing results", "pyarrow")
        import pandas as pd

        labelled = errors.assign(test_set=cell["test_set"], protocol=cell["protocol"])
        path = self.folder / ERRORS
        with self._in_turn():
            if path.exists():
                old = self.errors()
                other = (old["test_set"] != cell["test_set"]) | (old["protocol"] != cell["protocol"])
                labelled = pd.concat([old[other], labelled], ignore_index=True)
            with replacing(path) as temporary:
                labelled.to_parquet(temporary, index=False)
            kept = [c for c in self.cells if (c["test_set"], c["protocol"]) != (cell["test_set"], cell["protocol"])]
            write_json(self.folder / METRICS, {"cells": [*kept, cell]})

    def arrange(self, tests: Sequence[str]) -> None:
        """Put the entries of ``metrics.json`` in the order of ``tests``, whichever was made first; others come last."""
        places = {name: i for i, name in enumerate(tests)}
        with self._in_turn():
            cells = self.cells
            arranged = sorted(cells, key=lambda cell: places.get(cell["test_set"], len(places)))
            if arranged != cells:
                write_json(self.folder / METRICS, {"cells": arranged})

    def errors(self) -> pd.DataFrame:
        """``errors.parquet``: truth_row, image_path, sequence, part, metric, value (mm), test_set,
        protocol.
        """
        path = self.folder / ERRORS
        if not path.exists():
            raise DataError("has no errors.parquet yet", path=self.folder, fix="evaluate the run first")
        return read_errors(path)


def read_cells(path: Path) -> list[dict[str, Any]]:
    """The tests that a file of metrics holds.

    Raises
    ------
    DataError : it is damaged, or of another kind.
    """
    cells = read_json(path, {"cells": [_CELL_FORM]}, fix=_EVALUATE)["cells"]
    for cell in cells:
        try:
            catalogue.from_dict(cell["definition"])
        except DataError as error:
            raise DataError(f"{cell['protocol']}: {error.what}", path=path, fix=_EVALUATE) from None
        for line in cell["metrics"]:
            line["value"] = math.nan if line["value"] is None else float(line["value"])
    return list(cells)


def read_errors(path: Path, *, categories: bool = False) -> pd.DataFrame:
    """Errors of instances, one row a metric.

    Parameters
    ----------
    categories : texts as categories, as they are in the file: a tenth of the time and memory.

    Raises
    ------
    DataError : the file is damaged, or of another kind.
    """
    import pandas as pd

    errors = _parquet(path, [name for name, kinds in _ERRORS.items() if categories and "O" in kinds])
    for name, kinds in _ERRORS.items():
        if name not in errors:
            raise DataError(f"has no column {name}", path=path, fix=_EVALUATE)
        column = errors[name]
        held = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
        texts = isinstance(held.dtype, pd.StringDtype)
        kind = "O" if texts else held.dtype.kind
        absent = bool(column.isna().any()) if texts or held is not column else False
        if absent or kind not in kinds or (not texts and kind == "O" and not all(isinstance(t, str) for t in held)):
            raise DataError(f"column {name} holds {errors[name].dtype}", path=path, fix=_EVALUATE)
    return errors


def _parquet(path: Path, categories: Sequence[str] = ()) -> pd.DataFrame:
    need("reading results", "pyarrow")
    from pyarrow import parquet

    try:
        facts = parquet.ParquetFile(regular(path)).metadata
        check_unfolded(8 * facts.num_rows * facts.num_columns, path.stat().st_size, path)
        return parquet.read_table(path, read_dictionary=list(categories)).to_pandas()
    except EhpsError:
        raise
    except Exception as error:  # a damaged file can make the reader raise nearly anything
        first = str(error).strip().partition("\n")[0]
        raise DataError(f"is no readable parquet file ({first})", path=path, fix=_EVALUATE) from None


def check_name(name: object, what: str) -> str:
    """Names of sets and models become names of files and folders, below the folder of all runs.

    Raises
    ------
    UsageError : no text, or one that would lead elsewhere or that no file can have.
    """
    fault = not isinstance(name, str) or not name or name.startswith(".") or len(name.encode("utf-8", "replace")) > 150
    if fault or any(c in "/\\ :" or not c.isprintable() for c in str(name)):
        raise UsageError(f"{what} {name!r} cannot be used as a file name", fix="use letters, digits, - and _")
    return str(name)
