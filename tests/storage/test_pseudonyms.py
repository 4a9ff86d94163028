"""A pseudonym is equal for one patient, and says nothing without the key of the state folder."""

import hashlib
import hmac
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from zeus_app.errors import InputError
from zeus_app.storage.pseudonyms import KEY_FILE, Pseudonyms

KEY = bytes(range(32))
NAMES = ["PAT-0815", "Müller^Anna", "", "a" * 500, "\udcff"]


def digest(text: str) -> str:
    return hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()


def test_a_pseudonym_is_a_cut_hmac_and_the_proof_of_its_key() -> None:
    digits = digest("patient PAT-0815")[:8]
    proof = digest(f"pseudonym {digits}")[:4]
    assert Pseudonyms(KEY).of("PAT-0815") == f"patient-{digits}{proof}"


@pytest.mark.parametrize("name", NAMES)
def test_a_pseudonym_is_a_plain_name_and_has_no_other_pseudonym(name: str) -> None:
    pseudonym = Pseudonyms(KEY).of(name)
    assert len(pseudonym) == len("patient-1f3a9c2b04d7")
    assert Pseudonyms(KEY).of(pseudonym) == pseudonym


def test_a_name_in_the_form_of_a_pseudonym_is_replaced_unless_the_key_made_it() -> None:
    pseudonym = Pseudonyms(KEY).of("PAT-0815")
    other = Pseudonyms(bytes(32))
    assert other.of(pseudonym) != pseudonym
    assert Pseudonyms(KEY).of(pseudonym[:-4] + "0000") != pseudonym[:-4] + "0000"


def test_different_patients_have_different_pseudonyms() -> None:
    assert len({Pseudonyms(KEY).of(f"PAT-{number}") for number in range(1000)}) == 1000


def test_the_key_is_made_once_and_is_the_owner_s_alone(tmp_path: Path) -> None:
    state = tmp_path / "new" / "state"
    first = Pseudonyms.of_folder(state).of("PAT-0815")
    assert Pseudonyms.of_folder(state).of("PAT-0815") == first
    assert stat.S_IMODE((state / KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in state.iterdir()] == [KEY_FILE]
    assert Pseudonyms.of_folder(tmp_path / "other").of("PAT-0815") != first


def test_a_key_that_others_may_read_is_closed(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_bytes(KEY)
    (tmp_path / KEY_FILE).chmod(0o644)
    assert Pseudonyms.of_folder(tmp_path).of("x") == Pseudonyms(KEY).of("x")
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = set(pool.map(lambda _: Pseudonyms.of_folder(tmp_path).of("x"), range(64)))
    assert len(made) == 1


def test_a_damaged_key_is_refused_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_bytes(KEY[:5])
    with pytest.raises(InputError, match=r"has 5 bytes.*restore pseudonyms.key from a backup"):
        Pseudonyms.of_folder(tmp_path)
    assert (tmp_path / KEY_FILE).read_bytes() == KEY[:5]


def test_a_state_folder_that_cannot_be_written_is_refused_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made or read") as refused:
        Pseudonyms.of_folder(tmp_path / "file" / "state")
    assert str(tmp_path) not in str(refused.value)
