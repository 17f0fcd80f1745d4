from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ehps.analysis import ranking
from ehps.benchmark import results
from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.summaries import frame, tidy
from ehps.benchmark.protocols.vocabulary import HIGHER_IS_BETTER
from ehps.benchmark.suites.runs import Run, read_errors
from ehps.humandata.core import HumanData

FIVE = {
    "agora-val": ("agora", "validation"),
    "ubody-intra": ("ubody", "test"),
    "egobody-ego": ("egobody_ego", "test"),
    "pw3d-smplerx": ("pw3d", "test"),
    "ehf": ("ehf", "val"),
}


def part(dataset: str, instances: int = 100, split: str = "train", interval: int = 1) -> dict[str, Any]:
    return {"dataset": dataset, "split": split, "interval": interval, "instances": instances}


def trained(folder: Path, label: str, *sets: dict[str, Any]) -> Run:
    run = Run(folder / label)
    run.note(train_set=label, model="tiny", trained_on=list(sets))
    return run


def store_test(run: Run, label: str, protocol: str, content: str = "", value: float = 100.0, **facts: Any) -> None:
    """Numbers of a test, as :func:`ehps.benchmark.suites.evaluation.evaluate` stores them."""
    chosen = catalogue.get(protocol)
    dataset, split = FIVE.get(chosen.name, ("unknown", "unknown"))
    where, metric = chosen.primary
    line = {"part": where, "metric": metric, "value": value, "n": 2, "unit": "mm", "skipped": 0}
    cell = {"test_set": label, "dataset": dataset, "split": split, "content": content or f"{dataset}{split}"}
    cell |= {"key": "k", "protocol": chosen.id, "definition": chosen.to_dict(), "metrics": [line]}
    columns = {"truth_row": [0, 1], "image_path": ["a.jpg", "b.jpg"], "sequence": ["a", "b"]}
    errors = pd.DataFrame(columns | {"part": where, "metric": metric, "value": value})
    run.store(cell | facts, errors)


def test_a_test_that_has_no_errors_of_instances_is_read_again(tmp_path: Path) -> None:
    run, chosen = Run(tmp_path / "run"), catalogue.get("agora-official")
    truth = HumanData({"image_path": ["a.jpg"], "bbox_xywh": np.ones((1, 5))})
    none = tidy({("body", "MVE"): np.full(1, np.nan)}, np.arange(1))
    cell = {"test_set": "agora", "protocol": chosen.id, "definition": chosen.to_dict(), "metrics": [], "key": "k"}
    run.store(cell, frame(none, truth))
    assert len(run.errors()) == len(read_errors(run.folder / "errors.parquet", categories=True)) == 0
    store_test(run, "ehf", "ehf")
    assert set(run.errors()["test_set"]) == {"ehf"}


def all_five(run: Run, value: float = 100.0) -> Run:
    for protocol, words in FIVE.items():
        store_test(run, "_".join(words), protocol, value=value)
    return run


def test_two_networks_of_one_name_have_their_arguments_behind_it(tmp_path: Path) -> None:
    for name, width in (("a", 32), ("b", 64)):
        run = trained(tmp_path, name, part("agora"))
        run.note(model_args={"width": width, "depth": 2})
        store_test(run, "ehf", "ehf")
    numbers, errors = results.load(tmp_path), results.load_errors(tmp_path)
    assert set(zip(numbers["model"], numbers["train_set"], strict=True)) == {
        ("tiny[width=32]", "agora"),
        ("tiny[width=64]", "agora"),
    }
    assert set(errors["model"]) == set(numbers["model"])


def test_files_named_as_doctor_names_them_are_ranked(tmp_path: Path) -> None:
    all_five(trained(tmp_path, "agora_train", part("agora", 40)), 90.0)
    all_five(trained(tmp_path, "bedlam_train", part("bedlam", 132)), 80.0)
    ranked = ranking.rank(results.load(tmp_path), results.load_errors(tmp_path), bootstrap=20)
    assert ranked["train_set"].tolist() == ["bedlam", "agora"]
    assert ranked["mpe"].tolist() == [80.0, 90.0]
    assert ranked["instances"].tolist() == [132, 40]
    assert set(ranked["missing"]) == {""}


