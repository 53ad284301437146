"""Limits: who guesses, floods or collects is slowed down, on all workers and nodes together (security 9).

Each limit is a leaky bucket in the database: `count` uses at once, then one more each `window / count` seconds
(docs/decisions/limits.md). What a person does meets none; what is refused costs no hash.
"""

import contextlib
import ipaddress
import math
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

import asyncpg

from server.accounts import events
from server.accounts.events import Source
from server.database.database import Database
from server.database.transaction import Transaction
from server.errors import TooManyRequests, Unavailable
from server.mail.letters import PASSWORD_RESET
from server.settings.rates import Rate
from server.settings.settings import Settings
from server.telemetry import metrics

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

OF_RESET = " of a reset"
IPV6_PREFIX = 64  # bits: what one customer of a provider has
KNOWN_NETWORKS_MAX = 20  # of an account: the latest are remembered


class Bucket(NamedTuple):
    """What counts together: a limit, and the account or network that it is for."""

    limit: str  # the name that the client is told
    key: str
    rate: Rate
    refuses: bool = True  # False: it only counts


def network_of(address: str | None) -> str | None:
    """The network of a client's IP address: an IPv4 address itself, or the /64 of an IPv6 address. None: not known."""
    return None if address is None else _network_around(_parsed(address))


def _network_around(parsed: IPAddress) -> str:
    bits = parsed.max_prefixlen if parsed.version == 4 else IPV6_PREFIX
    return str(ipaddress.ip_network((parsed, bits), strict=False))


async def unlock_account(transaction: Transaction, user_id: int, *, source: Source) -> None:
    """Forget the failed sign-ins of an account."""
    await transaction.rows("limits/unlock", f"sign-in account {user_id}")
    await events.record(transaction, events.UNLOCKED, user_id, source)


async def unlock_network(transaction: Transaction, network: str, *, source: Source) -> None:
    """Forget the failed sign-ins from a network."""
    await transaction.rows("limits/unlock", f"sign-in from {network}")
    await events.record(transaction, events.UNLOCKED, None, source, {"network": network})


class UsedUp(NamedTuple):
    """A limit of failed sign-ins that refuses further tries."""

    network: str | None  # that it counts for alone; None: the account from networks that it does not know
    is_of_account: bool
    seconds: float  # until the next try


async def used_up(db: Database, user_id: int, networks: Sequence[str], settings: Settings) -> list[UsedUp]:
    """The limits that refuse the sign-in of an account: its own, and those of `networks`."""
    account = f"sign-in account {user_id}"
    of_networks = {f"sign-in from {network}": network for network in networks}
    found = []
    for row in await db.rows("limits/used", account, list(of_networks)):
        key: str = row["key"]
        is_of_account = key not in of_networks
        rate = settings.limit_sign_in_account if is_of_account else settings.limit_sign_in_network
        seconds = row["seconds"] + rate.cost - rate.window if rate else 0.0
        if seconds > 0:
            network = (key.removeprefix(account).strip() or None) if is_of_account else of_networks[key]
            found.append(UsedUp(network, is_of_account, seconds))
    return found


