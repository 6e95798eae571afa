"""The house rules that a machine can check: who may import what, how long things may be."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "escale"
MODULES = sorted(PACKAGE.rglob("*.py"))

LAYERS = [
    {"errors", "clock", "digest", "seal", "events", "stream"},
    {"files.tree", "files.trouble", "files.rules", "files.ignore", "files.source", "store.blob", "wire"},
    {"store", "files", "net"},
    {"relay", "backup"},
    {"conf"},
    {"app"},
    {"cli"},
    {"testing"},
]
"""Lower ones first; a module may import from its own layer and from those below."""

HOMES = {
    "time": ("clock",),
    "socket": ("net", "store", "app", "cli", "backup.machine"),
    "threading": ("clock", "app", "net", "cli", "store.memory", "store.s3_session", "backup", "testing"),
    "concurrent": (
        "app",
        "net",
        "store.webdav",
        "store.ftp",
        "store.s3",
        "relay.compression",
        "relay.archive",
        "backup",
    ),
    "fsspec": ("store.fsspec",),
    "nacl": ("seal",),
    "pyfastcdc": ("backup.chunks",),
    "tarfile": ("relay.archive",),
    "bz2": ("relay.archive", "relay.compression", "relay.format07_index", "relay.codec"),
    "botocore": ("store.s3_session", "store.s3_answers"),
    "s3transfer": ("store.s3",),
    "httpx": ("store.webdav", "store.webdav_answers", "store.webdav_session"),
    "ftplib": ("store.ftp", "store.ftp_session", "store.ftp_words"),
    "sqlite3": ("files.ledger", "backup.catalog"),
}
"""Libraries that have one home, so that replacing one is a change of one module."""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def layer_of(module: str) -> int:
    best = max(
        ((len(prefix), number) for number, layer in enumerate(LAYERS) for prefix in layer if is_in(module, prefix)),
        default=None,
    )
    return -1 if best is None else best[1]


def is_in(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def imports(path: Path) -> list[tuple[str, bool]]:
    """(name, is it ours) of everything a module imports, at its top or inside a function."""
    package = name_of(path).split(".")[:-1] if path.name != "__init__.py" else name_of(path).split(".")
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, False) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append((node.module or "", False))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            if node.module:
                found.append((".".join([*base, node.module]), True))
            else:
                found += [(".".join([*base, alias.name]), True) for alias in node.names]
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_downwards(path):
    mine = layer_of(name_of(path))
    upwards = [name for name, ours in imports(path) if ours and name and layer_of(name) > mine >= 0]
    assert not upwards


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_libraries_stay_in_their_homes(path):
    module = name_of(path)
    strays = [
        name
        for name, ours in imports(path)
        for library, homes in HOMES.items()
        if not ours and is_in(name, library) and not any(is_in(module, home) for home in homes)
    ]
    assert not strays


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_and_functions_fit_in_the_eye(path):
    text = path.read_text()
    assert text.count("\n") <= 400
    long = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body and (body[-1].end_lineno or 0) - body[0].lineno + 1 > 40:
                long.append(node.name)
    assert not long


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_public_names_say_what_they_are(path):
    tree = ast.parse(path.read_text())
    silent = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not silent
