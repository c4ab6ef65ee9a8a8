"""chatlas: a chat, whose loop runs the functions and sends their outputs back."""

from __future__ import annotations

from chatlas import ChatOpenAI, ContentToolRequest

from integrations.clients.asking import API_KEY, FUNCTIONS, QUESTION, Outcome, main


def ask(base_url: str, model: str, stream: bool, outcome: Outcome) -> None:
    chat = ChatOpenAI(model=model, base_url=base_url, api_key=API_KEY, kwargs={"max_retries": 0})
    for function in FUNCTIONS.values():
        chat.register_tool(function)
    if stream:
        outcome.text = "".join(chat.stream(QUESTION, echo="none"))
    else:
        outcome.text = str(chat.chat(QUESTION, echo="none", stream=False))
    for turn in chat.get_turns():
        for content in turn.contents:
            if isinstance(content, ContentToolRequest):
                outcome.called(None, content.name, content.arguments)  # it takes the item's id for the call's


main(ask)
