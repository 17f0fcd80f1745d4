"""A suite file is read and checked as a whole, before any data is opened: through the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ehps.benchmark.suites.suite_file import load_suite
from ehps.benchmark.training.specs import SetSpec
from ehps.cli import main

GOOD = "train: {a: {data: a.h5, images: .}}\ntest: {e: {data: e.h5, images: ., protocol: ehf}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that :data:`GOOD` names, which nobody may open."""
    for name in ("a.h5", "e.h5"):
        (tmp_path / name).write_text("not to be opened")
    return tmp_path


def run(folder: Path, content: str | bytes, *words: str) -> Result:
    suite = folder / "suite.yaml"
    suite.write_bytes(content if isinstance(content, bytes) else content.encode())
    return CliRunner().invoke(main, ["benchmark", "run", str(suite), "--out", str(folder / "runs"), *words])


def faults(folder: Path, content: str | bytes) -> list[str]:
    """What is said of the suite, one fault a line, without the name of the file, which begins each."""
    result = run(folder, content)
    assert (result.exit_code, result.stdout) == (2, "")
    assert not (folder / "runs").exists()
    begin = f"error: {folder / 'suite.yaml'}: "
    lines = result.stderr.splitlines()
    assert all(line.startswith(begin) for line in lines)
    return [line.removeprefix(begin) for line in lines]


def test_all_faults_are_said_at_once(folder: Path) -> None:
    content = """
train:
  a: {data: a.h5, images: ., interval: 0, imges: x}
  b: [1, {interval: 2}, {data: none.h5, images: nowhere, protocol: ehf}]
test:
  e: {data: e.h5, images: ., protocol: efh}
  f: {data: e.h5, images: ., protocol: 'ehf[stp=3]', interval: 3}
  g: {data: e.h5, images: .}
models: [tiny, tiny, hug]
steps: ten
batch_size: 0
lr: -1
stepz: 3
augment: 3
loss: {jionts: 2, pose: much}
model_args: {width: 33}
body_models: none
"""
    expected = [
        "steps is 'ten', not a whole number from 1 to 1,000,000,000",
        "batch_size is 0, not a whole number from 1 to 65,536",
        "lr is -1, not a number above 0, at most 10",
        "stepz is no setting; did you mean steps?",
        "augment is 3, not true or false",
        "loss.jionts is no setting; did you mean joints?",
        "loss.pose is 'much', not a number from 0 to 1,000,000",
        "train.a.interval is 0, not a number from 1 to 1,000,000,000",
        "train.a.imges is no setting; did you mean images?",
        "train.b[0] is 1, not a mapping of names to values",
        "train.b[1] has no data, which is its HumanData file",
        "train.b[2].protocol is 'ehf'; only test sets have a protocol",
        "test.f.interval is 3; tests take every N-th row by their protocol: NAME[step=N]",
        "models names 'tiny' 2 times",
        "models: there is no model 'hug'",
        "test.e.protocol: there is no protocol 'efh'",
        "test.f.protocol: ehf has no field 'stp' that can be changed; these can be: ",
        "test.g has no protocol; there are: agora-val, ",
        "model_args: model 'tiny' cannot be built: width 33 is no multiple of its 4 heads",
        f"train.b[2].data is {folder / 'none.h5'}, which is not there",
        f"train.b[2].images is {folder / 'nowhere'}, which is not there",
        f"body_models is {folder / 'none'}, which is not there",
    ]
    said = faults(folder, content)
    assert [line[: len(start)] for line, start in zip(said, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("- a\n- b\n", "is a list, not a suite of train and test sets"),
        ("only words", "is 'only words', not a suite"),
        (GOOD + "train: {}\n", "line 3: train stands here again, after line 1"),
        ("train: {a: a.h5, a: b.h5}", "line 1: a stands here again, after line 1"),
        ("train:\n\ta: a.h5\n", "line 2: is indented with a tab, where YAML has spaces"),
        (GOOD + "steps: [1\n", "is not YAML"),
        (GOOD + "lr: : 2\n", "line 3: is not YAML"),
        (GOOD + "x: !!python/object/apply:os.system [ls]\n", "python/object/apply:os.system"),
        (GOOD.encode() + b"# caf\xe9\n", "is no text in UTF-8 (line 3). Save it as UTF-8"),
        (GOOD.encode("utf-16"), "is no text in UTF-8 (line 1)"),
        (
            GOOD + "a: &a [x, x]\nb: &b [*a, *a]\n" + "c: [" + "*b, " * 40_000 + "*b]\n",
            "holds more than 100,000 values",
        ),
        (GOOD + "x: " + "[" * 3000, "it is nested too deeply"),
        (GOOD + "steps: " + "9" * 5000, "is not YAML"),
        ("train: [a, b]\n" + GOOD[GOOD.index("test") :], "train is a list, not a mapping of names to sets"),
        (GOOD + "seed: 1.5", "seed is 1.5, not a whole number from 0 to 4,294,967,295"),
        (GOOD + "steps: 2020-01-01", "steps is a date, not a whole number"),
        (GOOD + "lr: .nan", "lr is nan, not a number above 0"),
        (GOOD + "lr: 1e-7", "lr_min is 1e-06, more than lr, which is 1e-07"),
        (GOOD + "lr: .inf", "lr is inf"),
        (GOOD + "steps: 1e12", "steps is '1e12'"),
        (GOOD + "steps: true", "steps is true, not a whole number"),
        (GOOD + "workers: -5", "workers is -5, not a whole number from 0 to 1,024"),
        (GOOD + "model: tiny\nmodels: [tiny]", "model and models are both given"),
        (GOOD + "models: []", "the suite has no model"),
        (
            GOOD + "model_args: {depht: 2}",
            "model_args: model 'tiny' has no argument 'depht'; it has: width, depth, heads",
        ),
        (GOOD.replace("e.h5", "f.h5"), "f.h5, which is not there"),
        (GOOD.replace("a.h5", "."), ", which is no file"),
        (GOOD.replace("images: .", "images: a.h5"), "which is no folder"),
        (GOOD.replace("a: ", "a/b: ", 1), "train set 'a/b' cannot be used as a file name"),
        (GOOD + "init: none.pt", "init is "),
    ],
)
def test_one_fault_is_one_sentence(folder: Path, content: str | bytes, what: str) -> None:
    assert what in faults(folder, content)[0]


