"""Which rows each step sees: decided by seed and step alone, so that a resumed run continues exactly.

Strategies as in the SMPLer-X training code: ``concat`` (every row once an epoch) and ``balance`` (every set
gives the same number of rows; large sets are cut, small ones repeated). Unlike there, a cut set gives other
rows every epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from ehps.errors import UsageError

STRATEGIES = ("concat", "balance")


def epoch_order(lengths: Sequence[int], strategy: str, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Shuffled rows of one epoch, numbered through all sets.

    ``balance`` gives every set ``sum(lengths) // len(lengths)`` rows: as many whole passes as fit, the rest
    drawn without repetition.
    """
    rng = np.random.default_rng((seed, epoch))
    if strategy == "concat":
        return rng.permutation(sum(lengths))
    if strategy != "balance":
        raise UsageError(f"no sampling strategy {strategy!r}; there are: {', '.join(STRATEGIES)}")
    quota = max(1, sum(lengths) // len(lengths))
    start, rows = 0, []
    for length in lengths:
        whole, rest = divmod(quota, length)
        drawn = [np.arange(length)] * whole + [rng.permutation(length)[:rest]]
        rows.append(start + np.concatenate(drawn))
        start += length
    return rng.permutation(np.concatenate(rows))


class StepSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (row, draw) for steps ``start`` .. ``steps``; ``draw`` seeds the row's augmentation.

    With several processes each takes every ``processes``-th batch.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        steps: int,
        *,
        seed: int = 0,
        start: int = 0,
        strategy: str = "concat",
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self.lengths, self.batch_size, self.steps, self.start = list(lengths), batch_size, steps, start
        self.seed, self.strategy, self.process, self.processes = seed, strategy, process, processes

    def __len__(self) -> int:
        return max(0, self.steps - self.start)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, order = -1, np.zeros(0, np.int64)
        size = len(epoch_order(self.lengths, self.strategy, self.seed, 0))
        for step in range(self.start, self.steps):
            first = (step * self.processes + self.process) * self.batch_size
            batch = []
            for position in range(first, first + self.batch_size):
                if position // size != epoch:
                    epoch = position // size
                    order = epoch_order(self.lengths, self.strategy, self.seed, epoch)
                batch.append((int(order[position % size]), epoch))
            yield batch
