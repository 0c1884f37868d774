"""The report in a real headless Chromium: it opens, fetches nothing, and can be used."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.__main__ import main
from tests import full_records as made

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
PROFILE = "benchmarks/test_profile.py::test_profile[int8-decomp-b8-p16-n1]"
EVIL = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>"
SESSIONS = 2000


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Start the machine's own Chromium, once; nothing is ever downloaded for it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=found, args=list(FLAGS), chromium_sandbox=os.geteuid() != 0
        )
        yield browser
        browser.close()


class Opened:
    """A page in the browser, and everything that it said and asked for."""

    def __init__(self, browser: Any, file: Path, **options: Any) -> None:
        self.said: list[str] = []
        self.requests: list[str] = []
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        start = perf_counter()
        self.page.goto(file.as_uri())
        self.page.wait_for_selector(".plot svg")
        self.opened_s = perf_counter() - start

    def all_drawn(self) -> None:
        """Wait until all charts are drawn, near the screen or not."""
        self.page.wait_for_selector("html[data-drawn]")

    def tooltip(self, marks: str, n: int = 0) -> str:
        """Return what a chart says when the mouse is over one of its marks."""
        self.page.locator(marks).nth(n).scroll_into_view_if_needed()
        self.page.locator(marks).nth(n).hover(force=True)
        self.page.wait_for_selector("#vg-tooltip-element.visible")
        return str(self.page.locator("#vg-tooltip-element").inner_text())


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Opened]]:
    """Return a function that opens a file; what it then says or asks for fails the test."""
    pages: list[Opened] = []

    def open_(file: Path, **options: Any) -> Opened:
        pages.append(Opened(browser, file, **options))
        return pages[-1]

    yield open_
    for each in pages:
        each.context.close()
        assert each.said == []
        assert [url for url in each.requests if not url.startswith("file:")] == []
        assert len(each.requests) == 1


@pytest.fixture(scope="session")
def session_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a judged session with everything on it, and markup in every text."""
    folder = tmp_path_factory.mktemp("session")
    throughput, warmup = NAME.format("int8-decomp", 64), f"benchmarks/x.py::test_{EVIL}"
    head = made.record(1, new_tokens=64, on_gpu=True, model=EVIL, launches=652)
    head["rounds"][2]["step_s"][30] = 0.041
    head["unmeasured"][EVIL] = EVIL
    head["attestation"] = {"linears": EVIL, EVIL: [EVIL]}
    doubted = made.record(2, new_tokens=64, model=EVIL)
    doubted["validity"] = {**doubted["validity"], "valid": False, "reasons": [EVIL]}
    profile = {**made.record(3, new_tokens=1, model=EVIL), "profile": made.profile(on_gpu=True)}
    profile["profile"]["decode"]["operators"][0]["name"] = EVIL
    numbers = {"base": 1.0, "head": 1.041, "change": 0.041, "low": 0.031, "high": 0.052, "p": 1e-4}
    verdicts = [
        made.verdict(throughput, "round_s", "REGRESSED", **numbers, detail=EVIL, reasons=[EVIL]),
        made.verdict(throughput, "ttft_s", "REGRESSED", **numbers, acknowledged=EVIL),
        made.verdict(EVIL, "round_s", "MISSING", kind="-", detail=f"gone: {EVIL}"),
    ]
    stacks = folder / "artifacts" / "test_profile[int8-decomp-b8-p16-n1]"
    stacks.mkdir(parents=True)
    (stacks / "decode.host.stacks.txt").write_text(
        f"a;{EVIL.replace(';', ',')} 500\na;aten::b 400\n"
    )
    (stacks / "decode.trace.json.gz").write_bytes(b"")
    made.write(
        folder / "saved" / "0001_base.json",
        made.session(
            (throughput, made.record(9, new_tokens=64, on_gpu=True, model=EVIL)),
            hardware=made.GPU,
            software={**made.SOFTWARE, "bitsandbytes": EVIL},
            saved={"passed": True, "promoted": {"when": "2026-01-01", "forced": EVIL}},
            when="2026-01-01T08:00:00+00:00",
            commit=EVIL,
            branch=EVIL,
        ),
    )
    made.write(
        folder / "saved" / "0002_head.json",
        made.session(
            (throughput, head),
            (warmup, {**doubted, "cold_process": True}),
            (PROFILE, profile),
            hardware=made.GPU,
            saved={"passed": False, "exit_status": EVIL, "verdicts": verdicts, "promoted": None},
            commit=EVIL,
            branch=EVIL,
        ),
    )
    (folder / "saved" / f"0003_{EVIL[:9].replace('/', '')}.json").write_text(EVIL)
    out = folder / "page.html"
    artifacts = ["--artifacts", str(folder / "artifacts")]
    assert main(["report", str(folder / "saved"), "--out", str(out), *artifacts]) == 0
    return out


