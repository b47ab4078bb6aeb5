"""Requests become the events of a REST API with proxy integration."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from chalice import Chalice
from chalice.app import Response

from infra.local.gateway import BODY_LIMIT, Answer, Gateway, Request, event_of


def request(
    method: str = "GET", target: str = "/", body: bytes = b"", agent: str = "test"
) -> Request:
    path, _, query = target.partition("?")
    headers = {"host": "h:1", "user-agent": agent}
    return Request(method, path, query, headers, body, "127.0.0.1")


@pytest.mark.parametrize(
    ("path", "resource", "parameters"),
    [
        ("/", "/", None),
        ("/v1/devices", "/{path+}", {"path": "v1/devices"}),
        ("/v1/a%2Fb%20c", "/{path+}", {"path": "v1/a%2Fb%20c"}),
        ("/webhooks/con_x", "/webhooks/{path+}", {"path": "con_x"}),
        ("/webhooks/con_x/a/b%2F", "/webhooks/{path+}", {"path": "con_x/a/b%2F"}),
        ("/webhooks/", "/{path+}", {"path": "webhooks/"}),
        ("/webhooks", "/{path+}", {"path": "webhooks"}),
        ("//x", "/{path+}", {"path": "/x"}),
    ],
)
def test_the_route_and_the_path_as_sent(path: str, resource: str, parameters: Any) -> None:
    event = event_of(request("POST", path))

    assert event["resource"] == event["requestContext"]["resourcePath"] == resource
    assert event["pathParameters"] == parameters
    assert event["path"] == path


def test_the_query_is_decoded_and_none_without_one() -> None:
    event = event_of(request(target="/x?a=1&b=%C3%A4+c&a=2&empty="))

    assert event["queryStringParameters"] == {"a": "2", "b": "ä c", "empty": ""}
    assert event["multiValueQueryStringParameters"] == {
        "a": ["1", "2"],
        "b": ["ä c"],
        "empty": [""],
    }
    assert event_of(request())["queryStringParameters"] is None
    assert event_of(request())["multiValueQueryStringParameters"] is None


def test_a_body_is_base64_and_none_without_one() -> None:
    event = event_of(request("POST", body=b"\x00\xff"))

    assert event["isBase64Encoded"]
    assert base64.b64decode(event["body"]) == b"\x00\xff"
    assert event_of(request())["body"] is None


def test_where_it_comes_from() -> None:
    context = event_of(request(agent="me"))["requestContext"]

    assert context["identity"] == {"sourceIp": "127.0.0.1", "userAgent": "me"}
    assert context["domainName"] == "h:1"
    assert context["stage"]
    assert context["requestId"]


def app() -> Chalice:
    made = Chalice("app")
    methods = ["GET", "POST"]

    @made.route("/", methods=methods, content_types=[])
    @made.route("/{path+}", methods=methods, content_types=[])
    def echo() -> Response:
        asked = made.current_request
        assert asked is not None
        body = {
            "method": asked.method,
            "agent": asked.headers.get("user-agent"),
            "query": asked.query_params,
        }
        headers: dict[str, str | list[str]] = {"content-type": "text/x", "set-cookie": ["a", "b"]}
        return Response(json.dumps(body, default=dict), headers, 201)

    return made


def test_the_answer_comes_back_whole() -> None:
    answer = Gateway(app()).answer(request("POST", "/x?a=1", b"{}"))

    assert answer.status == 201
    assert ("set-cookie", "a") in answer.headers
    assert ("set-cookie", "b") in answer.headers
    assert json.loads(answer.body) == {"method": "POST", "agent": "test", "query": {"a": "1"}}


def test_threads_do_not_see_each_other_s_requests() -> None:
    gateway = Gateway(app())

    def ask(number: int) -> bool:
        answer = gateway.answer(request(agent=str(number)))
        return bool(json.loads(answer.body)["agent"] == str(number))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(400)))


def test_head_is_get_and_other_methods_reach_the_hub() -> None:
    gateway = Gateway(app())

    assert json.loads(gateway.answer(request("HEAD")).body)["method"] == "GET"
    assert json.loads(gateway.answer(request("OPTIONS")).body)["method"] == "OPTIONS"


def problem_of(answer: Answer) -> Any:
    assert ("content-type", "application/problem+json") in answer.headers
    said = json.loads(answer.body)
    assert said["status"] == answer.status
    return said


def test_a_method_nobody_knows_is_405_with_allow() -> None:
    answer = Gateway(app()).answer(request("BREW"))

    assert problem_of(answer)["status"] == 405
    assert dict(answer.headers)["allow"] == "GET, POST"


def test_what_lambda_could_not_take_is_413() -> None:
    answer = Gateway(app()).answer(request("POST", body=b"x" * (BODY_LIMIT + 1)))

    assert problem_of(answer)["status"] == 413


def test_a_function_that_breaks_is_502() -> None:
    gateway = Gateway(app())
    gateway._app = None  # type: ignore[assignment]

    assert problem_of(gateway.answer(request()))["status"] == 502
