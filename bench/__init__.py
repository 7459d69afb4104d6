"""How fast the library is, beside what one would write by hand: `python -m bench`."""
