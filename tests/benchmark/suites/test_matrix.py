"""Run folders, suites and results: what exists is not made again, what fails is kept with its reason."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ehps.benchmark import results
from ehps.benchmark.suites import evaluation
from ehps.benchmark.suites.evaluation import evaluate, rescore, train_cell
from ehps.benchmark.suites.matrix import Suite, load_suite, run_suite, status
from ehps.benchmark.suites.plan import faults, plan
from ehps.benchmark.suites.runs import Run
from ehps.benchmark.suites.suite_file import read_suite
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.benchmark.training.train_log import read_log
from ehps.body.models import BodyModels
from ehps.cli import main
from ehps.errors import DataError, UsageError
from ehps.humandata.core import HumanData
from tests.drawn_people import Style, people, write_set

CONFIG = TrainConfig(
    model_args={"width": 32, "depth": 1, "heads": 2}, steps=2, batch_size=4, workers=0, log_every=1, lr=1e-3
)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> dict[str, SetSpec]:
    folder = tmp_path_factory.mktemp("sets")
    rng = np.random.default_rng(0)
    out = {}
    for seed, name in enumerate(("one", "two", "test")):
        path = write_set(folder, people(5, rng, Style()), models, seed=seed, name=name)
        out[name] = SetSpec(path, folder, protocol="egobody-ego" if name == "test" else "")
    return out


@pytest.fixture(scope="module")
def made(sets: dict[str, SetSpec], models: BodyModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run that was trained and evaluated; read-only."""
    trained = train_cell(tmp_path_factory.mktemp("made") / "run", "one", sets["one"], CONFIG, models, progress=False)
    evaluate(trained.folder, "ego", sets["test"], models)
    return trained.folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Run:
    """A copy of the run that a test may change."""
    return Run(shutil.copytree(made, tmp_path / "run"))


def test_a_run_folder_holds_all_that_was_promised(run: Run, sets: dict[str, SetSpec]) -> None:
    config = json.loads((run.folder / "config.yaml").read_text())
    assert config["steps"] == 2
    manifest = run.manifest
    assert manifest["train_set"] == "one"
    assert manifest["seed"] == 2023
    assert len(manifest["weights_sha256"]) == 64
    assert manifest["training"]["data"]
    cell = run.cells[0]
    assert {m["n"] for m in cell["metrics"]} == {5}
    assert cell["definition"]["name"] == "egobody-ego"
    assert cell["printed"]["MPVPE (All)"] == next(
        m["value"] for m in cell["metrics"] if (m["part"], m["metric"]) == ("all", "PVE")
    )
    errors = run.errors()
    assert set(errors.columns) >= {"truth_row", "image_path", "sequence", "part", "metric", "value", "test_set"}
    mine = errors[(errors.part == "all") & (errors.metric == "PVE")]
    assert mine.value.mean() == pytest.approx(cell["printed"]["MPVPE (All)"])
    assert sorted(mine.truth_row) == [0, 1, 2, 3, 4]
    assert mine.sequence.tolist()[0] == "test/take0"


def test_predictions_are_humandata_in_the_camera_of_each_box(run: Run, models: BodyModels) -> None:
    hd = HumanData.open(run.predictions("ego"))
    assert hd.passport.body_model == "smplx"
    assert hd.passport.flat_hand_mean is False
    assert hd.passport.focal == "virtual"
    assert hd["meta/truth_row"].tolist() == [0, 1, 2, 3, 4]
    from ehps.benchmark.protocols.true_bodies import parameters

    joints = models.joints(parameters(hd, np.arange(5)))
    pixels = joints[..., :2] / joints[..., 2:] * hd["meta/focal_length"][:, None] + hd["meta/principal_point"][:, None]
    box = hd["bbox_xywh"]
    # an untrained person stands in the middle of the box and is about as tall
    assert (np.abs(pixels[:, 0] - (box[:, :2] + box[:, 2:4] / 2)) < box[:, 2:4] / 2).all()
    height = np.ptp(pixels[..., 1], axis=1)
    assert ((height > 0.3 * box[:, 3]) & (height < 1.5 * box[:, 3])).all()


