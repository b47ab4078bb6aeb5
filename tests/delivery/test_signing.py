from __future__ import annotations

import base64
import time

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks import Webhook, WebhookVerificationError

from chalicelib.deliver import signing
from chalicelib.deliver.courier import Courier, Hands
from chalicelib.deliver.entry import deliver
from chalicelib.deliver.http import Sender
from tests.support.endpoint import Endpoint
from tests.support.world import QUEUE, Middle, World, event, record

OLD, NEW = (f"whsec_{base64.b64encode(bytes([n]) * 32).decode()}" for n in (1, 2))


def test_during_an_overlap_both_secrets_sign_and_the_new_one_comes_first() -> None:
    now = time.time_ns() // 1_000_000
    body = '{"text": "ä"}'.encode()

    headers = signing.headers("id1", body, [(OLD, now + 1000), (NEW, None)], now)

    first, second = headers["webhook-signature"].split(" ")
    for secret, signature in ((NEW, first), (OLD, second)):
        Webhook(secret).verify(body, {**headers, "webhook-signature": signature})


def test_a_secret_whose_overlap_is_over_signs_no_more() -> None:
    now = time.time_ns() // 1_000_000

    headers = signing.headers("id1", b"{}", [(NEW, None), (OLD, now)], now)

    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(b"{}", dict(headers))


@pytest.mark.parametrize("batch", [None, {"max_records": 3}])
def test_what_arrives_verifies_and_parses_with_the_public_libraries(
    world: World, endpoint: Endpoint, batch: dict[str, int] | None
) -> None:
    world.aws.clock.now = time.time_ns() // 1_000_000
    config = {"url": endpoint.url, "headers": {"Authorization": "Bearer x"}}
    world.integrate(config=config, batch=batch)
    world.change(secrets=((NEW, None),))
    world.enqueue(1, 2)

    sender = Sender("loopback")
    messages = [record(m) for m in world.aws.sqs.visible(QUEUE)]
    deliver(messages, Courier(world.hub, Hands(sender, Middle())))
    sender.close()

    got = []
    for request in endpoint.requests:
        content = Webhook(NEW).verify(request.body, request.headers)
        got += content if isinstance(content, list) else [content]
        assert request.headers["authorization"] == "Bearer x"
        assert "." not in request.headers["webhook-id"]
        if batch is None:
            parsed = from_http_event(HTTPMessage(request.headers, request.body))
            assert request.headers["webhook-id"] == parsed.get_id()
            assert request.headers["content-type"] == "application/cloudevents+json"
        else:
            assert request.headers["content-type"] == "application/cloudevents-batch+json"
    assert got == [event(1), event(2)]
