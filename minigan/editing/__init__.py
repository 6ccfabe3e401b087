"""What is done with a picture that a generator could have drawn: `align` brings it into its frame.

Read first: `data/portraits.py`, `latents.py`.
"""
