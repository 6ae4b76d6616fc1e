"""Paths that tell of a person, by their form: from this machine or any other, in the spellings that files hold.

Kept are the last part, which says what a thing is, and paths of the system's own folders, which are the same for
everybody. A path is found behind a colon too: a list of them, a mount, an address of a file, a host.
"""

from __future__ import annotations

import re
from typing import Final

from rope_prof.io.run.secrets import BLANK, Note

#: A letter of a path's part; so are marks, pictures, JSON's escapes of letters and bytes that are no UTF-8. A set of
#: what those are not is made in a tenth of the time of one of what they are.
_LETTER: Final = r"(?:[\w.+@~%-]|(?!\w)[^\x00-\u02ff\u2000-\u2bff]|\\u[0-9a-fA-F]{4})"
#: An absolute path of two parts or more; its last part is kept where a path is blanked.
_PATH: Final = re.compile(
    rf"(?:(?<![\w./)\]\udc80-\udcff])|(?<=\W-[A-Za-z])|(?<=^-[A-Za-z]))/(?:{_LETTER}+/)+({_LETTER}*)"
)
#: The same with each slash escaped, as PHP's and some JavaScript's JSON has it.
_ESCAPED_PATH: Final = re.compile(rf"(?<![\w.)\]])\\/(?:{_LETTER}+\\/)+({_LETTER}*)")
_WINDOWS_PATH: Final = re.compile(
    rf"(?<!\w)[A-Za-z]:(?:\\+|/)(?:[^\\/:*?\"<>|\n\r]*[^\\/:*?\"<>|\n\r ]\\+|[\w.+@~ -]+/)+({_LETTER}*)"
)
#: A share of a server: `//nas/team/x.py`, `\\nas\team\x.py`.
_SHARE: Final = re.compile(
    r"(?<![\w:./\\])(?://(?!(?:tmp|usr|lib|etc|proc|sys|dev|opt)/)[\w.-]+(?:/[\w.+@~%-]+)*/|\\{2,4}[\w.$?-]+(?:\\+[\w.+@~%$-]+)*\\+)([\w.+@~%-]*)"
)
_ADDRESS: Final = re.compile(
    rf"\bfile:/{{1,3}}(?:[\w.-]+(?=/))?(?:/?{_LETTER}+/)*({_LETTER}*)"
    rf"|\b(?:s3[an]?|gs|gcs|r2|oss|cos|az|adl|hf|abfss?|wasbs?|hdfs|nfs|smb|sftp|ssh|rsync|vscode-remote)://(?=\w|\()"
    rf"(?:(?:[^\s/\"'<>,;]+/)+({_LETTER}*)|[^\s/\"'<>,;]+)"
    rf"|\bhttps?://(?:[\w-]+\.)*(?:s3[\w.-]*\.amazonaws\.com|storage\.(?:googleapis|cloud\.google)\.com|(?:blob|dfs|file)\.core\.windows\.net)"
    rf"(?:/(?:[^\s/\"'<>,;]+/)*({_LETTER}*))?|\bdbfs:/+(?:[^\s/\"'<>,;]+/)*({_LETTER}*)"
)
#: `user@host:path` as scp and git have it, and `ssh user@host`.
_REMOTE: Final = re.compile(
    r"(?<![\w@/.:-])[\w.+-]+@[\w.-]+:(?=[/~\w])(?:[\w.~+@%-]*/)*([\w.~+@%-]*)"
    r"|(?<=ssh )(?:\S+ +){0,12}?[\w.+-]+@[\w.-]+|(?<=sftp )[\w.+-]+@[\w.-]+"
    r"|\b(?:mosh|scp|rsync)(?: +[^\s;|&@]+){0,12}? +[\w.+-]+@[\w.-]+:?|\[[\w.+-]+@[\w.-]+ [^\]\n]{0,80}\][$#]"
)
#: A login behind its option.
_LOGIN: Final = re.compile(r"\bssh(?: +[^\s;|&]+){0,12}? +-l *[\w.-]+")
#: A home whose name has a space in it, where the text shows the path's ends.
_SPACED_HOME: Final = re.compile(
    r"(?:(?<=[\"'])|^)/(?:home|Users)/[^/\"'\n: ]* [^/\"'\n:]*(?:/[^/\"'\n:]*)*?/([^/\"'\n:]*)"
)
#: The same in the midst of a text: the blank stands within a part, or before a name that begins with a capital.
_OPEN_HOME: Final = re.compile(
    rf"(?<![\w./)\]])/(?:home|Users)/[\w.-]+(?:(?: [\w.-]+){{1,3}}/(?:{_LETTER}+/)*({_LETTER}*)"
    rf"|(?: [A-Z][\w-]*){{1,3}}(?![\w:/\\]))"
    rf"|(?<!\w)[A-Za-z]:(?:\\+|/)Users(?:\\+|/)[\w.-]+(?: [A-Z][\w-]*){{1,3}}(?![\w:/\\])"
)
#: A home that begins elsewhere than at a root: `../home/bob/x`, `-isystem/home/bob`, `\\Users\\bob`, `-home-bob-x`.
_LOOSE_HOME: Final = re.compile(
    rf"(?<![\w/.])(?:\.{{1,2}}/)*(?:home|Users)/(?:{_LETTER}+/)+({_LETTER}*)|(?<=[\w.])/(?:home|Users)/(?:{_LETTER}+/)*({_LETTER}*)"
    rf"|(?<![\w:\\])\\+Users\\+(?:[^\\\s\"']+\\+)*({_LETTER}*)|(?<![\w-])[_-](?:home|Users)[_-][A-Za-z0-9]+"
)
_TILDE: Final = re.compile(r"(?<![\w/~.])~[A-Za-z][\w.-]*(?=/)")
_PERCENT: Final = re.compile(
    r"(?:\b[A-Za-z]%(?:25)?3[Aa])?(?:%(?:25)?(?:2[Ff]|5[Cc])(?:[\w.+~-]|%(?:25)?(?!25|2[Ff]|5[Cc])[0-9A-Fa-f]{2})+){2,}"
)
#: A home whose name has a letter that no other path is looked at with: `/home/o'neil/x`, `/home/bob\\ smith/x`.
_ODD_HOME: Final = re.compile(
    rf"(?<![\w.])/(?:home|Users)/(?=[\w.-]*[^\w.\s/:;<>\"-])(?:[^/\s:;<>\"\\]|\\ )+/(?:{_LETTER}+/)*({_LETTER}*)"
)
#: A cache of torch's is called by its user.
_CACHE: Final = re.compile(r"\btorchinductor_(?!root\b)[\w.-]+")

