"""`input_file` parts: which ones become text or images, what that looks like, and how any other is refused."""

from __future__ import annotations

import base64
import copy
import os
import sys
from typing import Any
from urllib.parse import quote

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.errors import InvalidRequest, ShimError
from responses_shim.runtime import files, pdf
from responses_shim.runtime.files import FileQueues
from responses_shim.runtime.offload import INLINE_LIMIT, ITEM_COST
from responses_shim.settings import Settings
from tests.offloading import watch_offloaded
from tests.oracle import check_error
from tests.runtime.pdfs import drawn, pdf_of
from tests.runtime.reading import read_files

pytestmark = pytest.mark.anyio

DEADLINE = 20.0
PNG = b"\x89PNG\r\n\x1a\n\0\0"
OUTPUTS = ["function_call_output", "custom_tool_call_output"]

Item = dict[str, Any]


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def data_url(data: bytes, media: str) -> str:
    return f"data:{media};base64,{encoded(data)}"


def message(*parts: Any, role: str = "user") -> Item:
    return {"type": "message", "role": role, "content": list(parts)}


def part(data: bytes | str, **fields: Any) -> Item:
    return {"type": "input_file", "file_data": data if isinstance(data, str) else encoded(data), **fields}


async def replaced(part: Item, **settings: Any) -> Item:
    """What a file part is replaced by."""
    with anyio.fail_after(DEADLINE):
        (item,) = await read_files([message(part)], Settings(**settings))
    (replacement,) = item["content"]
    assert isinstance(replacement, dict)
    return replacement


async def text_of(part: Item, **settings: Any) -> str:
    replacement = await replaced(part, **settings)
    assert replacement.keys() == {"type", "text"}
    assert replacement["type"] == "input_text"
    return str(replacement["text"])


async def refusal(part: Item, **settings: Any) -> tuple[str | None, str | None]:
    """Code and param of the 400 for a file part. The param is relative to the part."""
    with anyio.fail_after(DEADLINE), pytest.raises(InvalidRequest) as caught:
        await read_files([message(), message({"type": "input_text", "text": "x"}, part)], Settings(**settings))
    check_error(caught.value.body())
    assert caught.value.status == 400
    param = caught.value.param or ""
    assert param.startswith("input[1].content[1].")
    return caught.value.code, param.removeprefix("input[1].content[1].")


# Which items are searched for files.


@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer", "critic", None])
async def test_files_are_replaced_in_a_message_of_any_role(role: str | None) -> None:
    (item,) = await read_files([{"role": role, "content": [part(b"Hi")]}], Settings())
    assert item == {"role": role, "content": [{"type": "input_text", "text": "<file>\nHi\n</file>"}]}


@pytest.mark.parametrize("kind", OUTPUTS)
async def test_files_are_replaced_in_a_tool_output(kind: str) -> None:
    given = {"type": kind, "call_id": "c", "output": [part(b"Hi")]}
    (item,) = await read_files([given], Settings())
    assert item == {**given, "output": [{"type": "input_text", "text": "<file>\nHi\n</file>"}]}
    with pytest.raises(InvalidRequest) as caught:
        await read_files([{"type": kind, "output": ["x", part("?")]}], Settings())
    assert caught.value.param == "input[0].output[1].file_data"


async def test_files_are_replaced_in_an_output_without_a_type_and_in_a_message_of_an_agent() -> None:
    text = {"type": "input_text", "text": "<file>\nHi\n</file>"}
    given = [{"call_id": "c", "output": [part(b"Hi")]}, {"type": "agent_message", "content": [part(b"Hi")]}]
    output, agent = await read_files(given, Settings())
    assert (output["output"], agent["content"]) == ([text], [text])


async def test_items_and_parts_without_files_stay_the_same_objects() -> None:
    first, last = message({"type": "input_text", "text": "x"}), {"type": "reasoning", "summary": []}
    beside = {"type": "input_image", "image_url": "u"}
    with_file = message(beside, part(b"Hi"), "invalid")
    given = [first, with_file, last]
    before = copy.deepcopy(given)
    result = await read_files(given, Settings())
    assert given == before
    assert result[0] is first
    assert result[2] is last
    assert result[1]["content"][0] is beside
    assert result[1]["content"][1:] == [{"type": "input_text", "text": "<file>\nHi\n</file>"}, "invalid"]


