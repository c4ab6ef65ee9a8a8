"""The models whose directories `make.py` writes: real ones, whose logits are replaced by those of a script.

Imported by the server, from `PYTHONPATH`. The environment variable SCRIPT names a JSON file that is read at each
prompt:

    {"text": "<think>Hm.</think>Hello.", "end": true, "delay": 0.01}

`end` (true): the text is followed by the token that ends an answer; otherwise it begins again. `delay` (0): seconds for
each token.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import mlx.core as mx

END = 2
"""The id of `<|im_end|>`."""


class Script:
    """Logits with which any sampler writes the script, token by token."""

    def __init__(self, model_file: str) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(Path(model_file).parent / "tokenizer.json"))
        self._ids = [END]
        self._next = 0
        self._delay = 0.0

    def replace(self, inputs: mx.array, logits: mx.array) -> mx.array:
        """Logits of the next token of the script; of the first one, unless the input is the token before it."""
        row = inputs.tolist()[0]
        if len(row) > 1 or self._next == 0 or row[-1] != self._ids[self._next - 1]:
            self._begin()
        time.sleep(self._delay)
        token = self._ids[self._next]
        self._next = (self._next + 1) % len(self._ids)
        scripted = mx.full(logits.shape, -1e4)
        scripted[:, -1, token] = 1e4
        return scripted.astype(logits.dtype)

    def _begin(self) -> None:
        script = json.loads(Path(os.environ["SCRIPT"]).read_text(encoding="utf-8"))
        ids = self._tokenizer.encode(script["text"], add_special_tokens=False).ids
        self._ids = [*ids, END] if script.get("end", True) else ids
        self._delay = script.get("delay", 0.0)
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
            return self._script.replace(inputs, super().__call__(inputs, cache, input_embeddings))

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
