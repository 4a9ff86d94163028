"""What of a profile does not go together: with its towers, or with what is asked of it."""

from zeus_app.errors import InputError
from zeus_app.profiles import Profile
from zeus_app.settings.config import TrainConfig, ZeusConfig


def refuse_embeddings_without_tokens(config: ZeusConfig, profile: Profile) -> None:
    """Embedding mode is the LLM's own last layer, with image tokens among what it reads.

    Raises:
        InputError: the profile's instructions come from elsewhere.
    """
    if config.instruction != "text" and profile.llm.kind != "causal":
        raise InputError(
            f"instruction {config.instruction} with profile {profile.name}, whose instructions"
            f" come from a {profile.llm.kind}",
            expected="text: only a causal LLM gives Zeus its last layer",
            remedy="set instruction to text, or choose a profile with a causal LLM",
        )


def refuse_idle_lora(config: ZeusConfig, profile: Profile, train: TrainConfig) -> None:
    """Words are discrete: in text mode no gradient reaches the LLM, nor LoRA in it.

    Raises:
        InputError: a training from scratch in which LoRA would learn nothing at all.
    """
    idle = config.instruction == "text" and not train.projection_share and train.start == "scratch"
    if idle and profile.llm.lora_rank:
        raise InputError(
            f"profile {profile.name} with LoRA of rank {profile.llm.lora_rank}, trained in text"
            " mode alone, in which no gradient reaches it",
            expected="a training in which LoRA learns",
            remedy="start the server with instruction embedding or both, or train with"
            " projection_share above 0",
        )


def check_width(profile: Profile, field: str, *, stated: int, found: int) -> None:
    """What learns is as wide as the profile says its towers are.

    Raises:
        InputError: the tower is of another width.
    """
    if stated != found:
        raise InputError(
            f"profile {profile.name} states {field} {stated}",
            expected=f"{field} {found}, as wide as the tower is",
            remedy="correct the profile",
        )
