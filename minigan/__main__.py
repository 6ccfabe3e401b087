"""python -m minigan …: what the course does from the command line.

An error is one sentence; MINIGAN_TRACEBACK=1 shows Python's traceback instead.
"""

import argparse
import ast
import math
import os
import pathlib
import warnings

import numpy as np


def toy_report(adain_on, seed):
    """Print the spread of an untrained toy's outputs, and what that one number hides."""
    from minigan import toy

    rng = np.random.default_rng(seed)
    config = toy.Config(style="adain" if adain_on else "off")
    G = toy.Generator.init(config, rng, noise_strength=0.1)  # about that of a trained one
    z = rng.standard_normal((256, G.z_dim), np.float32)
    one = np.broadcast_to(z[:1], z.shape)

    def spread(z, **noise):
        return float(np.mean(np.std(G(z, **noise), axis=0)))

    print(f"AdaIN {'on' if adain_on else 'off'}, seed {seed}, 256 signals")
    print(
        f"  spread of the outputs                     {spread(z, noise_mode='random', rng=rng):.4f}"
    )
    print("what that number hides: where the spread comes from")
    print(f"  many latents, the same noise              {spread(z):.4f}")
    print(f"  the same latent, fresh noise              "
          f"{spread(one, noise_mode='random', rng=rng):.4f}")  # fmt: skip
    if not adain_on:
        print("Without AdaIN no path leads from w into the signal: the latent does nothing.")


def run_toy(args):
    from minigan.experiments import style_mixing, styles_or_concatenation
    from minigan.toy import training as toy_training

    if args.action is None:
        toy_report(not args.no_adain, args.seed)
    else:
        steps = toy_training.Training().steps if args.steps is None else args.steps
        table = {"compare": styles_or_concatenation, "mixing": style_mixing}[args.action]
        print(table.summary(table.compare(args.seeds, steps, args.out, args.jobs)))


def setting(pair):
    """(name, value) of "NAME=VALUE"; other than Python values are words.  Raises: ValueError."""
    name, equals, value = pair.partition("=")
    if not equals:
        raise ValueError(f"--set {pair}: expected NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError):
        return name, value


def start_training(args):
    from minigan import training

    if args.resume and args.config is None:
        config = training.config_of(pathlib.Path(args.outdir, "checkpoint.npz"))
    else:
        config = training.preset(args.config or "portraits32")
    settings = dict(map(setting, args.set))
    for name in ("data", "seed", "kimg"):
        if getattr(args, name) is not None:
            settings[name] = getattr(args, name)
    config = training.override(config, settings)
    training.train(config, args.outdir, args.resume, init=args.init, device=args.device)


def add_picture_commands(commands):
    generate = commands.add_parser("generate", help="pictures of a network file, by seed")
    mix = commands.add_parser("style-mix", help="a grid of rows' seeds with columns' styles")
    between = commands.add_parser("interpolate", help="frames on the way from seed to seed")
    for parser in (generate, mix, between):
        parser.add_argument("--network", required=True, help="a file that training has saved")
        parser.add_argument("--outdir", "--out", required=True, help="where the PNG files go")
        parser.add_argument("--trunc", type=float, default=1.0, help="truncation, psi (1: none)")
        parser.add_argument("--class", dest="label", type=int, help="of a conditional network")
        parser.add_argument("--noise-mode", choices=("const", "random", "none"), default="const")
    for parser in (generate, between):
        parser.add_argument("--seeds", required=True, help="such as 0-63 or 1,5,7-9")
    mix.add_argument("--rows", required=True, help="seeds of the rows, such as 85,100,75")
    mix.add_argument("--cols", required=True, help="seeds of the columns, whose styles are taken")
    mix.add_argument("--styles", help="the layers taken, such as 0-3 (the first half)")
    between.add_argument(
        "--w-frames", type=int, default=60, help="frames from one seed to the next"
    )


def make_pictures(args):
    from minigan import latents
    from minigan.cli import pictures

    common = {"psi": args.trunc, "label": args.label, "noise_mode": args.noise_mode}
    if args.command == "generate":
        seeds = latents.parse_range(args.seeds)
        pictures.generate(args.network, seeds, args.outdir, **common)
    elif args.command == "interpolate":
        seeds = latents.parse_range(args.seeds)
        pictures.interpolate(args.network, seeds, args.outdir, args.w_frames, **common)
    else:
        rows, cols = (latents.parse_range(text) for text in (args.rows, args.cols))
        styles = latents.parse_range(args.styles) if args.styles else None
        pictures.style_mix(args.network, rows, cols, args.outdir, styles, **common)


def add_model_commands(commands):
    export = commands.add_parser("export", help="a training run's networks, to ship")
    export.add_argument("--run", required=True, help="the run's folder")
    export.add_argument("--name", required=True, help="writes minigan/models/NAME.npz, NAME-D.npz")
    imitate = commands.add_parser("imitate", help="a StyleGAN3 that learns another's pictures")
    imitate.add_argument("--config", default="portraits32-2021", help="a preset")
    imitate.add_argument("--teacher", default="portraits32", help="a file, or a shipped name")
    imitate.add_argument(
        "--kimg", type=positive, default=50, help="thousands of pictures to imitate"
    )
    imitate.add_argument("--lr", type=positive, default=0.004)
    imitate.add_argument("--seed", type=whole(0), default=0)
    imitate.add_argument("--out", required=True, help="the file it goes to")
    learn = commands.add_parser("features", help="train a network that reads portraits")
    learn.add_argument("--task", choices=("factors", "identity"), required=True)
    learn.add_argument("--kimg", type=positive, default=200, help="thousands of drawings it sees")
    learn.add_argument("--seed", type=whole(0), default=0)
    learn.add_argument("--out", required=True, help="the file it goes to")
    for name, text in (("measure", "print the measures of a network"),
                       ("card", "write a shipped network's model card anew")):  # fmt: skip
        command = commands.add_parser(name, help=text)
        command.add_argument("--network", required=True, help="a shipped name such as portraits32")


def imitate(args):
    from minigan import files, training
    from minigan.training import distill

    check_out(args.out)
    config, teacher = training.preset(args.config).G, files.load(args.teacher)
    _, error = distill.distill(config, teacher, args.kimg, args.out, args.lr, args.seed)
    print(f"mean squared difference of the last 800 pictures: {error:.5f}")


def check_out(path):
    """Raise OSError unless a file can have this path: before the work, not after it."""
    path = pathlib.Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"--out {path} is a folder; expected a file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"--out {path}: there is no folder {path.parent}")


def measure_sticking(args):
    from minigan.experiments import texture_sticking

    texture_sticking.compare(args.seeds, args.n, args.out, args.jobs)
    print(texture_sticking.summary(args.out))


def run_model_command(args):
    from minigan.evaluation import tables

    if args.command == "export":
        tables.export(args.run, args.name)
    elif args.command == "features":
        check_out(args.out)
        tables.train_features(args.task, args.kimg, args.seed, args.out)
    elif args.command == "measure":
        print(tables.tables(args.network))
    else:
        tables.write(args.network)


def warm_kernels(args):
    from minigan.data import portraits
    from minigan.ops.warm import warm

    warm(args.all)
    portraits.draw({}, 8)


def whole(least):
    """For argparse: whole numbers from `least` on."""

    def parse(text):
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least}")
        return int(text)

    return parse


