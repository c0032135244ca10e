"""What a machine lacks is told before anything starts, with the figures and the way out."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.local.manifests import manifest, served, written

from freehold.errors import MachineUnfit
from freehold.local import machine
from freehold.local.machine import (
    Demand,
    Gpu,
    Machine,
    free_ports,
    listening_address,
    nvidia_gpus,
    require_port,
    require_room,
    require_room_for_change,
    this_machine,
)
from freehold.local.workload import Choices, load

GIB = 1024**3
BIG = Machine(cores=64, available_memory=900 * GIB, compiler="/usr/bin/g++")
L4S = "{name: l4, accelerator: l4-24gb, parallelism: {tensor: 2}}"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder that programs are looked for in."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def fake_nvidia_smi(folder: Path, *lines: str) -> None:
    """Put a program in the driver's place that runs these lines of shell."""
    program = folder / "nvidia-smi"
    program.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    program.chmod(0o755)


def on_cores(folder: Path, replicas: int = 1, tensor: int = 1) -> Demand:
    candidate = f"{{name: cores, accelerator: cpu, parallelism: {{tensor: {tensor}}}}}"
    (model,) = served(folder, manifest(candidates=candidate))
    return Demand("chat", model.plan, replicas)


def on_gpus(folder: Path, replicas: int = 1) -> Demand:
    text = manifest(source="hf://meta-llama/Llama-3.1-8B", candidates=L4S)
    (model,) = load(written(folder, text), Choices(vendors=("nvidia", "cpu"), offline=True))
    return Demand("chat", model.plan, replicas)


# --- ports


def test_a_port_that_is_taken_is_named_with_the_way_out() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(MachineUnfit) as told:
            require_port("127.0.0.1", port)
        with pytest.raises(MachineUnfit):
            require_port("0.0.0.0", port)
    assert f"port {port} on 127.0.0.1 cannot be used (Address already in use)" in str(told.value)
    assert f"ss -ltnp 'sport = :{port}'" in str(told.value)
    assert "--port" in str(told.value)
    require_port("127.0.0.1", port)


def test_a_port_whose_last_connections_linger_can_be_used() -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = listener.accept()
            accepted.close()  # the side that closes first waits in TIME_WAIT
    require_port("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "host.invalid", "a..b"])
def test_an_address_of_another_machine_is_refused_with_the_option_to_change(host: str) -> None:
    with pytest.raises(MachineUnfit, match="choose an address of this machine with --host"):
        require_port(host, 8000)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("localhost", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
    ],
)
def test_a_host_is_turned_into_the_address_that_serve_gets(host: str, address: str) -> None:
    assert listening_address(host) == address


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("", "'' is neither an IPv4 address nor a name"),
        (" ", "' ' is neither"),
        ("host.invalid", "'host.invalid' is neither"),
        ("a..b", "'a..b' is neither"),
        ("127.0.0.1:8000", "is neither"),
        ("::1", "::1 is an IPv6 address, which Ray Serve cannot listen on"),
        ("::", ":: is an IPv6 address"),
        ("[::1]", "is an IPv6 address"),
        ("fe80::1%eth0", "is an IPv6 address"),
        ("192.0.2.1", "cannot listen on 192.0.2.1 by itself"),
        ("127.0.0.2", "cannot listen on 127.0.0.2 by itself"),
    ],
)
def test_a_host_behind_which_nothing_would_answer_is_refused(host: str, words: str) -> None:
    with pytest.raises(ValueError, match="127") as told:
        listening_address(host)
    assert words in str(told.value)
    assert "use 127.0.0.1 (this machine alone) or 0.0.0.0" in str(told.value)


def test_free_ports_are_all_different_and_free() -> None:
    ports = free_ports("127.0.0.1", 40)
    assert len(set(ports)) == 40
    for port in ports:
        require_port("127.0.0.1", port)


def test_the_kernel_gives_nobody_a_free_port_before_it_is_used() -> None:
    handed_out = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert max(free_ports("127.0.0.1", 400)) < int(handed_out[0])


