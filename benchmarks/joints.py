"""How fast the joints are, against the ``smplx`` package, on one core.

    python benchmarks/joints.py [--body-models DIR] [--model-type smplx] [--batches 1 1024]

Without ``--body-models`` (or EHPS_BODY_MODELS) the licence-free stand-in body is written to a temporary folder:
its arrays have the sizes of the real ones, so the times are theirs too. Printed times are the best of several.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import smplx
import torch

from ehps.body.joints import FastJoints
from ehps.body.model_folder import body_models_folder
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.body.standin import write_standin
from ehps.body.topology import TOPOLOGY
from ehps.body.torch_joints import TorchJoints

ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Joints per second: the smplx package, numpy, torch; one core.")
    parser.add_argument("--body-models", type=Path, help="folder of body models; the stand-in when not given")
    parser.add_argument("--model-type", choices=tuple(TOPOLOGY), default="smplx")
    parser.add_argument("--gender", choices=("neutral", "male", "female"), default="neutral")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 1024])
    parser.add_argument("--seconds", type=float, default=3.0, help="to spend on each cell")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with folder_of_models(body_models_folder(options.body_models), options.model_type) as folder:
        model = BodyModels(folder).get(options.model_type, options.gender)
        print(f"{options.model_type} {options.gender}, version {model.version}, one core")
        print(f"{'batch':>6} {'':<14} {'us/instance':>12} {'instances/s':>12} {'ratio':>8} {'max difference, m':>18}")
        for batch in options.batches:
            compare(folder, options.model_type, options.gender, batch, options.seconds)


@contextlib.contextmanager
def folder_of_models(given: Path | None, model_type: str) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    made = Path(tempfile.mkdtemp(prefix="ehps-standin-"))
    try:
        yield write_standin(made, models=(model_type,))
    finally:
        shutil.rmtree(made)


def compare(folder: Path, model_type: str, gender: str, batch: int, seconds: float) -> None:
    """Print the rows of one batch size."""
    params = random_params(model_type, gender, batch, np.random.default_rng(0))
    model = BodyModels(folder).get(model_type, gender)
    fast, module = FastJoints(model), TorchJoints(model)
    given = {name: torch.tensor(value, dtype=torch.float32) for name, value in params.arrays().items()}
    short = TorchJoints(model, contour=False)
    calls: dict[str, Callable[[], np.ndarray]] = {
        "smplx package": package_call(folder, model_type, gender, batch, given),
        "numpy": lambda: fast(params),
        "numpy float64": lambda: fast(params, np.float64),
        "torch": lambda: module(**given).numpy(),
    }
    if model_type == "smplx":
        calls["torch, 127"] = lambda: short(**given).numpy()  # without the face contour
    with torch.no_grad():
        expected = calls["smplx package"]()
        slowest = 0.0
        for name, call in calls.items():
            joints = call()
            took = best_time(call, seconds)
            slowest = slowest or took
            gap = np.abs(joints - expected[:, : joints.shape[1]]).max()
            each = took / batch
            print(f"{batch:>6} {name:<14} {each * 1e6:>12.1f} {1 / each:>12.0f} {slowest / took:>7.1f}x {gap:>18.1e}")


def package_call(
    folder: Path, model_type: str, gender: str, batch: int, given: dict[str, torch.Tensor]
) -> Callable[[], np.ndarray]:
    """The same joints by the package, in its recommended configuration for whole-body joints."""
    extra: dict[str, Any] = {} if model_type == "smpl" else {"use_pca": False, "flat_hand_mean": False}
    if model_type == "smplx":
        extra["use_face_contour"] = True
    if model_type == "smplh":
        extra["ext"] = "pkl"
    with contextlib.redirect_stdout(io.StringIO()):
        body = smplx.create(str(folder), model_type, gender=gender, batch_size=batch, num_betas=10, **extra)
    flat = {name: value.reshape(batch, -1) for name, value in given.items()}

    def call() -> np.ndarray:
        return np.asarray(body(**flat).joints.numpy())

    return call


def best_time(call: Callable[[], object], seconds: float) -> float:
    """Seconds of the quickest of as many calls as fit."""
    best, end = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return float(best)


def random_params(model_type: str, gender: str, n: int, rng: np.random.Generator) -> BodyParams:
    hands, face = model_type != "smpl", model_type == "smplx"
    return BodyParams(
        model_type=model_type,
        gender=np.full(n, gender),
        betas=rng.normal(0, 1, (n, 10)),
        global_orient=rng.normal(0, 1, (n, 3)),
        body_pose=rng.normal(0, 0.3, (n, 23 if model_type == "smpl" else 21, 3)),
        transl=rng.normal(0, 1, (n, 3)),
        left_hand_pose=rng.normal(0, 0.3, (n, 15, 3)) if hands else None,
        right_hand_pose=rng.normal(0, 0.3, (n, 15, 3)) if hands else None,
        jaw_pose=rng.normal(0, 0.2, (n, 3)) if face else None,
        leye_pose=rng.normal(0, 0.2, (n, 3)) if face else None,
        reye_pose=rng.normal(0, 0.2, (n, 3)) if face else None,
        expression=rng.normal(0, 1, (n, 10)) if face else None,
    )


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in ONE_CORE.items()):
        # The libraries read these when they are imported, which has happened: start again.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_CORE})
    main()
