"""``ehps benchmark run``, ``suites`` and ``status``: matrices of training and test sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ehps.cli.common import (
    FILE,
    FOLDER,
    Input,
    as_json,
    bodies,
    body_models,
    requeue,
    say,
    say_json,
    slurm,
    slurm_settings,
)
from ehps.errors import SettingsError
from ehps.extras import need


@click.command("run")
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
    from ehps.benchmark.suites.runs import is_main

    wanted = suite_of(suite, data, seeds, budget, files=not dry_run)
    part = wanted.only(only) if only else wanted
    if not dry_run and (missing := part.missing_files()):
        raise SettingsError(missing, path=suite)
    if dry_run:
        show_plan(part, out, body_models, as_json)
        return
    models = bodies(body_models or wanted.body_models)
    if wrong := faults(part, models.folder, out):
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
    if not is_main():
        return
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


@click.command("suites")
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


@click.command("status")
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
