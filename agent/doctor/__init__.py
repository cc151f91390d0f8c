"""What works on this machine and how to mend it; what holds the wall; what a crash left behind."""
