"""A host's list of models as Codex's catalogue. That Codex takes it is shown in `integrations/codex`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.extensions.codex import INSTRUCTIONS, MAX_TOOL_OUTPUT, Model, catalog, read_models

# What Codex 0.169.0 names in an error when it is missing; then what older ones ask for too.
REQUIRED = {
    *("slug", "display_name", "supported_reasoning_levels", "shell_type", "visibility", "supported_in_api"),
    *("priority", "support_verbosity", "truncation_policy", "experimental_supported_tools", "base_instructions"),
    *("supports_reasoning_summaries", "supports_parallel_tool_calls"),
}


def told(*entries: Any) -> dict[str, Any]:
    return {"object": "list", "data": list(entries)}


def test_the_ids_are_read_in_order() -> None:
    assert read_models(told({"id": "b"}, {"id": "a"})) == [Model("b"), Model("a")]


@pytest.mark.parametrize("name", ["max_model_len", "context_length", "context_window"])
def test_a_context_length_is_read_under_the_names_hosts_have_for_it(name: str) -> None:
    assert read_models(told({"id": "m", name: 32768})) == [Model("m", 32768)]


@pytest.mark.parametrize("length", [None, 0, -1, True, 1.5, "32768"])
def test_what_is_no_length_is_none(length: object) -> None:
    assert read_models(told({"id": "m", "max_model_len": length})) == [Model("m")]


def test_a_second_name_counts_where_the_first_says_nothing() -> None:
    assert read_models(told({"id": "m", "max_model_len": None, "context_length": 8192})) == [Model("m", 8192)]


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
def test_images_count_where_the_host_says_so(architecture: object, images: bool) -> None:
    assert read_models(told({"id": "m", "architecture": architecture})) == [Model("m", images=images)]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "models",
        {"models": [{"slug": "m"}]},
        {"data": {"id": "m"}},
        told("m"),
        told({"id": "m"}, {"name": "m"}),
        told({"id": 7}),
        told({"id": ""}),
    ],
)
def test_what_is_no_list_of_models_is_none(answer: object) -> None:
    assert read_models(answer) is None


def test_a_model_has_all_that_codex_asks_for() -> None:
    [info] = catalog([Model("Qwen/Qwen3-Coder", 32768)])["models"]
    assert info.keys() >= REQUIRED
    assert info["slug"] == info["display_name"] == "Qwen/Qwen3-Coder"
    assert info["context_window"] == 32768
    assert info["apply_patch_tool_type"] == "freeform"
    assert info["base_instructions"] == INSTRUCTIONS


def test_an_unknown_context_is_left_out() -> None:
    [info] = catalog([Model("m")])["models"]
    assert "context_window" not in info
    assert info["truncation_policy"] == {"mode": "tokens", "limit": MAX_TOOL_OUTPUT}


def test_one_tools_output_leaves_room_in_a_small_context() -> None:
    [info] = catalog([Model("m", 8192)])["models"]
    assert info["truncation_policy"]["limit"] == 2048


@pytest.mark.parametrize(("images", "modalities"), [(True, ["text", "image"]), (False, ["text"])])
def test_a_model_that_takes_no_images_says_so(images: bool, modalities: list[str]) -> None:
    [info] = catalog([Model("m", images=images)])["models"]
    assert info["input_modalities"] == modalities


def test_the_first_model_comes_first_to_codex_too() -> None:
    models = catalog([Model("b"), Model("a")])["models"]
    assert [info["slug"] for info in sorted(models, key=lambda info: info["priority"])] == ["b", "a"]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("input_modalities"), inner),
    max_leaves=5,
)
ENTRY = st.fixed_dictionaries({"id": st.text()}, optional={"max_model_len": ANYTHING, "architecture": ANYTHING})


@given(st.lists(ENTRY | ANYTHING, max_size=4))
def test_whatever_a_host_says_is_a_list_of_models_or_not(entries: list[Any]) -> None:
    models = read_models(told(*entries))
    named = all(isinstance(entry, dict) and entry.get("id") for entry in entries)
    assert (models is not None) == named
    if models is not None:
        assert [info["slug"] for info in catalog(models)["models"]] == [entry["id"] for entry in entries]
