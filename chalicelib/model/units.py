"""The one table of conversions into canonical units.

Keys are the texts that operators and vendors write for a unit, lower-cased (UCUM codes first, then
everyday spellings); values are ``(canonical unit, factor, offset)`` with canonical = value x factor + offset.
"""

from __future__ import annotations

from chalicelib.model.metrics import METRICS, Value

G = 9.80665  # standard gravity, m/s2

_TABLE: dict[str, tuple[str, float, float]] = {
    "cel": ("Cel", 1, 0),
    "[degf]": ("Cel", 5 / 9, -160 / 9),
    "k": ("Cel", 1, -273.15),
    "%": ("%", 1, 0),
    "1": ("1", 1, 0),
    "pa": ("Pa", 1, 0),
    "hpa": ("Pa", 100, 0),
    "kpa": ("Pa", 1000, 0),
    "bar": ("Pa", 100_000, 0),
    "mbar": ("Pa", 100, 0),
    "[psi]": ("Pa", 6894.757293168, 0),
    "mm[hg]": ("Pa", 133.322387415, 0),
    "lx": ("lx", 1, 0),
    "klx": ("lx", 1000, 0),
    "[ppm]": ("[ppm]", 1, 0),
    "[ppb]": ("[ppb]", 1, 0),
    "db[spl]": ("dB[SPL]", 1, 0),
    "[g]": ("[g]", 1, 0),
    "m[g]": ("[g]", 0.001, 0),
    "m/s2": ("m/s2", 1, 0),
    "m": ("m", 1, 0),
    "mm": ("m", 0.001, 0),
    "cm": ("m", 0.01, 0),
    "km": ("m", 1000, 0),
    "[in_i]": ("m", 0.0254, 0),
    "[ft_i]": ("m", 0.3048, 0),
    "deg": ("deg", 1, 0),
    "rad": ("deg", 57.29577951308232, 0),
    "v": ("V", 1, 0),
    "mv": ("V", 0.001, 0),
    "s": ("s", 1, 0),
    "us": ("s", 0.000001, 0),
    "ms": ("s", 0.001, 0),
    "min": ("s", 60, 0),
    "h": ("s", 3600, 0),
    "d": ("s", 86_400, 0),
    "dbm": ("dBm", 1, 0),
    "db[w]": ("dBm", 1, 30),
    "db": ("dB", 1, 0),
}
_SPELLINGS = {
    "c": "cel", "c°": "cel", "°c": "cel", "degc": "cel", "celsius": "cel",
    "f": "[degf]", "°f": "[degf]", "degf": "[degf]", "fahrenheit": "[degf]",
    "kelvin": "k", "rh": "%", "%rh": "%", "percent": "%", "lux": "lx", "ppm": "[ppm]",
    "psi": "[psi]", "mmhg": "mm[hg]", "{dbm}": "dbm",
    "ppb": "[ppb]", "dba": "db[spl]", "db(a)": "db[spl]", "g": "[g]", "mg": "m[g]", "°": "deg", "count": "1",
    "{count}": "1", "{people}": "1", "volt": "v", "seconds": "s", "sec": "s", "m/s^2": "m/s2", "m/s²": "m/s2",
}  # fmt: skip
# A change between two canonical units that a metric may ask for.
_BETWEEN: dict[tuple[str, str], float] = {
    ("[g]", "m/s2"): G, ("m/s2", "[g]"): 1 / G, ("[ppm]", "[ppb]"): 1000, ("[ppb]", "[ppm]"): 0.001,
    ("1", "%"): 100, ("%", "1"): 0.01, ("dB", "dB[SPL]"): 1, ("s", "1"): 1,
}  # fmt: skip


def canonical(value: Value, unit: str) -> tuple[str, Value]:
    """Return a unit's canonical one and ``value`` in it; an unknown unit stays as it is written.

    A boolean is never scaled.
    """
    row = _row(unit)
    if row is None:
        return unit, value
    known, factor, offset = row
    if isinstance(value, bool) or (factor, offset) == (1, 0):
        return known, value
    return known, tidy(value * factor + offset)


def converts(unit: str, metric: str) -> bool:
    """Say whether values in ``unit`` can be turned into the metric's canonical unit."""
    row, known = _row(unit), METRICS.get(metric)
    return (
        row is not None
        and known is not None
        and (row[0] == known.unit or (row[0], known.unit) in _BETWEEN)
    )


def convert(value: float, unit: str, metric: str) -> float:
    """Return ``value`` of ``unit`` in the metric's canonical unit.  Raises ``ValueError`` if it cannot be."""
    if not converts(unit, metric):
        raise ValueError(f"{unit!r} does not convert into {metric}")
    stated, value = canonical(value, unit)
    asked = METRICS[metric].unit
    return value if stated == asked else tidy(value * _BETWEEN[stated, asked])


def tidy(value: float) -> float:
    """Cut the noise of a conversion at 12 significant digits: 145 mm is 0.145 m, not 0.14500000000000002."""
    return float(f"{value:.12g}")


def _row(text: str) -> tuple[str, float, float] | None:
    key = text.strip().lower()
    return _TABLE.get(_SPELLINGS.get(key, key))
