"""The raw events of a finished trace: what the host called, and what the GPU did for it.

Read directly: a JSON trace of the same events takes ten times as long to write and to parse.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

CALL = re.compile(r"cu(?:da)?[A-Z]")  # of CUDA's runtime or driver, as CUPTI names it
LAUNCH = re.compile(r"cu(?:da)?(?:Launch(?:Cooperative)?Kernel|GraphLaunch)")
MEMORY = "[memory]"  # taken or given back, on the host
MOVE = re.compile(r"cu(?:da)?(?:Memcpy|Memset)")


class Event(NamedTuple):
    """One event. A call and what it asked the GPU for have the same `id`."""

    name: str
    on_host: bool
    device: int  # index of the GPU; means nothing on the host
    start_ns: int
    duration_ns: int
    id: int
    operator: int  # id of the operator that asked for it, if it is known
    annotation: bool
    bytes: int  # of an allocation on the host; what is given back is negative

    @property
    def is_call(self) -> bool:
        """Whether it is a call of CUDA's runtime or driver."""
        return self.on_host and CALL.match(self.name) is not None

    @property
    def is_operator(self) -> bool:
        """Whether it is an operator of torch. The profiler's own overhead has no id."""
        other = self.annotation or self.id == 0 or self.is_allocation
        return self.on_host and not other and not CALL.match(self.name)

    @property
    def is_allocation(self) -> bool:
        """Whether it is memory of the host that was taken or given back."""
        return self.name == MEMORY

    @property
    def is_work(self) -> bool:
        """Whether the GPU did it: a kernel, a copy or a memset. Annotations are shown there too."""
        return not self.on_host and not self.annotation


def read(trace: Any) -> list[Event]:
    """Return the events of a finished `torch.profiler.profile`, in the order of the recording.

    There may be hundreds of thousands, and each question takes a microsecond: so none in vain.
    """
    from torch._C._autograd import DeviceType

    cpu = DeviceType.CPU
    found = []
    for each in trace.profiler.kineto_results.events():
        name, on_host = each.name(), each.device_type() == cpu
        is_call = on_host and CALL.match(name) is not None
        found.append(
            Event(
                name,
                on_host,
                -1 if on_host else each.device_index(),
                each.start_ns(),
                each.duration_ns(),
                each.correlation_id(),
                0 if on_host else each.linked_correlation_id(),
                not is_call and each.is_user_annotation(),
                each.nbytes() if name == MEMORY else 0,
            )
        )
    return found


def damage(events: Iterable[Event]) -> str | None:
    """Return what the record of the GPU's work lacks; None if it is complete.

    CUPTI may drop records without a word, most of all after the GPU was idle
    (github.com/pytorch/pytorch/issues/192021), and its buffers may run out, which leaves times of
    zero or an end before a start. So each call that asks the GPU for work must have a record of
    it, and each record must have its times. A dropped kernel would look like a faster one.
    """
    asked: dict[int, str] = {}
    done: set[int] = set()
    for each in events:
        if each.is_work:
            done.add(each.id)
            if each.start_ns <= 0 or each.duration_ns <= 0:
                return f"a record has no times: {each.name[:60]}"
        elif each.on_host and (LAUNCH.match(each.name) or MOVE.match(each.name)):
            asked[each.id] = each.name
    if not done:
        return "nothing was recorded of the GPU"
    if lost := asked.keys() - done:
        example = asked[min(lost)]
        return f"{len(lost):,} of {len(asked):,} calls have no record, such as {example}"
    return None
