"""A gate's answer as JUnit XML: a suite for each pair of sides, a case for each bound and key.

Source: the Jenkins schema of JUnit, as CI systems read it. A bound that fails is a failure; one that cannot be judged
is an error, so that no system shows it green; a broken key is a failure where it is the candidate's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as Tree

from rope_prof.units import SECOND, ratio
from rope_prof.views.exchange.judged import Judged
from rope_prof.views.words.labels import key_words, short

#: What no XML of version 1.0 may hold.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(found: Sequence[Judged]) -> str:
    """The file's text."""
    root = Tree.Element("testsuites", name="rope_prof")
    for one in found:
        _suite(root, one)
    Tree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Tree.tostring(root, encoding="unicode") + "\n"


def _suite(root: Tree.Element, one: Judged) -> None:
    suite = Tree.SubElement(root, "testsuite", name=_clean(one.name))
    kept = one.comparison is not None and one.comparison.allow_unknown
    for gate, verdict, held in one.checked:
        case = _case(suite, one.name, f"{short(verdict.cand)} ({verdict.case.words}): {gate.metric}>{gate.percent:g}%")
        case.set("time", f"{(verdict.after or 0) / SECOND:.9f}" if verdict.metric != "kernels" else "0")
        said = f"{verdict.word}: baseline / candidate {ratio(verdict.ratio.median if verdict.ratio else None)}"
        if held == "fails":
            _said(case, "failure", said)
        elif held == "undecided" and not kept:
            _said(case, "error", f"cannot be judged: {verdict.reason or said}")
        elif held == "undecided":
            _said(case, "skipped", f"cannot be judged, and allowed: {verdict.reason or said}")
    for broken in one.broken:
        case = _case(suite, one.name, key_words(broken.facts.key))
        _said(case, "failure" if broken.fails else "error", f"{broken.facts.status}: {broken.facts.reason or ''}")
    if one.error is not None:
        _said(_case(suite, one.name, "measured"), "failure" if one.ours else "error", one.error)
    children = list(suite)
    suite.set("tests", str(len(children)))
    for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(kind) is not None for case in children)))


def _case(suite: Tree.Element, owner: str, name: str) -> Tree.Element:
    return Tree.SubElement(suite, "testcase", classname=_clean(owner), name=_clean(name), time="0")


def _said(case: Tree.Element, kind: str, message: str) -> None:
    Tree.SubElement(case, kind, message=_clean(message))


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
