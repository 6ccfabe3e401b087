"""Wrong solutions, each named for its misconception: `function__what_is_wrong`.

A name that begins with `correct_` after the underscores is a right solution, written differently,
and must pass.  Where a task has several functions, the others keep the model solution.
"""
