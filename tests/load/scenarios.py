"""What is measured: each scenario is a few lanes, and the lanes are driven in turn, round after round."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tests.load.peers import OURS, PEERS

BARE = "bcrypt"  # no peer: hashes on all cores, with no server around them
DEPTH = 100_000  # rows before the page that lies 1,000 pages deep
HASHING = 16  # connections where each answer costs a hash


@dataclass(frozen=True, kw_only=True)
class Options:
    """How much of everything."""

    accounts: int = 100_000
    many: int = 1_000_000  # accounts where size is what is measured
    few: int = 10_000
    tokens: int = 10_000
    rounds: int = 5
    seconds: float = 3
    warm_up: float = 2
    hash_rounds: int = 12
    idle: int = 10_000  # connections
    requests: int = 1_000_000  # while memory is watched
    peers: tuple[str, ...] = tuple(PEERS)
    driver: str = "wrk"
    is_quick: bool = False  # shows that it works; how fast it is says nothing


QUICK = Options(
    accounts=200,
    many=400,
    few=100,
    tokens=100,
    rounds=1,
    seconds=0.2,
    warm_up=0.2,
    hash_rounds=4,
    idle=50,
    requests=500,
    is_quick=True,
)


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One peer doing one kind of work in one way."""

    peer: str
    work: str
    variant: str = ""
    connections: int = 64
    accounts: int = 0  # 0: as many as the run has
    storm: int = 0  # clients that sign in all the while

    @property
    def longer(self) -> int:
        """How many times the seconds of the run: a hash takes a third of one."""
        return 3 if self.work in ("register", "sign-in", "hash") else 1

    @property
    def title(self) -> str:
        """The lane's name within its scenario."""
        return f"{self.peer}, {self.variant}" if self.variant else self.peer


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Some lanes that are compared with each other."""

    name: str
    says: str
    lanes: Callable[[Options], list[Lane]]
    is_sampled: bool = True  # answers are looked at during the load; otherwise after it, where one more call would tell


def offering(options: Options, *works: str) -> list[str]:
    """The peers of the run that offer all of `works`, ours first."""
    return [name for name in options.peers if all(work in PEERS[name].paths for work in works)]


def _plain(work: str, *, needs: Sequence[str] = (), **says: int) -> Callable[[Options], list[Lane]]:
    return lambda options: [Lane(peer=name, work=work, **says) for name in offering(options, *(needs or [work]))]


def _hashing(work: str) -> Callable[[Options], list[Lane]]:
    def lanes(options: Options) -> list[Lane]:
        peers = offering(options, work)
        return [Lane(peer=BARE, work="hash"), *(Lane(peer=name, work=work, connections=HASHING) for name in peers)]

    return lanes


def _deep(options: Options) -> list[Lane]:
    is_deep = options.many > DEPTH
    second = ("list-deep", "page 1,000") if is_deep else ("list-halfway", "half way")
    pages = [("list-first", "page 1"), second]
    return [
        Lane(peer=name, work=work, variant=page, accounts=options.many)
        for name in offering(options, "list")
        for work, page in pages
    ]


def _storm(options: Options) -> list[Lane]:
    weather = [("calm", 0), ("storm", 20)]
    peers = offering(options, "read-me", "sign-in")
    return [Lane(peer=name, work="read-me", variant=says, storm=clients) for name in peers for says, clients in weather]


def _connections(options: Options) -> list[Lane]:
    return [
        Lane(peer=name, work="read-me", variant=f"{number} connections", connections=number)
        for name in offering(options, "read-me")
        for number in (64, 256)
    ]


def _growth(options: Options) -> list[Lane]:
    works = ("read-me", "read-profile", "edit-profile", "list-first", "refresh")
    kinds = [Lane(peer=OURS, work=work) for work in works] + [Lane(peer=OURS, work="sign-in", connections=HASHING)]
    return [
        replace(kind, variant=f"{kind.work}, {accounts:,} accounts", accounts=accounts)
        for kind in kinds
        for accounts in (options.few, options.many)
    ]


def _idle(options: Options) -> list[Lane]:
    return [Lane(peer=OURS, work="read-me", connections=options.idle)]


MIX = ("read-me", "read-profile", "edit-profile", "refresh")

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="read-me", says="the caller's account", lanes=_plain("read-me")),
        Scenario(name="read-profile", says="somebody's profile: two look-ups", lanes=_plain("read-profile")),
        Scenario(name="edit-profile", says="the caller's own profile, three fields", lanes=_plain("edit-profile")),
        Scenario(name="list-first", says="100 profiles", lanes=_plain("list-first", needs=["list"])),
        Scenario(name="list-deep", says="page 1 and page 1,000 of a million", lanes=_deep),
        Scenario(name="refresh", says="a new access token, if the session lives", lanes=_plain("refresh")),
        Scenario(name="verify", says="whether a token is good", lanes=_plain("verify")),
        Scenario(name="register", says="new accounts", lanes=_hashing("register"), is_sampled=False),
        Scenario(name="sign-in", says="new sessions", lanes=_hashing("sign-in"), is_sampled=False),
        Scenario(name="mix", says="90 % reads, 8 % edits, 2 % refreshes", lanes=_plain("mix", needs=MIX)),
        Scenario(name="storm", says="reads while 20 clients sign in all the time", lanes=_storm),
        Scenario(name="connections", says="64 and 256 connections", lanes=_connections),
        Scenario(name="lone", says="one connection", lanes=_plain("read-me", connections=1), is_sampled=False),
        Scenario(name="growth", says="ten thousand and a million accounts", lanes=_growth),
        Scenario(name="idle", says="10,000 connections that do nothing", lanes=_idle),
        Scenario(name="memory", says="memory at rest and over a million requests", lanes=_plain("read-me")),
    )
}
