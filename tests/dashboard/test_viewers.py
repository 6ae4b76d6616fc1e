"""Twenty viewers at once: each sees its own file alone, and when they leave nothing of theirs is left."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from rope_prof.dashboard import early
from tests.dashboard.drawn_run import write_gpu_run
from tests.dashboard.walks import dashboard
from tests.io.test_hostile_files import kernel
from tests.own_thread import in_own_thread

VIEWERS = 20
PATIENCE_S = 120
#: What a third twenty may add to what the server holds: no copy of twenty sessions.
MOST_MORE_BYTES = 48 << 20


@dataclass
class Viewer:
    """One browser tab: the socket, and all that came through it."""

    address: str
    number: int
    seen: list[bytes] = field(default_factory=list)
    session: str = ""
    uploader: str = ""

    @property
    def mark(self) -> str:
        """The kernel that this viewer's file alone has."""
        return f"kernel_of_viewer_{self.number:02}_alone"

    async def run(self, everybody: asyncio.Barrier) -> None:
        """Open the page, upload a file, wait for the others, look at it once more."""
        socket = self.address.replace("http", "ws") + "/_stcore/stream"
        async with websockets.connect(
            socket,
            subprotocols=[websockets.Subprotocol("streamlit")],
            origin=websockets.Origin(self.address),
            max_size=None,
            ping_timeout=None,
        ) as stream:
            ask = BackMsg()
            ask.rerun_script.page_name = "any_trace"
            await self._pass(stream, ask)
            assert self.uploader, "the page was not drawn"
            info = await self._uploaded(stream)
            await everybody.wait()
            for _ in range(2):
                again = BackMsg()
                again.rerun_script.page_name = "any_trace"
                widget = again.rerun_script.widget_states.widgets.add()
                widget.id = self.uploader
                widget.file_uploader_state_value.uploaded_file_info.add().CopyFrom(info)
                await self._pass(stream, again)
            await everybody.wait()

    async def _pass(self, stream: websockets.ClientConnection, ask: BackMsg) -> None:
        """One pass of the page's script."""
        await stream.send(ask.SerializeToString())
        while True:
            data = await asyncio.wait_for(stream.recv(), PATIENCE_S)
            assert isinstance(data, bytes)
            self.seen.append(data)
            message = ForwardMsg.FromString(data)
            if message.HasField("new_session"):
                self.session = message.new_session.initialize.session_id
            uploader = message.delta.new_element.file_uploader
            self.uploader = uploader.id or self.uploader
            if message.HasField("script_finished"):
                return

    async def _uploaded(self, stream: websockets.ClientConnection) -> object:
        """The file, as the page's own uploader sends it."""
        from streamlit.proto.Common_pb2 import UploadedFileInfo

        ask = BackMsg()
        ask.file_urls_request.request_id = uuid.uuid4().hex
        ask.file_urls_request.file_names.append("mine.json")
        ask.file_urls_request.session_id = self.session
        await stream.send(ask.SerializeToString())
        while True:
            data = await asyncio.wait_for(stream.recv(), PATIENCE_S)
            assert isinstance(data, bytes)
            message = ForwardMsg.FromString(data)
            if message.HasField("file_urls_response"):
                break
        (urls,) = message.file_urls_response.file_urls
        events = [kernel(k) | {"name": self.mark} for k in range(60)]
        text = json.dumps({"traceEvents": events}).encode()
        assert await asyncio.to_thread(put, self.address, urls.upload_url, text) in (200, 204)
        info = UploadedFileInfo(file_id=urls.file_id, name="mine.json", size=len(text))
        info.file_urls.CopyFrom(urls)
        return info


def put(address: str, path: str, data: bytes) -> int:
    """Send a file as a form, with the token that the server asks a page to give back."""
    parts = urlsplit(address)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)
    connection.request("GET", "/_stcore/health")
    answer = connection.getresponse()
    answer.read()
    cookies = [value.split(";")[0] for name, value in answer.getheaders() if name.lower() == "set-cookie"]
    token = next((one.partition("=")[2].strip('"') for one in cookies if "xsrf" in one), "")
    head = b'--x\r\nContent-Disposition: form-data; name="mine.json"; filename="mine.json"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Cookie": "; ".join(cookies), "X-Xsrftoken": token}
    connection.request("PUT", path, body=head + data + b"\r\n--x--\r\n", headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


async def all_of_them(viewers: list[Viewer]) -> None:
    everybody = asyncio.Barrier(len(viewers))
    await asyncio.gather(*(viewer.run(everybody) for viewer in viewers))


@pytest.mark.slow
def test_no_viewer_sees_anothers_file_and_nothing_of_them_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with dashboard(str(write_gpu_run(tmp_path / "run", tokens=(64,)))) as address:
        held = [came_and_gone(address, scratch) for _ in range(3)]
    assert held[2] - held[1] < MOST_MORE_BYTES


def came_and_gone(address: str, scratch: Path) -> int:
    """Twenty viewers come, look at their own file alone, and go; the server's resident bytes afterwards."""
    viewers = [Viewer(address, number) for number in range(VIEWERS)]
    in_own_thread(lambda: asyncio.run(all_of_them(viewers)))
    for viewer in viewers:
        came = b"".join(viewer.seen)
        assert viewer.mark.encode() in came, "its own file was shown"
        others = [other.mark for other in viewers if other is not viewer and other.mark.encode() in came]
        assert not others
    until = time.monotonic() + 30
    while left(scratch) and time.monotonic() < until:
        time.sleep(0.2)
    assert left(scratch) == []
    (server,) = (one for one in psutil.Process().children(recursive=True) if early.SERVER in one.cmdline())
    return int(server.memory_info().rss)


def left(scratch: Path) -> list[str]:
    """The uploads that lie there."""
    return [path.name for path in scratch.glob("rope_prof-upload-*")]
