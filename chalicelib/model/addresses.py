"""Where the hub will not send: the address table, and how a URL is read before anybody dials it.

Pure: names are not resolved here.  ``chalicelib.resolution`` checks every address of a name with
:func:`refusal`; whoever connects then connects to the very address that was checked.
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple
from urllib.parse import quote, urlsplit

Address = IPv4Address | IPv6Address

# The IANA special-purpose registries, written out: the tables inside ``ipaddress`` differ between
# patch releases of Python.  Blocks with globally reachable exceptions (192.0.0.0/24, 2001::/23) are
# refused whole: nobody keeps an endpoint on an anycast relay.
_V4: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "unspecified"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared"),
    ("127.0.0.0/8", "loopback"),
    ("168.63.129.16/32", "metadata"),
    ("169.254.169.254/32", "metadata"),
    ("169.254.170.2/32", "metadata"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "protocol assignment"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("255.255.255.255/32", "broadcast"),
    ("240.0.0.0/4", "reserved"),
)
_V6: tuple[tuple[str, str], ...] = (
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", "v4-mapped"),
    ("::ffff:0:0:0/96", "v4-translated"),
    ("::/96", "v4-compatible"),
    ("64:ff9b::/96", "nat64"),
    ("64:ff9b:1::/48", "nat64"),
    ("100::/64", "discard"),
    ("2001::/32", "teredo"),
    ("2001::/23", "protocol assignment"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("3fff::/20", "documentation"),
    ("fd00:ec2::/32", "metadata"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
)
_REFUSED_V4 = tuple((IPv4Network(block), kind) for block, kind in _V4)
_REFUSED_V6 = tuple((IPv6Network(block), kind) for block, kind in _V6)
_GLOBAL_V6 = IPv6Network("2000::/3")
"""The only IPv6 space that IANA has given out for global unicast."""

_LOCAL_NAMES = ("localhost", "local", "internal", "home.arpa")
"""Names that no public resolver answers for (RFC 6761, 6762, 8375; ICANN's reservation of ``internal``)."""

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")
_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::([0-9]{1,5}))?")
_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65_535
_LONGEST_NAME = 253
_LONGEST_URL = 2048


class Target(NamedTuple):
    """The parts of a URL that a request needs; ``address`` where the host is an address."""

    scheme: str
    host: str
    port: int
    path: str
    address: Address | None


class BadTargetError(ValueError):
    """A URL that nothing will be sent to; the text says why."""


def refusal(address: Address, private_targets: str) -> str | None:
    """Return the kind of an address that is refused, or ``None`` for one that may be dialled.

    ``private_targets`` is ``refuse`` or ``loopback`` (loopback only is allowed, for a local run).
    """
    if isinstance(address, IPv4Address):
        kind = next((k for block, k in _REFUSED_V4 if address in block), None)
    else:
        plain = IPv6Address(int(address))  # without its zone
        kind = next((k for block, k in _REFUSED_V6 if plain in block), None)
        if kind is None and plain not in _GLOBAL_V6:
            kind = "reserved"
    return None if kind == "loopback" and private_targets == "loopback" else kind


def problem(url: str, private_targets: str) -> str | None:
    """Say what is wrong with a URL as a target, as far as its text tells, or ``None``."""
    try:
        permitted(url, private_targets)
    except BadTargetError as error:
        return str(error)
    return None


def permitted(url: str, private_targets: str) -> Target:
    """Read a URL that may be sent to.  Raises :class:`BadTargetError`; a name's addresses come later."""
    found = target(url)
    if found.scheme == "http" and private_targets == "refuse":
        raise BadTargetError("plain http is refused: use https")
    kind = None
    if found.address is not None:
        kind = refusal(found.address, private_targets)
    else:
        kind = _name_refusal(found.host, private_targets)
    if kind is not None:
        raise BadTargetError(f"address refused: {kind}")
    return found


def target(url: str) -> Target:
    """Read a URL strictly: what two parsers could read differently is an error."""
    if len(url) > _LONGEST_URL:
        raise BadTargetError(f"a URL of more than {_LONGEST_URL} characters")
    if any(c <= " " or c in '\\"<>^`{|}' or c == "\x7f" for c in url):
        raise BadTargetError("a URL with characters that no URL has")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadTargetError(f"not a URL: {error}") from None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS:
        raise BadTargetError("the scheme must be https")
    if "@" in parts.netloc:
        raise BadTargetError("a URL must not hold user information")
    place = _PLACE.fullmatch(parts.netloc)
    if place is None:
        raise BadTargetError("not a host and port")
    port = int(place[2]) if place[2] else _PORTS[scheme]
    if not 0 < port <= _LAST_PORT:
        raise BadTargetError("a port from 1 to 65535")
    host, address = _host(place[1])
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        path += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?[]")
    return Target(scheme, host, port, path, address)


def literal(host: str) -> Address | None:
    """Return the address that a host text means in any of its spellings, or ``None`` for a name.

    Decimal, octal and hex IPv4 with one to four parts are read as the C library reads them; a text that
    ends in a number and is no address raises :class:`BadTargetError`.
    """
    if ":" in host:
        try:
            return IPv6Address(host)
        except ValueError:
            raise BadTargetError("not an IPv6 address") from None
    parts = host.removesuffix(".").split(".")
    if not _NUMBER.fullmatch(parts[-1]):
        return None
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        raise BadTargetError("not an IPv4 address")
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:
        raise BadTargetError("not an IPv4 address") from None
    *high, last = numbers
    if any(each > 0xFF for each in high) or last >= 256 ** (4 - len(high)):
        raise BadTargetError("not an IPv4 address")
    value = last
    for place, each in enumerate(high):
        value += each << (8 * (3 - place))
    return IPv4Address(value)


def _host(text: str) -> tuple[str, Address | None]:
    # Full-width digits and ideographic full stops are digits and dots to a resolver.
    host = unicodedata.normalize("NFKC", text).replace("\u3002", ".").lower()
    if host.startswith("["):
        host = host[1:-1]
        if ":" not in host:
            raise BadTargetError("only an IPv6 address has brackets")
    if not host.isascii():  # first of all: what IDNA drops (a soft hyphen) may hide an address
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            raise BadTargetError("not a host name") from None
    address = literal(host)
    if address is not None:
        return str(address), address
    if len(host) > _LONGEST_NAME or not _NAME.fullmatch(host):
        raise BadTargetError("not a host name")
    return host.removesuffix("."), None


def _name_refusal(host: str, private_targets: str) -> str | None:
    """Return the kind of a name that cannot be public, whatever it resolves to."""
    name = next((each for each in _LOCAL_NAMES if f".{host}".endswith(f".{each}")), None)
    if name == "localhost":
        return None if private_targets == "loopback" else "loopback"
    if name is not None or ("." not in host and private_targets == "refuse"):
        return "local name"
    return None


def _number(text: str) -> int:
    if text[:2] in ("0x", "0X"):
        return int(text[2:] or "0", 16)
    return int(text, 8) if text[0] == "0" else int(text)
