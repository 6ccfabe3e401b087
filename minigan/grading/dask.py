"""Submissions on a Dask cluster: `pytest --nbval --submissions DIR --dask ADDRESS`.

Each submission is one task; a task whose worker dies is run again by another (Dask gives up after
its `distributed.scheduler.allowed-failures`).  The machines of the cluster need minigan[test,dask]
and, to shut students' code in, bubblewrap.
"""

import nbformat

from minigan.grading import submission
from minigan.grading.grade import Exercise, grade


def connect(address):
    """A client of the cluster at `address`, such as tcp://10.0.0.1:8786.

    Raises: ModuleNotFoundError with what to install, OSError if nobody answers.
    """
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("--dask needs the extra: pip install 'minigan[dask]'") from error
    return distributed.Client(address, timeout=30)


def submit(client, classroom, entry):
    """The future of a submission's outcomes."""
    exercise = classroom.exercises[entry.exercise]
    text = nbformat.writes(exercise.notebook)
    handed_in = submission.read(entry.path, classroom.limits.notebook, exercise)
    return client.submit(
        run, entry.exercise, text, handed_in, classroom.seed, classroom.limits, pure=False
    )


def run(name, text, handed_in, seed, limits):
    """What a Dask worker does: grade one submission."""
    exercise = Exercise(name, nbformat.reads(text, as_version=4))
    return grade(exercise, handed_in, seed, limits)
