"""Many calls at once, in processes of this machine or of a cluster, with results as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, TypeVar

from ehps.errors import EhpsError, UsageError
from ehps.extras import BACKEND_MODULES, need
from ehps.worker_processes import DEATHS, Submit, worker_processes

BACKENDS = ("loky", "threading", "dask", "ray")
CLUSTERS = ("dask", "ray")

T = TypeVar("T")


class Lost:
    """In the place of a result: the process that was to give it has died."""


def require(backend: str, scheduler: str | None) -> None:
    """See that a backend can be used.

    Raises
    ------
    UsageError : it is unknown, not installed, or takes no scheduler.
    """
    if backend not in BACKENDS:
        raise UsageError(f"unknown backend {backend!r}", fix=f"there are {', '.join(BACKENDS)}")
    if scheduler is not None and backend not in CLUSTERS:
        raise UsageError(f"--backend {backend} has no scheduler", fix="pass --backend dask or --backend ray with it")
    need(f"--backend {backend}", *BACKEND_MODULES.get(backend, ()))


def results(
    function: Callable[..., T], calls: Sequence[tuple[Any, ...]], jobs: int, backend: str, scheduler: str | None = None
) -> Iterator[T | Lost]:
    """What the calls return, in the order in which they end.

    Parameters
    ----------
    calls : arguments of each.
    jobs : processes on this machine; -1 for one per core.
    scheduler : address of a running cluster's, for ``dask`` and ``ray``; its workers are used then.
    """
    with _SUBMITTERS[backend](jobs, scheduler) as submit:
        futures: list[Future[Any]] = []
        try:
            for arguments in calls:
                futures.append(submit(function, *arguments))
            for future in as_completed(futures):
                try:
                    yield future.result()
                except EhpsError:
                    raise
                except Exception as error:
                    if type(error).__name__ not in DEATHS:
                        raise
                    yield Lost()
        finally:
            for future in futures:
                future.cancel()


@contextmanager
def _loky(jobs: int, _: str | None) -> Iterator[Submit]:
    from joblib import cpu_count

    with worker_processes(cpu_count() if jobs < 0 else jobs) as submit:
        yield submit


@contextmanager
def _threading(jobs: int, _: str | None) -> Iterator[Submit]:
    with ThreadPoolExecutor(None if jobs < 0 else jobs) as executor:
        yield executor.submit


@contextmanager
def _dask(jobs: int, scheduler: str | None) -> Iterator[Submit]:
    """A client that is there already, the cluster of the address that was given or that dask is configured with
    (``DASK_SCHEDULER_ADDRESS``), or else processes of this machine."""
    import dask
    from dask import distributed

    if scheduler is None and (client := _client_of_now(distributed)) is not None:
        yield client.get_executor(pure=False).submit
        return
    address = scheduler or dask.config.get("scheduler-address", None)
    workers: dict[str, Any] = {"n_workers": None if jobs < 0 else jobs, "threads_per_worker": 1}
    try:
        client = distributed.Client(set_as_default=False, **({"address": address} if address else workers))
    except (OSError, ValueError) as error:
        what = f"no dask scheduler answers at {address} ({' '.join(str(error).split())})"
        raise UsageError(what, fix="check the address that `dask scheduler` prints") from None
    with client:
        yield client.get_executor(pure=False).submit


def _client_of_now(distributed: Any) -> Any:
    try:
        return distributed.get_client()
    except ValueError:
        return None


@contextmanager
def _ray(jobs: int, scheduler: str | None) -> Iterator[Submit]:
    """The cluster that this process is connected to already, that of the address that was given or is in
    ``RAY_ADDRESS``, or else processes of this machine."""
    import os

    import ray

    if not ray.is_initialized():
        address = scheduler or os.environ.get("RAY_ADDRESS")
        cores = {"num_cpus": jobs} if jobs > 0 and address is None else {}
        try:
            ray.init(address=address, log_to_driver=False, **cores)
        except (OSError, ValueError) as error:
            what = f"no ray cluster answers at {address} ({' '.join(str(error).split())})"
            raise UsageError(what, fix="check the address that `ray start --head` prints") from None

    def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        call = ray.remote(max_retries=0, num_cpus=1)(function)
        future: Future[Any] = call.remote(*arguments).future()
        return future

    yield submit


_SUBMITTERS = {"loky": _loky, "threading": _threading, "dask": _dask, "ray": _ray}
