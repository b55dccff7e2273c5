"""A run for other tools: tables, COCO results, a data set of Hugging Face, FiftyOne's, LabelMe's files."""
