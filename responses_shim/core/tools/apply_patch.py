"""The tool apply_patch: one file created, updated or deleted."""

from __future__ import annotations

from typing import Any, ClassVar

from responses_shim.core.tools.arguments import (
    object_or_empty,
    required_object,
    string_or_none,
    write_given_arguments,
)
from responses_shim.core.tools.base import BuiltInToolKind, Function, Item, ParsedCallBuilder, ToolSummaries
from responses_shim.core.wire.large_json import Text, joined
from responses_shim.core.wire.responses import (
    ApplyPatchCallItem,
    CreateFile,
    DeleteFile,
    ItemStatus,
    PatchOperation,
    UpdateFile,
)
from responses_shim.core.wire.validation import bad_value, required_string


class ApplyPatchCallBuilder(ParsedCallBuilder):
    """A call of apply_patch."""

    prefix = "apc"

    def item(self, status: ItemStatus) -> ApplyPatchCallItem:
        return ApplyPatchCallItem(id=self.id, call_id=self.call_id, operation=self._operation(), status=status)

    def _operation(self) -> PatchOperation:
        """Some models write the operation into a field of that name, as they see it in the items of past calls."""
        parsed = object_or_empty(self._parsed.get("operation")) or self._parsed
        path, diff = string_or_none(parsed.get("path")) or "", string_or_none(parsed.get("diff")) or ""
        if parsed.get("type") == "delete_file":
            return DeleteFile(path=path)
        return (CreateFile if parsed.get("type") == "create_file" else UpdateFile)(path=path, diff=diff)


class ApplyPatchKind(BuiltInToolKind):
    """The tool apply_patch."""

    tool_type = "apply_patch"
    call_type = "apply_patch_call"
    output_type = "apply_patch_call_output"
    builder = ApplyPatchCallBuilder
    function: ClassVar[Function] = {
        "name": "apply_patch",
        "description": "Creates, updates or deletes one file. The diff is in V4A form: a line begins with a space "
        "where it stays, with - where it goes and with + where it is new; hunks begin with @@ and may name the class "
        "or function they are in. There are no line numbers. In a new file every line begins with +.",
        "parameters": {
            "type": "object",
            "properties": {
                "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
                "path": {"type": "string", "description": "The file, relative to the working directory."},
                "diff": {"type": "string", "description": "What to change; left out for delete_file."},
            },
            "required": ["type", "path"],
        },
    }

    def past_arguments(self, item: Item, path: str) -> Text:
        operation = required_object(item, "operation", path)
        return write_given_arguments(
            {name: operation.get(name) for name in ("type", "path", "diff")}, f"{path}.operation"
        )

    def posted_output(self, output: Any, status: str | None) -> Item:
        return {"status": status or "completed", **super().posted_output(output, status)}

    def read_output(self, item: Item, path: str, tools: ToolSummaries) -> Text:
        """`completed` or `failed`, and the client's words about it if there are any."""
        status = item.get("status")
        if status not in ("completed", "failed"):
            raise bad_value(f"{path}.status", status, ["completed", "failed"])
        return joined([status, ": ", required_string(item, "output", path)]) if item.get("output") else str(status)
