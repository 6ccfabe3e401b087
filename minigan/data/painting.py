"""How a portrait is painted: one pixel at a time, back to front, every edge one pixel soft.

The canvas is the square [−1, 1]², y down.  A shape is a signed distance d (negative inside); its
share of a pixel of size `px` is ½ − d/px, clipped.  What is drawn where follows from a table of
numbers per portrait, made by `portraits.draw`; this file knows no factor by name but through it.
Everything is symmetric: turning the head and the light the other way gives the mirror image.
"""

import math

import numpy as np

from minigan.ops.cpu.runtime.compile import kernel

# The columns of the table `pose`: numbers that shape the drawing …
YAW, PITCH, HEAD, SMILE, OPEN, EYE, BROW, AGE, LIGHT = range(9)
# … of the table `style`: whole numbers …
HAIR, GLASSES = range(2)
# … and of the table `colors` [·, 3]: linear mixes of these, each RGB from 0 to 1.
BACK, SKIN, TRESS, IRIS, CLOTH = range(5)

ZOOM = 0.84  # half the side of the canvas in the units of the drawing
CURVE = 0.52  # radians that the head turns at yaw 1


@kernel
def clip(x, low, high):
    return min(max(x, low), high)


@kernel
def cover(d, px):
    return clip(0.5 - d / px, 0.0, 1.0)


@kernel
def line(d, half, px):
    """A stroke of this half-width along the edge d = 0; thin ones pale instead of vanishing."""
    return clip(0.5 + (half - abs(d)) / px, 0.0, min(1.0, 2.4 * half / px))


@kernel
def ellipse(x, y, a, b):
    """Distance to an ellipse around the origin: exact on its edge, and good near it."""
    k0 = math.sqrt((x / a) ** 2 + (y / b) ** 2)
    k1 = math.sqrt((x / (a * a)) ** 2 + (y / (b * b)) ** 2)
    return k0 * (k0 - 1.0) / (k1 + 1e-6)


@kernel
def box(x, y, a, b, r):
    """Distance to a rectangle of half-sizes a, b with corners rounded by r."""
    u, v = abs(x) - a + r, abs(y) - b + r
    return math.hypot(max(u, 0.0), max(v, 0.0)) + min(max(u, v), 0.0) - r


@kernel
def capsule(x, y, x0, y0, x1, y1, r0, r1):
    """Distance to a stick from (x0, y0) to (x1, y1) whose radius goes from r0 to r1."""
    u, v = x1 - x0, y1 - y0
    t = clip(((x - x0) * u + (y - y0) * v) / (u * u + v * v), 0.0, 1.0)
    return math.hypot(x - x0 - t * u, y - y0 - t * v) - (r0 + t * (r1 - r0))


@kernel
def random(seed, i, j):
    """A number in [−1, 1) for each place (i, j) of a lattice: a hash."""
    h = np.uint64(seed) ^ (np.uint64(i + 4096) * np.uint64(0x9E3779B97F4A7C15))
    h ^= np.uint64(j + 4096) * np.uint64(0xC2B2AE3D27D4EB4F)
    h = (h ^ (h >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0x94D049BB133111EB)
    return np.float64(h >> np.uint64(40)) * (2.0 / (1 << 24)) - 1.0


@kernel
def rough(seed, x, y):
    """Noise that is smooth between the places of the lattice."""
    i, j = math.floor(x), math.floor(y)
    u, v = x - i, y - j
    u, v = u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v)
    i, j = int(i), int(j)
    top = random(seed, i, j) * (1.0 - u) + random(seed, i + 1, j) * u
    low = random(seed, i, j + 1) * (1.0 - u) + random(seed, i + 1, j + 1) * u
    return top * (1.0 - v) + low * v


@kernel
def over(rgb, r, g, b, alpha):
    rgb[0] += alpha * (r - rgb[0])
    rgb[1] += alpha * (g - rgb[1])
    rgb[2] += alpha * (b - rgb[2])


@kernel
def ink(rgb, alpha):
    over(rgb, 0.20, 0.13, 0.17, alpha)


@kernel
def tint(rgb, color, shade, alpha):
    """Lay a colour over, brightened or darkened: shade 0 is as it is, ±1 white or black."""
    for k in range(3):
        c = color[k]
        c += shade * ((1.0 - c) if shade > 0 else c)
        rgb[k] += alpha * (c - rgb[k])


@kernel
def turned(angle, yaw):
    """Where a point of the front of the head, at this angle from its middle, is seen: x / width."""
    return math.sin(angle + CURVE * yaw)


