"""A page with a thief's script in it, the thief's own machine, and the table of what came of it."""
