"""What a test reads of an answer."""

import requests


def detail(response: requests.Response) -> str:
    return str(response.json()["detail"])
