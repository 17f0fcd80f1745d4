"""The worst instances of each benchmark are found in stored errors, and drawn with truth beside prediction."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from ehps.analysis import worst_cases
from ehps.analysis.benchmarks import MPE_BENCHMARKS
from ehps.analysis.ranking import rank
from ehps.errors import DataError
from ehps.humandata.core import HumanData
from tests.drawn_people import FOCAL, SIZE, Style, people, write_set

EHF = next(b for b in MPE_BENCHMARKS if b.id == "ehf")
VALUES = [50.0, 90.0, 80.0, 10.0, 70.0, 60.0, np.nan]
SEQUENCES = ["a", "b", "b", "a", "c", "c", "c"]


def stored():
    """Results and errors of two training sets on EHF; bedlam is the better one."""
    numbers, errors = [], []
    for train_set, more in (("bedlam", 0.0), ("agora", 1000.0)):
        for row, (value, sequence) in enumerate(zip(VALUES, SEQUENCES, strict=True)):
            path = f"set/take{row % 3}/{row:04d}.jpg"
            errors.append((row, path, sequence, "all", "PVE", value + more, "ehf_val", "ehf", train_set, "tiny"))
        mean = float(np.nanmean(VALUES)) + more
        numbers.append((train_set, "ehf_val", "tiny", "ehf", "all", "PVE", mean, 6, f"{train_set}/tiny", "my_ehf"))
    names = ["train_set", "test_set", "model", "protocol", "part", "metric", "value", "n", "run", "test_label"]
    results = pd.DataFrame(numbers, columns=names)
    columns = ["truth_row", "image_path", "sequence", "part", "metric", "value", "test_set", "protocol"]
    return results, pd.DataFrame(errors, columns=[*columns, "train_set", "model"])


def test_the_worst_of_different_sequences_come_first():
    results, errors = stored()
    found = worst_cases.find(errors, rank(results, benchmarks=[EHF]))
    assert set(found["train_set"]) == {"bedlam"}
    assert found["place"].tolist() == ["median", "worst 1", "worst 2", "worst 3"]
    # Row 2 (80 mm) is worse than rows 4 and 0, but is of the same sequence as row 1.
    assert found["truth_row"].tolist()[1:] == [1, 4, 0]
    assert found["value"].tolist() == [60.0, 90.0, 70.0, 50.0]
    four = worst_cases.find(errors, rank(results, benchmarks=[EHF]), worst=4)
    assert four["truth_row"].tolist()[1:] == [1, 2, 4, 0]
    assert set(found["benchmark"]) == {"EHF PVE"}


def test_a_benchmark_without_errors_has_no_cases():
    results, errors = stored()
    assert len(worst_cases.find(errors[errors["train_set"] == "agora"], rank(results, benchmarks=[EHF]))) == 0


def test_errors_that_do_not_say_which_row_they_are_of_are_refused():
    results, errors = stored()
    with pytest.raises(DataError, match="truth_row"):
        worst_cases.find(errors.drop(columns="truth_row"), rank(results, benchmarks=[EHF]))


@pytest.fixture(scope="module")
def runs(tmp_path_factory, models):
    """A run folder with a test set of which every person is predicted 30 cm too far to the left of the image."""
    folder = tmp_path_factory.mktemp("runs")
    params = people(7, np.random.default_rng(0), Style())
    data = write_set(folder, params, models)
    truth = HumanData.open(data)
    run = folder / "runs" / "bedlam" / "tiny"
    run.mkdir(parents=True)
    tests = {"my_ehf": {"data": str(data), "images": str(folder)}}
    (run / "manifest.json").write_text(json.dumps({"tests": tests}))
    columns = {name: np.array(truth[name]) for name in truth.columns if name.startswith("smplx/")}
    columns["smplx/transl"] = columns["smplx/transl"] - np.array([0.3, 0, 0], np.float32)
    columns |= {name: truth[name] for name in ("image_path", "bbox_xywh", "meta/gender")}
    columns |= {name: truth[name] for name in ("meta/focal_length", "meta/principal_point")}
    columns["meta/truth_row"] = np.arange(7)
    HumanData(columns, passport=truth.passport).save(run / "predictions_my_ehf.h5")
    return folder / "runs"


def cases():
    results, errors = stored()
    return worst_cases.find(errors, rank(results, benchmarks=[EHF])), results


def test_truth_and_prediction_are_drawn_on_the_same_part_of_the_image(runs, models):
    found, results = cases()
    drawn = worst_cases.drawn(found, results, runs, models)
    assert [case.fault for case in drawn] == [""] * 4
    for case in drawn:
        assert case.truth.shape == case.prediction.shape
        assert max(case.truth.shape[:2]) == worst_cases.SIDE
    assert [case.row for case in drawn][1:] == [1, 4, 0]


def test_the_surface_stands_where_the_prediction_was_moved_to(runs, models, monkeypatch):
    found, results = cases()
    monkeypatch.setattr("ehps.humandata.drawing.persons.draw_keypoints", lambda image, *_: image)
    monkeypatch.setattr(worst_cases, "_window", lambda *_: np.array([0, 0, SIZE[1], SIZE[0]]))
    case = worst_cases.drawn(found, results, runs, models)[1]
    joints = models.joints(people(7, np.random.default_rng(0), Style()))[case.row]
    factor = worst_cases.SIDE / max(SIZE)
    right = ((joints[:, 0] - 0.3) / joints[:, 2] * FOCAL + SIZE[1] / 2).max() * factor
    columns = np.nonzero((case.truth != case.prediction).any(axis=-1))[1]
    assert right - 1 < columns.max() < right + 12


def test_what_cannot_be_drawn_is_said(runs, models, tmp_path):
    found, results = cases()
    assert "no body models" in worst_cases.drawn(found, results, runs, None)[0].fault
    elsewhere = results.assign(run="nowhere")
    assert {c.fault for c in worst_cases.drawn(found, elsewhere, runs, models)} == {"there is no such file"}
    image = runs.parent / "set/take1/0001.jpg"
    kept = image.read_bytes()
    image.unlink()
    try:
        drawn = worst_cases.drawn(found, results, runs, models)
    finally:
        image.write_bytes(kept)
    assert [bool(case.fault) for case in drawn] == [False, True, False, False]
    assert cv2.imread(str(image)) is not None
