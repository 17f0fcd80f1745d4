"""One cell of the benchmark: train a model, predict a test set, score the predictions.

Each step is done only when its result is not there. Scores depend on the code of the metrics too: where that has
changed, the stored predictions are scored again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ehps.benchmark import models
from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.fitting import require_fit
from ehps.benchmark.protocols.protocol import Protocol
from ehps.benchmark.protocols.scoring import NAMES, Score, compares, score
from ehps.benchmark.protocols.summaries import printed
from ehps.benchmark.protocols.true_bodies import EXCLUDED, counts, nobody, rows_to_test
from ehps.benchmark.suites import places
from ehps.benchmark.suites.prediction import Crop, predict
from ehps.benchmark.suites.runs import Run, check_name, content_hash, is_main
from ehps.benchmark.training import checkpoints, pack_file, packs
from ehps.benchmark.training.processes import raised_in_all
from ehps.benchmark.training.run_lock import locked
from ehps.benchmark.training.samples import check_meaning
from ehps.benchmark.training.specs import SetSpec, TrainConfig, key
from ehps.benchmark.training.trainer import train
from ehps.body.helper_files import HELPERS, find_helper
from ehps.body.models import BodyModels
from ehps.errors import DataError, UsageError
from ehps.extras import need
from ehps.humandata.core import HumanData
from ehps.humandata.merged_images import default_folder
from ehps.humandata.validation import require_columns
from ehps.imported_code import code_of
from ehps.moved_files import noted


def train_cell(
    folder: str | Path,
    train_set: str,
    sets: SetSpec | Sequence[SetSpec],
    config: TrainConfig,
    body_models: BodyModels,
    *,
    start: Run | None = None,
    progress: bool = True,
) -> Run:
    """Train one model in a run folder; nothing is done when it is there under the same configuration and
    data. One that is there with fewer steps goes on from them; numbers of its earlier weights are removed.

    Parameters
    ----------
    start : the finished training of the same suite whose weights it starts from; ``config.init`` names them as seen
        from ``folder``, so that both may be moved together.

    Raises
    ------
    UsageError : the folder holds a run of another configuration or other data, or with more steps.
    DataError, PassportError : a set has no bodies, or does not say what must be known of them.
    InUseError : another process trains in the folder; nothing in it is changed.
    Interrupted : a signal came; the same call goes on.
    """
    need("training", "accelerate")
    models.check(config.model)
    listed = [sets] if isinstance(sets, SetSpec) else list(sets)
    for spec in listed:
        check_meaning(HumanData.open(spec.data))
    run = Run(folder)
    asked = (check_name(train_set, "train set"), config)
    hashes = [content_of(s) for s in listed]
    begun = "" if start is None else start.weights
    if run.done("training", run.wanted(*asked, hashes, begun), run.checkpoint):
        if "training" in run.failures:  # of another configuration that was asked for meanwhile
            run.note(failures={"training": None})
        return run
    for spec in listed:
        require_columns(HumanData.open(spec.data))
    if start is not None:
        config = replace(config, init=str(start.checkpoint))
    with ExitStack() as stack:
        with raised_in_all():
            if is_main():
                stack.enter_context(locked(run.folder))
            wanted = run.begin(*asked, listed, hashes, begun)
        path = train(config, listed, run.folder, body_models, progress=progress)
        with raised_in_all():
            content = checkpoints.load(path)
            if is_main() and run.manifest.get("weights_sha256", content["weights_sha256"]) != content["weights_sha256"]:
                run.forget_tests()
            _note_weights(run, content)
            run.completed("training", wanted)
    return run


def evaluate(
    folder: str | Path,
    test_set: str,
    test: SetSpec,
    body_models: BodyModels,
    *,
    protocol: str | Protocol | None = None,
    checkpoint: Path | None = None,
    model: str | None = None,
    crop: Crop = "exact",
    batch_size: int = 32,
    workers: int = 0,
    device: str | None = None,
    progress: bool | None = None,
) -> Score:
    """Predict a test set with a run's checkpoint and score it; stored predictions and scores are used where
    they are.

    Parameters
    ----------
    folder : the run folder. With ``checkpoint`` it may be a new one: a model trained elsewhere is tested.
    checkpoint : weights to test in place of the run's: of ehps, or a public file of a registered model.
    model : the model that these must be of; what the file itself tells by default.
    crop : ``exact``, as the model's card says, or ``warp``: in place of windows of whole pixels one affine map of each
        box, as in training.
    test_set : what the test set is called in results.
    test : its file and images, and the exclusion list of rows that are not tested.
    protocol : overrides ``test.protocol``.
    progress : print how far this is; as the program wants it by default.

    Raises
    ------
    UsageError : the test set does not fit the protocol, the model predicts bodies that it does not compare, its crops
        are affine maps anyway, or the folder has no model.
    DataError : an image is missing, damaged or of another size than its rows say; the exclusion list names no row; no
        row is left.
    """
    need("evaluation", "pyarrow")
    run, name = Run(folder), check_name(test_set, "test set")
    run.check_kind()
    chosen = _protocol(test, protocol)
    truth = HumanData.open(test.data)
    require_fit(chosen, truth)
    weights = Path(checkpoint) if checkpoint is not None else run.checkpoint
    if checkpoint is None and not weights.exists():
        raise UsageError(
            "holds no trained model", path=folder, fix="train one in this folder, or give the weights with --checkpoint"
        )
    content = checkpoints.load_any(weights, model=model)
    _require_body(content["model"]["name"], chosen, weights)
    _require_crop(content["model"]["name"], crop, weights)
    if checkpoint is not None and "train_set" not in run.manifest:
        run.note(train_set=weights.stem, model=content["model"]["name"], model_args=content["model"]["args"])
        _note_weights(run, content)
    require_columns(truth)
    if (excluded := test.excluded(truth)) is not None:
        truth = truth.with_columns({EXCLUDED: excluded})
    data = content_hash(test.data)
    rows = rows_to_test(chosen, truth, all_persons=chosen.matching != "by-row")
    if not len(rows) or not counts(chosen, truth)[rows].any():
        raise nobody(chosen, truth)
    packed = packs.described(test.images)
    others = [packed] * bool(packed) + [crop] * (crop != "exact")
    wanted = key(content["weights_sha256"], data, chosen.box_ratio, key(rows.tolist()), *others)
    path = run.predictions(name)
    started, made = time.perf_counter(), run.done(f"predictions_{name}", wanted, path)
    if not made:
        predict(
            weights,
            test,
            path,
            body_models,
            rows=rows,
            batch_size=batch_size,
            workers=workers,
            device=device,
            box_ratio=chosen.box_ratio,
            crop=crop,
            model=model,
            progress=progress,
        )
        place = {
            **noted("data", test.data, run.folder),
            **noted("images", test.images, run.folder),
            "content": data,
            "box_ratio": chosen.box_ratio,
            "crop": crop,
            "excluded": [] if excluded is None else np.flatnonzero(excluded).tolist(),
        }
        run.note(tests={name: place})
        run.completed(f"predictions_{name}", wanted)
    result = _scored(run, name, truth, data, _meshes(test.images, test.data), chosen, body_models, device or "cpu")
    if not made:
        run.note(timings={name: {"rows": len(rows), "seconds": round(time.perf_counter() - started, 2)}})
    return result


def _require_body(model: str, protocol: Protocol, weights: Path) -> None:
    body = models.card(model).body
    if not compares(protocol, body):
        others = [one.id for one in catalogue.all_protocols() if compares(one, body)]
        what = f"{model} predicts {NAMES[body]}, {protocol.id} compares {NAMES[protocol.body]} bodies"
        raise UsageError(what, path=weights, fix=f"take one of {', '.join(others)}")
    if protocol.frame == "world":
        what = f"{protocol.id} compares tracks in the world, {model} predicts bodies in boxes of single images"
        raise UsageError(what, path=weights, fix="score tracks of any origin with `ehps benchmark score`")


def _require_crop(model: str, crop: Crop, weights: Path) -> None:
    view = models.card(model).view
    if crop == "warp" and (view is None or view.window != "whole pixels"):
        raise UsageError(f"{model} sees boxes by one affine map, with and without the crop {crop}", path=weights)


def _note_weights(run: Run, content: Mapping[str, Any]) -> None:
    facts = {
        name: content.get(name, []) for name in ("trained_on", "schedule", "world")
    }  # absent in those of earlier versions
    run.note(weights_sha256=content["weights_sha256"], **facts)


def rescore(
    folder: str | Path,
    protocol: str | Protocol,
    body_models: BodyModels,
    *,
    test_set: str | None = None,
    data: Path | None = None,
    images: Path | None = None,
    device: str = "cpu",
) -> Score:
    """Score stored predictions under another protocol. No model is run.

    Parameters
    ----------
    test_set : needed when the run has predictions of several.
    data : the test file, or a folder to look for it in by name and content, where it has moved.
    images : the folder of its images, likewise.
    device : where meshes are made.

    Raises
    ------
    DataError : the test file has changed since the predictions were made, or rows have no prediction.
    UsageError : the predictions were made in boxes of another scale than the protocol's.
    """
    run = Run(folder)
    tests: dict[str, dict[str, Any]] = run.manifest.get("tests", {})
    if not tests:
        raise DataError("has no stored predictions", path=folder, fix="evaluate the run first")
    if test_set is None:
        if len(tests) > 1:
            raise UsageError(f"which test set? There are predictions of: {', '.join(sorted(tests))}")
        test_set = next(iter(tests))
    if test_set not in tests:
        raise UsageError(f"no predictions of {test_set!r}; there are: {', '.join(sorted(tests))}")
    place = tests[test_set]
    path = places.test_file(run, place, data)
    chosen = catalogue.get(protocol)
    made_with = place.get("box_ratio", Protocol.box_ratio)  # absent in folders of earlier versions
    if chosen.box_ratio != made_with:
        raise UsageError(
            f"{chosen.id} scales boxes by {chosen.box_ratio:g}, the stored predictions were made with {made_with:g}",
            fix="evaluate again under this protocol",
        )
    truth = HumanData.open(path)
    require_fit(chosen, truth)
    if place.get("excluded"):
        truth = truth.with_columns({EXCLUDED: np.isin(np.arange(len(truth)), place["excluded"])})
    folder = _meshes(images or places.test_images(run, place, path), path)
    return _scored(run, test_set, truth, place["content"], folder, chosen, body_models, device)


def _meshes(images: Path, data: Path) -> Path:
    """The folder that true meshes are below: that of the images; the file's where these are packed crops."""
    return default_folder(data) if pack_file.is_pack(images) else images


