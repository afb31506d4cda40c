"""Hostile input for everything that reads what others wrote.

`targets/` has one file a family of readers, each with

    READERS: the names of the readers it feeds
    seeds(): inputs by name that are made, not kept: what our own writers write today, and what is large
    one_input(data): feeds bytes to the readers, and returns which of them took it; a UserError is an answer, any other
        exception a finding

`corpus/<target>/` holds the other seeds as files: hostile ones made by hand, and every input that once was a finding. A
new reader is a new file in `targets/` and, if there is something to keep, a folder of the same name in `corpus/`:
`run.py` and `tests/fuzz/test_corpus.py` find them by themselves.
"""
