"""DynamoDB, SQS, S3 and KMS in memory, as far as the hub uses them, with a hook at every call.

The fakes speak boto3's client methods, so the hub's own code runs unchanged above them, a hundred times
faster than through botocore.  ``tests/test_fakes.py`` holds them against the embedded AWS.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import re
import secrets
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from infra.meter import size_of

Item = dict[str, Any]
_KEYS: dict[str | None, tuple[str, str]] = {
    None: ("pk", "sk"),
    "by_time": ("g1pk", "g1sk"),
    "by_state": ("g2pk", "g2sk"),
}
_Place = tuple[str, ...]
"""The sort key by which an item stands somewhere, then its own key."""
_LAST = "\U0010ffff"
_PAGE = 1024 * 1024


def error(code: str, operation: str) -> ClientError:
    """Return the error that boto3 raises for an AWS error code."""
    return ClientError({"Error": {"Code": code, "Message": code}}, operation)


class Faults:
    """The hook at every AWS call: ``before`` and ``after`` may raise (throttle, time-out, crash)."""

    def before(self, operation: str) -> None:
        """Run before the call has any effect."""

    def after(self, operation: str) -> None:
        """Run after the call took effect and before its answer is seen."""

    def refuses(self, _operation: str) -> bool:
        """Say whether one entry of a batch is refused."""
        return False


@dataclass
class Clock:
    """A clock that only moves when told to.  Milliseconds."""

    now: int = 1_795_000_000_000

    def __call__(self) -> int:
        return self.now

    def forward(self, milliseconds: int) -> None:
        """Let time pass."""
        self.now += milliseconds


class FakeDynamoDB:
    """One table with its two indexes and its stream."""

    def __init__(self, faults: Faults, clock: Clock) -> None:
        self.faults = faults
        self.clock = clock
        self.items: dict[str, dict[str, Item]] = {}
        self.sorted: dict[tuple[str | None, str], list[_Place]] = {}
        """Of the table (no name) and of each index, by partition: where its items stand, in order."""
        self.stream: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)

    def put_item(self, **request: Any) -> Item:
        """Write an item under a condition."""
        self.faults.before("PutItem")
        item = request["Item"]
        old = self._get(item)
        _check(request, old, "PutItem")
        self._set(item, old)
        self.faults.after("PutItem")
        return {}

    def update_item(self, **request: Any) -> Item:
        """Apply ``SET #a = :a, #b = if_not_exists(#b, :b) ADD #c :c``."""
        self.faults.before("UpdateItem")
        old = self._get(request["Key"])
        _check(request, old, "UpdateItem")
        item = dict(old or request["Key"])
        names, values = request["ExpressionAttributeNames"], request["ExpressionAttributeValues"]
        expression = request["UpdateExpression"]
        if not expression.startswith("SET "):
            raise NotImplementedError(expression)
        setting, _, adding = expression[4:].partition(" ADD ")
        for term in re.split(r",\s*(?![^(]*\))", setting):
            name, value = (part.strip() for part in term.split("=", 1))
            keep = re.fullmatch(r"if_not_exists\((#\w+),\s*(:\w+)\)", value)
            if keep:
                item.setdefault(names[name], values[keep[2]])
            else:
                item[names[name]] = values[value]
        for term in filter(None, adding.split(", ")):
            name, value = term.split()
            total = int(item.get(names[name], {"N": "0"})["N"]) + int(values[value]["N"])
            item[names[name]] = {"N": str(total)}
        self._set(item, old)
        self.faults.after("UpdateItem")
        if request.get("ReturnValues") != "UPDATED_OLD" or old is None:
            return {}
        return {"Attributes": {n: old[n] for n in names.values() if n in old}}

    def delete_item(self, **request: Any) -> Item:
        """Remove an item."""
        self.faults.before("DeleteItem")
        old = self._get(request["Key"])
        _check(request, old, "DeleteItem")
        if old is not None:
            pk, sk = old["pk"]["S"], old["sk"]["S"]
            del self.items[pk][sk]
            self._stand(old, None)
            self._record("REMOVE", old, None)
        self.faults.after("DeleteItem")
        return {}

    def get_item(self, **request: Any) -> Item:
        """Read an item."""
        self.faults.before("GetItem")
        found = self._get(request["Key"])
        self.faults.after("GetItem")
        return {"Item": dict(found)} if found else {}

    def batch_get_item(self, **request: Any) -> Item:
        """Read many items."""
        self.faults.before("BatchGetItem")
        ((name, wanted),) = request["RequestItems"].items()
        later = [key for key in wanted["Keys"] if self.faults.refuses("BatchGetItem")]
        keys = [key for key in wanted["Keys"] if key not in later]
        found = [dict(item) for key in keys if (item := self._get(key))]
        self.faults.after("BatchGetItem")
        rest = {name: {**wanted, "Keys": later}} if later else {}
        return {"Responses": {name: found}, "UnprocessedKeys": rest}

    def batch_write_item(self, **request: Any) -> Item:
        """Write many items; whoever sends one twice is refused, as AWS does."""
        self.faults.before("BatchWriteItem")
        ((name, wanted),) = request["RequestItems"].items()
        keys = [
            (w["PutRequest"]["Item"]["pk"]["S"], w["PutRequest"]["Item"]["sk"]["S"]) for w in wanted
        ]
        if len(set(keys)) != len(keys) or not 0 < len(keys) <= 25:
            raise error("ValidationException", "BatchWriteItem")
        later = [write for write in wanted if self.faults.refuses("BatchWriteItem")]
        for write in wanted:
            if write not in later:
                item = write["PutRequest"]["Item"]
                self._set(item, self._get(item))
        self.faults.after("BatchWriteItem")
        return {"UnprocessedItems": {name: later} if later else {}}

    def query(self, **request: Any) -> Item:
        """Read a range of a partition or of an index."""
        self.faults.before("Query")
        index = request.get("IndexName")
        pk_name, sk_name = _KEYS[index]
        values = request["ExpressionAttributeValues"]
        places = self.sorted.get((index, values[":p"]["S"]), [])
        low, high = 0, len(places)
        if ":l" in values:
            if values[":l"]["S"] > values[":h"]["S"]:
                raise error("ValidationException", "Query")
            low = bisect_left(places, (values[":l"]["S"],))
            high = bisect_right(places, (values[":h"]["S"], _LAST))
        forward = request.get("ScanIndexForward", True)
        if start := request.get("ExclusiveStartKey"):
            place = _place(start, sk_name)
            if forward:
                low = max(low, bisect_right(places, place))
            else:
                high = min(high, bisect_left(places, place))
        page: list[Item] = []
        size = 0
        for number in range(low, high) if forward else range(high - 1, low - 1, -1):
            if len(page) == request.get("Limit", -1) or size > _PAGE:
                break
            _, pk, sk = places[number]
            page.append(dict(self.items[pk][sk]))
            size += size_of(page[-1])
        answer: Item = {"Items": page, "Count": len(page)}
        full = len(page) == request.get("Limit", -1)
        if page and (full or len(page) < high - low):
            last = page[-1]
            answer["LastEvaluatedKey"] = {
                n: last[n] for n in dict.fromkeys(("pk", "sk", pk_name, sk_name))
            }
        self.faults.after("Query")
        return answer

    def _get(self, key: Item) -> Item | None:
        return self.items.get(key["pk"]["S"], {}).get(key["sk"]["S"])

    def _set(self, item: Item, old: Item | None) -> None:
        if old == item:
            return  # as DynamoDB: a write that changes nothing leaves no stream record
        pk, sk = item["pk"]["S"], item["sk"]["S"]
        self.items.setdefault(pk, {})[sk] = dict(item)
        self._stand(old, item)
        self._record("INSERT" if old is None else "MODIFY", old, dict(item))

    def _stand(self, old: Item | None, new: Item | None) -> None:
        """Have the table and its indexes list an item where it stands now."""
        for index, (pk_name, sk_name) in _KEYS.items():
            before, after = (
                ((index, item[pk_name]["S"]), _place(item, sk_name))
                if item is not None and pk_name in item and sk_name in item
                else None
                for item in (old, new)
            )
            if before == after:
                continue
            if before is not None:
                places = self.sorted[before[0]]
                del places[bisect_left(places, before[1])]
            if after is not None:
                insort(self.sorted.setdefault(after[0], []), after[1])

    def _record(self, name: str, old: Item | None, new: Item | None) -> None:
        some = new or old or {}
        number = f"{next(self._numbers):021d}"
        image: Item = {
            "ApproximateCreationDateTime": self.clock() // 1000,
            "Keys": {"pk": some["pk"], "sk": some["sk"]},
            "SequenceNumber": number,
            "SizeBytes": 1,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        }
        if new is not None:
            image["NewImage"] = new
        if old is not None:
            image["OldImage"] = old
        self.stream.append(
            {
                "eventID": number,
                "eventName": name,
                "eventVersion": "1.1",
                "eventSource": "aws:dynamodb",
                "awsRegion": "eu-west-1",
                "dynamodb": image,
                "eventSourceARN": "arn:aws:dynamodb:eu-west-1:000000000000:table/hub/stream/x",
            }
        )


