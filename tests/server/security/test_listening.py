"""A server without a login listens on this machine alone."""

import pytest

from zeus_app.errors import InputError
from zeus_app.server.security.listening import (
    is_loopback,
    listening_host,
    refuse_open_listening,
    refuse_stock_login,
)


@pytest.mark.parametrize(
    ("arguments", "host"),
    [
        ("start_server --app a", "0.0.0.0"),
        ("start_server --app a --host 127.0.0.1", "127.0.0.1"),
        ("start_server --host=10.0.0.5 --conf host 127.0.0.1", "10.0.0.5"),
        ("start_server -i 127.0.0.1", "127.0.0.1"),
        ("start_server --hos localhost", "localhost"),
        ("monailabel.app:app", "127.0.0.1"),
    ],
)
def test_the_host_is_read_as_the_stock_command_reads_it(arguments: str, host: str) -> None:
    assert listening_host(arguments.split()) == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_is_served(host: str) -> None:
    assert is_loopback(host)
    refuse_open_listening(host, insecure=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "zeus.example", ""])
def test_other_machines_are_served_only_if_the_owner_says_so(host: str) -> None:
    with pytest.raises(InputError, match=r"without a login(.|\n)*--insecure"):
        refuse_open_listening(host, insecure=False)
    refuse_open_listening(host, insecure=True)


def test_the_stock_login_is_refused_because_it_lets_nobody_in() -> None:
    with pytest.raises(InputError, match="MONAI_LABEL_AUTH_ENABLE"):
        refuse_stock_login(is_on=True)
    refuse_stock_login(is_on=False)
