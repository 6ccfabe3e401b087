"""What to learn from: `signals` and `portraits`, of known factors; `images`, your own."""
