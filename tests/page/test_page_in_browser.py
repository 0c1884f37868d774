"""The report in a real headless Chromium: it opens, fetches nothing, and can be used."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.__main__ import main
from benchmarks.page import render
from tests import browsing, builders
from tests.browsing import NAME, Opened
from tests.page.contents import duet_contents, profiles, record, write_duet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROFILE = "benchmarks/test_profile.py::test_profile[int8-decomp-b8-p16-n1]"
EVIL = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>"
COMMITTED = {"commit": EVIL, "branch": EVIL}
SESSIONS = 300


def _write_stacks(folder: Path) -> None:
    """Write what a profile leaves, with markup in a name."""
    folder.mkdir(parents=True)
    stacks = f"a;{EVIL.replace(';', ',')} 500\na;aten::b 400\n"
    (folder / "decode.host.stacks.txt").write_text(stacks)
    (folder / "decode.trace.json.gz").write_bytes(b"")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start the machine's own Chromium, once."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(browsing.chromium())
        except LookupError as missing:
            pytest.skip(str(missing))
        yield found


@pytest.fixture(scope="module")
def opened(browser: Any) -> Iterator[Callable[..., Opened]]:
    """Return a function that opens a file once; what it then says or asks for is an error."""
    pages: dict[tuple[Path, int], Opened] = {}

    def open_(file: Path, width: int, scheme: str = "light") -> Opened:
        if (file, width) not in pages:
            options = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}}
            pages[file, width] = Opened(browser, file, **options)
        return pages[file, width]

    yield open_
    for each in pages.values():
        each.close()


@pytest.fixture(scope="module")
def session_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a judged session with everything on it, and markup in every text."""
    folder = tmp_path_factory.mktemp("session")
    throughput, warmup = NAME.format("int8-decomp", 64), f"benchmarks/x.py::test_{EVIL}"
    head = record(1, new_tokens=64, on_gpu=True, model=EVIL, launches=652)
    head["rounds"][2]["step_s"][30] = 0.041
    head["unmeasured"][EVIL] = EVIL
    head["attestation"] = {"linears": EVIL, EVIL: [EVIL]}
    doubted = record(2, new_tokens=64, model=EVIL)
    doubted["validity"] = {**doubted["validity"], "valid": False, "reasons": [EVIL]}
    profile = record(3, new_tokens=1, model=EVIL)
    profile["profile"] = profiles(on_gpu=True)
    profile["profile"]["decode"]["operators"][0]["name"] = EVIL
    numbers = {"base": 1.0, "head": 1.041, "change": 0.041, "low": 0.031, "high": 0.052, "p": 1e-4}
    verdicts = [
        builders.verdict(throughput, "REGRESSED", **numbers, detail=EVIL, reasons=[EVIL]),
        builders.verdict(throughput, "REGRESSED", metric="ttft_s", **numbers, acknowledged=EVIL),
        builders.verdict(EVIL, "MISSING", kind="-", detail=f"gone: {EVIL}"),
    ]
    base = builders.content(
        (throughput, record(9, new_tokens=64, on_gpu=True, model=EVIL)),
        software={**builders.SOFTWARE, "bitsandbytes": EVIL},
        promoted=builders.promoted(EVIL),
        when="2026-01-01T08:00:00+00:00",
        **COMMITTED,
    )
    judged = builders.content(
        *((throughput, head), (warmup, {**doubted, "cold_process": True}), (PROFILE, profile)),
        **{"passed": False, "exit_status": EVIL, "verdicts": verdicts, **COMMITTED},
    )
    _write_stacks(folder / "artifacts" / "test_profile[int8-decomp-b8-p16-n1]")
    builders.write(folder / "saved" / "0001_base.json", base)
    builders.write(folder / "saved" / "0002_head.json", judged)
    (folder / "saved" / f"0003_{EVIL[:9].replace('/', '')}.json").write_text(EVIL)
    out = folder / "page.html"
    artifacts = ["--artifacts", str(folder / "artifacts")]
    assert main(["report", str(folder / "saved"), "--out", str(out), *artifacts]) == 0
    return out


