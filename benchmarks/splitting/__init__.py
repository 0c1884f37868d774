"""One model over several processes, each with a part of its layers: `--device-map tensor`.

`possible` says what can be split so, `shards` which part of a weight is here.
"""
