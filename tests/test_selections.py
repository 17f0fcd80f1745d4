"""Files, cards, disks, rankings and runs where something is chosen from them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ehps.analysis import scaling_curves
from ehps.benchmark.protocols import catalogue
from ehps.benchmark.suites.runs import Run
from ehps.cli import main
from ehps.converters import registry
from ehps.errors import DataError, UsageError
from ehps.humandata import HumanData, Passport
from ehps.selections.choice import Evidence, Selection, Wishes, choose
from ehps.selections.pool import datasets_tested, pool_of
from ehps.selections.predictions import CURVES, MIXTURES, predictions
from ehps.selections.small_runs import budget_of, small_trainings_of


def saved(path: Path, rows: int = 4, **facts: str) -> Path:
    """A file of neutral bodies that differ a little."""
    rng = np.random.default_rng(len(path.name))
    columns = {
        "image_path": [f"{i}.jpg" for i in range(rows)],
        "bbox_xywh": np.tile([10.0, 10, 50, 100, 1], (rows, 1)),
        "smplx/body_pose": rng.normal(0, 0.2, (rows, 21, 3)),
        "smplx/global_orient": np.zeros((rows, 3)),
        "smplx/betas": np.zeros((rows, 10)),
    }
    passport = Passport(body_model="smplx", body_model_version="1.1", num_betas=10, **facts)
    return HumanData(columns, passport=passport).save(path)


def ranked(*rows: tuple[int | None, str, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["rank", "train_set", "datasets"])
    return frame.astype({"rank": "Int64"})


def selected(
    files: list[Path], places: pd.DataFrame, budget: int | None = None, licence: str = "research", **wishes: Any
) -> Selection:
    return choose(Evidence.of(pool_of(files, licence=licence), places), "diverse", budget, Wishes(**wishes))


def test_a_dataset_is_selected_whatever_its_training_was_called(tmp_path: Path) -> None:
    files = [saved(tmp_path / "x.h5", dataset="agora"), saved(tmp_path / "y.h5", dataset="bedlam")]
    found = selected(files, ranked((2, "try 3", "agora"), (1, "bedlam", "bedlam")), 8)
    assert sorted(found.chosen["dataset"]) == ["agora", "bedlam"]
    assert found.left_out == {}


def test_of_several_trainings_on_a_dataset_the_best_counts_and_the_others_are_named(tmp_path: Path) -> None:
    files = [saved(tmp_path / "x.h5", dataset="agora")]
    found = selected(files, ranked((3, "few", "agora"), (1, "all", "agora")), 4)
    assert found.chosen["rank"].tolist() == [1]
    assert found.left_out == {"few": "another training on agora has a better rank"}


def test_half_of_what_there_is_is_the_budget_where_none_is_given(tmp_path: Path) -> None:
    files = [saved(tmp_path / "x.h5", 6, dataset="agora"), saved(tmp_path / "y.h5", 4, dataset="bedlam")]
    found = selected(files, ranked((1, "agora", "agora"), (2, "bedlam", "bedlam")))
    assert (found.budget, found.chosen["instances"].sum()) == (5, 5)


def test_files_that_cannot_be_told_apart_or_are_not_ranked_are_refused(tmp_path: Path) -> None:
    one, two = saved(tmp_path / "x.h5", dataset="agora"), saved(tmp_path / "y.h5", dataset="agora")
    with pytest.raises(UsageError, match="a second file of agora"):
        selected([one, two], ranked((1, "agora", "agora")))
    with pytest.raises(DataError, match="none of the datasets"):
        selected([one], ranked((1, "bedlam", "bedlam")))


def test_only_sets_whose_licence_allows_it_are_taken_commercially(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, *cards = registry.cards()
    free = replace(free, commercial_use=True)
    monkeypatch.setattr(registry, "cards", lambda: [free, *cards])
    bound = next(card for card in cards if card.commercial_use is False)
    open_ = next(card for card in cards if card.commercial_use is None)
    ids = (free.id, bound.id, open_.id, "mine")
    files = [saved(tmp_path / f"{name}.h5", dataset=name) for name in ids]
    places = ranked(*((i + 1, name, name) for i, name in enumerate(reversed(ids))))
    found = selected(files, places, 8, licence="commercial")
    assert found.chosen[["dataset", "licence"]].to_numpy().tolist() == [[free.id, free.licence]]
    why = found.left_out
    assert "does not allow commercial use" in why[bound.id]
    assert "is not known to allow" in why[open_.id]
    assert "is not known to allow" in why["mine"]
    assert len(selected(files, places, 8).chosen) == 4
    with pytest.raises(UsageError, match=f"{bound.id} is to be taken"):
        selected(files, places, 8, licence="commercial", must=[bound.id])
    with pytest.raises(DataError, match="no dataset may be used"):
        selected(files[1:], places, 8, licence="commercial")


# -- test sets and disks -------------------------------------------------------------------------------------------


def test_training_splits_of_test_sets_are_marked_and_the_choice_is_made_without_them_too(tmp_path: Path) -> None:
    files = [saved(tmp_path / f"{name}.h5", dataset=name, split="train") for name in ("agora", "bedlam", "spec")]
    test = saved(tmp_path / "test.h5", dataset="agora", split="validation")
    places = ranked((1, "agora", "agora"), (2, "bedlam", "bedlam"), (3, "spec", "spec"))
    found = choose(Evidence.of(pool_of([*files, test], tests=[test]), places), "top-k", 8, Wishes(sets=2))
    assert found.chosen[["dataset", "own_test"]].to_numpy().tolist() == [["agora", "yes"], ["bedlam", ""]]
    assert found.without_own is not None
    assert found.without_own["dataset"].tolist() == ["bedlam", "spec"]
    assert found.left_out == {str(test): "it is a test set"}
    alone = choose(Evidence.of(pool_of(files[:1], tests=[test]), places), "top-k", 8)
    assert alone.without_own is None
    assert alone.said == ["Without the training splits of the test sets nothing can be chosen."]
    assert choose(Evidence.of(pool_of(files), places), "top-k", 8).without_own is None
    merged = saved(tmp_path / "merged.h5", dataset="agora+rich", split="train")
    assert pool_of([*files[1:], merged], tested=["rich"]).own == {"agora+rich"}


def test_the_tests_behind_a_ranking_are_those_of_its_columns() -> None:
    frame = ranked((1, "agora", "agora")).assign(identification="confirmed")
    assert datasets_tested(frame) == {"agora", "ubody", "egobody_ego", "pw3d", "ehf"}
    columns = {
        "id": "renbody_hires_test",
        "name": "x",
        "metric": "PVE",
        "part": "all",
        "protocols": [],
        "test_sets": [],
    }
    measured = ranked((1, "agora", "agora")).assign(renbody_hires_test=1.0)
    measured.attrs["benchmarks"] = [columns]
    assert datasets_tested(measured) == {"renbody_hires"}


def test_sets_that_are_not_whole_on_the_disk_are_left_out_with_the_reason(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    (disk / "ssp3d/images").mkdir(parents=True)
    (disk / "ssp3d/labels.npz").touch()
    names = ("ssp3d", "bedlam", "mine")
    files = [saved(tmp_path / f"{name}.h5", dataset=name, split="train") for name in names]
    pool = pool_of(files, have=disk)
    assert list(pool.sizes) == ["ssp3d"]
    assert pool.barred["bedlam"] == f"absent on {disk}"
    assert pool.barred["mine"].startswith("`ehps doctor` does not know it")
    other = saved(tmp_path / "other.h5", dataset="ssp3d", split="validation")
    with pytest.raises(DataError, match="its split validation is not complete on"):
        pool_of([other], have=disk)


# -- coverage --------------------------------------------------------------------------------------------------------


def turned(path: Path, angles: Sequence[float], **facts: str) -> Path:
    """A file of 40 bodies that stand about each of some angles."""
    hd = HumanData.open(saved(path, 40 * len(angles), **facts))
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    turns = np.zeros((len(hd), 3))
    turns[:, 1] = np.repeat(angles, 40) + rng.normal(0, 0.05, len(hd))
    return hd.with_columns({"smplx/global_orient": turns}).save(path)


def test_greedy_coverage_takes_what_is_still_uncovered_and_ranks_do_not_matter(tmp_path: Path) -> None:
    places = ranked((1, "copy", "copy"), (2, "left", "left"))
    angles = {"left": (0, 0.7), "copy": (0, 0.7), "right": (1.4,), "far": (3,)}
    files = [turned(tmp_path / f"{name}.h5", turns, dataset=name) for name, turns in angles.items()]
    test = turned(tmp_path / "test.h5", (0, 0.7, 1.4), dataset="test")
    evidence = Evidence.of(pool_of(files, tests=[test]), places, tests=[test])
    found = choose(evidence, "greedy-coverage", 60)
    names = found.chosen["dataset"].tolist()
    assert set(names[:2]) & {"left", "copy"}
    assert "right" in names[:2]
    assert "far" not in names  # it covers nothing, and is not taken to fill the number
    lost = found.chosen.set_index("dataset")["without_coverage"]
    assert lost["right"] > 0.1
    assert evidence.covers.share(names) == pytest.approx(sum(added for _, added in evidence.covers.order(names, 9)))
    assert "as many samples of every set" in found.said[0]
    assert any("body pose" in line for line in found.said)  # which these files do not have
    first = choose(evidence, "greedy-coverage", 60, Wishes(sets=1, must=("far",)))
    assert first.chosen["dataset"].tolist() == ["far"]
    with pytest.raises(UsageError, match="compares with test sets"):
        choose(Evidence.of(pool_of(files), places), "greedy-coverage", 60)


def test_all_takes_sets_without_a_rank_too(tmp_path: Path) -> None:
    files = [saved(tmp_path / f"{name}.h5", dataset=name) for name in ("bedlam", "mine")]
    found = choose(Evidence.of(pool_of(files), ranked((7, "bedlam", "bedlam"))), "all", 8, Wishes())
    assert found.chosen["instances"].tolist() == [4, 4]
    assert found.chosen["rank"].isna().tolist() == [False, True]


# -- runs ------------------------------------------------------------------------------------------------------------

SHARES = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0, 0.4, 0.6, 0.25)


def small_run(folder: Path, share: float, size: int = 100, model: str = "tiny", strategy: str = "balance") -> None:
    """A finished run on two sets whose error is least at a share of 0.6 of the first."""
    counts = {"bedlam": round(share * size), "spec": size - round(share * size)}
    counts = {name: count for name, count in counts.items() if count}
    run = Run(folder)
    sets = [{"dataset": name, "split": "train", "interval": 1, "instances": 400} for name in counts]
    world = [{"from_step": 0, "processes": 2, "accumulate": 1, "device": "some chip", "driver": ""}]
    run.note(train_set=folder.name, model=model, seed=1, trained_on=sets, world=world)
    config = {"steps": size // 10, "epochs": None, "batch_size": 10, "strategy": strategy, "total_length": size}
    config["sets"] = [{"weight": count} for count in counts.values()]
    (folder / "config.yaml").write_text(json.dumps(config))
    lines = [{"step": step, "loss": 1.0, "images_per_second": 20.0} for step in (size // 20, size // 10)]
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    value = 90 + 60 * (share - 0.6) ** 2
    errors = {"truth_row": [0], "image_path": ["a.jpg"], "part": ["all"], "metric": ["PVE"], "sequence": ["s"]}
    line = {"part": "all", "metric": "PVE", "value": value, "unit": "mm", "n": 1, "skipped": 0}
    cell = {"test_set": "ehf", "protocol": "ehf", "definition": catalogue.get("ehf").to_dict(), "metrics": [line]}
    run.store(cell | {"key": ""}, pd.DataFrame(errors | {"value": [value]}))


@pytest.fixture(scope="module")
def small_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixtures")
    for number, share in enumerate(SHARES):
        small_run(folder / f"mix_{number:02d}/tiny", share)
    return folder


def test_small_trainings_are_read_with_what_they_saw_and_took(small_runs: Path, tmp_path: Path) -> None:
    found, broken = small_trainings_of(small_runs, "present")
    assert broken == {}
    assert sorted(found.weights["bedlam"].round(6)) == sorted(SHARES)
    np.testing.assert_allclose(found.weights.sum(axis=1), 1)
    assert (found.size, found.seconds) == (100, pytest.approx(12 * 5.0))
    rows = found.weights["bedlam"].round(2) == 0.9
    assert found.errors.loc[rows, "ehf"].tolist() == [pytest.approx(90 + 60 * 0.09)]
    small_run(tmp_path / "one", 0.5)
    small_run(tmp_path / "two", 0.5, size=200)
    with pytest.raises(DataError, match="saw 100, 200 instances"):
        small_trainings_of(tmp_path, "present")
    with pytest.raises(DataError, match="has no run with all test sets"):
        small_trainings_of(tmp_path, "five")
    small_run(tmp_path / "two", 0.5, model="pymaf")
    with pytest.raises(UsageError, match="several models: pymaf, tiny"):
        small_trainings_of(tmp_path, "present")


@pytest.fixture
def evidence(small_runs: Path, tmp_path: Path) -> Evidence:
    """Three files, two of which are in the small trainings."""
    files = [saved(tmp_path / f"{name}.h5", 400, dataset=name) for name in ("bedlam", "spec", "mine")]
    places = ranked((1, "mine", "mine"), (2, "bedlam", "bedlam"), (3, "spec", "spec"))
    return Evidence.of(pool_of(files), places, small=small_trainings_of(small_runs, "present")[0])


def test_a_mixture_is_fitted_to_the_runs_and_says_what_they_cost(evidence: Evidence) -> None:
    found = choose(evidence, "mixture", 300)
    weights = found.chosen.set_index("dataset")["weight"]
    assert weights["bedlam"] == pytest.approx(0.6, abs=0.08)
    assert found.chosen["instances"].sum() == pytest.approx(300, abs=3)
    assert (found.chosen["without_mm"] > 3).all()
    assert found.left_out["mine"] == "not in the small trainings"
    assert "12 small trainings of 100 instances, 1,200 together: 400% of the budget" in found.said[0]
    assert "60 s" in found.said[0]
    again = choose(evidence, "mixture", 300)
    pd.testing.assert_frame_equal(found.chosen, again.chosen, check_exact=True)
    assert choose(evidence, "mixture", 300, Wishes(never=("spec",))).chosen["dataset"].tolist() == ["bedlam"]
    with pytest.raises(UsageError, match="finds the shares itself"):
        choose(evidence, "mixture", 300, Wishes(must=("spec",)))


def test_what_each_set_of_another_rule_is_worth_is_predicted_where_all_are_known(evidence: Evidence) -> None:
    even = choose(evidence, "top-k", 300, Wishes(never=("mine",)))
    without = even.chosen.set_index("dataset")["without_mm"]
    now = 90 + 60 * 0.1**2
    assert without["bedlam"] == pytest.approx(90 + 60 * 0.6**2 - now, abs=3)
    assert without["spec"] == pytest.approx(90 + 60 * 0.4**2 - now, abs=3)
    assert "expected error of 9" in even.said[-1]
    assert "without_mm" not in choose(evidence, "top-k", 300).chosen


def test_errors_are_predicted_for_the_rules_that_something_predicts(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ehps.selections.predictions.BUDGETS", 3)
    sizes = np.array([100, 200, 400, 800])
    curve = scaling_curves.fit(sizes, 80 + 100 * sizes**-0.5)
    found, without = predictions(evidence, {"bedlam+spec+mine": curve}, 300, Wishes(sets=2))
    assert set(zip(found["rule"], found["predictor"], strict=True)) == {("mixture", MIXTURES), ("all", CURVES)}
    assert set(without) == {"diverse", "top-k", "greedy-coverage"}
    assert "test sets" in without["greedy-coverage"]
    assert without["top-k"] == "no small training has mine"
    last = found[found["rule"] == "all"].iloc[-1]
    assert (last["instances"], last["error"]) == (1200, pytest.approx(80 + 100 * 1200**-0.5, abs=0.5))
    assert ((found["low"] <= found["error"]) & (found["error"] <= found["high"])).all()
    _, without = predictions(replace(evidence, small=None), {"bedlam+spec": curve}, 300, Wishes(sets=2))
    assert without["all"] == "nothing was trained on just bedlam, mine and spec"
    with pytest.raises(UsageError, match="needs something that predicts"):
        predictions(replace(evidence, small=None), {}, 300, Wishes())


def test_the_command_does_all_of_it_with_the_same_bytes_each_time(
    small_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ehps.selections.predictions.BUDGETS", 1)
    files = [saved(tmp_path / f"{name}.h5", 400, dataset=name, split="train") for name in ("bedlam", "spec")]
    test = saved(tmp_path / "test.h5", 40, dataset="spec", split="test")
    places = tmp_path / "places.csv"
    pd.DataFrame({"train_set": ["bedlam", "spec"], "rank": [1, 2]}).to_csv(places, index=False)
    words = [
        "analysis",
        "select",
        *files,
        "--test",
        test,
        "--results",
        places,
        "--runs",
        small_runs,
        "--rule",
        "mixture",
    ]
    words += ["--benchmarks", "present", "--gpu-hours", "0.01", "--json"]
    figure = tmp_path / "rules.png"
    first, again = (
        CliRunner().invoke(main, [str(word) for word in (*words, *more)]) for more in (("--figure", figure), ())
    )
    assert first.exit_code == 0, first.output
    assert first.stdout == again.stdout
    assert figure.stat().st_size > 5000
    found = json.loads(first.stdout)
    assert found["budget"] == 360
    assert {row["dataset"]: row["own_test"] for row in found["chosen"]} == {"bedlam": "", "spec": "yes"}
    assert [row["dataset"] for row in found["without_own_test"]] == ["bedlam"]
    assert found["said"][0].startswith("0.01 GPU hours at 10.0 images a second (median of 24 logged speeds")


def test_gpu_hours_are_instances_at_the_speed_that_was_measured(small_runs: Path, tmp_path: Path) -> None:
    budget, said = budget_of(2, 50.0, None)
    assert (budget, said) == (360_000, "2 GPU hours at 50.0 images a second (given) are 360,000 instances.")
    budget, said = budget_of(1, None, small_runs)
    assert budget == 36_000  # 20 images a second of two devices
    assert "median of 24 logged speeds of 12 runs of tiny on some chip" in said
    with pytest.raises(DataError, match="no finished run of pymaf"):
        budget_of(1, None, small_runs, "pymaf")
    with pytest.raises(UsageError, match="is not known"):
        budget_of(1, None, None)
    with pytest.raises(UsageError, match="less than one"):
        budget_of(1e-9, 1.0, None)
