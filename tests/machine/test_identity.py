"""Which machine a session ran on is known without torch, and names its folder."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.machine import identity
from tests.fake_nvml import MIB, FakeNvml, NVMLError

INTEL = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Platinum 8480C\n"
ARM = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n"


class Rack(FakeNvml):
    """Boards by slot; that in slot 2 is in MIG mode, and has one instance."""

    boards = ("GPU-aa1", "GPU-ab2", "GPU-mig")

    def nvmlDeviceGetCount(self):  # noqa: D102, N802 (pynvml's names)
        return len(self.boards)

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: D102, N802
        return self.boards[index]

    def nvmlDeviceGetUUID(self, board):  # noqa: D102, N802
        return board.encode()

    def nvmlDeviceGetName(self, handle):  # noqa: D102, N802
        return {"GPU-aa1": b"NVIDIA H200", "MIG-1": b"NVIDIA H200 MIG 1g.18gb"}.get(
            handle, b"Other"
        )

    def nvmlDeviceGetMigMode(self, handle):  # noqa: D102, N802
        if handle.startswith("MIG"):
            raise NVMLError("Invalid Argument")
        return [int(handle == "GPU-mig"), 0]

    def nvmlDeviceGetEnforcedPowerLimit(self, handle):  # noqa: D102, N802
        if handle.startswith("MIG"):
            raise NVMLError("Not Supported")
        return 700_000

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: D102, N802
        return SimpleNamespace(total=(18_000 if handle == "MIG-1" else 143_771) * MIB, used=0)

    def nvmlDeviceGetMigDeviceHandleByIndex(self, board, index):  # noqa: D102, N802
        assert (board, index) == ("GPU-mig", 0)
        return "MIG-1"

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, instance):  # noqa: D102, N802
        assert instance == "MIG-1"
        return "GPU-mig"


@pytest.fixture
def root(tmp_path):
    """Return a folder that stands for a host with an Intel CPU."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(INTEL + "\n" + INTEL.replace("Platinum", "Other"))
    return tmp_path


def test_the_facts_of_a_gpu_machine_name_its_folder(root):
    """GPU, memory, number, power limit, MIG mode and CPU decide, and are read without torch."""
    facts = identity.facts("auto", Rack(), "0,1", root)
    assert facts == {
        "device": "cuda",
        "gpu": "NVIDIA H200",
        "gpu_memory_bytes": 143_771 * MIB,
        "gpu_count": 2,
        "mig_mode": "off",
        "power_limit_watts": 700.0,
        "cpu_model": "Intel(R) Xeon(R) Platinum 8480C",
    }
    name = identity.folder_name(facts)
    assert name.startswith("nvidia-h200-140gib-x2-700w-intel-xeon-platinum-8480c-")
    assert len(name.rpartition("-")[2]) == 6


@pytest.mark.parametrize(
    "change", ["gpu", "gpu_count", "mig_mode", "power_limit_watts", "cpu_model"]
)
def test_each_deciding_fact_makes_another_folder(root, change):
    """Two machines that differ in one fact never share a folder."""
    facts = identity.facts("auto", Rack(), "0", root)
    other = facts | {change: 600.0 if change == "power_limit_watts" else "other"}
    assert identity.folder_name(facts) != identity.folder_name(other)


def test_a_driver_that_reserves_more_memory_makes_no_other_machine(root):
    """A few megabytes less of the same board is the same board."""
    facts = identity.facts("auto", Rack(), "0", root)
    less = facts | {"gpu_memory_bytes": facts["gpu_memory_bytes"] - 300 * MIB}
    assert identity.folder_name(facts) == identity.folder_name(less)


@pytest.mark.parametrize(
    ("visible", "gpu", "count"),
    [
        ("0", "NVIDIA H200", 1),
        ("1,0", "Other", 2),
        ("GPU-aa", "NVIDIA H200", 1),
        ("0,-1,1", "NVIDIA H200", 1),
        ("0,9", "NVIDIA H200", 1),
        ("2", "NVIDIA H200 MIG 1g.18gb", 1),
        ("MIG-1", "NVIDIA H200 MIG 1g.18gb", 1),
        (None, "NVIDIA H200", 3),
    ],
)
def test_the_visible_gpus_are_those_of_cuda(root, visible, gpu, count):
    """CUDA_VISIBLE_DEVICES is read as CUDA does, MIG instances included."""
    facts = identity.facts("auto", Rack(), visible, root)
    assert (facts["gpu"], facts["gpu_count"]) == (gpu, count)
    assert facts["mig_mode"] == ("on" if "MIG" in gpu else "off")
    assert facts["power_limit_watts"] == 700.0


@pytest.mark.parametrize(
    ("device", "nvml", "visible"),
    [
        ("cpu", Rack(), None),
        ("auto", None, None),
        ("auto", Rack(), ""),
        ("auto", Rack(), "GPU-a"),
        ("auto", Rack(fail=["nvmlInit"]), None),
        ("cuda", Rack(fail=["nvmlDeviceGetCount"]), None),
    ],
    ids=["asked for", "no module", "none visible", "ambiguous", "no driver", "no answer"],
)
def test_without_a_gpu_the_cpu_and_its_cores_decide(root, device, nvml, visible):
    """Where no GPU can be seen, the machine is its CPU, and nothing is raised."""
    facts = identity.facts(device, nvml, visible, root)
    assert set(facts) == {"device", "cpu_model", "available_cores"}
    assert identity.folder_name(facts).startswith("cpu-intel-xeon-platinum-8480c-")
    one = identity.folder_name(facts | {"available_cores": 1.5})
    assert one.startswith("cpu-intel-xeon-platinum-8480c-1.5-cores-")
    assert one != identity.folder_name(facts | {"available_cores": 2})


def test_what_the_system_does_not_say_is_none(root):
    """Arm gives numbers; an unknown CPU is None, and its folder says unknown."""
    (root / "proc/cpuinfo").write_text(ARM)
    assert identity.cpu_model(root) == "arm 0x41 0xd4f"
    (root / "proc/cpuinfo").write_text("processor\t: 0\n")
    assert identity.cpu_model(root) is None
    facts = {"device": "cpu", "cpu_model": None, "available_cores": None}
    assert identity.folder_name(facts).startswith("cpu-unknown-")


@given(st.text(), st.none() | st.text())
def test_any_name_makes_a_plain_folder(gpu, cpu):
    """Whatever a vendor calls its parts, the folder is one path component of plain characters."""
    facts = {
        "device": "cuda",
        "gpu": gpu,
        "gpu_memory_bytes": None,
        "gpu_count": 1,
        "mig_mode": None,
        "power_limit_watts": None,
        "cpu_model": cpu,
    }
    name = identity.folder_name(facts)
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert not name.startswith(("-", "."))
    assert len(name) < 150
