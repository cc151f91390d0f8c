# The tests the agent saw may have been changed; these were not there.
cp "$CHECK/hidden_stats.py" . && python3 -m unittest -q hidden_stats
