"""Any trace: a stranger's file is judged first, drawn letter for letter, and nothing of it reaches the network."""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Callable
from html import unescape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from streamlit.testing.v1 import AppTest

from rope_prof.analysis.chains.chains import chains
from rope_prof.analysis.trace.analyze import analyze
from rope_prof.dashboard import FOLDER, uploads
from rope_prof.errors import UsageError
from rope_prof.views.blocks.chains import page_blocks
from rope_prof.views.draw.palette import LIGHT
from rope_prof.views.draw.trace import idle_chart
from rope_prof.views.page.blocks import blocks
from tests.builders import kernel, kineto_json, op, range_, sync, trace
from tests.dashboard.drawn_run import write_gpu_run
from tests.dashboard.walks import SHOTS, dashboard, opened, point, settle, window_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser

APP = str(FOLDER / "pages/app.py")
NAMES = ("_x_", "$x$", ":smile:", "[l](http://evil.example/l)", "![p](http://evil.example/p.png)",
         "<b>bold</b><img src=http://evil.example/i.png onerror=alert(1)>")  # fmt: skip


def hostile() -> bytes:
    """A sound trace whose kernels, ranges and operators bear the names."""
    drawn = []
    for turn in range(40):
        at = 1000 + 4000 * turn
        name = NAMES[turn % len(NAMES)]
        drawn += [
            kernel(at + 900, at + 2400, name=name, launched=(at + 100, at + 700), external=turn + 1),
            range_(name, at, at + 3000),
            op(name, at + 50, at + 800, external=turn + 1),
        ]
    return kineto_json(trace(*drawn, sync(170_000, 171_000)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("any") / "stranger"
    found.mkdir()
    (found / "![p](http:__evil.example).json").write_bytes(hostile())
    (found / "bad.json").write_bytes(b"hello")
    (found / "cpu.json").write_bytes(kineto_json(trace(op("aten::add", 0, 10))))
    write_gpu_run(found.parent / "run", tokens=(973,))
    return found


def app(monkeypatch: pytest.MonkeyPatch, folder: Path, **params: str) -> AppTest:
    words = ["app.py", "--run", str(folder.parent / "run"), "--folder", str(folder)]
    monkeypatch.setattr(sys, "argv", words)
    found = AppTest.from_file(APP, default_timeout=60)
    for name, value in params.items():
        found.query_params[name] = value
    found.switch_page("any_trace.py")
    return found.run()


def html_of(found: AppTest) -> str:
    return " ".join(element.proto.body for element in found.get("html"))


def sent(found: AppTest) -> dict[str, Any]:
    (component,) = found.get("bidi_component")
    answer: dict[str, Any] = json.loads(component.proto.json or component.proto.mixed.json)
    return answer


def test_without_a_file_the_page_says_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, folder)
    assert not found.exception
    text = html_of(found)
    assert "up to 1 GB" in text
    assert "stranger" in text
    assert "stranger/cpu.json" in found.selectbox(key="trace-name").options


def test_a_file_is_judged_and_drawn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, folder, trace="stranger/![p](http:__evil.example).json")
    assert not found.exception
    text = html_of(found)
    assert text.index("Sound: ") < text.index("Busy and idle by cause") < text.index("Devices")
    assert "<img src=http" not in text
    answer = sent(found)
    assert {name[1] for name in answer["names"]} >= set(NAMES)
    assert len(found.dataframe) == 1
    assert set(found.dataframe[0].value["range"]) == set(NAMES)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("../../etc/passwd", "without &#x27;..&#x27;"),
        ("/etc/passwd", "inside the permitted folders"),
        ("stranger/none.json", "no file"),
        ("stranger/bad.json", "expected a trace of Kineto"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, asked: str, said: str
) -> None:
    found = app(monkeypatch, folder, trace=asked)
    assert not found.exception
    assert said in html_of(found)
    assert not found.get("bidi_component")


def test_a_trace_without_a_gpu_is_unusable_and_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, folder, trace="stranger/cpu.json")
    assert not found.exception
    assert "no gpu events" in html_of(found)


