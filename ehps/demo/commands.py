"""The commands of the analysis on what the demo has made: what each prints is kept beside its tables."""

from __future__ import annotations

import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ehps.atomic import write_text
from ehps.demo.sets import DemoSet
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.progress import over

AT_ONCE = 2
SUITE, CHOSEN = "suite.yaml", "chosen"


def of(out: Path, train: tuple[DemoSet, ...], test: tuple[DemoSet, ...]) -> dict[str, list[str]]:
    """Name -> words of a command, for the sets of a demo in ``out``; the last is for after all others.

    The budget is half of what there is.
    """
    analysis, runs = out / "analysis", ["--results", str(out / "runs"), "--benchmarks", "present"]
    data, tests = ([str(_file(out, entry)) for entry in entries] for entries in (train, test))
    against = [word for file in tests for word in ("--test", file)]
    images = [
        word for entry in (*train, *test) for word in ("--images", f"{_file(out, entry)}={out / 'raw' / entry.dataset}")
    ]
    suite = [
        word
        for entry, file in zip(test, tests, strict=True)
        for word in ("--test", f"{file}={entry.protocol}" if entry.protocol else file)
    ]
    budget = ["--budget", str(max(1, sum(len(HumanData.open(file)) for file in data) // 2))]
    chosen = ["--suite", str(analysis / SUITE), *suite, *images]
    first = f"test.{test[0].dataset}_{test[0].split}"
    return {
        "published": ["analysis", "published"],
        "published_ranking": ["analysis", "rank"],
        "published_factors": ["analysis", "factors"],
        "published_agreement": ["analysis", "compare", "smpler_x_s", "smpler_x_b", "hand4whole"],
        "rank": ["analysis", "rank", *runs],
        "compare": ["analysis", "compare", str(out / "runs"), "smpler_x_s", *runs[2:]],
        "factors": ["analysis", "factors", *runs],
        "attributes": ["analysis", "attributes", *data, *against, "--limit", "200", "--attribute", "body_pose"],
        "select_top_k": ["analysis", "select", *data, *runs, *budget, "--rule", "top-k", "--sets", "2"],
        "select_coverage": ["analysis", "select", *data, *runs, *budget, "--rule", "greedy-coverage", *against],
        "select": ["analysis", "select", *data, *runs, *budget, *chosen],
        "train_on_the_choice": [
            *("benchmark", "run", str(analysis / SUITE), "--out", str(analysis / CHOSEN)),
            *("--body-models", str(out / "body_models"), "--only", "mix", "--only", train[0].dataset, "--only", first),
        ],
    }


def run(out: Path, train: tuple[DemoSet, ...], test: tuple[DemoSet, ...]) -> dict[str, str]:
    """Run all of :func:`of`; what they print is in ``analysis/<name>.txt``.

    Returns
    -------
    Name -> what it said, of those that refuse what there is (a ranking of three sets has few factors).
    """
    commands = of(out, train, test)
    last = next(reversed(commands))
    refused: dict[str, str] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = pool.map(_run, [words for name, words in commands.items() if name != last])
        for name, result in zip(commands, over(done, "commands", total=len(commands) - 1), strict=False):
            _keep(out, name, commands[name], result, refused)
    if not refused.keys() & {"select"}:
        _keep(out, last, commands[last], _run(commands[last]), refused)
    return refused


def _run(words: list[str]) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-m", "ehps", "--quiet", *words]
    return subprocess.run(run, capture_output=True, text=True, check=False)


def _keep(
    out: Path, name: str, words: list[str], result: subprocess.CompletedProcess[str], refused: dict[str, str]
) -> None:
    """Write what a command printed, after the command itself; one that refuses is noted.

    Raises
    ------
    DataError : it ended otherwise than in a result or a refusal.
    """
    line = f"ehps {shlex.join(words)}"
    said = (result.stderr.strip() or "nothing").splitlines()[-1]
    if result.returncode and not said.startswith("error: "):
        raise DataError(f"`{line}` ended with {result.returncode}: {said}")
    if result.returncode:
        refused[name] = said.removeprefix("error: ")
    write_text(out / "analysis" / f"{name}.txt", f"$ {line}\n{result.stdout or result.stderr}")


def _file(out: Path, entry: DemoSet) -> Path:
    return out / "humandata" / f"{entry.name}.h5"
