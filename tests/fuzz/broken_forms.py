"""Bodies of forms as bytes: with odd part headers, cut, or described by the wrong content type."""

from hypothesis import strategies as st

from tests.fuzz.nifti_files import nifti

BOUNDARY = "made"
LONG = b"a" * 2_000_000
FIELDS = ("file", "files", "label", "params", "info")
DISPOSITIONS = (
    'form-data; name="{}"; filename="x_t2.nii.gz"',
    'form-data; name="{}"',
    "form-data; name={}; filename*=UTF-8''x_t2%00.nii.gz",
    'form-data; name="{}"; filename=""',
    'form-data; filename="x_t2.nii.gz"',
    'attachment; name="{}"',
    'form-data; name="{}"; filename="\xff\xfe.nii.gz"',
    "",
)
CONTENT_TYPES = (
    f"multipart/form-data; boundary={BOUNDARY}",
    f"multipart/form-data; boundary={BOUNDARY}",
    f"multipart/form-data; boundary={BOUNDARY}; charset=utf-16",
    f"multipart/form-data; boundary={BOUNDARY}; charset=none-such",
    f'multipart/form-data; boundary="{BOUNDARY}',
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "multipart/mixed; boundary=" + BOUNDARY,
    "application/x-www-form-urlencoded",
    "application/json",
    "text/plain; charset=none-such",
    "",
)


@st.composite
def broken_forms(draw: st.DrawFn) -> tuple[str, bytes]:
    """A content type, and a body of up to three parts."""
    body = b""
    for _ in range(draw(st.integers(0, 3))):
        disposition = draw(st.sampled_from(DISPOSITIONS)).format(draw(st.sampled_from(FIELDS)))
        content = draw(
            st.sampled_from([b"{}", b"", b"\xff", nifti(is_label=True), b"a" * 2_000_000])
        )
        body += f"--{BOUNDARY}\r\n".encode()
        if disposition:
            body += f"Content-Disposition: {disposition}\r\n".encode("latin-1")
        body += draw(st.sampled_from([b"", b"Content-Transfer-Encoding: base64\r\n", b"X\r\n"]))
        body += b"\r\n" + content + b"\r\n"
    body += f"--{BOUNDARY}--\r\n".encode()
    cut = draw(st.sampled_from([0, 0, 0, 1, 4, 20]))
    return draw(st.sampled_from(CONTENT_TYPES)), body[: len(body) - cut]
