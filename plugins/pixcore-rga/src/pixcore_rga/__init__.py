"""RGA (Wang et al., ICCV 2025) as a pixcore plugin: Qwen2.5-VL, and SAM 2 prompted by its [SEG]."""
