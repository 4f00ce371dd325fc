"""Rounds: what coordinator and parties say to each other, and what each side does about it.

`messages` is shared; `coordinator` runs without torch and never sees data; `party` is the only
room that sees both a patient and a weight. The two sides never import each other.
"""
