"""The apply_patch tool."""

from __future__ import annotations

from typing import ClassVar

from responses_shim.core.tools.base import (
    Function,
    Item,
    OwnForm,
    ReadCallOutput,
    object_field,
    object_or_empty,
    text_or_none,
    without_nulls,
)
from responses_shim.core.wire.responses import (
    ApplyPatchCallItem,
    CreateFile,
    DeleteFile,
    ItemStatus,
    PatchOperation,
    UpdateFile,
)
from responses_shim.core.wire.validation import bad_value, required_string


class ApplyPatchOutput(ReadCallOutput):
    prefix = "apc"

    def item(self, status: ItemStatus) -> ApplyPatchCallItem:
        return ApplyPatchCallItem(id=self.id, call_id=self.call_id, operation=self._operation(), status=status)

    def _operation(self) -> PatchOperation:
        read = object_or_empty(self._read.get("operation")) or self._read
        path, diff = text_or_none(read.get("path")) or "", text_or_none(read.get("diff")) or ""
        if read.get("type") == "delete_file":
            return DeleteFile(path=path)
        return (CreateFile if read.get("type") == "create_file" else UpdateFile)(path=path, diff=diff)


class ApplyPatchForm(OwnForm):
    kind = "apply_patch"
    call = "apply_patch_call"
    output = ApplyPatchOutput
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

    def arguments(self, item: Item, path: str) -> str:
        operation = object_field(item, "operation", path)
        return without_nulls({name: operation.get(name) for name in ("type", "path", "diff")})


def _apply_patch(item: Item, path: str) -> str:
    """`completed` or `failed`, and why."""
    status = item.get("status")
    if status not in ("completed", "failed"):
        raise bad_value(f"{path}.status", status, ["completed", "failed"])
    output = item.get("output")
    return f"{status}: {required_string(item, 'output', path)}" if output else status
