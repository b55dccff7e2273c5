"""Pixel grounding in multimodal LLMs: measured, mined, compared.

`pixcore.hookspecs` is the contract with plugins, `pixcore.components` the interfaces behind it, `pixcore.records`
what flows between them, and `pixcore.stages.base` the order in which it flows.
"""

from pixcore.hookspecs import hookimpl

__version__ = "0.1.0"

__all__ = ["__version__", "hookimpl"]
