"""What run folders and files come to: rankings, what to train on, and everything that the report shows.

The place where parts meet that do not know each other: results of the benchmark, cards of the converters, analysis.
The command line and the demo call the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ehps.errors import DataError, EhpsError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from ehps.analysis.attributes import Samples
    from ehps.analysis.benchmarks import Benchmark, Part
    from ehps.analysis.joint_factors import JointModel
    from ehps.analysis.reliability import Reliability
    from ehps.analysis.report_inputs import ReportInputs
    from ehps.analysis.scaling_curves import Curve
    from ehps.benchmark.results import Results
    from ehps.body.models import BodyModels
    from ehps.converters.base import DatasetCard

Benchmarks = Literal["five", "present"]
STANDIN = "stand-in"
TITLE = "Which data is worth training on?"


def results_of(runs: Path, *parts: Part) -> Results:
    """Results of the finished runs below a folder, with the errors that rankings by ``parts`` need.

    Raises
    ------
    DataError : there are none; the message names those that are not finished.
    UsageError : they are of a suite with recipes, each of which has its own.
    """
    from ehps.analysis.benchmarks import measures
    from ehps.benchmark import results
    from ehps.benchmark.suites.states import recipes_of

    if several := recipes_of(runs):
        raise UsageError(
            f"holds runs of the recipes {', '.join(several)}, each with results of its own",
            path=runs,
            fix=f"name the folder of one, {runs / several[0]}",
        )
    found = results.read(runs, {measure for part in parts for measure in measures(part)})
    if not len(found.numbers):
        others = "; ".join(f"{name}: {why}" for name, why in found.broken.items())
        raise DataError(
            "holds no finished run" + (f" ({others})" if others else ""),
            path=runs,
            fix=f"run `ehps benchmark run SUITE --out {runs}` first; `ehps benchmark status {runs}` says how far it is",
        )
    return found


def ranking_of(
    source: Path | None,
    model: str | None = None,
    benchmarks: Benchmarks = "five",
    part: Part = "all",
    found: Results | None = None,
) -> pd.DataFrame:
    """Ranked training sets of a folder of runs, of a CSV file, or the published ranking.

    What the cards say of the datasets (scene, appearance, annotation) is filled in where it is not given.
    ``attrs["broken"]``: runs that are left out, with the reason; ``attrs["not_ranked"]``: test sets that have no error
    in mm.

    Parameters
    ----------
    source : folder of run folders, or CSV file; None for the published ranking.
    model : only the sets of this model.
    benchmarks : mean over the five, or over the test sets there are.
    part : ``hands`` and ``face`` rank by the errors of that part.
    found : of :func:`results_of`, where the folder has been read.

    Raises
    ------
    UsageError : no results of the model, or ranks by a part of anything but runs.
    """
    from ehps.analysis import published, ranking, result_tables
    from ehps.analysis.benchmarks import MPE_BENCHMARKS, benchmarks_in

    if part != "all" and (source is None or source.is_file()):
        what = "published ranks" if source is None else f"ranks in {source}"
        raise UsageError(f"there are no {what} by {part}", fix="name a folder of runs with --results")
    if source is None:
        return _with_facts(published.single_dataset_ranks(model or "smpler_x_s"))
    if source.is_file():
        ranked = result_tables.read_ranking(source, present=benchmarks == "present")
    else:
        found = found or results_of(source, part)
        counted = benchmarks_in(found.numbers)
        tested = {name for b in counted for name in b.rows(found.numbers)["test_set"]}
        ranked = ranking.rank(
            found.numbers,
            found.errors,
            benchmarks=MPE_BENCHMARKS if benchmarks == "five" else counted,
            part=part,
        )
        ranked.attrs["broken"] = found.broken
        ranked.attrs["not_ranked"] = sorted(set(found.numbers["test_set"]) - tested)
    if model is not None:
        models = ", ".join(sorted(set(ranked["model"])))
        ranked = ranked[ranked["model"] == model].reset_index(drop=True)
        if not len(ranked):
            raise UsageError(f"no results of the model {model!r}", path=source, fix=f"there are: {models}")
    return _with_facts(ranked)


def rankings_of(
    source: Path | None,
    model: str | None = None,
    benchmarks: Benchmarks = "five",
    part: Part = "all",
    recipe: str | None = None,
) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """The ranking of each recipe of a suite, under the recipe's name, or the only one, under no name, see
    :func:`ranking_of`; and recipes that have none -> why.

    Parameters
    ----------
    recipe : only this one.

    Raises
    ------
    UsageError : no such recipe.
    DataError : no recipe has a finished run.
    """
    from ehps.benchmark.suites.states import recipes_of

    several = recipes_of(source) if source is not None and source.is_dir() else []
    if recipe is not None and recipe not in several:
        fix = f"there are: {', '.join(several)}" if several else "leave --recipe out"
        raise UsageError(f"there is no recipe {recipe!r}", path=source, fix=fix)
    if source is None or not several:
        return {"": ranking_of(source, model, benchmarks, part)}, {}
    found: dict[str, pd.DataFrame] = {}
    without: dict[str, str] = {}
    for name in several if recipe is None else [recipe]:
        try:
            found[name] = ranking_of(source / name, model, benchmarks, part)
        except (DataError, UsageError) as error:
            without[name] = error.what
        else:
            broken = found[name].attrs["broken"]
            found[name].attrs["broken"] = {f"{name}: {run}": why for run, why in broken.items()}
    if not found:
        why = "; ".join(f"{name}: {what}" for name, what in without.items())
        raise DataError(f"no recipe has a ranking ({why})", path=source, fix="run the suite to its end")
    return found, without


def comparable(word: str, benchmarks: Benchmarks = "five", model: str | None = None) -> pd.DataFrame:
    """A ranking by its name: a published model, or the path of a folder of runs or of a CSV file.

    Raises
    ------
    UsageError : it is neither.
    """
    from ehps.analysis import published

    if word in published.RANK_COLUMNS:
        return published.all_points(word)
    path = Path(word)
    if not path.exists():
        models = ", ".join(published.RANK_COLUMNS)
        raise UsageError(f"{word} is no published model, folder of runs or CSV file", fix=f"published are {models}")
    return ranking_of(path, model, benchmarks)


def _with_facts(ranked: pd.DataFrame) -> pd.DataFrame:
    """Scene, appearance and annotation of each training set, from the cards of its datasets; ``mixed`` of several."""
    from ehps.converters import registry

    cards = {card.id: card for card in registry.cards()}
    sets = ranked["datasets"] if "datasets" in ranked else ranked["train_set"]
    out = ranked.copy()
    for at, name in enumerate(("scene", "appearance", "annotation")):
        given = ranked[name] if name in ranked else [None] * len(ranked)
        found = [_fact(str(ids), name, cards) for ids in sets]
        values = [old if isinstance(old, str) else new for old, new in zip(given, found, strict=True)]
        if name not in out:
            before = max(list(out).index(c) for c in ("train_set", "model", "instances", "datasets") if c in out)
            out.insert(before + 1 + at, name, None)
        out[name] = values
    out.attrs = ranked.attrs
    return out


def _fact(ids: str, name: str, cards: Mapping[str, DatasetCard]) -> str | None:
    """What the cards of datasets that are joined with ``+`` say; None where one has no card."""
    words = {getattr(cards[part], name) if part in cards else None for part in ids.split("+")}
    return None if None in words else words.pop() if len(words) == 1 else "mixed"


def joint_model_of(ranked: pd.DataFrame, attributes: pd.DataFrame) -> tuple[JointModel | None, str]:
    """All factors together, see :func:`ehps.analysis.joint_factors.joint_model`; None, and why, of too few sets."""
    from ehps.analysis.joint_factors import joint_model

    try:
        return joint_model(ranked, attributes), ""
    except DataError as error:
        return None, error.what


def recipe_folders(words: Sequence[str]) -> dict[str, Path]:
    """Recipe -> folder of its runs, of ``RECIPE=DIR`` and of folders, whose names are those of recipes; the folder of a
    suite with recipes stands for all of them.

    Raises
    ------
    DataError : no such folder.
    UsageError : two recipes of one name.
    """
    from ehps.benchmark.suites.states import recipes_of

    found: dict[str, Path] = {}
    for word in words:
        name, equals, rest = word.partition("=")
        named = bool(equals) and not Path(word).is_dir()
        folder = Path(rest if named else word)
        if not folder.is_dir():
            raise DataError("no such folder", path=folder, fix="name a folder of runs, as DIR or RECIPE=DIR")
        several = {} if named else {recipe: folder / recipe for recipe in recipes_of(folder)}
        for recipe, place in (several or {name if named else folder.resolve().name: folder}).items():
            if recipe in found:
                raise UsageError(f"two folders are of the recipe {recipe}", fix="name them apart: RECIPE=DIR")
            if not place.is_dir():
                raise DataError(
                    "has no run yet", path=place, fix="run the suite to its end, or name recipes one by one"
                )
            found[recipe] = place
    return found


def reliability_of(recipes: Mapping[str, Path], benchmarks: Benchmarks = "five") -> tuple[Reliability, dict[str, str]]:
    """How likely the order of sets holds, of a folder of runs a recipe; and the runs that were left out.

    Raises
    ------
    DataError : as :func:`ehps.analysis.reliability.reliability`.
    """
    from ehps.analysis.reliability import reliability, trainings_of
    from ehps.benchmark import results

    read = {recipe: results.read(folder) for recipe, folder in recipes.items()}
    numbers = {recipe: one.numbers for recipe, one in read.items()}
    counted = _counted(next(iter(numbers.values())), benchmarks)
    broken = {f"{recipe}: {name}": why for recipe, one in read.items() for name, why in one.broken.items()}
    return reliability(trainings_of(numbers, counted)), broken


def scaling_of(
    runs: Path | None, trainings: Path | None, benchmarks: Benchmarks = "five"
) -> tuple[dict[str, Curve], dict[str, str]]:
    """Curves of error over instances, of a folder of runs or a table; and the runs that were left out.

    Raises
    ------
    DataError : the table lacks a column, or as :func:`ehps.analysis.scaling_curves.curves`.
    """
    import pandas as pd

    from ehps.analysis.benchmarks import require
    from ehps.analysis.reliability import trainings_of
    from ehps.analysis.scaling_curves import curves
    from ehps.benchmark import results

    if trainings is not None:
        try:
            table = pd.read_csv(trainings)
        except (ValueError, OSError) as error:
            raise DataError(f"cannot be read as a table ({error})", path=trainings) from None
        require(table, ("train_set", "instances", "error"), str(trainings))
        return curves(table), {}
    assert runs is not None
    read = results.read(runs)
    errors = trainings_of({"": read.numbers}, _counted(read.numbers, benchmarks))
    facts = read.numbers[["train_set", "datasets", "instances"]].drop_duplicates("train_set")
    table = errors.merge(facts, on="train_set")
    return curves(table.assign(train_set=table["datasets"])), dict(read.broken)


def _counted(numbers: pd.DataFrame, benchmarks: Benchmarks) -> Sequence[Benchmark]:
    from ehps.analysis.benchmarks import MPE_BENCHMARKS, benchmarks_in

    return MPE_BENCHMARKS if benchmarks == "five" else benchmarks_in(numbers)


def samples_of(
    files: Sequence[Path],
    test: Sequence[Path],
    images: Mapping[Path, Path],
    limit: int = 500,
    *,
    attributes: Sequence[str] | None = None,
    features: Path | None = None,
    body_models: BodyModels | None = None,
    seed: int = 0,
) -> Samples:
    """Samples of training and test files, with what the cards say of their datasets.

    Image features are those of the network in ``features``; without it, those stored beside the files where every file
    has them, and otherwise a descriptor of the images of the files whose folder is in ``images``.

    Parameters
    ----------
    limit : most instances of a file.
    attributes : by default the usual ones, images only where there are any.
    body_models : make the joints of files that store none.
    """
    import dataclasses

    from ehps.analysis import samples

    roles = [(file, "train") for file in files] + [(file, "test") for file in test]
    sources = [samples.Source(file, role, images=images.get(file)) for file, role in roles]
    stored = features is None and all(samples.stored_features(file).exists() for file, _ in roles)
    described = samples.USUAL if attributes is None else attributes
    chosen = described if images or stored else [name for name in described if name != "image"]
    found = samples.collect(
        sources,
        limit,
        seed,
        attributes=chosen,
        image_features=None if features is None or "image" not in chosen else image_features_of(features, body_models),
        stored_images=stored,
        body_models=body_models,
    )
    return dataclasses.replace(found, labels=labels_of(found.roles))


def image_features_of(checkpoint: Path, body_models: BodyModels | None = None) -> Callable[[Any], Any]:
    """(M, 256, 192, 3) uint8 crops -> (M, D): what the encoder of a trained network makes of them, see
    :func:`ehps.benchmark.training.encoder_features.of`.
    """
    from ehps.benchmark.training import encoder_features

    return encoder_features.of(checkpoint, body_models)


def labels_of(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """What the cards know of datasets: ``scene``, ``real`` (or synthetic), ``annotation`` -> name -> word."""
    from ehps.converters import registry

    cards = {card.id: card for card in registry.cards()}
    known = {name: cards[name.removesuffix(" (test)")] for name in names if name.removesuffix(" (test)") in cards}
    return {
        "scene": {name: card.scene for name, card in known.items()},
        "real": {name: card.appearance for name, card in known.items()},
        "annotation": {name: card.annotation for name, card in known.items()},
    }


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
    from ehps.analysis import attributes, comparison, published, rank_factors, ranking, worst_cases
    from ehps.analysis.benchmarks import MPE_BENCHMARKS
    from ehps.analysis.curves import LOG, read_curves
    from ehps.analysis.report_inputs import ReportInputs
    from ehps.converters import registry
    from ehps.selections.choice import Evidence, choose
    from ehps.selections.pool import datasets_tested, pool_of

    images = images or {}
    stage("ranking")
    found = results_of(runs, "all", "hands", "face")
    ranked = ranking_of(runs, model, benchmarks, found=found)
    usual = {b.id for b in ranking.benchmarks_of(ranked)} == {b.id for b in MPE_BENCHMARKS}
    as_published = usual and ranked["model"].nunique() == 1 and not ranked["train_set"].duplicated().any()
    numbers = found.numbers
    samples, embeddings = None, {}
    if data:
        stage(f"samples of {len(data) + len(test)} files")
        samples = samples_of(data, test, images, body_models=body_models)
        for name in (name for name, values in samples.values.items() if values):
            stage(f"embedding of {attributes.TITLES[name]}")
            embeddings[name] = attributes.embed(samples, name)
    notes = _notices(numbers, [*data, *test])
    notes += [f"Left out: {name}, {why}." for name, why in found.broken.items()]
    chosen = None
    if data and ranked["model"].nunique() == 1:
        stage("selection")
        try:
            pool = pool_of(data, tests=test, tested=datasets_tested(ranked))
            chosen = choose(Evidence.of(pool, ranked, drawn=samples), budget=budget)
        except DataError as error:
            notes.append(f"Nothing is selected: {error.what}.")
    stage("examples")
    overlays, faults = _examples([file for file in data if file in images], images)
    stage("truth and prediction")
    cases = worst_cases.drawn(worst_cases.find(found.errors, ranked), numbers, runs, body_models)
    reports = [path for file in (*data, *test) if (path := file.with_name(file.name + ".report.json")).exists()]
    return ReportInputs(
        title=title,
        ranked=ranked,
        comparison=comparison.compare(ranked, published.single_dataset_ranks()) if as_published else None,
        results=numbers,
        errors=found.errors,
        attributes=rank_factors.card_attributes(registry.cards()),
        samples=samples,
        embeddings=embeddings,
        selection=None if chosen is None else chosen.chosen,
        conversions=reports,
        training=read_curves(runs) if any(runs.rglob(LOG)) else None,
        overlays=overlays,
        cases=cases,
        manifests=found.manifests,
        notes=notes + faults,
    )


def _notices(numbers: pd.DataFrame, files: Sequence[Path]) -> list[str]:
    """What the reader must know of the bodies behind the numbers, from the passports of files and of tests."""
    from ehps.humandata import HumanData

    told = {file.name for file in files if _of_standin(HumanData.open(file).passport.body_model_version)}
    tested = numbers.loc[numbers["body_model_version"].map(_of_standin), "test_set"]
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
    from ehps.selections.pool import dataset_of

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
            drawn.append((dataset_name(dataset_of(hd, file)), image))
    return drawn, faults


def _of_standin(version: str | None) -> bool:
    return str(version).startswith(STANDIN)
