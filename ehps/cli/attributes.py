"""``ehps analysis attributes``: what sets contain, how they cover the test sets, how far apart they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ehps.cli.common import INPUT, Output, as_json, body_models, say
from ehps.cli.rankings import save_and_print, save_to
from ehps.cli.selections import data_files, folders_of, image_folders
from ehps.errors import UsageError
from ehps.extras import need
from ehps.suffixes import EMBEDDING, FIGURE

if TYPE_CHECKING:
    import pandas as pd

    from ehps.analysis.samples import Samples

TABLES = ("coverage", "curve", "between", "diversity")
MEASURES = ("energy", "energy_share", "mmd", "frechet", "classifier", "nearest", "coverage", "own_scale")
LEAST = (
    *("unit", "bandwidth", "n_train", "n_test", "energy_share", "own_scale_low", "own_scale_high", "own_radius"),
    *("classifier_p", "classifier", "nearest", "frechet", "coverage_low", "coverage_high", "width"),
)
"""Columns that a narrow terminal does without, the first of them first; files have them all."""


@click.command("attributes")
@data_files
@click.option("--test", type=INPUT, multiple=True, help="A test set's file, marked in the figure.")
@image_folders
@click.option("--features", type=INPUT, help="Describe images by the encoder of this trained network.")
@body_models
@click.option("--attribute", "names", multiple=True, help="Only this one; all but body_rotations without it.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=500, show_default=True, help="Instances drawn of each file."
)
@click.option("--samples", "n", type=click.IntRange(min=10), help="Of each set, for coverage; those of the smallest.")
@click.option(
    "--neighbours", "k", type=click.IntRange(min=1), help="Of coverage, at most a tenth of the samples; 5 without it."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of draws and of UMAP.")
@click.option(
    "--table",
    "which",
    type=click.Choice(TABLES),
    default="coverage",
    show_default=True,
    help="Training by test sets; the same by number of samples; any two sets; distinct samples of each.",
)
@click.option("--figure", type=Output(FIGURE), help="Draw the UMAP of every attribute: .png, .pdf or .svg.")
@click.option(
    "--colour-by",
    type=click.Choice(["set", "scene", "real", "annotation"]),
    default="set",
    show_default=True,
    help="What the colours of the figure mean.",
)
@click.option("--save-embedding", type=Output(EMBEDDING), help="Keep the UMAP of the one --attribute, .npz.")
@click.option("--place-in", type=INPUT, help="Draw FILES in the UMAP that was kept in this file.")
@click.option("--heat-map", type=Output(FIGURE), help="Draw the matrix of sets: .png, .pdf or .svg.")
@click.option(
    "--measure",
    type=click.Choice(MEASURES),
    default="energy",
    show_default=True,
    help="Of the heat map; coverage and own_scale are of training by test sets.",
)
@save_to
@as_json
def attributes_command(
    files: tuple[Path, ...],
    test: tuple[Path, ...],
    images: tuple[str, ...],
    features: Path | None,
    body_models: Path | None,
    names: tuple[str, ...],
    limit: int,
    n: int | None,
    k: int | None,
    seed: int,
    which: str,
    figure: Path | None,
    colour_by: Any,
    save_embedding: Path | None,
    place_in: Path | None,
    heat_map: Path | None,
    measure: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """How FILES cover the test sets, and how far apart sets are.

    In images, orientation, pose, hands, shape, camera, and size in the image; with --figure, drawn as UMAP.
    """
    drawn = figure is not None or heat_map is not None or save_embedding is not None
    _refuse(test, names, which, drawn, figure, save_embedding, place_in)
    embeds = (figure is not None and place_in is None) or save_embedding is not None
    need("comparing sets", "sklearn", *(["umap"] if embeds else []))
    from ehps import findings
    from ehps.analysis import attributes, figures
    from ehps.body.model_folder import body_models_folder
    from ehps.body.models import BodyModels

    kept = None if place_in is None else attributes.Stored.load(place_in)
    every = [name for name in attributes.ATTRIBUTES if name != "body_rotations"]
    bodies = body_models_folder(body_models)
    samples = findings.samples_of(
        files,
        test,
        folders_of(images, (*files, *test)),
        limit,
        attributes=[kept.attribute] if kept is not None else list(names) or every,
        features=features,
        body_models=None if bodies is None else BodyModels(bodies),
        seed=seed,
    )
    if test or which in ("between", "diversity"):
        say_table(samples, which, k, n, seed, out, as_json)
    for lack in samples.left_out.itertuples():
        say(f"not compared: {lack.attribute} of {lack.dataset}, {lack.reason}", fg="yellow", err=True)
    if heat_map is not None:
        found = attributes.matrices(samples, measure, k=k, n=n, seed=seed)
        say(figures.save(attributes.distance_figure(found), heat_map), err=as_json)
    if kept is not None:
        embeddings = {kept.attribute: kept.with_placed(samples)}
    else:
        embeddings = {name: attributes.embed(samples, name, seed=seed) for name in samples.values if embeds}
    if save_embedding is not None:
        stored = attributes.Stored.of(samples, embeddings[names[0]])
        say(stored.save(save_embedding), err=as_json)
    if figure is not None:
        labels = findings.labels_of(str(n) for frame in embeddings.values() for n in frame["dataset"].unique())
        say(figures.save(attributes.figure(embeddings, labels, colour_by), figure), err=as_json)


def _refuse(
    test: Sequence[Path],
    names: Sequence[str],
    which: str,
    drawn: bool,
    figure: Path | None,
    save_embedding: Path | None,
    place_in: Path | None,
) -> None:
    """What cannot go together, before any file is read."""
    if (not test and which == "curve") or (not test and which == "coverage" and not drawn):
        raise UsageError("nothing to compare the files with", fix="name test sets with --test, or pass --figure")
    if save_embedding is not None and (len(names) != 1 or place_in is not None):
        raise UsageError("--save-embedding keeps a new UMAP of one attribute", fix="name one with --attribute")
    if place_in is not None and (figure is None or names):
        raise UsageError(
            "--place-in draws the kept attribute", fix="say where with --figure, and leave --attribute out"
        )


def say_table(
    samples: Samples, which: str, k: int | None, n: int | None, seed: int, out: Path | None, as_json: bool
) -> None:
    """Print one of :data:`TABLES`, and what its numbers mean."""
    from ehps.analysis import attributes

    table: pd.DataFrame
    if which == "between":
        table = attributes.between(samples, seed=seed)
    elif which == "diversity":
        table = attributes.diversity_table(samples, seed=seed)
    elif which == "curve":
        table = attributes.coverage_curve(samples, k, seed=seed)
    else:
        table = attributes.coverage_table(samples, k, n, seed=seed)
    save_and_print(table, out, as_json, digits=3, least=LEAST)
    for (name, attribute), why in table.attrs.get("left_out", {}).items():
        say(f"no coverage: {attribute} of {name}, {why}", fg="yellow", err=True)
    for line in attributes.explained(table):
        say(line, fg="yellow", err=True)
