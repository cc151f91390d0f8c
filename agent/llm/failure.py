"""A provider library's exception as one of ours, with what to do next.

Looks at exceptions by shape (names, status, headers, the chain behind them) and imports none, so
that it can be tested without the library. What it returns says whether trying again may help.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from agent.core.errors import (
    GloveboxError,
    LlmAuthError,
    LlmContextError,
    LlmDownError,
    LlmLimitError,
    UserError,
)
from agent.llm.redact import said

_QUOTA = re.compile(r"insufficient_quota|current quota|credit balance|billing", re.IGNORECASE)
_CONTEXT = re.compile(
    r"context[ _](?:length|window|size|limit)|maximum (?:input|prompt) length|prompt is too long"
    r"|too many (?:input )?tokens|reduce the length|request_too_large",
    re.IGNORECASE,
)
_BUSY = re.compile(r"overloaded|rate[ _-]?limit|too many requests|capacity", re.IGNORECASE)
_REPEATS = "repeating the same chunk"  # where the provider library breaks a stream off by itself
_NO_KEY = re.compile(r"missing credentials|missing .*api key|no (?:api )?key", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a failure's message needs to know of the question."""

    model: str
    provider: str
    missing: tuple[str, ...] = ()
    """Names of the environment variables that the provider needs and that are not set."""
    near: tuple[str, ...] = ()
    """Names of models or providers similar to the one asked for."""
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """`error` is what to raise. A `reason` means that it may pass, after the `asked` seconds.

    `busy` says that the provider is asked more than it likes.
    """

    error: GloveboxError
    reason: str = ""
    asked: float | None = None
    quick: bool = False
    busy: bool = False


def failure_of(error: BaseException, asked: Asked, *, now: datetime | None = None) -> Failure:
    """What `error`, raised by the provider library, means."""
    trace = tuple(_trace(error))
    headers = _headers(trace)
    # With headers there was an answer, so the connection was not the trouble.
    link = None if headers else _link_failure(trace, asked)
    if link is not None:
        return link
    text = said(_message(trace), asked.secrets)
    kinds = {name for each in trace for name in _kinds(each)}
    status = _status(trace)
    if "LLM Provider NOT provided" in str(error) or "LiteLLMUnknownProvider" in kinds:
        return Failure(unknown_model(asked))
    if not headers and (_NO_KEY.search(text) or "AuthenticationError" in kinds):
        return Failure(_no_key(asked))
    if "ContextWindowExceededError" in kinds or _is_context(status, text):
        return Failure(_too_long(asked))
    if _REPEATS in text:
        return _repeats(asked.provider)
    if "Timeout" in kinds or "APITimeoutError" in kinds or status == 408:
        return slow(asked.provider, "did not answer in time")
    return _by_status(status, text, headers, asked, now or datetime.now(UTC))


def slow(provider: str, what: str) -> Failure:
    """The provider kept silent for too long."""
    hint = "try again, or choose another model with `--model`"
    return Failure(LlmDownError(f"`{provider}` {what}", hint), f"provider {what}")


def endless(provider: str) -> Failure:
    """The reply does not come to an end; another would not either."""
    hint = "choose another model, or say what it is to do in smaller steps"
    return Failure(LlmDownError(f"the reply of `{provider}` does not come to an end", hint))


def _repeats(provider: str) -> Failure:
    hint = "say it in other words, or choose another model"
    return Failure(LlmDownError(f"the reply of `{provider}` said the same over and over", hint))


def _by_status(
    status: int, text: str, headers: Mapping[str, str], asked: Asked, now: datetime
) -> Failure:
    name = f"`{asked.provider}`"
    detail = f": {text}" if text else ""
    if status == 402 or (status in (400, 403, 429) and _QUOTA.search(text)):
        hint = "check the plan and the billing of the account, or choose another model"
        return Failure(LlmLimitError(f"the quota at {name} is used up{detail}", hint))
    if status in (401, 403) and asked.missing:
        return Failure(_no_key(asked))
    if status in (401, 403):
        hint = f"check {_keys(asked)}, and that the account may use `{asked.model}`"
        return Failure(LlmAuthError(f"{name} refused the key ({status}){detail}", hint))
    if status == 429:
        wait = _retry_after(headers, now)
        return Failure(_limit(name, detail, wait), "provider is busy", asked=wait, busy=True)
    if status == 404:
        return Failure(unknown_model(asked, detail))
    if (status >= 500 and headers) or status in (409, 503) or _BUSY.search(text):
        error = LlmDownError(f"{name} is failing ({status}){detail}", "try again later")
        wait = _retry_after(headers, now)
        busy = wait is not None or bool(_BUSY.search(text))
        return Failure(error, "provider is failing", asked=wait, busy=busy)
    if headers:
        hint = "this is not likely to pass; choose another model, or start a new session"
        return Failure(LlmDownError(f"{name} refused the request ({status}){detail}", hint))
    return Failure(LlmDownError(f"{name} cannot be asked{detail}", _elsewhere(asked)))


def _limit(name: str, detail: str, wait: float | None) -> LlmLimitError:
    again = f"in {wait:.0f} seconds" if wait else "later"
    hint = f"try again {again}, or choose another model with `--model`"
    return LlmLimitError(f"{name} limits the rate of requests{detail}", hint)


