"""Calls as Python writes them, `bash(command="ls")`: read, never evaluated.

Only literals are arguments, and only what the tool's schema knows; what it must have may stand in
its place without a name. A text that says anything else besides is no call.
"""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Mapping
from typing import Any, cast


def python_calls(text: str, schemas: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The calls that `text` consists of, one after the other or in a list: names and JSON.

    `schemas` are the parameters of each tool that may be called.
    """
    if not text.endswith((")", "]")):
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python does not know
            statements = ast.parse(text).body
        calls = [call for statement in statements for call in _calls_of(statement)]
        return [_call(call, schemas) for call in calls]
    except (SyntaxError, ValueError, TypeError, KeyError, RecursionError, MemoryError):
        return []


def _calls_of(statement: ast.stmt) -> list[ast.expr]:
    if not isinstance(statement, ast.Expr):
        raise TypeError("more than calls")
    value = statement.value
    return value.elts if isinstance(value, ast.List | ast.Tuple) else [value]


def _call(call: ast.expr, schemas: Mapping[str, Any]) -> tuple[str, str]:
    """Raises ValueError, TypeError or KeyError for what is no call of one of the tools."""
    if not isinstance(call, ast.Call):
        raise TypeError("no call")
    function = call.func
    if isinstance(function, ast.Attribute) and function.attr == "call":  # Llama's way
        function = function.value
    if not isinstance(function, ast.Name):
        raise TypeError("no name")
    schema = cast("Mapping[str, Any]", schemas[function.id])
    required = cast("list[str]", schema.get("required") or [])
    known = cast("Mapping[str, Any]", schema.get("properties") or {})
    placed = dict(zip(required, map(ast.literal_eval, call.args), strict=False))
    named = {one.arg or "": ast.literal_eval(one.value) for one in call.keywords}
    arguments: dict[str, Any] = placed | named
    twice = len(arguments) < len(call.args) + len(call.keywords)
    if twice or not set(required) <= arguments.keys() <= known.keys():
        raise ValueError("not the arguments of the tool")
    return function.id, json.dumps(arguments, ensure_ascii=False, allow_nan=False)
