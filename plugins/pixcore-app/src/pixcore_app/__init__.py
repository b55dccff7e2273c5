"""A live demo: one image, what a model says about it, where it looks at each word, what each strategy chooses."""

from __future__ import annotations

from typing import Any

__all__ = ["launch"]


def __getattr__(name: str) -> Any:
    if name != "launch":
        raise AttributeError(name)
    from pixcore_app.serving import launch  # Gradio takes seconds to import, and `pixcore --help` needs none of it

    return launch
