"""Recordings that Soundsensing keeps, as media references.

Moments are epoch seconds and lengths seconds; a spectrogram's bounds are seconds inside its clip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.model.records import MalformedPayloadError, Media, MediaKind, Record
from chalicelib.model.times import from_seconds
from chalicelib.vendors.soundsensing.fields import Entry, device_of, is_number, text

MEDIA: Mapping[str, str] = {
    "audio_clip": "start_time",
    "spectrogram": "created_at",
    "device_media": "start_time",
}
"""Types of media and the field that holds their moment."""
_KINDS: Mapping[MediaKind, tuple[str, ...]] = {
    "audio": ("wav", "mp3", "flac", "ogg", "m4a", "aac", "opus"),
    "image": ("jpg", "jpeg", "png", "gif", "webp", "bmp", "svg", "tif", "tiff"),
    "video": ("mkv", "mp4", "mov", "avi", "webm", "mpg", "mpeg", "m4v"),
}
_KIND_BY_SUFFIX = {suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes}
_LONGEST = 1e9


def audio_clip(entry: Entry, _settings: Mapping[str, Any]) -> Iterator[Record]:
    """Read a sound clip, which begins at ``start_time`` (it may have been uploaded "before")."""
    yield _media("audio_clip", "audio", entry, _length(entry.get("length")))


def spectrogram(entry: Entry, _settings: Mapping[str, Any]) -> Iterator[Record]:
    """Read a spectrogram; its ``start_time`` and ``end_time`` are seconds inside a clip."""
    start, end = entry.get("start_time"), entry.get("end_time")
    length = None
    if is_number(start) and is_number(end):
        length = _length(end - start)
    length = length if length is not None else _length(entry.get("period"))
    yield _media("spectrogram", "spectrogram", entry, length)


def device_media(entry: Entry, _settings: Mapping[str, Any]) -> Iterator[Record]:
    """Read any other recording; what it is, only the ending of its file's name tells."""
    suffix = (text(entry.get("filename")) or "").rpartition(".")[2].lower()
    kind = _KIND_BY_SUFFIX.get(suffix, "file")
    yield _media("device_media", kind, entry, _length(entry.get("duration")))


def _length(value: Any) -> float | None:
    """Return a length in seconds, or ``None`` for what is none."""
    return value if is_number(value) and 0 <= value <= _LONGEST else None


def _media(kind: str, shape: MediaKind, entry: Entry, length: float | None) -> Media:
    at = from_seconds(entry.get(MEDIA[kind]))
    link = text(entry.get("download_url"))
    url = link if link and link.lower().startswith(("https://", "http://")) else None
    return Media(device_of(entry), shape, _reference(entry), url, at, length)


def _reference(entry: Entry) -> str:
    """Return where the vendor keeps a file: its bucket and its name there, else its id."""
    name = text(entry.get("blob_filename")) or text(entry.get("filename"))
    bucket = text(entry.get("bucket"))
    if name is not None:
        return f"{bucket.rstrip('/')}/{name}" if bucket else name
    reference = text(entry.get("id"))
    if reference is None:
        raise MalformedPayloadError("it names no file", "filename")
    return reference
