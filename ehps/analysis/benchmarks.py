"""What enters the mean primary error: one measure on each test set, and the columns it is read from.

The five are those of SMPLer-X (arXiv 2309.17448): PVE of the whole body on AGORA validation, UBody,
EgoBody-EgoSet and EHF, and MPJPE on 3DPW.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from ehps.analysis.columns import matching
from ehps.analysis.published import dataset_name, dataset_names
from ehps.errors import DataError, UsageError

Part = Literal["all", "hands", "face"]
PARTS: dict[Part, str] = {"all": "all", "hands": "hand", "face": "face"}
"""What training sets can be ranked by, and how results name it."""

RESULT_COLUMNS = ("train_set", "test_set", "model", "protocol", "part", "metric", "value", "n")
ERROR_COLUMNS = ("train_set", "test_set", "sequence", "metric", "part", "value")


@dataclass(frozen=True)
class Benchmark:
    """One column of the ranking: a test set and the measure on it that counts.

    Attributes
    ----------
    id : of the dataset.
    name : for people.
    metric, part : compared without regard to case; hyphens count as underscores.
    protocols : by one of which a test set that does not say what it is belongs here.
    test_sets : as results name it, which is by dataset and split.
    stills : its images are single ones, each independent of the others; else they are frames of videos.
    """

    id: str
    name: str
    metric: str
    part: str
    protocols: tuple[str, ...] = ()
    test_sets: tuple[str, ...] = ()
    stills: bool = False

    @property
    def label(self) -> str:
        return f"{self.name} {self.metric}" + ("" if self.part in ("all", "body") else f" {self.part}")

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of a results or errors frame that belong to it."""
        frame = pd.DataFrame(frame)  # without ``attrs``, which pandas would copy for each column
        sets = {_plain(s) for s in (self.id, *self.test_sets)}
        keep = matching(frame["test_set"], lambda name: _plain(name) in sets)
        if "protocol" in frame:
            by_protocol = matching(frame["protocol"], lambda name: str(name).split("[")[0] in self.protocols)
            keep |= by_protocol & ~matching(frame["test_set"], lambda name: _plain(name).startswith(_DATASETS))
        keep &= matching(frame["metric"], lambda name: _plain(name) == _plain(self.metric))
        return frame[keep & matching(frame["part"], lambda name: _plain(name) == _plain(self.part))]


_DATASETS = tuple(dataset_names())
_OF_STILLS = ("agora", "mscoco", "mpii", "lsp", "lspet", "ochuman", "crowdpose", "ssp3d", "up3d", "mtp", "spec")
"""Datasets of single images, no two of one video."""
MPE_BENCHMARKS = (
    Benchmark("agora", "AGORA", "PVE", "all", ("agora-val",), ("agora_validation", "agora_val"), True),
    Benchmark("ubody", "UBody", "PVE", "all", ("ubody-intra",), ("ubody_test", "ubody_intra")),
    Benchmark(
        "egobody_ego", "EgoBody", "PVE", "all", ("egobody-ego",), ("egobody_ego_test", "egobody", "egobody_egoset")
    ),
    Benchmark("pw3d", "3DPW", "MPJPE", "body", ("pw3d-smplerx",), ("pw3d_test", "3dpw")),
    Benchmark("ehf", "EHF", "PVE", "all", ("ehf",), ("ehf_val", "ehf_test")),
)


def of_part(benchmarks: Sequence[Benchmark], part: Part) -> tuple[Benchmark, ...]:
    """The same measures of a part of the body; those that measure the skeleton only (3DPW) are left out.

    Raises
    ------
    UsageError : there is no such part.
    """
    if part not in PARTS:
        raise UsageError(f"no ranking by {part!r}", fix=f"choose one of {', '.join(PARTS)}")
    if part == "all":
        return tuple(benchmarks)
    return tuple(replace(b, part=PARTS[part]) for b in benchmarks if b.part == "all")


def test_set_name(test_set: str) -> str:
    """A test set's name for people: ``AGORA train`` of ``agora_train``."""
    known = max((name for name in dataset_names() if f"{test_set}_".startswith(f"{name}_")), key=len, default="")
    return f"{dataset_name(known)} {test_set[len(known) + 1 :]}".strip() if known else test_set


def benchmarks_in(results: pd.DataFrame) -> tuple[Benchmark, ...]:
    """The main benchmarks in ``results``, then other test sets by PVE of the whole body, or else MPJPE of the body.

    For rankings on other data than the five: the MPE is then the mean over these, and not comparable with
    published ones.
    """
    require(results, RESULT_COLUMNS, "results")
    found = [b for b in MPE_BENCHMARKS if len(b.rows(results))]
    taken = {name for b in found for name in b.rows(results)["test_set"]}
    for test_set in sorted(set(results["test_set"]) - taken):
        name, stills = test_set_name(test_set), test_set.startswith(_OF_STILLS)
        for metric, part in (("PVE", "all"), ("MPJPE", "body")):
            other = Benchmark(test_set, name, metric, part, stills=stills)
            if len(other.rows(results)):
                found.append(other)
                break
    return tuple(found)


def measures(part: Part = "all") -> set[tuple[str, str]]:
    """(metric, part) that :func:`benchmarks_in` and :data:`MPE_BENCHMARKS` read, for errors of ``part``."""
    return {("PVE", PARTS[part])} if part != "all" else {("PVE", "all"), ("MPJPE", "body")}


def check_direction(benchmark: Benchmark, rows: pd.DataFrame) -> None:
    """Raise DataError where values are no errors in mm: neither their mean nor their order is one of errors."""
    if "better" in rows and (rows["better"] == "higher").any():
        raise DataError(f"{benchmark.label} is better where it is higher, and cannot be ranked or averaged as an error")
    units = sorted(set(rows["unit"])) if "unit" in rows else ["mm"]
    if any(unit != "mm" for unit in units):
        raise DataError(
            f"{benchmark.label} is in {', '.join(units) or 'no unit'}, and cannot be averaged with errors in mm"
        )


def require(frame: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    """Raise DataError naming the columns that a frame of ``what`` lacks."""
    absent = [c for c in columns if c not in frame.columns]
    if absent:
        raise DataError(f"the {what} frame lacks {', '.join(absent)}", fix=f"it needs the columns {', '.join(columns)}")


def _plain(word: object) -> str:
    return str(word).strip().lower().replace("-", "_").replace(" ", "_")
