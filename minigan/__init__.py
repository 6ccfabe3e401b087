"""minigan: the StyleGAN family, written from scratch on NumPy to be read, changed and broken.

Start with `toy.py` (a style-GAN in one dimension), then `autograd` (how it is differentiated).
`import minigan` loads neither: rooms are imported one by one, `from minigan import toy`.
"""