@dataclass
class FakeMessage:
    """One message of a queue."""

    id: str
    body: str
    visible_at: int
    received: int = 0
    group: str | None = None
    ordered: bool = False

    @property
    def attributes(self) -> dict[str, str]:
        """What Lambda tells of it."""
        found = {"ApproximateReceiveCount": str(self.received)}
        return found | ({"SequenceNumber": self.id[1:].zfill(20)} if self.ordered else {})


class OrderedMessages(dict[str, FakeMessage]):
    """The messages of a queue that keeps order, by id; which comes first of each group is known at once."""

    def __init__(self) -> None:
        super().__init__()
        self._groups: dict[str | None, dict[str, FakeMessage]] = {}

    def __setitem__(self, identity: str, message: FakeMessage) -> None:
        super().__setitem__(identity, message)
        self._groups.setdefault(message.group, {})[identity] = message

    def pop(self, identity: str, default: Any = None) -> Any:
        """Remove a message."""
        message = super().pop(identity, default)
        if message is not default:
            group = self._groups[message.group]
            del group[identity]
            if not group:
                del self._groups[message.group]
        return message

    def heads(self) -> list[FakeMessage]:
        """Return the first message of each group."""
        return [next(iter(each.values())) for each in self._groups.values()]


_SAME_FOR = 300_000
"""Milliseconds for which a queue that keeps order knows a message again."""


