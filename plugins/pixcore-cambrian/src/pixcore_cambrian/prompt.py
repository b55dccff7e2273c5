"""Write Cambrian's conversation `llama_3`.

Character by character as published: no newline after a header, and line breaks and indents of the source inside the
system text, which moved into the prompt and on which the image's position depends.
"""

from __future__ import annotations

_SYSTEM = (
    "You are Cambrian, a highly intelligent multimodal AI trained by NYU Vision X. \n"
    "    As a multimodal AI, you have the ability to process and analyze images. Whenever an image is present in the "
    "conversation, very carefully examine it and consider its content when formulating your response.\n"
    "    You should give concise responses to very simple questions, but provide thorough responses to more complex "
    "and open-ended questions. "
)


def llama_3(question: str) -> str:
    """Write the whole prompt up to where the answer begins, `<image>` in it."""
    return (
        "<|begin_of_text|>"
        f"<|start_header_id|>system<|end_header_id|>{_SYSTEM}<|eot_id|>"
        f"<|start_header_id|>user<|end_header_id|><image>\n{question}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>"
    )
