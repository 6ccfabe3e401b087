"""minigan warm: the kernels compiled before anybody waits for them."""


def add(commands) -> None:
    warm = commands.add_parser("warm", help="compile the kernels for this machine, ahead of use")
    warm.add_argument("--all", action="store_true", help="also for training, and in float64")
    warm.set_defaults(run=_warm)


def _warm(args):
    from minigan.data import portraits
    from minigan.ops.warm import warm

    warm(args.all)
    portraits.draw({}, 8)
