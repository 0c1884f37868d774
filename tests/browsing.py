"""The machine's own Chromium, headless, and the page of a long history to open in it."""

from __future__ import annotations

import os
import random
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.__main__ import main
from tests import builders
from tests.page.contents import record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAME = "benchmarks/test_throughput.py::test_throughput[{}-b8-p16-n{}]"
DRAWN = ".plot > [aria-hidden='true']"  # the page's script hides it from readers once it is whole
PATIENCE_MS = 300_000  # of what is drawn in a second: a machine may stall


@contextmanager
def chromium() -> Iterator[Any]:
    """Start it; nothing is ever downloaded for it. Raises LookupError if it isn't there."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise LookupError("playwright is not installed") from error
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise LookupError(f"no browser: none of {', '.join(BROWSERS)} is installed")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=found,
            args=list(FLAGS),
            chromium_sandbox=os.geteuid() != 0,
            timeout=PATIENCE_MS,
        )
        yield browser
        browser.close()


class Opened:
    """A page in the browser whose first chart is drawn, and all that it said and asked for."""

    def __init__(self, browser: Any, file: Path, **options: Any) -> None:
        self.said: list[str] = []
        self.requests: list[str] = []
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector(DRAWN)

    def all_drawn(self) -> None:
        """Wait until all charts are drawn, near the screen or not."""
        self.page.wait_for_selector("html[data-drawn]")

    def history_drawn(self) -> None:
        """Go to the history, and wait for its first chart."""
        self.page.locator("#history").scroll_into_view_if_needed()
        self.page.wait_for_selector(f"#history-plots {DRAWN}")

    def tooltip(self, marks: str, n: int = 0) -> str:
        """Return what a chart says when the mouse is over one of its marks.

        All charts are drawn first, so that none moves away from the mouse.
        """
        self.all_drawn()
        self.page.mouse.move(0, 0)
        self.page.wait_for_selector("#vg-tooltip-element.visible", state="hidden")
        self.page.locator(marks).nth(n).scroll_into_view_if_needed()
        self.page.locator(marks).nth(n).hover(force=True)
        self.page.wait_for_selector("#vg-tooltip-element.visible")
        return str(self.page.locator("#vg-tooltip-element").inner_text())

    def close(self) -> None:
        """Close it. Raises AssertionError if it said anything, or asked for any other file."""
        self.context.close()
        assert self.said == []
        assert [url for url in self.requests if not url.startswith("file:")] == []
        assert len(self.requests) == 1


def history(folder: Path, sessions: int) -> Path:
    """Write the page of that many sessions on two machines, with two workloads each."""
    names = [NAME.format(each, 8) for each in ("int8-decomp", "int8")]
    chance = random.Random(0)
    for n in range(sessions):
        slower = 1.2 if 0.45 < n / sessions < 0.6 else 1.0
        regressed = builders.verdict(names[0], "REGRESSED", change=0.2)
        worse = n == sessions // 2 + 1
        content = builders.content(
            *((name, record(n, slower=slower, new_tokens=8, rounds=2)) for name in names),
            when=f"{2000 + n // 300}-{n // 28 % 12 + 1:02}-{n % 28 + 1:02}T08:00:00+00:00",
            commit={
                "id": f"{chance.getrandbits(160):040x}",
                "remote": "https://github.com/o/r",
            },
            hardware=builders.CPU if n % 10 else {"device": "cpu", "threads": 2},
            passed=not worse,
            exit_status=int(worse),
            verdicts=[regressed] if worse else None,
            promoted=builders.promoted() if n % 100 == 7 else None,
        )
        builders.write(folder / "saved" / f"{n:04}_nightly.json", content)
    assert main(["report", str(folder / "saved"), "--out", str(folder / "page.html")]) == 0
    return folder / "page.html"
