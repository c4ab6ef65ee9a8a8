"""The threads of the SQLite store: each has a connection, and runs what coroutines ask of it, batch by batch.

A coroutine hands over a function of a connection and waits for what it returns or raises. Whatever waits when a thread
is free is one batch and one transaction: a hundred writes that come at once cost one commit. Each function has a
savepoint of its own, so that one that fails undoes nothing of the others.

    store.add(…)  ──┐                   ┌─ BEGIN IMMEDIATE
    store.add(…)  ──┼──▶ queue ──▶ thread  SAVEPOINT, add, RELEASE; SAVEPOINT, add, RELEASE; …
    store.post(…) ──┘                   └─ COMMIT, and only then every coroutine gets its result

After any trouble with the file the connection is closed, and the next batch opens another one.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar, cast

import anyio.to_thread

from responses_shim.stores.base import StoreUnavailable
from responses_shim.stores.sqlite_file import Identity, StoreFile, UnusableFile

logger = logging.getLogger("responses_shim")

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
"""What is done with a connection. It is done again if the transaction is lost, so it changes nothing else."""

LARGEST_BATCH = 100
"""How many functions share a transaction at most; those behind them wait for the next one."""
POLL_INTERVAL = 0.1
"""Seconds from one look at whether another process has changed the file to the next, while anybody waits for that."""

FILE_ERRORS = (sqlite3.Error, OSError, UnusableFile)
"""What trouble with a file is raised as: it is full, locked, damaged, not there, or not allowed."""


class Signal:
    """An event that a thread sets and a coroutine waits for."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Wait until the signal is set, and reset it."""
        await self._event.wait()
        self._event.clear()

    @staticmethod
    def set_all(signals: Iterable[Signal]) -> None:
        """Set signals from any thread: each event loop is woken once, however many there are."""
        events: dict[asyncio.AbstractEventLoop, list[asyncio.Event]] = defaultdict(list)
        for signal in signals:
            events[signal._loop].append(signal._event)
        for loop, of_loop in events.items():
            with suppress(RuntimeError):  # The loop has been closed: nobody waits in it.
                loop.call_soon_threadsafe(_set, of_loop)


def _set(events: list[asyncio.Event]) -> None:
    for event in events:
        event.set()


class Job(Generic[T]):
    """A function to run in a thread, and what has become of it.

    - `key`: of several jobs in a batch with one key, the first one's result goes to all
    - `committed`: called in the thread, after the commit
    - `abandoned`: nobody waits for it any more, and if it has not begun it need not
    """

    def __init__(self, work: Work[T], key: Hashable, committed: Callable[[], None] | None) -> None:
        self.work = work
        self.key = key
        self.committed = committed
        self.done = Signal()
        self.abandoned = False
        self.result: T | None = None
        self.error: Exception | None = None


