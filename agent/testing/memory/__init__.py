"""A machine in memory: files, processes, streams and signals, without a kernel."""
