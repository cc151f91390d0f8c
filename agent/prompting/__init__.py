"""What the model is told before the conversation. It knows the sandbox by its facts only."""
