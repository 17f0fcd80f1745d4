"""Suites that come with ehps: they load, and name what conversions make."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from ehps.benchmark.protocols import catalogue
from ehps.benchmark.suites import plan, shipped_suites
from ehps.benchmark.suites.suite import Suite
from ehps.benchmark.suites.suite_file import load_suite, read_suite
from ehps.benchmark.training.loss_weights import LossWeights
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.cli import main
from ehps.converters import registry
from ehps.converters.pipeline.whole_disk import TESTED
from ehps.errors import SettingsError, UsageError
from ehps.humandata.core import HumanData

STAGES = (5, 10, 20, 32)
SPECIALISTS = ("agora", "arctic", "dna_rendering", "egobody", "pw3d", "ubody")


@cache
def shipped(name: str) -> Suite:
    return load_suite(shipped_suites.path_of(name))


def called(*words: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["benchmark", "suites", *map(str, words)])
    assert result.exit_code == code, result.output
    return result.stdout


def test_all_are_there() -> None:
    expected = ["demo", *(f"finetune_{name}" for name in SPECIALISTS), *(f"foundation_{n}" for n in STAGES)]
    assert shipped_suites.names() == sorted([*expected, "mixtures", "reliability", "single_dataset", "smpl_single"])
    with pytest.raises(UsageError, match="Did you mean foundation_5"):
        shipped_suites.path_of("foundation_6")


def test_their_files_are_those_of_datasets_and_splits() -> None:
    known = {f"{card.id}_{split}.h5" for card in registry.cards() for split in card.splits}
    for name in shipped_suites.names():
        assert set(shipped_suites.files(shipped(name))) <= known, name


def test_tests_are_on_the_splits_that_are_published() -> None:
    for spec in shipped("single_dataset").test.values():
        dataset = next(name for name in TESTED if spec.data.stem.startswith(name))
        assert spec.data.stem in [f"{dataset}_{split}" for split in TESTED[dataset]]


DATASETS = {  # first words of the names of protocols whose dataset is called otherwise
    "egobody-ego": "egobody_ego",
    "egobody-mvset": "egobody_kinect",
    "egobody": "egobody_ego",
    "dna-rendering-hires": "renbody_hires",
    "dna-rendering": "renbody",
    "coco": "mscoco",
    "emdb": "emdb",
}
NOT_CONVERTED = {"3doh50k"}


def test_a_disk_is_converted_for_every_protocol() -> None:
    tested = set()
    for name in catalogue.names():
        dataset = next((DATASETS[words] for words in DATASETS if name.startswith(words)), name.partition("-")[0])
        if name not in NOT_CONVERTED:
            assert set(TESTED[dataset]) <= registry.card(dataset).splits.keys(), name
            tested.add(dataset)
    assert tested == TESTED.keys()


def test_single_sets_are_32_by_5() -> None:
    suite = shipped("single_dataset")
    assert (len(suite.trainings), len(suite.test)) == (32, 5)
    assert suite.config.steps * suite.config.batch_size == 1_500_000


def test_single_sets_of_a_smpl_model_are_8_by_2() -> None:
    suite = shipped("smpl_single")
    assert (suite.models, len(suite.trainings), len(suite.test)) == (("pymaf",), 8, 2)
    assert suite.config.steps * suite.config.batch_size == pytest.approx(1_500_000, abs=64)


def test_models_predict_what_their_tests_compare() -> None:
    for name in shipped_suites.names():
        assert list(plan._not_compared(shipped(name))) == [], name
    single = shipped("single_dataset")
    with pytest.raises(SettingsError, match=r"loss\.rotation_form is nothing that pymaf reads"):
        replace(single, models=("smpler_x_s", "pymaf"))
    mixed = replace(single, models=("smpler_x_s", "pymaf"), config=replace(single.config, loss=LossWeights()))
    said = list(plan._not_compared(mixed))
    assert len(said) == 4  # 3DPW's compares SMPL
    assert said[0] == (
        "test.agora.protocol: agora-val compares SMPL-X bodies, pymaf predicts SMPL; put pymaf into a suite of its own"
    )


def test_each_foundation_has_the_sets_of_the_one_before() -> None:
    before: set[tuple[str, int]] = set()
    for count in STAGES:
        (specs,) = shipped(f"foundation_{count}").train.values()
        sets = {(spec.data.name, spec.interval) for spec in specs}
        assert len(sets) == count
        assert before <= sets
        before = sets
    singles = shipped("single_dataset").train.values()
    assert before == {(spec.data.name, spec.interval) for (spec,) in singles}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("agora/agora_train.h5", "agora/agora_validation.h5", "more/bedlam_train.h5"):
        HumanData({"image_path": ["a.jpg"]}).save(tmp_path / name)
    return tmp_path


def test_files_of_a_folder_are_filled_in_and_missing_ones_named(folder: Path, tmp_path: Path) -> None:
    said = json.loads(called("finetune_agora", "--data", folder, "--json"))
    assert said["missing"] == ["gta_human2_train.h5", "synbody_train.h5", "spec_train.h5"]
    (tmp_path / "suite.yaml").write_text(called("finetune_agora", "--data", folder))
    suite = load_suite(tmp_path / "suite.yaml")
    (specs,) = suite.train.values()
    assert [spec.data for spec in specs] == [folder / "agora/agora_train.h5", folder / "more/bedlam_train.h5"]
    assert suite.test["agora"].data == folder / "agora/agora_validation.h5"
    assert suite.config == shipped("finetune_agora").config


def test_the_list_counts_what_is_missing(folder: Path) -> None:
    rows = {row["suite"]: row for row in json.loads(called("--data", folder, "--json"))}
    assert (rows["finetune_agora"]["missing"], rows["single_dataset"]["missing"]) == (3, 34)
    assert rows["foundation_32"]["instances"] == pytest.approx(45_000_000, abs=512)
    assert "single_dataset" in called()


def test_a_suite_finds_files_that_moved(folder: Path) -> None:
    suite = shipped_suites.found_in(shipped("finetune_agora"), folder)
    assert suite.test["agora"].data == folder / "agora/agora_validation.h5"
    assert sum(line.startswith("train.") and ".data is " in line for line in suite.missing_files()) == 3


# -- parts, budgets, seeds ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small() -> Suite:
    spec = SetSpec(Path("a.h5"), Path())
    test = SetSpec(Path("t.h5"), Path(), protocol="ehf")
    return Suite({"agora": (spec,), "bedlam": (spec,)}, {"agora": test, "ehf": test}, TrainConfig(batch_size=8))


def test_a_part_of_a_suite(small: Suite) -> None:
    part = small.only(["bedlam", "e*"])
    assert (list(part.train), list(part.test), part.models) == (["bedlam"], ["ehf"], ("tiny",))
    assert list(small.only(["test.agora"]).train) == ["agora", "bedlam"]
    with pytest.raises(UsageError, match=r"'agora' fits names of train and test.*train.agora or test.agora"):
        small.only(["agora"])
    with pytest.raises(UsageError, match="the suite has no 'rich'"):
        small.only(["rich"])


def test_a_budget_is_steps_of_whole_batches(small: Suite, tmp_path: Path) -> None:
    assert small.with_budget("1000").config.steps == 125
    assert small.with_budget(1001).config.steps == 126
    for wrong in ("0", "some"):
        with pytest.raises(UsageError, match="the budget is"):
            small.with_budget(wrong)
    text = "train: {a: a.h5}\ntest: {e: {data: e.h5, protocol: ehf}}\nbatch_size: 8\n"
    (tmp_path / "suite.yaml").write_text(text + "budget: 1000\n")
    assert load_suite(tmp_path / "suite.yaml").config.steps == 125
    (tmp_path / "suite.yaml").write_text(text + "budget: 1000\nsteps: 7\nseeds: [1, 1, x]\n")
    with pytest.raises(SettingsError) as error:
        load_suite(tmp_path / "suite.yaml")
    assert [line.partition(":")[2].strip() for line in error.value.lines] == [
        "budget and steps are both given; each says how long is trained",
        "seeds[2] is 'x', not a whole number from 0 to 4,294,967,295",
        "seeds has 1 2 times",
    ]


def test_each_seed_has_a_folder_and_the_own_one_keeps_that_of_before(small: Suite) -> None:
    several = small.with_seeds(["2023", "7"])
    assert several.config.seed == 2023
    folders = [several.folder(Path("out"), one).as_posix() for one in several.only(["train.agora"]).trainings]
    assert folders == ["out/agora/tiny", "out/agora/tiny/seed_7"]
    assert [several.settings(one).seed for one in several.trainings] == [2023, 7, 2023, 7]
    assert read_suite(several.to_dict()).seeds == (2023, 7)
    with pytest.raises(SettingsError, match="seeds has 3 2 times"):
        small.with_seeds(["3", "3"])
