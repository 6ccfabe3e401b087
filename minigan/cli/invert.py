"""minigan invert: the w of a photo.

Read first: `editing/invert.py`.
"""

import pathlib

from minigan.cli.arguments import NETWORK, positive, whole


def add(commands) -> None:
    command = commands.add_parser("invert", help="look for a photo in a network: its w, a report")
    command.add_argument("photo", metavar="PHOTO", help="PNG, JPEG, WebP, BMP, GIF or TIFF")
    command.add_argument("--network", required=True, help=NETWORK)
    command.add_argument("--outdir", required=True, help="where pictures, latents and report go")
    where = command.add_mutually_exclusive_group()
    where.add_argument("--landmarks", nargs="+", metavar="X,Y", help=(
        "left eye, right eye, left and right corner of the mouth, in pixels; left as in the "
        "picture"))  # fmt: skip
    where.add_argument("--points", metavar="FILE", help="the same in a file, CSV or JSON")
    where.add_argument("--no-align", action="store_true", help="the picture is cut out already")
    command.add_argument("--method", choices=("auto", "w", "w+", "pti"), default="auto")
    long = command.add_mutually_exclusive_group()
    long.add_argument("--steps", type=whole(1), help="of the search (200)")
    long.add_argument("--minutes", type=positive, help="a budget for all, instead")
    command.add_argument("--class", dest="label", type=int, help="of a conditional network")
    command.add_argument("--calibrate", type=whole(0), metavar="N", help=(
        "the network's own pictures looked for, to compare errors with (8 of up to 64 pixels, or "
        "none)"))  # fmt: skip
    command.add_argument("--seed", type=whole(0), default=0)
    command.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    command.add_argument("--resume", action="store_true", help="go on with the run in --outdir")
    command.set_defaults(run=_invert)


def _invert(args):
    import signal

    from minigan.editing import align
    from minigan.editing.invert import Wish, invert

    if not (args.landmarks or args.points or args.no_align):
        raise ValueError(
            f"{args.photo}: where is the face? Give --landmarks X,Y X,Y X,Y X,Y or --points FILE: "
            "left eye, right eye, left and right corner of the mouth, left as in the picture; or "
            "--no-align for a picture that is cut out already"
        )
    points = align.read_points(args.points) if args.points else None
    if args.landmarks:
        points = align.parse_points(" ".join(args.landmarks), "--landmarks")
    wish = Wish(args.method, args.steps, args.minutes, args.label, args.calibrate, args.seed,
                args.device)  # fmt: skip
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what there is is kept
    said = invert(args.photo, args.network, args.outdir, points, wish, args.resume)
    print(said["verdict"]["sentence"])
    how = "done" if said["finished"] else "stopped early, what there is is kept; --resume goes on"
    print(f"{how}: {pathlib.Path(args.outdir, 'report.md')}")
