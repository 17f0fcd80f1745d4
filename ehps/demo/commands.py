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


def run(out: Path, train: tuple[DemoSet, ...], test: tuple[DemoSet, ...]) -> None:
    """Run all of :func:`of`; what they print is in ``analysis/<name>.txt``.

    Raises
    ------
    DataError : one of them fails; the message has what it said.
    """
    commands = of(out, train, test)
    last = next(reversed(commands))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        texts = pool.map(_printed, [words for name, words in commands.items() if name != last])
        for name, text in zip(commands, over(texts, "commands", total=len(commands) - 1), strict=False):
            write_text(out / "analysis" / f"{name}.txt", text)
    write_text(out / "analysis" / f"{last}.txt", _printed(commands[last]))


def _printed(words: list[str]) -> str:
    """What a command prints, after the command itself."""
    done = subprocess.run(
        [sys.executable, "-m", "ehps", "--quiet", *words], capture_output=True, text=True, check=False
    )
    line = f"ehps {shlex.join(words)}"
    if done.returncode:
        said = (done.stderr.strip() or "nothing").splitlines()[-1]
        raise DataError(f"`{line}` ended with {done.returncode}: {said}")
    return f"$ {line}\n{done.stdout}"


def _file(out: Path, entry: DemoSet) -> Path:
    return out / "humandata" / f"{entry.name}.h5"