class FakeSQS:
    """Queues with delay, visibility, and redrive to a dead-letter queue."""

    def __init__(self, faults: Faults, clock: Clock) -> None:
        self.faults = faults
        self.clock = clock
        self.queues: dict[str, dict[str, FakeMessage]] = {}
        self._ids = itertools.count()
        self._sent: dict[tuple[str, str], int] = {}

    def send_message_batch(self, **request: Any) -> Item:
        """Put up to ten messages on a queue; the hook may refuse single entries."""
        self.faults.before("SendMessageBatch")
        done, failed = [], []
        for entry in request["Entries"]:
            if self.faults.refuses("SendMessageBatch"):
                failed.append({"Id": entry["Id"], "Code": "InternalError", "SenderFault": False})
                continue
            identity = f"m{next(self._ids)}"
            visible = self.clock() + entry.get("DelaySeconds", 0) * 1000
            kind = OrderedMessages if request["QueueUrl"].endswith(".fifo") else dict
            queue = self.queues.setdefault(request["QueueUrl"], kind())
            done.append({"Id": entry["Id"], "MessageId": identity})
            group = entry.get("MessageGroupId")
            ordered = request["QueueUrl"].endswith(".fifo")
            if ordered:
                same = entry["MessageDeduplicationId"]
                if "DelaySeconds" in entry:
                    raise error("InvalidParameterValue", "SendMessageBatch")
                if self.clock() - self._sent.get((str(group), same), -_SAME_FOR) < _SAME_FOR:
                    continue
                self._sent[str(group), same] = self.clock()
            queue[identity] = FakeMessage(
                identity, entry["MessageBody"], visible, group=group, ordered=ordered
            )
        self.faults.after("SendMessageBatch")
        return {"Successful": done, "Failed": failed}

    def send_message(self, **request: Any) -> Item:
        """Put one message on a queue."""
        entry = {"Id": "0", **request}
        answer = self.send_message_batch(QueueUrl=request["QueueUrl"], Entries=[entry])
        if answer["Failed"]:
            raise error("InternalError", "SendMessage")
        return {"MessageId": answer["Successful"][0]["MessageId"]}

    def receive_message(self, **request: Any) -> Item:
        """Take messages off a queue for a while; the handle is the message's id."""
        self.faults.before("ReceiveMessage")
        found = self.visible(request["QueueUrl"])[: request["MaxNumberOfMessages"]]
        for message in found:
            message.received += 1
            message.visible_at = self.clock() + request["VisibilityTimeout"] * 1000
        self.faults.after("ReceiveMessage")
        messages = [{"MessageId": m.id, "ReceiptHandle": m.id, "Body": m.body} for m in found]
        return {"Messages": messages} if messages else {}

    def delete_message_batch(self, **request: Any) -> Item:
        """Remove messages that were received."""
        self.faults.before("DeleteMessageBatch")
        for entry in request["Entries"]:
            self.queues[request["QueueUrl"]].pop(entry["ReceiptHandle"], None)
        self.faults.after("DeleteMessageBatch")
        return {"Successful": [{"Id": entry["Id"]} for entry in request["Entries"]]}

    def change_message_visibility_batch(self, **request: Any) -> Item:
        """Say when messages that were received are visible again."""
        self.faults.before("ChangeMessageVisibilityBatch")
        for entry in request["Entries"]:
            message = self.queues[request["QueueUrl"]].get(entry["ReceiptHandle"])
            if message is not None:
                message.visible_at = self.clock() + entry["VisibilityTimeout"] * 1000
        self.faults.after("ChangeMessageVisibilityBatch")
        return {"Successful": [{"Id": entry["Id"]} for entry in request["Entries"]]}

    def visible(self, url: str) -> list[FakeMessage]:
        """Return the messages of a queue that may be received now."""
        now = self.clock()
        return [m for m in self.next(url) if m.visible_at <= now]

    def next(self, url: str) -> list[FakeMessage]:
        """Return the messages of a queue that will be received next: of each group only the first."""
        messages = self.queues.get(url, {})
        if isinstance(messages, OrderedMessages):
            return messages.heads()
        return list(messages.values())