def test_numbers_that_yaml_takes_for_text_are_numbers(folder: Path) -> None:
    (folder / "suite.yaml").write_text(GOOD + "lr: 5e-4\nsteps: '20'\nwarmup: 1e1\nbatch_size: 8.0\ninit: a.h5\n")
    config = load_suite(folder / "suite.yaml", files=True).config
    assert (config.lr, config.steps, config.warmup, config.batch_size) == (5e-4, 20, 10, 8)
    assert config.init == str(folder / "a.h5")


def test_merge_keys_and_a_byte_order_mark_are_yaml(folder: Path) -> None:
    text = "\ufeffset: &s {data: a.h5, images: .}\n".replace("set: &s", "train: {a: &s").replace(
        "}\n", "}, b: {<<: *s, interval: 2}}\n"
    )
    (folder / "suite.yaml").write_text(text + GOOD[GOOD.index("test") :], encoding="utf-8")
    suite = load_suite(folder / "suite.yaml", files=True)
    assert [specs[0].interval for specs in suite.train.values()] == [1, 2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "--steps ten --lr nan",
            ["--steps is 'ten', not a whole number from 1 to", "--lr is 'nan', not a number above 0"],
        ),
        ("--batch-size 0 --interval 0", ["--batch-size is '0', not", "--interval is '0', not"]),
        ("--steps -5 --lr inf", ["--steps is '-5', not", "--lr is 'inf', not"]),
        ("--seed 1e30 --workers -1", ["--seed is '1e30', not", "--workers is '-1', not"]),
        ("--lr -1", ["--lr is '-1', not"]),
        ("--lr 0", ["--lr is '0', not a number above 0, at most 10"]),
        ("--lr 1e9 --batch-size 1.5", ["--batch-size is '1.5', not", "--lr is '1e9', not"]),
        ("--lr 1e-8", ["lr_min is 1e-06, more than lr, which is 1e-08"]),
    ],
)
def test_options_of_train_have_the_same_ranges(words: str, said: list[str], tmp_path: Path) -> None:
    out, data = tmp_path / "run", tmp_path / "x.h5"
    data.touch()
    result = CliRunner().invoke(main, ["benchmark", "train", str(data), "--out", str(out), *words.split()])
    lines = [line.removeprefix("error: ") for line in result.stderr.splitlines()]
    assert (result.exit_code, result.stdout) == (2, "")
    assert sorted(line[: len(start)] for line, start in zip(sorted(lines), sorted(said), strict=True)) == sorted(said)
    assert not out.exists()


@pytest.mark.parametrize(
    ("given", "read", "written"), [(2, 2, "2"), (2.0, 2, "2"), ("2", 2, "2"), (2.5, 2.5, "2.5"), ("1e1", 10, "10")]
)
def test_an_interval_may_be_a_fraction_and_a_whole_one_is_as_before(given: Any, read: float, written: str) -> None:
    spec = SetSpec.from_dict({"data": "a.h5", "images": ".", "interval": given})
    assert (spec.interval, str(spec.interval)) == (read, written)
    assert str(SetSpec(Path("a.h5"), Path(), read * 1.0).interval) == written
