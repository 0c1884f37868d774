"""Which machine a session ran on is known without torch, and names its folder."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.machine import identity
from tests.fake_nvml import FakeNvml

INTEL = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Platinum 8480C\n"
ARM = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n"


@pytest.fixture
def root(tmp_path):
    """Return a folder that stands for a host with an Intel CPU."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(INTEL + "\n" + INTEL.replace("Platinum", "Other"))
    return tmp_path


@pytest.mark.parametrize("visible", [None, "0,1", "GPU-aa"])
def test_the_first_gpu_names_the_folder(root, monkeypatch, visible):
    """Sessions of one model of GPU are in one folder; torch isn't needed for that."""
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    assert identity.folder_name("auto", visible, root) == "fake-gpu"


@pytest.mark.parametrize(
    ("device", "nvml", "visible"),
    [
        ("cpu", FakeNvml(), None),
        ("auto", None, None),
        ("auto", FakeNvml(), ""),
        ("auto", FakeNvml(), "-1"),
        ("auto", FakeNvml(fail=["nvmlInit"]), None),
        ("cuda", FakeNvml(fail=["nvmlDeviceGetName"]), None),
    ],
    ids=["asked for", "no module", "none visible", "hidden", "no driver", "no answer"],
)
def test_without_a_gpu_the_cpu_names_the_folder(root, monkeypatch, device, nvml, visible):
    """If no GPU can be seen, the machine is its CPU, and nothing is raised."""
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    name = identity.folder_name(device, visible, root)
    assert name == "cpu-intel-xeon-platinum-8480c"


def test_what_the_system_does_not_say_is_none(root):
    """Arm gives numbers; an unknown CPU is None, and its folder says unknown."""
    (root / "proc/cpuinfo").write_text(ARM)
    assert identity.cpu_model(root) == "arm 0x41 0xd4f"
    (root / "proc/cpuinfo").write_text("processor\t: 0\n")
    assert identity.cpu_model(root) is None
    assert identity.folder_name("cpu", None, root) == "cpu-unknown"


@given(st.text())
def test_any_name_makes_a_plain_folder(gpu):
    """Whatever a vendor calls its parts, the folder is one path component of plain characters."""
    name = identity._slug(gpu)
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not name.startswith("-")
    assert 0 < len(name) <= identity.LONGEST
