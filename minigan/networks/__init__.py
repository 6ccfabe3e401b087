"""The networks, one file per paper: `stylegan1`, `stylegan2`.  `base` holds what they share."""