@pytest.fixture(scope="module")
def duet_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a duet of five restarts whose head is 5 % slower."""
    folder = tmp_path_factory.mktemp("duet")
    write_duet(folder / "saved", duet_contents(5, 1.05))
    assert main(["report", str(folder / "saved"), "--out", str(folder / "page.html")]) == 0
    return folder / "page.html"


@pytest.fixture(scope="module")
def history_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of many sessions on two machines, with two workloads each."""
    return browsing.history(tmp_path_factory.mktemp("history"), SESSIONS)


SIZES = (
    "charts => charts.map(each => each.getBoundingClientRect()).map(box => [box.width, box.height])"
)


def test_a_session_is_drawn_and_its_markup_is_text(
    opened: Callable[..., Opened], session_page: Path
) -> None:
    """Every chart has a size, texts with markup stand there as text, and none of them runs."""
    tab = opened(session_page, 1280)
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
    page = opened(session_page, 1280).page
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
    tab = opened(duet_page, 390)
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
    page = opened(duet_page, 390).page
    row = page.locator(".verdicts tbody tr").first
    for name in ("change", "interval, %", "p"):
        box = row.locator(f"td[data-of='{name}']").bounding_box()
        assert box["width"] > 0
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


def test_a_history_of_two_sessions_has_no_charts(
    opened: Callable[..., Opened], session_page: Path
) -> None:
    """Two points are no course; a line says from when on there are charts."""
    page = opened(session_page, 1280).page
    page.locator("#history").scroll_into_view_if_needed()
    says = page.locator("#history-plots p").inner_text()
    assert re.fullmatch(r"Charts begin with 3 sessions of .*; of these there are 2\.", says)
    assert page.locator("#history-plots .plot").count() == 0


def test_a_long_history_is_small_and_can_be_chosen_from(
    opened: Callable[..., Opened], history_page: Path
) -> None:
    """2,000 sessions fit into 3 MB; commits show on hover; machine and workload can be chosen.

    How soon the charts are there is a figure of real time: `make figures`.
    """
    fixed = len(render.vega().encode())
    assert history_page.stat().st_size - fixed < (3e6 - fixed) * SESSIONS / 2000
    tab = opened(history_page, 1280)
    page = tab.page
    tab.history_drawn()
    assert page.locator("#history-plots h3").first.inner_text() == "Throughput, all rows"
    ticks = page.locator("#history-plots figure:first-child .role-axis-label text")
    said = " ".join(ticks.all_text_contents())
    assert re.search(r"[A-Z][a-z]{2} 2000\s*[0-9a-f]{7}\b", said), said  # a month, its commit
    assert page.locator("#history-plots figure:first-child figcaption a").count() == 1  # a commit
    points = "#history-plots figure:first-child .mark-symbol.role-mark path"
    assert page.locator(points).count() > 0.85 * SESSIONS
    said = tab.tooltip(points, page.locator(points).count() - 1)  # marked ones are drawn last
    assert "commit" in said
    assert "REGRESSED" in said or "baseline" in said
    lines = "#history-plots figure:first-child line[stroke-width='12']"
    assert page.locator(lines).count() == 2  # slower for a while, and back
    said = tab.tooltip(lines)  # in the middle, where no session is
    assert re.search(r"tokens/s → .* tokens/s", said), said
    assert "nightly.json → " in said
    for title, count in (("Round, median", 1), ("Time per output token", 0)):  # of one verdict
        figure = page.locator("#history-plots figure", has=page.get_by_role("heading", name=title))
        figure.locator("summary").click()
        figure.locator("tbody tr").first.wait_for()
        assert figure.locator("tbody td", has_text="REGRESSED").count() == count
    machines = page.locator("#machine-choice option").all_inner_texts()
    assert len(machines) == 2
    before = page.locator("#history-plots figcaption p").first.inner_text()
    page.select_option("#machine-choice", machines[1])
    page.locator(points).nth(SESSIONS // 10 - 1).wait_for(state="attached")  # of the first chart
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
    tab = opened(session_page, width, scheme)
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
    page.emulate_media(media="screen")
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
