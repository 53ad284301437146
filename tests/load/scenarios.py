"""What is measured: a scenario is a few cases, which are measured in turn, round after round."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tests.load.calls import contract_token
from tests.load.peers import OURS, PEERS

BARE_HASH = "bcrypt"  # not a peer: hashes on all cores, without a server
DEEP_ROWS = 100_000  # rows before page 1,000
USUAL_CONNECTIONS = 64
HASHING_CONNECTIONS = 16  # connections where each response costs a hash


@dataclass(frozen=True, kw_only=True)
class Options:
    """How much is measured."""

    connections: tuple[int, ...] = (1, 64, 256)  # of each kind of work that many peers offer
    accounts: int = 100_000
    many_accounts: int = 1_000_000  # where the effect of size is measured
    few_accounts: int = 10_000
    tokens: int = 10_000
    rounds: int = 5
    seconds: float = 3
    warm_up: float = 2
    hash_rounds: int = 12
    idle_connections: int = 10_000
    memory_requests: int = 1_000_000  # while memory is measured
    peers: tuple[str, ...] = tuple(PEERS)
    answering: tuple[str, ...] = ()  # peers whose answers are checked in the quick form, in one scenario alone
    driver: str = "wrk"
    is_quick: bool = False  # tests the harness; its rates mean nothing


QUICK = Options(
    connections=(64,),
    accounts=200,
    many_accounts=400,
    few_accounts=100,
    tokens=100,
    rounds=1,
    seconds=0.2,
    warm_up=0.2,
    hash_rounds=4,
    idle_connections=50,
    memory_requests=500,
    is_quick=True,
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One peer that does one kind of work in one way."""

    peer: str
    work: str
    variant: str = ""
    connections: int = USUAL_CONNECTIONS
    accounts: int = 0  # 0: as many as Options.accounts
    storm_clients: int = 0  # clients that sign in during the measurement

    @property
    def seconds_factor(self) -> int:
        """The factor for the seconds of a round: it is longer where a response costs a hash, a third of a second."""
        return 3 if self.work in ("register", "sign-in", "hash") else 1

    @property
    def title(self) -> str:
        """The name of the case within its scenario."""
        return f"{self.peer}, {self.variant}" if self.variant else self.peer


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Cases that are compared with each other."""

    name: str
    description: str
    cases: Callable[[Options], list[Case]]
    is_sampled: bool = True  # responses are checked during the load; False: after it, where a call more would matter


def offering(options: Options, *works: str) -> list[str]:
    """The peers of the run that offer all kinds of `works`, the service first."""
    return [name for name in options.peers if all(work in PEERS[name].paths for work in works)]


def _plain(work: str, *, needs: Sequence[str] = ()) -> Callable[[Options], list[Case]]:
    return lambda options: [Case(peer=name, work=work) for name in offering(options, *(needs or [work]))]


def _at_connections(work: str, *, needs: str = "") -> Callable[[Options], list[Case]]:
    return lambda options: [
        Case(peer=name, work=work, connections=number, variant=connections_title(number))
        for number in options.connections
        for name in offering(options, needs or work)
    ]


def connections_title(number: int) -> str:
    """The variant of a case with that many connections; empty for the usual number."""
    return "" if number == USUAL_CONNECTIONS else f"{number} connection{'s' if number > 1 else ''}"


def _first_use(options: Options) -> list[Case]:
    return [
        Case(peer=name, work="first-use")
        for name in offering(options, "read-me")
        if PEERS[name].make_token is contract_token  # other kinds have one token for an account, or no cache
    ]


def _answers(options: Options) -> list[Case]:
    """Each peer is started once: that saves most of the time of the quick form."""
    works = {"read-me": "read-me", "read-profile": "read-profile", "edit-profile": "edit-profile"}
    works |= {"list-first": "list", "refresh": "refresh"}
    return [
        Case(peer=name, work=work, variant=work)
        for name in options.answering
        for work, needed in works.items()
        if needed in PEERS[name].paths
    ]


def _hashing(work: str) -> Callable[[Options], list[Case]]:
    def cases(options: Options) -> list[Case]:
        peers = offering(options, work)
        return [
            Case(peer=BARE_HASH, work="hash"),
            *(Case(peer=name, work=work, connections=HASHING_CONNECTIONS) for name in peers),
        ]

    return cases


def _deep(options: Options) -> list[Case]:
    is_deep = options.many_accounts > DEEP_ROWS
    second = ("list-deep", "page 1,000") if is_deep else ("list-halfway", "middle page")
    pages = [("list-first", "page 1"), second]
    return [
        Case(peer=name, work=work, variant=page, accounts=options.many_accounts)
        for name in offering(options, "list")
        if not PEERS[name].prepare  # a million accounts in tables of its own would take minutes
        for work, page in pages
    ]


def _storm(options: Options) -> list[Case]:
    variants = [("calm", 0), ("storm", 20)]
    peers = offering(options, "read-me", "sign-in")
    return [
        Case(peer=name, work="read-me", variant=variant, storm_clients=clients)
        for name in peers
        for variant, clients in variants
    ]


def _growth(options: Options) -> list[Case]:
    works = ("read-me", "read-profile", "edit-profile", "list-first", "refresh")
    kinds = [Case(peer=OURS, work=work) for work in works] + [
        Case(peer=OURS, work="sign-in", connections=HASHING_CONNECTIONS)
    ]
    return [
        replace(kind, variant=f"{kind.work}, {accounts:,} accounts", accounts=accounts)
        for kind in kinds
        for accounts in (options.few_accounts, options.many_accounts)
    ]


def _idle(options: Options) -> list[Case]:
    return [Case(peer=OURS, work="read-me", connections=options.idle_connections)]


ANSWERS = "answers"  # of the quick form alone
MIX = ("read-me", "read-profile", "edit-profile", "refresh")

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="read-me", description="the caller's account", cases=_at_connections("read-me")),
        Scenario(
            name="read-profile",
            description="another account's profile: two look-ups",
            cases=_at_connections("read-profile"),
        ),
        Scenario(
            name="edit-profile",
            description="the caller's own profile, three fields",
            cases=_at_connections("edit-profile"),
        ),
        Scenario(name="list-first", description="100 profiles", cases=_at_connections("list-first", needs="list")),
        Scenario(
            name="refresh", description="a new access token, if the session is valid", cases=_at_connections("refresh")
        ),
        Scenario(name="first-use", description="tokens that no cache holds: read-me", cases=_first_use),
        Scenario(name="list-deep", description="page 1 and page 1,000 of a million", cases=_deep),
        Scenario(name="verify", description="whether a token is valid", cases=_plain("verify")),
        Scenario(name="register", description="new accounts", cases=_hashing("register"), is_sampled=False),
        Scenario(name="sign-in", description="new sessions", cases=_hashing("sign-in"), is_sampled=False),
        Scenario(name="mix", description="90 % reads, 8 % edits, 2 % refreshes", cases=_plain("mix", needs=MIX)),
        Scenario(name="storm", description="reads while 20 clients sign in all the time", cases=_storm),
        Scenario(name="growth", description="ten thousand and a million accounts", cases=_growth),
        Scenario(name="idle", description="10,000 idle connections", cases=_idle),
        Scenario(name="memory", description="memory when idle and over a million requests", cases=_plain("read-me")),
        Scenario(name=ANSWERS, description="whether each peer answers right; in the quick form alone", cases=_answers),
    )
}
