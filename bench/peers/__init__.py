"""The same work in other libraries, each in a virtual environment of its own: `python -m bench peers`."""