class ConnectionThread:
    """A thread that runs jobs with its connection to a file. It starts at the first job, and opens the file then.

    It is a daemon, so that a process can end without `close`: a transaction that is cut off is rolled back.
    """

    begin: Sequence[str]
    """The statements that begin a transaction and take its lock: trouble with the lock comes before all jobs."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file
        self._jobs: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()  # None wakes the thread, for no job
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._connection: sqlite3.Connection | None = None
        self._identity: Identity | None = None
        self._trouble = ""  # what was logged last; empty when all is well

    # Called by coroutines ----------------------------------------------------------------------------------------

    async def run(self, work: Work[T], *, key: Hashable = None, committed: Callable[[], None] | None = None) -> T:
        """Run a function in the thread, in a transaction. Returns and raises what it does.

        Raises StoreUnavailable at trouble with the file. If the caller is cancelled, a function that has not begun is
        not run any more; one that has begun is run to its end, and what it wrote is kept.
        """
        job = self.submit(work, key=key, committed=committed)
        try:
            await job.done.wait()
        except BaseException:
            job.abandoned = True
            raise
        if job.error is not None:
            raise job.error
        return cast(T, job.result)

    def submit(self, work: Work[T], *, key: Hashable = None, committed: Callable[[], None] | None = None) -> Job[T]:
        """Have a function run in the thread, and do not wait for it."""
        job = Job(work, key, committed)
        self._put(job)
        return job

    async def close(self) -> None:
        """End the thread, which does what waits already and closes its connection. A later job starts another."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            self._jobs.put(None)
            await anyio.to_thread.run_sync(thread.join)
        with self._lock:
            self._closed, self._thread = False, None

    def _put(self, job: Job[Any] | None) -> None:
        with self._lock:
            if self._closed:
                raise StoreUnavailable
            if self._thread is None:
                thread = threading.Thread(target=self._serve, name="responses-shim store", daemon=True)
                thread.start()
                self._thread = thread
            self._jobs.put(job)

    # In the thread -----------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while True:
            batch = [job for job in self._next_batch() if job is not None]
            if batch:
                self._run(batch)
            self._between_batches()
            if self._closed and self._jobs.empty():
                break
        self._disconnect()

    def _next_batch(self) -> list[Job[Any] | None]:
        """What waits, or the first to come if nothing does. Empty if nothing has come for too long."""
        batch: list[Job[Any] | None] = []
        with suppress(queue.Empty):
            batch.append(self._jobs.get(timeout=self._patience()))
            while len(batch) < LARGEST_BATCH:
                batch.append(self._jobs.get_nowait())
        return batch

    def _patience(self) -> float | None:
        """For how many seconds to wait for a job before `_between_batches` is called; None: for as long as it takes."""
        return None

    def _between_batches(self) -> None:
        """What there is to do beside jobs."""

    def _run(self, batch: list[Job[Any]]) -> None:
        """Run the jobs of a batch, and let those who wait for them know."""
        begun = False
        try:
            connection = self._connect()
            for statement in self.begin:
                connection.execute(statement)
            begun = True
            self._run_jobs(connection, batch)
            connection.execute("COMMIT")
        except Exception as error:
            self._disconnect()
            if begun and len(batch) > 1:  # The transaction is lost with all jobs in it: find out whose fault it is.
                for job in batch:
                    self._run([job])
                return
            for job in batch:
                job.error = error
        self._finish(batch)

    def _run_jobs(self, connection: sqlite3.Connection, batch: list[Job[Any]]) -> None:
        """Run jobs within a transaction. Raises if it is lost; else what a job raises is its own `error`."""
        results: dict[Hashable, Any] = {}
        for job in batch:
            if job.abandoned:
                continue
            if job.key in results:
                job.result = results[job.key]
                continue
            job.error = None
            connection.execute("SAVEPOINT job")
            try:
                job.result = job.work(connection)
                if job.key is not None:
                    results[job.key] = job.result
            except Exception as error:
                if not connection.in_transaction:  # SQLite has rolled back, as it does when the disk is full.
                    raise
                job.error = error
                connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")

    def _finish(self, batch: list[Job[Any]]) -> None:
        """Hand the results of a batch over, trouble with the file as StoreUnavailable."""
        trouble = [job.error for job in batch if isinstance(job.error, FILE_ERRORS)]
        if trouble:
            self._disconnect()
        self._report(trouble[0] if trouble else None)
        for job in batch:
            if isinstance(job.error, FILE_ERRORS):
                cause, job.error = job.error, StoreUnavailable()
                job.error.__cause__ = cause
        Signal.set_all(job.done for job in batch)
        for job in batch:  # Behind them: a run does not wait for its followers, of which there may be hundreds.
            if job.error is None and job.committed is not None:
                job.committed()

    def _report(self, error: Exception | None) -> None:
        """Log that there is trouble with the file, once as long as it is the same, and that it is over."""
        if error is None:
            if self._trouble:
                logger.warning("the store %s works again", self._file.path)
            self._trouble = ""
            return
        trouble = f"{type(error).__name__}: {error}"
        if trouble != self._trouble:
            logger.warning("the store %s cannot be used: %s", self._file.path, trouble)
        self._trouble = trouble

    def _connect(self) -> sqlite3.Connection:
        """The connection to the file that the path leads to now."""
        identity = self._file.identity()
        if self._connection is not None and identity == self._identity:
            return self._connection
        self._disconnect()
        connection = self._file.connect()
        # If the file has been replaced meanwhile, this is not its identity, and the next batch opens it again.
        self._identity = identity if identity is not None else self._file.identity()
        self._connection = connection
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


class ReaderThread(ConnectionThread):
    """A thread that reads. A batch sees one state of the file: that after all writes which its callers know of."""

    begin = ("BEGIN", "SELECT 1 FROM totals")


class WriterThread(ConnectionThread):
    """The one thread of this process that writes, and wakes those who wait for changes, here or by other processes.

    Other processes' changes show in `PRAGMA data_version` of this thread's connection, which its own do not change.
    It is looked at only while somebody waits.
    """

    begin = ("BEGIN IMMEDIATE",)

    def __init__(self, file: StoreFile) -> None:
        super().__init__(file)
        self._waiting: dict[Hashable, set[Signal]] = defaultdict(set)
        self._version: int | None = None
        self._next_poll = 0.0

    @contextmanager
    def watching(self, key: Hashable) -> Iterator[Signal]:
        """A signal that is set when `wake` is called with `key`, or when another process has changed the file.

        It is also set without either; who is woken reads again.
        """
        signal = Signal()
        with self._lock:
            if self._closed:
                raise StoreUnavailable
            first = not self._waiting
            self._waiting[key].add(signal)
        try:
            if first:
                self._put(None)  # The thread may be waiting without end for a job.
            yield signal
        finally:
            with self._lock:
                self._waiting[key].discard(signal)
                if not self._waiting[key]:
                    del self._waiting[key]

    def wake(self, keys: Collection[Hashable] | None = None) -> None:
        """Set the signals of those who watch these keys; None: all."""
        with self._lock:
            watched = [self._waiting.get(key, ()) for key in (self._waiting if keys is None else keys)]
            signals = [signal for each in watched for signal in each]
        Signal.set_all(signals)

    async def close(self) -> None:
        await super().close()
        self.wake()

    def _patience(self) -> float | None:
        return max(0.0, self._next_poll - time.monotonic()) if self._waiting else None

    def _between_batches(self) -> None:
        if not self._waiting or time.monotonic() < self._next_poll:
            return
        self._next_poll = time.monotonic() + POLL_INTERVAL
        try:
            (version,) = self._connect().execute("PRAGMA data_version").fetchone()
        except FILE_ERRORS as error:
            self._disconnect()
            self._report(error)
            version = -1
        if version != self._version:
            self._version = version
            self.wake()

    def _disconnect(self) -> None:
        super()._disconnect()
        self._version = None  # Numbers of different connections cannot be compared.
