from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.llm.protocol import ToolSchema
from agent.llm.written import take_calls

BASH = ToolSchema(
    "bash",
    "",
    {
        "properties": {"command": {"type": "string"}, "seconds": {"type": "number"}},
        "required": ["command"],
    },
)
READ = ToolSchema("read", "", {"properties": {"path": {"type": "string"}}, "required": ["path"]})
TOOLS = (BASH, READ)

LS = ("bash", {"command": "ls"})
CAT = ("read", {"path": "a.py"})
_LS = '{"name": "bash", "arguments": {"command": "ls"}}'
_CAT = '{"name": "read", "arguments": {"path": "a.py"}}'

DIALECTS = {
    "hermes": (f"<tool_call>\n{_LS}\n</tool_call>\n<tool_call>{_CAT}</tool_call>", [LS, CAT]),
    "hermes without ends": (f"<tool_call>\n{_LS}\n<tool_call>\n{_CAT}\n", [LS, CAT]),
    "hermes, two in one": (f"<tool_call>\n{_LS}\n{_CAT}\n</tool_call>", [LS, CAT]),
    "hermes, a comma too many": (
        '<tool_call>{"name": "bash", "arguments": {"command": "ls",},}</tool_call>',
        [LS],
    ),
    "qwen coder": (
        "<tool_call>\n<function=bash>\n<parameter=command>\nls\n</parameter>\n"
        "<parameter=seconds>\n5\n</parameter>\n</function>\n</tool_call>",
        [("bash", {"command": "ls", "seconds": 5})],
    ),
    "openhands": ("<function=read>\n<parameter=path>a.py</parameter>\n</function>", [CAT]),
    "llama": ('<function=bash>{"command": "ls"}</function>', [LS]),
    "llama, python tag": (
        '<|python_tag|>{"name": "bash", "parameters": {"command": "ls"}}<|eom_id|>',
        [LS],
    ),
    "llama, bare": ('{"name": "bash", "parameters": {"command": "ls"}}', [LS]),
    "llama, several": (
        '{"name": "bash", "parameters": {"command": "ls"}}; '
        '{"name": "read", "parameters": {"path": "a.py"}}',
        [LS, CAT],
    ),
    "mistral": (f"[TOOL_CALLS] [{_LS}, {_CAT}]", [LS, CAT]),
    "mistral, named": (
        '[TOOL_CALLS]bash[ARGS]{"command": "ls"}[TOOL_CALLS]read[ARGS]{"path": "a.py"}',
        [LS, CAT],
    ),
    "deepseek 3": (
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>bash\n```json\n"
        '{"command": "ls"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        [LS],
    ),
    "deepseek 3.1": (
        '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>bash<｜tool▁sep｜>{"command": "ls"}'
        '<｜tool▁call▁end｜><｜tool▁call▁begin｜>read<｜tool▁sep｜>{"path": "a.py"}'
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        [LS, CAT],
    ),
    "kimi": (
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.bash:0"
        '<|tool_call_argument_begin|>{"command": "ls"}<|tool_call_end|>'
        "<|tool_calls_section_end|>",
        [LS],
    ),
    "glm": (
        "<tool_call>bash\n<arg_key>command</arg_key>\n<arg_value>ls</arg_value>\n</tool_call>",
        [LS],
    ),
    "minimax": (
        '<minimax:tool_call>\n<invoke name="bash">\n<parameter name="command">ls</parameter>\n'
        '</invoke>\n<invoke name="read">\n<parameter name="path">a.py</parameter>\n</invoke>\n'
        "</minimax:tool_call>",
        [LS, CAT],
    ),
    "granite": (f"<|tool_call|>[{_LS}]", [LS]),
    "python": ('bash("ls")\nread(path="a.py")', [LS, CAT]),
    "python, llama": ("[bash(command='ls'), read(path='a.py')]", [LS, CAT]),
    "python, llama 4": ('<|python_start|>[bash(command="ls")]<|python_end|>', [LS]),
    "python, llama 3.1": ('<|python_tag|>bash.call(command="ls")<|eom_id|>', [LS]),
    "python, hermes": ('<tool_call>\nbash(command="ls")\n</tool_call>', [LS]),
    "python, olmo": (
        '<function_calls>\nbash(command="ls")\nread(path="a.py")\n</function_calls>',
        [LS, CAT],
    ),
    "python, gemma": (
        '```tool_code\nbash(command="ls", seconds=5)\n```',
        [("bash", {"command": "ls", "seconds": 5})],
    ),
    "python, several lines": ('bash("""\n  a\n\\n\\d""")', [("bash", {"command": "\n  a\n\n\\d"})]),
    "hermes in a fence at the end": (f"```xml\n<tool_call>{_LS}</tool_call>\n```", [LS]),
    "fences": (f"```json\n{_LS}\n```\n```json\n{_CAT}\n```", [LS, CAT]),
    "the wire's form": (
        '```json\n{"type": "function", "function": '
        '{"name": "bash", "arguments": "{\\"command\\": \\"ls\\"}"}}\n```',
        [LS],
    ),
}


WHOLE = ("llama, bare", "llama, several", "python", "python, llama", "python, several lines")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("before", ["", "Let me look.\n\n"])
def test_a_call_is_read_in_each_familys_own_words(dialect: str, before: str) -> None:
    text, calls = DIALECTS[dialect]
    if before and dialect in WHOLE:
        pytest.skip("only known as a whole text")

    kept, found = take_calls(before + text, TOOLS)

    assert [(call.name, json.loads(call.raw)) for call in found] == calls
    assert kept == before.strip()


def test_text_of_several_lines_stays_as_it_is_in_a_parameter() -> None:
    text = "<function=bash>\n<parameter=command>\n  if x; then\n\n  fi\n</parameter>\n</function>"

    _, (call,) = take_calls(text, TOOLS)

    assert json.loads(call.raw) == {"command": "  if x; then\n\n  fi"}


@pytest.mark.parametrize(
    "text",
    [
        "Nothing to run.",
        '<tool_call>{"name": "sudo", "arguments": {}}</tool_call>',
        f'<tool_call>{_LS}</tool_call><tool_call>{{"name": "Bash", "arguments": {{}}}}</tool_call>',
        '<tool_call>{"name": "bash"}</tool_call>',
        "<tool_call>never mind</tool_call>",
        f"Write it like this:\n```json\n{_LS}\n```\nand it is run.",
        '```json\n{"name": "glovebox", "version": 1}\n```',
        '{"name": "bash"}',
        "```\nls\n```",
        "<function=sudo></function>",
        "``` ``` ```",
        f"A call is `<tool_call>{_LS}</tool_call>` in that family.",
        f"Hermes writes:\n```\n<tool_call>{_LS}</tool_call>\n```\nand that is run.",
        f"Hermes writes:\n~~~xml\n<tool_call>{_LS}</tool_call>\n~~~\nand then {_LS}",
        f"As in:\n```text\n<tool_call>{_LS}</tool_call>\n```",
        f"One\n```\n<tool_call>{_LS}</tool_call>\n```\nand now <tool_call>{_LS}</tool_call>",
        'You can call bash("ls").',
        '```python\nbash("ls")\n```',
        'Like so:\n```tool_code\nbash("ls")\n```\nand it lists.',
        'bash("ls") and then read("a.py")',
        "bash()",
        'bash("ls", 5)',
        'bash("ls", command="pwd")',
        'bash("ls", shell=True)',
        'bash(f"ls {x}")',
        'bash("l" + "s")',
        'bash(command="ls", seconds=1e999)',
        'os.system("ls")',
        'print("ls")',
        'x = bash("ls")',
        'bash("ls"); print()',
        "[]",
        "bash.run('ls')",
        'bash(**{"command": "ls"})',
    ],
)
def test_what_is_no_call_or_not_of_ours_stays_text(text: str) -> None:
    assert take_calls(text, TOOLS) == (text, ())


def test_without_tools_nothing_is_a_call() -> None:
    assert take_calls(_LS, ()) == (_LS, ())


def test_broken_arguments_are_handed_on_as_they_are() -> None:
    json_cut = '<function=bash>{"command": "ls</function>'
    text_cut = "<function=bash><parameter=command>\nls -"

    assert [call.raw for call in take_calls(json_cut, TOOLS)[1]] == ['{"command": "ls']
    assert [c.raw for c in take_calls(text_cut, TOOLS)[1]] == ["<parameter=command>\nls -"]


_WORDS = st.sampled_from(
    ["<tool_call>", "</tool_call>", "```", "```json\n", "\n", "{", "}", "[TOOL_CALLS]", _LS, "a",
     "<function=bash>", "</function>", "<parameter=command>", "</parameter>", "[ARGS]", "bash",
     "bash(", "'ls'", ")", "```tool_code\n", "<|python_tag|>",
     "<arg_key>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", '"', ","]
)  # fmt: skip


@given(st.lists(_WORDS, max_size=30))
def test_any_text_is_read_and_only_tools_that_exist_are_called(words: list[str]) -> None:
    text = "".join(words)

    kept, calls = take_calls(text, TOOLS)

    assert {call.name for call in calls} <= {"bash", "read"}
    assert calls or kept == text
