"""``ehps benchmark``: train, test, run a matrix, see where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ehps.cli.common import (
    FILE,
    FOLDER,
    IMAGES,
    INPUT,
    Input,
    Output,
    Word,
    as_json,
    bodies,
    body_models,
    protocol_id,
    protocols,
    requeue,
    say,
    say_json,
    slurm,
    slurm_settings,
)
from ehps.cli.models import checkpoint_command, model_names, models_command, reproduce_command
from ehps.errors import SettingsError, UsageError
from ehps.extras import need
from ehps.suffixes import PACK

images = click.option(
    "--images",
    multiple=True,
    metavar="DIR",
    help="Folder of the images, or packed crops; that of DATA by default. Of a merged DATA: LABEL=DIR, else those that "
    "it names.",
)
scored_by = click.option(
    "--protocol",
    type=Word(protocols, protocol_id),
    required=True,
    help="How to score: agora-val, ubody-intra[step=1], ...",
)
exclude = click.option("--exclude", type=INPUT, help="Leave out the rows that this exclusion list names.")


@click.group()
def benchmark() -> None:
    """Train and test models.

    Every result is kept in a run folder and not computed twice.
    """


benchmark.add_command(models_command)
benchmark.add_command(checkpoint_command)
benchmark.add_command(reproduce_command)


@benchmark.command("train")
@click.argument("data", type=INPUT, nargs=-1, required=True)
@click.option(
    "--images",
    multiple=True,
    metavar="DIR",
    help="Folder of the images; that of DATA by default. Of several DATA one for all, or one each. "
    "Of a merged DATA: LABEL=DIR, else those that it names.",
)
@click.option("--out", type=FILE, required=True, help="The run folder.")
@click.option("--name", help="What the training set is called in results.")
@click.option("--config", type=INPUT, help="Settings in YAML or JSON, as in a suite; those given here go before.")
@click.option("--set", "assigned", multiple=True, metavar="KEY=VALUE", help="Any setting: clip=1, loss.shape=2, ...")
@click.option("--model", show_default="tiny")
@click.option("--stage", metavar="STAGE", help="Settings of this stage of the model's training; all others go before.")
@click.option("--steps", metavar="N", show_default="1000")
@click.option("--epochs", metavar="N", help="Instead of --steps.")
@click.option("--batch-size", metavar="N", show_default="32", help="Images a step, of all processes together.")
@click.option("--accumulate", metavar="N", show_default="1", help="Parts that a process takes its images in.")
@click.option("--lr", metavar="N", show_default="5e-4")
@click.option("--lr-min", metavar="N", show_default="1e-6", help="What --lr falls to over all steps.")
@click.option("--seed", metavar="N", show_default="2023")
@click.option(
    "--strategy", metavar="WORD", show_default="concat", help="How several DATA are mixed; or balance, mixture."
)
@click.option("--interval", metavar="N", show_default="1", help="Train on every N-th row.")
@click.option("--workers", metavar="N", show_default="2")
@click.option("--skip-bad-batches", metavar="N", show_default="0", help="Steps without a finite loss to tolerate.")
@click.option("--skip-bad", "skip_bad_images", metavar="N", show_default="0", help="Unusable images to tolerate.")
@exclude
@body_models
@as_json
def train_command(
    data: tuple[Path, ...],
    images: tuple[str, ...],
    out: Path,
    name: str | None,
    config: Path | None,
    assigned: tuple[str, ...],
    stage: str | None,
    exclude: Path | None,
    body_models: Path | None,
    as_json: bool,
    **options: str | None,
) -> None:
    """Train one model on the HumanData files DATA.

    Several are mixed by the setting strategy. All images must be there, and of the size that DATA says. With more
    --steps, a run that is there goes on.
    """
    from ehps.benchmark.training.given_settings import folders_of_each, joint_name, read_given
    from ehps.yaml_files import read_yaml

    values = read_given(options, assigned, None if config is None else (config, read_yaml(config)))
    need("training", "accelerate")
    from ehps.benchmark.suites.evaluation import train_cell
    from ehps.benchmark.suites.runs import is_main
    from ehps.benchmark.training.specs import SetSpec, TrainConfig, image_folders
    from ehps.benchmark.training.stages import lines, under

    if exclude is not None and len(data) > 1:
        raise UsageError("--exclude is of one file", fix="write the sets into a suite, each with its own list")
    interval = values.pop("interval", 1)
    wanted = TrainConfig.from_dict(values if stage is None else under(stage, values))
    for line in lines(stage, values) if stage is not None and is_main() else ():
        say(line, err=True)
    specs = []
    for file, words in zip(data, folders_of_each(images, len(data)), strict=True):
        folder, folders = image_folders(words, file)
        specs.append(SetSpec(file, folder, interval, exclude=exclude, folders=folders))
        say_excluded(specs[-1])
    run = train_cell(out, name or joint_name(data), specs, wanted, bodies(body_models))
    if not is_main():
        return
    if went_on := run.went_on:
        say(went_on, fg="yellow", err=True)
    if as_json:
        facts = {name: run.manifest.get(name) for name in ("train_set", "trained_on", "weights_sha256", "world")}
        say_json({"run": str(run.folder), "checkpoint": str(run.checkpoint), **facts})
    else:
        say(run.checkpoint)


@benchmark.command("pack")
@click.argument("data", type=INPUT)
@click.option("--images", multiple=True, metavar="DIR", help="Folder of the images, as for train.")
@click.option("--out", type=Output(PACK), required=True, help="The file; one that is there is gone on with.")
@click.option("--scale", type=click.Choice(["256x192", "512x384"]), default="256x192", show_default=True)
@click.option(
    "--for-training/--exact",
    "for_training",
    default=True,
    show_default=True,
    help="As wide as the largest augmentation asks, or as the box.",
)
@click.option("--quality", type=click.IntRange(1, 100), default=92, show_default=True, help="Of the JPEG crops.")
@click.option(
    "--sampling",
    type=click.Choice(["averaged", "bilinear"]),
    default="averaged",
    show_default=True,
    help="Of large images: averaged down first, as tiny sees them, or as the released SMPLer-X weights do.",
)
@click.option("--box-ratio", default="0.9996", metavar="N", show_default=True, help="Scale of the stored boxes.")
@click.option("--interval", default="1", metavar="N", show_default=True, help="Pack every N-th row.")
@click.option("--jobs", type=click.IntRange(min=1), help="Threads; one a core by default.")
@exclude
@as_json
def pack_command(
    data: Path,
    images: tuple[str, ...],
    out: Path,
    scale: str,
    for_training: bool,
    quality: int,
    sampling: str,
    jobs: int | None,
    exclude: Path | None,
    as_json: bool,
    **settings: str,
) -> None:
    """Write the people of DATA as small JPEG crops into one file.

    Give it to train and evaluate as --images instead of the folder, which they need no more. After a kill the same
    command goes on; with other rows it adds them.
    """
    import numpy as np

    from ehps.benchmark.training.given_settings import read_given
    from ehps.benchmark.training.packing import pack
    from ehps.benchmark.training.specs import SetSpec, image_folders
    from ehps.humandata import HumanData

    values = read_given(settings, (), None)
    folder, folders = image_folders(images, data)
    spec = SetSpec(data, folder, exclude=exclude, folders=folders)
    hd = HumanData.open(data)
    excluded = spec.excluded(hd)
    say_excluded(spec)
    rows = (np.arange(len(hd)) if excluded is None else np.flatnonzero(~excluded))[:: values["interval"]]
    made = pack(
        data,
        folder,
        out,
        folders=folders,
        scale=scale,
        exact=not for_training,
        quality=quality,
        sampling=sampling,
        box_ratio=values["box_ratio"],
        rows=rows,
        jobs=jobs,
    )
    if as_json:
        say_json(made.to_dict())
    else:
        say(made)


@benchmark.command("evaluate")
@click.argument("run", type=FILE)
@click.argument("data", type=INPUT)
@images
@scored_by
@click.option("--name", help="What the test set is called in results.")
@click.option("--checkpoint", type=INPUT, help="Test these weights; RUN, which may be a new folder, gets the results.")
@click.option("--model", type=Word(model_names), help="The model of the weights, where it must be this one.")
@click.option(
    "--crop",
    type=click.Choice(["exact", "warp"]),
    default="exact",
    show_default=True,
    help="Of PyMAF, SMPLer: windows of whole pixels, as theirs, or one affine map, as in training.",
)
@exclude
@body_models
@as_json
def evaluate_command(
    run: Path,
    data: Path,
    images: tuple[str, ...],
    protocol: str,
    name: str | None,
    checkpoint: Path | None,
    model: str | None,
    crop: Any,
    exclude: Path | None,
    body_models: Path | None,
    as_json: bool,
) -> None:
    """Test the model of run folder RUN on the HumanData file DATA.

    Or weights that were trained elsewhere: a checkpoint of ehps, or a public file of SMPLer-X, SMPLest-X, PyMAF or
    SMPLer. All images must be there, and of the size that DATA says.
    """
    need("evaluation", "pyarrow")
    from ehps.benchmark.suites.evaluation import evaluate
    from ehps.benchmark.training.specs import SetSpec, image_folders

    folder, folders = image_folders(images, data)
    spec = SetSpec(data, folder, protocol=protocol, exclude=exclude, folders=folders)
    say_excluded(spec)
    score = evaluate(
        *(run, name or data.stem, spec, bodies(body_models)),
        **{"checkpoint": checkpoint, "model": model, "crop": crop, "progress": True},
    )
    show_score(score, as_json)


@benchmark.command("run")
@click.argument("suite", type=Input("suite file"))
@click.option("--out", type=FILE, required=True, help="Folder of all run folders.")
@click.option("--data", type=FOLDER, help="Folder to look for files in that are not where SUITE says.")
@click.option("--only", multiple=True, metavar="NAME", help="Sets and models to run, as bedlam, test.*, models.tiny.")
@click.option("--seeds", metavar="N,N,...", help="Make each training once with each of these.")
@click.option("--budget", metavar="INSTANCES", help="How many instances each training sees, in place of steps.")
@click.option("--launcher", default="local", show_default=True, help="local: processes here; slurm: jobs of a cluster.")
@click.option("--devices", default="", metavar="0,1,...", help="GPUs of this machine; one training at a time on each.")
@click.option("--jobs", type=click.IntRange(min=1), help="Trainings at once; as many as devices by default.")
@slurm
@requeue
@click.option("--dry-run", is_flag=True, help="Only show what would be run, what is missing, and how long it takes.")
@body_models
@as_json
def run_command(
    suite: Path,
    out: Path,
    data: Path | None,
    only: tuple[str, ...],
    seeds: str | None,
    budget: str | None,
    launcher: str,
    devices: str,
    jobs: int | None,
    slurm: tuple[str, ...],
    requeue: bool,
    dry_run: bool,
    body_models: Path | None,
    as_json: bool,
) -> None:
    """Run a matrix of training and test sets.

    SUITE is a yaml file, see docs/benchmark.md, or the name of a shipped one, see `ehps benchmark suites`. What is
    there already is not computed again. Several runs of one suite into one folder share the work.
    """
    need("running a suite", "yaml", *(() if dry_run else ("accelerate", "pyarrow")))
    from ehps.benchmark.suites import matrix
    from ehps.benchmark.suites.plan import faults

    wanted = suite_of(suite, data, seeds, budget, files=not dry_run)
    part = wanted.only(only) if only else wanted
    if not dry_run and (missing := part.missing_files()):
        raise SettingsError(missing, path=suite)
    if dry_run:
        show_plan(part, out, body_models, as_json)
        return
    models = bodies(body_models or wanted.body_models)
    if wrong := faults(part, models.folder):
        raise SettingsError(wrong, path=suite)
    listed = [device.strip() for device in devices.split(",") if device.strip()]
    state = matrix.run_suite(
        wanted,
        out,
        body_models=models,
        part=part,
        launcher=launcher,
        devices=listed,
        jobs=jobs,
        slurm=slurm_settings(slurm),
        requeue=requeue,
    )
    show_cells(state, as_json)
    if (state["state"] == "failed").any():
        raise click.exceptions.Exit(1)


def suite_of(path: Path, data: Path | None, seeds: str | None, budget: str | None, *, files: bool) -> Any:
    """The suite of a file, or a shipped one, as the options change it; with ``files`` what it names must be there."""
    from ehps.benchmark.suites import matrix, shipped_suites

    shipped = not path.exists() and path.name == str(path) and str(path) in shipped_suites.names()
    elsewhere = shipped or data is not None
    loaded = matrix.load_suite(shipped_suites.path_of(str(path)) if shipped else path, files=files and not elsewhere)
    if elsewhere:
        loaded = shipped_suites.found_in(loaded, data or Path())
    if seeds is not None:
        loaded = loaded.with_seeds(seeds.split(","))
    return loaded if budget is None else loaded.with_budget(budget.replace("_", "").replace(",", ""))


@benchmark.command("suites")
@click.argument("name", required=False)
@click.option("--data", type=FOLDER, help="Folder of converted files: they are filled in, and missing ones are named.")
@as_json
def suites_command(name: str | None, data: Path | None, as_json: bool) -> None:
    """The suites that come with ehps, or the text of one.

    `ehps benchmark suites single_dataset --data DIR > suite.yaml` makes one for the files of a folder.
    """
    need("reading a suite", "yaml")
    from ehps.benchmark.suites import shipped_suites
    from ehps.terminal import show

    if name is None:
        import pandas as pd

        show(pd.DataFrame(shipped_suites.overview(data)), json=as_json, below=["about"])
        return
    if data is None:
        text, missing = shipped_suites.path_of(name).read_text(encoding="utf-8"), list[str]()
    else:
        text, missing = shipped_suites.filled(name, data)
    if as_json:
        say_json({"suite": name, "text": text, "missing": missing})
        return
    for line in text.splitlines():
        say(line)
    for file in missing:
        say(f"not in {data}: {file}", fg="yellow", err=True)


def show_plan(suite: Any, out: Path, body_models: Path | None, as_json: bool) -> None:
    """What a suite would do; the exit code is 1 when something that it needs is missing."""
    import pandas as pd

    from ehps.benchmark.suites.plan import plan
    from ehps.body.model_folder import body_models_folder
    from ehps.terminal import show

    found = plan(suite, out, body_models_folder(body_models or suite.body_models))
    if as_json:
        say_json(found.to_dict())
    else:
        show(pd.DataFrame(found.sets), title="Sets")
        cells = [{**cell, "left": ", ".join(cell["left"])} for cell in found.cells]
        show(pd.DataFrame(cells), title=f"Cells: {found.todo} of {len(found.cells)} to be made")
        for what in found.missing:
            say(f"missing: {what}", fg="red")
        say(found.time)
    if found.missing:
        raise click.exceptions.Exit(1)


@benchmark.command("status")
@click.argument("folder", type=FOLDER)
@as_json
def status_command(folder: Path, as_json: bool) -> None:
    """What of a suite is done, failed, running, stale or missing.

    Stale is what a process that is gone has left: the next run goes on with it.
    """
    from ehps.benchmark.suites import matrix

    show_cells(matrix.status(folder), as_json)


def show_cells(state: Any, as_json: bool) -> None:
    """Cells as a table; for people without the columns that say nothing of any."""
    from ehps.benchmark.suites.states import BESIDE
    from ehps.terminal import show

    if not as_json:
        idle = [] if state["state"].isin(["running"]).any() else list(BESIDE)
        state = state.drop(columns=idle + ["seed"] * (state["seed"].nunique() < 2))
    show(state, json=as_json, below=["reason"], least=["step", "protocol"], keep=["state"])


@benchmark.command("rescore")
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


@benchmark.command("protocols")
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


@benchmark.command("score")
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

    Both are HumanData files; PREDICTIONS may be a folder of AGORA's prediction files. No run folder and no model is
    needed.
    """
    from ehps.benchmark.suites import foreign

    foreign.check_output(out)
    score = foreign.score_files(
        predictions, truth, protocol, bodies(body_models), images=images or truth.parent, device=device
    )
    if out is not None:
        for path in foreign.save_score(score, out, truth):
            say(path, err=True)
    show_score(score, as_json)


@benchmark.command("compare")
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


@benchmark.command("export")
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

    from ehps.benchmark.protocols.scoring import printed
    from ehps.terminal import show

    order = ["part", "metric", "value", "unit", "n", "skipped"]  # stored ones come back in another
    show(pd.DataFrame(score.metrics, columns=order), json=as_json, least=["skipped"])
    if not as_json:
        for metric, value in printed(score.metrics).items():
            say(f"{metric}: {value:.2f}")
    for name, why in score.not_computed.items():
        say(f"not computed: {name}; {why}", fg="yellow", err=True)
    for remark in score.remarks:
        say(remark, fg="yellow", err=True)


def say_excluded(spec: Any) -> None:
    """How many rows the exclusion list of a set leaves out."""
    from ehps.humandata import HumanData

    if spec.exclude is not None:
        hd = HumanData.open(spec.data)
        count = int(spec.excluded(hd).sum())
        say(f"left out: {count:,} of {len(hd):,} rows of {spec.data}, which {spec.exclude} names", err=True)
