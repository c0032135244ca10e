"""A model's way from its manifest to its first token, and what is told when it does not arrive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.local.fake_serve import ENDPOINT, World
from tests.unit.local.manifests import manifest, served
from tests.unit.local.serve_details import application

from freehold.errors import EngineFailed, RayUnavailable
from freehold.local import session as session_module
from freehold.local.metrics import ModelLoad
from freehold.local.session import all_settled
from freehold.local.workload import Served

TO_ZERO = "  autoscaling: {minReplicas: 0, maxReplicas: 2}"
STARTS = (
    "The deployment failed to start 3 times in a row. This may be due to a problem with its "
    "constructor. See controller logs for details. Error:\n{}"
)


@pytest.fixture
def chat(tmp_path: Path) -> Served:
    return served(tmp_path, manifest())[0]


@pytest.fixture
def lazy(tmp_path: Path) -> Served:
    """Return a model that may go to zero."""
    return served(tmp_path, manifest(more=TO_ZERO))[0]


def edited(folder: Path, **changes: object) -> Served:
    return served(folder, manifest(**changes))[0]  # type: ignore[arg-type]


# --- the way up


def test_a_model_goes_from_starting_to_ready(chat: Served) -> None:
    world = World(chat)
    phases = [
        world.step(chat).phase,
        world.step(chat, "DEPLOYING").phase,
        world.step(chat, "DEPLOYING", "a STARTING").phase,
        world.step(chat, "DEPLOYING", "a STARTING").phase,
        world.step(chat, "DEPLOYING", "a").phase,
        world.step(chat, "RUNNING", "a").phase,
    ]
    assert phases == ["Starting", "Starting", "Loading", "Loading", "Loading", "Ready"]
    assert world.asked == [(f"{ENDPOINT}/v1", "chat")]
    assert world.said == []


def test_the_view_says_since_when(chat: Served) -> None:
    world = World(chat)
    assert world.session.views["chat"].since == 100.0
    assert world.step(chat, "DEPLOYING", "a STARTING").since == 101.0
    assert world.step(chat).since == 101.0
    assert world.step(chat, "RUNNING", "a").since == 103.0


def test_the_user_sees_probing_while_the_engine_is_asked(chat: Served) -> None:
    world = World(chat)
    seen = []

    def probe(_url: str, _name: str) -> str:
        seen.append(world.session.views["chat"].phase)
        return ""

    world.session._probe = probe
    world.step(chat, "RUNNING", "a")
    assert seen == ["Probing"]


def test_several_models_have_their_own_phases_and_addresses(tmp_path: Path) -> None:
    first, second = served(tmp_path, manifest("a"), manifest("b"))
    world = World(first, second)
    world.tells(first, "RUNNING", "a1")
    world.step(second, "DEPLOYING", "b1 STARTING")
    views = world.session.views
    assert [views[name].phase for name in ("a", "b")] == ["Ready", "Loading"]
    assert not all_settled(views.values())
    assert world.asked == [(f"{ENDPOINT}/a/v1", "a")]
    world.step(second, "RUNNING", "b1")
    assert all_settled(views.values())
    assert world.asked[1:] == [(f"{ENDPOINT}/b/v1", "b")]


def test_each_engine_that_joins_is_asked_once_at_its_own_address(chat: Served) -> None:
    world = World(chat)
    _, second, third = world.has_own_server("a", "b", "c")
    for told in (["a"], ["a"], ["a", "b STARTING"], ["a", "b"], ["b"], ["b", "c"], ["c"]):
        assert world.step(chat, "RUNNING", *told).phase == "Ready"
    assert [url for url, _ in world.asked] == [f"{ENDPOINT}/v1", second, third]


def test_engines_that_come_up_together_are_each_asked(chat: Served) -> None:
    world = World(chat)
    own = world.has_own_server("a", "b")
    for _ in range(3):
        assert world.step(chat, "RUNNING", "a", "b", target=2).phase == "Ready"
    # the endpoint proves the way; which engine it led to nobody knows
    assert [url for url, _ in world.asked] == [f"{ENDPOINT}/v1", *own]


def test_an_engine_that_joins_and_does_not_answer_is_told_once(chat: Served) -> None:
    world = World(chat)
    (second,) = world.has_own_server("b")
    world.step(chat, "RUNNING", "a")
    world.troubles[second] = None
    assert world.step(chat, "RUNNING", "a", "b").phase == "Ready"
    assert world.said == []
    world.troubles[second] = "HTTP 500: no"
    for _ in range(3):
        assert world.step(chat, "RUNNING", "a", "b").phase == "Ready"
    assert world.said == ["chat: replica b does not answer: HTTP 500: no"]
    # alone it proves nothing: the endpoint is asked anew
    asked = len(world.asked)
    world.step(chat, "RUNNING", "b")
    assert world.asked[asked:] == [(f"{ENDPOINT}/v1", "chat")]


def test_an_engine_that_cannot_be_asked_by_itself_is_believed(chat: Served) -> None:
    world = World(chat)
    for told in (["a"], ["a"], ["a", "b STARTING"], ["a", "b"], ["b"], ["b", "c"], ["c"]):
        assert world.step(chat, "RUNNING", *told).phase == "Ready"
    assert len(world.asked) == 1


def test_it_is_told_while_engines_come_and_go_and_not_while_all_is_still(chat: Served) -> None:
    world = World(chat)
    for _ in range(2):
        world.step(chat, "DEPLOYING", "a STARTING")
    assert world.moves == 2
    for _ in range(3):
        world.step(chat, "RUNNING", "a")
    assert world.moves == 3
    world.step(chat, "RUNNING", "a", "b STARTING")
    # stopped before it ever ran
    world.step(chat, "RUNNING", "a")
    assert world.moves == 5
    world.step(chat, "RUNNING", "a")
    assert world.moves == 5


def test_engines_that_are_all_new_are_asked_again(chat: Served) -> None:
    world = World(chat)
    world.step(chat, "RUNNING", "a")
    assert world.step(chat, "DEPLOYING", "a STOPPING", "b STARTING").phase == "Loading"
    assert len(world.asked) == 1
    assert world.step(chat, "RUNNING", "b").phase == "Ready"
    assert len(world.asked) == 2


def test_an_update_that_leaves_a_proven_engine_running_stays_ready(chat: Served) -> None:
    world = World(chat)
    world.step(chat, "RUNNING", "a")
    assert world.step(chat, "DEPLOYING", "a", "b STARTING").phase == "Ready"


def test_a_model_that_loses_all_its_engines_loads_again(chat: Served) -> None:
    world = World(chat)
    world.step(chat, "RUNNING", "a")
    assert world.step(chat, "UNHEALTHY", "b STARTING").phase == "Loading"
    assert world.said == ["chat: no replica answers now; Serve starts another"]


# --- zero replicas


def test_a_model_at_zero_is_at_rest_and_never_asked(lazy: Served) -> None:
    world = World(lazy)
    for _ in range(3):
        assert world.step(lazy, "RUNNING", target=0).phase == "ScaledToZero"
    assert world.asked == []
    assert all_settled(world.session.views.values())


def test_the_engine_of_each_cold_start_is_asked(lazy: Served) -> None:
    world = World(lazy)
    world.step(lazy, "RUNNING", target=0)
    assert world.step(lazy, "RUNNING", "a STARTING").phase == "Loading"
    assert world.step(lazy, "RUNNING", "a").phase == "Ready"
    assert world.step(lazy, "RUNNING", "a STOPPING", target=0).phase == "ScaledToZero"
    assert world.step(lazy, "RUNNING", target=0).phase == "ScaledToZero"
    assert world.step(lazy, "RUNNING", "b").phase == "Ready"
    assert len(world.asked) == 2


def test_a_model_that_must_have_replicas_is_not_at_rest_without(chat: Served) -> None:
    assert World(chat).step(chat, "RUNNING").phase == "Starting"


def test_a_suspended_model_is_stopped(tmp_path: Path) -> None:
    model = edited(tmp_path, more="  suspend: true")
    world = World(model)
    world.session.step()
    assert world.session.views["chat"].phase == "Stopped"
    assert world.serve.configs[-1]["applications"] == []
    assert all_settled(world.session.views.values())


# --- failures


def test_a_first_start_that_fails_ends_with_the_engines_words(chat: Served) -> None:
    world = World(chat)
    message = STARTS.format("RuntimeError: Traceback (most recent call last):\nValueError: too big")
    with pytest.raises(EngineFailed) as told:
        world.step(chat, "DEPLOYING", "a STARTING", message=message)
    assert str(told.value) == "chat does not start: ValueError: too big"


def test_an_application_that_does_not_build_ends_with_its_words(chat: Served) -> None:
    with pytest.raises(EngineFailed, match="does not start: ImportError: no module vllm"):
        World(chat).step(chat, "DEPLOY_FAILED", message="Traceback\nImportError: no module vllm")


def test_a_first_start_is_not_tried_again(chat: Served) -> None:
    """Somebody waits for it: two more starts of minutes each would end in the same words."""
    message = (
        "A replica failed to start with exception. Retrying 2 more time(s). Error:\nKeyError: x"
    )
    with pytest.raises(EngineFailed, match="chat does not start: KeyError: x"):
        World(chat).step(chat, "DEPLOYING", "a STARTING", message=message)


@pytest.mark.parametrize("message", ["", "The deployments ['X'] are UNHEALTHY."])
def test_a_failure_without_an_error_still_has_words(chat: Served, message: str) -> None:
    with pytest.raises(EngineFailed, match=r"does not start: (Serve does not say why|The deploy)"):
        World(chat).step(chat, "DEPLOY_FAILED", message=message)


def test_the_logs_say_what_serve_does_not_know(chat: Served, tmp_path: Path) -> None:
    (tmp_path / "serve").mkdir()
    passed_on = "RuntimeError: Engine core initialization failed. See root cause above."
    (tmp_path / "serve" / "replica_chat_FreeholdServer_chat_a.log").write_text(passed_on)
    (tmp_path / "serve" / "replica_guard_FreeholdServer_guard_a.log").write_text("KeyError: no")
    cause = "(EngineCore pid=9) ERROR 11-22 [core.py:9] OSError: No space left on device"
    (tmp_path / "worker-worker-of-a-01000000-9.out").write_text(cause)
    world = World(chat, logs=tmp_path)
    world.step(chat, "DEPLOYING", "a STARTING")
    with pytest.raises(EngineFailed) as told:
        # a replica that has failed is not listed any more
        world.step(chat, "DEPLOYING", message=STARTS.format(passed_on))
    assert str(told.value) == "chat does not start: OSError: No space left on device"


def test_what_serve_says_of_this_failure_comes_before_older_words_in_a_log(
    chat: Served, tmp_path: Path
) -> None:
    (tmp_path / "serve").mkdir()
    log = tmp_path / "serve" / "replica_chat_FreeholdServer_chat_a.log"
    log.write_text("ValueError: a request of yesterday asked for too many tokens")
    world = World(chat, logs=tmp_path)
    world.step(chat, "RUNNING", "a")
    world.step(chat, "DEPLOY_FAILED", message="Traceback\nImportError: no module x")
    assert world.said == [
        "chat does not start: ImportError: no module x; the replicas that run go on answering"
    ]


def test_the_output_of_another_models_engine_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    first, second = served(tmp_path, manifest(name="first"), manifest(name="second"))
    (tmp_path / "worker-worker-of-a-01000000-9.err").write_text("ValueError: mine")
    (tmp_path / "worker-worker-of-b-01000000-9.err").write_text("KeyError: of another model")
    world = World(first, second, logs=tmp_path)
    world.tells(first, "DEPLOYING", "a STARTING", message=STARTS.format(""))
    with pytest.raises(EngineFailed, match=r"first does not start: ValueError: mine$"):
        world.step(second, "DEPLOYING", "b STARTING")


def test_a_replicas_own_log_comes_before_its_engines_output(chat: Served, tmp_path: Path) -> None:
    (tmp_path / "serve").mkdir()
    (tmp_path / "serve" / "replica_chat_FreeholdServer_chat_a.log").write_text("ValueError: mine")
    (tmp_path / "worker-worker-of-a-01000000-9.err").write_text("KeyError: of its engine")
    with pytest.raises(EngineFailed, match=r"does not start: ValueError: mine$"):
        World(chat, logs=tmp_path).step(chat, "DEPLOYING", "a STARTING", message=STARTS.format(""))


def test_a_model_that_runs_and_never_answers_ends(chat: Served, tmp_path: Path) -> None:
    (tmp_path / "serve").mkdir()
    log = "torch._inductor.exc.InductorError: C++ compile error"
    (tmp_path / "serve" / "replica_chat_FreeholdServer_chat_a.log").write_text(log)
    world = World(chat, logs=tmp_path)
    world.trouble = "HTTP 500: Internal Server Error"
    with pytest.raises(EngineFailed) as told:
        world.step(chat, "RUNNING", "a")
    assert str(told.value) == (
        "chat runs but does not answer: HTTP 500: Internal Server Error; its log says: "
        "InductorError: C++ compile error"
    )


def test_a_later_start_that_fails_is_only_told_and_only_once(chat: Served) -> None:
    world = World(chat)
    world.step(chat, "RUNNING", "a")
    failure = {"message": STARTS.format("ValueError: too long")}
    for _ in range(3):
        assert world.step(chat, "DEPLOYING", "a", **failure).phase == "Failing"
    assert world.said == [
        "chat does not start: ValueError: too long; the replicas that run go on answering"
    ]
    assert world.step(chat, "RUNNING", "a").phase == "Ready"
    assert len(world.asked) == 1


def test_a_cold_start_that_fails_is_only_told(lazy: Served) -> None:
    world = World(lazy)
    world.step(lazy, "RUNNING", target=0)
    world.step(lazy, "RUNNING", "a STARTING")
    view = world.step(lazy, "RUNNING", "b STARTING", message=STARTS.format("OSError: disk full"))
    assert view.phase == "Failing"
    assert "OSError: disk full" in world.said[0]


def test_a_later_engine_that_does_not_answer_is_only_told_and_asked_again(chat: Served) -> None:
    world = World(chat)
    world.step(chat, "RUNNING", "a")
    world.trouble = "HTTP 500: x"
    assert world.step(chat, "RUNNING", "b").phase == "Failing"
    assert world.said == ["chat runs but does not answer: HTTP 500: x"]
    for _ in range(10):
        assert world.step(chat).phase == "Failing"
    assert len(world.asked) == 2
    world.trouble = ""
    world.now += session_module.ASK_AGAIN_SECONDS
    assert world.step(chat).phase == "Ready"
    assert len(world.asked) == 3


def test_one_model_that_fails_does_not_hide_another(tmp_path: Path) -> None:
    first, second = served(tmp_path, manifest("a"), manifest("b"))
    world = World(first, second)
    world.tells(first, "RUNNING", "a1")
    world.step(second, "RUNNING", "b1")
    world.tells(first, "DEPLOY_FAILED", message="ValueError: x")
    world.step(second)
    assert [view.phase for view in world.session.views.values()] == ["Failing", "Ready"]


# --- edits


def test_an_edit_that_changes_in_place_says_so(chat: Served, tmp_path: Path) -> None:
    world = World(chat)
    world.session.apply([edited(tmp_path, more="  replicas: 2")])
    assert world.said == ["chat: changed in place, no replica restarts"]


def test_an_edit_that_restarts_replicas_names_what_changed(chat: Served, tmp_path: Path) -> None:
    world = World(chat)
    world.session.apply([edited(tmp_path, context=1024)])
    (sentence,) = world.said
    assert sentence.startswith("chat: replicas restart, since these changed: ")
    assert "engine_kwargs.max_model_len" in sentence


def test_a_model_whose_replicas_restart_is_ready_again_with_the_new_engine(
    chat: Served, tmp_path: Path
) -> None:
    world = World(chat)
    world.step(chat, "RUNNING", "a")
    longer = edited(tmp_path, context=1024)
    world.session.apply([longer])
    assert world.step(longer, "DEPLOYING", "a", "b STARTING").phase == "Loading"
    assert world.step(longer, "DEPLOYING", "a", "b").phase == "Loading"
    assert len(world.asked) == 1
    assert world.step(longer, "RUNNING", "b").phase == "Ready"
    assert len(world.asked) == 2


def test_an_edit_without_effect_says_nothing(chat: Served, tmp_path: Path) -> None:
    world = World(chat)
    world.session.apply([edited(tmp_path, more="# a comment")])
    assert world.said == []


def test_suspending_and_resuming_are_told(chat: Served, tmp_path: Path) -> None:
    world = World(chat)
    world.step(chat, "RUNNING", "a")
    world.session.apply([edited(tmp_path, more="  suspend: true")])
    world.session.step()
    assert world.session.views["chat"].phase == "Stopped"
    world.serve.told["applications"].clear()
    world.session.apply([chat])
    assert world.said == ["chat: releasing its hardware", "chat: starting"]
    assert world.step(chat).phase == "Starting"
    assert world.step(chat, "RUNNING", "b").phase == "Ready"
    assert len(world.asked) == 2


def test_a_model_that_is_taken_out_is_told_and_no_longer_sent(tmp_path: Path) -> None:
    first, second = served(tmp_path, manifest("a"), manifest("b"))
    world = World(first, second)
    world.tells(first, "RUNNING", "a1")
    world.tells(second, "RUNNING", "b1")
    world.session.apply([second])
    assert world.said == ["a: removed"]
    assert [item["name"] for item in world.serve.configs[-1]["applications"]] == ["b"]
    assert list(world.session.views) == ["b"]


def test_an_edit_keeps_what_is_known_of_the_model(chat: Served, tmp_path: Path) -> None:
    world = World(chat)
    world.step(chat, "RUNNING", "a")
    new = edited(tmp_path, more="  replicas: 2")
    world.session.apply([new])
    view = world.session.views["chat"]
    assert (view.phase, view.served) == ("Ready", new)
    assert world.step(new, "RUNNING", "a", "b").phase == "Ready"
    assert len(world.asked) == 1


def test_an_edit_that_ray_refuses_is_not_announced(chat: Served, tmp_path: Path) -> None:
    world = World(chat)
    world.serve.refuses = "Ray answered 500"
    with pytest.raises(RayUnavailable):
        world.session.apply([edited(tmp_path, context=1024)])
    assert world.said == []
    assert world.session.views["chat"].served == chat


# --- a Ray that others use


def with_theirs(world: World) -> dict[str, object]:
    config: dict[str, object] = {"name": "shop", "route_prefix": "/shop", "import_path": "shop:app"}
    told = application("shop", route="/shop", config=config)
    world.serve.told["applications"]["shop"] = told
    return config


def test_ours_are_removed_and_theirs_stay(chat: Served) -> None:
    world = World()
    theirs = with_theirs(world)
    world.session.apply([chat])
    assert world.serve.configs[-1]["applications"] == [theirs, chat.application]
    world.tells(chat, "RUNNING", "a")
    world.session.remove_ours()
    assert world.serve.configs[-1]["applications"] == [theirs]
    world.session.remove_ours()
    assert len(world.serve.configs) == 2


def test_nothing_is_removed_where_nothing_was_applied() -> None:
    world = World()
    with_theirs(world)
    world.session.remove_ours()
    assert world.serve.configs == []


def test_what_was_perhaps_applied_is_removed_too(chat: Served) -> None:
    world = World()
    world.serve.refuses = "Ray's dashboard does not answer (timed out)"
    with pytest.raises(RayUnavailable):
        world.session.apply([chat])
    world.serve.refuses = ""
    world.tells(chat, "DEPLOYING")
    world.session.remove_ours()
    assert world.serve.configs[-1]["applications"] == []


def test_the_settings_of_a_foreign_ray_are_kept_and_our_own_are_set(chat: Served) -> None:
    world = World(chat)
    assert world.serve.configs[0]["http_options"] == {"host": "127.0.0.1", "port": 8000}
    world.session._http_options = {"host": "0.0.0.0", "port": 9000}
    world.session.apply([chat])
    config = world.serve.configs[1]
    assert (config["proxy_location"], config["http_options"]["port"]) == ("HeadOnly", 9000)


# --- load


def test_tokens_per_second_come_from_the_engines_counters(
    chat: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(chat)
    world.session._metrics = "http://127.0.0.1:1"
    generated = iter([1000.0, 1600.0, 0.0])

    def fake_metrics(_address: str) -> dict[str, ModelLoad]:
        return {"chat": ModelLoad(running=2.0, waiting=1.0, generated=next(generated))}

    monkeypatch.setattr(session_module, "read_metrics", fake_metrics)
    rates = [world.step(chat, "RUNNING", "a").tokens_per_second for _ in range(9)]
    # read every four seconds; a new engine counts from nothing, and is never negative
    assert rates == [0.0] * 4 + [150.0] * 4 + [0.0]
    load = world.session.views["chat"].load
    assert load is not None
    assert load.waiting == 1.0


def test_load_is_not_known_until_it_is_read_and_when_it_cannot_be(
    chat: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(chat)
    world.session._metrics = "http://127.0.0.1:1"
    told = iter([{}, {"chat": ModelLoad(running=2.0, generated=9.0)}, {}])
    monkeypatch.setattr(session_module, "read_metrics", lambda _address: next(told))
    assert world.session.views["chat"].load is None
    loads = [world.step(chat, "RUNNING", "a").load for _ in range(9)]
    assert [load is None for load in loads] == [True] * 4 + [False] * 4 + [True]


# --- Ray's start


def test_the_session_waits_until_the_dashboard_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr("time.sleep", lambda seconds: setattr(world, "now", world.now + seconds))
    calls = []

    def alive() -> None:
        calls.append(world.now)

    real = world.serve.details

    def details() -> dict[str, object]:
        if world.now < 101:
            raise RayUnavailable("refused")
        return real()

    monkeypatch.setattr(world.serve, "details", details)
    world.session.wait_for_ray(alive, 5.0, lambda: False)
    assert len(calls) == 5
    world.now = 0.0
    with pytest.raises(RayUnavailable, match="did not start in 5 s: refused"):
        world.session.wait_for_ray(alive, 5.0, lambda: False)
    world.now = 0.0
    world.session.wait_for_ray(alive, 5.0, lambda: True)
    assert world.now == 0.0


def test_a_view_is_settled_for_good_once_it_was_ready(chat: Served) -> None:
    world = World(chat)
    assert not world.step(chat, "DEPLOYING").settled
    assert world.step(chat, "RUNNING", "a").settled
    assert world.step(chat, "DEPLOYING", "b STARTING").settled
    assert replace(world.session.views["chat"]).settled