@kernel
def skull(x, y, wide, deep):
    """Distance to the head: an ellipse, its lower half of another depth and a firmer jaw."""
    if y < 0.0:
        return ellipse(x, y, wide, 0.50)
    jaw = wide * (1.0 - 0.13 * (y / deep) ** 2 * (1.0 - 0.45 * (y / deep) ** 2))
    return ellipse(x, y, jaw, deep)


@kernel
def hair_behind(style, x, y, wide):
    """Distance to the hair behind the head; x, y from the middle of the head."""
    if style == 1:  # bob
        return box(x, y - 0.06, wide + 0.13, 0.60, 0.40)
    if style == 2:  # bun
        return math.hypot(x, y + 0.61) - 0.19
    if style == 3:  # long
        flare = wide + 0.10 + 0.10 * clip(y + 0.2, 0.0, 1.0)
        return box(x, y - 0.42, flare, 0.99, 0.45)
    if style == 4:  # curls: a cloud with a wavy rim
        r, t = math.hypot(x, y + 0.12), math.atan2(abs(x), y + 0.12)
        return r - wide - 0.21 - 0.045 * math.cos(11.0 * t)
    if style == 5:  # spikes
        r, t = math.hypot(x, 0.95 * (y + 0.06)), math.atan2(abs(x), -y - 0.06)
        teeth = abs((5.5 * t / math.pi + 0.5) % 1.0 - 0.5)  # 0 … ½
        return (r - wide - 0.03 - (0.21 - 0.40 * teeth) * clip(2.0 - t, 0.0, 1.0)) * 0.75
    return 1.0


@kernel
def hairline(style, u):
    """How far down the forehead the hair comes at u, −1 … 1 across it: y from the head's middle."""
    a = abs(u)
    if style == 0:  # short
        return -0.30 + 0.32 * a**4
    if style == 1:  # a straight fringe
        return -0.17 + 0.02 * a * a + 0.7 * clip(a - 0.86, 0.0, 1.0)
    if style == 2:  # combed up
        return -0.34 + 0.30 * a * a
    if style == 3:  # parted in the middle
        return -0.44 + 0.55 * math.sqrt(a + 0.002) * (0.55 + 0.45 * a)
    if style == 4:  # curls
        return -0.27 + 0.035 * math.cos(9.0 * a) + 0.36 * a**4
    return -0.24 - 0.10 * abs((3.0 * a + 0.5) % 1.0 - 0.5) + 0.30 * a**4  # spikes


