"""Cambrian-1 (Tong et al., NeurIPS 2024) as a pixcore plugin: four vision towers behind a spatial aggregator."""
