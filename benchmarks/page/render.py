"""Sessions in, one self-contained HTML file out: nothing in it is fetched, now or later."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import verdict, verdict_table
from benchmarks.harness.errors import InputError
from benchmarks.harness.outcome import Outcome
from benchmarks.page import compared, history, session, sides
from benchmarks.page.figure import CONFIG, Figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.harness.outcome import Verdict
    from benchmarks.harness.sessions import Session
    from benchmarks.page.intake import Intake
    from benchmarks.page.profiles import Flame

FOLDER = Path(__file__).parent
VEGA_LITE = "6.4"
MISSING = "the report needs vl-convert-python and jinja2, got no {name}; pip install -e '.[report]'"


SUSPICIOUS = 11  # exit status
SAYS = {
    Outcome.REGRESSED: "Something got worse",
    Outcome.INVALID: "The machine couldn't be believed, or the session failed",
    Outcome.NOT_COMPARABLE: "Something couldn't be compared",
    Outcome.MISSING: "Something wasn't there to compare",
    Outcome.INCONCLUSIVE: "Not enough data for a verdict",
}


@dataclass(frozen=True)
class Banner:
    """What a reader sees first: a word of state, a sentence, and what it rests on."""

    state: str
    headline: str
    lines: Sequence[str]


def write(out: Path, intake: Intake, artifacts: Path | None = None) -> None:
    """Write the page of what was taken in.

    Raises InputError where a package that draws it is missing, or the file can't be written.
    """
    text = page(intake, out, artifacts)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{out}: can't write the report ({error.strerror}); choose another path"
        ) from error


def page(intake: Intake, out: Path, artifacts: Path | None = None) -> str:
    """Return the page as HTML; links are relative to `out`."""
    jinja2, vega = tools()
    found = sides.sides(intake.sessions)
    subject = found.head
    data, markup = Data(), jinja2.utils.markupsafe.Markup
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = [vega, (FOLDER / "page.js").read_text(encoding="utf-8")]
    content = {
        "banner": banner(subject, found.verdicts),
        "facts": session.facts(subject),
        "comparison": found.verdicts is not None
        and compared.compare(found.verdicts, found.basis, found.base, subject),
        "metrics": session.metrics(subject),
        "figures": session.figures(subject),
        "no_light": session.no_light(subject),
        "unmeasured": session.unmeasured(subject),
        "machine": session.machine(subject),
        "views": session.views(subject, artifacts, out),
        "history": history.history(intake.sessions),
        "left_out": intake.left_out,
        "plots": data.plots,
        "number_of": data.flame,
        "style": markup((FOLDER / "page.css").read_text(encoding="utf-8")),
        "scripts": [markup(text) for text in scripts],
        "policy": policy(scripts),
    }
    data.add("history", content["history"])
    body = environment.get_template("page.html").render(content, data=lambda: data.as_json(jinja2))
    return str(body)


class Data:
    """What the page's script draws, gathered while the page is written."""

    def __init__(self) -> None:
        """Begin with the style of all plots."""
        self._all: dict[str, Any] = {"config": CONFIG, "plots": [], "flames": []}

    def add(self, name: str, value: Any) -> None:
        """Add something under its own name."""
        self._all[name] = value

    def plots(self, figure: Figure) -> list[int]:
        """Add the plots of a figure, and return their numbers."""
        first = len(self._all["plots"])
        self._all["plots"] += [_packed(each) for each in figure.plots]
        return list(range(first, len(self._all["plots"])))

    def flame(self, flame: Flame) -> int:
        """Add a flame graph, and return its number."""
        self._all["flames"].append({"total": flame.total, "boxes": flame.boxes})
        return len(self._all["flames"]) - 1

    def as_json(self, jinja2: Any) -> Any:
        """Return it as JSON that no HTML parser can take for anything else."""
        return jinja2.utils.htmlsafe_json_dumps(
            _finite(self._all), dumps=lambda value, **_: json.dumps(value, separators=(",", ":"))
        )


def tools() -> tuple[Any, str]:
    """Return jinja2, and the scripts of Vega-Lite and what it needs, as one module.

    Raises InputError where one of them isn't installed.
    """
    try:
        import jinja2
        import vl_convert
    except ImportError as error:
        raise InputError(MISSING.format(name=error.name)) from error
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
    return jinja2, str(script).replace("</script", "<\\/script").replace("<!--", "<\\!--")


def policy(scripts: Sequence[str]) -> str:
    """Return a content security policy: these scripts alone run, and nothing is ever fetched."""
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:"


def banner(subject: Session, verdicts: Sequence[Verdict] | None) -> Banner:
    """Return the verdict, or where nothing was compared, whether the session can be believed."""
    doubts = [
        f"{history.short(name)}: {reason}"
        for name, measured in subject.measured.items()
        for reason in (measured.info.get("validity") or {}).get("reasons") or ()
    ]
    lines = [*doubts]
    if subject.saved.get("passed") is False:
        lines.insert(
            0, f"The session didn't pass (exit status {subject.saved.get('exit_status')})."
        )
    if verdicts is not None:
        state, says = _verdict(verdicts)
        return Banner(state, says, [f"{verdict_table.counts(verdicts)}.", *lines])
    lines.append("Nothing was compared; pytest benchmarks --gate, or a duet, does.")
    if doubts:
        return Banner("INVALID", "The machine couldn't be believed meanwhile", lines)
    judged = [measured.info.get("validity") for measured in subject.measured.values()]
    if None in judged:
        return Banner("NOT JUDGED", "Whether the machine could be believed is not known", lines)
    return Banner("VALID", f"The machine could be believed in {_benchmarks(len(judged))}", lines)


def _verdict(verdicts: Sequence[Verdict]) -> tuple[str, str]:
    """Return the word and the sentence for verdicts, in the order of the exit status."""
    open_ = [each for each in verdicts if each.acknowledged is None]
    if any(each.suspicious for each in open_) and verdict.exit_status(verdicts) == SUSPICIOUS:
        return "SUSPICIOUS", "Beyond what the baselines vary; a duet decides it"
    for outcome, says in SAYS.items():
        if any(each.outcome is outcome for each in open_):
            return outcome.value, says
    if verdict.exit_status(verdicts):
        return "NOT COMPARABLE", "Nothing was compared"
    return "PASSED", "Nothing got worse"


def _benchmarks(count: int) -> str:
    return "the benchmark" if count == 1 else f"all {count} benchmarks"


def _packed(plot: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plot whose rows have their names once."""

    def pack(data: Mapping[str, Any]) -> dict[str, Any]:
        rows = data["values"]
        names = list(dict.fromkeys(name for row in rows for name in row))
        return {"names": names, "rows": [[row.get(name) for name in names] for row in rows]}

    layers = [
        {**layer, "data": pack(layer["data"])} if "data" in layer else layer
        for layer in plot["layer"]
    ]
    return {**plot, "data": pack(plot["data"]), "layer": layers}


def _finite(value: Any) -> Any:
    """Return JSON values with null for what isn't finite: JavaScript has no NaN in its JSON."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
