"""How sure pixcore's figures are: intervals over clusters, paired tests, agreement, power."""
