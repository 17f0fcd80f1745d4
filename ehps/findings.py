"""What run folders and files come to: rankings, what to train on, and everything that the report shows.

The place where parts meet that do not know each other: results of the benchmark, cards of the converters, analysis.
The command line and the demo call the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ehps.errors import DataError, EhpsError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from ehps.analysis.attributes import Samples
    from ehps.analysis.benchmarks import Part
    from ehps.analysis.joint_factors import JointModel
    from ehps.analysis.report_inputs import ReportInputs
    from ehps.body.models import BodyModels
    from ehps.humandata import HumanData

Benchmarks = Literal["five", "present"]
STANDIN = "stand-in"
TITLE = "Which data is worth training on?"


def ranking_of(
    runs: Path | None, model: str | None = None, benchmarks: Benchmarks = "five", part: Part = "all"
) -> pd.DataFrame:
    """Ranked training sets of a folder of runs, or the published ranking.

    Parameters
    ----------
    runs : folder of run folders; None for the published ranking.
    model : only the sets of this model.
    benchmarks : mean over the five, or over the test sets there are.
    part : ``hands`` and ``face`` rank by the errors of that part.

    Raises
    ------
    UsageError : no results of the model, or published ranks by a part.
    """
    from ehps.analysis import published, ranking
    from ehps.analysis.benchmarks import MPE_BENCHMARKS, benchmarks_in
    from ehps.benchmark import results

    if runs is None:
        if part != "all":
            raise UsageError(f"there are no published ranks by {part}", fix="name a folder of runs with --results")
        return published.single_dataset_ranks(model or "smpler_x_s")
    numbers, errors = results.load(runs), results.load_errors(runs)
    counted = MPE_BENCHMARKS if benchmarks == "five" else benchmarks_in(numbers)
    ranked = ranking.rank(numbers, errors, benchmarks=counted, part=part)
    ranked.attrs["left_out"] = numbers.attrs["left_out"]
    if model is not None:
        ranked = ranked[ranked["model"] == model].reset_index(drop=True)
        if not len(ranked):
            models = ", ".join(sorted(set(numbers["model"])))
            raise UsageError(f"no results of the model {model!r}", path=runs, fix=f"there are: {models}")
    return ranked


def joint_model_of(ranked: pd.DataFrame, attributes: pd.DataFrame) -> tuple[JointModel | None, str]:
    """All factors together, see :func:`ehps.analysis.joint_factors.joint_model`; None, and why, of too few sets."""
    from ehps.analysis.joint_factors import joint_model

    try:
        return joint_model(ranked, attributes), ""
    except DataError as error:
        return None, error.what


def samples_of(files: Sequence[Path], test: Sequence[Path], images: Mapping[Path, Path], limit: int = 500) -> Samples:
    """Samples of training and test files; image features of those whose folder of images is in ``images``."""
    from ehps.analysis import attributes

    roles = [(file, "train") for file in files] + [(file, "test") for file in test]
    sources = [attributes.Source(file, role, images=images.get(file)) for file, role in roles]
    chosen = attributes.ATTRIBUTES if images else [a for a in attributes.ATTRIBUTES if a != "image"]
    return attributes.collect(sources, limit=limit, attributes=chosen)


def selection_of(
    files: Sequence[Path],
    ranked: pd.DataFrame,
    budget: int | None = None,
    *,
    sets: int = 10,
    diversity: float = 0.3,
    samples: Samples | None = None,
) -> pd.DataFrame:
    """Which of ``files`` to train on, see ``selection.select``; files without parameters are left out, with the reason.

    Parameters
    ----------
    budget : most instances in all; half of what there is when None.
    samples : of the files, where they are drawn already.

    Raises
    ------
    UsageError : two files of one dataset.
    DataError : none of the files is of a ranked dataset.
    """
    from ehps.analysis import attributes, ranking, selection
    from ehps.humandata import HumanData

    opened: dict[str, HumanData] = {}
    unusable: dict[str, str] = {}
    for file in files:
        hd = HumanData.open(file)
        if hd.passport.body_model is None:
            unusable[str(file)] = "it has no body parameters to train on"
            continue
        if (name := _dataset(hd, file)) in opened:
            raise UsageError(f"is a second file of {name}", path=file, fix="merge the two, or name one")
        opened[name] = hd
    if samples is None:
        samples = attributes.collect(list(opened.values()), attributes=["body_pose"])
    distances = attributes.distance_matrix(samples, "body_pose") if samples.values.get("body_pose") else None
    sizes = {name: len(hd) for name, hd in opened.items()}
    placed, others = ranking.by_dataset(ranked)
    wanted = max(1, sum(sizes.values()) // 2) if budget is None else budget
    chosen = selection.select(placed, sizes, wanted, sets=sets, distances=distances, diversity=diversity)
    chosen.attrs["left_out"] = unusable | others | chosen.attrs["left_out"]
    return chosen


def report_inputs(
    runs: Path,
    *,
    data: Sequence[Path] = (),
    test: Sequence[Path] = (),
    images: Mapping[Path, Path] | None = None,
    model: str | None = None,
    benchmarks: Benchmarks = "five",
    budget: int | None = None,
    body_models: BodyModels | None = None,
    title: str = TITLE,
    stage: Callable[[str], None] = lambda _: None,
) -> ReportInputs:
    """Everything that can be known of a folder of runs and the files of its sets, for ``html_report.report``.

    Parameters
    ----------
    data, test : HumanData files of training and test sets; their conversion reports are looked for beside them.
    images : file -> folder of its images, for examples and image features.
    budget : of the selection; half of the training files' rows when None.
    body_models : to draw predictions beside the truth.
    stage : told what is begun.
    """
    from ehps.analysis import attributes, published, rank_factors, ranking, worst_cases
    from ehps.analysis.benchmarks import MPE_BENCHMARKS
    from ehps.analysis.curves import LOG, read_curves
    from ehps.analysis.report_inputs import ReportInputs
    from ehps.benchmark import results
    from ehps.converters import registry

    images = images or {}
    stage("ranking")
    ranked = ranking_of(runs, model, benchmarks)
    usual = {b.id for b in ranking.benchmarks_of(ranked)} == {b.id for b in MPE_BENCHMARKS}
    comparable = usual and ranked["model"].nunique() == 1 and not ranked["train_set"].duplicated().any()
    numbers = results.load(runs)
    samples, embeddings = None, {}
    if data:
        stage(f"samples of {len(data) + len(test)} files")
        samples = samples_of(data, test, images)
        for name in (name for name, values in samples.values.items() if values):
            stage(f"embedding of {attributes.TITLES[name]}")
            embeddings[name] = attributes.embed(samples, name)
    notes = _notices(numbers, [*data, *test])
    notes += [f"Left out: {name}, {why}." for name, why in numbers.attrs["left_out"].items()]
    chosen = None
    if data and ranked["model"].nunique() == 1:
        stage("selection")
        try:
            chosen = selection_of(data, ranked, budget, samples=samples)
        except DataError as error:
            notes.append(f"Nothing is selected: {error.what}.")
    stage("examples")
    overlays, faults = _examples([file for file in data if file in images], images)
    stage("truth and prediction")
    cases = worst_cases.drawn(worst_cases.find(results.load_errors(runs), ranked), numbers, runs, body_models)
    reports = [path for file in (*data, *test) if (path := file.with_name(file.name + ".report.json")).exists()]
    return ReportInputs(
        title=title,
        ranked=ranked,
        comparison=ranking.compare(ranked, published.single_dataset_ranks()) if comparable else None,
        results=numbers,
        attributes=rank_factors.card_attributes(registry.cards()),
        samples=samples,
        embeddings=embeddings,
        selection=chosen,
        conversions=reports,
        training=read_curves(runs) if any(runs.rglob(LOG)) else None,
        overlays=overlays,
        cases=cases,
        manifests=results.manifests(runs),
        notes=notes + faults,
    )


def _dataset(hd: HumanData, file: Path) -> str:
    """What a file says it is, its name where it does not say."""
    from ehps.humandata.passport import UNKNOWN

    return file.stem if hd.passport.dataset == UNKNOWN else hd.passport.dataset


def _notices(numbers: pd.DataFrame, files: Sequence[Path]) -> list[str]:
    """What the reader must know of the bodies behind the numbers, from the passports of files and of tests."""
    from ehps.humandata import HumanData

    told = {file.name for file in files if HumanData.open(file).passport.body_model_version == STANDIN}
    tested = numbers.loc[numbers["body_model_version"] == STANDIN, "test_set"]
    if not told and not len(tested):
        return []
    which = ", ".join(sorted(told or set(tested)))
    return [
        f"Generated data: the bodies of {which} are of the stand-in body model, which is nobody's. The numbers show "
        "that the parts work together; they say nothing about the real datasets."
    ]


def _examples(files: Sequence[Path], images: Mapping[Path, Path]) -> tuple[list[tuple[str, Any]], list[str]]:
    """One image of every file with its annotation drawn on it, and of which files there is none."""
    from ehps.analysis.published import dataset_name
    from ehps.humandata import HumanData
    from ehps.humandata.drawing.overlays import draw_instances

    drawn: list[tuple[str, Any]] = []
    faults = []
    for file in files:
        hd = HumanData.open(file)
        row = len(hd) // 2
        try:
            image = draw_instances(hd, [row], images[file], side=480).image
        except EhpsError as error:
            faults.append(f"No example of {file.name}: {error.what}.")
        else:
            drawn.append((dataset_name(_dataset(hd, file)), image))
    return drawn, faults
