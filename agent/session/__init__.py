"""A conversation that outlives processes: its journal, its state, its turns."""
