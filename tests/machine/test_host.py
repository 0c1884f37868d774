"""Readings of the host, from fake /proc and /sys trees and from this machine."""

import os
import platform
import threading
from unittest.mock import Mock

import pytest

from benchmarks.common.quantity import Unmeasured
from benchmarks.machine import host
from tests.waiting import PATIENCE_S

linux = pytest.mark.skipif(platform.system() != "Linux", reason="needs Linux's /proc")


def write(root, path, text):
    """Write one file below a fake root."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.fixture
def version_2(tmp_path):
    """Return a root with a group of 1.5 cores inside one of 4, both of version 2."""
    write(tmp_path, "proc/self/cgroup", "0::/outer/inner\n")
    groups = (("outer", "400000 100000", 5), ("outer/inner", "150000 100000", 2_500_000))
    for group, quota, throttled in groups:
        folder = f"sys/fs/cgroup/{group}"
        write(tmp_path, f"{folder}/cpu.max", quota + "\n")
        write(tmp_path, f"{folder}/cpu.stat", f"usage_usec 9\nthrottled_usec {throttled}\n")
    write(tmp_path, "sys/fs/cgroup/cpu.stat", "usage_usec 9\n")
    return tmp_path


def test_the_tightest_quota_of_all_groups_counts(version_2):
    """A quota of any group above this process's own limits it as well."""
    assert host.quota_cores(version_2) == 1.5
    assert host.throttled_s(version_2) == 2.5


def test_a_group_of_version_1_is_read_where_it_is_mounted(tmp_path):
    """In a container the path of the group is the host's; the mount is the container's group."""
    write(tmp_path, "proc/self/cgroup", "5:memory:/docker/1a\n4:cpu,cpuacct:/docker/1a\n")
    group = "sys/fs/cgroup/cpu,cpuacct"
    write(tmp_path, f"{group}/cpu.cfs_quota_us", "50000\n")
    write(tmp_path, f"{group}/cpu.cfs_period_us", "100000\n")
    write(tmp_path, f"{group}/cpu.stat", "nr_periods 4\nthrottled_time 3000000000\n")
    assert host.quota_cores(tmp_path) == 0.5
    assert host.throttled_s(tmp_path) == 3.0


def test_the_quota_limits_the_available_cores(version_2):
    """A process with a quota of one and a half cores has no more, whatever its affinity."""
    assert host.facts(2, version_2)["available_cores"] <= 1.5


@pytest.mark.parametrize("quota", ["max 100000", "-1"])
def test_no_quota_is_not_a_number(tmp_path, quota):
    """A group without a quota gives a reason, not 0 and not infinity."""
    write(tmp_path, "proc/self/cgroup", "0::/\n" if "max" in quota else "4:cpu:/\n")
    where = "sys/fs/cgroup/" if "max" in quota else "sys/fs/cgroup/cpu/"
    write(tmp_path, where + ("cpu.max" if "max" in quota else "cpu.cfs_quota_us"), quota + "\n")
    write(tmp_path, where + "cpu.cfs_period_us", "100000\n")
    write(tmp_path, where + "cpu.stat", "")
    assert host.quota_cores(tmp_path) == Unmeasured("no control group sets a CPU quota")


def test_counters_are_read_in_base_units(tmp_path):
    """Memory stalls, swapped pages and CPU time come out in seconds and counts."""
    total = "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull total=0\n"
    write(tmp_path, "proc/pressure/memory", total)
    write(tmp_path, "proc/vmstat", "nr_free_pages 5\npswpin 3\npswpout 4\n")
    write(tmp_path, "proc/stat", "cpu  100 0 50 9000 7 1 2 47 0 0\ncpu0 1 1\n")
    write(tmp_path, "proc/self/task/1/schedstat", "5 2000000000 9\n")
    write(tmp_path, "proc/self/task/2/schedstat", "5 500000000 9\n")
    counters = host.snapshot(tmp_path)
    tick = os.sysconf("SC_CLK_TCK")
    assert counters["memory_stall_s"] == 1.5
    assert counters["swapped_pages"] == 7
    assert counters["machine_busy_s"] == 200 / tick
    assert counters["machine_steal_s"] == 47 / tick
    assert counters["core_wait_s"] == 2.5


