"""Fields: which usernames, addresses, passwords, texts and flags are valid (contract 1.3, 3)."""

from collections.abc import Callable
from typing import Any

import pytest
from marshmallow import Schema, ValidationError

from server.web.schemas import fields
from server.web.schemas.fields import (
    BLANK,
    NOT_EMAIL,
    NOT_FLAG,
    NOT_TEXT,
    NOT_USERNAME,
    NULL,
    Email,
    Flag,
    Login,
    Password,
    Text,
    Username,
)
from server.web.schemas.objects import Refresh, Verify

GOOD_EMAILS = [
    "",
    "a@b.co",
    "A.b+c@example.com",
    "!#$%&'*+-/=?^_`{}|~@example.com",
    r'"quoted\ \"string"@example.com',
    "a@localhost",
    "a@LOCALHOST",
    "a@[127.0.0.1]",
    "a@[::1]",
    "a@bücher.example",
    "a@example.xn--p1ai",
    "a@" + "x" * 63 + ".com",
    '"a@b"@c.de',
    "a@b.co.uk",
    "a@B.CO",
    "a'b@c.de",
    "a@sub.localhost",
    "a@[::ffff:1.2.3.4]",
    "a@[::FFFF]",
    "a@b.c-d",
    "a@b.c--d",
    "a@b.xn--a",
    "a@xn--bcher-kva.example",
    "a@b.рф",
    "a@b." + "c" * 63,
    "x" * 249 + "@b.co",
]
BAD_EMAILS = [
    '""@example.com',
    '"\x01"@example.com',
    "ſ@example.com",
    "\u212a@example.com",
    "a@❤.example",
    "a@a\u00a1b.example",
    "a@xn--mnchen-3ya.ü",
    f"a@{'ü' * 63}.example",
    "a",
    "@b.co",
    "a@",
    "a@b",
    ".a@b.co",
    "a.@b.co",
    "a..b@b.co",
    "a b@b.co",
    "é@b.co",
    "a@-b.co",
    "a@b-.co",
    "a@b..co",
    "a@b.c",
    "a@b.co.",
    "a@[300.1.1.1]",
    "a@[x]",
    "a@" + "x" * 64 + ".com",
    "a@b.co\nx",
    "a@b.c0",
    "a@b@c.de",
    "<a@b.co>",
    "a,b@c.de",
    "a@b.co,c@d.co",
    '"a b"@c.de',
    '"a"b"@c.de',
    'a"b@c.de',
    "a\\@b.co",
    "a@ b.co",
    "a@b_c.de",
    "a@1.2",
    "a@b.123",
    "a@ü.ü",
    "a@💩.la",
    "a@b.xn--",
    "a@b.-co",
    "a@b.co-",
    "a@.co",
    "a@[]",
    "a@[1.2.3]",
    "a@[IPv6:::1]",
    "a@b." + "c" * 64,
    "a\u200b@b.co",
]
TOO_LONG_EMAIL = "Ensure this field has no more than 254 characters."


def faults(field: Any, value: Any) -> Any:
    try:
        return field.deserialize(value)
    except ValidationError as failure:
        return failure.messages


@pytest.mark.parametrize("address", GOOD_EMAILS)
def test_a_valid_address_is_kept_as_typed(address: str) -> None:
    assert faults(Email(blank=True), address) == address


@pytest.mark.parametrize("address", BAD_EMAILS)
def test_a_malformed_address_is_refused(address: str) -> None:
    assert faults(Email(), address) == [NOT_EMAIL]


def test_a_well_formed_address_that_is_too_long_has_one_fault() -> None:
    domain = ("b" * 60 + ".") * 4 + "com"
    assert faults(Email(), f"aaaaaa@{domain}") == f"aaaaaa@{domain}"  # 254 characters
    assert faults(Email(), f"aaaaaaa@{domain}") == [TOO_LONG_EMAIL]


@pytest.mark.parametrize("address", ["x" * 300, "x" * 100_000, "a@" + "b" * 250 + ".com"])
def test_a_malformed_address_that_is_too_long_has_two_faults(address: str) -> None:
    assert sorted(faults(Email(), address)) == sorted([TOO_LONG_EMAIL, NOT_EMAIL])


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("a\0@b.co", {"Null characters are not allowed.", NOT_EMAIL}),
        ("\ud800@b.co", {"Surrogate characters are not allowed: U+D800.", NOT_EMAIL}),
        ("a@\udfff.co", {"Surrogate characters are not allowed: U+DFFF."}),
    ],
)
def test_characters_of_an_address_that_cannot_be_stored_are_named(address: str, found: set[str]) -> None:
    assert set(faults(Email(), address)) >= found


@pytest.mark.parametrize("value", [True, False, [], {}, 12, 1.5])
def test_a_value_that_is_not_text_is_not_an_address(value: Any) -> None:
    assert faults(Email(), value) == [NOT_EMAIL]


def test_an_address_may_be_blank_only_if_the_field_allows_it() -> None:
    for blank in ("", " ", "\t\n"):
        assert faults(Email(blank=True), blank) == ""
        assert faults(Email(), blank) == [BLANK]
    assert faults(Email(blank=True), None) == [NULL]


