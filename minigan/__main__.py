"""python -m minigan …: what the course does from the command line."""

import argparse

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


def main():
    parser = argparse.ArgumentParser("python -m minigan", description=__doc__.partition(":")[2])
    commands = parser.add_subparsers(dest="command", required=True)
    toy = commands.add_parser("toy", help="the one-dimensional style-GAN of Part 1")
    toy.add_argument("--no-adain", action="store_true", help="leave AdaIN out")
    toy.add_argument("--seed", type=int, default=0)
    compare = toy.add_subparsers(dest="action").add_parser(
        "compare", help="modulation against concatenation, over several seeds"
    )
    compare.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    compare.add_argument("--steps", type=int, default=None, help="default: as in toy_training")
    compare.add_argument("--jobs", type=int, default=2, help="toys trained at the same time")
    compare.add_argument("--out", default="notebooks/results/toy_compare.csv")
    warm = commands.add_parser("warm", help="compile the kernels for this machine, ahead of use")
    warm.add_argument("--all", action="store_true", help="also for training, and in float64")
    args = parser.parse_args()
    if args.command == "warm":
        from minigan.ops.warm import warm

        warm(args.all)
    elif args.action == "compare":
        from minigan import toy_compare, toy_training

        steps = toy_training.Training().steps if args.steps is None else args.steps
        print(toy_compare.summary(toy_compare.compare(args.seeds, steps, args.out, args.jobs)))
    else:
        toy_report(not args.no_adain, args.seed)


if __name__ == "__main__":
    main()
