"""Slices: an export is read, written and composed piece by piece; a piece done twice is there once.

Each attempt at a slice first counts itself on the row.  What it puts into the bucket carries that number,
and counts once the row names it.  So whatever dies, comes twice or comes late: the parts that the row
names follow from each other, without a gap and without a row twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from chalicelib import exportation, telemetry
from chalicelib.export import rows
from chalicelib.exportation import GZIP, Slice, file_of, rest_of
from chalicelib.model.decode import compress
from chalicelib.model.state import Device
from chalicelib.model.times import DAY
from chalicelib.store import devices, exports, series
from chalicelib.store.exports import DELETED, DONE, FAILED, RUNNING, Export
from chalicelib.store.series import Position, Reading
from chalicelib.store.table import ConflictError, Table, table_of

if TYPE_CHECKING:
    from chalicelib.aws import Hub

_WAITS = (10, 40, 160, 640, 0)
"""Seconds after each failed try of a slice; after the last one the export has failed."""
_MOST_PARTS = 10_000
"""S3 takes no more.  An attempt is a part at most, so that is also the number of attempts."""
_GONE = ("NoSuchUpload", "404", "NoSuchKey", "NotFound")


@dataclass(frozen=True, slots=True)
class Size:
    """How much one slice does."""

    part: int = 8 * 1024 * 1024
    """Bytes of a part (S3 takes 5 MiB or more): a slice ends when it has so many."""
    rows: int = 500
    """Rows that are turned into text at a time."""
    member: int = 256 * 1024
    """Bytes of text that are compressed at a time."""
    milliseconds: int = 5000


SLICE = Size()


def go_on(hub: Hub, message: Slice, *, again: bool, size: Size = SLICE) -> None:
    """Do the slice that a message names, and name the next one.

    ``again``: the message was received before, so somebody may have died between the two.  Raises only
    what keeps the row or the queue from being told; the message then comes again.
    """
    table = table_of(hub)
    export = exports.find(table, message.tenant, message.export)
    if export is None or export.state == DONE:
        return
    if export.state != RUNNING:
        _clear(hub, export)
        return
    if export.slice != message.slice:
        if again and export.slice == message.slice + 1:
            exportation.enqueue(hub, export)
        return
    try:
        _attempt(hub, export, size)
    except ConflictError:
        return  # another message was faster, or nobody wants the export any more


def _attempt(hub: Hub, export: Export, size: Size) -> None:
    table = table_of(hub)
    refusal = _refusal(export)
    if refusal is not None:
        now = hub.now()
        failed = exports.save(table, replace(export, state=FAILED, reason=refusal, finished_at=now))
        telemetry.plain("export.failed", id=failed.id, reason=refusal)
        _clear(hub, failed)
        return
    mine = exports.save(
        table, replace(export, attempts=export.attempts + 1, tries=export.tries + 1)
    )
    try:
        worked = _compose(hub, mine) if _read_through(mine) else _Piece(hub, mine, size).write()
    except Exception:  # noqa: BLE001 - counted on the row, tried again after a while, and failed in the end
        telemetry.logger().exception("export.interrupted", extra={"id": mine.id})
        exportation.enqueue(hub, mine, _WAITS[mine.tries - 1])
        return
    saved = exports.save(table, replace(worked, slice=mine.slice + 1, tries=0))
    telemetry.plain("export.stepped", id=saved.id, state=saved.state, rows=saved.rows)
    if saved.state == RUNNING:
        exportation.enqueue(hub, saved)
    if export.rest is not None and export.rest != saved.rest:
        hub.s3.delete_object(Bucket=hub.config.bucket, Key=export.rest)


def _refusal(export: Export) -> str | None:
    if export.tries == len(_WAITS):
        return "A slice failed again and again: see export.interrupted in the log."
    if export.attempts == _MOST_PARTS:
        return "It is larger than a file may be: ask for a shorter range or fewer devices."
    return None


def _read_through(export: Export) -> bool:
    return export.device == len(export.devices)


class _Piece:
    """What one slice writes: the next measurements, as a part of the file or as the rest for the next one."""

    def __init__(self, hub: Hub, export: Export, size: Size) -> None:
        self.hub = hub
        self.table: Table = table_of(hub)
        self.export = export
        self.size = size
        self.until = hub.now() + size.milliseconds
        self.text = bytearray()
        self.held = bytearray()

    def write(self) -> Export:
        """Read on until there is enough, and put it into the bucket.  Returns the export as it is then."""
        if self.export.rest is not None:
            answer = self.hub.s3.get_object(Bucket=self.hub.config.bucket, Key=self.export.rest)
            self.held += answer["Body"].read()
        before = len(self.held)
        if self.export.slice == 0:
            self._hold(rows.head(self.export.format))
        while not _read_through(self.export):
            if not self._device():
                break
        self._press()
        self.export = replace(
            self.export, size=self.export.size + len(self.held) - before, rest=None
        )
        if _read_through(self.export) or len(self.held) >= self.size.part:
            return self._part()
        return self._rest()

    def _device(self) -> bool:
        """Write a device from where the export stands; say whether there is room for another one."""
        wanted = self.export.devices[self.export.device]
        device, _ = devices.load_device(self.table, self.export.tenant, wanted)
        for found, border in self._spans(device) if device is not None else ():
            while some := self._some(found):
                shown = (reading.as_json(wanted) for reading in some)
                self._hold(rows.lines(self.export.format, shown))
                self.export = replace(
                    self.export, after=some[-1].position, rows=self.export.rows + len(some)
                )
                if self._enough():
                    return False
            self.export = replace(self.export, after=border)
            if self._enough():
                return False
        self.export = replace(self.export, device=self.export.device + 1, after=None)
        return not self._enough()

    def _spans(self, device: Device) -> Iterator[tuple[Iterator[Reading], Position]]:
        """Yield a device's readings span by span, each with the place behind it.

        Where a metric is rare, much is read and nothing found: so a slice can end there too.
        """
        export, span = self.export, DAY
        place = export.start if export.after is None else export.after.at
        while place < export.end:
            border = min(place + span, export.end)
            found = series.readings(
                self.table,
                export.tenant,
                device,
                list(device.metrics) if export.metrics is None else export.metrics,
                start=export.start,
                end=border,
                after=self.export.after,
            )
            yield found, Position(border, "", ())
            place, span = border, 2 * span

    def _some(self, found: Iterator[Reading]) -> list[Reading]:
        some: list[Reading] = []
        for reading in found:
            some.append(reading)
            if len(some) == self.size.rows or self.hub.now() >= self.until:
                break
        return some

    def _hold(self, text: bytes) -> None:
        self.text += text
        if self.export.compression != GZIP or len(self.text) >= self.size.member:
            self._press()

    def _press(self) -> None:
        if self.export.compression != GZIP:
            self.held += self.text
        elif self.text or not (self.held or self.export.size):
            # A member of its own: concatenated members are a gzip file too, but nothing is none.
            self.held += compress(bytes(self.text))
        self.text.clear()

    def _enough(self) -> bool:
        return len(self.held) >= self.size.part or self.hub.now() >= self.until

    def _part(self) -> Export:
        upload = self.export.upload or self._begin()
        number = self.export.attempts
        answer = self.hub.s3.upload_part(
            **_upload(self.hub, self.export, upload), PartNumber=number, Body=bytes(self.held)
        )
        parts = (*self.export.parts, (number, answer["ETag"]))
        return replace(self.export, upload=upload, parts=parts)

    def _begin(self) -> str:
        answer = self.hub.s3.create_multipart_upload(
            Bucket=self.hub.config.bucket,
            Key=file_of(self.export),
            ContentType=exportation.media_type(self.export),
        )
        return answer["UploadId"]

    def _rest(self) -> Export:
        key = rest_of(self.export)
        self.hub.s3.put_object(Bucket=self.hub.config.bucket, Key=key, Body=bytes(self.held))
        return replace(self.export, rest=key)


def _compose(hub: Hub, export: Export) -> Export:
    """Make the file of the parts that the row names."""
    assert export.upload is not None, "the last slice that reads leaves a part"  # noqa: S101
    parts: Any = [{"PartNumber": number, "ETag": tag} for number, tag in export.parts]
    try:
        hub.s3.complete_multipart_upload(
            **_upload(hub, export, export.upload), MultipartUpload={"Parts": parts}
        )
    except Exception as error:
        if _code(error) not in _GONE:
            raise
        # Whoever was here before made the file and died: of other parts it cannot be.
        hub.s3.head_object(Bucket=hub.config.bucket, Key=file_of(export))
    return replace(export, state=DONE, finished_at=hub.now())


def _clear(hub: Hub, export: Export) -> None:
    """Remove what an export has left in the bucket, and its row if it is nobody's any more."""
    if export.upload is not None:
        try:
            hub.s3.abort_multipart_upload(**_upload(hub, export, export.upload))
        except Exception as error:
            if _code(error) not in _GONE:
                raise
    for key in filter(None, (export.rest, file_of(export))):
        hub.s3.delete_object(Bucket=hub.config.bucket, Key=key)
    if export.state == DELETED:
        exports.forget(table_of(hub), export)


def _upload(hub: Hub, export: Export, upload: str) -> dict[str, Any]:
    return {"Bucket": hub.config.bucket, "Key": file_of(export), "UploadId": upload}


def _code(error: Exception) -> str:
    response: Any = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