@pytest.fixture(scope="session")
def duet_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a duet of five restarts whose head is 5 % slower."""
    folder = tmp_path_factory.mktemp("duet")
    for restart in range(5):
        for side, slower in (("base", 1.0), ("head", 1.05)):
            record = made.record(restart, slower=slower)
            content = made.session(
                (NAME.format("int8-decomp", 16), record),
                saved={"duet": {"side": side, "restart": restart}},
                when=f"2026-01-0{restart + 1}T08:00:00+00:00",
            )
            made.write(folder / "saved" / f"{restart}_{side}.json", content)
    assert main(["report", str(folder / "saved"), "--out", str(folder / "page.html")]) == 0
    return folder / "page.html"


@pytest.fixture(scope="session")
def history_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of 2,000 sessions on two machines, with two workloads each."""
    folder = tmp_path_factory.mktemp("history")
    names = [NAME.format(each, 8) for each in ("int8-decomp", "int8")]
    chance = random.Random(0)
    for n in range(SESSIONS):
        slower = 1.2 if 900 < n < 1200 else 1.0
        regressed = made.verdict(names[0], "round_s", "REGRESSED", change=0.2)
        content = made.session(
            *((name, made.record(n, slower=slower, new_tokens=8, rounds=2)) for name in names),
            when=f"{2000 + n // 300}-{n // 28 % 12 + 1:02}-{n % 28 + 1:02}T08:00:00+00:00",
            commit=f"{chance.getrandbits(160):040x}",
            hardware=made.CPU if n % 10 else {"device": "cpu", "threads": 2},
            saved={
                "passed": n != 901,
                "exit_status": int(n == 901),
                "verdicts": [regressed] if n == 901 else None,
                "promoted": {"when": "2026-01-01", "forced": None} if n % 100 == 7 else None,
            },
        )
        made.write(folder / "saved" / f"{n:04}_nightly.json", content)
    assert main(["report", str(folder / "saved"), "--out", str(folder / "page.html")]) == 0
    return folder / "page.html"


SIZES = (
    "charts => charts.map(each => each.getBoundingClientRect()).map(box => [box.width, box.height])"
)


def test_a_session_is_drawn_and_its_markup_is_text(
    opened: Callable[..., Opened], session_page: Path
) -> None:
    """Every chart has a size, texts with markup stand there as text, and none of them runs."""
    tab = opened(session_page)
    tab.all_drawn()
    page = tab.page
    count = page.locator(".plot").count()
    sizes = page.eval_on_selector_all(".plot svg", SIZES)
    assert len(sizes) == count > 15
    assert all(width > 200 and height > 60 for width, height in sizes)
    assert page.locator("h1").inner_text().startswith("REGRESSED")
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, main script").count() == 0
    assert page.get_by_text(EVIL).count() > 10
    assert "0003_" in page.locator("#left-out + ul").inner_text()
    assert EVIL in tab.tooltip("[data-plot] .mark-symbol.role-mark path", 0)
    assert page.evaluate("window.hacked") is None


def test_a_flame_graph_widens_and_links_to_its_trace(
    opened: Callable[..., Opened], session_page: Path
) -> None:
    """A selected box takes the whole width, its figures are said, and the root brings all back."""
    page = opened(session_page).page
    boxes = page.locator(".boxes span")
    boxes.first.scroll_into_view_if_needed()
    page.get_by_text("aten::b", exact=True).first.click()
    assert "44.4 %" in page.locator(".status").inner_text()
    whole = page.locator(".boxes").bounding_box()["width"]
    assert page.get_by_text("aten::b", exact=True).first.bounding_box()["width"] > 0.95 * whole
    boxes.first.click()
    assert page.get_by_text("aten::b", exact=True).first.bounding_box()["width"] < 0.5 * whole
    link = page.get_by_role("link", name="trace").get_attribute("href")
    assert (session_page.parent / link.replace("%5B", "[").replace("%5D", "]")).exists()


