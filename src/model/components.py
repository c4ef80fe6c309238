"""Names of parameters and the component each belongs to, in both families."""

from src.errors import InputError

COMPONENTS = ("embed", "llm", "vision", "merger", "head")


def component_of(parameter_name: str) -> str:
    """Component of a parameter or module, whatever PEFT, DeepSpeed or DDP put before or into its name.

    Returns:
        One of COMPONENTS.

    Raises:
        InputError: the name belongs to none.
    """
    parts = parameter_name.split(".")
    if "embed_tokens" in parts:
        return "embed"
    if "lm_head" in parts:
        return "head"
    if "visual" in parts:
        return "merger" if "merger" in parts else "vision"
    if "language_model" in parts or "layers" in parts or "norm" in parts:
        return "llm"
    raise InputError(f"parameter {parameter_name!r} belongs to no known component; expected one of {COMPONENTS}")
