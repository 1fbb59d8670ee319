"""A cohort: all scans of an output folder and a table of its people, to tables and a page.

`scans` reads what `petechia run` wrote, `people` the table of participants, `frame` joins them;
`plan` says what is asked; `prevalence`, `associations`, `models`, `places`, `sequences` and
`changes` answer with `petechia.cohort`; `write` puts tables and the page into a folder.
"""
