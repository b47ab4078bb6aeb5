from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from chalicelib.model.addresses import (
    Address,
    BadTargetError,
    literal,
    permitted,
    problem,
    refusal,
    target,
)
from chalicelib.resolution import checked, resolve

REFUSED = [
    # loopback, in every spelling that some parser takes for 127.0.0.1
    "https://127.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.255.255.254/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0X7F.0.0.1/",
    "https://0x7f.1/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://0177.0x0.0.1/",
    "https://127.0.0.1./",
    "https://①②⑦.0.0.1/",
    "https://127。0。0。1/",
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://a.localhost/",
    "https://127.65535/",
    "https://0x7f.0x0.0x0.0x1/",
    "https://0000000177.0.0.01/",
    "https://017700000001./",
    "https://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
    "https://0\uff587f000001/",
    "https://127\uff0e0\uff0e0\uff0e1/",
    "https://127\uff610\uff610\uff611/",
    "https://127.0.0.1\u00ad/",
    "https://\u200b127.0.0.1/",
    "https://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3/",
    "https://local\u00adhost/",
    "https://127.0.0.1:8443/",
    "https://127.0.0.1#@example.com/",
    "https://127.0.0.1?@example.com/",
    "HTTPS://127.0.0.1",
    # private, shared, link-local, metadata
    "https://10.0.0.1/",
    "https://10.255.255.255/",
    "https://167772161/",
    "https://012.0.0.1/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://169.254.1.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://169.254.170.2/",
    "https://168.63.129.16/",
    "https://[fd00:ec2::254]/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "https://[fd12:3456::1]/",
    "https://[fec0::1]/",
    "https://192.0.0.192/opc/v2/instance/",
    "https://100.100.100.200/latest/meta-data/",
    "https://[fe80::a9fe:a9fe]/",
    "https://metadata.google.internal/",
    "https://INSTANCE-DATA.ec2.internal./",
    "https://printer.local/",
    "https://router.home.arpa/",
    "https://intranet/",
    # the rest of what is not globally reachable
    "https://0.0.0.0/",
    "https://0/",
    "https://0.1.2.3/",
    "https://192.0.0.8/",
    "https://192.0.2.1/",
    "https://192.88.99.1/",
    "https://198.18.0.1/",
    "https://198.51.100.1/",
    "https://203.0.113.1/",
    "https://224.0.0.1/",
    "https://239.255.255.255/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://[::]/",
    "https://[100::1]/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://[2001:2::1]/",
    "https://[2001:10::1]/",
    "https://[ff02::1]/",
    "https://[5f00::1]/",
    "https://[4000::1]/",
    # v4 inside v6
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:0:127.0.0.1]/",
    "https://[64:ff9b::127.0.0.1]/",
    "https://[64:ff9b:1::10.0.0.1]/",
    "https://[2002:7f00:1::]/",
    "https://[2002:a9fe:a9fe::1]/",
    "https://[2001:0:7f00:1::]/",
    "https://[0:0:0:0:0:ffff:127.0.0.1]/",
    "https://[::FFFF:A9FE:A9FE]/",
    "https://[::10.0.0.1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[2002:0a00:0001::]/",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "https://[::ffff:8.8.8.8]/",
]
WRONG = [
    "http://example.com/",
    "ftp://example.com/",
    "//example.com/",
    "example.com",
    "",
    "https://",
    "https:///path",
    "https://user@example.com/",
    "https://user:word@example.com/",
    "https://@example.com/",
    "https://example.com:0/",
    "https://example.com:/",
    "https://example.com:65536/",
    "https://example.com:8o/",
    "https://example.com\\@127.0.0.1/",
    "https://exa mple.com/",
    "https://example.com/\r\nX: y",
    "https://exam\tple.com/",
    "https://[::1]evil.example/",
    "https://[::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://::1/",
    "https://[127.0.0.1]/",
    "https://127.0.0.256/",
    "https://256.1/",
    "https://1.2.3.4.5/",
    "https://0x/x.1.08/",
    "https://08.1.1.1/",
    "https://4294967296/",
    "https://a..b/",
    "https://-a.example/",
    "https://%31%32%37.0.0.1/",
    "https://127.0.0.1%2eexample.com/",
    "https://127.0.0.1%00.example.com/",
    "https://%5B::1%5D/",
    "https://localhost%23.example.com/",
    "https://127.0.0.1@example.com/",
    "https://example.com@127.0.0.1/",
    "https://example.com:443@169.254.169.254/",
    "https://example.com%40127.0.0.1/",
    "https://127.0.0.1\\.example.com/",
    "https:\\\\127.0.0.1/",
    "https:127.0.0.1/",
    "https:/127.0.0.1/",
    "https:////127.0.0.1/",
    "https://[fe80::1%25lo]/",
    "https://[::1%2525lo]/",
    "https://[::1/",
    "https://[::ffff:0x7f.1]/",
    "https://[::ffff:127.0.0.1.]/",
    "https://127.0.0.-1/",
    "https://0x7g/",
    "https://127.0.0.1,example.com/",
    "https://127.0.0.1;example.com/",
    "gopher://127.0.0.1:6379/_x",
    "file:///etc/passwd",
    "https://exam\u2028ple.com/",
    "https://example.com\u0000/",
    "https://example.com\uff0f127.0.0.1/",
    "https://127.0.0.1\uff20example.com/",
    "https://example.com\u2100/",
    "https://" + "a" * 64 + ".example/",
    "https://example.com/" + "a" * 2048,
]


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_nobody_may_reach_is_refused(url: str) -> None:
    detail = problem(url, "refuse")

    assert detail is not None
    assert detail.startswith("address refused: ")