FILELESS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["message", "input_text", *OUTPUTS]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["type", "role", "content", "output", "text", "file_data"]), inner)
    ),
    max_leaves=20,
)


@given(items=st.lists(FILELESS))
async def test_a_list_without_any_files_is_the_same_object(items: list[Any]) -> None:
    assert await read_files(items, Settings()) is items


@given(items=st.lists(FILELESS, max_size=5), index=st.integers(0, 5))
async def test_any_items_beside_one_with_a_file_are_the_same_objects(items: list[Any], index: int) -> None:
    given = [*items[:index], message(part(b"Hi")), *items[index:]]
    result = await read_files(given, Settings())
    assert [new for new, old in zip(result, given, strict=True) if new is not old] == [
        message({"type": "input_text", "text": "<file>\nHi\n</file>"})
    ]


@pytest.mark.parametrize("kind", ["reasoning", "local_shell_call_output", "compaction", 7, ["message"]])
async def test_items_of_other_types_are_left_to_the_translation(kind: Any) -> None:
    items = [{"type": kind, "content": [part(b"Hi")], "output": [part(b"Hi")]}]
    assert await read_files(items, Settings()) is items


# Text.


@pytest.mark.parametrize("text", ["", "one", "two\nlines\r\n", "é 漢字 🦀", "x" * 200_000])
@pytest.mark.parametrize("form", ["bare", "base64", "percent"])
async def test_text_is_kept_exactly(text: str, form: str) -> None:
    data = text.encode()
    forms = {
        "bare": encoded(data) or "data:;base64,",
        "base64": data_url(data, "text/plain;charset=utf-8"),
        "percent": f"DATA:text/plain,{quote(text)}",
    }
    assert await text_of(part(forms[form])) == f"<file>\n{text}\n</file>"


@pytest.mark.parametrize(
    "media", ["text/csv", "application/json", "application/xml", "application/x-yaml", "image/svg+xml", "video/x", ""]
)
async def test_a_file_that_decodes_is_text_whatever_its_media_type(media: str) -> None:
    assert await text_of(part(data_url(b"a,b", media))) == "<file>\na,b\n</file>"


@pytest.mark.parametrize(
    "data", ["é🦀".encode("utf-8-sig"), "é🦀".encode("utf-16"), b"\xfe\xff" + "é🦀".encode("utf-16-be")]
)
async def test_a_byte_order_mark_is_no_part_of_the_text(data: bytes) -> None:
    assert await text_of(part(data)) == "<file>\né🦀\n</file>"


async def test_base64_may_have_line_breaks_and_percent_signs() -> None:
    assert await text_of(part("SGVs\r\nbG8=\n")) == "<file>\nHello\n</file>"
    assert await text_of(part("data:text/plain;base64,SGVsbG8%3D")) == "<file>\nHello\n</file>"


@pytest.mark.parametrize("length", [10, 65_535, 65_536, 65_537, 200_000])
@pytest.mark.parametrize("shift", range(4))
async def test_percent_signs_and_base64_may_be_cut_anywhere(length: int, shift: int) -> None:
    text = ("a" * shift + "é%" * length)[:length]
    assert await text_of(part(f"data:text/plain,{quote(text)}")) == f"<file>\n{text}\n</file>"
    assert await text_of(part(f"data:,{'a' * shift}{'%' * length}")) == f"<file>\n{'a' * shift}{'%' * length}\n</file>"
    spaced = "\n".join(encoded(text.encode()))
    assert await text_of(part(spaced)) == f"<file>\n{text}\n</file>"