@pytest.mark.parametrize(
    "name", ["a", "Mario", "ma.rio@x+y-z_1", "мария", "マリオ", "١٢٣", "x" * 150, "я" * 150, "_", "@", "...", "a@b.co"]
)
def test_usernames_have_letters_and_digits_of_any_script_and_a_few_signs(name: str) -> None:
    assert faults(Username(), name) == name


@pytest.mark.parametrize(
    "name", ["a b", "a/b", "a\tb", "😀", "a\u200bb", "a\nb", "a!", "½", "\u0301", "a\xadb", "a:b", "é\u202e"]
)
def test_other_characters_are_refused_in_usernames(name: str) -> None:
    assert faults(Username(), name) == [NOT_USERNAME]


def test_usernames_are_normalised_before_they_are_checked() -> None:
    assert faults(Username(), " ｗｉｄｅ ") == "wide"
    assert faults(Username(), "ﷺ" * 20) == [NOT_USERNAME, "Ensure this field has no more than 150 characters."]
    assert faults(Username(), "e\u0301" * 150) == "é" * 150
    assert faults(Username(), "ﬃ" * 50) == "ffi" * 50
    assert faults(Username(), "ﬃ" * 51) == ["Ensure this field has no more than 150 characters."]
    assert faults(Username(), "²") == "2"


def test_all_faults_of_a_username_are_reported_together() -> None:
    assert faults(Username(), "a\0\ud800 !" + "x" * 150) == [
        NOT_USERNAME,
        "Ensure this field has no more than 150 characters.",
        "Null characters are not allowed.",
        "Surrogate characters are not allowed: U+D800.",
    ]


@pytest.mark.parametrize("value", [True, [], {}, ["a"]])
@pytest.mark.parametrize("field", [Text(), Username(), Login(), Password()], ids=lambda field: type(field).__name__)
def test_a_value_that_is_not_text_is_refused(field: Any, value: Any) -> None:
    assert faults(field, value) == [NOT_TEXT]


@pytest.mark.parametrize("field", [Text(), Username(), Login(), Password()], ids=lambda field: type(field).__name__)
def test_null_and_blank_have_texts_of_their_own(field: Any) -> None:
    assert faults(field, None) == [NULL]
    assert faults(field, "") == [BLANK]


def test_a_password_is_not_trimmed_and_its_length_is_counted_in_bytes() -> None:
    for password in (" ", "\tx\n", "x" * 4096, "é" * 2048, "a\u0301", "ｗ"):
        assert faults(Password(), password) == password
    for password in ("x" * 4097, "é" * 2049, "\U0001f600" * 1025):
        assert faults(Password(), password) == ["Ensure this field has no more than 4096 bytes."]


@pytest.mark.parametrize("word", [True, 1, 1.0, "t", "Y", "yes", "TRUE", "on", "oN", "1"])
def test_words_that_mean_true(word: Any) -> None:
    assert faults(Flag(), word) is True


@pytest.mark.parametrize("word", [False, 0, 0.0, "f", "N", "no", "False", "OFF", "0"])
def test_words_that_mean_false(word: Any) -> None:
    assert faults(Flag(), word) is False


@pytest.mark.parametrize(
    "word", ["", "maybe", 2, -1, 0.5, 10**60, [], {}, [True], "yes please", "null", "01", "1.0", "١"]
)
def test_other_words_are_not_a_flag(word: Any) -> None:
    assert faults(Flag(), word) == [NOT_FLAG]


def test_a_flag_may_not_be_null() -> None:
    assert faults(Flag(), None) == [NULL]


@pytest.mark.parametrize(
    ("value", "text"), [(12, "12"), (1.5, "1.5"), (-3, "-3"), ("  x  ", "x"), ("\u3000x\xa0\n", "x")]
)
def test_numbers_become_text_and_text_is_trimmed(value: Any, text: str) -> None:
    assert faults(Text(), value) == text


def test_no_pattern_is_matched_with_a_text_that_is_far_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    matched: list[int] = []

    class Counting:
        def fullmatch(self, *texts: str) -> None:
            matched.append(max(map(len, texts)))

    for name in ("_LOCAL", "_DOMAIN", "_LITERAL", "re"):
        monkeypatch.setattr(fields, name, Counting())
    for text in ("a." * 100_000, "x@" + "a." * 100_000 + "com", "é" * 100_000):
        faults(Email(), text)
        faults(Username(), text)
    assert matched
    assert max(matched) <= fields.CHECKED_MAX_LENGTH


@pytest.mark.parametrize("schema", [Refresh, Verify])
@pytest.mark.parametrize(
    "token", ["a.b-c_d", " a.b ", "", " ", "a b", "a\n", "é", "a\0", "\ud800", 1, 1.5, True, None, [], {}, "٣"]
)
def test_a_token_is_read_as_marshmallow_reads_it(schema: type[Refresh] | type[Verify], token: Any) -> None:
    def load(read: Callable[[Any], Any]) -> Any:
        try:
            return read({schema.only_field: token, "other": 1})
        except ValidationError as failure:
            return failure.messages

    assert load(schema().load) == load(lambda given: Schema.load(schema(), given))
