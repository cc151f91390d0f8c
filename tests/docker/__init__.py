"""Tests that take a container engine; without one they are left out, and the summary says so."""

ABSENT = "no container engine"
