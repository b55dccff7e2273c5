"""The file `predictions.jsonl`, as a run writes it."""