#: Folders that name nobody: the system's own, our own temporary ones, and a container's.
_HARMLESS: Final = re.compile(
    r"(?!.*/(?:\.\.|home|Users|shm)/)/(?:usr|bin|sbin|lib|lib64|etc|proc|sys|dev|opt)/|/(?:var/)?tmp/(?:rope_prof-|torchinductor_root|tmp|pip-|nsys|cc|\w/|[^/]*$)"
)
#: A home folder itself: its last part is a person's name.
_HOME: Final = re.compile(r"(?i:.*[/\\](?:homes?\d*|users|u)[/\\]+[^/\\]+[/\\]?)")
#: The home folder that a path begins with, on whatever machine.
_IN_HOME: Final = re.compile(r"(?:/(?:home|Users)/|/root\b|[A-Za-z]:(?:\\+|/)Users(?:\\+|/))[^/\\]*")
#: Paths of the machines on which torch and Nsight were built, which their binaries name.
BUILT_ELSEWHERE: Final = re.compile(r"/pytorch/(?:aten|c10|torch)/|/20\d\d\.\d\.\d/host/target|/dvs/p4/")


def without_paths(text: str, note: Note | None = None) -> str:
    """Absolute paths reduced to their last part; those in the system's own folders stay."""
    if "%2" in text or "%5" in text:
        text = _cut(_PERCENT, text, note)
    if "torchinductor_" in text:
        text = _cut(_CACHE, text, note)
    if "home" in text or "Users" in text:
        for pattern in (_ODD_HOME, _OPEN_HOME, _LOOSE_HOME):
            text = _cut(pattern, text, note)
    if "ssh " in text:
        text = _cut(_LOGIN, text, note)
    if "/" in text:
        for pattern in (
            (_ADDRESS, _SPACED_HOME, _TILDE)
            if "://" in text or "file:" in text or "dbfs:" in text or " " in text or "~" in text
            else ()
        ):
            text = _cut(pattern, text, note)
    if "@" in text:
        text = _cut(_REMOTE, text, note)
    if ":" in text and ("/" in text or "\\" in text):
        text = _cut(_WINDOWS_PATH, text, note)
    if "\\/" in text:
        text = _cut(_ESCAPED_PATH, text, note)
    if "//" in text or "\\\\" in text:
        text = _cut(_SHARE, text, note)
    return _cut(_PATH, text, note) if "/" in text else text


def _cut(pattern: re.Pattern[str], text: str, note: Note | None) -> str:
    def last(found: re.Match[str]) -> str:
        path = found.group(0)
        if _HARMLESS.match(path):
            return path
        if note is not None:
            home = _IN_HOME.match(path)
            note("home" if home else "path", home.group(0).rstrip("/\\") if home else path)
        if _HOME.fullmatch(path):
            return "…"
        kept = next((part for part in found.groups() if part is not None), None)
        if kept is None:
            return BLANK if pattern in (_REMOTE, _LOGIN) else "…"
        return f"…/{kept}" if kept else "…/"

    return pattern.sub(last, text)
