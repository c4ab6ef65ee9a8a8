"""What hosts do with tools, by their own objects: without a tool parser the shim reads the calls."""

from __future__ import annotations

import sys
from argparse import Namespace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from responses_shim.core.response.tool_markup import Form
from responses_shim.hosts import HostProfile, mlx, mlx_tools, vllm
from responses_shim.hosts.tool_handling import Model, Templates, ToolHandling, tokenizer_templates

WITH_TOOLS = "{% for tool in tools %}{{ tool }}{% endfor %}"
RESPONSE: dict[str, Any] = {"fields": {}}


def reads(tools: ToolHandling, written: Model) -> bool:
    return tools.parses is None or tools.parses(written)


def model(chat: str | None = WITH_TOOLS, form: Form = "hermes", name: str = "m") -> Model:
    return Model(name, Templates(chat), form)


# The templates of a tokenizer ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokenizer", "expected"),
    [
        (SimpleNamespace(chat_template="one"), Templates("one")),
        (SimpleNamespace(chat_template={"default": "one", "tool_use": "two"}), Templates("two")),
        (SimpleNamespace(chat_template={"default": "one"}), Templates("one")),
        (SimpleNamespace(chat_template=None, response_template=RESPONSE), Templates(None, RESPONSE)),
        (SimpleNamespace(init_kwargs={"response_template": RESPONSE}), Templates(None, RESPONSE)),
        (SimpleNamespace(chat_template=7, response_template="odd", init_kwargs=None), Templates()),
        (None, Templates()),
    ],
)
def test_a_tokenizer_has_templates(tokenizer: Any, expected: Templates) -> None:
    assert tokenizer_templates(tokenizer) == expected


def test_a_host_of_which_nothing_is_known_reads_the_calls() -> None:
    unknown = ToolHandling()
    assert unknown.templates("m") == Templates()
    assert unknown.parses is None
    assert not unknown.renders(model())


# vLLM ----------------------------------------------------------------------------------------------------------------


def served(serving: Any = None, **arguments: Any) -> ToolHandling:
    """What a vLLM server does that was started with these arguments."""
    given = {"enable_auto_tool_choice": False, "tool_call_parser": None, **arguments}
    return vllm.for_server(
        SimpleNamespace(state=SimpleNamespace(args=Namespace(**given), openai_serving_chat=serving))
    ).tools


def test_vllm_without_a_parser_leaves_the_calls_in_the_text() -> None:
    tools = served()
    assert not reads(tools, model())
    assert tools.unparsed_fields == {"tool_choice": "none", "skip_special_tokens": False}
    assert not reads(served(tool_call_parser="hermes"), model()), "the other flag is missing"
    assert not reads(served(enable_auto_tool_choice=True), model())


def test_vllm_with_a_parser_reads_them() -> None:
    tools = served(enable_auto_tool_choice=True, tool_call_parser="hermes")
    assert reads(tools, model())
    assert not tools.unparsed_fields


@pytest.mark.parametrize("app", [None, SimpleNamespace(), SimpleNamespace(state=SimpleNamespace())])
def test_a_vllm_server_that_does_not_show_how_it_was_started_has_a_parser(app: Any) -> None:
    assert reads(vllm.for_server(app).tools, model())


def test_gpt_oss_has_a_parser_of_its_own() -> None:
    assert reads(served(SimpleNamespace(online_renderer=SimpleNamespace(use_harmony=True))), model())


def test_vllm_shows_tools_by_a_template_that_has_them_unless_it_was_told_not_to() -> None:
    assert served().renders(model())
    assert served().renders(model(WITH_TOOLS + "{{ call.arguments | items }}")), "there they are objects"
    assert not served().renders(model("{{ messages }}"))
    assert not served().renders(model(None))
    assert not served(exclude_tools_when_tool_choice_none=True).renders(model())


def test_vllms_template_is_the_one_that_it_was_given_or_that_of_the_model() -> None:
    tokenizer = SimpleNamespace(chat_template={"default": "one", "rag": "two"}, response_template=RESPONSE)
    serving = SimpleNamespace(chat_template=None, renderer=SimpleNamespace(tokenizer=tokenizer))
    assert served(serving).templates("m") == Templates("one", RESPONSE)
    serving.chat_template = "rag"
    assert served(serving).templates("m").chat == "two"
    serving.chat_template = "{{ messages }}"
    assert served(serving).templates("m") == Templates("{{ messages }}", RESPONSE)
    assert served(None).templates("m") == Templates()


# MLX servers ---------------------------------------------------------------------------------------------------------


