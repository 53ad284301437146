"""The uid and the token of a link (contract 4.3)."""

import base64

import pytest

from server.auth.one_time_tokens import OneTimeTokens, read_uid, write_uid

SAMPLES = {1: "MQ", 10: "MTA", 42: "NDI", 1000: "MTAwMA"}


@pytest.mark.parametrize(("user_id", "uid"), SAMPLES.items())
def test_a_uid_is_written_as_in_the_samples_of_the_contract(user_id: int, uid: str) -> None:
    assert write_uid(user_id) == uid
    assert read_uid(uid) == user_id


@pytest.mark.parametrize("user_id", [0, 7, 2**31, 2**63 - 1])
def test_a_uid_is_read_as_it_was_written(user_id: int) -> None:
    assert read_uid(write_uid(user_id)) == user_id


@pytest.mark.parametrize("uid", ["MQ", "MQ=", "MQ==", "MQ====", " M.Q\n", "é!M*Q", "M Q"])
def test_padding_and_foreign_characters_in_a_uid_are_ignored(uid: str) -> None:
    assert read_uid(uid) == 1


@pytest.mark.parametrize("digits", ["", "-1", "+1", " 1", "1\n", "1.0", "0x1", "1_0", "٣", "²", str(2**63), "9" * 30])
def test_a_uid_of_something_that_is_no_id_is_none(digits: str) -> None:
    assert read_uid(base64.urlsafe_b64encode(digits.encode()).decode()) is None


@pytest.mark.parametrize("uid", ["", "=", "A", "M", "é", "\0", "x" * 1_000_000, "MQ" * 1_000_000])
def test_a_uid_that_cannot_be_decoded_is_none(uid: str) -> None:
    assert read_uid(uid) is None


def test_a_token_depends_on_the_key_and_the_nonce() -> None:
    one, other = (OneTimeTokens(letter * 32, lifetime=60) for letter in "ab")
    assert one.tokens("nonce") == one.tokens("nonce")
    assert len({*one.tokens("nonce"), *one.tokens("nonce2"), *other.tokens("nonce")}) == 3
    assert [len(token) for token in one.tokens("nonce")] == [43]
