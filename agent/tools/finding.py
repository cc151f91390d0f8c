"""What `glob`, `ls` and `grep` say to the model, besides their descriptions in `prompts/tools`.

One place, so that it can be read in one go: `tests/tools/snapshots/finding.txt` shows each sentence
filled in.
"""

from __future__ import annotations

# glob
NAMES = "{total} files, newest first:"
ONE_NAME = "1 file:"
NAMES_CUT = "{total} files, the newest {shown}:"
NAMES_NEXT = "[narrow with a longer pattern or `path`]"
NO_NAME = "None of {searched} files fits, hidden and ignored ones included."
AS_WRITTEN = "[square brackets taken as part of the names]"
NO_NAME_FOLDERS = "No file fits, but these directories do:"

# ls
EMPTY_FOLDER = "{path} is empty."
FILES_IN = "{name} ({files} files)"
ONE_FILE_IN = "{name} (1 file)"
NO_FILE_IN = "{name} (empty)"
IGNORED = "{name} (ignored)"
SIZED = "{name} {size}"
LINKED = "{name} -> {target}"
MORE_IN = "… {count} more"
NOT_COUNTED = "[too many files below to count them and to tell which are ignored]"
ENTRIES_CUT = "[{total} entries, the first {shown}; `glob` finds the others]"

# grep
HITS = "{total} hits in {files} files"
ONE_HIT = "1 hit"
IN_ONE_FILE = "{total} hits in 1 file"
SCOPE = "in {scope}"
LINE = "{line}:{text}"
NEAR_LINE = "{line}-{text}"
LINES_OF_SCOPE = "{scope}: {lines}"
FILE_COUNT = "{path}: {count}"
FOLDER_COUNT = "{path}/: {count} (files: {files})"
BEST = "Most likely wanted:"
MOST = "Files with most:"
BY_FOLDER = "By directory:"
FILES_CUT = "[{count} more files]"
PLACES_NEXT = (
    "[lines only, as there are more than {most}: for their text narrow `pattern`, `path`, `glob`"
    " or `type`, or `read` at a line]"
)
COUNTS_NEXT = "[too many to show: narrow `pattern`, `path`, `glob` or `type`]"
NO_HIT = "No hit in {searched} files, hidden and ignored ones included."
NO_FILE = "No file fits `path`, `glob` and `type`; nothing was searched."
NO_BAR = "In `{pattern}` the `\\|` is a literal bar; alternatives are `a|b`."
UNUSUAL = "[not a regular expression ({why}): searched as plain text]"
SLOW = "[given up on, too slow to search with this pattern: {paths}]"

# any of them
WIDENED = "[only in hidden or ignored files; there is none in the others]"
CUT_SHORT = "[not complete: {searched} of {of} files in the time there is; name a `path`]"
TOO_MANY_FILES = "[not complete: there are more files than can be listed; name a `path`]"
REFUSALS = {
    "absent": "{path} does not exist. `ls` or `glob` shows what does.",
    "denied": "{path} cannot be read ({why}).",
    "directory": "{path} is a directory that cannot be read.",
    "bad_pattern": "The file pattern means nothing: {why}. Nothing was searched.",
    "failed": "The search ended without an answer, perhaps for want of memory. Search a smaller"
    " `path`.",
    "too_slow": "The search took too long and was stopped. Search a smaller `path`, or for a"
    " simpler pattern.",
}
ABSENT_NEAR = "{path} does not exist. Near it: {nearest}."
PATTERN_AS_PATH = "`path` takes no pattern, and {path} does not exist. Patterns go into `glob`."
REFUSED = "{path}: refused ({reason})."