class FakeS3:
    """One bucket."""

    least_part = 5 * 1024 * 1024
    """Bytes of every part of an upload but the last: tests of many parts set it down."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.objects: dict[str, bytes] = {}
        self.names: list[str] = []
        self.uploads: dict[str, tuple[str, dict[int, bytes]]] = {}
        self._numbers = itertools.count(1)

    def put_object(self, **request: Any) -> Item:
        """Write an object."""
        self.faults.before("PutObject")
        self._put(request["Key"], bytes(request["Body"]))
        self.faults.after("PutObject")
        return {}

    def delete_object(self, **request: Any) -> Item:
        """Remove an object; removing what is not there is fine."""
        self.faults.before("DeleteObject")
        if self.objects.pop(request["Key"], None) is not None:
            self.names.remove(request["Key"])
        self.faults.after("DeleteObject")
        return {}

    def head_object(self, **request: Any) -> Item:
        """Say that an object is there."""
        self.faults.before("HeadObject")
        if request["Key"] not in self.objects:
            raise error("404", "HeadObject")
        self.faults.after("HeadObject")
        return {"ContentLength": len(self.objects[request["Key"]])}

    def create_multipart_upload(self, **request: Any) -> Item:
        """Begin an object of parts."""
        self.faults.before("CreateMultipartUpload")
        identity = f"u{next(self._numbers)}"
        self.uploads[identity] = (request["Key"], {})
        self.faults.after("CreateMultipartUpload")
        return {"UploadId": identity}

    def upload_part(self, **request: Any) -> Item:
        """Write a part, over another one of its number."""
        self.faults.before("UploadPart")
        body, number = bytes(request["Body"]), request["PartNumber"]
        if not 1 <= number <= 10_000:
            raise error("InvalidArgument", "UploadPart")
        self._upload(request, "UploadPart")[number] = body
        self.faults.after("UploadPart")
        return {"ETag": _tag(body)}

    def complete_multipart_upload(self, **request: Any) -> Item:
        """Make the object of the parts that are named; the others are gone."""
        operation = "CompleteMultipartUpload"
        self.faults.before(operation)
        there = self._upload(request, operation)
        named = [(each["PartNumber"], each["ETag"]) for each in request["MultipartUpload"]["Parts"]]
        if not named:
            raise error("MalformedXML", operation)
        if [number for number, _ in named] != sorted({number for number, _ in named}):
            raise error("InvalidPartOrder", operation)
        if any(number not in there or tag != _tag(there[number]) for number, tag in named):
            raise error("InvalidPart", operation)
        if any(len(there[number]) < self.least_part for number, _ in named[:-1]):
            raise error("EntityTooSmall", operation)
        self._put(request["Key"], b"".join(there[number] for number, _ in named))
        del self.uploads[request["UploadId"]]
        self.faults.after(operation)
        return {}

    def abort_multipart_upload(self, **request: Any) -> Item:
        """Forget an upload."""
        self.faults.before("AbortMultipartUpload")
        self._upload(request, "AbortMultipartUpload")
        del self.uploads[request["UploadId"]]
        self.faults.after("AbortMultipartUpload")
        return {}

    def generate_presigned_url(self, operation: str, **request: Any) -> str:
        """Return a URL that says what it is for."""
        return f"https://fake.example/{operation}/{request['Params']['Key']}?{request['ExpiresIn']}"

    def _put(self, key: str, body: bytes) -> None:
        if key not in self.objects:
            insort(self.names, key)
        self.objects[key] = body

    def _upload(self, request: Item, operation: str) -> dict[int, bytes]:
        key, parts = self.uploads.get(request["UploadId"], (None, {}))
        if key != request["Key"]:
            raise error("NoSuchUpload", operation)
        return parts

    def get_object(self, **request: Any) -> Item:
        """Read an object."""
        self.faults.before("GetObject")
        if request["Key"] not in self.objects:
            raise error("NoSuchKey", "GetObject")
        self.faults.after("GetObject")
        return {"Body": io.BytesIO(self.objects[request["Key"]])}

    def list_objects_v2(self, **request: Any) -> Item:
        """List objects by prefix."""
        self.faults.before("ListObjectsV2")
        begin = bisect_left(self.names, request["Prefix"])
        begin = max(begin, bisect_right(self.names, request.get("StartAfter", "")))
        found = list(
            itertools.takewhile(lambda n: n.startswith(request["Prefix"]), self.names[begin:])
        )
        self.faults.after("ListObjectsV2")
        return {"Contents": [{"Key": name} for name in found], "IsTruncated": False}


class FakeKMS:
    """Keys that are only wrapped in the context they are bound to: no secret is kept in a test."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults

    def generate_data_key(self, **request: Any) -> Item:
        """Make a data key, plain and wrapped."""
        self.faults.before("GenerateDataKey")
        plain = secrets.token_bytes(32)
        context = json.dumps(request["EncryptionContext"], sort_keys=True).encode()
        self.faults.after("GenerateDataKey")
        return {"Plaintext": plain, "CiphertextBlob": context + b"\0" + plain[::-1]}

    def decrypt(self, **request: Any) -> Item:
        """Unwrap a data key in its context."""
        self.faults.before("Decrypt")
        context, _, wrapped = request["CiphertextBlob"].partition(b"\0")
        if json.loads(context) != request["EncryptionContext"]:
            raise error("InvalidCiphertextException", "Decrypt")
        self.faults.after("Decrypt")
        return {"Plaintext": wrapped[::-1]}