def test_the_chooser_writes_the_address_and_drops_the_old_window(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, folder, trace="stranger/cpu.json", trace_zoom="0~1")
    found.selectbox(key="trace-name").set_value("stranger/bad.json").run()
    assert found.query_params["trace"] in ("stranger/bad.json", ["stranger/bad.json"])
    assert found.query_params["trace_zoom"] in ("fit", ["fit"])


def test_the_window_that_the_viewer_zoomed_to_does_not_follow_to_another_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = app(monkeypatch, folder, trace="stranger/cpu.json", trace_zoom="fit")
    found.session_state["told"] = {"trace_zoom": ("fit", "0~1")}
    found.selectbox(key="trace-name").set_value("stranger/bad.json").run()
    assert found.query_params["trace_zoom"] in ("fit", ["fit"])


def test_the_idle_causes_fill_what_the_busy_time_leaves() -> None:
    held = trace(kernel(0, 10, launched=(-5, -1)), kernel(40, 50, launched=(20, 30)))
    answer = analyze(held)
    chart = idle_chart(answer, "r")
    assert chart is not None
    (bar,) = chart.rows
    assert sum(value for _, value, _ in bar.parts) == pytest.approx(50 / 1e6)
    assert bar.parts[0][2].startswith("busy 20.0 ns (40.0 %)")


def test_a_chain_shows_its_names_as_text() -> None:
    starts = [(1000 * n + 100 * k, NAMES[4 + k % 2]) for n in range(60) for k in range(4)]
    drawn = [kernel(at, at + 50, name=name, launched=(at - 60, at - 20)) for at, name in starts]
    text = blocks(list(page_blocks(chains(trace(*drawn)))), LIGHT)
    assert "&lt;img" in text
    assert "<img" not in text


def slow() -> bytes:
    """A copy that takes its time in the middle of 2 ms."""
    copy: dict[str, Any] = {"kind": "memcpy", "name": "Memcpy HtoD (Pageable -> Device)"}
    ends = [kernel(0, 10_000), kernel(1_990_000, 2_000_000)]
    return kineto_json(trace(*ends, kernel(1_020_000, 1_060_000, **copy)))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("README.md", b"# hello", "expected a trace of Kineto"),
        ("cut.json.gz", gzip.compress(kineto_json(trace(kernel(0, 10))))[:-30], ""),
        ("notes.sqlite", b"SQLite format 3\0" + bytes(200), ""),
    ],
)
def test_an_error_names_the_file_of_the_user_and_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, said: str
) -> None:
    found = app(monkeypatch, folder)
    found.file_uploader(key="trace-upload").upload(name, content).run()
    assert not found.exception
    text = unescape(html_of(found))
    assert name in text
    assert said in text
    assert "/tmp" not in text and "rope_prof-upload" not in text and "upload.gz" not in text
    two = app(monkeypatch, folder)
    two.switch_page("two_traces.py").run()
    for side in ("before", "after"):
        two.file_uploader(key=f"two-upload-{side}").upload(name, content)
    two.run()
    text = unescape(html_of(two))
    assert name in text
    assert "/tmp" not in text and "rope_prof-upload" not in text and "upload.gz" not in text


def test_an_uploaded_file_has_links_to_its_timeline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, folder)
    found.file_uploader(key="trace-upload").upload("my slow.json", slow()).run()
    assert not found.exception
    (address,) = (
        [found.query_params["trace"]] if isinstance(found.query_params["trace"], str) else found.query_params["trace"]
    )
    assert re.fullmatch(r"upload:[\w-]{20,}/my slow\.json", address), "nobody can guess it"
    links = re.findall(r'href="([^"]*)"', html_of(found))
    start = f"any_trace?trace={quote(address, safe='')}&trace_zoom="
    places = [unescape(link).removeprefix(start) for link in links if unescape(link).startswith(start)]
    assert "940~1140" in places and sent(found)["links"] == start
    other = app(monkeypatch, folder, trace=address, trace_zoom="940~1140")
    assert sent(other)["window"] == [940_000, 1_140_000], "another session of that address: a page loaded anew"
    gone = app(monkeypatch, folder, trace="upload:made-up/my slow.json")
    assert not gone.exception and "drop it again" in html_of(gone)


