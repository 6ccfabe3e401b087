"""minigan train, distill, reader: what makes a network."""

import ast
import pathlib

from minigan.cli.arguments import NETWORK, check_images, check_out, positive, whole


def add(commands) -> None:
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
    train.set_defaults(run=_train)

    distill = commands.add_parser("distill", help="a StyleGAN3 that learns another's pictures")
    distill.add_argument("--config", default="portraits32-2021", help="a preset")
    distill.add_argument("--teacher", default="portraits32", help=NETWORK)
    distill.add_argument(
        "--kimg", type=positive, default=50, help="thousands of pictures to learn from"
    )
    distill.add_argument("--lr", type=positive, default=0.004)
    distill.add_argument("--seed", type=whole(0), default=0)
    distill.add_argument("--out", required=True, help="the file it goes to")
    distill.set_defaults(run=_distill)

    reader = commands.add_parser("reader", help="train a network that reads portraits")
    reader.add_argument("--task", choices=("factors", "identity"), required=True)
    reader.add_argument("--resolution", type=int, choices=(32, 64), default=32, help="of pictures")
    reader.add_argument("--kimg", type=positive, default=200, help="thousands of drawings it sees")
    reader.add_argument("--seed", type=whole(0), default=0)
    reader.add_argument("--trunk", help="a reader to begin with, but for its last layer")
    reader.add_argument("--out", required=True, help="the file it goes to")
    reader.set_defaults(run=_reader)


def setting(pair: str) -> tuple[str, object]:
    """(name, value) of "NAME=VALUE"; other than Python values are words.  Raises: ValueError."""
    name, equals, value = pair.partition("=")
    if not equals:
        raise ValueError(f"--set {pair}: expected NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError):
        return name, value


def _train(args):
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


def _distill(args):
    from minigan import files, training
    from minigan.training import distill

    check_out(args.out)
    config, teacher = training.preset(args.config).G, files.load(args.teacher)
    check_images(args.teacher, teacher)
    _, error = distill.distill(config, teacher, args.kimg, args.out, args.lr, args.seed)
    print(f"mean squared difference of the last 800 pictures: {error:.5f}")


def _reader(args):
    from minigan import device, files
    from minigan.networks.reader import CHANNELS, Config
    from minigan.training import reader

    check_out(args.out)
    size = args.resolution
    config = Config(task=args.task, resolution=size, channels=CHANNELS[size])
    trunk = files.load_reader(args.trunk) if args.trunk else None
    if trunk is not None and trunk.config.channels != config.channels:
        raise ValueError(f"--trunk {args.trunk} has channels {trunk.config.channels}; expected "
                         f"{config.channels}")  # fmt: skip
    network = reader.train(config, args.kimg, args.seed, trunk=trunk)
    made = {
        "command": f"python -m minigan reader --task {args.task} --resolution {size} "
                   f"--kimg {args.kimg:g} --seed {args.seed}"
                   + (f" --trunk {args.trunk}" if args.trunk else ""),
        "machine": device.machine(),
    }  # fmt: skip
    files.save(args.out, {"features": network}, half=True, made=made)
