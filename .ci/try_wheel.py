"""Tries an installed wheel: ``python try_wheel.py base|all EHPS``, in an empty folder; see ``wheel-check``."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib.metadata import files
from pathlib import Path

import numpy as np

import ehps

DATA = (
    "py.typed",
    "humandata/keypoints.json",
    "analysis/published/datasets.csv",
    "analysis/published/single_dataset_ranks.csv",
    "analysis/templates/report.html",
)
MODELS = Path("body_models")


def step(what: str, *command: str, code: int = 0) -> str:
    """Run a command, whose exit code must be ``code``; returns what it printed."""
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != code:
        sys.exit(f"{what}: exit code {done.returncode}, not {code}\n{done.stdout}")
    print(f"  {what}: {time.perf_counter() - started:.1f} s")
    return done.stdout


def base(command: str) -> None:
    """Without extras: package data, help, convert a small generated dataset, look at it."""
    from ehps.body.standin import write_standin
    from ehps.demo.sets import TEST

    names = {str(path) for path in files("ehps") or ()}
    absent = [name for name in DATA if f"ehps/{name}" not in names]
    if absent or "site-packages" not in str(ehps.__file__):
        sys.exit(f"the wheel lacks {', '.join(absent)}, or ehps is that of {ehps.__file__}")
    step("--help", command, "--help")
    step("version", command, "--version")
    step("datasets", command, "datasets")
    step("doctor", command, "doctor")
    step("published ranking", command, "analysis", "rank")
    write_standin(MODELS, models=("smplx",))
    entry = next(e for e in TEST if e.dataset == "egobody_ego")
    raw = Path("raw/egobody_ego")
    entry.write(raw, MODELS, np.random.default_rng(0), look=entry.look, images=2, **entry.calls[0])
    words = ("egobody_ego", str(raw), "--split", "test", "--out", "ego.h5", "--body-models", str(MODELS))
    step("convert", command, "convert", *words)
    told = step("info", command, "humandata", "info", "ego.h5")
    if "2 instances" not in told:
        sys.exit(f"two people were converted, info says:\n{told}")
    step("export", command, "humandata", "export", "ego.h5", "--out", "ego.npz")
    train = ("ego.h5", "--images", str(raw), "--out", "runs/ego/tiny", "--steps", "1", "--body-models", str(MODELS))
    told = step("train is refused", command, "benchmark", "train", *train, code=2)
    if "ehps[train]" not in told:
        sys.exit(f"training without its extra does not say which:\n{told}")


def everything(command: str) -> None:
    """With all extras: the demo, on fewer images and for fewer steps."""
    small = Path(__file__).parent.parent / "docs/small_demo.py"
    step("demo", str(Path(command).with_name("python")), str(small), "demo", "--whole")
    page = Path("demo/report.html").read_text(encoding="utf-8")
    if "EgoBody" not in page:
        sys.exit("the demo's report does not show its sets")


if __name__ == "__main__":
    {"base": base, "all": everything}[sys.argv[1]](sys.argv[2])