def test_any_other_name_of_a_file_gives_the_same_ranking(tmp_path: Path) -> None:
    run = trained(tmp_path, "try 3", part("agora"))
    for number, protocol in enumerate(FIVE):
        store_test(run, f"test{number}", protocol)
    (row,) = ranking.rank(results.load(tmp_path)).to_dict("records")
    assert (row["train_set"], row["missing"], row["mpe"]) == ("agora", "", 100.0)


def test_the_train_split_of_a_benchmark_is_not_the_benchmark(tmp_path: Path) -> None:
    run = trained(tmp_path, "agora", part("agora"))
    store_test(run, "agora", "agora-val", split="train")
    frame = results.load(tmp_path)
    assert set(frame["test_set"]) == {"agora_train"}
    assert "AGORA" in ranking.rank(frame)["missing"][0]


def test_a_test_file_that_does_not_say_what_it_is_is_told_by_its_protocol(tmp_path: Path) -> None:
    run = trained(tmp_path, "agora", part("agora"))
    store_test(run, "hands and all", "ehf", dataset="unknown", split="unknown")
    assert "EHF" not in ranking.rank(results.load(tmp_path))["missing"][0]


def test_a_set_tested_under_two_names_is_there_once(tmp_path: Path) -> None:
    run = trained(tmp_path, "agora", part("agora"))
    for label in ("ehf", "ehf_val"):
        store_test(run, label, "ehf")
    assert len(results.load(tmp_path)) == 1
    assert len(results.load_errors(tmp_path)) == 2


def test_two_test_files_of_one_split_keep_their_labels(tmp_path: Path) -> None:
    run = trained(tmp_path, "agora", part("agora"))
    for label in ("first half", "second half"):
        store_test(run, label, "ehf", content=label)
    assert results.load(tmp_path)["test_set"].tolist() == ["first half", "second half"]