@kernel
def face(rgb, x, y, px, pose, style, colors, wide, deep, alpha):
    """All that lies on the skin; x, y from the middle of the head; alpha: the skin's share."""
    yaw, pitch, light, age = pose[YAW], pose[PITCH], pose[LIGHT], pose[AGE]
    skin, dy = colors[SKIN], 0.085 * pitch
    dark = 0.42  # of lines drawn on skin
    # Cheeks.
    for side in (-1.0, 1.0):
        cx = 0.86 * wide * turned(0.62 * side, yaw)
        d2 = ((x - cx) / 0.105) ** 2 + ((y - 0.19 - dy) / 0.085) ** 2
        if d2 < 6.0:
            over(rgb, 0.93, 0.38, 0.36, 0.34 * math.exp(-d2) * alpha)
    # Eyes.
    for side in (-1.0, 1.0):
        cx, cy = 0.93 * wide * turned(0.44 * side, yaw), -0.035 + dy
        flat = math.cos(0.44 * side + CURVE * yaw)
        a, b = 0.128 * (0.55 + 0.45 * flat), 0.088 + 0.034 * pose[EYE]
        u, v = x - cx, y - cy
        if abs(u) < 0.22 and abs(v) < 0.20:
            d = ellipse(u, v, a, b)
            white = cover(d, px) * alpha
            over(rgb, 0.985, 0.98, 0.97, white)
            ix, iy = u - 0.030 * yaw, v - 0.018 * pitch
            r = math.hypot(ix, iy)
            tint(rgb, colors[IRIS], 0.28 * clip(ix * light * 8.0 + iy * 7.0, -1.0, 1.0),
                 white * cover(r - 0.077, px))  # fmt: skip
            ink(rgb, white * line(r - 0.077, 0.008, px) * 0.8)
            over(rgb, 0.05, 0.04, 0.07, white * cover(r - 0.038, px))
            over(
                rgb,
                1.0,
                1.0,
                1.0,
                white * cover(math.hypot(ix - 0.030 * light, iy + 0.032) - 0.022, px),
            )
            # The lid's shadow, the lashes, the rim.
            ink(rgb, white * 0.22 * cover(v + 0.45 * b, 3.0 * px + 0.02))
            heavy = 0.010 + 0.016 * clip(-v / b, 0.0, 1.0)
            ink(rgb, alpha * line(d, heavy, px) * (0.95 if v < 0.0 else 0.55))
            # Age: a fold below.
            fold = line(ellipse(u, v - 0.02, a, b + 0.045), 0.008, px) * clip(8.0 * v, 0.0, 1.0)
            tint(rgb, skin, -dark, alpha * fold * age)
    # Brows.
    for side in (-1.0, 1.0):
        cx, cy = 0.93 * wide * turned(0.44 * side, yaw), -0.205 - 0.022 * abs(pose[BROW]) + dy
        if abs(x - cx) < 0.2 and abs(y - cy) < 0.16:
            lift = 0.062 * pose[BROW]  # the inner ends go up (worried) or down (stern)
            d = capsule(
                x, y, cx - 0.095 * side, cy - lift, cx + 0.105 * side, cy + lift, 0.028, 0.016
            )
            tint(rgb, colors[TRESS], -0.38, alpha * cover(d, px))
    # Nose: its underside and a light spot.
    cx, cy = 1.04 * wide * math.sin(CURVE * yaw), 0.115 + 1.35 * dy
    u, v = x - cx, y - cy
    if abs(u) < 0.12 and abs(v) < 0.15:
        d = ellipse(u, v, 0.058, 0.046)
        tint(rgb, skin, -dark, alpha * line(d, 0.013, px) * clip(0.35 + 18.0 * v, 0.0, 1.0))
        d2 = ((u - 0.016 * light) / 0.030) ** 2 + ((v - 0.004) / 0.024) ** 2
        tint(rgb, skin, 0.5, alpha * 0.6 * math.exp(-d2))
    # Mouth: above a parabola of the smile; open, it reaches down to a second one.
    cx, cy = 0.96 * wide * math.sin(CURVE * yaw), 0.305 + dy
    half = 0.165 * (1.0 + 0.16 * pose[SMILE]) * math.cos(0.75 * CURVE * yaw)
    u, v = (x - cx) / half, y - cy
    if abs(u) < 1.35 and abs(v) < 0.26:
        bend = 0.078 * pose[SMILE]
        inside = clip(1.0 - u * u, 0.0, 1.0)
        top = bend * (inside - 0.5) - 0.035 * pose[OPEN] * inside
        low = bend * (inside - 0.5) + 0.125 * pose[OPEN] * inside
        slope = math.sqrt(1.0 + (2.0 * bend * u / half) ** 2)
        ends = (abs(u) - 1.0) * half
        d = max(max(top - v, v - low) / slope, ends)
        hole = cover(d, px) * clip(pose[OPEN] * 12.0, 0.0, 1.0) * alpha
        over(rgb, 0.42, 0.09, 0.13, hole)
        over(
            rgb,
            0.89,
            0.42,
            0.43,
            hole * cover(0.60 * top + 0.40 * low + 0.02 - v + 0.05 * u * u, px),
        )
        over(rgb, 0.99, 0.98, 0.96, hole * cover(v - top - 0.036 * inside, px))
        near = min(abs(v - top), abs(v - low)) / slope if abs(u) < 1.0 else 1.0
        tip = math.hypot(ends, v + 0.5 * bend)
        near = min(near, tip)
        over(rgb, 0.52, 0.15, 0.17, alpha * line(near, 0.016, px))
    # Age: folds beside the mouth, lines on the forehead.
    if age > 0.0:
        for side in (-1.0, 1.0):
            cx = 0.96 * wide * turned(0.30 * side, yaw)
            d = capsule(x, y, cx, 0.17 + dy, cx + 0.075 * side, 0.27 + dy, 0.0, 0.0)
            tint(rgb, skin, -dark, alpha * age * 0.9 * line(d, 0.009, px))
        for i in range(2):
            rise = y + 0.325 - 0.055 * i - dy + 0.10 * (x - 0.1 * yaw) ** 2
            ends = abs(x - wide * math.sin(CURVE * yaw)) - 0.17
            tint(rgb, skin, -dark, alpha * age * 0.8 * line(rise, 0.008, px) * cover(ends, 0.1))


