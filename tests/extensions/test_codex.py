"""Codex's catalogue from a host's list of models. `integrations/codex` tests that the real Codex accepts it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.extensions.codex import (
    INSTRUCTIONS,
    MAX_TOOL_OUTPUT,
    Model,
    catalog,
    decode_models,
    is_catalog_request,
    read_models,
)

# The fields that Codex 0.169.0 requires; the last line are those that only older versions require.
REQUIRED = {
    *("slug", "display_name", "supported_reasoning_levels", "shell_type", "visibility", "supported_in_api"),
    *("priority", "support_verbosity", "truncation_policy", "experimental_supported_tools", "base_instructions"),
    *("supports_reasoning_summaries", "supports_parallel_tool_calls"),
}


def list_of(*entries: Any) -> dict[str, Any]:
    return {"object": "list", "data": list(entries)}


def test_the_models_are_read_in_their_order() -> None:
    assert read_models(list_of({"id": "b"}, {"id": "a"})) == [Model("b"), Model("a")]


@pytest.mark.parametrize("name", ["max_model_len", "context_length", "context_window"])
def test_the_context_length_is_read_from_any_field_that_hosts_use_for_it(name: str) -> None:
    assert read_models(list_of({"id": "m", name: 32768})) == [Model("m", 32768)]


@pytest.mark.parametrize("length", [None, 0, -1, True, 1.5, "32768"])
def test_a_context_length_that_is_no_positive_integer_is_ignored(length: object) -> None:
    assert read_models(list_of({"id": "m", "max_model_len": length})) == [Model("m")]


def test_the_next_field_is_read_if_the_first_holds_no_context_length() -> None:
    assert read_models(list_of({"id": "m", "max_model_len": None, "context_length": 8192})) == [Model("m", 8192)]


@pytest.mark.parametrize(
    ("architecture", "images"),
    [
        ({"input_modalities": ["text", "image"]}, True),
        ({"input_modalities": ["text"]}, False),
        ({"input_modalities": "image"}, False),
        ({}, False),
        ("image", False),
    ],
)
def test_a_model_takes_images_if_the_host_lists_that_modality(architecture: object, images: bool) -> None:
    assert read_models(list_of({"id": "m", "architecture": architecture})) == [Model("m", images=images)]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "models",
        {"models": [{"slug": "m"}]},
        {"data": {"id": "m"}},
        list_of("m"),
        list_of({"id": "m"}, {"name": "m"}),
        list_of({"id": 7}),
        list_of({"id": ""}),
    ],
)
def test_an_answer_that_is_no_list_of_models_is_none(answer: object) -> None:
    assert read_models(answer) is None
    assert decode_models(json.dumps(answer).encode()) is None


@pytest.mark.parametrize("body", [b"", b"models", b'{"data": ["\xff"]}', b"[" * 100_000])
def test_a_body_that_is_no_json_is_none(body: bytes) -> None:
    assert decode_models(body) is None


def test_a_body_is_decoded_to_its_models() -> None:
    assert decode_models(b'{"data": [{"id": "m", "max_model_len": 8192}]}') == [Model("m", 8192)]


@pytest.mark.parametrize(
    ("method", "query", "expected"),
    [
        ("GET", b"client_version=0.169.0", True),
        ("GET", b"a=b&client_version", True),
        ("GET", b"", False),
        ("GET", b"version=client_version", False),
        ("HEAD", b"client_version=0.169.0", False),
        (None, b"client_version=0.169.0", False),
    ],
)
def test_codex_is_recognised_by_the_version_in_its_query(method: str | None, query: bytes, expected: bool) -> None:
    assert is_catalog_request(method, query) is expected


def test_each_model_has_every_field_that_codex_requires() -> None:
    [info] = catalog([Model("Qwen/Qwen3-Coder", 32768)])["models"]
    assert info.keys() >= REQUIRED
    assert info["slug"] == info["display_name"] == "Qwen/Qwen3-Coder"
    assert info["context_window"] == 32768
    assert info["apply_patch_tool_type"] == "freeform"
    assert info["base_instructions"] == INSTRUCTIONS


def test_an_unknown_context_length_is_left_out() -> None:
    [info] = catalog([Model("m")])["models"]
    assert "context_window" not in info
    assert info["truncation_policy"] == {"mode": "tokens", "limit": MAX_TOOL_OUTPUT}


def test_in_a_small_context_a_tools_output_is_cut_to_a_quarter_of_it() -> None:
    [info] = catalog([Model("m", 8192)])["models"]
    assert info["truncation_policy"]["limit"] == 2048


@pytest.mark.parametrize(("images", "modalities"), [(True, ["text", "image"]), (False, ["text"])])
def test_the_input_modalities_say_whether_the_model_takes_images(images: bool, modalities: list[str]) -> None:
    [info] = catalog([Model("m", images=images)])["models"]
    assert info["input_modalities"] == modalities


def test_the_first_model_has_the_first_priority() -> None:
    models = catalog([Model("b"), Model("a")])["models"]
    assert [info["slug"] for info in sorted(models, key=lambda info: info["priority"])] == ["b", "a"]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("input_modalities"), inner),
    max_leaves=5,
)
ENTRY = st.fixed_dictionaries({"id": st.text()}, optional={"max_model_len": ANYTHING, "architecture": ANYTHING})


@given(st.lists(ENTRY | ANYTHING, max_size=4))
def test_any_data_of_a_host_is_read_as_models_or_ignored(entries: list[Any]) -> None:
    models = read_models(list_of(*entries))
    named = all(isinstance(entry, dict) and entry.get("id") for entry in entries)
    assert (models is not None) == named
    if models is not None:
        assert [info["slug"] for info in catalog(models)["models"]] == [entry["id"] for entry in entries]
