"""Teacher to adapters and knowledge dumps, offline: the four NesyCD stages, evaluated.

Read `run` first: it takes a `Config` through the stages of `stages/`, each a folder of rows
and a manifest. What a stage does with one row is in `teachers/`, `distilling/`, `fitting/` and
`evaluation/`.
"""
