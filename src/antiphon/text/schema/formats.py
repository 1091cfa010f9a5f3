"""Formats of strings, as patterns that every validator accepts.

The grammar library has patterns for some formats, and they let pass what is none: 29 February of any
year, leap seconds at any time. Those here are exact or narrower: years from 1 on, no leap seconds, `T`
and `Z` in capitals, host names without two hyphens in a row, URIs with a host or a plain path.

Sources: RFC 3339, 5321, 1123, 3986, 6901; the JSON Schema Test Suite, `optional/format`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_DAY_OF_MONTH: Final = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_YEAR: Final = r"(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_FOURTH: Final = r"(?:0[48]|[2468][048]|[13579][26])"
_LEAP_YEAR: Final = rf"(?:[0-9]{{2}}{_FOURTH}|{_FOURTH}00)"
_DATE: Final = rf"(?:{_YEAR}-{_DAY_OF_MONTH}|{_LEAP_YEAR}-02-29)"
_CLOCK: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_TIME: Final = rf"{_CLOCK}:[0-5][0-9](?:\.[0-9]{{1,6}})?(?:Z|[+\-]{_CLOCK})"
_COUNT: Final = "[0-9]{1,6}"
_DAYS: Final = rf"(?:{_COUNT}Y(?:{_COUNT}M(?:{_COUNT}D)?)?|{_COUNT}M(?:{_COUNT}D)?|{_COUNT}D)"
_HOURS: Final = rf"T(?:{_COUNT}H(?:{_COUNT}M(?:{_COUNT}S)?)?|{_COUNT}M(?:{_COUNT}S)?|{_COUNT}S)"
_LABEL: Final = "[a-zA-Z0-9](?:[a-zA-Z0-9\\-]{0,61}[a-zA-Z0-9])?"
_HOST: Final = rf"{_LABEL}(?:\.{_LABEL})*"
_ATOM: Final = r"[a-zA-Z0-9!#$%&'*+/=?\^_`{|}~\-]+"
_PATH_CHARACTER: Final = r"(?:[a-zA-Z0-9\-._~!$&'()*+,;=:@]|%[0-9A-F]{2})"
_URI: Final = (
    rf"[a-zA-Z][a-zA-Z0-9+.\-]{{0,30}}:(?://[a-zA-Z][a-zA-Z0-9]{{0,30}}(?:[.\-][a-zA-Z0-9]{{1,30}}){{0,8}}"
    rf"(?::[1-9][0-9]{{0,3}})?(?:/{_PATH_CHARACTER}*)*|{_PATH_CHARACTER}+(?:/{_PATH_CHARACTER}*)*)"
    rf"(?:\?(?:{_PATH_CHARACTER}|[/?])*)?(?:#(?:{_PATH_CHARACTER}|[/?])*)?"
)
_POINTER: Final = "(?:/(?:[^~/]|~[01])*)*"
_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"

_HOSTNAME: Final = (rf"^{_HOST}$", "^[^\\-]+(?:\\-[^\\-]+)*$", "^.{1,253}$")
_EMAIL: Final = (
    rf"^{_ATOM}(?:\.{_ATOM})*@(?:[a-zA-Z0-9]{{1,30}}(?:\-[a-zA-Z0-9]{{1,15}}){{0,2}}\.){{1,4}}[a-zA-Z]{{2,24}}$",
    "^[^@]{1,64}@.{1,253}$",
)

FORMATS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "date-time": (rf"^{_DATE}T{_TIME}$",),
        "date": (rf"^{_DATE}$",),
        "time": (rf"^{_TIME}$",),
        "duration": (rf"^P(?:{_DAYS}(?:{_HOURS})?|{_HOURS}|{_COUNT}W)$",),
        "email": _EMAIL,
        "idn-email": _EMAIL,
        "hostname": _HOSTNAME,
        "idn-hostname": _HOSTNAME,
        "ipv4": (rf"^{_OCTET}(?:\.{_OCTET}){{3}}$",),
        "uuid": ("^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",),
        "uri": (f"^{_URI}$",),
        "uri-reference": (f"^{_URI}$",),
        "iri": (f"^{_URI}$",),
        "iri-reference": (f"^{_URI}$",),
        "json-pointer": (f"^{_POINTER}$",),
        "relative-json-pointer": (rf"^(?:0|[1-9][0-9]{{0,3}})(?:#|{_POINTER})$",),
    }
)
"""Patterns in Rust's syntax that a string of the format matches, all of them."""
NATIVE: Final = frozenset({"ipv6"})
"""Formats that the grammar library holds exactly."""
ANNOTATIONS: Final = frozenset(
    {"binary", "byte", "directory-path", "double", "file-path", "float", "password", "path"}
)
"""Names that say how to show or transport a value and forbid nothing."""
INTEGERS: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
)
"""Formats of integers: their bounds."""
