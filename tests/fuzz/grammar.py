"""Valid requests: every field of a create request, every type of item and of tool, every form of `tool_choice`."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from responses_shim.core.request.messages import REFUSED_ITEMS, SKIPPED_ITEMS
from tests.fuzz.host_answers import TOOLS

Json = dict[str, Any]

PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
PARTS: list[Json] = [
    {"type": "input_text", "text": "Hi"},
    {"type": "input_text", "text": "<think>no</think> 😀"},
    {"type": "input_image", "image_url": PIXEL, "detail": "low"},
    {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "auto"},
    {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,SGk="},
    {"type": "input_file", "file_url": "https://example.com/a.pdf"},
    {"type": "input_file", "file_id": "file_1"},
    {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}},
    {"type": "input_video", "video_url": "https://example.com/a.mp4"},
]
ANNOTATION = {"type": "url_citation", "url": "https://example.com", "title": "a", "start_index": 0, "end_index": 1}
OUTPUT_TEXT = {"type": "output_text", "text": "Hello", "annotations": [ANNOTATION], "logprobs": []}
MESSAGES: list[Json] = [
    {"role": "user", "content": "Hi"},
    {"type": "message", "role": "user", "content": PARTS[:3]},
    {"role": "user", "content": [PARTS[4]]},
    {"role": "user", "content": [PARTS[3], PARTS[7], PARTS[8]]},
    {"role": "user", "content": [PARTS[5]]},
    {"role": "user", "content": [PARTS[6]]},
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": [PARTS[0]]},
    {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [OUTPUT_TEXT]},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}], "phase": "commentary"},
    {"role": "assistant", "content": "Hello"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_9", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "call_9", "content": "9"},
]
REASONING: list[Json] = [
    {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}], "encrypted_content": "rs1.aaaaaaaa"},
    {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAAA"},
]
SHELL_ACTION = {"commands": ["ls", "pwd"], "timeout_ms": 1000, "max_output_length": 100}
LOCAL_ACTION = {"type": "exec", "command": ["ls"], "env": {"A": "1"}, "working_directory": "/tmp"}
PATCH = {"type": "update_file", "path": "a", "diff": "@@\n-a\n+b"}
RESULT = {"stdout": "x", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}
CALLS: list[list[Json]] = [
    [
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "4"},
    ],
    [
        {"type": "function_call", "call_id": "c2", "name": "find", "namespace": "my server", "arguments": "{"},
        {"type": "function_call_output", "call_id": "c2", "output": [PARTS[0], PARTS[2]], "status": "completed"},
    ],
    [
        {"type": "custom_tool_call", "call_id": "c3", "name": "c", "input": "é\n1"},
        {"type": "custom_tool_call_output", "call_id": "c3", "output": "4"},
    ],
    [
        {"type": "shell_call", "call_id": "c4", "action": SHELL_ACTION, "status": "completed"},
        {"type": "shell_call_output", "call_id": "c4", "output": [RESULT], "max_output_length": 100},
    ],
    [
        {"type": "local_shell_call", "id": "lsh_1", "call_id": "c5", "action": LOCAL_ACTION, "status": "completed"},
        {"type": "local_shell_call_output", "id": "c5", "call_id": "c5", "output": "x", "status": "completed"},
    ],
    [
        {"type": "apply_patch_call", "call_id": "c6", "operation": PATCH, "status": "completed"},
        {"type": "apply_patch_call_output", "call_id": "c6", "status": "failed", "output": "no"},
    ],
    [
        {"type": "tool_search_call", "call_id": "c7", "execution": "client", "arguments": {"query": "x"}},
        {"type": "tool_search_output", "call_id": "c7", "execution": "client", "tools": [TOOLS[7]]},
    ],
]
OTHERS: list[Json] = [
    {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "more"}]},
    {"type": "item_reference", "id": "msg_1"},
    *[{"type": kind, "id": "x"} for kind in sorted({*SKIPPED_ITEMS, *REFUSED_ITEMS})],
]
INPUTS: st.SearchStrategy[Any] = st.just("Hi") | st.lists(
    st.sampled_from([*[[item] for item in [*MESSAGES * 4, *REASONING * 4, *OTHERS]], *CALLS * 6]), max_size=5
).map(lambda turns: [item for turn in turns for item in turn])

SCHEMA = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^a+$"}}, "required": ["a"]}
REFERRING = {"$defs": {"n": {"type": "integer"}}, "properties": {"n": {"$ref": "#/$defs/n"}}}
DECLARATIONS: list[Json] = [
    *TOOLS,
    {"type": "function", "name": "g", "description": "Finds", "parameters": SCHEMA, "strict": True},
    {"type": "function", "name": "h", "parameters": REFERRING, "allowed_callers": ["direct"]},
    {"type": "custom", "name": "d", "format": {"type": "grammar", "syntax": "regex", "definition": "a+"}},
    {"type": "custom", "name": "e", "format": {"type": "text"}, "defer_loading": True},
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "mcp", "server_label": "m", "server_url": "https://example.com"},
]
CHOICES: list[Any] = [
    *["auto", "none", "required"],
    *[{"type": "function", "name": "f"}, {"type": "custom", "name": "c"}, {"type": "shell"}, {"type": "apply_patch"}],
    {"type": "function", "name": "find", "namespace": "my server"},
    {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}, {"type": "shell"}]},
    {"type": "allowed_tools", "mode": "required", "tools": [{"type": "namespace", "name": "my server"}]},
    *[{"type": "web_search"}, {"type": "mcp", "server_label": "m"}],
]
FORMATS: list[Json] = [
    {"type": "text"},
    {"type": "json_object"},
    {"type": "json_schema", "name": "a", "schema": SCHEMA, "strict": True},
    {"type": "json_schema", "name": "b", "schema": REFERRING, "description": "b"},
]
INCLUDES = ["reasoning.encrypted_content", "message.output_text.logprobs", "message.input_image.image_url"]

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "instructions": st.sampled_from([None, "Be brief.", "é😀"]),
    "previous_response_id": st.sampled_from([None, "$response", "$response", "resp_never"]),
    "conversation": st.sampled_from([None, "$conversation", {"id": "$conversation"}, "conv_never"]),
    "store": st.sampled_from([None, True, False]),
    "background": st.sampled_from([None, True, False]),
    "stream_options": st.sampled_from([None, {}, {"include_obfuscation": True}]),
    "temperature": st.sampled_from([None, 0, 0.5, 2]),
    "top_p": st.sampled_from([None, 0, 1.0]),
    "presence_penalty": st.sampled_from([0, -2.0]),
    "frequency_penalty": st.sampled_from([0, 2.0]),
    "max_output_tokens": st.sampled_from([None, 1, 4096]),
    "max_tool_calls": st.sampled_from([None, 1]),
    "parallel_tool_calls": st.booleans(),
    "tools": st.lists(st.sampled_from(DECLARATIONS), max_size=5, unique_by=str),
    "tool_choice": st.sampled_from(CHOICES),
    "text": st.fixed_dictionaries(
        {}, optional={"format": st.sampled_from(FORMATS), "verbosity": st.sampled_from(["low", "high"])}
    ),
    "reasoning": st.sampled_from(
        [{}, {"effort": "low", "summary": "auto"}, {"generate_summary": "concise"}, {"context": "current_turn"}]
    ),
    "include": st.lists(st.sampled_from(INCLUDES), max_size=3),
    "top_logprobs": st.sampled_from([None, 0, 5]),
    "truncation": st.sampled_from(["auto", "disabled"]),
    "context_management": st.sampled_from([[], [{"type": "compaction", "compact_threshold": 1000}]]),
    "metadata": st.sampled_from([None, {}, {"a": "b", "chat_template_kwargs": "{}"}]),
    "prompt": st.sampled_from([None, {"id": "pmpt_1", "variables": {"a": "b"}}]),
    "prompt_cache_key": st.just("key"),
    "prompt_cache_retention": st.sampled_from(["24h", "in_memory"]),
    "prompt_cache_options": st.sampled_from([{}, {"mode": "implicit", "ttl": "30m"}]),
    "safety_identifier": st.just("user-1"),
    "user": st.just("user-1"),
    "service_tier": st.sampled_from(["auto", "default", "flex"]),
    "moderation": st.just({"model": "omni"}),
    "generate": st.booleans(),
    "seed": st.sampled_from([0, 7]),
    "stop": st.sampled_from(["x", ["x", "y"], []]),
    "top_k": st.sampled_from([-1, 40]),
    "min_p": st.sampled_from([0, 0.5]),
    "repetition_penalty": st.sampled_from([0.5, 1]),
    "return_token_ids": st.booleans(),
    "unknown": st.just({"a": 1}),
}


@st.composite
def bodies(draw: st.DrawFn) -> Json:
    """A request with up to eight more fields. A few combinations of them are refused."""
    body: Json = {"model": "scripted", "input": draw(INPUTS), "stream": draw(st.booleans())}
    for name in draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=8, unique=True)):
        body[name] = draw(FIELDS[name])
    return body


HEADERS = st.lists(
    st.sampled_from(
        [
            *[("authorization", "Bearer bob"), ("authorization", ""), ("x-api-key", "k"), ("cookie", "a=b; c")],
            *[("content-type", "text/plain"), ("content-type", "application/json; charset=utf-16"), ("accept", "*/*")],
            *[("content-encoding", "identity"), ("content-encoding", "gzip"), ("content-encoding", "br, zstd")],
            *[("content-length", "3"), ("content-length", "x"), ("content-length", "-1"), ("content-length", "9" * 30)],
            *[("connection", "x-request-id, authorization"), ("transfer-encoding", "chunked"), ("expect", "é")],
            *[("x-request-id", "r-1"), ("x-request-id", "é\x00"), ("upgrade", "websocket"), ("origin", "null")],
            *[("x-forwarded-for", "1.2.3.4"), ("host", ""), ("", ""), ("x-odd\xff", "\xff"), ("last-event-id", "7")],
        ]
    ),
    max_size=3,
)
QUERIES = st.sampled_from(["", "", "", "stream=true", "include[]=x", "&&=%ff", "a=%", "beta=true&beta=false", "é"])
