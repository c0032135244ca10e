"""The form of the logs: ours, kopf's and other libraries'."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import kopf
import pytest

from freehold.controller import logs

OURS = logging.getLogger("freehold.controller.test")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave the process's logging as it was."""
    root = logging.getLogger()
    names = ["kopf", "aiohttp", "asyncio", "kubernetes"]
    levels = {name: logging.getLogger(name).level for name in names}
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:], root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def begin(log_format: logs.LogFormat, level: int = logging.INFO) -> io.StringIO:
    stream = io.StringIO()
    logs.configure(log_format, level=level, stream=stream)
    return stream


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return the records; a line that is no JSON object fails."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def kopf_logger() -> logging.LoggerAdapter[Any]:
    """Return the logger that kopf makes for an object, with its settings and the object's name."""
    from kopf._core.actions.loggers import ObjectLogger

    metadata = {"name": "llama", "namespace": "prod", "uid": "u"}
    body = {"apiVersion": "freehold.dev/v1alpha1", "kind": "ModelDeployment", "metadata": metadata}
    return ObjectLogger(body=body, settings=kopf.OperatorSettings())  # type: ignore[arg-type]


def test_a_record_is_one_json_object_on_one_line() -> None:
    stream = begin("json")
    OURS.info("two\nlines of %s", "text")
    (record,) = records(stream)
    assert record.pop("time").endswith("Z")
    assert record == {
        "level": "INFO",
        "logger": "freehold.controller.test",
        "message": "two\nlines of text",
    }


def test_what_is_logged_about_an_object_names_it_in_tasks_and_in_other_loggers_too() -> None:
    stream = begin("json")

    async def below() -> None:
        logging.getLogger("some.library").warning("in a task")

    async def story() -> None:
        with logs.about("ModelDeployment", "prod", "llama"):
            OURS.info("inside")
            await asyncio.create_task(below())
        OURS.info("outside")

    asyncio.run(story())
    inside, task, outside = records(stream)
    named = {"kind": "ModelDeployment", "namespace": "prod", "name": "llama"}
    assert inside.items() >= named.items()
    assert task.items() >= named.items()
    assert not named.keys() & outside.keys()


def test_passes_side_by_side_keep_their_own_names() -> None:
    stream = begin("json")

    async def one(name: str) -> None:
        with logs.about("ModelDeployment", "prod", name):
            await asyncio.sleep(0)
            OURS.info("pass of %s", name)

    async def story() -> None:
        await asyncio.gather(*(one(f"model-{number}") for number in range(5)))

    asyncio.run(story())
    assert [f"pass of {each['name']}" for each in records(stream)] == [
        each["message"] for each in records(stream)
    ]


def test_an_object_without_a_namespace_has_none() -> None:
    stream = begin("json")
    with logs.about("AcceleratorClass", "", "h100"):
        OURS.info("seen")
    (record,) = records(stream)
    assert record["name"] == "h100"
    assert "namespace" not in record


def test_kopf_s_records_come_in_the_same_form_without_its_settings() -> None:
    stream = begin("json")
    kopf_logger().warning("a watch was slow")
    (record,) = records(stream)
    assert set(record) == {"time", "level", "logger", "message", "kind", "namespace", "name"}
    assert (record["namespace"], record["name"]) == ("prod", "llama")


def test_nothing_else_that_hangs_on_a_record_is_written() -> None:
    stream = begin("json")
    OURS.warning("refused", extra={"body": {"env": [{"name": "TOKEN", "value": "s3cret"}]}})
    assert "s3cret" not in stream.getvalue()


def test_an_exception_comes_with_its_traceback_on_the_same_line() -> None:
    stream = begin("json")
    try:
        raise ValueError("lost")
    except ValueError:
        OURS.exception("a pass crashed")
    (record,) = records(stream)
    assert record["exc_info"].endswith("ValueError: lost")


def test_text_is_one_line_too_and_others_cannot_forge_a_line() -> None:
    stream = begin("text")
    with logs.about("ModelDeployment", "prod", "llama"):
        OURS.warning('it said "no"\n2026-01-01T00:00:00.000Z INFO forged é')
    (line,) = stream.getvalue().splitlines()
    assert line.endswith(
        "WARNING freehold.controller.test ModelDeployment prod/llama: "
        'it said "no"\\n2026-01-01T00:00:00.000Z INFO forged é'
    )


def test_text_shows_tracebacks_as_python_does() -> None:
    stream = begin("text")
    try:
        raise ValueError("lost")
    except ValueError:
        OURS.exception("a pass crashed")
    assert stream.getvalue().endswith("ValueError: lost\n")


@pytest.mark.parametrize(
    ("logger", "level"),
    [
        ("kopf.objects", logging.INFO),
        ("kubernetes.aio.client.rest", logging.DEBUG),
        ("aiohttp.access", logging.INFO),
        ("asyncio", logging.INFO),
    ],
)
def test_libraries_that_write_whole_answers_or_every_event_stay_quiet(
    logger: str, level: int
) -> None:
    stream = begin("json", logging.DEBUG)
    logging.getLogger(logger).log(level, "response body: ...")
    OURS.debug("ours")
    assert [each["message"] for each in records(stream)] == ["ours"]


def test_warnings_of_python_are_logged() -> None:
    stream = begin("json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old", stacklevel=1)
        logging.captureWarnings(False)
    (record,) = records(stream)
    assert record["logger"] == "py.warnings"
    assert "old" in record["message"]
