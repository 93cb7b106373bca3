"""The neighbours that we are measured beside and that do not belong into our own environment."""
