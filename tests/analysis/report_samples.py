"""What a report shows of any number of training sets: plausible numbers, made up from a seed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ehps.analysis import attributes, published
from ehps.analysis.attributes import Samples
from ehps.analysis.benchmarks import MPE_BENCHMARKS
from ehps.analysis.comparison import compare
from ehps.analysis.ranking import rank
from ehps.analysis.report_inputs import ReportInputs
from ehps.analysis.selection import select
from ehps.analysis.worst_cases import Case

PARTS = [("all", "PVE", 1.0), ("hand", "PVE", 0.5), ("hand", "PA-PVE", 0.08), ("face", "PVE", 0.4)]
PARTS += [("face", "PA-PVE", 0.05)]
STEPS = range(0, 20_000, 200)


def results(sets: Sequence[str], rng: np.random.Generator) -> pd.DataFrame:
    """Five benchmarks, with hands and face where they have vertices."""
    rows = []
    for train_set in sets:
        base, size = 75 + 90 * rng.random(), int(10 ** rng.uniform(3, 6.5))
        for b in MPE_BENCHMARKS:
            value = base * rng.uniform(0.85, 1.3)
            parts = [("body", "MPJPE", 1.0)] if b.id == "pw3d" else PARTS
            rows += [
                (train_set, b.test_sets[0], "tiny", b.protocols[0], part, metric, value * share, 500, size)
                for part, metric, share in parts
            ]
    names = ["train_set", "test_set", "model", "protocol", "part", "metric", "value", "n", "instances"]
    frame = pd.DataFrame(rows, columns=names)
    frame.attrs["protocols"] = {b.protocols[0]: {"truth": "given vertices"} for b in MPE_BENCHMARKS}
    return frame


def errors(numbers: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Twenty instances in five sequences, whose mean is the number."""
    noise = rng.normal(0, 20, 20)
    noise -= noise.mean()
    main = numbers[numbers["metric"].isin(["PVE", "MPJPE"])]
    parts = [
        pd.DataFrame({**row._asdict(), "value": row.value + noise, "sequence": np.repeat(list("abcde"), 4)})
        for row in main.itertuples(index=False)
    ]
    return pd.concat(parts, ignore_index=True)


def samples(sets: Sequence[str], rng: np.random.Generator, n: int) -> Samples:
    """A cloud of points a dataset in three attributes."""
    roles = dict.fromkeys(sets, "train") | {f"{b.id} (test)": "test" for b in MPE_BENCHMARKS}
    values = {
        attribute: {name: rng.normal(rng.normal(0, 2, 4), rng.uniform(0.3, 1.2), (n, 4)) for name in roles}
        for attribute in ("image", "global_orient", "body_pose")
    }
    return Samples(roles, values, pd.DataFrame([], columns=["dataset", "attribute", "reason"]))


def curves(sets: Sequence[str], rng: np.random.Generator) -> pd.DataFrame:
    """Losses that fall, with noise."""
    rows = []
    for run in sets:
        start, end, speed = rng.uniform(15, 40), rng.uniform(0.5, 4), rng.uniform(1000, 4000)
        for step in STEPS:
            loss = (end + (start - end) * np.exp(-step / speed)) * rng.uniform(0.92, 1.08)
            rows += [(run, step, "loss", loss), (run, step, "pose", 0.2 * loss), (run, step, "lr", 1e-5)]
    return pd.DataFrame(rows, columns=["run", "step", "name", "value"])


def conversion(dataset: str, rng: np.random.Generator) -> dict:
    found = int(10 ** rng.uniform(3, 6.5))
    dropped = int(found * rng.uniform(0, 0.02))
    reprojection = {"p50": rng.uniform(0.5, 9), "p99": rng.uniform(10, 40), "max": rng.uniform(50, 200)}
    return {
        "dataset": dataset,
        "split": "train",
        "found": found,
        "written": found - dropped,
        "published": found,
        "dropped": {"no body": {"count": dropped, "names": []}},
        "quality": {"reprojection_px": reprojection, "betas_norm": {"p50": 2.0, "p99": 4.0, "max": 5.0}},
        "problems": [],
    }


def image(rng: np.random.Generator, side: int) -> np.ndarray:
    """Soft colours, about as compressible as a photograph."""
    from PIL import Image

    small = rng.integers(0, 255, (side // 12, side // 16, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((side * 3 // 4, side), Image.Resampling.BICUBIC))


def report_inputs(sets: Sequence[str], seed: int = 0, *, n: int = 60, side: int = 48) -> ReportInputs:
    """Inputs of every section for the training sets ``sets``.

    ``n``: samples of a dataset; ``side``: of the images, pixels.
    """
    rng = np.random.default_rng(seed)
    numbers = results(sets, rng)
    of_instances = errors(numbers, rng)
    ranked = rank(numbers, of_instances, bootstrap=100)
    found = samples(sets, rng, n)
    looks = pd.DataFrame({"appearance": rng.choice(["real", "synthetic", "mixed"], len(sets))}, index=list(sets))
    sizes = dict(zip(ranked["train_set"], ranked["instances"], strict=True))
    places = ("median", "worst 1", "worst 2", "worst 3")
    best = str(ranked["train_set"].iloc[0])
    return ReportInputs(
        title="Which data is worth training on?",
        ranked=ranked,
        comparison=compare(ranked, published.single_dataset_ranks()),
        results=numbers,
        errors=of_instances,
        attributes=looks,
        samples=found,
        embeddings={name: attributes.embed(found, name, method="pca") for name in found.values},
        selection=select(ranked, sizes, 500_000, sets=10),
        conversions=[conversion(name, rng) for name in sets],
        training=curves(sets, rng),
        overlays=[(name, image(rng, side)) for name in sets],
        cases=[
            Case(b.label, best, "tiny", place, 7 * i, f"images/{i:05d}.jpg", "a", 90 + 70.0 * i, *pair)
            for b in MPE_BENCHMARKS
            for i, place in enumerate(places)
            for pair in [(image(rng, side), image(rng, side))]
        ],
        manifests={f"{name} run": {"seed": 17, "train_set": name} for name in sets},
        notes=["Made-up numbers."],
    )
