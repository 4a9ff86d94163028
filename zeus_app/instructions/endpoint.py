"""A hospital's own LLM server as the model that generates instructions.

Any server with OpenAI's chat completions will do: vLLM, llama.cpp's server, Ollama. Questions, and
slices if the profile sends them, leave this process only here. They go to the address in the
profile, without a proxy, and no redirection is followed.
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
_REMEDY = "check the address and the server's log; the server must offer POST …/chat/completions"


class ChatEndpoint:
    """A model behind an OpenAI-compatible address.

    With `send_pictures` the patient's slices are sent there, as PNG without name or date. The
    address must be allowed to receive them.

    Attributes:
        id: the model's name on the server, and whether pictures are sent. Zeus cannot see which
            weights a name stands for, so serve other weights under another name.
    """

    def __init__(
        self, url: str, model: str, *, send_pictures: bool = False, timeout_s: float = 120.0
    ) -> None:
        """Store the address. Nothing is sent yet.

        Args:
            url: root of the API, such as "http://127.0.0.1:8000/v1".
            model: the model's name on that server.
            send_pictures: send the slice with the question, for a model that sees pictures.
            timeout_s: longest wait for an answer, in seconds.

        Raises:
            InputError: the address does not begin with http:// or https://.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InputError(
                f"LLM server {url!r}",
                expected="an address such as http://127.0.0.1:8000/v1",
                remedy="write the whole address into llm.url of the profile",
            )
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._model = model
        self._timeout_s = timeout_s
        self.sees_pictures = send_pictures
        self.id = self.id_of(model, send_pictures=send_pictures)

    @staticmethod
    def id_of(model: str, *, send_pictures: bool = False) -> str:
        """The id of a model with these settings, at any address."""
        return f"{model}-endpoint-{'pictures' if send_pictures else 'words'}"

    def generate(
        self,
        pictures: FloatArray | None,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        pause: Pause = no_pause,
    ) -> list[str]:
        """Generate N answers, one request each, at temperature 0 and with a fixed seed.

        Args:
            pictures: (N, H, W) float32 in [0, 1]; ignored unless pictures are sent.
            prompts: N questions.
            max_tokens: longest answer in tokens, `<think>` parts included.
            pause: called before each request.

        Returns:
            N texts, stripped, without `<think>` parts.

        Raises:
            InputError: the server does not answer, refuses, or answers with something else than a
                chat completion; or the number of pictures to send differs from N.
        """
        if self.sees_pictures and (pictures is None or len(pictures) != len(prompts)):
            raise InputError(
                f"{0 if pictures is None else len(pictures)} pictures, and {len(prompts)} prompts",
                expected="one picture for each prompt",
                remedy=f"pass {len(prompts)} pictures",
            )
        with requests.Session() as session:
            session.trust_env = False  # ignore proxies that the environment names
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
                remedy="start the server, or change llm.url in the profile",
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
