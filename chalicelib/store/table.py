"""DynamoDB in five verbs over plain values; the rest of the store never sees a typed attribute."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from chalicelib.aws import Hub

Plain = dict[str, Any]
"""An item as plain values: str, int, float, bytes, bool."""
VERSION = "ver"
LATEST = "l"
_REFUSED = "ConditionalCheckFailedException"
INDEXES = {"by_time": ("g1pk", "g1sk"), "by_state": ("g2pk", "g2sk")}


class Key(NamedTuple):
    """Where an item is."""

    pk: str
    sk: str


class ConflictError(Exception):
    """Somebody else wrote the item since it was read: read again, decide again."""


class Table:
    """The hub's one table."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.name = hub.config.table
        self.marked: set[Key] = set()
        """Month markers that this process knows to be written."""

    def remember(self, key: Key, always: Plain, once: Plain) -> bool:
        """Write what a vendor said: ``always`` replaces, ``once`` is kept from the first writing.

        Writing the same again changes nothing, so DynamoDB sends no stream record for it.  Returns
        whether all of ``always`` stood there already (the answer carries it for nothing).  Where
        ``always`` holds ``l`` (when it was said last), something said earlier writes nothing.
        """
        names = {f"#{n}": n for n in (*always, *once)}
        values = {f":{n}": marshal(v) for n, v in (*always.items(), *once.items())}
        terms = [f"#{n} = :{n}" for n in always]
        terms += [f"#{n} = if_not_exists(#{n}, :{n})" for n in once]
        arguments: Plain = {
            "TableName": self.name,
            "Key": _key(key),
            "UpdateExpression": f"SET {', '.join(terms)}",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ReturnValues": "UPDATED_OLD",
        }
        if LATEST in always:
            arguments["ConditionExpression"] = "attribute_not_exists(#l) OR #l <= :l"
        try:
            answer = self.hub.dynamodb.update_item(**arguments)
        except Exception as error:
            if _code(error) != _REFUSED:
                raise
            return True
        before = answer.get("Attributes", {})
        return all(
            n in before and _plain(before[n]) == value for n, value in always.items() if n != LATEST
        )

    def add(self, key: Key, numbers: Mapping[str, int], latest: Plain) -> None:
        """Add to numbers of an item, and set what is simply the latest.  Twice is twice."""
        names = [*latest, *numbers]
        values = {f":{n}": marshal({**latest, **numbers}[name]) for n, name in enumerate(names)}
        terms = [f"#{n} = :{n}" for n in range(len(latest))]
        sums = [f"#{n} :{n}" for n in range(len(latest), len(names))]
        self.hub.dynamodb.update_item(
            TableName=self.name,
            Key=_key(key),
            UpdateExpression=f"SET {', '.join(terms)} ADD {', '.join(sums)}",
            ExpressionAttributeNames={f"#{n}": name for n, name in enumerate(names)},
            ExpressionAttributeValues=values,
        )

    def replace(self, key: Key, item: Plain, read: Plain | None) -> None:
        """Write an item that follows from ``read``.  Raises :class:`ConflictError` if that is outdated."""
        version = int(read[VERSION]) if read else 0
        typed = {n: marshal(v) for n, v in item.items() if v is not None}
        typed |= _key(key) | {VERSION: {"N": str(version + 1)}}
        arguments: Plain = {"TableName": self.name, "Item": typed}
        if read:
            arguments["ConditionExpression"] = "#v = :v"
            arguments["ExpressionAttributeNames"] = {"#v": VERSION}
            arguments["ExpressionAttributeValues"] = {":v": {"N": str(version)}}
        else:
            arguments["ConditionExpression"] = "attribute_not_exists(#p)"
            arguments["ExpressionAttributeNames"] = {"#p": "pk"}
        try:
            self.hub.dynamodb.put_item(**arguments)
        except Exception as error:
            if _code(error) == _REFUSED:
                raise ConflictError(str(key)) from error
            raise

    def put(self, key: Key, item: Plain) -> None:
        """Write an item whatever was there before."""
        typed = {n: marshal(v) for n, v in item.items() if v is not None}
        self.hub.dynamodb.put_item(TableName=self.name, Item=typed | _key(key))

    def put_many(self, items: Mapping[Key, Plain]) -> None:
        """Write many items whatever was there before."""
        wanted = [
            {
                "PutRequest": {
                    "Item": _key(key) | {n: marshal(v) for n, v in item.items() if v is not None}
                }
            }
            for key, item in items.items()
        ]
        for start in range(0, len(wanted), 25):
            pending: Any = {self.name: wanted[start : start + 25]}
            while pending:
                pending = self.hub.dynamodb.batch_write_item(RequestItems=pending).get(
                    "UnprocessedItems"
                )

    def get(self, key: Key, *, consistent: bool = True) -> Plain | None:
        """Return an item, or ``None``."""
        answer = self.hub.dynamodb.get_item(
            TableName=self.name, Key=_key(key), ConsistentRead=consistent
        )
        found = answer.get("Item")
        return unmarshal(found) if found else None

    def get_many(self, keys: Iterable[Key], *, consistent: bool = False) -> dict[Key, Plain]:
        """Return those of many items that exist."""
        wanted = list(dict.fromkeys(keys))
        found: dict[Key, Plain] = {}
        for start in range(0, len(wanted), 100):
            request = {
                "Keys": [_key(k) for k in wanted[start : start + 100]],
                "ConsistentRead": consistent,
            }
            pending: Any = {self.name: request}
            while pending:
                answer = self.hub.dynamodb.batch_get_item(RequestItems=pending)
                for typed in answer["Responses"].get(self.name, []):
                    item = unmarshal(typed)
                    found[Key(item["pk"], item["sk"])] = item
                pending = answer.get("UnprocessedKeys")
        return found

    def delete(self, key: Key) -> None:
        """Remove an item; removing what is not there is fine."""
        self.hub.dynamodb.delete_item(TableName=self.name, Key=_key(key))

    def query(
        self,
        pk: str,
        low: str = "",
        high: str = "",
        *,
        index: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        after: Plain | None = None,
        consistent: bool = False,
    ) -> tuple[list[Plain], Plain | None]:
        """Return one page of a partition, both ends inclusive, and where the next begins.

        ``after`` is the plain key of the last item seen (with the index's attributes, on an index).
        """
        pk_name, sk_name = INDEXES[index] if index else ("pk", "sk")
        condition, values = "#p = :p", {":p": {"S": pk}}
        names = {"#p": pk_name}
        if low or high:
            condition += " AND #s BETWEEN :l AND :h"
            names["#s"] = sk_name
            # DynamoDB refuses BETWEEN with its ends the wrong way round: that range is empty.
            if (high or _TOP) < low:
                return [], None
            values |= {":l": {"S": low or " "}, ":h": {"S": high or _TOP}}
        arguments: Plain = {
            "TableName": self.name,
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ScanIndexForward": not descending,
        }
        if index:
            arguments["IndexName"] = index
        else:
            arguments["ConsistentRead"] = consistent
        if limit:
            arguments["Limit"] = limit
        if after:
            arguments["ExclusiveStartKey"] = {n: marshal(v) for n, v in after.items()}
        answer = self.hub.dynamodb.query(**arguments)
        last = answer.get("LastEvaluatedKey")
        return [unmarshal(i) for i in answer["Items"]], unmarshal(last) if last else None

    def walk(self, pk: str, low: str = "", high: str = "", **options: Any) -> Iterator[Plain]:
        """Yield a whole range of a partition, page by page."""
        after = None
        while True:
            items, after = self.query(pk, low, high, after=after, **options)
            yield from items
            if after is None:
                return


