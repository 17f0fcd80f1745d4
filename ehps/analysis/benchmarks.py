"""What enters the mean primary error: one measure on each test set, and the columns it is read from.

The five are those of SMPLer-X (arXiv 2309.17448): PVE of the whole body on AGORA validation, UBody,
EgoBody-EgoSet and EHF, and MPJPE on 3DPW.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ehps.analysis.published import dataset_name
from ehps.errors import DataError

RESULT_COLUMNS = ("train_set", "test_set", "model", "protocol", "part", "metric", "value", "n")
ERROR_COLUMNS = ("train_set", "test_set", "sequence", "metric", "part", "value")


@dataclass(frozen=True)
class Benchmark:
    """One column of the ranking: a test set and the measure on it that counts.

    ``test_sets`` are the ids under which results name it; ``name`` is for people; parts and metrics are
    compared without regard to case, and hyphens count as underscores.
    """

    id: str
    name: str
    metric: str
    part: str
    test_sets: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.name} {self.metric}" + ("" if self.part in ("all", "body") else f" {self.part}")

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of a results or errors frame that belong to it."""
        sets = {_plain(s) for s in (self.id, *self.test_sets)}
        keep = frame["test_set"].map(_plain).isin(sets)
        keep &= frame["metric"].map(_plain) == _plain(self.metric)
        return frame[keep & (frame["part"].map(_plain) == _plain(self.part))]


MPE_BENCHMARKS = (
    Benchmark("agora", "AGORA", "PVE", "all", ("agora_val", "agora_validation")),
    Benchmark("ubody", "UBody", "PVE", "all", ("ubody_intra",)),
    Benchmark("egobody_ego", "EgoBody", "PVE", "all", ("egobody", "egobody_egoset")),
    Benchmark("pw3d", "3DPW", "MPJPE", "body", ("3dpw",)),
    Benchmark("ehf", "EHF", "PVE", "all"),
)


def benchmarks_in(results: pd.DataFrame) -> tuple[Benchmark, ...]:
    """The main benchmarks that occur in ``results``, then every other test set by its PVE of the whole body.

    For rankings on other data than the five: the MPE is then the mean over these, and not comparable with
    published ones.
    """
    require(results, RESULT_COLUMNS, "results")
    found = [b for b in MPE_BENCHMARKS if len(b.rows(results))]
    known = {_plain(s) for b in MPE_BENCHMARKS for s in (b.id, *b.test_sets)}
    for test_set in sorted(set(results["test_set"])):
        other = Benchmark(test_set, dataset_name(test_set), "PVE", "all")
        if _plain(test_set) not in known and len(other.rows(results)):
            found.append(other)
    return tuple(found)


def require(frame: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    """Raise DataError naming the columns that a frame of ``what`` lacks."""
    absent = [c for c in columns if c not in frame.columns]
    if absent:
        raise DataError(f"the {what} frame lacks {', '.join(absent)}", fix=f"it needs the columns {', '.join(columns)}")


def _plain(word: object) -> str:
    return str(word).strip().lower().replace("-", "_").replace(" ", "_")
