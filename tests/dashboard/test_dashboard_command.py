"""The command's words, and a walk through every page of the real server in headless Chromium."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rope_prof.commands.dashboard import HOST, command, free_port
from rope_prof.errors import UsageError
from tests.dashboard.drawn_run import HOSTILE, write_gpu_run
from tests.dashboard.walks import dashboard, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "screenshots"
READY = {
    "overview": ".rp-card",
    "timeline": ".tl canvas",
    "kernels": ".rp-map:visible",
}


def test_every_setting_goes_as_a_flag_and_the_run_last(tmp_path: Path) -> None:
    words = command(8599, tmp_path / "run")
    assert "--server.address=127.0.0.1" in words
    assert "--browser.gatherUsageStats=false" in words
    assert "--theme.dark.backgroundColor=#0f1217" in words
    assert words[-3:] == ["--", "--run", str(tmp_path / "run")]
    assert "--server.maxUploadSize=1024" in words


def test_the_folders_go_after_the_run(tmp_path: Path) -> None:
    words = command(8599, None, [tmp_path, tmp_path / "b"])
    assert words[-5:] == ["--", "--folder", str(tmp_path), "--folder", str(tmp_path / "b")]
    assert "--" not in command(8599, None)


def test_a_folder_that_is_none_is_an_error_of_usage(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "rope_prof", "dashboard", "--folder", str(tmp_path / "no"), "--no-browser"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "is no folder" in done.stderr


def test_a_taken_port_is_an_error_of_usage() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} is taken"):
            free_port(port)
    with pytest.raises(UsageError, match="expected 1 to 65535"):
        free_port(70000)


def test_a_folder_without_a_run_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "rope_prof", "dashboard", str(tmp_path), "--no-browser"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "no run in" in done.stderr


def unanswered(address: str) -> bool:
    """Whether nobody listens there any more."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, int(address.rpartition(":")[2]))) != 0


@pytest.mark.browser
def test_a_walk_through_every_page_of_a_hostile_run(tmp_path: Path, chromium: Browser) -> None:
    run = write_gpu_run(tmp_path / "hostile", names=HOSTILE)
    SHOTS.mkdir(exist_ok=True)
    with dashboard(str(run)) as address:
        for scheme, (width, height) in (("light", (1280, 800)), ("dark", (1920, 1080))):
            size = {"width": width, "height": height}
            with opened(chromium, viewport=size, color_scheme=scheme) as (page, wrong):
                for name, ready in READY.items():
                    page.goto(f"{address}/{'' if name == 'overview' else name}")
                    page.wait_for_selector(ready, timeout=60_000)
                    page.wait_for_timeout(500)
                    assert page.locator("[data-testid=stException]").count() == 0
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing hangs over the side"
                    page.screenshot(path=str(SHOTS / f"hostile-{name}-{width}-{scheme}.png"))
                assert page.locator(".rp-map [title^='![picture](']").count() > 0
                assert page.locator(".rp a, .rp img:not([src^='data:'])").count() == 0
            assert wrong == []
    assert unanswered(address), "the child must end with the command"


@pytest.mark.browser
def test_the_view_survives_a_move_between_pages(tmp_path: Path, chromium: Browser) -> None:
    run = write_gpu_run(tmp_path / "moving")
    with dashboard(str(run)) as address, opened(chromium) as (page, _):
        page.goto(f"{address}/timeline?case=28b-tp1-n1-bf16-image&sides=fused.eager.cold&call=2")
        page.wait_for_selector(READY["timeline"], timeout=60_000)
        page.get_by_role("link", name="Kernels").click()
        page.wait_for_url("**/kernels?*", timeout=30_000)
        page.wait_for_selector(READY["kernels"], timeout=60_000)
        for part in ("case=28b-tp1-n1-bf16-image", "sides=fused.eager.cold", "call=2"):
            assert part in page.url
