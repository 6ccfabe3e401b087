"""minigan toy: what becomes of the latent, with AdaIN and without."""

from minigan.cli.arguments import whole


def add(commands) -> None:
    toy = commands.add_parser("toy", help="the one-dimensional style-GAN of Part 1")
    toy.add_argument("--no-adain", action="store_true", help="leave AdaIN out")
    toy.add_argument("--seed", type=whole(0), default=0)
    toy.set_defaults(run=lambda args: toy_report(not args.no_adain, args.seed))


def toy_report(adain_on: bool, seed: int) -> None:
    """Print the spread of an untrained toy's outputs, and what that one number hides."""
    import numpy as np

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
