"""The reader's desk without its screen: what readers decide, kept, added up and applied.

`events` names what a reader may do, `log` keeps it for ever, `fold` adds it up to a `state`,
`told` makes tables and counts of that, `outline` holds voxels, `apply` rewrites the results
(`originals` keeps the software's; `tables`, `summary` and `page` make the new ones), `export`
hands decisions out, `rerun` finds the findings of old decisions in a new run by their `anchors`.
Nothing here needs a web server.
"""
