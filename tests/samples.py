"""Real samples of datasets, where the machine has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def samples(name: str) -> Path:
    """Folder with the real sample of a dataset; skips the test where there is none.

    Looked for in the folder that EHPS_SAMPLES names, else in ``shared/samples`` beside the repository.
    """
    given = os.environ.get("EHPS_SAMPLES")
    base = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "samples"
    if not (base / name).is_dir():
        pytest.skip(f"no sample of {name}: set EHPS_SAMPLES to the folder that holds it")
    return base / name
