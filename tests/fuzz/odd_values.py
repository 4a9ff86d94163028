"""Texts, names, numbers and JSON that clients should not send, and some that they may."""

import json
from collections.abc import Mapping
from pathlib import Path

from hypothesis import strategies as st

LONG = 300_000
DEEP = 100_000

ODD_NUMBERS = st.sampled_from(
    [0, -1, 1, 63, 2**31, 2**63, -(2**63), 2**200, 0.5, 1e308, -0.0, float("nan"), float("inf")]
)
ODD_TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["", " ", "\x00", "\ud800", "a\ud800b", "\U0001f9e0", "é", "e\u0301", "\r\nX: y", "%s%n",
         "../../x", "/etc/passwd", "a/b", "CON", "-1", "1e999", "nan", "null", "9" * 5000,
         "\u202e", "\u2028", "'; --", "{}", "[", "lesion", "T2", "alpha", "alpha/T2", "final",
         "original", "v0001", "untrained", "a" * LONG]
    ),
)  # fmt: skip
ODD_TEXTS_IN_URLS = ODD_TEXTS.filter(lambda text: len(text) <= 6000).map(
    lambda text: text.encode("utf-8", "surrogatepass")
)
"""As bytes: `requests` cannot encode a lone surrogate."""
RAW_VALUES = st.sampled_from(
    ["1e999", "-1e999", "NaN", "-Infinity", "9" * 5000, r'"\ud800"', r'"\u0000"', "01", "1.", "tru",
     "[" * DEEP, '{"a":' * DEEP, "[" * DEEP + "]" * DEEP, '"' + "a" * LONG + '"',
     "[" + "0," * LONG + "0]", '{"a": 1, "a": 2}', "'x'", "/*", ""]
)  # fmt: skip
"""Values as they stand in JSON; a serializer would not write them."""

PLAIN_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 30), st.floats(-5, 30), ODD_NUMBERS, ODD_TEXTS
)
POINTS = st.lists(
    st.lists(st.one_of(st.integers(-2, 26), ODD_NUMBERS), min_size=2, max_size=4), max_size=4
)
VALUES = st.one_of(
    PLAIN_VALUES,
    POINTS,
    st.recursive(
        PLAIN_VALUES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD_TEXTS, inner, max_size=3),
        max_leaves=8,
    ),
)


def objects(names: list[str], valid: Mapping[str, object]) -> st.SearchStrategy[str]:
    """JSON of an object: valid members, and up to two with odd values or odd names."""
    known = st.sampled_from(sorted(names))
    members = st.tuples(known | known | ODD_TEXTS, VALUES.map(json.dumps) | RAW_VALUES)
    valid_members = [(name, json.dumps(value)) for name, value in valid.items()]
    return st.lists(members, max_size=2).map(
        lambda odd: (
            "{" + ", ".join(f"{json.dumps(k)}: {v}" for k, v in [*valid_members, *odd]) + "}"
        )
    )


def json_texts(names: list[str], valid: Mapping[str, object]) -> st.SearchStrategy[bytes]:
    """What a client sends as JSON: mostly objects; also other values, and bytes of any kind."""
    made = objects(names, valid).map(str.encode)
    return st.one_of(
        made,
        made,
        made,
        VALUES.map(json.dumps).map(str.encode) | RAW_VALUES.map(str.encode),
        st.sampled_from([b"\xff\xfe", b"\xef\xbb\xbf{}", b"\x00", b"null", "{}".encode("utf-16")])
        | st.binary(max_size=20),
    )


def file_names(outer: Path) -> st.SearchStrategy[str]:
    """Names of uploaded files, with endings of volumes and others.

    Args:
        outer: folder that absolute names lead to.
    """
    stems = st.sampled_from(
        ["x_t2", "flair", "", ".", "..", "../../x", "x/..", f"{outer}/absolute", "~", "a\\b", "C:x",
         "-rf", "a b", "\x01", "Müller", "\u202e", "a" * 240, "a" * 300, "case.nii", "dataset",
         "cases", "._x", '"', "%2e%2e"]
    )  # fmt: skip
    endings = st.sampled_from(
        [".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".zip", "", ".json", ".yaml", ".dcm", ".txt",
         ".seg.nrrd", ".NII.GZ", ".nii.gz ", ".gz", ".tar", ".py", "." + "e" * 260]
    )  # fmt: skip
    return st.builds(lambda stem, ending: stem + ending, stems, endings)


def queries(values: Mapping[str, list[str]]) -> st.SearchStrategy[dict[str, bytes]]:
    """Parameters of an address: some of the names, with known or odd values."""
    fields = {
        name: st.sampled_from([text.encode() for text in known]) | ODD_TEXTS_IN_URLS
        for name, known in values.items()
    }
    return st.fixed_dictionaries({}, optional=fields)


HEADERS: Mapping[str, list[str]] = {
    "Range": ["bytes=0-10", "bytes=-1", "bytes=5-1", "bytes=a-b", "bytes=99999999999-", "x",
              "bytes=", "bytes=" + "0-1," * 500],
    "If-Range": ["x", '"x"'],
    "Authorization": ["Bearer x", "Basic !!", "Bearer " + "x" * 5000],
    "Accept": ["text/html", "*/*;q=x"],
    "Accept-Encoding": ["none-such", "gzip, br"],
    "Content-Encoding": ["gzip", "none-such"],
    "Content-Type": ["application/json", "multipart/form-data", "text/plain; charset=none-such"],
    "Cookie": ["a=b; a=c", "=", "x" * 5000],
    "Origin": ["null", "http://evil.example", "\xff"],
    "Referer": ["http://evil.example"],
    "X-Forwarded-For": ["8.8.8.8", "x"],
    "X-HTTP-Method-Override": ["DELETE"],
}  # fmt: skip
ODD_HEADERS = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(values) for name, values in HEADERS.items()}
)
