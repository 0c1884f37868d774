"""Count the calls of every quantization in fresh processes, and say whether all are the same.

python -m tests.tools.calls_figures [PROCESSES] [MODEL]; not collected by pytest. Exits with 1 where
two processes of the same code don't agree to the last call.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict

from benchmarks.config.options import OPTIONS
from benchmarks.config.quantization import QUANTIZATIONS
from benchmarks.config.settings import build_settings

PROCESSES = 5
CALLS = ("python_calls", "c_calls", "operators_total")


def main(arguments: list[str]) -> int:
    """Start the processes one after the other, and print what each quantization has."""
    count = int(arguments[0]) if arguments else PROCESSES
    model = arguments[1:2]
    found: defaultdict[str, list[str]] = defaultdict(list)
    for _ in range(count):
        command = [sys.executable, "-m", __spec__.name, "--one", *model]  # type: ignore[name-defined]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        for quantization, record in json.loads(done.stdout.splitlines()[-1]).items():
            found[quantization].append(json.dumps(record, sort_keys=True))
    for quantization, records in found.items():
        decode = json.loads(records[0])["decode"]
        steps = json.loads(records[0])["decode_steps"]
        totals = ", ".join(f"{decode[name]:,} {name}" for name in CALLS)
        alike = len(set(records)) == 1
        says = f"{count} processes alike" if alike else f"{len(set(records))} DIFFERENT RECORDS"
        print(f"{quantization}: {totals} in {steps[1] - steps[0]} decode steps: {says}", flush=True)
    return int(any(len(set(records)) > 1 for records in found.values()))


def one(model: list[str]) -> None:
    """Count each quantization in this process, and print all of it as one line of JSON."""
    from benchmarks.evidence import counters
    from benchmarks.model import loading
    from benchmarks.model.target import find_target

    defaults = {option.dest: option.default for option in OPTIONS}
    defaults |= {"model": model[0] if model else None}
    settings = build_settings(defaults.get, os.environ)
    target = find_target(settings, lambda _: None)
    workload = target.workload(settings.batch_sizes[0], settings.new_tokens)
    counted = {}
    for quantization in QUANTIZATIONS:
        with loading.load(target, quantization, cold=False) as engine:
            engine.prepare(workload)
            counted[quantization] = counters.count(engine, workload).record
    print(json.dumps(counted))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2:])
    else:
        sys.exit(main(sys.argv[1:]))
