"""AGORA's matching and the arithmetic of its leaderboard."""

import csv
from pathlib import Path

import numpy as np
import pytest

from ehps.benchmark.protocols.matching import Detection, iou, match, match_image, summary


def person(x: float, y: float, size: float = 100.0, seed: int = 0) -> np.ndarray:
    """(30, 2) joints within a box of ``size`` pixels around (x, y)."""
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (30, 2)) * size + (x, y)


def test_two_persons_and_one_prediction_give_f1_two_thirds() -> None:
    truths = np.stack([person(200, 200), person(800, 200)])
    found = match_image(truths[:1] + 3, truths, np.array([True, True]))
    assert found.prediction.tolist() == [0, -1]
    assert found.false_positives.tolist() == []
    assert Detection(1, 0, 1).f1 == 0.67


def test_the_nearest_pair_wins_and_far_predictions_are_false_positives() -> None:
    truths = np.stack([person(200, 200), person(260, 200)])
    predictions = np.stack([person(255, 200), person(205, 200), person(3000, 900)])
    found = match_image(predictions, truths, np.array([True, True]))
    assert found.prediction.tolist() == [1, 0]
    assert found.false_positives.tolist() == [2]


def test_a_prediction_on_an_invalid_person_stays_free_for_a_valid_one() -> None:
    truths = np.stack([person(200, 200), person(230, 200)])
    found = match_image(truths[:1], truths, np.array([False, True]))
    assert found.prediction.tolist() == [-1, 0]
    assert found.false_positives.tolist() == []
    alone = match_image(truths[:1], truths[:1], np.array([False]))
    assert alone.prediction.tolist() == [-1]
    assert alone.false_positives.tolist() == [0]


def test_an_invalid_person_is_used_up_by_a_pair_that_hardly_overlaps() -> None:
    """Two predictions, the nearer one of an invalid truth below the overlap: the loop goes on with the other."""
    truths = np.stack([person(200, 200), person(600, 200)])
    predictions = np.stack([person(296, 200), person(610, 200)])
    found = match_image(predictions, truths, np.array([False, True]))
    assert found.prediction.tolist() == [-1, 1]
    assert found.false_positives.tolist() == [0]


def test_boxes_that_hardly_overlap_do_not_match() -> None:
    truth = person(200, 200)[None]
    assert match_image(truth + 95, truth, np.array([True])).prediction.tolist() == [-1]
    assert match_image(truth + 5, truth, np.array([True])).prediction.tolist() == [0]


def test_box_overlap_counts_pixels_inclusively() -> None:
    a = np.array([[0, 0], [9, 9]], float)
    assert iou(a, a) == 1
    assert iou(a, a + np.array([5, 0])) == pytest.approx(50 / 150)
    assert iou(a, a + np.array([10, 0])) == 0


def test_images_are_matched_apart() -> None:
    truths = np.stack([person(200, 200), person(200, 200)])
    predictions = np.stack([person(200, 200)])
    found = match(np.array(["b"]), predictions, np.array(["a", "b"]), truths, np.ones(2, bool), 0.1)
    assert found.prediction.tolist() == [-1, 0]
    assert found.false_positives.tolist() == []


def test_missed_persons_lower_hand_and_face_means_only_with_the_quirk() -> None:
    parts = {name: np.array([30.0, np.nan, np.nan]) for name in ("left_hand", "right_hand", "face")}
    errors = {"body": np.array([80.0, np.nan, np.nan]), **parts}
    missed = np.isnan(errors["body"])
    crowded = np.array([True, True, False])  # the second was missed beside others, the third in an empty image
    with_quirk = summary(errors, missed, crowded, missed_as_zero=True)
    without = summary(errors, missed, crowded, missed_as_zero=False)
    assert without == {"body": 80, "left_hand": 30, "right_hand": 30, "face": 30, "full_body": 110}
    assert with_quirk == {"body": 80, "left_hand": 15, "right_hand": 15, "face": 15, "full_body": 95}


