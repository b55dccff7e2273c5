"""A language model as judge, through any server that speaks OpenAI's chat API."""
