"""Building a benchmark (paper, section 2): objects parsed from questions, masks kept or drawn by hand, files merged."""