def positive(text):
    """For argparse: a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def said(error):
    """An error in one sentence."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    kind = type(error).__name__
    if isinstance(error, (ValueError, OSError, ArithmeticError, RuntimeError, MemoryError)):
        return str(error) or kind
    return f"{kind}: {error}; this is a bug in minigan, MINIGAN_TRACEBACK=1 shows where"


def main():
    parser = argparse.ArgumentParser("python -m minigan", description=__doc__.partition(":")[2])
    commands = parser.add_subparsers(dest="command", required=True)
    toy = commands.add_parser("toy", help="the one-dimensional style-GAN of Part 1")
    toy.add_argument("--no-adain", action="store_true", help="leave AdaIN out")
    toy.add_argument("--seed", type=whole(0), default=0)
    actions = toy.add_subparsers(dest="action")
    for name, table, what in (
        (
            "compare",
            "styles_or_concatenation",
            "modulation against concatenation, over several seeds",
        ),
        ("mixing", "style_mixing", "with mixing regularisation and without, over several seeds"),
    ):
        action = actions.add_parser(name, help=what)
        action.add_argument("--seeds", type=whole(0), nargs="+", default=[0, 1, 2, 3, 4])
        action.add_argument("--steps", type=whole(1), help="default: as in toy_training")
        action.add_argument(
            "--jobs", type=whole(1), default=2, help="toys trained at the same time"
        )
        action.add_argument("--out", default=f"notebooks/results/{table}.csv")
    train = commands.add_parser("train", help="train a generator and its discriminator")
    train.add_argument("--config", help="a preset (portraits32); on resuming, the checkpoint's")
    train.add_argument("--data", help="a folder or a zip of pictures, instead of drawn portraits")
    train.add_argument("--outdir", required=True, help="where checkpoints, grids and the log go")
    train.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint in --outdir"
    )
    train.add_argument("--init", nargs="+", metavar="FILE", help=(
        "networks to begin with, of as many pixels and channels or fewer, as "
        "runs/mine/checkpoint.npz"))  # fmt: skip
    train.add_argument("--seed", type=int, help="of weights, data and noise")
    train.add_argument("--kimg", type=float, help="thousands of pictures that D is to see")
    train.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help=(
        "any other setting: batch=16 G.channel_max=96"))  # fmt: skip
    train.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    sticking = commands.add_parser("sticking", help=(
        "equivariance of untrained networks, from StyleGAN2 to StyleGAN3"))  # fmt: skip
    sticking.add_argument("--seeds", type=whole(0), nargs="+", default=[0, 1, 2, 3, 4])
    sticking.add_argument("--n", type=whole(1), default=96, help="latents for each number")
    sticking.add_argument(
        "--jobs", type=whole(1), default=2, help="networks measured at the same time"
    )
    sticking.add_argument("--out", default="notebooks/results/texture_sticking.csv")
    add_picture_commands(commands)
    add_model_commands(commands)
    warm = commands.add_parser("warm", help="compile the kernels for this machine, ahead of use")
    warm.add_argument("--all", action="store_true", help="also for training, and in float64")
    args = parser.parse_args()
    run = {"toy": run_toy, "train": start_training, "imitate": imitate,
           "sticking": measure_sticking, "warm": warm_kernels}  # fmt: skip
    run |= dict.fromkeys(("export", "features", "measure", "card"), run_model_command)
    run |= dict.fromkeys(("generate", "style-mix", "interpolate"), make_pictures)
    warnings.formatwarning = lambda message, *_: f"{message}\n"  # without a line of our source
    try:
        run[args.command](args)
    except Exception as error:
        if os.environ.get("MINIGAN_TRACEBACK") == "1":
            raise
        raise SystemExit(f"error: {said(error)}") from None
    except KeyboardInterrupt:
        raise SystemExit("stopped") from None


if __name__ == "__main__":
    main()
