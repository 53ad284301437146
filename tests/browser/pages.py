"""The link pages in a browser: activation, password reset, username reset."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.visitors import Site, Visitor

NEW_PASSWORD = "staple gun theory"


def type_password(visitor: Visitor, password: str) -> None:
    """Type a new password into both fields, and send the form."""
    for field in visitor.page.locator("input[type=password]").all():
        field.fill(password)
    visitor.press("Change password")


def test_an_account_is_activated(site: Site, visitor: Visitor, name: str) -> None:
    site.register(name)
    assert site.sign_in(name) == 401
    link = site.link(name, "activate")
    visitor.open(link)
    visitor.sees("Confirm your e-mail address")
    visitor.screenshot("activate")
    assert site.sign_in(name) == 401
    visitor.press("Activate")
    visitor.sees("Your account is active")
    visitor.screenshot("activated")
    assert site.sign_in(name) == 200
    visitor.open(link)
    visitor.sees("Your account is active already")
    visitor.screenshot("active-already")


def test_a_password_is_reset_after_a_weak_one_was_refused(site: Site, visitor: Visitor, name: str) -> None:
    site.join(name)
    link = site.ask("reset_password", name)
    visitor.open(link)
    visitor.sees("Choose a new password")
    visitor.screenshot("password")
    type_password(visitor, "password1")
    visitor.sees("Choose a new password")
    fault = visitor.page.get_by_text("This password is too common.")
    expect(fault).to_be_visible()
    expect(visitor.page.get_by_role("alert")).to_be_visible()
    expect(visitor.page.get_by_label("New password", exact=True)).to_be_focused()
    visitor.screenshot("password-refused")
    type_password(visitor, NEW_PASSWORD)
    visitor.sees("Your password is changed")
    visitor.screenshot("password-changed")
    assert site.sign_in(name, NEW_PASSWORD) == 200
    visitor.open(link)
    visitor.sees("This link does not work")
    visitor.screenshot("link-used")
    assert site.sign_in(name, NEW_PASSWORD) == 200


def test_a_password_mismatch_is_shown_at_the_second_field(site: Site, visitor: Visitor, name: str) -> None:
    site.join(name)
    visitor.open(site.ask("reset_password", name))
    visitor.page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    visitor.page.get_by_label("The new password again").fill("staple gun")
    visitor.press("Change password")
    expect(visitor.page.get_by_label("The new password again")).to_be_focused()
    visitor.screenshot("password-differs")


def test_a_username_is_reset(site: Site, visitor: Visitor, name: str) -> None:
    site.join(name)
    visitor.open(site.ask("reset_username", name))
    visitor.sees("Choose a new username")
    visitor.page.get_by_label("New username").fill("two words")
    visitor.press("Change username")
    visitor.sees("Choose a new username")
    expect(visitor.page.get_by_label("New username")).to_have_value("two words")
    visitor.screenshot("username-refused")
    visitor.page.get_by_label("New username").fill(f"{name}.k")
    visitor.press("Change username")
    visitor.sees("Your username is changed")
    visitor.screenshot("username-changed")
    assert (site.sign_in(f"{name}.k"), site.sign_in(name)) == (200, 401)


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("update one_time_tokens set expires_at = now() - interval '1 second'", id="expired"),
        pytest.param("delete from one_time_tokens", id="unknown"),
    ],
)
def test_the_page_of_a_dead_link_says_so(site: Site, visitor: Visitor, name: str, statement: str) -> None:
    site.join(name)
    link = site.ask("reset_password", name)
    site.database.execute(statement)
    visitor.open(link)
    visitor.sees("This link does not work")


def test_the_page_of_a_dead_link_asks_for_a_new_one(site: Site, visitor: Visitor, name: str) -> None:
    site.join(name)
    dead = site.ask("reset_password", name)
    site.database.execute("delete from one_time_tokens")
    visitor.open(dead)
    visitor.page.get_by_label("E-mail address of your account").fill(f"{name}@example.com")
    visitor.screenshot("link-dead")
    visitor.press("Send a new link")
    visitor.sees("Please look at your e-mails")
    visitor.screenshot("asked")
    visitor.open(site.link(name, "password/reset"))
    visitor.sees("Choose a new password")


def test_a_mistyped_address_is_a_page(site: Site, visitor: Visitor) -> None:
    visitor.open(f"{site.url}/sing-in")
    visitor.sees("There is nothing here")
    visitor.screenshot("mistyped")


def test_a_password_manager_is_led_to_a_form_and_finds_the_account(site: Site, visitor: Visitor, name: str) -> None:
    site.join(name)
    visitor.open(f"{site.url}/.well-known/change-password")
    visitor.sees("Ask for a link to choose a new password")
    visitor.page.get_by_label("E-mail address of your account").fill(f"{name}@example.com")
    visitor.press("Send a new link")
    visitor.open(site.link(name, "password/reset"))
    account = visitor.page.locator("input[autocomplete=username]")
    expect(account).to_have_value(name)
    expect(account).to_be_hidden()


def test_the_page_of_a_damaged_link_says_so(site: Site, visitor: Visitor) -> None:
    visitor.open(f"{site.url}/activate/MQ/a%20b")
    visitor.sees("There is nothing here")
    visitor.screenshot("damaged")


def test_the_pages_work_without_javascript(site: Site, invite: Callable[..., Visitor], name: str) -> None:
    visitor = invite("without-script", java_script_enabled=False)
    site.register(name)
    visitor.open(site.link(name, "activate"))
    visitor.press("Activate")
    visitor.sees("Your account is active")
    visitor.open(site.ask("reset_password", name))
    type_password(visitor, "password1")
    expect(visitor.page.get_by_label("New password", exact=True)).to_be_focused()
    type_password(visitor, NEW_PASSWORD)
    visitor.sees("Your password is changed")
    assert site.sign_in(name, NEW_PASSWORD) == 200


def test_the_pages_work_with_the_keyboard(site: Site, visitor: Visitor, name: str) -> None:
    site.join(name)
    visitor.open(site.ask("reset_password", name))
    press, outline = visitor.page.keyboard.press, "getComputedStyle(document.activeElement).outlineWidth"
    for _ in range(2):
        press("Tab")
        assert visitor.page.evaluate(outline) == "3px"
        visitor.page.keyboard.type(NEW_PASSWORD)
    press("Tab")
    assert visitor.page.evaluate(outline) == "3px"
    visitor.screenshot("keyboard")
    press("Enter")
    visitor.page.wait_for_load_state()
    visitor.sees("Your password is changed")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_on_a_narrow_screen(site: Site, invite: Callable[..., Visitor], name: str, scheme: str) -> None:
    narrow = {"width": 320, "height": 568}
    visitor = invite(f"narrow-{scheme}", viewport=narrow, is_mobile=True, color_scheme=scheme, locale="de-DE")
    site.register(name)
    visitor.open(site.link(name, "activate"))
    visitor.sees("E-Mail-Adresse bestätigen")
    visitor.screenshot("activate")
    visitor.press("Freischalten")
    visitor.sees("Ihr Konto ist freigeschaltet")
    visitor.open(f"{site.url}/activate/MQ/abc")
    visitor.sees("Dieser Link geht nicht")
    visitor.screenshot("link-unknown")
    visitor.page.locator("input").fill("Überlänge" * 20)
    visitor.press("Neuen Link schicken")
    visitor.sees("Neuen Link zum Freischalten anfordern")
    visitor.screenshot("asked-in-vain")
    visitor.open(site.ask("reset_password", name))
    visitor.page.locator("input[type=password]").first.fill("12345")
    visitor.page.locator("input[type=password]").last.fill("12345")
    visitor.press("Passwort ändern")
    visitor.sees("Neues Passwort wählen")
    visitor.screenshot("password-refused")
    visitor.open(site.ask("reset_username", name))
    visitor.page.locator("input").fill("Überlänge" * 20)
    visitor.press("Benutzernamen ändern")
    visitor.sees("Neuen Benutzernamen wählen")
    visitor.screenshot("username-refused")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(site: Site, invite: Callable[..., Visitor], name: str, scheme: str) -> None:
    visitor = invite("desktop", color_scheme=scheme)
    site.join(name)
    visitor.open(site.ask("reset_password", name))
    for field in visitor.page.locator("input[type=password]").all():
        field.fill("short")
    visitor.press("Change password")
    for selector in ("header p", "h1", "label", ".rules", ".fault", ".faults a", "button"):
        assert contrast(visitor, selector) >= 4.5, selector  # WCAG 2.2, 1.4.3


def contrast(visitor: Visitor, selector: str) -> float:
    """The contrast between the text of the first such element and its background (WCAG 2.2)."""
    script = """element => {
        const ink = getComputedStyle(element).color
        while (getComputedStyle(element).backgroundColor === 'rgba(0, 0, 0, 0)') element = element.parentElement
        return [ink, getComputedStyle(element).backgroundColor].map(colour => colour.match(/\\d+/g).map(Number))
    }"""
    shades = sorted(luminance(colour[:3]) for colour in visitor.page.locator(selector).first.evaluate(script))
    return (shades[1] + 0.05) / (shades[0] + 0.05)


def luminance(colour: list[int]) -> float:
    """The relative luminance of an RGB colour (WCAG 2.2)."""
    parts = [part / 255 for part in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
