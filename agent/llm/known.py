"""What the provider library knows of models: whose they are, what they cost, what they are called.

`library` is litellm, handed in by the one file that imports it.
"""

from __future__ import annotations

import difflib
from typing import Any

from agent.host import env
from agent.llm.failure import Asked
from agent.llm.redact import secrets_in


def question_facts(library: Any, model: str) -> Asked:
    """What the message of a failure needs to know of the question."""
    provider = provider_of(library, model)
    return Asked(
        model=model,
        provider=provider,
        missing=tuple(library.validate_environment(model)["missing_keys"]) if provider else (),
        near=tuple(_near(library, model)),
        secrets=secrets_in(env.variables()),
    )


def provider_of(library: Any, model: str) -> str:
    """The provider that `model` names, or "" when litellm knows none."""
    try:
        return str(library.get_llm_provider(model)[1])
    except library.BadRequestError:
        return ""


def sees(library: Any, model: str) -> bool:
    """Whether the model is known to take images; one that does not would refuse the question."""
    return bool(library.supports_vision(model=model))


def _near(library: Any, asked: str) -> list[str]:
    """Names that were perhaps meant: of providers when the one given is unknown, else of models."""
    prefix, slash, name = asked.partition("/")
    provider = provider_of(library, asked)
    if slash and not provider:
        providers = [str(getattr(each, "value", each)) for each in library.provider_list]
        near = difflib.get_close_matches(prefix, providers, n=3, cutoff=0.6)
        return [f"{each}/{name}" for each in near]
    models = {
        model if model.startswith(f"{prefix}/") or not slash else f"{prefix}/{model}"
        for model, facts in library.model_cost.items()
        if facts.get("mode") in ("chat", "responses")
        and (not provider or facts.get("litellm_provider") == provider)
    }
    return difflib.get_close_matches(asked, sorted(models - {asked}), n=3, cutoff=0.7)


def cost_of(library: Any, model: str, usage: Any) -> float | None:
    """US dollars by litellm's own table; None when the model or its price is not in it."""
    if usage is None:
        return None
    unlisted = library.exceptions.ModelNotMappedError
    try:
        key = library.get_model_info(model)["key"]
        if "input_cost_per_token" not in library.model_cost.get(key, {}):
            return None
        return float(sum(library.cost_per_token(model=model, usage_object=usage)))
    except (unlisted, *library.LITELLM_EXCEPTION_TYPES, LookupError, TypeError, ValueError):
        return None