def test_governors_are_named_once(tmp_path):
    """Cores with the same governor name it once."""
    for core, name in enumerate(["powersave", "performance", "powersave"]):
        write(tmp_path, f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor", name + "\n")
    assert host.facts(1, tmp_path)["governor"] == "performance, powersave"


def test_without_proc_and_sys_every_field_has_a_reason(tmp_path):
    """As on macOS: what can't be read is a reason that names the file, and the rest is there."""
    readings = host.snapshot(tmp_path) | host.facts(1, tmp_path)
    missing = {name for name, value in readings.items() if isinstance(value, Unmeasured)}
    assert missing >= {
        "core_wait_s", "machine_busy_s", "machine_steal_s", "throttled_s", "memory_stall_s",
        "swapped_pages", "quota_cores", "governor",
    }  # fmt: skip
    assert f"{tmp_path}/proc/stat (No such file or directory)" in readings["machine_busy_s"].reason
    assert isinstance(readings["cpu_s"], float)
    assert readings["available_cores"] >= 1


def test_a_python_without_affinity_says_so(monkeypatch, tmp_path):
    """Python on macOS has no sched_getaffinity; the machine's cores stand in for it."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    facts = host.facts(1, tmp_path)
    assert "sched_getaffinity" in facts["affinity_cores"].reason
    assert facts["available_cores"] == os.cpu_count()


def test_a_file_without_permission_is_a_reason(monkeypatch, version_2):
    """A container may forbid a file; the session goes on."""

    def refuse(path, **_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.read_text", refuse)
    assert "Permission denied" in host.quota_cores(version_2).reason
    assert "Permission denied" in host.snapshot(version_2)["memory_stall_s"].reason


def test_a_file_in_another_form_is_a_reason(tmp_path):
    """A kernel that writes something else gives no number, and no traceback."""
    write(tmp_path, "proc/stat", "")
    write(tmp_path, "proc/vmstat", "pswpin many\n")
    counters = host.snapshot(tmp_path)
    assert isinstance(counters["machine_busy_s"], Unmeasured)
    assert isinstance(counters["swapped_pages"], Unmeasured)


@linux
def test_this_machine_is_read():
    """CPU time and switches of this very process move as it works."""
    before = after = host.snapshot()
    threading.Event().wait(0.001)  # gives the core away once, of its own will
    while after["cpu_s"] == before["cpu_s"]:
        after = host.snapshot()
    assert after["cpu_s"] > before["cpu_s"]
    assert after["voluntary_switches"] > before["voluntary_switches"]


@linux
@pytest.mark.parametrize("place", [0.0, 0.49, 0.99, 1.0])
def test_a_thread_keeps_to_the_core_that_its_place_draws(place):
    """The same place draws the same core, one that may be used; other threads stay where they are.

    So does one of the watch's that begins before the block, and this one when it ends.
    """
    had, ready, done = os.sched_getaffinity(0), threading.Event(), threading.Event()
    found = {}

    def look():
        assert ready.wait(PATIENCE_S)
        found["other"] = os.sched_getaffinity(0)
        done.set()

    threading.Thread(target=look).start()
    core = host.core_at(place)
    assert core == sorted(had)[min(int(place * len(had)), len(had) - 1)]
    with host.kept_to(core):
        ready.set()
        assert done.wait(PATIENCE_S)
        found["this"] = os.sched_getaffinity(0)
    assert found == {"other": had, "this": {core}}
    assert os.sched_getaffinity(0) == had


def test_without_affinity_a_thread_goes_where_it_likes(monkeypatch):
    """MacOS has none, and a container can forbid it."""
    if hasattr(os, "sched_setaffinity"):
        monkeypatch.setattr(os, "sched_setaffinity", Mock(side_effect=PermissionError))
        assert host.core_at(0.5) is None
        monkeypatch.delattr(os, "sched_setaffinity")
    assert host.core_at(0.5) is None
    with host.kept_to(None):
        pass
