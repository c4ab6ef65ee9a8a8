"""The kinds of tool that there are: the one list."""

from __future__ import annotations

from responses_shim.core.tools.apply_patch import ApplyPatchForm, _apply_patch
from responses_shim.core.tools.base import Form, Item, OwnForm
from responses_shim.core.tools.custom import CustomForm
from responses_shim.core.tools.function import FunctionForm
from responses_shim.core.tools.local_shell import LocalShellForm, _local_shell
from responses_shim.core.tools.shell import ShellForm, _shell
from responses_shim.core.tools.tool_search import ToolSearchForm

FUNCTION = FunctionForm()

CUSTOM = CustomForm()

TOOL_SEARCH = ToolSearchForm()

OWN: dict[str, OwnForm] = {form.kind: form for form in (LocalShellForm(), ShellForm(), ApplyPatchForm())}

FORMS: tuple[Form, ...] = (FUNCTION, CUSTOM, TOOL_SEARCH, *OWN.values())

CALLS: dict[str, Form] = {form.call: form for form in FORMS}


def result_text(item: Item, path: str) -> str:
    """The output of a local shell, a shell or apply_patch. InvalidRequest names the field that is wrong."""
    return _RESULTS[item["type"]](item, path)


_RESULTS = {
    "local_shell_call_output": _local_shell,
    "shell_call_output": _shell,
    "apply_patch_call_output": _apply_patch,
}
