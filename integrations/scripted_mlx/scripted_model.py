"""The models whose directories `make.py` writes: real ones, whose logits are replaced by those of a script.

Imported by the server, from `PYTHONPATH`. The script (`integrations/script.py`) is named by the environment variable
SCRIPT. A turn may have

    {"when": "", "text": "<think>Hm.</think>Hello.", "end": true, "delay": 0.01}

`end` (true): the text is followed by the token that ends an answer; otherwise it begins again. `delay` (0): seconds for
each token.

A prompt is seen as far as the server has the model read it: not the beginning that it has in its cache.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import mlx.core as mx

from integrations.script import add_line, turn_for

END = 2
"""The id of `<|im_end|>`."""


SHORT = 512
"""The longest piece of a prompt that the model reads, in tokens. Of others the cache gets zeros: the prompts of agents
have tens of thousands of tokens here, one for each of their bytes, and attention to all of them takes minutes."""


class Script:
    """Logits with which any sampler writes the script, token by token."""

    def __init__(self, model_file: str) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(Path(model_file).parent / "tokenizer.json"))
        self._prompt: list[int] = []
        self._ids = [END]
        self._next = 0
        self._delay = 0.0

    def replace(self, inputs: mx.array, logits: mx.array) -> mx.array:
        """Logits of the next token of the script; of the first one, unless the input is the token before it."""
        row = inputs.tolist()[0]
        if len(row) > 1 or self._next == 0 or row[-1] != self._ids[self._next - 1]:
            self._begin(row)
        else:
            self._prompt = []
        time.sleep(self._delay)
        token = self._ids[self._next]
        self._next = (self._next + 1) % len(self._ids)
        scripted = mx.full(logits.shape, -1e4)
        scripted[:, -1, token] = 1e4
        return scripted.astype(logits.dtype)

    def _begin(self, row: list[int]) -> None:
        """Find the turn for a prompt, which comes in one piece or in several."""
        self._prompt += row
        script = Path(os.environ["SCRIPT"])
        prompt = self._tokenizer.decode(self._prompt, skip_special_tokens=False)
        turn = turn_for(script, prompt)
        add_line(script, "seen", {"prompt": prompt})
        ids = self._tokenizer.encode(turn["text"], add_special_tokens=False).ids
        self._ids = [*ids, END] if turn.get("end", True) else ids
        self._delay = turn.get("delay", 0.0)
        self._next = 0


def lm_model(model_file: str) -> tuple[type[Any], type[Any]]:
    """The classes that mlx-lm looks for in a model's own file."""
    from mlx_lm.models.llama import Model, ModelArgs

    class Scripted(Model):  # type: ignore[misc]
        def __init__(self, args: Any) -> None:
            super().__init__(args)
            object.__setattr__(self, "_script", Script(model_file))  # not a part of the model's parameters

        def __call__(
            self, inputs: mx.array, cache: Any = None, input_embeddings: Any = None, **options: Any
        ) -> mx.array:
            length = inputs.shape[1]
            if length <= SHORT or cache is None:
                return self._script.replace(inputs, super().__call__(inputs, cache, input_embeddings))
            width = self.args.hidden_size // self.args.num_attention_heads
            unread = mx.zeros((1, self.args.num_key_value_heads, length, width))
            for layer in cache:
                layer.update_and_fetch(unread, unread)
            return self._script.replace(inputs, mx.zeros((1, length, self.args.vocab_size)))

    return Scripted, ModelArgs


def vlm_model(model_file: str) -> tuple[type[Any], type[Any]]:
    """The classes that mlx-vlm looks for in a model's own file."""
    from mlx_vlm.models.llama import Model, ModelConfig, language

    script, plain = Script(model_file), language.LanguageModel.__call__

    def call(self: Any, inputs: Any = None, cache: Any = None, *args: Any, **options: Any) -> Any:
        output = plain(self, inputs, cache, *args, **options)
        output.logits = script.replace(inputs if inputs is not None else options["input_ids"], output.logits)
        return output

    language.LanguageModel.__call__ = call
    return Model, ModelConfig
