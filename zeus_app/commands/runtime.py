"""`zeus runtime`: the fastest runtime of the image encoder on this CPU."""

import typer

from zeus_app.commands.options import ProfileName, checked_conf


def runtime(profile: ProfileName = None) -> None:
    """Measure which runtime encodes images fastest on this CPU, and save the result.

    The measurement takes about a minute. Later calls and servers use the saved result.
    """
    import logging

    from zeus_app.build import image_encoder
    from zeus_app.devices import choose_device
    from zeus_app.profiles import load_profile
    from zeus_app.settings.config import ZeusConfig

    logging.basicConfig(level=logging.INFO, format="%(message)s")  # shows each measurement
    config = ZeusConfig.from_conf(checked_conf(profile=profile))
    encoder = image_encoder(config, load_profile(config.profile), choose_device("cpu"))
    typer.echo(encoder.id)
