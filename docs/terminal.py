"""A terminal's output as a picture: dark in itself, so that any page can show it."""

from __future__ import annotations

import re
from html import escape
from itertools import count

SIZE, LINE, LETTER = 13, 20, 7.8  # pixels: of the letters, from line to line, and of a letter
EDGE = 20
PAPER, FRAME, INK, QUIET, RED, GREEN, YELLOW = (
    "#0d1117",
    "#3d444d",
    "#e6edf3",
    "#9198a1",
    "#ff7b72",
    "#7ee787",
    "#e3b341",
)
COLOURS = (  # the first that is found colours that part of a line
    (r"\bREGRESSED\b|\bFAILED\b|\b[1-9]\d* regressed\b|^exit status [1-9].*", RED),
    (r"\bIMPROVED\b|\bNO CHANGE\b", GREEN),
    (r"\bINCONCLUSIVE\b|\bINVALID\b", YELLOW),
)


def picture(lines: list[str]) -> str:
    """Return an SVG of these lines; each keeps its width, whatever font is there."""
    width = round(max(map(len, lines)) * LETTER + 2 * EDGE)
    height = len(lines) * LINE + 2 * EDGE
    rows = [_row(line, EDGE + LINE * at - 6) for line, at in zip(lines, count(1), strict=False)]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" font-size="{SIZE}" '
            'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, '
            'monospace">',
            f'<rect width="100%" height="100%" rx="8" fill="{PAPER}" stroke="{FRAME}"/>',
            *rows,
            "</svg>\n",
        )
    )


def _row(line: str, baseline: int) -> str:
    """Return a line as parts of one colour each; a command is bold, what is indented quiet."""
    if not line:
        return ""
    parts = [(line, QUIET if line.startswith((" ", "…")) else INK)]
    for pattern, colour in COLOURS:
        parts = [piece for text, ink in parts for piece in _split(text, ink, pattern, colour)]
    spans = "".join(f'<tspan fill="{ink}">{_text(text)}</tspan>' for text, ink in parts)
    bold = ' font-weight="600"' if line.startswith("$ ") else ""
    width = round(len(line) * LETTER, 1)
    return f'<text x="{EDGE}" y="{baseline}" textLength="{width}"{bold}>{spans}</text>'


def _text(text: str) -> str:
    """Return a text whose spaces stay: an SVG would join them."""
    return escape(text).replace(" ", "\N{NO-BREAK SPACE}")


def _split(text: str, ink: str, pattern: str, colour: str) -> list[tuple[str, str]]:
    """Return the text in parts, of which those that match have a colour of their own."""
    parts, at = [], 0
    for found in re.finditer(pattern, text):
        parts += [(text[at : found.start()], ink), (found[0], colour)]
        at = found.end()
    return [(part, its) for part, its in (*parts, (text[at:], ink)) if part]
