"""Checks that a profile fits its towers and the settings it is used with."""

from zeus_app.errors import InputError
from zeus_app.profiles import Profile
from zeus_app.settings.config import TrainConfig, ZeusConfig


def refuse_early_fusion(config: ZeusConfig) -> None:
    """Refuse early fusion, which Zeus does not have.

    Raises:
        InputError: the config has fusion early.
    """
    if config.fusion == "early":
        raise InputError(
            "model zeus with fusion early",
            expected="hybrid or late: each sequence has its own instruction, and channels merged"
            " before the encoder leave nothing to instruct",
            remedy="send --fusion hybrid or --fusion late",
        )


def refuse_features_without_read_out(config: ZeusConfig) -> None:
    """Refuse a union of features where no network reads the features of all sequences together.

    Raises:
        InputError: the config has union features without the read-out or without hybrid fusion.
    """
    possible = config.chosen_decoder != "sam" and config.fusion == "hybrid"
    if config.chosen_union == "features" and not possible:
        raise InputError(
            f"union features with decoder {config.chosen_decoder} and fusion {config.fusion}",
            expected="decoder readout with fusion hybrid: one network for all sequences",
            remedy="send --set decoder=readout and --fusion hybrid, or --set union=max",
        )


def refuse_embeddings_without_tokens(config: ZeusConfig, profile: Profile) -> None:
    """Refuse instruction mode embedding or both without a causal LLM.

    Only a causal LLM reads image tokens and gives Zeus its last layer.

    Raises:
        InputError: the profile's instructions come from another kind of model.
    """
    if config.instruction != "text" and profile.llm.kind != "causal":
        raise InputError(
            f"instruction {config.instruction} with profile {profile.name}, whose instructions"
            f" come from a {profile.llm.kind}",
            expected="text: only a causal LLM gives Zeus its last layer",
            remedy="send --set instruction=text, or a profile with a causal LLM, for example"
            " --profile reference-small",
        )


def refuse_idle_lora(config: ZeusConfig, profile: Profile, train: TrainConfig) -> None:
    """Refuse a training from scratch in which LoRA would not be trained.

    In text mode no gradient passes the words of the LLM, so none reaches its LoRA.

    Raises:
        InputError: the profile has LoRA, and the training is in text mode alone.
    """
    idle = config.instruction == "text" and not train.projection_share and train.start == "scratch"
    if idle and profile.llm.lora_rank:
        raise InputError(
            f"profile {profile.name} with LoRA of rank {profile.llm.lora_rank}, trained in text"
            " mode alone, in which no gradient reaches it",
            expected="a training that reaches LoRA",
            remedy="start the server with --set instruction=embedding or both, or train with"
            " projection_share above 0, for example 0.3",
        )


def check_width(profile: Profile, field: str, *, stated: int, actual: int) -> None:
    """Compare the width that a profile states with that of the loaded tower.

    Args:
        profile: for the message.
        field: of the profile, for example "llm.hidden".
        stated: width in the profile.
        actual: width of the tower.

    Raises:
        InputError: the widths differ.
    """
    if stated != actual:
        raise InputError(
            f"profile {profile.name} states {field} {stated}",
            expected=f"{field} {actual}, the width of the tower",
            remedy=f"write {field}: {actual} into the profile",
        )
