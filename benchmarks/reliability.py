"""Storage laws, on the real command line: kills and faults at the writes of a recording, and what is left after each.

    python benchmarks/reliability.py --faults 200 --out reliability.json
    python benchmarks/reliability.py --faults 20 --bench torch        # nothing stands in

Each try is `record` in a process of its own, from its arguments to its exit code, in which the N-th write into the run
folder (an open for writing, a rename) meets something: SIGKILL, an error of the file system, a second writer, or a
power cut after which the renames that no fsync of the folder had settled come back in any mixture, and contents that no
fsync had settled are empty. Or what was left by a kill is changed: the clock is set back below its times, a file is
deleted, its schema is a newer one's. Afterwards the folder must read, hold no run yet, or say in one line what is lost;
every key that was finished must have its samples and its trace; nothing but a sentence goes to the terminal; and
`record --resume` must end it whole with no sample lost (every `--resume-every`th try).

What is measured is a stand-in (`--bench stand-in`), so that a try costs a second: plan, storage, locks, exit codes and
resuming are as they ship. Processes are forked from one that has loaded all and run nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rope_prof.cli import main as command_line
from rope_prof.errors import RunError
from rope_prof.io.run.folder import is_run, read_run

ERRORS: Final = ("ENOSPC", "EROFS", "EACCES", "EIO", "ESTALE", "EDQUOT")
AT_A_WRITE: Final = ("kill", *ERRORS, "exclusive", "power", "second writer")
AFTERWARDS: Final = ("clock set back", "file deleted", "newer schema")
KINDS: Final = (*AT_A_WRITE, *AFTERWARDS)
LONGEST_S: Final = 900
RECORD: Final = ("record", "--device", "cpu", "--tokens", "1,2", "--path", "unfused", "--rounds", "2", "--no-isolate")
LOADED: Final = (
    *("filelock", "triton", "torch.profiler", "polars", "scipy", "tests.record.storage_bench"),
    *("rope_prof.commands.record", "rope_prof.record.session", "rope_prof.kernels.mrope.operation"),
    *("rope_prof.opened.run", "rope_prof.views.terminal.writer", "rope_prof.record.bench.bench"),
)
SECOND: Final = 4
_DAY_S: Final = 86_400


@dataclass
class Done:
    """A process that ended: its exit code (negative: the signal), what it printed, what it answered."""

    code: int
    printed: str
    answer: Any = None


def forked(work: Callable[[], Any], meanwhile: Callable[[], bool] | None = None) -> Done:
    """`work` in a process of its own. Nothing of ours runs in this one, so that a fork carries no thread along.

    `meanwhile` is done here whenever the other asks for it (`Fault`) and waits; False ends the other.
    """
    with tempfile.TemporaryDirectory(prefix="rope_prof-laws-") as scratch:
        printed, answered = Path(scratch) / "printed", Path(scratch) / "answer"
        (asked, asks), (waits, goes) = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            _run(work, printed, answered, (asks, waits))
        os.close(asks)
        os.close(waits)
        until = time.monotonic() + LONGEST_S
        while select.select([asked], [], [], max(0.0, until - time.monotonic()))[0] and os.read(asked, 1):
            right = meanwhile is None or meanwhile()
            os.write(goes, b"y" if right else b"n")
        if time.monotonic() >= until:
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(asked)
        os.close(goes)
        if time.monotonic() >= until:
            raise TimeoutError(f"a recording did not end within {LONGEST_S} s")
        said = printed.read_text(errors="replace") if printed.exists() else ""
        return Done(code, said, json.loads(answered.read_text()) if answered.exists() else None)


#: In a child: where it asks its parent to go on, and where it waits for the answer.
_PARENT: list[tuple[int, int]] = []


def _run(work: Callable[[], Any], printed: Path, answered: Path, parent: tuple[int, int]) -> None:
    """In the child: `work`, and no way back."""
    code = 70
    _PARENT[:] = [parent]
    try:
        descriptor = os.open(printed, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        answer = work()
        sys.stdout.flush()
        answered.write_text(json.dumps(answer))
        code = answer if isinstance(answer, int) else 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


@dataclass
class Fault:
    """What happens at the `number`th write below `folder` (0: nothing)."""

    folder: Path
    number: int
    kind: str
    chance: random.Random
    count: int = 0
    renames: list[tuple[Path, bytes | None]] = field(default_factory=list)
    settled: set[str] = field(default_factory=set)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The audit hook: count writes, remember what a power cut may undo."""
        if event == "open":
            path, _, flags = arguments
            writing = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            inside = str(path).startswith(str(self.folder))
            if inside and not writing:
                self._settle(str(path))
        elif event == "os.rename":
            path, flags, writing = arguments[1], 0, True
            inside = str(path).startswith(str(self.folder))
            if inside and self.kind == "power":
                target = Path(os.fsdecode(path))
                held = target.read_bytes() if target.exists() else None
                self.renames.append((target, held if str(arguments[0]) in self.settled else b""))
        else:
            return
        if writing and inside:
            self.count += 1
            if self.count == self.number or (self.kind == "exclusive" and self.count >= self.number):
                self._happens(flags)

    def _settle(self, path: str) -> None:
        """A file, or the folder itself, is opened for nothing but an fsync."""
        if path == str(self.folder):
            self.renames = [(target, held) for target, held in self.renames if held == b""]
        self.settled.add(path)

    def _happens(self, flags: int) -> None:
        if self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "power":
            for target in sorted({target for target, _ in self.renames}):
                held = self.chance.choice([held for renamed, held in self.renames if renamed == target])
                if self.chance.random() < 0.5:
                    target.unlink(missing_ok=True) if held is None else target.write_bytes(held)
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "exclusive" and flags & os.O_EXCL:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        if self.kind == "second writer":
            os.write(_PARENT[0][0], b"?")
            if os.read(_PARENT[0][1], 1) != b"y":
                os._exit(SECOND)
        if self.kind in ERRORS:
            number = getattr(errno, self.kind)
            raise OSError(number, os.strerror(number))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the folder but the lock's own."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".writer"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def recording(folder: Path, words: Sequence[str], fault: Fault | None, bench: str) -> Done:
    """`record` with those words into `folder`."""

    def work() -> int:
        if bench == "stand-in":
            from rope_prof.record import session
            from tests.record import storage_bench

            session.TorchBench = storage_bench.StorageBench  # type: ignore[assignment,misc]
        if fault is not None:
            sys.addaudithook(fault.hook)
        code = command_line([*words, "-o", str(folder)])
        if fault is not None:
            print(f"writes {fault.count}")
        return code

    return forked(work, lambda: refused(folder, bench))


