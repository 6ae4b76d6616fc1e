"""Kernels: paths and kernels under their roof, counters where there are some, what is unknown said in a sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from rope_prof.dashboard import captures, loading, shell, view
from rope_prof.io.run.nsight import write_nsight
from rope_prof.model.nsight import Compute, KernelCounters, LeastBytes, Nsight, ToolRecording
from rope_prof.views.draw.palette import LIGHT
from tests.dashboard.drawn_run import HOSTILE, write_gpu_run
from tests.dashboard.test_dashboard_pages import CASE, app, asked, html_of

KEY = f"fused.eager.cold.{CASE}.r0"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with counters of one key, its kernel named by a stranger."""
    folder = write_gpu_run(tmp_path_factory.mktemp("kernels") / "drawn", names=HOSTILE)
    kernel = KernelCounters(
        key=KEY, name=HOSTILE[0], duration_ns=5000.0, dram_read_bytes=6e6, dram_write_bytes=0.0, dram_percent=25.0
    )
    recording = ToolRecording(version="2025.3", options=())
    write_nsight(
        folder,
        Nsight(compute=Compute(recording=recording, kernels=(kernel,), least=(LeastBytes(key=KEY, least_bytes=1),))),
    )
    return folder


def charts(found: AppTest) -> str:
    """What Plotly reads of the page's charts."""
    specs = (str(element.proto.spec or element.proto.figure.spec) for element in found.get("plotly_chart"))
    return "".join(specs).replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&")


def test_with_counters_kernels_stand_under_the_peak(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, drawn, "kernels")
    assert not found.exception
    text = html_of(found)
    assert "Roofline of the kernels" in text
    assert "Counters of one call, Nsight Compute 2025.3" in text
    assert "<a href='http" not in text
    assert "Nsight Compute did not run the baseline, unfused · eager: counters stand without a difference" in text
    assert "evil&lt;b&gt;bold" in charts(found)
    assert asked(found, "memory") == "dram"
    assert "No counters" not in text
    assert len(found.get("plotly_chart")) == 1, "one roofline: no path has its bytes counted"
    assert "No roofline: how many bytes these paths move is not known." in text


def test_the_memory_is_in_the_address_and_an_unknown_one_says_so(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, drawn, "kernels", memory="l2")
    assert asked(found, "memory") == "l2"
    wrong = app(monkeypatch, drawn, "kernels", memory="<b>l9")
    assert asked(wrong, "memory") == "dram"
    assert "no memory &#x27;&lt;b&gt;l9&#x27; here" in html_of(wrong)


def test_without_counters_one_sentence_says_how_to_get_them(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = html_of(app(monkeypatch, drawn, "kernels", path="unfused"))
    assert "No counters of the paths, modes and case chosen" in other
    folder = loading.run(drawn)
    settled = view.settle({}, folder.run, CASE, [view.NO_BASELINE])
    seen = shell.Seen("drawn", folder, CASE, LIGHT, settled)
    assert "record --resume -o drawn --nsight compute" in captures.no_counters(seen, None)
    refused = Compute(recording=ToolRecording(version="", options=(), reason="ncu needs permission"))
    assert captures.no_counters(seen, refused) == "No counters: ncu needs permission."


def test_every_kernel_is_held_against_the_baseline(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = app(monkeypatch, drawn, "kernels").dataframe[0].value
    mine = table[table["path"] == "fused · eager"]
    assert mine["kernel"].to_list() == [HOSTILE[0]]
    assert mine["to unfused · eager"].str.startswith("−").all()
    none = app(monkeypatch, drawn, "kernels", base="none").dataframe[0].value
    assert not [name for name in none.columns if name.startswith("to ")]


def test_counters_are_held_against_the_baseline(drawn: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    both = tmp_path / "both"
    shutil.copytree(drawn, both)
    base = KEY.replace("fused", "unfused")
    kernels = tuple(
        KernelCounters(key=key, name="k", duration_ns=ns, dram_percent=share, stalls={"wait": share, "drain": 5.0})
        for key, ns, share in ((base, 3000.0, 10.0), (base, 1000.0, 10.0), (KEY, 1000.0, 15.0))
    )
    least = tuple(LeastBytes(key=key, least_bytes=1) for key in (base, KEY))
    recording = ToolRecording(version="2025.3", options=())
    write_nsight(both, Nsight(compute=Compute(recording=recording, kernels=kernels, least=least)))
    text = html_of(app(monkeypatch, both, "kernels"))
    assert "Counters of one call, Nsight Compute 2025.3; in brackets the difference to unfused · eager" in text
    for told in ("1.00 (−75 %)", "15 (+5.0 pp)", "wait 75% (+8.3 pp)", "drain 25% (−8.3 pp)"):
        assert told in text
    assert "did not run the baseline" not in text
    none = html_of(app(monkeypatch, both, "kernels", base="none"))
    assert "pp)" not in none
    assert "did not run the baseline" not in none


def test_the_shipped_runs_have_their_roof(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    for name in ("h100-ernie28b", "h200-nsight"):
        if not (repository / "traces" / name / "run.json").is_file():
            pytest.skip(f"the shipped run traces/{name} is not there")
    found = app(monkeypatch, repository / "traces/h100-ernie28b", "kernels")
    text = html_of(found)
    assert len(found.get("plotly_chart")) == 1
    assert "Measured in the same run: copy " in text
    assert "record --resume -o h100-ernie28b --nsight compute" in text
    found = app(monkeypatch, repository / "traces/h200-nsight", "kernels")
    counted = html_of(found)
    assert len(found.get("plotly_chart")) == 2
    assert "mio_throttle" in counted


def test_a_graph_counts_the_calls_in_its_replays(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    if not (repository / "traces/h100-ernie28b/run.json").is_file():
        pytest.skip("the shipped run traces/h100-ernie28b is not there")
    found = app(monkeypatch, repository / "traces/h100-ernie28b", "kernels", mode="graph", path="fused")
    assert found.dataframe[0].value["a call"].to_list() == [1.0]
