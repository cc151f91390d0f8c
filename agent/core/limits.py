"""Every cap in one place, with the unit in its name."""

from __future__ import annotations

# What a tool result may put into the model's context. Above every tool's own cap, because a tool
# knows better than the outermost cut what to leave out.
RESULT_MAX_BYTES = 64_000
RESULT_MAX_LINES = 2_100
READ_MAX_LINES = 2_000
READ_MAX_BYTES = 50_000
LINE_MAX_CHARS = 2_000
FILE_MAX_BYTES = 10_000_000
IMAGE_MAX_BYTES = 3_500_000  # in base64 still within what each provider takes
READ_PATHS_MAX = 20  # of one call

# glob and grep: up to so many hits come with their text, up to so many with their lines
NAMES_MAX = 100
TEXT_HITS_MAX = 60
PLACE_HITS_MAX = 300

# bash
BASH_DEFAULT_SECONDS = 120
BASH_MAX_SECONDS = 1_800
BASH_MAX_LINES = 1_000
OUTPUT_HEAD_BYTES = 10_000
OUTPUT_TAIL_BYTES = 20_000
LOG_MAX_BYTES = 200_000_000
KILL_GRACE_SECONDS = 2.0

# A call that outlives its own deadline by this much is taken for hung.
CALL_SECONDS = 45.0
CALL_GRACE_SECONDS = 20.0

IDLE_MINUTES = 30.0  # without a message, then the sandbox of a conversation is stopped

# jobs and preview
JOB_WAIT_SECONDS = 30.0
JOB_WAIT_MAX_SECONDS = 600.0
JOB_FIRST_SECONDS = 1.0  # how long its start waits for a job that fails at once
JOB_LINES = 50
JOB_LINES_MAX = 400

# fetch: a person may be asked about the host while it waits
FETCH_SECONDS = 90.0
FETCH_MAX_CHARS = 30_000

# ask and todo
ASK_SECONDS = 1_800.0
ASK_OPTIONS_MAX = 9  # each has a key
TODO_ITEMS_MAX = 50

# Sent along while a program runs, and with a changed file.
LIVE_MAX_BYTES = 1_000_000
DIFF_MAX_BYTES = 20_000

# Between host and toolbox. A frame that claims a longer payload ends the connection unread.
FRAME_PAYLOAD_MAX_BYTES = 1_000_000
MESSAGE_MAX_BYTES = 64_000_000
REQUESTS_MAX = 64
STREAM_WINDOW_BYTES = 1_000_000  # on its way and not consumed, each direction
TOOLBOX_START_SECONDS = 60.0
TOOLBOX_ANSWER_SECONDS = 40.0
TOOLBOX_LATE_SECONDS = 15.0  # after a program's deadline, or after a cancel

# One local sandbox.
SANDBOX_PROCESSES_MAX = 4_096
SANDBOX_DESCRIPTORS_MAX = 65_536
SANDBOX_FILE_MAX_BYTES = 8_000_000_000
SANDBOX_MEMORY_SHARE = 0.75  # of the machine's
SANDBOX_DISK_MAX_BYTES = 30_000_000_000
SANDBOX_FILES_MAX = 2_000_000
SANDBOX_DISK_RESERVE_BYTES = 256_000_000  # left on the disk whatever the sandboxes may use
SANDBOX_WATCH_SECONDS = 1.0
SANDBOX_STARTS_MAX = 8  # at once
SANDBOX_ROOT_BYTES = 16_000_000
SANDBOX_SHM_BYTES = 256_000_000
SANDBOX_VAR_TMP_BYTES = 64_000_000

# The way out of a sandbox. One that is full refuses; it never lets anything past.
EGRESS_HEAD_MAX_BYTES = 65_536
EGRESS_HEAD_SECONDS = 10.0
EGRESS_LOOKUP_SECONDS = 10.0
EGRESS_CONNECT_SECONDS = 20.0
EGRESS_ADDRESSES_MAX = 6
EGRESS_CONNECTIONS_MAX = 256
EGRESS_IDLE_SECONDS = 900.0
EGRESS_MAX_BYTES = 50_000_000_000
EGRESS_AUDIT_MAX_BYTES = 32_000_000
EGRESS_ASK_SECONDS = 60.0
EGRESS_ASKS_MAX = 20
EGRESS_ASKS_OPEN_MAX = 3