def refused(folder: Path, bench: str) -> bool:
    """Whether another recording into a folder that is being written is told who writes, and touches nothing."""
    before = contents(folder)
    words = ("record", "--resume") if is_run(folder) else RECORD
    done = recording(folder, words, None, bench)
    return done.code == 1 and "being written by process" in done.printed and contents(folder) == before


def broken_law(folder: Path) -> str | None:
    """Which law the folder breaks; None where it keeps all."""
    if not is_run(folder):
        return None  # before the plan was written nothing was measured
    found = read_run(folder)
    if found.dropped_rows:
        return f"{found.dropped_rows} rows are ambiguous"
    for facts in found.run.keys:
        if facts.status == "measured":
            rows = found.samples.filter(found.samples["key"] == facts.key.name)
            if not rows.height:
                return f"{facts.key.name} is measured and has no sample"
            if found.trace_path(facts.key.name) is None:
                return f"{facts.key.name} is measured and has lost its trace"
    return None


def samples_of(folder: Path) -> list[list[Any]]:
    """The samples as plain rows."""
    return [[*row[:3], *map(repr, row[3:])] for row in read_run(folder).samples.iter_rows()]


def whole(folder: Path, before: list[list[Any]]) -> str | None:
    """What is wrong with a run that has ended after `before` was there."""
    after = read_run(folder)
    held = samples_of(folder)
    if any(row not in held for row in before):
        return "samples are gone after the resume"
    return broken_law(folder) or (None if after.run.complete else "not complete after the resume")


def resumed(folder: Path, bench: str) -> str | None:
    """What is wrong after `record --resume`; None where the run is whole and no sample is gone."""
    before = forked(lambda: samples_of(folder)).answer
    done = recording(folder, ("record", "--resume"), None, bench)
    if done.code:
        return f"resume ends with {done.code}: {done.printed.strip().splitlines()[-1:]}"
    ended = forked(lambda: whole(folder, before))
    return ended.answer if ended.code == 0 else ended.printed[-300:]


