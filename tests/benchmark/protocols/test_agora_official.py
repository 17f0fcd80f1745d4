"""AGORA's own evaluation beside another computation of its table, person by person, written from its rules."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from ehps.benchmark.protocols import catalogue, true_bodies
from ehps.benchmark.protocols.scoring import Score, score
from ehps.body.helper_files import official_body_vertices, vertex_ids
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smpl_params
from ehps.humandata.core import HumanData
from ehps.humandata.passport import Passport
from tests.benchmark.protocols.test_matching import matched_step_by_step
from tests.drawn_people import Style, people

IMAGES = ["a_bfh.png"] * 5 + ["b_bfh.png"] * 3 + ["c_bfh.png"] * 2 + ["d_bfh.png"] * 2 + ["e_body.png"] * 3
N = len(IMAGES)
VALID = np.array([1, 1, 0, 1, 0, 1, 1, 1, 1, 1, 0, 0, 1, 0, 1], bool)
KID = np.array([0, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0], bool)
PREDICTED = np.array([0, 0, 1, 2, 4, 5, 7, 10, 11, 12, 12, 13])  # nobody in c, only people who do not count in d
CENTRE = np.array([1920.0, 1080.0])
FOCAL = 2000.0


def as_humandata(params: BodyParams, images: list[str], **columns: Any) -> HumanData:
    n = len(images)
    return HumanData(
        {
            "image_path": images,
            **{f"{params.model_type}/{name}": value for name, value in params.arrays().items()},
            "meta/gender": ["neutral"] * n,
            "meta/focal_length": np.full((n, 2), FOCAL),
            "meta/principal_point": np.tile(CENTRE, (n, 1)),
            "meta/height": np.full(n, 2160),
            "meta/width": np.full(n, 3840),
            **columns,
        },
        passport=Passport(
            body_model=params.model_type,
            num_betas=10,
            gender="neutral",
            flat_hand_mean=False if params.model_type == "smplx" else None,
        ),
    )


def bodies(model_type: str, rng: np.random.Generator) -> BodyParams:
    """People beside and in front of each other."""
    if model_type == "smplx":
        params = people(N, rng, Style(0.3, 0.3))
    else:
        pose = rng.normal(0, 0.2, (N, 24, 3))
        pose[:, 0] = (np.pi, 0, 0)
        params = smpl_params(gender="neutral", betas=rng.normal(size=(N, 10)), pose=pose, transl=np.zeros((N, 3)))
    transl = np.stack([rng.uniform(-0.8, 0.8, N), rng.uniform(0.1, 0.3, N), rng.uniform(4.5, 5.5, N)], axis=1)
    return params.with_(transl=transl)


class Crowd:
    """A truth, predictions of it, and the tool's table made step by step."""

    def __init__(self, model_type: str, models: BodyModels, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.models, self.model_type = models, model_type
        self.params = bodies(model_type, rng)
        guess = self.params[PREDICTED]
        shift = rng.normal(0, 0.15, guess.transl.shape) * (1, 0.3, 0.3)
        self.guess = guess.with_(
            body_pose=guess.body_pose + rng.normal(0, 0.1, guess.body_pose.shape), transl=guess.transl + shift
        )
        occlusion = np.where(VALID, 20.0, 95.0)
        self.truth = as_humandata(
            self.params, IMAGES, **{"meta/annot_valid": VALID, "meta/kid": KID, "meta/occlusion": occlusion}
        )
        stray = ["not_listed_bfh.png", *[IMAGES[row] for row in PREDICTED[1:]]]
        self.predictions = as_humandata(self.guess, stray)

    def score(self, truth: HumanData | None = None, spec: str = "") -> Score:
        name = "agora-official" if self.model_type == "smplx" else "agora-official-smpl"
        return score(self.predictions, self.truth if truth is None else truth, catalogue.get(name + spec), self.models)

    def table(self, parts: tuple[str, ...]) -> dict[str, float]:
        """All numbers of the tool, by its rules."""
        smplx = self.model_type == "smplx"
        count = 127 if smplx else 24
        joints = [self.models.joints(p, "float64")[:, :127] for p in (self.guess, self.params)]
        meshes = [self.models.mesh(p).astype(np.float64) for p in (self.guess, self.params)]
        flat = [j[..., :2] / j[..., 2:] * FOCAL + CENTRE for j in joints]
        made = self.predictions["image_path"].tolist()
        hits = false = 0
        tp: dict[bool, int] = defaultdict(int)
        people: dict[bool, int] = defaultdict(int)
        values: dict[tuple[bool, str], list[float]] = defaultdict(list)
        for image in sorted(set(IMAGES)):
            if smplx and not any(part in image for part in parts):
                continue
            ours = [i for i, name in enumerate(made) if name == image]
            theirs = [g for g, name in enumerate(IMAGES) if name == image]
            found: dict[int, int] = {}
            if ours:
                boxes = [flat[0][ours][:, :count], flat[1][theirs]]
                pairs = matched_step_by_step(boxes[0], boxes[1], VALID[theirs])
                found = {theirs[g]: ours[p] for g, p in pairs.items()}
                false += len(ours) - len(found)
            for g in theirs:
                if not VALID[g]:
                    continue
                for kid in {False, bool(KID[g])}:
                    people[kid] += 1
                    tp[kid] += g in found
                if g in found:
                    hits += 1
                    errors = self.errors(
                        [j[k] for j, k in zip(joints, (found[g], g), strict=True)],
                        [m[k] for m, k in zip(meshes, (found[g], g), strict=True)],
                    )
                elif ours and smplx:
                    errors = {
                        f"{part} {metric}": 0.0
                        for part in ("left_hand", "right_hand", "face")
                        for metric in ("MVE", "MPJPE")
                    }
                else:
                    errors = {}
                for name, value in errors.items():
                    for kid in {False, bool(KID[g])}:
                        values[kid, name].append(value)
        out: dict[str, float] = {"false positives": false}
        f1 = {}
        for kid in (False, True):
            prefix = "kid_" if kid else ""
            f1[kid] = round(tp[kid] / (tp[kid] + (false + people[kid] - tp[kid]) / 2), 2)
            out |= {
                f"{prefix}all F1": f1[kid],
                f"{prefix}all precision": round(tp[kid] / (tp[kid] + false), 2),
                f"{prefix}all recall": round(tp[kid] / people[kid], 2),
            }
            for metric, normal in (("MVE", "NMVE"), ("MPJPE", "NMJE")):
                means = {
                    n.split()[0]: round(float(np.mean(v)), 1)
                    for (k, n), v in values.items()
                    if k == kid and n.endswith(f" {metric}")
                }
                out |= {f"{prefix}{part} {metric}": mean for part, mean in means.items()}
                out[f"{prefix}body {normal}"] = round(means["body"] / f1[kid], 1)
                if smplx:
                    whole = round(means["body"] + (means["left_hand"] + means["right_hand"] + means["face"]) / 3, 1)
                    out[f"{prefix}full_body {metric}"] = whole
                    out[f"{prefix}full_body {normal}"] = round(whole / f1[False], 1)
        return out

    def errors(self, joints: list[Any], meshes: list[Any]) -> dict[str, float]:
        """Of one matched pair, mm."""
        folder = self.models.folder
        body = list(range(22 if self.model_type == "smplx" else 24))
        chosen = {"body": (body, official_body_vertices(folder, self.model_type), [1, 2])}
        if self.model_type == "smplx":
            ids = vertex_ids(folder)
            chosen["left_hand"] = ([20, *range(25, 40)], ids["left_hand"], [20])
            chosen["right_hand"] = ([21, *range(40, 55)], ids["right_hand"], [21])
            chosen["face"] = ([12, *range(76, 127)], ids["face"], [12])
        out = {}
        for part, (rows, vertices, roots) in chosen.items():
            (p, t), (pv, tv) = ([a[list(rows)] for a in joints], [a[vertices] for a in meshes])
            move = joints[0][roots].mean(axis=0) - joints[1][roots].mean(axis=0)
            out[f"{part} MPJPE"] = float(np.linalg.norm(p - t - move, axis=1).mean() * 1000)
            out[f"{part} MVE"] = float(np.linalg.norm(pv - tv - move, axis=1).mean() * 1000)
        return out


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("model_type", ["smplx", "smpl"])
def test_the_table_is_that_of_the_rules(model_type: str, seed: int, models: BodyModels) -> None:
    crowd = Crowd(model_type, models, seed)
    result = crowd.score()
    expected = crowd.table(("bfh", "smplx"))
    assert result.notes["false_positives"] == expected.pop("false positives")
    made = {f"{line['part']} {line['metric']}": line["value"] for line in result.metrics}
    assert made.keys() == expected.keys()
    for name, value in expected.items():
        assert made[name] == pytest.approx(value, abs=0.11 if "F1" not in name else 1e-9), name


def test_images_of_other_names_leave_with_truths_misses_and_false_positives(models: BodyModels) -> None:
    crowd = Crowd("smplx", models, 0)
    inside = np.array([name != "e_body.png" for name in IMAGES])
    alone = crowd.score(crowd.truth[inside])
    assert crowd.score().metrics == alone.metrics
    whole = crowd.score(spec="[only_images=[]]")
    assert whole.notes["false_positives"] > alone.notes["false_positives"]
    assert whole.value("all", "recall") != alone.value("all", "recall")
    other = crowd.score(spec='[only_images=["body"]]')
    assert other.notes["matched"] + alone.notes["matched"] == whole.notes["matched"]


def test_a_file_without_people_who_do_not_count_says_what_it_cannot_know(models: BodyModels) -> None:
    crowd = Crowd("smplx", models, 0)
    assert not crowd.score().remarks
    lacking = crowd.score(crowd.truth[VALID])
    assert "persons=all" in " ".join(lacking.remarks)
    # the two predictions in the image that shows nobody else are what differs
    assert crowd.score().notes["false_positives"] == lacking.notes["false_positives"] + 2
    assert crowd.score().value("body", "MVE") == lacking.value("body", "MVE")


def test_people_called_valid_who_do_not_count_are_told(models: BodyModels) -> None:
    crowd = Crowd("smplx", models, 0)
    odd = crowd.truth.with_columns({"meta/annot_valid": np.ones(N, bool)})
    assert "4 people are called valid" in " ".join(crowd.score(odd).remarks)


def test_sizes_of_images_are_no_matter(models: BodyModels) -> None:
    """A truth of the small images beside predictions of the large ones."""
    crowd = Crowd("smplx", models, 0)
    small = {
        f"meta/{name}": np.asarray(crowd.truth[f"meta/{name}"]) / 3 for name in ("focal_length", "principal_point")
    }
    small |= {"meta/height": np.full(N, 720), "meta/width": np.full(N, 1280)}
    assert crowd.score(crowd.truth.with_columns(small)).metrics == crowd.score().metrics


def test_an_image_is_looked_at_for_the_name_of_its_file_not_of_its_folder() -> None:
    names = ["smplx_gt/ag_bfh_1.png", "bfh/ag_1.png", "ag_smplx_1.png", "data:bfh/x/ag.png"]
    looked_at = true_bodies.of_images(catalogue.get("agora-official"), names)
    assert looked_at.tolist() == [True, False, True, False]
