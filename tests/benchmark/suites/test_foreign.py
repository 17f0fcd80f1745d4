"""Predictions of any origin through the command line: scored, written, compared; helper files that are missing."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ehps.benchmark.protocols import catalogue, pages
from ehps.benchmark.protocols.scoring import score
from ehps.benchmark.suites.foreign import has_tracks_of, rows_by_image, score_files
from ehps.body.models import BodyModels
from ehps.cli import main
from ehps.errors import BodyModelError, DataError
from ehps.humandata.core import HumanData
from ehps.humandata.passport import Passport
from tests.drawn_people import Style, people, write_set

N = 5


@dataclass(frozen=True)
class Files:
    """A test set, predictions of it, and the folder of body models."""

    truth: Path
    predictions: Path
    models: Path

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code and what is printed on both streams."""
        result = CliRunner().invoke(main, ["benchmark", *arguments, "--body-models", str(self.models)])
        return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> Files:
    folder, rng = tmp_path_factory.mktemp("foreign"), np.random.default_rng(2)
    params = people(N, rng, Style(0.3, 0.3))
    truth = write_set(folder, params, models, name="truth")
    guess = params.with_(body_pose=params.body_pose + rng.normal(0, 0.1, params.body_pose.shape))
    columns = {f"smplx/{name}": value for name, value in guess.arrays().items()}
    hd = HumanData(
        {"image_path": HumanData.open(truth)["image_path"], **columns},
        passport=Passport(body_model="smplx", gender="neutral", flat_hand_mean=False, num_betas=10),
    )
    return Files(truth, hd.save(folder / "predictions.h5"), models.folder)


