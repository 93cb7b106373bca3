"""Servers that are measured from outside, and the clients that measure them."""
