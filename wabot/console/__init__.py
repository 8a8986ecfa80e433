"""The console: the owner's pages, made on the server. They use the same operations as the API.

Nothing of it is imported before somebody opens it.
"""
