"""What a cell of a suite costs beside its training, its prediction and its scores, in one process.

    PYTHONPATH=. python benchmarks/suite.py --body-models DIR [--sets 3]

People are drawn, the model is tiny, and every set is trained for two steps. Times are of the processor, which other
programs do not lengthen; starting the process, which is done once for all cells, is beside them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ehps.benchmark.suites import evaluation
from ehps.benchmark.suites.matrix import Suite, run_suite
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.body.models import BodyModels
from tests.drawn_people import Style, people, write_set

PARTS = ("train", "predict", "score")
PROTOCOLS = ("egobody-ego", "agora-val")


def main() -> None:
    parser = argparse.ArgumentParser(description="What a cell costs beside training, prediction and scores.")
    parser.add_argument("--body-models", type=Path, required=True, help="folder of body models, or of the stand-in")
    parser.add_argument("--sets", type=int, default=3, help="training sets; each is tested twice")
    options = parser.parse_args()
    models = BodyModels(options.body_models)
    with tempfile.TemporaryDirectory() as temporary:
        suite = drawn_suite(Path(temporary), options.sets, models)
        spent = {part: timed(part) for part in PARTS}
        for title in ("made", "found made"):
            for times in spent.values():
                times.clear()
            start = time.process_time()
            state = run_suite(suite, Path(temporary) / "runs", body_models=models, progress=False)
            whole = time.process_time() - start
            assert set(state["state"]) == {"done"}, state
            inside = {part: sum(times) for part, times in spent.items()}
            beside = (whole - sum(inside.values())) / len(state)
            parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in inside.items())
            print(f"{len(state)} cells {title}: {whole:.1f} s ({parts}); beside these {beside:.2f} s a cell")


def timed(part: str) -> list[float]:
    """The list to which every call of a step of evaluation adds its seconds."""
    times: list[float] = []
    real: Callable[..., Any] = getattr(evaluation, part)

    def call(*arguments: Any, **named: Any) -> Any:
        start = time.process_time()
        try:
            return real(*arguments, **named)
        finally:
            times.append(time.process_time() - start)

    setattr(evaluation, part, call)
    return times


def drawn_suite(folder: Path, count: int, models: BodyModels) -> Suite:
    specs = {}
    for seed, name in enumerate([*(f"train{i}" for i in range(count)), "test"]):
        path = write_set(folder, people(8, np.random.default_rng(seed), Style()), models, seed=seed, name=name)
        specs[name] = SetSpec(path, folder)
    test = specs.pop("test")
    tests = {protocol: SetSpec(test.data, test.images, protocol=protocol) for protocol in PROTOCOLS}
    config = TrainConfig(steps=2, batch_size=4, workers=0, model_args={"width": 32, "depth": 1, "heads": 2})
    return Suite({name: (spec,) for name, spec in specs.items()}, tests, config)


if __name__ == "__main__":
    main()
