"""python -m benchmarks [CASE ...]: run the cases and print a table of them."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.servers import SERVERS

from .cases import CASES, QUICK, WITHOUT_RELAY, Circumstances, Result, Scale
from .contenders import CONTENDERS, Contender
from .meter import Failed
from .stage import RELAYS
from .table import as_json, table


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 if a contender failed; what was measured before is printed all the same."""
    options = _parser().parse_args(arguments)
    contenders = [CONTENDERS[name] for name in options.contender]
    for one in contenders:
        if reason := one.missing():
            print(f"NOT MEASURED: {one.name}: {reason}", file=sys.stderr)
    contenders = [one for one in contenders if not one.missing()]
    results: list[Result] = []
    code = 0
    for case, here in _chosen(options, contenders):
        try:
            results += CASES[case](here)
        except Failed as failure:
            print(f"FAILED: {case} {here.relay} {here.round_trip_ms} ms: {failure}", file=sys.stderr)
            code = 1
    print(table(results))
    if options.json:
        options.json.write_text(json.dumps(as_json(results), indent=1))
    return code


def _chosen(options: argparse.Namespace, contenders: Sequence[type[Contender]]) -> Iterator[tuple[str, Circumstances]]:
    scale, runs = (QUICK, 1) if options.quick else (Scale(), options.runs)
    for case in CASES if options.case == "all" else options.case:
        ways = itertools.product(options.relay, options.delay_ms)
        for relay, round_trip_ms in ways if case not in WITHOUT_RELAY else [("-", 0)]:
            yield case, Circumstances(relay, round_trip_ms, runs, scale, contenders)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Escale beside its peers on real servers."
    )
    parser.add_argument("case", nargs="*", choices=[*CASES, "all"], default="all")
    servers = [*RELAYS, *SERVERS]
    parser.add_argument("--relay", nargs="+", choices=servers, default=list(RELAYS), metavar="RELAY",
                        help=f"default: {' '.join(RELAYS)}; or a test server: {' '.join(SERVERS)}")  # fmt: skip
    parser.add_argument("--delay-ms", type=_numbers, default=[0, 20], help="round trips, default 0,20")
    parser.add_argument("--contender", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--runs", type=int, default=3, help="of each contender, alternating; default 3")
    parser.add_argument("--quick", action="store_true", help="little data and one run: does it work at all?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single run there")
    return parser


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
