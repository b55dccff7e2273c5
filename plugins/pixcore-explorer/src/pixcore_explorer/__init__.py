"""A page to look through runs: tables, samples, and each word of an answer with where the model looked."""
