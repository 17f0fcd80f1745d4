"""The point of the benchmark, in small: the training set that resembles the test set gives the lower error."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ehps.benchmark import results
from ehps.benchmark.suites.matrix import Suite, run_suite
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.body.models import BodyModels
from tests.drawn_people import Style, people, write_set

STYLES = {"near": Style(turn=0.0), "far": Style(turn=2.0)}  # 115 degrees apart


def test_the_nearer_training_set_gives_the_lower_error(models: BodyModels, tmp_path: Path) -> None:
    def made(name: str, n: int, seed: int, style: Style) -> SetSpec:
        path = write_set(tmp_path, people(n, np.random.default_rng(seed), style), models, seed=seed, name=name)
        return SetSpec(path, tmp_path, protocol="egobody-ego" if name == "test" else "")

    train = {name: (made(name, 24, seed, style),) for seed, (name, style) in enumerate(STYLES.items())}
    train["untrained"] = train["near"]
    test = {"test": made("test", 8, 9, Style(turn=0.0))}
    config = TrainConfig(
        model_args={"width": 32, "depth": 1, "heads": 2},
        steps=20,
        batch_size=8,
        lr=3e-3,
        warmup=2,
        workers=0,
        log_every=20,
    )
    still = replace(config, steps=1, batch_size=1, lr=1e-12, lr_min=0, warmup=0)
    untrained = Suite({"untrained": train.pop("untrained")}, test, still)
    run_suite(untrained, tmp_path / "runs", body_models=models, progress=False)
    run_suite(Suite(train, test, config), tmp_path / "runs", body_models=models, progress=False)
    pve = results.table(results.load(tmp_path / "runs")).droplevel("model")["test"]
    assert pve["near"] < 0.7 * pve["far"]
    assert pve["near"] < pve["untrained"] < pve["far"]
