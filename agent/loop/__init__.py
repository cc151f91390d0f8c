"""One turn: ask, run the calls, repeat. Knows no provider, tool name, sandbox or screen."""
