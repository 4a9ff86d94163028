"""Searches: which studies fit which parameters, and which part of the list is sent."""

import pytest

from zeus_app.dicom.web.json_model import Json
from zeus_app.dicom.web.search import read_search
from zeus_app.errors import InputError


def study(uid: str, name: str, date: str, *modalities: str) -> Json:
    return {
        "0020000D": {"vr": "UI", "Value": [uid]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]},
        "00080020": {"vr": "DA", "Value": [date]},
        "00080061": {"vr": "CS", "Value": list(modalities)},
        "00080050": {"vr": "SH"},
    }


STUDIES = [
    study("1.1", "Doe^Jane", "20260101", "MR"),
    study("1.2", "Roe^Richard", "20260215", "MR", "SEG"),
    study("1.3", "Doe^[John]", "20261231", "SEG"),
]


def found(**parameters: str) -> list[str]:
    return [item["0020000D"]["Value"][0] for item in read_search([*parameters.items()]).of(STUDIES)]


@pytest.mark.parametrize(
    ("parameters", "uids"),
    [
        ({}, ["1.1", "1.2", "1.3"]),
        ({"StudyInstanceUID": "1.2"}, ["1.2"]),
        ({"0020000D": "1.2"}, ["1.2"]),
        ({"0020000d": "1.2"}, ["1.2"]),
        ({"StudyInstanceUID": "1.1,1.3"}, ["1.1", "1.3"]),
        ({"StudyInstanceUID": r"1.1\1.3"}, ["1.1", "1.3"]),
        ({"ModalitiesInStudy": "SEG"}, ["1.2", "1.3"]),
        ({"ModalitiesInStudy": "CT,MR"}, ["1.1", "1.2"]),
        ({"StudyDate": "20260101"}, ["1.1"]),
        ({"StudyDate": "20260102-20261230"}, ["1.2"]),
        ({"StudyDate": "20260215-"}, ["1.2", "1.3"]),
        ({"StudyDate": "-20260101"}, ["1.1"]),
        ({"PatientName": "*doe*"}, ["1.1", "1.3"]),
        ({"PatientName": "Doe^J???"}, ["1.1"]),
        ({"PatientName": "Doe"}, []),
        ({"PatientName": "Doe^[John]"}, ["1.3"]),
        ({"PatientName": "Doe^[JR]*"}, []),
        ({"PatientName": "*"}, ["1.1", "1.2", "1.3"]),
        ({"PatientName": ""}, ["1.1", "1.2", "1.3"]),
        ({"AccessionNumber": "7"}, []),
        ({"PatientID": "7"}, []),
        ({"fuzzymatching": "true", "includefield": "00081030,00080060"}, ["1.1", "1.2", "1.3"]),
        ({"limit": "2"}, ["1.1", "1.2"]),
        ({"limit": "101", "offset": "2"}, ["1.3"]),
        ({"limit": "1", "offset": "1", "ModalitiesInStudy": "MR"}, ["1.2"]),
        ({"limit": "0"}, []),
        ({"offset": "9"}, []),
    ],
)
def test_a_search_finds(parameters: dict[str, str], uids: list[str]) -> None:
    assert found(**parameters) == uids


@pytest.mark.parametrize("value", ["-1", "x", "1.5", "1" * 10, "\uff11"])
@pytest.mark.parametrize("name", ["limit", "offset"])
def test_a_number_that_is_none_is_refused(name: str, value: str) -> None:
    with pytest.raises(InputError, match=f"a {name} that is no number"):
        found(**{name: value})


def test_a_parameter_that_is_no_attribute_is_refused() -> None:
    with pytest.raises(InputError, match="a search by 'Shoe'"):
        found(Shoe="9")


def test_a_pattern_of_many_stars_takes_no_exponential_time() -> None:
    assert found(PatientName="*e" * 2000 + "x") == []
