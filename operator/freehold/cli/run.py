"""``freehold run``: serve manifests on this machine until Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from freehold.cli.live_view import LiveView
from freehold.errors import EngineFailed, FreeholdError, RayUnavailable
from freehold.local.endpoint_key import (
    KEY_VARIABLE,
    EndpointKey,
    endpoint_key,
    require_key,
)
from freehold.local.machine import (
    EVERYWHERE,
    LOOPBACK,
    Demand,
    listening_address,
    require_port,
    require_room,
    require_room_for_change,
    this_machine,
)
from freehold.local.probe import BackgroundProbe
from freehold.local.ray_process import RayProcess
from freehold.local.replica_address import own_address
from freehold.local.serve_rest import ServeRest
from freehold.local.session import POLL_SECONDS, SETTLED_POLL_SECONDS, Session, all_settled
from freehold.local.shared_ray import (
    dashboard_url,
    endpoint_of,
    own_code_uri,
    ray_token,
    send_our_code,
    take_off,
)
from freehold.local.unheeded import unheeded
from freehold.local.workload import Choices, Served, load, require_access
from freehold.render.request_path import DIRECT_ENVIRONMENT
from freehold.render.scaling import replica_bounds

RAY_START_SECONDS = 120.0
# Replicas beyond the largest count of the manifests that an edit may ask for later.
SPARE_REPLICAS = 2
# Time of the last change and size of each file; None for one that is not there.
Stamps = tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line said.

    Attributes:
        files: Manifests.
        stamps: How the files were when they were read.
        host: IPv4 address to listen on: 127.0.0.1, or 0.0.0.0 for all.
        port: Port to listen on.
        address: Dashboard of a Ray that runs already; None for one of our own.
        choices: What the manifests leave open.
        key: What the endpoint asks for; None for nothing.
    """

    files: tuple[Path, ...]
    stamps: Stamps
    host: str
    port: int
    address: str | None
    choices: Choices
    key: EndpointKey | None = None