def _no_key(asked: Asked) -> LlmAuthError:
    own = " (any value, when your own server needs none)" if asked.provider == "openai" else ""
    hint = f"set {_keys(asked)} in the environment{own}"
    return LlmAuthError(f"no key for `{asked.provider}` is set", hint)


def _keys(asked: Asked) -> str:
    names = asked.missing or (f"{asked.provider.upper()}_API_KEY",)
    # Several names for a key are alternatives; a key beside other settings is not.
    word = "or" if all(name.endswith("_API_KEY") for name in names) else "and"
    quoted = [f"`{name}`" for name in names]
    return f" {word} ".join(quoted)


def unknown_model(asked: Asked, detail: str = "") -> UserError:
    """The provider does not know the model, or nobody the provider."""
    near = f"did you mean {' or '.join(f'`{name}`' for name in asked.near)}? " if asked.near else ""
    if not asked.provider:
        hint = f"{near}a model is written `provider/name`, such as `openai/gpt-5`"
        return UserError(f"no provider is known for the model `{asked.model}`", hint)
    message = f"`{asked.provider}` does not know the model `{asked.model}`{detail}"
    return UserError(message, f"{near}see the provider's list of models; or {_elsewhere(asked)}")


def _elsewhere(asked: Asked) -> str:
    name = "OPENAI_BASE_URL" if asked.provider == "openai" else f"{asked.provider.upper()}_API_BASE"
    return f"check the address of the provider, in `{name}` if you set it"


def _too_long(asked: Asked) -> LlmContextError:
    hint = "start a new session, or choose a model with a larger context"
    return LlmContextError(f"the conversation does not fit the model `{asked.model}`", hint)


def _is_context(status: int, text: str) -> bool:
    return status == 413 or (status in (400, 422) and bool(_CONTEXT.search(text)))


def _link_failure(trace: tuple[BaseException, ...], asked: Asked) -> Failure | None:
    """The failure of the connection itself, if that is what happened."""
    where = _address(trace) or asked.provider
    hint = f"{_elsewhere(asked)}, and that the server is running"
    kinds = {name for error in trace for name in _kinds(error)}
    if "gaierror" in kinds:
        failed = LlmDownError(f"there is no host `{where}`, or no network", _elsewhere(asked))
        return Failure(failed, "provider cannot be reached", quick=True)
    if "SSLError" in kinds:
        return Failure(LlmDownError(f"no secure connection to `{where}`", _elsewhere(asked)))
    if "ConnectionRefusedError" in kinds:
        failed = LlmDownError(f"cannot connect to `{where}`: connection refused", hint)
        return Failure(failed, "provider cannot be reached", quick=True)
    if "JSONDecodeError" in kinds:
        return Failure(LlmDownError(f"the answer of `{where}` is not a model server's", hint))
    if any(_is_link_error(error) for error in trace):
        failed = LlmDownError(f"the connection to `{where}` broke", "try again")
        return Failure(failed, "connection broke")
    return None


def _is_link_error(error: BaseException) -> bool:
    kinds = _kinds(error)
    if kinds & {"OSError", "TransportError", "ClientPayloadError"}:
        return not kinds & {"TimeoutException", "TimeoutError"}
    return "before a finish_reason" in str(error)


def _kinds(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _address(trace: tuple[BaseException, ...]) -> str:
    for error in trace:
        host, port = getattr(error, "host", None), getattr(error, "port", None)
        if isinstance(host, str) and host:
            return f"{host}:{port}" if port else host
        # The library's own exceptions carry an invented request; the client's carry the real one.
        if type(error).__module__.startswith("openai"):
            url = getattr(vars(error).get("request"), "url", None)
            if url is not None:
                return f"{url.host}:{url.port}" if url.port else str(url.host)
    return ""


def _trace(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = getattr(each, "original_exception", None) or each.__cause__ or each.__context__


def _message(trace: tuple[BaseException, ...]) -> str:
    for error in trace:
        body = _body(error)
        if isinstance(body.get("message"), str):
            return f"{body['message']} {body.get('code') or ''}"
    return str(trace[0])


def _body(error: BaseException) -> Mapping[str, Any]:
    body: Any = getattr(error, "body", None)
    return cast("Mapping[str, Any]", body) if isinstance(body, Mapping) else {}


def _headers(trace: tuple[BaseException, ...]) -> Mapping[str, str]:
    for error in trace:
        headers: Any = getattr(getattr(error, "response", None), "headers", None)
        if headers:
            return {str(name).lower(): str(value) for name, value in headers.items()}
    return {}


def _status(trace: tuple[BaseException, ...]) -> int:
    """The status the provider sent; inside a stream, where there is none, what its body says."""
    for error in trace:
        code = _body(error).get("code")
        if isinstance(code, int) or (isinstance(code, str) and code.isdigit()):
            return int(code)
    return next((s for e in trace if isinstance(s := getattr(e, "status_code", None), int)), 0)


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    if (milliseconds := _number(headers.get("retry-after-ms", ""))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    if (seconds := _number(value)) is not None:
        return seconds
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - now).total_seconds())


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text) else None