def test_a_machine_without_enough_free_ports_is_refused() -> None:
    with pytest.raises(MachineUnfit, match=r"^9000 free ports from 14000 to 19999 on 127.0.0.1 "):
        free_ports("127.0.0.1", 9000)


# --- GPUs


def test_gpus_are_read_as_the_driver_tells_them(path: Path) -> None:
    fake_nvidia_smi(path, 'echo "NVIDIA L4, 23034"', 'echo "NVIDIA H100 80GB HBM3, 81559"')
    mib = 1024**2
    assert nvidia_gpus() == (
        Gpu("NVIDIA L4", 23034 * mib),
        Gpu("NVIDIA H100 80GB HBM3", 81559 * mib),
    )
    assert this_machine().vendors == ("nvidia", "cpu")


def test_the_driver_is_asked_for_names_and_mebibytes(path: Path) -> None:
    fake_nvidia_smi(path, 'echo "$*, 1"')
    (gpu,) = nvidia_gpus()
    assert gpu.name == "--query-gpu=name,memory.total --format=csv,noheader,nounits"


def test_a_machine_without_the_driver_has_no_gpus(path: Path) -> None:
    assert nvidia_gpus() == ()
    assert this_machine().vendors == ("cpu",)


@pytest.mark.parametrize(
    "lines",
    [
        ('echo "NVIDIA-SMI has failed: could not talk to the driver."', "exit 9"),
        ("kill -9 $$",),
        ("exit 0",),
        ("echo 'No devices were found'",),
        ("echo 'NVIDIA GB10, [N/A]'",),
        ("echo 'NVIDIA L4, '",),
        (r"printf '\377\376 no text, at all\n'",),
    ],
)
def test_a_driver_that_says_nothing_useful_counts_as_none(path: Path, lines: list[str]) -> None:
    fake_nvidia_smi(path, *lines)
    assert nvidia_gpus() == ()


def test_a_driver_that_is_no_program_counts_as_none(path: Path) -> None:
    (path / "nvidia-smi").write_text("not executable")
    assert nvidia_gpus() == ()


def test_a_gpu_without_memory_of_its_own_does_not_hide_the_others(path: Path) -> None:
    fake_nvidia_smi(path, "echo 'NVIDIA GB10, [N/A]'", "echo 'NVIDIA L4, 23034'")
    assert [gpu.name for gpu in nvidia_gpus()] == ["NVIDIA L4"]


# --- room


def test_a_machine_with_room_is_taken(tmp_path: Path) -> None:
    require_room(BIG, [on_cores(tmp_path, replicas=3, tensor=2)])
    require_room(BIG, [])


def test_a_machine_without_a_compiler_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MachineUnfit, match=r"no C\+\+ compiler found.*apt-get install g\+\+"):
        require_room(replace(BIG, compiler=None), [on_cores(tmp_path)])