def changed(folder: Path, kind: str, chance: random.Random, bench: str) -> str | None:
    """What is wrong after what a kill has left was changed from outside."""
    if kind == "clock set back":
        future = time.time() + _DAY_S
        for path in folder.rglob("*"):
            os.utime(path, (future, future))
        facts = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps(facts | {"created": "2099-01-01T00:00:00+00:00"}))
        return resumed(folder, bench)
    if kind == "newer schema":
        facts = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps(facts | {"schema_version": 99}))
        before = contents(folder)
        return _one_line(folder, bench, r"schema version 99", before)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    gone = chance.choice(files)
    gone.unlink()
    if gone.name == "run.json":
        return _one_line(folder, bench, "no run in", contents(folder))
    keys = json.loads((folder / "run.json").read_text())["keys"]
    if gone.name == "samples.parquet" and any(key["status"] == "measured" for key in keys):
        return _one_line(folder, bench, "has lost its samples.parquet", contents(folder))
    done = recording(folder, ("record", "--resume"), None, bench)
    return f"resume ends with {done.code}: {done.printed[-300:]}" if done.code else None


def _one_line(folder: Path, bench: str, sentence: str, before: dict[str, bytes]) -> str | None:
    """`record --resume` ends with 1 and that sentence, and touches nothing."""
    done = recording(folder, ("record", "--resume"), None, bench)
    told = done.code == 1 and sentence in done.printed and "Traceback" not in done.printed
    if not told:
        return f"no one line for {sentence!r}: {done.code} {done.printed[-300:]}"
    return None if contents(folder) == before else "a refused resume has changed the folder"


def one(number: int, kind: str, seed: int, *, resume: bool, bench: str) -> dict[str, Any]:
    """One try."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="rope_prof-laws-") as scratch:
        folder = Path(scratch).resolve() / "run"
        fault = Fault(folder, number, "kill" if kind in AFTERWARDS else kind, chance)
        done = recording(folder, RECORD, fault, bench)
        wrong = "a second writer was let in" if done.code == SECOND else None
        if "Traceback" in done.printed and wrong is None:
            wrong = f"a traceback for {kind}: {done.printed[-600:]}"
        if kind in AFTERWARDS and is_run(folder) and wrong is None:
            wrong = changed(folder, kind, chance, bench)
        elif wrong is None:
            law = forked(lambda: broken_law(folder))
            wrong = law.answer if law.code == 0 else law.printed[-300:]
        gone_on = resume and wrong is None and kind not in AFTERWARDS and is_run(folder)
        if gone_on:
            wrong = resumed(folder, bench)
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
        return {"write": number, "kind": kind, "code": done.code, "resumed": gone_on, "broken": wrong}


def writes(bench: str) -> int:
    """How many writes a recording without a fault makes."""
    with tempfile.TemporaryDirectory(prefix="rope_prof-laws-") as scratch:
        folder = Path(scratch).resolve() / "run"
        done = recording(folder, RECORD, Fault(folder, 0, "none", random.Random(0)), bench)
        if done.code:
            raise RunError(f"a recording without a fault ends with {done.code}: {done.printed[-600:]}")
        return int(done.printed.strip().rpartition("writes ")[2])


def load() -> None:
    """Import what a recording needs, and run nothing of it."""
    for name in LOADED:
        importlib.import_module(name)


def main() -> int:
    """Try, print a line each, write the counts; 1 where a law was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--resume-every", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bench", choices=("stand-in", "torch"), default="stand-in")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    load()
    most, chance = writes(asked.bench), random.Random(asked.seed)
    print(f"a recording makes {most} writes", flush=True)
    tries = []
    for number in range(asked.faults):
        kind, resume = KINDS[number % len(KINDS)], number % asked.resume_every == 0
        at, seed = chance.randint(1, most), chance.getrandbits(32)
        at = max(at, 3) if kind == "second writer" else at  # the first two are the lock, and who holds it
        tries.append(one(at, kind, seed, resume=resume, bench=asked.bench))
        print(json.dumps(tries[-1]), flush=True)
    broken = Counter(str(one["kind"]) for one in tries if one["broken"])
    for kind, count in Counter(str(one["kind"]) for one in tries).items():
        gone_on = sum(bool(one["resumed"]) for one in tries if one["kind"] == kind)
        print(f"{kind:15} {count:4} tried {gone_on:4} gone on with {broken[kind]:4} broke a law")
    print(f"{len(tries)} faults, {sum(bool(one['resumed']) for one in tries)} resumed, {broken.total()} broke a law")
    if asked.out is not None:
        asked.out.write_text(json.dumps({"writes": most, "tries": tries}, indent=1))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.exit(main())
