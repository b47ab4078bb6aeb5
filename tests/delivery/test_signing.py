from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cryptography.exceptions import InvalidSignature
from standardwebhooks import Webhook, WebhookVerificationError

from chalicelib.deliver import signing
from chalicelib.deliver.courier import Courier, Hands
from chalicelib.deliver.entry import deliver
from chalicelib.outbound.http import Sender
from chalicelib.security import new_signing_secret, verifying_key
from tests.support.endpoint import Endpoint
from tests.support.world import QUEUE, Middle, World, event, record

# The asymmetric vector of the Svix server, the reference of Standard Webhooks' v1a.
PRIVATE_KEY = (
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
)
PUBLIC_KEY = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
SIGNATURE = (
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)
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


def documented(name: str) -> Callable[[str, Mapping[str, str], bytes], None]:
    """Return a function as the contracts tell receivers to write it."""
    text = (Path(__file__).parents[2] / "docs" / "contracts.md").read_text("utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    found: dict[str, Any] = {}
    exec(compile(block, "contracts.md", "exec"), found)  # noqa: S102 - our own document
    return found[name]  # type: ignore[no-any-return]


verify_hmac, verify_ed25519 = documented("verify_hmac"), documented("verify_ed25519")


def test_an_asymmetric_signature_is_that_of_the_reference() -> None:
    body = b'{"test": 2432232314}'

    headers = signing.headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", body, [(PRIVATE_KEY, None)], 1_614_265_330_999
    )

    assert headers["webhook-signature"] == SIGNATURE
    assert verifying_key(PRIVATE_KEY) == PUBLIC_KEY
    verify_ed25519(PUBLIC_KEY, headers, body)


def test_a_new_key_pair_signs_what_its_public_half_verifies() -> None:
    secret = new_signing_secret("ed25519")
    headers = signing.headers("id1", b"body", [(secret, None)], 0)

    verify_ed25519(verifying_key(secret), headers, b"body")
    for other, body in ((PUBLIC_KEY, b"body"), (verifying_key(secret), b"bodY")):
        with pytest.raises(InvalidSignature):
            verify_ed25519(other, headers, body)


def test_an_hmac_library_verifies_beside_an_asymmetric_signature() -> None:
    now = time.time_ns() // 1_000_000

    headers = signing.headers("id1", b"{}", [(OLD, now + 1000), (PRIVATE_KEY, None)], now)

    assert [each.split(",")[0] for each in headers["webhook-signature"].split()] == ["v1a", "v1"]
    verify_hmac(OLD, headers, b"{}")
    verify_ed25519(PUBLIC_KEY, headers, b"{}")


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
