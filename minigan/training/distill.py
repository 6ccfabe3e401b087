"""A generator learns to draw another's images: the quickest way to a first StyleGAN3 without a GPU.

    python -m minigan distill --teacher portraits32 --out runs/student.npz

The student takes the teacher's mapping network as it is, so that a latent means the same to both,
and its synthesis network learns, by plain regression, to draw what the teacher draws.  The result
is somewhat soft, as regression is; adversarial training goes on from there (`train --init`).

Read first: `training/step.py`.
"""

import dataclasses
import pathlib

import numpy as np

from minigan import autograd, files, optim, progress
from minigan.networks import stylegan3
from minigan.training.warm_start import differences

BATCH = 8


def distill(
    config: stylegan3.Config,
    teacher,
    kimg: float,
    path: str | pathlib.Path,
    lr: float = 0.004,
    seed: int = 0,
) -> tuple[stylegan3.Generator, float]:
    """Train config's StyleGAN3 for so many kimg on teacher's images; {"G_ema": it} goes to path.

    config: `stylegan3.Config`; teacher: a generator of the same resolution and mapping network.
    The learning rate falls to 0 over the second half.  Returns (the student, the mean squared error
    of the last steps).
    Raises: ValueError for a teacher that does not fit; OSError if the file cannot be written.
    """
    if not isinstance(config, stylegan3.Config):
        raise ValueError(f"distill: config is {type(config).__module__}'s; expected stylegan3's")
    student = config.build(np.random.default_rng([seed, 1]))
    mappings = [getattr(c, "mapping_kwargs", None) for c in (teacher.config, config)]
    if type(mappings[0]) is not type(mappings[1]) or differences(*mappings, ""):
        raise ValueError(
            f"distill: teacher's mapping network is {mappings[0]}; expected as config's, "
            f"{mappings[1]}"
        )
    theirs = {k: v for k, v in teacher.params.items() if k.startswith("mapping.")}
    shapes = {k: v.shape for k, v in student.params.items() if k.startswith("mapping.")}
    if shapes != {k: v.shape for k, v in theirs.items()} or teacher.c_dim:
        raise ValueError("distill: teacher's mapping network has other parameters than config's")
    if teacher.img_resolution != config.img_resolution:
        raise ValueError(
            f"distill: teacher draws {teacher.img_resolution}²; expected {config.img_resolution}²"
        )
    w_avg = {"mapping.w_avg": teacher.w_avg}
    student = student.replace(params=student.params | theirs, buffers=student.buffers | w_avg)
    learned = {k: v for k, v in student.params.items() if k not in theirs}
    adam = optim.Adam(lr, (0.0, 0.99))
    state, steps, recent = adam.init(learned), int(1000 * kimg / BATCH), []
    for step in progress.bar(range(steps), "distill", unit="step"):
        rng = np.random.default_rng([seed, 2, step])
        ws = teacher.mapping(rng.standard_normal((BATCH, teacher.z_dim), np.float32))
        wanted = teacher.synthesis(ws, "none")
        own = np.array(np.broadcast_to(ws[:, :1], (BATCH, student.num_ws, ws.shape[2])))

        def loss(params, own=own, wanted=wanted, student=student):
            img, emas = stylegan3.synthesis(params, student.buffers, student.config, own, True)
            return np.mean(np.square(img - wanted)), emas

        (error, emas), grads = autograd.value_and_grad(loss, has_aux=True)(learned)
        now = dataclasses.replace(adam, lr=lr * min(1.0, 2 * (1 - step / steps)))
        learned, state = now.step(learned, grads, state)
        student = student.replace(buffers=student.buffers | emas)
        recent = [*recent[-99:], float(error)]
    student = student.replace(params=student.params | learned)
    error = float(np.mean(recent))
    files.save(path, {"G_ema": student}, made={"kimg": kimg, "seed": seed, "error": error})
    return student, error
