"""Small trainings on drawn mixtures of sets as a suite file, whose runs :mod:`ehps.analysis.mixtures` is fitted to.

Each training sees one balanced epoch: of every set exactly the drawn number of instances, without repetition where the
set has as many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ehps.analysis import mixtures
from ehps.analysis.best_mixture import whole
from ehps.analysis.selection_suite import save_suite, suite_entry, suite_tests
from ehps.errors import UsageError

COUNT = 64
"""Of trainings, unless the sets need more."""
BATCH = 32


@dataclass(frozen=True)
class MixtureSuite:
    """What was drawn.

    Attributes
    ----------
    mixtures : name of a training -> set -> instances of it; sets with none are not there.
    size, batch : instances that each training sees, whole batches of so many.
    """

    mixtures: Mapping[str, Mapping[str, int]]
    size: int
    batch: int

    @classmethod
    def draw(cls, sets: Sequence[str], size: int, count: int | None = None, seed: int = 0) -> MixtureSuite:
        """Draw mixtures, see ``mixtures.draw``.

        Parameters
        ----------
        size : instances of each training; rounded down to whole batches.
        count : of trainings; 64 by default, or four a set where that is more.

        Raises
        ------
        UsageError : too few sets or trainings, or a size of less than ten instances a set.
        """
        if size < 10 * len(sets):
            raise UsageError(f"{size} instances show no mixture of {len(sets)} sets", fix="train on ten a set or more")
        batch = min(BATCH, size)
        size -= size % batch
        names = sorted(sets)
        number = max(COUNT, mixtures.FEWEST * len(names)) if count is None else count
        drawn = mixtures.draw(len(names), number, seed)
        no_limit = np.full(len(names), size)
        counts = [whole(row, no_limit, size).tolist() for row in drawn]
        digits = len(str(number - 1))
        found = {
            f"mix_{i:0{digits}d}": {name: n for name, n in zip(names, row, strict=True) if n}
            for i, row in enumerate(counts)
        }
        return cls(found, size, batch)

    def repeated(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Sets that a training sees more of than there is -> the most that one sees."""
        most = {name: max(mix.get(name, 0) for mix in self.mixtures.values()) for name in sizes}
        return {name: count for name, count in most.items() if count > sizes[name]}

    def write(
        self,
        files: Mapping[str, Path],
        out: Path,
        *,
        tests: Sequence[tuple[Path, str]],
        images: Mapping[Path, Path],
        model: str = "tiny",
    ) -> Path:
        """Write the suite; parameters as of ``selection_suite.write_suite``."""
        train = {
            mix: [suite_entry(files[name], out, images, weight=count) for name, count in counts.items()]
            for mix, counts in self.mixtures.items()
        }
        content = {
            "train": train,
            "test": suite_tests(tests, out, images),
            "models": [model],
            "strategy": "balance",
            "total_length": self.size,
            "budget": self.size,
            "batch_size": self.batch,
        }
        head = (
            f"# Made by `ehps analysis mixtures`: {len(train)} trainings of {self.size:,} instances; weights are "
            "instances.\n# `ehps analysis select --rule mixture --runs RUNS` is fitted to them.\n"
        )
        return save_suite(content, out, head)