def _scored(
    run: Run,
    test_set: str,
    truth: HumanData,
    data: str,
    images: Path,
    protocol: Protocol,
    body_models: BodyModels,
    device: str,
) -> Score:
    predictions = run.predictions(test_set)
    hashes = {
        f"{model_type} {gender}": body_models.get(model_type, gender).sha256
        for model_type, gender in _needed(protocol, body_models)
    }
    excluded = np.flatnonzero(truth[EXCLUDED]).tolist() if EXCLUDED in truth else []
    helpers = [name for name in HELPERS if find_helper(body_models.folder, name) is not None]
    code = code_of("ehps.benchmark.protocols.scoring")
    wanted = key(content_hash(predictions), data, protocol.to_json(), hashes, helpers, excluded, code)
    cell = next(
        (c for c in run.cells if c["test_set"] == test_set and c["protocol"] == protocol.id and c["key"] == wanted),
        None,
    )
    if cell is not None:
        errors = run.errors()
        mine = (errors["test_set"] == test_set) & (errors["protocol"] == protocol.id)
        kept = errors[mine].drop(columns=["test_set", "protocol"]).reset_index(drop=True)
        said = cell.get("not_computed", {}), cell.get("remarks", [])
        return Score(protocol, kept, cell["metrics"], cell.get("notes", {}), *said)
    result = score(HumanData.open(predictions), truth, protocol, body_models, images=images, device=device)
    if excluded:
        result.notes["excluded"] = len(excluded)
    run.store(
        {
            "test_set": test_set,
            "dataset": truth.passport.dataset,
            "split": truth.passport.split,
            "body_model_version": truth.passport.body_model_version,
            "content": data,
            "protocol": protocol.id,
            "definition": protocol.to_dict(),
            "key": wanted,
            "metrics": result.metrics,
            "notes": result.notes,
            "not_computed": result.not_computed,
            "remarks": result.remarks,
            "printed": printed(result.metrics),
            "body_models": hashes,
        },
        result.errors,
    )
    run.note(failures={f"test_{test_set}": None})
    return result


def content_of(spec: SetSpec) -> str:
    """What the rows of a training set come from: its file, and how they are chosen and packed where they are."""
    words = [content_hash(spec.data), packs.described(spec.images)]
    words += [f"without {content_hash(spec.exclude)}"] if spec.exclude is not None else []
    words += [f"interval {spec.interval}"] if spec.interval != 1 else []
    words += [f"weight {spec.weight:g}"] if spec.weight != 1 else []
    return " ".join(filter(None, words))


def _needed(protocol: Protocol, body_models: BodyModels) -> list[tuple[str, str]]:
    needed = [("smplx", "neutral"), (protocol.body, "neutral")]
    needed += [(protocol.body, gender) for gender in ("male", "female")] * (protocol.truth != "given-vertices")
    return [one for one in dict.fromkeys(needed) if body_models.has(*one)]


def _protocol(test: SetSpec, given: str | Protocol | None) -> Protocol:
    name = given if given is not None else test.protocol
    if not name:
        raise UsageError("a test set needs a protocol", fix=f"one of: {', '.join(catalogue.names())}")
    return catalogue.get(name)
