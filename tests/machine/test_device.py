"""What is read of the machine, and what is said where it can't be read."""

import subprocess
import sys

import pytest
import torch

from benchmarks.common.errors import InputError
from benchmarks.common.quantity import Unmeasured
from benchmarks.machine import device, host, nvml
from benchmarks.machine.nvml import Gpu
from tests.fake_nvml import FakeNvml


def test_the_peak_of_resident_memory_is_read_in_bytes(tmp_path):
    """proc(5) gives kibibytes."""
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t   2048 kB\nThreads:\t1\n")
    assert host.peak_resident_bytes(tmp_path) == 2048 * 1024


def test_without_proc_the_peak_is_unmeasured(tmp_path):
    """Where the system doesn't say, there is a reason and no number."""
    assert isinstance(host.peak_resident_bytes(tmp_path), Unmeasured)
    (tmp_path / "status").write_text("Name:\tpython\n")
    assert host.peak_resident_bytes(tmp_path) == Unmeasured(f"{tmp_path / 'status'} has no VmHWM")
    assert host.reset_peak_resident(tmp_path / "none") is False


@pytest.mark.parametrize(
    ("name", "found", "mig", "watts"),
    [
        ("NVIDIA H200", Gpu(FakeNvml(), "GPU-1"), "off", 700.0),
        ("NVIDIA H200", Gpu(FakeNvml(fail=["nvmlDeviceGetMigMode"]), "GPU-1"), None, 700.0),
        ("NVIDIA H200 MIG 1g.18gb", Unmeasured("NVML can't be used"), "on", None),
    ],
)
def test_limits_of_a_gpu_are_null_where_they_are_unknown(monkeypatch, name, found, mig, watts):
    """Power limit and MIG mode decide whether two sessions are comparable: never a guess."""
    monkeypatch.setattr(nvml, "find", lambda _: found)
    limits = device._limits("cuda:0", name)
    assert limits == {"mig_mode": mig, "power_limit_watts": watts}


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["NVIDIA H200"], "cuda:0 (NVIDIA H200)"),
        (["NVIDIA H200"] * 2, "cuda:0, cuda:1 (2 x NVIDIA H200)"),
        (["NVIDIA H200", "NVIDIA L4"], "cuda:0 (NVIDIA H200), cuda:1 (NVIDIA L4)"),
    ],
)
def test_the_heading_names_every_gpu_that_a_model_may_use(monkeypatch, names, says):
    """All visible ones if it is sharded, and else the first."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda each: names[each.index])
    assert device.describe(torch.device("cuda:0"), "auto") == says
    assert device.describe(torch.device("cuda:0")) == f"cuda:0 ({names[0]})"


def test_sharding_needs_gpus():
    """--device-map auto means several GPUs; the CPU is refused with the option's name."""
    with pytest.raises(InputError, match="--device-map auto: expected GPUs"):
        device.resolve("cpu", "auto")


def test_an_fp32_fallback_fails_the_benchmark(pytestconfig, tmp_path):
    """bitsandbytes only warns when an INT8 product is none, from a module that is kept quiet."""
    text = "int8_linear_matmul not supported; falling back to fp32 matmul"
    where = "'ops.py', 1, module='bitsandbytes.backends.cuda.ops'"
    file = tmp_path / "test_fallback.py"
    file.write_text(
        "import warnings\n"
        f"def test_int8(): warnings.warn_explicit({text!r}, RuntimeWarning, {where})\n"
        f"def test_advice(): warnings.warn_explicit('advice', UserWarning, {where})\n"
    )
    options = ["-c", str(pytestconfig.inipath), f"--rootdir={tmp_path}", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 1 passed" in done.stdout
    assert "RuntimeWarning: int8_linear_matmul not supported" in done.stdout
