"""Sweeps: a space of configurations → runs → a table and a conclusion. Knows no torch, and trains nothing.

`space` says what is tried, `search` what comes next, `runners` do it, `answers` and `pairing` compare, and
`conclusions` says what was shown.
"""
