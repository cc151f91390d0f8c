"""The model behind a port: litellm, a recording, or a script answer the same question."""
