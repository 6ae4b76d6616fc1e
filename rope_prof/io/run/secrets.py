"""Secrets by their form: what a maker's token looks like, and what stands behind an option, a field or a name for one.

The forms are those that the makers publish and that scanners of repositories look for. A scanner finds lines to look
at; here the secret alone has to go, and the text around it has to stay as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

BLANK: Final = "(removed)"
Note = Callable[[str, str], None]

#: The end of a name that holds a secret: `WANDB_API_KEY`, `password`, `--auth-token`. `tokens` and `key` hold none.
_NAME: Final = (
    r"(?:(?<![A-Za-z])|[_.-]|(?<=[a-z]))(?:auth|token|secret|passw(?:or)?d|passphrase|api[_-]?key|apikey|access[_-]?key|"
    r"account[_-]?key|private[_-]?key|signing[_-]?key|credentials?|authorization|cookie)"
)
#: A field of that name, as a whole: `"hf_token"`, `"AWS_SECRET_ACCESS_KEY"`.
SECRET_FIELD: Final = re.compile(rf"(?:[\w.-]*?{_NAME}|\w*SECRET\w*|\w*PASSWORD\w*)", re.IGNORECASE)

#: By the form that its maker gave it.
_MADE: Final = re.compile(
    r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|gl(?:pat|rt|dt|ptt)-[\w-]{16,}|hf_\w{20,}|api_org_\w{20,}|sk-[\w-]{20,}|"
    r"xox[abeprs]-[\w-]{10,}|xapp-[\w-]{10,}|(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}|AIza[\w-]{35}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}|"
    r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}|npm_\w{30,}|pypi-[\w-]{16,}|nvapi-[\w-]{16,}|dckr_pat_[\w-]{20,}|"
    r"[rs]k_(?:live|test)_\w{16,}|SG\.[\w-]{16,}\.[\w-]{16,}|dapi[0-9a-f]{32}|dop_v1_[0-9a-f]{32,}|r8_\w{30,}|gsk_\w{30,}|"
    r"xai-\w{30,}|shp(?:at|ca|pa|ss)_[0-9a-f]{32}|glsa_\w{20,}|hvs\.[\w-]{20,}|lin_api_\w{20,}|AGE-SECRET-KEY-1\w{20,}|"
    r"tskey-[\w-]{16,}|wandb_v1_\w{20,}|ssh-(?:rsa|ed25519|dss) AAAA[\w+/=]{20,})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|https://hooks\.slack\.com/[\w/]+|https://discord(?:app)?\.com/api/webhooks/[\w/-]+",
    re.DOTALL,
)
#: In an address: who asks and with what word, and the parameters that sign it.
_ADDRESS: Final = re.compile(
    r"(?<=://)[^\s/:@\"']*:[^\s/@\"']+(?=@)|(?<=://)[^\s/:@\"'()]{8,}(?=@)"
    r"|(?<=[?&])(?i:[\w-]*(?:token|sig|signature|secret|api_?key|access_?key|password|credential|x-amz-[a-z-]+))=[^&\s\"']+"
)
#: What follows an option, a scheme of the HTTP header, or the names of curl and of databases.
_OPTION: Final = re.compile(
    r"(?i:(?<![\w-])--?(?:\w+-)*(?:token|password|passwd|passphrase|secret|api-?key|access-?key|auth))"
    r"(?:=|[ ]+)(?!\(removed\)|-)(?:\"[^\"]+\"|'[^']+'|[^\s\"',;]+)"
    r"|(?i:\b(?:bearer|basic))[ ]+(?=[\w.~+/=-]*\d)[\w.~+/-]{8,}=*"
    r"|(?<![\w-])-u[ ]+[^\s:\"'/]+:[^\s\"']+"
    r"|(?<![\w-])-p[ ]*(?=[A-Za-z])(?!no:)[^\s\"',;:]{5,}"
)
#: `NAME=value`, `name: "value"`, `"NAME": "value"`. A value that is a number is one for capital names alone.
_ASSIGNED: Final = re.compile(
    rf"(?i:[\"']?[\w.-]*{_NAME}[\"']?\s*=\s*)(?!\(removed\)|\d+(?:\.\d+)?\b)(?:\"[^\"]+\"|'[^']+'|[^\s\"',;)}}\]]+)"
    rf"|(?i:[\"'][\w.-]*{_NAME}\\?[\"']\s*:\s*)(?!\(removed\)|\d)\\?[\"'](?!\(removed\))[^\"'\\]+"
    r"|\b[A-Z0-9_]*(?:TOKEN(?!S)|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_?KEY|CREDENTIAL)[A-Z0-9_]*=(?!\(removed\))[^\s\"',;]+"
)
#: Who is written to. Keys of ours hold an `@` too (`package.module@function.eager...`), which ends otherwise.
_MAIL: Final = re.compile(
    r"(?<![\w./@+-])[\w.+-]+@(?:[\w-]+\.)+(?:com|org|net|edu|gov|mil|int|io|ai|dev|co|info|[a-z]{2})(?![\w.@:/-])"
)
#: A port on a machine that is not this one.
_MACHINE: Final = re.compile(r"(?<![\w.])(?!127\.|0\.0\.0\.0)\d{1,3}(?:\.\d{1,3}){3}:\d{2,5}\b")
_PATTERNS: Final = (
    ("token", _MADE, None),
    ("token", _ADDRESS, re.compile("://")),
    ("token", _OPTION, re.compile(r"-|bearer|basic", re.IGNORECASE)),
    ("token", _ASSIGNED, re.compile(r"auth|token|secret|pass|key|cred|cookie", re.IGNORECASE)),
    ("address", _MAIL, re.compile("@")),
    ("address", _MACHINE, re.compile(r"\d\.\d+\.\d+:")),
)


def without_secrets(text: str, note: Note | None = None) -> str:
    """`text` with each secret as `(removed)`; `note` is called with kind and text of each."""
    for kind, pattern, hint in _PATTERNS:
        if hint is not None and hint.search(text) is None:
            continue
        if note is not None:
            for found in pattern.finditer(text):
                note(kind, found.group(0))
        text = pattern.sub(BLANK, text)
    return text