# A port of a sandbox on the host's loopback.
PREVIEW_CONNECTIONS_MAX = 24  # of all ports together; far from REQUESTS_MAX, which they share
PREVIEW_HEAD_SECONDS = 10.0
PREVIEW_MAX_BYTES = 10_000_000_000  # each way, of one connection

# git
BUNDLE_MAX_BYTES = 512_000_000
SEED_FILE_MAX_BYTES = 20_000_000
SEED_TOTAL_MAX_BYTES = 500_000_000
HISTORY_FULL_BYTES = 100_000_000  # of packs; up to here all of the history goes in
HISTORY_COMMITS = 1_000  # of a larger repository
TAGS_MAX = 20_000
IMPORT_SECONDS = 120
IMPORT_MEMORY_BYTES = 4_000_000_000
IMPORT_OBJECTS_MAX = 500_000
IMPORT_FILE_MAX_BYTES = 256_000_000
IMPORT_TOTAL_MAX_BYTES = 2_000_000_000
IMPORT_COMMIT_MAX_BYTES = 1_000_000
IMPORT_TREES_MAX_BYTES = 64_000_000
IMPORT_PATHS_MAX = 2_000_000
IMPORT_DEPTH_MAX = 200
GATE_NAMES_MAX_BYTES = 8_000  # of each kind that stays inside
WORK_DIFF_MAX_BYTES = 2_000_000
PATCH_MAX_BYTES = 64_000_000
MERGE_SECONDS = 900  # the user's hooks run in it

# the repository map that comes with a request
MAP_TOKENS = 1_000
MAP_REPOSITORY_LEAST = 25  # files of code; a smaller repository is seen with one `ls`
MAP_FILES_LEAST = 3

# the context of a model
WINDOW_TOKENS = 128_000  # of a model of which it is not known
COMPACT_AT = 0.8  # of the window: from here on old results are left out, then all but the newest
NOTES_MAX_BYTES = 32_000  # of the repository's notes at a time
ATTACHED_MAX_BYTES = 100_000  # of the files that a message mentions
ATTACHED_MAX = 20
RUNS_MAX_CHARS = 60_000  # of what a person's commands said, told with one message
PATHS_MAX = 50_000  # that are completed

# loop
STEPS_MAX = 200
TASK_STEPS_MAX = 60  # of a child
TASK_SECONDS = 3_600.0
EMPTY_REPLIES_MAX = 1  # in a row, after which the model is asked to go on
CUT_REPLIES_MAX = 3
IMAGE_TOKENS = 5_000  # more than any provider counts for one of IMAGE_MAX_BYTES
SYNC_SECONDS = 1_200.0  # until a way home that does not end is given up
CLOSE_SECONDS = 60.0  # the same of a sandbox that does not stop
STOP_SECONDS = 120.0  # until a turn that was interrupted has ended
LEAVE_SECONDS = 30.0  # until a process whose work is done has
CHECK_TRIES, UNTIL_TRIES = 3, 10  # how often a failing check is told to the model
CHECK_SECONDS = 1_800.0
CHECK_HEAD_CHARS, CHECK_TAIL_CHARS = 3_000, 9_000
CHECK_FILES_MAX = 500  # that are named to a linter
REPEATS_TELL, REPEATS_STOP = 3, 5  # the same step so often, with the same result
REPLY_TOKENS_LEAST = 1_000  # a shorter reply is of no use
REPLY_TOKENS_USUAL = 8_000
REPLY_TOKENS_MOST = 32_000  # where nobody knows what the model can
PARALLEL_CALLS_MAX = 8
NAMING_SECONDS = 20.0  # for a commit's message by the weak model
NAMING_DIFF_CHARS = 24_000
