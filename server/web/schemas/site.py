"""The description of the site for front ends."""

from marshmallow import Schema, fields, validate

from server.settings.account_model import READERS, USERNAME_CHOICES, WRITERS


class AccountDescription(Schema):
    """What an account consists of."""

    component = "SiteAccount"

    username = fields.String(required=True, validate=validate.OneOf(USERNAME_CHOICES))
    shown_as = fields.String(required=True, metadata={"description": "The member that shows a person's name."})
    fields_ = fields.Dict(
        required=True,
        data_key="fields",
        attribute="fields",
        metadata={"description": "The JSON Schema (Draft 2020-12) of the fields that the site adds, in their order."},
    )
    written_by = fields.Dict(
        keys=fields.String(),
        values=fields.String(validate=validate.OneOf(WRITERS)),
        required=True,
        metadata={"description": "`owner`: at registration and later; `registration`: only then; `staff`: by staff."},
    )
    read_by = fields.Dict(
        keys=fields.String(),
        values=fields.String(validate=validate.OneOf(READERS)),
        required=True,
        metadata={"description": "`owner`: by the owner and staff; `everyone`: by all who are signed in, in profiles."},
    )


class SiteDescription(Schema):
    """What a front end needs to know of the site to make its forms."""

    component = "Site"

    name = fields.String(required=True, metadata={"example": "Frontdesk"})
    login_field = fields.String(required=True, validate=validate.OneOf(("username", "email", "either")))
    account = fields.Nested(AccountDescription, required=True)
    activation_by_letter = fields.Boolean(
        required=True, metadata={"description": "Whether a new account waits for the link in its letter."}
    )
    password_retyped_at_registration = fields.Boolean(
        required=True, metadata={"description": "Whether registration has `re_password`."}
    )
    roles = fields.List(
        fields.String(), required=True, metadata={"description": "Names of the roles; `/api/roles/` describes them."}
    )
