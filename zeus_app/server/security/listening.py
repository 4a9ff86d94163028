"""Where a server listens: on this machine alone, unless its owner says otherwise."""

import argparse
import ipaddress
from collections.abc import Sequence

from zeus_app.errors import InputError

STOCK_HOST = "0.0.0.0"
"""Where MONAI Label's own command listens if it is given no host: on all addresses."""
UVICORN_HOST = "127.0.0.1"


def listening_host(arguments: Sequence[str]) -> str:
    """The host of a server's command line, as MONAI Label or uvicorn reads it.

    Args:
        arguments: of the process, without the program.
    """
    parser = argparse.ArgumentParser(add_help=False)
    is_stock = "start_server" in arguments
    parser.add_argument("-i", "--host", default=STOCK_HOST if is_stock else UVICORN_HOST)
    known, _ = parser.parse_known_args([*arguments])
    return str(known.host)


def is_loopback(host: str) -> bool:
    """Whether a host, a name or an address without brackets, is this machine for itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def refuse_open_listening(host: str, *, insecure: bool) -> None:
    """Refuse to serve other machines without a login.

    Args:
        host: the address to listen on.
        insecure: the owner of the server allows it.

    Raises:
        InputError: the address is not loopback.
    """
    if not insecure and not is_loopback(host):
        raise InputError(
            f"listening on {host} without a login",
            expected="an address of this machine alone: everybody in the network could read,"
            " change and remove studies and labels",
            remedy="send --host 127.0.0.1; or, in a network that you trust, zeus serve --insecure,"
            " or --conf insecure true with MONAI Label's own command",
        )


def refuse_stock_login(*, is_on: bool) -> None:
    """Refuse MONAI Label's own login, which lets nobody in.

    Args:
        is_on: whether MONAI_LABEL_AUTH_ENABLE is set.

    Raises:
        InputError: it is on.
    """
    if is_on:
        raise InputError(
            "MONAI_LABEL_AUTH_ENABLE, MONAI Label's own login",
            expected="no login: this one refuses every token, because it decodes tokens without"
            " naming an algorithm",
            remedy="unset MONAI_LABEL_AUTH_ENABLE, and put a proxy with a login before Zeus",
        )
