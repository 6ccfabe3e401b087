"""ADA: augmentations that a discriminator sees, and the controller that sets their strength.

Karras et al. 2020 (arXiv 2006.06676), §2–3 and App. B.
"""

GROUPS = ("", "b", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc")


def check_groups(groups):
    if groups not in GROUPS:
        raise ValueError(f"augment: groups is {groups!r}; expected one of {GROUPS}")


def adapt(p, r_t, target, images, kimg):
    """The new p: up if r_t = E[sign D(real)] is above its target, else down; 0 to 1 in `kimg`."""
    direction = (r_t > target) - (r_t < target)
    return max(0.0, p + direction * images / (1000 * kimg))