def test_nothing_is_computed_twice(
    run: Run, sets: dict[str, SetSpec], models: BodyModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*") if path.is_file()}
    for name in ("train", "predict", "score"):
        monkeypatch.setattr(evaluation, name, _never)
    train_cell(run.folder, "one", sets["one"], replace(CONFIG, workers=3), models, progress=False)
    result = evaluate(run.folder, "ego", sets["test"], models)
    assert result.primary == run.cells[0]["printed"]["MPVPE (All)"]
    assert len(result.errors) == len(run.errors())
    kept = {path: path.stat().st_mtime_ns for path in before if path.name not in ("manifest.json", "config.yaml")}
    assert all(before[path] == kept[path] for path in kept)


def _never(*_: object, **__: object) -> None:
    raise AssertionError("was computed again")


def test_what_many_processes_note_at_once_is_all_kept(run: Run) -> None:
    """Threads in their place: each opens the files for itself."""
    cell, errors = run.cells[0], run.errors().drop(columns=["test_set", "protocol"])

    def test(name: str) -> None:
        run.note(timings={name: {"rows": 1, "seconds": 1.0}})
        run.store({**cell, "test_set": name}, errors)

    names = [f"test{i}" for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(test, names))
    assert set(names) < set(run.manifest["timings"])
    assert {one["test_set"] for one in run.cells} == {"ego", *names}
    assert set(run.errors()["test_set"]) == {"ego", *names}


def test_another_configuration_or_other_data_do_not_share_a_folder(
    run: Run, sets: dict[str, SetSpec], models: BodyModels
) -> None:
    with pytest.raises(UsageError, match="steps is 2, not 1"):
        train_cell(run.folder, "one", sets["one"], replace(CONFIG, steps=1), models)
    with pytest.raises(UsageError, match=r"lr is 0.001, not 0.002"):
        train_cell(run.folder, "one", sets["one"], replace(CONFIG, steps=3, lr=2e-3), models)
    with pytest.raises(UsageError, match="train_set is 'one', not 'two'"):
        train_cell(run.folder, "two", sets["two"], CONFIG, models)
    with pytest.raises(UsageError, match="its training data are taken as 'every row, images of a folder', not 'interv"):
        train_cell(run.folder, "one", replace(sets["one"], interval=2), replace(CONFIG, steps=3), models)
    run.failed("training", "it holds another run")
    assert train_cell(run.folder, "one", sets["one"], CONFIG, models).failures == {}


def test_a_suite_of_other_settings_is_refused_before_it_marks_finished_runs(
    made: Path, sets: dict[str, SetSpec], models: BodyModels, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    shutil.copytree(made, out / "one/tiny")
    suite = Suite({"one": (sets["one"],), "two": (sets["two"],)}, {"ego": sets["test"]}, CONFIG)
    assert faults(suite, models.folder, out) == []
    (said,) = faults(replace(suite, config=replace(CONFIG, steps=1)), models.folder, out)
    assert said.startswith(f"{out / 'one/tiny'} holds another run: steps is 2, not 1")
    assert faults(replace(suite, config=replace(CONFIG, steps=3)), models.folder, out) == []


def test_changed_test_data_are_predicted_again(
    run: Run, sets: dict[str, SetSpec], models: BodyModels, tmp_path: Path
) -> None:
    hd = HumanData.open(sets["test"].data)
    changed = SetSpec(hd[:3].save(tmp_path / "fewer.h5"), sets["test"].images, protocol="egobody-ego")
    result = evaluate(run.folder, "ego", changed, models)
    assert {line["n"] for line in result.metrics} == {3}
    assert len(run.cells) == 1


def test_stored_predictions_are_scored_under_another_protocol_without_the_model(
    run: Run, models: BodyModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(run.folder / "checkpoints")
    result = rescore(run.folder, "ubody-intra[step=1]", models)
    assert result.protocol.id == "ubody-intra[step=1]"
    assert [c["protocol"] for c in run.cells] == ["egobody-ego", "ubody-intra[step=1]"]
    frame = results.load(run.folder.parent)
    assert set(frame["protocol"]) == {"egobody-ego", "ubody-intra[step=1]"}
    with pytest.raises(UsageError, match=r"different protocols.*visibility: 'all' and 'inside-image'"):
        results.table(frame)
    with pytest.raises(UsageError, match="no predictions of 'other'"):
        rescore(run.folder, "egobody-ego", models, test_set="other")


def test_results_stored_with_descriptions_in_the_protocol_stand_beside_new_ones(run: Run) -> None:
    other = run.folder.with_name("former")
    shutil.copytree(run.folder, other)
    stored = json.loads((other / "metrics.json").read_text())
    stored["cells"][0]["definition"] |= {"joints": "14", "alignment": "pelvis", "boxes": "bbox_xywh of the file"}
    (other / "metrics.json").write_text(json.dumps(stored))
    frame = results.load(run.folder.parent)
    assert set(frame["run"]) == {"run", "former"}
    assert frame.attrs["protocols"]["egobody-ego"] == run.cells[0]["definition"]


def test_a_model_trained_elsewhere_can_be_tested(
    run: Run, sets: dict[str, SetSpec], models: BodyModels, tmp_path: Path
) -> None:
    result = evaluate(tmp_path / "new", "ego", sets["test"], models, checkpoint=run.checkpoint)
    assert result.primary == run.cells[0]["printed"]["MPVPE (All)"]
    assert results.load(tmp_path / "new")["model"].unique().tolist() == ["tiny"]


@pytest.fixture
def small_suite(sets: dict[str, SetSpec]) -> Suite:
    broken = SetSpec(sets["two"].data, sets["two"].images / "nowhere")
    return Suite(
        train={"one": (sets["one"],), "both": (sets["one"], sets["two"]), "broken": (broken,)},
        test={"ego": sets["test"], "shoes": replace(sets["test"], protocol="ehf")},
        config=CONFIG,
    )


def test_a_suite_keeps_failures_and_goes_on(
    small_suite: Suite, models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = run_suite(small_suite, tmp_path, body_models=models, progress=False)
    state = table.set_index(["train_set", "test_set"])["state"].to_dict()
    assert state == {
        ("one", "ego"): "done",
        ("both", "ego"): "done",
        ("broken", "ego"): "failed",
        ("one", "shoes"): "failed",
        ("both", "shoes"): "failed",
        ("broken", "shoes"): "failed",
    }
    reasons = table.set_index(["train_set", "test_set"])["reason"]
    assert "no such image" in reasons["broken", "ego"]
    assert "vertices3d_path" in reasons["one", "shoes"]
    assert np.isfinite(table.set_index(["train_set", "test_set"])["value"]["one", "ego"])
    frame = results.load(tmp_path)
    assert list(frame.columns[:8]) == list(results.COLUMNS)
    assert set(frame["train_set"]) == {"one", "one+two"}
    assert results.table(frame).shape == (2, 1)
    assert set(results.load_errors(tmp_path)["train_set"]) == {"one", "one+two"}
    # again: only what failed is tried
    trained = []
    real = evaluation.train
    monkeypatch.setattr(evaluation, "train", lambda *a, **k: trained.append(a) or real(*a, **k))
    again = run_suite(small_suite, tmp_path, body_models=models, progress=False)
    assert len(trained) == 1
    pd.testing.assert_frame_equal(again, table)


def test_a_repaired_cell_is_made_and_its_failure_forgotten(
    sets: dict[str, SetSpec], models: BodyModels, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    broken = SetSpec(sets["two"].data, images)
    small = Suite(train={"two": (broken,)}, test={"ego": sets["test"]}, config=CONFIG)
    assert run_suite(small, tmp_path / "out", body_models=models, progress=False)["state"].tolist() == ["failed"]
    images.symlink_to(sets["two"].images)
    assert run_suite(small, tmp_path / "out", body_models=models, progress=False)["state"].tolist() == ["done"]
    assert Run(tmp_path / "out/two/tiny").failures == {}


def test_programming_errors_keep_their_traceback(
    sets: dict[str, SetSpec], models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "evaluate", lambda *a, **k: 1 / 0)
    small = Suite(train={"one": (sets["one"],)}, test={"ego": sets["test"]}, config=CONFIG)
    table = run_suite(small, tmp_path, body_models=models, progress=False)
    assert table["reason"][0] == "ZeroDivisionError: division by zero"
    assert "Traceback" in Run(tmp_path / "one/tiny").failures["test_ego"]["traceback"]


def test_a_suite_file_is_read_relative_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(
        "model: tiny\nsteps: 5\ntrain:\n  a: {data: a.h5, images: raw}\n  ab: [a.h5, b.h5]\n"
        "test:\n  ehf: {data: ehf.h5, images: raw/ehf, protocol: ehf}\n"
    )
    loaded = load_suite(path)
    assert loaded.train["a"] == (SetSpec(tmp_path / "a.h5", tmp_path / "raw"),)
    assert [s.data.name for s in loaded.train["ab"]] == ["a.h5", "b.h5"]
    assert loaded.config.steps == 5
    assert read_suite(loaded.to_dict()).to_dict() == loaded.to_dict()
    for bad, message in (
        ("stepz: 5\n", "stepz"),
        ("- a\n", "not a suite"),
        ("train: {a: a.h5}\n", "no test set"),
        ("train: {a: a.h5}\ntest: {e: e.h5}\n", "has no protocol"),
        ("train: {a: a.h5}\ntest: {e: {data: e.h5, protocol: never}}\n", "there is no protocol 'never'"),
        ("train: {a/b: a.h5}\ntest: {e: {data: e.h5, protocol: ehf}}\n", "a/b"),
        ("train: {a: {data: a.h5, imges: x}}\ntest: {e: e.h5}\n", "imges"),
        ("a: [\n", "not YAML"),
    ):
        path.write_text(bad)
        with pytest.raises(UsageError, match=message):
            load_suite(path)
    with pytest.raises(UsageError, match="no such suite"):
        load_suite(tmp_path / "none.yaml")
    with pytest.raises(DataError, match="holds no suite"):
        status(tmp_path)


def write_suite(path: Path, sets: dict[str, SetSpec], *, steps: int = 2, protocol: str = "egobody-ego") -> Path:
    train = "".join(f"  {name}: {{data: {sets[name].data}, images: {sets[name].images}}}\n" for name in ("one", "two"))
    test = f"  ego: {{data: {sets['test'].data}, images: {sets['test'].images}, protocol: '{protocol}'}}\n"
    settings = f"steps: {steps}\nbatch_size: 4\nworkers: 0\nlog_every: 1\nlr: 1e-3\n"
    model = "model_args: {width: 32, depth: 1, heads: 2}\n"
    path.write_text(f"train:\n{train}test:\n{test}{settings}{model}")
    return path


def planned(suite: Path, out: Path, *words: str | Path, code: int = 0) -> dict:
    line = ["benchmark", "run", suite, "--out", out, "--dry-run", "--json", *words]
    result = CliRunner().invoke(main, [str(word) for word in line])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_a_dry_run_shows_what_is_done_and_about_how_long_the_rest_takes(
    made: Path, sets: dict[str, SetSpec], models: BodyModels, tmp_path: Path
) -> None:
    suite = write_suite(tmp_path / "suite.yaml", sets)
    words = ("--body-models", models.folder)
    new = planned(suite, tmp_path / "runs", *words)
    assert [(entry["set"], entry["role"], entry["rows"]) for entry in new["sets"]] == [
        ("one", "train", 5),
        ("two", "train", 5),
        ("ego", "test", 5),
    ]
    assert [(cell["training"], cell["tests"], cell["left"]) for cell in new["cells"]] == [
        ("2 steps", "0 of 1", ["ego"])
    ] * 2
    assert (new["missing"], new["seconds"]) == ([], None)
    assert not (tmp_path / "runs").exists()
    shutil.copytree(made, tmp_path / "runs/one/tiny")
    some = planned(suite, tmp_path / "runs", *words)
    assert [(cell["training"], cell["tests"]) for cell in some["cells"]] == [("done", "1 of 1"), ("2 steps", "0 of 1")]
    speed = np.median([line["images_per_second"] for line in read_log(made / "train.jsonl")])
    tested = Run(made).manifest["timings"]["ego"]
    assert tested["rows"] == 5
    assert some["seconds"] == pytest.approx(2 * 4 / speed + tested["seconds"], rel=0.01)
    longer = write_suite(tmp_path / "suite.yaml", sets, steps=4)
    cells = [(cell["training"], cell["tests"]) for cell in planned(longer, tmp_path / "runs", *words)["cells"]]
    assert cells == [("2 of 4 steps", "0 of 1"), ("4 steps", "0 of 1")]


def test_a_dry_run_names_all_that_is_missing(sets: dict[str, SetSpec], models: BodyModels, tmp_path: Path) -> None:
    few = tmp_path / "models"
    (few / "smplx").mkdir(parents=True)
    (few / "smplx/SMPLX_MALE.npz").symlink_to(models.folder / "smplx/SMPLX_MALE.npz")
    other = {
        **sets,
        "one": replace(sets["one"], data=tmp_path / "none.h5"),
        "two": replace(sets["two"], images=tmp_path),
    }
    suite = write_suite(tmp_path / "suite.yaml", other, protocol="ehf")
    missing = planned(suite, tmp_path / "runs", "--body-models", few, code=1)["missing"]
    expected = (
        "train.one.data is ",
        "train.two.images: 5 of 5 images looked at are not below",
        "test.ego: ",
        "neutral SMPL-X model in ",
    )
    assert sorted(line[: len(start)] for line, start in zip(sorted(missing), sorted(expected), strict=True)) == sorted(
        expected
    )
    words = [str(word) for word in ("benchmark", "run", suite, "--out", tmp_path / "runs", "--dry-run")]
    shown = CliRunner().invoke(main, words)
    assert "pass --body-models DIR" in shown.stdout
    assert shown.stdout.splitlines()[-1].startswith("time: not known")
    assert shown.exit_code == 1


def test_a_dry_run_of_a_model_for_smpl_wants_its_neutral_model_and_a_mixture_is_as_long_as_its_longest_set(
    sets: dict[str, SetSpec], models: BodyModels, tmp_path: Path
) -> None:
    few = tmp_path / "models"
    (few / "smplx").mkdir(parents=True)
    (few / "smplx/SMPLX_NEUTRAL.npz").symlink_to(models.folder / "smplx/SMPLX_NEUTRAL.npz")
    one, two = ({"data": str(sets[name].data), "images": str(sets[name].images)} for name in ("one", "two"))
    content = {
        "train": {"both": [one, {**two, "interval": 2, "weight": 0.3}]},
        "test": {"ego": {**one, "protocol": "egobody-ego"}},
        **{"models": ["smpler"], "strategy": "mixture", "epochs": 2, "batch_size": 2},
    }
    suite = tmp_path / "suite.json"
    suite.write_text(json.dumps(content))
    said = planned(suite, tmp_path / "runs", "--body-models", few, code=1)
    assert [line.split(" in ")[0] for line in said["missing"] if "model in" in line] == ["neutral SMPL model"]
    assert [cell["training"] for cell in said["cells"]] == ["5 steps"]


def test_a_dry_run_counts_the_rows_that_are_trained_on(
    sets: dict[str, SetSpec], models: BodyModels, tmp_path: Path
) -> None:
    hd = HumanData.open(sets["one"].data)
    boxes = np.array(hd["bbox_xywh"])
    boxes[1, 2], boxes[2, 0] = 0, 5000  # no area; beside its image
    path = hd.with_columns({"bbox_xywh": boxes}).save(tmp_path / "odd.h5")
    odd = SetSpec(path, sets["one"].images, interval=2)
    suite = Suite({"odd": (odd,)}, {"ego": sets["test"]}, replace(CONFIG, epochs=3, batch_size=1))
    planned = plan(suite, tmp_path / "runs", models.folder)
    steps = planned.cells[0]["training"]
    trained = train_cell(tmp_path / "run", "odd", odd, suite.config, models, progress=False)
    assert planned.sets[0]["rows"] == trained.manifest["trained_on"][0]["instances"] == 2
    assert steps == f"{trained.step} steps" == "6 steps"


def test_a_run_is_refused_before_it_begins_when_a_test_would_fail(
    sets: dict[str, SetSpec], models: BodyModels, tmp_path: Path
) -> None:
    suite = write_suite(tmp_path / "suite.yaml", sets, protocol="ehf")
    words = ("benchmark", "run", suite, "--out", tmp_path / "runs", "--body-models", models.folder)
    refused = CliRunner().invoke(main, [str(word) for word in words])
    assert refused.exit_code == 2
    assert "test.ego: " in refused.stderr
    assert "is test; protocol ehf wants the vertices of its meshes (vertices3d_path)" in refused.stderr
    assert "Protocols that it fits: agora-val, agora-official, ubody-intra, egobody-ego" in refused.stderr
    assert not (tmp_path / "runs").exists()


# -- predictions are kept, folders move, seeds -----------------------------------------------------------------------


def test_changed_code_of_a_metric_scores_stored_predictions_again(
    run: Run, sets: dict[str, SetSpec], models: BodyModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, scored = evaluation.code_of("ehps.benchmark.protocols.scoring"), []
    assert {"ehps.benchmark.protocols.metrics", "ehps.benchmark.protocols.points", "ehps.body.meshes"} <= set(code)
    real = evaluation.score
    monkeypatch.setattr(evaluation, "predict", _never)
    monkeypatch.setattr(evaluation, "score", lambda *a, **k: scored.append(a) or real(*a, **k))
    evaluate(run.folder, "ego", sets["test"], models)
    assert scored == []
    monkeypatch.setattr(evaluation, "code_of", lambda _: code | {"ehps.benchmark.protocols.metrics": "other"})
    evaluate(run.folder, "ego", sets["test"], models)
    assert len(scored) == 1
    assert len(run.cells) == 1


@pytest.fixture
def moved(
    run: Run, sets: dict[str, SetSpec], models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """A run that was tested on a relative path, moved together with its data."""
    old = tmp_path / "old"
    shutil.copytree(sets["test"].images, old / "data")
    shutil.move(run.folder, old / "run")
    monkeypatch.chdir(old / "data")
    evaluate(old / "run", "near", replace(sets["test"], data=Path("test.h5"), images=Path()), models)
    monkeypatch.chdir(tmp_path)
    old.rename(tmp_path / "new")
    return Run(tmp_path / "new/run")


def test_the_test_file_of_a_moved_run_is_found_from_the_run(moved: Run, models: BodyModels) -> None:
    place = moved.manifest["tests"]["near"]
    assert Path(place["data"]).is_absolute()
    assert place["data_from_here"] == "../data/test.h5"
    assert rescore(moved.folder, "ubody-intra[step=1]", models, test_set="near").primary > 0


def test_the_test_file_of_a_moved_run_is_found_by_its_content(moved: Run, models: BodyModels, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "new/data/test.h5").rename(tmp_path / "store/other_name.h5")
    words = ["benchmark", "rescore", moved.folder, "--protocol", "agora-val", "--name", "near"]
    words += ["--body-models", models.folder, "--json"]
    gone = CliRunner().invoke(main, [str(word) for word in words])
    assert gone.exit_code == 1
    assert "is not there any more. Name its folder or the file with --data" in gone.stderr
    found = CliRunner().invoke(main, [str(word) for word in [*words, "--data", tmp_path / "store"]])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)
    (tmp_path / "store/other_name.h5").unlink()
    nothing = CliRunner().invoke(main, [str(word) for word in [*words, "--data", tmp_path / "store"]])
    assert "has none of its 0 files the content of test.h5" in nothing.stderr


def test_the_manifest_says_what_a_run_was_made_with(made: Path) -> None:
    said = Run(made).manifest["environment"]
    assert {"commit", "device", "driver", "torch"} <= set(said)
    assert said["device"]


def test_seeds_are_trainings_apart_and_their_mean_and_spread_one_row(
    made: Path, sets: dict[str, SetSpec], models: BodyModels, tmp_path: Path
) -> None:
    small = Suite(train={"one": (sets["one"],)}, test={"ego": sets["test"]}, config=CONFIG, seeds=(2023, 5))
    shutil.copytree(made, tmp_path / "one/tiny")
    table = run_suite(small, tmp_path, body_models=models, progress=False)
    assert table["seed"].tolist() == [2023, 5]
    assert table["state"].tolist() == ["done", "done"]
    frame = results.load(tmp_path)
    assert set(frame["train_set"]) == {"one"}
    together = results.over_seeds(frame)
    line = together[(together["part"] == "all") & (together["metric"] == "PVE")].iloc[0]
    assert line["value"] == pytest.approx(table["value"].mean())
    assert (line["seeds"], line["sd"]) == (2, pytest.approx(table["value"].std()))
