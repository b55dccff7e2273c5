"""Commands for folders of stage stores: merge, check, list, prune."""