_TOP = "\U0010ffff"


@lru_cache(maxsize=8)
def table_of(hub: Hub) -> Table:
    """Return the table of a hub, the same one each time: it remembers what it has marked."""
    return Table(hub)


def position(item: Plain, index: str | None = None) -> Plain:
    """Return the plain key by which a query continues after ``item``."""
    names = ("pk", "sk", *(INDEXES[index] if index else ()))
    return {name: item[name] for name in names}


def marshal(value: Any) -> Any:
    """Return DynamoDB's typed form of a plain value."""
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bytes):
        return {"B": value}
    return {"N": str(value)}


def unmarshal(item: Mapping[str, Any]) -> Plain:
    """Return the plain form of an item from an API answer or from a stream event."""
    return {name: _plain(typed) for name, typed in item.items()}


def pack(value: Any, *, sort_keys: bool = False) -> bytes:
    """Return JSON bytes, compressed where that makes them smaller.

    With ``sort_keys`` equal values give equal bytes, whatever order the vendor wrote the keys in;
    without, the order of the keys is kept.
    """
    text = json.dumps(
        value, separators=(",", ":"), ensure_ascii=False, allow_nan=False, sort_keys=sort_keys
    )
    raw = text.encode()
    small = zlib.compress(raw, 6)
    return small if len(small) < len(raw) else raw


def unpack(data: bytes) -> Any:
    """Return what :func:`pack` packed: a zlib stream begins with 0x78, JSON never does."""
    return json.loads(zlib.decompress(data) if data[:1] == b"\x78" else data)


def _plain(typed: Mapping[str, Any]) -> Any:
    ((kind, value),) = typed.items()
    if kind == "N":
        return float(value) if any(c in value for c in ".eE") else int(value)
    if kind == "B":
        # Lambda's stream events carry binary as base64 text, boto3 answers carry bytes.
        return base64.b64decode(value) if isinstance(value, str) else bytes(value)
    return value


def _key(key: Key) -> Any:
    return {"pk": {"S": key.pk}, "sk": {"S": key.sk}}


def _code(error: Exception) -> str:
    response: Any = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
