"""``ehps benchmark score``, ``rescore``, ``compare``, ``export`` and ``protocols``: numbers and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ehps.cli.common import (
    FILE,
    FOLDER,
    IMAGES,
    INPUT,
    Word,
    as_json,
    bodies,
    body_models,
    protocol_id,
    protocols,
    say,
    say_json,
)
from ehps.errors import UsageError
from ehps.extras import need

if TYPE_CHECKING:
    from ehps.humandata import HumanData

scored_by = click.option(
    "--protocol",
    type=Word(protocols, protocol_id),
    required=True,
    help="How to score: agora-val, ubody-intra[step=1], ...",
)


@click.command("rescore")
@click.argument("run", type=FOLDER)
@scored_by
@click.option("--name", help="Which test set, where RUN has predictions of several.")
@click.option("--data", type=INPUT, help="The test file, or a folder to look for it in, where it has moved.")
@click.option("--images", type=IMAGES, help="Folder of its images, where it has moved.")
@body_models
@as_json
def rescore_command(
    run: Path,
    protocol: str,
    name: str | None,
    data: Path | None,
    images: Path | None,
    body_models: Path | None,
    as_json: bool,
) -> None:
    """Score the predictions of run folder RUN again.

    Under another protocol, or with changed metrics; no model is run. The test file is looked for where the run found
    it, and where it lies as seen from RUN.
    """
    need("evaluation", "pyarrow")
    from ehps.benchmark.suites.evaluation import rescore

    score = rescore(run, protocol, bodies(body_models), test_set=name, data=data, images=images)
    show_score(score, as_json)


@click.command("protocols")
@click.argument("protocol", type=Word(protocols), required=False)
@as_json
def protocols_command(protocol: str | None, as_json: bool) -> None:
    """The protocols, or one of them with every field and its meaning.

    PROTOCOL may be a changed one: `ubody-intra[step=1]`.
    """
    from ehps.benchmark.protocols import pages
    from ehps.terminal import show

    if protocol is None:
        show(pages.overview(), json=as_json, below=["metrics", "rows"])
    elif as_json:
        say_json(pages.as_dict(protocol))
    else:
        for line in pages.page(protocol).splitlines():
            say(line)


@click.command("score")
@click.argument("predictions", type=INPUT)
@click.argument("truth", type=INPUT)
@scored_by
@click.option("--images", type=IMAGES, help="Folder of TRUTH's images and true meshes; that of TRUTH by default.")
@click.option("--device", default="cpu", show_default=True, help="Where meshes are made: cpu, cuda, ...")
@click.option("--out", type=FILE, help="Write numbers (.json) and, beside, the errors of instances (.errors.parquet).")
@body_models
@as_json
def score_command(
    predictions: Path,
    truth: Path,
    protocol: str,
    images: Path | None,
    device: str,
    out: Path | None,
    body_models: Path | None,
    as_json: bool,
) -> None:
    """Score PREDICTIONS of any origin against the test set TRUTH.

    Both are HumanData files; PREDICTIONS may be a folder of AGORA's or the 3DPW challenge's prediction files, or of
    SMPLer-X's results. No run folder and no model is needed.
    """
    from ehps.benchmark.suites import foreign

    foreign.check_output(out)
    score = foreign.score_files(
        predictions_of(predictions), truth, protocol, bodies(body_models), images=images or truth.parent, device=device
    )
    if out is not None:
        for path in foreign.save_score(score, out, truth):
            say(path, err=True)
    show_score(score, as_json)


def predictions_of(path: Path) -> Path | HumanData:
    """People of a folder that another program left; a file, and AGORA's prediction files, as they are.

    Raises
    ------
    UsageError : the folder does not tell what it is, or leaves open what must be stated.
    """
    from ehps.benchmark.suites.agora_files import is_folder_of_predictions
    from ehps.exchange.forms import Stated, read

    if not path.is_dir() or is_folder_of_predictions(path):
        return path
    try:
        return read(path, None, Stated())[0]
    except UsageError as error:
        fix = f"`ehps humandata import {path} --as FORM --out FILE.h5` takes what it leaves open"
        raise UsageError(error.what, path=error.path, fix=fix) from None


@click.command("compare")
@click.argument("a")
@click.argument("b")
@click.option("--test", "test_set", help="Which test of the run folders: its name or protocol.")
@as_json
def compare_command(a: str, b: str, test_set: str | None, as_json: bool) -> None:
    """Which fields make two results differ, and by how much.

    A and B are run folders, files of metrics, or protocols.
    """
    from ehps.benchmark.suites import comparison
    from ehps.terminal import show

    found = comparison.compare(*(comparison.read_result(one, test_set=test_set) for one in (a, b)))
    tables = {name: getattr(found, name) for name in ("fields", "numbers", "instances", "worst")}
    if as_json:
        records = {name: frame.to_dict(orient="records") for name, frame in tables.items()}
        say_json({**records, "remarks": found.remarks})
        return
    titles = ("Fields that differ", "Numbers", "Instance by instance (b - a)", "Instances that differ most")
    for title, frame in zip(titles, tables.values(), strict=True):
        if len(frame):
            show(frame, title=title, digits=2, below=["meaning_a", "meaning_b"])
    if not len(found.fields):
        say("The protocols are the same.")
    for remark in found.remarks:
        say(remark)


@click.command("export")
@click.argument("predictions", type=INPUT)
@click.option("--for", "server", type=click.Choice(["agora"]), required=True, help="Whose evaluation server.")
@click.option("--out", type=FILE, required=True, help="Folder of the files.")
@click.option("--vertices", is_flag=True, help="Write meshes and joints instead of body parameters.")
@body_models
@as_json
def export_command(
    predictions: Path, server: str, out: Path, vertices: bool, body_models: Path | None, as_json: bool
) -> None:
    """Write PREDICTIONS as the files that an evaluation server takes.

    AGORA: one pickle a person, IMAGE_personId_K.pkl. `ehps benchmark score DIR TRUTH` reads them back.
    """
    from ehps.benchmark.suites import agora_export
    from ehps.humandata import HumanData

    count = agora_export.export(HumanData.open(predictions), out, bodies(body_models), vertices=vertices)
    say(f"{count:,} files in {out}; {server} wants them in a folder called predictions, as a zip", err=True)
    if as_json:
        say_json({"out": str(out), "files": count})
    else:
        say(out)


def show_score(score: Any, as_json: bool) -> None:
    """A score as a table, under the names that the originals print, and what is to be known of it."""
    import pandas as pd

    from ehps.benchmark.protocols.scoring import NOTES
    from ehps.benchmark.protocols.summaries import printed
    from ehps.terminal import show

    order = ["part", "metric", "value", "unit", "n", "skipped"]  # stored ones come back in another
    digits = [1 if line["unit"] else 2 for line in score.metrics]
    show(pd.DataFrame(score.metrics, columns=order), json=as_json, digits=digits, least=["skipped"])
    if not as_json:
        for metric, value in printed(score.metrics).items():
            say(f"{metric}: {value:.2f}")
    for name, count in score.notes.items():
        if count:
            say(f"{count:,} {NOTES.get(name, name)}", err=True)
    for name, why in score.not_computed.items():
        say(f"not computed: {name}; {why}", fg="yellow", err=True)
    for remark in score.remarks:
        say(remark, fg="yellow", err=True)
