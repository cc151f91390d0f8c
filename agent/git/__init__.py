"""The way in and the way home: seed a sandbox from a repository, mirror its work to a branch.

This room knows neither sessions nor models. Only `Sandbox` leads inside.
"""
