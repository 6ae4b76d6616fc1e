"""Somebody's own module, loaded. Whatever it does meanwhile is one sentence: missing, broken, ending Python."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType


def imported(name: str, whose: str) -> ModuleType:
    """The module `name`, for `whose` (as `path 'x:f'`). Errors: LookupError in one sentence, whatever it raises."""
    with one_sentence(lambda why, cure: f"{whose}: cannot import {name!r} ({why}); {cure}"):
        return importlib.import_module(name)


@contextmanager
def one_sentence(say: Callable[[str, str], str]) -> Iterator[None]:
    """LookupError `say(why, what to do)` for any exception of a module's own code, SystemExit among them."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise LookupError(say(str(error), "put its folder on PYTHONPATH")) from error
    except ImportError as error:
        raise LookupError(say(f"{type(error).__name__}: {error}", "put its folder on PYTHONPATH")) from error
    except SyntaxError as error:
        where = f"line {error.lineno}: {error.msg}" if error.lineno else str(error.msg)
        raise LookupError(say(f"{type(error).__name__} in {where}", "correct it")) from error
    except SystemExit as error:
        code = 0 if error.code is None else error.code
        said = f"it ends Python with exit code {code!r} while it is imported"
        raise LookupError(say(said, "put that behind `if __name__ == '__main__'`")) from error
    except Exception as error:
        raise LookupError(say(f"{type(error).__name__}: {error}", "see that it can be imported by itself")) from error