@pytest.mark.parametrize("url", WRONG)
def test_a_url_that_could_be_read_in_two_ways_is_refused(url: str) -> None:
    assert problem(url, "refuse") is not None


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://EXAMPLE.com:8443/a?b=c#d",
        "https://8.8.8.8/",
        "https://192.88.98.255/",
        "https://172.32.0.1/",
        "https://[2606:4700::1111]/",
        "https://bücher.example/ä?q=ö",
        "https://under_score.example/",
    ],
)
def test_a_public_https_url_is_allowed(url: str) -> None:
    assert problem(url, "refuse") is None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/",
        "http://localhost:8000/",
        "https://[::1]/",
        "http://a.example/",
        "http://receiver:8000/",
    ],
)
def test_the_local_run_takes_loopback_and_plain_http(url: str) -> None:
    assert problem(url, "loopback") is None


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/",
        "http://169.254.169.254/",
        "http://0.0.0.0/",
        "http://metadata.google.internal/",
    ],
)
def test_the_local_run_refuses_everything_else_that_is_private(url: str) -> None:
    assert problem(url, "loopback") is not None


def test_a_url_is_taken_apart_as_it_will_be_dialled() -> None:
    found = target("https://Bücher.example:8443/ä b".replace(" ", "%20") + "?q=ö&x=%2F#part")

    assert (found.scheme, found.host, found.port) == ("https", "xn--bcher-kva.example", 8443)
    assert found.path == "/%C3%A4%20b?q=%C3%B6&x=%2F"


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.1", "127.0.0.1"), ("1.2.3", "1.2.0.3"), ("0x10", "0.0.0.16"), ("010.1.1.1", "8.1.1.1")],
)
def test_old_spellings_mean_what_the_c_library_says(text: str, address: str) -> None:
    assert literal(text) == ip_address(address)
    assert socket.inet_ntoa(socket.inet_aton(text)) == address


def test_a_zone_changes_nothing() -> None:
    assert refusal(ip_address("fe80::1%3"), "refuse") == "link-local"


def test_the_tables_are_long_and_say_nothing_twice() -> None:
    assert len({*REFUSED, *WRONG}) == len(REFUSED) + len(WRONG) > 150


def test_one_bad_address_among_good_ones_refuses_the_name() -> None:
    def both(_host: str, _port: int, _seconds: float) -> Sequence[Address]:
        return [ip_address("8.8.8.8"), ip_address("10.0.0.1")]

    with pytest.raises(BadTargetError, match="private"):
        checked(permitted("https://rebinding.example/", "refuse"), "refuse", 1, both)


def test_the_name_of_this_machine_resolves_to_loopback() -> None:
    found = resolve("localhost", 80, 5)

    assert {refusal(address, "refuse") for address in found} == {"loopback"}
