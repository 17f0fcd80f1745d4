"""Which rows each step sees: decided by seed and step alone, so that a resumed run continues exactly.

Strategies as in the SMPLer-X training code: ``concat`` (every row once an epoch) and ``balance`` (an epoch has
``total_length`` rows, to which every set gives its share; large sets are cut, small ones repeated). Unlike there, a
cut set gives other rows every epoch, what is drawn beyond whole passes is drawn without repetition, and rows that
cannot be shared out evenly are left off. ``mixture`` as in PyMAF's: each row is of a set that is drawn, with the sets'
weights as probabilities; an epoch is as long as the longest set, whose places small sets count round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from ehps.benchmark.training.quotas import quotas
from ehps.errors import UsageError

STRATEGIES = ("concat", "balance", "mixture")


def epoch_length(
    strategy: str, lengths: Sequence[int], total_length: int | None, weights: Sequence[float] | None = None
) -> int:
    """Rows of an epoch; of a balanced one before rows that cannot be shared out are left off, without ``weights``."""
    if strategy == "mixture":
        return total_length or max(lengths)
    if strategy == "balance" and weights is not None:
        return sum(quotas(lengths, total_length, weights))
    return total_length or sum(lengths)


def epoch_order(
    lengths: Sequence[int],
    strategy: str,
    seed: int,
    epoch: int,
    *,
    total_length: int | None = None,
    weights: Sequence[float] | None = None,
) -> npt.NDArray[np.int64]:
    """Shuffled rows of one epoch, numbered through all sets.

    ``balance`` gives every set its quota (see :func:`quotas`): as many whole passes as fit, the rest drawn without
    repetition. ``mixture`` takes place p of an order of the longest set, draws a set, and takes row p of it, counted
    round.
    """
    rng = np.random.default_rng((seed, epoch))
    if strategy == "concat":
        return rng.permutation(sum(lengths))
    if strategy == "mixture":
        count, shares = epoch_length(strategy, lengths, total_length), np.asarray(weights or [1] * len(lengths), float)
        places = rng.permutation(max(count, *lengths))[:count]
        drawn_sets = rng.choice(len(lengths), count, p=shares / shares.sum())
        rows_of, first = np.asarray(lengths)[drawn_sets], np.append(0, np.cumsum(lengths))[drawn_sets]
        return first + places % rows_of
    if strategy != "balance":
        raise UsageError(f"no sampling strategy {strategy!r}; there are: {', '.join(STRATEGIES)}")
    start, rows = 0, []
    for length, quota in zip(lengths, quotas(lengths, total_length, weights), strict=True):
        whole, rest = divmod(quota, length)
        drawn = [np.arange(length)] * whole + [rng.permutation(length)[:rest]]
        rows.append(start + np.concatenate(drawn))
        start += length
    return rng.permutation(np.concatenate(rows))


def distinct_rows(
    lengths: Sequence[int],
    count: int,
    strategy: str,
    seed: int,
    *,
    total_length: int | None = None,
    weights: Sequence[float] | None = None,
) -> list[int]:
    """How many rows of each set are among the first ``count`` that are drawn; a row counts once."""
    size = epoch_length(strategy, lengths, total_length, weights or [1.0] * len(lengths))
    drawn = np.zeros(sum(lengths), bool)
    for epoch in range(-(-count // size)):
        if drawn.all():
            break
        order = epoch_order(lengths, strategy, seed, epoch, total_length=total_length, weights=weights)
        drawn[order[: count - epoch * size]] = True
    return [int(part.sum()) for part in np.split(drawn, np.cumsum(lengths)[:-1])]


def occurrences(order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(N,) how often each row has been there before in the order, so that it is augmented otherwise each time."""
    by_row = np.argsort(order, kind="stable")
    first = np.flatnonzero(np.diff(order[by_row], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    out = np.empty_like(order)
    out[by_row] = rank
    return out


class StepSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (row, draw) for steps ``start`` .. ``steps``; ``draw`` seeds the row's augmentation.

    With several processes each takes every ``processes``-th batch. The other parameters are those of
    :func:`epoch_order`.
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
        total_length: int | None = None,
        weights: Sequence[float] | None = None,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self.lengths, self.batch_size, self.steps, self.start = list(lengths), batch_size, steps, start
        self.seed, self.strategy, self.process, self.processes = seed, strategy, process, processes
        self.total_length, self.weights = total_length, weights

    def __len__(self) -> int:
        return max(0, self.steps - self.start)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        even = self.weights or [1.0] * len(self.lengths)
        size = epoch_length(self.strategy, self.lengths, self.total_length, even)
        epoch, order, again = -1, np.zeros(0, np.int64), np.zeros(0, np.int64)
        for step in range(self.start, self.steps):
            first = (step * self.processes + self.process) * self.batch_size
            batch = []
            for position in range(first, first + self.batch_size):
                if position // size != epoch:
                    epoch = position // size
                    order = self._order(epoch)
                    again = np.zeros(size, np.int64) if self.strategy == "concat" else occurrences(order)
                batch.append((int(order[position % size]), epoch + (int(again[position % size]) << 32)))
            yield batch

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        shares = {"total_length": self.total_length, "weights": self.weights}
        return epoch_order(self.lengths, self.strategy, self.seed, epoch, **shares)  # type: ignore[arg-type]