class Limits:
    """The limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def name_of_unknown(self, db: Database, login: str) -> str:
        """What a limit keeps of a name without an account: the same for all spellings that would be one account."""
        return await _hash(db, login, is_address=self._settings.login_field == "email")

    def sign_in(self, source: Source, *, name: str, user_id: int | None, knows_network: bool) -> list[Bucket]:
        """What a wrong password counts against; `name` is of `name_of_unknown`, `user_id` the account if there is one.

        From a network that the account has signed in from before, only the limit of the two refuses: others who guess,
        also in the same network, cannot lock the owner out. An unknown name is counted like a known one.
        """
        account, network = self._settings.limit_sign_in_account, network_of(source.address)
        subject = _subject(user_id, name)
        buckets = self._of_network("network", "sign-in", source, self._settings.limit_sign_in_network)
        if knows_network and account:
            counting = [each._replace(refuses=False) for each in buckets]
            return [Bucket("account", f"sign-in {subject} {network}", account), *counting]
        if account:
            buckets.append(Bucket("account", f"sign-in {subject}", account))
        return buckets

    def places(self, source: Source, *, user_id: int | None = None, name: str = "") -> list[str]:
        """Who has the place of a hash in the queue: a network, and an account or an unknown name (security 10)."""
        network = self._limited_network(source)
        holders = [f"network {network}"] if network else []
        if user_id is not None or name:
            holders.append(_subject(user_id, name))
        return holders

    async def check(
        self, db: Database, buckets: Sequence[Bucket], source: Source, *, user_id: int | None = None
    ) -> None:
        """Raises TooManyRequests when one of `buckets` is used up. Counts nothing."""
        refusing = [(each.key, each.rate.cost, each.rate.window) for each in buckets if each.refuses]
        if not refusing:
            return
        row = await db.row("limits/wait", *zip(*refusing, strict=True))
        if row is not None:
            used_up = next(each for each in buckets if each.key == row["key"])
            await self._refuse(db, used_up, row, source, user_id)

    async def count(self, transaction: Transaction, buckets: Sequence[Bucket]) -> None:
        """Count one use against each of `buckets`."""
        if buckets:
            keys, costs = zip(*((each.key, each.rate.cost) for each in buckets), strict=True)
            await transaction.rows("limits/count", keys, costs)

    async def remember_network(self, transaction: Transaction, user_id: int, source: Source) -> None:
        """Remember that an account has signed in from the network of `source`."""
        if network := network_of(source.address):
            noted = await transaction.row("sign_in_networks/remember", user_id, network)
            if noted:
                await transaction.rows("sign_in_networks/forget", user_id, KNOWN_NETWORKS_MAX)

    async def take_registration(self, db: Database, source: Source) -> None:
        """Count a registration from a network: what is refused counts, too. Raises TooManyRequests."""
        rate = self._settings.limit_registrations_network
        await self._take(db, self._of_network("registrations", "registrations", source, rate), source)

    async def take_change(self, db: Database, user_id: int, source: Source) -> None:
        """Count a request of an account for another name or address. Raises TooManyRequests.

        Before the look-up, which tells whether another account has it: each try counts, whatever its answer.
        """
        buckets = self._of_network("changes", "changes", source, self._settings.limit_changes_network)
        if rate := self._settings.limit_changes_account:
            buckets.insert(0, Bucket("changes", f"changes account {user_id}", rate))
        await self._take(db, buckets, source, user_id)

    async def take_letter(self, db: Database, address: str, source: Source, *, kind: str = "") -> None:
        """Count a letter to an address that the caller names, known or unknown. Raises TooManyRequests.

        Letters that reset a password count alone: requests for other letters must not keep the owner from one.
        """
        buckets = self._of_network("letters", "letters", source, self._settings.limit_letters_network)
        if rate := self._settings.limit_letters_address:
            to = await _hash(db, address, is_address=True)
            buckets.append(Bucket("letters", f"letters{OF_RESET if kind == PASSWORD_RESET else ''} to {to}", rate))
        await self._take(db, buckets, source)

    async def take_link(self, db: Database, source: Source) -> list[Bucket]:
        """Count a link of a letter before it is looked at: what to give back if it is valid. Raises TooManyRequests."""
        buckets = self._of_network("links", "links", source, self._settings.limit_links_network)
        await self._take(db, buckets, source)
        return buckets

    async def take_export(self, db: Database, user_id: int, source: Source) -> None:
        """Count an export of an account, which reads all its rows. Raises TooManyRequests."""
        if rate := self._settings.limit_exports_account:
            await self._take(db, [Bucket("exports", f"exports of account {user_id}", rate)], source, user_id)

    async def give_back(self, db: Database, buckets: Sequence[Bucket]) -> None:
        """Take back one use that was counted against each of `buckets`. If the database fails, it drains by itself."""
        with contextlib.suppress(Unavailable):
            for each in buckets:
                await db.row("limits/give_back", each.key, each.rate.cost)

    def _of_network(self, limit: str, kind: str, source: Source, rate: Rate | None) -> list[Bucket]:
        network = self._limited_network(source)
        return [Bucket(limit, f"{kind} from {network}", rate)] if rate and network else []

    def _limited_network(self, source: Source) -> str | None:
        """The network of a client, None if it is not known or has no limits.

        UNLIMITED_NETWORKS is about the address itself: its entry may be longer than /64, as `::1/128` is.
        """
        if source.address is None:
            return None
        address = _parsed(source.address)
        if any(address in unlimited for unlimited in self._settings.unlimited_networks):
            return None
        return _network_around(address)

    async def _take(self, db: Database, buckets: Sequence[Bucket], source: Source, user_id: int | None = None) -> None:
        """Count one use against each of `buckets`, in their order, until one is used up."""
        for each in buckets:
            if await db.row("limits/take", each.key, each.rate.cost, each.rate.window) is None:
                row = await db.row("limits/wait", [each.key], [each.rate.cost], [each.rate.window])
                await self._refuse(db, each, row, source, user_id)

    async def _refuse(
        self, db: Database, bucket: Bucket, used_up: asyncpg.Record | None, source: Source, user_id: int | None
    ) -> NoReturn:
        """Raises TooManyRequests. One event in each window says so; refused requests write no more than that.

        `used_up` is a row of limits/wait, None when the limit has drained meanwhile.
        """
        if used_up and not used_up["is_reported"]:
            async with db.transaction() as transaction:  # of several requests at once, one reports
                if await transaction.row("limits/report", bucket.key, bucket.rate.window):
                    details = {"limit": bucket.key.split()[0]}
                    await events.record(transaction, events.LIMIT_MET, user_id, source, details)
        metrics.LIMITS_MET.add(bucket.limit)
        wait = max(1, math.ceil(used_up["seconds"] if used_up else 0))
        raise TooManyRequests(bucket.limit, bucket.rate.count, bucket.rate.window, wait)


def _parsed(address: str) -> IPAddress:
    """An IP address; IPv4 in IPv6 is IPv4."""
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def _subject(user_id: int | None, name: str) -> str:
    return f"account {user_id}" if user_id is not None else f"name {name}"


async def _hash(db: Database, text: str, *, is_address: bool) -> str:
    """What a limit keeps of a username or an address: the same for all its spellings."""
    row = await db.row("limits/name_key", text, is_address)
    assert row is not None
    return str(row["hash"])
