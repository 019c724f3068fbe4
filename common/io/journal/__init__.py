"""One device's queue on disk: each file below says one thing of it.

store      what a core orders, and the events that follow       opening    whatever has become of a file, it is opened
journal    append, trim, bury, fetch                            reading    what a file says when it is opened
database   the connection, commits, the mark                    recovery   what was lost, by journal and mark
block_queue, letter_box, sections   the rows                    salvage, pages   what holds of a damaged file
paging     an earlier release's gets smaller pages
tables, seals, older   schema, checksums, earlier schemas       places, files, asides   names and files
"""
