"""An opened run in the formats of other benchmarks' tools, cleaned as every export is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from rope_prof.io.run.clean_model import clean_run
from rope_prof.io.run.redact import PrivateWords, cleaner
from rope_prof.opened.run import OpenedRun
from rope_prof.views.exchange.github_benchmark import github_benchmark
from rope_prof.views.exchange.nvbench import nvbench
from rope_prof.views.exchange.openmetrics import openmetrics
from rope_prof.views.exchange.pytest_benchmark import pytest_benchmark
from rope_prof.views.exchange.timed import Exchanged, timed

#: What `export --to` calls each, and what makes its text.
EXCHANGE: Mapping[str, Callable[[Exchanged], str]] = MappingProxyType(
    {
        "nvbench": nvbench,
        "pytest-benchmark": pytest_benchmark,
        "github-benchmark": github_benchmark,
        "openmetrics": openmetrics,
    }
)


def exchanged(run: OpenedRun, to: str, words: PrivateWords | None = None) -> tuple[str, tuple[str, ...]]:
    """(the text of that format, what is to be said of it): what was cleaned, and each key that is not in it.

    `words`: what counts as private besides tokens and paths; by default this machine's own. Errors: KeyError for
    another format; RunError for a run that the format has no place for, or of which a trace is damaged.
    """
    clean = cleaner(words)
    found = timed(clean_run(run.run, clean), run.rows, run.samples)
    text = clean(EXCHANGE[to](replace(found, left_out=())))
    return text, (clean.sentence(), *map(clean, found.left_out))
