"""Views of a request and of a response for interceptors: plain Python objects that do not depend on the provider.

    view = RequestView.of(body)                                # a request body as JSON data
    view.messages.append(Message("user", "Be brief."))
    body = view.encode()                                       # the body with that message, otherwise unchanged

`request` has `RequestView` and `Tool`, `items` has `Message`, `Part` and `ToolCall`, `response` has `ResponseView`.
"""
