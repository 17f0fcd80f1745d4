"""How fast predictions are scored on one core, against the plain way of public evaluation code.

    python benchmarks/score.py [--protocol egobody-ego] [--rows 512] [--plain-rows 16] [--body-models DIR]

The plain way goes sample by sample: the ``smplx`` package's layers, dense float64 regressors on whole meshes (eight
products for SMPL-X protocols), ``numpy.linalg.svd``. For 3DPW's protocols it is also this package with whole meshes,
where only joints are compared. Without ``--body-models`` (or EHPS_BODY_MODELS) the licence-free stand-in body is
written to a temporary folder; its arrays have the sizes of the real ones. The numbers of both ways are compared.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import smplx
import torch

from ehps.arrays import Array
from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.points import SKELETON14, Plan
from ehps.benchmark.protocols.protocol import Protocol
from ehps.benchmark.protocols.scoring import score
from ehps.benchmark.protocols.tables import Tables
from ehps.body.model_folder import body_models_folder
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smpl_params, smplx_params
from ehps.body.standin import write_standin
from ehps.humandata import HumanData
from ehps.humandata.passport import Passport

ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
PLAIN = ("egobody-ego", "pw3d-smplerx", "pw3d-challenge")
Errors = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description="Scored rows per second, and the plain way; one core.")
    parser.add_argument("--protocol", default="egobody-ego", help="one of SMPL-X or of 3DPW")
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--plain-rows", type=int, default=16, help="rows that the plain way is timed on")
    parser.add_argument(
        "--repeat", type=int, default=5, help="the median of so many times, in which the ways take turns"
    )
    parser.add_argument("--body-models", type=Path, help="folder of body models; the stand-in when not given")
    parser.add_argument("--device", default="cpu", help="where meshes are made")
    options = parser.parse_args()
    torch.set_num_threads(1)
    protocol = catalogue.get(options.protocol)
    with folder_of_models(body_models_folder(options.body_models)) as folder:
        models = BodyModels(folder)
        true, guess = people(protocol.body, options.rows, np.random.default_rng(0))
        truth, predictions = as_humandata(true), as_humandata(guess)

        def scored(count: int) -> Any:
            return score(predictions[:count], truth[:count], protocol, models, device=options.device)

        scored(options.rows)  # regressors are read
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        plain = Plain(folder, protocol, models) if protocol.name in PLAIN else None
        rows, errors = range(options.plain_rows), []

        def plainly() -> None:
            errors[:] = [plain(true[i : i + 1], guess[i : i + 1]) for i in rows] if plain else []

        def wholly() -> None:
            with whole_meshes():
                scored(min(options.rows, 256))

        if plain:
            plain(true[:1], guess[:1])
        ways = [lambda: scored(options.rows), plainly] + ([wholly] if protocol.body == "smpl" else [])
        took, plain_took, *whole = median_times(ways, options.repeat)
        kind = "one core" if options.device == "cpu" else f"{options.device}, errors on one core"
        print(f"{protocol.id}, {options.rows:,} rows, {kind}")
        print(f"{'':<34} {'rows/s':>9} {'ratio':>7}")
        rate = options.rows / took
        print(f"{'ehps benchmark score':<34} {rate:>9.0f}")
        for each in whole:
            slow = each / min(options.rows, 256)
            print(f"{'the same with whole meshes':<34} {1 / slow:>9.1f} {rate * slow:>6.1f}x")
        if plain is None:
            print(f"the plain way is written for {', '.join(PLAIN)}")
            return
        each = plain_took / len(rows)
        print(f"{'the plain way':<34} {1 / each:>9.1f} {rate * each:>6.1f}x")
        result = scored(len(rows))
        gap = max(abs(result.value(*name.split()) - np.mean([one[name] for one in errors])) for name in errors[0])
        print(f"numbers of both ways differ by at most {gap:.1e} mm ({', '.join(errors[0])})")
        print(f"peak memory of the process, body models and torch included: {peak:,.0f} MB")
        if not torch.cuda.is_available():
            print("not measured: a GPU (there is none)")


@contextlib.contextmanager
def folder_of_models(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    made = Path(tempfile.mkdtemp(prefix="ehps-standin-"))
    try:
        yield write_standin(made, models=("smplx", "smpl"))
    finally:
        shutil.rmtree(made)


@contextlib.contextmanager
def whole_meshes() -> Iterator[None]:
    """Body models that make every vertex, whichever are wanted."""
    original = BodyModels.mesh

    def mesh(self: BodyModels, params: BodyParams, *, ids: Array | None = None, device: str = "cpu") -> Array:
        whole = original(self, params, device=device)
        return whole if ids is None else whole[:, ids]

    def bodies(self: Plan, params: BodyParams, **options: Any) -> Any:
        if not len(self.ids):
            self.models.mesh(params, device=options["device"])
        return of_plan(self, params, **options)

    of_plan = Plan.bodies
    BodyModels.mesh, Plan.bodies = mesh, bodies  # type: ignore[method-assign]
    try:
        yield
    finally:
        BodyModels.mesh, Plan.bodies = original, of_plan  # type: ignore[method-assign]


def cpu() -> float:
    """Seconds of this process on the processor, which other programs do not lengthen."""
    return time.process_time()


def median_times(calls: Sequence[Callable[[], object]], repeat: int) -> list[float]:
    """Seconds of each call, which take turns: of the processor, or of the clock where a GPU works too."""
    clock = time.perf_counter if torch.cuda.is_available() else cpu
    times = np.zeros((repeat, len(calls)))
    for turn in times:
        for number, call in enumerate(calls):
            start = clock()
            call()
            turn[number] = clock() - start
    return np.median(times, axis=0).tolist()


def people(model_type: str, n: int, rng: np.random.Generator) -> tuple[BodyParams, BodyParams]:
    """True and predicted bodies."""
    transl = rng.normal(0, 0.5, (n, 3))
    transl[:, 2] += 5
    betas, pose = rng.normal(0, 1, (n, 10)).clip(-2.5, 2.5), rng.normal(0, 0.3, (n, 24, 3))
    if model_type == "smpl":
        true = smpl_params(gender=np.resize(["male", "female"], n), betas=betas, pose=pose, transl=transl)
        wrong = smpl_params(gender="neutral", betas=betas, pose=pose + rng.normal(0, 0.1, pose.shape), transl=transl)
        return true, wrong
    hands = rng.normal(0, 0.3, (2, n, 45))
    true = smplx_params(
        gender="neutral",
        betas=betas,
        global_orient=pose[:, 0],
        body_pose=pose[:, 1:22],
        transl=transl,
        left_hand_pose=hands[0],
        right_hand_pose=hands[1],
        jaw_pose=rng.normal(0, 0.1, (n, 3)),
        expression=rng.normal(0, 1, (n, 10)),
    )
    return true, true.with_(body_pose=true.body_pose + rng.normal(0, 0.1, true.body_pose.shape))


def as_humandata(params: BodyParams) -> HumanData:
    n = len(params)
    columns = {f"{params.model_type}/{name}": value.astype(np.float32) for name, value in params.arrays().items()}
    passport = Passport(
        body_model=params.model_type,
        num_betas=10,
        gender="per-instance" if len(set(params.gender)) > 1 else str(params.gender[0]),
        flat_hand_mean=False if params.model_type == "smplx" else None,
    )
    paths = [f"sequence{i % 10}/{i:06d}.jpg" for i in range(n)]
    extra = {"meta/gender": params.gender.tolist(), "meta/truth_row": np.arange(n)}
    return HumanData({"image_path": paths, **columns, **extra}, passport=passport)


# -- the plain way ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Joined:
    """A mesh (V, 3) and its model's joints (J, 3)."""

    vertices: Array
    joints: Array


