"""Requests that schemathesis makes from the server's own description, valid ones and others."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import given
from schemathesis import GenerationMode

from tests.fuzz.cases import CASES, try_cases
from tests.fuzz.target import STUDIES, Target

Operation = schemathesis.APIOperation[Any, Any, Any, Any]
SHARE = 0.3  # of all cases
KNOWN: dict[str, list[str]] = {
    "study": [*STUDIES, "alpha/FLAIR"],
    "image": [*STUDIES, "alpha/FLAIR"],
    "label": [*STUDIES],
    "id": [*STUDIES],
    "tag": ["final", "original", ""],
    "model": ["zeus", "clicks", "clicks_3d", "edit", "scribbles"],
    "strategy": ["first", "random"],
    "method": ["dice"],
    "sequence": ["T2", "FLAIR"],
    "version": ["untrained", "v0001"],
}
"""Values that mean something to the server. Made texts alone would find no study."""
FORMS = [json.dumps(value) for value in (
    {}, {"foreground": [[3, 4, 2]]}, {"label": "lesion", "roi": [1, 5, 1, 5, 1, 3]}, {"epochs": 1},
)]  # fmt: skip


def with_known_values(description: dict[str, Any]) -> dict[str, Any]:
    """The description, in which names of studies, models and so on are known ones."""
    described = deepcopy(description)
    for operation in operations_of(described):
        for parameter in operation.get("parameters", []):
            if known := KNOWN.get(parameter["name"]):
                parameter["schema"] = {"enum": known}
    for schema in described["components"]["schemas"].values():
        for name, field in schema.get("properties", {}).items():
            if name in ("params", "info"):
                schema["properties"][name] = {"anyOf": [{"enum": FORMS}, field]}
    return described


def operations_of(description: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in description["paths"].values():
        yield from methods.values()


def try_operation(operation: Operation, target: Target, count: int) -> None:
    """Send requests of one operation: valid ones, and ones that break its description."""
    valid = operation.as_strategy(GenerationMode.POSITIVE)
    invalid = operation.as_strategy(GenerationMode.NEGATIVE)

    @try_cases(count)
    @given(case=valid | invalid)
    def answers(case: Any) -> None:
        arguments = case.as_transport_kwargs(base_url=target.server.url)
        arguments.pop("cookies", None)
        target.send_prepared(requests.Request(**arguments).prepare())

    answers()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_operation_answers_every_request_with_a_result_or_a_reason(target: Target) -> None:
    description = requests.get(f"{target.server.url}/openapi.json", timeout=60).json()
    schema = schemathesis.openapi.from_dict(with_known_values(description))
    operations: list[Operation] = [
        operation for methods in schema.values() for operation in methods.values()
    ]
    count = round(CASES * SHARE / len(operations))
    faults = []
    for operation in operations:
        try:
            try_operation(operation, target, count)
        except* AssertionError as group:
            faults += [f"{operation.label}: {error}" for error in group.exceptions]
    assert not faults, "\n\n".join(faults)
    assert target.files_elsewhere() == target.untouched
