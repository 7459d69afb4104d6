"""What a workflow is. Values only: nothing here starts a task or sleeps.

Those that no user sees are msgspec Structs: to make an attrs class takes a millisecond of the import, a Struct almost none.
"""
