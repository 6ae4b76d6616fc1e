"""The dashboard's process: Streamlit's own command, made ready for the first viewer while the browser still loads.

`python -m rope_prof.dashboard.server run APP ...` is `python -m streamlit run APP ...` with a gate in front of it
(`gate`) and differences that a viewer can tell by a clock alone. A thread imports what every page imports and reads
the run that opens, into the caches that the pages read; pandas, which tables want and the first page does not, once
that page is drawn. What is there by then stays for good, so the garbage collector, which Streamlit calls after every
pass of a page, no longer walks it. And answers leave at once: on a socket that is bound by hand, as Streamlit's is, a
small one waits up to 40 ms for the receipt of the one before it (https://github.com/Kludex/uvicorn/issues/3149).
"""

from __future__ import annotations

import faulthandler
import gc
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from rope_prof.dashboard.assets import Assets
from rope_prof.dashboard.gate import FrontDoor

from rope_prof.dashboard import FOLDER, early, pages_last
from rope_prof.serve.hosts import hosts

#: How long pandas waits for the first page to be drawn, and then for it to have come to its viewer.
FIRST_PAGE_S: Final = 10.0
COME_S: Final = 1.0


def main() -> None:
    """Serve until the process is ended."""
    faulthandler.enable()  # a crash in a library's own code says where on the terminal
    gc.disable()  # until `ready` is done: a start makes no garbage
    import uvicorn
    from streamlit import delta_generator
    from streamlit.web import cli  # whole, before the thread imports parts of it

    # No Python prompt is ours; Streamlit looks for one by the source of every module, at the first thing that is drawn.
    delta_generator._use_warning_has_been_displayed = True  # noqa: SLF001
    if not sys.argv[1:]:
        sys.argv += early.words()
    thread = threading.Thread(target=ready, daemon=True, name="rope_prof-ready")

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.bind":
            at_once(arguments[0])
            if thread.ident is None:
                pages_last(str(FOLDER / "pages"))
                thread.start()

    sys.addaudithook(heard)
    allowed, assets = hosts(allowed_names(sys.argv)), Path(cli.__file__).parents[1] / "static/static"

    class Guarded(uvicorn.Config):
        """Every application that uvicorn serves in this process stands behind the gate, Streamlit's files before it."""

        def __init__(self, app: Any, *arguments: Any, **named: Any) -> None:
            super().__init__(FrontDoor(Assets(app, assets), allowed), *arguments, **named)

    uvicorn.Config = Guarded  # type: ignore[misc]
    cli.main(prog_name="streamlit")


def allowed_names(arguments: Sequence[str]) -> list[str]:
    """The word after each `--allow-host`."""
    return [following for word, following in pairwise(arguments) if word == "--allow-host"]


def at_once(sock: socket.socket) -> None:
    """Let all that is written to connections which `sock` accepts leave at once (TCP_NODELAY, which they inherit)."""
    if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def ready() -> None:
    """Import what every page imports, and read the run that opens; of one that cannot be read its page tells.

    What the first page asks comes before it; the rest of the run and pandas, which Streamlit imports for its first
    table or component, after it: their loading holds every thread up.
    """
    from rope_prof.errors import RopeProfError

    run = None
    try:
        from rope_prof.dashboard import baseline, downloads, loading, shell, view  # noqa: F401

        with suppress(RopeProfError, RuntimeError):  # of threads that cannot begin any more: the server ended meanwhile
            named = loading.runs()
            if named:
                name = loading.default_run(named)
                loading.other_runs(named, name)
                run = loading.opened(named[name])
                if run.run.keys:
                    case = view.default_case(run.run)
                    run.rows_of_case(case)
                    _ = run.headlines
                    loading.chain_verdicts(run.folder, case)
    finally:
        gc.freeze()
        gc.enable()
    if shell.drawn.wait(FIRST_PAGE_S):
        time.sleep(COME_S)
    with suppress(RopeProfError, RuntimeError):
        _ = run and run.rows
    import_module("pandas")
    gc.freeze()


if __name__ == "__main__":
    main()