def test_an_upload_goes_a_moment_after_the_last_page_that_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: list[Callable[[], None]] = []

    class Soon:
        daemon = False

        def __init__(self, _: float, act: Callable[..., None], told: tuple[Any, ...]) -> None:
            waiting.append(lambda: act(*told))

        def start(self) -> None:
            pass

    monkeypatch.setattr(uploads.threading, "Timer", Soon)
    kept = uploads.shelved("a.json", BytesIO(b"x"))
    kept.holders = 2
    uploads.left(kept)
    waiting.pop()()
    assert kept.path.read_bytes() == b"x", "another page still shows it"
    uploads.left(kept)
    kept.holders += 1  # the page is loaded anew before the moment is over
    waiting.pop()()
    assert kept.path.is_file()
    uploads.left(kept)
    waiting.pop()()
    assert not kept.path.exists()
    with pytest.raises(UsageError, match=r"'a\.json' was uploaded to a page that is closed"):
        uploads.resolve({}, kept.address)


@pytest.mark.browser
def test_a_walk_over_a_hostile_file(folder: Path, chromium: Browser) -> None:
    SHOTS.mkdir(exist_ok=True)
    with (
        dashboard(str(folder.parent / "run"), "--folder", str(folder)) as address,
        opened(chromium, color_scheme="dark") as (page, wrong),
    ):
        page.goto(f"{address}/any_trace")
        page.wait_for_selector(".rp-stop", timeout=60_000)
        assert "1GB per file" in page.get_by_test_id("stFileUploader").inner_text()
        file = {"name": "![p](http://evil.example/u.png).json.gz", "mimeType": "", "buffer": gzip.compress(hostile())}
        page.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]
        settle(page)
        page.get_by_text("Chains worth fusing").wait_for(timeout=30_000)
        page.mouse.click(*point(page, 1500, "kernel"))
        settle(page)
        assert page.locator(".tl-name").inner_text() == NAMES[0]
        lines = page.locator(".tl tbody td:first-child").all_inner_texts()
        assert all(name in lines for name in NAMES[:5])
        page.screenshot(path=str(SHOTS / "any-trace-hostile-1280-dark.png"))
        page.goto(f"{address}/any_trace?trace=stranger/![p](http:__evil.example).json&trace_zoom=1~9")
        settle(page)
        assert window_of(page) == (1000, 9000)
        assert page.get_by_role("link", name="Open in Perfetto").get_attribute("href").startswith("http://127.0.0.1:")  # type: ignore[union-attr]
        assert page.locator("img[src*=evil], a[href^='http://evil']").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        assert wrong == []


@pytest.mark.browser
def test_a_link_of_an_uploaded_file_moves_its_timeline(folder: Path, chromium: Browser) -> None:
    with dashboard(str(folder.parent / "run")) as address, opened(chromium) as (page, wrong):
        page.goto(f"{address}/any_trace")
        page.wait_for_selector(".rp-stop", timeout=60_000)
        file = {"name": "my slow.json", "mimeType": "", "buffer": slow()}
        page.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]
        settle(page)
        page.get_by_text("Findings", exact=True).click()
        page.locator("a[href$='trace_zoom=940~1140']").first.click()
        settle(page)
        assert window_of(page) == (940_000, 1_140_000)
        assert "trace_zoom=940~1140" in page.url.replace("%7E", "~")
        assert page.get_by_text("my slow.json").count() and wrong == []


def test_what_to_fix_stands_above_the_verdict_with_links(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, folder: Path
) -> None:
    kept = tmp_path_factory.mktemp("copies") / "stranger"
    kept.mkdir()
    (kept.parent / "run").symlink_to(folder.parent / "run")
    copy: dict[str, Any] = {"kind": "memcpy", "name": "Memcpy HtoD (Pageable -> Device)"}
    (kept / "slow.json").write_bytes(kineto_json(trace(kernel(0, 10_000), kernel(10_000, 90_000, **copy))))
    page = app(monkeypatch, kept, trace="stranger/slow.json")
    assert not page.exception
    shown = [block.proto.body for block in page.get("html")]
    first = next(k for k, text in enumerate(shown) if "loss, and what to change" in text)
    assert first < next(k for k, text in enumerate(shown) if "Sound" in text)
    assert "1 copies" not in shown[first]
    assert "pin the host&#x27;s memory" in shown[first]
    assert "any_trace?trace=stranger%2Fslow.json&amp;trace_zoom=" in shown[first]
