"""What a balanced epoch holds: by the rules of the SMPLer-X code, except where the module says otherwise."""

from pathlib import Path

import numpy as np
import pytest

from ehps.benchmark.training.quotas import quotas
from ehps.benchmark.training.sampling import StepSampler, distinct_rows, epoch_order, occurrences
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.benchmark.training.trainer import total_steps
from ehps.errors import SettingsError, UsageError

LENGTHS = [1000, 40, 7]


def counted(order: np.ndarray) -> list[np.ndarray]:
    """How often each row of each set is in an epoch."""
    return np.split(np.bincount(order, minlength=sum(LENGTHS)), np.cumsum(LENGTHS)[:-1])


@pytest.mark.parametrize("epoch", [0, 1])
def test_every_set_gives_its_share_of_total_length(epoch: int) -> None:
    order = epoch_order(LENGTHS, "balance", 3, epoch, total_length=300)
    large, middle, small = counted(order)
    assert [c.sum() for c in (large, middle, small)] == [100, 100, 100]
    assert large.max() == 1  # cut, without repetition
    assert sorted(set(middle)) == [2, 3]  # two whole passes and 20 rows
    assert sorted(set(small)) == [14, 15]


def test_a_cut_set_gives_other_rows_every_epoch_and_the_same_ones_again() -> None:
    def first(epoch: int) -> set[int]:
        order = epoch_order(LENGTHS, "balance", 3, epoch, total_length=300)
        return set(order[order < 1000].tolist())

    assert first(0) == first(0)
    assert len(first(0) & first(1)) < 30  # 10 by chance


@pytest.mark.parametrize(
    ("total", "weights", "expected"),
    [
        (4_500_000, None, [140_625] * 32),
        (1_500_000, None, [150_000] * 10),
        (None, None, [349, 349, 349]),
        (300, [3, 2, 1], [150, 100, 50]),
        (10, [1, 1, 1], [3, 3, 3]),
        (1000, [0.1, 0.2, 0.7], [100, 200, 700]),
        (100, [1e-6, 1, 1], [1, 49, 49]),
    ],
)
def test_quotas(total: int | None, weights: list[float] | None, expected: list[int]) -> None:
    lengths = LENGTHS if len(expected) == 3 else [5] * len(expected)
    assert quotas(lengths, total, weights) == expected


def test_one_set_can_be_balanced_to_any_length() -> None:
    assert np.bincount(epoch_order([4], "balance", 0, 0, total_length=10)).min() == 2
    assert len(np.unique(epoch_order([100], "balance", 0, 0, total_length=10))) == 10


def test_a_repeated_row_is_augmented_otherwise_each_time() -> None:
    drawn = [pair for batch in StepSampler([3], 5, 8, strategy="balance", total_length=20) for pair in batch]
    assert len(drawn) == 40
    assert len(set(drawn)) == 40
    np.testing.assert_array_equal(occurrences(np.array([4, 1, 4, 4, 1])), [0, 0, 1, 2, 1])


def test_a_sampler_goes_on_where_it_stopped() -> None:
    kwargs = {"strategy": "balance", "total_length": 30, "weights": [1, 2, 3], "seed": 5}
    whole = list(StepSampler(LENGTHS, 7, 12, **kwargs))
    assert list(StepSampler(LENGTHS, 7, 12, start=6, **kwargs)) == whole[6:]


def test_an_epoch_has_total_length_images() -> None:
    config = TrainConfig(strategy="balance", total_length=150_000, epochs=10, batch_size=32)
    assert total_steps(config, [90_000]) == 46_875


def test_settings_without_effect_are_refused() -> None:
    with pytest.raises(SettingsError, match="total_length is 50, which only strategies balance and mixture have"):
        TrainConfig(total_length=50)
    weighted = [SetSpec(Path("a.h5"), Path(), weight=2)]
    assert TrainConfig(strategy="balance").weight_faults(weighted) == []
    assert "weight of a.h5 is 2" in TrainConfig().weight_faults(weighted)[0]
    with pytest.raises(UsageError, match="weight is -1, not a number above 0"):
        SetSpec(Path("a.h5"), Path(), weight=-1)


def test_the_key_of_a_training_without_total_length_is_that_of_earlier_versions() -> None:
    assert "total_length" not in TrainConfig().decisive()
    assert TrainConfig(strategy="balance", total_length=9).decisive()["total_length"] == 9


def test_a_mixture_draws_sets_by_their_weights_and_counts_small_ones_round() -> None:
    order = epoch_order(LENGTHS, "mixture", 3, 0, weights=[5, 3, 2])
    assert len(order) == 1000  # the longest set
    large, middle, small = counted(order)
    assert np.allclose([c.sum() for c in (large, middle, small)], (500, 300, 200), atol=50)
    assert large.max() == 1
    assert middle.min() > 0
    assert small.min() > 15
    assert len(epoch_order(LENGTHS, "mixture", 3, 0, total_length=60)) == 60
    longer = counted(epoch_order(LENGTHS, "mixture", 3, 0, total_length=4000))
    assert np.allclose([c.sum() for c in longer], 4000 / 3, atol=120)


def test_a_mixture_goes_on_after_an_interruption_with_the_steps_it_would_have_made() -> None:
    given = {"seed": 1, "strategy": "mixture", "weights": [0.5, 0.3, 0.2]}
    whole = list(StepSampler(LENGTHS, 64, 40, **given))
    assert list(StepSampler(LENGTHS, 64, 40, start=17, **given)) == whole[17:]
    keys = [key for batch in whole for key in batch]
    assert len(set(keys)) == len(keys)  # a row that is drawn again is augmented otherwise
    assert total_steps(TrainConfig(strategy="mixture", epochs=2, batch_size=10), LENGTHS) == 200
    assert not TrainConfig(strategy="mixture").weight_faults([SetSpec(Path("a.h5"), Path("a"), weight=0.3)])
    assert TrainConfig(strategy="mixture", total_length=50).total_length == 50


@pytest.mark.parametrize("strategy", ["concat", "balance", "mixture"])
@pytest.mark.parametrize("steps", [1, 4, 9, 40])
def test_distinct_rows_are_those_of_the_steps(strategy: str, steps: int) -> None:
    lengths, options = [7, 30, 3], {"strategy": strategy, "total_length": None if strategy == "concat" else 24}
    sampler = StepSampler(lengths, 4, steps, seed=5, weights=[1.0, 2.0, 1.0], **options)  # type: ignore[arg-type]
    rows = {row for batch in sampler for row, _ in batch}
    expected = [len(rows & set(range(low, high))) for low, high in ((0, 7), (7, 37), (37, 40))]
    assert distinct_rows(lengths, 4 * steps, seed=5, weights=[1.0, 2.0, 1.0], **options) == expected  # type: ignore[arg-type]
