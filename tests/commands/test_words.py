"""An empty word is no path, whichever command gets it: one clear sentence and exit 2, never the current folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest

from rope_prof.cli import COMMANDS, command, function, main

#: Words that name a place though they are typed as text: they may hold more than a path.
ALSO = {"analyze": {"traces"}, "compare": {"base", "cand"}}


def _holds_a_path(hint: Any) -> bool:
    """Whether a path is anywhere in that type: `list[Path] | None`."""
    return hint is Path or any(_holds_a_path(part) for part in get_args(hint) if get_origin(hint) is not Annotated)


def _leaves() -> Iterator[tuple[str, Callable[..., Any]]]:
    """(words, what runs them) of every command, those of a group each by itself: `baseline set`."""
    for name in COMMANDS:
        group = getattr(command(name), "commands", None)
        if group is None:
            yield name, function(name)
        else:
            yield from ((f"{name} {one}", made.callback) for one, made in group.items())


def _places() -> list[tuple[str, str]]:
    """(command, parameter) of everything that names a file or a folder."""
    found = []
    for name, called in _leaves():
        hints = get_type_hints(called)
        found += [(name, one) for one, hint in hints.items() if _holds_a_path(hint) or one in ALSO.get(name, ())]
    return found


def _command(name: str, empty: str) -> list[str]:
    """A command line of `name` with one empty word, and any word for what else it needs."""
    line = name.split()
    made = command(line[0])
    for param in (made.commands[line[1]] if len(line) > 1 else made).params:
        word = "" if param.name == empty else "x"
        if param.name != empty and not param.required:
            continue
        line += [word] if param.param_type_name == "argument" else [param.opts[-1], word]
    return line


def test_every_command_with_a_run_or_a_trace_is_tried() -> None:
    names = {name.split()[0] for name, _ in _places()}
    assert names == set(COMMANDS) - {"doctor"}
    assert ("export", "out") in _places()
    assert ("dashboard", "folder") in _places()
    assert ("baseline set", "run") in _places()


@pytest.mark.parametrize(("name", "empty"), _places())
def test_an_empty_word_is_no_path(
    name: str, empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(_command(name, empty)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "an empty word; expected a file or a folder" in said.err
    assert said.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "line", [["analyze", "a.json", ""], ["compare", ":fused", "x"], ["dashboard", "--folder=", "--no-browser"]]
)
def test_nor_is_one_among_others_or_before_a_colon(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line) == 2
    assert "an empty word" in capsys.readouterr().err


#: Options that mean something else in each command that has them: another sentence each.
OWN = {
    "--against",
    "--device",
    "--folder",
    "--operation",
    "--out",
    "--path",
    "--port",
    "--rounds",
    "--seed",
    "--tokens",
}


def test_an_option_of_several_commands_is_typed_once() -> None:
    told: dict[str, set[str]] = {}
    for name in COMMANDS:
        for one in getattr(command(name), "commands", {name: command(name)}).values():
            for option in one.params:
                if option.param_type_name == "option":
                    told.setdefault(max(option.opts, key=len), set()).add(option.help or "")
    several = {option for option, sentences in told.items() if len(sentences) > 1}
    assert several <= OWN, {option: told[option] for option in several - OWN}