@pytest.mark.parametrize(
    "value",
    [
        "QQ==" + "QUFB" * 30_000,
        "QUFB" * 20_000 + "=" + "QUFB" * 20_000,
        f"data:{';' * 2000},QQ==",
        "data:" + "a" * 2000,
    ],
)
async def test_long_data_that_is_no_base64_is_refused(value: str) -> None:
    assert (await refusal(part(value)))[0] == "invalid_file"


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("notes.txt", "notes.txt"),
        ("Bob's 漢字.txt", "Bob's 漢字.txt"),
        ('a"><file name="b&c', "a&quot;&gt;&lt;file name=&quot;b&amp;c"),
        ("a\nb\x00\x85\u2028", "a&#10;b&#0;&#133;&#8232;"),
    ],
)
async def test_the_name_is_escaped_so_that_it_cannot_end_the_tag(name: str, escaped: str) -> None:
    assert await text_of(part(b"Hi", filename=name)) == f'<file name="{escaped}">\nHi\n</file>'


@pytest.mark.parametrize("name", [None, ""])
async def test_a_file_may_have_no_name(name: str | None) -> None:
    assert await text_of(part(b"Hi", filename=name, file_id=None, file_url=None)) == "<file>\nHi\n</file>"


@pytest.mark.parametrize("value", ["", "?", "SGVsbG8", "Grüße", "data:text/plain", "data:;base64,SGVs!G8="])
async def test_data_that_is_neither_a_data_url_nor_base64_is_refused(value: str) -> None:
    assert await refusal(part(value)) == ("invalid_file", "file_data")


@pytest.mark.parametrize(
    "data", [b"\xff\xfe\xff", b"PK\3\4\xff", b"a\0b", "a".encode("utf-32"), b"RIFF\0\0\0\0WAVE\xff"]
)
@pytest.mark.parametrize("name", ["text.txt", "report.docx"])
async def test_a_file_that_is_no_text_is_refused_whatever_its_name(data: bytes, name: str) -> None:
    assert await refusal(part(data, filename=name)) == ("unsupported_file", "file_data")


# Images.


@pytest.mark.parametrize(
    ("data", "media"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a\xff", "image/gif"),
        (b"RIFF\n\xff\xff\xffWEBPVP8", "image/webp"),
    ],
)
async def test_an_image_is_recognised_by_its_first_bytes(data: bytes, media: str) -> None:
    image = {"type": "input_image", "image_url": data_url(data, media)}
    assert await replaced(part(data)) == image
    assert await replaced(part(data_url(data, "application/octet-stream"), filename="x.bin")) == image
    assert await replaced(part(data_url(data, media), detail="high")) == {**image, "detail": "high"}


async def test_an_unknown_image_type_is_passed_on_to_the_host() -> None:
    assert await replaced(part(data_url(b"\0", "image/heic"))) == {
        "type": "input_image",
        "image_url": data_url(b"\0", "image/heic"),
    }


# PDFs.


@pytest.mark.parametrize(
    ("media", "name"), [("application/pdf", None), ("application/octet-stream", "a.PDF"), ("text/plain", "a.txt")]
)
async def test_a_pdf_becomes_its_text(media: str, name: str | None) -> None:
    given = part(data_url(pdf_of("Hello", "World"), media), filename=name)
    attribute = f' name="{name}"' if name else ""
    assert await text_of(given) == f"<file{attribute}>\nHello\n\nWorld\n</file>"


async def test_the_same_pdf_always_gives_the_same_text() -> None:
    given = part(pdf_of("Hello"), filename="a.pdf")
    assert await text_of(given) == await text_of(given) == '<file name="a.pdf">\nHello\n</file>'


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (part(pdf_of("Hello", user_password="secret")), "encrypted"),
        (part(pdf_of("")), "no text"),
        (part(b"%PDF-1.7 and nothing more"), "damaged"),
        (part(b"Hello", filename="a.pdf"), "damaged"),
        (part(data_url(b"", "application/pdf")), "damaged"),
    ],
)
async def test_a_pdf_that_cannot_be_read_is_refused_with_the_reason(fields: Item, reason: str) -> None:
    assert await refusal(fields) == ("invalid_file", "file_data")
    with pytest.raises(InvalidRequest, match=reason):
        await replaced(fields)


