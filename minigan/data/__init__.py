"""What to learn from: `signals` and `portraits`, of known factors; `images`, your own.  `stream`
gives portraits or images without end, for training."""
