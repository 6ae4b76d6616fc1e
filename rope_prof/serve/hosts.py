"""By which names a server of ours may be reached, and from which pages: one rule for all of them.

A page of any site can ask a server on this machine for something; under a name that its owner lets point to 127.0.0.1
it would even be the same origin. So the host that the browser thinks it talks to must be a loopback name, or one that
the user allowed, at any port (a forwarded one, `ssh -L`, works), and a page that asks must be the server's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from rope_prof.errors import UsageError

LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\]")
_HOST: Final = re.compile(rf"({_NAME.pattern})(?::\d{{1,5}})?")


@dataclass(frozen=True, slots=True)
class Hosts:
    """The names that are allowed, in small letters."""

    names: frozenset[str] = frozenset(LOOPBACK)

    def refusal(self, headers: Mapping[str, list[str]]) -> str | None:
        """Why a request with these headers (small letters -> all values) is not answered; None where it is."""
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not self._allowed(hosts[0]):
            return f"this server answers as {', '.join(sorted(self.names))} only"
        origins = headers.get("origin", [])
        if any(origin.lower() not in _origins(hosts[0].lower()) for origin in origins):
            return "this server answers its own pages only"
        site, mode = headers.get("sec-fetch-site", []), headers.get("sec-fetch-mode", [])
        if any(one == "cross-site" for one in site) and mode != ["navigate"]:
            return "this server answers its own pages only"
        return None

    def _allowed(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        return found is not None and found.group(1).lower() in self.names


def _origins(host: str) -> tuple[str, str]:
    return f"http://{host}", f"https://{host}"  # https: a proxy of the user's own in front


def hosts(allowed: Iterable[str]) -> Hosts:
    """The loopback names, and those that the user allows. Errors: UsageError for a word that is no name."""
    names = list(allowed)
    for name in names:
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"--allow-host {name!r} is no host name; expected one as gpubox.example.org, without a port"
            )
    return Hosts(frozenset((*LOOPBACK, *(name.lower() for name in names))))