@kernel
def glasses(rgb, x, y, px, kind, yaw, pitch, light, wide):
    """Round (1) or square (2) ones: glass, rims, the bridge and what goes to the ears."""
    frame = 0.020
    cy = -0.03 + 0.085 * pitch
    near = 1.0
    for side in (-1.0, 1.0):
        cx = 0.95 * wide * turned(0.45 * side, yaw)
        a = 0.172 * (0.62 + 0.38 * math.cos(0.45 * side + CURVE * yaw))
        u, v = x - cx, y - cy
        d = ellipse(u, v, a, 0.168) if kind == 1 else box(u, v - 0.01, a, 0.135, 0.045)
        glare = clip(
            0.5 + (0.03 - abs(u * (1.0 if light > 0 else -1.0) + 0.55 * v + 0.05)) / 0.05, 0.0, 1.0
        )
        over(rgb, 0.93, 0.97, 1.0, cover(d, px) * (0.13 + 0.22 * glare * abs(light)))
        near = min(near, abs(d))
        ear = wide * 1.02 * side
        if (ear - cx) * side > a:
            near = min(near, capsule(x, y, cx + a * side, cy - 0.02, ear, cy - 0.05, 0.0, 0.0))
    left, right = 0.95 * wide * turned(-0.45, yaw), 0.95 * wide * turned(0.45, yaw)
    inner = 0.172 * 0.62
    if left + inner < x < right - inner:
        arch = cy - 0.03 + 0.35 * (x - 0.5 * (left + right)) ** 2
        gap = 0.172 * 0.38
        if (
            left + inner + gap * math.cos(-0.45 + CURVE * yaw)
            < x
            < right - inner - gap * math.cos(0.45 + CURVE * yaw)
        ):
            near = min(near, abs(y - arch))
    over(rgb, 0.13, 0.14, 0.24, line(near, frame, px))


@kernel
def freckle(seed, x, y, px):
    """How much of a freckle is at x, y: perhaps one in each cell of a lattice."""
    size = 0.062
    i, j = int(math.floor(x / size)), int(math.floor(y / size))
    if random(seed + 7, i, j) < 0.1:
        return 0.0
    cx = (i + 0.5 + 0.22 * random(seed + 8, i, j)) * size
    cy = (j + 0.5 + 0.22 * random(seed + 9, i, j)) * size
    return cover(math.hypot(x - cx, y - cy) - 0.0125, max(px, 0.012))


