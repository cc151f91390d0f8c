"""What the provider library knows of models: whose they are, what they cost, what they are called.

`library` is litellm, handed in by the one file that imports it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, cast

from agent.host import env
from agent.llm.assemble import tokens
from agent.llm.failure import Asked
from agent.llm.price import PER, Rate
from agent.llm.protocol import Price
from agent.llm.redact import secrets_in

_ASKED = ("ollama", "ollama_chat")
"""Providers whose server litellm asks what it has, and waits: their table is read here instead."""


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


def listed(library: Any, model: str) -> Mapping[str, Any]:
    """What litellm's own table says of `model`; empty when it is not in it."""
    if provider_of(library, model) in _ASKED:
        name = model.partition("/")[2]
        return library.model_cost.get(model) or library.model_cost.get(f"ollama/{name}") or {}
    try:
        return cast("Mapping[str, Any]", library.get_model_info(model))
    except _not_listed(library):
        return {}


def _not_listed(library: Any) -> tuple[type[Exception], ...]:
    unlisted = library.exceptions.ModelNotMappedError
    return (unlisted, *library.LITELLM_EXCEPTION_TYPES, LookupError, TypeError, ValueError)


def window_of(library: Any, model: str) -> int:
    """How many tokens a question to `model` may have; 0 when that is not known."""
    facts = listed(library, model)
    return int(facts.get("max_input_tokens") or facts.get("max_tokens") or 0)


_PROMPT = re.compile(r"(input_cost_per_token|cache_creation_input_token_cost)(_above_\d+k_tokens)?")
_COMPLETION = re.compile(r"output_cost_per_(reasoning_)?token(_above_\d+k_tokens)?")


def price_of(library: Any, model: str, rate: Rate | None = None) -> Price | None:
    """What a token costs at most, writing to a cache and long questions included; None: unknown.

    A person's own `rate` counts instead of the table's.
    """
    facts = listed(library, model)
    if rate is not None:
        most = int(facts.get("max_output_tokens") or 0)
        return Price(max(rate.prompt, rate.cached or 0) / PER, rate.completion / PER, most)
    if "key" in facts:  # a price that is not known is 0 in there
        facts = library.model_cost.get(facts["key"], {})
    if "input_cost_per_token" not in facts:
        return None
    most = int(facts.get("max_output_tokens") or 0)
    return Price(_dearest(facts, _PROMPT), _dearest(facts, _COMPLETION), most)


def _dearest(facts: Mapping[str, Any], keys: re.Pattern[str]) -> float:
    return max((float(v or 0) for k, v in facts.items() if keys.fullmatch(k)), default=0.0)


def sees(library: Any, model: str) -> bool:
    """Whether the model is known to take images; one that does not would refuse the question."""
    return bool(listed(library, model).get("supports_vision"))


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


def names_of(library: Any) -> list[str]:
    """The models of litellm's own table that one can talk with, with their provider in front."""
    found: set[str] = set()
    for model, facts in library.model_cost.items():
        if facts.get("mode") in ("chat", "responses"):
            provider = str(facts.get("litellm_provider", ""))
            found.add(model if model.startswith(f"{provider}/") else f"{provider}/{model}")
    return sorted(found)


def calls_tools_of(library: Any, model: str) -> bool:
    """Whether the model calls tools by itself. One of which nothing is known is taken to.

    Its server says so otherwise. `ollama/…` is the wire without tools; `ollama_chat/…` has them.
    """
    known = listed(library, model).get("supports_function_calling")
    return known is True or (known is None and provider_of(library, model) != "ollama")


def effort_of(library: Any, model: str, effort: str) -> dict[str, Any]:
    """The argument that says how much to reason, where the model is not known to lack it."""
    facts = listed(library, model)
    if not effort or (facts and not facts.get("supports_reasoning")):
        return {}
    # Of a model that is not in the table nobody knows but the person who has chosen this.
    let = {} if facts else {"allowed_openai_params": ["reasoning_effort"]}
    return {"reasoning_effort": effort, **let}


def cost_of(library: Any, model: str, usage: Any, rate: Rate | None = None) -> float | None:
    """US dollars by a person's own `rate`, else by litellm's table; None when neither knows."""
    if usage is None:
        return None
    if rate is not None:
        return rate.cost(tokens(usage, None))
    facts = listed(library, model)
    if "key" in facts:  # a price that is not known is 0 in there
        facts = library.model_cost.get(facts["key"], {})
    if "input_cost_per_token" not in facts:
        return None
    if not (facts["input_cost_per_token"] or facts.get("output_cost_per_token")):
        return 0.0
    try:
        return float(sum(library.cost_per_token(model=model, usage_object=usage)))
    except _not_listed(library):
        return None