def test_a_duet_is_compared_on_one_axis(opened: Callable[..., Opened], duet_page: Path) -> None:
    """The verdict comes first, and hovering over an interval says what it is."""
    tab = opened(duet_page)
    assert "REGRESSED" in tab.page.locator("h1").inner_text()
    first = tab.page.locator(".verdicts tbody tr").first.inner_text()
    assert "REGRESSED" in first
    said = tab.tooltip("section[aria-labelledby=comparison] .mark-symbol.role-mark path")
    assert "REGRESSED" in said
    assert "round_s" in said or "_s" in said


def test_a_phone_shows_the_numbers_of_a_verdict(
    opened: Callable[..., Opened], duet_page: Path
) -> None:
    """At 390 pixels change, interval and p of a verdict are on the screen, not beside it."""
    page = opened(duet_page, viewport={"width": 390, "height": 900}).page
    row = page.locator(".verdicts tbody tr").first
    for name in ("change", "interval, %", "p"):
        box = row.locator(f"td[data-of='{name}']").bounding_box()
        assert box["width"] > 0
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


def test_two_thousand_sessions_open_at_once(
    opened: Callable[..., Opened], history_page: Path, figure: Callable[[str], None]
) -> None:
    """Charts are there soon; commits show on hover; machine and workload can be chosen."""
    tab = opened(history_page)
    page = tab.page
    start = perf_counter()
    page.locator("#history").scroll_into_view_if_needed()
    page.wait_for_selector("#history-plots .plot svg")
    figure(
        f"page of {SESSIONS} sessions: first chart after {tab.opened_s:.2f} s, of the history "
        f"{perf_counter() - start:.2f} s after scrolling there, "
        f"{history_page.stat().st_size / 1e6:.2f} MB"
    )
    assert history_page.stat().st_size < 3e6
    points = "#history-plots figure:first-child .mark-symbol.role-mark path"
    assert page.locator(points).count() > 0.85 * SESSIONS
    said = tab.tooltip(points, page.locator(points).count() - 1)  # marked ones are drawn last
    assert "commit" in said
    assert "REGRESSED" in said or "baseline" in said
    machines = page.locator("#machine-choice option").all_inner_texts()
    assert len(machines) == 2
    before = page.locator("#history-plots figcaption p").first.inner_text()
    page.select_option("#machine-choice", machines[1])
    page.wait_for_selector("#history-plots .plot svg")
    assert page.locator("#history-plots figcaption p").first.inner_text() != before
    assert page.locator(points).count() == SESSIONS / 10
    workloads = page.locator("#workload-choice option").all_inner_texts()
    page.select_option("#workload-choice", workloads[1])
    page.locator("#history-plots summary").first.click()
    page.wait_for_selector("#history-plots details[open] tbody tr")
    assert page.locator("#history-plots details[open] tbody tr").count() == SESSIONS / 10


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_every_screen_holds_the_page(
    opened: Callable[..., Opened], session_page: Path, width: int, scheme: str
) -> None:
    """No width scrolls sideways as a whole, on paper neither, and dark is dark, text and lines."""
    tab = opened(session_page, color_scheme=scheme, viewport={"width": width, "height": 900})
    tab.all_drawn()
    page = tab.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for selector, style in (("body", "color"), (".plot svg text", "fill")):
        colour = page.eval_on_selector(selector, f"each => getComputedStyle(each).{style}")
        bright = sum(map(int, colour.strip("rgb()").split(",")))
        assert (bright > 380) == (scheme == "dark")
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.eval_on_selector("body", "each => getComputedStyle(each).backgroundColor")
    assert paper == "rgb(255, 255, 255)"


def test_axe_finds_nothing_serious(browser: Any, session_page: Path, duet_page: Path) -> None:
    """Contrast, names, roles, headings and keyboard: axe-core has no serious objection."""
    package = pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
    axe = Path(package.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    for file, scheme in ((session_page, "light"), (duet_page, "dark")):
        # Axe is put into the page as a script, which its policy would refuse.
        tab = Opened(browser, file, color_scheme=scheme, bypass_csp=True)
        for details in tab.page.locator("details").all()[:12]:
            details.evaluate("each => { each.open = true; }")
        tab.page.evaluate(axe)
        found = tab.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        tab.context.close()
        serious = [
            f"{each['id']} ({each['impact']}): {each['nodes'][0]['html'][:200]}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]
        assert serious == []
