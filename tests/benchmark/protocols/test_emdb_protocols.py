"""EMDB 1 and EMDB 2 against a plain second computation, and from a raw tree on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ehps.benchmark.protocols import catalogue, tracks
from ehps.benchmark.protocols.scoring import Score, score
from ehps.body.models import BodyModels
from ehps.cli import main
from ehps.converters.pipeline import convert
from ehps.humandata.core import HumanData
from tests.benchmark.protocols import reference_emdb
from tests.benchmark.protocols.films import Films, write_films
from tests.benchmark.protocols.reference import Numbers
from tests.raw import emdb

CHUNK = 10  # in place of 100


@pytest.fixture(scope="module")
def films(models: BodyModels) -> Films:
    return write_films(models)


def compare(result: Score, rows: dict[int, Numbers], table: Numbers) -> None:
    """Instances and sets are the same, and none is absent on one side."""
    assert not result.not_computed
    mine = {(e.truth_row, e.part, e.metric): e.value for e in result.errors.itertuples()}
    theirs = {(row, *key): value for row, numbers in rows.items() for key, value in numbers.items()}
    assert mine.keys() == theirs.keys()
    lines = {(line["part"], line["metric"]): line["value"] for line in result.metrics}
    assert lines.keys() == table.keys()
    for one, other in ((mine, theirs), (lines, table)):
        far = {key: (one[key], other[key]) for key in other if abs(one[key] - other[key]) > tolerance(key[-1])}
        assert not far


def tolerance(metric: str) -> float:
    """Jitter magnifies what float32 rounds by 27,000."""
    return {"Jitter": 0.1, "MPJAE": 1e-3, "PA-MPJAE": 1e-3, "RTE": 1e-3}.get(metric, 0.02)


# -- a second computation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_type", ["smpl", "smplx"])
def test_emdb1_before_the_camera(films: Films, model_type: str) -> None:
    made = films.predictions[model_type]
    rows, table = reference_emdb.emdb1(films.truth, made, films.bodies, model_type)
    result = score(made, films.truth, catalogue.get("emdb1"), films.models)
    compare(result, rows, table)
    assert result.metrics[-1]["metric"] == "Jitter"


@pytest.mark.parametrize("model_type", ["smpl", "smplx"])
@pytest.mark.parametrize("placed", ["own cameras", "world", "true cameras"])
def test_emdb2_in_the_world(films: Films, model_type: str, placed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, spec, cameras = films.predictions[model_type], "emdb2", films.cameras
    if placed == "own cameras":
        made = made.with_columns({"meta/RT": cameras})
    elif placed == "true cameras":
        spec, cameras = "emdb2[extrinsics=true]", films.truth["meta/RT"][made["meta/truth_row"]]
    else:
        made, cameras = made[:], None
        made.passport = made.passport.with_(frame="world")
    monkeypatch.setattr(tracks, "CHUNK", CHUNK)
    rows, table = reference_emdb.emdb2(films.truth, made, films.bodies, model_type, cameras, CHUNK)
    result = score(made, films.truth, catalogue.get(spec), films.models, batch_size=32)
    compare(result, rows, table)
    lines = {line["metric"]: line for line in result.metrics}
    n = len(films.truth)
    assert (lines["WA-MPJPE"]["n"], lines["Jitter"]["n"], lines["Jitter"]["skipped"]) == (n, n - 6, 6)
    assert 0 < lines["foot-sliding"]["n"] < n - 2


# -- from a raw tree on ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> emdb.Tree:
    return emdb.write_fixture(tmp_path_factory.mktemp("raw") / "EMDB", body_models, np.random.default_rng(7))


def cli(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_converted_tree_is_scored_in_both_parts(tree: emdb.Tree, tmp_path: Path, body_models: Path) -> None:
    """Everybody as the annotation has them, half a metre to the right: PVE and MPJPE are 0, RTE too, and the jitter is
    that of the raw numbers in the world."""
    for part in ("emdb1", "emdb2"):
        path, out = tmp_path / f"{part}.h5", tmp_path / f"{part}_made.h5"
        convert("emdb", tree.root, out=path, body_models=body_models, split=part, progress=False)
        truth = HumanData.open(path)
        shift = np.eye(4)
        shift[:3, 3] = 0.5, 0, 0
        made = {"meta/RT": truth["meta/RT"] @ shift, "meta/truth_row": np.arange(len(truth))}
        truth.with_columns(made).without(["meta/emdb1", "meta/emdb2"]).save(out)
        said = json.loads(
            cli("benchmark", "score", out, path, "--protocol", part, "--body-models", body_models, "--json")
        )
        found = {line["metric"]: line for line in said}
        zero = {"emdb1": ("PVE", "PA-PVE", "MPJPE", "PA-MPJPE"), "emdb2": ("WA-MPJPE", "W-MPJPE", "RTE")}[part]
        assert max(found[metric]["value"] for metric in zero) < 0.02
        assert {found[metric]["n"] for metric in zero} == {len(emdb.ROWS[part])}
        if part == "emdb2":
            assert found["Jitter"]["value"] == pytest.approx(world_jitter(tree), abs=0.05)


def world_jitter(tree: emdb.Tree) -> float:
    """Of the raw sequences that are in emdb2 and have more than three frames, in 10 m/s^3."""
    joints = []
    for frame in range(4):
        extrinsics = emdb.read(tree.root, emdb.STAIRS)["camera"]["extrinsics"][frame]
        seen = tree.people[emdb.STAIRS].joints[frame, :24]
        joints.append((seen - extrinsics[:3, 3]) @ extrinsics[:3, :3])
    change = joints[3] - 3 * joints[2] + 3 * joints[1] - joints[0]
    return float(np.linalg.norm(change, axis=1).mean() * 30**3 / 10)


def test_both_are_listed() -> None:
    listed = cli("benchmark", "protocols")
    assert "emdb1" in listed
    assert "emdb2" in listed
    assert "14 joints" in cli("benchmark", "protocols", "emdb1")
