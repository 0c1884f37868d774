"""Sessions in, one self-contained HTML file out: nothing in it is fetched, now or later."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common import files
from benchmarks.common.errors import InputError
from benchmarks.page import banner, comparison, facts, history, session
from benchmarks.page.benchmark import views
from benchmarks.page.figures.kit import CONFIG, Figure
from benchmarks.page.subject import choose_sides
from benchmarks.sessions import commit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.page.figures.flame_graph import Flame
    from benchmarks.page.intake import Intake

FOLDER = Path(__file__).parent
VEGA_LITE = "6.4"
DIGITS = 6  # of a number that is drawn


def write(out: Path, intake: Intake, artifacts: Path | None = None) -> None:
    """Write the page of what was taken in.

    Raises InputError if a package that draws it is missing, or if the file can't be written.
    """
    check(out)
    text = page(intake, out, artifacts)
    with files.whole(out, "the report") as file:
        file.write(text)


def page(intake: Intake, out: Path, artifacts: Path | None = None) -> str:
    """Return the page as HTML; links are relative to `out`."""
    found = choose_sides(intake.sessions, intake.verdicts)
    subject = found.head
    data = Data()
    ours = [(FOLDER / name).read_text(encoding="utf-8") for name in ("page.js", "history.js")]
    scripts = [vega(), "\n".join(ours)]
    content = {
        "banner": banner.banner(found),
        "facts": session.facts(subject),
        "commit_page": commit.page(subject),
        "comparison": found.verdicts is not None and comparison.compare(found),
        "metrics": session.metrics(subject),
        "against_half": session.against_half(subject),
        "figures": session.figures(subject),
        "unmeasured": session.unmeasured(subject),
        "machine": facts.table(subject.machine),
        "views": views(subject, artifacts, out),
        "history": history.history(intake.sessions),
        "left_out": [*found.notes, *intake.left_out],
        "plots": data.plots,
        "number_of": data.flame,
        "style": (FOLDER / "page.css").read_text(encoding="utf-8"),
        "scripts": scripts,
        "policy": policy(scripts),
    }
    data.add("history", content["history"])
    return str(_template().render(content, data=data.as_json))


@cache  # it takes longer to compile than to fill
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


class Data:
    """What the page's script draws, gathered while the page is written."""

    def __init__(self) -> None:
        """Begin with the style of all plots."""
        self._all: dict[str, Any] = {"config": CONFIG, "specs": [], "plots": [], "flames": []}
        self._specs: dict[str, int] = {}

    def add(self, name: str, value: Any) -> None:
        """Add something under its own name."""
        self._all[name] = value

    def plots(self, figure: Figure) -> list[int]:
        """Add the plots of a figure, and return their numbers."""
        first = len(self._all["plots"])
        for spec, rows in map(_packed, figure.plots):
            number = self._specs.setdefault(json.dumps(spec), len(self._specs))
            if number == len(self._all["specs"]):
                self._all["specs"].append(spec)
            self._all["plots"].append([number, rows])
        return list(range(first, len(self._all["plots"])))

    def flame(self, flame: Flame) -> int:
        """Add a flame graph, and return its number."""
        self._all["flames"].append({"total": flame.total, "boxes": flame.boxes})
        return len(self._all["flames"]) - 1

    def as_json(self) -> Any:
        """Return it as JSON that no HTML parser can take for anything else."""
        from jinja2.utils import htmlsafe_json_dumps

        return htmlsafe_json_dumps(
            _drawable(self._all),
            dumps=lambda value, **_: json.dumps(value, separators=(",", ":"), allow_nan=False),
        )


def check(out: Path) -> None:
    """Raise InputError if a package that draws the page is missing, or if it can't be written.

    Nor is a file replaced that is no page: a slip of a name costs nobody a README.
    """
    files.check(out, "the report")
    if not _is_replaced(out):
        raise InputError(
            f"{out}: expected no file, or a page that the report replaces, got another file; "
            "choose another path"
        )
    for name in ("jinja2", "vl_convert"):
        if find_spec(name) is None:
            raise InputError(
                f"a report needs jinja2 and vl-convert-python; can't import {name}; "
                "pip install -e '.[report]'"
            )


def _is_replaced(out: Path) -> bool:
    """Whether a page may stand there instead: of nothing, of an empty file, or of a page."""
    if not out.is_file():
        return True
    try:
        with out.open("rb") as file:  # which may be as large as a model
            begin = file.read(200).lstrip().lower()
    except OSError:  # another user's, which the folder's owner may replace
        return True
    return not begin or begin.startswith(b"<!doctype html")


@cache  # the same for every page
def vega() -> str:
    """Return Vega-Lite, Vega and Vega-Embed as one script, which sets `vegaEmbed`."""
    import vl_convert

    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
    return str(script).replace("</script", "<\\/script").replace("<!--", "<\\!--")


def policy(scripts: Sequence[str]) -> str:
    """Return a content security policy: these scripts alone run, and nothing is ever fetched."""
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:"


def _packed(plot: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Return a plot without its rows, and the rows of the plot and its layers, in order.

    Many plots differ in their rows alone, and rows have their names once.
    """
    layers = [{**layer, "data": None} if "data" in layer else layer for layer in plot["layer"]]
    owners = [plot, *(layer for layer in plot["layer"] if "data" in layer)]
    rows = [_columns(owner["data"]["values"]) for owner in owners]
    return {**plot, "data": None, "layer": layers}, rows


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {"names": names, "rows": [[row.get(name) for name in names] for row in rows]}


def _drawable(value: Any) -> Any:
    """Return JSON values, numbers as precise as they can be drawn."""
    if isinstance(value, dict):
        return {name: _drawable(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_drawable(part) for part in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
