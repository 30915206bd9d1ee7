"""What a student is worth: named ways to answer, scored on test questions.

`systems` names them, `asking` has them answered, `score` and `comparison` count, `report` and
`plots` show it.
"""
