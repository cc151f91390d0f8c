"""The harness: folders of tasks, each solved in a sandbox of its own and judged by a check."""
