"""A small part of the demo, to build the tutorials and to try the wheel: ``small_demo.py OUT [--whole]``.

Four training sets, three test sets, few images and steps. Without ``--whole`` it ends before the analysis, which the
tutorials do themselves.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from ehps.body.models import BodyModels
from ehps.demo import end_to_end as demo
from ehps.demo.sets import TEST, TRAIN, DemoSet

TRAINED_ON = ("bedlam", "agora", "egobody_ego", "mscoco")
TESTED_ON = ("egobody_ego", "pw3d", "ehf")
STEPS = 5


def fewer(entry: DemoSet) -> DemoSet:
    return dataclasses.replace(entry, images=max(5, entry.images // 5))


def prepare(out: Path) -> None:
    """Everything of the demo but its analysis."""
    models = out / "body_models"
    demo._write_models(models)
    demo._write_all_raw(out / "raw", models, seed=0)
    demo._convert_all(out, models)
    demo._benchmark(out, BodyModels(models), seed=0, steps=STEPS)


if __name__ == "__main__":
    demo.TRAIN = tuple(fewer(entry) for entry in TRAIN if entry.dataset in TRAINED_ON)
    demo.TEST = tuple(fewer(entry) for entry in TEST if entry.dataset in TESTED_ON)
    demo.BATCH = 4
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if "--whole" in sys.argv[2:]:
        demo.run(folder, steps=STEPS)
    else:
        prepare(folder)
        (folder / ".complete").touch()
