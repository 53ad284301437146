"""The metrics of the service. Each process counts, and `exposition.py` shows the sums over all processes.

Labels have few values: the template of a route, never a path; a reason, never a name that a client chose. Names follow
Prometheus: https://prometheus.io/docs/practices/naming/
"""

from server.telemetry.instruments import MAX, MIN, Counter, Gauge, Histogram

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
_SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

PROCESSES = Gauge("processes", "Processes that serve.")
BUILD_INFO = Gauge("build_info", "Always 1; the labels name what runs.", "version", "python", merge=MAX)
WORKERS_REPLACED = Counter("workers_replaced_total", "Workers that ended unexpectedly and were replaced.")
LOG_RECORDS = Counter(
    "log_records_total", "Lines of the log, by level.", "level", known=[("info",), ("warning",), ("error",)]
)
EVENT_LOOP_LAG = Histogram(
    "event_loop_lag_seconds", "How much later than asked the event loop continued a task, twice a second.", bounds=_SLOW
)

UNKNOWN_ROUTE, MALFORMED_ROUTE = "unknown", "malformed"  # a path without an endpoint; what is not HTTP
OTHER_METHOD = "other"
HTTP_REQUESTS = Counter("http_requests_total", "Requests that were answered.", "method", "route", "status")
HTTP_SECONDS = Histogram(
    "http_request_duration_seconds",
    "Time from the head of a request to its response, without sending it.",
    "method",
    "route",
    bounds=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
LIMITS_MET = Counter(
    "limits_met_total",
    "Requests that were refused because a limit was used up.",
    "limit",
    known=[("account",), ("network",), ("registrations",), ("changes",), ("letters",), ("links",)],
)

SIGN_INS = Counter(
    "sign_ins_total",
    "Attempts to sign in, by their result.",
    "result",
    known=[("success",), ("wrong_password",), ("unknown_name",), ("refused",), ("limited",)],
)
SESSIONS_OPENED = Counter("sessions_opened_total", "Sessions that were opened.")
SESSIONS_ENDED = Counter(
    "sessions_ended_total",
    "Sessions that ended, by cause; those that end with their account are not counted.",
    "cause",
    known=[("signed_out",), ("listed",), ("replayed",), ("password",), ("expired",), ("surplus",)],
)

HASH_THREADS = Gauge("hash_threads", "Threads that hash passwords.")
HASH_RUNNING = Gauge("hash_running", "Passwords that are being hashed.")
HASH_WAITING = Gauge("hash_waiting", "Callers that wait for a hashing thread.")
HASH_WAIT_SECONDS = Histogram(
    "hash_wait_seconds", "How long callers that got a hashing thread waited for it.", bounds=_SLOW
)
HASH_REFUSED = Counter("hash_refused_total", "Callers that found the queue full and got 503.")
HASH_LEFT = Counter("hash_left_total", "Callers that left the queue before their turn; nothing was hashed.")

STATEMENT_SECONDS = Histogram(
    "statement_duration_seconds", "Time until the result of a statement.", "statement", bounds=_FAST
)
BATCH_ROWS = Histogram("batch_rows", "Rows of a batch.", "statement", bounds=_ROWS)
BATCH_WAIT_SECONDS = Histogram(
    "batch_wait_seconds", "How long the first row of a batch waited until it was sent.", "statement", bounds=_FAST
)
CONNECTIONS = Gauge(
    "database_connections",
    "Open connections to the database, for single statements and transactions or for batches.",
    "use",
    "state",
)
CONNECTION_LIMIT = Gauge("database_connections_limit", "The most connections that may be open.", "use")
CONNECTION_WAIT_SECONDS = Histogram(
    "database_connection_wait_seconds",
    "How long a single statement or transaction waited for a connection.",
    bounds=_FAST,
)
DATABASE_REACHABLE = Gauge("database_reachable", "Whether the last look at the database succeeded: 1 or 0.", merge=MIN)
DATABASE_FAILURES = Counter(
    "database_failures_total",
    "Statements that failed because the database was not able to run them, by cause.",
    "cause",
    known=[("unavailable",), ("no_connection",), ("timeout",), ("disk_full",)],
)
REPLICA_USABLE = Gauge("replica_usable", "Whether reads that may lag go to a replica: 1 or 0.", merge=MIN)
REPLICA_LAG = Gauge(
    "replica_lag_seconds", "How old what the replica shows is at most; looked at once a second.", merge=MAX
)
LAGGING_READS = Counter(
    "lagging_reads_total",
    "Reads that may lag, with REPLICA_URL, by the server that answered.",
    "server",
    known=[("replica",), ("primary",)],
)

LETTERS = Counter(
    "letters_total",
    "Letters that were handled, by result.",
    "result",
    known=[("sent",), ("deferred",), ("given_up",), ("withdrawn",)],
)
LETTERS_WAITING = Gauge("letters_waiting", "Letters that wait, in the database.", merge=MAX)
LETTERS_OLDEST = Gauge("letters_oldest_seconds", "Age of the oldest letter that waits; 0 without one.", merge=MAX)
LETTERS_GIVEN_UP = Gauge(
    "letters_given_up", "Letters that were given up and are still listed, in the database.", merge=MAX
)
