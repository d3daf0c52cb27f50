"""Memory limits of the groups that a process is in, on a tree of files like the kernel's."""

from pathlib import Path

import pytest

from hypercl.training import cgroups
from hypercl.training.cgroups import memory_limit, memory_room

JOB = "system.slice/slurmstepd.scope/job_7/step_0"


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cgroups, "_MOUNT", tmp_path)
    monkeypatch.setattr(cgroups, "_OWN", tmp_path / "own")
    (tmp_path / "own").write_text(f"4:cpu,memory:/slurm/job_7\n0::/{JOB}\n")
    return tmp_path


def version_2(group: Path, limit: str, used: int, idle: int) -> None:
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.max").write_text(limit)
    (group / "memory.current").write_text(str(used))
    (group / "memory.stat").write_text(f"anon 5\ninactive_file {idle}\n")


def version_1(group: Path, limit: int, used: int, idle: int) -> None:
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.limit_in_bytes").write_text(str(limit))
    (group / "memory.usage_in_bytes").write_text(str(used))
    (group / "memory.stat").write_text(f"inactive_file 1\ntotal_inactive_file {idle}\n")


def test_without_a_limit_nothing_is_said(mount: Path) -> None:
    assert (memory_limit(), memory_room()) == (None, None)
    version_2(mount / JOB, "max", 900, 300)
    assert (memory_limit(), memory_room()) == (None, None)


def test_the_limit_of_a_containers_only_group_counts_though_the_path_is_the_hosts(mount: Path) -> None:
    version_2(mount, "1000", 900, 300)
    assert (memory_limit(), memory_room()) == (1000, 400)


@pytest.mark.parametrize("group", [JOB, "system.slice/slurmstepd.scope/job_7"], ids=["step", "job"])
def test_a_limit_of_any_group_around_the_process_counts(mount: Path, group: str) -> None:
    for parent in Path(JOB).parents:
        version_2(mount / parent, "max", 9000, 0)
    version_2(mount / group, "1000", 900, 300)
    assert (memory_limit(), memory_room()) == (1000, 400)


def test_the_strictest_group_counts_of_limit_and_of_room_each(mount: Path) -> None:
    version_2(mount / JOB, "1000", 100, 0)
    version_2(mount / "system.slice", "5000", 4800, 0)
    assert (memory_limit(), memory_room()) == (1000, 200)


def test_version_1_has_its_controller_in_a_folder_and_counts_the_groups_within(mount: Path) -> None:
    version_1(mount / "memory" / "slurm" / "job_7", 1000, 900, 300)
    version_1(mount / "memory", 2**63 - 4096, 10**9, 0)
    assert (memory_limit(), memory_room()) == (1000, 400)