class Plain:
    """One sample after the other, as public evaluation code does it."""

    def __init__(self, folder: Path, protocol: Protocol, models: BodyModels) -> None:
        self.protocol, self.smplx = protocol, protocol.body == "smplx"
        tables = Tables(models)
        options: dict[str, Any] = {"use_pca": False, "flat_hand_mean": False} if self.smplx else {}
        genders = ("neutral",) if self.smplx else ("neutral", "male", "female")
        with contextlib.redirect_stdout(io.StringIO()):
            self.layers = {
                gender: smplx.create(str(folder), protocol.body, gender=gender, num_betas=10, **options)
                for gender in genders
            }
        self.J = np.asarray(models.get(protocol.body, "neutral").J_regressor, np.float64)
        if self.smplx:
            self.ids = {part: tables.vertices("smplx", part) for part in ("left_hand", "right_hand", "face")}
            self.J14 = tables.regressor("smplx", "j14").toarray()
            self.hands = {side: tables.regressor("smplx", side).toarray() for side in ("left_hand", "right_hand")}

    def __call__(self, true: BodyParams, guess: BodyParams) -> Errors:
        """Errors of one sample, mm, ``"part metric"`` -> value."""
        t, p = self.mesh(true), self.mesh(guess)
        return self.of_parts(p.vertices, t.vertices) if self.smplx else self.of_joints(p, t)

    def mesh(self, params: BodyParams) -> Joined:
        values = {
            name: torch.tensor(value.reshape(1, -1), dtype=torch.float32) for name, value in params.arrays().items()
        }
        with torch.no_grad():
            made = self.layers[str(params.gender[0])](**values)
        return Joined(made.vertices[0].numpy().astype(np.float64), made.joints[0].numpy().astype(np.float64))

    def of_parts(self, p: Array, t: Array) -> Errors:
        out: Errors = {}
        for part, row in (("all", 0), ("left_hand", 20), ("right_hand", 21), ("face", 12)):
            ids = self.ids.get(part, slice(None))
            moved = p - (self.J @ p)[row] + (self.J @ t)[row]
            out[f"{part} PVE"] = mean_distance(moved[ids], t[ids])
            out[f"{part} PA-PVE"] = mean_distance(aligned(p[ids], t[ids]), t[ids])
        for part, regressor in (("body", self.J14), *self.hands.items()):
            joints = regressor @ p, regressor @ t
            out[f"{part} PA-MPJPE"] = mean_distance(aligned(*joints), joints[1])
        return out

    def of_joints(self, p: Joined, t: Joined) -> Errors:
        """Of regressed joints, or of the model's own 24."""
        joints = [self.J @ one.vertices for one in (p, t)]
        roots = [one[0] for one in joints]
        if self.protocol.joints == "smpl24":
            joints = [one.joints[:24] for one in (p, t)]
            roots = [one[0] for one in joints]
        else:
            joints = [one[list(SKELETON14)] for one in joints]
        return {
            "body MPJPE": mean_distance(joints[0] - roots[0], joints[1] - roots[1]),
            "body PA-MPJPE": mean_distance(aligned(*joints), joints[1]),
        }


def mean_distance(a: Array, b: Array) -> float:
    return float(np.sqrt(((a - b) ** 2).sum(1)).mean() * 1000)


def aligned(a: Array, b: Array) -> Array:
    """``a`` after the similarity that brings it nearest to ``b``."""
    mean_a, mean_b = a.mean(0), b.mean(0)
    U, s, Vt = np.linalg.svd((a - mean_a).T @ (b - mean_b) / len(a))
    R = Vt.T @ U.T
    if np.linalg.det(R) < 0:
        s[-1] *= -1
        Vt[2] *= -1
        R = Vt.T @ U.T
    scale = s.sum() / a.var(0).sum()
    return np.asarray(scale * (a - mean_a) @ R.T + mean_b)


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in ONE_CORE.items()):
        # The libraries read these when they are imported, which has happened: start again.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_CORE})
    main()
