"""What benchmarks are read from: COCO files, tables, and where data files come from."""
