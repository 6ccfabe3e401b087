"""What to learn from: `signals` and `portraits`, whose every factor is known; `images`, your own."""
