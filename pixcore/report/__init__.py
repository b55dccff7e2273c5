"""What one reads after a run: the table, the HTML report, the pictures.

`table` prints, `html` writes the report of a run, `pictures` draws what `pixcore ground` shows. `page` and `payload`
are the parts that other reports (a comparison, the emergence analysis) are made of.
"""
