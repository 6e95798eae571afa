"""Trees: the nodes of one directory, as the JSON that Go would write, so that equal directories are one blob."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..errors import Corrupt
from .ids import is_id
from .node import Node

_GO_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_GO_ESCAPES |= dict.fromkeys(range(0xDC80, 0xDD00), "\\ufffd")
"""Go's JSON has no bytes that are not UTF-8: names are quoted, the target of a link stands beside it in base64, and of
the name of an attribute such bytes are lost, with restic as with us."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)

_ID_BYTES = 32

EMPTY_TREE = b'{"nodes":[]}\n'


def encode_node(node: Node) -> str:
    """One node as it stands in the text of its tree."""
    text = _ENCODER.encode(node.as_json())
    if text.isascii() and "&" not in text and "<" not in text and ">" not in text:
        return text
    return text.translate(_GO_ESCAPES)


def decode_tree(clear: bytes, where: str) -> list[Node]:
    """The nodes; Corrupt for anything that could not be a directory: names that are paths, twice the same name."""
    try:
        found = json.loads(clear)
        nodes = [Node.from_json(one) for one in found["nodes"] or ()]
        _check(nodes)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise Corrupt(where=where, reason="it is not a directory of a version") from error
    return nodes


def decode_needs(clear: bytes, where: str) -> tuple[set[bytes], set[bytes]]:
    """The ids of the contents and of the directories that a directory names; Corrupt if it does not tell.

    In a third of the time that `decode_tree` takes: whoever only asks this does not need the rest to be right.
    """
    try:
        nodes = json.loads(clear)["nodes"] or ()
        data = [text for node in nodes for text in node.get("content") or ()]
        return _raw_ids(data), _raw_ids([node["subtree"] for node in nodes if node.get("subtree")])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Corrupt(where=where, reason="it is not a directory of a version") from error


def _raw_ids(texts: list[str]) -> set[bytes]:
    """All at once, for there are many."""
    raw = bytes.fromhex("".join(texts))
    if len(raw) != _ID_BYTES * len(texts) or any(len(text) != 2 * _ID_BYTES for text in texts):
        raise ValueError("an id is none")
    return {raw[start : start + _ID_BYTES] for start in range(0, len(raw), _ID_BYTES)}


def _check(nodes: Sequence[Node]) -> None:
    names = {node.name for node in nodes}
    if len(names) != len(nodes):
        raise ValueError("a name is there twice")
    for node in nodes:
        if node.name in ("", ".", "..") or "/" in node.name or "\0" in node.name:
            raise ValueError("a name is a path")
        ids = (*node.content, node.subtree) if node.subtree else node.content
        if not all(map(is_id, ids)):
            raise ValueError("an id is none")
