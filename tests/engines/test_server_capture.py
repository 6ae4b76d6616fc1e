"""A recording of a running server: it is stopped whatever happens, and its files are found once they are whole."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rope_prof.engines.capture import ServedTraces, capture, where
from rope_prof.engines.engine import ENGINES, Wish
from rope_prof.engines.files import Ticks, is_whole, stamps, written
from rope_prof.engines.http import ServerError, server
from rope_prof.errors import StoppedError, UsageError
from tests.engines.standin import StandIn, served, serving

BOTH = pytest.mark.parametrize("engine", ["sglang", "vllm"])


@dataclass
class Time:
    """A clock that a sleep moves; `then`: what happens in the sleep after so many others."""

    seconds: float = 0.0
    slept: int = 0
    then: dict[int, Callable[[], None]] = field(default_factory=dict)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.slept += 1
        self.then.get(self.slept, lambda: None)()

    @property
    def clock(self) -> Ticks:
        return Ticks(lambda: self.seconds, self.sleep)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "profiles"
    made.mkdir()
    return made


def held(engine: str, folder: Path, **facts: Any) -> StandIn:
    return StandIn(engine, **({"folder": folder} if engine == "vllm" else {}) | facts)


def recorded(one: StandIn, folder: Path, time: Time | None = None, key: str | None = None, **wish: Any) -> ServedTraces:
    asked = Wish(**{"seconds": 3.0, "folder": str(folder), "prefix": "rope_prof-x"} | wish)
    with serving(one) as url:
        there = server(url, key)
        return capture(there, ENGINES[one.engine], asked, wait_s=60, told=lambda _: None, clock=(time or Time()).clock)


@BOTH
@pytest.mark.parametrize("ranks", [1, 2])
def test_every_rank_has_its_file(engine: str, ranks: int, folder: Path) -> None:
    (folder / "old.trace.json.gz").write_bytes(served(engine))
    time = Time()
    found = recorded(held(engine, folder, ranks=ranks), folder, time)
    assert len(found.files) == ranks
    assert all(path.parent == folder and path.name.startswith("rope_prof-x") for path in found.files)
    assert (found.seconds, found.unfinished) == (3.0, ())
    assert len(found.front_end) == (engine == "vllm")


@BOTH
def test_it_asks_what_the_engine_understands(engine: str, folder: Path) -> None:
    one = held(engine, folder)
    recorded(one, folder, steps=20, stacks=True)
    (_, _, body), *_, (method, path, _) = one.asked
    assert (method, path) == ("POST", "/stop_profile")
    if engine == "sglang":
        assert body == {
            "output_dir": str(folder),
            "activities": ["CPU", "GPU"],
            "with_stack": True,
            "record_shapes": True,
            "profile_prefix": "rope_prof-x",
            "profile_by_stage": False,
            "num_steps": 20,
        }
    else:
        assert body == {
            "profile_prefix": "rope_prof-x",
            "profiler_kwargs": {"with_stack": True, "record_shapes": True},
            "max_iterations": 20,
        }


@BOTH
def test_steps_that_are_over_end_it_early(engine: str, folder: Path) -> None:
    assert recorded(held(engine, folder), folder, steps=3, seconds=120.0).seconds < 1


def test_a_recording_by_stage_ends_when_each_stage_has_its_file(folder: Path) -> None:
    found = recorded(held("sglang", folder, ranks=2), folder, steps=3, seconds=120.0, by_stage=True)
    assert found.seconds < 1
    assert sorted(path.name.split("TP-")[1] for path in found.files) == [
        f"{rank}-{stage}.trace.json.gz" for rank in (0, 1) for stage in ("DECODE", "EXTEND")
    ]


@BOTH
def test_files_are_waited_for_until_they_are_whole(engine: str, folder: Path) -> None:
    one, time = held(engine, folder, ranks=2, slow=True), Time()
    time.then[12] = one.finish
    found = recorded(one, folder, time)
    assert len(found.files) == 2
    assert time.slept > 12
    assert all(gzip.decompress(path.read_bytes()) for path in found.files)


def test_a_file_that_never_ends_is_named_and_left_out(folder: Path) -> None:
    found = recorded(held("sglang", folder, slow=True), folder)
    assert (len(found.files), len(found.unfinished)) == (0, 1)


@BOTH
def test_a_recording_that_runs_there_already_is_refused_and_left_alone(engine: str, folder: Path) -> None:
    one = held(engine, folder, running=True)
    with pytest.raises(ServerError, match="runs there already") as told:
        recorded(one, folder, steps=3, by_stage=engine == "sglang")  # the only one that SGLang refuses
    assert ("409 (A profiling session is already active" in str(told.value)) == (engine == "vllm")
    assert [path for _, path, _ in one.asked] == ["/start_profile"]


def test_a_server_without_a_profiler_is_told_how_to_have_one(folder: Path) -> None:
    with pytest.raises(ServerError, match=r"answered 404 \(Not Found\): its profiler is off: start it with") as told:
        recorded(StandIn("vllm"), folder)
    assert "--profiler-config.torch_profiler_dir DIR" in str(told.value)


def test_another_server_is_not_taken_for_sglang(folder: Path) -> None:
    with (
        pytest.raises(ServerError, match=r"SGLang at http://127.0.0.1:\d+ answered 404 \(Not Found\)"),
        serving(StandIn("vllm")) as url,
    ):
        wish = Wish(seconds=1, folder=str(folder), prefix="x")
        capture(server(url), ENGINES["sglang"], wish, wait_s=1, told=lambda _: None, clock=Time().clock)


@BOTH
def test_a_key_is_sent_and_its_lack_said(engine: str, folder: Path) -> None:
    with pytest.raises(ServerError, match=r"answered 401 \(Unauthorized\): it wants a key.*--key-env"):
        recorded(held(engine, folder, key="k"), folder)
    assert recorded(held(engine, folder, key="k"), folder, key="k").files


@BOTH
def test_a_stop_that_fails_says_how_to_stop_it(engine: str, folder: Path) -> None:
    with pytest.raises(ServerError, match=r"did not stop its profiler \(500: .*curl -X POST http://.*/stop_profile"):
        recorded(held(engine, folder, stop_fails=True), folder)


@BOTH
def test_ctrl_c_stops_the_profiler_too(engine: str, folder: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    one = held(engine, folder)
    with pytest.raises(StoppedError, match="stopped; the profiler too, the server wrote to"):
        recorded(one, folder, Time(then={1: interrupt}))
    assert one.asked[-1][1] == "/stop_profile"
    assert not one.running
    assert len(stamps(folder)) >= 1


@BOTH
def test_whatever_else_ends_it_stops_the_profiler(engine: str, folder: Path) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    one = held(engine, folder)
    with pytest.raises(ZeroDivisionError):
        recorded(one, folder, Time(then={1: fail}))
    assert not one.running


@BOTH
def test_files_elsewhere_are_said_to_lie_there(engine: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"no trace appeared in .* here; the server wrote to .*docker cp CONTAINER:"):
        recorded(held(engine, folder, elsewhere=tmp_path / "container"), tmp_path / "none")


def test_files_of_another_host_are_fetched_by_a_command_that_is_told() -> None:
    said = where(server("http://gpu7.example:30000/v1"), Wish(seconds=1, folder="/data/my traces", prefix="x"))
    assert "scp -r 'gpu7.example:/data/my traces' ." in said
    assert "`rope_prof analyze 'my traces'`" in said


def test_a_server_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(ServerError, match=r"cannot reach http://127.0.0.1:9 \(.*refused\); is a server running there"):
        server("http://127.0.0.1:9").ask("POST", "/start_profile", timeout_s=1)


@pytest.fixture
def silent() -> Iterator[str]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_server_that_says_nothing_is_given_up(silent: str) -> None:
    with pytest.raises(ServerError, match=r"gave no answer in 0\.05 s"):
        server(silent).ask("POST", "/start_profile", timeout_s=0.05)


REFUSED = b"HTTP/1.1 500 Internal Server Error\r\n"


@pytest.mark.parametrize("ending", [b"Content-Length: 9\r\n\r\nab", b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"])
def test_a_refusal_tells_by_its_status_however_its_text_ends(ending: bytes) -> None:
    with answering(REFUSED + ending) as (url, asked):
        assert server(url).ask("POST", "/start_profile", timeout_s=5).status == 500
    assert len(asked) == 1


def test_a_refusal_whose_text_never_comes_tells_by_its_status() -> None:
    with answering(REFUSED + b"Content-Length: 9\r\n\r\n", close=False) as (url, _):
        assert server(url).ask("POST", "/start_profile", timeout_s=0.1).status == 500


def test_a_start_that_loses_its_connection_is_stopped(folder: Path) -> None:
    with answering(b"") as (url, asked), pytest.raises(ServerError, match=r"whole answer .*curl -X POST .*/stop_prof"):
        wish = Wish(seconds=1, folder=str(folder), prefix="x")
        capture(server(url), ENGINES["sglang"], wish, wait_s=5, told=lambda _: None, clock=Time().clock)
    assert [line.split()[1] for line in asked] == [b"/start_profile", b"/stop_profile"]


@contextmanager
def answering(said: bytes, *, close: bool = True) -> Iterator[tuple[str, list[bytes]]]:
    """(the address of a server that says that to everybody, all that it was sent)."""
    asked: list[bytes] = []
    ended = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection:
            while b"\r\n\r\n" not in (heard := connection.recv(1 << 16)) and heard:
                pass
            asked.append(heard)
            connection.sendall(said)
            if not close:
                ended.wait(10)

    def serve() -> None:
        with suppress(OSError):
            while not ended.is_set():
                answer(listening.accept()[0])

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
        finally:
            ended.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("host", [".", "a" * 70 + ".com"])
def test_a_host_that_none_can_be_called_is_one_sentence(host: str) -> None:
    with pytest.raises(ServerError, match="cannot reach"):
        server(f"http://{host}:9").ask("POST", "/start_profile", timeout_s=1)


def test_ctrl_c_while_the_files_are_awaited_says_where_they_are(folder: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(StoppedError, match="stopped; the profiler was told to stop, the server wrote to"):
        recorded(held("sglang", folder, slow=True), folder, Time(then={2: interrupt}))


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:30000", "ftp://x", "http://", "http://x:port", "http://u:p@x", "http://x/?q=1", "http://x/#a"],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--server"):
        server(url)


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_an_address_may_end_as_clients_write_it(url: str) -> None:
    assert server(url).url == "http://h:1"


def test_a_key_stands_in_no_message() -> None:
    assert "secret" not in repr(server("http://h:1", "secret"))


@pytest.mark.parametrize(("name", "end"), [("a.json.gz", 1), ("a.json", 2)])
def test_a_file_is_whole_with_its_end_alone(name: str, end: int, tmp_path: Path) -> None:
    text = b'{"traceEvents": [{"name": "a"}]}\n'
    data = gzip.compress(text) if name.endswith(".gz") else text
    path = tmp_path / name
    path.write_bytes(data[: len(data) - end])
    assert not is_whole(path)
    path.write_bytes(data)
    assert is_whole(path)
    assert not is_whole(tmp_path / "none.json")


def test_a_file_written_over_counts_as_new(folder: Path) -> None:
    path = folder / "a.json"
    path.write_text("{}")
    before = stamps(folder)
    path.write_text("{ }")
    assert written(folder, before, 30, Time().clock).whole == (path,)
