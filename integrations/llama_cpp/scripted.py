"""llama-cpp-python's server with the shim, and with a model that says what a script says.

    SCRIPT=script.json python -m integrations.llama_cpp.scripted --model model.gguf …      (the server's own flags)

Only `Llama.generate` is replaced, which evaluates a prompt and samples token after token. The app, its locks, the chat
template, the tokenizer and the stream are the server's. The script (`integrations/script.py`) is a list of turns:

    [{"when": "", "text": "Hello.", "delay": 0.01}]

`delay` (0): seconds before each token.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from integrations.script import add_line, turn_for
from responses_shim.cli import main


def install() -> None:
    """Replace the model's generation, in this process."""
    from llama_cpp import Llama

    Llama.generate = _generate


def _generate(self: Any, tokens: Sequence[int], **options: Any) -> Iterator[int]:
    script = Path(os.environ["SCRIPT"])
    prompt = self.detokenize(list(tokens), special=True).decode("utf-8", "replace")
    add_line(script, "seen", {"prompt": prompt})
    turn = turn_for(script, prompt)
    self.n_tokens = 0
    said = [*self.tokenize(turn["text"].encode(), add_bos=False, special=True), self.token_eos()]
    for number, token in enumerate(said):
        time.sleep(turn.get("delay", 0.0))
        # What the model would have read by now: the server looks at the end of it.
        read = [*tokens, *said[:number]]
        self.input_ids[self.n_tokens : len(read)] = read[self.n_tokens :]
        self.n_tokens = len(read)
        yield token


if __name__ == "__main__":
    install()
    sys.exit(main(["run", "--with-parent", "llama-cpp", "--", *sys.argv[1:]]))
