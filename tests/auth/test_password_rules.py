"""Rules for new passwords (contract 5)."""

import pytest

from server.auth.password_rules import PASSWORD_MAX_BYTES, common_passwords, password_faults

SHORT = "This password is too short. It must contain at least 8 characters."
COMMON = "This password is too common."
NUMERIC = "This password is entirely numeric."
LIKE_NAME = "The password is too similar to the username."
LIKE_EMAIL = "The password is too similar to the email address."


@pytest.mark.parametrize(
    ("password", "username", "email", "faults"),
    [
        ("correct horse battery", "anna", "anna@example.com", []),
        ("         ", "anna", "", []),
        ("short", "", "", [SHORT]),
        ("1234567", "", "", [SHORT, COMMON, NUMERIC]),
        ("Password", "", "", [COMMON]),
        (" PASSWORD1 ", "", "", [COMMON]),
        ("friend of emily", "", "", [COMMON]),
        ("9081726354", "", "", [NUMERIC]),
        ("٣٤٥٦٧٨٩١", "", "", [NUMERIC]),
        ("²³²³²³²³", "", "", [NUMERIC]),
        ("margarethe", "margarethe", "", [LIKE_NAME]),
        ("ehteragram", "margarethe", "", [LIKE_NAME]),
        ("MARGARETHE!", "margarethe", "", [LIKE_NAME]),
        ("margarethe-1234", "margarethe", "", [LIKE_NAME]),
        ("margarethe-123456789", "margarethe", "", []),
        ("margarethe", "x.margarethe", "", [LIKE_NAME]),
        ("kowalska99", "anna", "kowalska99@example.com", [LIKE_EMAIL]),
        ("example.co", "anna", "kowalska@example.com", [LIKE_EMAIL]),
        ("kowalska99", "kowalska", "kowalska99@example.com", [LIKE_NAME]),
        ("abc", "abc", "", [LIKE_NAME, SHORT]),
        ("aaaaaaaaaaaaaaaaaaaa", "a", "", []),
        ("straßenbahn", "STRASSENBAHN", "", [LIKE_NAME]),
    ],
)
def test_every_broken_rule_gives_its_text_in_order(password: str, username: str, email: str, faults: list[str]) -> None:
    found = password_faults(password, username=username, email=email)
    # A password of this table may be common by chance. Only the rows with COMMON are about the list.
    assert [fault for fault in found if fault != COMMON or COMMON in faults] == faults


def test_the_list_of_common_passwords_is_complete() -> None:
    words = common_passwords()
    assert len(words) == 19_640
    assert all(word == word.lower().strip() and word for word in words)
    assert len([word for word in words if len(word) >= 8 and not word.isdigit()]) == 7_928


def test_the_longest_allowed_password_is_checked() -> None:
    assert password_faults("é" * (PASSWORD_MAX_BYTES // 2), username="x" * 150, email="y." * 127) == []
