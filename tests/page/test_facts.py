"""What a page says of a session and its benchmarks beside figures: modes, and 16 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.page import facts, intake, render, session
from tests import builders
from tests.page.contents import NAME, read, record

COMPILED: dict[str, Any] = {
    "mode": "compiled",
    "cache": "StaticCache",
    "layers": {"StaticLayer": 4},
    "tokens_held": 31,
    "bytes_held": 98_304,
    "compiled": {
        "by": "torch.compile",
        "graphs": 2,
        "graph_breaks": 1,
        "reasons": ["data-dependent branch"],
        "cuda_graphs": False,
        "seconds": 37.81,
        "recompiled_in_rounds": 0,
    },
    "agreement": {"logits_relative_error": 0.0021, "logits_kl_nats": 1e-7},
}
QUANTIZED = {
    "mode": "quantized",
    "cache": "QuantizedCache",
    "bytes_held": 200_000,
    "quantized_bytes": 47_000,
    "bytes_in_16_bits": 168_000,
}


def of_mode(attested: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a benchmark in a mode."""
    found = record()
    found["workload"]["generation"] = attested["mode"]
    return found | {"attestation": {"linears": {"Linear8bitLt": 28}, "generation": attested}}


def mode_table(info: dict[str, Any]) -> dict[str, str]:
    """Return the facts of a benchmark's mode."""
    tables = {title.partition(":")[0]: table for title, table in facts.tables(info)}
    assert "generation" not in str(tables["Attestation"].rows)
    return dict(tables["Generation mode"].rows)


def test_a_mode_is_shown_as_it_was_attested() -> None:
    """Its cache, graphs, breaks with their reasons, and seconds; bytes of a quantized cache."""
    found = mode_table(of_mode(COMPILED))
    assert found["class of the cache"] == "StaticCache"
    assert found["bytes of it"] == "98.3 kB"
    assert (found["graphs"], found["graph breaks"], found["CUDA graphs used"]) == ("2", "1", "no")
    assert found["their first reasons"] == "data-dependent branch"
    assert found["time to compile"] == "37.8 s"
    assert found["logits off dynamic by"] == "0.21 %"
    unbroken = {"graph_breaks": 0, "reasons": [], "cuda_graphs": None}  # as on the CPU
    found = mode_table(of_mode(COMPILED | {"compiled": unbroken}))
    assert found["graph breaks"] == "0"
    assert not {"their first reasons", "CUDA graphs used"} & set(found)
    found = mode_table(of_mode(QUANTIZED))
    assert found["quantized bytes"] == "47 kB"
    assert found["the same in 16 bits"] == "168 kB"
    assert "graphs" not in found


def test_a_session_names_its_modes() -> None:
    """Those of all benchmarks, the default among them, which no workload names."""
    names = (NAME, NAME.replace("b8", "compiled-b8"))
    (found,) = read(builders.content(*zip(names, (record(), of_mode(COMPILED)), strict=True)))
    assert dict(session.facts(found))["Generation"] == "dynamic, compiled"
    assert mode_table(record()) == {}
    workload = dict(list(facts.tables(record()))[-1][1].rows)
    assert workload["generation"] == "dynamic"


def test_a_page_has_the_lines_against_16_bits(tmp_path: Path) -> None:
    """And why there is no agreement; evidence of another shape takes the lines away, no more."""
    ours, half = record(), record(1)
    half["workload"] |= {"quantization": "fp16"}
    half["metrics"] |= {"weights_bytes": 26_748_160}
    ours["metrics"]["top1_agreement"] = None
    ours["unmeasured"]["top1_agreement"] = "m is quantized already; name it by --reference"
    names = (NAME, NAME.replace("int8-decomp", "fp16"))
    contents = builders.content(*zip(names, (ours, half), strict=True))
    page = render.page(intake.select(read(contents)), tmp_path / "page.html")
    assert "<li>int8-decomp against fp16, batch 8: weights 1.72x smaller, " in page
    assert "name it by --reference (int8-decomp)</li>" in page
    contents["benchmarks"][0]["extra_info"]["attestation"] = {"agreement": "fine"}
    contents["benchmarks"][0]["extra_info"]["metrics"]["top1_agreement"] = 1.0
    (odd,) = read(contents)
    assert session.against_half(odd) == []
    assert "Against 16 bits" not in render.page(intake.select([odd]), tmp_path / "page.html")