@kernel
def paint(first, last, memory, out, pose, style, colors, seeds, rgbs, chance, size):
    """Tasks: portraits.  out [N·3·size·size]; pose [N, 9]; style [N, 2]; colors [N, 5, 3]; seeds
    [N]; rgbs [N, 3]: what each works with; chance: how much of the random part is drawn, 0 … 1."""
    px = 2.0 * ZOOM / size
    for n in range(first, last):
        P, S, col, seed, rgb = pose[n], style[n], colors[n], seeds[n], rgbs[n]
        yaw, pitch, light = P[YAW], P[PITCH], P[LIGHT]
        wide, deep = 0.455 - 0.045 * P[HEAD], 0.535 + 0.075 * P[HEAD]
        hx, hy = 0.035 * yaw, -0.035 + 0.02 * pitch
        front = wide * math.sin(CURVE * yaw)  # the middle of the face
        part = 0.55 * front  # that of the hair
        freckled = chance * max(0.0, 0.2 + 0.8 * random(seed + 3, 1, 1))
        for row in range(size):
            for column in range(size):
                X, Y = (column + 0.5) * px - ZOOM, (row + 0.5) * px - ZOOM - 0.07
                x, y = X - hx, Y - hy
                # Background: paler in the middle, lit from a side.
                glow = (
                    0.34 * math.exp(-1.6 * (X * X + (Y + 0.1) ** 2)) + 0.10 * light * X - 0.12 * Y
                )
                rgb[0], rgb[1], rgb[2] = col[BACK, 0], col[BACK, 1], col[BACK, 2]
                tint(rgb, col[BACK], glow, 1.0)
                back = hair_behind(S[HAIR], x, y, wide)
                cap = skull(x, y + 0.015, wide + 0.042, deep) if y < 0.3 else 1.0
                # Hair: strands run down, and fan out from the crown.
                strand = 0.0
                if min(back, cap) < 2.0 * px:
                    fan = math.atan2(x - part, 1.15 + y) * 1.6
                    strand = chance * 0.38 * rough(seed, fan * 17.0 + 40.0, y * 2.6 + 9.0)
                side = 0.16 * light * clip(x / wide, -1.4, 1.4)
                if back < 2.0 * px:
                    deep_in = -0.20 if S[HAIR] in (1, 3) else -0.04
                    tint(rgb, col[TRESS], deep_in + side + strand, cover(back, px))
                    ink(rgb, line(back, 0.014, px))
                # Neck, and the shadow under the chin.
                if y > 0.2:
                    d = box(x - 0.3 * front, y - 0.56, 0.150, 0.36, 0.10)
                    shadow = clip((0.70 - y) / 0.2, 0.0, 1.0)
                    tint(rgb, col[SKIN], -0.10 - 0.28 * shadow + 0.5 * side, cover(d, px))
                    ink(rgb, line(d, 0.012, px))
                    # Clothes.
                    d = ellipse(X, Y - 1.06, 0.74, 0.44)
                    collar = ellipse(X - 0.3 * front, Y - 0.60, 0.205, 0.115)
                    d = max(d, -collar)
                    tint(rgb, col[CLOTH], 0.13 * light * X + 0.10 - 0.22 * (Y - 0.6), cover(d, px))
                    ink(rgb, line(d, 0.014, px))
                # Ears.
                for ear in (-1.0, 1.0):
                    ex = ear * wide * 0.985 - 0.055 * yaw
                    u, v = x - ex, y - 0.02 - 0.03 * pitch
                    if abs(u) < 0.2 and abs(v) < 0.25:
                        d = ellipse(u, v, 0.085, 0.125)
                        tint(rgb, col[SKIN], -0.05 + side, cover(d, px))
                        tint(rgb, col[SKIN], -0.30, cover(ellipse(u, v, 0.042, 0.070), px) * 0.7)
                        ink(rgb, line(d, 0.014, px))
                # Head.
                d = skull(x, y, wide, deep)
                if d < 2.0 * px:
                    skin = cover(d, px)
                    # Light falls on it as on a ball.
                    u, v = x / wide, y / (deep + 0.05)
                    z = math.sqrt(max(0.0, 1.0 - 0.8 * (u * u + v * v)))
                    lit = 0.30 * (z - 0.78) + 0.20 * light * u - 0.07 * v
                    tint(rgb, col[SKIN], lit, skin)
                    if freckled > 0.0 and abs(y - 0.15 - 0.085 * pitch) < 0.14:
                        spot = freckle(seed, x - front, y - 0.085 * pitch, px)
                        spot *= clip(8.0 * (0.14 - abs(y - 0.15 - 0.085 * pitch)), 0.0, 1.0)
                        tint(rgb, col[SKIN], -0.40, skin * spot * freckled)
                    # The shadow of the hair, just below it.
                    u = (x - part) / (wide + 0.03)
                    edge = y - hairline(S[HAIR], u) - 0.03 * pitch
                    tint(rgb, col[SKIN], -0.30, skin * 0.8 * clip(1.0 - edge / 0.085, 0.0, 1.0))
                    face(rgb, x, y, px, P, S, col, wide, deep, skin)
                    ink(rgb, line(d, 0.016, px))
                # Hair in front: a cap on the skull, down to the hairline.
                if cap < 2.0 * px:
                    u = (x - part) / (wide + 0.03)
                    cut = y - hairline(S[HAIR], u) - 0.03 * pitch
                    d = max(cap, 0.75 * cut)
                    if d < 2.0 * px:
                        r = math.hypot(x - 0.12 * light, 0.9 * (y + 0.02))
                        gloss = math.exp(-(((r - 0.40) / 0.045) ** 2)) * (
                            0.55 + 0.45 * light * clip(2.0 * x, -1.0, 1.0)
                        )
                        gloss *= 0.42 * clip(-2.2 * (y + 0.12), 0.0, 1.0)
                        tint(rgb, col[TRESS], side + gloss + strand, cover(d, px))
                        # No outline where it lies on the hair behind, but the hairline.
                        rim = 1.0 if 0.75 * cut > d - 0.5 * px or S[HAIR] == 2 else cover(-back, px)
                        ink(rgb, rim * line(d, 0.014, px))
                if S[GLASSES] > 0 and abs(y) < 0.4:
                    glasses(rgb, x, y, px, S[GLASSES], yaw, pitch, light, wide)
                # Film grain, of the pixels.
                grain = (
                    chance * 0.028 * (random(seed + 1, row, column) + random(seed + 2, row, column))
                )
                for k in range(3):
                    value = 2.0 * (rgb[k] + grain) - 1.0
                    out[((n * 3 + k) * size + row) * size + column] = clip(value, -1.0, 1.0)
