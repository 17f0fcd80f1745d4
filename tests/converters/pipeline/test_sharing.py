"""Many processes convert one dataset: none does what another has done, and the bytes are those of one."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_dataset import CARD

from ehps import claims
from ehps.converters import registry
from ehps.converters.base import Converter, DatasetCard, Instances, Unit
from ehps.converters.pipeline import backends, convert, reading, slurm_conversion
from ehps.converters.pipeline.conversions import read_plan
from ehps.converters.pipeline.report import Report
from ehps.converters.pipeline.slurm_conversion import convert_on_slurm
from ehps.converters.readers import listings
from ehps.errors import DataError, UsageError
from tests.cluster import Executor
from tests.commands import ehps

UNITS = 12
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


class Many(Converter):
    """Units that are converted at once; each notes that it was read."""

    card = DatasetCard(**{**vars(CARD), "id": "many", "body_model": None, "needs": (), "options": ()})

    def units(self) -> list[Unit]:
        return [Unit(f"unit_{i}", self.root / "notes", i) for i in range(UNITS)]

    def read(self, unit: Unit) -> Instances:
        with (self.root / "read").open("a") as file:
            file.write(f"{unit.data} {os.getpid()}\n")
        wait = self.root / "wait"
        time.sleep(float(wait.read_text()) if wait.exists() else 0)
        return Instances(
            image_path=[f"images/{i}.jpg" for i in range(3)],
            bbox=np.full((3, 4), 10.0 + unit.data),
            meta={"frame_id": np.arange(3) + unit.data},
        )


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    folder = tmp_path_factory.mktemp("many") / "images"
    folder.mkdir()
    for i in range(3):
        Image.new("RGB", (320, 240)).save(folder / f"{i}.jpg")
    return folder


def made(folder: Path, images: Path) -> Path:
    folder.mkdir()
    (folder / "images").symlink_to(images)
    (folder / "notes").write_text("")
    return folder


@pytest.fixture
def raw(images: Path, tmp_path: Path) -> Path:
    return made(tmp_path / "RAW", images)


def run(raw: Path, out: Path, dataset: Any = Many, **options: Any) -> Report:
    return convert(dataset, raw, out=out, progress=False, **options)


def read_by(raw: Path) -> Counter[str]:
    """How often each unit was read."""
    return Counter(line.split()[0] for line in (raw / "read").read_text().splitlines())


@pytest.fixture(scope="module")
def alone(images: Path) -> bytes:
    """What one process writes."""
    run(made(images.parent / "RAW", images), images.parent / "alone.h5")
    return (images.parent / "alone.h5").read_bytes()


def forked(work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid


def ends_of(pids: list[int]) -> list[int]:
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def test_processes_share_the_units_and_write_the_bytes_of_one(raw: Path, alone: bytes, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    (raw / "wait").write_text("0.01")
    assert ends_of([forked(lambda: run(raw, out)) for _ in range(4)]) == [0, 0, 0, 0]
    assert out.read_bytes() == alone
    assert read_by(raw) == {str(i): 1 for i in range(UNITS)}
    assert len({line.split()[1] for line in (raw / "read").read_text().splitlines()}) > 1
    assert not (tmp_path / "out.h5.parts").exists()


def test_twenty_processes_killed_at_random_end_in_the_same_bytes(
    raw: Path, alone: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, chosen = tmp_path / "out.h5", random.Random(3)
    monkeypatch.setattr(reading, "POLL", 0.05)
    (raw / "wait").write_text("0.05")
    pids = [forked(lambda: run(raw, out)) for _ in range(20)]
    died = 0
    while died < 12:
        time.sleep(chosen.uniform(0, 0.05))
        if (raw / "read").exists():
            os.kill(pids[died], signal.SIGKILL)
            died += 1
    ends = ends_of(pids)
    assert set(ends[12:]) == {0}
    assert out.read_bytes() == alone
    counts = read_by(raw)
    assert set(counts) == {str(i) for i in range(UNITS)}
    assert sum(counts.values()) <= UNITS + ends.count(-signal.SIGKILL)
    assert run(raw, out).earlier is not None
    assert not (tmp_path / "out.h5.parts").exists()  # nor then, where a killed process was still there before


def test_another_request_for_the_same_file_is_refused_while_it_is_written(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    (raw / "wait").write_text("0.02")
    pid = forked(lambda: run(raw, out))
    while not (raw / "read").exists():
        time.sleep(0.005)
    with pytest.raises(DataError, match=rf"another conversion is writing this file \(process {pid} on "):
        run(raw, out, limit=2)
    assert ends_of([pid]) == [0]


def test_who_comes_when_all_is_joined_takes_what_was_saved(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process joins while this one looks for units that are left."""
    out, joined = tmp_path / "out.h5", list[bool]()
    real = reading._some

    def some(*arguments: Any) -> bool:
        if not joined:
            joined.append(True)
            pid = forked(lambda: run(raw, out))
            assert ends_of([pid]) == [0]
        return real(*arguments)

    monkeypatch.setattr(reading, "_some", some)
    report = run(raw, out)
    assert report.earlier is not None
    assert report.written == 3 * UNITS
    assert sum(read_by(raw).values()) == UNITS
    assert not (tmp_path / "out.h5.parts").exists()


