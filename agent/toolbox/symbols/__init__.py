"""The symbols of a whole tree: an index, answers about them, language servers, the map."""
