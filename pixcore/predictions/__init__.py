"""`predictions.jsonl`, written and read."""
