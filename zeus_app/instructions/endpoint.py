"""A hospital's own LLM server as the writer of instructions.

Any server that speaks OpenAI's chat completions: vLLM, llama.cpp's server, Ollama. What is asked,
and the slices where they are asked for, leave this process here and nowhere else: to the one
address that the profile names, with no proxy between and no redirection followed.
"""

import base64
import io
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import requests

from zeus_app.errors import InputError
from zeus_app.instructions.pictures import as_image
from zeus_app.instructions.templates import SYSTEM_LINE, without_thinking
from zeus_app.progress import Pause, no_pause
from zeus_app.types import FloatArray

SEED = 0
_REMEDY = "check the address and the server's log; it must serve POST …/chat/completions"


class ChatEndpoint:
    """A model behind an OpenAI-compatible address.

    With `send_pictures` the patient's slices themselves are sent there, as PNG without any name or
    date: the address must be one that may see them.

    Attributes:
        id: names the model as the server calls it, and what is sent; the weights behind a name
            are the server's affair, so serve other weights under another name.
    """

    def __init__(
        self, url: str, model: str, *, send_pictures: bool = False, timeout_s: float = 120.0
    ) -> None:
        """Remember the address; nothing is sent yet.

        Args:
            url: of the API's root: "http://127.0.0.1:8000/v1".
            model: the model's name on that server.
            send_pictures: send the slice with the question, to a model that sees.
            timeout_s: longest wait for an answer, in seconds.

        Raises:
            InputError: the address is not one of http or https.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InputError(
                f"LLM server {url!r}",
                expected="an address such as http://127.0.0.1:8000/v1",
                remedy="correct the address in the profile",
            )
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._model = model
        self._timeout_s = timeout_s
        self.sees_pictures = send_pictures
        self.id = self.id_of(model, send_pictures=send_pictures)

    @staticmethod
    def id_of(model: str, *, send_pictures: bool = False) -> str:
        """The id of a model behind an address, wherever that is."""
        return f"{model}-endpoint-{'pictures' if send_pictures else 'words'}"

    def write(
        self,
        pictures: FloatArray | None,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        pause: Pause = no_pause,
    ) -> list[str]:
        """Ask N prompts, one request each, at temperature 0 and with a fixed seed.

        Args:
            pictures: (N, H, W) float32 in [0, 1]; not looked at unless pictures are sent.
            prompts: N questions.
            max_tokens: longest answer, thoughts included.
            pause: called before each request.

        Returns:
            N texts, without thoughts and white space at their ends.

        Raises:
            InputError: no answer, an answer that refuses, or one that is no chat completion;
                pictures are to be sent and are not one for each prompt.
        """
        if self.sees_pictures and (pictures is None or len(pictures) != len(prompts)):
            raise InputError(
                f"{0 if pictures is None else len(pictures)} pictures, and {len(prompts)} prompts",
                expected="one picture for each prompt",
                remedy="pass as many of the one as of the other",
            )
        with requests.Session() as session:
            session.trust_env = False  # no proxy of the environment may see what is sent
            answers = []
            for i, prompt in enumerate(prompts):
                pause()
                content = self._content(pictures, i, prompt)
                answers.append(self._ask(session, content, max_tokens=max_tokens))
            return answers

    def _content(self, pictures: FloatArray | None, i: int, prompt: str) -> Any:
        if not self.sees_pictures or pictures is None:
            return prompt
        buffer = io.BytesIO()
        as_image(pictures[i]).save(buffer, format="PNG")
        png = base64.b64encode(buffer.getvalue()).decode()
        return [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png}"}},
            {"type": "text", "text": prompt},
        ]

    def _ask(
        self,
        session: requests.Session,
        content: Any,
        *,
        max_tokens: int,
    ) -> str:
        body = {
            "model": self._model,
            "messages": [
                {"role": "system", "content": SYSTEM_LINE},
                {"role": "user", "content": content},
            ],
            "max_tokens": max_tokens,
            "temperature": 0,
            "seed": SEED,
            "stream": False,
        }
        try:
            answer = session.post(
                self._url, json=body, timeout=self._timeout_s, allow_redirects=False
            )
        except requests.RequestException as error:
            raise InputError(
                f"the LLM server at {self._url} does not answer: {str(error)[:200]}",
                expected=f"an answer within {self._timeout_s:g} s",
                remedy="start the server, or correct the address in the profile",
            ) from error
        return without_thinking(self._text(answer)).strip()

    def _text(self, answer: requests.Response) -> str:
        if answer.status_code != 200:
            raise InputError(
                f"the LLM server at {self._url} answered {answer.status_code}: {answer.text[:200]}",
                expected=f"200 and a chat completion of model {self._model!r}",
                remedy=_REMEDY,
            )
        try:
            text = answer.json()["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError):
            text = None
        if not isinstance(text, str):
            raise InputError(
                f"the LLM server at {self._url} answered {answer.text[:200]!r}",
                expected='{"choices": [{"message": {"content": "…"}}]}',
                remedy=_REMEDY,
            )
        return text
