"""The key of an address: one for all spellings of its domain, as Python's `idna` maps them (contract 11.37)."""

import unicodedata
from typing import Any

import idna
import psycopg
import pytest


def keys(database: Any, addresses: list[str]) -> list[str]:
    """The key of each address."""
    rows = database.execute(
        "select email_key(address) as key from unnest(%s::text[]) with ordinality as each (address, place)"
        " order by place",
        [addresses],
    ).fetchall()
    return [row["key"] for row in rows]


def mapped(domain: str) -> str | None:
    """`domain` as UTS 46 maps it, or None if it is no domain."""
    try:
        return idna.uts46_remap(domain, std3_rules=True, transitional=False)
    except idna.IDNAError:
        return None


def encoded(domain: str) -> str | None:
    """`domain` in ASCII, or None if it is no domain."""
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return None


@pytest.mark.parametrize(
    "domains",
    [
        (
            "münchen.example",
            "xn--mnchen-3ya.example",
            "MÜNCHEN.example",
            "XN--MNCHEN-3YA.example",
            "mu\u0308nchen.example",
        ),
        ("example.com", "ｅｘａｍｐｌｅ.com", "EXAMPLE．com", "example。com", "exam\u00adple.com"),
        ("office.example", "oﬃce.example", "OFFICE.example"),
        ("faß.example", "xn--fa-hia.example", "faẞ.example"),
        ("βόλος.example", "xn--nxasmm1c.example", "ΒΌΛΟς.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
    ],
)
def test_all_spellings_of_a_domain_are_one_address(database: Any, domains: tuple[str, ...]) -> None:
    assert len(set(keys(database, [f"Anna@{domain}" for domain in domains]))) == 1
    database.execute("insert into users (username, email) values ('anna', %s)", [f"anna@{domains[0]}"])
    for domain in domains:
        with pytest.raises(psycopg.errors.UniqueViolation):
            database.execute("insert into users (username, email) values ('boris', %s)", [f"ANNA@{domain}"])


def test_different_domains_are_different_addresses(database: Any) -> None:
    domains = [
        *("fass.example", "faß.example", "βόλοσ.example", "βόλος.example", "раypal.example", "paypal.example"),
        *("munchen.example", "münchen.example", "xn--mnchen-3yb.example", "xn--mnchen.example", "xn--a.example"),
        *("xn--.example", "xn--mnchen-3ya3ya.example", "a--b.example", "ı.example", "i.example"),
    ]
    assert len(set(keys(database, [f"anna@{domain}" for domain in domains]))) == len(domains)


def test_the_local_part_is_no_domain(database: Any) -> None:
    texts = ["xn--mnchen-3ya@example.com", "münchen@example.com", '"a@münchen.example"@b.example', "ﬃ@example.com"]
    assert keys(database, texts) == texts


def test_each_character_has_the_key_of_what_idna_maps_it_to(database: Any) -> None:
    characters = [chr(number) for number in range(0x80, 0x110000) if unicodedata.category(chr(number))[0] != "C"]
    domains = [(domain, found) for domain in (f"a{each}b.example" for each in characters) if (found := mapped(domain))]
    assert len(domains) > 100_000
    of_raw = keys(database, [f"a@{raw}" for raw, _ in domains])
    of_mapped = keys(database, [f"a@{found}" for _, found in domains])
    assert [domain for domain, a, b in zip(domains, of_raw, of_mapped, strict=True) if a != b] == []
    # Two domains that idna tells apart have two keys.
    assert len(set(of_raw)) == len({found for _, found in domains})


def test_each_domain_in_ascii_has_the_key_of_the_domain(database: Any) -> None:
    letters = [chr(number) for number in range(0x80, 0x30000) if unicodedata.category(chr(number))[0] == "L"]
    words = ["a" + letter for letter in letters] + ["".join(letters[at : at + 9]) for at in range(0, len(letters), 7)]
    domains = [(word, found) for word in words if (found := encoded(f"{word}.example"))]
    assert len(domains) > 50_000
    of_domain = keys(database, [f"a@{word}.example" for word, _ in domains])
    of_ascii = keys(database, [f"a@{found}" for _, found in domains])
    assert [each for each, a, b in zip(domains, of_domain, of_ascii, strict=True) if a != b] == []
