"""A worker: the process of one side of a duet, which carries out commands one by one.

Requests and answers are lines of JSON on two pipes of their own, which nothing else writes to;
standard output and standard error go to a log. The end of the requests ends the process.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import IO, Any, NoReturn

from benchmarks.common import process
from benchmarks.common.errors import HarnessError, InputError
from benchmarks.duet.worker_tasks import Side

REQUESTS = (
    *("start", "load", "pin", "prepare", "warm_up", "round"),
    *("record", "logits", "compare_logits", "collect"),
)


def serve(requests: IO[str], answers: IO[str]) -> None:
    """Answer each request, in order, until they end.

    What the suite understands is an answer as well; any other error is, with its traceback in the
    log. Between requests the process sleeps in a read.
    """

    def answer(**content: Any) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    side = Side(lambda text: answer(said=text))
    for line in requests:
        request = json.loads(line)
        name = request.pop("do")
        if name == "stop":
            return
        try:
            answer(done=name, **_handler(side, name)(**request))
        except Exception as error:
            traceback.print_exc()
            if not isinstance(error, HarnessError) and name in ("start", "load"):
                error = InputError(f"can't {name}: {type(error).__name__}: {error}")
            answer(failed=type(error).__name__, message=str(error))


def _handler(side: Side, name: str) -> Callable[..., dict[str, Any]]:
    if name not in REQUESTS:
        raise InputError(f"expected one of {', '.join(REQUESTS)}; got {name!r}")
    handler: Callable[..., dict[str, Any]] = getattr(side, name)
    return handler


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a worker on the pipes whose numbers are given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks worker")
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--answers", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args(arguments)
    process.die_with(given.parent, ctypes.CDLL(None) if sys.platform == "linux" else None)
    for descriptor in (given.requests, given.answers):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 (a positional argument of Python's)
    with os.fdopen(given.requests) as requests, os.fdopen(given.answers, "w") as answers:
        serve(requests, answers)
        sys.stdout.flush()
        os._exit(0)  # taking torch apart takes longer than forgetting it
