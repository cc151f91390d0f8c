"""What `write`, `edit`, `multiedit` and `patch` say to the model; the rest is in `wording`.

`tests/tools/snapshots/changes.txt` shows each sentence filled in. A refusal says what did not
happen, why, and what to do next.
"""

from __future__ import annotations

# done
CREATED = "Created {path} (lines: {lines}, bytes: {size})."
WRITTEN = "Replaced {path} (lines: {lines}, bytes: {size})."
EDITED = "Edited {path}, {count} replaced:"
SAME_AGAIN = "Edited {path}, {count} replaced; all in all it is as it was."
MOVED = "Moved {origin} to {path}."
MOVED_EDITED = "Moved {origin} to {path}, {count} replaced:"
DELETED = "Deleted {path}."
MODE = "Changed the mode of {path}."
STEPS = {
    "trailing": "[not found as written; white space at line ends or blank lines around it differ]",
    "indentation": "[not found as written; indented otherwise in the file, and the new lines with"
    " it: check them]",
    "anchored": "[not found as written; first and last line fit and those between are alike, so"
    " only what differs between old and new was changed: check it]",
    "heading": "[what is after `@@` was not found or does not lead there; the lines fit at this"
    " one place]",
    "fuzz": "[fits only without some of the kept lines at its ends: check the place]",
}
GAP = "[…]"
MORE_PLACES = "[changed places that are not shown, or not to their end: {count}]"
NEW_ERRORS = "New syntax errors in {path}: {errors}. Repair them, unless they are meant."
NEW_ERROR = "line {line} ({what})"

# not done, by the toolbox's reason; `{step}` is how lines were read
UNCHANGED = "Nothing was changed. "
REFUSALS = {
    "directory": "{path} is a directory. Name a file in it.",
    "unread": "{path} exists and you have not read it. `read` it first, or `edit` a part.",
    "stale": "{path} has changed since you last read it. `read` it again, then repeat.",
    "no_space": "No space for {path} ({why}). Remove what is not needed, then repeat.",
    "not_found": "`old` does not occur in {path}.",
    "ambiguous": "`old` occurs {count} times in {path}{step}, at lines {lines}. Add lines around it"
    " until it occurs once, or set `all`.",
    "same": "`old` and `new` are the same; see whether the change is there already.",
    "empty_old": "`old` is empty. Give the text to replace; to make a file, use `write`.",
    "encoding": "The text does not fit the encoding of {path}: {why}. Use other characters, or"
    " convert the file first.",
    "exists": "{path} exists. Take another name, or delete it in the same patch before this.",
    "twice": "{path} is changed before in the same patch; a file can be added once.",
    "link": "{path} is a symbolic link. Move it with `git mv` in bash.",
    "remains": "{path} has {count} lines that this diff does not take away. To delete it whatever"
    " it has, use `*** Delete File: PATH`.",
}
HUNK_REFUSALS = {
    "not_found": "its kept and removed lines do not occur there.",
    "ambiguous": "its lines occur {count} times there{step}, at lines {lines}. Add lines around the"
    " change, or its function or class after `@@`, until it fits once.",
    "no_heading": "what is after `@@` is in no line of it (`{text}`), and without that its lines"
    " occur {count} times{step}, at lines {lines}. Take the line of the function or class from the"
    " file, or more lines around the change.",
    "no_context": "no line tells its place. Add lines around the change, or after `@@` the line"
    " that it follows; `*** End of File` after it puts it at the end.",
}
READ_AS = {
    "trailing": " when white space at line ends is left out",
    "indentation": " when indentation is left out",
    "anchored": " by its first and last line",
}
THERE_ALREADY = "`new` is in it already (line {lines}): see whether there is anything left to do."
NEAR = "Nearest, lines {first}-{last} ({why}):"
NEAR_LINE = "Nearest, line {first} ({why}):"
NEAR_NEXT = "Copy the lines from the file exactly, white space included."
NO_NEAR_NEXT = "Nothing in it is similar: `read` or grep the file to find the place."
AGAIN = (
    "Failure number {count} at this file. `read` it again around the place and take one or two"
    " lines from there, or replace the whole file with `write`."
)
TORN = (
    "One file could not be changed, and then these not put back: {entries}. They are as the change"
    " would have them; look at them (`git diff`) before you go on."
)

# several parts
EDIT_NUMBER = "Edit {number} of {total}: "
HUNK_NUMBER = "Line {line} of the patch, hunk {number} of {path}: "
SECTION = "Line {line} of the patch: "
FAILURES_LEFT = "[{count} more failures are not shown]"

# a patch that cannot be read
BAD_PATCHES = {
    "empty": "The patch is empty.",
    "format": "This is no patch: it needs `*** Begin Patch` and `*** Update File: PATH`, or"
    " `--- a/PATH` and `+++ b/PATH`.",
    "escaped": "The patch is one line with `\\n` in it. Send line breaks as such.",
    "marker": "Line {line} of the patch is no marker: `{text}`. There are `*** Add File: PATH`,"
    " `*** Update File: PATH` with or without `*** Move to: PATH`, `*** Delete File: PATH`,"
    " `*** End of File`. Lines of a file have ` `, `-` or `+` before them.",
    "outside": "Line {line} of the patch comes before any file is named: `{text}`.",
    "after_delete": "Line {line} of the patch is too many: `{text}`. Nothing follows"
    " `*** Delete File: PATH`.",
    "not_added": "Line {line} of the patch has no `+` before it: `{text}`. All lines of a new file"
    " have one.",
    "no_change": "Line {line} of the patch names `{text}` and changes nothing in it.",
    "sign": "Line {line} of the patch has no sign before it: `{text}`. ` ` is for lines kept, `-`"
    " for lines taken away, `+` for lines added.",
    "not_a_file": "Line {line} of the patch is about no regular file: `{text}`. Use `git` or `ln`"
    " in bash.",
    "copy": "Line {line} of the patch copies a file: `{text}`. Use `cp` in bash, then patch.",
    "binary": "Line {line} of the patch changes binary data: `{text}`. Use a script in bash.",
}
