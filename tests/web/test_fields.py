"""Fields: what a name, an address and a flag may look like (contract 3)."""

from typing import Any

import pytest
from marshmallow import ValidationError

from server.web.fields import NOT_EMAIL, NOT_FLAG, NOT_USERNAME, Email, Flag, Text, Username

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
]
BAD_EMAILS = [
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
]


def faults(field: Any, value: Any) -> Any:
    try:
        return field.deserialize(value)
    except ValidationError as failure:
        return failure.messages


@pytest.mark.parametrize("address", GOOD_EMAILS)
def test_an_address_is_kept_as_it_is_written(address: str) -> None:
    assert faults(Email(blank=True), address) == address


@pytest.mark.parametrize("address", BAD_EMAILS)
def test_what_is_no_address_is_refused(address: str) -> None:
    assert faults(Email(), address) == [NOT_EMAIL]


@pytest.mark.parametrize("name", ["a", "Mario", "ma.rio@x+y-z_1", "мария", "マリオ", "١٢٣", "x" * 150])
def test_names_are_letters_digits_and_a_few_signs_of_any_script(name: str) -> None:
    assert faults(Username(), name) == name


@pytest.mark.parametrize("name", ["a b", "a/b", "a\tb", "😀", "a\u200bb", "a\nb", "a!"])
def test_other_characters_are_refused_in_names(name: str) -> None:
    assert faults(Username(), name) == [NOT_USERNAME]


def test_names_are_normalised_before_they_are_judged() -> None:
    assert faults(Username(), " ｗｉｄｅ ") == "wide"
    assert faults(Username(), "ﷺ" * 20) == [NOT_USERNAME, "Ensure this field has no more than 150 characters."]
    assert faults(Username(), "e\u0301" * 150) == "é" * 150


@pytest.mark.parametrize("word", [True, 1, 1.0, "t", "Y", "yes", "TRUE", "on", "1"])
def test_words_for_true(word: Any) -> None:
    assert faults(Flag(), word) is True


@pytest.mark.parametrize("word", [False, 0, 0.0, "f", "N", "no", "False", "OFF", "0"])
def test_words_for_false(word: Any) -> None:
    assert faults(Flag(), word) is False


@pytest.mark.parametrize("word", ["", "maybe", 2, -1, 0.5, [], {}, "yes please"])
def test_other_words_are_no_flag(word: Any) -> None:
    assert faults(Flag(), word) == [NOT_FLAG]


@pytest.mark.parametrize(("value", "text"), [(12, "12"), (1.5, "1.5"), ("  x  ", "x"), ("\u3000x", "x")])
def test_numbers_become_text_and_text_is_trimmed(value: Any, text: str) -> None:
    assert faults(Text(), value) == text
