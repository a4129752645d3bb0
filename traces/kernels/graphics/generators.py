"""Input arrays of scenes."""

import numpy as np


def conics(shape, dtype, random, options):
    """Inverse covariances (xx, xy, yy) of Gaussians 2 to 8 pixels wide, and their opacity."""
    angle, opacity = random.uniform(0, np.pi, shape[0]), random.uniform(0.05, 0.95, shape[0])
    wide, narrow = (random.uniform(2, 8, shape[0]) ** -2 for _ in range(2))
    cosine, sine = np.cos(angle), np.sin(angle)
    xx, yy = wide * cosine**2 + narrow * sine**2, wide * sine**2 + narrow * cosine**2
    return np.stack([xx, (wide - narrow) * cosine * sine, yy, opacity], axis=1).astype(dtype)
