"""Programs: run, held, kept in the background, and the walls around the toolbox itself."""
