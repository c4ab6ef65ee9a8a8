"""What llama-cpp-python makes of JSON schemas: its converter, its grammar and its sampler, without a model's weights.

    python -m integrations.llama_cpp.grammars MODEL.gguf

Reads JSON schemas from standard input, one a line, and answers each with a line of JSON:

    {"converted": false}                the converter has failed: the server goes on with a grammar for any object
    {"converted": true, "valid": false} the grammar cannot be parsed: the server would crash
    {"text": "{ \"a\"", "end": "stuck"}     the grammar lets no token through: the server would crash, too
    {"text": "{ \"a\": 1}", "end": "stop"}  what a model wrote that takes its tokens by chance; `end` is `length` if it
                                        was cut off

It is a program of its own because the engine ends the process for worse faults.
"""

from __future__ import annotations

import ctypes
import json
import random
import sys
import zlib
from typing import Any

MAX_TOKENS = 400
"""After so many tokens a text is cut off."""
IMPATIENT = 60
"""After so many tokens, a text ends where it can."""


class Vocabulary:
    """The tokens of a model's that are one character each, and those that end an answer."""

    def __init__(self, path: str) -> None:
        import llama_cpp

        self._c = llama_cpp
        self._model = llama_cpp.Llama(path, vocab_only=True, verbose=False)
        self.handle = self._model._model.vocab
        self.pieces: dict[int, str] = {}
        for token in range(llama_cpp.llama_vocab_n_tokens(self.handle)):
            if llama_cpp.llama_vocab_is_eog(self.handle, token):
                self.pieces[token] = ""
            elif len(piece := self._piece(token)) == 1 and piece != "\ufffd":
                self.pieces[token] = piece

    def _piece(self, token: int) -> str:
        buffer = ctypes.create_string_buffer(64)
        length = self._c.llama_token_to_piece(self.handle, token, buffer, len(buffer), 0, False)
        return buffer.raw[: max(length, 0)].decode("utf-8", "replace")

    def allowed(self, sampler: Any) -> list[int]:
        """The tokens that a sampler lets through."""
        entries = [self._c.llama_token_data(token, 0.0, 0.0) for token in self.pieces]
        data = (self._c.llama_token_data * len(entries))(*entries)
        array = self._c.llama_token_data_array(data, len(entries), -1, False)
        self._c.llama_sampler_apply(sampler, ctypes.byref(array))
        return [entry.id for entry in data if entry.logit > float("-inf")]

    def write(self, schema: str) -> dict[str, Any]:
        """The answer for one schema."""
        try:
            grammar = self._c.llama_grammar.json_schema_to_gbnf(schema)
        except Exception:
            return {"converted": False}
        sampler = self._c.llama_sampler_init_grammar(self.handle, grammar.encode(), b"root")
        if not sampler:
            return {"converted": True, "valid": False}
        choose = random.Random(zlib.crc32(schema.encode())).choice
        text = ""
        try:
            for number in range(MAX_TOKENS):
                tokens = self.allowed(sampler)
                if not tokens:
                    return {"text": text, "end": "stuck"}
                token = choose(self._ending(tokens) if number > IMPATIENT else tokens)
                if not self.pieces[token]:
                    return {"text": text, "end": "stop"}
                text += self.pieces[token]
                self._c.llama_sampler_accept(sampler, token)
            return {"text": text, "end": "length"}
        finally:
            self._c.llama_sampler_free(sampler)

    def _ending(self, tokens: list[int]) -> list[int]:
        """Those of the tokens that bring the end nearest."""
        for wanted in ("", '"', "}", "]"):
            if found := [token for token in tokens if self.pieces[token] == wanted]:
                return found
        return tokens


def main() -> None:
    vocabulary = Vocabulary(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(vocabulary.write(line)), flush=True)


if __name__ == "__main__":
    main()
