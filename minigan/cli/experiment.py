"""minigan experiment NAME: a measured question of the course, measured again."""

import argparse
import importlib

from minigan.cli.arguments import positive, whole


def add(commands) -> None:
    experiment = commands.add_parser("experiment", help="make a table of the course anew")
    names = experiment.add_subparsers(dest="name", metavar="NAME", required=True)

    def one(name, what, seeds=(0, 1, 2, 3, 4)):
        parser = names.add_parser(name, help=what, argument_default=argparse.SUPPRESS)
        parser.add_argument("--seeds", type=whole(0), nargs="+", default=list(seeds))
        parser.add_argument("--jobs", type=whole(1), default=2, help="processes at the same time")
        parser.add_argument("--out", default=f"notebooks/results/{name}.csv", help="the table")
        parser.set_defaults(run=_experiment)
        return parser

    toys = (
        one("styles_or_concatenation", "modulation against concatenation, four toys"),
        one("style_mixing", "toys with mixing regularisation and without"),
    )
    for parser in toys:
        parser.add_argument("--steps", type=whole(1), help="of training (those of lesson 04)")
    sticking = one("texture_sticking", "from StyleGAN2 to StyleGAN3, untrained: equivariance")
    sticking.add_argument("--n", type=whole(1), help="latents for each number (96)")
    lengths = one("path_length", "trainings with path length regularisation and without", (0, 1, 2))
    readable = one("readable_w", "what makes W readable: one setting at a time", (0, 1))
    readable.add_argument("--minutes", type=positive, help="of one core, for each run (5)")
    lengths.add_argument("--weight", dest="weights", type=_weight, nargs="+", help=(
        "of the regularisation (0 2 100)"))  # fmt: skip


def _weight(text):
    return 0.0 if text == "0" else positive(text)


def _experiment(args):
    module = importlib.import_module(f"minigan.experiments.{args.name}")
    own = {
        name: value
        for name, value in vars(args).items()
        if name in ("steps", "n", "weights", "minutes")
    }
    rows = module.TABLE.make(module.tasks(args.seeds, **own), args.out, args.jobs)
    print(module.summary(rows))
