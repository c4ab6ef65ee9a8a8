"""Content parts as chat content: text where text will do, media in chat's own parts, everything else a 400."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_shim.core.request.content import content_of, parts_of, text_of
from responses_shim.core.request.options import DEFAULT_OPTIONS, TranslationOptions
from responses_shim.core.wire.report import Report
from responses_shim.errors import InvalidRequest
from tests.core.driver import Json
from tests.oracle import check_error

DATA_ONLY = TranslationOptions(image_urls="data-only")
PNG = "data:image/png;base64,AA=="


def refusal(content: Any, options: TranslationOptions = DEFAULT_OPTIONS) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        content_of(content, "content", options, Report())
    check_error(caught.value.body())
    assert caught.value.status == 400
    return caught.value


def part(content: Json, options: TranslationOptions = DEFAULT_OPTIONS) -> Json:
    parts = content_of([content], "content", options, Report())
    assert isinstance(parts, list)
    (made,) = parts
    return made


# Text ----------------------------------------------------------------------------------------------------------------

TEXTS: list[Json] = [
    {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
    {"type": "output_text", "text": "b", "annotations": [{}], "logprobs": None},
    {"type": "text", "text": "c"},
    {"type": "summary_text", "text": "d"},
    {"type": "reasoning_text", "text": "e"},
    {"type": "refusal", "refusal": "f"},
]


def test_text_is_one_string_whatever_its_parts_are_called() -> None:
    """Chat templates exist that cannot take a list at all."""
    assert content_of(TEXTS, "content", DEFAULT_OPTIONS, Report()) == "a\nb\nc\nd\ne\nf"
    assert text_of(TEXTS, "content", "", Report()) == "abcdef"


@pytest.mark.parametrize("content", ["", []])
def test_nothing_is_the_empty_string(content: Any) -> None:
    assert content_of(content, "content", DEFAULT_OPTIONS, Report()) == ""
    assert text_of(content, "content", "\n", Report()) == ""


def test_a_string_is_a_part_where_parts_are_asked_for() -> None:
    assert parts_of("a", "content", DEFAULT_OPTIONS, Report()) == [{"type": "text", "text": "a"}]
    assert parts_of([], "content", DEFAULT_OPTIONS, Report()) == []


@given(st.lists(st.text()))
def test_no_character_is_lost(texts: list[str]) -> None:
    parts = [{"type": "input_text", "text": text} for text in texts]
    assert text_of(parts, "content", "", Report()) == "".join(texts)
    assert content_of(parts, "content", DEFAULT_OPTIONS, Report()) == "\n".join(texts)


# Media ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["input_image", "image_url"])
@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"image_url": PNG}, {"url": PNG}),
        ({"image_url": "https://a/b.png", "detail": "low"}, {"url": "https://a/b.png", "detail": "low"}),
        ({"image_url": "https://a/b.png", "detail": None}, {"url": "https://a/b.png"}),
        ({"image_url": "https://a/b.png", "file_id": None}, {"url": "https://a/b.png"}),
        ({"image_url": {"url": "https://a/b.png", "detail": "high"}}, {"url": "https://a/b.png", "detail": "high"}),
        ({"image_url": {"url": "https://a/b.png"}, "detail": "high"}, {"url": "https://a/b.png", "detail": "high"}),
    ],
)
def test_an_image_is_taken_in_both_apis_forms(kind: str, fields: Json, url: Json) -> None:
    assert part({"type": kind, **fields}) == {"type": "image_url", "image_url": url}


@pytest.mark.parametrize(("kind", "media"), [("input_video", "video"), ("video_url", "video"), ("audio_url", "audio")])
@pytest.mark.parametrize("written", [lambda url: url, lambda url: {"url": url}], ids=["flat", "nested"])
def test_other_media_are_taken_by_their_urls(kind: str, media: str, written: Any) -> None:
    url = f"data:{media}/x;base64,AA=="
    assert part({"type": kind, f"{media}_url": written(url)}) == {"type": f"{media}_url", f"{media}_url": {"url": url}}


def test_audio_is_the_same_in_both_apis() -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav", "later": 1}}
    assert part(audio) == {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}


def test_media_keep_their_place_among_the_text() -> None:
    content = [{"type": "input_text", "text": "Look:"}, {"type": "input_image", "image_url": PNG}, TEXTS[2]]
    assert content_of(content, "content", DEFAULT_OPTIONS, Report()) == [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "text", "text": "c"},
    ]


MEDIA: dict[str, list[Json]] = {
    "image": [{"type": "input_image", "image_url": PNG}, {"type": "image_url", "image_url": {"url": PNG}}],
    "audio": [
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "audio_url", "audio_url": "data:,"},
    ],
    "video": [{"type": "input_video", "video_url": "data:,"}, {"type": "video_url", "video_url": "data:,"}],
}


@pytest.mark.parametrize("media", MEDIA)
def test_what_the_host_does_not_take_is_refused_by_name(media: str) -> None:
    """Some hosts drop an image in silence, and the model answers as if there were none."""
    others = TranslationOptions(parts=frozenset(MEDIA) - {media})
    only = TranslationOptions(parts=frozenset({media}))
    for content in MEDIA[media]:
        assert part(content, only)
        error = refusal([TEXTS[0], content], others)
        assert error.message == f"Unsupported parameter: this host takes no {media} content."
        assert (error.param, error.code) == ("content[1].type", "unsupported_parameter")


@pytest.mark.parametrize(
    ("detail", "expected", "report"),
    [
        ("low", {"detail": "low"}, ""),
        ("auto", {"detail": "auto"}, ""),
        ("original", {"detail": "high"}, 'mapped=("{}")'),
        ("forensic", {}, 'dropped=("{}")'),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_a_host_is_given_no_detail_that_it_does_not_know(
    detail: str, expected: Json, report: str, nested: bool
) -> None:
    """OpenAI has added `original`; chat hosts refuse a request with anything but low, high and auto."""
    kept = Report()
    fields: Json = {"image_url": PNG, "detail": detail}
    if nested:
        fields = {"image_url": {"url": PNG, "detail": detail}}
    content = {"type": "input_image", **fields}
    (made,) = parts_of([content], "content", DEFAULT_OPTIONS, kept)
    assert made["image_url"] == {"url": PNG, **expected}
    assert kept.header() == report.format("content[0].image_url.detail" if nested else "content[0].detail")


# Parts that are newer than this list ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [{}, {"type": None}, {"type": "text"}])
def test_a_part_without_a_type_is_its_text(kind: Json) -> None:
    assert content_of([{**kind, "text": "a"}], "content", DEFAULT_OPTIONS, Report()) == "a"


def test_a_part_of_an_unknown_type_is_its_text_or_left_out_and_reported() -> None:
    content = [{"type": "input_html", "text": "a"}, {"type": "hologram", "data": "AA=="}, {"type": "poem", "text": 7}]
    first, second = Report(), Report()
    assert content_of(content, "content", DEFAULT_OPTIONS, first) == "a"
    assert text_of(content, "content", "\n", second) == "a"
    for report in (first, second):
        assert report.header() == 'mapped=("content[0]"), dropped=("content[1]" "content[2]")'


# URLs that the host would fetch --------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [PNG, "DATA:image/png;base64,AA==", "data:,"])
def test_a_data_url_needs_no_fetching(url: str) -> None:
    assert part({"type": "input_image", "image_url": url}, DATA_ONLY)["image_url"] == {"url": url}


@pytest.mark.parametrize(
    "url", ["https://a/b.png", "http://169.254.169.254/", "file:///etc/passwd", " data:,", "data", "dаta:,", "x"]
)
def test_where_the_host_must_not_fetch_only_data_urls_pass(url: str) -> None:
    for media, key in (("input_image", "image_url"), ("audio_url", "audio_url"), ("input_video", "video_url")):
        for value in (url, {"url": url}):
            error = refusal([{"type": media, key: value}], DATA_ONLY)
            assert error.message == (
                "URLs are not passed to the model here (setting image_urls): send the content itself as a data URL."
            )
            assert (error.param, error.code) == (f"content[0].{key}", "invalid_image_url")


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (None, "content"),
        ([{}], "content[0].type"),
        ([{"type": None}], "content[0].type"),
        ([TEXTS[0], {"type": "input_text"}], "content[1].text"),
        ([{"type": "refusal", "text": "f"}], "content[0].refusal"),
        ([{"type": "input_image"}], "content[0].image_url"),
        ([{"type": "image_url", "image_url": {}}], "content[0].image_url"),
        ([{"type": "input_image", "url": PNG}], "content[0].image_url"),
        ([{"type": "input_video", "image_url": PNG}], "content[0].video_url"),
        ([{"type": "audio_url"}], "content[0].audio_url"),
        ([{"type": "input_audio"}], "content[0].input_audio"),
        ([{"type": "input_audio", "input_audio": {"data": "AA=="}}], "content[0].input_audio.format"),
        ([{"type": "input_audio", "input_audio": {"format": "wav"}}], "content[0].input_audio.data"),
    ],
)
def test_what_is_missing_is_named_by_its_path(content: Any, param: str) -> None:
    error = refusal(content)
    assert error.message == f"Missing required parameter: '{param}'."
    assert (error.param, error.code) == (param, "missing_required_parameter")


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (7, "content"),
        ({"type": "input_text", "text": "a"}, "content"),
        ([7], "content[0]"),
        ([TEXTS[0], "a"], "content[1]"),
        ([{"type": "input_text", "text": 7}], "content[0].text"),
        ([{"type": "input_image", "image_url": 7}], "content[0].image_url"),
        ([{"type": "input_image", "image_url": ""}], "content[0].image_url"),
        ([{"type": "input_image", "image_url": {"url": []}}], "content[0].image_url"),
        ([{"type": "input_image", "image_url": PNG, "detail": 5}], "content[0].detail"),
        ([{"type": "image_url", "image_url": {"url": PNG, "detail": {}}}], "content[0].image_url.detail"),
        ([{"type": "input_audio", "input_audio": "AA=="}], "content[0].input_audio"),
        ([{"type": "input_audio", "input_audio": {"data": 7, "format": "wav"}}], "content[0].input_audio.data"),
    ],
)
def test_a_wrong_type_is_named_by_its_path(content: Any, param: str) -> None:
    error = refusal(content)
    assert error.message.startswith(f"Invalid type for '{param}': expected a")
    assert (error.param, error.code) == (param, "invalid_type")


@pytest.mark.parametrize("kind", [7, [], {"a": 1}, True])
def test_a_type_that_is_no_string_is_answered_with_the_known_ones(kind: Any) -> None:
    error = refusal([{"type": kind, "text": "x"}])
    assert (error.param, error.code) == ("content[0].type", "invalid_value")
    for known in ("input_text", "input_image", "input_audio", "input_video", "input_file"):
        assert f"'{known}'" in error.message


@pytest.mark.parametrize("kind", ["input_image", "input_file", []])
def test_where_only_text_can_stand_the_kinds_of_text_are_told(kind: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        text_of([{"type": kind, "text": "x"}], "content", "\n", Report())
    assert (caught.value.param, caught.value.code) == ("content[0].type", "invalid_value")
    assert caught.value.message.endswith("'summary_text', 'reasoning_text' and 'refusal'.")


def test_a_file_that_was_not_read_before_is_refused() -> None:
    error = refusal([{"type": "input_file", "file_data": "AA=="}])
    assert (error.param, error.code) == ("content[0].type", "unsupported_parameter")


def test_an_image_that_was_stored_elsewhere_is_refused_with_what_to_send_instead() -> None:
    error = refusal([{"type": "input_image", "file_id": "file_1", "image_url": None}])
    assert error.message == "Unsupported parameter: there are no stored files here; send a data URL in 'image_url'."
    assert (error.param, error.code) == ("content[0].file_id", "unsupported_parameter")


def test_the_content_is_left_as_it_was() -> None:
    content = [*TEXTS, *(part for parts in MEDIA.values() for part in parts)]
    before = copy.deepcopy(content)
    made = content_of(content, "content", DEFAULT_OPTIONS, Report())
    assert isinstance(made, list)
    for part in made:
        part[part["type"]] = part["changed"] = None
    assert content == before
