"""ResUNet: MONAI's UNet with two residual units at each level.

Sources: Kerfoot et al., "Left-Ventricle Quantification Using Residual U-Net", STACOM 2018;
`monai.networks.nets.UNet` with `num_res_units=2`. Until version 0.2.0 it was called `unet` here.
"""

from zeus_app.baselines.network import Network
from zeus_app.baselines.unet import with_residual_units


def build(in_channels: int, labels: int) -> Network:
    """A ResUNet with fresh weights."""
    return with_residual_units(in_channels, labels, units=2)
