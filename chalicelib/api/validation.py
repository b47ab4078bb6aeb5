"""Bodies: bytes to a validated model, or a list of what is wrong and where."""

from __future__ import annotations

import json
import math
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from chalicelib.api.problems import FieldError, ProblemError, invalid_fields
from chalicelib.model.decode import decode, leaves
from chalicelib.model.records import MalformedPayloadError

Model = TypeVar("Model", bound=BaseModel)


def body(model: type[Model], data: bytes, *, optional: bool) -> Model:
    """Return the validated body.  400 where it is no JSON, 422 where it is not what the route takes."""
    value = {} if optional and not data.strip() else _json(data)
    try:
        # Strict models take JSON's types only, which pydantic knows best from JSON.
        return model.model_validate_json(json.dumps(value))
    except ValidationError as error:
        raise invalid_fields([_field(each) for each in error.errors()]) from None


def _json(data: bytes) -> Any:
    try:
        value = decode(data)
    except MalformedPayloadError as error:
        raise ProblemError("malformed-json", f"The body cannot be read: {error}.") from None
    if any(isinstance(leaf, float) and not math.isfinite(leaf) for _, leaf in leaves(value)):
        raise ProblemError("malformed-json", "JSON knows neither NaN nor numbers beyond a double.")
    return value


def _field(error: Any) -> FieldError:
    detail = str(error["msg"]).removeprefix("Value error, ")
    return FieldError(pointer(*error["loc"]), detail)


def pointer(*parts: str | int) -> str:
    """Return the JSON Pointer of a member."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
