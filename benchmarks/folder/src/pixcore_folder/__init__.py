"""Pictures of a user's own: a folder with mask files and a table, or a dataset of Hugging Face's library."""
