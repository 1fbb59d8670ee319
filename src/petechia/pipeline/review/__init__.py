"""The reader's desk without its screen: what readers decide, kept, added up and applied.

`events` names what a reader may do, `log` keeps it for ever, `state` adds it up, `outline`
holds voxels, `apply` rewrites the results, `export` hands decisions out, `rerun` finds the
findings of old decisions in a new run. Nothing here needs a web server.
"""
