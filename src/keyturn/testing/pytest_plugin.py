"""The pytest plugin that comes with Keyturn: fixtures for applications that use it.

pytest imports this file in every run of every project that has Keyturn installed, so it imports nothing heavy.
"""
