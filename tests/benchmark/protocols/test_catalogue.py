"""Protocols are values: stored, compared, changed by name, never mixed; each field that can be set acts."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from ehps.benchmark import models as networks
from ehps.benchmark.protocols import catalogue, pages
from ehps.benchmark.protocols.protocol import IDENTITY, choices, same
from ehps.benchmark.protocols.scoring import score
from ehps.benchmark.protocols.vocabulary import CHOICES
from ehps.benchmark.suites.evaluation import evaluate, rescore
from ehps.benchmark.training import checkpoints
from ehps.benchmark.training.specs import SetSpec
from ehps.body import rotations
from ehps.body.models import BodyModels
from ehps.body.params import smpl_params
from ehps.errors import DataError, UsageError
from ehps.humandata import keypoints
from ehps.humandata.core import HumanData
from ehps.humandata.passport import Passport
from tests.drawn_people import Style, people, write_set


@pytest.mark.parametrize("name", catalogue.names())
def test_a_protocol_survives_being_stored(name: str) -> None:
    one = catalogue.get(name)
    again = catalogue.from_dict(json.loads(one.to_json()))
    assert again == one
    assert again.to_json() == one.to_json()
    assert (again.id, again.primary, again.description) == (name, one.primary, one.description)


@pytest.mark.parametrize(
    "spec",
    [
        "ubody-intra[step=1]",
        "agora-val[truth=given-vertices]",
        'agora-val[metrics=["PVE", "PA-PVE"],step=3]',
        'agora-official[valid=["annot_valid", "occlusion in 10..50.5"],missed_as_zero=false]',
        "ehf[truth_rotation=[0.5, 0.0, 0.0]]",
    ],
)
def test_changes_are_part_of_the_name(spec: str) -> None:
    changed = catalogue.get(spec)
    assert catalogue.get(changed.id) == changed
    assert changed != changed.base


@pytest.mark.parametrize(
    "spec",
    [
        "nothing",
        "ehf[step=many]",
        "ehf[step",
        "ehf[step=0]",
        "ehf[step=true]",
        "ehf[truth=imagined]",
        "ehf[visibility=some]",
        "ehf[metrics=[]]",
        'ehf[metrics=["MVE"]]',
        "ehf[metrics=PVE]",
        "pw3d-smplerx[truth=neutral-parameters]",
        'ehf[valid=["occlusion in some..90"]]',
        "agora-official[min_iou=2]",
        "agora-official[truth=given-vertices]",
        "agora-official-smpl[body_vertices=outside-hands-and-head]",
        "egobody-ego[prediction=smplx2smpl]",
        "egobody-ego[joints=smpl24]",
        "pw3d-smplerx[joints=j14]",
        "pw3d-smplerx[joints=smpl24]",
        "pw3d-challenge[prediction=regressors]",
        "pw3d-smplerx[body=smplx]",
        'pw3d-smplerx[metrics=["PVE"]]',
        "ehf[mesh_alignment=model-pelvis]",
        "ehf[hand_alignment=model-wrist]",
        'ehf[metrics=["MPJAE"]]',
        "egobody-ego[hands=flaged-valid]",
        "egobody-ego[procrustes=none]",
        "agora-official[missed_as_zero=1]",
        "ehf[truth_rotation=[1, 2]]",
    ],
)
def test_what_is_not_a_protocol_is_refused(spec: str) -> None:
    with pytest.raises(UsageError):
        catalogue.get(spec)


@pytest.mark.parametrize(
    "spec",
    [
        "ehf[alignment=none at all]",
        "ehf[description=better]",
        "ehf[name=x]",
        "ehf[version=2]",
        "ehf[matching=greedy-2d]",
        'ehf[primary=["hand", "PVE"]]',
        "ehf[extreme_betas=mean-shape]",
        "ehf[step_per=scene]",
        "ehf[min_iou=0.5]",
        "egobody-ego[truth_rotation=[1, 0, 0]]",
        'agora-official[metrics=["MVE"]]',
        "pw3d-smplerx[hands=flagged-valid]",
        "ubody-intra[step=1,first=3]",
    ],
)
def test_what_would_not_act_cannot_be_set_and_what_would_is_listed(spec: str) -> None:
    _, _, change = spec.partition("[")
    with pytest.raises(UsageError) as caught:
        catalogue.get(spec)
    name = re.findall(r"(\w+)=", change)[-1]
    said, listed = str(caught.value).split("These can be: ")
    assert f"no field {name!r} that can be changed" in said
    assert name not in listed.split(", ")
    assert set(listed.split(", ")) <= IDENTITY_FIELDS


def test_mixing_names_the_field_that_differs() -> None:
    with pytest.raises(UsageError, match="step: 100 and 1"):
        same([catalogue.get("ubody-intra"), catalogue.get("ubody-intra[step=1]")])
    assert same([catalogue.get("ehf"), catalogue.get("ehf")]) == catalogue.get("ehf")


def test_protocols_stored_with_their_descriptions_are_still_read() -> None:
    former = {"benchmark": "agora", "joints": "14", "alignment": "pelvis", "procrustes": "similarity", "rounding": 1}
    former |= {"gender_policy": "neutral", "boxes": "of the file", "primary": ["full_body", "NMVE"]}
    stored = catalogue.get("agora-official").to_dict() | former | {"quirks": ["missed persons add 0"]}
    del stored["missed_as_zero"]
    assert catalogue.from_dict(stored) == catalogue.get("agora-official")
    assert catalogue.from_dict({**stored, "quirks": []}).id == "agora-official[missed_as_zero=false]"
    with pytest.raises(DataError, match="colour"):
        catalogue.from_dict({**stored, "colour": "red"})


# -- every field that can be set changes what is scored -----------------------------------------------------------

IDENTITY_FIELDS = set(IDENTITY)
_OFFICIAL = 'agora-official[only_images=["00"]]'
CASES = {
    "metrics": ("egobody-ego", 'egobody-ego[metrics=["PVE"]]'),
    "box_ratio": ("egobody-ego", "egobody-ego[box_ratio=0.5]"),
    "step": ("egobody-ego", "egobody-ego[step=2]"),
    "first": ("ubody-intra[step=2]", "ubody-intra[step=2,first=0]"),
    "step_per": ("ubody-intra[step=2]", "ubody-intra[step=2,step_per=]"),
    "count_by": ("ubody-intra[step=2]", "ubody-intra[step=2,count_by=number]"),
    "valid": ("agora-val", "agora-val[valid=[]]"),
    "only_images": ("egobody-ego", 'egobody-ego[only_images=["0001"]]'),
    "hand_limit": ("egobody-ego", "egobody-ego[hand_limit=5.0]"),
    "min_iou": (_OFFICIAL, f"{_OFFICIAL[:-1]},min_iou=0.6]"),
    "missed_as_zero": (f"{_OFFICIAL[:-1]},min_iou=0.6]", f"{_OFFICIAL[:-1]},min_iou=0.6,missed_as_zero=false]"),
    "group_by": ("egobody-ego", "egobody-ego[group_by=scene]"),
    "fps": ('egobody-ego[metrics=["Jitter"]]', 'egobody-ego[metrics=["Jitter"],fps=15.0]'),
    "truth_rotation": ("ehf", "ehf[truth_rotation=[0.1, 0.2, 0.3]]"),
}


Scored = tuple[list[int], list[tuple[str, str, int, float]]]


@dataclass(frozen=True)
class Trial:
    """An untrained network and a test set that has everything a protocol may ask for."""

    folder: Path
    weights: Path
    test: SetSpec
    models: BodyModels
    done: dict[str, Scored] = field(default_factory=dict)

    def scored(self, spec: str) -> Scored:
        """The rows tested and the numbers under a protocol."""
        if spec not in self.done:
            self.done[spec] = self._score(spec)
        return self.done[spec]

    def _score(self, spec: str) -> Scored:
        result = evaluate(self.folder, "test", self.test, self.models, protocol=spec, checkpoint=self.weights)
        lines = [(m["part"], m["metric"], m["n"], round(m["value"], 3)) for m in result.metrics]
        return sorted(set(result.errors["truth_row"])), [line for line in lines if not np.isnan(line[-1])]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> Trial:
    folder = tmp_path_factory.mktemp("trial")
    n = 6
    params = people(n, np.random.default_rng(5), Style(0.4, 0.4))
    betas = params.betas.copy()
    betas[0, 0] = 4.0  # extreme
    params = params.with_(betas=betas, gender=np.array(["male", "female"] * (n // 2)))
    path = write_set(
        folder,
        params,
        models,
        name="test",
        **{
            "smplx/betas_neutral": np.asarray(betas[:, ::-1] + np.eye(1, 10) * 4, np.float32),
            "vertices3d_path": [f"{i}.npy" for i in range(n)],
            "meta/width": np.full(n, 50, np.int32),  # narrower than the arms
            "meta/scene": ["x", "x", "x", "y", "y", "y"],
            "meta/number": np.array([2, 3, 5, 7, 11, 13]),
            "meta/sequence_name": ["film"] * n,
            "meta/frame_id": np.arange(n),
            "meta/annot_valid": np.array([1, 0, 1, 1, 1, 1]),
            "meta/lefthand_valid": np.array([1, 1, 0, 0, 1, 1]),
            "meta/righthand_valid": np.array([0, 1, 1, 0, 1, 1]),
        },
    )
    for image in folder.rglob("*.jpg"):
        cv2.imwrite(str(image), cv2.imread(str(image))[:, :50])
    for i, mesh in enumerate(models.mesh(params)):
        np.save(folder / f"{i}.npy", mesh)
    arguments = {"width": 32, "depth": 1, "heads": 2}
    torch.manual_seed(0)
    state = networks.build("tiny", **arguments).state_dict()
    content = {"model": {"name": "tiny", "args": arguments}, "state": state, "box_ratio": 1.0}
    weights = checkpoints.save(folder / "untrained.pt", {**content, "weights_sha256": checkpoints.weights_hash(state)})
    return Trial(folder / "run", weights, SetSpec(path, folder), models)


@pytest.mark.parametrize("field", CASES)
def test_a_field_that_can_be_set_changes_what_is_scored(field: str, trial: Trial) -> None:
    before, after = CASES[field]
    fields, others = (catalogue.get(spec).to_dict() for spec in (before, after))
    assert [name for name in fields if fields[name] != others[name]] == [field]
    assert trial.scored(before) != trial.scored(after)


def test_there_is_a_case_for_every_field_that_can_be_set() -> None:
    protocols = [catalogue.get(spec) for name in catalogue.names() for spec in (name, f"{name}[step=2]")]
    words = {field for field in IDENTITY if choices(field)}
    assert {field for protocol in protocols for field in protocol.settable} == set(CASES) | (
        words - {"matching", "frame"}
    )


# -- every word of every field changes the numbers, or is refused ---------------------------------------------------

WORDED = (
    'egobody-ego[metrics=["PVE", "PA-PVE", "MPJPE", "PA-MPJPE", "PCK@50", "AUC", "MPJAE", "PA-MPJAE"]]',
    "ubody-intra-smplestx[step=1,hand_limit=0]",
    "agora-official",
    "agora-official-smpl",
    "pw3d-smplestx",
    "pw3d-challenge",
    "pw3d-h36m14-midhip",
    "ehf",
    "emdb1",
    "emdb2",
    "h36m-p2",
    "ssp3d",
    "lsp-segmentation",
    'coco-projection[metrics=["OKS"]]',
)


@dataclass(frozen=True)
class Bodies:
    """People of both model types and both genders, and what a network may have made of them."""

    truth: HumanData
    predictions: HumanData
    models: BodyModels
    root: Path
    done: dict[str, tuple[list[float], list[int]]] = field(default_factory=dict)

    def scored(self, spec: str, of: str = "") -> tuple[list[float], list[int]]:
        """Numbers and how many instances each is of; with ``of``, of that model type's predictions only."""
        key = f"{spec} {of}"
        if key not in self.done:
            made = self.predictions
            if of:
                made = made.without(
                    [name for name in made.columns if name.startswith(("smpl/", "smplx/")[of == "smpl"])]
                )
            result = score(made, self.truth, catalogue.get(spec), self.models, images=self.root)
            assert not result.not_computed
            lines = {(m["part"], m["metric"]): m for m in result.metrics}
            self.done[key] = [round(m["value"], 3) for m in lines.values()], [m["n"] for m in lines.values()]
        return self.done[key]


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> Bodies:
    root, rng, n = tmp_path_factory.mktemp("bodies"), np.random.default_rng(8), 6
    gender = np.array(["male", "female"] * (n // 2))
    params = people(n, rng, Style(0.4, 0.4)).with_(gender=gender)
    params = params.with_(betas=params.betas + np.eye(n, 10) * np.array([5.0, 1, 1, 1, 1, 1])[:, None])
    for i, mesh in enumerate(models.mesh(params)):
        np.save(root / f"{i}.npy", mesh)
    pose = np.concatenate([params.global_orient[:, None], params.body_pose, rng.normal(0, 0.1, (n, 2, 3))], axis=1)
    smpl = smpl_params(gender=gender, betas=params.betas * 0.9, pose=pose, transl=params.transl)
    columns = {f"smplx/{name}": value for name, value in params.arrays().items()}
    columns |= {f"smpl/{name}": value for name, value in smpl.arrays().items()}
    common = {
        "image_path": [f"ag_bfh_{i}.jpg" for i in range(n)],
        "bbox_xywh": np.tile([20.0, 30.0, 60.0, 80.0, 1.0], (n, 1)),
        "meta/height": np.full(n, 160),
        "meta/width": np.full(n, 120),
        "meta/focal_length": np.full((n, 2), 400.0),
        "meta/principal_point": np.tile([60.0, 80.0], (n, 1)),
    }
    truth = HumanData(
        {
            **common,
            **columns,
            "smplx/transl": params.transl * [1, 1, 10] - [1.5, 0, 0],
            "smplx/betas_neutral": params.betas[:, ::-1].copy(),
            "meta/gender": gender.tolist(),
            "meta/frame_id": np.arange(n),
            "meta/RT": turning(n, 0.1),
            "vertices3d_path": [f"{i}.npy" for i in range(n)],
            "meta/lefthand_valid": np.array([1, 1, 0, 0, 1, 1]),
            "meta/righthand_valid": np.array([0, 1, 1, 0, 1, 1]),
            **labels(root, n, rng),
        },
        keypoint_names={
            "keypoints3d_original": keypoints.point_names("h36m_mmpose"),
            "keypoints2d_original": keypoints.point_names("coco"),
        },
        passport=Passport(body_model="smplx", gender="per row", flat_hand_mean=False, num_betas=10),
    )

    def guessed(name: str, value: np.ndarray) -> np.ndarray:
        by = 0.02 if name.endswith("transl") else 0.25
        return value + rng.normal(0, by, value.shape)

    made = {name: guessed(name, value) for name, value in columns.items()}
    made |= {"meta/truth_row": np.arange(n), "meta/gender": ["neutral"] * n, "meta/RT": turning(n, 0.12)}
    passport = Passport(body_model="smplx", gender="neutral", flat_hand_mean=False, num_betas=10)
    return Bodies(truth, HumanData({**common, **made}, passport=passport), models, root)


def turning(n: int, speed: float) -> np.ndarray:
    """(n, 4, 4) extrinsics of a camera that turns by ``speed`` radians a frame."""
    out = np.tile(np.eye(4), (n, 1, 1))
    out[:, :3, :3] = rotations.to_matrix(np.outer(np.arange(n), [0, speed, 0]))
    return out


def labels(root: Path, n: int, rng: np.random.Generator) -> dict[str, Any]:
    """What a truth may have beside bodies: joints, keypoints, masks."""
    masks, parts = np.zeros((n, 160, 120), np.uint8), np.zeros((n, 160, 120), np.uint8)
    masks[:, 50:120, 40:75] = 255
    parts[:, 50:120, 40:75] = rng.integers(0, 7, (n, 70, 35))
    for i in range(n):
        cv2.imwrite(str(root / f"mask{i}.png"), masks[i])
        cv2.imwrite(str(root / f"parts{i}.png"), parts[i])
    given, marked = rng.normal(0, 0.5, (n, 17, 4)), rng.normal(70, 10, (n, 17, 3))
    given[..., 3] = marked[..., 2] = 1
    return {
        "keypoints3d_original": given,
        "keypoints2d_original": marked,
        "segmentation": [f"mask{i}.png" for i in range(n)],
        "part_segmentation": [f"parts{i}.png" for i in range(n)],
        "meta/area": np.full(n, 4000.0),
        "meta/action": ["Walking"] * 4 + ["Eating"] * 2,
        "meta/camera_id": np.full(n, 4),
    }


def changes() -> list[tuple[str, str, str]]:
    """(protocol, field, word) for every other word of every field that is one."""
    found = []
    for spec in WORDED:
        protocol = catalogue.get(spec)
        fields = [name for name in CHOICES if name not in ("matching", "frame")]
        found += [(spec, name, word) for name in fields for word in choices(name) if word != getattr(protocol, name)]
    return found


@pytest.mark.parametrize(("spec", "name", "word"), changes())
def test_every_word_of_a_field_changes_the_numbers_or_is_refused(
    spec: str, name: str, word: str, bodies: Bodies
) -> None:
    changed = f"{spec[:-1]},{name}={word}]" if spec.endswith("]") else f"{spec}[{name}={word}]"
    of = "smplx" if name == "prediction" else ""
    try:
        assert getattr(catalogue.get(changed), name) == word
        after = bodies.scored(changed, of)
    except (UsageError, DataError) as error:
        after, refusal = None, str(error)
    if after is None:
        assert any(said in refusal for said in (name, word, "makes no sense", "compares"))
        return
    assert after != bodies.scored(spec, of)


@pytest.mark.parametrize(
    "spec", ['egobody-ego[valid=["nowhere"]]', "egobody-ego[step=2,step_per=nowhere]", "agora-val[hands=flagged-valid]"]
)
def test_a_column_that_a_change_asks_for_must_be_there(spec: str, trial: Trial, tmp_path: Path) -> None:
    hd = HumanData.open(trial.test.data).without(["meta/lefthand_valid"])
    test = SetSpec(hd.save(tmp_path / "less.h5"), trial.test.images)
    with pytest.raises(DataError, match="has no meta/"):
        evaluate(tmp_path / "run", "test", test, trial.models, protocol=spec, checkpoint=trial.weights)


def test_predictions_in_other_boxes_are_not_scored_as_if_they_were_in_these(trial: Trial, tmp_path: Path) -> None:
    evaluate(tmp_path, "test", trial.test, trial.models, protocol="egobody-ego", checkpoint=trial.weights)
    with pytest.raises(UsageError, match=r"scales boxes by 0\.5"):
        rescore(tmp_path, "egobody-ego[box_ratio=0.5]", trial.models)


# -- what is told of protocols --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", catalogue.names())
def test_a_page_tells_where_a_protocol_comes_from_and_what_is_accepted(name: str) -> None:
    whole, text = pages.as_dict(name), pages.markdown(name)
    assert whole["sources"]
    assert text.startswith(f"## {name}\n")
    for said in (whole["description"], *whole["sources"], *whole["disagreements"], *whole["truth"].values()):
        assert said in text
    assert all(f"| {number['metric']} | {number['part']} | " in text for number in whole["numbers"])
    for name_of, one in whole["fields"].items():
        for word in one.get("choices", {}):
            if word != one["value"]:
                assert getattr(catalogue.get(f"{name}[{name_of}={word}]"), name_of) == word
        refused = set(choices(name_of)) - set(one.get("choices", {}))
        for word in refused:
            with pytest.raises(UsageError):
                catalogue.get(f"{name}[{name_of}={word}]")
    for changed in re.findall(r"`(?:[\w-]+)?(\[\w+=[\w-]+\])`", " ".join(whole["disagreements"])):
        catalogue.get(f"{name}{changed}")


def test_what_origins_name_are_protocols() -> None:
    told = " ".join(said for name in catalogue.names() for said in pages.as_dict(name)["disagreements"])
    named = set(re.findall(r"(?:pw3d|agora|h36m)-[\w-]*\w", told))
    assert named
    assert named <= set(catalogue.names())
