"""Take the README's picture of a report: `make examples`.

The top of the page, with its first benchmark, as a Chromium that is installed shows it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1000, 1490
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def main(page: Path, picture: Path) -> None:
    """Write the picture of a page."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"make examples: expected one of {', '.join(BROWSERS)}; install one")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--disable-gpu"])
        view = {"width": WIDTH, "height": HEIGHT}
        tab = chromium.new_page(viewport=view, color_scheme="light")
        tab.goto(page.resolve().as_uri())
        tab.wait_for_selector("html[data-drawn]")
        if not tab.title().startswith("VALID"):
            sys.exit(f"make examples: expected a valid session, got {tab.title()}; measure again")
        tab.screenshot(path=picture)
        chromium.close()
    if smaller := shutil.which("pngquant"):  # a third of the size, and looks the same
        subprocess.run([smaller, "--force", "--ext=.png", "128", str(picture)], check=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