def test_predictions_are_scored_without_a_run_and_compared(files: Files, tmp_path: Path) -> None:
    scores = {}
    for name, protocol in (("a", "egobody-ego"), ("b", "egobody-ego[mesh_alignment=model-mid-hip]")):
        out = tmp_path / "new" / f"{name}.json"
        call = ["score", str(files.predictions), str(files.truth), "--protocol", protocol, "--out", str(out), "--json"]
        code, printed, said = files.run(*call)
        assert code == 0
        assert "paired with the truth by image" in said
        scores[name] = {(line["part"], line["metric"]): line["value"] for line in json.loads(printed)}
    a, b = (str(tmp_path / "new" / f"{name}.json") for name in "ab")
    result = CliRunner().invoke(main, ["benchmark", "compare", a, b, "--json"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert [(row["field"], row["a"], row["b"]) for row in found["fields"]] == [
        ("mesh_alignment", "regressed-pelvis", "model-mid-hip")
    ]
    lines = {(row["part"], row["metric"]): row for row in found["numbers"]}
    for key, line in lines.items():
        assert line["difference"] == pytest.approx(scores["b"][key] - scores["a"][key])
        changed = key == ("all", "PVE")
        assert (abs(line["difference"]) > 1e-6) == changed
    whole = next(row for row in found["instances"] if (row["part"], row["metric"]) == ("all", "PVE"))
    assert whole["n"] == N
    assert whole["mean_difference"] == pytest.approx(lines["all", "PVE"]["difference"])
    errors = [pd.read_parquet(tmp_path / "new" / f"{name}.errors.parquet") for name in "ab"]
    mine = [frame[(frame.part == "all") & (frame.metric == "PVE")].set_index("truth_row").value for frame in errors]
    largest = (mine[1] - mine[0]).abs().sort_values(ascending=False)
    assert [row["truth_row"] for row in found["worst"]] == largest.index.tolist()


def test_two_protocols_are_compared_by_their_fields() -> None:
    result = CliRunner().invoke(main, ["benchmark", "compare", "pw3d-smplerx", "pw3d-challenge", "--json"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    fields = {row["field"] for row in found["fields"]}
    assert {"joints", "metrics", "prediction", "joint_alignment"} <= fields
    assert not found["numbers"]


@pytest.mark.parametrize(
    ("one", "said"),
    [("nowhere/runs", "no such run folder"), ("pw3d", "no run folder, file of metrics or protocol")],
)
def test_what_is_neither_run_nor_protocol_is_refused(one: str, said: str) -> None:
    result = CliRunner().invoke(main, ["benchmark", "compare", one, "ehf"])
    assert result.exit_code in (1, 2)
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_every_protocol_has_a_page_with_every_field_that_acts() -> None:
    for protocol in catalogue.all_protocols():
        text = pages.page(protocol)
        assert all(f"\n{name} = " in text for name in protocol.settable)
    result = CliRunner().invoke(main, ["benchmark", "protocols", "--json"])
    assert [row["protocol"] for row in json.loads(result.stdout)] == list(catalogue.names())
    whole = json.loads(CliRunner().invoke(main, ["benchmark", "protocols", "ehf", "--json"]).stdout)
    assert whole["fields"]["truth"]["value"] == "given-vertices"
    assert whole["fields"]["truth"]["choices"].keys() >= {"neutral-parameters", "gendered-parameters"}


def test_rows_are_paired_by_image_and_place(tmp_path: Path) -> None:
    truth = HumanData({"image_path": ["b", "a", "b", "c"]})
    assert rows_by_image(HumanData({"image_path": ["a", "b", "b"]}), truth).tolist() == [1, 0, 2]
    with pytest.raises(DataError, match="b has 1 predictions and 2 people"):
        rows_by_image(HumanData({"image_path": ["a", "b"]}), truth)
    with pytest.raises(DataError, match=r"does not list \(first: d\)"):
        rows_by_image(HumanData({"image_path": ["d"]}), truth)


def test_bodies_with_the_tracks_of_the_truth_are_paired_by_them(
    files: Files, models: BodyModels, tmp_path: Path
) -> None:
    """All in one image, the predictions in another order."""
    together = {"image_path": ["one.jpg"] * N, "meta/track_id": [f"p{i}" for i in range(N)]}
    truth = HumanData.open(files.truth).with_columns(together)
    made = HumanData.open(files.predictions).with_columns(together)
    spec, path = 'egobody-ego[metrics=["PVE"]]', truth.save(tmp_path / "truth.h5")
    straight, turned = (score_files(one, path, spec, models) for one in (made, made[::-1]))
    assert turned.primary == pytest.approx(straight.primary)
    assert turned.remarks == ["predictions are paired with the truth by image and track"]
    trackers_own = made.with_columns({"meta/track_id": np.arange(N)})
    assert not has_tracks_of(trackers_own, truth)
    assert not has_tracks_of(made[[0, 0]], truth)


class TestMissingHelperFiles:
    """A file that is absent switches off its own lines only."""

    @pytest.fixture
    def without(self, body_models: Path, tmp_path: Path) -> Path:
        """The body models beside no helper file."""
        for folder in ("smplx", "smpl"):
            (tmp_path / folder).symlink_to(body_models / folder)
        return tmp_path

    def scored(self, files: Files, folder: Path, protocol: str, *helpers: str) -> tuple[set[str], dict[str, str]]:
        for name in helpers:
            (folder / name).symlink_to(files.models / name)
        made = HumanData.open(files.predictions).with_columns({"meta/truth_row": np.arange(N)})
        result = score(made, HumanData.open(files.truth), catalogue.get(protocol), BodyModels(folder))
        return {f"{line['metric']} {line['part']}" for line in result.metrics}, result.not_computed

    def test_without_any_whole_meshes_and_knuckles_are_compared(self, files: Files, without: Path) -> None:
        made, missing = self.scored(files, without, "egobody-ego")
        assert made == {"PVE all", "PA-PVE all", *(f"PA-MPJPE {part}" for part in ("left_hand", "right_hand", "hand"))}
        assert "SMPLX_to_J14" in missing["PA-MPJPE body"]
        assert "MANO_SMPLX_vertex_ids" in missing["PVE left_hand"]

    def test_each_brings_its_lines(self, files: Files, without: Path) -> None:
        made, missing = self.scored(files, without, "egobody-ego", "SMPLX_to_J14.pkl")
        assert "PA-MPJPE body" in made
        assert set(missing) == {f"{m} {p}" for m in ("PVE", "PA-PVE") for p in ("face", "left_hand", "right_hand")}

    def test_nothing_to_compute_is_an_error_that_names_the_file(self, files: Files, without: Path) -> None:
        with pytest.raises(BodyModelError, match="SMPLX_to_J14"):
            self.scored(files, without, 'egobody-ego[metrics=["MPJPE"]]')