def _checked(
    check: Callable[[str], str],
) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """Return a callback that turns a value over to ``check``, its ValueError into exit 2."""

    def callback(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
        try:
            return None if value is None else check(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return callback


@click.command(
    epilog="""
    Examples:

    \b
    freehold run examples/gemma-3-270m.yaml
        serves one model at http://127.0.0.1:8000/v1

    \b
    freehold run chat.yaml guard.yaml --port 9000
        serves two side by side, under /<name>/v1

    \b
    freehold run model.yaml --accelerator cpu
        serves a manifest made for GPUs on this machine's cores, if the model is small enough

    \b
    freehold run model.yaml --address http://127.0.0.1:8265
        serves on a Ray cluster that runs already, beside what it serves

    Edit a file while it is served and the change is applied. Ctrl-C stops what was started.
    """
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--host",
    default=LOOPBACK,
    show_default=True,
    callback=_checked(listening_address),
    help=f"Address to listen on; {EVERYWHERE} is every address of this machine.",
)
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to use."
)
@click.option(
    "--address",
    callback=_checked(dashboard_url),
    help="Dashboard of a Ray cluster to serve on, instead of one of our own.",
)
@click.option(
    "--accelerator", "accelerators", multiple=True, help="Class to use, not the manifest's own."
)
@click.option("--offline", is_flag=True, help="Ask no model hub; use what is on this machine.")
def run(
    files: tuple[Path, ...],
    host: str,
    port: int,
    address: str | None,
    accelerators: tuple[str, ...],
    offline: bool,
) -> None:
    """Serve the models of FILES on this machine, without Kubernetes."""
    offline = offline or os.environ.get("HF_HUB_OFFLINE") == "1"
    machine = this_machine() if address is None else None
    choices = Choices(
        vendors=machine.vendors if machine else (),
        gpu=machine.gpu if machine else None,
        accelerators=accelerators,
        offline=offline,
        path="direct" if address is None else "stock",
        code=None if address is None else own_code_uri(),
    )
    stamps = file_stamps(files)
    models = load(files, choices)
    key = None
    if address is None:
        key = endpoint_key(host, [item.model for item in models], os.environ)
    options = RunOptions(files, stamps, host, port, address, choices, key)
    with stopping_on_signals() as stop:
        (on_own_ray if address is None else on_shared_ray)(options, models, stop)


@contextmanager
def stopping_on_signals() -> Iterator[threading.Event]:
    """Turn SIGINT and SIGTERM into an event, so that nothing is left half stopped."""
    stop = threading.Event()

    def note(*_: object) -> None:
        stop.set()

    before = {name: signal.signal(name, note) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def on_own_ray(options: RunOptions, models: tuple[Served, ...], stop: threading.Event) -> None:
    """Start a Ray of our own, serve, and take it down again."""
    require_port(options.host, options.port)
    require_room(this_machine(), [_demand(model, options.choices) for model in models])
    require_access(models, options.choices.offline)
    environment = dict(DIRECT_ENVIRONMENT)
    if options.choices.offline:
        environment |= {"HF_HUB_OFFLINE": "1"}
    view = LiveView()
    key = options.key.value if options.key else None
    if options.host != LOOPBACK:
        view.say(_open_to_all(options))
    ray = RayProcess(cpus=_ray_cpus(models), environment=environment, api_key=key)
    rest = ServeRest(ray.address, ray.token)
    session = Session(
        rest,
        # every address that --host allows takes in this one
        f"http://{LOOPBACK}:{options.port}",
        metrics=ray.metrics_address if view.shows_load else None,
        logs=ray.logs,
        http_options={"host": options.host, "port": options.port},
        say=view.say,
        probe=BackgroundProbe(key),
        moved=ray.take_stock,
        own_address=own_address,
    )
    try:
        view.say("starting Ray")
        ray.start()
        session.wait_for_ray(ray.require_alive, RAY_START_SECONDS, stop.is_set)
        supervise(session, view, options, models, stop, ray.require_alive)
    except (EngineFailed, RayUnavailable) as error:
        kept = ray.keep_logs()
        raise type(error)(f"{error}; logs: {kept}" if kept else str(error)) from error
    finally:
        view.stop("stopping")
        rest.close()
        ray.stop()


def on_shared_ray(options: RunOptions, models: tuple[Served, ...], stop: threading.Event) -> None:
    """Serve on a Ray that runs, beside what it serves, and take only our models off again."""
    assert options.address is not None
    view = LiveView(loads=False)
    rest = ServeRest(options.address, ray_token())
    details = rest.details()
    session = Session(
        rest,
        endpoint_of(details, options.address),
        metrics=None,
        logs=None,
        http_options=None,
        say=view.say,
    )
    ended: FreeholdError | None = None
    try:
        send_our_code(rest)
        supervise(session, view, options, models, stop, lambda: None)
    except FreeholdError as error:
        ended = error
        raise
    finally:
        view.stop("removing our models")
        names = session.views.keys() or {model.name for model in models}
        left = take_off(session, rest, names, stop, view.say)
        rest.close()
        if left and ended is None:
            raise RayUnavailable(left)
        if left:
            # why it ended stays the error of the command
            view.say(f"error: {left}")


def supervise(
    session: Session,
    view: LiveView,
    options: RunOptions,
    models: tuple[Served, ...],
    stop: threading.Event,
    require_alive: Callable[[], None],
) -> None:
    """Apply, watch and reapply on edits until told to stop."""
    for model in models:
        for sentence in (*model.plan.notes, *unheeded(model.model.spec, options.key is not None)):
            view.say(f"{model.name}: {sentence}")
    session.apply(models)
    stamps = options.stamps
    announced = ready = False
    while not stop.is_set():
        require_alive()
        session.step()
        view.show(session.views.values())
        if not announced and all_settled(session.views.values()):
            view.endpoints(session, options.key is not None)
            announced = ready = True
        stop.wait(SETTLED_POLL_SECONDS if all_settled(session.views.values()) else POLL_SECONDS)
        now = file_stamps(options.files)
        if now != stamps:
            stamps = now
            announced = not _reapply(session, view, options) and announced
    if not ready:
        raise KeyboardInterrupt


def _reapply(session: Session, view: LiveView, options: RunOptions) -> bool:
    """Apply the files as they are now; a fault is told and changes nothing."""
    try:
        models = load(options.files, options.choices)
        if options.address is None:
            require_key(options.host, [item.model for item in models], options.key)
            demands = [_demand(model, options.choices) for model in models]
            require_room_for_change(this_machine(), demands)
        session.apply(models)
    except FreeholdError as error:
        view.say(f"the change is not applied:\n{error}")
        return False
    return True


def file_stamps(files: tuple[Path, ...]) -> Stamps:
    """Return how the files are now, to tell later whether somebody has changed them."""
    return tuple(_stamp(file) for file in files)


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _demand(model: Served, choices: Choices) -> Demand:
    return Demand(
        model.name,
        model.plan,
        replica_bounds(model.model.spec)[1],
        pinned=not choices.accelerators and _is_pinned(model),
    )


def _is_pinned(model: Served) -> bool:
    """Return whether the manifest says itself how the model is split on what was chosen."""
    hardware = model.model.spec.hardware
    candidates = hardware.candidates if hardware is not None else ()
    return any(item.name == model.plan.candidate and item.parallelism for item in candidates)


def _ray_cpus(models: tuple[Served, ...]) -> int:
    """Return the cores that Ray is told of: room for every replica at its largest, and some more.

    Ray only counts, and starts an idle process for each; what really runs on this machine's cores
    are the engines' workers. A replica's own process takes one more, and a model that is being
    changed has old and new beside each other.
    """
    cpus = 4
    for model in models:
        per_replica = model.plan.layout.devices * max(model.plan.accelerator.cores, 1) + 1
        cpus += per_replica * (replica_bounds(model.model.spec)[1] + SPARE_REPLICAS)
    return cpus


def _open_to_all(options: RunOptions) -> str:
    """Return who may use the models, and with which key, where nobody could know it otherwise."""
    told = f"--host {options.host}: whoever reaches this machine"
    if options.key is None:
        return f"{told} can use the models on port {options.port}, since they ask for no key"
    if not options.key.generated:
        return f"{told} needs the key of {KEY_VARIABLE} on port {options.port}"
    return (
        f"{told} needs a key on port {options.port}. This one is made for this run alone; set "
        f"{KEY_VARIABLE} to have one that stays:\n\n  export {KEY_VARIABLE}={options.key.value}\n"
    )
