"""The documentation keeps its word: links resolve, and what it names in backticks exists."""

from __future__ import annotations

import ast
import builtins
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "doc").rglob("*.md")])

_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!\!)\[[^\]]+\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_PLACE = re.compile(r"(?:escale|tests|doc|packaging|benchmarks)(?:/[\w.@-]+)*/?(?:::\w+)?")
_FUNCTION = re.compile(r"(?:(?P<owner>[A-Z]\w*)\.)?(?P<name>[a-z_]\w*)\(\)")
_SETTING = re.compile(r"^#?\s*([a-z][a-z ]*[a-z])\s*=", re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """The headings as GitHub turns them into anchors."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@functools.cache
def defined() -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """Names of all functions of escale and of Python itself, and of all methods with their classes."""
    functions: set[str] = set(dir(builtins))
    methods: set[tuple[str, str]] = set()
    for path in (ROOT / "escale").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                functions.add(node.name)
            elif isinstance(node, ast.ClassDef):
                methods |= {(node.name, item.name) for item in node.body if isinstance(item, ast.FunctionDef)}
    return frozenset(functions), frozenset(methods)


def functions_in(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def exists(place: str) -> bool:
    path, _, test = place.partition("::")
    return (ROOT / path).exists() and (not test or test in functions_in(ROOT / path))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page):
    broken = []
    for target in _LINK.findall(prose(page)):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        found = (page.parent / path).resolve() if path else page
        if not found.exists() or (anchor and anchor not in anchors(found)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_places_and_tests_exist(page):
    words = _CODE.findall(prose(page))
    assert not [word for word in words if _PLACE.fullmatch(word) and "/" in word and not exists(word)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_functions_exist(page):
    functions, methods = defined()
    calls = [call for word in _CODE.findall(prose(page)) if (call := _FUNCTION.fullmatch(word))]
    unknown = [
        call[0]
        for call in calls
        if (call["name"] not in functions if not call["owner"] else (call["owner"], call["name"]) not in methods)
    ]
    assert not unknown


def promises() -> list[list[str]]:
    """The rows of doc/guarantees.md, each as its cells: promise, holds when, proved by."""
    table = (ROOT / "doc/guarantees.md").read_text().partition("## What is not promised")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    return [[cell.strip() for cell in row.split(" | ")] for row in rows]


def test_every_promise_has_a_condition_and_a_test():
    assert len(promises()) > 60
    assert not [row for row in promises() if len(row) != 3 or not row[1] or "::test_" not in row[2]]


def test_every_test_that_proves_a_promise_exists():
    named = [word for _, _, proofs in promises() for word in _CODE.findall(proofs)]
    assert not [word for word in named if "::test_" not in word or not _PLACE.fullmatch(word) or not exists(word)]


def test_nothing_is_proved_by_a_test_that_is_expected_to_fail():
    named = {word for _, _, proofs in promises() for word in _CODE.findall(proofs)}
    trees = {place: ast.parse((ROOT / place).read_text()) for place in {word.partition("::")[0] for word in named}}
    failing = {
        f"{place}::{node.name}"
        for place, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and any("xfail" in ast.dump(one) for one in node.decorator_list)
    }
    assert not named & failing


@pytest.mark.parametrize("page", sorted((ROOT / "doc/howto").glob("*.md")), ids=name_of)
def test_settings_in_examples_are_settings(page):
    from escale.conf.table import KEYS

    known = {name for key in KEYS for name in (key.name, *key.aliases)}
    blocks = re.findall(r"^```ini\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    settings = [setting for block in blocks for setting in _SETTING.findall(block)]
    assert not [setting for setting in settings if setting not in known and not setting.startswith("option ")]


def test_every_reason_state_and_exit_code_is_explained():
    from escale.app.status import Reason, SectionState
    from escale.cli import exit_codes

    text = (ROOT / "doc/howto/troubleshooting.md").read_text()
    assert not [reason.value for reason in Reason if f"| `{reason.value}` |" not in text]
    assert not [state.value for state in SectionState if f"`{state.value}`" not in text]
    codes = [value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)]
    assert not [code for code in codes if f"| {code} |" not in text]


def test_every_code_that_is_not_of_a_configuration_is_explained():
    """Those of configurations, C and a number, are explained by `escale config explain`."""
    text = (ROOT / "doc/howto/troubleshooting.md").read_text()
    sources = [path.read_text() for path in (ROOT / "escale").rglob("*.py")]
    codes = {code for source in sources for code in re.findall(r'"([A-BD-Z]\d{3})"', source)}
    assert len(codes) > 30
    assert not sorted(code for code in codes if f"`{code}`" not in text)
