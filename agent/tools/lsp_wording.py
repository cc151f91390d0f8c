"""What `lsp` says to the model; `tests/tools/snapshots/lsp.txt` shows each sentence filled in."""

from __future__ import annotations

NONE = "`{name}` is not defined here; uses were found by the name alone."
ONE = "`{name}` has one definition."
ONE_UNSURE = (
    "`{name}` has one definition; uses that may mean something else of that name, of the language"
    " or of a library: {unsure}."
)
HERE = "`{name}` as asked for, one of {count} with this name."
SERVER = "`{name}`, one of {count} with this name; which one is meant, {by} knows."
LIKELY = "`{name}`, the likeliest of {count} with this name, by imports and place."
BY_NAME = (
    "There are {count} definitions of `{name}`, and only the name was compared. Ask with"
    " `Owner.name` or with `path:line:name` of a use to tell them apart."
)
OTHERS = "Others of this name: {places}"

USES = "Uses of `{name}`: {total}, files: {files}."
DEFINED = "Defined: {places}"
ROW = "{line}:{text}"
UNSURE_ROW = "{line}?:{text}"
SCOPE = "in {scope}"
COUNT = "{path}: {count}"
UNSURE = "Uses that may mean it too, nothing there says which is meant: {count}, files: {files}."
CUT_FILES = "[{count} more files; ask about a `path:line`, or search with a path]"
CUT = "[{count} more]"

CALLERS = "Callers of `{name}`: {total}, files: {files}."
TOP = "(top level)"
CALLEES = "Defined here and called by `{name}`: {total}."
MORE = " (or {count} others)"
USED = "Uses: {total}, files: {files}."

NO_OUTLINE = "{path} defines nothing, as far as can be told."
NO_SYMBOLS = "Nothing that is defined here has `{name}` in its name."
FINE = "{path} has no problems, says {by}."
SYNTAX_FINE = "{path} has no syntax errors; there is no language server here that could say more."
PROBLEMS = "Problems of {path}, by {by}: {count}"
MACROS = "[read without a preprocessor: where macros are used, what is right can look wrong]"

WOULD = "Places that would change: {total}, files: {files}; nothing was changed."
APPLY = " Set `apply` to do it."
RENAMED = "Places changed: {total}, files: {files}."
TAKEN = "`{name}` exists already: {places}"

PARTIAL = "[the index has {parsed} of {files} files so far; the others were searched as text]"
LEFT = "[{left} more files have the name and were not looked at: ask again in a moment]"

NEAR = " Near it: {names}."
REFUSALS = {
    "unknown_name": "Nothing here is called `{name}`.{near}",
    "several_names": "Line {line} has several names: {names}. Ask with `path:line:name`.",
    "no_names": "Line {line} has no name that could be looked up.",
    "not_there": "`{name}` is not in line {line}.{near}",
    "no_name": "`{target}` is no name. Give `Name`, `Owner.name`, `path:line` or `path:line:name`.",
    "not_code": "{target} is not in a file of code that is indexed. Search it as text.",
    "outside": "{target} is outside the repository.",
    "absent": "{target} does not exist. Give the path of a file.",
    "directory": "{target} is a directory. Give the path of a file; `symbols` finds names"
    " anywhere.",
    "is_file": "{target} is a file. `outline` shows what is in it; or give a name, or"
    " `path:line:name`.",
    "not_in_file": "`{name}` is neither defined nor used in that file.",
    "which_line": "`{name}` is defined {count} times in that file. Give `path:line`: {names}.",
    "bad_new_name": "`new_name` must be an identifier. Nothing was changed.",
    "same": "`new_name` is the name it has. Nothing was changed.",
    "ambiguous_rename": "Nothing was changed: there are {count} definitions of `{name}` and no"
    " language server here to tell their uses apart. Look at the places without `apply`, then"
    " edit those that are meant.",
    "unsure_rename": "Nothing was changed: {count} of the uses of `{name}` may mean something else"
    " of that name. Look at the places without `apply`, where they have a `?`; if all are meant,"
    " repeat this.",
    "not_renamed": "Nothing was changed: {why}.",
    "torn": "One file could not be changed, and then these not put back: {names}. They have the new"
    " name; look at them (`git diff`) before you go on.",
    "no_index": "There is no index to ask ({why}). Search as text instead.",
}
UNKNOWN = "{target}: refused ({reason})."