def test_a_limit_holds_for_all_processes(raw: Path, tmp_path: Path) -> None:
    run(raw, tmp_path / "one.h5", limit=10)
    pids = [forked(lambda: run(raw, tmp_path / "many.h5", limit=10)) for _ in range(3)]
    assert ends_of(pids) == [0, 0, 0]
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "many.h5").read_bytes()
    assert not (tmp_path / "many.h5.parts").exists()


def test_groups_begin_at_different_units_and_join_nothing(raw: Path, alone: bytes, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    report = run(raw, out, group=(1, 2))
    assert (raw / "read").read_text().split()[0] == str(UNITS // 2)
    assert report.written == 3 * UNITS
    assert not out.exists()
    (raw / "read").unlink()
    assert run(raw, out).finished_before == UNITS
    assert not (raw / "read").exists()
    assert out.read_bytes() == alone


def test_a_folder_is_listed_by_one_process_for_all(
    raw: Path, alone: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, noted, real = tmp_path / "out.h5", tmp_path / "listed", listings.files_in

    def files_in(folder: Path) -> frozenset[str]:
        with noted.open("a") as file:
            file.write(f"{folder.name}\n")
        return real(folder)

    monkeypatch.setattr(listings, "files_in", files_in)
    monkeypatch.setattr(listings, "LARGE", 3)
    os.utime(raw / "images", (1, 1))
    assert ends_of([forked(lambda: run(raw, out)) for _ in range(3)]) == [0, 0, 0]
    assert noted.read_text() == "images\n"
    assert out.read_bytes() == alone
    noted.unlink()
    monkeypatch.setattr(listings, "LARGE", 4)
    run(raw, out, overwrite=True)
    assert noted.read_text().count("\n") == UNITS


# -- units that are too large -----------------------------------------------------------------------------------


class Deadly(Many):
    """Its second unit takes its process down, as the system does when memory runs out."""

    def units(self) -> list[Unit]:
        return super().units()[:4]

    def read(self, unit: Unit) -> Instances:
        rows = super().read(unit)
        if unit.data == 1 and not (self.root / "memory").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return rows


class Greedy(Deadly):
    """Its second unit takes its process down when others have just been read beside it."""

    def read(self, unit: Unit) -> Instances:
        seen = (self.root / "read").read_text().count("\n") if (self.root / "read").exists() else 0
        if unit.data == 1 and seen > 2:
            (self.root / "memory").touch()
        return super().read(unit)


def test_a_unit_that_kills_its_process_is_tried_alone_and_named(forks: None, raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    words = r"unit_1: the process that converted it was ended .* also when it was the only one.* more memory"
    with pytest.raises(DataError, match=words):
        run(raw, out, Deadly, jobs=2)
    assert not out.exists()
    counts = read_by(raw)
    assert counts["1"] == 2
    assert {counts[name] for name in ("2", "3")} <= {1, 2}  # those that were being read when the process ended, again
    report = run(raw, out, Deadly, jobs=2, skip_bad=True)
    assert [bad.unit for bad in report.bad] == ["unit_1"]
    assert report.written == 9


def test_a_unit_that_has_enough_memory_alone_is_converted(forks: None, raw: Path, tmp_path: Path) -> None:
    assert run(raw, tmp_path / "out.h5", Greedy, jobs=2).written == 12
    assert read_by(raw)["1"] == 2


def test_processes_that_were_started_together_and_die_of_one_unit_name_it(raw: Path, tmp_path: Path) -> None:
    """One after another, as jobs of a cluster may come."""
    out = tmp_path / "out.h5"

    def refused() -> None:
        with pytest.raises(DataError, match=r"unit_1: .* 3 times"):
            run(raw, out, Deadly, launch="together")

    ends = [ends_of([forked(refused)])[0] for _ in range(5)]
    assert ends == [-signal.SIGKILL] * claims.MOST_ATTEMPTS + [0, 0]
    assert read_by(raw) == {"0": 1, "1": claims.MOST_ATTEMPTS, "2": 1, "3": 1}
    (raw / "memory").touch()
    assert run(raw, out, Deadly).written == 12
    assert not (tmp_path / "out.h5.parts").exists()


def test_processes_that_die_before_they_begin_are_an_error(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "POLL", 0)
    monkeypatch.setattr(backends, "results", lambda *_: iter([backends.Lost()]))
    with pytest.raises(DataError, match="end before they begin"):
        run(raw, tmp_path / "out.h5", jobs=2)


# -- clusters ---------------------------------------------------------------------------------------------------


@pytest.fixture
def clusters(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Threads in the place of dask and ray, and how these were asked for."""
    asked: list[Any] = []
    threads = ThreadPoolExecutor(2)

    class Client:
        def __init__(self, address: str | None = None, set_as_default: bool = True, **words: Any) -> None:
            if address is not None and words:
                raise TypeError(f"a scheduler takes no {words}")
            if address == "tcp://nobody:8786":
                raise OSError("Timed out trying to connect")
            asked.append(address or words)

        def __enter__(self) -> Client:
            return self

        def __exit__(self, *_: object) -> None:
            asked.append("closed")

        def get_executor(self, pure: bool) -> ThreadPoolExecutor:
            return threads

    def no_client() -> None:
        raise ValueError("no global client found")

    dask = ModuleType("dask")
    dask.config = SimpleNamespace(get=lambda name, default: os.environ.get("DASK_SCHEDULER_ADDRESS", default))
    dask.distributed = SimpleNamespace(get_client=no_client, Client=Client)
    ray = ModuleType("ray")
    ray.is_initialized = lambda: False
    ray.init = lambda **words: asked.append(words)

    def remote(**words: Any) -> Callable[[Any], Any]:
        def called(function: Any) -> Any:
            future: Callable[..., Future[Any]] = lambda *a: threads.submit(function, *a)  # noqa: E731
            return SimpleNamespace(remote=lambda *a: SimpleNamespace(future=lambda: future(*a)))

        assert words == {"max_retries": 0, "num_cpus": 1}
        return called

    ray.remote = remote
    for name, module in (("dask", dask), ("distributed", dask), ("ray", ray)):
        monkeypatch.setitem(sys.modules, name, module)
    return asked


@pytest.mark.parametrize("scheduler", [None, "given", "DASK_SCHEDULER_ADDRESS"])
def test_dask_gets_an_address_or_workers_of_its_own(
    raw: Path, alone: bytes, tmp_path: Path, clusters: list[Any], monkeypatch: pytest.MonkeyPatch, scheduler: str | None
) -> None:
    address = "tcp://head:8786"
    if scheduler == "DASK_SCHEDULER_ADDRESS":
        monkeypatch.setenv(scheduler, address)
    given = address if scheduler == "given" else None
    run(raw, tmp_path / "out.h5", jobs=2, backend="dask", scheduler=given)
    assert (tmp_path / "out.h5").read_bytes() == alone
    assert clusters == [address if scheduler else {"n_workers": 2, "threads_per_worker": 1}, "closed"]


def test_a_scheduler_that_does_not_answer_is_named(raw: Path, tmp_path: Path, clusters: list[Any]) -> None:
    with pytest.raises(UsageError, match="no dask scheduler answers at tcp://nobody:8786"):
        run(raw, tmp_path / "out.h5", backend="dask", scheduler="tcp://nobody:8786")
    with pytest.raises(UsageError, match="loky has no scheduler"):
        run(raw, tmp_path / "out.h5", scheduler="tcp://nobody:8786")


@pytest.mark.parametrize("scheduler", [None, "head:6379"])
def test_ray_gets_an_address_or_processors(
    raw: Path, alone: bytes, tmp_path: Path, clusters: list[Any], scheduler: str | None
) -> None:
    run(raw, tmp_path / "out.h5", jobs=2, backend="ray", scheduler=scheduler)
    assert (tmp_path / "out.h5").read_bytes() == alone
    cores = {} if scheduler else {"num_cpus": 2}
    assert clusters == [{"address": scheduler, "log_to_driver": False, **cores}]


@pytest.mark.parametrize("backend", ["threading", "dask", "ray"])
def test_results_come_as_units_finish(clusters: list[Any], backend: str) -> None:
    """The first call ends last."""
    assert list(backends.results(_slow_first, [(0,), (1,), (2,)], 2, backend)) == [1, 2, 0]


def _slow_first(number: int) -> int:
    time.sleep(0.1 * (number == 0))
    return number


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a scheduler of dask with two workers."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as made:
        yield made.scheduler_address


def test_a_running_dask_cluster_gives_the_same_bytes(raw: Path, alone: bytes, tmp_path: Path, cluster: str) -> None:
    run(raw, tmp_path / "out.h5", backend="dask", scheduler=cluster)
    assert (tmp_path / "out.h5").read_bytes() == alone


def test_ray_gives_the_same_bytes(raw: Path, alone: bytes, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    run(raw, tmp_path / "out.h5", backend="ray", jobs=2)
    assert (tmp_path / "out.h5").read_bytes() == alone


# -- Slurm ------------------------------------------------------------------------------------------------------


def told(raw: Path, out: Path, dataset: Any = Many) -> dict[str, Any]:
    return {"dataset": dataset, "raw": raw, "split": "train", "out": out, "progress": False}


def test_jobs_of_slurm_share_the_units_and_the_last_ones_join(
    forks: None, submitit: None, raw: Path, alone: bytes, tmp_path: Path
) -> None:
    out, other = tmp_path / "out.h5", tmp_path / "other.h5"
    results = convert_on_slurm([told(raw, out), told(raw, other)], tmp_path / "logs", 3, {"slurm_partition": "cpu"})
    assert [(result.file, result.state, result.rows) for result in results] == [
        ("out.h5", "converted", 3 * UNITS),
        ("other.h5", "converted", 3 * UNITS),
    ]
    assert out.read_bytes() == alone
    assert other.read_bytes() == alone
    assert read_by(raw) == {str(i): 2 for i in range(UNITS)}
    executor = Executor.made[-1]
    assert [type(job.work).__name__ for job in executor.jobs] == ["Group"] * 3 + ["Last"] * 2
    assert executor.jobs[0].checkpoint() == ("again", executor.jobs[0])
    first, last = executor.asked[0], executor.asked[-1]
    assert (first["slurm_partition"], first["cpus_per_task"]) == ("cpu", 2)
    assert first["slurm_additional_parameters"] == {"requeue": True}
    assert last["slurm_additional_parameters"] == {"requeue": True, "dependency": "afterany:77"}
    assert not list(tmp_path.glob("*.parts"))


def test_what_jobs_of_slurm_cannot_convert_is_said(
    forks: None, submitit: None, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (result,) = convert_on_slurm([told(raw, tmp_path / "out.h5", Deadly)], tmp_path, 2, {})
    assert result.state == "failed"
    assert "unit_1: the process that converted it was ended" in result.note
    assert read_by(raw)["1"] == 2
    monkeypatch.setattr(slurm_conversion.Last, "__call__", lambda _: exec_died())
    (result,) = convert_on_slurm([told(raw, tmp_path / "out.h5")], tmp_path, 1, {})
    assert result.note.startswith("the job that joins has died: killed; its log is ")
    with pytest.raises(UsageError, match="--jobs 0"):
        convert_on_slurm([], tmp_path, 0, {})


def exec_died() -> None:
    raise RuntimeError("killed")


@pytest.mark.timeout(300)
def test_a_job_of_submitit_itself_converts(raw: Path, alone: bytes, tmp_path: Path) -> None:
    """Its local executor: processes of this machine that know nothing of this one."""
    pytest.importorskip("submitit")
    cloudpickle = pytest.importorskip("cloudpickle")
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        (result,) = convert_on_slurm(
            [told(raw, tmp_path / "out.h5")], tmp_path / "logs", 2, {"timeout_min": 5}, cluster="local"
        )
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert (result.state, result.rows) == ("converted", 3 * UNITS)
    assert (tmp_path / "out.h5").read_bytes() == alone
    assert sum(read_by(raw).values()) == UNITS


# -- plans ------------------------------------------------------------------------------------------------------


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    real = registry.converter
    monkeypatch.setattr(registry, "converter", lambda name: Many if name == "many" else real(name))


def test_a_plan_is_converted_with_a_table(registered: None, raw: Path, alone: bytes, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("conversions:\n- {dataset: many, raw: RAW}\n- {dataset: many, raw: GONE, split: test, limit: 3}\n")
    told = ehps("convert", str(plan), "--out", str(tmp_path / "new"), "--json")
    assert told.exit_code == 1
    first, second = json.loads(told.stdout)
    assert (first["dataset"], first["split"], first["state"], first["rows"]) == (
        "many",
        "train",
        "converted",
        3 * UNITS,
    )
    assert second["state"] == "failed"
    assert "GONE" in second["note"]
    assert (tmp_path / "new/many_train.h5").read_bytes() == alone


def test_a_plan_goes_to_slurm(
    forks: None, registered: None, submitit: None, raw: Path, alone: bytes, tmp_path: Path
) -> None:
    plan, out = tmp_path / "plan.yaml", tmp_path / "new"
    plan.write_text("conversions: [{dataset: many, raw: RAW}]\n")
    words = ["convert", str(plan), "--out", str(out), "--launcher", "slurm", "--jobs", "2", "--slurm", "mem_gb=8"]
    told = ehps(*words)
    assert told.exit_code == 0, told.output
    assert (out / "many_train.h5").read_bytes() == alone
    executor = Executor.made[-1]
    assert (executor.folder, executor.asked[0]["mem_gb"], len(executor.jobs)) == (out / "slurm", 8, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- 1", "is no plan"),
        ("conversions: [{dataset: many}]", "conversion 1 has no dataset or no raw"),
        ("conversions: [{dataset: many, raw: RAW, splitt: test}]", "conversion 1: there is no splitt"),
        ("conversions: [{dataset: many, raw: RAW, split: val}]", "has no split 'val'"),
        ("conversions: [{dataset: many, raw: RAW, limit: 0}]", "limit is 0"),
        ("conversions: [{dataset: many, raw: RAW, strict: 2}]", "strict is 2"),
        ("conversions: [{dataset: many, raw: RAW, options: {colour: red}}]", "no option colour"),
        ("conversions: [{dataset: many, raw: RAW}, {dataset: many, raw: B}]", "is the output of two conversions"),
    ],
)
def test_a_wrong_plan_is_refused_before_the_work(
    registered: None, raw: Path, tmp_path: Path, text: str, words: str
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(text)
    with pytest.raises(UsageError, match=words):
        read_plan(plan, tmp_path, None)
    assert not (raw / "read").exists()
