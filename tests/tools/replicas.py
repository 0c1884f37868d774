"""The table and the plot of replicas, for a page of docs/results.

python -m tests.tools.replicas gpu-check/replicas/*.json --plot replicas.svg
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.report import columns
from tests.tools import stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
COLUMNS = ("tokens_per_s", "scaling_efficiency", "tpot_s", "host_cores", "joules_per_token")
TITLES = ("tokens/s", "rounds", "of each", "sum", "scaling", "TPOT, slowest", "cores", "J/token")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each number of replicas, and write the plot if it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="sessions, plain or compressed")
    parser.add_argument("--plot", type=Path, help="SVG to write")
    asked = parser.parse_args(arguments)
    found = [info for file in asked.files for info in records(file)]
    print(*table(found), sep="\n")
    if asked.plot:
        asked.plot.write_text(svg(found), encoding="utf-8")


def records(file: Path) -> Iterator[dict[str, Any]]:
    """Yield what a session stored of each number of replicas."""
    for benchmark in stored.read(file)["benchmarks"]:
        if benchmark["extra_info"].get("replicas"):
            yield benchmark["extra_info"]


def alone(found: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Return the tokens/s of one replica by quantization."""
    ones = [info for info in found if info["workload"]["replicas"] == 1]
    return {info["workload"]["quantization"]: info["metrics"]["tokens_per_s"] for info in ones}


def scaling(info: dict[str, Any], one: dict[str, float]) -> float | None:
    """Return tokens/s of all against that of so many alone; None if one alone isn't known.

    Of its own session, or of another one on the same machine.
    """
    known: float | None = info["metrics"]["scaling_efficiency"]
    quantization, replicas = info["workload"]["quantization"], info["workload"]["replicas"]
    if known is not None or quantization not in one:
        return known
    return float(info["metrics"]["tokens_per_s"] / (replicas * one[quantization]))


def table(found: Sequence[dict[str, Any]]) -> list[str]:
    """Return the lines of a table in Markdown; `!` marks what is INVALID.

    `tokens/s` is of whole rounds, which last until the slowest replica is done; `sum` adds up what
    each one made while it ran.
    """
    head = ("quantization", "replicas", "GPUs", *TITLES)
    lines = [f"| {' | '.join(head)} |", "|---|" + "--:|" * (len(head) - 1)]
    one = alone(found)
    for info in found:
        metrics, work = (
            info["metrics"] | {"scaling_efficiency": scaling(info, one)},
            info["workload"],
        )
        total, *others = (columns.cell(name, metrics[name]) for name in COLUMNS)
        mark = "" if info["validity"]["valid"] else " !"
        each = [one["metrics"]["tokens_per_s"] for one in info["replicas"]]
        rounds = sorted(one["round_s"] for one in info["rounds"])
        cells = [
            *(work["quantization"], str(work["replicas"]), str(len(info["placement"]))),
            *(total + mark, f"{rounds[0]:.2f} to {rounds[-1]:.2f} s"),
            *(", ".join(f"{one:.0f}" for one in each), columns.cell("tokens_per_s", sum(each))),
            *others,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def svg(found: Sequence[dict[str, Any]]) -> str:
    """Return a plot of the tokens/s of all by the number of replicas, a line by quantization."""
    import vl_convert

    one = alone(found)
    rows = []
    for info in found:
        replicas, gpus = info["workload"]["replicas"], len(info["placement"])
        share = scaling(info, one)
        row = {
            "quantization": info["workload"]["quantization"],
            "replicas": replicas,
            "tokens/s": info["metrics"]["tokens_per_s"],
            "ideal": info["metrics"]["tokens_per_s"] / share if share else None,
        }
        each = "one" if replicas <= gpus else "two"
        rows.append(row | {"to a GPU": each})
    names = list(dict.fromkeys(row["quantization"] for row in rows))
    numbers = sorted({row["replicas"] for row in rows})
    log = {"type": "log", "base": 2, "nice": False, "padding": 10}
    x = {"field": "replicas", "type": "quantitative", "scale": log, "axis": {"values": numbers}}
    y = {"type": "quantitative", "scale": log, "title": "tokens/s of all", "axis": {"format": "d"}}
    scale = {"domain": names, "range": list(COLOURS[: len(names)])}
    colour = {"field": "quantization", "type": "nominal", "scale": scale}
    each = {"field": "to a GPU", "type": "nominal", "scale": {"domain": ["one", "two"]}}
    plot = {
        "width": 520,
        "height": 360,
        "background": "white",
        "data": {"values": rows},
        "encoding": {"x": x, "color": colour},
        "layer": [
            {
                "mark": {"type": "line", "strokeDash": [2, 4], "strokeWidth": 1, "opacity": 0.7},
                "encoding": {"y": {**y, "field": "ideal"}},
            },
            {
                "transform": [{"filter": "datum['to a GPU'] == 'one'"}],
                "mark": {"type": "line"},
                "encoding": {"y": {**y, "field": "tokens/s"}},
            },
            {
                "mark": {"type": "point", "size": 70, "filled": True, "opacity": 1},
                "encoding": {"y": {**y, "field": "tokens/s"}, "shape": each},
            },
        ],
        "title": {
            "text": "Replicas: tokens/s of all; dotted: if none disturbed another",
            "fontWeight": "normal",
            "fontSize": 12,
            "anchor": "start",
        },
    }
    drawn: str = vl_convert.vegalite_to_svg(plot)
    return drawn


if __name__ == "__main__":
    main()
