"""Secrets by their form: what a maker's token looks like, and what stands behind an option, a field or a name for one.

The forms are those that the makers publish and that scanners of repositories look for. A scanner finds lines to look
at; here the secret alone has to go, and the text around it has to stay as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

BLANK: Final = "(removed)"
Note = Callable[[str, str], None]

#: The end of a name that holds a secret: `WANDB_API_KEY`, `password`, `--auth-token`. `tokens` and `key` hold none.
_NAME: Final = (
    r"(?:(?<![A-Za-z])|[_.-]|(?<=[a-z]))(?:auth|token|secret|passw(?:or)?d|passphrase|pwd|api[_.-]?key|apikey|access[_-]?key|"
    r"(?:secret|encryption|license|master|deploy|session|storage)[_-]key|account[_-]?key|private[_-]?key(?:_id)?|signing[_-]?key|credentials?|authorization|cookie)"
)
#: Parts of which every such name holds one.
_SECRETS: Final = ("auth", "token", "secret", "pass", "pwd", "key", "cred", "cookie")
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
    r"(?:ssh-(?:rsa|ed25519|dss)|ecdsa-sha2-nistp\d+|sk-[\w-]+@openssh\.com) AAAA[\w+/=]{20,})"
    r"|(?<!\d)\d{8,10}:AA[\w-]{32,}"
    r"|\bPrivate-Lines: \d+(?:\s[\w+/=]+)*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
    r"|\barn:aws[\w-]*:[\w-]*:[\w-]*:\d{12}:[^\s\"'<>,;]*|\b\d{12}(?=\.dkr\.ecr\.)",
    re.DOTALL,
)
#: An address that is a password itself: who knows it may write there.
_HOOK: Final = re.compile(
    r"(?:\bhttps?:(?:\\?/){2})?(?<![\w.-])(?:[\w-]+\.)*(?:hooks\.slack(?:-gov)?\.com|hooks\.zapier\.com|webhook\.office\.com|"
    r"logic\.azure\.com|maker\.ifttt\.com|ntfy\.sh|outlook\.office(?:365)?\.com\\?/webhook|discord(?:app)?\.com\\?/api\\?/(?:v\d+\\?/)?webhooks|"
    r"open\.(?:feishu\.cn|larksuite\.com)\\?/open-apis\\?/bot)(?:[:/\\][^\s\"'<>]*)"
    r"|\bhttps?:(?:\\?/){2}[\w.:-]+\\?/(?:[\w-]+\\?/)*(?:web)?hooks?\\?/[^\s\"'<>]+"
)
#: In an address: who asks and with what word, and the parameters that sign it.
_ADDRESS: Final = re.compile(
    r"(?<=://)[^\s/:@\"']*:[^\s/\"']+(?=@)|(?<=://)(?!git@)[^\s/:@\"'()]+(?=@)"
    r"|(?<=[?&])(?i:(?:[\w-]*(?:token|sig|signature|secret|key|password|credential|x-amz-[a-z-]+)|code|auth|pwd))=[^&\s\"']+"
)
#: What follows an option, a scheme of the HTTP header, or the names of curl and of databases.
_OPTION: Final = re.compile(
    r"(?i:(?<![\w-])--?[\w-]*?(?:token|password|passwd|passphrase|pwd|secret|(?:api|access|secret)[_-]?key|auth|credentials?))"
    r"(?:=|[ ]+)(?!\(removed\)|-)(?:\"[^\"]+\"|'[^']+'|[^\s\"',;]+)"
    r"|(?i:\b(?:bearer|basic))[ ]+(?=[\w.~+/=-]*\d)[\w.~+/-]{8,}=*"
    r"|(?<![\w-])(?:-u[ ]*|--user[ =])[^\s:\"'/]+:[^\s\"']+"
    r"|(?i:(?<![\w-])--(?:pass|[\w-]+[_-]key)(?:=|[ ]+))(?=[^\s\"',;]*\d)(?!\d+(?:\.\d+)?\b)[^\s\"',;]{8,}"
    r"|\b(?:redis-cli(?: -[hpn] ?\S+)* -a|sshpass -p|wandb login|huggingface-cli login"
    r"|ngc config set|curl(?: \S+){0,9}? (?:-b|--cookie))[ ]*"
    r"(?!-|\(removed\))[^\s\"',;]+"
    r"|\bjdbc:oracle:thin:[^\s/@]{1,99}/[^\s/@]{1,99}(?=@)"
    r"|(?<![\w-])-p[ ]*(?=[A-Za-z])(?!no:)[^\s\"',;:]{5,}"
)
#: `NAME=value`, `name: "value"`, `"NAME": "value"`. A value that is a number is one for capital names alone.
_ASSIGNED: Final = re.compile(
    rf"(?i:[\"']?(?<![\w.-])[\w.-]*?{_NAME}[\"']?\s*=\s*)(?!\(removed\)|\d+(?:\.\d+)?\b)(?:\\\"[^\"\\]+\\?|\"[^\"]+\"|'[^']+'|[^\s\"',;)}}\]]+)"
    rf"|(?i:[\"'][\w.-]*?{_NAME}\\?[\"']\s*:\s*)(?!\(removed\)|\d)\\?[\"'](?!\(removed\))[^\"'\\]+"
    rf"|(?i:(?<![\w.-])[\w.-]*?{_NAME}\s*:\s*)[\"'](?!\(removed\))[^\"'\\]+[\"']"
    rf"|(?i:<[\w.:-]*?{_NAME}>)(?!\(removed\))[^<]+(?=</)|(?i:\b(?:key|name)=[\"'][\w.:-]*?{_NAME}[\"']\s+value=)[\"'][^\"']+[\"']"
    r"|(?i:\b(?:[jp]hp)?(?:j?session_?id|sessid|csrf\w*))=(?!\(removed\)|\d{1,5}\b)[\w%.+/=-]{6,}"
    r"|\b(?=[A-Z0-9_]*?(?:TOKEN(?!S)|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_?KEY|CREDENTIAL|_(?:KEY|PASS|PAT)=))"
    r"[A-Z0-9_]++=(?!\(removed\))[^\s\"',;]+"
)
#: A header of HTTP, a line of YAML or of `.netrc`: what stands behind the blank has a digit, but for the first two.
_LINE: Final = re.compile(
    r"(?i:\b(?:proxy-)?authorization:[ ]*(?:[a-z]+[ ]+)?)(?!\(removed\))[^\s\"',]+"
    r"|(?i:\b(?:set-)?cookie:[ ]*)(?!\(removed\))[^\n\"']+"
    rf"|(?i:(?<![\w.-])[\w.-]*?{_NAME}:[ ]+[\"']?(?:(?:token|bearer|basic)[ ]+)?)"
    r"(?=[^\s\"',]*\d)(?!\d+(?:\.\d+)?\b)[^\s\"',]{6,}"
    rf"|(?i:(?<![\w.-])(?!per-)[a-z]+-(?:[a-z]+-)*(?:token|key|secret|password):[ ]*)(?!\(removed\))[^\s\"',]{{4,}}"
    r"|(?i:(?<![\w.-])(?:[\w.-]*[_.-])?(?:passw(?:or)?d|pwd|passphrase|api_?key)"
    r"(?::[ ]*(?![:\s])|(?:[ ]is)?[ ]+(?=\S*\d)))"
    r"(?!\(removed\)|\d+(?:\.\d+)?\b)(?=[^\s\"',]*(?:\d|[!#$%&*+?^~]))[^\s\"',]{5,}"
    r"|\bmachine \S+ login \S+ password \S+"
)
#: Who is written to. Keys of ours hold an `@` too (`package.module@function.eager...`), which ends otherwise.
_MAIL: Final = re.compile(
    r"(?<![\w./@+-])[\w.+-]+(?:@|%40)(?:[\w-]+\.)+(?:com|org|net|edu|gov|mil|int|io|ai|dev|co|info|cloud|online|xyz|app|tech|"
    r"internal|corp|lan|local|biz|[a-z]{2})(?![\w@/-]|[.:]\w)"
    r"|(?<![\w./@+-])[\w.+-]+@(?:[\w-]+\.)+(?:com|org|net|edu|gov)(?=/)"
    r"|\b[\w.+-]+ ?[\[(](?i:at)[\])] ?[\w-]+(?: ?[\[(](?i:dot)[\])] ?|\.)[a-z]+\b"
)
#: A machine that is not this one: in an address, with a port; its card (Ethernet or GPU).
_MACHINE: Final = re.compile(
    r"(?<![\w.])(?!127\.|0\.0\.0\.0)(?:\d{1,3}(?:\.\d{1,3}){3}:\d{2,5}\b|192\.168(?:\.\d{1,3}){2}\b)"
    r"|(?<=://)(?!127\.|0\.0\.0\.0|localhost\b)(?:\d{1,3}(?:\.\d{1,3}){3}|[\w.-]+:\d{1,5})\b"
    r"|(?<=http://)(?!localhost\b)[\w-]+(?=[/?\s\"']|$)|(?<=https://)(?!localhost\b)[\w-]+(?=[/?\s\"']|$)"
    r"|(?<![\w.])172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2}(?![\w.])|(?<![\w:])(?i:fe80|fd[0-9a-f]{2}):[0-9a-fA-F:]{4,}"
    r"|(?i:(?<=inet )|(?<=addr )|(?<=addr:)|(?<=ping )|(?<=ect to )|(?<=ted to )"
    r"|(?<=from )|(?<=host ))10(?:\.\d{1,3}){3}(?![\w.])"
    r"|(?<![\w.-])(?=[A-Za-z0-9-]*[0-9-])[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.(?:internal|corp|lan|local|intranet|localdomain)(?![\w(-]|\.\w)"
    r"|(?<=\bLinux )[\w.-]+(?= \d+\.\d+\.\d+\S* #\d)"
    r"|\[(?!::1\])[0-9a-fA-F:.]{4,}\]:\d{2,5}\b|(?<![\w:-])(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}(?![\w:-])"
    r"|\b(?:GPU|MIG)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
)
#: Who runs it and where, as a shell and a launcher have it: `USER=bob`, `--master-addr gpu7`.
_RUN_BY: Final = re.compile(
    r"\b(?:(?:[A-Z]+_)*(?:HOSTNAME|HOST|COMPUTERNAME|USER|USERNAME|LOGNAME|NODELIST|NODENAME|MASTER_ADDR)|GIT_(?:AUTHOR|COMMITTER)_NAME|"
    r"WANDB_(?:ENTITY|PROJECT)|AWS_ACCOUNT_ID)=(?!\(removed\)|\d+\b)(?:\"[^\"]+\"|'[^']+'|[^\s\"',;]+)"
    r"|(?<![\w-])--?(?:hostname|host|username|user|master[_-]addr|rdzv[_-]endpoint|node[_-]?list)(?:=|[ ]+)"
    r"(?!\(removed\)|-|127\.|0\.0\.0\.0|localhost\b)[^\s\"';]+"
    r"|(?<![\w.-])(?i:(?:user_?name|host_?name|node_?name|logname|master_addr)(?:=|: ?)|(?:user|login)=)"
    r"[\"']?(?!\(removed\)|\d+\b|127\.|localhost\b|[\"':=(])[^\s\"',;)]+"
    r"|(?<=\")(?:user|owner)\": ?\"(?!\(removed\))[^\"\\]+"
    r"|\b(?:mpirun|mpiexec|horovodrun|srun|salloc|sbatch|pdsh)(?: [^\s;|&]+){0,20}?"
    r" (?:-H|-w|-host|--host)[ =](?!\(removed\))[^\s\"';]+"
    r"|\bsudo -u ?[\w.-]+|\bsu - [\w.-]+|\b[ug]id=\d+\((?!root\))[\w.-]+\)"
    r"|\b(?:Author|Committer):(?: [^\W\d_][\w.'-]*){1,4}(?![\w=])"
    r"|(?<![\w-])[dl-][rwxsStT-]{9}[.+@]? +\d+ +(?!root root)[\w.-]+ +[\w.-]+"
)
#: Of `_MADE`, what stands in each of its forms.
_MADE_WORDS: Final = (
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "hf_", "api_org_", "sk-", "xox", "xapp-"),
    *("glpat-", "glrt-", "gldt-", "glptt-", "glcbt-", "glft-", "glimt-", "glagent-", "gloas-", "glsoat-", "glffct-"),
    *("akia", "asia", "abia", "acca", "aiza", "ya29.", "gocspx-", "eyj", "npm_", "pypi-", "nvapi-", "dckr_", "k_live_"),
    *("k_test_", "sg.", "dapi", "dop_v1_", "r8_", "gsk_", "xai-", "shpat_", "shpca_", "shppa_", "shpss_", "glsa_"),
    *("glc_", "hvb.", "hvs.", "hvr.", "lin_api_", "age-secret-key", "tskey-", "wandb_v1_", "pplx-", "tgp_v1_", "nrak-"),
    *("ntn_", "secret_", "figd_", "pmak-", "sq0", "whsec_", "hrku-", ".atlasv1.", "pul-", "sk0", "ska", "skb", "skc"),
    *("skd", "ske", "skf", "key-", "q~", "ssh-", "ecdsa-sha2-", ":aa", "private-lines", "private key", "arn:aws"),
    ".dkr.ecr.",
)
#: (kind, its form, words of which one stands in every text that has it, in small letters, and a form where none does).
#: A text is looked through for a word in a tenth of the time that a form takes.
PATTERNS: Final[tuple[tuple[str, re.Pattern[str], tuple[str, ...], str], ...]] = (
    ("token", _MADE, _MADE_WORDS, ""),
    ("token", _HOOK, ("hook", ".azure.com", "ntfy", "ifttt", "feishu", "larksuite"), ""),
    ("token", _ADDRESS, ("://", "?", "&"), ""),
    ("token", _OPTION, ("-", "bearer", "basic", "login", "ngc", "jdbc"), ""),
    ("token", _ASSIGNED, (*_SECRETS, "sess", "csrf", "_pat="), ""),
    ("token", _LINE, _SECRETS, ""),
    ("address", _MAIL, ("@", "%40", "[at]", "(at)", "[at)", "(at]"), ""),
    (
        "address",
        _MACHINE,
        ("://", "]:", "fe80:", "gpu-", "mig-", ".internal", ".corp", ".lan", ".local", ".intra"),
        r"\d\.\d+\.\d|fd[0-9a-f]{1,2}:|[0-9a-f]{1,2}[:-][0-9a-f]{1,2}[:-]",
    ),
    (
        "address",
        _RUN_BY,
        (
            *("=", "--", "user", "host", "node", "login", "logname", "master", "owner", "author", "committer", "rdzv"),
            *("mpi", "horovodrun", "srun", "salloc", "sbatch", "pdsh", "sudo -u", "su - ", "rw", "r-"),
        ),
        "",
    ),
)
_NUMBER: Final = re.compile("[0-9]+")
#: The words of each form, and the form where none stands, of texts in which every number is 0.
_TOLD_BY: Final = tuple(
    (tuple({_NUMBER.sub("0", word): None for word in words}), form) for _, _, words, form in PATTERNS
)


@lru_cache(maxsize=1 << 12)
def _told_by(line: str) -> int:
    """Bit k: the form k of `PATTERNS` may stand in lines that are this one but for their numbers."""
    small = line.casefold()
    return sum(
        1 << k
        for k, (words, form) in enumerate(_TOLD_BY)
        if any(word in small for word in words) or (form and re.search(form, small))
    )


def _suspected(text: str) -> int:
    """The same of a text. Most differ in a number alone, and hold lines that others hold."""
    found = 0
    for line in _NUMBER.sub("0", text).split("\n"):
        found |= _told_by(line)
    return found


def without_secrets(text: str, note: Note | None = None) -> str:
    """`text` with each secret as `(removed)`; `note` is called with kind and text of each."""
    suspected = _suspected(text)
    for number, (kind, pattern, _, _) in enumerate(PATTERNS):
        if not suspected >> number & 1 or pattern.search(text) is None:
            continue
        if note is not None:
            for found in pattern.finditer(text):
                note(kind, found.group(0))
        text = pattern.sub(BLANK, text)
        suspected = _suspected(text)
    return text
