"""Native ports against what the published code gave."""
