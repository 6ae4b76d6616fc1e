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
    r"(?:(?<![A-Za-z])|[_.-]|(?<=[a-z]))(?:auth|token|secret|passw(?:or)?d|passphrase|pwd|api[_.-]?key|apikey|access[_-]?key|"
    r"secret[_-]key|account[_-]?key|private[_-]?key|signing[_-]?key|credentials?|authorization|cookie)"
)
#: A field of that name, as a whole: `"hf_token"`, `"AWS_SECRET_ACCESS_KEY"`.
SECRET_FIELD: Final = re.compile(rf"(?:[\w.-]*?{_NAME}|\w*SECRET\w*|\w*PASSWORD\w*)", re.IGNORECASE)

#: By the form that its maker gave it.
_MADE: Final = re.compile(
    r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|gl(?:pat|rt|dt|ptt|cbt|ft|imt|agent|oas|soat|ffct)-[\w-]{16,}|hf_\w{20,}|api_org_\w{20,}|sk-[\w-]{20,}|"
    r"xox[abeprs]-[\w-]{10,}|xapp-[\w-]{10,}|(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}|AIza[\w-]{35}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}|"
    r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}|npm_\w{30,}|pypi-[\w-]{16,}|nvapi-[\w-]{16,}|dckr_[op]at_[\w-]{20,}|"
    r"[rs]k_(?:live|test)_\w{16,}|SG\.[\w-]{16,}\.[\w-]{16,}|dapi[0-9a-f]{32}|dop_v1_[0-9a-f]{32,}|r8_\w{30,}|gsk_\w{30,}|"
    r"xai-\w{30,}|shp(?:at|ca|pa|ss)_[0-9a-f]{32}|gl(?:sa|c)_\w{20,}|hv[bsr]\.[\w-]{20,}|lin_api_\w{20,}|AGE-SECRET-KEY-1\w{20,}|"
    r"tskey-[\w-]{16,}|wandb_v1_\w{20,}|pplx-\w{30,}|tgp_v1_[\w-]{30,}|NRAK-[A-Z0-9]{20,}|ntn_\w{30,}|secret_[A-Za-z0-9]{40,}|"
    r"figd_[\w-]{30,}|PMAK-[\w-]{24,}|sq0[a-z]{3}-[\w-]{20,}|whsec_\w{24,}|HRKU-[\w-]{30,}|\w{14}\.atlasv1\.[\w-]{40,}|"
    r"pul-[0-9a-f]{40}|SK[0-9a-f]{32}|key-\w{32}|\w{3}\dQ~[\w.~-]{31,}|"
    r"(?:ssh-(?:rsa|ed25519|dss)|ecdsa-sha2-nistp\d+|sk-[\w-]+@openssh\.com) AAAA[\w+/=]{20,})|\b\d{8,10}:AA[\w-]{32,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
    r"|https://hooks\.slack\.com/[\w/]+|https://discord(?:app)?\.com/api/webhooks/[\w/-]+",
    re.DOTALL,
)
#: In an address: who asks and with what word, and the parameters that sign it.
_ADDRESS: Final = re.compile(
    r"(?<=://)[^\s/:@\"']*:[^\s/\"']+(?=@)|(?<=://)(?!git@)[^\s/:@\"'()]+(?=@)"
    r"|(?<=[?&])(?i:(?:[\w-]*(?:token|sig|signature|secret|api_?key|access_?key|password|credential|x-amz-[a-z-]+)|key|code|auth|pwd))=[^&\s\"']+"
)
#: What follows an option, a scheme of the HTTP header, or the names of curl and of databases.
_OPTION: Final = re.compile(
    r"(?i:(?<![\w-])--?[\w-]*?(?:token|password|passwd|passphrase|pwd|secret|(?:api|access|secret)[_-]?key|auth|credentials?))"
    r"(?:=|[ ]+)(?!\(removed\)|-)(?:\"[^\"]+\"|'[^']+'|[^\s\"',;]+)"
    r"|(?i:\b(?:bearer|basic))[ ]+(?=[\w.~+/=-]*\d)[\w.~+/-]{8,}=*"
    r"|(?<![\w-])(?:-u[ ]*|--user[ =])[^\s:\"'/]+:[^\s\"']+"
    r"|(?<![\w-])-p[ ]*(?=[A-Za-z])(?!no:)[^\s\"',;:]{5,}"
)
#: `NAME=value`, `name: "value"`, `"NAME": "value"`. A value that is a number is one for capital names alone.
_ASSIGNED: Final = re.compile(
    rf"(?i:[\"']?(?<![\w.-])[\w.-]*?{_NAME}[\"']?\s*=\s*)(?!\(removed\)|\d+(?:\.\d+)?\b)(?:\"[^\"]+\"|'[^']+'|[^\s\"',;)}}\]]+)"
    rf"|(?i:[\"'][\w.-]*?{_NAME}\\?[\"']\s*:\s*)(?!\(removed\)|\d)\\?[\"'](?!\(removed\))[^\"'\\]+"
    r"|\b(?=[A-Z0-9_]*?(?:TOKEN(?!S)|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_?KEY|CREDENTIAL|_(?:KEY|PASS|PAT)=))"
    r"[A-Z0-9_]++=(?!\(removed\))[^\s\"',;]+"
)
#: A header of HTTP, a line of YAML or of `.netrc`: what stands behind the blank has a digit, but for the first two.
_LINE: Final = re.compile(
    r"(?i:\b(?:proxy-)?authorization:[ ]*(?:[a-z]+[ ]+)?)(?!\(removed\))[^\s\"',]+"
    r"|(?i:\b(?:set-)?cookie:[ ]*)(?!\(removed\))[^\n\"']+"
    rf"|(?i:(?<![\w.-])[\w.-]*?{_NAME}:[ ]+[\"']?(?:(?:token|bearer|basic)[ ]+)?)"
    r"(?=[^\s\"',]*\d)(?!\d+(?:\.\d+)?\b)[^\s\"',]{6,}"
    r"|\bmachine \S+ login \S+ password \S+"
)
#: Who is written to. Keys of ours hold an `@` too (`package.module@function.eager...`), which ends otherwise.
_MAIL: Final = re.compile(
    r"(?<![\w./@+-])[\w.+-]+(?:@|%40)(?:[\w-]+\.)+(?:com|org|net|edu|gov|mil|int|io|ai|dev|co|info|cloud|online|xyz|app|tech|"
    r"internal|corp|lan|local|biz|[a-z]{2})(?![\w@/-]|[.:]\w)"
)
#: A machine that is not this one: in an address, with a port; its card (Ethernet or GPU).
_MACHINE: Final = re.compile(
    r"(?<![\w.])(?!127\.|0\.0\.0\.0)(?:\d{1,3}(?:\.\d{1,3}){3}:\d{2,5}\b|192\.168(?:\.\d{1,3}){2}\b)"
    r"|(?<=://)(?!127\.|0\.0\.0\.0|localhost\b)(?:\d{1,3}(?:\.\d{1,3}){3}|[\w.-]+:\d{2,5})\b"
    r"|\[(?!::1\])[0-9a-fA-F:.]{4,}\]:\d{2,5}\b|(?<![\w:-])(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}(?![\w:-])"
    r"|\b(?:GPU|MIG)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
)
#: Who runs it and where, as a shell and a launcher have it: `USER=bob`, `--master-addr gpu7`.
_RUN_BY: Final = re.compile(
    r"\b(?:[A-Z]+_)*(?:HOSTNAME|HOST|COMPUTERNAME|USER|USERNAME|LOGNAME|NODELIST|NODENAME|MASTER_ADDR)=(?!\(removed\)|\d+\b)[^\s\"',;]+"
    r"|(?<![\w-])--(?:hostname|host|username|user|master[_-]addr|rdzv[_-]endpoint|node[_-]?list)(?:=|[ ]+)"
    r"(?!\(removed\)|-|127\.|0\.0\.0\.0|localhost\b)[^\s\"',;]+"
)
_PATTERNS: Final = (
    ("token", _MADE, None),
    ("token", _ADDRESS, re.compile("://|[?&]")),
    ("token", _OPTION, re.compile(r"-|bearer|basic", re.IGNORECASE)),
    ("token", _ASSIGNED, re.compile(r"auth|token|secret|pass|pwd|key|cred|cookie|_PAT=", re.IGNORECASE)),
    ("token", _LINE, re.compile(": ?|machine ")),
    ("address", _MAIL, re.compile("@|%40")),
    ("address", _MACHINE, re.compile(r"\d\.\d+\.\d+|://|\]:|[0-9a-fA-F][:-]")),
    ("address", _RUN_BY, re.compile("=|--")),
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