async def test_without_the_extra_a_pdf_is_refused_and_the_extra_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdf", None)
    assert await refusal(part(pdf_of("Hello"))) == ("unsupported_file", "file_data")
    with pytest.raises(InvalidRequest, match=r"responses-shim\[files\]"):
        await replaced(part(pdf_of("Hello")))
    assert await text_of(part(b"Hello")) == "<file>\nHello\n</file>"


@pytest.mark.parametrize("program", ["/bin/false", "/nonexistent/python"])
async def test_a_process_that_does_not_start_is_a_500(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", program)
    with anyio.fail_after(DEADLINE), pytest.raises(ShimError) as caught:
        await read_files([message(part(pdf_of("Hello") + b"%" * 1_000_000))], Settings())
    check_error(caught.value.body())
    assert (caught.value.status, caught.value.param) == (500, "input[0].content[0].file_data")


async def test_a_pdf_whose_process_is_killed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was killed by its own limits, or by a system without any memory left."""
    killed = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
    monkeypatch.setattr(pdf, "command", lambda max_characters, seconds: killed)
    assert await refusal(part(pdf_of("Hello"))) == ("invalid_file", "file_data")


# Limits.


async def test_a_file_of_more_than_max_file_bytes_is_refused() -> None:
    assert await text_of(part(b"x" * 10), max_file=10) == "<file>\nxxxxxxxxxx\n</file>"
    assert await refusal(part(b"x" * 11), max_file=10) == ("file_too_large", "file_data")
    assert await refusal(part("data:,xxxxxxxxxxx"), max_file=10) == ("file_too_large", "file_data")


async def test_the_text_of_all_files_is_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_CHARACTERS", 10)
    four, three, item = part(b"xxxx"), part(pdf_of("yyy")), {"type": OUTPUTS[0], "output": [part(b"zzz")]}
    assert len(await read_files([message(four, three), item], Settings())) == 2
    for last, where in ((part(b"z" * 4), "input[1].content[0]"), (part(pdf_of("z" * 4)), "input[1].content[0]")):
        with pytest.raises(InvalidRequest) as caught:
            await read_files([message(four, three), message(last)], Settings())
        check_error(caught.value.body())
        assert (caught.value.code, caught.value.param) == ("file_too_large", f"{where}.file_data")


class Children:
    """The child processes that are started after it was made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.all: list[anyio.abc.Process] = []
        self.started = anyio.Event()
        start = anyio.open_process

        async def watched(*args: Any, **options: Any) -> anyio.abc.Process:
            self.all.append(await start(*args, **options))
            self.started.set()
            return self.all[-1]

        monkeypatch.setattr(anyio, "open_process", watched)

    def assert_killed(self) -> None:
        assert self.all
        for child in self.all:
            assert child.returncode is not None
            assert child.returncode < 0
            with pytest.raises(ProcessLookupError):
                os.kill(child.pid, 0)


SLOW = drawn(*[b"BT /F1 12 Tf " + b"(a) Tj 0 0 Td " * 200_000 + b"ET"] * 40)
"""A PDF that takes minutes to read."""


async def test_a_pdf_that_takes_too_long_is_refused_and_its_process_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_SECONDS", 0.5)
    children = Children(monkeypatch)
    assert await refusal(part(SLOW)) == ("file_timeout", "file_data")
    children.assert_killed()


async def test_the_time_limit_is_for_all_files_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time that the first file takes is not left for the second."""
    now = 0.0

    async def run(command: list[str], data: bytes) -> tuple[int, bytes]:
        nonlocal now
        now += 40
        await anyio.lowlevel.checkpoint()
        return 0, b"Hello"

    monkeypatch.setattr(files, "_run_process", run)
    clock = anyio.current_time
    monkeypatch.setattr(anyio, "current_time", lambda: clock() + now)
    reader = files._FileReader(Settings(), FileQueues(Settings()), b"owner")
    await reader.replace_files([part(b"%PDF-")], "input[0].content")
    assert reader.seconds == pytest.approx(20, abs=1)
    await reader.replace_files([part(b"%PDF-")], "input[0].content")
    with pytest.raises(InvalidRequest) as caught:
        await reader.replace_files([part(b"%PDF-")], "input[0].content")
    assert caught.value.code == "file_timeout"


async def test_cancelling_the_request_kills_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    children = Children(monkeypatch)
    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read_files, [message(part(SLOW))], Settings())
            await children.started.wait()
            tasks.cancel_scope.cancel()
    children.assert_killed()


async def test_the_number_of_pdf_processes_at_a_time_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, all_running, end = 0, 0, anyio.Event(), anyio.Event()
    settings = Settings(pdfs_at_once=3)
    queues = FileQueues(settings)

    async def run(command: list[str], data: bytes) -> tuple[int, bytes]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == settings.pdfs_at_once:
            all_running.set()
        await end.wait()
        running -= 1
        return 0, b"Hello"

    monkeypatch.setattr(files, "_run_process", run)
    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(read_files, [message(part(pdf_of("Hello")))], settings, queues)
            await all_running.wait()
            await anyio.wait_all_tasks_blocked()
            assert running == settings.pdfs_at_once
            end.set()
    assert (running, most) == (0, settings.pdfs_at_once)


@pytest.mark.parametrize(("size", "threads"), [(INLINE_LIMIT // 2, 0), (2_000_000, 2)])
async def test_a_large_file_is_decoded_and_read_in_a_thread(
    size: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small one is not: handing it to a thread would take longer than the work."""
    offloaded = watch_offloaded(monkeypatch)
    for data in (b"x" * size, PNG.ljust(size)):
        offloaded.clear()
        await replaced(part(data))
        assert len(offloaded) == threads


@pytest.mark.parametrize(("count", "threads"), [(INLINE_LIMIT // ITEM_COST, 0), (INLINE_LIMIT // ITEM_COST + 1, 1)])
async def test_many_items_are_searched_for_files_in_a_thread(
    count: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    offloaded = watch_offloaded(monkeypatch)
    items = [{"role": "user", "content": "Hi"}] * count
    assert await read_files(items, Settings()) is items
    assert len(offloaded) == threads


async def test_other_tasks_run_between_the_files_of_a_request() -> None:
    turns, done = 0, False

    async def tick() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        await read_files([message(*[part(b"x")] * 50)], Settings())
        done = True
    assert turns > 50


# Sources.


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({}, "missing_required_parameter", "file_data"),
        ({"file_data": None}, "missing_required_parameter", "file_data"),
        ({"file_data": 7}, "invalid_type", "file_data"),
        ({"file_url": ["u"]}, "invalid_type", "file_url"),
        ({"file_id": {}}, "invalid_type", "file_id"),
        ({"file_data": "SGk=", "filename": []}, "invalid_type", "filename"),
        ({"file_data": "SGk=", "file_url": "http://x/"}, "invalid_value", "file_url"),
        ({"file_url": "http://x/", "file_id": "file-1"}, "invalid_value", "file_id"),
        ({"file_id": "file-1"}, "unsupported_parameter", "file_id"),
        ({"file_url": "http://127.0.0.1:1/"}, "unsupported_parameter", "file_url"),
    ],
)
async def test_a_missing_wrong_or_second_source_is_refused(fields: Item, code: str, param: str) -> None:
    assert await refusal({"type": "input_file", **fields}) == (code, param)


async def test_the_refusal_of_a_url_names_the_setting() -> None:
    with pytest.raises(InvalidRequest, match=r"file_urls.*file_data"):
        await replaced({"type": "input_file", "file_url": "https://example.com/a.pdf"})


async def test_the_refusal_of_a_file_id_says_what_to_send_instead() -> None:
    with pytest.raises(InvalidRequest, match="there are no stored files here; send a data URL in 'file_data'"):
        await replaced({"type": "input_file", "file_id": "file-1"})


# Settings.


def test_the_settings_for_files_come_from_the_environment_or_as_arguments() -> None:
    environ = {"RESPONSES_SHIM_MAX_FILE": "10", "RESPONSES_SHIM_FILE_URLS": "fetch-any"}
    assert Settings.load(environ) == Settings.load({}, max_file=10, file_urls="fetch-any")
    assert (Settings.load({}).max_file, Settings.load({}).file_urls) == (32 * 1024 * 1024, "refuse")