def test_two_trainings_on_one_dataset_keep_their_labels(tmp_path: Path) -> None:
    for label, interval in (("whole", 1), ("every fifth", 5)):
        all_five(trained(tmp_path, label, part("agora", 100 // interval, interval=interval)))
    ranked = ranking.rank(results.load(tmp_path))
    assert set(zip(ranked["train_set"], ranked["datasets"], ranked["instances"], strict=True)) == {
        ("whole", "agora", 100),
        ("every fifth", "agora", 20),
    }


def test_a_mix_is_named_after_its_datasets_and_has_all_their_instances(tmp_path: Path) -> None:
    all_five(trained(tmp_path, "mix", part("bedlam", 10), part("agora", 5)))
    (row,) = ranking.rank(results.load(tmp_path)).to_dict("records")
    assert (row["train_set"], row["instances"]) == ("bedlam+agora", 15)


def with_seed(folder: Path, label: str, seed: int, **settings: Any) -> Run:
    run = trained(folder, label, part("agora") | {"drawn": 90 + seed})
    config = {"seed": seed, "steps": 10} | settings
    run.note(seed=seed, training={"train_set": label, "config": config, "data": ["agora's"]})
    return run


def test_trainings_that_differ_in_their_seed_are_one_set(tmp_path: Path) -> None:
    for seed, value in ((1, 90.0), (2, 100.0)):
        all_five(with_seed(tmp_path, f"agora_{seed}", seed), value)
    ranked = ranking.rank(results.load(tmp_path), results.load_errors(tmp_path), bootstrap=20)
    (row,) = ranked.to_dict("records")
    assert (row["train_set"], row["mpe"], row["instances"]) == ("agora", 95.0, 91)
    assert ranked.attrs["trainings"] == [2, 2]
    assert pd.isna(row["mpe_low"])  # two images of each test set are too few
    assert ranked.attrs["trainings"] == [2, 2]


def test_trainings_that_differ_in_more_than_their_seed_keep_their_labels(tmp_path: Path) -> None:
    all_five(with_seed(tmp_path, "short", 1))
    all_five(with_seed(tmp_path, "long", 2, steps=1000))
    all_five(with_seed(tmp_path, "long again", 3, steps=1000))
    ranked = ranking.rank(results.load(tmp_path))
    assert sorted(ranked["train_set"]) == ["long", "short"]


def test_a_run_that_was_copied_is_not_two_trainings(tmp_path: Path) -> None:
    for label in ("agora", "copy"):
        all_five(with_seed(tmp_path, label, 1))
    assert sorted(ranking.rank(results.load(tmp_path))["train_set"]) == ["agora", "copy"]


def test_runs_without_results_are_named_with_the_reason(tmp_path: Path) -> None:
    all_five(trained(tmp_path, "agora", part("agora")))
    trained(tmp_path, "bedlam", part("bedlam"))
    trained(tmp_path, "ubody", part("ubody")).failed("training", "the images are not there")
    left_out = results.load(tmp_path).attrs["left_out"]
    assert left_out == {"bedlam": "it was not tested", "ubody": "the images are not there"}


def test_runs_that_noted_less_keep_their_labels(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.note(train_set="mine", model="tiny")
    store_test(run, "ehf", "ehf")
    metrics = run.cells[0]
    for name in ("dataset", "split", "content"):
        del metrics[name]
    run.store(metrics, run.errors().drop(columns=["test_set", "protocol"]))
    frame = results.load(tmp_path)
    assert (set(frame["train_set"]), set(frame["test_set"])) == ({"mine"}, {"ehf"})
    assert frame["instances"].isna().all()


def broken_folder(folder: Path) -> Path:
    """Two sound runs, and one of each kind that cannot be used."""
    for number, label in enumerate(("agora", "bedlam", "mscoco", "h36m")):
        all_five(trained(folder, f"{label}/tiny", part(label)), 90.0 + number)
    (folder / "bedlam/tiny/metrics.json").write_text('{"cells": [')
    errors = folder / "mscoco/tiny/errors.parquet"
    errors.write_bytes(errors.read_bytes()[:500])
    (folder / "empty").mkdir()
    unfinished = trained(folder, "ubody/tiny", part("ubody"))
    unfinished.note(training={"train_set": "ubody", "config": {"seed": 1}, "data": ["x"]})
    (unfinished.folder / "train.jsonl").write_text('{"step": 40, "loss": 1.0}\n')
    return folder


def test_broken_runs_are_named_and_the_others_ranked(tmp_path: Path) -> None:
    found = results.read(broken_folder(tmp_path))
    assert set(found.broken) == {"bedlam/tiny", "mscoco/tiny", "empty", "ubody/tiny"}
    assert found.broken["bedlam/tiny"].startswith("metrics.json is no JSON")
    assert found.broken["mscoco/tiny"].startswith("errors.parquet is no readable parquet file")
    assert found.broken["empty"] == "it is empty"
    assert found.broken["ubody/tiny"] == "its training has not ended (step 40)"
    assert set(found.manifests) == {"agora/tiny", "h36m/tiny"}
    ranked = ranking.rank(found.numbers, found.errors, bootstrap=20)
    assert ranked["train_set"].tolist() == ["agora", "h36m"]
    assert set(found.errors["train_set"].cat.categories) == {"agora", "h36m"}


def test_runs_without_errors_are_broken_too(tmp_path: Path) -> None:
    all_five(trained(tmp_path, "agora", part("agora")))
    (tmp_path / "agora/errors.parquet").unlink()
    found = results.read(tmp_path)
    assert found.broken == {"agora": "errors.parquet is not there: evaluate the run again"}
    assert len(found.numbers) == len(found.errors) == 0


def test_only_the_errors_that_are_wanted_are_kept(tmp_path: Path) -> None:
    all_five(trained(tmp_path, "agora", part("agora")))
    found = results.read(tmp_path, {("MPJPE", "body")})
    assert set(found.errors["metric"].astype(str)) == {"MPJPE"}
    assert len(results.load_errors(tmp_path)) == 10


def test_numbers_say_in_which_direction_they_are_better(tmp_path: Path) -> None:
    all_five(trained(tmp_path, "agora", part("agora")))
    assert set(results.load(tmp_path)["better"]) == {"lower"}
    assert {"mIoU", "AP", "PCK@50", "accuracy", "F1"} <= HIGHER_IS_BETTER
    assert not {"PVE", "MPJAE", "MPJPE", "NMVE"} & HIGHER_IS_BETTER
