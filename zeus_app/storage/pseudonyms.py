"""Pseudonyms of patients: equal for one patient, and useless to others without the key.

A pseudonym is the HMAC-SHA256 of the patient's name or id (RFC 2104), cut to 32 bits, and 16 bits
that prove that this key made it. So a pseudonym is recognised, and never replaced by another.
"""

import hmac
import os
import re
import secrets
from pathlib import Path

from zeus_app.errors import InputError

KEY_FILE = "pseudonyms.key"
_KEY_BYTES = 32
_ID_DIGITS, _PROOF_DIGITS = 8, 4  # hexadecimal
_FORM = re.compile(rf"patient-([0-9a-f]{{{_ID_DIGITS}}})([0-9a-f]{{{_PROOF_DIGITS}}})")


class Pseudonyms:
    """The pseudonyms under one key.

    Args:
        key: 32 random bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of_folder(cls, folder: Path) -> "Pseudonyms":
        """Read the key in a state folder; make it at the first use.

        Raises:
            InputError: the key is damaged, or cannot be made or read.
        """
        path = folder / KEY_FILE
        try:
            key = path.read_bytes() if path.exists() else _make_key(path)
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)
        except OSError as error:
            raise InputError(
                f"the key of the patients' pseudonyms cannot be made or read: {error.strerror}",
                expected="a state folder that Zeus may write",
                remedy="make the state folder writable, or choose another, for example --conf state"
                " /data/zeus",
            ) from error
        if len(key) != _KEY_BYTES:
            raise InputError(
                f"{KEY_FILE} in the state folder has {len(key)} bytes",
                expected=f"the {_KEY_BYTES} bytes that Zeus wrote",
                remedy=f"restore {KEY_FILE} from a backup; or delete it, and every patient gets a"
                " new pseudonym and a new side of the split",
            )
        return cls(key)

    def of(self, patient: str) -> str:
        """The pseudonym of a patient; a pseudonym under this key is returned unchanged."""
        match = _FORM.fullmatch(patient)
        if match and self._proof(match[1]) == match[2]:
            return patient
        digits = self._digest(f"patient {patient}")[:_ID_DIGITS]
        return f"patient-{digits}{self._proof(digits)}"

    def _proof(self, digits: str) -> str:
        return self._digest(f"pseudonym {digits}")[:_PROOF_DIGITS]

    def _digest(self, text: str) -> str:
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256").hex()


def _make_key(path: Path) -> bytes:
    """Write a new key; or return the one that another process has written meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{KEY_FILE}-{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # unlike a rename, it replaces nothing
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path.read_bytes()
