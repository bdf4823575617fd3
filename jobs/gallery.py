"""The figures of finished stores, drawn by the workers that compute the next sweep, and their report.

Each finished store is one task of the cluster: its figures are written, and its section of the report
is returned. Such a task goes before waiting trials, so figures come soon; but only half of the workers
draw at a time, so the others continue with trials, and the memory for drawing is bounded. The report is
replaced after each store. A figure that cannot be drawn is a problem to report, and ends no run.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import WorkersLost

if TYPE_CHECKING:
    from distributed import Client, Future

    from analysis.report.sections import Section

__all__ = ["Gallery", "Shown", "show_store"]

BEFORE_TRIALS = 10
"""Priority of drawing; that of trials is 0."""

POLL_SECONDS = 1.0
"""Interval at which a wait for a task looks for interrupts."""


@dataclass
class Shown:
    """The figures and the section of the report of one store.

    Attributes
    ----------
    section
        Its section of the report; None if it could not be made.
    files
        The figures written.
    problems
        One line for each figure, or section, that could not be made.
    """

    section: Section | None = None
    files: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def show_store(store: Path, output: Path, anchor: str) -> Shown:
    """Draw the figures of a store, and make its section; for a worker.

    Parameters
    ----------
    store
        Its path; the report names it without its folder.
    output
        Folder of the figures.
    anchor
        Prefix of the ids of the section.
    """
    from pipeline.execution.worker import settle

    settle()
    shown = Shown()
    try:
        _show(shown, store, output, anchor)
    except Exception as error:
        shown.problems.append(f"{store.name}: {_line(error)}")
    return shown


def _show(shown: Shown, store: Path, output: Path, anchor: str) -> None:
    from analysis.figures import kinds_for
    from analysis.report import section_of
    from analysis.stores import load_store
    from analysis.study import Study
    from jobs.commands.plot import draw_kinds

    study = Study(load_store(store))
    pictures = {}
    for kind in kinds_for(study.ds):
        try:
            drawn = draw_kinds(study, store, kind, output, captions=True, overwrite=True)
        except Exception as error:
            shown.problems.append(f"{store.name}: no figure {kind}: {_line(error)}")
            continue
        shown.files += drawn.files
        for file in (file for file in drawn.files if file.suffix == ".svg"):
            pictures[kind] = (file.read_text(encoding="utf-8"), drawn.tables[kind])
    shown.section = section_of(study, store.name, anchor, pictures)


def _line(error: BaseException) -> str:
    """Return an error as one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


class Gallery:
    """Stores that are shown as they are finished.

    Parameters
    ----------
    client
        Client of the workers, which reach the stores.
    stores
        All stores by name, in the order of the report.
    publish
        Called with the sections so far, and with the names that are still to come, as soon as there
        are more sections.
    """

    def __init__(
        self,
        client: Client,
        stores: Mapping[str, Path],
        publish: Callable[[Sequence[Section], Sequence[str]], None],
    ) -> None:
        self._client = client
        self._stores = stores
        self._publish = publish
        self._waiting: list[str] = []
        self._drawing: dict[Future[Any], str] = {}
        self._finished: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self.shown: dict[str, Shown] = {}

    @property
    def sections(self) -> list[Section]:
        """The sections so far, in the order of the report."""
        found = (self.shown[name].section for name in self._stores if name in self.shown)
        return [section for section in found if section is not None]

    @property
    def problems(self) -> list[str]:
        """The problems so far."""
        return [problem for shown in self.shown.values() for problem in shown.problems]

    def add(self, name: str) -> None:
        """Show a store, which is finished, as soon as workers may draw."""
        self._waiting.append(name)
        self._submit(self._half())

    def collect(self) -> None:
        """Take what the workers have drawn so far, without waiting, and let them draw more."""
        found = 0
        while not self._finished.empty():
            found += self._take(self._finished.get())
        self._submit(self._half())
        if found:
            self._tell()

    def finish(self, check: Callable[[], object]) -> None:
        """Draw what is left with all workers, and wait for it.

        Parameters
        ----------
        check
            Called once a second; it may raise.
        """
        while self._waiting or self._drawing:
            self._submit(2 * self._half())
            check()
            try:
                found = self._take(self._finished.get(timeout=POLL_SECONDS))
            except queue.Empty:
                if self._client.status != "running":
                    raise WorkersLost("the scheduler does not answer") from None
                continue
            if found and (self._waiting or self._drawing):
                self._tell()
        self._tell()

    def _half(self) -> int:
        return max(1, sum(self._client.nthreads().values()) // 2)

    def _submit(self, most: int) -> None:
        while self._waiting and len(self._drawing) < most:
            name = self._waiting.pop(0)
            store = self._stores[name].absolute()
            anchor = f"s{1 + list(self._stores).index(name)}"
            future = self._client.submit(
                show_store, store, store.parent, anchor, pure=False, priority=BEFORE_TRIALS
            )
            self._drawing[future] = name
            future.add_done_callback(self._finished.put)

    def _take(self, future: Future[Any]) -> bool:
        """Take the result of a task; return False if it is lost, and drawn again."""
        name = self._drawing.pop(future)
        try:
            self.shown[name] = future.result()
        except CancelledError:  # with its worker, before it came here
            if self._client.status != "running":
                raise WorkersLost("the scheduler does not answer") from None
            self._waiting.append(name)
            return False
        except Exception as error:  # its workers died
            self.shown[name] = Shown(problems=[f"{self._stores[name].name}: {_line(error)}"])
        return True

    def _tell(self) -> None:
        coming = [name for name in self._stores if name not in self.shown]
        self._publish(self.sections, coming)