@dataclass
class FakeAws:
    """All four, with one hook and one clock."""

    faults: Faults = field(default_factory=Faults)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.dynamodb = FakeDynamoDB(self.faults, self.clock)
        self.sqs = FakeSQS(self.faults, self.clock)
        self.s3 = FakeS3(self.faults)
        self.kms = FakeKMS(self.faults)

    def client(self, service: str, **_: Any) -> Any:
        """Return the fake of a service, as ``boto3.client`` would."""
        return getattr(self, service)


def _tag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def _place(item: Item, sk_name: str) -> _Place:
    return item[sk_name]["S"], item["pk"]["S"], item["sk"]["S"]


_CONDITIONS: dict[str, Callable[[Item, Item | None], bool]] = {
    "#v = :v": lambda request, old: (
        old is not None
        and old.get(request["ExpressionAttributeNames"]["#v"])
        == request["ExpressionAttributeValues"][":v"]
    ),
    "attribute_not_exists(#p)": lambda _, old: old is None,
    "attribute_not_exists(#l) OR #l <= :l": lambda request, old: (
        old is None
        or "l" not in old
        or int(old["l"]["N"]) <= int(request["ExpressionAttributeValues"][":l"]["N"])
    ),
}


def _check(request: Item, old: Item | None, operation: str) -> None:
    condition = request.get("ConditionExpression")
    if condition is not None and not _CONDITIONS[condition](request, old):
        raise error("ConditionalCheckFailedException", operation)
