"""Whether a host's error says that the prompt is too long for the model's context.

Clients have to know this one: Codex shortens its history and tries again, and gives up on nothing else so early. Hosts
have no common code for it, and often only words. Each pattern below has been seen in the errors of the hosts named
beside it. What must not match: a token limit of the request that is wrong by itself (`max_tokens`), and a rate limit.
"""

from __future__ import annotations

import re

CODES = frozenset(
    {
        "context_length_exceeded",  # OpenAI, llama-cpp-python
        "exceed_context_size_error",  # llama.cpp
        "context_length_exceeded_error",
        "context_window_exceeded",
        "contextwindowexceedederror",  # LiteLLM
        "model_context_window_exceeded",
        "max_context_length_exceeded",
        "prompt_too_long",
        "input_too_long",
    }
)
"""Codes and types of errors, in lower case, that say so without words."""

_TOO_LONG = re.compile(
    "|".join(
        (
            r"maximum context length",  # OpenAI, vLLM, SGLang, llama-cpp-python, Mistral
            r"context\W+(length|window|size|limit)\W+(\w+\W+){0,3}exceed",  # LM Studio, MiniMax
            r"exceed\w*\W+(\w+\W+){0,4}context\W+(length|window|size|limit)",  # llama.cpp, OpenAI, Ollama, Anthropic
            r"(longer|greater|larger|bigger|more)\W+than\W+(\w+\W+){0,4}context\W+(length|window|size|limit)",  # SGLang
            r"context\W+(\w+\W+){0,2}overflow",  # LM Studio: "when context the overflows"
            r"too (long|large|big) (to fit|for) [^.]*context",  # vLLM with images
            r"(prompt|inputs?)\b( is| was)? too (long|large) *($|[:;,.!(]|for )",  # Anthropic, Bedrock, Ollama
            r"too many (input|prompt) tokens",
            # vLLM, SGLang, TensorRT-LLM, rapid-mlx, Gemini
            r"(prompt|inputs?|sequence|messages|request\w*)\W+(the |total )?(\(?(total )?length|([\d,]+ )?tokens?)\b"
            r"([^.\n]|\.\d){0,60}(exceed|(longer|greater|larger|more|bigger) than)",
            r"(maximum|max\.?) (prompt|input|model|sequence) length",  # xAI, vLLM, TGI
            r"exceeds? (the )?(max_seq_len|max_model_len|max_input_len|max_prompt_len|n_ctx|session_len)",
            r"inputs?\W+tokens \+ \W*max_new_tokens",  # TGI
            r"inputs?\W+must have (less|fewer) than [\d,]+ tokens",  # TGI
            r"needs [\d,]+ (context )?tokens",  # MLX servers: "… but MAX_KV_SIZE is 4096"
            r"n_keep\W.{0,30}n_ctx|tokens to keep from the initial prompt",  # LM Studio
            r"exceeded model token limit",  # Kimi
            r"length is [\d,]+ while limit is",  # Cerebras
            r"reduce the length of (the|your) (messages|prompt|input)",  # Groq
        )
    ),
    re.IGNORECASE,
)
_LIMIT = r"(max_(completion_|new_|output_)?tokens|max_length|min_tokens)"
_OTHER_LIMIT = re.compile(
    # "`max_tokens` must be …", "'max_tokens' or 'max_completion_tokens' is too large: …", "Invalid 'max_tokens': …"
    rf"\W*((\w*error|value|invalid|input|validation|requested?|the|host|failed|parameter|field|for|of)\W+)*{_LIMIT}\b"
    r"|\s*\d+ validation errors?\b"  # pydantic's, which quotes the request
    r"|.*\b(per[- ](minute|day|hour)|rate limit|[tr]p[md])\b",
    re.IGNORECASE | re.DOTALL,
)
QUOTED_FROM = 4000
"""Characters of a message that are looked at: what is longer quotes the request."""


def says_too_long(message: str) -> bool:
    """Whether the words of an error say that the prompt is too long."""
    message = message[:QUOTED_FROM]
    return _TOO_LONG.search(message) is not None and _OTHER_LIMIT.match(message) is None