def test_the_printed_leaderboard_follows_from_its_own_parts() -> None:
    """Full body = body + (hands + face) / 3, NMVE = MVE / F1: all published rows but one misprint."""
    text = Path(__file__).with_name("agora_leaderboard.csv").read_text()
    full, normalised = [], []
    for row in csv.DictReader(text.splitlines()):
        for metric, norm in (("mve", "nmve"), ("mpjpe", "nmje")):
            names = [f"{metric}_{part}" for part in ("fb", "b", "lh", "rh", "f")]
            if all(row[name] for name in names):
                whole, body, left, right, face = (np.array([float(row[name])]) for name in names)
                errors = {"body": body, "left_hand": left, "right_hand": right, "face": face}
                made = summary(errors, np.array([False]), np.array([True]), missed_as_zero=True)
                full.append(abs(made["full_body"] - whole[0]))
            if row["f1"] and row[f"{metric}_fb"] and row[f"{norm}_fb"]:
                normalised.append(abs(float(row[f"{metric}_fb"]) / float(row["f1"]) - float(row[f"{norm}_fb"])))
    assert len(full) > 20
    assert sorted(full)[-2] < 0.15
    assert len(normalised) > 20
    assert max(normalised) < 0.06


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Of the boxes of two people, pixels counted inclusively."""
    sides, areas = [], [1.0, 1.0]
    for axis in (0, 1):
        ends = [(min(one[:, axis]), max(one[:, axis])) for one in (a, b)]
        sides.append(max(0.0, min(ends[0][1], ends[1][1]) - max(ends[0][0], ends[1][0]) + 1))
        areas = [area * (high - low + 1) for area, (low, high) in zip(areas, ends, strict=True)]
    common = sides[0] * sides[1]
    return common / (sum(areas) - common)


def matched_step_by_step(predictions: np.ndarray, truths: np.ndarray, valid: np.ndarray) -> dict[int, int]:
    """Truth -> prediction, by the rules of the public tool, one pair after the other."""
    left = {
        (p, g): float(np.linalg.norm(one[:24] - other[:24]))
        for p, one in enumerate(predictions)
        for g, other in enumerate(truths)
    }
    taken_predictions: set[int] = set()
    taken_truths: set[int] = set()
    steps, found = 0, {}
    while len(taken_truths) < len(truths) and len(taken_predictions) + steps < len(predictions):
        p, g = min(left, key=lambda pair: left[pair])
        del left[p, g]
        if overlap(predictions[p], truths[g]) < 0.1:
            steps += 1
            if not valid[g]:
                taken_truths.add(g)
        elif p not in taken_predictions and g not in taken_truths:
            taken_truths.add(g)
            if valid[g]:
                taken_predictions.add(p)
                found[g] = p
    return found


def test_random_crowds_are_matched_as_step_by_step() -> None:
    """Invalid people in front, doubled predictions, nobody predicted, hardly overlapping, too many predictions."""
    rng = np.random.default_rng(0)
    differ = 0
    for number in range(400):
        truths = np.stack(
            [person(*rng.uniform(0, 400, 2), rng.uniform(40, 160), seed) for seed in range(rng.integers(1, 7))]
        )
        valid = rng.random(len(truths)) < 0.6
        near = truths[rng.integers(0, len(truths), rng.integers(0, 8))]  # with doubles
        predictions = near + rng.normal(0, rng.choice([3, 30, 90]), (len(near), 1, 2))
        predictions = predictions.reshape(-1, 30, 2) + rng.normal(0, 2, (len(near), 30, 2))
        expected = matched_step_by_step(predictions, truths, valid)
        found = match_image(predictions, truths, valid)
        assert {g: p for g, p in enumerate(found.prediction.tolist()) if p >= 0} == expected, number
        assert found.false_positives.tolist() == [p for p in range(len(near)) if p not in expected.values()]
        without = matched_step_by_step(predictions, truths[valid], np.ones(valid.sum(), bool))
        differ += len(without) != len(expected)
    assert differ < 60  # people who are not valid end the matching early now and then