def test_the_compiler_is_the_one_that_cxx_names(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert this_machine().compiler is None
    monkeypatch.setenv("CXX", "my-c++")
    (path / "my-c++").write_text("#!/bin/sh\n")
    (path / "my-c++").chmod(0o755)
    assert this_machine().compiler == str(path / "my-c++")


def test_one_replica_must_have_its_cores(tmp_path: Path) -> None:
    demand = on_cores(tmp_path, tensor=4)
    with pytest.raises(MachineUnfit) as told:
        require_room(replace(BIG, cores=3), [replace(demand, pinned=True)])
    assert "chat: one replica has 4 workers with 1 core(s) each" in str(told.value)
    assert "has 3 core(s); lower parallelism of cores in spec.hardware" in str(told.value)
    require_room(replace(BIG, cores=4), [demand])


def test_fewer_workers_are_not_asked_of_a_plan_that_took_the_fewest(tmp_path: Path) -> None:
    with pytest.raises(MachineUnfit) as told:
        require_room(replace(BIG, cores=3), [on_cores(tmp_path, tensor=4)])
    sentence = str(told.value)
    assert "these are the fewest of cpu, at 4.0 GiB each, that hold the model" in sentence
    assert "a smaller model, an AcceleratorClass of your own" in sentence
    assert "{extends: cpu, memory: ...}" in sentence
    assert "lower parallelism" not in sentence


def test_memory_is_that_of_all_replicas_and_of_ray(tmp_path: Path) -> None:
    demand = on_cores(tmp_path, replicas=3)
    around = machine.RAY_BYTES + machine.ROUTER_BYTES + 3 * machine.REPLICA_BYTES
    need = 3 * int(demand.device_bytes) + around
    require_room(replace(BIG, available_memory=need), [demand])
    with pytest.raises(MachineUnfit) as told:
        require_room(replace(BIG, available_memory=need - 1), [demand])
    memory = demand.plan.memory
    per_worker = (memory.weights + memory.overhead + memory.kv_cache) / GIB
    sentence = str(told.value)
    assert f"the models need {need / GIB:.1f} GiB of memory" in sentence
    assert f"chat: 3 replicas with 1 workers of {per_worker:.1f} GiB and 1.8 GiB" in sentence
    assert "Ray itself 1.5 GiB" in sentence
    assert f"and {need / GIB:.1f} GiB are available" in sentence
    assert "lower replicas, spec.model.contextLength or engine.args.max_num_seqs" in sentence


def test_several_models_are_added_up(tmp_path: Path) -> None:
    demand = on_cores(tmp_path)
    both = [demand, replace(demand, name="guard")]
    one = int(demand.device_bytes) + machine.ROUTER_BYTES + machine.REPLICA_BYTES
    room = machine.RAY_BYTES + one * 3 // 2
    require_room(replace(BIG, available_memory=room), both[:1])
    with pytest.raises(MachineUnfit, match=r"chat: 1 replicas .*; guard: 1 replicas "):
        require_room(replace(BIG, available_memory=room), both)


def test_a_model_without_replicas_asks_for_nothing(tmp_path: Path) -> None:
    bare = Machine(cores=1, available_memory=3 * GIB, compiler=None)
    require_room(bare, [on_cores(tmp_path, replicas=0, tensor=4)])


def test_gpus_must_be_enough(tmp_path: Path) -> None:
    demand = on_gpus(tmp_path, replicas=2)
    gpus = (Gpu("NVIDIA L4", 23034 * 1024**2),) * 4
    require_room(replace(BIG, gpus=gpus), [demand])
    with pytest.raises(MachineUnfit, match="need 4 GPUs at their largest and this machine has 3"):
        require_room(replace(BIG, gpus=gpus[:3]), [demand])
    with pytest.raises(MachineUnfit, match="this machine has 0; lower replicas or parallelism"):
        require_room(BIG, [demand])


def test_gpus_must_be_of_the_size_that_was_planned_for(tmp_path: Path) -> None:
    small = (Gpu("NVIDIA L4", 23034 * 1024**2), Gpu("Tesla T4", 15360 * 1024**2))
    with pytest.raises(MachineUnfit) as told:
        require_room(replace(BIG, gpus=small), [on_gpus(tmp_path)])
    assert "chat was planned for l4-24gb with " in str(told.value)
    assert "a GPU of this machine has 15.0 GiB; name its class" in str(told.value)


def test_gpus_need_no_compiler_and_no_cores(tmp_path: Path) -> None:
    gpus = (Gpu("NVIDIA L4", 23034 * 1024**2),) * 2
    require_room(Machine(1, 8 * GIB, None, gpus), [on_gpus(tmp_path)])


def test_a_change_is_judged_by_all_memory_since_the_old_models_give_theirs_back(
    tmp_path: Path,
) -> None:
    demand = on_cores(tmp_path, replicas=3)
    full = replace(BIG, available_memory=0, total_memory=100 * GIB)
    require_room_for_change(full, [demand])
    with pytest.raises(MachineUnfit, match=r"4\.0 GiB are available"):
        require_room_for_change(replace(full, total_memory=4 * GIB), [demand])