def profile(name: str, app: Any = None) -> HostProfile:
    found = next(profile for profile in mlx.PROFILES if profile.name == name)
    assert found.for_server is not None
    return found.for_server(app)


def load(monkeypatch: pytest.MonkeyPatch, module: str, **attributes: Any) -> None:
    """Have a module of the server's loaded."""
    loaded = ModuleType(module)
    loaded.__dict__.update(attributes)
    monkeypatch.setitem(sys.modules, module, loaded)


@pytest.mark.parametrize("name", ["vllm-mlx", "mlx-vlm", "rapid-mlx", "mlx-openai-server"])
def test_an_mlx_server_that_shows_nothing_reads_the_calls(name: str) -> None:
    tools = profile(name).tools
    assert tools.templates("m") == Templates()
    assert reads(tools, model())


@pytest.mark.parametrize("name", ["vllm-mlx", "rapid-mlx"])
def test_servers_with_the_flags_of_vllm(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module = f"{name.replace('-', '_')}.server"
    engine = SimpleNamespace(tokenizer=SimpleNamespace(chat_template=WITH_TOOLS))
    load(monkeypatch, module, _enable_auto_tool_choice=True, _tool_call_parser="kimi", _engine=engine)
    tools = profile(name).tools
    assert tools.templates("m").chat == WITH_TOOLS
    assert reads(tools, model(form="kimi_k2"))
    load(monkeypatch, module, _enable_auto_tool_choice=False, _tool_call_parser=None, _engine=None)
    assert tools.templates("m") == Templates()
    assert not reads(tools, model(form="kimi_k2"))
    assert not tools.renders(model(form="kimi_k2"))


def test_vllm_mlx_reads_some_forms_well_without_a_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, "vllm_mlx.server", _enable_auto_tool_choice=False, _tool_call_parser=None)
    tools = profile("vllm-mlx").tools
    assert reads(tools, model(form="glm"))
    assert not reads(tools, model(form="qwen3_coder"))
    assert not reads(tools, model("{{ messages }}")), "the model gets to know no tools"
    assert reads(tools, model(None, "qwen3_coder")), "an engine that is not loaded yet"


def test_mlx_vlm_is_asked_for_its_choice_of_a_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    processor = SimpleNamespace(tokenizer=SimpleNamespace(chat_template=WITH_TOOLS))
    cache = {"model_path": "m", "processor": processor}
    load(monkeypatch, "mlx_vlm.server.runtime", runtime=SimpleNamespace(model_cache=cache))
    load(monkeypatch, "mlx_vlm.tools.registry", _infer_tool_parser=lambda chat: "json" if "<known>" in chat else None)
    tools = profile("mlx-vlm").tools
    assert tools.templates("m").chat == WITH_TOOLS
    assert tools.templates("another") == Templates()
    assert reads(tools, model("<known>"))
    assert not reads(tools, model())
    assert reads(tools, model(None))
    assert tools.renders(model())
    assert not tools.renders(model(form="deepseek_v3")), "its markup is special tokens, which do not reach the text"


@pytest.mark.parametrize(
    ("platform", "package", "enforces"), [("darwin", True, True), ("darwin", False, False), ("linux", True, False)]
)
def test_mlx_servers_hold_answers_to_a_schema_with_metal_and_a_package(
    monkeypatch: pytest.MonkeyPatch, platform: str, package: bool, enforces: bool
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(mlx_tools, "find_spec", lambda name: object() if package else None)
    assert [profile(name).tools.enforces_schemas for name in ("vllm-mlx", "mlx-vlm", "rapid-mlx")] == [enforces] * 3
    assert profile("mlx-openai-server").tools.enforces_schemas


@pytest.mark.parametrize(
    ("state", "parses"),
    [
        ({"handler": SimpleNamespace(tool_parser_name="qwen3")}, True),
        ({"handler": SimpleNamespace(tool_parser_name=None)}, False),
        ({"handler": SimpleNamespace(_model_cfg_dict={"tool_call_parser": "qwen3"})}, True),
        ({"handler": SimpleNamespace(_model_cfg_dict={"tool_call_parser": None})}, False),
        ({"handler": SimpleNamespace()}, True),
        (
            {
                "registry": SimpleNamespace(_handlers={"m": SimpleNamespace(tool_parser_name=None)}),
                "handler": SimpleNamespace(tool_parser_name="qwen3"),
            },
            False,
        ),
    ],
)
def test_mlx_openai_server_has_a_parser_for_each_model(state: dict[str, Any], parses: bool) -> None:
    app = SimpleNamespace(state=SimpleNamespace(**state))
    assert reads(profile("mlx-openai-server", app).tools, model()) is parses
