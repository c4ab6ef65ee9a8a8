"""What the MLX servers do with tools, as they were started. Their modules say that; they are looked up, never imported.

What each does with the calls of a model when it was given no tool parser:

- vllm-mlx reads a few forms all the same, some of them well.
- mlx-vlm chooses a parser by what the model's chat template contains, and leaves the calls of others in the text.
- rapid-mlx chooses one by the model's name; it, too, leaves the calls of others in the text.
- mlx-openai-server leaves all of them in the text.

All but mlx-vlm take `tool_choice: "none"` for a reason to read nothing, and to show no tools to the model; or turn past
calls into text of their own, or read some calls wrongly. So they get no tools: those are described.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib.util import find_spec
from typing import Any

from responses_shim.hosts.tool_handling import Model, Templates, ToolHandling, shows_tools, tokenizer_templates


def _attribute(module: str, name: str) -> Any:
    """An attribute of a module that the server has loaded; None if there is none."""
    return getattr(sys.modules.get(module), name, None)


# vllm-mlx --------------------------------------------------------------------------------------------------------

_READ_WELL = frozenset({"hermes", "glm", "gemma4", "deepseek_dsml"})
"""The forms that vllm-mlx reads as they are meant without `--tool-call-parser`. Of others it gets some calls wrong:
numbers as strings, arguments under another name, a name with a marker at its end."""


def _vllm_mlx_templates(name: str) -> Templates:
    return tokenizer_templates(getattr(_attribute("vllm_mlx.server", "_engine"), "tokenizer", None))


def _vllm_mlx_parses(model: Model) -> bool:
    if "vllm_mlx.server" not in sys.modules or _has_parser("vllm_mlx.server"):
        return True
    template = model.templates.chat
    # An engine that is not loaded yet, or is one of several, says nothing of its template.
    return template is None or (model.form in _READ_WELL and shows_tools(template))


def _has_parser(module: str) -> bool:
    """Whether a server with the flags of vLLM was started with a tool parser."""
    return bool(_attribute(module, "_enable_auto_tool_choice") and _attribute(module, "_tool_call_parser"))


# rapid-mlx -------------------------------------------------------------------------------------------------------


def _rapid_mlx_templates(name: str) -> Templates:
    return tokenizer_templates(getattr(_attribute("rapid_mlx.server", "_engine"), "tokenizer", None))


def _rapid_mlx_parses(model: Model) -> bool:
    return "rapid_mlx.server" not in sys.modules or _has_parser("rapid_mlx.server")


# mlx-vlm ---------------------------------------------------------------------------------------------------------


def _mlx_vlm_templates(name: str) -> Templates:
    """The templates of the loaded model; unknown if that is another one, which the request will have replaced."""
    cache: Any = getattr(_attribute("mlx_vlm.server.runtime", "runtime"), "model_cache", None)
    try:
        loaded, processor = cache.get("model_path"), cache.get("processor")
    except (AttributeError, KeyError, TypeError):
        return Templates()
    return tokenizer_templates(getattr(processor, "tokenizer", processor)) if loaded == name else Templates()


def _mlx_vlm_parses(model: Model) -> bool:
    infer = _attribute("mlx_vlm.tools.registry", "_infer_tool_parser")
    return infer is None or model.templates.chat is None or infer(model.templates.chat) is not None


def _mlx_vlm_renders(model: Model) -> bool:
    # Special tokens do not reach the text, and the markup of DeepSeek V3 consists of them.
    return model.form != "deepseek_v3" and shows_tools(model.templates.chat)


# mlx-openai-server -----------------------------------------------------------------------------------------------


def _openai_server_parses(app: Any, model: Model) -> bool:
    """Whether a parser was given for the model, which runs in this process or in one of its own."""
    state = getattr(app, "state", None)
    handlers = getattr(getattr(state, "registry", None), "_handlers", None)
    handler = handlers.get(model.name) if isinstance(handlers, dict) else None
    handler = handler or getattr(state, "handler", None)
    if handler is None:
        return True
    options = getattr(handler, "_model_cfg_dict", None)
    if isinstance(options, dict):
        return bool(options.get("tool_call_parser"))
    return bool(getattr(handler, "tool_parser_name", True))


def tool_handling(name: str, app: Any) -> ToolHandling:
    """What the server of that name does, whose app this is."""
    # Three of them need Metal for that, and a package that they do not all bring.
    enforces = sys.platform == "darwin" and find_spec("llguidance") is not None
    if name == "vllm-mlx":
        return ToolHandling(_vllm_mlx_templates, _vllm_mlx_parses, enforces_schemas=enforces)
    if name == "rapid-mlx":
        return ToolHandling(_rapid_mlx_templates, _rapid_mlx_parses, enforces_schemas=enforces)
    if name == "mlx-vlm":
        return ToolHandling(_mlx_vlm_templates, _mlx_vlm_parses, _mlx_vlm_renders, enforces_schemas=enforces)
    return ToolHandling(parses=partial(_openai_server_parses, app))
