"""What the pixel-level MLLM plugins share.

A published pixel-level MLLM is a language model that reads an image as embeddings, a special token whose
hidden state becomes a prompt, and a promptable mask decoder. Each of those parts is here once:

* `keymap`, `checkpoint`, `loading`: official checkpoints into modules, one tensor at a time;
* `language`: a decoder driven from embeddings, greedily, with the states that masks are made of;
* `clip`, `sam`: the two vision parts, built from plain numbers and loaded from official names;
* `deformable`, `pixel_decoder`: a pyramid refined, for OMG-LLaVA and LLaVA-Grounding;
* `grounded`: speaking, seeing and segmenting put together, which is LISA and GLaMM.

The modules import torch and transformers; importing this package alone does not.
"""
