"""How fast and how near bodies are fitted with another model, beside ``smplfitter`` where that is installed. One core.

    python benchmarks/refits.py [--body-models DIR] [--bodies 256]

Meshes of the locked-head release are fitted with the usual SMPL-X (10 betas). Without ``--body-models`` the
licence-free stand-in is written to a temporary folder: its arrays have the sizes of the real ones.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from ehps.body.fitting import fit
from ehps.body.helper_files import find_helper
from ehps.body.joints import full_pose
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smplx_params
from ehps.body.standin import write_standin


def main() -> None:
    parser = argparse.ArgumentParser(description="Bodies a second and millimetres of fitted models; one core.")
    parser.add_argument("--body-models", type=Path, help="with models_lockedhead in it; the stand-in by default")
    parser.add_argument("--bodies", type=int, default=256)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.body_models or write_standin(
            Path(temporary) / "bodies", models=["smplx"], genders=["neutral"], locked_head=True
        )
        models, true = BodyModels(folder), people(args.bodies)
        meshes, model = models.mesh(true), models.get("smplx", "neutral")
        start = full_pose(model, true)
        fit(model, meshes[:2])
        print("| what | bodies a second | median mm | largest mm |\n|---|---|---|---|")
        for name, known in (("ehps, from the pose", start), ("ehps, from nothing", None)):
            begun = time.perf_counter()
            residual = fit(model, meshes, start=known).residual
            row(name, args.bodies, time.perf_counter() - begun, residual)
        smplfitter(folder, Path(temporary), meshes)


def people(n: int) -> BodyParams:
    rng = np.random.default_rng(0)
    return smplx_params(
        gender="neutral",
        betas=rng.normal(size=(n, 16)),
        global_orient=1.5 * rng.normal(size=(n, 3)),
        body_pose=0.4 * rng.normal(size=(n, 21, 3)),
        transl=rng.normal(size=(n, 3)),
        left_hand_pose=0.3 * rng.normal(size=(n, 15, 3)),
        right_hand_pose=0.3 * rng.normal(size=(n, 15, 3)),
        flat_hand_mean=True,
    ).with_(locked_head=True)


def smplfitter(folder: Path, temporary: Path, meshes: np.ndarray) -> None:
    try:
        from smplfitter.pt import BodyFitter, BodyModel
    except ImportError:
        print("\nsmplfitter is not installed: `pip install smplfitter` to compare")
        return
    kid = find_helper(folder, "kid_smplx")
    own = temporary / "smplfitter"
    own.mkdir()
    shutil.copy(folder / "smplx" / "SMPLX_NEUTRAL.npz", own)
    if kid is not None:
        shutil.copy(kid, own / "kid_template.npy")
    model = BodyModel("smplx", "neutral", model_root=str(own), num_betas=10)
    fitter, target = BodyFitter(model), torch.from_numpy(np.ascontiguousarray(meshes))
    for rounds in (1, 3, 5):
        with torch.no_grad():
            begun = time.perf_counter()
            found = fitter.fit(
                target, num_iter=rounds, beta_regularizer=0, requested_keys=["pose_rotvecs", "shape_betas", "trans"]
            )
            seconds = time.perf_counter() - begun
            names = ("pose_rotvecs", "shape_betas", "trans")
            away = model(**{name: found[name] for name in names})["vertices"] - target
        row(f"smplfitter, {rounds} rounds", len(meshes), seconds, (away**2).sum(2).mean(1).sqrt().numpy())


def row(name: str, bodies: int, seconds: float, residual: np.ndarray) -> None:
    print(f"| {name} | {bodies / seconds:.0f} | {1000 * np.median(residual):.2f} | {1000 * residual.max():.2f} |")


if __name__ == "__main__":
    main()
